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

from ._jit import kernel
from .prefix import prefix_sums, two_sum, weight_sums
from .sort import sort_indices
from .sort_buckets import MANY, sort_into

# Sums beyond the first could overflow, and pools of entries below the second lose their last bits; powers of
# two rescale either without rounding.
_LARGE, _SHRINK = 2.0**1020, 2.0**-60
_SMALL, _GROW = 2.0**-960, 2.0**200
#: Evaluations for the value of one pool before some of them are spent on breakpoints.
_NEWTON = 8
#: Entries that may be moved by insertion before their number is compared with that of all.
_PATIENCE = 256
#: Words of work space for a pixel, and for one more: words, twice, which make room for sums; entries and
#: pixels in order; four arrays of pools.
WORK = 6


@kernel
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


@kernel
def jaccard_increment(total, fg0, fg_mass, bg0, bg_mass):
    """Δ after minus Δ before fg_mass of foreground and bg_mass of background join fg0 and bg0.

    `total` is μ(fg). The terms are products of non-negative factors: nothing cancels.
    """
    if total == 0.0:
        return 1.0 if bg0 == 0.0 and bg_mass > 0.0 else 0.0
    after = total + bg0 + bg_mass
    return fg_mass / after + max(total - fg0, 0.0) / (total + bg0) * (bg_mass / after)


