"""Isotonic regression by pooling adjacent violators: weighted least squares under a non-increasing order.

Two neighbouring pools whose means increase may be merged, in any order, until there are none. The order is
chosen for the processor: runs of violators are taken eight entries at a time, decreasing stretches are only
copied, and what is neither is first *thinned*, block by block, by merging pairs of neighbours with arithmetic
instead of branches, which no processor could predict there.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .prefix import two_sum

_RUN = 8
#: Thinned blocks double from the first size to the second while no long run comes between them.
_SMALL_BLOCK, _LARGE_BLOCK = 64, 512
#: Thinning stops when one pool is left for so many entries, or when two passes keep more than this share.
_ENTRIES, _KEPT = 8, 0.8
#: Sums of products are rounded: with weights, entries this close to their mean, relatively, count as equal.
_TIE = 2.0**-50


@inlined
def _thin(y, weights, start, stop, sums, masses, sizes):
    """Pool the entries start, …, stop − 1 among themselves, mostly; return the number of pools.

    With few violations nothing is pooled and 0 returned.
    """
    left = 0
    for k in range(start, stop - 1, 2):
        a, b = y[k], y[k + 1]
        merge = b >= a
        size = 2.0 if merge else 1.0
        if weights is None:
            masses[left] = size
            masses[left + 1] = 1.0
        else:
            u, v = weights[k], weights[k + 1]
            a *= u
            b *= v
            masses[left] = u + (v if merge else 0.0)
            masses[left + 1] = v
            sizes[left] = size
            sizes[left + 1] = 1.0
        sums[left] = a + (b if merge else 0.0)
        sums[left + 1] = b
        left += 2 - merge
    if 16 * left >= 15 * (stop - start):
        return 0
    if (stop - start) % 2 == 1:
        mass = 1.0
        if weights is not None:
            mass = weights[stop - 1]
            sizes[left] = 1.0
        sums[left] = y[stop - 1] * mass
        masses[left] = mass
        left += 1
    before = 2 * left
    while left > (stop - start) // _ENTRIES and left < _KEPT * before:
        before = left
        for first in (1, 0):
            # Pools first and first + 1, the next two, … are merged where they violate.
            pools = left
            left = first
            for k in range(first, pools - 1, 2):
                a, b = sums[k], sums[k + 1]
                u, v = masses[k], masses[k + 1]
                merge = b * u >= a * v
                sums[left] = a + (b if merge else 0.0)
                sums[left + 1] = b
                masses[left] = u + (v if merge else 0.0)
                masses[left + 1] = v
                if weights is not None:
                    c, d = sizes[k], sizes[k + 1]
                    sizes[left] = c + (d if merge else 0.0)
                    sizes[left + 1] = d
                left += 2 - merge
            if (pools - first) % 2 == 1:
                sums[left] = sums[pools - 1]
                masses[left] = masses[pools - 1]
                if weights is not None:
                    sizes[left] = sizes[pools - 1]
                left += 1
    return left


@inlined
def _absorb(y, weights, i, high, low, mass, mass_low):
    """Add y[i], y[i + 1], … to a pool while they violate; return where that ends, and the sums.

    Eight entries may join at once if the smallest is not below the mean with all of them: then none of them
    is below the mean of those before it. The mean is compared in differences from the smallest, because in
    sums of whole entries a light pool is lost beside heavy ones. A pool's last entry is never below its mean.
    """
    n = y.shape[0]
    stop = i
    while i == stop:
        while i + _RUN <= n:
            a, b, c, d = y[i], y[i + 1], y[i + 2], y[i + 3]
            e, f, g, h = y[i + 4], y[i + 5], y[i + 6], y[i + 7]
            smallest = min(min(min(a, b), min(c, d)), min(min(e, f), min(g, h)))
            if weights is None:
                tolerance = 0.0
                above = ((a - smallest) + (b - smallest)) + ((c - smallest) + (d - smallest))
                above += ((e - smallest) + (f - smallest)) + ((g - smallest) + (h - smallest))
            else:
                tolerance = _TIE * abs(high + low)
                q, r, s, t = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
                u, v, w, x = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
                above = (q * (a - smallest) + r * (b - smallest)) + (s * (c - smallest) + t * (d - smallest))
                above += (u * (e - smallest) + v * (f - smallest)) + (w * (g - smallest) + x * (h - smallest))
                a, b, c, d, e, f, g, h = a * q, b * r, c * s, d * t, e * u, f * v, g * w, h * x
                more = ((q + r) + (s + t)) + ((u + v) + (w + x))
            if smallest * mass - (high + low) < above - tolerance:
                break
            high, low = two_sum(high, low, ((a + b) + (c + d)) + ((e + f) + (g + h)))
            if weights is None:
                mass += _RUN
            else:
                mass, mass_low = two_sum(mass, mass_low, more)
            i += _RUN
        stop = min(i + _RUN, n)
        while i < stop and (y[i] >= y[i - 1] or y[i] * mass >= high + low):
            if weights is None:
                high, low = two_sum(high, low, y[i])
                mass += 1.0
            else:
                high, low = two_sum(high, low, y[i] * weights[i])
                mass, mass_low = two_sum(mass, mass_low, weights[i])
            i += 1
        if i == n:
            break
    return i, high, low, mass, mass_low


@kernel
def _regress(y, weights, values, starts):
    """Fill `values` and `starts`; return the number of pools.

    Until the end the arrays are a stack of pools, from the front. From the back they hold a stack of the
    sums (unevaluated sums of two floats) of those pools that have more than one entry: each leaves room for
    one. Fresh memory would cost more than the arithmetic.
    """
    n = y.shape[0]
    sums, lows = values, starts.view(np.float64)
    free = n - 1
    masses = None if weights is None else np.empty((n // 2 + 1, 2))
    block = min(n, _LARGE_BLOCK)
    thin_sums = np.empty(block)
    thin_masses = np.empty(block)
    thin_sizes = None if weights is None else np.empty(block)
    block = _SMALL_BLOCK
    pools = 0
    thinned = 0
    taken = 0
    i = 0
    while i < n:
        # The next pool is (start, …, i − 1): a thinned one, or a run that the last pool or a new one begins.
        start = i
        high = low = mass = mass_low = 0.0
        if taken < thinned:
            high = thin_sums[taken]
            mass = thin_masses[taken]
            if weights is None:
                i += int(mass)
            else:
                i += int(thin_sizes[taken])
            taken += 1
        else:
            begin = i
            if pools > 0:
                # An entry below the last pool was copied.
                pools -= 1
                start = starts[pools]
            if i - start > 1:
                free += 1
                high = sums[free]
                low = lows[free]
                if weights is None:
                    mass = float(i - start)
                else:
                    mass = masses[n - 1 - free, 0]
                    mass_low = masses[n - 1 - free, 1]
            elif i - start == 1:
                mass = 1.0
                if weights is not None:
                    mass = weights[start]
                high = y[start] * mass
            # At least one entry joins: it may lie between the mean and its rounded value.
            more = 1.0
            if weights is not None:
                more = weights[i]
            high, low = two_sum(high, low, y[i] * more)
            mass, mass_low = two_sum(mass, mass_low, more)
            i += 1
            i, high, low, mass, mass_low = _absorb(y, weights, i, high, low, mass, mass_low)
            if i - begin >= _RUN:
                block = _SMALL_BLOCK
            elif i < n:
                thinned = _thin(y, weights, i, min(i + block, n), thin_sums, thin_masses, thin_sizes)
                taken = 0
                block = min(2 * block, _LARGE_BLOCK)
        value = y[start]
        if i - start > 1:
            value = (high + low) / (mass + mass_low)

        while pools > 0 and values[pools - 1] <= value:
            pools -= 1
            if start - starts[pools] == 1:
                more = 1.0
                if weights is not None:
                    more = weights[starts[pools]]
                high, low = two_sum(high, low, values[pools] * more)
                mass, mass_low = two_sum(mass, mass_low, more)
            else:
                free += 1
                high, low = two_sum(high, low + lows[free], sums[free])
                if weights is None:
                    mass += float(start - starts[pools])
                else:
                    mass, mass_low = two_sum(
                        mass, mass_low + masses[n - 1 - free, 1], masses[n - 1 - free, 0]
                    )
            start = starts[pools]
            value = (high + low) / (mass + mass_low)
        values[pools] = value
        starts[pools] = start
        if i - start > 1:
            sums[free] = high
            lows[free] = low
            if weights is not None:
                masses[n - 1 - free, 0] = mass
                masses[n - 1 - free, 1] = mass_low
            free -= 1
        pools += 1
        if taken == thinned:
            while i < n and y[i] < values[pools - 1]:
                values[pools] = y[i]
                starts[pools] = i
                pools += 1
                i += 1

    starts[pools] = n
    # From the back, because the means lie in the front of the array that is filled.
    pool = pools - 1
    while pool >= 0 and starts[pool + 1] > pool + 1:
        mean = values[pool]
        for k in range(starts[pool], starts[pool + 1]):
            values[k] = mean
        pool -= 1
    return pools


def isotonic_decreasing(y, weights=None):
    """argmin ½ Σ weights_i (fit_i − y_i)² subject to fit_1 ≥ fit_2 ≥ …, by pooling adjacent violators.

    Parameters
    ----------
    y : (n,) contiguous float64
        Finite, n ≥ 1. n · max |y| (with weights, Σ weights · max |y|) must not overflow.
    weights : (n,) contiguous float64 or None
        Positive; None for 1.

    Returns
    -------
    fit : (n,) ndarray of float64
        Non-increasing; equal to y, bit for bit, where an entry is a pool of its own.
    starts : (k + 1,) ndarray of int64
        The pools are the entries starts[q], …, starts[q + 1] − 1. Equal neighbours may share one or not.

    Notes
    -----
    O(n). The mean of a pool has an error of a few ulp of the mean of |y| over the pool, whatever its size.

    References
    ----------
    Best and Chakravarti, "Active set algorithms for isotonic regression; a unifying framework", 1990.
    """
    n = len(y)
    fit = np.empty(n)
    starts = np.empty(n + 1, dtype=np.int64)
    pools = _regress(y, weights, fit, starts)
    return fit, starts[: pools + 1]
