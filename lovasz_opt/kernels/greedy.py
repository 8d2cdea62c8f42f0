"""Value and greedy vector of the Lovász extension of the Jaccard loss at positive margins.

What the Lovász hinge and the Lovász-Softmax share: drop the pixels that cannot matter, sort, sweep. Where
many matter, they are first spread over buckets of similar margins. Runs of buckets, the groups, are then
sorted and swept each on its own, in the cache: what lies before a group is known by counting. The margins
alone decide where groups end, and so the order of all sums, however the work is divided.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .sort import INDEX, leading, sort_packed

#: The bit of a word that is set for foreground.
_FOREGROUND = np.uint64(1 << 31)
#: As many pixels as this that matter, or fewer, are one group.
_ONE_GROUP = 1 << 15
#: Buckets are joined to groups of at least this many pixels.
_GROUP = 1 << 13
BUCKETS = 1 << 11
# Bits of a word behind the exponent and six bits of the mantissa, and what those before are just below 2^16.
_SINGLE, _FIRST_SINGLE = np.uint64(32 + 23 - 6), (256 - (127 + 16)) << 6
_DOUBLE, _FIRST_DOUBLE = np.uint64(32 + 20 - 6), (2048 - (1023 + 16)) << 6
#: A count holds pixels in its lower and foreground pixels in its upper half.
_PIXELS = (1 << 32) - 1
#: Pixels that are selected at a time.
_STRIP = 1024


@kernel
def floor_of(margins, kinds, foreground):
    """What a background margin > 0 must reach to matter.

    Behind the last foreground pixel nothing is left to lose. Without foreground only the largest margin
    counts.
    """
    lowest = margins.dtype.type(np.inf)
    highest = margins.dtype.type(0.0)
    if foreground > 0:
        for i in range(margins.shape[0]):
            if kinds[i] == 1:
                lowest = min(lowest, margins[i])
                if lowest <= 0:
                    # Positive margins lie above it in any case.
                    break
        return lowest
    for i in range(margins.shape[0]):
        if kinds[i] == 0:
            highest = max(highest, margins[i])
    return highest


@kernel
def select(margins, kinds, first, floor, words):
    """Write the pixels that can matter to words, numbered from first on; return how many.

    The margins of the others become 0.
    """
    single = margins.itemsize == 4
    zero = margins.dtype.type(0.0)
    matters = np.zeros(_STRIP, dtype=np.uint8)
    eights = matters.view(np.uint64)
    n = np.uint64(0)
    for start in range(0, margins.shape[0], _STRIP):
        strip = margins[start : start + _STRIP]
        kind = kinds[start : start + _STRIP]
        size = strip.shape[0]
        for i in range(size):
            inside = (strip[i] > 0) & ((kind[i] == 1) | ((kind[i] == 0) & (strip[i] >= floor)))
            matters[i] = inside
            strip[i] = strip[i] if inside else zero
        for eight in range((size + 7) // 8):
            # On a trained network most eights hold nothing that matters.
            if eights[eight] != 0:
                for i in range(8 * eight, min(8 * eight + 8, size)):
                    # Without branches: which pixels matter is hard to predict.
                    side = np.uint64(kind[i] & 1) << np.uint64(31)
                    words[n] = leading(strip[i], single) | side | np.uint64(first + start + i)
                    n += np.uint64(matters[i])
    return np.int64(n)


@kernel
def _bucket(word, single):
    """Bucket of a word: one of 64 of every power of 2 from 2^16 down to 2^−16, or the nearest."""
    if single:
        bucket = np.int64(word >> _SINGLE) - _FIRST_SINGLE
    else:
        bucket = np.int64(word >> _DOUBLE) - _FIRST_DOUBLE
    return min(max(bucket, 0), BUCKETS - 1)


@kernel
def count(words, n, single, counts):
    """Add the pixels, and the foreground pixels, of every bucket to the counts."""
    for k in range(n):
        counts[_bucket(words[k], single)] += 1 + np.int64((words[k] & _FOREGROUND) << np.uint64(1))


@kernel
def place(counts):
    """Turn counts (blocks, buckets) into places; return the groups.

    Row g of the groups holds the number of pixels, and of foreground pixels, before group g, and the last row
    those of all groups.
    """
    n_blocks = counts.shape[0]
    n = 0
    for block in range(n_blocks):
        for bucket in range(BUCKETS):
            n += counts[block, bucket] & _PIXELS
    # Few pixels are closed as one group by the last bucket only.
    least = n + 1 if n <= _ONE_GROUP else _GROUP
    before = np.zeros((BUCKETS + 1, 2), dtype=np.int64)
    groups = 0
    pixels = 0
    foreground = 0
    for bucket in range(BUCKETS):
        for block in range(n_blocks):
            both = counts[block, bucket]
            counts[block, bucket] = pixels
            pixels += both & _PIXELS
            foreground += both >> 32
        if pixels - before[groups, 0] >= least or bucket == BUCKETS - 1:
            groups += 1
            before[groups, 0] = pixels
            before[groups, 1] = foreground
    return before[: groups + 1]


@kernel
def scatter(words, n, single, places, target):
    """Write the words to their places, bucket by bucket; those of a bucket keep their order."""
    for k in range(n):
        bucket = _bucket(words[k], single)
        target[places[bucket]] = words[k]
        places[bucket] += 1


@kernel
def _sweep(margins, words, n, union, remaining, share, divisor):
    """Σ w_i m_i over margins in decreasing order; ∓share·w_i / divisor takes their place.

    The union and what remains of the foreground are counted from what they are at the start.
    """
    dtype = margins.dtype.type
    value = 0.0
    for k in range(n):
        # Without branches: what comes next, foreground or background, is hard to predict.
        i = words[k] & INDEX
        foreground = words[k] & _FOREGROUND != 0
        above = 1.0 if foreground else remaining
        below = union if foreground else union * (union + 1.0)
        # Without foreground the first pixel takes all.
        weight = above / below if union > 0.0 else 1.0
        remaining -= 1.0 if foreground else 0.0
        union += 0.0 if foreground else 1.0
        value += weight * np.float64(margins[i])
        # Rounded before it is divided: an image has the same derivative alone and in a batch.
        slope = dtype(share * weight) / dtype(divisor)
        margins[i] = -slope if foreground else slope
    return value


@kernel
def _sweep_weighted(margins, words, n, weights, total, left, share, divisor):
    """`_sweep` with pixel weights, over all pixels."""
    dtype = margins.dtype.type
    union = total
    remaining = total
    value = 0.0
    for k in range(n):
        i = words[k] & INDEX
        foreground = words[k] & _FOREGROUND != 0
        mass = weights[i]
        if foreground:
            weight = mass / union
            left -= 1
            # The last foreground pixel leaves exactly 0, whatever the subtractions lost.
            remaining = remaining - mass if left > 0 else 0.0
        else:
            weight = 1.0 if union == 0.0 else mass / (union + mass) * (max(remaining, 0.0) / union)
            union += mass
        value += weight * np.float64(margins[i])
        rounded = dtype(share * weight)
        margins[i] = (-rounded if foreground else rounded) / dtype(divisor)
    return value


@kernel
def sweep_groups(margins, words, spare, before, start, stop, foreground, share, divisor, values):
    """Sort and sweep the groups start, …, stop − 1 of an image without weights; write the value of each."""
    for g in range(start, stop):
        first = before[g, 0]
        end = before[g + 1, 0]
        sort_packed(margins, words[first:end], spare[first:end], end - first)
        union = float(foreground + first - before[g, 1])
        remaining = float(foreground - before[g, 1])
        values[g] = _sweep(margins, words[first:end], end - first, union, remaining, share, divisor)


@kernel
def value_and_greedy(margins, kinds, foreground, weights, total, share, divisor, words, spare):
    """Value Σ w_i m_i with the greedy vector w, which takes the place of the margins.

    Parameters
    ----------
    margins : (p,) float32 or float64
        Sums are accumulated in float64. Entry i becomes −share·w_i / divisor for foreground and
        +share·w_i / divisor for background: a margin falls with the score of a foreground pixel and rises
        with that of a background pixel.
    kinds : (p,) uint8
        1 foreground, 0 background, 2 void.
    foreground : int
        Number of foreground pixels.
    weights : (p,) float64 or None
    total : float or None
        Weight μ(fg) of the foreground; None where weights is None.
    share, divisor : float
        What the derivative of this image is multiplied and divided by.
    words, spare : (≥ p,) uint64
        Work space.
    """
    n = select(margins, kinds, 0, floor_of(margins, kinds, foreground), words)
    if weights is not None:
        sort_packed(margins, words, spare, n)
        return _sweep_weighted(margins, words, n, weights, total, foreground, share, divisor)
    if n <= _ONE_GROUP:
        sort_packed(margins, words, spare, n)
        union = float(foreground)
        return _sweep(margins, words, n, union, union, share, divisor)
    single = margins.itemsize == 4
    counts = np.zeros((1, BUCKETS), dtype=np.int64)
    count(words, n, single, counts[0])
    before = place(counts)
    scatter(words, n, single, counts[0], spare)
    groups = before.shape[0] - 1
    values = np.empty(groups)
    sweep_groups(margins, spare, words, before, 0, groups, foreground, share, divisor, values)
    value = 0.0
    for g in range(groups):
        value += values[g]
    return value
