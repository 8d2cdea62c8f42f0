"""The part of the study about "faster": certified gap and test IoU of every method on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import datasets
from .._validation import Float64s
from ..figures import convergence as figure
from ..figures import photograph as picture
from ..figures import time_to_gap
from ..grid import Cell, Done
from . import report, verdict
from .gaps import LEVELS, relative_gaps
from .instances import photograph
from .parts import Report
from .runs import Run, Task, runs, selected, tasks
from .settings import Settings

name = "convergence"


def cells(settings: Settings) -> list[Cell]:
    """All runs of this part."""
    return [task.cell for task in tasks(settings)]


def publish(settings: Settings, done: Done, out: Path) -> Report:
    """Tables, figures and files of what was run."""
    todo = tasks(settings)
    found = runs(todo, done)
    failures = [
        f"failed: {task.cell.group}{_eta(task)}: {done.failures[task.cell.key]}"
        for task in todo
        if task.cell.key in done.failures
    ]
    if not found:
        return Report("\n".join(failures), [], {"failures": failures, "runs": []})
    files = [out / "curves.csv", out / "time_to_gap.csv", out / "tables.txt"]
    report.write_curves(found, files[0])
    report.write_time_to_gap(found, files[1])
    tables = [report.table(found, instance) for instance in report.problems(found)]
    overviews = [report.overview_table(found, level) for level in LEVELS]
    lines = verdict.overall([report.on(found, instance) for instance in report.problems(found)])
    closing = ["Against the explicit subgradient methods, all step sizes:", *(f"  {line}" for line in lines)]
    text = "\n\n".join([*tables, *overviews, "\n".join(closing), *failures])
    files[2].write_text(text + "\n", encoding="utf-8")
    files += _draw(found, out)
    if settings.full:
        # There are dozens of tables: they are in the file.
        text = "\n\n".join([*overviews, "\n".join(closing), *failures])
    return Report(text, files, report.summary(found) | {"failures": failures})


def _eta(task: Task) -> str:
    return "" if task.step_size is None else f", η = {task.step_size:g}"


def _draw(found: list[Run], out: Path) -> list[Path]:
    files = []
    for figure_name in dict.fromkeys(run.task.instance.figure for run in found):
        members = [i for i in report.problems(found) if i.figure == figure_name]
        for quantity in figure.QUANTITIES:
            rows = []
            for instance in members:
                best = max(run.result.dual for run in report.on(found, instance))
                curves = [
                    curve
                    for run in selected(found, instance)
                    if (curve := _curve(run, quantity, best)) is not None
                ]
                if curves:
                    rows.append(figure.Row(instance.title, curves))
            if rows:
                stem = figure_name if quantity == "certified" else f"{figure_name}-{quantity}"
                files += figure.draw(out / stem, rows, quantity)
    files += time_to_gap.draw(out / "time_to_gap", {level: report.overview(found, level) for level in LEVELS})
    exact = next((run for run in found if run.task.method == "prox"), None)
    if exact is not None:
        files += picture.draw(out / "photograph", _panels(exact))
    return files


def _curve(run: Run, quantity: str, bound: float) -> figure.Curve | None:
    trace = run.result.trace
    if quantity == "iou":
        rows = np.array([k for k in run.measures["watched"] if k > 0], dtype=np.int64)
        y = np.array(
            [v for k, v in zip(run.measures["watched"], run.measures["watched_iou"], strict=True) if k]
        )
    else:
        rows = np.arange(1, run.result.nit + 1)
        distance = (trace["best"] - bound) / np.abs(trace["best"])
        y = (relative_gaps(trace) if quantity == "certified" else distance)[1:]
    if not rows.size:
        return None
    return figure.Curve(run.task.method, {axis: trace[axis][rows] for axis in figure.AXES}, y)


def _panels(exact: Run) -> picture.Panels:
    source = {name: value for name, value in exact.task.instance.source.items() if name != "kind"}
    photo, before = photograph(**source)
    iou = _iou(before, photo)
    return picture.Panels(
        photo.image, photo.target == 1, photo.valid, before, exact.result.x, iou, exact.measures["iou"]
    )


def _iou(scores: Float64s, photo: datasets.Photograph) -> float:
    positive, truth = (scores > 0)[photo.valid], (photo.target == 1)[photo.valid]
    return float((positive & truth).sum() / (positive | truth).sum())
