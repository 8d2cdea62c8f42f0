"""Set functions of the number of elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints, as_scores
from ..kernels.pav import isotonic_decreasing
from .base import (
    RELATIVE_TOLERANCE,
    SetFunction,
    SubmodularityReport,
    as_ground_set,
    as_size,
    constant_metric,
)


class Cardinality(SetFunction):
    """F(S) = g(|S|) with g(0) = 0, submodular iff g is concave.

    Parameters
    ----------
    function : (n + 1,) array or callable
        The values g(0), …, g(n); or g itself, evaluated on the int64 array 0, …, n.
    n : int or None
        Number of elements, ≥ 1; needed with a callable.

    Raises
    ------
    ValueError, TypeError
        If g(0) ≠ 0, a value is not finite, or n is missing, less than 1 or not the length of the array.

    Notes
    -----
    The order of x is kept by the prox, so it is one sort and one isotonic regression: O(n log n).

    Examples
    --------
    >>> import numpy as np
    >>> import lovasz_opt as lo
    >>> F = lo.Cardinality(np.sqrt, n=4)
    >>> F([True, True, True, True]), F.is_submodular
    (2.0, True)
    >>> lo.LovaszExtension(lo.Cardinality([0, 1, 1, 1]))([3.0, 5.0, 4.0])
    5.0
    """

    def __init__(self, function: ArrayLike | Callable[[Ints], ArrayLike], n: int | None = None) -> None:
        if callable(function):
            if n is None:
                raise ValueError(
                    "n is missing; Cardinality(function, n) needs the number of elements of a callable"
                )
            size = as_size(n)
            values = np.asarray(function(np.arange(size + 1)))
            if values.shape != (size + 1,):
                raise ValueError(
                    f"function of {size + 1} sizes has shape {values.shape}, expected ({size + 1},); "
                    f"wrap a scalar function with numpy.vectorize"
                )
        else:
            values = np.asarray(function)
        self.values: Float64s = as_scores(values, "function")[0].astype(np.float64)
        if self.values.ndim != 1:
            raise ValueError(
                f"function has shape {self.values.shape}, expected the n + 1 values g(0), …, g(n)"
            )
        self.n = as_ground_set(len(self.values) - 1, "the ground set (n + 1 values needed)")
        if n is not None and n != self.n:
            raise ValueError(
                f"n is {n}, but function holds {self.n + 1} values: it needs n + 1, those of 0, …, n"
            )
        if self.values[0] != 0:
            raise ValueError(f"function(0) is {self.values[0]}, not 0; subtract it from all values")

    def __repr__(self) -> str:
        return f"Cardinality(n={self.n})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """The value g(|S|), taken as the rational that the float is."""
        return Fraction(float(self.values[int(self._as_mask(mask).sum())]))

    def increments(self, order: ArrayLike) -> Float64s:
        """g(1) − g(0), g(2) − g(1), …, in any order. Complexity: O(n)."""
        self._check_order(order)
        return np.diff(self.values)

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Whether g is non-decreasing."""
        return bool((np.diff(self.values) >= 0).all())

    def _values(self, masks: Bools) -> Float64s:
        return self.values[masks.sum(axis=1)]

    @cached_property
    def _report(self) -> SubmodularityReport:
        reason = "a function of the size is submodular iff it is concave; every second difference checked"
        excess = self.values[2:] + self.values[:-2] - 2 * self.values[1:-1]
        worst = int(np.argmax(excess)) if len(excess) else 0
        if not len(excess) or excess[worst] <= RELATIVE_TOLERANCE * np.abs(self.values).max():
            return SubmodularityReport(True, True, reason=reason)
        first = np.arange(self.n) < worst + 1
        second = first.copy()
        second[worst : worst + 2] = [False, True]
        return SubmodularityReport(False, True, (first, second), float(excess[worst]), reason)

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        low, high = self.values[-1] - self.values[-2], self.values[1] - self.values[0]
        return np.full(self.n, low), np.full(self.n, high)

    def _prox(self, x: Float64s, gamma: float, metric: Float64s | None) -> ProxSolution | None:
        factor = constant_metric(metric)
        if factor is None or not self.is_submodular:
            return super()._prox(x, gamma, metric)
        order = np.argsort(-x, kind="stable")
        start = x[order] - gamma / factor * np.diff(self.values)
        fit, starts = isotonic_decreasing(start)
        first, sizes = starts[:-1], np.diff(starts)
        # The regression also joins neighbours that were equal from the start: these are tied by accident.
        tied = np.repeat(np.maximum.reduceat(start, first) > np.minimum.reduceat(start, first), sizes)
        opens = ~tied
        opens[first] = True
        z, pools = np.empty_like(start), np.empty(self.n, dtype=np.int64)
        z[order] = np.where(tied, fit, start)
        pools[order] = np.cumsum(opens) - 1
        return ProxSolution(z, pools)

    def _violation(self, w: Float64s) -> tuple[float, Bools]:
        order = np.argsort(-w, kind="stable")
        size = int(np.argmax(np.concatenate([[0.0], np.cumsum(w[order])]) - self.values))
        mask = np.zeros(self.n, dtype=np.bool_)
        mask[order[:size]] = True
        return max(0.0, math.fsum([*w[mask], -self.values[size]])), mask
