"""Linear models of pixel features, trained with any loss: what the figures about training share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .. import datasets, losses
from .._validation import Float64s, Floats, Ints
from ..datasets import VOC_FREQUENT, ImageSet
from ..losses import LovaszHinge
from ..problems import LinearHingeRisk
from .settings import Settings

#: Value of a loss and its gradient in the scores of one image.
Loss = Callable[[Float64s, Any], tuple[float, Any]]
#: What takes the place of the gradient in the scores of an image.
Rule = Callable[[Float64s, Any], Floats]

#: Part of the training images on which hyper-parameters are chosen.
_HELD = 0.25

LOSSES: dict[str, Loss] = {
    "cross-entropy": losses.cross_entropy_and_gradient,
    "hinge": losses.hinge_and_gradient,
    "soft Jaccard": losses.soft_jaccard_and_gradient,
    "Lovász hinge": losses.lovasz_hinge_and_gradient,
}


def problems(settings: Settings) -> dict[str, dict[str, Any]]:
    """The problems by their title: one for every VOC class, or the tiles of the photograph."""
    if settings.data is None:
        scale, tile = (4, 16) if settings.quick else (3, 24)
        return {"motorcycle": {"kind": "tiles", "scale": scale, "tile": tile}}
    chosen = VOC_FREQUENT[:1] if settings.quick else VOC_FREQUENT
    return {cls: {"kind": "voc", "data": settings.data, "cls": cls} for cls in chosen}


@dataclass(frozen=True)
class Deal:
    """Images of one problem.

    Attributes
    ----------
    fit, held : ImageSet
        Parts of the training images: to train on and to choose hyper-parameters on.
    train, val : ImageSet
        All training images, and those that decide nothing.
    """

    fit: ImageSet
    held: ImageSet
    train: ImageSet
    val: ImageSet


def deal(source: dict[str, Any], seed: int, fine: bool = True) -> Deal:
    """The images of a problem; the seed draws the training images without the object, and those held out.

    Parameters
    ----------
    source : dict
        Of `problems`.
    seed : int
    fine : bool
        Targets of VOC on the 129 × 129 grid, to which scores are interpolated, or on that of the features.

    Returns
    -------
    Deal
        As many images of VOC show the object as do not. The validation images are always the same.
    """
    if source["kind"] == "tiles":
        photo = _photograph(source["scale"])
        train, val = datasets.tiles(photo, source["tile"], 0, smallest=0.0)
    else:
        parts = (_voc(source["data"], source["cls"], split, fine) for split in ("train", "val"))
        train, val = (_balanced(part, draw) for part, draw in zip(parts, (seed, 0), strict=True))
    order = np.random.default_rng([seed, 1]).permutation(len(train.ids)).tolist()
    count = max(1, round(_HELD * len(order)))
    return Deal(train.part(sorted(order[count:])), train.part(sorted(order[:count])), train, val)


@lru_cache(maxsize=1)
def _photograph(scale: int) -> datasets.Photograph:
    return datasets.motorcycle(scale)


@lru_cache(maxsize=2)
def _voc(data: str, cls: str, split: str, fine: bool) -> ImageSet:
    """All images, with and without the class: reading them takes longer than training does."""
    return datasets.voc(data, cls, split, fine=fine, others="all")


def _balanced(images: ImageSet, seed: int) -> ImageSet:
    shown = np.array([bool((target == 1).any()) for target in images.targets])
    absent, present = np.flatnonzero(~shown), np.flatnonzero(shown)
    if absent.size > present.size:
        absent = np.random.default_rng([seed, 2]).choice(absent, present.size, replace=False)
    return images.part(sorted([*present.tolist(), *absent.tolist()]))


def moreau(gamma: float) -> Rule:
    """The paper's training rule with the exact prox: (F − prox(F))/γ, with γ in units of the pixels."""

    def rule(scores: Float64s, labels: Any) -> Floats:
        return losses.moreau_lovasz_hinge_and_gradient(scores, labels, gamma * scores.size)[1]

    return rule


def path_walk(gamma: float, max_steps: int = 30) -> Rule:
    """The same rule with the path walk of the paper's released code, cut off as its authors did."""

    def rule(scores: Float64s, labels: Any) -> Floats:
        step = gamma * scores.size
        return (scores - LovaszHinge(labels).prox(scores, step, method="path", max_steps=max_steps)) / step

    return rule


