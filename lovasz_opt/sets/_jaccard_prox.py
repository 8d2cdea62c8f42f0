"""The fast exact prox of the Jaccard loss: a thin shell around the kernel."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints
from ..kernels.jaccard_prox import WORK
from ..kernels.jaccard_prox import jaccard_prox as kernel

# Pixels are packed into 31 bits.
_MOST_PIXELS = 2**31 - 1
# Up to so many words (64 MiB) of work space are kept by a thread: fresh pages cost a sixth of the prox.
_KEPT_WORDS = 2**23
_of_thread = threading.local()


class Orders(NamedTuple):
    """Sorted pixels of earlier solutions, image by image, from which a nearby one starts; changed in place.

    Attributes
    ----------
    pixels : (n,) ndarray of uint32
        Of every image the foreground, then the background; empty where nothing is to be kept.
    sizes : (B, 2) ndarray of int64
        How many of each.
    """

    pixels: NDArray[np.uint32]
    sizes: Ints

    @classmethod
    def kept(cls, pixels: int, images: int) -> Orders:
        """Room for the orders of images with so many pixels in all."""
        return cls(np.empty(pixels, dtype=np.uint32), np.zeros((images, 2), dtype=np.int64))

    @classmethod
    def none(cls, images: int) -> Orders:
        """Keep nothing."""
        return cls.kept(0, images)


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
    O(p log p + N log² P) at worst, a few passes over sorted data in practice: a radix sort of each class,
    pooling of the background ranks, one sweep over the foreground.
    """
    check_size(len(x))
    z = np.empty(len(x))
    pools = np.empty(len(x), dtype=np.int64)
    run = (np.ascontiguousarray(x), target.view(np.uint8), weights, gamma, False, z, pools)
    kernel(*run, *_no_order(), _work(x))
    return ProxSolution(z, pools)


def jaccard_prox_point(
    target: Bools,
    weights: Float64s | None,
    x: Float64s,
    gamma: float,
    positive: bool,
    orders: Orders | None = None,
) -> Float64s:
    """The same proximal point without its pools, which allows to leave out pixels that cannot move.

    With `positive` it is the prox of f∘max(·, 0), the thresholded extension of the Lovász hinge. From
    `orders` of one image it starts, and it leaves its own there; the result is the same to the last bit.
    """
    check_size(len(x))
    z = np.empty(len(x))
    order, sizes = _no_order() if orders is None else (orders.pixels, orders.sizes[0])
    run = (np.ascontiguousarray(x), target.view(np.uint8), weights, gamma, positive, z, None)
    kernel(*run, order, sizes, _work(x))
    return z


def jaccard_prox_positive(target: Bools, x: Float64s, gamma: float) -> tuple[Float64s, Ints]:
    """Prox of f∘max(·, 0) and the pool of every pixel with x > 0, by decreasing value; −1 for x ≤ 0."""
    check_size(len(x))
    z = np.empty(len(x))
    pools = np.full(len(x), -1, dtype=np.int64)
    run = (np.ascontiguousarray(x), target.view(np.uint8), None, gamma, True, z, pools)
    kernel(*run, *_no_order(), _work(x))
    return z, pools


def _no_order() -> tuple[NDArray[np.uint32], Ints]:
    orders = Orders.none(1)
    return orders.pixels, orders.sizes[0]


def _work(x: Float64s) -> NDArray[np.uint64]:
    """Work space of the kernel, in NumPy's memory, which asks for large pages where Numba's does not."""
    size = WORK * (len(x) + 1)
    if size > _KEPT_WORDS:
        return np.empty(size, dtype=np.uint64)
    kept: NDArray[np.uint64] | None = getattr(_of_thread, "work", None)
    if kept is None or len(kept) < size:
        kept = _of_thread.work = np.empty(size, dtype=np.uint64)
    return kept


def check_size(pixels: int) -> None:
    """Raise for an image that the kernels cannot index."""
    if pixels > _MOST_PIXELS:
        raise ValueError(f"x has {pixels} entries; the prox takes at most {_MOST_PIXELS}: split the image")
