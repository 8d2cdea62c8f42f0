"""Exact rational references: the prox as fractions, from all sets or from a table of counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import as_rational, as_target
from ..sets.base import SetFunction
from .brute import all_masks

Fractions = NDArray[np.object_]


def as_fractions(x: Any) -> Fractions:
    """Exact fractions of numbers; a float is the dyadic rational that it stores.

    Parameters
    ----------
    x : array of float, int or Fraction
        Any shape.

    Returns
    -------
    ndarray of Fraction

    Examples
    --------
    >>> from fractions import Fraction
    >>> as_fractions([0.5, 3]).tolist()
    [Fraction(1, 2), Fraction(3, 1)]
    """
    array = np.asarray(x)
    flat = [as_rational(v, "x") for v in array.ravel()]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(array.shape)


def set_values_exact(F: SetFunction) -> Fractions:
    """Exact values of F on all 2^n sets, indexed by code, for the functions of `reference.brute`.

    Parameters
    ----------
    F : SetFunction
        Of at most 16 elements; where F is not rational its float values are taken as the fractions they are.

    Returns
    -------
    (2^n,) ndarray of Fraction

    Examples
    --------
    >>> from lovasz_opt import Jaccard
    >>> set_values_exact(Jaccard([1, 0, 0])).tolist()[-2:]
    [Fraction(2, 3), Fraction(1, 1)]
    """
    return as_fractions([F.exact_value(mask) for mask in all_masks(F.n)])


def jaccard_row(foreground: int) -> Callable[[int], tuple[list[int], int]]:
    """Jaccard loss by counts, (a + b)/(P + b), in the form that `prox_counts_exact` takes.

    Parameters
    ----------
    foreground : int
        Number P of foreground pixels.

    Returns
    -------
    callable
        Maps the number b of false positives to the numerators for a = 0, …, P and their common denominator.

    Examples
    --------
    >>> jaccard_row(2)(1)
    ([1, 2, 3], 3)
    """
    return lambda b: ([a + b for a in range(foreground + 1)], max(foreground + b, 1))


def prox_counts_exact(
    row: Callable[[int], tuple[list[int], int]], target: ArrayLike, x: Any, gamma: Any
) -> Fractions:
    """Exact prox of the Lovász extension of a function of the two counts, from the whole table of counts.

    Among sets with a foreground and b background elements the a and b largest scores are best, so that a
    level set minimises γ Δ(a, b) + t (a + b) − S_a − S_b over the table, S being prefix sums of sorted
    scores. Start from the whole ground set as one pool; its value t makes its two ends equally good; if
    some (a, b) in between is strictly better, split the pool there, else its elements all have z = t.

    Parameters
    ----------
    row : callable
        Maps b to the integer numerators of Δ(0, b), …, Δ(P, b) and their denominator (`jaccard_row`).
    target : (p,) array of {0, 1}
        Which elements are foreground.
    x : (p,) array of int, float or Fraction
        Scores, taken exactly.
    gamma : int, float or Fraction
        Step, taken exactly.

    Returns
    -------
    (p,) ndarray of Fraction

    Notes
    -----
    Complexity: O(P N) operations on integers for each level of the recursion.

    Reference: Groenevelt, Two algorithms for maximizing a separable concave function over a polymatroid
    feasible region, European Journal of Operational Research, 1991.

    Examples
    --------
    >>> prox_counts_exact(jaccard_row(2), [1, 0, 1], [26, 12, 13], 12).astype(float).tolist()
    [20.0, 10.0, 9.0]
    """
    mask, scores, step = as_target(target), as_fractions(x), as_fractions(gamma).item()
    unit = lcm(*(v.denominator for v in scores), step.denominator)
    foreground = _sorted_indices(np.flatnonzero(mask), scores)
    background = _sorted_indices(np.flatnonzero(~mask), scores)
    # Everything below is in units of 1/unit, in Python integers.
    sums_fg = _prefix_sums(int(scores[i] * unit) for i in foreground)
    sums_bg = _prefix_sums(int(scores[j] * unit) for j in background)
    cost = int(step * unit)
    counts = np.array(range(len(foreground) + 1), dtype=object)
    table = [
        (np.array(numerators, dtype=object), denominator)
        for numerators, denominator in map(row, range(len(background) + 1))
    ]

    def level_value(first: tuple[int, int], last: tuple[int, int]) -> tuple[int, int]:
        (a0, b0), (a1, b1) = first, last
        (top0, den0), (top1, den1) = table[b0], table[b1]
        size = a1 + b1 - a0 - b0
        gain = sums_fg[a1] + sums_bg[b1] - sums_fg[a0] - sums_bg[b0]
        over = gain * den0 * den1 - cost * (top1[a1] * den0 - top0[a0] * den1)
        under = size * den0 * den1
        shared = gcd(over, under)
        return over // shared, under // shared

    def best_split(
        first: tuple[int, int], last: tuple[int, int], t: tuple[int, int]
    ) -> tuple[int, int] | None:
        (a0, b0), (a1, b1) = first, last
        over, under = t

        def scaled(b: int, part: slice) -> Any:
            numerators, denominator = table[b]
            linear = over * (counts[part] + b) - under * (sums_fg[part] + sums_bg[b])
            return cost * under * numerators[part] + denominator * linear

        at_first = Fraction(int(scaled(b0, slice(a0, a0 + 1))[0]), table[b0][1])
        best, where = at_first, None
        for b in range(b0, b1 + 1):
            values = scaled(b, slice(a0, a1 + 1))
            a = int(np.argmin(values))
            if values[a] * best.denominator < best.numerator * table[b][1]:
                best, where = Fraction(int(values[a]), table[b][1]), (a0 + a, b)
        return where

    z = np.empty(len(scores), dtype=object)
    pools = [((0, 0), (len(foreground), len(background)))] if len(scores) else []
    while pools:
        first, last = pools.pop()
        t = level_value(first, last)
        split = best_split(first, last, t)
        if split is None:
            z[foreground[first[0] : last[0]]] = z[background[first[1] : last[1]]] = Fraction(
                t[0], t[1] * unit
            )
        else:
            pools += [(first, split), (split, last)]
    return z


def _sorted_indices(indices: NDArray[np.intp], scores: Fractions) -> NDArray[np.intp]:
    """Indices in decreasing order of their scores."""
    return np.array(sorted(indices, key=lambda i: -scores[i]), dtype=np.intp)


def _prefix_sums(terms: Iterable[int]) -> NDArray[np.object_]:
    """Sums of the first 0, 1, … terms, as Python integers."""
    sums = [0]
    for term in terms:
        sums.append(sums[-1] + term)
    return np.array(sums, dtype=object)
