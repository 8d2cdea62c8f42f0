"""Seconds against the number of pixels, of this package and the peers, and their figure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import measure
import numpy as np
import rivals
import workloads
from rows import ARGSORT, OURS, Settings

import lovasz_opt as lo
from lovasz_opt.losses import lovasz_hinge_and_gradient
from lovasz_opt.minnorm import prox_min_norm

#: Above these sizes a peer takes too long for a sweep.
_LIMITS = {"path": 10**4, "min-norm point": 1000, "cvxpy + Clarabel": 100}


@dataclass(frozen=True)
class Look:
    """How a side is drawn; colours of Okabe and Ito, told apart in grey by dash and marker."""

    label: str
    color: str
    dash: Any = "solid"
    marker: str = "o"
    width: float = 1.6


LOOKS = {
    ARGSORT: Look("one np.argsort", "#000000", (0, (1, 1.2)), "", 2.2),
    OURS: Look("lovasz_opt", "#D55E00", "solid", "o", 2.6),
    "lovasz_opt, trained": Look("lovasz_opt, trained network", "#D55E00", (0, (6, 1.5)), "s"),
    rivals.KORNIA: Look("kornia", "#0072B2", "solid", "^"),
    rivals.SEGMENTATION_MODELS: Look("segmentation_models_pytorch", "#009E73", (0, (6, 1.5)), "v"),
    "path": Look("path walk, to its end (inexact)", "#0072B2", (0, (6, 1.5)), "^"),
    "min-norm point": Look("min-norm point", "#009E73", "solid", "v"),
    "cvxpy + Clarabel": Look("cvxpy + Clarabel", "#CC79A7", "solid", "D"),
}

#: By panel and side: number of pixels and median seconds.
Curves = dict[str, dict[str, list[tuple[int, float]]]]


def sweep(settings: Settings) -> Curves:
    """Run every side at every size it can take."""
    sizes = [30, 100, 300, 10**3, 10**4] + ([] if settings.quick else [10**5, 10**6, 10**7])
    curves: Curves = {"hinge": {}, "prox": {}}
    for p in sizes:
        for panel, sides in (("hinge", _hinge_sides(p)), ("prox", _prox_sides(p))):
            calls = {name: call for name, call in sides.items() if not isinstance(call, rivals.NotInstalled)}
            repeats = settings.repeats if p <= 10**6 else min(3, settings.repeats)
            for name, seconds in measure.in_turn(calls, repeats).items():
                curves[panel].setdefault(name, []).append((p, float(np.median(seconds))))
    return curves


def _hinge_sides(p: int) -> rivals.Peers:
    target, logits = workloads.scene(p)
    trained_target, trained = workloads.scene(p, trained=True)
    sides: rivals.Peers = {
        ARGSORT: partial(np.argsort, np.where(target, 1 - logits, 1 + logits)),
        OURS: partial(lovasz_hinge_and_gradient, logits, target),
        "lovasz_opt, trained": partial(lovasz_hinge_and_gradient, trained, trained_target),
    }
    return sides | rivals.torch_hinge(logits, target)


def _prox_sides(p: int) -> rivals.Peers:
    x, gamma = workloads.scores(p), p / 10
    target = np.random.default_rng(1).random(p) < 0.3
    F = lo.Jaccard(target)
    f = lo.LovaszExtension(F)
    sides: rivals.Peers = {ARGSORT: partial(np.argsort, x), OURS: partial(f.prox, x, gamma)}
    if p <= _LIMITS["path"]:
        sides["path"] = partial(f.prox, x, gamma, method="path", max_steps=10**9)
    if p <= _LIMITS["min-norm point"]:
        sides["min-norm point"] = lambda: prox_min_norm(F, x, gamma).z
    if p <= _LIMITS["cvxpy + Clarabel"]:
        sides |= rivals.clarabel_prox(F, target, x, gamma)
    return sides


def draw(curves: Curves, out: Path, note: str) -> list[Path]:
    """Draw the two panels; return the files."""
    from lovasz_opt.figures.style import figure

    fig, context = figure(9.4, 4.4)
    titles = {
        "hinge": "Lovász hinge: value and subgradient, float32, 30% foreground",
        "prox": "Exact prox, float64, γ = p/10, 30% foreground",
    }
    with context:
        for axes, (panel, title) in zip(fig.subplots(1, 2, sharey=True), titles.items(), strict=True):
            for name, points in curves[panel].items():
                look = LOOKS[name]
                pixels, seconds = zip(*points, strict=True)
                axes.loglog(
                    pixels, seconds, color=look.color, linestyle=look.dash, marker=look.marker,
                    markersize=4.5, linewidth=look.width, label=look.label,
                )  # fmt: skip
            axes.set_title(title)
            axes.set_xlabel("pixels p")
            axes.legend(loc="lower right", fontsize=8, labelspacing=0.3)
        fig.axes[0].set_ylabel("seconds a call (median)")
        fig.supxlabel(textwrap.fill(note, 180), fontsize=6.5, color="#555555", x=0.005, ha="left")
        files = [out / "peers.png", out / "peers.pdf"]
        for file in files:
            fig.savefig(file)
    return files
