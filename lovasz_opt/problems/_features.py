"""The features of all pixels as blocks of rows (dense, memory-mapped, 8-bit codes) and products with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Float64s, Ints, as_scores, check_finite
from ..kernels.products import rows_times, transposed_times
from ..losses._images import in_chunks

#: Rows that are multiplied at a time; sums over them are added in order, whatever thread found them.
_ROWS = 1 << 13


class Quantised:
    """Features as 8-bit codes: the entry of code q is scale·(q − zero).

    Codes are never converted as a whole, so an image of a memory-mapped file stays on disk.

    Parameters
    ----------
    codes : (..., d) array of uint8
        Of one image; a memory map is not copied, and neither is an array.
    scale : float
        Finite, ≠ 0.
    zero : float
        Code of the value 0, finite.
    constant : bool
        Append a column of ones, which lets a linear model have an intercept.

    Raises
    ------
    TypeError, ValueError
        If the codes are not uint8 or have no column, scale or zero is not a usable number, or a feature could
        overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.problems import LinearHingeRisk, Quantised
    >>> X = Quantised(np.array([[3, 1], [0, 2]], dtype=np.uint8), scale=0.5, zero=1, constant=True)
    >>> X.dense()
    array([[ 1. ,  0. ,  1. ],
           [-0.5,  0.5,  1. ]])
    >>> LinearHingeRisk([X], [[1, 0]], l2=0.1).value([0.0, 0.0, 0.0])
    1.0
    """

    def __init__(self, codes: ArrayLike, scale: float, zero: float, constant: bool = False) -> None:
        array = np.asarray(codes)
        if array.dtype != np.uint8:
            raise TypeError(f"codes must be uint8, got dtype {array.dtype}; pass other features as an array")
        if array.ndim < 2 or array.shape[-1] == 0:
            raise ValueError(f"codes has shape {array.shape}, expected (pixels, features) with a feature")
        if not np.isfinite(scale) or scale == 0:
            raise ValueError(f"scale is {scale}; it must be finite and not 0")
        if not np.isfinite(zero):
            raise ValueError(f"zero is {zero}; it must be finite")
        with np.errstate(over="ignore"):
            ends = scale * (np.array([0.0, 255.0]) - zero)
        if not np.isfinite(ends).all():
            raise ValueError(
                f"scale is {scale} and zero {zero}: features of some codes overflow; make them smaller"
            )
        self.codes = array
        self.scale, self.zero, self.constant = float(scale), float(zero), bool(constant)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features, the constant column included."""
        return (*self.codes.shape[:-1], self.codes.shape[-1] + self.constant)

    def dense(self) -> Float64s:
        """The features as a float64 array.

        Returns
        -------
        (..., d) ndarray
        """
        return Block.of(self, "codes").rows(slice(None)).reshape(self.shape)


class Block(NamedTuple):
    """Rows of features: entry = scale·(codes − zero), with a column of ones behind if `constant`."""

    codes: NDArray[Any]
    scale: float
    zero: float
    constant: bool

    @classmethod
    def of(cls, features: Any, name: str) -> Block:
        """The features of an image, one row per pixel; arrays and memory maps are not copied if possible.

        Raises
        ------
        ValueError, TypeError
            If entries are not finite real numbers.
        """
        if isinstance(features, Quantised):
            codes = np.ascontiguousarray(features.codes)
            return cls(codes.reshape(-1, codes.shape[-1]), features.scale, features.zero, features.constant)
        if isinstance(features, np.memmap) and features.dtype in (np.float32, np.float64):
            array = np.ascontiguousarray(features)
            rows = array.reshape(-1, array.shape[-1])
            for start in range(0, len(rows), _ROWS):
                check_finite(rows[start : start + _ROWS], name)
        else:
            array, _ = as_scores(features, name)
            rows = array.reshape(-1, array.shape[-1])
        return cls(rows, 1.0, 0.0, False)

    @property
    def n_features(self) -> int:
        return int(self.codes.shape[1]) + self.constant

    def rows(self, index: Any) -> Float64s:
        """Some rows in float64."""
        codes = self.codes[index]
        out = np.empty((len(codes), self.n_features))
        columns = codes.shape[1]
        out[:, :columns] = codes
        if self.zero:
            out[:, :columns] -= self.zero
        if self.scale != 1.0:
            out[:, :columns] *= self.scale
        out[:, columns:] = 1.0
        return out


