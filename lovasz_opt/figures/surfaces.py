"""The Lovász hinge and the Lovász-Softmax of one or two pixels as surfaces, with checks of their shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import losses, reference
from .._validation import Float64s, Ints
from ..grid import Cell, Done, Outcome
from ..losses import LovaszHinge
from ..sets import Jaccard
from . import style
from .page import Page, Table, Verdict
from .settings import Settings

name = "surfaces"
title = "The losses as surfaces"

CLAIM = (
    "The Lovász hinge of the Jaccard loss is a convex, piecewise linear surrogate that equals the loss at "
    "the corners of the square of margins (v1); the Lovász-Softmax is one for several classes, in "
    "the probabilities (CVPR 2018)."
)

#: Ground truths of two pixels, as signs.
TRUTHS = ((-1, -1), (-1, 1), (1, 1))
#: Scores are shown from minus this to this.
_REACH = 2.0
#: Differences below this are rounding.
_ROUNDING = 1e-12
#: Points of one side of a three-dimensional surface, which is slow to draw.
_FACETS = 41

#: Losses of two scores, by their keys in `style.LOSSES`.
_BINARY: dict[str, Callable[[Any, Any], float]] = {
    "Lovász hinge": losses.lovasz_hinge,
    "hinge": losses.hinge,
    "cross-entropy": losses.cross_entropy,
}


@dataclass(frozen=True)
class View:
    """A slice through the logits of the Lovász-Softmax: those of all pixels are origin + u·first + v·second.

    Attributes
    ----------
    title, first, second : str
        What is shown, and names of the axes.
    labels : tuple of int
        Class of every pixel.
    directions : tuple
        (pixels, classes) directions of the two axes; the origin is 0.
    """

    title: str
    first: str
    second: str
    labels: tuple[int, ...]
    directions: tuple[Any, Any]

    def logits(self, u: float, v: float) -> Float64s:
        """(pixels, classes) logits of a point of the slice."""
        first, second = (np.asarray(direction, dtype=np.float64) for direction in self.directions)
        return np.asarray(u * first + v * second)


_DIFFERENCES = (((0, 1), (0, 0)), ((0, 0), (0, 1)))
VIEWS = (
    *(
        View(
            f"two classes, truth {labels}",
            "pixel 1: logit of 1 − logit of 0",
            "pixel 2: logit of 1 − logit of 0",
            labels,
            _DIFFERENCES,
        )
        for labels in ((0, 0), (0, 1), (1, 1))
    ),
    View(
        "three classes, truth (0, 0)",
        "pixel 1: logit of 0 above 1 and 2",
        "pixel 2: logit of 0 above 1 and 2",
        (0, 0),
        (((1, 0, 0), (0, 0, 0)), ((0, 0, 0), (1, 0, 0))),
    ),
    View(
        "three classes, truth (0, 1)",
        "pixel 1: logit of 0 above 1 and 2",
        "pixel 2: logit of 1 above 0 and 2",
        (0, 1),
        (((1, 0, 0), (0, 0, 0)), ((0, 0, 0), (0, 1, 0))),
    ),
    View(
        "three classes, one pixel, truth 0",
        "logit of 1 − logit of 0",
        "logit of 2 − logit of 0",
        (0,),
        (((0, 1, 0),), ((0, 0, 1),)),
    ),
)
#: Logit differences beyond ±2 are where the softmax bends.
_SOFTMAX_REACH = 5.0


def cells(settings: Settings) -> list[Cell]:
    """One for every surface, and one for every check and seed."""
    side, samples = (21, 100) if settings.quick else (81, 500)
    return [
        *(Cell(hinge_surface, {"truth": list(t), "side": side}, "surfaces: hinge") for t in TRUTHS),
        *(Cell(softmax_surface, {"view": k, "side": side}, "surfaces: softmax") for k in range(len(VIEWS))),
        *(
            Cell(check, {"what": what, "seed": seed, "samples": samples}, f"surfaces: {what}")
            for what in ("hinge", "softmax")
            for seed in settings.all_seeds
        ),
    ]


def hinge_surface(truth: list[int], side: int) -> Outcome:
    """Losses of two pixels with a ground truth, on a grid of scores and at the corners of the margins.

    Parameters
    ----------
    truth : list of int
        Signs of the two pixels.
    side : int
        Points of a side of the grid.

    Returns
    -------
    Outcome
        values: of every loss, (side, side), the score of pixel 1 along the second axis; corners: scores,
        the Jaccard loss of their mistakes as a fraction, and the losses there; pieces: the number of linear
        functions of which the Lovász hinge is the largest, and the largest difference from it on the grid.
    """
    signs = np.array(truth)
    labels = (signs > 0).astype(int)
    F = Jaccard(labels)
    axis = np.linspace(-_REACH, _REACH, side)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = {key: np.array([loss(point, labels) for point in points]) for key, loss in _BINARY.items()}
    # Each vertex of the polymatroid is a linear function of the margins.
    table = reference.set_values(F)
    pieces = reference.vertices(table, polymatroid=True)
    largest = (np.maximum(0.0, 1 - signs * points) @ pieces.T).max(axis=1)
    corners = []
    for mask in reference.all_masks(2):
        # Margin 1 where there is a mistake, 0 elsewhere.
        scores = np.where(mask, 0.0, signs)
        corners.append(
            {
                "scores": scores.tolist(),
                "mistakes": mask.astype(int).tolist(),
                "jaccard": str(F.exact_value(mask)),
                "losses": {key: float(loss(scores, labels)) for key, loss in _BINARY.items()},
            }
        )
    return Outcome(
        measures={
            "values": {key: v.reshape(side, side).tolist() for key, v in values.items()},
            "corners": corners,
            "pieces": len(pieces),
            "pieces_error": float(np.abs(largest - values["Lovász hinge"]).max()),
        }
    )


def softmax_surface(view: int, side: int) -> Outcome:
    """The Lovász-Softmax of one of `VIEWS` on a grid: values (side, side), the view's first axis last."""
    shown = VIEWS[view]
    labels = np.array(shown.labels)
    axis = np.linspace(-_SOFTMAX_REACH, _SOFTMAX_REACH, side)
    values = [
        [float(losses.lovasz_softmax(_softmax(shown.logits(u, v)), labels)) for u in axis] for v in axis
    ]
    return Outcome(measures={"values": values})


