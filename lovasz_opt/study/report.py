"""What the convergence study prints and writes: tables, curves and the numbers behind them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..figures import style
from ..solvers.result import TRACE_COLUMNS
from . import verdict
from .gaps import LEVELS, Reached, time_to_gap
from .instances import Instance
from .runs import WATCHED, Run, selected

CURVE_COLUMNS = ("problem", "method", "step_size", "selected", *TRACE_COLUMNS, "test_iou")


def problems(found: Sequence[Run]) -> list[Instance]:
    """The problems that have runs, in order."""
    return list({run.task.instance.key: run.task.instance for run in found}.values())


def on(found: Sequence[Run], instance: Instance) -> list[Run]:
    """The runs on one problem."""
    return [run for run in found if run.task.instance == instance]


def soonest(found: Sequence[Run], method: str, level: float) -> Reached | None:
    """The least time to a certified gap over the step sizes of a method, by the runs on one problem."""
    reached = [time_to_gap(run.result.trace, level) for run in found if run.task.method == method]
    return min((r for r in reached if r is not None), key=lambda r: r.seconds, default=None)


def table(found: Sequence[Run], instance: Instance) -> str:
    """The results on one problem as text."""
    mine = on(found, instance)
    measures = mine[0].measures
    size = f"{measures['images']} images, {measures['pixels']:,} pixels"
    if measures["features"]:
        size += f" × {measures['features']} features"
    head = ("method", "η", "iterations", "seconds", "passes", "objective", "certified", "IoU", "test IoU")
    lines = [
        f"{instance.key}: {instance.title}",
        f"  {size}; {measures['data']}",
        "  " + " " * 106 + "seconds (passes) to a certified gap of",
        _row(*head) + "".join(f"{f'{level:.0e}':>16}" for level in LEVELS),
    ]
    for run in selected(list(found), instance):
        result, eta, test = run.result, run.task.step_size, run.measures["test_iou"]
        lines.append(
            _row(
                style.METHODS[run.task.method].label,
                "" if eta is None else f"{eta:g}",
                str(result.nit),
                f"{result.trace['seconds'][-1]:.3f}",
                f"{result.trace['passes'][-1]:.0f}",
                f"{result.value:.7g}",
                f"{result.relative_gap:.1e}",
                f"{run.measures['iou']:.4f}",
                "" if test is None else f"{test:.4f}",
            )
            + "".join(f"{_cell(soonest(mine, run.task.method, level)):>16}" for level in LEVELS)
            + (f"  {result.status}" if result.status in ("diverged", "finished") else "")
        )
    return "\n".join([*lines, *(f"  {line}" for line in verdict.sentences(mine))])


def _row(*cells: str) -> str:
    widths = (-34, 7, 11, 9, 8, 12, 11, 8, 9)
    return "  " + "".join(
        f"{cell:<{-width}}" if width < 0 else f"{cell:>{width}}"
        for cell, width in zip(cells, widths, strict=True)
    )


def _cell(reached: Reached | None) -> str:
    return "–" if reached is None else f"{reached.seconds:.3g} ({reached.passes:.0f})"


def overview(found: Sequence[Run], level: float) -> tuple[list[str], list[str], list[list[float]]]:
    """Seconds to a certified gap for methods and columns of problems, medians over the problems of a column.

    Returns
    -------
    methods, columns : list of str
    seconds : list of list of float
        Infinite if the method does not get there, NaN if it cannot serve the problem.
    """
    by_column: dict[str, list[Instance]] = {}
    for instance in problems(found):
        by_column.setdefault(instance.column, []).append(instance)
    methods = [key for key in style.METHODS if any(run.task.method == key for run in found)]
    seconds = []
    for method in methods:
        line = []
        for members in by_column.values():
            times = []
            for instance in members:
                mine = [run for run in on(found, instance) if run.task.method == method]
                if mine:
                    reached = soonest(mine, method, level)
                    times.append(float("inf") if reached is None else reached.seconds)
            line.append(median(times) if times else float("nan"))
        seconds.append(line)
    return methods, list(by_column), seconds


def overview_table(found: Sequence[Run], level: float) -> str:
    """The overview as text."""
    methods, columns, seconds = overview(found, level)
    width = max(12, *(len(column) + 2 for column in columns))
    lines = [
        f"seconds to a certified gap of {level:.0e}: best step size, median over the problems of a column",
        f"  {'':34}" + "".join(f"{column:>{width}}" for column in columns),
    ]
    for method, line in zip(methods, seconds, strict=True):
        cells = ("" if np.isnan(t) else "–" if np.isinf(t) else f"{t:.3g}" for t in line)
        lines.append(f"  {style.METHODS[method].label:34}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def write_curves(found: Sequence[Run], file: Path) -> None:
    """All runs as CSV, at logarithmically spaced iterations and the last."""
    chosen = {id(run) for instance in problems(found) for run in selected(list(found), instance)}
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CURVE_COLUMNS)
        for run in found:
            trace = run.result.trace
            ious = dict(zip(run.measures["watched"], run.measures["watched_iou"], strict=True))
            key = [run.task.instance.key, run.task.method, run.task.step_size, int(id(run) in chosen)]
            for k in range(run.result.nit + 1):
                if k in WATCHED or k == run.result.nit:
                    row = [float(trace[name][k]) for name in TRACE_COLUMNS[1:]]
                    writer.writerow([*key, k, *row, ious.get(k, "")])


def write_time_to_gap(found: Sequence[Run], file: Path) -> None:
    """For each problem and method, iterations, seconds and passes to each certified gap, as CSV."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["problem", "method", "gap", "iterations", "seconds", "passes"])
        for instance in problems(found):
            mine = on(found, instance)
            for method in dict.fromkeys(run.task.method for run in mine):
                for level in LEVELS:
                    writer.writerow(
                        [instance.key, method, level, *(soonest(mine, method, level) or ("",) * 3)]
                    )


def summary(found: Sequence[Run]) -> dict[str, Any]:
    """Everything that is needed to quote the study, ready for JSON."""
    about = {}
    chosen = set()
    for instance in problems(found):
        mine = on(found, instance)
        chosen |= {id(run) for run in selected(list(found), instance)}
        about[instance.key] = {
            "title": instance.title,
            "source": instance.source,
            **{name: mine[0].measures[name] for name in ("data", "images", "pixels", "features")},
            "best_bound": max(run.result.dual for run in mine),
            "verdict": verdict.sentences(mine),
        }
    return {
        "verdict": verdict.overall([on(found, instance) for instance in problems(found)]),
        "problems": about,
        "runs": [
            {
                "problem": run.task.instance.key,
                "method": run.task.method,
                **{name: run.task.cell.arguments[name] for name in ("solver", "arguments")},
                "selected": id(run) in chosen,
                "status": run.result.status,
                "message": run.result.message,
                "iterations": run.result.nit,
                "seconds": float(run.result.trace["seconds"][-1]),
                "passes": float(run.result.trace["passes"][-1]),
                "value": run.result.value,
                "dual": run.result.dual,
                "gap": run.result.gap,
                "relative_gap": run.result.relative_gap,
                **{name: run.measures[name] for name in ("setup", "iou", "test_iou")},
            }
            for run in found
        ],
    }
