"""Checks of what a solver does: its result, its certificate, its limits, what it does when it is stopped."""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from ..problems import LovaszSoftmaxRisk
from ..solvers import Result
from ..solvers.result import TRACE_COLUMNS
from ._report import Skipped, fail
from ._set_case import show_vector
from ._solver_case import ROUNDING, Interrupt, Recorder, SolverCase

STATUSES = ("optimal", "max_iter", "max_time", "stopped", "interrupted", "diverged", "finished")
_ARGUMENTS = ("tol", "max_iter", "max_time", "callback", "x0")
#: Gaps below this are optimal whatever tol is.
_ABSOLUTE_GAP = 1e-14
_LIMIT, _PATIENCE = 0.05, 2.0
_DRIVE = "`lovasz_opt.solvers.toolkit.drive`, which does this for iterates that you yield"


def check_arguments(case: SolverCase) -> None:
    """The arguments that all solvers share are there, by name."""
    parameters = inspect.signature(case.solve).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    missing = [name for name in _ARGUMENTS if name not in named]
    if missing:
        fail(
            f"the solver has no argument {', '.join(missing)}",
            "its signature: solver(pb, *, tol=1e-6, max_iter=1000, max_time=None, callback=None, x0=None)",
        )


def check_refusal(case: SolverCase) -> None:
    """What cannot be solved is refused with a `TypeError` that names it; something is solved."""
    look = '`lovasz_opt.solvers.toolkit.require("name of the solver", pb, "linearise", …)`, called first'
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((12, 2)), rng.integers(0, 3, 12)
    not_convex = LovaszSoftmaxRisk([features], [labels], l2=0.01, n_classes=3)
    refused = dict(case.refusals)
    for what, pb in (("object()", object()), ("a risk that is not convex", not_convex)):
        try:
            result = case.solve(pb, max_iter=case.max_iter)
        except TypeError as error:
            refused[what] = error
        except Exception as other:
            fail(f"{what} raises {type(other).__name__}: {other}; it must be a TypeError", look)
        else:
            if what == "object()":
                fail("object() is accepted as a problem", look)
            # There is no dual problem: only the bound that the problem knows is one.
            if result.dual > not_convex.known_bound * (1 + ROUNDING):
                fail(
                    f"{what} is accepted, with the lower bound {result.dual!r}; its linearisations are no "
                    f"minorants, and all that is known is {not_convex.known_bound!r}",
                    look,
                )
    kinds = {instance.name: type(instance.make()).__name__ for instance in case.instances}
    kinds |= {"object()": "object", "a risk that is not convex": "LovaszSoftmaxRisk"}
    for name, reason in refused.items():
        if kinds[name] not in str(reason):
            fail(
                f"{name} is refused with {str(reason)!r}, which does not name the type {kinds[name]} of the "
                "problem and what it lacks",
                look,
            )
    # At least one is not refused.
    _ = case.accepted


def check_result(case: SolverCase) -> None:
    """The fields of a result belong together."""
    for instance in case.accepted:
        pb, result = instance.make(), case.long(instance)
        if not isinstance(result, Result):
            fail(f"it returns {type(result).__name__}, not a lovasz_opt.solvers.Result", _DRIVE)
        x = result.x
        if not isinstance(x, np.ndarray) or x.shape != pb.shape or x.dtype != np.float64:
            kind = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            fail(f"x is {kind} on {instance.name}, expected float64 of shape {pb.shape}", _DRIVE)
        value = pb.value(x)
        if not _agree(result.value, value):
            fail(f"value is {result.value!r} on {instance.name}, and pb.value(x) is {value!r}", "value and x")
        if not result.gap >= 0 or not _agree(result.gap, result.value - result.dual, abs(value)):
            difference = result.value - result.dual
            fail(
                f"gap is {result.gap!r} on {instance.name}, and value − dual is {difference!r}; "
                "they must agree, and be ≥ 0",
                "dual: a lower bound that rounding has put above the value is cut off there",
            )
        if result.status not in STATUSES:
            fail(
                f"status is {result.status!r} on {instance.name}; it must be one of {', '.join(STATUSES)}",
                "status",
            )
        if result.nit != len(result.trace["iteration"]) - 1:
            fail(
                f"nit is {result.nit} on {instance.name}, and the trace has "
                f"{len(result.trace['iteration'])} rows; the starting point is row 0",
                "nit",
            )
        for name in ("message", "method"):
            if not isinstance(getattr(result, name), str) or not getattr(result, name):
                fail(f"{name} is {getattr(result, name)!r}; it must say something", name)


