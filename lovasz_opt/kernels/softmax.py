"""Lovász-Softmax: value and gradient of one class of one image at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from .greedy import value_and_greedy


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_classes(probas, labels, images, classes, shares, divisor, start, stop, values, gradient):
    """Lovász loss of the classes ``classes[k]`` in the images ``images[k]``, start ≤ k < stop.

    Parameters
    ----------
    probas : (B, C, p) float32 or float64
    labels : (B, p) int64
        Class of every pixel, negative where void.
    images, classes : (K,) int64
    shares : (K,) float64
        What the gradient of that class is multiplied by: its part of the mean over classes.
    divisor : float
        What every gradient is divided by: the number of images.
    start, stop : int
    values : (K,) float64, written
    gradient : (B, C, p) like probas, written where it is not 0; the caller passes zeros.
    """
    p = probas.shape[2]
    one = probas.dtype.type(1.0)
    errors = np.empty(p, dtype=probas.dtype)
    kinds = np.empty(p, dtype=np.uint8)
    words = np.empty(p + 1, dtype=np.uint64)
    spare = np.empty(p, dtype=np.uint64)
    for k in range(start, stop):
        b = images[k]
        c = classes[k]
        foreground = 0
        for i in range(p):
            label = labels[b, i]
            inside = label == c
            foreground += inside
            kinds[i] = 1 if inside else (0 if label >= 0 else 2)
            errors[i] = one - probas[b, c, i] if inside else probas[b, c, i]
        values[k] = value_and_greedy(
            errors, kinds, None, float(foreground), shares[k], divisor, words, spare, gradient[b, c]
        )
