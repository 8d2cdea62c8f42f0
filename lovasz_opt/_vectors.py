"""Products of vectors and matrices that wake no threads.

BLAS splits such products over threads, so their last bits depend on the thread count, and where cores are
shared its threads wait for each other much longer than the work takes. All are limited by memory anyway.
"""

from __future__ import annotations

import math

import numpy as np

from ._validation import Float64s, Floats


def dot(x: Float64s, y: Float64s) -> float:
    """⟨x, y⟩ of two vectors."""
    return float(np.einsum("i,i->", x, y))


def norm(x: Float64s) -> float:
    """‖x‖ of a vector."""
    return math.sqrt(dot(x, x))


def times(A: Floats, x: Float64s) -> Float64s:
    """Ax in float64, also for a float32 matrix, which is never copied as a whole."""
    return np.asarray(np.einsum("ij,j->i", A, x), dtype=np.float64)


def transpose_times(A: Floats, y: Float64s) -> Float64s:
    """Aᵀy in float64, as `times`."""
    return np.asarray(np.einsum("ij,i->j", A, y), dtype=np.float64)
