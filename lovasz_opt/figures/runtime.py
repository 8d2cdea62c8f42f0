"""How long the losses and the prox take beside one sort of the same array, along every axis of growth."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numba
import numpy as np

from .. import losses
from .._validation import Float64s
from ..grid import Cell, Done, Outcome
from ..losses import LovaszHinge
from . import style
from .page import Page, Table, Verdict
from .settings import Settings

name = "runtime"
title = "Running time"

CLAIM = (
    "Value and gradient of the Lovász losses, and the prox, cost O(p log p) for p pixels: about a sort (v1 "
    "and CVPR 2018)."
)

#: A run repeats its call until it has taken about this long, so that the grain of the clock does not matter.
_RUN_SECONDS = 0.004
#: Sizes from here on show the growth; below, the cost of a call counts.
_LARGE = 10_000
#: Ratios to a sort may grow by so much over the large sizes: caches alone do about that.
_GROWTH = 2.0
_SIDE = 128
_FOREGROUND = 0.3

Sides = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Curve:
    """What is called, and how it is drawn."""

    words: str
    look: style.Look


_HINGE, _PROX = style.LOSSES["Lovász hinge"], style.METHODS["prox"]
CURVES = {
    "argsort": Curve("np.argsort of the same array", style.LOSSES["argsort"]),
    "value": Curve("Lovász hinge, value", replace(_HINGE, dash=(0, (5, 1.5)), marker="s")),
    "gradient": Curve("Lovász hinge, value and gradient", _HINGE),
    "prox, 1": Curve("prox, γ = 1", replace(_PROX, dash=(0, (1, 1.2)), marker="P")),
    "prox, p/10": Curve("prox, γ = p/10", _PROX),
    "prox": Curve("prox, any γ", replace(_PROX, dash=(0, (3, 1.2, 1, 1.2)), marker="d")),
    "softmax": Curve("Lovász-Softmax from logits, value and gradient", style.LOSSES["Lovász-Softmax"]),
    "cross-entropy": Curve("cross-entropy, value and gradient", style.LOSSES["cross-entropy"]),
}


@dataclass(frozen=True)
class Study:
    """One axis of growth."""

    axis: str
    title: str


STUDIES = {
    "random": Study("pixels p", "random scores"),
    "trained": Study("pixels p", "scores of a trained network: 95 % right by the margin"),
    "steps": Study("γ / p", "prox by its step"),
    "classes": Study("classes C", "classes"),
    "images": Study("images", f"batches of {_SIDE} × {_SIDE} pixels"),
}
#: What the claim is about.
_CLAIMED = ("gradient", "prox, 1", "prox, p/10")


def places(settings: Settings) -> dict[str, list[float]]:
    """Where every study measures."""
    top = 5 if settings.quick else 7 if settings.full else 6
    sizes = [float(10**k) for k in range(3, top + 1)]
    many = [2.0, 8.0] if settings.quick else [2.0, 8.0, 64.0]
    if settings.full or (settings.data is not None and not settings.quick):
        sizes += [3.0 * 10**k for k in range(3, top)]
        many = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    return {
        "random": sorted(sizes),
        "trained": sorted(sizes),
        "steps": [10.0**k for k in range(-5, 3, 2 if settings.quick else 1)],
        "classes": many,
        "images": [1.0, *many],
    }


def cells(settings: Settings) -> list[Cell]:
    """One for every place of every study; both sides of a ratio run in it, in turn."""
    pixels = 10**4 if settings.quick else 10**5
    return [
        Cell(
            measure,
            {
                "study": study,
                "place": place,
                "pixels": pixels,
                "rounds": 3 if settings.quick else 5,
                "seed": settings.seed,
            },
            f"runtime: {study}",
        )
        for study, along in places(settings).items()
        for place in along
    ]


def measure(study: str, place: float, pixels: int, rounds: int, seed: int) -> Outcome:
    """Seconds of all sides at one place of a study, in one thread.

    Parameters
    ----------
    study : str
        Of `STUDIES`.
    place : float
        Along its axis.
    pixels : int
        Where the study does not vary them.
    rounds, seed : int

    Returns
    -------
    Outcome
        elements: of the array that is sorted; seconds: of every side, round by round.
    """
    sides, elements = _sides(study, place, pixels, np.random.default_rng(seed))
    with _one_thread():
        seconds = in_turn(sides, rounds)
    return Outcome(measures={"elements": elements, "seconds": seconds})


@contextmanager
def _one_thread() -> Iterator[None]:
    """A sort has one thread, and so have we: ratios are not to depend on the machine's cores."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def in_turn(sides: Sides, rounds: int) -> dict[str, list[float]]:
    """Seconds a call of every side, measured A B A B …, after a call of each to compile and warm up.

    Parameters
    ----------
    sides : dict of str to callable
    rounds : int

    Returns
    -------
    dict of str to list of float
    """
    calls = {}
    for key, side in sides.items():
        side()
        begin = perf_counter()
        side()
        calls[key] = max(1, math.ceil(_RUN_SECONDS / max(perf_counter() - begin, 1e-9)))
    seconds: dict[str, list[float]] = {key: [] for key in sides}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for key, side in sides.items():
                begin = perf_counter()
                for _ in range(calls[key]):
                    side()
                seconds[key].append((perf_counter() - begin) / calls[key])
    finally:
        if collecting:
            gc.enable()
    return seconds


