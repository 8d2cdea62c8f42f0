"""A segmentation network trained end to end with each loss: a small one, on a CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from .._validation import Float64s
from ..grid import Cell, Done, Outcome
from . import end_to_end_drawing as drawing
from . import style
from .page import Page, Table
from .settings import Settings
from .statistics import mean_and_error

name = "end_to_end"
title = "End to end: a small network"

#: Losses of `training.losses`, one after the other, with their share of the epochs.
METHODS: dict[str, tuple[tuple[str, float], ...]] = {
    "cross-entropy": (("cross-entropy", 1.0),),
    "soft Jaccard": (("soft-jaccard", 1.0),),
    "Lovász-Softmax, batch": (("lovasz-softmax", 1.0),),
    "Lovász-Softmax, image": (("lovasz-softmax-per-image", 1.0),),
    "mixture": (("mixture", 1.0),),
    "fine-tuned": (("cross-entropy", 0.5), ("lovasz-softmax", 0.5)),
}
LOOKS = {
    "cross-entropy": style.LOSSES["cross-entropy"],
    "soft Jaccard": style.LOSSES["soft Jaccard"],
    "Lovász-Softmax, batch": replace(style.LOSSES["Lovász-Softmax"], label="Lovász-Softmax of the batch"),
    # Soft Jaccard has the same dash.
    "Lovász-Softmax, image": replace(
        style.LOSSES["Lovász-Softmax, per image"],
        label="Lovász-Softmax of each image",
        dash=(0, (8, 1.5)),
        marker="P",
    ),
    "mixture": style.LOSSES["mixture"],
    "fine-tuned": style.LOSSES["fine-tuned"],
}
#: Channels of the U-Net: with fewer, a CPU has time for more epochs, which tell more.
_WIDTH = 8
#: About three times apart.
_RATES = (3e-3, 1e-2, 3e-2)
#: What is held out of the training images to choose the step size on.
_HELD = 0.25
#: Images that are shown, and methods.
_SHOWN = 3
_DRAWN = ("cross-entropy", "soft Jaccard", "Lovász-Softmax, batch", "fine-tuned")
_MEASURES = {"dataset_miou": "data set mIoU", "image_miou": "image mIoU"}
CLAIM = (
    "Networks trained or fine-tuned with the Lovász-Softmax have a higher IoU: DeepLab-v2 79.0 mIoU on the "
    "test images of VOC 2012, ENet 63.06 on those of Cityscapes (CVPR 2018 and public leaderboards)."
)
_NEEDS = "needs PyTorch (pip install 'lovasz-opt[torch]')"


def cells(settings: Settings) -> list[Cell]:
    """One for every method, step size and seed; none without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return []
    tuned = settings.data is not None and not settings.quick
    if settings.data is None:
        source: dict[str, Any] = {"kind": "tiles", "epochs": 2 if settings.quick else 12}
    else:
        source = {"kind": "camvid", "data": settings.data, "scale": 3, "epochs": 18}
        if settings.quick:
            source |= {"scale": 6, "epochs": 1}
        if settings.full:
            source |= {"scale": 2, "epochs": 60}
    return [
        Cell(run, {"source": source, "method": method, "rate": rate, "seed": seed}, f"end to end: {method}")
        for method in METHODS
        for rate in (_RATES if tuned else _RATES[:1])
        for seed in (settings.all_seeds if settings.full else settings.all_seeds[:2])
    ]


def run(source: dict[str, Any], method: str, rate: float, seed: int) -> Outcome:
    """Train on three quarters of the training images; the rest is to choose the step size on.

    Parameters
    ----------
    source : dict
        kind ("tiles" or "camvid"), epochs, and for CamVid data and scale.
    method : str
        Of `METHODS`.
    rate : float
        First step size.
    seed : int
        Of weights, order and split.

    Returns
    -------
    Outcome
        held, the scores on the images held out; epochs, the lines of the training with those on the
        validation images; shown, what the network says for some of these.
    """
    import torch

    from ..training.loop import evaluate

    # Runs are spread over the cores already.
    torch.set_num_threads(1)
    train, val = images_of(source)
    order = np.random.default_rng([seed, 4]).permutation(len(train.names))
    cut = max(1, round(_HELD * len(order)))
    network, lines = _train(_part(train, order[cut:]), val, method, rate, source["epochs"], seed)
    held = evaluate(network, _part(train, order[:cut]))
    return Outcome(
        measures={
            "held": {measure: getattr(held, measure) for measure in _MEASURES},
            "epochs": lines,
            "shown": [_segmentation(network, val, i).tolist() for i in _examples(val)],
        }
    )


