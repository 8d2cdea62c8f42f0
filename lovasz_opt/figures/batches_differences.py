"""Differences between ways to train, paired by seed, and what they say about the claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._validation import Float64s
from .page import FEWEST_SEEDS
from .statistics import mean_and_error

#: By seed: what a run measured, with image and dataset, and held, the score on images held out (or None).
Runs = Mapping[int, Mapping[str, Any]]
#: Of every family and batch that is done.
Scores = Mapping[tuple[str, int], Runs]


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Float64s) -> Estimate:
        """From one value for every seed."""
        return cls(*mean_and_error(values))

    @property
    def points(self) -> str:
        """In words, as percentage points."""
        return f"{100 * self.mean:+.2f} ± {100 * self.error:.2f}"


@dataclass(frozen=True)
class Difference:
    """How far one way to train is above another.

    Attributes
    ----------
    key, label : str
    batches : str
        Sizes of the batches that it is the mean over.
    seeds : int
    dataset, image : Estimate
        In dataset-mIoU and in image-mIoU.
    contrast : Estimate
        The one minus the other: which of both measures gains more.
    """

    key: str
    label: str
    batches: str
    seeds: int
    dataset: Estimate
    image: Estimate
    contrast: Estimate


#: Families to compare, ours and theirs, at the same batches.
_PAIRS = {
    "batch": ("Lovász-Softmax per batch − cross-entropy", "per batch", "cross-entropy"),
    "image": ("Lovász-Softmax per image − cross-entropy", "per image", "cross-entropy"),
    "full": ("Lovász-Softmax with equibatch − cross-entropy", "equibatch", "cross-entropy"),
    "grouping": ("loss per batch − per image", "per batch", "per image"),
    "equibatch": ("equibatch − random order", "equibatch", "per batch"),
    "control": ("equibatch − random order, cross-entropy", "cross-entropy, equibatch", "cross-entropy"),
    "present": ("classes present − all classes", "per batch", "all classes"),
    "tuning": ("cross-entropy first − Lovász-Softmax alone", "cross-entropy first", "per batch"),
    "full tuning": ("cross-entropy first − cross-entropy alone", "cross-entropy first", "cross-entropy"),
    "mixture 0.25": ("mixture, weight 0.25 − Lovász-Softmax alone", "mixture 0.25", "per batch"),
    "mixture 0.5": ("mixture, weight 0.5 − Lovász-Softmax alone", "mixture 0.5", "per batch"),
    "mixture 0.75": ("mixture, weight 0.75 − Lovász-Softmax alone", "mixture 0.75", "per batch"),
}
#: Those in which the batch is a hyper-parameter like others.
_AT_THEIR_BEST = ("batch", "image", "grouping")


def differences(scores: Scores) -> list[Difference]:
    """All differences for which there are runs with the same seeds.

    Parameters
    ----------
    scores : mapping of (family, batch) to runs

    Returns
    -------
    list of Difference
        At the same batches: the mean over all sizes that both families have. Of one image, per batch and per
        image are the same and not compared. Then each with the batch that is best on the images held out,
        seed by seed, and the largest minus the smallest batch.
    """
    found = []
    for key, (label, ours, theirs) in _PAIRS.items():
        sizes = _common(scores, key)
        pairs = [(scores[ours, b], scores[theirs, b]) for b in sizes]
        found.append(_difference(key, label, ", ".join(map(str, sizes)), pairs))
    for key in _AT_THEIR_BEST:
        label, ours, theirs = _PAIRS[key]
        sides = (_best(scores, ours), _best(scores, theirs))
        found.append(_difference(f"{key}, best", label, "best of each", [sides]))
    sizes = _sizes(scores, "per batch")
    if len(sizes) > 1:
        ends = scores["per batch", sizes[-1]], scores["per batch", sizes[0]]
        label = "Lovász-Softmax per batch, largest − smallest batch"
        found.append(_difference("growth", label, f"{sizes[-1]} − {sizes[0]}", [ends]))
    return [difference for difference in found if difference is not None]


def by_batch(scores: Scores) -> list[Difference]:
    """The differences at the same batches, one by one."""
    found = [
        _difference(key, label, str(b), [(scores[ours, b], scores[theirs, b])])
        for key, (label, ours, theirs) in _PAIRS.items()
        for b in _common(scores, key)
    ]
    return [difference for difference in found if difference is not None]


def _common(scores: Scores, key: str) -> list[int]:
    """Sizes of batches that both families of a pair have; of one image, per batch is per image."""
    _, ours, theirs = _PAIRS[key]
    return [b for b in _sizes(scores, ours) if (theirs, b) in scores and (key != "grouping" or b > 1)]


def _sizes(scores: Scores, family: str) -> list[int]:
    return sorted(b for other, b in scores if other == family)


def _best(scores: Scores, family: str) -> Runs:
    """Of every seed, the run with the best score on the images held out."""
    best: dict[int, Mapping[str, Any]] = {}
    for b in _sizes(scores, family):
        for seed, run in scores[family, b].items():
            if run["held"] is not None and (seed not in best or run["held"] > best[seed]["held"]):
                best[seed] = run
    return best


def _difference(key: str, label: str, batches: str, pairs: list[tuple[Runs, Runs]]) -> Difference | None:
    sides = [runs.keys() for pair in pairs for runs in pair]
    seeds = sorted(set.intersection(*map(set, sides))) if sides else []
    if not seeds:
        return None
    gaps = {
        measure: np.array(
            [[ours[s][measure] - theirs[s][measure] for s in seeds] for ours, theirs in pairs]
        ).mean(axis=0)
        for measure in ("dataset", "image")
    }
    contrast = Estimate.of(gaps["dataset"] - gaps["image"])
    return Difference(
        key, label, batches, len(seeds), Estimate.of(gaps["dataset"]), Estimate.of(gaps["image"]), contrast
    )


Status = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True)
class Claim:
    """A part of the claim, with the difference that decides it.

    Attributes
    ----------
    words : str
    deciding : str
        The batches of the difference that decides it, and the number of seeds.
    seeds : int
    estimate : Estimate
        Positive if the claim holds.
    """

    words: str
    deciding: str
    seeds: int
    estimate: Estimate

    @property
    def status(self) -> Status:
        """Supported or contradicted by two standard errors, or undecided; so too with very few seeds."""
        mean, error = self.estimate.mean, self.estimate.error
        if self.seeds < FEWEST_SEEDS or abs(mean) < 2 * error or mean == 0:
            return "undecided"
        return "supported" if mean > 0 else "contradicted"


#: What is claimed, and the differences that decide it, the first that there is.
_CLAIMS: tuple[tuple[str, tuple[str, ...], Callable[[Difference], Estimate]], ...] = (
    (
        "Lovász-Softmax per batch beats cross-entropy in dataset-mIoU",
        ("batch, best", "batch"),
        lambda d: d.dataset,
    ),
    (
        "Lovász-Softmax per image beats cross-entropy in image-mIoU",
        ("image, best", "image"),
        lambda d: d.image,
    ),
    ("larger batches raise dataset-mIoU, with as many images seen", ("growth",), lambda d: d.dataset),
    (
        "the loss per batch instead of per image helps dataset-mIoU more than image-mIoU",
        ("grouping, best", "grouping"),
        lambda d: d.contrast,
    ),
    ("equibatch raises dataset-mIoU", ("equibatch",), lambda d: d.dataset),
    ("classes present beat all classes in dataset-mIoU", ("present",), lambda d: d.dataset),
)


def claims(found: list[Difference]) -> list[Claim]:
    """What the differences say about every part of the claim that they decide."""
    by_key = {difference.key: difference for difference in found}
    decided = []
    for words, keys, measure in _CLAIMS:
        deciding = next((by_key[key] for key in keys if key in by_key), None)
        if deciding is not None:
            where = f"batch {deciding.batches}, {deciding.seeds} seeds"
            decided.append(Claim(words, where, deciding.seeds, measure(deciding)))
    return decided
