"""A segmentation network trained end to end with each loss: a small one, on a CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from .._validation import Float64s
from ..datasets import VOID
from ..grid import Cell, Done, Outcome
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
    "Lovász-Softmax, batch": style.Look("Lovász-Softmax of the batch", "dual", "#37B58A", marker="o"),
    "Lovász-Softmax, image": style.Look(
        "Lovász-Softmax of each image", "dual", "#00684A", (0, (5, 1.5)), marker="P"
    ),
    "mixture": style.Look(
        "half cross-entropy, half Lovász-Softmax", "second", "#D55E00", (0, (1, 1.2)), marker="D"
    ),
    "fine-tuned": style.Look(
        "cross-entropy, then Lovász-Softmax", "proximal", "#0072B2", (0, (3, 1.2, 1, 1.2)), marker="X"
    ),
}
_RATES = (1e-3, 4e-3)
_SHOWN = 3
CLAIM = (
    "Networks trained or fine-tuned with the Lovász-Softmax have a higher IoU: DeepLab-v2 79.0 mIoU on the "
    "test images of VOC 2012, ENet 63.06 on those of Cityscapes (CVPR 2018 and public leaderboards)."
)
_NEEDS = "needs PyTorch (pip install 'lovasz-opt[torch]')"


def cells(settings: Settings) -> list[Cell]:
    """One for every method and seed; none without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return []
    if settings.data is None:
        source: dict[str, Any] = {"kind": "tiles", "epochs": 2 if settings.quick else 12}
    else:
        source = {"kind": "camvid", "data": settings.data, "scale": 3, "epochs": 12}
        if settings.quick:
            source |= {"scale": 6, "epochs": 1}
        if settings.full:
            source |= {"scale": 2, "epochs": 30}
    seeds = settings.all_seeds if settings.full else settings.all_seeds[:2]
    return [
        Cell(run, {"source": source, "method": method, "seed": seed}, f"end to end: {method}")
        for method in METHODS
        for seed in seeds
    ]