def images_of(source: dict[str, Any]) -> tuple[Any, Any]:
    """Training and validation images."""
    from ..training.data import Images, camvid

    if source["kind"] == "camvid":
        train, val = (camvid(source["data"], split, source["scale"]) for split in ("train", "val"))
        return train, val
    photo = datasets.motorcycle(scale=2)
    parts = []
    for tiles in datasets.tiles(photo, 30, seed=0, smallest=0.0):
        size = min(min(bottom - top, right - left) for top, bottom, left, right in tiles.boxes)
        corners = [(top, left) for top, _, left, _ in tiles.boxes]
        pixels = [photo.image[t : t + size, l : l + size] for t, l in corners]
        masks = [photo.target[t : t + size, l : l + size] for t, l in corners]
        parts.append(
            Images(
                np.stack([np.moveaxis(np.round(255 * p).astype(np.uint8), -1, 0) for p in pixels]),
                np.stack(masks),
                tiles.ids,
                ("background", "motorcycle"),
            )
        )
    return parts[0], parts[1]


def _part(images: Any, chosen: Any) -> Any:
    names = tuple(images.names[i] for i in chosen)
    return replace(images, images=images.images[chosen], masks=images.masks[chosen], names=names)


def _train(
    images: Any, val: Any, method: str, rate: float, epochs: int, seed: int
) -> tuple[Any, list[dict[str, Any]]]:
    import torch

    from ..training.loop import Plan, train
    from ..training.losses import ClassLoss
    from ..training.networks import UNet

    torch.manual_seed(seed)
    network = UNet(len(images.classes), _WIDTH)
    lines: list[dict[str, Any]] = []
    height, width = images.masks.shape[1:]
    for loss, share in METHODS[method]:
        plan = Plan(
            max(round(share * epochs), 1), 8, rate, height=height, width=width, augment=False, seed=seed
        )
        found = train(network, ClassLoss(loss), images, val, plan)
        lines += [{**line, "epoch": len(lines) + k} for k, line in enumerate(found, start=1)]
    return network, lines


def _examples(images: Any) -> list[int]:
    return np.linspace(0, len(images.names) - 1, _SHOWN).astype(int).tolist()


def _segmentation(network: Any, images: Any, i: int) -> Any:
    import torch

    from ..training.crops import as_tensor, read

    with torch.no_grad():
        return network(as_tensor(read(images, i)[0])[None]).argmax(1)[0].numpy()


@dataclass(frozen=True)
class Chosen:
    """The runs of a method with the step size that is best on the images held out.

    Attributes
    ----------
    rate : float
    edge : bool
        Whether it is the smallest or the largest of three or more.
    runs : dict of int to dict
        Measures by seed.
    """

    rate: float
    edge: bool
    runs: dict[int, dict[str, Any]]

    def last(self, measure: str, seeds: Any = None) -> Float64s:
        """A measure on the validation images after the last epoch, for all or some seeds."""
        return self.after(-1, measure, seeds)

    def after(self, k: int, measure: str, seeds: Any = None) -> Float64s:
        """A measure on the validation images in line k."""
        return np.array([self.runs[seed]["epochs"][k][measure] for seed in seeds or self.runs])


def choose(runs: Mapping[float, dict[int, dict[str, Any]]]) -> Chosen:
    """The step size with the best mean of both measures on the images held out, of those with most seeds.

    Parameters
    ----------
    runs : dict of float to dict
        Measures by step size and seed.

    Returns
    -------
    Chosen
    """
    most = max(map(len, runs.values()))
    means = {rate: _held(found) for rate, found in runs.items() if len(found) == most}
    best = max(means, key=means.__getitem__)
    return Chosen(best, len(means) > 2 and best in (min(means), max(means)), runs[best])


def _held(runs: dict[int, dict[str, Any]]) -> float:
    return float(np.mean([list(measures["held"].values()) for measures in runs.values()]))


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """IoU of images and of the data set by epoch, and what networks see."""
    todo = cells(settings)
    if not todo:
        return Page(CLAIM, [f"This figure {_NEEDS}."], "not testable here", f"it {_NEEDS}")
    every: dict[str, dict[float, dict[int, dict[str, Any]]]] = {}
    for cell in todo:
        outcome = done.of(cell)
        if outcome is not None:
            a = cell.arguments
            every.setdefault(a["method"], {}).setdefault(a["rate"], {})[a["seed"]] = outcome.measures
    if not every:
        return Page(CLAIM, ["Nothing is done yet."], "not testable here", "nothing was run")
    chosen = {method: choose(runs) for method, runs in every.items()}
    source = todo[0].arguments["source"]
    _, val = images_of(source)
    curves = {LOOKS[method]: [run["epochs"] for run in c.runs.values()] for method, c in chosen.items()}
    drawn = [method for method in chosen if method in _DRAWN]
    columns = {LOOKS[m].label: next(iter(chosen[m].runs.values()))["shown"] for m in drawn}
    # A reader may wonder why both measures nearly agree.
    drive = "They are of one drive and show much the same classes. " if source["kind"] == "camvid" else ""
    how = "All have the same step size, which is not tuned."
    if any(len(runs) > 1 for runs in every.values()):
        how = "The step size of each was chosen on a quarter of the training images, held out."
    pictures = [
        (
            drawing.curves(out / name, curves, _MEASURES),
            "Validation images by epoch: mean over seeds, bands from the lowest to the highest. Left: mean "
            "over classes, all pixels together. Right: mean over images of the mean IoU of their classes. "
            + drive
            + how,
        ),
        (
            drawing.examples(out / f"{name}-examples", val, _examples(val), columns),
            "Images of the validation set, their labels, and what the networks of the first seed say after "
            "the last epoch.",
        ),
    ]
    where = (
        f"{len(val.classes)} classes of CamVid at {val.masks.shape[2]} × {val.masks.shape[1]} pixels"
        if source["kind"] == "camvid"
        else "tiles of one photograph"
    )
    why = (
        "the published numbers need weeks of a GPU and test servers; the analogue here, as large as a CPU "
        f"allows, is a U-Net of 123,000 parameters on {where}, {source['epochs']} epochs"
    )
    tables = _tables(every, chosen, val.classes, out)
    numbers = {
        "epochs": source["epochs"],
        "rates": {LOOKS[method].label: c.rate for method, c in chosen.items()},
        "final": {row[0]: row[2:6] for row in tables[0].rows},
    }
    return Page(CLAIM, _findings(chosen), "not testable here", why, pictures, tables, numbers)