def check_certificate(case: SolverCase) -> None:
    """The optimal value lies between dual and value, in every iteration, from every start."""
    look = "the minorants: pb.minorant(g) is one only for dual-feasible g (subgradients, residuals of a prox)"
    for instance in case.accepted:
        low, high = instance.bounds
        far = 3 * np.random.default_rng(1).standard_normal(instance.make().shape)
        runs = [case.long(instance), case.solve(instance.make(), tol=0, max_iter=12, x0=far)]
        for result in runs:
            dual, value = result.trace["dual"], result.trace["value"]
            for k in np.flatnonzero(~(dual <= high))[:1]:
                fail(
                    f"the lower bound {dual[k]!r} of iteration {k} is above the optimal value of "
                    f"{instance.name}, which is at most {high!r}",
                    look,
                )
            for k in np.flatnonzero(~(value >= low))[:1]:
                fail(
                    f"the value {value[k]!r} of iteration {k} is below the optimal value of {instance.name}, "
                    f"which is at least {low!r}",
                    "the objective: pb.value(x), or pb.quadratic(x) plus the loss at the same x",
                )
            if result.dual > high or result.value < low:
                fail(
                    f"dual is {result.dual!r} and value {result.value!r} on {instance.name}, whose optimal "
                    f"value lies in [{low!r}, {high!r}]",
                    look,
                )


def check_trace(case: SolverCase) -> None:
    """The trace has all columns and rows, and its columns belong together."""
    for instance in case.accepted:
        result = case.long(instance)
        trace = result.trace
        if tuple(trace) != TRACE_COLUMNS:
            fail(f"the trace has the columns {', '.join(trace)}, expected {', '.join(TRACE_COLUMNS)}", _DRIVE)
        rows = {len(column) for column in trace.values()}
        if len(rows) != 1:
            fail(f"the columns of the trace have {sorted(rows)} rows on {instance.name}", _DRIVE)
        size = ROUNDING * max(abs(result.value), 1e-12)
        for what, right in (
            ("iteration counts 0, 1, …", trace["iteration"] == np.arange(len(trace["iteration"]))),
            (
                "best is the least value so far",
                np.abs(trace["best"] - np.minimum.accumulate(trace["value"])) <= size,
            ),
            ("gap is best − dual", np.abs(trace["gap"] - (trace["best"] - trace["dual"])) <= size),
            ("dual does not fall", np.diff(trace["dual"], prepend=-np.inf) >= -size),
            ("seconds do not fall", np.diff(trace["seconds"], prepend=0.0) >= 0),
            ("passes do not fall", np.diff(trace["passes"], prepend=0.0) >= 0),
        ):
            for k in np.flatnonzero(~right)[:1]:
                row = ", ".join(f"{name} {column[k]:.9g}" for name, column in trace.items())
                fail(f"'{what}' does not hold in row {k} on {instance.name}: {row}", _DRIVE)
        last = (trace["best"][-1], trace["dual"][-1])
        if not (_agree(last[0], result.value) and _agree(last[1], result.dual, abs(result.value))):
            fail(
                f"the last row of the trace has best {last[0]!r} and dual {last[1]!r} on {instance.name}, "
                f"and the result value {result.value!r} and dual {result.dual!r}",
                _DRIVE,
            )


