"""The loop around every method: certificates, trace, stopping, interruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, as_float64s, as_number
from .._vectors import dot
from ..problems import LovaszSoftmaxRisk, Minorant, Objective
from ._blas import one_blas_thread
from .result import TRACE_COLUMNS, Result, State

Callback = Callable[[State], Any]
AnyProblem = Objective | LovaszSoftmaxRisk
#: A candidate, its objective, and a minorant of the loss if the iteration found one.
Iterate = tuple[Float64s, float, Minorant | None]
#: What a method needs to go on after the candidate that it yielded last: arrays, numbers, strings and
#: mappings of these. A method fills it before it yields, never changes its arrays afterwards, and starts from
#: it unless it is empty.
Memory = dict[str, Any]

_ABSOLUTE_GAP = 1e-14
_DIVERGED = 1e10
#: Share of the terms of the dual by which rounding may lift a bound over the value.
_ROUNDING = 1e-9
#: Numbers below have no such share.
_SUBNORMAL = float(np.finfo(np.float64).tiny)


class LowerBound:
    """The best lower bound of a problem that the minorants seen so far allow at O(n) an iteration.

    Averages of minorants are minorants, and on the segment between two of them the bound is a concave
    parabola. The incumbent moves to its top towards each new minorant, then towards the running mean of all.
    """

    def __init__(self, problem: AnyProblem) -> None:
        self._problem: Any = problem
        self._best = problem.known_minorant
        self._mean = self._best
        self._count = 0
        self.value = problem.known_bound
        #: Size of the terms that cancel in the bound, for judging rounding.
        self.magnitude = 2 * abs(self._best.offset)

    def state(self) -> Memory:
        """What `restore` needs."""
        return {
            "best": self._best.slope,
            "best offset": self._best.offset,
            "mean": self._mean.slope,
            "mean offset": self._mean.offset,
            "count": self._count,
            "value": self.value,
            "magnitude": self.magnitude,
        }

    def restore(self, state: Memory) -> None:
        """Go on from the `state` of another bound of the same problem."""
        self._best = Minorant(state["best offset"], state["best"])
        self._mean = Minorant(state["mean offset"], state["mean"])
        self._count = int(state["count"])
        self.value, self.magnitude = state["value"], state["magnitude"]

    def add(self, minorant: Minorant) -> None:
        """Improve the bound with one more minorant."""
        if not self._problem.convex:
            raise TypeError(f"{self._problem!r} is not convex: its linearisations are no minorants")
        self._count += 1
        self._mean = _between(self._mean, minorant, 1 / self._count)
        self._move(minorant)
        if self._count > 1:
            self._move(self._mean)

    def _move(self, other: Minorant) -> None:
        change = other.slope - self._best.slope
        curvature = dot(change, change) / self._problem.strong_convexity
        slope = other.offset - self._best.offset
        slope -= dot(change, self._best.slope) / self._problem.strong_convexity
        if slope <= 0:
            return
        moved = other if slope >= curvature else _between(self._best, other, slope / curvature)
        value = self._problem.lower_bound(moved)
        if value > self.value:
            self._best, self.value = moved, value
            self.magnitude = 2 * abs(moved.offset) + abs(value)


def _between(first: Minorant, second: Minorant, t: float) -> Minorant:
    return Minorant(
        first.offset + t * (second.offset - first.offset), first.slope + t * (second.slope - first.slope)
    )


def starting_point(problem: AnyProblem, x0: ArrayLike | None) -> Float64s:
    """A private copy of x0, or the minimiser of the quadratic.

    Parameters
    ----------
    problem : Problem
    x0 : array_like or None
        Of the shape of the variable, or flat.

    Returns
    -------
    (n,) ndarray of float64

    Raises
    ------
    ValueError
        If x0 has another size, an entry that is not finite, or a norm whose square is not.
    """
    if x0 is None:
        return problem.center.copy()
    array = as_float64s(x0, "x0").copy()
    if array.size != problem.center.size:
        raise ValueError(f"x0 has shape {array.shape}, expected {problem.shape}: one entry per variable")
    if not np.isfinite(array).all():
        raise ValueError("x0 holds NaN or infinite entries; start from finite numbers")
    point = array.ravel()
    with np.errstate(over="ignore"):
        if not math.isfinite(dot(point, point)):
            raise ValueError(
                f"x0 has entries up to {np.abs(point).max():.3g}, whose squares overflow; start nearer"
            )
    return point


def drive(
    method: str,
    problem: AnyProblem,
    iterates: Callable[[LowerBound, Memory], Iterator[Iterate]],
    *,
    tol: float,
    max_iter: int,
    max_time: float | None,
    callback: Callback | None,
    resume: Result | None = None,
) -> Result:
    """Run a method until its certified gap is small, a limit is reached, or somebody stops it.

    Parameters
    ----------
    method : str
        What the result calls it.
    problem : Problem
    iterates : callable
        Takes the `LowerBound` so far and the `Memory`, and yields an `Iterate` for every iteration, the
        starting point first. It fills the memory before it yields, and goes on from one that is not empty.
    tol, max_iter, max_time, callback, resume
        As for every solver.

    Returns
    -------
    Result
        Also after Ctrl-C, with the status "interrupted" and the best point so far.

    Raises
    ------
    ValueError, TypeError
        If a limit is out of range, or `resume` is a result of another method or problem.
    ArithmeticError
        If the lower bound exceeds an objective by more than rounding.
    """
    tol = as_number(tol, "tol")
    if not 0 <= tol < math.inf:
        raise ValueError(f"tol is {tol}; it must be finite and ≥ 0")
    if not max_iter >= 0:
        raise ValueError(f"max_iter is {max_iter}; it must be ≥ 0")
    if max_time is not None and not max_time > 0:
        raise ValueError(f"max_time is {max_time}; it must be > 0 seconds, or None for no limit")
    limit = math.inf if max_time is None else max_time
    run = _Run(method, problem, resume)
    # A shallow copy at every row: an interrupt in the middle of an iteration must not leave half of the next.
    memory, kept = dict(run.memory), run.memory
    status = run.verdict(tol, max_iter)
    begin, paused = perf_counter(), 0.0
    try:
        with one_blas_thread():
            for x, value, minorant in iterates(run.bound, memory) if status is None else ():
                seconds = perf_counter() - begin - paused
                row = run.add(x, value, minorant, seconds)
                kept = dict(memory)
                if callback is not None:
                    before = perf_counter()
                    shown = x.view()
                    shown.flags.writeable = False
                    stop = callback(State(int(row[0]), row[1], row[2], shown, *row[3:]))
                    paused += perf_counter() - before
                    if stop is True:
                        status = "stopped"
                        break
                status = run.verdict(tol, max_iter)
                if status is None and seconds >= limit:
                    status = "max_time"
                if status is not None:
                    break
    except KeyboardInterrupt:
        if not run.rows:
            raise
        status = "interrupted"
    return run.result(status or "finished", kept)


class _Run:
    """What is known of a solve so far: trace, best point, bound."""

    def __init__(self, method: str, problem: AnyProblem, resume: Result | None) -> None:
        self.bound = LowerBound(problem)
        self.rows: list[tuple[float, ...]] = []
        self.best_x, self.best = problem.center, math.inf
        self.memory: Memory = {}
        self._method, self._problem = method, problem
        self._seconds = 0.0
        self._passes = problem.passes
        if resume is not None:
            self._go_on(resume)

    def _go_on(self, resume: Result) -> None:
        if not isinstance(resume, Result):
            raise TypeError(f"resume must be a Result, got {type(resume).__name__}; pass x0= for a point")
        if resume.method != self._method:
            raise ValueError(
                f"resume is a result of {resume.method}; {self._method} cannot go on from it: "
                "pass x0=resume.x instead"
            )
        if resume.x.shape != self._problem.shape:
            raise ValueError(
                f"resume belongs to a problem of shape {resume.x.shape}, this one has {self._problem.shape}"
            )
        self.rows = [
            tuple(float(entry) for entry in row)
            for row in zip(*(resume.trace[name] for name in TRACE_COLUMNS), strict=True)
        ]
        self.best_x, self.best = resume.x.ravel(), resume.value
        self.bound.restore(resume.state["bound"])
        self.memory = dict(resume.state["memory"])
        self._seconds = self.rows[-1][1]
        self._passes -= self.rows[-1][2]

    def add(self, x: Float64s, value: float, minorant: Minorant | None, seconds: float) -> tuple[float, ...]:
        if minorant is not None:
            self.bound.add(minorant)
        if value < self.best:
            self.best_x, self.best = x, value
        _check_bound(self.bound, self.best)
        dual = min(self.bound.value, self.best)
        # Sums of fractions of the pixels: without their rounding, a run counts the same every time.
        passes = round(self._problem.passes - self._passes, 9)
        row = (
            len(self.rows),
            self._seconds + seconds,
            passes,
            value,
            self.best,
            dual,
            self.best - dual,
        )
        self.rows.append(row)
        return row

    def verdict(self, tol: float, max_iter: int) -> str | None:
        """Status if there is a reason to stop."""
        if not self.rows:
            return None
        _, _, _, value, best, _, gap = self.rows[-1]
        # Of an infinite objective, any share is as large as the gap.
        if math.isfinite(gap) and gap <= max(tol * abs(best), _ABSOLUTE_GAP):
            return "optimal"
        if not value < _DIVERGED * (1 + abs(self.rows[0][3])):
            return "diverged"
        if len(self.rows) > max_iter:
            return "max_iter"
        return None

    def result(self, status: str, memory: Memory) -> Result:
        columns = np.array(self.rows)
        trace = {name: columns[:, j].copy() for j, name in enumerate(TRACE_COLUMNS)}
        dual, gap = self.rows[-1][5:]
        return Result(
            self.best_x.reshape(self._problem.shape).copy(),
            self.best,
            dual,
            gap,
            status,
            _message(status, gap, self.best),
            len(self.rows) - 1,
            trace,
            self._method,
            {"bound": self.bound.state(), "memory": memory},
        )


def _check_bound(bound: LowerBound, best: float) -> None:
    """A bound above a value by more than rounding means a wrong subgradient or prox: never report it."""
    if bound.value - best > _ROUNDING * (bound.magnitude + abs(best)) + _SUBNORMAL:
        raise ArithmeticError(
            f"the lower bound {bound.value!r} exceeds the objective {best!r}: value, subgradient and prox of "
            "the problem do not belong together"
        )


def _message(status: str, gap: float, best: float) -> str:
    certified = f"certified gap {gap:.3g} at value {best:.9g}"
    reasons = {
        "optimal": "the certified gap is within tol",
        "finished": "the method has no further iteration",
        "max_iter": "the iteration limit was reached; raise max_iter",
        "max_time": "the time limit was reached; raise max_time",
        "stopped": "the callback asked to stop",
        "interrupted": "interrupted from the keyboard",
        "diverged": "the objective blew up; take a shorter step",
    }
    return f"{reasons[status]}; {certified}"