class Features:
    """Blocks of rows, one behind the other, as one matrix."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = list(blocks)
        self.n_features = blocks[0].n_features
        self.offsets = np.concatenate([[0], np.cumsum([len(block.codes) for block in blocks])])
        pieces = [
            (b, start, min(start + _ROWS, len(block.codes)))
            for b, block in enumerate(blocks)
            for start in range(0, len(block.codes), _ROWS)
        ]
        self._pieces = pieces
        self._costs = np.concatenate([[0], np.cumsum([stop - start for _, start, stop in pieces])]).astype(
            np.int64
        )

    @property
    def n_rows(self) -> int:
        return int(self.offsets[-1])

    def times(self, v: Float64s) -> Float64s:
        """Xv."""
        out = np.empty(self.n_rows)

        def run(first: int, last: int) -> None:
            for b, start, stop in self._pieces[first:last]:
                block = self._blocks[b]
                columns = block.codes.shape[1]
                scaled = np.ascontiguousarray(block.scale * v[:columns])
                shift = -block.zero * float(scaled.sum()) + (float(v[-1]) if block.constant else 0.0)
                rows_times(block.codes, scaled, shift, start, stop, out[self._rows(b)])

        in_chunks(run, self._costs)
        return out

    def transpose_times(self, g: Float64s) -> Float64s:
        """Xᵀg."""
        parts = np.zeros((len(self._pieces), self.n_features))

        def run(first: int, last: int) -> None:
            for k in range(first, last):
                b, start, stop = self._pieces[k]
                block, entries = self._blocks[b], g[self._rows(b)]
                out = parts[k, : block.codes.shape[1]]
                transposed_times(block.codes, entries, start, stop, out)
                total = float(entries[start:stop].sum()) if block.zero or block.constant else 0.0
                out -= block.zero * total
                out *= block.scale
                parts[k, block.codes.shape[1] :] = total

        in_chunks(run, self._costs)
        # The order of the sum is that of the rows, for any number of threads.
        return parts.sum(axis=0) if len(parts) else np.zeros(self.n_features)

    def _rows(self, b: int) -> slice:
        return slice(int(self.offsets[b]), int(self.offsets[b + 1]))

    def rows(self, index: Ints) -> Float64s:
        """Rows of increasing or grouped indices in float64; block by block."""
        if len(self._blocks) == 1:
            return self._blocks[0].rows(index)
        out = np.empty((len(index), self.n_features))
        owner = np.searchsorted(self.offsets, index, side="right") - 1
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(owner)) + 1, [len(index)]])
        for start, stop in pairwise(cuts.tolist()):
            if start < stop:
                b = int(owner[start])
                out[start:stop] = self._blocks[b].rows(index[start:stop] - self.offsets[b])
        return out

    def pieces(self) -> Iterator[tuple[int, int, Float64s]]:
        """All rows, some at a time: first row, last row + 1, the rows in float64."""
        for b, start, stop in self._pieces:
            first = int(self.offsets[b])
            yield first + start, first + stop, self._blocks[b].rows(slice(start, stop))

    def part(self, start: int, stop: int) -> Features:
        """The rows start, …, stop − 1 of one block; nothing is copied."""
        # Rows that are none may lie behind the last block.
        b = min(int(np.searchsorted(self.offsets, start, side="right")), len(self._blocks)) - 1
        first = int(self.offsets[b])
        block = self._blocks[b]
        return Features([block._replace(codes=block.codes[start - first : stop - first])])

    @classmethod
    def joined(cls, parts: Sequence[Features]) -> Features:
        """The rows of several features, one behind the other."""
        return cls([block for part in parts for block in part._blocks])
