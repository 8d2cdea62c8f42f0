"""Lovász-Softmax: value and gradient of one class of one image at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from .greedy import sweep
from .radix import sort_decreasing


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(probas, labels, label, margins, items):
    """Gather the errors that can matter, as for the hinge; return their number and that of the foreground."""
    one = margins.dtype.type(1.0)
    lowest = margins.dtype.type(np.inf)
    highest = margins.dtype.type(0.0)
    foreground = 0
    for i in range(probas.shape[0]):
        if labels[i] == label:
            foreground += 1
            lowest = min(lowest, one - probas[i])
        elif labels[i] >= 0:
            highest = max(highest, probas[i])
    floor = lowest if foreground > 0 else highest
    n = 0
    for i in range(probas.shape[0]):
        if labels[i] == label:
            error = one - probas[i]
            if error > 0:
                margins[n] = error
                items[n] = ~i
                n += 1
        elif labels[i] >= 0:
            error = probas[i]
            if error > 0 and error >= floor:
                margins[n] = error
                items[n] = i
                n += 1
    return n, foreground


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_classes(
    probas, labels, images, classes, shares, divisor, start, stop, margins, keys, values, gradient
):
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
    margins, keys : (2, p) arrays
        Work space of this call, as in `hinge_images`.
    values : (K,) float64, written
    gradient : (B, C, p) like probas, written where it is not 0; the caller passes zeros.
    """
    items = np.empty((2, probas.shape[2]), dtype=np.int64)
    for k in range(start, stop):
        b = images[k]
        c = classes[k]
        n, foreground = _collect(probas[b, c], labels[b], c, margins[0], items[0])
        sort_decreasing(keys[0], items[0], keys[1], items[1], n)
        total = float(foreground)
        values[k] = sweep(
            margins[0], items[0], n, None, total, foreground, shares[k], divisor, gradient[b, c]
        )
