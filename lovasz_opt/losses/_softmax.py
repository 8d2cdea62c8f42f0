"""Lovász-Softmax and its binary form, on probabilities or through softmax and sigmoid on logits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, Floats, Ints, as_scores, as_weights
from ..interop import any_library, differentiable
from ..kernels.softmax import softmax_classes, softmax_pixels, softmax_pullback
from . import _native
from ._classes import Classes, listed_classes
from ._images import (
    Images,
    Labels,
    Layout,
    as_class_labels,
    class_labels_of,
    flat_codes,
    in_chunks,
    is_list,
    joined,
)

#: Pixels that softmax takes at a time.
_BLOCK = 1 << 12
#: Class numbers of the binary codes: foreground is class 0, background none, void is void.
_NUMBERS = np.array([1, 0, -1], dtype=np.int32)


@differentiable
def lovasz_softmax(
    probas: Images,
    labels: Images,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: ArrayLike | None = None,
    *,
    from_logits: bool = False,
) -> Any:
    r"""Lovász-Softmax: the mean over classes of the Lovász extension of their Jaccard losses.

    With the errors :math:`m_i(c) = 1 - \pi_i(c)` where c is the class of pixel i and
    :math:`\pi_i(c)` elsewhere,

    .. math:: \sum_{c \in S} \frac{\omega_c}{\sum_{k \in S} \omega_k} f_c(m(c)).

    Parameters
    ----------
    probas : (B, C, ...) array_like of float, or list of (C, ...) arrays
        Class probabilities in [0, 1], or logits with `from_logits`. A list holds images of any sizes, each
        with the classes first.
    labels : (B, ...) array_like of int, or list of arrays
        Class of every pixel in {0, …, C−1}; `ignore` marks void pixels. With 1-D labels, probas is (p, C):
        one image of p pixels. In a list, an image with 1-D labels has probas (C, p).
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
        A 0-d array for probas of a library other than NumPy. 0 where no class counts. An image without valid
        pixels counts 0 and stays in the mean.

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


@any_library(native=_native.checked(_native.lovasz_softmax_and_gradient))
def lovasz_softmax_and_gradient(
    probas: Images,
    labels: Images,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: ArrayLike | None = None,
    *,
    from_logits: bool = False,
) -> tuple[Any, Any]:
    """`lovasz_softmax` and its gradient in the first argument: probabilities, or logits with `from_logits`.

    Parameters
    ----------
    probas, labels, classes, per_image, ignore, class_weights, from_logits
        As in `lovasz_softmax`.

    Returns
    -------
    float
    ndarray
        Library, shape and dtype of probas. A subgradient where the loss has a kink; 0 where an error is 0.

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
    flat, dtype, numbers, n_classes, layout = _flat_classes(probas, labels, ignore)
    offsets = layout.offsets
    groups = np.arange(len(offsets)) if per_image else np.array([0, layout.n_images])
    weights = np.ones(n_classes)
    if class_weights is not None:
        weights = as_weights(class_weights, (n_classes,), "class_weights")
    selected = _select(classes, numbers, offsets[groups], n_classes)
    pixels = np.arange(0, numbers.size + _BLOCK, _BLOCK).clip(max=numbers.size)
    if from_logits:
        logits, flat = flat, np.empty_like(flat)

        def softmax(start: int, stop: int) -> None:
            softmax_pixels(logits, n_classes, offsets, pixels[start], pixels[stop], flat)

        in_chunks(softmax, n_classes * pixels)
    else:
        _check_range(flat, dtype)
    members, chosen = np.nonzero(selected)
    masses = np.bincount(members, weights=weights[chosen], minlength=len(selected))
    shares = weights[chosen] / masses[members]
    value, gradient = _mean_of_classes(flat, numbers, n_classes, offsets, groups, members, chosen, shares)
    if from_logits:

        def pull_back(start: int, stop: int) -> None:
            softmax_pullback(flat, n_classes, offsets, pixels[start], pixels[stop], gradient)

        in_chunks(pull_back, n_classes * pixels)
    return value, _restored(gradient, dtype, layout, n_classes)


@differentiable
def lovasz_sigmoid(
    probas: Images,
    labels: Images,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
) -> Any:
    """Lovász extension of the Jaccard loss at the errors |y − π| of foreground probabilities π.

    Parameters
    ----------
    probas : (p,) or (B, ...) array_like of float, or list of arrays
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
        A 0-d array for probas of a library other than NumPy. Mean over the images; one without valid pixels
        counts 0 and stays in the mean. Without foreground the loss of an image is its largest probability.

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