def _sides(study: str, place: float, pixels: int, rng: np.random.Generator) -> tuple[Sides, int]:
    """The calls at one place, and the length of the array that they are measured by."""
    if study == "classes":
        return _class_sides(int(place), pixels, rng)
    if study == "images":
        shape: tuple[int, ...] = (int(place), _SIDE, _SIDE)
    else:
        shape = (pixels if study == "steps" else int(place),)
    scores, labels = scene(shape, rng, trained=study == "trained")
    p = scores[0].size if scores.ndim > 1 else scores.size
    h = LovaszHinge(labels)
    rows = scores.reshape(-1, p)
    sort = {"argsort": lambda: np.argsort(rows, axis=-1)}
    if study == "steps":
        return {**sort, "prox": lambda: h.prox(scores, place * p)}, scores.size
    # The prox of a mean over images moves each with its share of the step.
    unit = float(h.n_images)
    return {
        **sort,
        "value": lambda: h(scores),
        "gradient": lambda: h.value_and_subgradient(scores),
        "prox, 1": lambda: h.prox(scores, unit),
        "prox, p/10": lambda: h.prox(scores, unit * p / 10),
        "cross-entropy": lambda: losses.cross_entropy_and_gradient(scores, labels),
    }, scores.size


def scene(shape: tuple[int, ...], rng: np.random.Generator, trained: bool = False) -> tuple[Float64s, Any]:
    """Normal scores with random labels, 30 % foreground; trained: 95 % right by more than the margin."""
    labels = (rng.random(shape) < _FOREGROUND).astype(np.uint8)
    scores = rng.standard_normal(shape)
    if trained:
        distance = np.where(rng.random(shape) < 0.95, 1.0, -1.0) * np.abs(scores)
        scores = np.where(labels == 1, 1.0, -1.0) * (1.0 + distance)
    return scores, labels


def _class_sides(classes: int, pixels: int, rng: np.random.Generator) -> tuple[Sides, int]:
    logits = rng.standard_normal((1, classes, pixels))
    labels = rng.integers(0, classes, (1, pixels))
    return {
        "argsort": lambda: np.argsort(logits, axis=-1),
        "softmax": lambda: losses.lovasz_softmax_and_gradient(logits, labels, from_logits=True),
        "cross-entropy": lambda: losses.cross_entropy_and_gradient(logits, labels),
    }, logits.size


@dataclass(frozen=True)
class Point:
    """One side at one place.

    Attributes
    ----------
    seconds : float
        Least of the rounds: what others do on the machine only adds to it.
    ratio, low, high : float
        Time over that of the sort in the same round: median, least and largest.
    """

    study: str
    curve: str
    place: float
    elements: int
    seconds: float
    ratio: float
    low: float
    high: float


def points(settings: Settings, done: Done) -> list[Point]:
    """All that was measured."""
    found = []
    for cell in cells(settings):
        outcome = done.of(cell)
        if outcome is None:
            continue
        m, sort = outcome.measures, np.array(outcome.measures["seconds"]["argsort"])
        for curve, seconds in m["seconds"].items():
            ratios = np.array(seconds) / sort
            found.append(
                Point(
                    cell.arguments["study"],
                    curve,
                    cell.arguments["place"],
                    m["elements"],
                    float(np.min(seconds)),
                    float(np.median(ratios)),
                    float(ratios.min()),
                    float(ratios.max()),
                )
            )
    return found


