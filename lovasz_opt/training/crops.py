"""Images as tensors for training: crops, scales and flips that depend on seed, epoch and image alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..datasets import VOID
from .data import Bytes, Images, Source, resized

#: Mean and spread of the colours of ImageNet, which pretrained networks expect.
_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
_SPREAD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def as_tensor(image: Bytes) -> Tensor:
    """Standardised colours (3, H, W) of an (H, W, 3) image."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0))).float() / 255
    return (pixels - _MEAN) / _SPREAD


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels of one size, changed at random.

    Parameters
    ----------
    images : Images or Source
    height, width : int
        Of every crop; what an image does not fill is void.
    augment : bool
        Scale by 0.5 to 2, crop and mirror at random; if not, images are cut or padded at the right and below.
    seed : int
    """

    def __init__(
        self, images: Images | Source, height: int, width: int, augment: bool = True, seed: int = 0
    ) -> None:
        self.images, self.size, self.augment, self.seed = images, (height, width), augment, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.images.names)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        image, mask = read(self.images, i)
        top = left = 0
        if self.augment:
            random = np.random.default_rng([self.seed, self.epoch, i])
            scale = 2.0 ** random.uniform(-1, 1)
            image, mask = resized(image, mask, *(max(1, round(scale * n)) for n in mask.shape))
            if random.random() < 0.5:
                image, mask = image[:, ::-1], mask[:, ::-1]
            # Also beyond the edge, by as much as the image is smaller than the crop.
            top, left = (
                int(random.integers(min(n - size, 0), max(n - size, 0) + 1))
                for n, size in zip(mask.shape, self.size, strict=True)
            )
        return as_tensor(_cut(image, top, left, self.size, 0)), torch.from_numpy(
            _cut(mask, top, left, self.size, VOID).astype(np.int64)
        )


def read(images: Images | Source, i: int) -> tuple[Bytes, Bytes]:
    """Image (H, W, 3) and labels (H, W) of one number."""
    if isinstance(images, Source):
        return images.read(i)
    return np.moveaxis(images.images[i], 0, -1), images.masks[i]


def _cut(array: Bytes, top: int, left: int, size: tuple[int, int], fill: int) -> Bytes:
    """The window of a size whose corner is at (top, left), which may be negative."""
    window = np.full((*size, *array.shape[2:]), fill, dtype=array.dtype)
    rows, columns = (
        range(max(start, 0), min(start + length, n))
        for start, length, n in zip((top, left), size, array.shape[:2], strict=True)
    )
    part = array[rows.start : rows.stop, columns.start : columns.stop]
    window[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return window
