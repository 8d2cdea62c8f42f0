"""One image: how fast the exact prox and subgradient steps bring a convex function of its scores down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .._validation import Float64s
from ..extension import Method as ProxMethod
from ..grid import Cell, Done, Outcome
from ..losses import LovaszHinge
from ..problems import ImageProx
from . import style
from .linear_models import Adam, Momentum
from .page import Page, Table, Verdict
from .score_maps import ScoreMap, load
from .settings import Settings

name = "toy"
title = "One image: the prox against subgradient steps"

CLAIM = (
    "Minimising over the scores of an image, the prox converges in far fewer iterations than subgradient "
    "steps, and is less sensitive to the step size (v1)."
)

#: Step sizes, in the unit of the task: one for every decade.
STEPS = tuple(10.0**k for k in range(-4, 3))
#: γ of the proximal problem, in foreground pixels.
_GAMMA = 0.5
#: Gaps, relative to that at the start, whose time is taken: converged at all, and converged.
LOOSE, TIGHT = 1e-3, 1e-6
#: Gaps below this, relative to that at the start, are rounding.
_FLOOR = 1e-16

TASKS = {
    "loss": "the loss alone, L(F), with optimum 0",
    "proximal": "the proximal problem, ½‖F − U‖² + γL(F)",
}
STARTS = ("scores", "zero", "flipped", "random")


@dataclass(frozen=True)
class Method:
    """A rule; `look` says where its colour comes from, and `varied` whether it has a step size."""

    words: str
    look: style.Look
    varied: bool = True


METHODS = {
    "prox": Method("exact prox", style.METHODS["prox"]),
    "path": Method("path walk, 20 moves", style.LOSSES["path"]),
    # Wide, as it often lies under the prox.
    "constant": Method("subgradient, constant step", replace(style.METHODS["constant"], width=4.0)),
    "sqrt": Method("subgradient, step/√k", style.METHODS["strong"]),
    "momentum": Method("subgradient, momentum 0.9", style.METHODS["momentum"]),
    "adam": Method("subgradient, Adam", style.METHODS["adam"]),
    "polyak": Method("subgradient, Polyak's step (knows the optimum)", style.METHODS["polyak"], varied=False),
}
#: Those that the claim is about, and those that it compares with.
PROXIMAL = ("prox", "path")


@dataclass(frozen=True)
class Task:
    """A convex function of the scores of an image.

    Attributes
    ----------
    value, subgradient : callable
    prox : callable
        (point, step, method) ↦ the next point of the proximal method.
    optimum : float
    relative_gap : float
        Certified bound of the error of the optimum, relative to it.
    unit : float
        Of the step sizes: about the scale at which they matter.
    proximal_steps : tuple of float
        Those that the proximal method is run with.
    """

    value: Callable[[Float64s], float]
    subgradient: Callable[[Float64s], Float64s]
    prox: Callable[[Float64s, float, ProxMethod], Float64s]
    optimum: float
    relative_gap: float
    unit: float
    proximal_steps: tuple[float, ...]


def task(which: str, image: ScoreMap) -> Task:
    """One of `TASKS` on an image."""
    h = LovaszHinge(image.target)
    foreground = int(np.count_nonzero(image.target))
    if which == "loss":
        return Task(
            h,
            lambda x: np.asarray(h.subgradient(x)),
            lambda x, step, method: np.asarray(h.prox(x, step, method=method)),
            0.0,
            0.0,
            float(foreground),
            STEPS,
        )
    gamma = _GAMMA * foreground
    pb = ImageProx(image.scores, image.target, gamma)
    solution, dual = pb.solve_exact()
    optimum = pb.value(solution)
    return Task(
        pb.value,
        lambda x: pb.value_and_subgradient(x)[1],
        # The problem is one prox, wherever one starts.
        lambda x, step, method: np.asarray(h.prox(image.scores, gamma, method=method)),
        optimum,
        abs(pb.gap(solution, dual)) / optimum,
        1.0,
        (1.0,),
    )


def start(which: str, image: ScoreMap, seed: int) -> Float64s:
    """One of `STARTS`: the scores of the image, 0, the scores turned over, or noise of their size."""
    if which == "random":
        return np.random.default_rng(seed).standard_normal(len(image.scores)) * image.scores.std()
    return {"scores": 1.0, "zero": 0.0, "flipped": -1.0}[which] * image.scores


def cells(settings: Settings) -> list[Cell]:
    """One for every task and start; each runs all methods with all step sizes."""
    if settings.data is None:
        source: dict[str, Any] = {"kind": "photograph", "scale": 8}
    else:
        source = {"kind": "voc", "data": settings.data, "cls": "cat", "fine": not settings.quick}
    iterations = 30 if settings.quick else 2000 if settings.full else 60 if settings.data is None else 500
    starts = [(s, seed) for s in STARTS for seed in (settings.all_seeds if s == "random" else (0,))]
    return [
        Cell(
            run,
            {"source": source, "which": which, "begin": begin, "seed": seed, "iterations": iterations},
            f"toy: {which}",
        )
        for which in TASKS
        for begin, seed in starts
    ]


def run(source: dict[str, Any], which: str, begin: str, seed: int, iterations: int) -> Outcome:
    """All methods with all step sizes on one task from one start.

    Parameters
    ----------
    source : dict
        Of `score_maps.load`; its first image is taken.
    which : str
        Of `TASKS`.
    begin : str
        Of `STARTS`.
    seed : int
        Of a random start.
    iterations : int

    Returns
    -------
    Outcome
        watched: iterations; and for every method and step size (in the unit of the task) the seconds until
        then, and the gap, relative to that at the start. Infinite gaps are None.
    """
    image = load(**source)[0]
    here = task(which, image)
    x0 = start(begin, image, seed)
    first = here.value(x0) - here.optimum
    watched = watched_iterations(iterations)
    runs = []
    for key in METHODS:
        # Nobody is charged for compiling.
        _follow(here, key, here.unit, x0, first, [1])
        steps = (1.0,) if not METHODS[key].varied else here.proximal_steps if key in PROXIMAL else STEPS
        for step in steps:
            unit = 1.0 if key == "adam" else here.unit
            seconds, gaps = _follow(here, key, step * unit, x0, first, watched)
            runs.append({"method": key, "step": step, "seconds": seconds, "gap": gaps})
    return Outcome(
        measures={
            "image": image.name,
            "pixels": len(image.scores),
            "foreground": int(np.count_nonzero(image.target)),
            "relative_gap": here.relative_gap,
            "watched": watched,
            "runs": runs,
        }
    )


def watched_iterations(last: int) -> list[int]:
    """Ten for every decade."""
    return sorted({min(round(10 ** (k / 10)), last) for k in range(int(10 * np.log10(last)) + 2)})


def _follow(
    here: Task, method: str, step: float, x0: Float64s, first: float, watched: list[int]
) -> tuple[list[float], list[float | None]]:
    """Seconds and relative gaps at the watched iterations; only the method's own work is timed."""
    seconds, gaps, spent = [], [], 0.0
    iterates = _iterates(here, method, step, x0)
    x = x0
    for k in range(1, watched[-1] + 1):
        begin = perf_counter()
        before, x = x, next(iterates, x)
        spent += perf_counter() - begin
        if k in watched:
            seconds.append(spent)
            finite = bool(np.isfinite(x).all()) and float(np.abs(x).max(initial=0.0)) < 1e100
            gaps.append(max(here.value(x) - here.optimum, 0.0) / first if finite else None)
            if not finite or gaps[-1] == 0 or np.array_equal(before, x):
                break
    # What has ended or blown up stays so.
    more = len(watched) - len(gaps)
    return seconds + more * [seconds[-1]], gaps + more * [gaps[-1]]


