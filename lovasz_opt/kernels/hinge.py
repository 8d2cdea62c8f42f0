"""Lovász hinge of the Jaccard loss: value and subgradient, image by image."""

from __future__ import annotations

import numpy as np
from numba import njit

from .greedy import value_and_greedy


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_images(logits, kinds, weights, totals, divisor, start, stop, values, gradient):
    """Value and subgradient of the Lovász hinge for the images start, …, stop − 1.

    Parameters
    ----------
    logits : (B, p) float32 or float64
    kinds : (B, p) uint8
        1 foreground, 0 background, 2 void.
    weights : (B, p) float64 or None
    totals : (B,) float64
        Weight μ(fg) of the foreground of every image.
    divisor : float
        What the subgradient is divided by: the number of images in a mean.
    start, stop : int
    values : (B,) float64, written
    gradient : (B, p) like logits, written where it is not 0; the caller passes zeros.
    """
    p = logits.shape[1]
    one = logits.dtype.type(1.0)
    margins = np.empty(p, dtype=logits.dtype)
    words = np.empty(p + 1, dtype=np.uint64)
    spare = np.empty(p, dtype=np.uint64)
    for b in range(start, stop):
        for i in range(p):
            margins[i] = one - logits[b, i] if kinds[b, i] == 1 else one + logits[b, i]
        row = None if weights is None else weights[b]
        values[b] = value_and_greedy(
            margins, kinds[b], row, totals[b], 1.0, divisor, words, spare, gradient[b]
        )
