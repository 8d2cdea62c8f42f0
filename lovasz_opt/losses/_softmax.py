"""Lovász-Softmax and its binary form, on probabilities or through softmax and sigmoid on logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from .._validation import Bools, Float64s, Floats, Ints, as_scores, as_weights
from ..kernels.softmax import softmax_classes
from ._images import (
    VOID,
    as_codes,
    class_axis_first_image,
    class_axis_restored,
    class_labels_of,
    image_shape,
    in_chunks,
)

Classes = str | Sequence[int] | NDArray[np.integer]


def lovasz_softmax(
    probas: ArrayLike,
    labels: ArrayLike,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: ArrayLike | None = None,
    *,
    from_logits: bool = False,
) -> float:
    r"""Lovász-Softmax: the mean over classes of the Lovász extension of their Jaccard losses.

    With the errors :math:`m_i(c) = 1 - \pi_i(c)` where c is the class of pixel i and
    :math:`\pi_i(c)` elsewhere,

    .. math:: \sum_{c \in S} \frac{\omega_c}{\sum_{k \in S} \omega_k} f_c(m(c)).

    Parameters
    ----------
    probas : (B, C, ...) array_like of float
        Class probabilities in [0, 1], or logits with `from_logits`.
    labels : (B, ...) array_like of int
        Class of every pixel in {0, …, C−1}; `ignore` marks void pixels. With 1-D labels, probas is (p, C):
        one image of p pixels.
    classes : {"present", "all"} or sequence of int, default "present"
        The set S: classes that occur among the valid labels (of the image if `per_image`, else of the batch),
        all C, or those listed. Classes of S that do not occur have as loss their largest probability.
    per_image : bool, default False
        Whether every image has its own loss, averaged over images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    class_weights : (C,) array_like of float, optional
        Positive weights ω; 1 by default.
    from_logits : bool, default False
        Apply softmax along axis 1 first.

    Returns
    -------
    float
        0 where no class counts. An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If probas leave [0, 1] by more than rounding, are not finite, shapes differ, a label is no class, a
        class is out of range or listed twice, or there is no pixel.

    Notes
    -----
    Complexity: O(C p) for a fixed precision.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> probas = [[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]]
    >>> lo.lovasz_softmax(probas, [0, 1])
    0.5625
    >>> lo.lovasz_softmax(probas, [0, 1], classes="all")
    0.4583333333333333
    """
    return lovasz_softmax_and_gradient(
        probas, labels, classes, per_image, ignore, class_weights, from_logits=from_logits
    )[0]


def lovasz_softmax_and_gradient(
    probas: ArrayLike,
    labels: ArrayLike,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: ArrayLike | None = None,
    *,
    from_logits: bool = False,
) -> tuple[float, Floats]:
    """`lovasz_softmax` and its gradient in the first argument: probabilities, or logits with `from_logits`.

    Parameters
    ----------
    probas, labels, classes, per_image, ignore, class_weights, from_logits
        As in `lovasz_softmax`.

    Returns
    -------
    float
    ndarray
        Shape and dtype of probas. A subgradient where the loss has a kink; 0 where an error is 0.

    Raises
    ------
    ValueError
        As `lovasz_softmax`.

    Examples
    --------
    >>> from lovasz_opt.losses import lovasz_softmax_and_gradient
    >>> lovasz_softmax_and_gradient([[0.75, 0.25], [0.5, 0.5]], [0, 1])
    (0.4375, array([[-0.25,  0.  ],
           [ 0.25, -0.5 ]]))
    """
    scores, dtype = as_scores(probas, "probas")
    classes_of = class_labels_of(scores, labels, ignore, "probas")
    n_classes = scores.shape[1]
    rows = class_axis_first_image(scores, per_image)
    numbers = classes_of.reshape(len(rows), -1)
    if from_logits:
        rows = _softmax(rows)
    else:
        _check_range(rows, dtype)
    weights = np.ones(n_classes)
    if class_weights is not None:
        weights = as_weights(class_weights, (n_classes,), "class_weights")
    images, chosen = np.nonzero(_select(classes, numbers, n_classes))
    masses = np.bincount(images, weights=weights[chosen], minlength=len(rows))
    shares = weights[chosen] / masses[images]
    value, gradient = _mean_of_classes(rows, numbers, images, chosen, shares)
    if from_logits:
        inner = (rows * gradient).sum(axis=1, keepdims=True, dtype=np.float64)
        gradient = (rows * (gradient - inner)).astype(rows.dtype, copy=False)
    return value, class_axis_restored(gradient, scores.shape).astype(dtype, order="C", copy=False)


def lovasz_sigmoid(
    probas: ArrayLike,
    labels: ArrayLike,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
) -> float:
    """Lovász extension of the Jaccard loss at the errors |y − π| of foreground probabilities π.

    Parameters
    ----------
    probas : (p,) or (B, ...) array_like of float
        Foreground probabilities in [0, 1], or logits with `from_logits`.
    labels : array_like of {0, 1}
        In the shape of probas; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    from_logits : bool, default False
        Apply the sigmoid first.

    Returns
    -------
    float
        Mean over the images; one without valid pixels counts 0 and stays in the mean. Without foreground the
        loss of an image is its largest probability.

    Raises
    ------
    ValueError
        If probas leave [0, 1] by more than rounding, are not finite, shapes differ, a label is neither 0, 1
        nor `ignore`, or there is no pixel.

    Notes
    -----
    Complexity: O(p) for a fixed precision.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018.

    Examples
    --------
    >>> from lovasz_opt.losses import lovasz_sigmoid
    >>> lovasz_sigmoid([0.75, 0.5, 1.0], [1, 0, 1])
    0.25
    """
    return lovasz_sigmoid_and_gradient(probas, labels, per_image, ignore, from_logits=from_logits)[0]


def lovasz_sigmoid_and_gradient(
    probas: ArrayLike,
    labels: ArrayLike,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
) -> tuple[float, Floats]:
    """`lovasz_sigmoid` and its gradient in the first argument: probabilities, or logits with `from_logits`.

    Parameters
    ----------
    probas, labels, per_image, ignore, from_logits
        As in `lovasz_sigmoid`.

    Returns
    -------
    float
    ndarray
        Shape and dtype of probas. A subgradient where the loss has a kink; 0 where an error is 0.

    Raises
    ------
    ValueError
        As `lovasz_sigmoid`.

    Examples
    --------
    >>> from lovasz_opt.losses import lovasz_sigmoid_and_gradient
    >>> lovasz_sigmoid_and_gradient([0.75, 0.5], [1, 0])
    (0.375, array([-0.5,  0.5]))
    """
    codes = as_codes(labels, ignore, "labels")
    images, pixels = image_shape(codes.shape, per_image, "labels")
    scores, dtype = as_scores(probas, "probas", codes.shape)
    rows = scores.reshape(images, 1, pixels)
    if from_logits:
        rows = expit(rows)
    else:
        _check_range(rows, dtype)
    # The foreground is class 0 of the one channel there is.
    numbers = np.where(codes == VOID, -1, 1 - codes.astype(np.int64)).reshape(images, pixels)
    every = np.arange(images)
    value, gradient = _mean_of_classes(rows, numbers, every, np.zeros_like(every), np.ones(images))
    if from_logits:
        gradient = gradient * (rows * (1 - rows))
    return value, gradient.reshape(codes.shape).astype(dtype, copy=False)


def _mean_of_classes(
    probas: Floats, labels: Ints, images: Ints, classes: Ints, shares: Float64s
) -> tuple[float, Floats]:
    """Mean over all images of Σ share · f over the listed pairs of image and class, and its gradient."""
    values = np.zeros(len(images))
    gradient = np.zeros_like(probas)
    pixels = probas.shape[2]

    def run(start: int, stop: int) -> None:
        softmax_classes(
            probas, labels, images, classes, shares, float(len(probas)), start, stop, values, gradient
        )

    if len(images):
        in_chunks(run, len(images), pixels)
    per_image = np.bincount(images, weights=shares * values, minlength=len(probas))
    return float(per_image.mean()), gradient


def _select(classes: Classes, labels: Ints, n_classes: int) -> Bools:
    """Which classes count in which image."""
    if isinstance(classes, str):
        if classes not in ("present", "all"):
            raise ValueError(f"classes is {classes!r}; pass 'present', 'all' or a list of class numbers")
        listed = np.arange(n_classes)
    else:
        listed = np.asarray(classes)
        if listed.ndim != 1 or not listed.size or listed.dtype.kind not in "iu":
            raise ValueError(f"classes is {classes!r}; pass 'present', 'all' or a list of class numbers")
        if listed.min() < 0 or listed.max() >= n_classes:
            raise ValueError(f"classes holds {listed.tolist()}, outside {{0, …, {n_classes - 1}}}")
        if len(np.unique(listed)) < len(listed):
            raise ValueError(f"classes holds {listed.tolist()}; list every class once")
    selected = np.zeros((len(labels), n_classes), dtype=np.bool_)
    selected[:, listed] = True
    if isinstance(classes, str) and classes == "present":
        for image, row in enumerate(labels):
            selected[image] = np.bincount(row[row >= 0], minlength=n_classes) > 0
    return selected


def _softmax(logits: Floats) -> Floats:
    # Logits of opposite sign near the end of the range differ by infinity, whose exponential is rightly 0.
    with np.errstate(over="ignore", under="ignore"):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _check_range(probas: Floats, dtype: np.dtype) -> None:
    tolerance = max(1e-6, 4 * float(np.finfo(dtype).eps))
    low, high = float(probas.min()), float(probas.max())
    if low < -tolerance or high > 1 + tolerance:
        raise ValueError(
            f"probas holds {low if low < -tolerance else high}, outside [0, 1]; "
            "pass from_logits=True if they are logits"
        )
