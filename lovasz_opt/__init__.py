"""Exact, certified optimisation of the Jaccard index through its Lovász extension.

Importing this package loads NumPy, SciPy and Numba, and nothing else.
"""

from typing import TYPE_CHECKING, Any

from .certificates import NotProximalError, ProxCertificate, certify_prox
from .certify import (
    Certificate,
    ExactCertificate,
    SubgradientCertificate,
    verify_prox,
    verify_prox_exact,
    verify_subgradient,
)
from .exact import prox_exact
from .extension import LovaszExtension, ProxAccuracyWarning
from .losses import (
    LovaszHinge,
    cross_entropy,
    hinge,
    iou,
    lovasz_hinge,
    lovasz_sigmoid,
    lovasz_softmax,
    moreau_lovasz_hinge,
    prox_lovasz_hinge,
    soft_jaccard,
)
from .minnorm import minimize
from .sets import (
    Cardinality,
    CountFunction,
    Coverage,
    Cut,
    Dice,
    Jaccard,
    Modular,
    SetFunction,
    Tversky,
)

if TYPE_CHECKING:
    from . import problems, solvers

__version__ = "0.1.0"

__all__ = [
    "Cardinality",
    "Certificate",
    "certify_prox",
    "CountFunction",
    "Coverage",
    "cross_entropy",
    "Cut",
    "Dice",
    "ExactCertificate",
    "hinge",
    "iou",
    "Jaccard",
    "lovasz_hinge",
    "lovasz_sigmoid",
    "lovasz_softmax",
    "LovaszExtension",
    "LovaszHinge",
    "minimize",
    "Modular",
    "moreau_lovasz_hinge",
    "NotProximalError",
    "problems",
    "prox_exact",
    "prox_lovasz_hinge",
    "ProxAccuracyWarning",
    "ProxCertificate",
    "SetFunction",
    "soft_jaccard",
    "solvers",
    "SubgradientCertificate",
    "Tversky",
    "verify_prox",
    "verify_prox_exact",
    "verify_subgradient",
]


def __getattr__(name: str) -> Any:
    """Load `problems` and `solvers` when they are first asked for: a training script may never need them."""
    if name in ("problems", "solvers"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
