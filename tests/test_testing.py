"""The check harness: what is shipped passes; what is broken fails, for each check a mutant of its own."""

import itertools
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpydoc.validate import validate
from test_sets import examples

import lovasz_opt as lo
from lovasz_opt import problems, reference, solvers
from lovasz_opt.problems import Minorant
from lovasz_opt.sets import SubmodularityReport
from lovasz_opt.solvers.toolkit import drive, require, starting_point
from lovasz_opt.testing import CheckReport, check_set_function, check_solver, set_functions
from lovasz_opt.testing import solvers as solver_checks
from lovasz_opt.testing._set_case import SetCase
from lovasz_opt.testing._solver_case import SolverCase, small_problems

SOLVERS = [name for name in solvers.__all__ if not isinstance(getattr(solvers, name), type)]


# What is shipped passes


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12, 30, 80])
def test_every_set_function_passes(n):
    for F, _ in examples(np.random.default_rng(n), n):
        report = check_set_function(F)
        assert set(report.passed) | set(report.skipped) == set(set_functions.CHECKS)
        assert {"increments", "is_submodular", "Lovász extension"} <= set(report.passed)
        assert ("prox" in report.passed) == (F.is_submodular and "own" not in report.skipped.get("prox", ""))


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_values_does_not_matter(scale):
    target = np.arange(9) < 4
    functions = [
        lo.Cardinality(scale * np.sqrt(np.arange(10.0))),
        lo.CountFunction(lambda a, b: scale * np.sqrt(a + 2 * b), target),
        lo.Modular(scale * np.arange(-4.0, 5.0)),
        lo.Coverage(np.eye(9), scale * np.arange(1.0, 10.0)),
    ]
    for F in functions:
        check_set_function(F)


def test_every_check_of_a_set_function_is_passed_by_something():
    target = [1, 0, 1, 1, 0]
    report = check_set_function(lo.Jaccard(target, [1.0, 2.0, 0.5, 1.0, 3.0]))
    assert report.passed == tuple(set_functions.CHECKS)
    assert report.skipped == {}
    plain = check_set_function(lo.SetFunction.from_callable(lambda mask: np.sqrt(mask.sum()), 4))
    assert "no `_prox` of its own" in plain.skipped["prox"]
    assert "no `_violation` of its own" in plain.skipped["largest violation"]


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_passes(name):
    report = check_solver(getattr(solvers, name))
    assert set(report.passed) | set(report.skipped) == set(solver_checks.CHECKS)
    assert set(report.skipped) <= {"max_time"}


def test_max_time_is_not_skipped_where_a_method_goes_on():
    assert "max_time" in check_solver(solvers.subgradient).passed


def test_a_solver_with_arguments_of_its_own_is_wrapped():
    report = check_solver(partial(solvers.subgradient, step="polyak"))
    assert report.subject == "subgradient"


def test_problems_of_ones_own():
    def make():
        return problems.ImageProx([0.5, -0.2, 0.3, 1.0], [1, 1, 0, 0], gamma=2.0)

    assert check_solver(solvers.prox, problems={"four pixels": make}).subject == "prox"
    with pytest.raises(
        AssertionError, match=r"frank_wolfe fails 'refusal': the solver takes none .*four pix"
    ):
        check_solver(solvers.frank_wolfe, problems={"four pixels": make})


def test_a_report_says_what_was_skipped_and_why():
    report = CheckReport("F", ("increments", "repr"), {"prox": "none of its own"})
    assert str(report).split("\n") == [
        "F",
        "increments  ok",
        "repr        ok",
        "prox        skipped: none of its own",
    ]


def test_it_is_quick():
    begin = time.process_time()
    check_set_function(lo.Jaccard(np.arange(12) < 5, np.arange(1.0, 13.0)))
    assert time.process_time() - begin < 5


