"""Images with label maps: VOC 2012 and SBD in their public layout, the animals of VOC, and CamVid."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets import CAMVID_CLASSES, VOC_CLASSES, VOID, DataError, MissingExtra

Bytes = NDArray[np.uint8]
Folder = str | os.PathLike[str]


@dataclass(frozen=True)
class Images:
    """Images of one size in memory.

    Attributes
    ----------
    images : (n, 3, H, W) ndarray of uint8
        RGB.
    masks : (n, H, W) ndarray of uint8
        Class of every pixel, 255 = void.
    names, classes : tuple of str
    """

    images: Bytes
    masks: Bytes
    names: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Images on disk, each read when it is asked for.

    Attributes
    ----------
    name : str
    names, classes : tuple of str
        Of the images, and of the labels 0, 1, ….
    read : callable
        Number of an image ↦ (H, W, 3) RGB and (H, W) labels, both uint8; raises `DataError`.
    """

    name: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    read: Callable[[int], tuple[Bytes, Bytes]]

    def __len__(self) -> int:
        return len(self.names)

    def arrays(self, height: int, width: int) -> Images:
        """Read all images at one size; images are shrunk smoothly, labels are picked.

        An image is scaled to fit and padded with void pixels on the right or below.
        """
        images = np.zeros((len(self), 3, height, width), dtype=np.uint8)
        masks = np.full((len(self), height, width), VOID, dtype=np.uint8)
        for i in range(len(self)):
            image, mask = self.read(i)
            factor = min(height / mask.shape[0], width / mask.shape[1])
            h, w = (max(1, round(factor * n)) for n in mask.shape)
            image, mask = resized(image, mask, h, w)
            images[i, :, :h, :w], masks[i, :h, :w] = np.moveaxis(image, -1, 0), mask
        return Images(images, masks, self.names, self.classes)


def camvid(directory: Folder, split: str, scale: int = 2) -> Images:
    """CamVid in memory, shrunk.

    Parameters
    ----------
    directory : path
        As for `datasets.camvid`.
    split : {"train", "val", "test"}
    scale : int
        Shrink the 240 × 180 images by this factor.

    Returns
    -------
    Images
    """
    if scale < 1 or scale != int(scale):
        raise ValueError(f"scale is {scale}; it must be a whole number ≥ 1")
    source = camvid_source(directory, split)
    if not len(source):
        raise DataError(f"{directory}: CamVid's {split} holds no image")
    height, width = source.read(0)[1].shape
    return source.arrays(height // scale, width // scale)


def camvid_source(directory: Folder, split: str) -> Source:
    """CamVid: masks in ``SPLIT_masks.npz``, photographs in ``SPLIT/NAME.jpg``."""
    _check_split(split, ("train", "val", "test"))
    folder = _below(directory, "camvid")
    file = folder / f"{split}_masks.npz"
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            masks, names = np.asarray(archive["masks"]), tuple(str(name) for name in archive["names"])
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; the CamVid data set needs it") from None
    except Exception as error:
        # Damaged archives raise many kinds of errors.
        raise DataError(f"{file}: damaged or not an .npz file ({error}); copy it again") from None
    if masks.dtype != np.uint8 or masks.ndim != 3 or len(names) != len(masks):
        raise DataError(
            f"{file}: masks has shape {masks.shape}, dtype {masks.dtype}; expected (n, H, W) uint8"
        )

    def read(i: int) -> tuple[Bytes, Bytes]:
        image = _picture(folder / split / f"{names[i]}.jpg")
        return _matching(image, masks[i], folder / split / f"{names[i]}.jpg", file, len(CAMVID_CLASSES))

    return Source(f"CamVid {split}", names, CAMVID_CLASSES, read)


def voc_animals(directory: Folder, split: str) -> Source:
    """The images of VOC 2012 that show animals: ``images/ID.jpg``, ``masks/ID.png``, ``splits/SPLIT.txt``."""
    _check_split(split, ("train", "val"))
    folder = _below(directory, "voc_animals")
    names = _listed(folder / "splits" / f"{split}.txt")
    return _of_files(f"VOC animals {split}", folder / "images", folder / "masks", names)


def voc(directory: Folder, split: str) -> Source:
    """VOC 2012 in its public layout, ``VOCdevkit/VOC2012``."""
    _check_split(split, ("train", "val", "trainval"))
    folder = _below(directory, "VOCdevkit") / "VOC2012"
    names = _listed(folder / "ImageSets" / "Segmentation" / f"{split}.txt")
    return _of_files(f"VOC 2012 {split}", folder / "JPEGImages", folder / "SegmentationClass", names)


def sbd(directory: Folder, split: str) -> Source:
    """The labels of Hariharan et al. in their public layout, ``benchmark_RELEASE/dataset``."""
    _check_split(split, ("train", "val"))
    folder = _below(directory, "benchmark_RELEASE") / "dataset"
    names = _listed(folder / f"{split}.txt")

    def read(i: int) -> tuple[Bytes, Bytes]:
        picture, labels = folder / "img" / f"{names[i]}.jpg", folder / "cls" / f"{names[i]}.mat"
        return _matching(_picture(picture), _matlab(labels), picture, labels, len(VOC_CLASSES))

    return Source(f"SBD {split}", names, VOC_CLASSES, read)


def voc_and_sbd(directory: Folder) -> Source:
    """What VOC is usually trained on: its training images and all of SBD but VOC's validation images."""
    parts = [voc(directory, "train"), sbd(directory, "train"), sbd(directory, "val")]
    taken = set(voc(directory, "val").names)
    chosen: list[tuple[int, int]] = []
    for k, part in enumerate(parts):
        for i, name in enumerate(part.names):
            if name not in taken:
                taken.add(name)
                chosen.append((k, i))

    def read(i: int) -> tuple[Bytes, Bytes]:
        part, number = chosen[i]
        return parts[part].read(number)

    names = tuple(parts[k].names[i] for k, i in chosen)
    return Source("VOC 2012 train and SBD", names, VOC_CLASSES, read)


def download(directory: Folder, boundaries: bool = True) -> None:
    """Fetch VOC 2012, and SBD with `boundaries`, into their public layout; needs a network and torchvision.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    OSError
        If the archives cannot be had.
    """
    try:
        from torchvision import datasets as known
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"downloads need torchvision ({error}): pip install 'lovasz-opt[training]'"
        ) from None
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        known.VOCSegmentation(str(folder), year="2012", image_set="train", download=True)
        if boundaries and not (folder / "benchmark_RELEASE").is_dir():
            _fetch_sbd(folder, known)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"VOC cannot be downloaded ({error}); connect to a network, or put its folders into {folder}"
        ) from None