def check(what: Literal["hinge", "softmax"], seed: int, samples: int) -> Outcome:
    """Properties of a loss on random images of two to eight pixels.

    Parameters
    ----------
    what : {"hinge", "softmax"}
    seed : int
    samples : int
        Random images, each with two random points.

    Returns
    -------
    Outcome
        By the name of the property: the extreme value over the samples.
    """
    rng = np.random.default_rng([seed, what == "softmax"])
    draw = _hinge_sample if what == "hinge" else _softmax_sample
    drawn = [draw(rng) for _ in range(samples)]
    worst = {key: max(sample[key] for sample in drawn) for key in drawn[0]}
    return Outcome(measures={"samples": samples, **worst})


def _hinge_sample(rng: np.random.Generator) -> dict[str, float]:
    """How far two random points are from the properties claimed; ≤ 0 where they hold, up to rounding."""
    p = int(rng.integers(2, 9))
    labels = (rng.random(p) < rng.random()).astype(int)
    signs = 2 * labels - 1
    F, h = Jaccard(labels), LovaszHinge(labels)
    first, second = (rng.standard_normal(p) * 10 ** rng.uniform(-1, 1) for _ in range(2))
    middle = h((first + second) / 2) - (h(first) + h(second)) / 2
    corner = rng.random(p) < 0.5
    # A score of 0 counts as a mistake, as the margin square has it.
    discrete = float(F(signs * first <= 0))
    return {
        "convexity": float(middle),
        "corners": abs(h(np.where(corner, 0.0, signs)) - float(F.exact_value(corner))),
        "Lovász hinge below": discrete - float(h(first)),
        "hinge below": discrete - losses.hinge(first, labels),
        "cross-entropy below": discrete - losses.cross_entropy(first, labels) / float(np.log(2)),
    }