@dataclass(frozen=True)
class Growth:
    """How a side grows with the pixels, over the large sizes.

    Attributes
    ----------
    exponent : float
        Slope of log seconds in log p: 1 for p, 1.1 or so for p log p, 2 for p².
    ratio : float
        Least time over that of a sort: at the largest size over that at the smallest of the large ones.
    least, most : float
        Of the least time over that of a sort.
    """

    exponent: float
    ratio: float
    least: float
    most: float


def growth(found: list[Point], study: str, curve: str) -> Growth | None:
    """None with fewer than two large sizes."""
    sorts = {x.place: x.seconds for x in found if (x.study, x.curve) == (study, "argsort")}
    mine = [x for x in found if (x.study, x.curve) == (study, curve) and x.elements >= _LARGE]
    if len(mine) < 2:
        return None
    slope = np.polyfit(np.log([x.elements for x in mine]), np.log([x.seconds for x in mine]), 1)[0]
    ratios = [x.seconds / sorts[x.place] for x in mine]
    return Growth(float(slope), ratios[-1] / ratios[0], min(ratios), max(ratios))


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Times and ratios, and whether they grow as a sort does."""
    found = points(settings, done)
    grown = {
        study: {curve: g for curve in CURVES if (g := growth(found, study, curve)) is not None}
        for study in ("random", "trained")
    }
    if not all(curve in by_curve for by_curve in grown.values() for curve in _CLAIMED):
        return Page(CLAIM, ["Too few sizes are done yet."], "not testable here", "nothing was run")
    verdict, why = _verdict(grown)
    table = Table(
        "Seconds, and time over that of one np.argsort of the same array in the same process",
        ["study", "call", "place", "elements", "seconds", "ns an element", "ratio", "least", "largest"],
        [
            [
                STUDIES[x.study].title, CURVES[x.curve].words, x.place, x.elements, x.seconds,
                1e9 * x.seconds / x.elements, x.ratio, x.low, x.high,
            ]
            for x in found
        ],
        out / f"{name}.csv",
    )  # fmt: skip
    sizes = Table(
        f"Growth with the pixels, from {_LARGE:,} on",
        ["scores", "call", "exponent of p", "growth of the ratio to a sort", "least ratio", "largest ratio"],
        [
            [STUDIES[study].title, CURVES[curve].words, *vars(g).values()]
            for study, by_curve in grown.items()
            for curve, g in by_curve.items()
        ],
        out / f"{name}-growth.csv",
    )
    picture = _draw(out / name, found)
    caption = (
        "Time over that of one np.argsort of the same array (float64, one thread, measured in turn in the "
        "same process): medians, with bars from the least to the largest of the rounds. Bottom right: least "
        "seconds for random scores; the wide grey line grows as p log p."
    )
    numbers = {
        "growth": {
            study: {curve: vars(g) for curve, g in by_curve.items()} for study, by_curve in grown.items()
        },
        "points": [vars(x) for x in found],
    }
    findings = _findings(found, grown)
    return Page(CLAIM, findings, verdict, why, [(picture, caption)], [sizes, table], numbers)


def _verdict(grown: dict[str, dict[str, Growth]]) -> tuple[Verdict, str]:
    """Does the time over that of a sort stay bounded?"""
    held = {curve: max(by_curve[curve].ratio for by_curve in grown.values()) <= _GROWTH for curve in _CLAIMED}
    words = ", ".join(
        f"{CURVES[curve].words} {max(by_curve[curve].ratio for by_curve in grown.values()):.2g} ×"
        for curve in _CLAIMED
    )
    why = (
        f"from {_LARGE:,} pixels to the most, the time over that of a sort grows at most by: {words} "
        f"({_GROWTH:g} × is taken as none)"
    )
    if all(held.values()):
        return "confirmed", why
    return ("partly confirmed" if any(held.values()) else "refuted"), why


def _findings(found: list[Point], grown: dict[str, dict[str, Growth]]) -> list[str]:
    said = []
    for study, by_curve in grown.items():
        largest = max((x for x in found if x.study == study), key=lambda x: x.elements).elements
        here = [x for x in found if (x.study, x.elements) == (study, largest) and x.curve != "argsort"]
        said.append(
            f"{STUDIES[study].title.capitalize()}, {largest:,} pixels, over one np.argsort: "
            + ", ".join(f"{CURVES[x.curve].words} {_ratio(x)}" for x in here)
            + ". Exponents of p: "
            + ", ".join(f"{CURVES[curve].words} {g.exponent:.2f}" for curve, g in by_curve.items())
            + "."
        )
    for study, curve, words in (
        ("steps", "prox", "γ/p from {} to {}: the prox takes {} to {} of a sort."),
        (
            "classes",
            "softmax",
            "{} to {} classes: the Lovász-Softmax takes {} to {} of sorts of all classes.",
        ),
        ("images", "gradient", "{} to {} images: value and gradient take {} to {} of sorts of all images."),
    ):
        mine = [x for x in found if (x.study, x.curve) == (study, curve)]
        if mine:
            ratios = [x.ratio for x in mine]
            along = [f"{x.place:g}" for x in (mine[0], mine[-1])]
            said.append(words.format(*along, f"{min(ratios):.2g}", f"{max(ratios):.2g}"))
    return said


def _ratio(x: Point) -> str:
    return f"{x.ratio:.2g} ({x.low:.2g} to {x.high:.2g})"


def _draw(path: Path, found: list[Point]) -> Path:
    fig, context = style.figure(13.0, 8.6)
    with context:
        axes = fig.subplots(2, 3)
        for axis, (study, about) in zip(axes.flat, STUDIES.items(), strict=False):
            for curve in CURVES:
                mine = [x for x in found if (x.study, x.curve) == (study, curve)]
                if mine and curve != "argsort":
                    _draw_ratios(axis, mine, CURVES[curve])
            axis.axhline(1.0, color="#000000", linewidth=1.0, linestyle=(0, (1, 1.2)))
            axis.set_title(about.title)
            axis.set_xlabel(about.axis)
            axis.set_ylabel("time / one np.argsort")
            axis.set_yscale("log")
            _plain(axis)
            if study in ("classes", "images"):
                axis.set_xscale("log", base=2)
                there = sorted({x.place for x in found if x.study == study})
                axis.set_xticks(there, [f"{place:g}" for place in there])
            else:
                axis.set_xscale("log")
                style.logarithmic(axis.xaxis)
        _draw_seconds(axes.flat[-1], [x for x in found if x.study == "random"])
        handles: dict[str, Any] = {}
        for axis in axes.flat:
            handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        ordered = [c.words for c in CURVES.values() if c.words in handles]
        fig.legend([handles[words] for words in ordered], ordered, loc="outside lower center", ncols=4)
        return style.save(fig, path)[0]


def _plain(axis: Any) -> None:
    """Ratios as plain numbers, at 1, 2 and 5 of every decade that is shown."""
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0.45), max(high, 2.2))
    low, high = axis.get_ylim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def _draw_ratios(axis: Any, mine: list[Point], curve: Curve) -> None:
    ratios = np.array([x.ratio for x in mine])
    low, high = (np.array([getattr(x, side) for x in mine]) for side in ("low", "high"))
    axis.errorbar(
        [x.place for x in mine],
        ratios,
        [ratios - low, high - ratios],
        color=curve.look.color,
        linestyle=curve.look.dash,
        linewidth=1.4,
        elinewidth=0.8,
        marker=curve.look.marker,
        markersize=8 if curve.look.marker == "*" else 5,
        label=curve.words,
    )


def _draw_seconds(axis: Any, found: list[Point]) -> None:
    for key, curve in CURVES.items():
        mine = [x for x in found if x.curve == key]
        if mine:
            axis.plot(
                [x.elements for x in mine], [x.seconds for x in mine], color=curve.look.color,
                linestyle=curve.look.dash, linewidth=1.4, marker=curve.look.marker,
                markersize=8 if curve.look.marker == "*" else 5, label=curve.words,
            )  # fmt: skip
    sorts = [x for x in found if x.curve == "argsort"]
    if sorts:
        p = np.array([x.elements for x in sorts], dtype=np.float64)
        axis.plot(p, 3 * sorts[-1].seconds * p * np.log(p) / (p[-1] * np.log(p[-1])), color="#bbbbbb",
                  linewidth=4, zorder=0)  # fmt: skip
    axis.set_title("random scores")
    axis.set_xlabel("pixels p")
    axis.set_ylabel("seconds")
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("log")
    style.logarithmic(axis.xaxis)
    style.logarithmic(axis.yaxis)
