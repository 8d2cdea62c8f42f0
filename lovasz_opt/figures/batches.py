"""Lovász-Softmax per image, per batch, and with all that the paper adds, by the size of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import CAMVID_CLASSES, VOC_FREQUENT
from ..grid import Cell, Done, Outcome
from . import batches_drawing, linear_softmax
from .batches_differences import Claim, Difference, Scores, by_batch, claims, differences
from .page import FEWEST_SEEDS, Page, Table, Verdict, judged
from .recipes import Recipe
from .settings import Settings
from .statistics import mean_and_error

name = "batches"
title = "IoU of images, of batches and of the data set"

CLAIM = (
    "Lovász-Softmax has a higher mean IoU than cross-entropy. Taken per image it serves the mean IoU of "
    "images (image-mIoU), per batch that of the data set (dataset-mIoU), the better the larger the batch; "
    "batches in which all classes take turns (equibatch), and counting only the classes that are present, "
    "help (CVPR 2018)."
)

#: Ways to train, for a batch of any size. Of one image, per batch and per image are the same.
FAMILIES: dict[str, Callable[[int], Recipe]] = {
    "cross-entropy": partial(Recipe, weight=0.0),
    "per image": lambda batch: Recipe(batch, per_image=batch > 1),
    "per batch": Recipe,
    "all classes": partial(Recipe, classes="all"),
    "equibatch": partial(Recipe, equibatch=True),
    "cross-entropy, equibatch": partial(Recipe, weight=0.0, equibatch=True),
    "cross-entropy first": partial(Recipe, warm=0.5),
    "mixture 0.25": partial(Recipe, weight=0.25),
    "mixture 0.5": partial(Recipe, weight=0.5),
    "mixture 0.75": partial(Recipe, weight=0.75),
}


#: First step sizes of the networks in units of √(batch / 8), with and without Lovász-Softmax: the best of
#: 0.001, 0.003, 0.01 and 0.03 on a quarter of the training images, with batches of 8 and seed 0.
_NETWORK_RATES = {True: 3e-3, False: 1e-2}


@dataclass(frozen=True)
class Study:
    """Images and a model, and every run with them.

    Attributes
    ----------
    title : str
    classes : tuple of str
    note : str
        What a reader needs to know to judge the runs.
    cells : dict of (family, batch, seed) to Cell
    """

    title: str
    classes: tuple[str, ...]
    note: str
    cells: Mapping[tuple[str, int, int], Cell]


def studies(settings: Settings) -> list[Study]:
    """What is run with these settings."""
    if settings.data is None:
        return [_tiles(settings)]
    return [_voc(settings), *([_camvid(settings)] if find_spec("torch") else [])]


def cells(settings: Settings) -> list[Cell]:
    """All runs, those of the slow networks last."""
    return [cell for study in studies(settings) for cell in study.cells.values()]


def _tiles(settings: Settings) -> Study:
    scale, tile, sizes = (4, 16, (1, 16)) if settings.quick else (3, 16, (1, 4, 16))
    wanted = {family: sizes if family in batches_drawing.CURVES else sizes[-1:] for family in FAMILIES}
    return _linear(
        settings,
        "motorcycle",
        {"kind": "tiles", "scale": scale, "tile": tile},
        linear_softmax.TILE_CLASSES,
        "colours and filters of the pixels",
        wanted,
        {"epochs": 10, "rates": [1e-2, 3e-2] if settings.quick else [3e-3, 1e-2, 3e-2, 1e-1]},
    )


def _voc(settings: Settings) -> Study:
    sizes: tuple[int, ...] = (1, 4, 16, 64)
    wanted = {family: sizes if family in batches_drawing.CURVES else (16,) for family in FAMILIES}
    if settings.quick:
        wanted = dict.fromkeys(("cross-entropy", "per image", "per batch"), (1, 16))
    epochs = 1 if settings.quick else 20 if settings.full else 8
    rates = [1e-3, 3e-3] if settings.quick else [3e-4, 1e-3, 3e-3, 1e-2]
    return _linear(
        settings,
        "VOC",
        {"kind": "voc", "data": settings.data},
        ("background", *VOC_FREQUENT),
        "the 33 × 33 features of a DeepLab network trained on VOC",
        wanted,
        {"epochs": epochs, "rates": rates},
    )


def _camvid(settings: Settings) -> Study:
    """Batches of one image would leave most of the classes out."""
    wanted: dict[str, tuple[int, ...]] = {
        "cross-entropy": (2, 8),
        "per image": (8,),
        "per batch": (2, 8, 16),
        "all classes": (8,),
        "equibatch": (8,),
        "cross-entropy first": (8,),
    }
    seeds = settings.all_seeds if settings.full else settings.all_seeds[:3]
    limit: int | None = None
    epochs = 40 if settings.full else 10
    if settings.quick:
        wanted, limit, epochs = dict.fromkeys(("cross-entropy", "per batch"), (8,)), 32, 1
    found: dict[tuple[str, int, int], Cell] = {}
    for family, sizes in wanted.items():
        for batch in sizes:
            recipe = FAMILIES[family](batch)
            rate = _NETWORK_RATES[recipe.weight > 0] * (batch / 8) ** 0.5
            for seed in seeds:
                found[family, batch, seed] = Cell(
                    run_network,
                    {
                        "data": settings.data,
                        "recipe": asdict(recipe),
                        "rate": rate,
                        "epochs": epochs,
                        "seed": seed,
                        "limit": limit,
                    },
                    f"batches: CamVid, {family}",
                )
    note = (
        f"CamVid: a small U-Net from random weights on 60 × 45 pixels, {len(CAMVID_CLASSES)} classes; it "
        f"sees the training images {epochs} times, which is short. Step sizes were fixed beforehand with one "
        "seed, batches of 8, and a quarter of the training images held out; they go with √batch."
    )
    return Study("CamVid", CAMVID_CLASSES, note, found)


def _linear(
    settings: Settings,
    title: str,
    source: dict[str, Any],
    classes: tuple[str, ...],
    features: str,
    wanted: Mapping[str, tuple[int, ...]],
    training: dict[str, Any],
) -> Study:
    found = {
        (family, batch, seed): Cell(
            run_linear,
            {"source": source, "recipe": asdict(FAMILIES[family](batch)), "seed": seed, **training},
            f"batches: {title}, {family}",
        )
        for family, sizes in wanted.items()
        for batch in sizes
        for seed in settings.all_seeds
    }
    note = (
        f"{title}: a linear softmax model of {len(classes)} classes, on {features}; all see the training "
        f"images {training['epochs']} times. With every seed the step size is chosen on a quarter of the "
        "training images, by the mean of both measures; then all of them are trained on."
    )
    return Study(title, classes, note, found)


def run_linear(
    source: dict[str, Any], recipe: dict[str, Any], epochs: int, rates: list[float], seed: int
) -> Outcome:
    """Choose a step size on a part of the training images, train on all of them, measure once.

    Parameters
    ----------
    source : dict
        Of `linear_softmax.load`.
    recipe : dict
        Of a `Recipe`.
    epochs : int
        The steps see so many times the number of images.
    rates : list of float
        Step sizes to try, in units of √batch.
    seed : int
        Of the part held out, the order, and the first parameters.

    Returns
    -------
    Outcome
        image, dataset and classes as `recipes.measures` gives them for the validation images; train, the
        same for the training images; rate; held, the mean of both measures on the images held out; tried,
        the same for every rate.
    """
    images, val = linear_softmax.load(source)
    fit, held = linear_softmax.fit_and_held(images, seed)
    how = Recipe(**recipe)
    tried = []
    for rate in rates:
        found = linear_softmax.evaluate(
            held, linear_softmax.train(fit, how, rate * np.sqrt(how.batch), epochs, seed)
        )
        tried.append((found["image"] + found["dataset"]) / 2)
    best = int(np.argmax(tried))
    W = linear_softmax.train(images, how, rates[best] * np.sqrt(how.batch), epochs, seed)
    return Outcome(
        measures={
            **linear_softmax.evaluate(val, W),
            "train": linear_softmax.evaluate(images, W),
            "rate": rates[best],
            "held": tried[best],
            "tried": tried,
        }
    )


def run_network(
    data: str, recipe: dict[str, Any], rate: float, epochs: int, seed: int, limit: int | None
) -> Outcome:
    """Train a network on CamVid and measure once.

    Parameters
    ----------
    data : str
        Directory of the data.
    recipe : dict
        Of a `Recipe`.
    rate : float
        First step size.
    epochs : int
        The steps see so many times the number of images.
    seed : int
        Of the order and the first weights.
    limit : int or None
        At most so many training and validation images.

    Returns
    -------
    Outcome
        image, dataset and classes as `recipes.measures` gives them for the validation images; train, the
        same for the training images; rate; held is None: nothing is chosen.
    """
    from . import network_softmax

    train, val = network_softmax.load(data, limit)
    network = network_softmax.train(train, Recipe(**recipe), rate, epochs, seed)
    return Outcome(
        measures={
            **network_softmax.evaluate(val, network),
            "train": network_softmax.evaluate(train, network),
            "rate": rate,
            "held": None,
        }
    )


def scores(study: Study, done: Done) -> Scores:
    """What the runs of a study that are done measured."""
    found: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for (family, batch, seed), cell in study.cells.items():
        outcome = done.of(cell)
        if outcome is not None:
            found.setdefault((family, batch), {})[seed] = outcome.measures
    return found


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Both measures by family and batch, their differences, and what they say about the claim."""
    found = {study.title: (study, scores(study, done)) for study in studies(settings)}
    found = {title: pair for title, pair in found.items() if pair[1]}
    gaps = {title: differences(part) for title, (_, part) in found.items()}
    gaps = {title: part for title, part in gaps.items() if part}
    if not gaps:
        findings = ["No runs that can be compared are done yet.", *_missing(settings)]
        return Page(CLAIM, findings, "not testable here", "nothing was run")
    decided = {title: claims(part) for title, part in gaps.items()}
    verdict, why = judged(settings, *_verdict(decided))
    curves = batches_drawing.draw_curves(out / name, {title: part for title, (_, part) in found.items()})
    bars = batches_drawing.draw_differences(out / f"{name}-differences", gaps)
    return Page(
        CLAIM,
        [
            *_findings(decided),
            *(_on_training_images(title, part) for title, (_, part) in found.items() if title in gaps),
            *_missing(settings),
        ],
        verdict,
        why,
        [
            (
                curves,
                "Means over seeds with standard errors on the validation images. dataset-mIoU: mean over "
                "the classes of the IoU from counts over all images; image-mIoU: mean over the images of "
                "the mean IoU of the classes in the image or its prediction. All runs on the same images "
                "see as many of them, so larger batches take fewer steps. "
                + " ".join(study.note for study, _ in found.values()),
            ),
            (
                bars,
                "Differences paired by seed, means over the batch sizes that both have. Bars: two standard "
                "errors over seeds (order, first parameters, images held out); another choice of validation "
                "images is not in them. Rows without marks were not run.",
            ),
        ],
        [
            _differences_table("Differences paired by seed, in points", gaps, out / f"{name}.csv"),
            _differences_table(
                "The same for every size of the batch",
                {title: by_batch(part) for title, (_, part) in found.items()},
                out / f"{name}-sizes.csv",
            ),
            _methods_table(found, out / f"{name}-methods.csv"),
            *(
                _classes_table(study, part, out / f"{name}-classes-{title}.csv")
                for title, (study, part) in found.items()
            ),
        ],
        {
            "differences": {title: [asdict(gap) for gap in part] for title, part in gaps.items()},
            "claims": {
                title: [asdict(claim) | {"status": claim.status} for claim in part]
                for title, part in decided.items()
            },
        },
    )


