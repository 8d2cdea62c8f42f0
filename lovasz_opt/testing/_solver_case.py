"""A solver under check, with the small problems that it is run on and what is known of their optima."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import solvers
from ..problems import ImageProx, LinearHingeRisk
from ..solvers import Result, State
from ._report import fail

#: Share of a value that counts as rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Instance:
    """A small problem.

    Attributes
    ----------
    name : str
    make : callable
        Gives the problem afresh, so that one run cannot see what another left.
    arrays : tuple of ndarray
        What it is made of; no solver may write to it.
    """

    name: str
    make: Callable[[], Any]
    arrays: tuple[np.ndarray, ...] = ()

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Numbers between which the optimal value lies, with a slack for rounding."""
        pb = self.make()
        for solve in (solvers.prox, solvers.ssnal, solvers.bundle, solvers.subgradient):
            try:
                result = solve(pb, tol=1e-12, max_iter=500)
            except TypeError:
                continue
            slack = ROUNDING * max(abs(result.value), float(pb.value(pb.center)), 1e-3)
            return result.dual - slack, result.value + slack
        raise TypeError(f"no solver of this package takes {pb!r}: give problems of lovasz_opt.problems")


class SolverCase:
    """A solver under check.

    Parameters
    ----------
    solve : callable
    instances : list of Instance
    max_iter : int
        Iterations in which it is to make progress.
    """

    def __init__(self, solve: Callable[..., Any], instances: list[Instance], max_iter: int) -> None:
        self.solve, self.instances, self.max_iter = solve, instances, max_iter
        self._long: dict[str, Result] = {}

    @cached_property
    def refusals(self) -> dict[str, TypeError]:
        """The `TypeError` of every problem that the solver does not take."""
        found = {}
        for instance in self.instances:
            try:
                self.solve(instance.make(), max_iter=0)
            except TypeError as error:
                found[instance.name] = error
        return found

    @cached_property
    def accepted(self) -> list[Instance]:
        """The problems that the solver takes."""
        taken = [instance for instance in self.instances if instance.name not in self.refusals]
        if not taken:
            reasons = "; ".join(f"{name}: {error}" for name, error in self.refusals.items())
            fail(f"the solver takes none of the problems ({reasons})", "`problems`: name one that it takes")
        return taken

    def long(self, instance: Instance) -> Result:
        """The outcome of a run of `max_iter` iterations to a gap of 1e-6."""
        if instance.name not in self._long:
            self._long[instance.name] = self.solve(instance.make(), tol=1e-6, max_iter=self.max_iter)
        return self._long[instance.name]

    @cached_property
    def walk(self) -> Instance:
        """The problem on which the solver makes most iterations, to stop it on its way."""
        return max(self.accepted, key=lambda instance: self.solve(instance.make(), tol=0, max_iter=12).nit)


class Interrupt(KeyboardInterrupt):
    """Ctrl-C as the checks press it."""


class Recorder:
    """A callback that keeps what it sees, stops or interrupts at an iteration, and tries to change x.

    Parameters
    ----------
    stop_at, interrupt_at : int or None
        Iterations.
    """

    def __init__(self, stop_at: int | None = None, interrupt_at: int | None = None) -> None:
        self.stop_at, self.interrupt_at = stop_at, interrupt_at
        self.states: list[State] = []
        self.points: list[np.ndarray] = []

    def __call__(self, state: State) -> bool:
        self.states.append(state)
        self.points.append(np.array(state.x))
        if state.x.flags.writeable:
            state.x[...] = np.nan
        if len(self.states) - 1 == self.interrupt_at:
            raise Interrupt
        return len(self.states) - 1 == self.stop_at


def small_problems(seed: int) -> list[Instance]:
    """Proxes of an image and linear risks: plain ones, and some that are awkward."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.standard_normal(40), 1)
    labels = np.where(rng.random(40) < 0.1, 255, rng.random(40) < 0.4)

    def risk(
        name: str, features: list[np.ndarray], targets: list[np.ndarray], l2: float, ignore: int | None = None
    ) -> Instance:
        return Instance(
            name, lambda: LinearHingeRisk(features, targets, l2, ignore=ignore), (*features, *targets)
        )

    def images(noise: float, shift: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        targets = [(rng.random(30) < 0.3).astype(np.int64) for _ in range(3)]
        features = [noise * rng.standard_normal((30, 3)) + shift * t[:, None] * [1, 0.5, 0] for t in targets]
        for X in features:
            X[:, 2] = 1.0
        return features, targets

    noisy, targets = images(1.0, 1.5)
    clear, clear_targets = images(0.01, 1.0)
    return [
        Instance(
            "the prox of an image with void pixels and ties",
            lambda: ImageProx(scores, labels, gamma=10.0, ignore=255),
            (scores, labels),
        ),
        risk("a linear risk", noisy, targets, 0.1),
        risk("a separable linear risk", clear, clear_targets, 1e-2),
        risk("a linear risk without foreground", noisy, [np.zeros_like(t) for t in targets], 1e-2),
        risk("a linear risk of one pixel", [noisy[0][:1]], [targets[0][:1]], 1e-2),
        risk("a linear risk of void pixels", noisy, [np.full_like(t, 255) for t in targets], 0.1, 255),
        risk("a linear risk without features", [0 * X for X in noisy], targets, 0.1),
    ]


def given_problems(problems: Mapping[str, Callable[[], Any]]) -> list[Instance]:
    """Problems of the user's."""
    return [Instance(name, make) for name, make in problems.items()]
