"""The convergence study: one photograph, two problems, every method with its certified gap."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from . import datasets, solvers
from .datasets import VOID, ImageSet, Photograph
from .figures import convergence, style
from .problems import ImageProx, LinearHingeRisk, Problem
from .solvers import Result, State
from .solvers.result import TRACE_COLUMNS

#: Step sizes η that every subgradient rule with a free step is run with.
STEP_SIZES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 1e1)


@dataclass(frozen=True)
class Settings:
    """What fixes a study up to the speed of the machine.

    Attributes
    ----------
    seed : int
        Of the deal of tiles or images into training and test parts.
    quick : bool
        Smaller images and fewer iterations.
    data : str or None
        Directory with VOC features for problem (b); by default the tiles of the photograph.
    voc_class : str
    scale, tile : int
        Shrinking of the photograph, and side of a tile.
    images : int
        At most this many VOC images in each part.
    iterations_a, iterations_b : int
        Limit for subgradient descent on each problem.
    admm_iterations : int
        Limit for ADMM: its iterations are longer, so that both run for about as many seconds.
    gamma_per_foreground : float
        γ in problem (a), divided by the number of foreground pixels.
    l2 : float
        μ in problem (b).
    tol : float
        Relative certified gap at which a method stops.
    """

    seed: int = 0
    quick: bool = False
    data: str | None = None
    voc_class: str = "cat"
    scale: int = 2
    tile: int = 40
    images: int = 60
    iterations_a: int = 100
    iterations_b: int = 600
    admm_iterations: int = 250
    gamma_per_foreground: float = 0.5
    l2: float = 1e-3
    tol: float = 1e-8

    @classmethod
    def of(cls, seed: int = 0, quick: bool = False, data: str | None = None) -> Settings:
        """The settings of the command line."""
        if not quick:
            return cls(
                seed, False, data, iterations_b=150 if data else 600, admm_iterations=100 if data else 250
            )
        return cls(
            seed,
            True,
            data,
            scale=4,
            tile=20,
            images=10,
            iterations_a=30,
            iterations_b=120,
            admm_iterations=60,
        )


@dataclass(frozen=True)
class Task:
    """One run to do: a method with its parameters on problem "a" or "b"."""

    problem: str
    method: str
    solver: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def step_size(self) -> float | None:
        """η, or None for a method without one."""
        return self.arguments.get("step_size")

    @property
    def label(self) -> str:
        """Name of the method with its step size."""
        eta = "" if self.step_size is None else f", η = {self.step_size:g}"
        return style.METHODS[self.method].label + eta


@dataclass(frozen=True)
class Run:
    """A task that was run, with its result and the IoU of the point it found."""

    task: Task
    result: Result
    iou: float
    test_iou: float | None


@dataclass
class Study:
    """Problems, runs done so far, and whether all of them were."""

    settings: Settings
    photo: Photograph
    problems: dict[str, Problem]
    test: LinearHingeRisk
    titles: dict[str, str]
    data: dict[str, str]
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False

    def selected(self, problem: str) -> list[Run]:
        """For every method the run whose step size led to the lowest objective, in the legend's order."""
        chosen = []
        for method in style.METHODS:
            runs = [r for r in self.runs if r.task.problem == problem and r.task.method == method]
            if runs:
                chosen.append(min(runs, key=lambda run: (run.result.value, run.result.gap)))
        return chosen


def tasks(settings: Settings) -> list[Task]:
    """All runs of a study, the proximal methods first."""
    todo = [Task("a", "prox", "prox", {"tol": 1e-14})]
    for problem, limit in (("a", settings.iterations_a), ("b", settings.iterations_b)):
        todo.append(
            Task(problem, "admm", "admm", {"tol": settings.tol, "max_iter": settings.admm_iterations})
        )
        common = {"tol": settings.tol, "max_iter": limit}
        todo.append(Task(problem, "polyak", "subgradient", common | {"step": "polyak"}))
        rules = {
            "strong": {"step": "strong"},
            "sqrt": {"step": "sqrt"},
            "sqrt-average": {"step": "sqrt", "average": "weighted"},
            "constant": {"step": "constant"},
        }
        for method, rule in rules.items():
            for eta in STEP_SIZES:
                todo.append(Task(problem, method, "subgradient", common | rule | {"step_size": eta}))
    return todo