def _missing(settings: Settings) -> list[str]:
    if settings.data is not None and not find_spec("torch"):
        return ["A network on CamVid needs PyTorch (pip install 'lovasz-opt[torch]') and was not run."]
    return []


def _findings(decided: Mapping[str, list[Claim]]) -> list[str]:
    """One for every part of the claim."""
    words: dict[str, list[str]] = {}
    for title, part in decided.items():
        for claim in part:
            told = f"{title} {claim.estimate.points} points ({claim.status}, {claim.deciding})"
            words.setdefault(claim.words, []).append(told)
    return [f"{claim}: {'; '.join(told)}." for claim, told in words.items()]


def _on_training_images(title: str, part: Scores) -> str:
    """Whether a loss reaches what it aims at where it aims, and how far the training went."""
    train = {
        key: {seed: {**run["train"], "held": run["held"]} for seed, run in runs.items()}
        for key, runs in part.items()
    }
    words = [
        f"{gap.label} {gap.dataset.points} in dataset-mIoU and {gap.image.points} in image-mIoU"
        for gap in differences(train)
        if gap.key in ("batch", "image")
    ]
    levels = [
        run["dataset"]
        for (family, _), runs in train.items()
        if family == "per batch"
        for run in runs.values()
    ]
    if levels:
        words.append(f"dataset-mIoU of the loss per batch {min(levels):.2f} to {max(levels):.2f}")
    return f"{title}, on the training images, in points, means over the batches: {'; '.join(words)}."


