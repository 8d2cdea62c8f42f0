"""Linear softmax models of pixel features, trained by a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from .._validation import Bools, Floats, Ints
from ..datasets import VOC_FREQUENT, VOID, ImageSet
from ..losses import cross_entropy_and_gradient, lovasz_softmax_and_gradient
from ..sampling import class_presence
from .linear_models import Adam
from .recipes import Recipe, measures

Float32s = NDArray[np.float32]

#: Part of the training images on which the step size is chosen.
_HELD = 0.25
#: Classes of the photograph.
TILE_CLASSES = ("floor and far", "near", "nearest")
#: Spread of the parameters to begin with.
_SPREAD = 1e-3


@dataclass(frozen=True)
class Images:
    """Valid pixels of some images.

    Attributes
    ----------
    features : list of (p_i, d) ndarray of float32
    labels : list of (p_i,) ndarray of int
        Classes in {0, …, C − 1}.
    classes : tuple of str
        Their C names.
    """

    features: list[Float32s]
    labels: list[Ints]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, images: ImageSet, classes: tuple[str, ...]) -> Images:
        """Leave out the void pixels, and images that have no other."""
        pairs = zip(images.features, images.targets, strict=True)
        kept = [(rows[truth != VOID], truth[truth != VOID]) for rows, truth in pairs]
        filled = [(rows.astype(np.float32), truth.astype(np.int64)) for rows, truth in kept if truth.size]
        return cls([rows for rows, _ in filled], [truth for _, truth in filled], classes)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def part(self, images: Sequence[int]) -> Images:
        """Some of the images, which are not copied."""
        return Images([self.features[i] for i in images], [self.labels[i] for i in images], self.classes)

    @cached_property
    def presence(self) -> Bools:
        """(n, C): which image shows which class."""
        return class_presence(self.labels, len(self.classes))


def load(source: dict[str, Any]) -> tuple[Images, Images]:
    """Training and validation images.

    Parameters
    ----------
    source : dict
        ``{"kind": "voc", "data": directory}``: background and the frequent classes, on the grid of the
        features; or ``{"kind": "tiles", "scale": …, "tile": …}``: the photograph of the motorcycle.

    Returns
    -------
    train, val : Images

    Raises
    ------
    DataError, MissingExtra
        If the data or a package are missing.
    """
    if source["kind"] == "tiles":
        return _tiles(source["scale"], source["tile"])
    return _voc(source["data"], "train"), _voc(source["data"], "val")


@lru_cache(maxsize=2)
def _voc(data: str, split: str) -> Images:
    return Images.of(datasets.voc_multiclass(data, split), ("background", *VOC_FREQUENT))


@lru_cache(maxsize=1)
def _tiles(scale: int, tile: int) -> tuple[Images, Images]:
    """Tiles of the photograph, the objects on the floor in two classes by their disparity."""
    outer, inner = (
        datasets.tiles(datasets.motorcycle(scale, threshold), tile, smallest=0.0)
        for threshold in (20.0, 40.0)
    )
    train, val = (_nested(*pair) for pair in zip(outer, inner, strict=True))
    return train, val


def _nested(outer: ImageSet, inner: ImageSet) -> Images:
    """Three classes of two targets, of which one holds the other."""
    pairs = zip(outer.targets, inner.targets, strict=True)
    labels = [np.where(wide == VOID, VOID, wide + (narrow == 1)).astype(np.uint8) for wide, narrow in pairs]
    return Images.of(replace(outer, targets=labels), TILE_CLASSES)


def fit_and_held(images: Images, seed: int) -> tuple[Images, Images]:
    """Training images to fit to, and those to choose step sizes on."""
    order = np.random.default_rng([seed, 1]).permutation(len(images)).tolist()
    count = max(1, round(_HELD * len(images)))
    return images.part(sorted(order[count:])), images.part(sorted(order[:count]))


def train(images: Images, recipe: Recipe, rate: float, epochs: int, seed: int) -> Float32s:
    """Parameters after the mini-batch steps of Adam, whose size falls linearly to 0.

    Parameters
    ----------
    images : Images
    recipe : Recipe
    rate : float
        First step size.
    epochs : int
        The steps together see so many times the number of images.
    seed : int
        Of the first parameters and of the order of the images.

    Returns
    -------
    (d, C) ndarray of float32
    """
    shape = (images.features[0].shape[1], len(images.classes))
    W = (_SPREAD * np.random.default_rng([seed, 2]).standard_normal(shape)).astype(np.float32)
    adam, total, seen = Adam(rate), epochs * len(images), 0
    for chosen in recipe.batches(images.presence, total, seed):
        part, progress = images.part(chosen), seen / total
        adam.rate = rate * (1 - progress)
        W += adam.step(_gradient(part, W, recipe, recipe.weight_at(progress)))
        seen += len(chosen)
    return W


def _gradient(images: Images, W: Float32s, recipe: Recipe, weight: float) -> Any:
    """Gradient of the loss of one batch in the parameters, of their dtype."""
    scores = [rows @ W for rows in images.features]
    slopes: list[Floats] = [np.zeros_like(part) for part in scores]
    if weight < 1:
        _, slope = cross_entropy_and_gradient(np.concatenate(scores), np.concatenate(images.labels))
        slopes = _added(slopes, 1 - weight, np.split(slope, _ends(images)))
    if weight > 0 and recipe.per_image:
        _, listed = lovasz_softmax_and_gradient(
            [np.ascontiguousarray(part.T) for part in scores],
            images.labels,
            recipe.classes,
            per_image=True,
            from_logits=True,
        )
        slopes = _added(slopes, weight, [slope.T for slope in listed])
    elif weight > 0:
        _, slope = lovasz_softmax_and_gradient(
            np.concatenate(scores), np.concatenate(images.labels), recipe.classes, from_logits=True
        )
        slopes = _added(slopes, weight, np.split(slope, _ends(images)))
    return np.sum([rows.T @ slope for rows, slope in zip(images.features, slopes, strict=True)], axis=0)


def _ends(images: Images) -> Ints:
    return np.cumsum([len(truth) for truth in images.labels])[:-1]


def _added(slopes: list[Floats], weight: float, more: Sequence[Any]) -> list[Floats]:
    return [a + np.float32(weight) * b for a, b in zip(slopes, more, strict=True)]


def evaluate(images: Images, W: Float32s) -> dict[str, Any]:
    """The `measures` of the classes with the largest scores."""
    guesses = [(rows @ W).argmax(axis=1) for rows in images.features]
    return measures(guesses, images.labels, len(images.classes))