def _softmax_sample(rng: np.random.Generator) -> dict[str, float]:
    p, classes = int(rng.integers(2, 9)), int(rng.integers(2, 5))
    labels = rng.integers(0, classes, p)
    first, second = (3 * rng.standard_normal((p, classes)) for _ in range(2))
    guess = rng.integers(0, classes, p)

    def loss(probas: Float64s) -> float:
        return float(losses.lovasz_softmax(probas, labels))

    ends = (loss(_softmax(first)) + loss(_softmax(second))) / 2
    return {
        "convexity": loss((_softmax(first) + _softmax(second)) / 2) - ends,
        "convexity in logits": loss(_softmax((first + second) / 2)) - ends,
        "corners": abs(loss(np.eye(classes)[guess]) - float(_mean_jaccard(guess, labels))),
        "Lovász-Softmax below": float(_mean_jaccard(first.argmax(axis=1), labels)) - loss(_softmax(first)),
    }


def _mean_jaccard(guess: Ints, labels: Ints) -> Fraction:
    """1 − IoU, averaged over the classes that are present: counted, not computed by the package."""
    present = np.unique(labels)
    ratios = []
    for c in present:
        both = (guess == c) | (labels == c)
        ratios.append(Fraction(int(np.count_nonzero(both & (guess != labels))), int(both.sum())))
    return sum(ratios, Fraction(0)) / len(present)


