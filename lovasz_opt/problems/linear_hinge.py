"""The regularised Lovász hinge risk of a linear model over many images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, as_scores, as_step, as_target
from .._vectors import times, transpose_times
from ..losses import LovaszHinge
from ..sets._jaccard_prox import jaccard_prox_positive
from ._base import Pools, Problem, image_iou

#: Rows of the features that are converted and multiplied at a time.
_ROWS = 1 << 15


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
        self._kink = -self._signs
        self.shape = (self.n_features,)

    def __repr__(self) -> str:
        return (
            f"LinearHingeRisk({self.n_images} images, {self.n_pixels} pixels, {self.n_features} features, "
            f"l2={self.strong_convexity:g})"
        )

    def apply(self, v: Float64s) -> Float64s:
        self.passes += 1
        return times(self._stack, v)

    def adjoint(self, g: Float64s) -> Float64s:
        self.passes += 1
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

    @property
    def squared_norm(self) -> float:
        return float(self._eigen[0][-1])

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
        return float(np.mean([image_iou(positive[rows], truth[rows]) for rows in self._slices]))


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
