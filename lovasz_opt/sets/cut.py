"""Cut functions of weighted graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, check_finite
from .base import SetFunction, SubmodularityReport, as_ground_set, as_size, sum_by


class Cut(SetFunction):
    """Cut function F(S) = Σ_{i∈S, j∉S} W_ij of a graph with non-negative weights.

    For a symmetric W the Lovász extension is the total variation Σ_{i<j} W_ij |x_i − x_j|, and its prox is
    total-variation denoising on the graph.

    Parameters
    ----------
    adjacency : (n, n) array or SciPy sparse array
        Weights W_ij ≥ 0 of the edges i → j; the diagonal plays no role.

    Raises
    ------
    ValueError, TypeError
        If the matrix is empty, not square, not real, or holds a negative, NaN or infinite weight.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Cut.grid((2, 2))
    >>> F([True, False, False, False])
    2.0
    >>> lo.LovaszExtension(F)([3.0, 1.0, 0.0, 0.0])
    6.0
    """

    def __init__(self, adjacency: Any) -> None:
        from scipy import sparse

        matrix = sparse.coo_array(adjacency if sparse.issparse(adjacency) else _as_matrix(adjacency))
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(
                f"adjacency has shape {matrix.shape}, expected (n, n): one row and column per element"
            )
        self.n = as_ground_set(matrix.shape[0], "adjacency")
        matrix.sum_duplicates()
        rows, columns, weights = matrix.row, matrix.col, np.asarray(matrix.data)
        if weights.dtype.kind not in "biuf":
            raise TypeError(f"adjacency must hold real numbers, got dtype {weights.dtype}")
        weights = weights.astype(np.float64)
        check_finite(weights, "adjacency")
        if weights.size and weights.min() < 0:
            k = int(np.argmin(weights))
            raise ValueError(
                f"adjacency[{rows[k]}, {columns[k]}] is {weights[k]}; weights must be ≥ 0: "
                f"a cut function with negative weights is not submodular"
            )
        edges = (rows != columns) & (weights > 0)
        self._tails = rows[edges].astype(np.int64)
        self._heads = columns[edges].astype(np.int64)
        self._weights: Float64s = weights[edges]

    @classmethod
    def from_edges(cls, edges: ArrayLike, weights: ArrayLike | float = 1.0, n: int | None = None) -> Cut:
        """The cut function of an undirected graph.

        Parameters
        ----------
        edges : (m, 2) array of int
            Pairs of elements; weights of repeated pairs add up.
        weights : (m,) array or float
            Weights ≥ 0.
        n : int or None
            Number of elements; None takes the largest one named, plus 1.

        Returns
        -------
        Cut

        Raises
        ------
        ValueError, TypeError
            If the edges are not pairs of elements below n, or the weights do not fit.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> lo.Cut.from_edges([(0, 1), (1, 2)], weights=[1.0, 3.0])([False, False, True])
        3.0
        """
        pairs = np.asarray(edges)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
            raise ValueError(
                f"edges has shape {pairs.shape} and dtype {pairs.dtype}, expected (m, 2) integers: "
                f"one pair per edge"
            )
        size = as_size(int(pairs.max(initial=-1)) + 1 if n is None else n)
        if pairs.size and (pairs.min() < 0 or pairs.max() >= size):
            raise ValueError(
                f"edges holds elements from {pairs.min()} to {pairs.max()}, outside 0, …, {size - 1}"
            )
        values = np.asarray(weights, dtype=np.float64)
        if values.shape not in ((), (len(pairs),)):
            raise ValueError(
                f"weights has shape {values.shape}, expected ({len(pairs)},): one weight per edge"
            )
        from scipy import sparse

        both = np.concatenate([pairs, pairs[:, ::-1]]).T
        return cls(
            sparse.coo_array((np.tile(np.broadcast_to(values, len(pairs)), 2), tuple(both)), (size, size))
        )

    @classmethod
    def grid(cls, shape: Sequence[int]) -> Cut:
        """The cut function of a grid of pixels or voxels, each joined to its nearest neighbours by weight 1.

        Parameters
        ----------
        shape : sequence of int
            Shape of the image; element i is pixel i of the image in C order.

        Returns
        -------
        Cut
            Its Lovász extension is the anisotropic total variation of the image.

        Raises
        ------
        ValueError
            If an axis is empty.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> lo.Cut.grid((20, 20))
        Cut(n=400, edges=1520)
        """
        size = as_ground_set(math.prod(shape), f"grid of shape {tuple(shape)}")
        pixels = np.arange(size).reshape(shape)
        edges = [
            np.stack([np.moveaxis(pixels, k, 0)[:-1].ravel(), np.moveaxis(pixels, k, 0)[1:].ravel()], axis=1)
            for k in range(pixels.ndim)
        ]
        return cls.from_edges(np.concatenate(edges), n=size)

    def __repr__(self) -> str:
        return f"Cut(n={self.n}, edges={len(self._weights)})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Weight of the edges that leave the set, exactly."""
        single = self._as_mask(mask)
        leaving = single[self._tails] & ~single[self._heads]
        return sum(map(Fraction, self._weights[leaving].tolist()), Fraction(0))

    def increments(self, order: ArrayLike) -> Float64s:
        """Greedy increments along an order. Complexity: O(n + edges)."""
        order = self._check_order(order)
        ranks = np.empty(self.n, dtype=np.int64)
        ranks[order] = np.arange(self.n)
        # An edge is cut from when its tail joins until its head does; if the head is first it never is.
        cut = ranks[self._tails] < ranks[self._heads]
        weights = self._weights[cut]
        opened = sum_by(ranks[self._tails[cut]], weights, self.n)
        return opened - sum_by(ranks[self._heads[cut]], weights, self.n)

    def _values(self, masks: Bools) -> Float64s:
        leaving = (
            np.where(mask[self._tails] & ~mask[self._heads], self._weights, 0.0).sum() for mask in masks
        )
        return np.fromiter(leaving, dtype=np.float64, count=len(masks))

    @cached_property
    def _report(self) -> SubmodularityReport:
        return SubmodularityReport(
            True, True, reason="a cut function with non-negative weights is submodular"
        )

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        into = sum_by(self._heads, self._weights, self.n)
        return -into, sum_by(self._tails, self._weights, self.n)


def _as_matrix(adjacency: Any) -> Any:
    matrix = np.asarray(adjacency)
    if matrix.ndim != 2:
        raise ValueError(
            f"adjacency has shape {matrix.shape}, expected (n, n): one row and column per element"
        )
    if matrix.dtype.kind not in "biuf":
        raise TypeError(f"adjacency must hold real numbers, got dtype {matrix.dtype}")
    return matrix
