"""Intersection over union of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools
from ..interop import any_library
from ._images import VOID, as_codes, image_shape


@any_library()
def iou(
    prediction: ArrayLike,
    labels: ArrayLike,
    *,
    classes: int | Sequence[int] | None = None,
    per_image: bool = False,
    ignore: float | None = None,
    empty: float = 1.0,
) -> Any:
    r"""Intersection over union (Jaccard index) of predicted and true label maps.

    .. math:: \mathrm{IoU}_c = \frac{|\{\hat y = c\} \cap \{y = c\}|}{|\{\hat y = c\} \cup \{y = c\}|},

    over the pixels whose true label is not void. Nothing is averaged over classes or images: take ``mean`` of
    the result (``nanmean`` with ``empty=nan`` leaves out what is in neither map).

    Parameters
    ----------
    prediction : (p,) or (B, ...) array_like of bool or int
        Predicted label of every pixel; on void pixels it is not looked at.
    labels : array_like of bool or int
        True labels in the same shape.
    classes : int or sequence of int, optional
        The number of classes C, for classes 0, …, C−1; or a list of class labels. By default the labels are
        binary and the index is that of the foreground, 1.
    per_image : bool, default False
        Whether to count within every image of the leading axis, or over the whole data set.
    ignore : number, optional
        Label of void pixels.
    empty : float, default 1.0
        Value where the union is empty: class in neither map, or all pixels void.

    Returns
    -------
    float or ndarray
        A float for the foreground of the whole data set; else an array of shape (C,), (B,) or (B, C). For a
        prediction of a library other than NumPy always an array of that library.

    Raises
    ------
    ValueError
        If the shapes differ, there is no pixel, a label is not allowed, or classes are listed twice.

    Notes
    -----
    A binary ``1 − iou`` is the Jaccard loss Δ of the mistake set, also without foreground.
    Complexity: O(p C). Counted on the CPU: label maps of another device are copied to the host.

    Examples
    --------
    >>> from lovasz_opt.losses import iou
    >>> iou([1, 1, 0, 0], [1, 0, 0, 255], ignore=255)
    0.5
    >>> iou([[0, 1, 2], [2, 2, 2]], [[0, 1, 1], [2, 2, 0]], classes=3, per_image=True)
    array([[1.        , 0.5       , 0.        ],
           [0.        , 1.        , 0.66666667]])
    """
    guess, truth = np.asarray(prediction), np.asarray(labels)
    if guess.shape != truth.shape:
        raise ValueError(f"prediction has shape {guess.shape}, expected {truth.shape}: that of labels")
    shape = image_shape(truth.shape, per_image, "labels")
    if classes is None:
        codes = as_codes(truth, ignore, "labels")
        valid = (codes != VOID).reshape(shape)
        # What is predicted on void pixels may be anything, the void label included.
        guessed = as_codes(np.where(codes == VOID, 0, guess), None, "prediction").reshape(shape)
        ratios = _ratios(guessed == 1, codes.reshape(shape) == 1, valid, empty)
        return ratios if per_image else float(ratios[0])
    listed = _as_classes(classes)
    valid = np.ones(truth.shape, dtype=np.bool_) if ignore is None else truth != ignore
    if isinstance(classes, (int, np.integer)):
        for array, name in ((guess, "prediction"), (truth, "labels")):
            wrong = valid & ~np.isin(array, listed)
            if wrong.any():
                raise ValueError(
                    f"{name} holds {array[wrong].flat[0]}, outside {{0, …, {classes - 1}}}; "
                    "raise classes, or pass ignore= for void labels"
                )
    guess, truth, valid = guess.reshape(shape), truth.reshape(shape), valid.reshape(shape)
    ratios = np.stack([_ratios(guess == c, truth == c, valid, empty) for c in listed], axis=1)
    return ratios if per_image else ratios[0]


def _ratios(guess: Bools, truth: Bools, valid: Bools, empty: float) -> Any:
    union = (valid & (guess | truth)).sum(axis=1)
    intersection = (valid & guess & truth).sum(axis=1)
    return np.where(union > 0, intersection / np.maximum(union, 1), float(empty))


def _as_classes(classes: int | Sequence[int]) -> Any:
    listed = np.arange(classes) if isinstance(classes, (int, np.integer)) else np.asarray(classes)
    if listed.ndim != 1 or not listed.size or listed.dtype.kind not in "iu":
        raise ValueError(f"classes is {classes!r}; pass the number of classes or a list of class labels")
    if len(np.unique(listed)) < len(listed):
        raise ValueError(f"classes holds {listed.tolist()}; list every class once")
    return listed
