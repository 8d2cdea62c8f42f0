"""IoU of label maps by image and by data set, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._validation import Float64s
from ..datasets import VOID
from .data import Bytes

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """How good label maps are.

    Attributes
    ----------
    image_miou : float
        Mean over images of the mean IoU over the classes that the image shows or was given.
    dataset_miou : float
        Mean over classes of the IoU of all pixels together; of the classes that occur.
    classes : (C,) ndarray
        IoU of each class over all pixels, NaN if it does not occur.
    """

    image_miou: float
    dataset_miou: float
    classes: Float64s


def counts(guess: Bytes, truth: Bytes, n_classes: int) -> Counts:
    """Intersection and union of every class in one image, (2, C); void pixels do not count."""
    valid = truth != VOID
    pairs = n_classes * truth[valid].astype(np.int64) + guess[valid]
    table = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    both = np.diag(table)
    return np.stack([both, table.sum(axis=0) + table.sum(axis=1) - both])


def scores(tables: Counts) -> Scores:
    """Scores of images with the counts (n, 2, C)."""
    both, union = tables[:, 0], tables[:, 1]
    with np.errstate(invalid="ignore"):
        by_image = np.where(union > 0, both / np.maximum(union, 1), np.nan)
        classes = np.where(union.sum(0) > 0, both.sum(0) / np.maximum(union.sum(0), 1), np.nan)
    # An image that is all void has no class at all.
    seen = ~np.isnan(by_image).all(axis=1)
    return Scores(
        float(np.nanmean(by_image[seen], axis=1).mean()) if seen.any() else float("nan"),
        float(np.nanmean(classes)) if not np.isnan(classes).all() else float("nan"),
        classes,
    )