def test_it_needs_no_test_framework_and_is_not_imported_by_accident():
    code = """
import sys
for name in ("pytest", "hypothesis", "cvxpy", "matplotlib"):
    sys.modules[name] = None
import lovasz_opt as lo
assert "lovasz_opt.testing" not in sys.modules
from lovasz_opt.testing import check_set_function, check_solver
check_set_function(lo.Jaccard([1, 0, 1]))
check_solver(lo.solvers.prox)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["check_set_function", "check_solver", "CheckReport"])
def test_docstrings_are_numpydoc(name):
    wanted = {"GL08", "SS01", "SS03", "PR02", "PR03", "PR04", "GL06", "GL07"}
    assert [e for e in validate(f"lovasz_opt.testing.{name}")["errors"] if e[0] in wanted] == []


def test_arguments_of_the_checks():
    with pytest.raises(TypeError, match="F must be a SetFunction, got function; wrap it"):
        check_set_function(lambda mask: 0.0)
    with pytest.raises(ValueError, match="rtol is 0; it must be > 0"):
        check_set_function(lo.Jaccard([1]), rtol=0)
    with pytest.raises(TypeError, match="solver must be callable, got str"):
        check_solver("ssnal")
    with pytest.raises(ValueError, match="max_iter is 5; it must be ≥ 12"):
        check_solver(solvers.prox, max_iter=5)


def test_the_optimal_values_are_those_of_an_independent_solver():
    pytest.importorskip("cvxpy")
    for instance in small_problems(0)[:4]:
        pb, (low, high) = instance.make(), instance.bounds
        assert high - low <= 1e-8 * pb.value(pb.center)
        if isinstance(pb, problems.ImageProx):
            expected = reference.solve_image_prox(pb.center[pb._valid], pb._signs > 0, pb.gamma).x
            value = pb.loss(expected) + 0.5 * ((expected - pb.center[pb._valid]) ** 2).sum()
        else:
            half = len(instance.arrays) // 2
            features, targets = instance.arrays[:half], instance.arrays[half:]
            value = pb.value(reference.solve_linear_hinge_risk(features, targets, pb.strong_convexity).x)
        assert low <= value <= high * (1 + 1e-5)


# Broken set functions

WEIGHTS = np.array([1.0, 2.0, 0.5, 1.5, 0.7, 3.0, 1.2, 0.9])
TARGET = np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=bool)


class Loss(lo.Jaccard):
    """A function that has an algorithm of its own for everything."""

    def __init__(self, target=TARGET, weights=WEIGHTS):
        super().__init__(target, weights)


class NotQuiteNormalised(Loss):
    def _values(self, masks):
        return np.where(masks.any(axis=1), super()._values(masks), 1e-14)


class BatchOfNPlusOne(Loss):
    """Broadcasting goes wrong for one size of a batch."""

    def _values(self, masks):
        values = super()._values(masks)
        return values[::-1] if len(masks) == self.n + 1 else values


class InexactFraction(Loss):
    def exact_value(self, mask):
        return super().exact_value(mask) + lo.sets.base.Fraction(1, 1000)


class OneOrder(Loss):
    """Wrong along one order, with the right sum."""

    def increments(self, order):
        increments = super().increments(order)
        return increments[::-1].copy() if list(order) == list(range(self.n))[::-1] else increments


class WritesToArgument(Loss):
    def _violation(self, w):
        excess, mask = super()._violation(w)
        w[mask] -= 1.0
        return excess, mask


class HandsOutItsCache(Loss):
    def increments(self, order):
        cache = self.__dict__.setdefault("_cache", {})
        key = tuple(order)
        if key not in cache:
            cache[key] = super().increments(order)
        return cache[key]


class NoisyInTheLastBits(Loss):
    noise = np.random.default_rng(0)

    def _values(self, masks):
        return super()._values(masks) * (1 + 1e-14 * self.noise.random())


class TrustsTheOrder(lo.Modular):
    def increments(self, order):
        return self.weights[np.asarray(order)]


class LongRepr(Loss):
    def __repr__(self):
        return "Loss(\n    target)"


class DeniesSubmodularity(Loss):
    @property
    def _report(self):
        pair = np.arange(self.n) == 0, np.arange(self.n) == 1
        return SubmodularityReport(False, True, pair, 0.1)


class ClaimsMonotone(lo.Modular):
    is_nondecreasing = True


class WideBounds(lo.Cardinality):
    def _increment_bounds(self):
        low, high = super()._increment_bounds()
        return low - 0.1, high + 0.1


class UnderReports(Loss):
    def _violation(self, w):
        excess, mask = super()._violation(w)
        return 0.9 * excess, mask


class OneClassFirst(lo.Jaccard):
    """An off-by-one where the foreground is exhausted before any background comes."""

    def increments(self, order):
        increments = super().increments(order)
        if self.target[order[: self.P]].all():
            increments[[self.P - 1, self.P]] += [-1e-3, 1e-3]
        return increments


class HiddenPair(lo.Modular):
    """One pair of many elements attracts: not submodular, and claimed to be."""

    def _values(self, masks):
        return super()._values(masks) + 5.0 * (masks[:, 0] & masks[:, 1])

    def exact_value(self, mask):
        return lo.SetFunction.exact_value(self, mask)

    def increments(self, order):
        increments = super().increments(order)
        increments[max(np.flatnonzero(np.isin(order, [0, 1])))] += 5.0
        return increments

    _increment_bounds = lo.SetFunction._increment_bounds
    _prox = lo.SetFunction._prox
    _violation = lo.SetFunction._violation


def shifted(solution, by=0.01):
    return replace(solution, z=solution.z + by)


class WrongProx(lo.Modular):
    """Shifted in one kind of metric."""

    def __init__(self, kind, weights=WEIGHTS):
        super().__init__(weights)
        self.kind = kind

    def _prox(self, x, gamma, metric):
        if metric is None:
            kind = "Euclidean"
        elif (metric == metric[0]).all():
            kind = "constant"
        else:
            kind = "weights" if (metric == self.weights).all() else "any"
        solution = super()._prox(x, gamma, metric)
        return shifted(solution) if kind == self.kind else solution


class OtherPoint(Loss):
    def _prox_point(self, x, gamma, metric, positive=False):
        return super()._prox_point(x, gamma, metric, positive) + 0.01 * (metric is not None)


class WrongThreshold(Loss):
    def _prox_point(self, x, gamma, metric, positive=False):
        return super()._prox_point(x, gamma, metric)


class OnePool(Loss):
    def _prox(self, x, gamma, metric):
        solution = super()._prox(x, gamma, metric)
        return solution if metric is None else replace(solution, pools=np.zeros(self.n, dtype=np.int64))


class NoPools(Loss):
    def _prox(self, x, gamma, metric):
        solution = super()._prox(x, gamma, metric)
        return replace(solution, pools=np.argsort(np.argsort(-solution.z, kind="stable")))


class ColdAndWarm(Loss):
    def _prox_point_from(self, memory, x, gamma, metric):
        z, memory = super()._prox_point_from(memory, x, gamma, metric)
        return z + 1e-12, memory


TWELVE = np.arange(12) % 2 == 0
SET_MUTANTS = {
    "normalised": (NotQuiteNormalised, r"F\(∅\) is 1e-14, not 0.*look at: `_values`"),
    "batches of masks": (BatchOfNPlusOne, r"F of a batch of 9 masks is .* at ∅, and alone it is 0\.0"),
    "exact_value": (InexactFraction, r"exact_value\(∅\) is 1/1000 = 0.001, and F of it is 0.0"),
    "increments": (
        OneOrder,
        r"increments\(\[7, 6, 5, 4, 3, 2, 1, 0\]\)\[0\] is .*, but\n  F\(\{7\}\) − F\(∅\) .* 7 joins ∅",
    ),
    "inputs unchanged": (WritesToArgument, r"_violation\(w\) changes its argument: entry \d was .*copy"),
    "results are fresh": (HandsOutItsCache, "changes after its first result was overwritten.*return a copy"),
    "same result when called again": (NoisyInTheLastBits, r"F\(mask\) was .* for \{.*\} and is .* again"),
    "bad input is refused": (
        lambda: TrustsTheOrder(WEIGHTS - 1.2),
        r"increments of 0, …, 8 raises IndexError instead of ValueError.*_check_order",
    ),
    "repr": (LongRepr, r"repr\(F\) has 17 characters in 2 lines"),
    "is_submodular": (DeniesSubmodularity, r"A = \{0\} and B = \{1\} violate submodularity by 0.1, but"),
    "is_nondecreasing": (
        lambda: ClaimsMonotone(WEIGHTS - 1.2),
        r"is_nondecreasing is True, but F\(\{\d\}\) − F\(∅\) is -0\.",
    ),
    "increment bounds": (
        lambda: WideBounds(np.sqrt(np.arange(9))),
        r"low\[\d\] is .*, but F\(V\) − F\(V∖\{\d\}\) is",
    ),
    "largest violation": (
        UnderReports,
        r"_violation\(w\) is .* for w = \[.*\], but w\(A\) − F\(A\) is .* A = \{",
    ),
    "Lovász extension": (
        lambda: OneClassFirst(TWELVE),
        r"the extension is .* at the indicator of \{0, 2, 4, 6, 8, 10\}, whose F is",
    ),
    "convexity": (
        lambda: HiddenPair(1.0 + np.arange(400) % 7),
        r"greedy vector w at x = .* is not in the base polytope: .* is 5\.0 for A",
    ),
    "prox": (lambda: WrongProx("Euclidean"), r"the prox is \[.*\] instead of \[.*metric = None"),
    "prox in a constant metric": (lambda: WrongProx("constant"), r"the prox is .*metric = \[2.5, 2.5"),
    "prox in the metric of the weights": (
        lambda: WrongProx("weights"),
        r"the prox is .*metric = \[1.0, 2.0,",
    ),
    "prox in any metric": (lambda: WrongProx("any"), r"the prox is .*metric = \["),
    "prox point": (OtherPoint, r"_prox_point is .* and the z of _prox is"),
    "prox of the positive part": (WrongThreshold, r"the prox of f∘max\(·, 0\) is .* instead of"),
    "pools of the prox": (OnePool, r"z lies between .* in pool 0 = \{0, 1, 2, 3, 4, 5, 6, 7\}\n  for x"),
    "derivative of the prox": (
        NoPools,
        r"entry \d of prox_jvp in the direction of (x|gamma) is .* by differences",
    ),
    "warm start of the prox": (ColdAndWarm, r"the prox started from an earlier one is .* the same bits"),
}


def failures(checks, make_case):
    """Names of the checks that fail, each run alone."""
    failed = {}
    for name, check in checks.items():
        try:
            check(make_case())
        except AssertionError as error:
            failed[name] = error
        except Exception as error:
            if type(error).__name__ != "Skipped":
                failed[name] = error
    return failed


@pytest.mark.parametrize("name", set_functions.CHECKS)
def test_each_check_of_a_set_function_has_a_mutant_that_only_it_catches(name):
    make, message = SET_MUTANTS[name]
    assert set(failures(set_functions.CHECKS, lambda: SetCase(make(), 1e-10, 0))) == {name}
    with pytest.raises(AssertionError, match=rf"(?s) fails '{name}': .*{message}"):
        check_set_function(make())


class Halved(lo.Cardinality):
    """Increments of half the size."""

    def increments(self, order):
        return super().increments(order) / 2


class Dented(lo.Cardinality):
    """Convex at one place, and claimed to be submodular."""

    @property
    def _report(self):
        return SubmodularityReport(True, True)


class PoolsInOrder(lo.Jaccard):
    """A prox that pools in the order of x, which is wrong for Jaccard: the error of the usual algorithm."""

    def _prox(self, x, gamma, metric):
        return self._prox_in_order(np.argsort(-x, kind="stable"), x, gamma, metric)

    def _prox_point(self, x, gamma, metric, positive=False):
        return lo.SetFunction._prox_point(self, x, gamma, metric, positive)

    _prox_point_from = lo.SetFunction._prox_point_from


class Crashes(lo.Modular):
    def _values(self, masks):
        return self.weight @ masks.T


class Infinite(lo.Modular):
    def _values(self, masks):
        with np.errstate(divide="ignore"):
            return np.log(1.0 / (1 - masks.mean(axis=1)))


@pytest.mark.parametrize(
    ("F", "message"),
    [
        (
            Halved([0, 1, 1.5]),
            r"Cardinality\(n=2\) fails 'increments': increments\(\[0, 1\]\)\[0\] is 0.5, but\n  F\(",
        ),
        (
            Dented([0, 1, 1.5, 3, 3.5]),
            r"fails 'is_submodular': F says .* by 0\.5 with A = \{1, 2\}, B = \{0\}: F\(A ∪ B\) = 3,",
        ),
        (PoolsInOrder([1, 0, 1]), r"fails 'prox': the prox is \[.*\] instead of"),
        (Crashes([1.0]), r"fails 'normalised': it raises AttributeError: 'Crashes' object has no attribute"),
        (Infinite([1.0, 1.0]), r"fails 'normalised': F\(\{0, 1\}\) is inf; every value must be finite"),
    ],
)
def test_usual_mistakes_fail_with_a_small_counterexample(F, message):
    with pytest.raises(AssertionError, match=message):
        check_set_function(F)


@pytest.mark.parametrize("n", [30, 300])
def test_a_wrong_prox_is_found_beyond_brute_force(n):
    target = np.arange(n) % 3 == 0
    with pytest.raises(AssertionError, match="fails 'prox'"):
        check_set_function(PoolsInOrder(target))
    check_set_function(lo.Tversky(target, 0.5, 1.5))


def test_the_same_seed_gives_the_same_failure():
    def message(seed):
        with pytest.raises(AssertionError) as error:
            check_set_function(PoolsInOrder([1, 0, 1, 0, 0]), seed=seed)
        return str(error.value)

    assert message(3) == message(3) != message(4)


# Broken solvers


def descent(
    pb,
    *,
    tol=1e-6,
    max_iter=1000,
    max_time=None,
    callback=None,
    x0=None,
    resume=None,
    idle=False,
    forgets=False,
):
    """Subgradient descent with step 1/(μk), and two ways to break it."""
    require("descent", pb, "linearise")
    start = starting_point(pb, x0)

    def iterates(bound, memory):
        if not memory:
            value, g, minorant = pb.linearise(start)
            memory.update(x=start, g=g, k=1)
            yield start, value, minorant
        x, g, k = (memory[name] for name in ("x", "g", "k"))
        k = 1 if forgets and resume is not None else k
        while True:
            value, new_g, minorant = pb.linearise(x if idle else x - g / (pb.strong_convexity * k))
            x, g, k = (x, g, k) if idle else (x - g / (pb.strong_convexity * k), new_g, k + 1)
            memory.update(x=x, g=g, k=k)
            yield x, value, None if idle else minorant

    return drive(
        "descent",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def wrapped(change):
    """A solver that changes the arguments of descent, or what it returns."""

    def solver(pb, *, tol=1e-6, max_iter=1000, max_time=None, callback=None, x0=None, resume=None):
        given = {"tol": tol, "max_iter": max_iter, "max_time": max_time, "callback": callback, "x0": x0}
        return change(pb, {**given, "resume": resume})

    return solver


def crashes_on_anything_else(pb, options):
    if not hasattr(pb, "linearise"):
        raise ValueError("bad problem")
    return descent(pb, **options)


def says_nothing(pb, options):
    return replace(descent(pb, **options), message="")


def boasts(pb, options):
    """A bound that is too high from iteration 13 on, with all fields and columns to match."""
    result = descent(pb, **options)
    dual, gap, best = (result.trace[name] for name in ("dual", "gap", "best"))
    dual[13:] = best[-1] - 0.1 * gap[-1]
    gap[:] = best - dual
    return replace(result, dual=float(dual[-1]), gap=float(gap[-1]))


def clock_runs_back(pb, options):
    result = descent(pb, **options)
    result.trace["seconds"][20:21] = 0.0
    return result


def one_iteration_more(pb, options):
    result = descent(pb, **options)
    if options["tol"] == 0 or not result.success:
        return result
    more = descent(pb, **{**options, "tol": 0, "max_iter": result.nit + 1})
    return replace(more, status="optimal")


def at_least_one(pb, options):
    options["max_iter"] = options["max_iter"] or 1
    return descent(pb, **options)


def shows_another_value(pb, options):
    callback = options["callback"]
    if callback is not None:
        options["callback"] = lambda state: callback(replace(state, value=state.value + 1))
    return descent(pb, **options)


def counts_callbacks(pb, options):
    callback = options["callback"]
    if callback is None or options["max_time"] is not None:
        return descent(pb, **options)
    begin, seconds = time.perf_counter(), []

    def timed(state):
        seconds.append(time.perf_counter() - begin)
        return callback(replace(state, seconds=seconds[-1]))

    result = descent(pb, **{**options, "callback": timed})
    result.trace["seconds"][:] = seconds
    return result


def never_in_a_hurry(pb, options):
    if options["max_time"] is not None and options["max_time"] > 0:
        options["max_time"] = None
    return descent(pb, **options)


def lets_interrupts_through(pb, options):
    callback, pressed = options["callback"], []

    def watched(state):
        try:
            return callback(state)
        except KeyboardInterrupt as interrupt:
            pressed.append(interrupt)
            raise

    result = descent(pb, **{**options, "callback": watched if callback else None})
    if pressed:
        raise pressed[0]
    return result


def starts_elsewhere(pb, options):
    require("descent", pb, "linearise")
    starting_point(pb, options["x0"])
    return descent(pb, **{**options, "x0": None})


def moves_the_center(pb, options):
    result = descent(pb, **options)
    pb.center[0] += 1e-3
    return result


def counts_roughly(pb, options, rng=np.random.default_rng(0)):  # noqa: B008
    off, callback = 1e-8 * rng.random(), options["callback"]
    if callback is not None:
        options["callback"] = lambda state: callback(replace(state, passes=state.passes + off))
    result = descent(pb, **options)
    result.trace["passes"] += off
    return result


def takes_any_tolerance(pb, options):
    return descent(pb, **{**options, "tol": abs(np.nan_to_num(options["tol"]))})


SOLVER_MUTANTS = {
    "refusal": (wrapped(crashes_on_anything_else), r"object\(\) raises ValueError: bad problem; .*require"),
    "result": (wrapped(says_nothing), "message is ''; it must say something"),
    "certificate": (
        wrapped(boasts),
        r"the lower bound .* of iteration \d+ is above the optimal value of .*, which is at most .*minorant",
    ),
    "trace": (
        wrapped(clock_runs_back),
        r"'seconds do not fall' does not hold in row 20 on .*: iteration 20, ",
    ),
    "stopping rule": (
        wrapped(one_iteration_more),
        r"within tol·\|value\| in iteration (\d+), and it stops in",
    ),
    "max_iter": (wrapped(at_least_one), "with max_iter = 0 it does 1 iterations on"),
    "callback": (
        wrapped(shows_another_value),
        "the callback sees value = .* where the trace has .* in iteration 0",
    ),
    "seconds": (wrapped(counts_callbacks), "seconds in the trace end at .* these are not to be counted"),
    "max_time": (wrapped(never_in_a_hurry), "with max_time = 0.05 it still runs after 2 seconds"),
    "Ctrl-C": (wrapped(lets_interrupts_through), "KeyboardInterrupt in iteration 0 escapes"),
    "x0": (wrapped(starts_elsewhere), r"iteration 0 has the value .* and pb.value\(x0\) is"),
    "inputs unchanged": (wrapped(moves_the_center), "the problem is another one after a run"),
    "same result when called again": (wrapped(counts_roughly), "two calls differ on .* in passes"),
    "progress": (partial(descent, idle=True), "the gap falls from .* only, in 200 iterations on"),
    "bad arguments are refused": (wrapped(takes_any_tolerance), r"tol = -1.0 is accepted; it must raise"),
    "resume": (
        partial(descent, forgets=True),
        "4 iterations, saved, loaded and resumed for 6 more, end at value",
    ),
}


def solver_case(solver):
    return SolverCase(solver, small_problems(0), 200)


def test_the_solver_that_is_broken_below_is_right():
    assert failures(solver_checks.CHECKS, lambda: solver_case(descent)) == {}
    assert failures(solver_checks.CHECKS, lambda: solver_case(wrapped(lambda pb, o: descent(pb, **o)))) == {}


@pytest.mark.parametrize("name", [name for name in solver_checks.CHECKS if name != "arguments"])
def test_each_check_of_a_solver_has_a_mutant_that_only_it_catches(name):
    solver, message = SOLVER_MUTANTS[name]
    assert set(failures(solver_checks.CHECKS, lambda: solver_case(solver))) == {name}
    with pytest.raises(AssertionError, match=rf"(?s) fails '{name}': .*{message}"):
        check_solver(solver)


def no_time_limit(pb, tol=1e-6, max_iter=1000, callback=None, x0=None):
    return descent(pb, tol=tol, max_iter=max_iter, callback=callback, x0=x0)


def another_class(pb, **options):
    return vars(descent(pb, **options))


def flat_list(pb, **options):
    result = descent(pb, **options)
    return replace(result, x=result.x.tolist())


def single(pb, **options):
    result = descent(pb, **options)
    return replace(result, x=result.x.astype(np.float32))


def other_value(pb, **options):
    result = descent(pb, **options)
    return replace(result, value=result.value - 1e-3)


def negative_gap(pb, **options):
    result = descent(pb, **options)
    return replace(result, dual=result.value + 1e-3, gap=-1e-3)


def linearises_everything(pb, *, tol=1e-6, max_iter=1000, max_time=None, callback=None, x0=None):
    """No look at convexity: it fails deep inside a problem that has no minorants."""

    def iterates(bound, memory):
        x = starting_point(pb, x0)
        for k in itertools.count(1):
            value, g, minorant = pb.linearise(x)
            yield x, value, Minorant(minorant.offset, minorant.slope)
            x = x - g / (pb.strong_convexity * k)

    return drive("linearises", pb, iterates, tol=tol, max_iter=max_iter, max_time=max_time, callback=callback)


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (no_time_limit, "fails 'arguments': the solver has no argument max_time"),
        (another_class, r"fails 'result': it returns dict, not a lovasz_opt.solvers.Result"),
        (flat_list, r"fails 'result': x is list on"),
        (single, r"fails 'result': x is float32 of shape"),
        (other_value, r"fails 'result': value is .*, and pb.value\(x\) is"),
        (negative_gap, r"fails 'result': gap is -0.001"),
        (
            linearises_everything,
            r"fails 'refusal': (object\(\)|a risk that is not convex) raises AttributeError",
        ),
    ],
)
def test_usual_mistakes_of_solvers_fail_with_a_message(solver, message):
    with pytest.raises(AssertionError, match=message):
        check_solver(solver)


# The pages that show both checks at work

PAGES = ["add_a_set_function.md", "add_a_solver.md"]
DOCS = Path(__file__).parent.parent / "docs"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def shown_outputs():
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        found = re.findall(r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", text, flags=re.DOTALL)
        for number, (block, output) in enumerate(found, start=1):
            yield pytest.param(block, output, id=f"{page}-{number}")


@pytest.mark.parametrize(("block", "output"), list(shown_outputs()))
def test_the_pages_show_what_their_blocks_print(block, output, capsys):
    exec(compile(block, "page", "exec"), {})
    printed = capsys.readouterr().out
    # Seconds differ from run to run, and the last digits and iterations near them from machine to machine.
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", output)
    for here, there in zip(printed.split("\n"), output.split("\n"), strict=True):
        if " s" not in there and "gap" not in there:
            first, second = ([float(n) for n in NUMBER.findall(line)] for line in (here, there))
            np.testing.assert_allclose(first, second, rtol=1e-3, err_msg=here)


def test_every_page_shows_outputs():
    assert {param.id.rsplit("-", 1)[0] for param in shown_outputs()} == set(PAGES)
