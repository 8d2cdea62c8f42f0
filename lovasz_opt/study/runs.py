"""The runs of the convergence study: which method on which problem, and what is measured on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from .. import solvers
from ..grid import Cell, Done, Outcome
from ..problems import LinearHingeRisk, Problem
from ..solvers import Result, State
from .instances import Instance, instances, load
from .methods import available, serves
from .settings import Settings

#: Iterations at which the test images are segmented, and which the table of curves keeps.
WATCHED = frozenset({0} | {round(10 ** (k / 8)) for k in range(57)})


@dataclass(frozen=True)
class Task:
    """One run to do: a method with its step size on a problem."""

    instance: Instance
    method: str
    step_size: float | None
    cell: Cell


@dataclass(frozen=True)
class Run:
    """A task that was run."""

    task: Task
    result: Result
    measures: dict[str, Any]


def tasks(settings: Settings) -> list[Task]:
    """All runs of a study, problem by problem."""
    todo = []
    for instance in instances(settings):
        limits = {
            "tol": settings.tol,
            "max_iter": settings.iterations,
            "max_time": settings.seconds * instance.share,
        }
        # Problems that are not the main ones do without the outermost step sizes.
        main = instance.share == 1 or len(settings.steps) < 5
        steps = settings.steps if main else settings.steps[1:-1]
        for key, method in available().items():
            if not serves(method.solver, instance.source["kind"]):
                continue
            for step in (None,) if method.step is None else steps:
                size = None if step is None else step * method.unit
                varied = {} if method.step is None else {method.step: size}
                # A method without a step size has one run where the others have several.
                more = {"max_time": 3 * limits["max_time"]} if step is None else {}
                arguments = limits | more | method.arguments | varied
                if key == "prox":
                    arguments = {"tol": 1e-14}
                given = {"problem": instance.source, "solver": method.solver, "arguments": arguments}
                todo.append(Task(instance, key, size, Cell(solve, given, f"{instance.key}: {key}")))
    return todo


def runs(todo: list[Task], done: Done) -> list[Run]:
    """The tasks that were run, in their order."""
    return [
        Run(task, outcome.solved, outcome.measures)
        for task in todo
        if (outcome := done.of(task.cell)) is not None
    ]


def selected(found: list[Run], instance: Instance) -> list[Run]:
    """For every method the run on a problem whose step size led to the lowest objective."""
    chosen: dict[str, Run] = {}
    for run in found:
        if run.task.instance == instance:
            best = chosen.setdefault(run.task.method, run)
            if (run.result.value, run.result.gap) < (best.result.value, best.result.gap):
                chosen[run.task.method] = run
    return list(chosen.values())


def solve(problem: dict[str, Any], solver: str, arguments: dict[str, Any]) -> Outcome:
    """Run one solver on one problem: the function of the cells.

    The seconds and passes of the trace count all that the solver does, its set-up included; segmenting the
    test images does not count.

    Parameters
    ----------
    problem : dict
        The `source` of an `Instance`.
    solver : str
        Name in `lovasz_opt.solvers`.
    arguments : dict
        Its keyword arguments.

    Returns
    -------
    Outcome
        Measures: images, pixels and features of the problem; data; set-up seconds; iou of the training
        images, and test_iou; and the IoU of the test images along the way, in watched and watched_iou.
    """
    loaded = load(**problem)
    pb, test = loaded.problem, loaded.test
    _warm_up(pb, problem["kind"], solver, arguments)
    watched: list[int] = []
    ious: list[float] = []
    paused = 0.0

    def watch(state: State) -> None:
        nonlocal paused
        if test is not None and state.iteration in WATCHED:
            begin = perf_counter()
            watched.append(state.iteration)
            ious.append(test.iou(state.x) if np.isfinite(state.x).all() else 0.0)
            paused += perf_counter() - begin

    pb.passes = 0.0
    begin = perf_counter()
    result: Result = getattr(solvers, solver)(pb, callback=watch, **arguments)
    setup = perf_counter() - begin - paused - float(result.trace["seconds"][-1])
    trace = dict(result.trace)
    trace["seconds"] = trace["seconds"] + max(setup, 0.0)
    trace["passes"] = trace["passes"] + (pb.passes - trace["passes"][-1])
    linear = pb if isinstance(pb, LinearHingeRisk) else None
    measures = {
        "data": loaded.data,
        "images": linear.n_images if linear else 1,
        "pixels": linear.n_pixels if linear else pb.center.size,
        "features": linear.n_features if linear else None,
        "setup": setup,
        "iou": pb.iou(result.x),
        "test_iou": None if test is None else test.iou(result.x),
        "watched": watched,
        "watched_iou": ious,
    }
    return Outcome(replace(result, trace=trace), measures)


def _warm_up(pb: Problem, kind: str, solver: str, arguments: dict[str, Any]) -> None:
    """A few iterations beforehand, once in a process: no method is charged for compiling its kernels."""
    named = [value for value in arguments.values() if isinstance(value, str)]
    variant = (kind, solver, *named)
    if variant not in _WARM:
        small = pb.batch([0]) if isinstance(pb, LinearHingeRisk) else pb
        result = getattr(solvers, solver)(small, **arguments | {"max_iter": 20, "max_time": 0.3})
        if result.status == "interrupted":
            raise KeyboardInterrupt
        _WARM.add(variant)


_WARM: set[tuple[str, ...]] = set()