def _fetch_sbd(folder: Path, known: Any) -> None:
    """The archive as it is: torchvision's own class moves its files about."""
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(known.SBDataset.url, str(folder), md5=known.SBDataset.md5)


def resized(image: Bytes, mask: Bytes, height: int, width: int) -> tuple[Bytes, Bytes]:
    """An image by smooth interpolation and its labels by picking, at another size."""
    Image = _pillow()
    if mask.shape == (height, width):
        return image, mask
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    labels = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(picture), np.asarray(labels)


def _of_files(name: str, pictures: Path, labels: Path, names: Sequence[str]) -> Source:
    def read(i: int) -> tuple[Bytes, Bytes]:
        picture, mask = pictures / f"{names[i]}.jpg", labels / f"{names[i]}.png"
        return _matching(_picture(picture), _labels(mask), picture, mask, len(VOC_CLASSES))

    return Source(name, tuple(names), VOC_CLASSES, read)


def _check_split(split: str, known: tuple[str, ...]) -> None:
    if split not in known:
        raise ValueError(f"split is {split!r}; choose {', '.join(known)}")


def _below(directory: Folder, name: str) -> Path:
    folder = Path(directory) / name
    return folder if folder.is_dir() or name.endswith(("kit", "RELEASE")) else Path(directory)


def _listed(file: Path) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise DataError(f"{file}: {reason}; the data set needs this list of images") from None
    if not names:
        raise DataError(f"{file}: lists no image")
    return names


def _open(file: Path) -> Any:
    Image = _pillow()
    try:
        picture = Image.open(file)
        picture.load()
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; the data set needs it") from None
    except (OSError, SyntaxError) as error:
        raise DataError(f"{file}: damaged or no image ({error}); copy it again") from None
    return picture


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("images are read with Pillow: pip install 'lovasz-opt[training]'") from None
    return Image


def _picture(file: Path) -> Bytes:
    return np.asarray(_open(file).convert("RGB"), dtype=np.uint8)


def _labels(file: Path) -> Bytes:
    mask = np.asarray(_open(file))
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(
            f"{file}: has shape {mask.shape} and dtype {mask.dtype}; expected a palette image of labels"
        )
    return mask


def _matlab(file: Path) -> Bytes:
    from scipy.io import loadmat

    try:
        return np.asarray(loadmat(file)["GTcls"]["Segmentation"][0, 0], dtype=np.uint8)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; SBD needs it") from None
    except Exception as error:
        # Damaged files raise many kinds of errors.
        raise DataError(f"{file}: damaged or no labels of SBD ({error}); copy it again") from None


def _matching(image: Bytes, mask: Bytes, picture: Path, labels: Path, n_classes: int) -> tuple[Bytes, Bytes]:
    if image.shape[:2] != mask.shape:
        raise DataError(f"{labels}: the mask is {mask.shape} pixels, {picture} {image.shape[:2]}")
    known = mask[mask != VOID]
    if known.size and known.max() >= n_classes:
        raise DataError(f"{labels}: holds the label {known.max()}, outside 0 to {n_classes - 1} and {VOID}")
    return image, mask
