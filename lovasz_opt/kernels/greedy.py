"""Value and greedy vector of the Lovász extension of the Jaccard loss at positive margins.

What the Lovász hinge and the Lovász-Softmax share: drop the pixels that cannot matter, sort, sweep.
"""

from __future__ import annotations

import numpy as np

from ._jit import kernel
from .sort import sort_indices

_FOREGROUND = np.uint64(1 << 31)
_PIXEL = np.uint64(0x7FFFFFFF)


@kernel
def _select(margins, kinds, words):
    """Write the pixels that can matter to words; return their number and that of the whole foreground.

    A margin ≤ 0 contributes nothing, and neither does a background pixel behind the last foreground pixel:
    nothing is left to lose there. Without foreground only the largest background margin counts.
    """
    n_pixels = margins.shape[0]
    foreground = 0
    for i in range(n_pixels):
        foreground += kinds[i] == 1
    floor = _floor(margins, kinds, foreground)
    n = 0
    for start in range(0, n_pixels, 8):
        stop = min(start + 8, n_pixels)
        # On a trained network most strips hold nothing that matters. Written out, the test is vectorised.
        if stop - start == 8:
            m = margins[start:stop]
            alive = (m[0] > 0) | (m[1] > 0) | (m[2] > 0) | (m[3] > 0)
            alive |= (m[4] > 0) | (m[5] > 0) | (m[6] > 0) | (m[7] > 0)
            if not alive:
                continue
        for i in range(start, stop):
            # Without branches: which pixels matter is hard to predict.
            kind = kinds[i]
            words[n] = np.uint64(i) | (np.uint64(kind & 1) << np.uint64(31))
            n += (margins[i] > 0) & ((kind == 1) | ((kind == 0) & (margins[i] >= floor)))
    return n, foreground


@kernel
def _floor(margins, kinds, foreground):
    """What a background margin > 0 must reach to matter."""
    lowest = margins.dtype.type(np.inf)
    highest = margins.dtype.type(0.0)
    if foreground > 0:
        for i in range(margins.shape[0]):
            if kinds[i] == 1:
                lowest = min(lowest, margins[i])
                if lowest <= 0:
                    # Positive margins lie above it in any case.
                    break
        return lowest
    for i in range(margins.shape[0]):
        if kinds[i] == 0:
            highest = max(highest, margins[i])
    return highest


@kernel
def _sweep(margins, words, n, weights, total, left, share, divisor, gradient):
    """Σ w_i m_i over margins in decreasing order; ∓share·w_i / divisor goes to the gradient."""
    dtype = gradient.dtype.type
    union = total
    remaining = total
    value = 0.0
    for k in range(n):
        i = words[k] & _PIXEL
        foreground = words[k] & _FOREGROUND != 0
        mass = 1.0
        if weights is not None:
            mass = weights[i]
        if foreground:
            weight = mass / union
            left -= 1
            # The last foreground pixel leaves exactly 0, whatever the subtractions lost.
            remaining = remaining - mass if left > 0 else 0.0
        else:
            if union == 0.0:
                weight = 1.0
            elif weights is None:
                weight = remaining / (union * (union + 1.0))
            else:
                weight = mass / (union + mass) * (max(remaining, 0.0) / union)
            union += mass
        value += weight * np.float64(margins[i])
        # Rounded before it is divided: an image has the same derivative alone and in a batch.
        rounded = dtype(share * weight)
        gradient[i] = (-rounded if foreground else rounded) / dtype(divisor)
    return value


@kernel
def value_and_greedy(margins, kinds, weights, total, share, divisor, words, spare, gradient):
    """Value Σ w_i m_i with the greedy vector w, which goes to the gradient.

    Parameters
    ----------
    margins : (p,) float32 or float64
        Sums are accumulated in float64.
    kinds : (p,) uint8
        1 foreground, 0 background, 2 void.
    weights : (p,) float64 or None
    total : float or None
        Weight μ(fg) of the foreground; None where weights is None.
    share, divisor : float
        What the derivative of this image is multiplied and divided by.
    words, spare : (p + 1,) uint64
        Work space.
    gradient : (p,) array like margins, zeros on entry
        Entry i becomes −w_i for foreground and +w_i for background: a margin falls with the score of a
        foreground pixel and rises with that of a background pixel.
    """
    n, foreground = _select(margins, kinds, words)
    sort_indices(margins, words, spare, n)
    union = float(foreground) if total is None else total
    return _sweep(margins, words, n, weights, union, foreground, share, divisor, gradient)
