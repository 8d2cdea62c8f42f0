"""The regularised Lovász hinge risk of a linear model over many images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, Ints, as_scores, as_step, as_target
from .._vectors import times, transpose_times
from ..kernels.hinge_pools import hinge_prox_pools_images
from ..losses import LovaszHinge
from ..losses._images import in_chunks
from ..sets._jaccard_prox import Orders
from ._base import Pools, Problem, image_iou
from ._features import Block, Features, Quantised
from ._grid import Bilinear, Grid, Pixels
from ._newton import LocalNewton, NewtonSystem

#: Memory for the rows that are held in float64 at a time for the Newton matrix.
_BYTES = 1 << 22


Upsampling = Literal["align_corners", "half_pixel"]
_UPSAMPLINGS = ("align_corners", "half_pixel")


class LinearHingeRisk(Problem):
    r"""Ridge-regularised Lovász hinge risk of a linear model over n images.

    .. math:: P(v) = \frac{\mu}{2}\|v\|^2 + \frac1n \sum_{i=1}^n L_i(X_i v)

    Parameters
    ----------
    features : sequence of (p_i, d) arrays
        One row per pixel, or `Quantised` codes. There is no hidden intercept: add a constant column for one.
        float32 features are kept in float32, and all sums are float64. Memory maps and codes are read where
        they are and never copied as a whole; other arrays are copied once.
    targets : sequence of (p_i,) arrays of bool or {0, 1}
        Foreground masks; they may also hold `ignore`.
    l2 : float
        Ridge weight μ > 0.
    ignore : int, optional
        Label of void pixels, which take no part. An image with no valid pixel counts 0 and stays in the mean.
    upsample : {None, "align_corners", "half_pixel"}
        Bilinear interpolation of the scores, as segmentation networks do: features[i] has the shape (h, w, d)
        and targets[i] the shape (H, W). The corner pixels of both grids coincide, or their outer edges do.

    Attributes
    ----------
    n_images, n_pixels, n_features : int
        Images, valid pixels and columns.
    slices : list of slice
        Where the pixels of every image are among all valid ones, as `apply` gives their scores.
    truth : (n_pixels,) ndarray of uint8
        1 foreground, 0 background.

    Raises
    ------
    ValueError, TypeError
        For no images, unequal numbers of images, rows or columns, non-finite features, labels outside
        {0, 1, ignore}, an unknown interpolation, or l2 ≤ 0.

    Notes
    -----
    The dual is max over s_i in the i-th polymatroid {s ≥ 0, s(A) ≤ Δ_i(A)} of
    −‖(1/n) Σ A_iᵀ s_i‖²/(2μ) + (1/n) Σ ⟨s_i, 1⟩ with A_i = −diag(y_i) X_i.
    A value with subgradient costs two products with the features and one sort per image; images and blocks
    of rows are computed in as many threads as Numba may use, with the same result whatever their number.

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
        features: Sequence[ArrayLike | Quantised],
        targets: Sequence[ArrayLike],
        l2: float = 1e-3,
        ignore: int | None = None,
        upsample: Upsampling | None = None,
    ) -> None:
        if len(features) != len(targets):
            raise ValueError(
                f"features holds {len(features)} images and targets {len(targets)}; give one mask per image"
            )
        if len(features) == 0:
            raise ValueError("features holds no image; give at least one")
        if upsample not in (None, *_UPSAMPLINGS):
            raise ValueError(f"upsample is {upsample!r}; choose None, {' or '.join(_UPSAMPLINGS)}")
        blocks: list[Block] = []
        masks: list[Bools] = []
        valid: list[Bools] = []
        shapes: list[tuple[int, ...]] = []
        for i, (rows, labels) in enumerate(zip(features, targets, strict=True)):
            array = rows if isinstance(rows, (Quantised, np.memmap)) else np.asarray(rows)
            mask, use = _check_image(i, array.shape, np.asarray(labels), ignore, upsample)
            block = Block.of(array, f"features[{i}]")
            if blocks and block.n_features != blocks[0].n_features:
                raise ValueError(
                    f"features[{i}] has {block.n_features} columns and features[0] has "
                    f"{blocks[0].n_features}; all images need the same features"
                )
            blocks.append(block)
            masks.append(mask)
            valid.append(use)
            shapes.append(array.shape)
        used = [np.flatnonzero(use) for use in valid]
        grid: Grid
        if upsample is not None:
            fine = [use.shape for use in valid]
            coarse = [shape[:2] for shape in shapes]
            grid = Bilinear(coarse, fine, used, upsample == "align_corners")  # type: ignore[arg-type]
        elif any(isinstance(rows, (Quantised, np.memmap)) for rows in features):
            grid = Pixels(
                [None if use.all() else index for use, index in zip(valid, used, strict=True)],
                [use.size for use in valid],
            )
        else:
            # Dense features in memory: one matrix without the rows of void pixels.
            stack = np.concatenate(
                [b.codes if use.all() else b.codes[use] for b, use in zip(blocks, valid, strict=True)]
            )
            blocks = [Block(stack, 1.0, 0.0, False)]
            grid = Pixels([None] * len(used), [len(index) for index in used])
        self._set(Features(blocks), grid, masks, valid, as_step(l2, "l2"), None)

    def _set(
        self,
        features: Features,
        grid: Grid,
        masks: list[Bools],
        valid: list[Bools],
        l2: float,
        center: Float64s | None,
    ) -> None:
        self._features, self._grid, self._masks, self._valid = features, grid, masks, valid
        self.n_images, self.n_pixels, self.n_features = len(masks), grid.n_pixels, features.n_features
        self.strong_convexity = l2
        self.center = np.zeros(self.n_features) if center is None else center
        self.shape = (self.n_features,)
        foreground = np.concatenate(masks)
        self._signs = np.where(foreground, 1.0, -1.0)
        self.truth = foreground.view(np.uint8)
        self.slices = [slice(int(a), int(b)) for a, b in pairwise(grid.offsets)]
        self._hinge = LovaszHinge._of_flat(self.truth, grid.offsets)
        self._parent: LinearHingeRisk | None = None
        #: What the mean loss counts for: less than 1 for a part of a larger risk.
        self._share = 1.0
        self._kink = -self._signs if center is None else self.apply(center) - self._signs
        self.passes = 0.0

    def batch(
        self, images: Sequence[int], center: Float64s | None = None, l2: float | None = None
    ) -> LinearHingeRisk:
        """The risk of some images alone, with another quadratic: what stochastic methods look at.

        Parameters
        ----------
        images : sequence of int
            Numbers of the images; one may occur several times.
        center : (d,) ndarray, optional
            Minimiser v₀ of the quadratic; 0 by default.
        l2 : float, optional
            Weight of the quadratic; that of this problem by default.

        Returns
        -------
        LinearHingeRisk
            l2/2‖v − v₀‖² plus the mean loss of these images. It shares their features; its passes over the
            data are counted here as well.
        """
        chosen = [range(self.n_images)[i] for i in images]
        if not chosen:
            raise ValueError("images holds no image; give at least one")
        rows = self._grid.row_offsets
        part: LinearHingeRisk = type(self).__new__(type(self))
        features = Features.joined([self._features.part(int(rows[i]), int(rows[i + 1])) for i in chosen])
        part._set(
            features,
            self._grid.part(chosen),
            [self._masks[i] for i in chosen],
            [self._valid[i] for i in chosen],
            self.strong_convexity if l2 is None else as_step(l2, "l2"),
            center,
        )
        part._parent = self
        return part

    def __repr__(self) -> str:
        return (
            f"LinearHingeRisk({self.n_images} images, {self.n_pixels} pixels, {self.n_features} features, "
            f"l2={self.strong_convexity:g})"
        )

    def _count(self, pixels: int) -> None:
        self.passes += pixels / max(self.n_pixels, 1)
        if self._parent is not None:
            self._parent._count(pixels)

    def apply(self, v: Float64s) -> Float64s:
        self._count(self.n_pixels)
        return self._grid.restrict(self._features.times(v))

    def adjoint(self, g: Float64s) -> Float64s:
        self._count(self.n_pixels)
        return self._features.transpose_times(self._grid.extend(g))

    @cached_property
    def _gram(self) -> Float64s:
        return self._grid.gram(self._features)

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
        pulled = rho * target + self.strong_convexity * self.center
        return times(vectors, transpose_times(vectors, pulled) / (self.strong_convexity + rho * values))

    def loss(self, scores: Float64s) -> float:
        return self._share * float(self._hinge._images(scores)[0].mean())

    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        values, g = self._hinge._images(scores)
        return self._share * float(values.mean()), np.asarray(self._share * g, dtype=np.float64)

    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        step = self._share * gamma / self.n_images
        return self._hinge._exact_prox(scores, step, None, Orders.none(self.n_images))

    def prox_loss_pools(self, scores: Float64s, gamma: float) -> tuple[Float64s, Pools]:
        """`prox_loss` and where its Jacobian is not the identity."""
        out = np.empty(self.n_pixels)
        pinned, pooled, sizes = (np.empty(self.n_pixels, dtype=np.int64) for _ in range(3))
        counts = np.zeros((self.n_images, 3), dtype=np.int64)
        offsets, step = self._grid.offsets, self._share * gamma / self.n_images

        def run(start: int, stop: int) -> None:
            hinge_prox_pools_images(
                scores, self.truth, offsets, step, start, stop, out, pinned, pooled, sizes, counts
            )

        in_chunks(run, offsets)
        found = [
            np.concatenate([part[a : a + k] for a, k in zip(offsets[:-1], counts[:, j], strict=True)])
            for j, part in enumerate((pinned, pooled, sizes))
        ]
        stops = np.cumsum(found[2])
        return out, Pools(found[0], found[1], stops - found[2])

    def newton_matrix(self, pools: Pools, penalty: float) -> Float64s:
        """penalty·Aᵀ(I − J)A for the Jacobian J that `pools` describes; O(k d²) for k listed scores."""
        matrix = np.zeros((self.n_features, self.n_features))
        most = max(_BYTES // (8 * self.n_features), 1)
        for start in range(0, len(pools.pinned), most):
            block = self._rows(pools.pinned[start : start + most])
            matrix += penalty * (block.T @ block)
        stops = np.append(pools.starts, len(pools.pooled))[1:]
        first = 0
        while first < len(stops):
            # Whole pools, as many as fit.
            last = max(int(np.searchsorted(stops, pools.starts[first] + most, side="right")), first + 1)
            members = pools.pooled[pools.starts[first] : stops[last - 1]]
            if len(members) > most:
                matrix += penalty * self._scatter(members, most)
            else:
                starts = pools.starts[first:last] - pools.starts[first]
                rows = self._rows(members)
                rows *= self._signs[members, None]
                sizes = np.diff(starts, append=len(members))
                means = np.add.reduceat(rows, starts, axis=0) / sizes[:, None]
                rows -= np.repeat(means, sizes, axis=0)
                matrix += penalty * (rows.T @ rows)
            first = last
        return matrix

    def _scatter(self, pool: Ints, most: int) -> Float64s:
        """Σ (r − r̄)(r − r̄)ᵀ over the signed rows r of one large pool, with so many of them at a time."""
        indicator = np.zeros(self.n_pixels)
        indicator[pool] = self._signs[pool]
        mean = self.adjoint(indicator) / len(pool)
        total = np.zeros((self.n_features, self.n_features))
        for start in range(0, len(pool), most):
            members = pool[start : start + most]
            rows = self._signs[members, None] * self._rows(members) - mean
            total += rows.T @ rows
        return total

    def newton_system(self) -> NewtonSystem:
        """The state in which a second-order method walks through this risk."""
        return LocalNewton(self)

    def _rows(self, pixels: Ints) -> Float64s:
        self._count(len(pixels))
        return self._grid.rows(self._features, pixels)

    def dual_scores(self, s: Sequence[ArrayLike]) -> Float64s:
        if len(s) != self.n_images:
            raise ValueError(f"s holds {len(s)} dual vectors, expected {self.n_images}: one per image")
        g = np.empty(self.n_pixels)
        for i, (dual, valid, rows) in enumerate(zip(s, self._valid, self.slices, strict=True)):
            array, _ = as_scores(dual, f"s[{i}]", valid.shape)
            g[rows] = array[valid]
        g *= -self._signs * self._share / self.n_images
        return g

    def predict(self, v: ArrayLike) -> list[Bools]:
        """Segmentations of the images: the pixels with a positive score.

        Parameters
        ----------
        v : (d,) array of float
            Coefficients.

        Returns
        -------
        list of ndarray of bool, one of the shape of every target
            False on void pixels.
        """
        positive = self.apply(self._point(v)) > 0
        masks = []
        for valid, rows in zip(self._valid, self.slices, strict=True):
            mask = np.zeros(valid.shape, dtype=np.bool_)
            mask[valid] = positive[rows]
            masks.append(mask)
        return masks

    def iou(self, v: ArrayLike) -> float:
        positive, truth = self.apply(self._point(v)) > 0, self._signs > 0
        return float(np.mean([image_iou(positive[rows], truth[rows]) for rows in self.slices]))


def _check_image(
    i: int, shape: tuple[int, ...], labels: Any, ignore: int | None, upsample: Upsampling | None
) -> tuple[Bools, Bools]:
    """The mask of the valid pixels of image i, and which pixels are valid."""
    axes = 2 if upsample is None else 3
    if len(shape) != axes:
        wanted = "(pixels, features)" if upsample is None else "(rows, columns, features) to interpolate"
        raise ValueError(f"features[{i}] has shape {shape}, expected {wanted}; reshape it to {axes} axes")
    if upsample is None and labels.shape != shape[:1]:
        raise ValueError(f"targets[{i}] has shape {labels.shape}, expected {shape[:1]}: one label per row")
    if upsample is not None and (labels.ndim != 2 or 0 in shape[:2]):
        raise ValueError(
            f"targets[{i}] has shape {labels.shape} for features of shape {shape}; to interpolate, give "
            "(H, W) labels and at least one row and column of features"
        )
    if shape[-1] == 0:
        raise ValueError(f"features[{i}] has no column; a linear model needs at least one feature")
    valid = np.ones(labels.shape, dtype=np.bool_) if ignore is None else np.asarray(labels != ignore)
    return as_target(labels[valid], f"targets[{i}]"), valid