def _iterates(here: Task, method: str, step: float, x: Float64s) -> Iterator[Float64s]:
    if method in PROXIMAL:
        how: ProxMethod = "exact" if method == "prox" else "path"
        while True:
            x = here.prox(x, step, how)
            yield x
    optimiser = {"adam": Adam, "momentum": Momentum}.get(method)
    moved = None if optimiser is None else optimiser(step)
    k = 0
    with np.errstate(over="ignore", invalid="ignore"):
        while np.isfinite(x).all():
            g = here.subgradient(x)
            k += 1
            if moved is not None:
                x = x + moved.step(g)
            elif method == "polyak":
                squared = float(g @ g)
                x = x - (here.value(x) - here.optimum) / squared * g if squared else x
            else:
                x = x - (step if method == "constant" else step / np.sqrt(k)) * g
            yield x


@dataclass(frozen=True)
class Curve:
    """One method with one step size on one task, over the starts.

    Attributes
    ----------
    step : float
    gaps, seconds : (starts, watched) ndarray
        Infinite gaps where it blew up.
    loose, tight : (float, float)
        Iterations and seconds until the gap is `LOOSE` or `TIGHT`: medians over the starts, infinite if it
        never is.
    """

    step: float
    gaps: Float64s
    seconds: Float64s
    loose: tuple[float, float]
    tight: tuple[float, float]

    @property
    def final(self) -> float:
        """The last gap, the median over the starts."""
        return float(np.median(self.gaps[:, -1]))

    @property
    def rank(self) -> tuple[float, ...]:
        """The lower, the better."""
        return self.tight[0], self.loose[0], self.final


