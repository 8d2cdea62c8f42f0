"""Prefix sums in twice the working precision, so that a difference of two of them keeps its digits."""

from __future__ import annotations

import numpy as np

from ._jit import kernel


@kernel
def two_sum(high, low, term):
    """One step of Knuth's TwoSum: the rounding error of the running sum goes to `low`."""
    total = high + term
    rest = total - high
    return total, low + ((high - (total - rest)) + (term - rest))


@kernel
def prefix_sums(x, weights, reach, high, low):
    """Inclusive prefix sums of weights·x (x alone where weights is None), as unevaluated sums high + low.

    x is sorted in decreasing order; wherever two neighbours are more than `reach` (and some rounding) apart
    the sums start afresh, so that entries of very different size never share a sum: a difference of two sums
    is only taken inside such a run.
    """
    total = 0.0
    error = 0.0
    for i in range(x.shape[0]):
        term = x[i]
        if weights is not None:
            term *= weights[i]
        # Without branches: where the gaps are about as wide as the reach, no processor could predict them.
        before = x[i - 1] if i > 0 else x[0]
        afresh = before - x[i] > reach + 1e-12 * abs(before)
        total, error = two_sum(0.0 if afresh else total, 0.0 if afresh else error, term)
        high[i] = total
        low[i] = error


@kernel
def weight_sums(weights):
    """Exclusive prefix sums of positive weights, as unevaluated sums high + low of length n + 1."""
    high = np.zeros(weights.shape[0] + 1)
    low = np.zeros(weights.shape[0] + 1)
    for i in range(weights.shape[0]):
        high[i + 1], low[i + 1] = two_sum(high[i], low[i], weights[i])
    return high, low
