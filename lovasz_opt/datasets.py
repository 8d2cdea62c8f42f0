"""Images with targets and pixel features: a photograph, VOC with network features, CamVid, random shapes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ._npz import read_npz
from ._validation import Bools, Float64s, Ints, as_number
from .problems import LinearHingeRisk, Quantised

#: Label of void pixels in every target of this module.
VOID = 255

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip

#: The animals and persons of which the images with network features show enough.
VOC_FREQUENT = ("cat", "cow", "dog", "horse", "person", "sheep")

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip


class DataError(ValueError):
    """A data set is missing, truncated or not what it should be; the message names the file."""


class MissingExtra(ImportError):
    """An optional package is needed; the message names the extra that installs it."""


@dataclass(frozen=True)
class Photograph:
    """One image with its target, pixel features and scores.

    Attributes
    ----------
    name : str
    image : (H, W, 3) ndarray of float64
        RGB in [0, 1].
    target : (H, W) ndarray of uint8
        1 foreground, 0 background, 255 void.
    features : (H, W, d) ndarray of float64
        Standardised; the last column is constant 1.
    feature_names : tuple of str
    """

    name: str
    image: Float64s
    target: NDArray[np.uint8]
    features: Float64s
    feature_names: tuple[str, ...]

    @property
    def valid(self) -> Bools:
        """(H, W) mask of the pixels with a known label."""
        return self.target != VOID


@dataclass(frozen=True)
class ImageSet:
    """Features and targets of several images, as `LinearHingeRisk` takes them.

    Attributes
    ----------
    name : str
        What it is and how it was chosen.
    features : list of (p_i, d) ndarray or (h, w, d) Quantised
    targets : list of (p_i,) or (H, W) ndarray of uint8
        1 foreground, 0 background, 255 void.
    ids : tuple of str
        Name of each image.
    boxes : tuple of (top, bottom, left, right)
        Where each tile lies in its photograph; empty for whole images.
    upsample : {None, "align_corners"}
        How scores on the grid of the features become scores on the grid of the targets.
    """

    name: str
    features: list[Any]
    targets: list[NDArray[np.uint8]]
    ids: tuple[str, ...]
    boxes: tuple[tuple[int, int, int, int], ...] = field(default=())
    upsample: Literal["align_corners"] | None = None

    def part(self, images: Sequence[int]) -> ImageSet:
        """Some of the images, which are not copied.

        Parameters
        ----------
        images : sequence of int

        Returns
        -------
        ImageSet
        """
        boxes = tuple(self.boxes[i] for i in images) if self.boxes else ()
        return ImageSet(
            f"{len(images)} of {self.name}",
            [self.features[i] for i in images],
            [self.targets[i] for i in images],
            tuple(self.ids[i] for i in images),
            boxes,
            self.upsample,
        )

    def risk(self, l2: float) -> LinearHingeRisk:
        """The regularised Lovász hinge risk of a linear model of these images.

        Parameters
        ----------
        l2 : float
            Ridge weight, > 0.

        Returns
        -------
        LinearHingeRisk
        """
        return LinearHingeRisk(self.features, self.targets, l2, ignore=VOID, upsample=self.upsample)


def motorcycle(scale: int = 2, nearer_than: float = 30.0) -> Photograph:
    """The motorcycle of the Middlebury 2014 stereo pair that scikit-image ships, with its measured disparity.

    Foreground is what stands on the floor nearer than a threshold: disparity above `nearer_than`, and above
    the plane of the floor (fitted to the lowest rows) by more than 2. Pixels of unknown disparity are void.

    Parameters
    ----------
    scale : int
        Shrink the 500 × 741 photograph by this factor, ≥ 1: colours are averaged, labels are picked.
    nearer_than : float
        Disparity threshold in pixels of the original; the scene spans 7 to 60.

    Returns
    -------
    Photograph

    Raises
    ------
    MissingExtra
        If scikit-image is not installed.
    ValueError
        If scale < 1, or one of the classes is empty.

    References
    ----------
    D. Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth", GCPR 2014.

    Examples
    --------
    >>> from lovasz_opt.datasets import motorcycle
    >>> motorcycle(scale=4).target.shape
    (125, 185)
    """
    if not 1 <= scale < np.inf or scale != int(scale):
        raise ValueError(f"scale is {scale}; it must be a whole number ≥ 1")
    nearer_than = as_number(nearer_than, "nearer_than")
    try:
        from skimage.data import stereo_motorcycle
    except ImportError:
        raise MissingExtra(
            "the photograph comes with scikit-image: pip install 'lovasz-opt[study]'"
        ) from None
    left, _, disparity = stereo_motorcycle()
    rows, columns = np.indices(disparity.shape)
    known = np.isfinite(disparity)
    foreground = known & (disparity > nearer_than)
    foreground[known] &= disparity[known] > _floor(disparity, rows, columns)[known] + 2
    target = np.where(known, foreground, VOID).astype(np.uint8)
    height, width = (size // scale for size in disparity.shape)
    target = np.ascontiguousarray(target[scale // 2 :: scale, scale // 2 :: scale][:height, :width])
    if not (target == 1).any() or not (target == 0).any():
        raise ValueError(
            f"nearer_than is {nearer_than}, which leaves one class empty; choose it between 7 and 60"
        )
    blocks = left[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    image = blocks.mean(axis=(1, 3)) / 255.0
    features, names = pixel_features(image)
    return Photograph("motorcycle", image, target, features, names)


def _floor(disparity: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> Float64s:
    """Disparity of the floor: a plane maps to an affine function of the pixel."""
    low = np.isfinite(disparity) & (rows >= 0.93 * disparity.shape[0])
    design = np.stack([np.ones(low.sum()), rows[low], columns[low]], axis=1)
    a, b, c = np.linalg.lstsq(design, disparity[low].astype(np.float64), rcond=None)[0]
    return np.asarray(a + b * rows + c * columns)


def pixel_features(image: Float64s) -> tuple[Float64s, tuple[str, ...]]:
    """Colour, position and filter responses of every pixel, standardised, and a constant column.

    Opponent colours (brightness, red − green, yellow − blue), the same smoothed at three scales, gradient
    magnitude, Laplacian and local contrast of the brightness, and the position to second order.

    Parameters
    ----------
    image : (H, W, 3) array of float
        RGB in [0, 1].

    Returns
    -------
    features : (H, W, d) ndarray of float64
        Mean 0 and variance 1 in each column but the last, which is 1.
    names : tuple of str
    """
    red, green, blue = np.moveaxis(image, -1, 0)
    opponents = {
        "brightness": image.mean(-1),
        "red-green": red - green,
        "yellow-blue": (red + green) / 2 - blue,
    }
    columns = dict(opponents)
    size = min(image.shape[:2])
    for part in (80, 40, 20, 10):
        sigma = size / part
        light = ndimage.gaussian_filter(opponents["brightness"], sigma)
        squares = ndimage.gaussian_filter(opponents["brightness"] ** 2, sigma)
        for name, channel in opponents.items():
            columns[f"{name}, smoothed by 1/{part}"] = ndimage.gaussian_filter(channel, sigma)
        columns[f"contrast at 1/{part}"] = np.sqrt(np.maximum(squares - light**2, 0))
        columns[f"gradient at 1/{part}"] = ndimage.gaussian_gradient_magnitude(opponents["brightness"], sigma)
        columns[f"laplacian at 1/{part}"] = ndimage.gaussian_laplace(opponents["brightness"], sigma)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape[:2]), indexing="ij")
    columns |= {"row": y, "column": x, "row²": y**2, "column²": x**2, "row·column": x * y}
    stack = np.stack(list(columns.values()), axis=-1)
    spread = stack.std(axis=(0, 1))
    stack = (stack - stack.mean(axis=(0, 1))) / np.where(spread > 1e-12, spread, 1.0)
    return np.concatenate([stack, np.ones((*image.shape[:2], 1))], axis=-1), (*columns, "constant")


def tiles(photo: Photograph, size: int, seed: int = 0, smallest: float = 0.03) -> tuple[ImageSet, ImageSet]:
    """Cut a photograph into tiles that hold both classes, and deal them at random into train and test halves.

    Parameters
    ----------
    photo : Photograph
    size : int
        Side of a tile in pixels, about: the photograph is cut evenly.
    seed : int
        Of the deal.
    smallest : float
        Least share of the valid pixels of a tile that each class must have.

    Returns
    -------
    train, test : ImageSet
        The training half is the larger one when the number of tiles is odd.

    Raises
    ------
    ValueError
        If fewer than two tiles hold both classes.
    """
    if not as_number(size, "size") >= 1:
        raise ValueError(f"size is {size}; it must be ≥ 1 pixel")
    height, width = photo.target.shape
    edges = [np.linspace(0, n, max(1, round(n / size)) + 1).astype(int).tolist() for n in (height, width)]
    boxes = []
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            labels = photo.target[top:bottom, left:right]
            known = max(1, int(np.count_nonzero(labels != VOID)))
            share = np.count_nonzero(labels == 1) / known
            if smallest <= share <= 1 - smallest:
                boxes.append((top, bottom, left, right))
    if len(boxes) < 2:
        raise ValueError(
            f"size is {size}: {len(boxes)} tiles hold both classes, two are needed; take smaller tiles"
        )
    order = np.random.default_rng(seed).permutation(len(boxes))
    half = (len(boxes) + 1) // 2
    train, test = (
        [boxes[i] for i in sorted(part)] for part in (order[:half].tolist(), order[half:].tolist())
    )
    return _cut(photo, train, "train", seed), _cut(photo, test, "test", seed)


def _cut(photo: Photograph, boxes: Sequence[tuple[int, int, int, int]], part: str, seed: int) -> ImageSet:
    columns = photo.features.shape[-1]
    return ImageSet(
        f"{photo.name}: {len(boxes)} tiles ({part}, dealt with seed {seed})",
        [photo.features[t:b, l:r].reshape(-1, columns) for t, b, l, r in boxes],
        [photo.target[t:b, l:r].ravel() for t, b, l, r in boxes],
        tuple(f"tile {t}:{b}, {l}:{r}" for t, b, l, r in boxes),
        tuple(boxes),
    )


def score_map(photo: Photograph, train: ImageSet, ridge: float = 1e-3) -> Float64s:
    """Scores of every pixel by class-balanced least squares on the training tiles.

    Parameters
    ----------
    photo : Photograph
    train : ImageSet
        Its training tiles.
    ridge : float
        Relative ridge, in units of the number of pixels.

    Returns
    -------
    (H, W) ndarray of float64
        Near +1 on foreground and −1 on background, as far as the features allow.
    """
    X, labels = np.concatenate(train.features), np.concatenate(train.targets)
    X, y = X[labels != VOID], np.where(labels[labels != VOID] == 1, 1.0, -1.0)
    foreground = int(np.count_nonzero(y > 0))
    weights = 0.5 / np.where(y > 0, foreground, len(y) - foreground)
    weighted = X * weights[:, None]
    v = np.linalg.solve(weighted.T @ X + ridge * np.eye(X.shape[1]), weighted.T @ y)
    return np.asarray(photo.features @ v)


def shapes(n: int = 8, size: int = 48, noise: float = 0.5, seed: int = 0) -> ImageSet:
    """Random ellipses and rectangles under noise: small images for tests and examples.

    Parameters
    ----------
    n, size : int
        Number of images, and their side in pixels.
    noise : float
        Standard deviation of the noise on the scores ±1.
    seed : int

    Returns
    -------
    ImageSet
        Four features a pixel: the noisy score, the score smoothed, a distractor, and the constant 1.

    Examples
    --------
    >>> from lovasz_opt.datasets import shapes
    >>> data = shapes(n=2, size=16, seed=3)
    >>> data.features[0].shape, data.targets[1].shape
    ((256, 4), (256,))
    """
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    features, targets = [], []
    for _ in range(n):
        center = rng.uniform(0.3, 0.7, 2) * size
        radius = rng.uniform(0.12, 0.28, 2) * size
        dy, dx = np.abs(y - center[0]) / radius[0], np.abs(x - center[1]) / radius[1]
        mask = dy**2 + dx**2 <= 1 if rng.random() < 0.5 else np.maximum(dy, dx) <= 1
        score = np.where(mask, 1.0, -1.0) + noise * rng.standard_normal(mask.shape)
        maps = [
            score,
            ndimage.gaussian_filter(score, 1.5),
            rng.standard_normal(mask.shape),
            np.ones(mask.shape),
        ]
        features.append(np.stack(maps, axis=-1).reshape(-1, 4))
        targets.append(mask.ravel().astype(np.uint8))
    return ImageSet(f"{n} shapes (seed {seed})", features, targets, tuple(f"shape {i}" for i in range(n)))


def voc(
    directory: str | os.PathLike[str],
    cls: str = "cat",
    split: str = "train",
    limit: int | None = None,
    seed: int = 0,
    fine: bool = False,
    others: Literal["none", "equal", "all"] = "none",
) -> ImageSet:
    """VOC images that show a class, with quantised DeepLab features on a 33 × 33 grid.

    Parameters
    ----------
    directory : path
        Holds ``deeplab_train.npz`` and ``deeplab_val.npz``, or a folder ``voc_animals`` that does. Their
        arrays: features (n, 33, 33, 256) uint8, scale, zero, masks129 (n, 129, 129) uint8 of VOC labels,
        and ids (n,).
    cls : str
        A VOC class; its pixels are the foreground.
    split : {"train", "val"}
    limit : int, optional
        At most this many images, drawn with `seed`.
    seed : int
    fine : bool
        Targets on the 129 × 129 grid, to which the scores are to be interpolated, and features left in 8-bit
        codes.
    others : {"none", "equal", "all"}
        Images that do not show the class: none, as many as do (drawn with `seed`, all if there are fewer), or
        all.

    Returns
    -------
    ImageSet
        257 features a pixel, the last one constant 1: float32, or `Quantised` if `fine`. Targets are the
        masks at the grid points, or the whole masks if `fine`.

    Raises
    ------
    DataError
        If a file is missing, truncated, or holds something else; the message names it.
    ValueError
        For an unknown class, split or choice of others.
    """
    _check_choice(cls, "cls", VOC_CLASSES[1:])
    _check_choice(split, "split", ("train", "val"))
    _check_choice(others, "others", ("none", "equal", "all"))
    path = _voc_file(directory, split)
    masks = _voc_masks(path)
    number = VOC_CLASSES.index(cls)
    coarse = masks[:, ::4, ::4]
    shown = (coarse == number).any(axis=(1, 2))
    chosen = _draw(np.flatnonzero(shown), limit, seed)
    if not chosen.size:
        raise DataError(f"{path}: no image shows the class {cls!r}")
    if others != "none":
        # By the fine mask: a small object may fall through the coarse grid.
        absent = np.flatnonzero(~(masks == number).any(axis=(1, 2)))
        more = _draw(absent, chosen.size if others == "equal" else None, seed)
        chosen = np.sort(np.concatenate([chosen, more]))
    codes, scale, zero, ids = _voc_codes(path, masks)
    without = "" if others == "none" else f", {more.size} of them without it"
    name = f"VOC {cls}: {len(chosen)} images{without} ({split}, drawn with seed {seed})"
    names = tuple(str(i) for i in ids[chosen])
    if fine:
        # Copies of the chosen images, so that the codes of the others can go.
        quantised = [Quantised(codes[i].copy(), scale, zero, constant=True) for i in chosen]
        targets = _one_vs_rest(masks[chosen], number)
        return ImageSet(f"{name}, 129 × 129", quantised, list(targets), names, upsample="align_corners")
    features = [_voc_rows(codes[i], scale, zero) for i in chosen]
    targets = _one_vs_rest(coarse[chosen].reshape(len(chosen), -1), number)
    return ImageSet(name, features, list(targets), names)


def voc_multiclass(
    directory: str | os.PathLike[str], split: str = "train", classes: Sequence[str] = VOC_FREQUENT
) -> ImageSet:
    """All VOC images with the features of `voc` on a 33 × 33 grid, and several classes at once.

    Parameters
    ----------
    directory : path
        As for `voc`.
    split : {"train", "val"}
    classes : sequence of str
        VOC classes without the background.

    Returns
    -------
    ImageSet
        float32 features as `voc` gives them. Targets are 0 on the background, k on ``classes[k − 1]``, and
        255 on the pixels of other classes and void.

    Raises
    ------
    DataError
        If a file is missing, truncated, or holds something else; the message names it.
    ValueError
        For an unknown class or split.
    """
    for cls in classes:
        _check_choice(cls, "classes", VOC_CLASSES[1:])
    _check_choice(split, "split", ("train", "val"))
    path = _voc_file(directory, split)
    masks = _voc_masks(path)
    codes, scale, zero, ids = _voc_codes(path, masks)
    numbers = np.full(256, VOID, dtype=np.uint8)
    numbers[[0, *map(VOC_CLASSES.index, classes)]] = np.arange(len(classes) + 1)
    targets = numbers[masks[:, ::4, ::4]].reshape(len(masks), -1)
    return ImageSet(
        f"VOC {', '.join(classes)}: {len(masks)} images ({split})",
        [_voc_rows(image, scale, zero) for image in codes],
        list(targets),
        tuple(str(i) for i in ids),
    )


def voc_logits(
    directory: str | os.PathLike[str], split: str = "val"
) -> tuple[NDArray[np.float32], NDArray[np.uint8], tuple[str, ...]]:
    """Logits that the network of `voc` gives to all VOC classes, on its 33 × 33 grid.

    Parameters
    ----------
    directory : path
        As for `voc`. Their arrays: logits (n, 33, 33, 21) uint8, logits_scale, logits_zero, masks129, ids.
    split : {"train", "val"}

    Returns
    -------
    logits : (n, 33, 33, 21) ndarray of float32
        In the order of `VOC_CLASSES`.
    masks : (n, 129, 129) ndarray of uint8
        VOC labels, 255 void; every fourth row and column is on the grid of the logits.
    ids : tuple of str
        Names of the images.

    Raises
    ------
    DataError
        If a file is missing, truncated, or holds something else; the message names it.
    ValueError
        For an unknown split.
    """
    _check_choice(split, "split", ("train", "val"))
    path = _voc_file(directory, split)
    masks = _voc_masks(path)
    codes, ids = _load(path, "logits"), _load(path, "ids")
    expected = (len(masks), 33, 33, len(VOC_CLASSES))
    if codes.shape != expected or codes.dtype != np.uint8 or ids.shape != (len(masks),):
        raise DataError(
            f"{path}: logits has shape {codes.shape}, dtype {codes.dtype}, and ids has shape {ids.shape}, "
            f"expected {expected} uint8 and {(len(masks),)}"
        )
    scale, zero = (np.float32(_load(path, name)) for name in ("logits_scale", "logits_zero"))
    return (codes - zero) * scale, masks, tuple(str(name) for name in ids)


def camvid(
    directory: str | os.PathLike[str],
    cls: str = "car",
    split: str = "train",
    limit: int | None = None,
    seed: int = 0,
    stride: int = 4,
) -> ImageSet:
    """CamVid street scenes that show a class, with the hand-made `pixel_features` of every pixel.

    Parameters
    ----------
    directory : path
        Holds ``train_masks.npz`` with the arrays masks (n, H, W) uint8, 255 = void, and names (n,), and the
        photographs ``train/NAME.jpg`` (likewise for val and test), or a folder ``camvid`` that does.
    cls : str
        One of `CAMVID_CLASSES`; its pixels are the foreground.
    split : {"train", "val", "test"}
    limit : int, optional
        At most this many images, drawn with `seed`.
    seed : int
    stride : int
        Take every so-manyth row and column of pixels, ≥ 1; the features see the whole photograph.

    Returns
    -------
    ImageSet
        float64 features, one row per pixel taken; images whose taken pixels miss the class are left out.

    Raises
    ------
    DataError
        If a file is missing, truncated, or holds something else; the message names it.
    MissingExtra
        If Pillow is not installed.
    ValueError
        For an unknown class or split, or stride < 1.

    References
    ----------
    G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video: a high-definition ground truth
    database", 2009.
    """
    _check_choice(cls, "cls", CAMVID_CLASSES)
    _check_choice(split, "split", ("train", "val", "test"))
    if stride < 1 or stride != int(stride):
        raise ValueError(f"stride is {stride}; it must be a whole number ≥ 1")
    folder = _camvid_folder(directory)
    path = folder / f"{split}_masks.npz"
    masks, names = _load(path, "masks"), _load(path, "names")
    if masks.ndim != 3 or masks.dtype != np.uint8 or names.shape != masks.shape[:1]:
        raise DataError(
            f"{path}: masks has shape {masks.shape}, dtype {masks.dtype}, and names has shape {names.shape}, "
            "expected (n, H, W) uint8 and (n,)"
        )
    number = CAMVID_CLASSES.index(cls)
    taken = masks[:, stride // 2 :: stride, stride // 2 :: stride]
    chosen = _draw(np.flatnonzero((taken == number).any(axis=(1, 2))), limit, seed)
    if not chosen.size:
        raise DataError(f"{path}: no image shows the class {cls!r}")
    features = []
    for i in chosen:
        columns, _ = pixel_features(_photograph(folder / split / f"{names[i]}.jpg", masks.shape[1:]))
        picked = columns[stride // 2 :: stride, stride // 2 :: stride]
        features.append(np.ascontiguousarray(picked.reshape(-1, columns.shape[-1])))
    return ImageSet(
        f"CamVid {cls}: {len(features)} images ({split}, drawn with seed {seed})",
        features,
        list(_one_vs_rest(taken[chosen].reshape(len(chosen), -1), number)),
        tuple(str(name) for name in names[chosen]),
    )


def _photograph(path: Path, shape: tuple[int, ...]) -> Float64s:
    """RGB in [0, 1] of an image file."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("photographs are read with Pillow: pip install 'lovasz-opt[study]'") from None
    try:
        with Image.open(path) as picture:
            image = np.asarray(picture.convert("RGB"), dtype=np.float64) / 255
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; the CamVid data set needs it") from None
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: damaged or no image ({error}); copy it again") from None
    if image.shape[:2] != tuple(shape):
        raise DataError(f"{path}: is {image.shape[:2]} pixels, its mask {tuple(shape)}")
    return image


