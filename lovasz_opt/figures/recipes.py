"""How a multi-class model is trained: the loss, and the batches it is taken over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from .._validation import Bools
from ..datasets import VOID
from ..losses import iou
from ..sampling import EquibatchSampler


@dataclass(frozen=True)
class Recipe:
    """Loss and batches of a training run.

    Attributes
    ----------
    batch : int
        Images of a step.
    weight : float
        Of the Lovász-Softmax in the loss, in [0, 1]; cross-entropy over the pixels of the batch has the rest.
    per_image : bool
        Whether the Lovász-Softmax is the mean over the images of the batch; if not, the batch is one image.
    classes : {"present", "all"}
        Classes that the Lovász-Softmax averages over.
    equibatch : bool
        Whether the classes take turns in choosing an image; if not, every epoch is a random order.
    warm : float
        Part of the images, from the first on, that are seen with cross-entropy alone.
    """

    batch: int
    weight: float = 1.0
    per_image: bool = False
    classes: Literal["present", "all"] = "present"
    equibatch: bool = False
    warm: float = 0.0

    def weight_at(self, progress: float) -> float:
        """Weight of the Lovász-Softmax once this part of the images has been seen."""
        return 0.0 if progress < self.warm else self.weight

    def batches(self, presence: Bools, seen: int, seed: int) -> Iterator[list[int]]:
        """Images of every step.

        Parameters
        ----------
        presence : (n, C) ndarray of bool
            Which image shows which class.
        seen : int
            Images in all steps together; the last step may have fewer than the others.
        seed : int

        Yields
        ------
        list of int
        """
        stream = islice(self._stream(presence, seed), seen)
        while chosen := list(islice(stream, self.batch)):
            yield chosen

    def _stream(self, presence: Bools, seed: int) -> Iterator[int]:
        sampler = EquibatchSampler(presence, seed=seed)
        rng = np.random.default_rng([seed, 3])
        while True:
            yield from sampler if self.equibatch else rng.permutation(len(presence)).tolist()


def measures(guesses: Sequence[Any], labels: Sequence[Any], n_classes: int) -> dict[str, Any]:
    """How good label maps are, by both measures.

    Parameters
    ----------
    guesses, labels : sequence of arrays of int, one per image
        Predicted and true class of every pixel; void pixels do not count.
    n_classes : int

    Returns
    -------
    dict
        image: mean over the images of the mean IoU over the classes that are in the image or its prediction.
        dataset: mean over the classes of the IoU from counts over all images; classes that are nowhere are
        left out. classes: the latter for every class, None if it is nowhere.

    Examples
    --------
    >>> from lovasz_opt.figures.recipes import measures
    >>> measures([[0, 0, 1, 1], [0, 0, 0, 0]], [[0, 0, 1, 1], [0, 0, 0, 1]], 3)
    {'image': 0.6875, 'dataset': 0.75, 'classes': [0.8333333333333334, 0.6666666666666666, None]}
    """
    per_image = []
    for guess, truth in zip(guesses, labels, strict=True):
        ratios = iou(np.ravel(guess), np.ravel(truth), classes=n_classes, ignore=VOID, empty=np.nan)
        if np.isfinite(ratios).any():
            per_image.append(float(np.nanmean(ratios)))
    joined = [np.concatenate([np.ravel(image) for image in maps]) for maps in (guesses, labels)]
    ratios = iou(*joined, classes=n_classes, ignore=VOID, empty=np.nan)
    return {
        "image": float(np.mean(per_image)),
        "dataset": float(np.nanmean(ratios)),
        "classes": [None if np.isnan(ratio) else float(ratio) for ratio in ratios],
    }
