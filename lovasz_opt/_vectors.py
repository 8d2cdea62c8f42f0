"""Inner products that wake no threads.

BLAS splits long inner products over threads, so their last bits depend on the thread count, and where cores
are shared the threads wait for each other much longer than the sum takes.
"""

from __future__ import annotations

import math

import numpy as np

from ._validation import Float64s


def dot(x: Float64s, y: Float64s) -> float:
    """⟨x, y⟩ of two vectors."""
    return float(np.einsum("i,i->", x, y))


def norm(x: Float64s) -> float:
    """‖x‖ of a vector."""
    return math.sqrt(dot(x, x))
