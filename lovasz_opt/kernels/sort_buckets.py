"""Stable sort of many floats in decreasing order: first into buckets that fit into the caches.

Every pass of a radix sort of ten million words goes to memory, and so does every look at the float behind a
word. Here one pass over memory puts keys and indices into buckets by their leading bits; the buckets follow
one another, and each is sorted in the cache by the bits in which its own keys differ.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .sort import _key, _sort_words, sort_indices

#: From so many entries on the buckets pay.
MANY = 1 << 19
#: Leading bits of a key that are counted; adjacent counts make a bucket until it has so many entries.
_BITS = 18
_SHIFT = np.uint64(64 - _BITS)
_FULL = 1 << 15
#: Bits by which a bucket is sorted; what they leave equal is sorted by insertion, unless a way is longer.
_LEADING = 22
_RUN = 48
_LOWER = np.uint64(0xFFFFFFFF)


@kernel
def sort_into(x, words, n, spare, pixels, entries):
    """Write the indices words[:n] in decreasing order of x, equal entries in theirs, and these entries of x.

    Parameters
    ----------
    x : (p,) float64
        No NaN; −0 sorts behind +0.
    words : (≥ n,) uint64, overwritten
        Indices below 2^31.
    n : int
    spare : (≥ n,) uint64
        Work space; the front is used, unless entries are crowded.
    pixels : (n,) uint32, written
    entries : (n,) float64, written

    Notes
    -----
    O(n + 2^18). Crowded entries that share 18 leading bits are sorted at once, as `sort_indices` does.
    """
    keys = entries.view(np.uint64)
    places = np.zeros(1 << _BITS, np.int64)
    for i in range(n):
        places[_key(x[words[i]], False) >> _SHIFT] += 1
    starts = np.empty(n // (_FULL // 2) + 3, np.int64)
    buckets = 0
    size = _FULL
    place = 0
    # A bucket is closed as soon as it is full, so of two neighbours one has _FULL entries at least.
    for digit in range(1 << _BITS):
        count = places[digit]
        if count > 0 and size + count > _FULL:
            starts[buckets] = place
            buckets += 1
            size = 0
        places[digit] = place
        place += count
        size += count
    starts[buckets] = n
    for i in range(n):
        pixel = words[i]
        key = _key(x[pixel], False)
        digit = key >> _SHIFT
        place = places[digit]
        places[digit] = place + 1
        keys[place] = key
        pixels[place] = pixel
    for bucket in range(buckets):
        _sort_bucket(x, keys, pixels, starts[bucket], starts[bucket + 1], words, spare)


@kernel
def _sort_bucket(x, keys, pixels, start, stop, words, spare):
    """Sort keys[start:stop] and their pixels, and make floats of the keys."""
    size = stop - start
    lowest = keys[start]
    highest = lowest
    for k in range(start, stop):
        lowest = min(lowest, keys[k])
        highest = max(highest, keys[k])
    shift = np.uint64(0)
    while (highest - lowest) >> shift >= np.uint64(1 << _LEADING):
        shift += np.uint64(1)
    for k in range(size):
        words[k] = ((keys[start + k] - lowest) >> shift) << np.uint64(32) | np.uint64(k)
    _sort_words(words, spare, size)
    if shift > 0 and not _sort_runs(keys[start:stop], words, size):
        for k in range(size):
            words[k] = pixels[start + k]
        sort_indices(x, words, spare, size)
        for k in range(size):
            pixels[start + k] = words[k]
            keys[start + k] = np.float64(x[words[k]]).view(np.uint64)
        return
    for k in range(size):
        place = start + np.int64(words[k] & _LOWER)
        spare[k] = keys[place]
        words[k] = pixels[place]
    for k in range(size):
        # The map from floats to keys is its own inverse.
        keys[start + k] = _key(np.uint64(spare[k]).view(np.float64), False)
        pixels[start + k] = words[k]


@kernel
def _sort_runs(keys, words, n):
    """Sort words that agree in their upper halves by the keys of their lower ones; give up on a long way."""
    for i in range(1, n):
        word = words[i]
        if (word ^ words[i - 1]) <= _LOWER:
            key = keys[word & _LOWER]
            j = i
            while j > 0 and (word ^ words[j - 1]) <= _LOWER and keys[words[j - 1] & _LOWER] > key:
                if i - j == _RUN:
                    return False
                words[j] = words[j - 1]
                j -= 1
            words[j] = word
    return True