def _tables(
    every: Mapping[str, Mapping[float, dict[int, dict[str, Any]]]],
    chosen: Mapping[str, Chosen],
    classes: tuple[str, ...],
    out: Path,
) -> list[Table]:
    final, rates, by_class, by_epoch = [], [], [], []
    for method, c in chosen.items():
        label = LOOKS[method].label
        levels = [part for measure in _MEASURES for part in mean_and_error(c.last(measure))]
        final.append([label, len(c.runs), *levels, c.rate])
        for rate, runs in every[method].items():
            held = [float(np.mean([run["held"][measure] for run in runs.values()])) for measure in _MEASURES]
            rates.append([label, rate, len(runs), *held, "yes" if rate == c.rate else ""])
        last = [run["epochs"][-1]["classes"] for run in c.runs.values()]
        # A class that no image shows has no IoU.
        by_class.append(
            [label, *(None if None in ious else float(np.mean(ious)) for ious in zip(*last, strict=True))]
        )
        by_epoch += [
            [label, seed, line["epoch"], line["loss"], *(line[measure] for measure in _MEASURES)]
            for seed, run in c.runs.items()
            for line in run["epochs"]
        ]
    words = list(_MEASURES.values())
    errors = [part for word in words for part in (word, "standard error")]
    return [
        Table(
            "Validation images after the last epoch",
            ["trained with", "seeds", *errors, "step size"],
            final,
            out / f"{name}.csv",
        ),
        Table(
            "IoU of the classes on the validation images after the last epoch",
            ["trained with", *classes],
            by_class,
            out / f"{name}-classes.csv",
        ),
        Table(
            "Training images held out, by step size",
            ["trained with", "step size", "seeds", *words, "chosen"],
            rates,
            out / f"{name}-rates.csv",
        ),
        Table(
            "Validation images by epoch",
            ["trained with", "seed", "epoch", "loss", *words],
            by_epoch,
            out / f"{name}-epochs.csv",
        ),
    ]


def _findings(chosen: Mapping[str, Chosen]) -> list[str]:
    findings = []
    for measure, words in _MEASURES.items():
        best = max(chosen, key=lambda method: float(chosen[method].last(measure).mean()))
        level = chosen[best].last(measure).mean()
        findings.append(f"Highest {words}: {LOOKS[best].label}, {level:.3f}.")
        gaps = _gaps(chosen, -1, measure)
        if gaps:
            half = len(next(iter(chosen["cross-entropy"].runs.values()))["epochs"]) // 2
            earlier = _gaps(chosen, half - 1, measure) if half else {}
            findings.append(
                f"Against cross-entropy in {words}, points: "
                + "; ".join(
                    f"{LOOKS[m].label} {_signed(gap)}"
                    + (f" (after {half} epochs {earlier[m].mean():+.1f})" if m in earlier else "")
                    for m, gap in gaps.items()
                )
                + "."
            )
    edges = [LOOKS[method].label for method, c in chosen.items() if c.edge]
    if edges:
        findings.append(
            "Their step size is the smallest or largest tried, so that another may be better: "
            + ", ".join(edges)
            + "."
        )
    return findings


def _gaps(chosen: Mapping[str, Chosen], k: int, measure: str) -> dict[str, Float64s]:
    """Points above cross-entropy in line k, paired by seed."""
    base = chosen.get("cross-entropy")
    gaps = {}
    for method, c in chosen.items():
        shared = [] if base is None else [seed for seed in c.runs if seed in base.runs]
        if base is not None and shared and method != "cross-entropy":
            gaps[method] = 100 * (c.after(k, measure, shared) - base.after(k, measure, shared))
    return gaps


def _signed(gap: Float64s) -> str:
    mean, error = mean_and_error(gap)
    return f"{mean:+.1f} ± {error:.1f}" if len(gap) > 1 else f"{mean:+.1f}"
