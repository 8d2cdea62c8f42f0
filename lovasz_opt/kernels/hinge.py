"""Lovász hinge of the Jaccard loss: value and subgradient, image by image."""

from __future__ import annotations

import numpy as np
from numba import njit

from .greedy import sweep
from .radix import sort_decreasing


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(logits, codes, margins, items):
    """Gather the pixels that can matter; return their number and that of the foreground.

    A margin ≤ 0 contributes nothing, and neither does a background pixel behind the last foreground pixel:
    nothing is left to lose there. Without foreground only the first background pixel counts.
    """
    one = margins.dtype.type(1.0)
    lowest = margins.dtype.type(np.inf)
    highest = margins.dtype.type(0.0)
    foreground = 0
    for i in range(logits.shape[0]):
        if codes[i] == 1:
            foreground += 1
            lowest = min(lowest, one - logits[i])
        elif codes[i] == 0:
            highest = max(highest, one + logits[i])
    floor = lowest if foreground > 0 else highest
    n = 0
    for i in range(logits.shape[0]):
        if codes[i] == 1:
            margin = one - logits[i]
            if margin > 0:
                margins[n] = margin
                items[n] = ~i
                n += 1
        elif codes[i] == 0:
            margin = one + logits[i]
            if margin > 0 and margin >= floor:
                margins[n] = margin
                items[n] = i
                n += 1
    return n, foreground


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_images(logits, codes, weights, totals, divisor, start, stop, margins, keys, values, gradient):
    """Value and subgradient of the Lovász hinge for the images start, …, stop − 1.

    Parameters
    ----------
    logits : (B, p) float32 or float64
    codes : (B, p) uint8
        1 foreground, 0 background, anything else void.
    weights : (B, p) float64 or None
    totals : (B,) float64
        Weight μ(fg) of the foreground of every image.
    divisor : float
        What the subgradient is divided by: the number of images in a mean.
    margins, keys : (2, p) arrays
        Work space of this call: floats like the logits, and the same memory seen as unsigned integers.
    values : (B,) float64, written
    gradient : (B, p) like logits, written where it is not 0; the caller passes zeros.
    """
    p = logits.shape[1]
    items = np.empty((2, p), dtype=np.int64)
    for b in range(start, stop):
        n, foreground = _collect(logits[b], codes[b], margins[0], items[0])
        sort_decreasing(keys[0], items[0], keys[1], items[1], n)
        row = None if weights is None else weights[b]
        values[b] = sweep(margins[0], items[0], n, row, totals[b], foreground, 1.0, divisor, gradient[b])
