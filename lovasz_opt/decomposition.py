"""The prox of a Lovász extension by divide and conquer over its level sets.

For almost every t the level set {z > t} of the proximal point minimises γF(M) + Σ_{i∈M} metric_i (t − x_i),
and level sets are nested. So a *segment*, the elements between two known level sets L ⊂ U, is split by
minimising at the level where L and U cost the same: if nothing is cheaper the segment is one pool at that
level, otherwise the minimiser is a level set between the two. (Groenevelt, "Two algorithms for maximizing a
separable concave function over a polymatroid feasible region", 1991.)

Level sets found in floating point may be one too many, never harmful: pool values are recomputed from their
members, and neighbours in the wrong order are merged, which is exact on any chain that contains the true
level sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._solution import ProxSolution
from ._validation import Bools, Float64s, Ints

#: increment(a0, b0, a1, b1) = F(a1, b1) − F(a0, b0), vectorised over integer arrays.
CountIncrement = Callable[[Ints, Ints, Ints, Ints], Float64s]
#: Sums of numbers beyond _LARGE might overflow; powers of two rescale without rounding.
_LARGE, _SHRINK, _GROW = 2.0**900, 2.0**-80, 2.0**500
_M = TypeVar("_M", bound="Minor")


class Minor(Protocol):
    """A set function contracted by a level set L already known: M ↦ F(L ∪ M) − F(L)."""

    def increment(self, members: Ints) -> float:
        """F(L ∪ members) − F(L)."""

    def minimise(self, members: Ints, gains: Float64s, gamma: float) -> Bools:
        """Mask over `members` of a set M minimising gamma · (F(L ∪ M) − F(L)) − gains(M)."""

    def contract(self: _M, members: Ints) -> _M:
        """The same function contracted by L ∪ members."""


class TabulatedMinor:
    """A set function given by its 2^n values; a minimiser is found by looking at all sets."""

    def __init__(self, table: Float64s, code: int = 0) -> None:
        self.table = table
        self.code = code

    def increment(self, members: Ints) -> float:
        return float(self.table[self._with(members)] - self.table[self.code])

    def minimise(self, members: Ints, gains: Float64s, gamma: float) -> Bools:
        codes = self.code + subset_sums(np.int64(1) << members)
        costs = gamma * (self.table[codes] - self.table[self.code]) - subset_sums(gains)
        best = int(np.argmin(costs))
        return (best >> np.arange(len(members))) & 1 == 1

    def contract(self, members: Ints) -> TabulatedMinor:
        return TabulatedMinor(self.table, self._with(members))

    def _with(self, members: Ints) -> int:
        return int(self.code | int((np.int64(1) << members).sum()))


def subset_sums(values: NDArray[Any]) -> NDArray[Any]:
    """Sums of `values` over all subsets, (2^n,); bit i of the index stands for entry i."""
    sums = np.zeros(1, dtype=values.dtype)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def prox_by_level_sets(
    x: Float64s, gamma: float, metric: Float64s | None, minor: Minor, bounds: tuple[Float64s, Float64s]
) -> ProxSolution:
    """Exact argmin_z ½ Σ metric_i (z_i − x_i)² + gamma · f(z), given a minimiser of F plus modular terms.

    Parameters
    ----------
    x : (n,) ndarray of float64
    gamma : float
    metric : (n,) ndarray of float64 or None
        Positive; None is Euclidean.
    minor : Minor
        F itself, contracted by nothing.
    bounds : tuple of two (n,) ndarrays
        Smallest and largest entries of any base of F (its last and first increments).

    Returns
    -------
    ProxSolution

    Notes
    -----
    Complexity: one minimisation for each split, at most n − 1, and one for each pool; O(n log n) besides.
    """
    scale = _power_of_two(x, gamma, bounds)
    x, gamma = x * scale, gamma * scale
    d = np.ones(len(x)) if metric is None else metric
    order, cuts = separate(x, gamma, d, bounds)
    # Each segment is measured from one of its own members: what is far away cannot spoil its digits.
    shifted = np.empty(len(x))
    shifted[order] = x[order] - np.repeat(x[order[cuts[:-1]]], np.diff(cuts))
    chain: list[Ints] = []
    increments: list[float] = []
    stack = np.split(order, cuts[1:-1])[::-1]
    while stack:
        members = stack.pop()
        increment = minor.increment(members)
        if len(members) > 1:
            y, weights = shifted[members], d[members]
            level = (math.fsum(weights * y) - gamma * increment) / math.fsum(weights)
            above = minor.minimise(members, weights * (y - level), gamma)
            if above.any() and not above.all():
                stack += [members[~above], members[above]]
                continue
        chain.append(members)
        increments.append(increment)
        minor = minor.contract(members)
    return _settle(chain, np.array(increments), x, gamma, d, scale)


def prox_of_counts(
    increment: CountIncrement,
    target: Bools,
    x: Float64s,
    gamma: float,
    bounds: tuple[Float64s, Float64s],
) -> ProxSolution:
    """Exact Euclidean prox for a submodular function of the two counts (a, b) of foreground and background.

    Inside each class the order of x is kept, so level sets are pairs of counts. In a segment the costs

        G(b, a) = γ·F(a, b) + t(a + b) − (the a largest x of the foreground) − (the b largest of the
        background)

    form a Monge array, so the best a moves monotonically with b: row minima by divide and conquer over rows,
    for all segments at once.

    Parameters
    ----------
    increment : callable
        ``increment(a0, b0, a1, b1)`` = F(a1, b1) − F(a0, b0), vectorised over int64 arrays.
    target : (p,) ndarray of bool
        Foreground pixels.
    x : (p,) ndarray of float64
    gamma : float
    bounds : tuple of two (p,) ndarrays
        Smallest and largest entries of any base of F (its last and first increments).

    Returns
    -------
    ProxSolution

    Notes
    -----
    Complexity: O(p log p) evaluations of `increment` for each generation of splits, of which there are about
    log p unless x is spread over many orders of magnitude. Memory: O(p).
    """
    P, N = int(target.sum()), int((~target).sum())
    scale = _power_of_two(x, gamma, bounds)
    x, gamma = x * scale, gamma * scale
    fg, bg = (
        elements[np.argsort(-x[elements], kind="stable")]
        for elements in map(np.flatnonzero, (target, ~target))
    )
    order, cuts = separate(x, gamma, np.ones(P + N), bounds)
    a = np.concatenate([[0], np.cumsum(target[order])])[cuts]
    b = cuts - a
    origins = x[order[cuts[:-1]]]
    sums = _PrefixSums(x[fg] - np.repeat(origins, np.diff(a)), x[bg] - np.repeat(origins, np.diff(b)))
    boundaries_a, boundaries_b = [a], [b]
    boxes = np.stack([a[:-1], b[:-1], a[1:], b[1:]])
    while (boxes := boxes[:, boxes[2] - boxes[0] + boxes[3] - boxes[1] > 1]).size:
        a0, b0, a1, b1 = boxes
        totals = sums.foreground(a0, a1) + sums.background(b0, b1)
        levels = (totals - gamma * increment(a0, b0, a1, b1)) / ((a1 - a0) + (b1 - b0))
        best_a, best_b = _cheapest(increment, sums, gamma, levels, boxes)
        split = ((best_a > a0) | (best_b > b0)) & ((best_a < a1) | (best_b < b1))
        best_a, best_b = best_a[split], best_b[split]
        boundaries_a.append(best_a)
        boundaries_b.append(best_b)
        a0, b0, a1, b1 = boxes[:, split]
        boxes = np.array([[a0, best_a], [b0, best_b], [best_a, a1], [best_b, b1]]).reshape(4, -1)
    a, b = np.sort(np.concatenate(boundaries_a)), np.sort(np.concatenate(boundaries_b))
    increments = increment(a[:-1], b[:-1], a[1:], b[1:])
    chain = [
        np.concatenate([fg[i:j], bg[k:m]]) for i, j, k, m in zip(a[:-1], a[1:], b[:-1], b[1:], strict=True)
    ]
    return _settle(chain, np.asarray(increments, dtype=np.float64), x, gamma, np.ones(P + N), scale)


def best_counts(increment: CountIncrement, target: Bools, w: Float64s) -> Bools:
    """Mask maximising w(A) − F(A) for a submodular function F of the two counts.

    Parameters
    ----------
    increment : callable
        ``increment(a0, b0, a1, b1)`` = F(a1, b1) − F(a0, b0), vectorised over int64 arrays.
    target : (p,) ndarray of bool
    w : (p,) ndarray of float64

    Returns
    -------
    (p,) ndarray of bool

    Notes
    -----
    Complexity: O(p log p) evaluations of `increment`.
    """
    fg, bg = (
        elements[np.argsort(-w[elements], kind="stable")]
        for elements in map(np.flatnonzero, (target, ~target))
    )
    box = np.array([[0], [0], [len(fg)], [len(bg)]])
    a, b = _cheapest(increment, _PrefixSums(w[fg], w[bg]), 1.0, np.zeros(1), box)
    mask = np.zeros(len(w), dtype=np.bool_)
    mask[fg[: a[0]]] = mask[bg[: b[0]]] = True
    return mask


def prox_on_chain(
    order: Ints, increments: Float64s, x: Float64s, gamma: float, metric: Float64s
) -> ProxSolution:
    """The prox restricted to z decreasing along an order: an isotonic regression.

    It is the prox itself when the order is that of the proximal point.

    Parameters
    ----------
    order : (n,) ndarray of int64
    increments : (n,) ndarray of float64
        Greedy increments along the order.
    x : (n,) ndarray of float64
    gamma : float
    metric : (n,) ndarray of float64
        Positive.

    Returns
    -------
    ProxSolution

    Notes
    -----
    Complexity: O(n).
    """
    from scipy.optimize import isotonic_regression

    start = x[order] - gamma * (increments / metric[order])
    regression = isotonic_regression(start, weights=metric[order], increasing=False)
    first, sizes = regression.blocks[:-1], np.diff(regression.blocks)
    # The regression also joins neighbours that were equal from the start: these are tied by accident.
    accident = np.repeat(np.maximum.reduceat(start, first) == np.minimum.reduceat(start, first), sizes)
    pool_starts = accident.copy()
    pool_starts[first] = True
    z, pools = np.empty(len(x)), np.empty(len(x), dtype=np.int64)
    z[order] = np.where(accident, start, regression.x)
    pools[order] = np.cumsum(pool_starts) - 1
    return ProxSolution(z, pools)


def separate(
    x: Float64s, gamma: float, metric: Float64s, bounds: tuple[Float64s, Float64s]
) -> tuple[Ints, Ints]:
    """Level sets of the prox that are certain from x alone: elements too far apart to interact.

    z_i lies between x_i − gamma·high_i/metric_i and x_i − gamma·low_i/metric_i.

    Returns
    -------
    order : (n,) ndarray of int64
        The elements, those with the higher intervals first.
    cuts : (k + 1,) ndarray of int64
        0 = cuts[0] < … < cuts[k] = n: before each cut all elements end strictly above all elements after it.
    """
    low, high = bounds
    with np.errstate(over="ignore"):
        bottom = x - gamma * (high / metric)
        top = x - gamma * (low / metric)
    # Equal bottoms are ordered by x, then by position: the order inside a class must be that of x.
    order = np.lexsort((-x, -bottom))
    lowest = np.minimum.accumulate(bottom[order])
    highest = np.maximum.accumulate(top[order][::-1])[::-1]
    inner = np.flatnonzero(lowest[:-1] > highest[1:]) + 1
    return order, np.concatenate([[0], inner, [len(x)]])


class _PrefixSums:
    """Compensated prefix sums of the two sorted classes."""

    def __init__(self, foreground: Float64s, background: Float64s) -> None:
        self._fg = compensated_cumsum(foreground)
        self._bg = compensated_cumsum(background)

    def foreground(self, start: Ints, stop: Ints) -> NDArray[np.longdouble]:
        return _span(self._fg, start, stop)

    def background(self, start: Ints, stop: Ints) -> NDArray[np.longdouble]:
        return _span(self._bg, start, stop)


def compensated_cumsum(values: Float64s) -> tuple[Float64s, Float64s]:
    """Prefix sums as unevaluated sums high + low, accurate to about twice the digits of a double."""
    high = np.concatenate([[0.0], np.cumsum(values)])
    # The rounding error of each addition of the running sum is itself a double (Knuth's two-sum).
    before, after = high[:-1], high[1:]
    moved = after - before
    errors = (before - (after - moved)) + (values - moved)
    return high, np.concatenate([[0.0], np.cumsum(errors)])


def _span(sums: tuple[Float64s, Float64s], start: Ints, stop: Ints) -> NDArray[np.longdouble]:
    high, low = sums
    wide = high.astype(np.longdouble)
    span: NDArray[np.longdouble] = (wide[stop] - wide[start]) + (low[stop] - low[start]).astype(np.longdouble)
    return span


def _cheapest(
    increment: CountIncrement, sums: _PrefixSums, gamma: float, levels: NDArray, boxes: Ints
) -> tuple[Ints, Ints]:
    """For each box of counts [a0, a1] × [b0, b1] the pair (a, b) of least cost at its level.

    Rows b of a box are searched middle first; the best column of the middle row bounds those of the halves.
    """
    a0, b0, a1, b1 = boxes
    box = np.arange(boxes.shape[1])
    best_a, best_b = a0.copy(), b0.copy()
    best = np.full(len(box), np.inf, dtype=np.longdouble)
    row_low, row_high, column_low, column_high = b0, b1, a0, a1
    while len(box):
        row = (row_low + row_high) // 2
        lengths = column_high - column_low + 1
        starts = np.cumsum(lengths) - lengths
        node = np.repeat(np.arange(len(box)), lengths)
        column = np.arange(len(node)) - (starts - column_low)[node]
        a_start, b_start, level = a0[box], b0[box], levels[box]
        costs = gamma * increment(a_start[node], b_start[node], column, row[node])
        costs = costs + level[node] * (column - a_start[node]) - sums.foreground(a_start[node], column)
        least = np.minimum.reduceat(costs, starts)
        hits = np.flatnonzero(costs == least[node])
        choice = column[hits[np.searchsorted(hits, starts)]]
        least = least + level * (row - b_start) - sums.background(b_start, row)
        # Nodes of one box are neighbours: keep its best row of this round if it beats the rounds before.
        first = np.flatnonzero(np.concatenate([[True], box[1:] != box[:-1]]))
        round_best = np.full(len(best), np.inf, dtype=np.longdouble)
        round_best[box[first]] = np.minimum.reduceat(least, first)
        winners = np.flatnonzero((least == round_best[box]) & (least < best[box]))[::-1]
        best[box[winners]] = least[winners]
        best_a[box[winners]], best_b[box[winners]] = choice[winners], row[winners]
        halves = np.stack(
            [
                np.stack([box, row_low, row - 1, column_low, choice]),
                np.stack([box, row + 1, row_high, choice, column_high]),
            ],
            axis=2,
        ).reshape(5, -1)
        box, row_low, row_high, column_low, column_high = halves[:, halves[1] <= halves[2]]
    return best_a, best_b


def _settle(
    chain: Sequence[Ints], increments: Float64s, x: Float64s, gamma: float, metric: Float64s, scale: float
) -> ProxSolution:
    """Pool values from their members, neighbours in the wrong order merged, on a chain of level sets."""
    masses = np.array([metric[m[0]] if len(m) == 1 else math.fsum(metric[m]) for m in chain])
    values = np.array(
        [
            _pool_value(x[m], metric[m], gamma * g, mass)
            for m, g, mass in zip(chain, increments, masses, strict=True)
        ]
    )
    if (np.diff(values) > 0).any():
        chain, values = _merge_upwards(chain, increments, masses, values, x, gamma, metric)
    z, pools = np.empty(len(x)), np.empty(len(x), dtype=np.int64)
    members = np.concatenate(list(chain))
    sizes = [len(m) for m in chain]
    z[members] = np.repeat(values / scale, sizes)
    pools[members] = np.repeat(np.arange(len(sizes)), sizes)
    return ProxSolution(z, pools)


def _merge_upwards(
    chain: Sequence[Ints],
    increments: Float64s,
    masses: Float64s,
    values: Float64s,
    x: Float64s,
    gamma: float,
    metric: Float64s,
) -> tuple[list[Ints], Float64s]:
    """Pool adjacent violators on the pools of a chain, whose values must not increase."""
    stack: list[tuple[list[Ints], float, float, float]] = []
    for members, increment, mass, value in zip(chain, increments, masses, values, strict=True):
        pool = ([members], float(increment), float(mass), float(value))
        while stack and stack[-1][3] < pool[3]:
            before = stack.pop()
            parts, total, weight = before[0] + pool[0], before[1] + pool[1], before[2] + pool[2]
            joined = np.concatenate(parts)
            pool = (parts, total, weight, _pool_value(x[joined], metric[joined], gamma * total, weight))
        stack.append(pool)
    return [np.concatenate(parts) for parts, *_ in stack], np.array([value for *_, value in stack])


def _pool_value(x: Float64s, metric: Float64s, pull: float, mass: float) -> float:
    """(Σ metric_i x_i − pull) / Σ metric_i, with one rounding for the sum."""
    if len(x) == 1:
        return float(x[0] - pull / mass)
    scale = _SHRINK if float(np.abs(x).max()) > _LARGE else 1.0
    return math.fsum([*(metric * (x * scale)).tolist(), -pull * scale]) / mass / scale


def _power_of_two(x: Float64s, gamma: float, bounds: tuple[Float64s, Float64s]) -> float:
    """A factor for x and gamma that keeps products and sums inside the floating-point range."""
    moves = max(1.0, *(float(np.abs(bound).max()) for bound in bounds)) * gamma
    if moves > _LARGE:
        return _SHRINK
    return _GROW if max(moves, float(np.abs(x).max())) < 1.0 / _GROW else 1.0