def prepare(settings: Settings) -> Study:
    """Load the data and set up both problems."""
    photo = datasets.motorcycle(settings.scale)
    train_tiles, test_tiles = datasets.tiles(photo, settings.tile, settings.seed)
    scores = datasets.score_map(photo, train_tiles)
    gamma = settings.gamma_per_foreground * int(np.count_nonzero(photo.target == 1))
    prox = ImageProx(scores, photo.target, gamma, ignore=VOID)
    train, test = train_tiles, test_tiles
    if settings.data is not None:
        train, test = (
            datasets.voc(settings.data, settings.voc_class, split, settings.images, settings.seed)
            for split in ("train", "val")
        )
    risk = _risk(train, settings.l2)
    titles = {
        "a": f"(a) prox of one image, ½‖F − U‖² + γL(F): {prox.center.size:,} pixels",
        "b": (
            f"(b) linear model, ridge + mean of L over images: {risk.n_images} images, "
            f"{risk.n_pixels:,} pixels × {risk.n_features} features, l2 = {settings.l2:g}"
        ),
    }
    data = {
        "a": f"{photo.name}, scores of a least squares fit to its training tiles",
        "b": train.name,
        "test": test.name,
    }
    return Study(settings, photo, {"a": prox, "b": risk}, _risk(test, settings.l2), titles, data)


def _risk(images: ImageSet, l2: float) -> LinearHingeRisk:
    # In float64 the products with the features take half the time, and they fit.
    features = [X.astype(np.float64, copy=False) for X in images.features]
    return LinearHingeRisk(features, images.targets, l2, ignore=VOID)


class Reporter:
    """What a study tells while it runs; this one keeps quiet."""

    def begin(self, task: Task, number: int, total: int) -> None:
        """A task starts."""

    def step(self, state: State) -> None:
        """An iteration is done."""

    def end(self, run: Run) -> None:
        """The task is done."""

    def close(self) -> None:
        """No more tasks."""


def run(settings: Settings, reporter: Reporter | None = None, todo: Sequence[Task] | None = None) -> Study:
    """Run a study; an interrupt from the keyboard keeps the runs done so far.

    Parameters
    ----------
    settings : Settings
    reporter : Reporter, optional
        Is told about every task and iteration.
    todo : sequence of Task, optional
        By default all `tasks`.

    Returns
    -------
    Study

    Raises
    ------
    DataError, MissingExtra
        If the data cannot be had.
    """
    study = prepare(settings)
    reporter = reporter or Reporter()
    todo = tasks(settings) if todo is None else todo
    try:
        _warm_up()
        for number, task in enumerate(todo, 1):
            reporter.begin(task, number, len(todo))
            study.runs.append(_run_one(study, task, reporter))
            reporter.end(study.runs[-1])
            if study.runs[-1].result.status == "interrupted":
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        study.interrupted = True
    finally:
        reporter.close()
    return study


def _warm_up() -> None:
    """Compile the kernels on a tiny problem, so that no method is charged for it."""
    images = datasets.shapes(n=2, size=12)
    solvers.admm(LinearHingeRisk(images.features, images.targets, l2=0.1), max_iter=2)
    solvers.prox(ImageProx(images.features[0][:, 0], images.targets[0], gamma=10.0))


def _run_one(study: Study, task: Task, reporter: Reporter) -> Run:
    problem = study.problems[task.problem]
    result = getattr(solvers, task.solver)(problem, callback=reporter.step, **task.arguments)
    test_iou = study.test.iou(result.x) if task.problem == "b" else None
    return Run(task, result, problem.iou(result.x), test_iou)


def table(study: Study) -> str:
    """The results as text: per method iterations, seconds, value, certified gap and IoU."""
    lines = []
    for key, title in study.titles.items():
        chosen = study.selected(key)
        if not chosen:
            continue
        columns = ("method", "η", "iterations", "seconds", "value", "certified gap", "IoU")
        lines += [
            title,
            f"  data: {study.data[key]}",
            _row(*columns) + (" train  test" if key == "b" else ""),
        ]
        for item in chosen:
            result, eta = item.result, item.task.step_size
            lines.append(
                _row(
                    style.METHODS[item.task.method].label,
                    "" if eta is None else f"{eta:g}",
                    str(result.nit),
                    f"{result.trace['seconds'][-1]:.3f}",
                    f"{result.value:.7g}",
                    f"{result.relative_gap:.1e}",
                    f"{item.iou:.4f}" + ("" if item.test_iou is None else f"    {item.test_iou:.4f}"),
                )
                + ("" if result.status in ("optimal", "max_iter") else f"  {result.status}")
            )
        lines += [f"  {line}" for line in verdict(study, key)] + [""]
    return "\n".join(lines)


def _row(method: str, eta: str, iterations: str, seconds: str, value: str, gap: str, iou: str) -> str:
    return f"  {method:32}{eta:>7}{iterations:>12}{seconds:>9}{value:>14}{gap:>15}  {iou}"


