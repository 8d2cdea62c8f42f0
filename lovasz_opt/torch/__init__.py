"""The losses for PyTorch: functions, modules and operators with rules for autograd, compilation and vmap.

Needs PyTorch; nothing else of the package imports it.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'lovasz_opt.torch needs PyTorch: pip install "lovasz-opt[torch]"', name=error.name
    ) from error

from ._data_parallel import data_parallel_lovasz_hinge, data_parallel_lovasz_softmax
from ._functional import (
    lovasz_hinge,
    lovasz_sigmoid,
    lovasz_softmax,
    moreau_lovasz_hinge,
    prox_lovasz_hinge,
)
from ._modules import LovaszHingeLoss, LovaszSoftmaxLoss, MoreauLovaszHingeLoss
from ._schedule import GammaSchedule

__all__ = [
    "GammaSchedule",
    "LovaszHingeLoss",
    "LovaszSoftmaxLoss",
    "MoreauLovaszHingeLoss",
    "data_parallel_lovasz_hinge",
    "data_parallel_lovasz_softmax",
    "lovasz_hinge",
    "lovasz_sigmoid",
    "lovasz_softmax",
    "moreau_lovasz_hinge",
    "prox_lovasz_hinge",
]
