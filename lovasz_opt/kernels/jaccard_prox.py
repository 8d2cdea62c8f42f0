"""Exact prox of the Lovász extension of the Jaccard loss: generalised PAV on the background alone.

For b background pixels every foreground pixel costs c_b = γ/(P + b), so the best foreground set is
{x_i > t + c_b} and the foreground can be minimised out. What remains is, over background ranks,

    min Σ_b F_b(z_b)  s.t.  z_1 ≥ z_2 ≥ …,      F_b'(t) = h_t(b) − h_t(b−1),

with F_b' continuous, piecewise linear and increasing. A *pool* of ranks (b0, b1] has the value t that solves
h_t(b1) = h_t(b0); it also holds the foreground ranks (k0, k1] with t + c_{b1} < x ≤ t + c_{b0}.
Weights count pixel i as μ_i pixels, in the metric ½ Σ μ_i (z_i − x_i)².
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .prefix import prefix_sums, span, two_sum, weight_sums
from .sort import sort_indices


@njit(cache=True, nogil=True, error_model="numpy")
def count_above(x, level, guess):
    """Number of entries of the decreasing array x that exceed level, searched outwards from guess."""
    low = 0
    high = x.shape[0]
    step = 1
    if guess < high and x[guess] > level:
        low = guess + 1
        probe = guess + 1
        while probe < high and x[probe] > level:
            low = probe + 1
            step *= 2
            probe += step
        if probe < high:
            high = probe
    else:
        if guess < high:
            high = guess
        probe = high - 1
        while probe >= 0 and x[probe] <= level:
            high = probe
            probe -= step
            step *= 2
        if probe >= 0:
            low = probe + 1
    while low < high:
        middle = (low + high) // 2
        if x[middle] > level:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def _mass(weights, high, low, start, stop):
    """Total weight of the ranks start, …, stop − 1: their number where weights is None."""
    if weights is None:
        return float(stop - start)
    else:
        return (high[stop] - high[start]) + (low[stop] - low[start])


@njit(cache=True, nogil=True, error_model="numpy")
def _term(x, weights, i):
    if weights is None:
        return x[i]
    else:
        return x[i] * weights[i]


@njit(cache=True, nogil=True, error_model="numpy")
def jaccard_increment(total, fg0, fg_mass, bg0, bg_mass):
    """Δ after minus Δ before fg_mass of foreground and bg_mass of background join fg0 and bg0.

    `total` is μ(fg). The terms are products of non-negative factors: nothing cancels.
    """
    if total == 0.0:
        return 1.0 if bg0 == 0.0 and bg_mass > 0.0 else 0.0
    after = total + bg0 + bg_mass
    return fg_mass / after + max(total - fg0, 0.0) / (total + bg0) * (bg_mass / after)


@njit(cache=True, nogil=True, error_model="numpy")
def _newton_step(fg, bg, gamma, total, start, stop, k0, k1):
    """Root of h_t(stop) − h_t(start) if the foreground of the pool were the ranks k0, …, k1 − 1."""
    x, weights, sum_high, sum_low, mass_high, mass_low = bg
    high, low = span(sum_high, sum_low, _term(x, weights, start), start, stop)
    bg0 = _mass(weights, mass_high, mass_low, 0, start)
    bg_mass = _mass(weights, mass_high, mass_low, start, stop)
    x, weights, sum_high, sum_low, mass_high, mass_low = fg
    fg0 = _mass(weights, mass_high, mass_low, 0, k0)
    fg_mass = 0.0
    if k1 > k0:
        more_high, more_low = span(sum_high, sum_low, _term(x, weights, k0), k0, k1)
        high += more_high
        low += more_low
        fg_mass = _mass(weights, mass_high, mass_low, k0, k1)
    pull = gamma * jaccard_increment(total, fg0, fg_mass, bg0, bg_mass)
    return ((high - pull) + low) / (bg_mass + fg_mass)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_pool(fg, bg, gamma, total, start, stop, t, k0, k1, root, floor, ceiling):
    """Value and foreground ranks of the pool start, …, stop − 1, from a level t whose k0 and k1 are known.

    `root` is the Newton step from there. The function is increasing and piecewise linear, but neither convex
    nor concave, so Newton could cycle: the iterates are kept inside an open bracket of the root,
    ]floor, ceiling[, and bisect it when a step leaves it.
    """
    cost_start = gamma / (total + _mass(bg[1], bg[4], bg[5], 0, start)) if total > 0.0 else 0.0
    cost_stop = gamma / (total + _mass(bg[1], bg[4], bg[5], 0, stop))
    while True:
        if root == t:
            return t, k0, k1
        if root > t:
            floor = max(floor, t)
        else:
            ceiling = min(ceiling, t)
        if not floor < root < ceiling:
            root = floor + 0.5 * (ceiling - floor)
            if not floor < root < ceiling:
                return t, k0, k1
            settled = False
        else:
            settled = True
        new_k0 = count_above(fg[0], root + cost_start, k0)
        new_k1 = count_above(fg[0], root + cost_stop, k1)
        if settled and new_k0 == k0 and new_k1 == k1:
            return root, k0, k1
        t, k0, k1 = root, new_k0, new_k1
        root = _newton_step(fg, bg, gamma, total, start, stop, k0, k1)


@njit(cache=True, nogil=True, error_model="numpy")
def jaccard_pools(xf, xb, wf, wb, total, gamma, ends, fg_starts, fg_ends, values):
    """Pools of the prox, by generalised PAV over the background ranks.

    Parameters
    ----------
    xf, xb : (P,), (N,) float64
        Foreground and background entries, each in decreasing order. Entries that cannot share a pool may be
        missing at the end.
    wf, wb : (P,), (N,) float64 or None
        Their weights in the same order.
    total : float
        Weight of the whole foreground, also of what is missing in xf.
    gamma : float
    ends, fg_starts, fg_ends : (N,) integer arrays, written
        Pool q holds the background ranks ends[q−1], …, ends[q] − 1 and the foreground ranks
        fg_starts[q], …, fg_ends[q] − 1.
    values : (N,) float64, written
        The common value of pool q; non-increasing.

    Returns
    -------
    int
        Number of pools.

    Notes
    -----
    Every merge starts Newton at a level whose counts are known, next to the root; the searches run outwards
    from there.
    """
    P = xf.shape[0]
    N = xb.shape[0]
    lightest = 1.0
    if wf is not None:
        fg_high, fg_low = weight_sums(wf)
        bg_high, bg_low = weight_sums(wb)
        for b in range(N):
            lightest = min(lightest, wb[b])
    else:
        fg_high = fg_low = bg_high = bg_low = np.empty(0)
    # No pixel moves further than γ/μ(fg), so no pool is wider than that (and a little for rounding).
    reach = 1.001 * gamma / (total if total > 0.0 else lightest)
    fg_sum_high, fg_sum_low = np.empty(P), np.empty(P)
    bg_sum_high, bg_sum_low = np.empty(N), np.empty(N)
    prefix_sums(xf, wf, reach, fg_sum_high, fg_sum_low)
    prefix_sums(xb, wb, reach, bg_sum_high, bg_sum_low)
    fg = (xf, wf, fg_sum_high, fg_sum_low, fg_high, fg_low)
    bg = (xb, wb, bg_sum_high, bg_sum_low, bg_high, bg_low)

    pools = 0
    for last in range(N):
        start = last
        stop = last + 1
        # An open bracket of the rank's own root, not empty even where γ or the entry is 0 or subnormal.
        margin = 0.001 * reach + 1e-12 * abs(xb[last]) + 1e-300
        lowest = xb[last] - reach - margin
        highest = xb[last] + margin
        cost_stop = gamma / (total + _mass(wb, bg_high, bg_low, 0, stop))
        if pools == 0:
            t = xb[last]
            k0 = count_above(xf, t + gamma / total, 0) if total > 0.0 else 0
        else:
            # At the value of the pool before, k0 is known and k1 is next to it.
            t = values[pools - 1]
            k0 = np.int64(fg_ends[pools - 1])
        k1 = count_above(xf, t + cost_stop, k0)
        root = _newton_step(fg, bg, gamma, total, start, stop, k0, k1)
        if pools > 0 and root > t:
            # The rank's own root lies above the pool before it: they merge, wherever it is exactly.
            pools -= 1
            start = np.int64(ends[pools - 1]) if pools > 0 else 0
            k0 = np.int64(fg_starts[pools])
            root = _newton_step(fg, bg, gamma, total, start, stop, k0, k1)
            t, k0, k1 = _solve_pool(fg, bg, gamma, total, start, stop, t, k0, k1, root, t, highest)
        else:
            # The values of the pools decrease, so the pool before bounds the root unless there is none.
            ceiling = min(t, highest) if pools > 0 else highest
            t, k0, k1 = _solve_pool(fg, bg, gamma, total, start, stop, t, k0, k1, root, lowest, ceiling)
        while pools > 0 and t > values[pools - 1]:
            pools -= 1
            start = np.int64(ends[pools - 1]) if pools > 0 else 0
            cost_start = gamma / (total + _mass(wb, bg_high, bg_low, 0, start)) if total > 0.0 else 0.0
            k0 = count_above(xf, t + cost_start, np.int64(fg_starts[pools]))
            root = _newton_step(fg, bg, gamma, total, start, stop, k0, k1)
            t, k0, k1 = _solve_pool(fg, bg, gamma, total, start, stop, t, k0, k1, root, values[pools], t)
        values[pools] = t
        ends[pools] = stop
        fg_starts[pools] = k0
        fg_ends[pools] = k1
        pools += 1
    return pools


@njit(cache=True, nogil=True, error_model="numpy")
def fill_pools(xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values, fg, bg, floor, z, labels):
    """Write the prox to the pixels: pools take their value, the foreground between them pays γ/(P + b).

    A foreground entry solves z = sup{t : t + c_{b(t)} < x}, b(t) the background above t: either it lies in
    a pool, or it lands between two.

    Parameters
    ----------
    xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values
        As in `jaccard_pools`.
    fg, bg : (P,), (N,) uint64
        Pixels of the sorted entries.
    floor : float
        No value below it is written.
    z : (p,) float64, written at these pixels
    labels : (p,) int64 or None, written at these pixels
        Pools, lone foreground entries among them, numbered in decreasing order of their value.
    """
    P = xf.shape[0]
    cost = gamma / total
    k = 0
    b = 0
    label = 0
    bg_mass = 0.0
    error = 0.0
    above = np.inf
    for q in range(pools + 1):
        value = values[q] if q < pools else -np.inf
        stop = fg_starts[q] if q < pools else P
        while k < stop:
            # Rounding must not lift an entry above or below the pools it lies between.
            z[fg[k]] = max(min(max(xf[k] - cost, value), above), floor)
            if labels is not None:
                labels[fg[k]] = label
            label += 1
            k += 1
        if q == pools:
            break
        shown = max(value, floor)
        while k < fg_ends[q]:
            z[fg[k]] = shown
            if labels is not None:
                labels[fg[k]] = label
            k += 1
        while b < ends[q]:
            z[bg[b]] = shown
            if labels is not None:
                labels[bg[b]] = label
            bg_mass, error = two_sum(bg_mass, error, 1.0 if wb is None else wb[b])
            b += 1
        label += 1
        above = value
        cost = gamma / (total + (bg_mass + error))


@njit(cache=True, nogil=True, error_model="numpy")
def _sorted_pixels(x, target, wanted, cut):
    """Pixels of one class with x > cut, in decreasing order of x; and those entries."""
    n = 0
    for i in range(x.shape[0]):
        if target[i] == wanted and x[i] > cut:
            n += 1
    pixels = np.empty(n, np.uint64)
    n = 0
    for i in range(x.shape[0]):
        if target[i] == wanted and x[i] > cut:
            pixels[n] = i
            n += 1
    sort_indices(x, pixels, np.empty(n, np.uint64), n)
    entries = np.empty(n)
    for k in range(n):
        entries[k] = x[pixels[k]]
    return pixels, entries


@njit(cache=True, nogil=True, error_model="numpy")
def jaccard_prox(x, target, weights, gamma, positive, z, labels):
    """Prox of the Lovász extension f of the Jaccard loss, or of f∘max(·, 0), for one image.

    Parameters
    ----------
    x : (p,) float64
    target : (p,) bool
    weights : (p,) float64 or None
        Pixel weights, of the loss and of the metric.
    gamma : float
    positive : bool
        True for f∘max(·, 0): entries ≤ 0 are left alone, and nothing positive falls below 0.
    z : (p,) float64, written
    labels : (p,) int64 or None, written
        Pool of every pixel, in decreasing order of the pools' values; None also allows to leave out of the
        sort what provably stays where it is. Not with `positive`.
    """
    total = 0.0
    error = 0.0
    lightest = np.inf
    lowest = np.inf
    highest = -np.inf
    for i in range(x.shape[0]):
        weight = 1.0 if weights is None else weights[i]
        if target[i]:
            total, error = two_sum(total, error, weight)
            lowest = min(lowest, x[i])
        else:
            lightest = min(lightest, weight)
            highest = max(highest, x[i])
        z[i] = x[i]
    total += error
    fg_cut = -np.inf
    bg_cut = -np.inf
    if positive:
        fg_cut = 0.0
        bg_cut = 0.0
    elif labels is None:
        # Background that stays behind the whole foreground costs nothing; without foreground, only the
        # first pixel of the background does.
        if total > 0.0:
            bg_cut = lowest - 1.001 * gamma / total - 1e-12 * abs(lowest)
        else:
            bg_cut = highest - 1.001 * gamma / lightest - 1e-12 * abs(highest)
    fg, xf = _sorted_pixels(x, target, True, fg_cut)
    bg, xb = _sorted_pixels(x, target, False, bg_cut)
    if weights is not None:
        wf = np.empty(fg.shape[0])
        wb = np.empty(bg.shape[0])
        for k in range(fg.shape[0]):
            wf[k] = weights[fg[k]]
        for b in range(bg.shape[0]):
            wb[b] = weights[bg[b]]
    else:
        wf = wb = None
    ends = np.empty(bg.shape[0], np.int32)
    fg_starts = np.empty(bg.shape[0], np.int32)
    fg_ends = np.empty(bg.shape[0], np.int32)
    values = np.empty(bg.shape[0])
    pools = jaccard_pools(xf, xb, wf, wb, total, gamma, ends, fg_starts, fg_ends, values)
    floor = 0.0 if positive else -np.inf
    fill_pools(xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values, fg, bg, floor, z, labels)
