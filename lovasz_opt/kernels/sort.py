"""Stable sort of floats in decreasing order: radix sort of the leading 32 bits, packed with the index.

A key is the complement of the leading 32 bits of a float in the upper half of a 64-bit word (so that
increasing words are decreasing floats), and the index of the entry in the lower half. Three passes over
eight bytes an entry order float32 completely; of float64 they leave runs that agree in sign, exponent and
twenty bits of the mantissa, which are short unless entries are crowded.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel

_DIGIT = 11
_BUCKETS = 1 << _DIGIT
_SHORT = 64
#: Runs of equal leading bits up to this length are sorted by insertion.
_RUN = 48
_SIGN = np.uint64(1 << 63)
_LOWER = np.uint64(0xFFFFFFFF)
_UPPER = np.uint64(0xFFFFFFFF00000000)
#: What of a word is the index; the bit above it is the caller's.
INDEX = np.uint64(0x7FFFFFFF)
# All bits of a float but the sign.
_SINGLE = np.uint64(0x7FFFFFFF00000000)
_DOUBLE = np.uint64(0x7FFFFFFFFFFFFFFF)


@kernel
def _key(value, single):
    """64 bits that decrease as the float increases; for single precision the lower half is 0."""
    if single:
        bits = np.uint64(np.float32(value).view(np.uint32)) << np.uint64(32)
        mask = _SINGLE
    else:
        bits = np.float64(value).view(np.uint64)
        mask = _DOUBLE
    return bits if bits & _SIGN else bits ^ mask


@kernel
def leading(value, single):
    """Leading bits of a key in the upper half of a word, the lower half being left to the index."""
    return _key(value, single) & _UPPER


@kernel
def _sort_words(words, spare, n):
    """Sort words[:n] by their upper 32 bits, increasing; equal ones keep their order."""
    if n <= _SHORT:
        for i in range(1, n):
            word = words[i]
            upper = word >> np.uint64(32)
            j = i
            while j > 0 and (words[j - 1] >> np.uint64(32)) > upper:
                words[j] = words[j - 1]
                j -= 1
            words[j] = word
        return
    counts = np.zeros((3, _BUCKETS), dtype=np.int64)
    for i in range(n):
        word = words[i]
        counts[0, (word >> np.uint64(32)) & np.uint64(_BUCKETS - 1)] += 1
        counts[1, (word >> np.uint64(32 + _DIGIT)) & np.uint64(_BUCKETS - 1)] += 1
        counts[2, word >> np.uint64(32 + 2 * _DIGIT)] += 1
    source, target = words, spare
    moved = False
    for digit in range(3):
        shift = np.uint64(32 + _DIGIT * digit)
        row = counts[digit]
        if row[(source[0] >> shift) & np.uint64(_BUCKETS - 1)] == n:
            continue
        start = 0
        for bucket in range(_BUCKETS):
            size = row[bucket]
            row[bucket] = start
            start += size
        for i in range(n):
            word = source[i]
            bucket = (word >> shift) & np.uint64(_BUCKETS - 1)
            place = row[bucket]
            row[bucket] = place + 1
            target[place] = word
        source, target = target, source
        moved = not moved
    if moved:
        words[:n] = spare[:n]


@kernel
def sort_indices(x, words, spare, n):
    """Sort the indices words[:n] of x by decreasing x; equal entries keep their order.

    Parameters
    ----------
    x : (p,) float32 or float64
        No NaN; −0 sorts behind +0.
    words : (≥ n,) uint64, sorted in place
        Indices below 2^31; bit 31 is left to the caller and travels along.
    spare : (≥ n,) uint64
        Work space.
    n : int

    Notes
    -----
    O(n): three passes; six for float64 where many entries share their leading 32 bits.
    """
    single = x.itemsize == 4
    for i in range(n):
        words[i] |= leading(x[words[i] & INDEX], single)
    sort_packed(x, words, spare, n)
    for i in range(n):
        words[i] &= _LOWER


@kernel
def sort_packed(x, words, spare, n):
    """`sort_indices` where the words hold the leading bits of their entries already, and keep them."""
    _sort_words(words, spare, n)
    if x.itemsize == 8:
        run = 1
        for i in range(1, n):
            run = run + 1 if (words[i] ^ words[i - 1]) <= _LOWER else 1
            if run > _RUN:
                break
        if run > _RUN:
            # Crowded entries: order by the trailing bits first, the stable passes do the rest.
            for i in range(n):
                item = words[i] & _LOWER
                words[i] = item | (_key(x[item & INDEX], False) << np.uint64(32))
            _sort_words(words, spare, n)
            for i in range(n):
                item = words[i] & _LOWER
                words[i] = item | leading(x[item & INDEX], False)
            _sort_words(words, spare, n)
        else:
            _sort_runs(x, words, n)


@kernel
def _sort_runs(x, words, n):
    """Sort by insertion inside runs of equal leading bits."""
    for i in range(1, n):
        word = words[i]
        if (word ^ words[i - 1]) <= _LOWER:
            value = x[word & INDEX]
            j = i
            while j > 0 and (word ^ words[j - 1]) <= _LOWER and x[words[j - 1] & INDEX] < value:
                words[j] = words[j - 1]
                j -= 1
            words[j] = word


@kernel
def argsort_decreasing(x):
    """Stable argsort of a (p,) float array in decreasing order, p < 2^31, no NaN; ±0 are equal."""
    n = x.shape[0]
    zero = x.dtype.type(0.0)
    values = np.empty_like(x)
    words = np.empty(n, np.uint64)
    for i in range(n):
        # Adding +0 makes −0 a +0.
        values[i] = x[i] + zero
        words[i] = i
    sort_indices(values, words, np.empty(n, np.uint64), n)
    order = np.empty(n, np.int64)
    for i in range(n):
        order[i] = words[i]
    return order


@kernel
def argsort_labels(labels, groups):
    """Stable argsort of labels 0, …, groups − 1 by counting."""
    starts = np.zeros(groups + 1, np.int64)
    for i in range(labels.shape[0]):
        starts[labels[i] + 1] += 1
    for group in range(groups):
        starts[group + 1] += starts[group]
    order = np.empty(labels.shape[0], np.int64)
    for i in range(labels.shape[0]):
        order[starts[labels[i]]] = i
        starts[labels[i]] += 1
    return order
