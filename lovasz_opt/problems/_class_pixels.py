"""The valid pixels of images with class labels, and products of their features with one column per class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .._validation import Bools, Float64s, Ints
from ..losses._images import Labels
from ._features import Block, Features


class ClassPixels:
    """Images without their void pixels, one behind the other.

    Attributes
    ----------
    features : Features
        Their n rows.
    labels : (n,) ndarray of int32
    offsets : (B + 1,) ndarray of int64
        Image b has the rows offsets[b], …, offsets[b+1] − 1.
    every : bool
        Whether all classes count, or those present.
    counts : (B, C) ndarray of int
        Pixels of every class in every image.
    counted : (B, C) ndarray of bool
        Classes whose loss counts in an image: those that it holds, or all; none where every pixel is void.
    """

    def __init__(
        self, blocks: Sequence[Block], labels: Sequence[Labels], n_classes: int, every: bool
    ) -> None:
        self._blocks, self._parts, self.every = blocks, labels, every
        self.features = Features(blocks)
        self.labels = np.concatenate(labels)
        self.offsets = np.concatenate([[0], np.cumsum([len(part) for part in labels])]).astype(np.int64)
        self.counts: Ints = np.array([np.bincount(part, minlength=n_classes) for part in labels])
        present: Bools = self.counts > 0
        self.counted = np.repeat(present.any(axis=1, keepdims=True), n_classes, axis=1) if every else present
        self.slices = [slice(int(a), int(b)) for a, b in pairwise(self.offsets)]

    @property
    def n_classes(self) -> int:
        return int(self.counts.shape[1])

    def part(self, images: Sequence[int]) -> ClassPixels:
        """Some images alone; their features are shared."""
        return ClassPixels(
            [self._blocks[i] for i in images], [self._parts[i] for i in images], self.n_classes, self.every
        )

    def times(self, W: Float64s) -> Float64s:
        """XW, of shape (n, C)."""
        # Class by class: the last bits of a product of matrices would depend on the threads of BLAS.
        return np.stack([self.features.times(np.ascontiguousarray(column)) for column in W.T], axis=1)

    def transpose_times(self, G: Float64s) -> Float64s:
        """XᵀG, of shape (d, C)."""
        columns = [self.features.transpose_times(np.ascontiguousarray(column)) for column in G.T]
        return np.stack(columns, axis=1)

    def squared_lengths(self) -> Float64s:
        """‖x_j‖² of every row."""
        out = np.empty(self.features.n_rows)
        for start, stop, rows in self.features.pieces():
            out[start:stop] = np.einsum("ij,ij->i", rows, rows)
        return out
