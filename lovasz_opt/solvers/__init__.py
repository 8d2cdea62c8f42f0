"""Solvers of `lovasz_opt.problems`, one file each; all return a `Result` with a certified gap."""

from .adam import adam
from .admm import admm
from .bundle import bundle
from .fista import fista
from .frank_wolfe import frank_wolfe
from .moreau import moreau
from .pdhg import pdhg
from .prox import prox
from .proximal_gradient import proximal_gradient
from .proximal_point import stochastic_proximal_point
from .result import Result, State
from .ssnal import ssnal
from .stochastic_subgradient import stochastic_subgradient
from .subgradient import subgradient

__all__ = [
    "Result",
    "State",
    "adam",
    "admm",
    "bundle",
    "fista",
    "frank_wolfe",
    "moreau",
    "pdhg",
    "prox",
    "proximal_gradient",
    "ssnal",
    "stochastic_proximal_point",
    "stochastic_subgradient",
    "subgradient",
]
