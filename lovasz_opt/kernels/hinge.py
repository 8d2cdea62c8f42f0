"""Lovász hinge of the Jaccard loss: value and subgradient, and exact prox, image by image.

Images lie one behind the other in flat arrays; image b has the pixels offsets[b], …, offsets[b+1] − 1.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .greedy import value_and_greedy
from .jaccard_prox import WORK, jaccard_prox


@kernel
def hinge_margins(logits, kinds, margins):
    """Write the margins 1 ∓ logit, anything for void pixels; return the number of foreground pixels."""
    one = logits.dtype.type(1.0)
    foreground = 0
    for i in range(logits.shape[0]):
        margins[i] = one - logits[i] if kinds[i] == 1 else one + logits[i]
        foreground += kinds[i] == 1
    return foreground


@kernel
def hinge_images(
    logits, kinds, weights, totals, offsets, divisor, start, stop, words, spare, values, gradient
):
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
    words, spare : (p,) uint64
        Work space, as long as the largest of these images.
    values : (B,) float64, written
    gradient : (n,) like logits, written
    """
    for b in range(start, stop):
        first = offsets[b]
        end = offsets[b + 1]
        margins = gradient[first:end]
        foreground = hinge_margins(logits[first:end], kinds[first:end], margins)
        values[b] = value_and_greedy(
            margins,
            kinds[first:end],
            foreground,
            None if weights is None else weights[first:end],
            None if totals is None else totals[b],
            1.0,
            divisor,
            words,
            spare,
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
