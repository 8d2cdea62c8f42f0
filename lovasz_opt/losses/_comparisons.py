"""Losses to compare the Lovász losses with: cross-entropy, hinge, soft Jaccard. Values and gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, Floats, as_scores
from ._images import (
    VOID,
    as_codes,
    class_axis_first_image,
    class_axis_restored,
    class_labels_of,
    image_shape,
)


def cross_entropy(
    logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None
) -> float:
    """Cross-entropy −log π(y), averaged over the valid pixels of an image, then over images.

    Parameters
    ----------
    logits : (p,), (B, ...) or (B, C, ...) array_like of float
        Scores of the foreground in the shape of the labels; or of C classes, with one axis more.
    labels : (p,) or (B, ...) array_like of int
        In {0, 1}, or in {0, …, C−1}; `ignore` marks void pixels. With 1-D labels, class scores are (p, C).
    per_image : bool, default True
        Whether the leading axis counts images; if not, the mean is over all valid pixels of the batch.
    ignore : number, optional
        Label of void pixels.

    Returns
    -------
    float
        An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If the logits are not finite, the shapes do not match, a label is not allowed, or there is no pixel.

    Notes
    -----
    Computed without overflow or cancellation: log(1 + exp(−s·F)), or F_y minus the log-sum-exp.

    Examples
    --------
    >>> from lovasz_opt.losses import cross_entropy
    >>> round(cross_entropy([0.0, 0.0], [1, 0]), 6), round(cross_entropy([[0.0, 0.0, 0.0]], [2]), 6)
    (0.693147, 1.098612)
    """
    return cross_entropy_and_gradient(logits, labels, per_image, ignore)[0]


def cross_entropy_and_gradient(
    logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None
) -> tuple[float, Floats]:
    """`cross_entropy` and its gradient in the logits, in their shape and dtype; the same arguments.

    Examples
    --------
    >>> from lovasz_opt.losses import cross_entropy_and_gradient
    >>> cross_entropy_and_gradient([0.0, 0.0], [1, 0])[1]
    array([-0.25,  0.25])
    """
    if np.ndim(logits) == np.ndim(labels) + 1:
        return _class_cross_entropy(logits, labels, per_image, ignore)
    from scipy.special import expit

    rows, dtype, signs, masses = _binary(logits, labels, per_image, ignore)
    # A margin beyond the range of exp loses nothing: the loss is the margin, or 0.
    with np.errstate(under="ignore"):
        losses = np.logaddexp(0.0, -signs * rows)
        slopes = -signs * expit(-signs * rows)
    return _mean(losses, slopes, masses, np.shape(logits), dtype)


def hinge(logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None) -> float:
    """Hinge loss max(0, 1 − s·F) of the pixels, averaged over the valid ones of an image, then over images.

    Parameters
    ----------
    logits : (p,) or (B, ...) array_like of float
        Scores F.
    labels : array_like of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the mean is over all valid pixels of the batch.
    ignore : number, optional
        Label of void pixels.

    Returns
    -------
    float
        An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If the logits are not finite, the shapes differ, a label is not allowed, or there is no pixel.

    Examples
    --------
    >>> from lovasz_opt.losses import hinge
    >>> hinge([0.5, 1.0], [1, 0])
    1.25
    """
    return hinge_and_gradient(logits, labels, per_image, ignore)[0]


def hinge_and_gradient(
    logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None
) -> tuple[float, Floats]:
    """`hinge` and a subgradient in the logits, in their shape and dtype; 0 at the kink.

    Examples
    --------
    >>> from lovasz_opt.losses import hinge_and_gradient
    >>> hinge_and_gradient([0.5, 1.0], [1, 0])[1]
    array([-0.5,  0.5])
    """
    rows, dtype, signs, masses = _binary(logits, labels, per_image, ignore)
    margins = 1.0 - signs * rows
    slopes = np.where(margins > 0, -signs, 0.0)
    return _mean(np.maximum(margins, 0.0), slopes, masses, np.shape(logits), dtype)


def soft_jaccard(
    logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None
) -> float:
    r"""Soft Jaccard loss: one minus the ratio of expected intersection and expected union.

    With :math:`\pi = 1/(1 + e^{-F})`, over the valid pixels of an image,

    .. math:: 1 - \frac{\sum_i y_i \pi_i}{\sum_i y_i + \sum_i (1 - y_i) \pi_i}.

    Parameters
    ----------
    logits : (p,) or (B, ...) array_like of float
        Scores F.
    labels : array_like of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.

    Returns
    -------
    float
        Not convex. Without foreground the loss of an image is 1 whatever the scores (0 once its union
        underflows to 0). An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If the logits are not finite, the shapes differ, a label is not allowed, or there is no pixel.

    References
    ----------
    .. [1] M. A. Rahman, Y. Wang, "Optimizing intersection-over-union in deep neural networks for image
       segmentation", ISVC 2016.

    Examples
    --------
    >>> from lovasz_opt.losses import soft_jaccard
    >>> round(soft_jaccard([0.0, 0.0], [1, 0]), 6)
    0.666667
    """
    return soft_jaccard_and_gradient(logits, labels, per_image, ignore)[0]


def soft_jaccard_and_gradient(
    logits: ArrayLike, labels: ArrayLike, per_image: bool = True, ignore: float | None = None
) -> tuple[float, Floats]:
    """`soft_jaccard` and its gradient in the logits, in their shape and dtype; the same arguments.

    Examples
    --------
    >>> from lovasz_opt.losses import soft_jaccard_and_gradient
    >>> soft_jaccard_and_gradient([0.0, 0.0], [1, 0])[1].round(4)
    array([-0.1667,  0.0556])
    """
    from scipy.special import expit

    rows, dtype, signs, masses = _binary(logits, labels, per_image, ignore)
    with np.errstate(under="ignore"):
        right, wrong = expit(signs * rows), expit(-signs * rows)
        foreground, background = masses * (signs > 0), masses * (signs < 0)
        union = (foreground + background * wrong).sum(axis=1, keepdims=True)
        # 1 − intersection / union as a ratio of mistakes: nothing cancels when the loss is small.
        mistakes = ((foreground + background) * wrong).sum(axis=1, keepdims=True)
        kept = union - mistakes
        safe = np.where(union > 0, union, 1.0)
        per_pixel = right * wrong
        gradient = per_pixel / safe * (background * (kept / safe) - foreground)
    value = float((mistakes / safe).mean())
    return value, (gradient / len(rows)).reshape(np.shape(logits)).astype(dtype, copy=False)


def _binary(
    logits: ArrayLike, labels: ArrayLike, per_image: bool, ignore: float | None
) -> tuple[Float64s, np.dtype, Float64s, Bools]:
    """Logits, signs and valid pixels as (images, pixels), and the dtype to give back."""
    codes = as_codes(labels, ignore, "labels")
    shape = image_shape(codes.shape, per_image, "labels")
    scores, dtype = as_scores(logits, "logits", codes.shape)
    signs = np.where(codes == 1, 1.0, -1.0).reshape(shape)
    return scores.reshape(shape).astype(np.float64), dtype, signs, (codes != VOID).reshape(shape)


def _class_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, per_image: bool, ignore: float | None
) -> tuple[float, Floats]:
    from scipy.special import log_softmax, softmax

    scores, dtype = as_scores(logits, "logits")
    classes_of = class_labels_of(scores, labels, ignore, "logits")
    rows = class_axis_first_image(scores, per_image).astype(np.float64)
    numbers = classes_of.reshape(len(rows), 1, -1)
    truth = np.arange(scores.shape[1])[:, None] == numbers
    with np.errstate(over="ignore", under="ignore"):
        losses = -np.where(truth, log_softmax(rows, axis=1), 0.0).sum(axis=1)
        slopes = softmax(rows, axis=1) - truth
    valid = (numbers >= 0)[:, 0]
    counts = np.maximum(valid.sum(axis=1), 1)
    value = float((np.where(valid, losses, 0.0).sum(axis=1) / counts).mean())
    gradient = np.where(valid[:, None], slopes, 0.0) / counts[:, None, None] / len(rows)
    return value, class_axis_restored(gradient, scores.shape).astype(dtype, order="C")


def _mean(
    losses: Float64s, slopes: Float64s, valid: Bools, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[float, Floats]:
    """Mean over the valid pixels of every image, then over images; and its gradient."""
    counts = np.maximum(valid.sum(axis=1, keepdims=True), 1)
    value = float((np.where(valid, losses, 0.0) / counts).sum(axis=1).mean())
    gradient = np.where(valid, slopes, 0.0) / counts / len(losses)
    return value, gradient.reshape(shape).astype(dtype, copy=False)
