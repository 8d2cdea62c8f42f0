"""Regularised Lovász risks over images: value, subgradient, dual bound and certified gap."""

from ._base import Minorant, Objective, Pools, Problem
from ._features import Quantised
from .distributed import DistributedHingeRisk
from .image_prox import ImageProx
from .linear_hinge import LinearHingeRisk
from .linearised_softmax import LinearisedSoftmaxRisk
from .softmax import LovaszSoftmaxRisk

__all__ = [
    "DistributedHingeRisk",
    "ImageProx",
    "LinearHingeRisk",
    "LinearisedSoftmaxRisk",
    "LovaszSoftmaxRisk",
    "Minorant",
    "Objective",
    "Pools",
    "Problem",
    "Quantised",
]
