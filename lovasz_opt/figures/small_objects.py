"""IoU by the size of the object, for the models of the figure on the last layer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import Float64s, Ints
from ..grid import Cell, Done
from . import last_layer, style
from .last_layer import METHODS, REFERENCE
from .page import Page, Table, Verdict, judged
from .settings import Settings
from .statistics import mean_and_error

name = "small_objects"
title = "Small objects"

_BINS = 5
CLAIM = "The IoU does not depend on scale, so that optimising it helps small objects most (v1 and CVPR 2018)."


def cells(settings: Settings) -> list[Cell]:
    """Those of the last layer."""
    return last_layer.cells(settings)


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """IoU in fifths of the objects by area, and the differences to cross-entropy."""
    found = last_layer.results(settings, done)
    if not found:
        return Page(
            CLAIM, ["No problem is done for all methods yet."], "not testable here", "nothing was run"
        )
    shares = _shares(found)
    bins = min(_BINS, len(shares))
    edges = np.quantile(shares, np.linspace(0, 1, bins + 1))
    bin_of = np.clip(np.searchsorted(edges, shares, side="right") - 1, 0, bins - 1)
    ious = {m: _ious(found, m) for m in METHODS}
    names = [f"{_percent(a)}–{_percent(b)} %" for a, b in pairwise(edges)]
    rows, gains = [], {}
    for m in METHODS:
        means, gaps = [], []
        for k in range(bins):
            here = bin_of == k
            means.append(mean_and_error(ious[m][:, here].mean(axis=1)))
            # Over images: what another sample of images would give.
            gaps.append(mean_and_error((ious[m] - ious[REFERENCE])[:, here].mean(axis=0)))
            rows.append(
                [
                    style.LOSSES[m].label,
                    names[k],
                    int(here.sum()),
                    *means[-1],
                    *(gaps[-1] if m != REFERENCE else (0, 0)),
                ]
            )
        gains[m] = (np.array(means), np.array(gaps))
    table = Table(
        "Validation IoU of images that show the object, by the share of the image that it covers",
        ["trained with", "share of the image", "images", "IoU", "standard error over seeds",
         "minus cross-entropy", "standard error over images"],
        rows,
        out / f"{name}.csv",
    )  # fmt: skip
    ours = gains["Lovász hinge"][1]
    verdict, why = judged(settings, *_verdict(ours, names))
    findings = [
        "Lovász hinge minus cross-entropy, from the smallest to the largest objects: "
        + ", ".join(f"{100 * mean:+.1f} ± {100 * error:.1f}" for mean, error in ours)
        + " points (standard errors over images).",
        "Cross-entropy itself: IoU "
        + ", ".join(f"{mean:.3f}" for mean, _ in gains[REFERENCE][0])
        + " in the same order.",
    ]
    picture = _draw(out / name, names, gains)
    caption = (
        "Validation images that show the object, in groups of equal number by the share of the valid pixels "
        "that it covers. Left: IoU, mean and standard error over seeds. Right: the same minus cross-entropy, "
        "with the standard error over images."
    )
    numbers = {"edges": edges.tolist(), "gain": {m: g[1].tolist() for m, g in gains.items()}}
    return Page(CLAIM, findings, verdict, why, [(picture, caption)], [table], numbers)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"


def _objects(entry: dict[str, Any]) -> Ints:
    return np.flatnonzero(np.array(entry["val"]["areas"]) > 0)


def _shares(found: last_layer.Results) -> Float64s:
    """Share of the valid pixels of every object of the validation images, problem by problem."""
    parts = []
    for by_method in found.values():
        entry = by_method[REFERENCE]["results"][0]
        shown = _objects(entry)
        parts.append(np.array(entry["val"]["areas"])[shown] / np.array(entry["val"]["pixels"])[shown])
    return np.concatenate(parts)


def _ious(found: last_layer.Results, method: str) -> Float64s:
    """(seeds, objects): IoU of every object; the validation images are the same for all seeds."""
    parts = [
        [np.array(entry["val"]["ious"])[_objects(entry)] for entry in by_method[method]["results"]]
        for by_method in found.values()
    ]
    return np.concatenate([np.array(part) for part in parts], axis=1)


def _verdict(gains: Float64s, names: list[str]) -> tuple[Verdict, str]:
    """Is the gain of the smallest above 0 and above that of the largest, by two standard errors each?"""
    (small, error), (large, other) = gains[0], gains[-1]
    more = small - large
    spread = float(np.hypot(error, other))
    words = (
        f"the gain over cross-entropy is {100 * small:+.1f} ± {100 * error:.1f} points on the smallest "
        f"objects ({names[0]}) and {100 * large:+.1f} ± {100 * other:.1f} on the largest ({names[-1]})"
    )
    if small >= 2 * error and more >= 2 * spread and small > 0:
        return "confirmed", words
    if small > 0 and more > 0:
        return "partly confirmed", words
    return "refuted", words


def _draw(path: Path, names: list[str], gains: dict[str, tuple[Float64s, Float64s]]) -> Path:
    fig, context = style.figure(11.0, 4.2)
    with context:
        axes = fig.subplots(1, 2)
        for k, (m, parts) in enumerate(gains.items()):
            look = style.LOSSES[m]
            places = np.arange(len(names)) + 0.06 * (k - (len(gains) - 1) / 2)
            for axis, values, factor in zip(axes, parts, (1, 100), strict=True):
                if m == REFERENCE and factor == 100:
                    continue
                axis.errorbar(
                    places,
                    factor * values[:, 0],
                    factor * values[:, 1],
                    color=look.color,
                    linestyle=look.dash,
                    linewidth=1.2,
                    marker=look.marker,
                    markersize=8 if look.marker == "*" else 5,
                    label=look.label if factor == 1 else None,
                )
        axes[1].axhline(0, color="#000000", linewidth=0.8)
        for axis in axes:
            axis.set_xticks(range(len(names)), names)
            axis.set_xlabel("share of the image that the object covers")
        axes[0].set_ylabel("IoU of the validation images")
        axes[1].set_ylabel("minus cross-entropy's, points")
        # A loss that fails altogether must not flatten the others.
        shown = np.concatenate([100 * p[1][:, 0] for m, p in gains.items() if m != "soft Jaccard"])
        low, high = float(shown.min()), float(shown.max())
        room = 0.25 * max(high - low, 1.0)
        axes[1].set_ylim(low - room, high + room)
        fig.legend(loc="outside lower center", ncols=3)
        return style.save(fig, path)[0]