def _verdict(decided: Mapping[str, list[Claim]]) -> tuple[Verdict, str]:
    """By how many parts of the claim are off zero by two standard errors, and on which side."""
    every = [claim for part in decided.values() for claim in part]
    counts = {word: sum(claim.status == word for claim in every) for word in ("supported", "contradicted")}
    undecided = len(every) - sum(counts.values())
    words = (
        f"of {len(every)} parts of the claim, counted for each of {', '.join(decided)}, "
        f"{counts['supported']} are supported by two standard errors, {counts['contradicted']} contradicted "
        f"and {undecided} undecided"
    )
    if undecided == len(every):
        few = all(claim.seeds < FEWEST_SEEDS for claim in every)
        return "not testable here", words + (f": {FEWEST_SEEDS} seeds are needed" if few else "")
    if counts["supported"] == len(every):
        return "confirmed", words
    return ("partly confirmed" if counts["supported"] else "refuted"), words


def _differences_table(title: str, gaps: Mapping[str, list[Difference]], file: Path) -> Table:
    rows = [
        [study, gap.label, gap.batches, gap.seeds]
        + [100 * value for e in (gap.dataset, gap.image) for value in (e.mean, e.error)]
        for study, part in gaps.items()
        for gap in part
    ]
    head = ["images", "difference", "batch", "seeds", "dataset-mIoU", "± standard error"]
    return Table(title, [*head, "image-mIoU", "± standard error"], rows, file)


