"""Stable sort of floats in decreasing order: radix sort of the leading 32 bits, packed with the index.

A key is the complement of the leading 32 bits of a float in the upper half of a 64-bit word (so that
increasing words are decreasing floats), and the index of the entry in the lower half. Three passes over eight
bytes an entry order float32 completely; of float64 they leave runs that agree in sign, exponent and twenty bits of
the mantissa, which are short unless entries are crowded.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_DIGIT = 11
_BUCKETS = 1 << _DIGIT
_SHORT = 64
#: Runs of equal leading bits up to this length are sorted by insertion.
_RUN = 48
_SIGN = np.uint64(1 << 63)
_LOWER = np.uint64(0xFFFFFFFF)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True, error_model="numpy")
def rank_bits(bits):
    """Map the bit pattern of a float64 to an integer that decreases as the float increases."""
    if bits & _SIGN:
        return bits
    return bits ^ (_ALL ^ _SIGN)


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def sort_indices(x, bits, words, spare, n):
    """Sort the indices words[:n] of x by decreasing x; equal entries keep their order.

    Parameters
    ----------
    x : (p,) float64
        No NaN. −0 counts as +0 must be arranged by the caller; here it sorts behind +0.
    bits : (p,) uint64
        The memory of x, seen as integers.
    words : (≥ n,) uint64, sorted in place
    spare : (≥ n,) uint64
        Work space.
    n : int

    Notes
    -----
    O(n): three passes; six where many entries share their leading 32 bits.
    """
    for i in range(n):
        words[i] |= rank_bits(bits[words[i]]) & (_ALL ^ _LOWER)
    _sort_words(words, spare, n)
    run = 1
    for i in range(1, n):
        run = run + 1 if (words[i] ^ words[i - 1]) >> np.uint64(32) == 0 else 1
        if run > _RUN:
            break
    if run > _RUN:
        # Crowded entries: order by the trailing bits first, the stable passes do the rest.
        for i in range(n):
            index = words[i] & _LOWER
            words[i] = index | (rank_bits(bits[index]) << np.uint64(32))
        _sort_words(words, spare, n)
        for i in range(n):
            index = words[i] & _LOWER
            words[i] = index | (rank_bits(bits[index]) & (_ALL ^ _LOWER))
        _sort_words(words, spare, n)
        for i in range(n):
            words[i] &= _LOWER
        return
    previous = words[0] if n > 0 else np.uint64(0)
    for i in range(n):
        word = words[i]
        index = word & _LOWER
        words[i] = index
        if i > 0 and (word ^ previous) >> np.uint64(32) == 0:
            value = x[index]
            j = i
            while j > 0 and x[words[j - 1]] < value:
                words[j] = words[j - 1]
                j -= 1
            words[j] = index
        previous = word