def _softmax(logits: Float64s) -> Float64s:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Surfaces, contours, and the checks."""
    found = [(cell, outcome.measures) for cell in cells(settings) if (outcome := done.of(cell)) is not None]
    hinges = {tuple(c.arguments["truth"]): m for c, m in found if c.function is hinge_surface}
    softmaxes = {c.arguments["view"]: m for c, m in found if c.function is softmax_surface}
    checks = {what: _checked(found, what) for what in ("hinge", "softmax")}
    if not hinges or not all(checks.values()):
        return Page(CLAIM, ["Not all checks are done yet."], "not testable here", "nothing was run")
    facts = _facts(hinges, checks)
    verdict, why = _verdict(facts)
    pictures = _pictures(out, hinges, softmaxes)
    corners = Table(
        "At the corners of the margins: a margin is 1 where there is a mistake, 0 elsewhere",
        ["truth", "mistakes", "Jaccard loss", *(style.LOSSES[key].label for key in _BINARY)],
        [
            [str(truth), str(tuple(c["mistakes"])), c["jaccard"], *(c["losses"][key] for key in _BINARY)]
            for truth, m in hinges.items()
            for c in m["corners"]
        ],
        out / f"{name}.csv",
    )
    table = Table(
        "What was checked on random images of two to eight pixels",
        ["loss", "property", "samples", "largest violation"],
        [
            [what, key, m["samples"], value]
            for what, m in checks.items()
            for key, value in m.items()
            if key != "samples"
        ],
        out / f"{name}-checks.csv",
    )
    return Page(CLAIM, _findings(facts, hinges), verdict, why, pictures, [corners, table], facts)


def _checked(found: list[tuple[Cell, dict[str, Any]]], what: str) -> dict[str, Any]:
    """Samples of all seeds together, and the worst of each property."""
    mine = [m for c, m in found if c.function is check and c.arguments["what"] == what]
    return {
        key: (sum if key == "samples" else max)(m[key] for m in mine) for key in (mine[0] if mine else {})
    }


def _facts(
    hinges: dict[tuple[int, ...], dict[str, Any]], checks: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    drawn = [
        abs(c["losses"]["Lovász hinge"] - float(Fraction(c["jaccard"])))
        for m in hinges.values()
        for c in m["corners"]
    ]
    return {
        "corners": max(*drawn, checks["hinge"]["corners"]),
        "pieces": {str(truth): m["pieces"] for truth, m in hinges.items()},
        "pieces_error": max(m["pieces_error"] for m in hinges.values()),
        "convexity": checks["hinge"]["convexity"],
        "samples": checks["hinge"]["samples"],
        "difference": {
            _signed(truth): float(
                np.abs(np.subtract(m["values"]["Lovász hinge"], m["values"]["hinge"])).max()
            )
            for truth, m in hinges.items()
        },
        "below": {key: checks["hinge"][f"{key} below"] for key in _BINARY},
        "softmax": checks["softmax"],
    }


def _verdict(facts: dict[str, Any]) -> tuple[Verdict, str]:
    soft = facts["softmax"]
    held = {
        "equal to the loss at the corners": max(facts["corners"], soft["corners"]) <= _ROUNDING,
        "piecewise linear": facts["pieces_error"] <= _ROUNDING,
        "convex": max(facts["convexity"], soft["convexity"]) <= _ROUNDING,
    }
    fails = [words for words, holds in held.items() if not holds]
    if not fails:
        return "confirmed", f"{', '.join(held)}: no violation above {_ROUNDING:g} in any check"
    words = f"a check found a violation of: {', '.join(fails)}"
    return ("refuted" if len(fails) == len(held) else "partly confirmed"), words


def _findings(facts: dict[str, Any], hinges: dict[tuple[int, ...], dict[str, Any]]) -> list[str]:
    soft, below = facts["softmax"], facts["below"]
    pieces = ", ".join(str(m["pieces"]) for m in hinges.values())
    return [
        "Corners: where every margin is 0 or 1, the Lovász hinge and the Jaccard loss of the mistakes differ "
        f"by at most {facts['corners']:.1g}. It is there that an extension equals its set function, not at "
        "scores of ±1.",
        f"Pieces: on the grids the hinge is the largest of {pieces} linear functions of the margins (the "
        f"vertices of the polymatroid) to {facts['pieces_error']:.1g}.",
        f"Convexity: over {facts['samples']} random pairs of points the value in the middle exceeds the mean "
        f"of the ends by at most {facts['convexity']:.1g}; for the Lovász-Softmax over {soft['samples']} "
        f"pairs by at most {soft['convexity']:.1g} in the probabilities, and by "
        f"{soft['convexity in logits']:.2g} in the logits: there it is "
        f"{_not(soft['convexity in logits'])}convex.",
        "How far below the Jaccard loss of the predicted labels a loss was seen: the Lovász hinge "
        f"{_short(below['Lovász hinge'])}, the mean hinge {_short(below['hinge'])}, cross-entropy in bits "
        f"{_short(below['cross-entropy'])}; the Lovász-Softmax, below the mean Jaccard loss over the classes "
        f"present, {_short(soft['Lovász-Softmax below'])}. What is never below is an upper bound.",
        "Lovász hinge and mean hinge differ on the grids by at most "
        + ", ".join(f"{d:.2g} for truth {truth}" for truth, d in facts["difference"].items())
        + ".",
    ]


def _not(violation: float) -> str:
    return "not " if violation > _ROUNDING else ""


def _short(shortfall: float) -> str:
    return f"by up to {shortfall:.2f}" if shortfall > _ROUNDING else "never"


def _pictures(
    out: Path, hinges: dict[tuple[int, ...], dict[str, Any]], softmaxes: dict[int, dict[str, Any]]
) -> list[tuple[Path, str]]:
    where = "Columns: ground truth of the two pixels. Rows: the loss."
    points = (
        "Points: the Jaccard loss at the four corners, where every margin is 0 or 1; the line is what the "
        "loss differs by."
    )
    pictures = [
        (
            _draw_hinges(out / name, hinges, solid=True),
            f"Losses of two scores; the right answer is in front. {where} {points}",
        ),
        (
            _draw_hinges(out / f"{name}-contours", hinges, solid=False),
            f"The same as level lines; they are straight where a loss is piecewise linear. {where} Circles: "
            "the corners, with the Jaccard loss there.",
        ),
    ]
    if softmaxes:
        pictures.append(
            (
                _draw_softmaxes(out / f"{name}-softmax", softmaxes),
                "The Lovász-Softmax of one or two pixels, over differences of logits: it levels off where a "
                "prediction is wrong, so it is not convex in the logits.",
            )
        )
    return pictures


def _draw_hinges(path: Path, hinges: dict[tuple[int, ...], dict[str, Any]], solid: bool) -> Path:
    fig, context = style.figure(10.0, 9.6, layout=None)
    top = max(float(np.max(v)) for m in hinges.values() for v in m["values"].values())
    with context:
        for row, key in enumerate(_BINARY):
            for column, (truth, m) in enumerate(hinges.items()):
                place = (len(_BINARY), len(hinges), row * len(hinges) + column + 1)
                heading = f"{style.LOSSES[key].label.split(',')[0]}, truth {_signed(truth)}"
                values = np.array(m["values"][key])
                corners = [(*c["scores"], c["jaccard"], c["losses"][key]) for c in m["corners"]]
                if solid:
                    axis = _solid(fig, place, values, _REACH, top)
                    for x, y, jaccard, value in corners:
                        height = float(Fraction(jaccard))
                        axis.plot([x, x], [y, y], [value, height], color="#D55E00", linewidth=1.5, zorder=8)
                        axis.scatter([x], [y], [height], color="#D55E00", edgecolor="#000000", s=32, zorder=9)
                else:
                    axis = _contours(fig, place, values, _REACH, top)
                    for x, y, jaccard, _ in corners:
                        axis.plot(
                            x, y, "o", color="#D55E00", markeredgecolor="#000000", markersize=6, zorder=5
                        )
                        axis.annotate(
                            jaccard, (x, y), (6, 5), textcoords="offset points", zorder=6,
                            bbox={"boxstyle": "round,pad=0.15", "facecolor": "#ffffff", "linewidth": 0},
                        )  # fmt: skip
                axis.set_title(heading)
                axis.set_xlabel("score of pixel 1")
                axis.set_ylabel("score of pixel 2")
        _place(fig, 0.0 if solid else 0.02)
        return style.save(fig, path)[0]


def _draw_softmaxes(path: Path, softmaxes: dict[int, dict[str, Any]]) -> Path:
    fig, context = style.figure(10.5, 13.5, layout=None)
    with context:
        for k, m in softmaxes.items():
            view, values = VIEWS[k], np.array(m["values"])
            # Solid above its level lines, three views a row.
            row = 2 * (k // 3)
            axes = (
                _solid(fig, (4, 3, row * 3 + k % 3 + 1), values, _SOFTMAX_REACH, 1.0),
                _contours(fig, (4, 3, (row + 1) * 3 + k % 3 + 1), values, _SOFTMAX_REACH, 1.0),
            )
            axes[0].set_title(view.title)
            axes[0].set_xlabel(view.first.split(":")[0])
            axes[0].set_ylabel(view.second.split(":")[0])
            axes[1].set_xlabel(view.first)
            axes[1].set_ylabel(view.second)
        _place(fig, 0.02)
        return style.save(fig, path)[0]


def _solid(fig: Any, place: tuple[int, int, int], values: Float64s, reach: float, top: float) -> Any:
    axis = fig.add_subplot(*place, projection="3d", computed_zorder=False)
    side = len(values)
    kept = np.unique(np.linspace(0, side - 1, min(side, _FACETS)).round().astype(int))
    x, y = np.meshgrid(*[np.linspace(-reach, reach, side)[kept]] * 2)
    axis.plot_surface(
        x, y, values[np.ix_(kept, kept)], rcount=side, ccount=side, linewidth=0.2, edgecolor="#333333",
        **_shades(top),
    )  # fmt: skip
    axis.set_zlim(0, top)
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-reach, reach)
    # The corner with the lowest value in front, so that no slope hides another.
    row, column = np.unravel_index(values[:: side - 1, :: side - 1].argmin(), (2, 2))
    axis.view_init(elev=28, azim=float(np.degrees(np.arctan2(2 * row - 1, 2 * column - 1))) + 13)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(_locator())
    return axis


def _contours(fig: Any, place: tuple[int, int, int], values: Float64s, reach: float, top: float) -> Any:
    axis = fig.add_subplot(*place)
    line = np.linspace(-reach, reach, len(values))
    step = 0.25 if top > 1 else 0.1
    levels = np.arange(0.0, top + step, step)
    axis.contourf(line, line, values, levels=levels, **_shades(top))
    drawn = axis.contour(line, line, values, levels=levels[1:], colors="#000000", linewidths=0.6)
    axis.clabel(drawn, levels[2::2], fontsize=7, fmt="%.2g")
    axis.set_aspect("equal")
    axis.grid(False)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(_locator())
    return axis


def _place(fig: Any, left: float) -> None:
    """Fixed places: laying out solid surfaces by their size takes longer than drawing them."""
    fig.subplots_adjust(
        left=0.03 + left, right=0.96 + left, bottom=0.05, top=0.97, wspace=0.24 if left else 0.12, hspace=0.28
    )


def _shades(top: float) -> dict[str, Any]:
    """Light enough for black lines and letters everywhere."""
    return {"cmap": "Blues", "vmin": -0.05 * top, "vmax": 1.5 * top}


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def _signed(truth: tuple[int, ...]) -> str:
    return "(" + ", ".join("+1" if sign > 0 else "−1" for sign in truth) + ")"
