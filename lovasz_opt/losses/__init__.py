"""Losses on NumPy arrays: the Lovász hinge, sigmoid and softmax; others to compare with; the index itself.

A 1-D array is one image; from two axes on, the leading axis counts images and the rest is flattened. Means
over images keep those without valid pixels, which count 0.
"""

from ._comparisons import (
    cross_entropy,
    cross_entropy_and_gradient,
    hinge,
    hinge_and_gradient,
    soft_jaccard,
    soft_jaccard_and_gradient,
)
from ._functional import (
    lovasz_hinge,
    lovasz_hinge_and_gradient,
    moreau_lovasz_hinge,
    moreau_lovasz_hinge_and_gradient,
    prox_lovasz_hinge,
)
from ._hinge import LovaszHinge
from ._iou import iou
from ._softmax import (
    lovasz_sigmoid,
    lovasz_sigmoid_and_gradient,
    lovasz_softmax,
    lovasz_softmax_and_gradient,
)

__all__ = [
    "LovaszHinge",
    "cross_entropy",
    "cross_entropy_and_gradient",
    "hinge",
    "hinge_and_gradient",
    "iou",
    "lovasz_hinge",
    "lovasz_hinge_and_gradient",
    "lovasz_sigmoid",
    "lovasz_sigmoid_and_gradient",
    "lovasz_softmax",
    "lovasz_softmax_and_gradient",
    "moreau_lovasz_hinge",
    "moreau_lovasz_hinge_and_gradient",
    "prox_lovasz_hinge",
    "soft_jaccard",
    "soft_jaccard_and_gradient",
]