Curves = dict[str, list[Curve]]


def collect(found: list[dict[str, Any]]) -> Curves:
    """Curves of every method on a task, by step size, from the measures of its cells."""
    by_run: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for m in found:
        for entry in m["runs"]:
            by_run.setdefault((entry["method"], entry["step"]), []).append(entry)
    watched = np.array(found[0]["watched"], dtype=np.float64)
    curves: Curves = {}
    for (method, step), entries in by_run.items():
        gaps = np.array([[np.inf if g is None else g for g in e["gap"]] for e in entries])
        seconds = np.array([e["seconds"] for e in entries])
        curve = Curve(step, gaps, seconds, *(_reached(gaps, seconds, watched, t) for t in (LOOSE, TIGHT)))
        curves.setdefault(method, []).append(curve)
    return curves


def _reached(gaps: Float64s, seconds: Float64s, watched: Float64s, target: float) -> tuple[float, float]:
    """Iterations and seconds to a target, medians over the starts."""
    below = gaps <= target
    first, ever = below.argmax(axis=1), below.any(axis=1)
    iterations = np.where(ever, watched[first], np.inf)
    return _median(iterations), _median(np.where(ever, seconds[np.arange(len(first)), first], np.inf))


def _median(values: Float64s) -> float:
    """Of an even number the upper one: the mean with an infinite value says nothing."""
    return float(np.sort(values)[len(values) // 2])


def best(curves: list[Curve]) -> Curve:
    """The step size that gets to the targets soonest, and lowest where none does."""
    return min(curves, key=lambda c: c.rank)


def decades(curves: list[Curve]) -> int:
    """Step sizes, one for every decade, that get to the loose target."""
    return sum(c.loose[0] < np.inf for c in curves)


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Curves, the table of the best step sizes, and the verdict."""
    todo = [(c, done.of(c)) for c in cells(settings)]
    found = {
        which: [o.measures for c, o in todo if o is not None and c.arguments["which"] == which]
        for which in TASKS
    }
    if not all(found.values()):
        return Page(CLAIM, ["Not both tasks are done yet."], "not testable here", "nothing was run")
    curves = {which: collect(measures) for which, measures in found.items()}
    watched = np.array(found["loss"][0]["watched"])
    rows = [
        [
            TASKS[which].split(",")[0],
            METHODS[method].words,
            c.step if METHODS[method].varied else None,
            *(_finite(value) for value in (*c.loose, *c.tight)),
            _finite(c.final),
            _finite(float(np.max(c.gaps[:, -1]))),
            c is best(mine),
        ]
        for which, by_method in curves.items()
        for method, mine in by_method.items()
        for c in mine
    ]
    head = [
        "task", "method", "step / unit", f"iterations to a gap of {LOOSE:g}", "seconds to it",
        f"iterations to {TIGHT:g}", "seconds to it", f"gap after {watched[-1]} iterations",
        "the same, worst start", "best step",
    ]  # fmt: skip
    table = Table(
        "Every method and step size: medians over the starts; gaps relative to the start",
        head,
        rows,
        out / f"{name}.csv",
    )
    summary = Table(
        "The best step size of every method",
        head[:-1],
        [row[:-1] for row in rows if row[-1]],
        out / f"{name}-best.csv",
    )
    numbers = _numbers(curves, found)
    verdict, why = _verdict(numbers)
    m = found["loss"][0]
    picture = _draw(out / name, curves, watched)
    caption = (
        f"{m['image']}, {m['pixels']:,} pixels, {m['foreground']:,} of them foreground. Gaps relative to "
        "that at the start: the median over the starts (the scores of the image, 0, the scores turned over, "
        "noise) with the best step size of each method, and a band from the best to the worst start; other "
        "step sizes in light. A ring is a method that is done after one iteration; an optimum that is met "
        f"exactly is drawn at {_FLOOR:g}. Right: gap after {watched[-1]} iterations against the step size. "
        "On the proximal problem the prox is one step and has no step size."
    )
    return Page(CLAIM, _findings(numbers), verdict, why, [(picture, caption)], [summary, table], numbers)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _numbers(curves: dict[str, Curves], found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    lines = {
        which: {
            method: {
                "step": best(mine).step,
                "iterations": _finite(best(mine).tight[0]),
                "seconds": _finite(best(mine).tight[1]),
                "iterations_loose": _finite(best(mine).loose[0]),
                "seconds_loose": _finite(best(mine).loose[1]),
                "gap": _finite(best(mine).final),
                "decades": decades(mine),
                "steps": len(mine),
            }
            for method, mine in by_method.items()
        }
        for which, by_method in curves.items()
    }
    return {
        "lines": lines,
        "targets": [LOOSE, TIGHT],
        "starts": {which: len(measures) for which, measures in found.items()},
        "relative_gap_of_optimum": max(m["relative_gap"] for m in found["proximal"]),
    }


def _explicit(lines: dict[str, Any]) -> dict[str, Any]:
    return {method: line for method, line in lines.items() if method not in PROXIMAL}


def _fastest(lines: dict[str, Any], measure: str) -> tuple[str, float]:
    """The explicit method that needs the least, and how much; infinite if none gets to the target."""
    found = {m: line[measure] for m, line in _explicit(lines).items() if line[measure] is not None}
    winner = min(found, key=lambda m: found[m], default="constant")
    return winner, found.get(winner, np.inf)


def _verdict(numbers: dict[str, Any]) -> tuple[Verdict, str]:
    held, words = [], []
    for which, lines in numbers["lines"].items():
        ours = lines["prox"]
        winner, least = _fastest(lines, "iterations")
        few = ours["iterations"] is not None and 3 * ours["iterations"] <= least
        widest = max(line["decades"] for m, line in _explicit(lines).items() if METHODS[m].varied)
        # Where the prox has no step size there is nothing to be sensitive to.
        steady = ours["steps"] == 1 or ours["decades"] > widest
        held += [few, steady]
        here = "on the loss alone" if which == "loss" else "on the proximal problem"
        sizes = "no step size" if ours["steps"] == 1 else f"{ours['decades']} decades of steps"
        theirs = (
            "no subgradient rule gets there"
            if least == np.inf
            else f"the best subgradient rule ({METHODS[winner].words}) takes {_count(least)}"
        )
        words.append(
            f"{here} the prox takes {_count(ours['iterations'])} to {TIGHT:g} of the gap, with {sizes}; "
            f"{theirs}, and at most {widest} of {len(STEPS)} decades of steps get to {LOOSE:g}"
        )
    why = "; ".join(words)
    return ("confirmed" if all(held) else "partly confirmed" if any(held) else "refuted"), why


def _count(iterations: float | None) -> str:
    if iterations is None:
        return "more iterations than were run"
    return "1 iteration" if iterations == 1 else f"{iterations:.0f} iterations"


def _findings(numbers: dict[str, Any]) -> list[str]:
    found = [
        "Optimum of the proximal problem: the exact prox, certified to a relative gap of "
        f"{numbers['relative_gap_of_optimum']:.1g}."
    ]
    for which, lines in numbers["lines"].items():
        walk = lines["path"]
        walked = "blows up" if walk["gap"] is None else f"ends at {walk['gap']:.1g} of the gap"
        heading = TASKS[which][0].upper() + TASKS[which][1:].split(",")[0]
        times = " and ".join(_times(lines, key, target) for key, target in
                             (("seconds_loose", LOOSE), ("seconds", TIGHT)))  # fmt: skip
        found.append(f"{heading}: {times}. The path walk {walked}.")
        found.append(
            f"{heading}: decades of step sizes, of {len(STEPS)}, that get to {LOOSE:g} of the gap: "
            + ", ".join(
                f"{METHODS[m].words} {line['decades']}" for m, line in lines.items() if line["steps"] > 1
            )
            + "."
        )
    return found


def _times(lines: dict[str, Any], key: str, target: float) -> str:
    """The prox and the best subgradient rule, in seconds."""
    ours = lines["prox"][key]
    winner, seconds = _fastest(lines, key)
    if ours is None:
        return f"to {target:g} of the gap the prox does not get"
    words = f"to {target:g} of the gap the prox takes {1e3 * ours:.2g} ms, "
    if seconds == np.inf:
        return words + "and no subgradient rule gets there"
    return words + f"the best subgradient rule ({METHODS[winner].words}) {seconds / ours:.2g} times that"


def _draw(path: Path, curves: dict[str, Curves], watched: Float64s) -> Path:
    fig, context = style.figure(12.5, 8.2)
    with context:
        axes = fig.subplots(len(TASKS), 3)
        for row, (which, by_method) in zip(axes, curves.items(), strict=True):
            # What wins is drawn last, on top.
            for method, mine in reversed(by_method.items()):
                chosen = best(mine)
                for c in sorted(mine, key=lambda c: c is chosen):
                    _draw_curve(row[0], np.tile(watched, (len(c.gaps), 1)), c, method, c is chosen)
                    _draw_curve(row[1], c.seconds, c, method, c is chosen)
                _draw_steps(row[2], mine, method)
            row[0].set_title(TASKS[which])
            row[0].set_ylabel("gap / gap at the start")
            row[0].set_xlabel("iterations")
            row[1].set_xlabel("seconds")
            row[2].set_xlabel(
                "step size" if which == "proximal" else "step size / foreground pixels (Adam: step size)"
            )
            row[2].set_title(f"after {watched[-1]:g} iterations")
            for axis in row:
                axis.set_xscale("log")
                axis.set_yscale("log")
                axis.set_ylim(_FLOOR / 30, 1e3)
                style.logarithmic(axis.xaxis)
                style.logarithmic(axis.yaxis)
        handles, labels = axes[0, 2].get_legend_handles_labels()
        fig.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4)
        return style.save(fig, path)[0]


def _shown(gaps: Float64s) -> Float64s:
    return np.clip(gaps, _FLOOR, 1e3)


def _draw_curve(axis: Any, x: Float64s, c: Curve, method: str, chosen: bool) -> None:
    look = METHODS[method].look
    places, gaps = np.median(x, axis=0), _shown(c.gaps)
    middle = np.median(gaps, axis=0)
    # A method has ended where nothing changes any more.
    changes = np.flatnonzero(middle != middle[-1])
    end = min(int(changes[-1]) + 2, len(middle)) if changes.size else 1
    places, gaps, middle = places[:end], gaps[:, :end], middle[:end]
    if not chosen:
        axis.plot(places, middle, color=look.color, linewidth=0.8, alpha=0.3)
        return
    if len(middle) > 1:
        axis.fill_between(
            places, gaps.min(axis=0), gaps.max(axis=0), color=look.color, alpha=0.1, linewidth=0
        )
    axis.plot(places, middle, color=look.color, linestyle=look.dash, linewidth=look.width)
    if method in PROXIMAL:
        axis.plot(places[-1:], middle[-1:], look.marker, color=look.color, markersize=9, clip_on=False)
        return
    if len(middle) == 1:
        # Rings of different sizes: several methods may end at the same point.
        size = 9 + 2 * list(METHODS).index(method)
        axis.plot(places, middle, "o", color=look.color, markersize=size, fillstyle="none", clip_on=False)


def _draw_steps(axis: Any, curves: list[Curve], method: str) -> None:
    look = METHODS[method].look
    marker = look.marker if method in PROXIMAL else ""
    final = _shown(np.array([c.final for c in curves]))
    if len(curves) == 1:
        # Without a step size: the same everywhere.
        places, final = np.array(STEPS), np.repeat(final, len(STEPS))
    else:
        places = np.array([c.step for c in curves])
    axis.plot(
        places,
        final,
        color=look.color,
        linestyle=look.dash,
        linewidth=look.width,
        marker=marker,
        markersize=8,
        label=METHODS[method].words,
    )
