"""Products of a tall matrix with vectors, in float64 whatever the matrix holds.

The matrix is read once, in the order of memory, and never converted as a whole: float32 and 8-bit codes
are widened entry by entry.
"""

from __future__ import annotations

from ._jit import kernel


@kernel(fastmath={"reassoc", "contract", "nsz"})
def rows_times(matrix, vector, shift, start, stop, out):
    """out[i] = shift + Σ_j matrix[i, j] vector[j] for the rows start, …, stop − 1.

    Parameters
    ----------
    matrix : (m, d) array of float32, float64 or uint8
    vector : (d,) float64
    shift : float
    start, stop : int
    out : (m,) float64, written
    """
    d = matrix.shape[1]
    for i in range(start, stop):
        # May be summed in any order: several running sums make use of vector registers.
        total = 0.0
        for j in range(d):
            total += matrix[i, j] * vector[j]
        out[i] = total + shift


@kernel
def transposed_times(matrix, vector, start, stop, out):
    """out[j] += Σ_i matrix[i, j] vector[i], i = start, …, stop − 1; rows with a factor 0 are not read.

    Parameters
    ----------
    matrix : (m, d) array of float32, float64 or uint8
    vector : (m,) float64
    start, stop : int
    out : (d,) float64, added to
    """
    d = matrix.shape[1]
    for i in range(start, stop):
        factor = vector[i]
        if factor != 0.0:
            for j in range(d):
                out[j] += factor * matrix[i, j]
