"""The prox of the Jaccard loss in exact rational arithmetic, and the proof or refutation of a claimed one.

Everything is scaled to Python integers first: they cost far less than fractions, whose every sum is reduced.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from math import floor, lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._solution import ProxSolution
from ._validation import Bools, as_rational, as_rationals
from .extension import LovaszExtension
from .sets.counts import as_pixels
from .sets.jaccard import Jaccard

#: Pixels that a message lists before it counts the others.
_LISTED = 8


def prox_exact(target: ArrayLike, x: Iterable[Any], gamma: Any) -> list[Fraction]:
    """The proximal point argmin_z ½‖z − x‖² + gamma·f(z) of the Jaccard loss as rational numbers.

    The pools of the float64 prox are given their rational values, and the outcome is proved. Where that
    fails, because the pools hang on more than 53 bits, generalised isotonic regression is done in rationals.

    Parameters
    ----------
    target : (p,) array of bool or {0, 1}
        Foreground pixels.
    x : sequence of int, float, str or fractions.Fraction
        Scores; floats are taken as the exact rationals that they are.
    gamma : int, float, str or fractions.Fraction
        Step, > 0.

    Returns
    -------
    list of fractions.Fraction

    Raises
    ------
    ValueError, TypeError
        If the target is empty or not binary, lengths differ, an entry is not a finite rational, or gamma ≤ 0.

    Notes
    -----
    Complexity: O(p log p) operations on integers, O(p log² p) where float64 does not suffice.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> lo.prox_exact([0, 1, 0], ["3/2", 1, "99/100"], 1)
    [Fraction(1, 1), Fraction(2, 3), Fraction(247, 300)]
    """
    mask, scores, step = as_problem(target, x, gamma)
    unit = lcm(step.denominator, *{value.denominator for value in scores})
    labels, X, G = mask.tolist(), [int(value * unit) for value in scores], int(step * unit)
    solution = float_solution(mask, scores, step)
    if solution is not None:
        z = values_of_pools(labels, X, G, solution.pools)
        shared = lcm(*{value.denominator for value in z})
        if refutation(labels, [v * shared for v in X], [int(v * shared) for v in z], G * shared) is None:
            return [value / unit for value in z]
    return [value / unit for value in _isotonic(labels, X, G)]


def as_problem(target: ArrayLike, x: Iterable[Any], gamma: Any) -> tuple[Bools, list[Fraction], Fraction]:
    """The arguments of a prox as booleans and rationals, or an error that names what is wrong with them."""
    mask, scores, step = as_pixels(target), as_rationals(x, "x"), as_rational(gamma, "gamma")
    if len(scores) != len(mask):
        raise ValueError(f"x has {len(scores)} entries, expected {len(mask)}: one per pixel of the target")
    if step <= 0:
        raise ValueError(f"gamma is {gamma}; it must be > 0")
    return mask, scores, step


def float_solution(mask: Bools, scores: Sequence[Fraction], step: Fraction) -> ProxSolution | None:
    """The float64 prox of the numbers rounded to float64; None where they are out of its range."""
    try:
        x, gamma = np.array([float(value) for value in scores]), float(step)
    except OverflowError:
        return None
    return LovaszExtension(Jaccard(mask)).prox_solution(x, gamma) if gamma > 0 else None


def values_of_pools(
    target: Iterable[bool], x: Sequence[Any], gamma: Any, pools: Iterable[int]
) -> list[Fraction]:
    """The rational point with given pools, each of which takes the value at which its own sum is optimal.

    Parameters
    ----------
    target : iterable of bool
    x : sequence of int or fractions.Fraction
    gamma : int or fractions.Fraction
    pools : iterable of int
        Labels 0, 1, … of the pools of the pixels, in decreasing order of their values.

    Returns
    -------
    list of fractions.Fraction
        (Σ_B x − gamma·(increment of Δ when B joins the pools before)) / |B| for the pixels of a pool B.

    Examples
    --------
    >>> values_of_pools([True, False, True], [26, 12, 13], 12, [0, 1, 1])
    [Fraction(20, 1), Fraction(19, 2), Fraction(19, 2)]
    """
    mask, labels = [bool(y) for y in target], [int(label) for label in pools]
    sums: list[Any] = [0] * (max(labels) + 1)
    counts = [[0, 0] for _ in sums]
    for y, score, label in zip(mask, x, labels, strict=True):
        sums[label] += score
        counts[label][0 if y else 1] += 1
    values, a, b, before, foreground = [], 0, 0, Fraction(0), sum(mask)
    for total, (more_a, more_b) in zip(sums, counts, strict=True):
        a, b = a + more_a, b + more_b
        after = Fraction(a + b, foreground + b)
        values.append(Fraction(total - gamma * (after - before), more_a + more_b))
        before = after
    return [values[label] for label in labels]


def refutation(target: Sequence[bool], X: Sequence[int], Z: Sequence[int], G: int) -> str | None:
    """Why Z is not the prox of X with step G, or None if it is: a proof, either way.

    Z is the prox iff w = (X − Z)/G lies in the base polytope and is tight, w(A) = Δ(A), on the level sets
    A = {Z ≥ t}. Multiplied by G and by the denominators of Δ(A) = (a + b)/(P + b), all is in integers.

    Parameters
    ----------
    target : sequence of bool
    X, Z : sequence of int
    G : int
        Step, > 0.

    Returns
    -------
    str or None
        Names a set on which w is too large, or a level set on which it is too small.

    Examples
    --------
    >>> refutation([True, False, True], [26, 12, 13], [20, 10, 9], 12) is None
    True
    >>> refutation([True, False, True], [52, 24, 26], [40, 19, 19], 24)
    'w(A) exceeds Δ(A) by 0.0417 on A = {0, 1}, w = (x − z)/gamma'
    """
    W = [a - b for a, b in zip(X, Z, strict=True)]
    order = sorted(range(len(Z)), key=Z.__getitem__, reverse=True)
    P, a, b, total = sum(map(bool, target)), 0, 0, 0

    def about(amount: int) -> str:
        return f"by {Decimal(abs(amount)) / Decimal(G * (P + b)):.3g}"

    for place, i in enumerate(order, start=1):
        a, b, total = a + bool(target[i]), b + (not target[i]), total + W[i]
        short = G * (a + b) - total * (P + b)
        if short > 0 and (place == len(order) or Z[order[place]] < Z[i]):
            level = _listed(order[:place])
            return f"w(A) falls short of Δ(A) {about(short)} on the level set A = {level}, w = (x − z)/gamma"
    fg, bg = _decreasing(target, W)
    a = fg_sum = bg_sum = 0
    for b in range(len(bg) + 1):
        bg_sum += W[bg[b - 1]] if b else 0
        # The best foreground for b background pixels: whatever gains more than it costs.
        while a < P and W[fg[a]] * (P + b) > G:
            fg_sum += W[fg[a]]
            a += 1
        short = G * (a + b) - (fg_sum + bg_sum) * (P + b)
        if short < 0:
            return f"w(A) exceeds Δ(A) {about(short)} on A = {_listed(fg[:a] + bg[:b])}, w = (x − z)/gamma"
    return None


def _decreasing(target: Sequence[bool], values: Sequence[int]) -> tuple[list[int], list[int]]:
    """Foreground and background pixels, each in decreasing order of their values."""
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    return [i for i in order if target[i]], [i for i in order if not target[i]]


def _listed(pixels: list[int]) -> str:
    shown = ", ".join(map(str, sorted(pixels)[:_LISTED]))
    return f"{{{shown}}}" if len(pixels) <= _LISTED else f"{{{shown}, …}} ({len(pixels)} pixels)"


class _Pool(NamedTuple):
    """Background ranks [b0, b1[ and foreground ranks [k0, k1[ with a common value."""

    b0: int
    b1: int
    k0: int
    k1: int
    value: Fraction


def _isotonic(target: Sequence[bool], X: Sequence[int], G: int) -> list[Fraction]:
    """Generalised isotonic regression over the background, as `kernels.jaccard_prox` does it in floats.

    The value of a pool is the root of an increasing piecewise linear function, whose pieces end at foreground
    entries: bisection over these finds the counts of its piece, and on that the root is a fraction.
    """
    fg, bg = _decreasing(target, X)
    P, rising = len(fg), sorted(X[i] for i in fg)
    fg_sums = [0, *accumulate(X[i] for i in fg)]
    bg_sums = [0, *accumulate(X[j] for j in bg)]

    def cost(b: int) -> Fraction:
        # Without foreground nothing pays it, and the empty union counts as one pixel.
        return Fraction(G, max(P + b, 1))

    def count_above(level: Fraction) -> int:
        # The entries are integers.
        return P - bisect_right(rising, floor(level))

    def root_of_piece(b0: int, b1: int, k0: int, k1: int) -> Fraction:
        before, after = max(P + b0, 1), P + b1
        gain = bg_sums[b1] - bg_sums[b0] + fg_sums[k1] - fg_sums[k0]
        increment = (k1 + b1) * before - (k0 + b0) * after
        return Fraction(gain * before * after - G * increment, (b1 - b0 + k1 - k0) * before * after)

    def root_near(b0: int, b1: int, t: Fraction) -> Fraction:
        """Root of the piece at t, which lies on the same side of t as the root of the function."""
        return root_of_piece(b0, b1, count_above(t + cost(b0)), count_above(t + cost(b1)))

    def count_above_root(b0: int, b1: int, b: int) -> int:
        def reached(i: int) -> bool:
            t = X[i] - cost(b)
            return root_near(b0, b1, t) >= t

        return bisect_left(fg, True, key=reached)

    pools: list[_Pool] = []
    for b1 in range(1, len(bg) + 1):
        b0 = b1 - 1
        while pools and root_near(b0, b1, pools[-1].value) > pools[-1].value:
            b0 = pools.pop().b0
        k0, k1 = (count_above_root(b0, b1, b) for b in (b0, b1))
        pools.append(_Pool(b0, b1, k0, k1, root_of_piece(b0, b1, k0, k1)))

    z = [Fraction(0)] * len(X)
    lone = 0
    for pool in [*pools, _Pool(len(bg), len(bg), P, P, Fraction(0))]:
        for i in fg[lone : pool.k0]:
            z[i] = X[i] - cost(pool.b0)
        for i in fg[pool.k0 : pool.k1] + bg[pool.b0 : pool.b1]:
            z[i] = pool.value
        lone = pool.k1
    return z
