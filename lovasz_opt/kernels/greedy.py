"""Greedy vector of the Jaccard loss along sorted margins: the sweep that hinge and softmax share."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(margins, items, n, weights, total, left, share, divisor, gradient):
    """Value of Σ w_i m_i over margins in decreasing order; write ∓share·w_i / divisor into the gradient.

    Parameters
    ----------
    margins : (≥ n,) float32 or float64
        Positive, in decreasing order.
    items : (≥ n,) int64
        Pixel i where it is background, ~i where it is foreground.
    n : int
    weights : (p,) float64 or None
    total : float
        μ(fg) over all pixels, also those that are not among the n.
    left : int
        Number of foreground pixels, likewise.
    share, divisor : float
        What the derivative of this image is multiplied and divided by.
    gradient : (p,) array
        Entry i becomes −w_i for foreground and +w_i for background: a margin falls with the score of a
        foreground pixel and rises with that of a background pixel.
    """
    dtype = gradient.dtype.type
    union = total
    remaining = total
    value = 0.0
    for k in range(n):
        i = items[k]
        foreground = i < 0
        if foreground:
            i = ~i
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
        value += weight * margins[k]
        # Rounded before it is divided: an image has the same derivative alone and in a batch.
        rounded = dtype(share * weight)
        gradient[i] = (-rounded if foreground else rounded) / dtype(divisor)
    return value
