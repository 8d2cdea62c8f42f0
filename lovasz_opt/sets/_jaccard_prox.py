"""The fast exact prox of the Jaccard loss: scaling against overflow around the kernel."""

from __future__ import annotations

import numpy as np

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints
from ..kernels.jaccard_prox import jaccard_prox as kernel

# Sums beyond the first could overflow, and pools of entries below the second lose their last bits; powers of
# two rescale either without rounding.
_LARGE, _SHRINK = 2.0**1020, 2.0**-60
_SMALL, _GROW = 2.0**-960, 2.0**200
# Pixels are packed into 31 bits.
_MOST_PIXELS = 2**31 - 1


def jaccard_prox(target: Bools, weights: Float64s | None, x: Float64s, gamma: float) -> ProxSolution:
    """argmin ½ Σ μ_i (z_i − x_i)² + gamma·f(z), f the Lovász extension of Jaccard with pixel weights μ.

    Parameters
    ----------
    target : (p,) bool
    weights : (p,) float64 or None
        Positive pixel weights μ, of the loss and of the metric; None for μ = 1.
    x : (p,) float64
    gamma : float

    Returns
    -------
    ProxSolution
        Exact up to rounding.

    Notes
    -----
    O(p log p) at worst: a radix sort of each class, pooling of the background ranks, one sweep over
    the foreground.
    """
    pools = np.empty(len(x), dtype=np.int64)
    return ProxSolution(_run(target, weights, x, gamma, False, pools), pools)


def jaccard_prox_point(
    target: Bools, weights: Float64s | None, x: Float64s, gamma: float, positive: bool
) -> Float64s:
    """The same proximal point without its pools, which allows to leave out pixels that cannot move.

    With `positive` it is the prox of f∘max(·, 0), the thresholded extension of the Lovász hinge.
    """
    return _run(target, weights, x, gamma, positive, None)


def _run(
    target: Bools, weights: Float64s | None, x: Float64s, gamma: float, positive: bool, pools: Ints | None
) -> Float64s:
    if len(x) > _MOST_PIXELS:
        raise ValueError(f"x has {len(x)} entries; the prox takes at most {_MOST_PIXELS}: split the image")
    largest = max(float(x.max()), -float(x.min()), gamma)
    scale = _SHRINK if largest > _LARGE / len(x) else _GROW if largest < _SMALL else 1.0
    if scale != 1.0:
        x = x * scale
        gamma *= scale
    x = np.ascontiguousarray(x)
    z = np.empty(len(x))
    kernel(x, target, weights, gamma, positive, z, pools)
    return z if scale == 1.0 else z / scale
