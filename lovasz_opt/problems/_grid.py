"""From rows of features to valid pixels: one to one, or bilinear interpolation of a coarse score map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._validation import Float64s, Ints
from ..kernels.bilinear import interpolate, spread
from ..losses._images import in_chunks
from ._features import Features


class Grid(ABC):
    """The linear map R from the scores of all rows to those of the valid pixels, image by image."""

    #: Where the pixels of every image start, and where its rows do.
    offsets: Ints
    row_offsets: Ints

    @property
    def n_pixels(self) -> int:
        return int(self.offsets[-1])

    @abstractmethod
    def restrict(self, scores: Float64s) -> Float64s:
        """R·scores."""

    @abstractmethod
    def extend(self, g: Float64s) -> Float64s:
        """Rᵀg."""

    @abstractmethod
    def rows(self, features: Features, pixels: Ints) -> Float64s:
        """The rows of RX for some pixels."""

    @abstractmethod
    def gram(self, features: Features) -> Float64s:
        """XᵀRᵀRX."""

    @abstractmethod
    def part(self, images: Sequence[int]) -> Grid:
        """The grid of some images alone."""


class Pixels(Grid):
    """A row for every pixel; some of them are void. Without any, R is the identity."""

    def __init__(self, valid: Sequence[Ints | None], sizes: Sequence[int]) -> None:
        self._valid = list(valid)
        self._sizes = list(sizes)
        self.row_offsets = _starts(sizes)
        self.offsets = _starts(
            [size if index is None else len(index) for index, size in zip(valid, sizes, strict=True)]
        )
        self._index: Ints | None = None
        if any(index is not None for index in valid):
            self._index = np.concatenate(
                [
                    start + (np.arange(size) if index is None else index)
                    for start, index, size in zip(self.row_offsets, valid, sizes, strict=False)
                ]
            )

    def restrict(self, scores: Float64s) -> Float64s:
        return scores if self._index is None else scores[self._index]

    def extend(self, g: Float64s) -> Float64s:
        if self._index is None:
            return g
        out = np.zeros(int(self.row_offsets[-1]))
        out[self._index] = g
        return out

    def rows(self, features: Features, pixels: Ints) -> Float64s:
        return features.rows(pixels if self._index is None else self._index[pixels])

    def gram(self, features: Features) -> Float64s:
        total = np.zeros((features.n_features, features.n_features))
        used = self.extend(np.ones(self.n_pixels)) > 0
        for start, stop, rows in features.pieces():
            block = rows if used[start:stop].all() else rows[used[start:stop]]
            total += block.T @ block
        return total

    def part(self, images: Sequence[int]) -> Pixels:
        return Pixels([self._valid[i] for i in images], [self._sizes[i] for i in images])


class _Axis(NamedTuple):
    """Where the lines of the fine grid lie along one axis: behind a coarse line, and how far."""

    low: Ints
    share: Float64s


@lru_cache(maxsize=64)
def _axis(coarse: int, fine: int, align_corners: bool) -> _Axis:
    if align_corners:
        position = np.arange(fine) * ((coarse - 1) / (fine - 1) if fine > 1 else 0.0)
    else:
        position = np.clip((np.arange(fine) + 0.5) * (coarse / fine) - 0.5, 0, coarse - 1)
    low = np.minimum(np.floor(position).astype(np.int64), coarse - 1)
    share = position - low
    # Rounding may leave a line just beyond the last coarse one.
    share[low == coarse - 1] = 0.0
    return _Axis(low, share)


class Bilinear(Grid):
    """A coarse score map for every image, interpolated at the valid pixels of a finer one."""

    def __init__(
        self,
        coarse: Sequence[tuple[int, int]],
        fine: Sequence[tuple[int, int]],
        valid: Sequence[Ints],
        align_corners: bool,
    ) -> None:
        self._coarse, self._fine, self._valid = list(coarse), list(fine), list(valid)
        self._align = align_corners
        self.row_offsets = _starts([h * w for h, w in coarse])
        self.offsets = _starts([len(index) for index in valid])

    def _axes(self, b: int) -> tuple[_Axis, _Axis]:
        (h, w), (H, W) = self._coarse[b], self._fine[b]
        return _axis(h, H, self._align), _axis(w, W, self._align)

    def restrict(self, scores: Float64s) -> Float64s:
        out = np.empty(self.n_pixels)

        def run(start: int, stop: int) -> None:
            for b in range(start, stop):
                row, column = self._axes(b)
                source = scores[self.row_offsets[b] : self.row_offsets[b + 1]]
                target = out[self.offsets[b] : self.offsets[b + 1]]
                interpolate(source, self._coarse[b][1], *row, *column, self._valid[b], target)

        in_chunks(run, self.offsets)
        return out

    def extend(self, g: Float64s) -> Float64s:
        out = np.zeros(int(self.row_offsets[-1]))

        def run(start: int, stop: int) -> None:
            for b in range(start, stop):
                row, column = self._axes(b)
                source = g[self.offsets[b] : self.offsets[b + 1]]
                target = out[self.row_offsets[b] : self.row_offsets[b + 1]]
                spread(source, self._coarse[b][1], *row, *column, self._valid[b], target)

        in_chunks(run, self.offsets)
        return out

    def _matrix(self, b: int, pixels: Ints) -> sparse.csr_array:
        """R for some pixels of image b, given by their number among its valid ones."""
        row, column = self._axes(b)
        (h, w), (_, W) = self._coarse[b], self._fine[b]
        i, j = np.divmod(self._valid[b][pixels], W)
        corner = row.low[i] * w + column.low[j]
        t, u = row.share[i], column.share[j]
        down, right = np.where(t > 0, w, 0), np.where(u > 0, 1, 0)
        entries = np.stack([(1 - t) * (1 - u), (1 - t) * u, t * (1 - u), t * u], axis=1)
        places = np.stack([corner, corner + right, corner + down, corner + down + right], axis=1)
        starts = 4 * np.arange(len(pixels) + 1)
        return sparse.csr_array((entries.ravel(), places.ravel(), starts), shape=(len(pixels), h * w))

    def rows(self, features: Features, pixels: Ints) -> Float64s:
        out = np.empty((len(pixels), features.n_features))
        owner = np.searchsorted(self.offsets, pixels, side="right") - 1
        cuts = np.concatenate([[0], np.flatnonzero(np.diff(owner)) + 1, [len(pixels)]])
        for start, stop in pairwise(cuts.tolist()):
            if start < stop:
                b = int(owner[start])
                matrix = self._matrix(b, pixels[start:stop] - self.offsets[b])
                used, matrix.indices = np.unique(matrix.indices, return_inverse=True)
                matrix.resize(matrix.shape[0], len(used))
                out[start:stop] = matrix @ features.rows(self.row_offsets[b] + used)
        return out

    def gram(self, features: Features) -> Float64s:
        total = np.zeros((features.n_features, features.n_features))
        for b, index in enumerate(self._valid):
            matrix = self._matrix(b, np.arange(len(index)))
            rows = features.rows(np.arange(self.row_offsets[b], self.row_offsets[b + 1]))
            total += rows.T @ ((matrix.T @ matrix) @ rows)
        return total

    def part(self, images: Sequence[int]) -> Bilinear:
        coarse, fine = [self._coarse[i] for i in images], [self._fine[i] for i in images]
        valid = [self._valid[i] for i in images]
        return Bilinear(coarse, fine, valid, self._align)


def _starts(sizes: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