def run(source: dict[str, Any], method: str, seed: int) -> Outcome:
    """Choose the step size on a quarter of the training images, then train on all of them.

    Parameters
    ----------
    source : dict
        kind ("tiles" or "camvid"), epochs, and for CamVid data and scale.
    method : str
        Of `METHODS`.
    seed : int
        Of weights, order and split.

    Returns
    -------
    Outcome
        rate; epochs, the lines of the training; and for the first images of the validation set: shown, what
        the network says.
    """
    import torch

    from ..training.loop import evaluate

    # Runs are spread over the cores already.
    torch.set_num_threads(1)
    train, val = images_of(source)
    order = np.random.default_rng([seed, 4]).permutation(len(train.names))
    cut = len(order) // 4
    fit, held = (_part(train, part) for part in (order[cut:], order[:cut]))
    short = max(source["epochs"] // 3, 1)
    tried = []
    for rate in _RATES:
        network, _ = _train(fit, None, method, rate, short, seed)
        tried.append(evaluate(network, held).image_miou)
    rate = _RATES[int(np.argmax(tried))]
    network, lines = _train(train, val, method, rate, source["epochs"], seed)
    shown = [_segmentation(network, val, i).tolist() for i in _examples(val)]
    return Outcome(measures={"rate": rate, "tried": tried, "epochs": lines, "shown": shown})


def images_of(source: dict[str, Any]) -> tuple[Any, Any]:
    """Training and validation images."""
    from ..training.data import Images, camvid

    if source["kind"] == "camvid":
        train, val = (camvid(source["data"], split, source["scale"]) for split in ("train", "val"))
        return train, val
    photo = datasets.motorcycle(scale=4)
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
    from ..training.data import Images

    names = tuple(images.names[i] for i in chosen)
    return Images(images.images[chosen], images.masks[chosen], names, images.classes)


def _train(
    images: Any, val: Any, method: str, rate: float, epochs: int, seed: int
) -> tuple[Any, list[dict[str, Any]]]:
    import torch

    from ..training.loop import Plan, train
    from ..training.losses import ClassLoss
    from ..training.networks import UNet

    torch.manual_seed(seed)
    network = UNet(len(images.classes))
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


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """IoU of images and of the data set by epoch, and what networks see."""
    todo = cells(settings)
    if not todo:
        return Page(CLAIM, [f"This figure {_NEEDS}."], "not testable here", f"it {_NEEDS}")
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in todo:
        outcome = done.of(cell)
        if outcome is not None:
            found.setdefault(cell.arguments["method"], []).append(outcome.measures)
    if not found:
        return Page(CLAIM, ["Nothing is done yet."], "not testable here", "nothing was run")
    rows = []
    for method, runs in found.items():
        image, whole = (mean_and_error(_last(runs, key)) for key in ("image_miou", "dataset_miou"))
        rows.append(
            [LOOKS[method].label, len(runs), *image, *whole, ", ".join(f"{r['rate']:g}" for r in runs)]
        )
    tables = [
        Table(
            "Validation images after the last epoch",
            ["trained with", "seeds", "image mIoU", "standard error", "data set mIoU", "standard error",
             "step sizes chosen"],
            rows,
            out / f"{name}.csv",
        ),
        Table(
            "By epoch",
            ["trained with", "seed", "epoch", "loss", "image mIoU", "data set mIoU"],
            [
                [LOOKS[m].label, k, line["epoch"], line["loss"], line["image_miou"], line["dataset_miou"]]
                for m, runs in found.items()
                for k, measured in enumerate(runs)
                for line in measured["epochs"]
            ],
            out / f"{name}-epochs.csv",
        ),
    ]  # fmt: skip
    source = todo[0].arguments["source"]
    pictures = [
        (
            _draw(out / name, found),
            "Validation images by epoch: mean over seeds, bands from the lowest to the highest. Left: mean "
            "over images of the mean IoU of their classes. Right: mean over classes, all pixels together.",
        ),
        (
            _draw_examples(out / f"{name}-examples", source, found),
            "Images of the validation set, their labels (black: void), and what the networks of the first "
            "seed say after the last epoch.",
        ),
    ]
    words = (
        f"CamVid, shrunk by {source['scale']}" if source["kind"] == "camvid" else "tiles of one photograph"
    )
    why = (
        f"the published numbers need weeks of a GPU and test servers; the analogue here is a U-Net of "
        f"275,000 parameters on {words}, {source['epochs']} epochs on a CPU"
    )
    numbers = {"epochs": source["epochs"], "final": {row[0]: row[2:6] for row in rows}}
    return Page(CLAIM, _findings(found), "not testable here", why, pictures, tables, numbers)


def _last(runs: Sequence[dict[str, Any]], key: str) -> Float64s:
    return np.array([measured["epochs"][-1][key] for measured in runs])


def _findings(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    findings = []
    for key, words in (("dataset_miou", "data set mIoU"), ("image_miou", "image mIoU")):
        best = max(found, key=lambda m: float(_last(found[m], key).mean()))
        findings.append(f"Highest {words}: {LOOKS[best].label}, {_last(found[best], key).mean():.3f}.")
        base = found.get("cross-entropy", [])
        gaps = [
            f"{LOOKS[m].label} {_gap(_last(runs, key) - _last(base, key))}"
            for m, runs in found.items()
            if m != "cross-entropy" and len(runs) == len(base)
        ]
        if gaps:
            findings.append(f"Against cross-entropy in {words}, points: " + "; ".join(gaps) + ".")
    return findings


def _gap(values: Float64s) -> str:
    mean, error = mean_and_error(100 * values)
    return f"{mean:+.1f} ± {error:.1f}"


def _draw(path: Path, found: dict[str, list[dict[str, Any]]]) -> Path:
    fig, context = style.figure(11.0, 4.2)
    with context:
        axes = fig.subplots(1, 2)
        measures = (("image_miou", "image mIoU"), ("dataset_miou", "data set mIoU"))
        for axis, (key, words) in zip(axes, measures, strict=True):
            for method, runs in found.items():
                look = LOOKS[method]
                values = np.array([[line[key] for line in measured["epochs"]] for measured in runs])
                x = np.arange(1, values.shape[1] + 1)
                axis.fill_between(x, values.min(0), values.max(0), color=look.color, alpha=0.13, linewidth=0)
                axis.plot(
                    x, values.mean(0), color=look.color, linestyle=look.dash, linewidth=look.width,
                    marker=look.marker, markersize=4, label=look.label,
                )  # fmt: skip
            axis.set_xlabel("epochs")
            axis.set_ylabel(f"{words} of the validation images")
            axis.set_ylim(bottom=0)
            axis.xaxis.get_major_locator().set_params(integer=True)
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3)
        return style.save(fig, path)[0]


def _draw_examples(path: Path, source: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> Path:
    _, val = images_of(source)
    chosen = _examples(val)
    columns = ["image", "labels", *found]
    height, width = val.masks.shape[1:]
    fig, context = style.figure(1.75 * len(columns), 1.75 * len(chosen) * height / width + 0.5)
    colors = _palette(len(val.classes))
    with context:
        axes = np.atleast_2d(fig.subplots(len(chosen), len(columns)))
        for row, (i, line) in enumerate(zip(chosen, axes, strict=True)):
            pictures = [np.moveaxis(val.images[i], 0, -1), colors[val.masks[i]]]
            pictures += [colors[np.array(runs[0]["shown"][row])] for runs in found.values()]
            for axis, picture, words in zip(line, pictures, columns, strict=True):
                axis.imshow(picture, interpolation="nearest")
                axis.set_axis_off()
                if row == 0:
                    axis.set_title(words, fontsize=8)
        return style.save(fig, path)[0]


def _palette(n_classes: int) -> Any:
    """Colours of the labels; void is black."""
    import matplotlib

    colors = np.zeros((256, 3))
    colors[:n_classes] = matplotlib.colormaps["tab20"](np.arange(n_classes) % 20)[:, :3]
    colors[VOID] = 0
    return colors
