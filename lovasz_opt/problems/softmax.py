"""The Lovász-Softmax risk of a linear layer: not convex; `linearised_softmax` holds its convex models."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from .._validation import Float64s, Ints, as_scores, as_step
from .._vectors import dot
from ..losses import lovasz_softmax_and_gradient
from ..losses._images import Labels, as_class_labels
from ._base import Minorant
from ._class_pixels import ClassPixels
from ._features import Block, Quantised
from .linearised_softmax import LinearisedSoftmaxRisk

#: Relative accuracy of the search for the least radial bound, and its number of steps.
_RADIAL_ACCURACY, _RADIAL_STEPS = 1e-3, 200


class LovaszSoftmaxRisk:
    r"""Ridge-regularised Lovász-Softmax risk of a linear layer with C classes over n images.

    .. math:: P(W) = \frac{\mu}{2}\|W\|_F^2
        + \frac1n \sum_{i=1}^n \frac{1}{|S_i|} \sum_{c \in S_i} f_{ic}(m_i(c))

    with the errors :math:`m_{ij}(c) = 1 - \pi_{ij}(c)` where c is the class of pixel j of image i and
    :math:`\pi_{ij}(c)` elsewhere, :math:`\pi_i = \mathrm{softmax}(X_i W)`, and :math:`f_{ic}` the Lovász
    extension of the Jaccard loss of class c in image i.

    What is convex: every :math:`f_{ic}` is convex in the errors, hence in the class probabilities, of which
    the errors are affine functions. What is not: the softmax is not affine in W, so **P is not convex in W**.
    A subgradient (in the sense of Clarke: the chain rule through the softmax) is no minorant, there is no
    dual problem as for `LinearHingeRisk`, and solvers that rely on convexity refuse this problem. The convex
    alternatives are one `LinearHingeRisk` per class, that is one-vs-rest, and `linearised`, the local model
    that a prox-linear (Gauss-Newton) step minimises.

    Parameters
    ----------
    features : sequence of (p_i, d) arrays
        One row per pixel, or `Quantised` codes; float32 stays float32 in memory. There is no hidden
        intercept: add a constant column for one.
    targets : sequence of (p_i,) arrays of int
        Classes in {0, …, C−1}; they may also hold `ignore`.
    l2 : float
        Ridge weight μ > 0.
    n_classes : int, optional
        C ≥ 2; by default one more than the largest label.
    classes : {"present", "all"}
        The set S_i: the classes of the valid pixels of image i, or all C. An absent class then has as loss
        its largest probability.
    ignore : int, optional
        Label of void pixels, which take no part. An image with no valid pixel counts 0 and stays in the mean.

    Attributes
    ----------
    n_images, n_pixels, n_features, n_classes : int
        Images, valid pixels, rows and columns of W.
    shape : tuple of int
        (d, C).
    passes : float
        Products with the features or their transpose so far, in units of all pixels.

    Raises
    ------
    ValueError, TypeError
        For no images, unequal numbers of images, rows or columns, non-finite features, labels that are no
        class, fewer than two classes, an unknown choice of classes, or l2 ≤ 0.

    Notes
    -----
    `solvers.subgradient` accepts the problem with the steps "normalised" (its default here), "constant",
    "sqrt", and "polyak", in which the bound is `known_bound`. The gap it reports is honest, the minimum does
    lie between `dual` and `value`, but it does not tend to 0: the bound does not improve.
    A value with subgradient costs two products with the features and O(C p) for a fixed precision.

    References
    ----------
    M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018; D. Drusvyatskiy,
    A. S. Lewis, "Error bounds, quadratic growth, and linear convergence of proximal methods", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LovaszSoftmaxRisk([X, X[:2]], [[0, 1, 2], [1, 0]], l2=0.1)
    >>> pb.shape
    (2, 3)
    >>> round(pb.value(np.zeros((2, 3))), 12)
    0.666666666667
    >>> r = solvers.subgradient(pb, max_iter=50)
    >>> bool(0 < r.dual < r.value < 0.667)
    True
    """

    #: Solvers that rely on convexity look at this.
    convex = False
    passes: float

    def __init__(
        self,
        features: Sequence[ArrayLike | Quantised],
        targets: Sequence[ArrayLike],
        l2: float = 1e-3,
        n_classes: int | None = None,
        classes: Literal["present", "all"] = "present",
        ignore: int | None = None,
    ) -> None:
        if len(features) != len(targets):
            raise ValueError(
                f"features holds {len(features)} images and targets {len(targets)}; "
                "give one label map per image"
            )
        if len(features) == 0:
            raise ValueError("features holds no image; give at least one")
        if classes not in ("present", "all"):
            raise ValueError(f"classes is {classes!r}; choose 'present' or 'all'")
        if n_classes is None:
            n_classes = 1 + max(_largest(labels, ignore) for labels in targets)
        if n_classes < 2:
            raise ValueError(f"n_classes is {n_classes}; a softmax needs at least 2: pass n_classes")
        if n_classes > np.iinfo(np.int32).max:
            raise ValueError(f"n_classes is {n_classes}; labels have 32 bits: pass the number of classes")
        blocks: list[Block] = []
        kept: list[Labels] = []
        for i, (rows, labels) in enumerate(zip(features, targets, strict=True)):
            block, numbers = _image(i, rows, labels, n_classes, ignore)
            if blocks and block.n_features != blocks[0].n_features:
                raise ValueError(
                    f"features[{i}] has {block.n_features} columns and features[0] has "
                    f"{blocks[0].n_features}; all images need the same features"
                )
            blocks.append(block)
            kept.append(numbers)
        self._set(ClassPixels(blocks, kept, n_classes, classes == "all"), as_step(l2, "l2"))

    def _set(self, pixels: ClassPixels, l2: float) -> None:
        self.pixels, self.l2 = pixels, l2
        self.n_images, self.n_pixels = len(pixels.counts), pixels.features.n_rows
        self.n_features, self.n_classes = pixels.features.n_features, pixels.n_classes
        self.shape = (self.n_features, self.n_classes)
        self.center = np.zeros(self.n_features * self.n_classes)
        self.passes = 0.0
        self._parent: LovaszSoftmaxRisk | None = None

    def __repr__(self) -> str:
        return (
            f"LovaszSoftmaxRisk({self.n_images} images, {self.n_pixels} pixels, {self.n_features} features, "
            f"{self.n_classes} classes, l2={self.l2:g})"
        )

    def batch(self, images: Sequence[int]) -> LovaszSoftmaxRisk:
        """The risk of some images alone, with the same ridge: what stochastic methods look at.

        Parameters
        ----------
        images : sequence of int
            Numbers of the images; one may occur several times.

        Returns
        -------
        LovaszSoftmaxRisk
            It shares the features; its passes over the data are counted here as well.

        Raises
        ------
        ValueError
            If no image is listed.
        """
        chosen = [range(self.n_images)[i] for i in images]
        if not chosen:
            raise ValueError("images holds no image; give at least one")
        part: LovaszSoftmaxRisk = type(self).__new__(type(self))
        part._set(self.pixels.part(chosen), self.l2)
        part._parent = self
        return part

    def linearised(self, W: ArrayLike, step: float | None = None, clip: bool = True) -> LinearisedSoftmaxRisk:
        r"""The convex model of the risk around W, with the errors replaced by their first-order expansion.

        Parameters
        ----------
        W : (d, C) array of float
            Where value and subgradient of the model are those of the risk.
        step : float, optional
            α of a proximal term :math:`\|W' - W\|_F^2 / (2\alpha)`; none by default.
        clip : bool
            Replace expanded errors below 0 by 0, which no error can be below.

        Returns
        -------
        LinearisedSoftmaxRisk
            A `Problem` with certified gaps for the solvers.

        Raises
        ------
        ValueError, TypeError
            If W has another shape or is not finite, or the step is not positive.

        Examples
        --------
        A prox-linear step, solved to a certified gap:

        >>> import numpy as np
        >>> from lovasz_opt import problems, solvers
        >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
        >>> pb = problems.LovaszSoftmaxRisk([X, X[:2]], [[0, 1, 2], [1, 0]], l2=0.1)
        >>> W = np.zeros((2, 3))
        >>> model = pb.linearised(W, step=1.0)
        >>> bool(np.isclose(model.value(W), pb.value(W)))
        True
        >>> r = solvers.admm(model, tol=1e-8)
        >>> r.status, bool(pb.value(r.x) < pb.value(W))
        ('optimal', True)
        """
        return LinearisedSoftmaxRisk(self, self._point(W).reshape(self.shape), step, clip)

    def value(self, W: ArrayLike) -> float:
        """Objective P(W).

        Parameters
        ----------
        W : (d, C) array of float
            A point, or the same flat.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If W has another shape or is not finite.
        """
        point = self._point(W)
        return 0.5 * self.l2 * dot(point, point) + self._loss_and_slopes(self._scores(point))[0]

    def value_and_subgradient(self, W: ArrayLike) -> tuple[float, Float64s]:
        """Objective and a subgradient in the sense of Clarke: the gradient wherever P is differentiable.

        Parameters
        ----------
        W : (d, C) array of float
            A point, or the same flat.

        Returns
        -------
        float
            P(W).
        ndarray of float64
            Of the shape of W. It is no minorant: P is not convex.
        """
        value, subgradient, _ = self.linearise(self._point(W))
        return value, subgradient.reshape(np.shape(W))

    def linearise(self, v: Float64s) -> tuple[float, Float64s, None]:
        """P and a subgradient at a flat point, and no minorant, for solvers that can do without."""
        loss, slopes = self._loss_and_slopes(self._scores(v))
        self._count()
        slope = self.pixels.transpose_times(slopes).reshape(-1)
        return 0.5 * self.l2 * dot(v, v) + loss, self.l2 * v + slope, None

    @property
    def known_minorant(self) -> Minorant:
        """The loss is ≥ 0; no other minorant of it is known."""
        return Minorant(0.0, np.zeros_like(self.center))

    @cached_property
    def known_bound(self) -> float:
        r"""A lower bound of min P, > 0 unless all pixels are void, from how fast any W can lower the errors.

        A greedy vector that joins the pixels of class c first puts weight 1/P on each of them, so
        f_c(m(c)) ≥ their mean error. By convexity of exp the error 1 − π_j(y_j) is at least
        1/(1 + e^a/(C−1)), a the score of class y_j minus the mean of the others, and
        a ≤ √(C/(C−1)) ‖x_j‖ ‖W‖_F. What remains is one-dimensional, the minimum over r = ‖W‖_F of μr²/2 plus
        a decreasing function, which is bounded from below interval by interval. The bound of the loss is
        attained at W = 0 where the classes present count.
        """
        pixels, C = self.pixels, self.n_classes
        owner = np.repeat(np.arange(self.n_images), np.diff(pixels.offsets))
        members = pixels.counts[owner, pixels.labels] * pixels.counted.sum(axis=1)[owner]
        weights = 1.0 / (self.n_images * members)
        speeds = np.sqrt(C / (C - 1) * pixels.squared_lengths())
        return _least_radial(self.l2, lambda r: float(weights @ expit(math.log(C - 1) - speeds * r)))

    def predict(self, W: ArrayLike) -> list[Ints]:
        """The class with the largest score for the valid pixels of every image.

        Parameters
        ----------
        W : (d, C) array of float
            A point, or the same flat.

        Returns
        -------
        list of ndarray of int, one per image
            Void pixels are left out; of equal scores the first counts.
        """
        winners = self._scores(self._point(W)).argmax(axis=1)
        return [winners[rows] for rows in self.pixels.slices]

    def iou(self, W: ArrayLike) -> float:
        """Mean over images of the mean intersection over union of the classes present; 1 for all void.

        Parameters
        ----------
        W : (d, C) array of float
            A point, or the same flat.

        Returns
        -------
        float
        """
        ratios = []
        for guess, rows in zip(self.predict(W), self.pixels.slices, strict=True):
            truth = self.pixels.labels[rows]
            per_class = [
                np.count_nonzero((guess == c) & (truth == c)) / np.count_nonzero((guess == c) | (truth == c))
                for c in np.unique(truth)
            ]
            ratios.append(float(np.mean(per_class)) if per_class else 1.0)
        return float(np.mean(ratios))

    def _point(self, W: ArrayLike) -> Float64s:
        array, _ = as_scores(W, "W")
        if array.shape != self.shape and array.shape != self.center.shape:
            raise ValueError(
                f"W has shape {array.shape}, expected {self.shape}: one row per feature, one column per class"
            )
        return array.reshape(-1).astype(np.float64, copy=False)

    def _count(self) -> None:
        self.passes += 1.0
        if self._parent is not None:
            self._parent.passes += self.n_pixels / max(self._parent.n_pixels, 1)

    def _scores(self, v: Float64s) -> Float64s:
        self._count()
        return self.pixels.times(v.reshape(self.shape))

    def _loss_and_slopes(self, scores: Float64s) -> tuple[float, Float64s]:
        """The mean loss at (n, C) scores and its gradient there."""
        slopes = np.zeros_like(scores)
        filled = [rows for rows in self.pixels.slices if rows.stop > rows.start]
        if not filled:
            return 0.0, slopes
        loss, gradients = lovasz_softmax_and_gradient(
            [np.ascontiguousarray(scores[rows].T) for rows in filled],
            [self.pixels.labels[rows] for rows in filled],
            "all" if self.pixels.every else "present",
            True,
            from_logits=True,
        )
        share = len(filled) / self.n_images
        for rows, gradient in zip(filled, gradients, strict=True):
            slopes[rows] = share * gradient.T
        return share * loss, slopes


def _largest(labels: ArrayLike, ignore: int | None) -> int:
    array = np.asarray(labels)
    seen = array if ignore is None else array[array != ignore]
    return int(seen.max()) if seen.size and seen.dtype.kind in "biuf" else 0


def _image(
    i: int, features: ArrayLike | Quantised, labels: ArrayLike, n_classes: int, ignore: int | None
) -> tuple[Block, Labels]:
    """The rows and the classes of the valid pixels of image i."""
    rows = features if isinstance(features, Quantised) else np.asarray(features)
    if len(rows.shape) != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"features[{i}] has shape {rows.shape}, expected (pixels, features) with a feature; reshape it"
        )
    if np.shape(labels) != rows.shape[:1]:
        raise ValueError(
            f"targets[{i}] has shape {np.shape(labels)}, expected {rows.shape[:1]}: one label per row"
        )
    numbers = as_class_labels(labels, n_classes, ignore, f"targets[{i}]")
    block, valid = Block.of(rows, f"features[{i}]"), numbers >= 0
    if not valid.all():
        block, numbers = block._replace(codes=block.codes[valid]), numbers[valid]
    return block, numbers


def _least_radial(l2: float, falling: Callable[[float], float]) -> float:
    """A lower bound of min over r ≥ 0 of l2·r²/2 + falling(r), by best-first bisection of intervals."""

    def rising(r: float) -> float:
        return 0.5 * l2 * r * r

    least = falling(0.0)
    # Beyond this r the ridge alone exceeds the value at 0.
    last = math.sqrt(2 * least / l2)
    intervals = [(rising(0.0) + falling(last), 0.0, last)]
    for _ in range(_RADIAL_STEPS):
        bound, low, high = intervals[0]
        if bound >= (1 - _RADIAL_ACCURACY) * least:
            break
        middle = 0.5 * (low + high)
        there = falling(middle)
        least = min(least, rising(middle) + there)
        heapq.heapreplace(intervals, (rising(low) + there, low, middle))
        heapq.heappush(intervals, (rising(middle) + falling(high), middle, high))
    # Sums of positive terms: far less than this is lost to rounding.
    return intervals[0][0] * (1 - 1e-9)