@kernel
def middle_breakpoint(x, cost_start, cost_stop, floor, ceiling):
    """The middle breakpoint x_i − cost in ]floor, ceiling[, for the cost that has more of them there.

    It is `floor` where there is none.
    """
    start_low = count_above(x, ceiling + cost_start, 0)
    start_high = count_above(x, floor + cost_start, start_low)
    stop_low = count_above(x, ceiling + cost_stop, start_low)
    stop_high = count_above(x, floor + cost_stop, stop_low)
    if max(start_high - start_low, stop_high - stop_low) == 0:
        return floor
    if start_high - start_low >= stop_high - stop_low:
        return x[(start_low + start_high) // 2] - cost_start
    return x[(stop_low + stop_high) // 2] - cost_stop


@kernel
def jaccard_pools(xf, xb, wf, wb, total, gamma, highs, lows, ends, fg_starts, fg_ends, values):
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
    highs, lows : (P + N,) float64
        Work space.
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
    The value of a pool is the root of an increasing piecewise linear function, which need be neither convex
    nor concave: Newton's iterates are kept inside an open bracket ]floor, ceiling[ of the root, and bisect it
    when a step leaves it. Every merge starts Newton at a level t whose counts k0, k1 are known, next to the
    root; the searches run outwards from there. Newton alone may need as many steps as there are pixels; after
    a few, every other one goes to the middle breakpoint, so that a root takes O(log P) evaluations of
    O(log P) each, and all take O(N log² P) at worst (proofs/paper/05-complexity.md).

    The inner loop is one function, because calls that take arrays count references to each of them.
    """
    P = xf.shape[0]
    N = xb.shape[0]
    lightest = 1.0
    if wf is not None:
        fg_high, fg_low = weight_sums(wf)
        bg_high, bg_low = weight_sums(wb)
        for b in range(N):
            lightest = min(lightest, wb[b])
    # No pixel moves further than γ/μ(fg), so no pool is wider than that (and a little for rounding).
    reach = 1.001 * gamma / (total if total > 0.0 else lightest)
    fg_sum_high, fg_sum_low = highs[:P], lows[:P]
    bg_sum_high, bg_sum_low = highs[P:], lows[P:]
    prefix_sums(xf, wf, reach, fg_sum_high, fg_sum_low)
    prefix_sums(xb, wb, reach, bg_sum_high, bg_sum_low)

    pools = 0
    for last in range(N):
        start = last
        stop = last + 1
        if wb is None:
            bg_stop = float(stop)
        else:
            bg_stop = bg_high[stop] + bg_low[stop]
        cost_stop = gamma / (total + bg_stop)
        # An open bracket of the rank's own root, and of that of every pool which it joins; not empty even
        # where γ or the entry is 0 or subnormal.
        margin = 0.001 * reach + 1e-12 * abs(xb[last]) + 1e-300
        lowest = xb[last] - reach - margin
        highest = xb[last] + margin
        floor = lowest
        ceiling = highest
        if pools == 0:
            t = xb[last]
            k0 = count_above(xf, t + gamma / total, 0) if total > 0.0 else 0
        else:
            # At the value of the pool before, k0 is known and k1 is next to it. That value bounds the root
            # from above, unless the two merge.
            t = values[pools - 1]
            k0 = np.int64(fg_ends[pools - 1])
            ceiling = min(t, highest)
        level = t + cost_stop
        k1 = k0
        if k1 < P and xf[k1] > level:
            k1 = count_above(xf, level, k1)
        own = True
        while True:
            if wb is None:
                bg0 = float(start)
                bg_mass = float(stop - start)
                first = xb[start]
            else:
                bg0 = bg_high[start] + bg_low[start]
                bg_mass = (bg_high[stop] - bg_high[start]) + (bg_low[stop] - bg_low[start])
                first = xb[start] * wb[start]
            bg_sum = (bg_sum_high[last] - bg_sum_high[start]) + first
            bg_rest = bg_sum_low[last] - bg_sum_low[start]
            cost_start = gamma / (total + bg0) if total > 0.0 else 0.0
            if not own:
                level = t + cost_start
                if (k0 < P and xf[k0] > level) or (k0 > 0 and xf[k0 - 1] <= level):
                    k0 = count_above(xf, level, k0)
            merge = False
            evaluations = 0
            while True:
                evaluations += 1
                high = bg_sum
                low = bg_rest
                fg_mass = 0.0
                if wf is None:
                    fg0 = float(k0)
                else:
                    fg0 = fg_high[k0] + fg_low[k0]
                if k1 > k0:
                    if wf is None:
                        fg_mass = float(k1 - k0)
                        first = xf[k0]
                    else:
                        fg_mass = (fg_high[k1] - fg_high[k0]) + (fg_low[k1] - fg_low[k0])
                        first = xf[k0] * wf[k0]
                    high += (fg_sum_high[k1 - 1] - fg_sum_high[k0]) + first
                    low += fg_sum_low[k1 - 1] - fg_sum_low[k0]
                pull = gamma * jaccard_increment(total, fg0, fg_mass, bg0, bg_mass)
                root = ((high - pull) + low) / (bg_mass + fg_mass)
                if own:
                    own = False
                    if pools > 0 and root > t:
                        # The rank's own root lies above the pool before: they merge, wherever it is.
                        merge = True
                        break
                if root == t:
                    break
                if root > t:
                    floor = max(floor, t)
                else:
                    ceiling = min(ceiling, t)
                settled = floor < root < ceiling
                if evaluations > _NEWTON and (evaluations % 2 == 0 or not settled):
                    # Newton's steps may be as many as there are breakpoints; halving these bounds them.
                    middle = middle_breakpoint(xf, cost_start, cost_stop, floor, ceiling)
                    if floor < middle < ceiling:
                        root = middle
                        settled = False
                if not floor < root < ceiling:
                    root = floor + 0.5 * (ceiling - floor)
                    if not floor < root < ceiling:
                        break
                new_k0 = k0
                new_k1 = k1
                level = root + cost_start
                if (k0 < P and xf[k0] > level) or (k0 > 0 and xf[k0 - 1] <= level):
                    new_k0 = count_above(xf, level, k0)
                level = root + cost_stop
                if (k1 < P and xf[k1] > level) or (k1 > 0 and xf[k1 - 1] <= level):
                    new_k1 = count_above(xf, level, k1)
                t = root
                if settled and new_k0 == k0 and new_k1 == k1:
                    break
                k0 = new_k0
                k1 = new_k1
            if not merge and (pools == 0 or t <= values[pools - 1]):
                break
            # Not between the values of the two that merge: they are rounded, and may exclude the root.
            floor = lowest
            ceiling = highest
            pools -= 1
            start = np.int64(ends[pools - 1]) if pools > 0 else 0
            k0 = np.int64(fg_starts[pools])
        values[pools] = t
        ends[pools] = stop
        fg_starts[pools] = k0
        fg_ends[pools] = k1
        pools += 1
    return pools


@kernel
def fill_pools(
    xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values, fg, bg, floor, scale, z, labels
):
    """Write the prox to the pixels: pools take their value, the foreground between them pays γ/(P + b).

    A foreground entry solves z = sup{t : t + c_{b(t)} < x}, b(t) the background above t: either it lies in
    a pool, or it lands between two.

    Parameters
    ----------
    xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values
        As in `jaccard_pools`.
    fg, bg : (P,), (N,) uint32
        Pixels of the sorted entries.
    floor : float
        No value below it is written.
    scale : float
        A power of two that the entries were multiplied by, and that what is written is divided by.
    z : (p,) float64, written at these pixels
    labels : (p,) int64 or None, written at these pixels
        Pools, lone foreground entries among them, numbered in decreasing order of their value.
    """
    P = xf.shape[0]
    cost = gamma / total if total > 0.0 else 0.0
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
            z[fg[k]] = max(min(max(xf[k] - cost, value), above), floor) / scale
            if labels is not None:
                labels[fg[k]] = label
            label += 1
            k += 1
        if q == pools:
            break
        shown = max(value, floor) / scale
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


@kernel
def _select(x, kinds, scale, fg_cut, bg_cut, fg_words, bg_words):
    """Write the pixels of each class whose entries exceed its cut to words; return their numbers."""
    P = 0
    N = 0
    for i in range(x.shape[0]):
        # Without branches: the class is hard to predict.
        kind = kinds[i]
        entry = x[i] * scale
        fg_words[P] = i
        bg_words[N] = i
        P += (kind == 1) & (entry > fg_cut)
        N += (kind == 0) & (entry > bg_cut)
    return P, N


@kernel
def _sort_pixels(x, scale, words, spare, n, pixels, entries):
    """Write the pixels words[:n] in decreasing order of x, and their scaled entries."""
    if n >= MANY:
        sort_into(x, words, n, spare, pixels, entries)
        if scale != 1.0:
            for k in range(n):
                entries[k] *= scale
    else:
        sort_indices(x, words, spare, n)
        for k in range(n):
            pixels[k] = words[k]
            entries[k] = x[words[k]] * scale


@kernel
def _insert(pixels, entries, size, pixel, entry):
    """Insert into sorted entries[:size]; return how many of them move."""
    k = size
    while k > 0 and (entries[k - 1] < entry or (entries[k - 1] == entry and pixels[k - 1] > pixel)):
        entries[k] = entries[k - 1]
        pixels[k] = pixels[k - 1]
        k -= 1
    entries[k] = entry
    pixels[k] = pixel
    return size - k


@kernel
def _sort_again(x, scale, cut, before, words, n, pixels, entries):
    """Do as `_sort_pixels`, by insertion in an order that was right for a nearby x; tell if it is done.

    It gives up when the entries have moved so far that sorting anew is quicker.
    """
    moves = 0
    size = 0
    last = np.inf
    for k in range(before.shape[0]):
        pixel = before[k]
        entry = x[pixel] * scale
        if not entry > cut:
            continue
        if entry < last:
            pixels[size] = pixel
            entries[size] = entry
            last = entry
        else:
            moves += _insert(pixels, entries, size, pixel, entry)
            if moves > _PATIENCE + size // 2:
                return False
            last = entries[size]
        size += 1
    if size < n:
        # Some entries have risen above the cut since.
        known = np.zeros(x.shape[0], np.uint8)
        for k in range(size):
            known[pixels[k]] = 1
        for k in range(n):
            pixel = np.uint32(words[k])
            if known[pixel] == 0:
                moves += _insert(pixels, entries, size, pixel, x[pixel] * scale)
                if moves > _PATIENCE + n:
                    return False
                size += 1
    return True


@kernel
def _order_pixels(x, scale, cut, before, words, spare, n, pixels, entries):
    """`_sort_again` where an order is known, else `_sort_pixels`."""
    if before.shape[0] == 0 or not _sort_again(x, scale, cut, before, words, n, pixels, entries):
        _sort_pixels(x, scale, words, spare, n, pixels, entries)


@kernel
def _weights_of(weights, pixels):
    """Weights of the pixels; None where weights is None."""
    if weights is None:
        return None
    chosen = np.empty(pixels.shape[0])
    for k in range(pixels.shape[0]):
        chosen[k] = weights[pixels[k]]
    return chosen


@kernel
def jaccard_prox(x, kinds, weights, gamma, positive, z, labels, order, sizes, work):
    """Prox of the Lovász extension f of the Jaccard loss, or of f∘max(·, 0), for one image.

    Parameters
    ----------
    x : (p,) float64
    kinds : (p,) uint8
        1 foreground, 0 background, 2 void.
    weights : (p,) float64 or None
        Pixel weights, of the loss and of the metric.
    gamma : float
    positive : bool
        True for f∘max(·, 0): entries ≤ 0 are left alone, and nothing positive falls below 0.
    z : (p,) float64, written
        May be x itself. Void pixels take x.
    labels : (p,) int64 or None, written where not void
        Pool of every pixel, in decreasing order of the pools' values; None also allows to leave out of the
        sort what provably stays where it is. Entries that `positive` leaves alone get no label.
    order : (p,) or (0,) uint32, read and written
        The sorted foreground, then the sorted background of an earlier call; with no entries nothing is kept.
    sizes : (2,) int64, read and written
        Their numbers; 0 before the first call.
    work : (≥ WORK · (p + 1),) uint64
        Work space: fresh memory is dear, so that the caller may keep it or allocate it in large pages.
    """
    p = x.shape[0]
    total = 0.0
    error = 0.0
    lightest = np.inf
    lowest = np.inf
    fg_highest = -np.inf
    bg_lowest = np.inf
    highest = -np.inf
    P = 0
    N = 0
    for i in range(p):
        # Without branches: the class is hard to predict.
        entry = x[i]
        z[i] = entry
        is_fg = kinds[i] == 1
        is_bg = kinds[i] == 0
        P += is_fg
        N += is_bg
        lowest = min(lowest, entry if is_fg else np.inf)
        fg_highest = max(fg_highest, entry if is_fg else -np.inf)
        bg_lowest = min(bg_lowest, entry if is_bg else np.inf)
        highest = max(highest, entry if is_bg else -np.inf)
        if weights is not None:
            if is_fg:
                total, error = two_sum(total, error, weights[i])
            elif is_bg:
                lightest = min(lightest, weights[i])
    if P + N == 0:
        return
    if weights is None:
        total = float(P)
        lightest = 1.0
    else:
        total += error
    largest = max(max(highest, fg_highest), -min(lowest, bg_lowest), gamma)
    scale = _SHRINK if largest > _LARGE / (P + N) else (_GROW if largest < _SMALL else 1.0)
    gamma *= scale
    fg_cut = -np.inf
    bg_cut = -np.inf
    if positive:
        fg_cut = 0.0
        bg_cut = 0.0
    elif labels is None:
        # Background that stays behind the whole foreground costs nothing; without foreground, only the
        # first pixel of the background does.
        if total > 0.0:
            lowest *= scale
            bg_cut = lowest - 1.001 * gamma / total - 1e-12 * abs(lowest)
        else:
            highest *= scale
            bg_cut = highest - 1.001 * gamma / lightest - 1e-12 * abs(highest)
    fg_words, bg_words = work[: P + 1], work[P + 1 : P + N + 2]
    used = P + N + 2
    P, N = _select(x, kinds, scale, fg_cut, bg_cut, fg_words, bg_words)
    n = P + N
    spare = work[used : used + n]
    used += n
    entries = work[used : used + n].view(np.float64)
    used += n
    values = work[used : used + N].view(np.float64)
    used += N
    short = work[used : used + (n + 3 * N + 1) // 2]
    pixels = short.view(np.uint32)[:n]
    counts = short.view(np.int32)[n:]
    ends, fg_starts, fg_ends = counts[:N], counts[N : 2 * N], counts[2 * N : 3 * N]
    fg, xf = pixels[:P], entries[:P]
    bg, xb = pixels[P:], entries[P:]
    known = sizes[0]
    _order_pixels(x, scale, fg_cut, order[:known], fg_words, spare, P, fg, xf)
    _order_pixels(x, scale, bg_cut, order[known : known + sizes[1]], bg_words, spare, N, bg, xb)
    if order.shape[0] > 0:
        order[:n] = pixels
        sizes[0] = P
        sizes[1] = N
    wf = _weights_of(weights, fg)
    wb = _weights_of(weights, bg)
    # The order is known: the words make room for sums.
    highs = work[:n].view(np.float64)
    lows = spare.view(np.float64)
    pools = jaccard_pools(xf, xb, wf, wb, total, gamma, highs, lows, ends, fg_starts, fg_ends, values)
    floor = 0.0 if positive else -np.inf
    fill_pools(xf, wb, total, gamma, pools, ends, fg_starts, fg_ends, values, fg, bg, floor, scale, z, labels)
