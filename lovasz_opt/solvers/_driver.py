"""The loop around every method: certificates, trace, stopping, interruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s
from .._vectors import dot
from ..problems import Minorant, Problem
from .result import TRACE_COLUMNS, Result, State

Callback = Callable[[State], Any]
#: A candidate, its objective, and a minorant of the loss if the iteration found one.
Iterate = tuple[Float64s, float, Minorant | None]

_ABSOLUTE_GAP = 1e-14
_DIVERGED = 1e10
#: Share of the terms of the dual by which rounding may lift a bound over the value.
_ROUNDING = 1e-9


class LowerBound:
    """The best lower bound of a problem that the minorants seen so far allow at O(n) an iteration.

    Averages of minorants are minorants, and on the segment between two of them the bound is a concave
    parabola. The incumbent moves to its top towards each new minorant, then towards the running mean of all.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._best = Minorant(0.0, np.zeros_like(problem.center))
        self._mean = self._best
        self._count = 0
        self.value = 0.0
        #: Size of the terms that cancel in the bound, for judging rounding.
        self.magnitude = 0.0

    def add(self, minorant: Minorant) -> None:
        """Improve the bound with one more minorant."""
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


def starting_point(problem: Problem, x0: ArrayLike | None) -> Float64s:
    """A private copy of x0, or the minimiser of the quadratic."""
    if x0 is None:
        return problem.center.copy()
    array = np.array(x0, dtype=np.float64)
    if array.size != problem.center.size:
        raise ValueError(f"x0 has shape {array.shape}, expected {problem.shape}: one entry per variable")
    if not np.isfinite(array).all():
        raise ValueError("x0 holds NaN or infinite entries; start from finite numbers")
    return array.ravel()


def drive(
    method: str,
    problem: Problem,
    iterates: Callable[[LowerBound], Iterator[Iterate]],
    *,
    tol: float,
    max_iter: int,
    max_time: float | None,
    callback: Callback | None,
) -> Result:
    """Run a method until its certified gap is small, a limit is reached, or somebody stops it."""
    if not tol >= 0 or not math.isfinite(tol):
        raise ValueError(f"tol is {tol}; it must be finite and ≥ 0")
    if max_iter < 0:
        raise ValueError(f"max_iter is {max_iter}; it must be ≥ 0")
    if max_time is not None and not max_time > 0:
        raise ValueError(f"max_time is {max_time}; it must be > 0 seconds, or None for no limit")
    limit = math.inf if max_time is None else max_time
    bound = LowerBound(problem)
    rows: list[tuple[float, ...]] = []
    best_x, best = problem.center, math.inf
    status = "finished"
    start, paused = perf_counter(), 0.0
    try:
        for x, value, minorant in iterates(bound):
            if minorant is not None:
                bound.add(minorant)
            if value < best:
                best_x, best = x, value
            _check_bound(bound, best)
            dual = min(bound.value, best)
            gap, seconds = best - dual, perf_counter() - start - paused
            rows.append((len(rows), seconds, value, best, dual, gap))
            if callback is not None:
                before = perf_counter()
                shown = x.view()
                shown.flags.writeable = False
                stop = callback(State(len(rows) - 1, seconds, shown, value, best, dual, gap))
                paused += perf_counter() - before
                if stop is True:
                    status = "stopped"
                    break
            if gap <= max(tol * abs(best), _ABSOLUTE_GAP):
                status = "optimal"
            elif not value <= _DIVERGED * (1 + rows[0][2]):
                status = "diverged"
            elif len(rows) > max_iter:
                status = "max_iter"
            elif seconds >= limit:
                status = "max_time"
            else:
                continue
            break
    except KeyboardInterrupt:
        if not rows:
            raise
        status = "interrupted"
    columns = np.array(rows)
    trace = {name: columns[:, j].copy() for j, name in enumerate(TRACE_COLUMNS)}
    dual, gap = rows[-1][4], rows[-1][5]
    return Result(
        best_x.reshape(problem.shape).copy(),
        best,
        dual,
        gap,
        status,
        _message(status, gap, best),
        len(rows) - 1,
        trace,
        method,
    )


def _check_bound(bound: LowerBound, best: float) -> None:
    """A bound above a value by more than rounding means a wrong subgradient or prox: never report it."""
    if bound.value - best > _ROUNDING * (bound.magnitude + abs(best)):
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
