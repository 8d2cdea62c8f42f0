"""Set functions of two counts: false negatives a and false positives b."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints, as_target
from ..decomposition import best_counts, prox_of_counts
from .base import RELATIVE_TOLERANCE, SetFunction, SubmodularityReport, as_ground_set, constant_metric

#: Largest table of counts, (P + 1)(N + 1) values, that is checked entry by entry.
TABLE_LIMIT = 2 * 10**8
_WINDOW = 2**20
_SAMPLED_WINDOWS = 256
_SIDE = 64


class CountFunction(SetFunction):
    """F(S) = g(a, b): a = |S ∩ foreground|, b = |S ∩ background|, with g(0, 0) = 0.

    With S the set of mistakes of a segmentation, a counts false negatives and b false positives.

    Parameters
    ----------
    function : callable
        g, vectorised: takes two int64 arrays of one shape, returns real numbers of that shape.
    target : (p,) array of bool or {0, 1}
        Foreground pixels.

    Attributes
    ----------
    target : (p,) ndarray of bool
    P, N : int
        Number of foreground and background pixels.

    Raises
    ------
    ValueError, TypeError
        If the target is empty or not one-dimensional, g(0, 0) ≠ 0, or g returns a wrong shape, type or a
        value that is not finite.

    Notes
    -----
    F is submodular iff g is concave in a, concave in b, and g(a+1, b) − g(a, b) does not increase with b. All
    of these (P+1)(N+1) inequalities are checked, or a sample of them beyond 2·10^8.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.sets import CountFunction
    >>> F = CountFunction(lambda a, b: np.sqrt(a + 2 * b), target=[1, 1, 0])
    >>> F([False, True, True]).__round__(4)
    1.7321
    >>> F.is_submodular
    True
    """

    def __init__(self, function: Callable[[Ints, Ints], ArrayLike], target: ArrayLike) -> None:
        if not callable(function):
            raise TypeError(
                f"function must be callable, got {type(function).__name__}; pass a function of two counts"
            )
        self.function = function
        self._set_target(target)
        zero = np.zeros(1, dtype=np.int64)
        empty = float(self._g(zero, zero)[0])
        if empty != 0:
            raise ValueError(f"function(0, 0) is {empty}, not 0; subtract it from all values")

    def _set_target(self, target: ArrayLike) -> None:
        self.target = as_pixels(target)
        self.n = len(self.target)
        self.P = int(self.target.sum())
        self.N = self.n - self.P

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"CountFunction({name}, P={self.P}, N={self.N})"

    def increments(self, order: ArrayLike) -> Float64s:
        """Greedy increments along an order. Complexity: O(n)."""
        foreground = self.target[self._check_order(order)]
        a, b = _running(foreground), _running(~foreground)
        return np.asarray(self._g_increment(a[:-1], b[:-1], a[1:], b[1:]), dtype=np.float64)

    def _g(self, a: Ints, b: Ints) -> Float64s:
        """Values of g on arrays of counts."""
        values: Any = np.asarray(self.function(a, b))
        if values.shape != a.shape:
            raise ValueError(
                f"function of counts of shape {a.shape} has shape {values.shape}; it must be vectorised: "
                f"wrap a scalar function with numpy.vectorize"
            )
        if values.dtype.kind not in "biuf":
            raise TypeError(f"function returns dtype {values.dtype}; it must return real numbers")
        if not np.isfinite(values).all():
            where = np.flatnonzero(~np.isfinite(values.ravel()))[0]
            raise ValueError(
                f"function({a.flat[where]}, {b.flat[where]}) is {values.flat[where]}; "
                f"every value must be finite"
            )
        return values.astype(np.float64)

    def _g_increment(self, a0: Ints, b0: Ints, a1: Ints, b1: Ints) -> Float64s:
        """g(a1, b1) − g(a0, b0); a subclass may know a form in which nothing cancels."""
        return self._g(a1, b1) - self._g(a0, b0)

    def _values(self, masks: Bools) -> Float64s:
        a = (masks & self.target).sum(axis=1)
        return self._g(a, masks.sum(axis=1) - a)

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Whether g does not decrease in a nor in b; looked up as `submodularity` does."""
        drop, magnitude = 0.0, 0.0
        for _, _, table in self._windows():
            magnitude = max(magnitude, float(np.abs(table).max()))
            for axis in (0, 1):
                drop = max(drop, -float(np.diff(table, axis=axis).min(initial=0.0)))
        return drop <= RELATIVE_TOLERANCE * magnitude

    @cached_property
    def _report(self) -> SubmodularityReport:
        size = (self.P + 1) * (self.N + 1)
        looked_at = "all inequalities" if size <= TABLE_LIMIT else "a sample of the inequalities"
        reason = f"{looked_at} between the values at (P + 1)(N + 1) = {size} pairs of counts checked"
        worst, magnitude, where = 0.0, 0.0, None
        for a, b, table in self._windows():
            magnitude = max(magnitude, float(np.abs(table).max()))
            in_a, in_b = np.diff(table, axis=0), np.diff(table, axis=1)
            for i, j, excess in (
                ((1, 0), (1, 0), np.diff(in_a, axis=0)),
                ((0, 1), (0, 1), np.diff(in_b, axis=1)),
                ((1, 0), (0, 1), np.diff(in_a, axis=1)),
            ):
                if excess.size and excess.max() > worst:
                    worst = float(excess.max())
                    da, db = np.unravel_index(int(np.argmax(excess)), excess.shape)
                    where = (a + int(da), b + int(db), i, j)
        if where is None or worst <= RELATIVE_TOLERANCE * magnitude:
            return SubmodularityReport(True, size <= TABLE_LIMIT, None, 0.0, reason)
        return SubmodularityReport(False, True, self._pair(*where), worst, reason)

    def _windows(self) -> Iterator[tuple[int, int, Float64s]]:
        """Windows (a, b, table) of values, table[i, j] = g(a + i, b + j), in bounded memory.

        They overlap so that every inequality lies in one of them; beyond TABLE_LIMIT they are a sample that
        favours the borders.
        """
        P, N = self.P, self.N
        if (P + 1) * (N + 1) > TABLE_LIMIT:
            rng = np.random.default_rng(0)
            places = rng.beta(0.3, 0.3, (_SAMPLED_WINDOWS, 2)) * [max(P - _SIDE, 0), max(N - _SIDE, 0)]
            corners = [(int(a), int(b), _SIDE, _SIDE) for a, b in np.rint(places)]
        elif P >= N:
            rows = max(4, _WINDOW // (N + 1))
            corners = [(a, 0, rows, N) for a in range(0, max(P - 1, 1), rows - 2)]
        else:
            columns = max(4, _WINDOW // (P + 1))
            corners = [(0, b, P, columns) for b in range(0, max(N - 1, 1), columns - 2)]
        for a, b, rows, columns in corners:
            grid = np.meshgrid(
                np.arange(a, min(a + rows, P) + 1), np.arange(b, min(b + columns, N) + 1), indexing="ij"
            )
            yield a, b, self._g(*grid)

    def _pair(self, a: int, b: int, i: tuple[int, int], j: tuple[int, int]) -> tuple[Bools, Bools]:
        """Masks S + i and S + j, S of counts (a, b), and i, j one more pixel of the given classes each."""
        fg, bg = np.flatnonzero(self.target), np.flatnonzero(~self.target)
        base = np.zeros(self.n, dtype=np.bool_)
        base[fg[:a]] = base[bg[:b]] = True
        first, second = base.copy(), base.copy()
        first[fg[a] if i[0] else bg[b]] = True
        # Two pixels of one class must differ.
        second[fg[a + i[0]] if j[0] else bg[b + i[1]]] = True
        return first, second

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        low, high = np.empty(self.n), np.empty(self.n)
        for members, da, db in ((self.target, 1, 0), (~self.target, 0, 1)):
            if members.any():
                ends = np.array([[0, 0, da, db], [self.P - da, self.N - db, self.P, self.N]]).T
                high[members], low[members] = self._g_increment(*ends)
        return low, high

    def _prox(self, x: Float64s, gamma: float, metric: Float64s | None) -> ProxSolution | None:
        factor = constant_metric(metric)
        if factor is None or not self.is_submodular:
            return super()._prox(x, gamma, metric)
        return prox_of_counts(self._g_increment, self.target, x, gamma / factor, self._increment_bounds())

    def _violation(self, w: Float64s) -> tuple[float, Bools]:
        if self.is_submodular:
            mask = best_counts(self._g_increment, self.target, w)
        else:
            mask = self._best_of_all_counts(w)
        return max(0.0, math.fsum([*w[mask], -self(mask)])), mask

    def _best_of_all_counts(self, w: Float64s) -> Bools:
        """Mask maximising w(A) − F(A), from all pairs of counts: O(P·N)."""
        fg, bg = (
            members[np.argsort(-w[members], kind="stable")]
            for members in (np.flatnonzero(self.target), np.flatnonzero(~self.target))
        )
        fg_sums, bg_sums = (np.concatenate([[0.0], np.cumsum(w[members])]) for members in (fg, bg))
        best, best_a, best_b = 0.0, 0, 0
        counts = np.arange(self.N + 1)
        for a in range(self.P + 1):
            excess = fg_sums[a] + bg_sums - self._g(np.full(self.N + 1, a), counts)
            b = int(np.argmax(excess))
            if excess[b] > best:
                best, best_a, best_b = float(excess[b]), a, b
        mask = np.zeros(self.n, dtype=np.bool_)
        mask[fg[:best_a]] = mask[bg[:best_b]] = True
        return mask


def as_pixels(target: ArrayLike) -> Bools:
    """Return the target as an owned (p,) boolean array, refusing an empty one."""
    pixels = as_target(target, "target").copy()
    if pixels.ndim != 1:
        raise ValueError(f"target has shape {pixels.shape}, expected (p,); pass target.ravel()")
    as_ground_set(len(pixels), "target")
    return pixels


def _running(members: Bools) -> Ints:
    """How many of the first k are members, k = 0, …, n."""
    return np.concatenate([[0], np.cumsum(members)])
