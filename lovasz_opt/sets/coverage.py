"""Weighted coverage functions."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, as_float64s, as_target, check_finite
from .base import SetFunction, SubmodularityReport, as_ground_set, sum_by


class Coverage(SetFunction):
    """Coverage function F(S) = Σ of the weights of the items that some element of S covers.

    Parameters
    ----------
    memberships : (n, m) array of bool or {0, 1}
        Entry (i, k) tells whether element i covers item k.
    weights : (m,) array or None
        Weights ≥ 0 of the items; None gives each weight 1.

    Raises
    ------
    ValueError, TypeError
        If there is no element, an entry is not 0 or 1, or a weight is negative, NaN or infinite.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Coverage([[1, 1, 0], [0, 1, 1]], weights=[1.0, 2.0, 4.0])
    >>> F([True, False]), F([True, True])
    (3.0, 7.0)
    """

    def __init__(self, memberships: ArrayLike, weights: ArrayLike | None = None) -> None:
        from scipy import sparse

        covers = as_target(memberships, "memberships")
        if covers.ndim != 2:
            raise ValueError(f"memberships has shape {covers.shape}, expected (n, m): one row per element")
        self.n = as_ground_set(len(covers), "memberships")
        self.weights = _as_item_weights(weights, covers.shape[1])
        self._elements, self._items = np.nonzero(covers)
        self._covers: Any = sparse.csr_array(covers.T, dtype=np.int64)

    def __repr__(self) -> str:
        return f"Coverage(n={self.n}, items={len(self.weights)})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Weight of the covered items, exactly."""
        items = np.unique(self._items[self._as_mask(mask)[self._elements]])
        return sum(map(Fraction, self.weights[items].tolist()), Fraction(0))

    def increments(self, order: ArrayLike) -> Float64s:
        """Greedy increments along an order. Complexity: O(n + number of memberships)."""
        order = self._check_order(order)
        ranks = np.empty(self.n, dtype=np.int64)
        ranks[order] = np.arange(self.n)
        first = np.full(len(self.weights), self.n)
        np.minimum.at(first, self._items, ranks[self._elements])
        return sum_by(first, self.weights, self.n + 1)[: self.n]

    def _values(self, masks: Bools) -> Float64s:
        # In C order every row is summed alike, whatever else is in the batch.
        covered = np.ascontiguousarray((self._covers @ masks.T.astype(np.int64)).T > 0)
        return np.where(covered, self.weights, 0.0).sum(axis=1)

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Always true: weights are non-negative."""
        return True

    @cached_property
    def _report(self) -> SubmodularityReport:
        return SubmodularityReport(
            True, True, reason="a coverage function with non-negative weights is submodular"
        )

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        once = np.bincount(self._items, minlength=len(self.weights)) == 1
        weights = self.weights[self._items]
        high = sum_by(self._elements, weights, self.n)
        return sum_by(self._elements, weights * once[self._items], self.n), high


def _as_item_weights(weights: ArrayLike | None, items: int) -> Float64s:
    if weights is None:
        return np.ones(items)
    values = as_float64s(weights, "weights").copy()
    if values.shape != (items,):
        raise ValueError(f"weights has shape {values.shape}, expected ({items},): one weight per item")
    check_finite(values, "weights")
    if values.size and values.min() < 0:
        raise ValueError(
            f"weights holds {values.min()}; weights of items must be ≥ 0: "
            f"with a negative one a coverage function is not submodular"
        )
    return values
