"""Softmax and its derivative, and the Lovász loss of the classes, for images that lie one behind the other.

Image b has p_b = offsets[b+1] − offsets[b] pixels. Of its C·p_b scores, those of class c start at
C·offsets[b] + c·p_b.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import kernel
from .greedy import value_and_greedy

_LOG2_E = np.float32(1.4426950408889634)
# log 2 as a number of few bits, so that its small multiples are exact, and the rest.
_LOG_2_HEAD = np.float32(0.693359375)
_LOG_2_TAIL = np.float32(-2.12194440e-4)
_LOWEST = np.float32(-87.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(k)) for k in range(3, 8))

#: Pixels whose scores of all classes are worked on at a time: they fit in the cache.
_STRIP = 1024


@kernel
def _strip(offsets, n_classes, pixel, stop):
    """First score of a pixel, distance to that of its next class, and how many pixels to take from there."""
    b = np.searchsorted(offsets, pixel, side="right") - 1
    size = offsets[b + 1] - offsets[b]
    return (
        n_classes * offsets[b] + pixel - offsets[b],
        size,
        min(_STRIP, min(stop, offsets[b + 1]) - pixel),
    )


@kernel
def _exponential(x):
    """exp(x) of a float32 x ≤ 0, 0 below exp(−87): arithmetic without branches, which is vectorised."""
    clipped = max(x, _LOWEST)
    n = np.floor(clipped * _LOG2_E + _HALF)
    r = clipped - n * _LOG_2_HEAD - n * _LOG_2_TAIL
    tail = _C3 + r * (_C4 + r * (_C5 + r * (_C6 + r * _C7)))
    power = _ONE + (r + r * r * (_HALF + r * tail))
    scale = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * scale if x >= _LOWEST else np.float32(0.0)


@kernel
def softmax_pixels(logits, n_classes, offsets, start, stop, probas):
    """Softmax over the classes for the pixels start, …, stop − 1 of all images.

    Parameters
    ----------
    logits : (C·n,) float32 or float64
    n_classes : int
    offsets : (B + 1,) int64
    start, stop : int
    probas : (C·n,) like logits, written
    """
    tops = np.empty(_STRIP, dtype=logits.dtype)
    sums = np.empty(_STRIP)
    pixel = start
    while pixel < stop:
        base, size, n = _strip(offsets, n_classes, pixel, stop)
        tops[:n] = logits[base : base + n]
        sums[:n] = 0.0
        for c in range(1, n_classes):
            scores = logits[base + c * size : base + c * size + n]
            for i in range(n):
                tops[i] = max(tops[i], scores[i])
        for c in range(n_classes):
            scores = logits[base + c * size : base + c * size + n]
            powers = probas[base + c * size : base + c * size + n]
            if logits.itemsize == 4:
                for i in range(n):
                    powers[i] = _exponential(np.float32(scores[i] - tops[i]))
            else:
                for i in range(n):
                    powers[i] = np.exp(scores[i] - tops[i])
            for i in range(n):
                sums[i] += powers[i]
        for i in range(n):
            tops[i] = 1.0 / sums[i]
        for c in range(n_classes):
            powers = probas[base + c * size : base + c * size + n]
            for i in range(n):
                powers[i] *= tops[i]
        pixel += n


@kernel
def softmax_pullback(probas, n_classes, offsets, start, stop, gradient):
    """Turn a gradient in the probabilities into one in the logits: π∘(g − ⟨π, g⟩), pixel by pixel.

    Parameters
    ----------
    probas : (C·n,) float32 or float64
    n_classes, offsets, start, stop
        As in `softmax_pixels`.
    gradient : (C·n,) like probas, changed in place
    """
    means = np.empty(_STRIP)
    pixel = start
    while pixel < stop:
        base, size, n = _strip(offsets, n_classes, pixel, stop)
        means[:n] = 0.0
        for c in range(n_classes):
            powers = probas[base + c * size : base + c * size + n]
            slopes = gradient[base + c * size : base + c * size + n]
            for i in range(n):
                means[i] += np.float64(powers[i]) * slopes[i]
        for c in range(n_classes):
            powers = probas[base + c * size : base + c * size + n]
            slopes = gradient[base + c * size : base + c * size + n]
            for i in range(n):
                slopes[i] = powers[i] * (slopes[i] - means[i])
        pixel += n


@kernel
def _row(offsets, n_classes, b, c):
    """Where the scores of class c in image b are."""
    size = offsets[b + 1] - offsets[b]
    start = n_classes * offsets[b] + c * size
    return slice(start, start + size)


@kernel
def _errors(probas, labels, c, errors, kinds):
    """Write the errors of class c and which pixels are in it; return how many."""
    one = probas.dtype.type(1.0)
    number = np.int32(c)
    foreground = 0
    for i in range(labels.shape[0]):
        inside = labels[i] == number
        foreground += inside
        kinds[i] = 1 if inside else (0 if labels[i] >= 0 else 2)
        errors[i] = one - probas[i] if inside else probas[i]
    return foreground


@kernel
def softmax_classes(
    probas,
    labels,
    n_classes,
    offsets,
    groups,
    members,
    classes,
    shares,
    divisor,
    start,
    stop,
    values,
    gradient,
):
    """Lovász loss of the classes ``classes[k]`` in the groups ``members[k]`` of images, start ≤ k < stop.

    Parameters
    ----------
    probas : (C·n,) float32 or float64
    labels : (n,) int32
        Class of every pixel, negative where void.
    n_classes : int
    offsets : (B + 1,) int64
    groups : (G + 1,) int64
        Group g is one loss over the images groups[g], …, groups[g+1] − 1.
    members, classes : (K,) int64
    shares : (K,) float64
        What the gradient of that class is multiplied by: its part of the mean over classes.
    divisor : float
        What every gradient is divided by: the number of groups.
    start, stop : int
    values : (K,) float64, written
    gradient : (C·n,) like probas, written for these classes
    """
    largest = 0
    for k in range(start, stop):
        g = members[k]
        largest = max(largest, offsets[groups[g + 1]] - offsets[groups[g]])
    errors = np.empty(largest, dtype=probas.dtype)
    kinds = np.empty(largest, dtype=np.uint8)
    words = np.empty(largest, dtype=np.uint64)
    spare = np.empty(largest, dtype=np.uint64)
    for k in range(start, stop):
        c = classes[k]
        first = groups[members[k]]
        end = groups[members[k] + 1]
        origin = offsets[first]
        n = offsets[end] - origin
        foreground = 0
        for b in range(first, end):
            row = _row(offsets, n_classes, b, c)
            part = slice(offsets[b] - origin, offsets[b + 1] - origin)
            foreground += _errors(
                probas[row], labels[offsets[b] : offsets[b + 1]], c, errors[part], kinds[part]
            )
        values[k] = value_and_greedy(
            errors[:n], kinds[:n], foreground, None, None, shares[k], divisor, words, spare
        )
        for b in range(first, end):
            gradient[_row(offsets, n_classes, b, c)] = errors[offsets[b] - origin : offsets[b + 1] - origin]
