"""Lovász hinge of the Jaccard loss: value and subgradient, and exact prox, image by image.

Images lie one behind the other in flat arrays; image b has the pixels offsets[b], …, offsets[b+1] − 1.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .greedy import value_and_greedy
from .jaccard_prox import WORK, jaccard_prox


@kernel
def hinge_images(logits, kinds, weights, totals, offsets, divisor, start, stop, values, gradient):
    """Value and subgradient of the Lovász hinge for the images start, …, stop − 1.

    Parameters
    ----------
    logits : (n,) float32 or float64
    kinds : (n,) uint8
        1 foreground, 0 background, 2 void.
    weights : (n,) float64 or None
    totals : (B,) float64 or None
        Weight μ(fg) of the foreground of every image; None where weights is None.
    offsets : (B + 1,) int64
    divisor : float
        What the subgradient is divided by: the number of images in a mean.
    start, stop : int
    values : (B,) float64, written
    gradient : (n,) like logits, written where it is not 0; the caller passes zeros.
    """
    largest = 0
    for b in range(start, stop):
        largest = max(largest, offsets[b + 1] - offsets[b])
    one = logits.dtype.type(1.0)
    margins = np.empty(largest, dtype=logits.dtype)
    words = np.empty(largest + 1, dtype=np.uint64)
    spare = np.empty(largest, dtype=np.uint64)
    for b in range(start, stop):
        first = offsets[b]
        end = offsets[b + 1]
        for i in range(first, end):
            margins[i - first] = one - logits[i] if kinds[i] == 1 else one + logits[i]
        values[b] = value_and_greedy(
            margins[: end - first],
            kinds[first:end],
            None if weights is None else weights[first:end],
            None if totals is None else totals[b],
            1.0,
            divisor,
            words,
            spare,
            gradient[first:end],
        )


@kernel
def hinge_prox_images(logits, kinds, weights, offsets, gamma, start, stop, moved, order, sizes):
    """Prox of gamma times the Lovász hinge of every image start, …, stop − 1, in the metric of the weights.

    Parameters
    ----------
    logits : (n,) float32 or float64
    kinds, weights, offsets, start, stop
        As in `hinge_images`.
    gamma : float
    moved : (n,) float64, written
    order : (n,) or (0,) uint32, read and written
        Sorted pixels of every image, as `jaccard_prox` keeps them.
    sizes : (B, 2) int64, read and written
    """
    largest = 0
    for b in range(start, stop):
        largest = max(largest, offsets[b + 1] - offsets[b])
    work = np.empty(WORK * (largest + 1), np.uint64)
    for b in range(start, stop):
        first = offsets[b]
        end = offsets[b + 1]
        margins = moved[first:end]
        for i in range(first, end):
            score = np.float64(logits[i])
            moved[i] = 1.0 - score if kinds[i] == 1 else 1.0 + score
        jaccard_prox(
            margins,
            kinds[first:end],
            None if weights is None else weights[first:end],
            gamma,
            True,
            margins,
            None,
            order[first:end],
            sizes[b],
            work,
        )
        for i in range(first, end):
            # A margin that has not moved keeps its logit, whatever 1 − margin loses.
            score = np.float64(logits[i])
            margin = moved[i]
            if kinds[i] == 1:
                moved[i] = score if margin == 1.0 - score else 1.0 - margin
            else:
                moved[i] = score if margin == 1.0 + score else margin - 1.0