def verdict(study: Study, problem: str) -> list[str]:
    """Who wins and by how much, in two sentences at most."""
    proximal = [r for r in study.selected(problem) if r.task.solver != "subgradient"]
    plain = [r for r in study.runs if r.task.problem == problem and r.task.solver == "subgradient"]
    if not proximal or not plain:
        return []
    best = min(proximal, key=lambda run: (run.result.relative_gap, run.result.nit))
    bound = max(run.result.dual for run in (*proximal, *plain))
    tightest = min(plain, key=lambda run: run.result.relative_gap)
    lowest = min(plain, key=lambda run: run.result.value)
    above = (lowest.result.value - bound) / abs(lowest.result.value)
    label = style.METHODS[best.task.method].label
    least = tightest.result.relative_gap
    sentences = [
        f"Of {len(plain)} subgradient runs none certifies less than {least:.1e}, and the lowest objective is "
        f"{above:.1e} above the best bound ({lowest.task.label})."
    ]
    trace, spent = best.result.trace, tightest.result.trace["seconds"][-1]
    reached = np.flatnonzero(trace["gap"] <= tightest.result.gap)
    if reached.size:
        k = int(reached[0])
        sentences.append(
            f"{label} certifies that after {k} iteration{'' if k == 1 else 's'}, {trace['seconds'][k]:.3f} s "
            f"(subgradient: {tightest.result.nit}, {spent:.3f} s), "
            f"and ends at {best.result.relative_gap:.1e}."
        )
    return sentences


def write(study: Study, out: Path, command: str) -> list[Path]:
    """Write the figure (PNG, PDF), all curves (CSV) and the summary (JSON) into a directory.

    Parameters
    ----------
    study : Study
    out : Path
        Made if it does not exist.
    command : str
        The command line, for the summary.

    Returns
    -------
    list of Path
        The files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "curves.csv", out / "summary.json"]
    with files[0].open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["problem", "method", "step_size", "selected", *TRACE_COLUMNS])
        for item in study.runs:
            chosen = item in study.selected(item.task.problem)
            key = [item.task.problem, item.task.method, item.task.step_size, int(chosen)]
            rows = zip(*(item.result.trace[name].tolist() for name in TRACE_COLUMNS), strict=True)
            writer.writerows([*key, int(iteration), *rest] for iteration, *rest in rows)
    files[1].write_text(
        json.dumps(summary(study, command), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    curves = [
        convergence.Curve(key, item.task.method, item.result.trace)
        for key in study.problems
        for item in study.selected(key)
    ]
    if curves:
        files += convergence.draw(out / "convergence", study.titles, curves, _prox_panels(study))
    return files


def _prox_panels(study: Study) -> convergence.ProxPanels | None:
    exact = next((item for item in study.runs if item.task.method == "prox" and item.result.nit), None)
    if exact is None:
        return None
    photo, problem = study.photo, study.problems["a"]
    before = problem.center.reshape(problem.shape)
    return convergence.ProxPanels(
        photo.image, photo.target == 1, photo.valid, before, exact.result.x, problem.iou(before), exact.iou
    )


def summary(study: Study, command: str) -> dict[str, Any]:
    """Everything that is needed to repeat and to quote the study, ready for JSON."""
    return {
        "command": command,
        "settings": asdict(study.settings),
        "versions": versions(),
        "cores": os.cpu_count(),
        "interrupted": study.interrupted,
        "data": study.data,
        "problems": {
            key: {
                "title": study.titles[key],
                "verdict": verdict(study, key),
                "best_bound": _best_bound(study, key),
            }
            for key in study.problems
        },
        "runs": [
            {
                "problem": item.task.problem,
                "method": item.task.method,
                "solver": item.task.solver,
                "arguments": item.task.arguments,
                "selected": item in study.selected(item.task.problem),
                "status": item.result.status,
                "message": item.result.message,
                "iterations": item.result.nit,
                "seconds": float(item.result.trace["seconds"][-1]),
                "value": item.result.value,
                "dual": item.result.dual,
                "gap": item.result.gap,
                "relative_gap": item.result.relative_gap,
                "iou": item.iou,
                "test_iou": item.test_iou,
            }
            for item in study.runs
        ],
    }


def _best_bound(study: Study, problem: str) -> float | None:
    return max((item.result.dual for item in study.runs if item.task.problem == problem), default=None)


def versions() -> dict[str, str]:
    """Versions of Python, this package and the packages it may use, where installed."""
    names = ("lovasz-opt", "numpy", "scipy", "numba", "matplotlib", "scikit-image", "tqdm", "cvxpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
