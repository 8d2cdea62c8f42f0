"""The part of the study about "more stable": what step sizes and random orders do to stochastic methods."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import log10
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import Float64s
from ..datasets import VOC_FREQUENT
from ..figures import stability as figure
from ..grid import Cell, Done, Outcome
from . import runs
from .parts import Report
from .settings import Settings

name = "stability"

#: Seven decades of step sizes.
STEPS = tuple(10.0**k for k in range(-4, 4))
RULES = ("constant", "sqrt")
EPOCHS = 4
#: The objective counts as good within this factor of its certified minimum, or half way from there to where
#: it started if that is less: where the start is good already, steps that do nothing would be.
FACTOR = 2.0
_IMAGES = 60

#: How methods are run, by the keys of the figure; Adam has no average.
VARIANTS: dict[str, dict[str, Any]] = {
    "last": {},
    "average": {"average": "weighted"},
    "average of ten": {"batch": 10, "average": "weighted"},
}

#: By the keys of the figure.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "proximal point": ("stochastic_proximal_point", {}),
    "subgradient": ("stochastic_subgradient", {}),
    "momentum": ("stochastic_subgradient", {"momentum": 0.9}),
    "adam": ("adam", {}),
}


@dataclass(frozen=True)
class Entry:
    """Where a method ended with one step size and one seed on one problem.

    Attributes
    ----------
    ratio : float
        Objective after the last epoch over its certified minimum; infinite if the run diverged.
    iou : float
        Highest IoU of the test images at the end of an epoch.
    final_iou : float
        That after the last epoch.
    level : float
        Up to which ratio the objective counts as good on this problem.
    """

    problem: str
    variant: str
    method: str
    rule: str
    step_size: float
    seed: int
    ratio: float
    iou: float
    final_iou: float
    level: float


def sources(settings: Settings) -> dict[str, dict[str, Any]]:
    """The problems: tiles of the photograph, or one for every VOC class."""
    if settings.data is None or not settings.full:
        photo = {"scale": settings.scale, "tile": settings.tile, "seed": settings.seed}
        return {"tiles of the photograph": {"kind": "tiles", **photo, "l2": 1e-3}}
    drawn = {"data": settings.data, "images": min(settings.images, _IMAGES), "seed": settings.seed}
    return {f"VOC {cls}": {"kind": "voc", "cls": cls, "l2": 1e-3, **drawn} for cls in VOC_FREQUENT}


def _optimum(source: dict[str, Any]) -> Cell:
    given = {"problem": source, "solver": "ssnal", "arguments": {"tol": 1e-6}}
    return Cell(runs.solve, given, "stability: certified minimum")


def _cell(source: dict[str, Any], variant: str, method: str, rule: str, step_size: float, seed: int) -> Cell:
    solver, arguments = METHODS[method]
    varied = {"step": rule, "step_size": step_size, "seed": seed, "max_iter": EPOCHS, "tol": 0.0}
    chosen = {k: v for k, v in VARIANTS[variant].items() if method != "adam" or k != "average"}
    given = {"problem": source, "solver": solver, "arguments": arguments | chosen | varied}
    return Cell(runs.solve, given, f"stability: {method}, {variant}, {rule}")


def _grid(settings: Settings) -> list[tuple[str, str, str, str, float, int, Cell]]:
    return [
        (problem, variant, method, rule, step, seed, _cell(source, variant, method, rule, step, seed))
        for problem, source in sources(settings).items()
        for variant in VARIANTS
        for method in METHODS
        for rule in RULES
        for step in STEPS
        for seed in range(settings.seeds)
    ]


def cells(settings: Settings) -> list[Cell]:
    """All runs of this part, the certified minima first."""
    return [_optimum(source) for source in sources(settings).values()] + [
        cell for *_, cell in _grid(settings)
    ]


def entries(settings: Settings, done: Done) -> list[Entry]:
    """What came out, of the problems whose minimum is known."""
    minima = {
        problem: outcome.solved.value
        for problem, source in sources(settings).items()
        if (outcome := done.of(_optimum(source))) is not None
    }
    found = []
    for problem, *key, cell in _grid(settings):
        outcome = done.of(cell)
        if outcome is not None and problem in minima:
            found.append(_entry((problem, *key), outcome, minima[problem]))
    return found


def _entry(key: tuple[Any, ...], outcome: Outcome, minimum: float) -> Entry:
    result, watched = outcome.solved, outcome.measures["watched_iou"]
    last = float(result.trace["value"][-1])
    ended = result.status != "diverged" and np.isfinite(last)
    problem, variant, method, rule, step, seed = key
    return Entry(
        problem,
        variant,
        method,
        rule,
        step,
        seed,
        ratio=last / minimum if ended else float("inf"),
        iou=max(watched[1:], default=0.0),
        final_iou=watched[-1] if ended else 0.0,
        level=min(FACTOR, (1 + float(result.trace["value"][0]) / minimum) / 2),
    )


def by_step(found: Sequence[Entry], measure: str) -> tuple[Float64s, Float64s, Float64s]:
    """Median over problems and seeds, and the 10 % and 90 % quantiles, for every step size."""
    columns = [[getattr(entry, measure) for entry in found if entry.step_size == step] for step in STEPS]
    middle = np.array([np.median(column) if column else np.nan for column in columns])
    low, high = (
        np.array([_quantile(column, share) if column else np.nan for column in columns])
        for share in (0.1, 0.9)
    )
    return low, middle, high


def _quantile(column: list[float], share: float) -> float:
    """Without interpolation, since values may be infinite."""
    ordered = sorted(column)
    return ordered[round(share * (len(ordered) - 1))]


def decades(found: Sequence[Entry]) -> tuple[float, bool]:
    """Decades of steps that keep the median objective good on a problem, and whether the grid cut them off.

    Between two steps of the grid the logarithm of the objective is interpolated linearly in that of the step.
    """
    ratios = by_step(found, "ratio")[1]
    logs = np.log10(np.minimum(ratios, 1e30))
    best = longest = 0.0
    cut = False
    level = log10(found[0].level)
    good = logs <= level
    start: float | None = None
    for k in range(len(STEPS)):
        position = log10(STEPS[k])
        if good[k] and start is None:
            start = position - (_share(logs[k - 1], logs[k], level) if k else 0.0)
            begins_at_edge = k == 0
        if start is not None and (not good[k] or k == len(STEPS) - 1):
            stop = position if good[k] else log10(STEPS[k - 1]) + _share(logs[k], logs[k - 1], level)
            longest = stop - start
            if longest > best or not best:
                best, cut = longest, begins_at_edge or bool(good[k])
            start = None
    return best, cut


def _share(bad: float, good: float, level: float) -> float:
    """How far from a good step towards a bad one, of a decade, the level is passed."""
    return float((level - good) / (bad - good))


@dataclass(frozen=True)
class Line:
    """What one method did in one variant with one rule.

    Attributes
    ----------
    decades : float
        Width of the range of step sizes that keeps the objective good, the median over the problems.
    cut : bool
        Whether that range reaches the end of the grid on some problem.
    least : float
        Objective over minimum at the best step, the median over problems.
    iou, error : float
        Best mean test IoU over the step sizes, its mean over problems and seeds, with its standard error over
        seeds.
    """

    variant: str
    method: str
    rule: str
    decades: float
    cut: bool
    least: float
    iou: float
    error: float


def lines(found: Sequence[Entry]) -> list[Line]:
    """One line for every method and rule."""
    table = []
    problems = list(dict.fromkeys(entry.problem for entry in found))
    for variant, rule, method in product(VARIANTS, RULES, METHODS):
        mine = _runs_of(found, variant, method, rule)
        if not mine:
            continue
        widths, least, ious = [], [], []
        for problem in problems:
            here = [entry for entry in mine if entry.problem == problem]
            widths.append(decades(here))
            least.append(float(np.nanmin(by_step(here, "ratio")[1])))
            ious.append(best_ious(here))
        by_seed = np.mean(ious, axis=0)
        error = float(np.std(by_seed, ddof=1) / len(by_seed) ** 0.5) if len(by_seed) > 1 else 0.0
        table.append(
            Line(
                variant,
                method,
                rule,
                float(np.median([width for width, _ in widths])),
                any(cut for _, cut in widths),
                float(np.median(least)),
                float(by_seed.mean()),
                error,
            )
        )
    return table


def _runs_of(found: Sequence[Entry], variant: str, method: str, rule: str) -> list[Entry]:
    return [e for e in found if (e.variant, e.method, e.rule) == (variant, method, rule)]


def best_ious(found: Sequence[Entry]) -> list[float]:
    """Test IoU by seed at the step size whose mean over the seeds is best, on one problem."""
    columns = [
        [entry.iou for entry in sorted(found, key=lambda e: e.seed) if entry.step_size == step]
        for step in STEPS
    ]
    return max((column for column in columns if column), key=lambda column: sum(column) / len(column))


def verdict(table: Sequence[Line], level: float) -> list[str]:
    """What the numbers say about the claim, rule by rule."""
    sentences = []
    for variant, rule in product(VARIANTS, RULES):
        mine = [x for x in table if (x.variant, x.rule) == (variant, rule)]
        ours = next((x for x in mine if x.method == "proximal point"), None)
        others = [x for x in mine if x.method != "proximal point"]
        if ours is None or not others:
            continue
        widest = max(others, key=lambda x: x.decades)
        better = max(others, key=lambda x: x.iou)
        more = ours.decades - widest.decades
        sentences.append(
            f"{figure.VARIANTS[variant]}, steps {figure.RULES[rule]}: within {level:.2g} × the certified "
            f"minimum over {_width(ours)} decades of step sizes with the proximal point, {_width(widest)} "
            f"with the best other method ({figure.METHODS[widest.method].label}): {'≥ ' if ours.cut else ''}"
            f"{more:+.1f}. Best test IoU {ours.iou:.4f} ± {ours.error:.4f} against {better.iou:.4f} ± "
            f"{better.error:.4f} ({figure.METHODS[better.method].label}): {ours.iou - better.iou:+.4f}."
        )
    return sentences


def _width(line: Line) -> str:
    return f"{'≥ ' if line.cut else ''}{line.decades:.1f}"


def publish(settings: Settings, done: Done, out: Path) -> Report:
    """Table, figure and files of what was run."""
    found = entries(settings, done)
    if not found:
        return Report("", [], {"entries": 0})
    files = [out / "stability.csv"]
    with files[0].open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(Entry.__dataclass_fields__)
        writer.writerows([getattr(e, column) for column in Entry.__dataclass_fields__] for e in found)
    table, level = lines(found), max(entry.level for entry in found)
    sentences = verdict(table, level)
    files += figure.draw(out / "stability", _panels(found), level, _title(found))
    text = "\n".join([_text(table, found, level), *(f"  {sentence}" for sentence in sentences)])
    return Report(
        text,
        files,
        {
            "problems": list(dict.fromkeys(entry.problem for entry in found)),
            "epochs": EPOCHS,
            "steps": STEPS,
            "seeds": settings.seeds,
            "lines": [vars(line) for line in table],
            "verdict": sentences,
        },
    )


def _panels(found: Sequence[Entry]) -> list[figure.Panel]:
    return [
        figure.Panel(
            variant,
            rule,
            measure,
            {method: _band(found, variant, method, rule, measure) for method in METHODS},
        )
        for variant in VARIANTS
        for measure in figure.MEASURES
        for rule in RULES
    ]


def _band(found: Sequence[Entry], variant: str, method: str, rule: str, measure: str) -> figure.Band:
    return figure.Band(np.array(STEPS), *by_step(_runs_of(found, variant, method, rule), measure))


def _title(found: Sequence[Entry]) -> str:
    problems = list(dict.fromkeys(entry.problem for entry in found))
    seeds = len({entry.seed for entry in found})
    where = problems[0] if len(problems) == 1 else f"{len(problems)} problems ({', '.join(problems)})"
    drawn = f"{seeds} {'seed' if seeds == 1 else 'seeds'}; median, and 10 % to 90 % as a band"
    return f"{where}: {EPOCHS} epochs, {drawn}"


def _text(table: Sequence[Line], found: Sequence[Entry], level: float) -> str:
    head = (
        f"  {'method':34}{'step':>10}{f'decades ≤ {level:.2g} ×':>17}{'least / minimum':>17}"
        f"{'best test IoU':>20}"
    )
    rows = [f"stability: {_title(found)}"]
    for variant in VARIANTS:
        rows += [f"  {figure.VARIANTS[variant]}", head]
        rows += [
            f"  {figure.METHODS[x.method].label:34}{figure.RULES[x.rule]:>10}{_width(x):>17}{x.least:>17.3f}"
            f"{x.iou:>11.4f} ± {x.error:.4f}"
            for x in table
            if x.variant == variant
        ]
    return "\n".join(rows)
