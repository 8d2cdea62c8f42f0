"""Prox of the Lovász hinge with what its Jacobian needs, image by image; images lie as in `hinge`."""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .jaccard_prox import WORK, jaccard_prox


@kernel
def hinge_prox_pools_images(logits, kinds, offsets, gamma, start, stop, moved, pinned, pooled, sizes, counts):
    """Prox of gamma times the Lovász hinge of the images start, …, stop − 1, and where its Jacobian is not 1.

    Parameters
    ----------
    logits : (n,) float64
    kinds : (n,) uint8
        1 foreground, 0 background, 2 void.
    offsets : (B + 1,) int64
    gamma : float
    start, stop : int
    moved : (n,) float64, written
    pinned : (n,) int64, written
        From the offset of an image on: its pixels that were moved to margin 0.
    pooled : (n,) int64, written
        From the offset of an image on: its pixels in pools of two or more, pool by pool.
    sizes : (n,) int64, written
        From the offset of an image on: the sizes of those pools.
    counts : (B, 3) int64, written
        How many entries of the three an image has.
    """
    empty = np.empty(0, np.uint32)
    largest = 0
    for b in range(start, stop):
        largest = max(largest, offsets[b + 1] - offsets[b])
    work = np.empty(WORK * (largest + 1), np.uint64)
    for b in range(start, stop):
        first = offsets[b]
        end = offsets[b + 1]
        p = end - first
        labels = np.full(p, -1, np.int64)
        margins = moved[first:end]
        for i in range(p):
            score = logits[first + i]
            margins[i] = 1.0 - score if kinds[first + i] == 1 else 1.0 + score
        jaccard_prox(
            margins, kinds[first:end], None, gamma, True, margins, labels, empty, np.zeros(2, np.int64), work
        )
        members = np.zeros(p + 1, np.int64)
        n_pinned = 0
        for i in range(p):
            if labels[i] >= 0 and margins[i] <= 0.0:
                labels[i] = -1
                pinned[first + n_pinned] = first + i
                n_pinned += 1
            elif labels[i] >= 0:
                members[labels[i]] += 1
        # From numbers of members to where the pools of two or more begin.
        n_pooled = 0
        n_pools = 0
        for pool in range(p):
            size = members[pool]
            members[pool] = -1
            if size > 1:
                members[pool] = first + n_pooled
                sizes[first + n_pools] = size
                n_pooled += size
                n_pools += 1
        for i in range(p):
            label = labels[i]
            if label >= 0 and members[label] >= 0:
                pooled[members[label]] = first + i
                members[label] += 1
        counts[b, 0] = n_pinned
        counts[b, 1] = n_pooled
        counts[b, 2] = n_pools
        for i in range(p):
            score = logits[first + i]
            margin = margins[i]
            # A margin that has not moved keeps its logit, whatever 1 − margin loses.
            if kinds[first + i] == 1:
                margins[i] = score if margin == 1.0 - score else 1.0 - margin
            else:
                margins[i] = score if margin == 1.0 + score else margin - 1.0