def _methods_table(found: Mapping[str, tuple[Study, Scores]], file: Path) -> Table:
    rows = []
    for title, (_, part) in found.items():
        for (family, batch), runs in part.items():
            estimates = [
                value
                for measure in ("dataset", "image")
                for value in mean_and_error(np.array([run[measure] for run in runs.values()]))
            ]
            rates = float(np.median([run["rate"] for run in runs.values()]))
            rows.append([title, family, batch, len(runs), *estimates, rates])
    head = ["images", "trained with", "batch", "seeds", "dataset-mIoU", "± standard error"]
    return Table(
        "Both measures on the validation images, and the median of the step sizes chosen",
        [*head, "image-mIoU", "± standard error", "step size / √batch"],
        rows,
        file,
    )


def _classes_table(study: Study, part: Scores, file: Path) -> Table:
    """IoU over the data set; a class that no run met is empty."""
    rows = []
    for (family, batch), runs in part.items():
        values = np.array([run["classes"] for run in runs.values()], dtype=np.float64)
        means = [float(np.nanmean(v)) if np.isfinite(v).any() else None for v in values.T]
        rows.append([family, batch, *means])
    return Table(
        f"{study.title}: IoU of every class over the data set",
        ["trained with", "batch", *study.classes],
        rows,
        file,
    )