def subgradient(loss: str) -> Rule:
    """The gradient of a loss of `LOSSES`."""
    return lambda scores, labels: LOSSES[loss](scores, labels)[1]


class Adam:
    """The usual adaptive steps, of constant size or falling linearly to 0 over so many steps."""

    def __init__(self, rate: float, steps: int | None = None) -> None:
        self.rate, self.steps, self.k = rate, steps, 0
        self.mean: Any = 0.0
        self.square: Any = 0.0

    def step(self, g: Float64s) -> Float64s:
        """What to add to the parameters."""
        self.k += 1
        self.mean = 0.9 * self.mean + 0.1 * g
        self.square = 0.999 * self.square + 0.001 * g * g
        size = np.sqrt(self.square / (1 - 0.999**self.k)) + 1e-8
        rate = self.rate if self.steps is None else self.rate * max(1 - (self.k - 1) / self.steps, 0.0)
        return np.asarray(-rate * self.mean / (1 - 0.9**self.k) / size)


class Momentum:
    """Constant steps with momentum 0.9."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.velocity: Any = 0.0

    def step(self, g: Float64s) -> Float64s:
        """What to add to the parameters."""
        self.velocity = 0.9 * self.velocity - self.rate * g
        return np.asarray(self.velocity)


def iterates(
    risk: LinearHingeRisk,
    rule: Rule,
    optimiser: Adam | Momentum,
    epochs: int,
    seed: int,
    batch: int = 1,
) -> Iterator[tuple[int, Float64s]]:
    """Train a linear model from 0 on; yields the images seen and the parameters after every step.

    Parameters
    ----------
    risk : LinearHingeRisk
        Holds the images; its own loss and ridge play no part.
    rule : callable
        Of the scores and labels of a batch, as one image.
    optimiser : Adam or Momentum
    epochs, seed : int
        Every epoch takes all images in a new random order.
    batch : int
        Images of a step.

    Yields
    ------
    seen : int
    v : (d,) ndarray
    """
    rng = np.random.default_rng([seed, 3])
    v = np.zeros(risk.n_features)
    alone = [risk.batch([i]) for i in range(risk.n_images)] if batch == 1 else []
    seen = 0
    for _ in range(epochs):
        order = rng.permutation(risk.n_images)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            part = alone[chosen[0]] if batch == 1 else risk.batch(chosen.tolist())
            # What has blown up stays so: the losses refuse scores that are not finite.
            if np.isfinite(v).all() and np.isfinite(scores := part.apply(v)).all():
                with np.errstate(over="ignore", invalid="ignore"):
                    v = v + optimiser.step(part.adjoint(np.asarray(rule(scores, part.truth), np.float64)))
            seen += len(chosen)
            yield seen, v


def image_ious(risk: LinearHingeRisk, v: Float64s) -> Float64s:
    """Intersection over union of every image; 1 where neither the object nor a false alarm is."""
    if not np.isfinite(v).all():
        return np.zeros(risk.n_images)
    with np.errstate(over="ignore", invalid="ignore"):
        positive, truth = risk.apply(v) > 0, risk.truth == 1
    return np.array([_iou(positive[rows], truth[rows]) for rows in risk.slices])


def _iou(positive: Any, truth: Any) -> float:
    union = np.count_nonzero(positive | truth)
    return np.count_nonzero(positive & truth) / union if union else 1.0


def areas(risk: LinearHingeRisk) -> Ints:
    """Foreground pixels of every image."""
    return np.array([np.count_nonzero(risk.truth[rows] == 1) for rows in risk.slices])


def mean_losses(risk: LinearHingeRisk, v: Float64s) -> dict[str, float]:
    """Every loss of `LOSSES`, averaged over the images."""
    scores = risk.apply(v)
    return {
        name: float(np.mean([loss(scores[rows], risk.truth[rows])[0] for rows in risk.slices]))
        for name, loss in LOSSES.items()
    }


#: Rules by their names in the figures; those with a γ take it.
RULES: dict[str, Callable[..., Rule]] = {
    **{name: partial(subgradient, name) for name in LOSSES},
    "Moreau": moreau,
    "path": path_walk,
}
