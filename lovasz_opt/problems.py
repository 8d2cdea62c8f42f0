"""Regularised Lovász hinge risks over images: value, subgradient, dual bound and certified gap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._validation import Bools, Float64s, Ints, as_scores, as_step, as_target
from ._vectors import dot, times, transpose_times
from .losses import LovaszHinge
from .sets._jaccard_prox import jaccard_prox_positive

__all__ = ["ImageProx", "LinearHingeRisk", "Minorant", "Pools", "Problem"]

#: Rows of the features that are converted and multiplied at a time.
_ROWS = 1 << 15


class Minorant(NamedTuple):
    """An affine lower bound of the loss: loss(v) ≥ offset + ⟨slope, v − center⟩ for all v.

    Parameters
    ----------
    offset : float
    slope : (n,) ndarray
    """

    offset: float
    slope: Float64s


class Pools(NamedTuple):
    """Where the Jacobian J of the prox of the loss differs from the identity.

    Parameters
    ----------
    pinned : (k,) ndarray of int
        Scores held at margin 0: J is 0 there.
    pooled : (l,) ndarray of int
        Scores in pools of two or more, pool by pool: J averages their margins.
    starts : (m,) ndarray of int
        Where in `pooled` each pool starts.
    """

    pinned: Ints
    pooled: Ints
    starts: Ints


class Problem(ABC):
    r"""The minimisation of :math:`P(v) = \frac{\mu}{2}\|v - v_0\|^2 + \ell(Av)` with a certified lower bound.

    The loss ℓ on the scores Av is a weighted sum of Lovász hinges, so it is a support function:
    ℓ(F) = max ⟨g, F − y⟩ over the g = −y∘s with y = ±1 and s in a product of scaled polymatroids. Each such g
    is an affine `Minorant` of the loss, and the least value of the quadratic plus a minorant is a lower bound
    of P: the dual objective. Greedy vectors, residuals of the prox and averages of them are all such g.

    A subclass defines `loss`, `loss_and_subgradient`, `prox_loss` on flat scores, and the linear algebra
    `apply`, `adjoint`, `gram` and `ridge`. Points v are flat float64 arrays inside; users see `shape`.

    Attributes
    ----------
    strong_convexity : float
        The modulus μ of the quadratic.
    center : (n,) ndarray
        The minimiser v₀ of the quadratic.
    shape : tuple of int
        Shape of a point for the user.
    """

    strong_convexity: float
    center: Float64s
    shape: tuple[int, ...]
    _signs: Float64s

    @abstractmethod
    def apply(self, v: Float64s) -> Float64s:
        """Scores Av of all valid pixels."""

    @abstractmethod
    def adjoint(self, g: Float64s) -> Float64s:
        """Aᵀg."""

    @abstractmethod
    def gram(self, v: Float64s) -> Float64s:
        """AᵀAv."""

    @abstractmethod
    def ridge(self, rho: float, target: Float64s) -> Float64s:
        """argmin_v μ/2‖v − v₀‖² + ρ/2‖Av‖² − ρ⟨target, v⟩."""

    @abstractmethod
    def loss(self, scores: Float64s) -> float:
        """ℓ at flat scores."""

    @abstractmethod
    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        """ℓ and one of its subgradients, at flat scores."""

    @abstractmethod
    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        """argmin_F ½‖F − scores‖² + γℓ(F), exactly."""

    @abstractmethod
    def dual_scores(self, s: Any) -> Float64s:
        """The flat g = −y∘s, scaled like the loss, that belongs to dual vectors s."""

    @abstractmethod
    def iou(self, v: ArrayLike) -> float:
        """Mean intersection over union of the segmented images on valid pixels; 1 where the union is empty.

        Parameters
        ----------
        v : array of float
            A point.

        Returns
        -------
        float
        """

    def _point(self, v: ArrayLike) -> Float64s:
        array, _ = as_scores(v, "v")
        if array.shape != self.shape and array.shape != self.center.shape:
            raise ValueError(f"v has shape {array.shape}, expected {self.shape}: one entry per variable")
        return array.reshape(-1).astype(np.float64, copy=False)

    def quadratic(self, v: Float64s) -> float:
        """μ/2‖v − v₀‖²."""
        step = v - self.center
        return 0.5 * self.strong_convexity * dot(step, step)

    def value(self, v: ArrayLike) -> float:
        """Objective P(v).

        Parameters
        ----------
        v : array of float
            A point, of the problem's `shape` or flat.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If v has another shape or is not finite.
        """
        point = self._point(v)
        return self.quadratic(point) + self.loss(self.apply(point))

    def value_and_subgradient(self, v: ArrayLike) -> tuple[float, Float64s]:
        """Objective and one of its subgradients, in one pass over the pixels.

        Parameters
        ----------
        v : array of float
            A point, of the problem's `shape` or flat.

        Returns
        -------
        float
            P(v).
        ndarray of float64
            A subgradient of the shape of v; the gradient wherever P is differentiable.
        """
        point = self._point(v)
        value, subgradient, _ = self.linearise(point)
        return value, subgradient.reshape(np.shape(v))

    def linearise(self, v: Float64s) -> tuple[float, Float64s, Minorant]:
        """P(v), a subgradient of P, and the minorant of the loss that touches it at v, in one pass."""
        loss, g = self.loss_and_subgradient(self.apply(v))
        slope = self.adjoint(g)
        step = v - self.center
        value = 0.5 * self.strong_convexity * dot(step, step) + loss
        return value, self.strong_convexity * step + slope, Minorant(loss - dot(slope, step), slope)

    @cached_property
    def _kink(self) -> Float64s:
        """Av₀ − y: a dual g has the offset ⟨g, Av₀ − y⟩."""
        return self.apply(self.center) - self._signs

    def minorant(self, g: Float64s, slope: Float64s | None = None) -> Minorant:
        """The minorant of dual scores g; `slope` is Aᵀg where it is known already."""
        return Minorant(dot(g, self._kink), self.adjoint(g) if slope is None else slope)

    def support(self, g: Float64s, scores: Float64s) -> float:
        """⟨g, F − y⟩, which is ℓ(F) for a subgradient g of ℓ at F."""
        return dot(g, scores - self._signs)

    def lower_bound(self, minorant: Minorant) -> float:
        """Least value of the quadratic plus a minorant: offset − ‖slope‖²/(2μ) ≤ min P."""
        return minorant.offset - dot(minorant.slope, minorant.slope) / (2 * self.strong_convexity)

    def minimiser_of_bound(self, minorant: Minorant) -> Float64s:
        """The point v₀ − slope/μ where the quadratic plus a minorant is least: primal from dual."""
        return self.center - minorant.slope / self.strong_convexity

    def dual_value(self, s: Any) -> float:
        """Dual objective: a lower bound of min P if s ≥ 0 and s(A) ≤ Δ(A) for all sets A of pixels.

        Parameters
        ----------
        s : list of (p_i,) arrays, or one array
            Dual vectors, one per image; `ImageProx` takes the one of its image. Entries on void pixels
            are not looked at. That s is feasible is not checked.

        Returns
        -------
        float
        """
        return self.lower_bound(self.minorant(self.dual_scores(s)))

    def gap(self, v: ArrayLike, s: Any) -> float:
        """Duality gap P(v) − dual_value(s) ≥ 0; it bounds P(v) − min P and ½μ‖v − v*‖² for a feasible s.

        Parameters
        ----------
        v : array of float
            A point.
        s : list of arrays, or one array
            As in `dual_value`.

        Returns
        -------
        float
        """
        return self.value(v) - self.dual_value(s)


class ImageProx(Problem):
    r"""The proximal problem of one image: min over F of ½‖F − U‖² + γ L(F).

    Parameters
    ----------
    scores : array of float
        Logits U of one image, any shape; the unit of F.
    target : array of bool or {0, 1}
        Foreground mask, same shape.
    gamma : float
        Weight of the Lovász hinge L, > 0.
    ignore : int, optional
        Label of void pixels: L does not see them, so F = U there.

    Raises
    ------
    ValueError, TypeError
        For non-finite scores, labels outside {0, 1, ignore}, shapes that differ, or γ ≤ 0.

    Notes
    -----
    The exact solution is one proximal operator, O(p log p): `solve_exact`. The dual of theory is
    max over s in the polymatroid of ⟨γs, m(U)⟩ − ½‖γs‖² with the margins m(U) = 1 − y∘U.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.problems import ImageProx
    >>> pb = ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0)
    >>> F, s = pb.solve_exact()
    >>> bool(pb.gap(F, s) < 1e-15)
    True
    """

    def __init__(self, scores: ArrayLike, target: ArrayLike, gamma: float, ignore: int | None = None) -> None:
        array, _ = as_scores(scores, "scores")
        if array.size == 0:
            raise ValueError("scores is empty; an image needs at least one pixel")
        labels = np.asarray(target)
        if labels.shape != array.shape:
            raise ValueError(f"target has shape {labels.shape}, expected {array.shape}: one label per score")
        valid = np.ones(labels.size, dtype=np.bool_) if ignore is None else labels.ravel() != ignore
        mask = as_target(labels.ravel()[valid], "target")
        self.shape = array.shape
        self.gamma = as_step(gamma)
        self.strong_convexity = 1.0
        self.center = array.ravel().astype(np.float64)
        self._valid: Bools | None = None if valid.all() else valid
        self._signs = np.where(mask, 1.0, -1.0)
        self._hinge = LovaszHinge(mask) if mask.size else None

    def __repr__(self) -> str:
        return f"ImageProx({self.center.size} pixels, gamma={self.gamma:g})"

    def apply(self, v: Float64s) -> Float64s:
        return v if self._valid is None else v[self._valid]

    def adjoint(self, g: Float64s) -> Float64s:
        if self._valid is None:
            return g
        out = np.zeros_like(self.center)
        out[self._valid] = g
        return out

    def gram(self, v: Float64s) -> Float64s:
        return self.adjoint(self.apply(v))

    def ridge(self, rho: float, target: Float64s) -> Float64s:
        if self._valid is None:
            return (self.center + rho * target) / (1 + rho)
        return (self.center + rho * target) / (1 + rho * self._valid)

    def loss(self, scores: Float64s) -> float:
        return self.gamma * float(self._hinge(scores)) if self._hinge else 0.0

    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        if not self._hinge:
            return 0.0, np.zeros_like(scores)
        value, subgradient = self._hinge.value_and_subgradient(scores)
        return self.gamma * float(value), np.asarray(self.gamma * subgradient, dtype=np.float64)

    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        return np.asarray(self._hinge.prox(scores, gamma * self.gamma)) if self._hinge else scores

    def prox(self, v: Float64s, gamma: float) -> Float64s:
        """argmin over F of ½‖F − v‖² + gamma·γL(F): the prox of the loss in the variable itself."""
        if self._valid is None:
            return self.prox_loss(v, gamma)
        out = v.copy()
        out[self._valid] = self.prox_loss(v[self._valid], gamma)
        return out

    def dual_scores(self, s: ArrayLike) -> Float64s:
        dual, _ = as_scores(s, "s")
        if dual.shape != self.shape and dual.shape != self.center.shape:
            raise ValueError(f"s has shape {dual.shape}, expected {self.shape}: one entry per pixel")
        return -self.gamma * self._signs * self.apply(dual.ravel().astype(np.float64))

    def solve_exact(self) -> tuple[Float64s, Float64s]:
        """Solve the problem by one exact prox.

        Returns
        -------
        F : ndarray of float64
            The solution, of the shape of the scores.
        s : ndarray of float64
            The dual vector that certifies it, y∘(F − U)/γ.
        """
        solution = self.prox(self.center, 1.0)
        s = np.zeros_like(self.center)
        s[slice(None) if self._valid is None else self._valid] = (
            self._signs * self.apply(solution - self.center) / self.gamma
        )
        return solution.reshape(self.shape), s.reshape(self.shape)

    def predict(self, v: ArrayLike) -> Bools:
        """Segmentation: the pixels with a positive score.

        Parameters
        ----------
        v : array of float
            Scores F.

        Returns
        -------
        ndarray of bool
            Of the shape of the scores.
        """
        return np.asarray(self._point(v) > 0).reshape(self.shape)

    def iou(self, v: ArrayLike) -> float:
        return _iou(self.apply(self._point(v)) > 0, self._signs > 0)


class LinearHingeRisk(Problem):
    r"""Ridge-regularised Lovász hinge risk of a linear model over n images.

    .. math:: P(v) = \frac{\mu}{2}\|v\|^2 + \frac1n \sum_{i=1}^n L_i(X_i v)

    Parameters
    ----------
    features : sequence of (p_i, d) arrays
        One row per pixel. There is no hidden intercept: add a constant column for one. float32 features are
        kept in float32, and all sums are float64.
    targets : sequence of (p_i,) arrays of bool or {0, 1}
        Foreground masks; they may also hold `ignore`.
    l2 : float
        Ridge weight μ > 0.
    ignore : int, optional
        Label of void pixels; their rows are dropped. An image with no valid pixel counts 0 and stays in the
        mean.

    Attributes
    ----------
    n_images, n_pixels, n_features : int
        Images, valid pixels and columns.

    Raises
    ------
    ValueError, TypeError
        For no images, unequal numbers of images, rows or columns, non-finite features, labels outside
        {0, 1, ignore}, or l2 ≤ 0.

    Notes
    -----
    The dual is max over s_i in the i-th polymatroid {s ≥ 0, s(A) ≤ Δ_i(A)} of
    −‖(1/n) Σ A_iᵀ s_i‖²/(2μ) + (1/n) Σ ⟨s_i, 1⟩ with A_i = −diag(y_i) X_i.
    A value with subgradient costs two products with the stacked features and one sort per image.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.problems import LinearHingeRisk
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> pb.value(np.zeros(2))
    1.0
    >>> pb.dual_value([np.zeros(3), np.zeros(2)])
    0.0
    """

    def __init__(
        self,
        features: Sequence[ArrayLike],
        targets: Sequence[ArrayLike],
        l2: float = 1e-3,
        ignore: int | None = None,
    ) -> None:
        self.strong_convexity = as_step(l2, "l2")
        if len(features) != len(targets):
            raise ValueError(
                f"features holds {len(features)} images and targets {len(targets)}; give one mask per image"
            )
        if len(features) == 0:
            raise ValueError("features holds no image; give at least one")
        blocks: list[Any] = []
        masks: list[Bools] = []
        self._valid: list[Bools] = []
        for i, (rows, labels) in enumerate(zip(features, targets, strict=True)):
            block, mask, valid = _check_image(i, np.asarray(rows), np.asarray(labels), ignore)
            if blocks and block.shape[1] != blocks[0].shape[1]:
                raise ValueError(
                    f"features[{i}] has {block.shape[1]} columns and features[0] has {blocks[0].shape[1]}; "
                    "all images need the same features"
                )
            blocks.append(block)
            masks.append(mask)
            self._valid.append(valid)
        self._stack = np.concatenate(blocks)
        bounds = np.concatenate([[0], np.cumsum([len(mask) for mask in masks])])
        self._slices = [slice(int(a), int(b)) for a, b in pairwise(bounds)]
        self._hinges = [LovaszHinge(mask) if mask.size else None for mask in masks]
        self._signs = np.where(np.concatenate(masks), 1.0, -1.0)
        self.n_images, self.n_pixels, self.n_features = len(blocks), *self._stack.shape
        self.center = np.zeros(self.n_features)
        self.shape = (self.n_features,)

    def __repr__(self) -> str:
        return (
            f"LinearHingeRisk({self.n_images} images, {self.n_pixels} pixels, {self.n_features} features, "
            f"l2={self.strong_convexity:g})"
        )

    def apply(self, v: Float64s) -> Float64s:
        return times(self._stack, v)

    def adjoint(self, g: Float64s) -> Float64s:
        return transpose_times(self._stack, g)

    @cached_property
    def _gram(self) -> Float64s:
        gram = np.zeros((self.n_features, self.n_features))
        for rows in self._slices:
            block = self._stack[rows].astype(np.float64, copy=False)
            gram += block.T @ block
        return gram

    @cached_property
    def _eigen(self) -> tuple[Float64s, Float64s]:
        """Eigenvalues and vectors of AᵀA: with them `ridge` is O(d²) for any ρ."""
        values, vectors = np.linalg.eigh(self._gram)
        return np.maximum(values, 0), vectors

    def gram(self, v: Float64s) -> Float64s:
        return times(self._gram, v)

    def ridge(self, rho: float, target: Float64s) -> Float64s:
        values, vectors = self._eigen
        return times(vectors, rho * transpose_times(vectors, target) / (self.strong_convexity + rho * values))

    def loss(self, scores: Float64s) -> float:
        return sum(float(hinge(scores[rows])) for hinge, rows in self._images()) / self.n_images

    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        total, g = 0.0, np.empty_like(scores)
        for hinge, rows in self._images():
            value, g[rows] = hinge.value_and_subgradient(scores[rows])
            total += float(value)
        g /= self.n_images
        return total / self.n_images, g

    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        out = np.empty_like(scores)
        for hinge, rows in self._images():
            out[rows] = hinge.prox(scores[rows], gamma / self.n_images)
        return out

    def prox_loss_pools(self, scores: Float64s, gamma: float) -> tuple[Float64s, Pools]:
        """`prox_loss` and where its Jacobian is not the identity."""
        out = np.empty_like(scores)
        pinned, pooled, sizes = [], [], [np.zeros(0, dtype=np.int64)]
        for rows in self._slices:
            if rows.start == rows.stop:
                continue
            signs = self._signs[rows]
            x = 1.0 - signs * scores[rows]
            z, labels = jaccard_prox_positive(signs > 0, x, gamma / self.n_images)
            out[rows] = np.where(z == x, scores[rows], signs * (1.0 - z))
            pinned.append(rows.start + np.flatnonzero((x > 0) & (z <= 0)))
            labels[z <= 0] = -1
            counts = np.bincount(labels + 1)
            counts[0] = 0
            members = np.flatnonzero(counts[labels + 1] > 1)
            pooled.append(rows.start + members[np.argsort(labels[members], kind="stable")])
            sizes.append(counts[counts > 1])
        stops = np.cumsum(np.concatenate(sizes))
        starts = np.concatenate([stops[:1] * 0, stops[:-1]])
        return out, Pools(np.concatenate(pinned), np.concatenate(pooled), starts)

    def newton_matrix(self, pools: Pools, penalty: float) -> Float64s:
        """μI + penalty·Aᵀ(I − J)A for the Jacobian J that `pools` describes; O(k d²) for k listed scores."""
        matrix = self.strong_convexity * np.eye(self.n_features)
        for start in range(0, len(pools.pinned), _ROWS):
            block = self._stack[pools.pinned[start : start + _ROWS]].astype(np.float64, copy=False)
            matrix += penalty * (block.T @ block)
        if len(pools.starts):
            rows = self._signs[pools.pooled, None] * self._stack[pools.pooled]
            sizes = np.diff(np.append(pools.starts, len(rows)))
            means = np.add.reduceat(rows, pools.starts, axis=0) / sizes[:, None]
            rows -= np.repeat(means, sizes, axis=0)
            matrix += penalty * (rows.T @ rows)
        return matrix

    def _images(self) -> list[tuple[LovaszHinge, slice]]:
        return [
            (hinge, rows) for hinge, rows in zip(self._hinges, self._slices, strict=True) if hinge is not None
        ]

    def dual_scores(self, s: Sequence[ArrayLike]) -> Float64s:
        if len(s) != self.n_images:
            raise ValueError(f"s holds {len(s)} dual vectors, expected {self.n_images}: one per image")
        g = np.empty(self.n_pixels)
        for i, (dual, valid, rows) in enumerate(zip(s, self._valid, self._slices, strict=True)):
            array, _ = as_scores(dual, f"s[{i}]", valid.shape)
            g[rows] = array[valid]
        g *= -self._signs / self.n_images
        return g

    def predict(self, v: ArrayLike) -> list[Bools]:
        """Segmentations of the images: the pixels with a positive score.

        Parameters
        ----------
        v : (d,) array of float
            Coefficients.

        Returns
        -------
        list of (p_i,) ndarray of bool
            False on void pixels.
        """
        positive = self.apply(self._point(v)) > 0
        masks = []
        for valid, rows in zip(self._valid, self._slices, strict=True):
            mask = np.zeros(valid.shape, dtype=np.bool_)
            mask[valid] = positive[rows]
            masks.append(mask)
        return masks

    def iou(self, v: ArrayLike) -> float:
        positive, truth = self.apply(self._point(v)) > 0, self._signs > 0
        return float(np.mean([_iou(positive[rows], truth[rows]) for rows in self._slices]))


def _check_image(i: int, rows: Any, labels: Any, ignore: int | None) -> tuple[Any, Bools, Bools]:
    """The valid rows, their mask and the validity of the pixels of image i."""
    if rows.ndim != 2:
        raise ValueError(
            f"features[{i}] has shape {rows.shape}, expected (pixels, features); reshape it to two axes"
        )
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"targets[{i}] has shape {labels.shape}, expected {rows.shape[:1]}: one label per row"
        )
    if rows.shape[1] == 0:
        raise ValueError(f"features[{i}] has no column; a linear model needs at least one feature")
    block, _ = as_scores(rows, f"features[{i}]")
    valid = np.ones(labels.shape, dtype=np.bool_) if ignore is None else np.asarray(labels != ignore)
    mask = as_target(labels[valid], f"targets[{i}]")
    return (block if valid.all() else block[valid]), mask, valid


def _iou(predicted: Bools, truth: Bools) -> float:
    union = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / union if union else 1.0