def _check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    if value not in choices:
        listed = " or ".join(map(repr, choices)) if len(choices) < 3 else "one of " + ", ".join(choices)
        raise ValueError(f"{name} is {value!r}; choose {listed}")


def _draw(candidates: Ints, limit: int | None, seed: int) -> Ints:
    """At most `limit` of the candidates, in their order."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be ≥ 1, or None for all")
    if limit is None or limit >= candidates.size:
        return candidates
    return np.sort(np.random.default_rng(seed).choice(candidates, limit, replace=False))


def _one_vs_rest(labels: NDArray[Any], number: int) -> NDArray[np.uint8]:
    return np.where(labels == VOID, VOID, labels == number).astype(np.uint8)


def check_files(directory: str | os.PathLike[str], camvid: bool = False) -> None:
    """Find out that files are missing before the work, not in the middle of it.

    Parameters
    ----------
    directory : path
        As for `voc`, and for `camvid` if that is asked for.
    camvid : bool

    Raises
    ------
    DataError
        Naming the first file that is missing.
    """
    for split in ("train", "val"):
        _check_exists(_voc_file(directory, split))
        if camvid:
            _check_exists(_camvid_folder(directory) / f"{split}_masks.npz")


def _voc_file(directory: str | os.PathLike[str], split: str) -> Path:
    folder = Path(directory) / "voc_animals"
    return (folder if folder.is_dir() else Path(directory)) / f"deeplab_{split}.npz"


def _voc_masks(path: Path) -> NDArray[np.uint8]:
    masks = _load(path, "masks129")
    if masks.ndim != 3 or masks.shape[1:] != (129, 129) or masks.dtype != np.uint8:
        raise DataError(
            f"{path}: masks129 has shape {masks.shape} and dtype {masks.dtype}, expected (n, 129, 129) uint8"
        )
    return masks


def _voc_codes(
    path: Path, masks: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], float, float, NDArray[np.str_]]:
    """Codes of the features, what they mean as scale·(code − zero), and the names of the images."""
    codes, ids = _load(path, "features"), _load(path, "ids")
    if codes.shape != (len(masks), 33, 33, 256) or codes.dtype != np.uint8 or ids.shape != (len(masks),):
        raise DataError(
            f"{path}: features has shape {codes.shape}, dtype {codes.dtype}, and ids has shape {ids.shape}, "
            f"expected {(len(masks), 33, 33, 256)} uint8 and {(len(masks),)}"
        )
    scale, zero = (float(np.float32(_load(path, name))) for name in ("scale", "zero"))
    return codes, scale, zero, ids


def _voc_rows(codes: NDArray[np.uint8], scale: float, zero: float) -> NDArray[np.float32]:
    """Features of the pixels of one image, and the constant 1."""
    rows = np.ones((33 * 33, 257), dtype=np.float32)
    rows[:, :-1] = (codes.reshape(-1, 256) - np.float32(zero)) * np.float32(scale)
    return rows


def _camvid_folder(directory: str | os.PathLike[str]) -> Path:
    folder = Path(directory) / "camvid"
    return folder if folder.is_dir() else Path(directory)


def _check_exists(path: Path) -> None:
    if not path.parent.is_dir():
        raise DataError(f"{path.parent}: no such directory; give the one that holds {path.name}")
    if not path.is_file():
        raise DataError(f"{path}: no such file; the data set needs it")


def _load(path: Path, name: str) -> NDArray[Any]:
    """One array of an .npz file, or a `DataError` that names the file."""
    _check_exists(path)
    try:
        return read_npz(path, name)[name]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); copy it again") from None
    except ValueError as error:
        raise DataError(str(error)) from None
