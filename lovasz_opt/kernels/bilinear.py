"""Bilinear interpolation of a score map at chosen pixels of a finer grid, and its transpose.

Row I of the fine grid lies between the coarse rows row[I] and row[I] + 1, row_share[I] of the way down;
columns alike. A share of 0 reads nothing beyond the last row or column.
"""

from __future__ import annotations

from ._jit import kernel


@kernel
def interpolate(coarse, width, row, row_share, column, column_share, pixels, out):
    """Interpolated scores at `pixels`, flat indices of the fine grid.

    Parameters
    ----------
    coarse : (h·w,) float64
    width : int
        w, columns of the coarse grid.
    row, column : (H,), (W,) int64
    row_share, column_share : (H,), (W,) float64
    pixels : (k,) int64
    out : (k,) float64, written
    """
    columns = column.shape[0]
    for k in range(pixels.shape[0]):
        i = pixels[k] // columns
        j = pixels[k] - i * columns
        corner = row[i] * width + column[j]
        down = width if row_share[i] > 0.0 else 0
        right = 1 if column_share[j] > 0.0 else 0
        t, u = row_share[i], column_share[j]
        upper = (1.0 - u) * coarse[corner] + u * coarse[corner + right]
        lower = (1.0 - u) * coarse[corner + down] + u * coarse[corner + down + right]
        out[k] = (1.0 - t) * upper + t * lower


@kernel
def spread(values, width, row, row_share, column, column_share, pixels, coarse):
    """Transpose of `interpolate`: adds every value to the four coarse entries that it came from.

    Parameters
    ----------
    values : (k,) float64
    width, row, row_share, column, column_share, pixels
        As in `interpolate`.
    coarse : (h·w,) float64, added to
    """
    columns = column.shape[0]
    for k in range(pixels.shape[0]):
        value = values[k]
        if value == 0.0:
            continue
        i = pixels[k] // columns
        j = pixels[k] - i * columns
        corner = row[i] * width + column[j]
        down = width if row_share[i] > 0.0 else 0
        right = 1 if column_share[j] > 0.0 else 0
        t, u = row_share[i], column_share[j]
        coarse[corner] += (1.0 - t) * (1.0 - u) * value
        coarse[corner + right] += (1.0 - t) * u * value
        coarse[corner + down] += t * (1.0 - u) * value
        coarse[corner + down + right] += t * u * value