@any_library(native=_native.checked(_native.lovasz_sigmoid_and_gradient))
def lovasz_sigmoid_and_gradient(
    probas: Images,
    labels: Images,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
) -> tuple[Any, Any]:
    """`lovasz_sigmoid` and its gradient in the first argument: probabilities, or logits with `from_logits`.

    Parameters
    ----------
    probas, labels, per_image, ignore, from_logits
        As in `lovasz_sigmoid`.

    Returns
    -------
    float
    ndarray
        Library, shape and dtype of probas. A subgradient where the loss has a kink; 0 where an error is 0.

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
    codes = flat_codes(labels, ignore, "labels")
    layout = Layout.of(labels, per_image, "labels")
    flat, dtype = layout.flat_scores(probas, "probas")
    if from_logits:
        from scipy.special import expit

        flat = expit(flat)
    else:
        _check_range(flat, dtype)
    # The foreground is class 0 of the one channel there is.
    numbers = _NUMBERS[codes]
    every = np.arange(layout.n_images)
    value, gradient = _mean_of_classes(
        flat,
        numbers,
        1,
        layout.offsets,
        np.arange(layout.n_images + 1),
        every,
        np.zeros_like(every),
        np.ones(layout.n_images),
    )
    if from_logits:
        gradient *= flat * (1 - flat)
    return value, layout.restored(gradient.astype(dtype, copy=False))


def _flat_classes(
    probas: Images, labels: Images, ignore: float | None
) -> tuple[Floats, np.dtype, Labels, int, Layout]:
    """Scores and labels as flat arrays, the number of classes, and the layout of the labels."""
    if is_list(labels):
        layout = Layout.of(labels, True, "labels")
        scores: list[tuple[Floats, np.dtype]] = []
        numbers: list[Labels] = []
        n_classes = 0
        for (part, image, shape), truth in zip(layout.parts(probas, "probas"), labels, strict=True):  # type: ignore[arg-type]
            array, dtype = as_scores(image, part)
            n_classes = n_classes or (array.shape[0] if array.ndim else 0)
            if array.shape != (n_classes, *shape) or not n_classes:
                raise ValueError(
                    f"{part} has shape {array.shape}, expected {(n_classes or 'C', *shape)}: classes first, "
                    "then the shape of its labels"
                )
            scores.append((array, dtype))
            numbers.append(as_class_labels(truth, n_classes, ignore, f"labels[{len(numbers)}]").reshape(-1))
        return *joined(scores, "probas"), np.concatenate(numbers), n_classes, layout
    array, dtype = as_scores(probas, "probas")  # type: ignore[arg-type]
    numbers_of = class_labels_of(array, labels, ignore, "probas")  # type: ignore[arg-type]
    # 1-D labels are one image, whose scores (p, C) have the classes last.
    flat = array.T.reshape(-1) if array.ndim == 2 else array.reshape(-1)
    layout = Layout.of(numbers_of, True, "labels")
    return flat, dtype, numbers_of.reshape(-1), array.shape[1], layout


def _restored(gradient: Floats, dtype: np.dtype, layout: Layout, n_classes: int) -> Any:
    """A flat gradient in the shape of the probabilities."""
    gradient = gradient.astype(dtype, copy=False)
    if layout.listed:
        return Layout(
            tuple((n_classes, *shape) for shape in layout.shapes), True, n_classes * layout.offsets
        ).restored(gradient)
    shape = layout.shapes[0]
    if len(shape) == 1:
        return np.ascontiguousarray(gradient.reshape(n_classes, -1).T)
    return gradient.reshape(shape[0], n_classes, *shape[1:])


def _mean_of_classes(
    probas: Floats,
    labels: Labels,
    n_classes: int,
    offsets: Ints,
    groups: Ints,
    members: Ints,
    classes: Ints,
    shares: Float64s,
) -> tuple[float, Floats]:
    """Mean over groups of images of Σ share · f over the listed pairs of group and class; its gradient."""
    values = np.zeros(len(members))
    complete = len(members) == (len(groups) - 1) * n_classes
    gradient = np.empty_like(probas) if complete else np.zeros_like(probas)
    divisor = float(len(groups) - 1)

    def run(start: int, stop: int) -> None:
        softmax_classes(
            probas,
            labels,
            n_classes,
            offsets,
            groups,
            members,
            classes,
            shares,
            divisor,
            start,
            stop,
            values,
            gradient,
        )

    if len(members):
        sizes = np.diff(offsets[groups])[members]
        in_chunks(run, np.concatenate([[0], np.cumsum(sizes)]))
    per_group = np.bincount(members, weights=shares * values, minlength=len(groups) - 1)
    return float(per_group.mean()), gradient


def _select(classes: Classes, labels: Labels, bounds: Ints, n_classes: int) -> Bools:
    """Which classes count in which group of the pixels bounds[g], …, bounds[g+1] − 1."""
    selected = np.zeros((len(bounds) - 1, n_classes), dtype=np.bool_)
    selected[:, listed_classes(classes, n_classes)] = True
    if isinstance(classes, str) and classes == "present":
        for group, (start, stop) in enumerate(pairwise(bounds)):
            # Void pixels, −1, are counted first.
            selected[group] = np.bincount(labels[start:stop] + 1, minlength=n_classes + 1)[1:] > 0
    return selected


def _check_range(probas: Floats, dtype: np.dtype) -> None:
    tolerance = max(1e-6, 4 * float(np.finfo(dtype).eps))
    low, high = float(probas.min()), float(probas.max())
    if low < -tolerance or high > 1 + tolerance:
        raise ValueError(
            f"probas holds {low if low < -tolerance else high}, outside [0, 1]; "
            "pass from_logits=True if they are logits"
        )
