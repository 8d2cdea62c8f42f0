"""Stable sorting of positive floats in decreasing order: radix sort on their bit patterns."""

from __future__ import annotations

import numpy as np
from numba import njit

#: Eleven bits a pass: three passes for float32, six for float64, and counters that fit in the first cache.
_DIGIT = 11
_BUCKETS = 1 << _DIGIT
_SHORT = 48


@njit(cache=True, nogil=True, error_model="numpy")
def _insertion_sort(keys, items, n):
    for i in range(1, n):
        key = keys[i]
        item = items[i]
        j = i
        while j > 0 and keys[j - 1] < key:
            keys[j] = keys[j - 1]
            items[j] = items[j - 1]
            j -= 1
        keys[j] = key
        items[j] = item


@njit(cache=True, nogil=True, error_model="numpy")
def sort_decreasing(keys, items, spare_keys, spare_items, n):
    """Sort keys[:n] in decreasing order and items[:n] along with them; equal keys keep their order.

    Parameters
    ----------
    keys : array of uint32 or uint64
        Bit patterns of floats ≥ +0: as unsigned integers they are ordered like the floats.
    items : array of int64
    spare_keys, spare_items : arrays like `keys` and `items`
        Work space; overwritten.
    n : int

    Notes
    -----
    O(n) for a fixed width. A pass whose digit is the same everywhere is skipped.
    """
    if n <= _SHORT:
        _insertion_sort(keys, items, n)
        return
    passes = (8 * keys.itemsize + _DIGIT - 1) // _DIGIT
    counts = np.zeros((passes, _BUCKETS), dtype=np.int64)
    for i in range(n):
        key = np.uint64(keys[i])
        for digit in range(passes):
            counts[
                digit, (_BUCKETS - 1) - np.int64((key >> np.uint64(_DIGIT * digit)) & np.uint64(_BUCKETS - 1))
            ] += 1
    source_keys, source_items = keys, items
    target_keys, target_items = spare_keys, spare_items
    swapped = False
    for digit in range(passes):
        shift = np.uint64(_DIGIT * digit)
        first = (_BUCKETS - 1) - np.int64((np.uint64(keys[0]) >> shift) & np.uint64(_BUCKETS - 1))
        if counts[digit, first] == n:
            continue
        start = 0
        for bucket in range(_BUCKETS):
            size = counts[digit, bucket]
            counts[digit, bucket] = start
            start += size
        for i in range(n):
            key = source_keys[i]
            bucket = (_BUCKETS - 1) - np.int64((np.uint64(key) >> shift) & np.uint64(_BUCKETS - 1))
            place = counts[digit, bucket]
            counts[digit, bucket] = place + 1
            target_keys[place] = key
            target_items[place] = source_items[i]
        source_keys, target_keys = target_keys, source_keys
        source_items, target_items = target_items, source_items
        swapped = not swapped
    if swapped:
        keys[:n] = spare_keys[:n]
        items[:n] = spare_items[:n]