def check_stopping_rule(case: SolverCase) -> None:
    """It stops in the first iteration whose gap is at most tol·|value|, with the status "optimal"."""
    for instance in case.accepted:
        whole = case.solve(instance.make(), tol=0, max_iter=12)
        relative = _relative(whole)
        # A tolerance that is met on the way: at the start, in the middle, and at the end if at all.
        for k in sorted({0, len(relative) // 2, len(relative) - 1}):
            tol = float(relative[k]) * (1 + 1e-9)
            result = case.solve(instance.make(), tol=tol, max_iter=12)
            met = result.trace["gap"] <= np.maximum(tol * np.abs(result.trace["best"]), _ABSOLUTE_GAP)
            first = int(np.argmax(met)) if met.any() else -1
            if first >= 0 and (result.status, result.nit) != ("optimal", first):
                fail(
                    f"with tol = {tol:.3g} on {instance.name} the gap is within tol·|value| in iteration "
                    f"{first}, and it stops in iteration {result.nit} with the status {result.status!r}",
                    _DRIVE,
                )
            if first < 0 and result.status == "optimal":
                fail(
                    f"with tol = {tol:.3g} on {instance.name} it is 'optimal' with the relative gap "
                    f"{_relative(result)[-1]:.3g}",
                    _DRIVE,
                )


def check_iteration_limit(case: SolverCase) -> None:
    """max_iter is kept; 0 evaluates the starting point alone."""
    for instance in case.accepted:
        for limit in (0, 1, 4):
            result = case.solve(instance.make(), tol=0, max_iter=limit)
            if result.nit > limit:
                fail(f"with max_iter = {limit} it does {result.nit} iterations on {instance.name}", _DRIVE)
            early = result.nit < limit and result.status == "max_iter"
            if early or result.status in ("stopped", "max_time"):
                fail(
                    f"with max_iter = {limit} it ends after {result.nit} iterations with the status "
                    f"{result.status!r} on {instance.name}",
                    _DRIVE,
                )


def check_callback(case: SolverCase) -> None:
    """The callback sees every row of the trace, cannot change the run, and stops it by returning True."""
    for instance in case.accepted:
        plain = case.solve(instance.make(), tol=0, max_iter=8)
        recorder = Recorder()
        seen = case.solve(instance.make(), tol=0, max_iter=8, callback=recorder)
        if not np.array_equal(plain.x, seen.x):
            fail(
                f"a callback that writes to state.x, or raises when it is read-only, changes the result on "
                f"{instance.name}",
                "the x that is handed to the callback: make it read-only",
            )
        if len(recorder.states) != seen.nit + 1:
            fail(
                f"the callback is called {len(recorder.states)} times in {seen.nit} iterations on "
                f"{instance.name}; once for each, the starting point included",
                _DRIVE,
            )
        pb = instance.make()
        for k, (state, x) in enumerate(zip(recorder.states, recorder.points, strict=True)):
            for name in TRACE_COLUMNS:
                if getattr(state, name) != seen.trace[name][k]:
                    fail(
                        f"the callback sees {name} = {getattr(state, name)!r} where the trace has "
                        f"{float(seen.trace[name][k])!r}, in iteration {k} on {instance.name}",
                        _DRIVE,
                    )
            if not _agree(float(pb.value(x.reshape(pb.shape))), state.value):
                fail(
                    f"the callback sees the value {state.value!r}, and pb.value of the x that it sees is "
                    f"{float(pb.value(x.reshape(pb.shape)))!r}, in iteration {k} on {instance.name}",
                    _DRIVE,
                )
    instance = case.walk
    last = case.solve(instance.make(), tol=0, max_iter=12).nit
    for k in {0, max(0, min(2, last - 1))}:
        result = case.solve(instance.make(), tol=0, max_iter=12, callback=Recorder(stop_at=k))
        if (result.status, result.nit) != ("stopped", k):
            fail(
                f"a callback that returns True in iteration {k} leads to the status {result.status!r} after "
                f"{result.nit} iterations on {instance.name}",
                _DRIVE,
            )


def check_seconds(case: SolverCase) -> None:
    """The time spent in callbacks is not counted."""
    slept = 0.0

    def rest(state: Any) -> None:
        nonlocal slept
        begin = perf_counter()
        sleep(0.01)
        slept += perf_counter() - begin

    begin = perf_counter()
    result = case.solve(case.walk.make(), tol=0, max_iter=12, callback=rest)
    whole = perf_counter() - begin
    if result.trace["seconds"][-1] > whole - slept:
        fail(
            f"seconds in the trace end at {result.trace['seconds'][-1]:.3g}, of a call that took {whole:.3g} "
            f"and spent {slept:.3g} in callbacks; these are not to be counted",
            _DRIVE,
        )


def check_interrupt(case: SolverCase) -> None:
    """Ctrl-C returns what was found."""
    instance = case.walk
    last = case.solve(instance.make(), tol=0, max_iter=12).nit
    for k in {0, min(3, last)}:
        try:
            result = case.solve(instance.make(), tol=0, max_iter=12, callback=Recorder(interrupt_at=k))
        except Interrupt:
            fail(f"KeyboardInterrupt in iteration {k} escapes, and what was found is lost", _DRIVE)
        value = instance.make().value(result.x)
        if (result.status, result.nit) != ("interrupted", k) or not _agree(value, result.value):
            fail(
                f"KeyboardInterrupt in iteration {k} leads to the status {result.status!r} after "
                f"{result.nit} iterations, with value {result.value!r} where pb.value(x) is {value!r}",
                _DRIVE,
            )


def check_time_limit(case: SolverCase) -> None:
    """max_time is kept, where the method goes on for so long."""
    for instance in case.accepted:
        begin = perf_counter()

        def guard(state: Any, begin: float = begin) -> bool:
            return perf_counter() - begin > _PATIENCE

        result = case.solve(instance.make(), tol=0, max_iter=10**9, max_time=_LIMIT, callback=guard)
        if result.status == "stopped":
            fail(
                f"with max_time = {_LIMIT} it still runs after {_PATIENCE:g} seconds on {instance.name}",
                _DRIVE,
            )
        if result.status == "max_time":
            break
    else:
        raise Skipped(f"it ends by itself within {_LIMIT} seconds on every problem")
    seconds = result.trace["seconds"]
    if seconds[-1] < _LIMIT or (len(seconds) > 1 and seconds[-2] >= _LIMIT):
        ends = ", ".join(f"{end:.3g}" for end in seconds[-2:])
        fail(
            f"with max_time = {_LIMIT} the last iterations end after {ends} seconds on "
            f"{instance.name}; the first one past the limit is the last",
            _DRIVE,
        )


def check_start(case: SolverCase) -> None:
    """x0 is where iteration 0 is, is not written to, and is checked."""
    look = "`lovasz_opt.solvers.toolkit.starting_point(pb, x0)`: a private copy, checked"
    for instance in case.accepted:
        pb = instance.make()
        x0 = np.random.default_rng(2).standard_normal(pb.shape)
        kept = x0.copy()
        result = case.solve(instance.make(), tol=0, max_iter=4, x0=kept)
        if not np.array_equal(x0, kept):
            fail(f"x0 is written to on {instance.name}: it was {show_vector(x0.ravel())}", look)
        if not _agree(float(result.trace["value"][0]), pb.value(x0)):
            fail(
                f"iteration 0 has the value {result.trace['value'][0]!r} on {instance.name}, and "
                f"pb.value(x0) is {pb.value(x0)!r}",
                look,
            )
    pb = case.walk.make()
    for what, bad in (
        ("one entry too many", np.zeros(pb.center.size + 1)),
        ("NaN entries", np.full(pb.shape, np.nan)),
    ):
        _refuses(case, f"x0 of {what}", look, x0=bad)


def check_inputs(case: SolverCase) -> None:
    """The problem is the same afterwards, and x is the caller's."""
    for instance in case.accepted:
        pb = instance.make()
        arrays = [array.copy() for array in instance.arrays]
        center, before = pb.center.copy(), pb.value(pb.center.reshape(pb.shape))
        first = case.solve(pb, tol=0, max_iter=4)
        first.x[...] = np.nan
        # The features of a risk are copied, so that a value shows what a solver did to the copy.
        after = pb.value(center.reshape(pb.shape))
        same = np.array_equal(pb.center, center) and before == after
        same = same and all(map(np.array_equal, arrays, instance.arrays))
        if not same:
            fail(
                f"the problem is another one after a run whose result was overwritten, on {instance.name}: "
                f"its value at the center was {before!r} and is {after!r}",
                "operations in place on arrays of the problem (pb.center among them), and x that shares "
                "memory with them",
            )


def check_deterministic(case: SolverCase) -> None:
    """The same call gives the same bits."""
    for instance in case.accepted:
        first, second = (case.solve(instance.make(), tol=0, max_iter=12) for _ in range(2))
        differing = [
            name
            for name in TRACE_COLUMNS
            if name != "seconds" and not np.array_equal(first.trace[name], second.trace[name])
        ]
        if differing or not np.array_equal(first.x, second.x):
            fail(
                f"two calls differ on {instance.name} in {', '.join(differing) or 'x'}",
                "random numbers: take them from numpy.random.default_rng(seed) with an argument seed=0",
            )


def check_progress(case: SolverCase) -> None:
    """The gap is halved at least within the iterations given."""
    for instance in case.accepted:
        result = case.long(instance)
        first, last = result.trace["gap"][0], result.gap
        if result.status != "optimal" and not last <= first / 2:
            fail(
                f"the gap falls from {first!r} to {last!r} only, in {result.nit} iterations on "
                f"{instance.name}",
                "step lengths; and which minorant is yielded with an iterate",
            )


def check_bad_arguments(case: SolverCase) -> None:
    """Limits and tolerances that make no sense are refused."""
    for name, value in (("tol", -1.0), ("tol", np.nan), ("max_iter", -1), ("max_time", 0.0)):
        _refuses(case, f"{name} = {value}", _DRIVE, **{name: value})


def check_resume(case: SolverCase) -> None:
    """A run that is saved, loaded and resumed is the run in one piece, to the last bit."""
    if "resume" not in inspect.signature(case.solve).parameters:
        raise Skipped("the solver has no argument `resume`")
    look = "the memory: all that the method needs to go on, filled before each yield, never changed after"
    for instance in case.accepted:
        whole = case.solve(instance.make(), tol=0, max_iter=10)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "part.npz"
            case.solve(instance.make(), tol=0, max_iter=4).save(path)
            part = Result.load(path)
        # Twice: what is kept must not change under the first continuation.
        for _ in range(2):
            rest = case.solve(instance.make(), tol=0, max_iter=10, resume=part)
            if rest.nit != whole.nit or not np.array_equal(rest.x, whole.x):
                fail(
                    f"4 iterations, saved, loaded and resumed for 6 more, end at value {rest.value!r} after "
                    f"{rest.nit} iterations on {instance.name}; 10 in one piece at {whole.value!r}",
                    look,
                )
            # Passes are sums of fractions of the pixels.
            for name, allowed in (("value", 0.0), ("dual", 0.0), ("passes", 1e-6)):
                for k in np.flatnonzero(~(np.abs(rest.trace[name] - whole.trace[name]) <= allowed))[:1]:
                    fail(
                        f"{name} in iteration {k} of a resumed run is {rest.trace[name][k]!r} on "
                        f"{instance.name}, and {whole.trace[name][k]!r} in one piece",
                        look,
                    )
    other = dataclasses.replace(case.solve(case.walk.make(), tol=0, max_iter=2), method="another")
    _refuses(case, "resume of a result of another method", _DRIVE, resume=other)


def _refuses(case: SolverCase, what: str, look: str, **arguments: Any) -> None:
    try:
        case.solve(case.walk.make(), **{"max_iter": 2, **arguments})
    except ValueError:
        return
    except Exception as error:
        fail(f"{what} raises {type(error).__name__} instead of ValueError: {error}", look)
    fail(f"{what} is accepted; it must raise ValueError", look)


def _relative(result: Result) -> np.ndarray:
    """Relative gaps along the trace; where the value is 0 the gap itself."""
    best = np.abs(result.trace["best"])
    gaps: np.ndarray = result.trace["gap"] / np.where(best > 0, best, 1.0)
    return gaps


def _agree(first: float, second: float, scale: float | None = None) -> bool:
    """Whether two numbers are the same up to rounding."""
    size = max(abs(first), abs(second)) if scale is None else scale
    return bool(abs(first - second) <= ROUNDING * max(size, 1e-12))
