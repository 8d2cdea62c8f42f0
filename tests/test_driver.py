"""What all solvers are driven by: limits, seconds, trace, parts of runs, the bound, rays, minibatches."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import threadpoolctl
from risks import images, risk

from lovasz_opt import problems, solvers
from lovasz_opt.problems import Minorant
from lovasz_opt.solvers import _driver, _minibatch
from lovasz_opt.solvers._bracket import Bracket
from lovasz_opt.solvers.result import TRACE_COLUMNS
from lovasz_opt.solvers.toolkit import LowerBound, drive, require, starting_point


def plane(modulus=1.0, center=(0.0, 0.0)):
    """A problem in two variables, for the quadratic of it; x is not looked at by what follows."""
    whole = problems.LinearHingeRisk([[[1.0, 0.0], [0.0, 1.0]]], [[1, 0]], modulus)
    return whole.batch([0], center=np.array(center))


def flat(offset):
    """The minorant that is constant: the bound is its offset."""
    return Minorant(offset, np.zeros(2))


def scripted(pb, values, minorants=(), passes=0.0, on_row=lambda k: None, **options):
    """Drive through given values, with x counting the iterations."""

    def iterates(bound, memory):
        for k in range(memory.get("next", 0), len(values)):
            memory["next"] = k + 1
            pb.passes += passes
            on_row(k)
            yield np.full(2, float(k)), values[k], minorants[k] if k < len(minorants) else None

    limits = {"tol": 0.0, "max_iter": 1000, "max_time": None, "callback": None}
    return drive("script", pb, iterates, **limits | options)


def below(x):
    return float(np.nextafter(x, -np.inf))


def above(x):
    return float(np.nextafter(x, np.inf))


STOPS = [
    # gap ≤ tol·|value|, where the gap is 1 and the value 4.
    ([5.0, 4.0, 4.0], 3.0, {"tol": 0.25}, "optimal", 1),
    ([5.0, 4.0, 4.0], 3.0, {"tol": below(0.25)}, "finished", 2),
    ([5.0, 4.0, 3.0], 3.0, {"tol": 0.0}, "optimal", 2),
    # An absolute gap of 1e-14 whatever tol is, and not of more.
    ([1.0, 1e-14, 0.0], 0.0, {}, "optimal", 1),
    ([1.0, above(1e-14)], 0.0, {}, "finished", 1),
    ([1.0, 1e-14], 0.0, {"tol": 0.5}, "optimal", 1),
    # Nothing to be minimised, and nothing that could be rounded.
    ([0.0, 1.0], 0.0, {}, "optimal", 0),
    # Diverged at 1e10·(1 + |first value|).
    ([3.0, below(4e10), 2.0], 0.0, {}, "finished", 2),
    ([3.0, 4e10, 2.0], 0.0, {}, "diverged", 1),
    ([3.0, np.nan], 0.0, {}, "diverged", 1),
    ([np.inf, 1.0], 0.0, {}, "diverged", 0),
    ([5.0, 4.0, 3.0], 0.0, {"max_iter": 0}, "max_iter", 0),
    ([5.0, 4.0, 3.0], 0.0, {"max_iter": 1}, "max_iter", 1),
    ([5.0, 4.0, 3.0], 0.0, {"max_iter": 2}, "max_iter", 2),
    # Reasons in their order: what was reached counts first.
    ([5.0, 4.0], 4.0, {"max_iter": 1}, "optimal", 1),
]


@pytest.mark.parametrize(("values", "bound", "options", "status", "nit"), STOPS)
def test_stops_exactly_at_its_limits(values, bound, options, status, nit):
    result = scripted(plane(), values, [flat(bound)], **options)
    assert (result.status, result.nit) == (status, nit)


class Clock:
    """Seconds that pass only where a test says so."""

    now = 50.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


def test_seconds_are_those_of_the_method(monkeypatch):
    clock, seen = Clock(), []
    monkeypatch.setattr(_driver, "perf_counter", clock)

    def look(state):
        seen.append(state.seconds)
        clock.passes(100.0)

    run = partial(scripted, plane(), [6.0, 5.0, 4.0, 3.0, 2.0], on_row=lambda k: clock.passes(1.0))
    whole = run(callback=look)
    assert whole.trace["seconds"].tolist() == seen == [1.0, 2.0, 3.0, 4.0, 5.0]
    # The limit is reached where it is met, and is one for each call.
    first = run(callback=look, max_time=2.0)
    assert (first.status, first.nit, first.trace["seconds"].tolist()) == ("max_time", 1, [1.0, 2.0])
    second = run(callback=look, max_time=above(3.0), resume=first)
    assert (second.status, second.nit) == ("finished", 4)
    assert second.trace["seconds"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    # What is solved is optimal, however late.
    late = scripted(plane(), [1.0], [flat(1.0)], on_row=lambda k: clock.passes(1.0), max_time=0.5)
    assert late.status == "optimal"


def test_rows_states_and_the_best_point():
    """The first of equal points is kept, and a bound that rounding lifts over the value is cut to it."""
    pb, states = plane(), []
    pb.passes = 7.5
    minorants = [flat(1.0), None, flat(0.5), flat(2.0 + 1e-10)]
    result = scripted(pb, [4.0, 2.0, 2.0, 3.0], minorants, passes=1 / 3, callback=states.append)
    expected = [
        (0, 0.333333333, 4.0, 4.0, 1.0, 3.0),
        (1, 0.666666667, 2.0, 2.0, 1.0, 1.0),
        (2, 1.0, 2.0, 2.0, 1.0, 1.0),
        (3, 1.333333333, 3.0, 2.0, 2.0, 0.0),
    ]
    columns = ("iteration", "passes", "value", "best", "dual", "gap")
    assert list(zip(*(result.trace[name].tolist() for name in columns), strict=True)) == expected
    assert [tuple(getattr(state, name) for name in columns) for state in states] == expected
    assert [state.seconds for state in states] == result.trace["seconds"].tolist()
    assert [state.x.tolist() for state in states] == [[k, k] for k in range(4)]
    assert (result.x.tolist(), result.value, result.dual, result.gap) == ([1.0, 1.0], 2.0, 2.0, 0.0)
    assert (result.nit, result.status, result.method) == (3, "optimal", "script")


@pytest.mark.parametrize("answer", [None, False, 1, "yes", np.True_])
def test_only_true_stops(answer):
    assert scripted(plane(), [3.0, 2.0], callback=lambda state: answer).nit == 1
    assert scripted(plane(), [3.0, 2.0], callback=lambda state: True).nit == 0


def test_parts_of_a_run_add_up():
    pb = plane()
    values, minorants = [9.0, 7.0, 8.0, 5.0, 6.0], [flat(1.0), flat(3.0), None, flat(2.0), flat(4.0)]
    run = partial(scripted, pb, values, minorants, passes=0.1)
    whole, part = run(), run(max_iter=2)
    assert part.state["memory"]["next"] == 3
    # What others do with the problem meanwhile is not counted.
    pb.passes += 1000.0
    rest = run(resume=part)
    for name in set(TRACE_COLUMNS) - {"seconds"}:
        np.testing.assert_array_equal(rest.trace[name], whole.trace[name])
    assert (np.diff(rest.trace["seconds"]) >= 0).all()
    assert rest.x.tolist() == whole.x.tolist() == [3.0, 3.0]
    # A run that has ended for good is not gone on with, and a limit that was reached is one still.
    for options, status in (({"tol": 0.6}, "optimal"), ({"max_iter": 2}, "max_iter")):
        again = run(resume=part, on_row=lambda k: pytest.fail("went on"), **options)
        assert (again.status, again.nit) == (status, 2)
        np.testing.assert_array_equal(again.trace["value"], part.trace["value"])


def test_an_interrupt_leaves_the_last_whole_iteration():
    def interrupt(last):
        def on_row(k):
            if k > last:
                raise KeyboardInterrupt

        return on_row

    part = scripted(plane(), [4.0, 3.0, 2.0, 1.0], on_row=interrupt(1))
    assert (part.status, part.nit, part.value, part.x.tolist()) == ("interrupted", 1, 3.0, [1.0, 1.0])
    assert part.state["memory"]["next"] == 2
    rest = scripted(plane(), [4.0, 3.0, 2.0, 1.0], resume=part)
    assert rest.trace["value"].tolist() == [4.0, 3.0, 2.0, 1.0]
    # There is nothing to return before the first row.
    with pytest.raises(KeyboardInterrupt):
        scripted(plane(), [4.0], on_row=interrupt(-1))


def test_resuming_from_something_else_is_refused():
    part = scripted(plane(), [4.0, 3.0], max_iter=0)
    with pytest.raises(TypeError, match="resume must be a Result, got ndarray; pass x0= for a point"):
        scripted(plane(), [4.0, 3.0], resume=np.zeros(2))
    with pytest.raises(ValueError, match="resume is a result of other; script cannot go on from it"):
        scripted(plane(), [4.0, 3.0], resume=dataclasses.replace(part, method="other"))
    with pytest.raises(ValueError, match=r"a problem of shape \(3,\), this one has \(2,\)"):
        scripted(plane(), [4.0, 3.0], resume=dataclasses.replace(part, x=np.zeros(3)))
    with pytest.raises(ValueError, match="shorter"):
        scripted(plane(), [4.0, 3.0], resume=dataclasses.replace(part, trace=part.trace | {"gap": []}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("tol", np.inf), ("max_iter", np.nan), ("max_time", 0.0), ("max_time", -1.0), ("max_time", np.nan)],
)
def test_limits_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be"):
        scripted(plane(), [1.0], **{name: value})
    assert scripted(plane(), [1.0], max_time=1e-9).nit == 0


@pytest.mark.parametrize(("offset", "bound"), [(8.0, 8.0), (15.0, 8.0)])
@pytest.mark.parametrize("known", [False, True])
def test_a_bound_may_exceed_the_value_by_rounding_only(offset, bound, known):
    """1e-9 of the terms ‖slope‖²/2μ and offset, which cancel in the bound, and of bound and value."""
    touching = Minorant(offset, np.array([np.sqrt(2 * (offset - bound)), 0.0]))
    pb = plane()
    if known:

        class Known(type(pb)):
            known_minorant = touching

        pb.__class__ = Known
    # What a problem knows by itself was not formed from anything large.
    terms = 2 * offset + bound + (0.0 if known else bound)
    minorants = [None] if known else [touching]
    result = scripted(pb, [bound - 0.99e-9 * terms], minorants)
    assert (result.gap, result.dual) == (0.0, result.value)
    with pytest.raises(ArithmeticError, match=r"the lower bound .* exceeds the objective"):
        scripted(pb, [bound - 1.01e-9 * terms], minorants)


@pytest.mark.parametrize("modulus", [0.25, 1.0, 3.0])
def test_the_bound_climbs_segments_to_each_minorant_and_to_their_mean(modulus):
    """On a segment the bound is a parabola: three values of it tell where it is greatest."""
    pb = plane(modulus)
    rng = np.random.default_rng(1)
    bound = LowerBound(pb)
    best, bests, seen, inside = pb.known_minorant, [0.0], [], 0

    def towards(best, other):
        def at(t):
            return Minorant((1 - t) * best.offset + t * other.offset, (1 - t) * best.slope + t * other.slope)

        low, middle, high = (pb.lower_bound(at(t)) for t in (0.0, 0.5, 1.0))
        rise, bend = 4 * middle - 3 * low - high, 2 * (low + high - 2 * middle)
        t = float(np.clip(-rise / (2 * bend), 0, 1)) if bend < 0 else float(high > low)
        return max(at(t), best, key=pb.lower_bound), 0 < t < 1

    for _ in range(40):
        # Minorants of the loss ‖v − (1, 2)‖² + 1, around the optimum 2/(2 + μ)·(1, 2).
        v = np.array([2.0, 4.0]) / (2 + modulus) + 0.3 * rng.standard_normal(2)
        away = v - [1.0, 2.0]
        slope = 2 * away
        minorant = Minorant(float(away @ away + 1 - slope @ v), slope)
        seen.append(minorant)
        mean = Minorant(*(np.mean(part, axis=0) for part in zip(*seen, strict=True)))
        bound.add(minorant)
        for other in (minorant, mean):
            best, between = towards(best, other)
            inside += between
        bests.append(pb.lower_bound(best))
        assert bound.value == pytest.approx(bests[-1], rel=1e-9)
        np.testing.assert_allclose(bound.state()["best"], best.slope, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(bound.state()["mean"], mean.slope, rtol=1e-12, atol=1e-12)
        assert bound.state()["mean offset"] == pytest.approx(mean.offset, rel=1e-12)
    assert inside >= 5
    optimum = 1 + 5 * modulus / (2 + modulus)
    assert (np.diff(bests) >= 0).all()
    assert 0.99 * optimum < bound.value <= optimum
    assert bound.state()["count"] == 40
    other = LowerBound(pb)
    other.restore(bound.state())
    assert {k: str(v) for k, v in other.state().items()} == {k: str(v) for k, v in bound.state().items()}


def test_the_first_segments_by_hand():
    """To a quarter of the first minorant, 4/17 of the way to the second, then towards the mean of the two."""
    bound = LowerBound(plane())
    bound.add(Minorant(1.0, np.array([2.0, 0.0])))
    assert bound.value == 1 / 8
    bound.add(Minorant(1.0, np.array([0.0, 2.0])))
    assert bound.value == pytest.approx(1 / 8 + 2 / 17 + 1 / 170, rel=1e-14)


def test_a_bound_needs_convexity():
    pb = problems.LovaszSoftmaxRisk([np.eye(2)], [[0, 1]])
    with pytest.raises(TypeError, match="not convex: its linearisations are no minorants"):
        LowerBound(pb).add(Minorant(0.0, np.zeros(4)))


def test_the_start_is_a_private_copy():
    pb = problems.ImageProx([[0.5], [1.0]], [[1], [0]], 1.0)
    default = starting_point(pb, None)
    assert default.tolist() == [0.5, 1.0]
    default[0] = 9.0
    assert pb.center.tolist() == [0.5, 1.0]
    x0 = np.array([[1.0], [2.0]])
    copy = starting_point(pb, x0)
    copy[0] = 9.0
    assert (copy.tolist(), x0.ravel().tolist()) == ([9.0, 2.0], [1.0, 2.0])


def test_blas_has_one_thread_inside_and_what_it_had_outside():
    def threads():
        return {lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"}

    seen = []

    def look(k):
        # A solver within a solver, as the steps of some methods are, ends nothing for the outer one.
        scripted(plane(), [1.0], on_row=lambda k: seen.append(threads()))
        seen.append(threads())

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        scripted(plane(), [2.0, 1.0], on_row=look)
        assert threads() == before
    assert seen == [{1} if before else set()] * 4


def test_a_bracket_doubles_then_takes_safeguarded_secants():
    bracket = Bracket(-8.0)
    assert bracket.narrow(1.0, -4.0) == 2.0
    # A slope of 0 is no ascent.
    assert bracket.narrow(2.0, 0.0) == 4.0
    bracket = Bracket(-8.0)
    assert bracket.narrow(3.0, -4.0) == 6.0
    assert bracket.narrow(6.0, 4.0) == 4.5
    assert bracket.narrow(4.5, -1.0) == pytest.approx(4.5 + 1.5 / 5)
    # No nearer to an end than a tenth.
    assert bracket.narrow(4.8, 99.0) == pytest.approx(4.5 + 0.1 * 0.3)
    assert bracket.narrow(4.53, -9801.0) == pytest.approx(4.53 + 0.9 * 0.27)
    # Down from the first step: the other end is the start, with its slope.
    assert Bracket(-3.0).narrow(4.0, 1.0) == 3.0
    assert Bracket(-8.0).narrow(4.0, 0.5) == pytest.approx(0.9 * 4.0)


def test_requirements():
    class Bare:
        linearise = None

    class Bent(Bare):
        convex = False

    require("mine", Bare(), "linearise")
    require("mine", Bent(), "linearise", convex=False)
    with pytest.raises(TypeError, match=r"mine needs a problem with a convex objective .* Bent is not"):
        require("mine", Bent(), "linearise")
    with pytest.raises(TypeError, match=r"\('batch'\); Bare has none"):
        require("mine", Bare(), "linearise", "batch", "n_images")


def test_minibatches():
    features, targets = images(np.random.default_rng(1), n=5, p=20)
    center = np.array([1.0, -2.0, 0.5, 3.0])
    pb = problems.LinearHingeRisk(features, targets, 0.5).batch(range(5), center=center)
    v = np.array([0.5, 0.0, -1.0, 2.0])
    for size, lengths in ((1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5]), (None, [5])):
        batches = _minibatch.Minibatches(pb, size)
        assert (batches.size, batches.whole) == (max(lengths), lengths == [5])
        rng = np.random.default_rng(3)
        first, second = list(batches.epoch(rng)), list(batches.epoch(rng))
        assert [len(batch) for batch in first] == lengths
        for epoch in (first, second):
            assert sorted(i for batch in epoch for i in batch) == list(range(5))
        assert first != second
        for batch in first:
            part = problems.LinearHingeRisk([features[i] for i in batch], [targets[i] for i in batch], 0.5)
            # The quadratic is that of the problem, around its own center.
            expected = part.value_and_subgradient(v)[1] - 0.5 * center
            np.testing.assert_allclose(batches.subgradient(batch, v), expected, atol=1e-14)
    for wrong in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"batch is {wrong}; it must be an integer ≥ 1, or None"):
            _minibatch.Minibatches(pb, wrong)


def test_single_images_are_looked_up_once(monkeypatch):
    pb, calls = risk(n=3), []
    original = pb.batch
    monkeypatch.setattr(pb, "batch", lambda images: calls.append(images) or original(images))
    solvers.adam(pb, tol=0, max_iter=4)
    assert sorted(calls) == [[0], [1], [2]]


def test_step_rules_and_means():
    ks = np.arange(1, 8)
    for rule, power in (("constant", 0), ("sqrt", 0.5), ("inverse", 1)):
        lengths = [_minibatch.Steps(rule).length(0.3, int(k)) for k in ks]
        np.testing.assert_allclose(lengths, 0.3 / ks**power, rtol=1e-15)
    vs = np.random.default_rng(1).standard_normal((7, 3))
    for kind, weights in ((None, np.eye(7)[-1]), ("uniform", np.ones(7)), ("weighted", ks)):
        mean = np.full(3, 99.0)
        for k, v in zip(ks, vs, strict=True):
            mean = _minibatch.Mean(kind).with_next(mean, v, int(k))
        np.testing.assert_allclose(mean, np.average(vs, axis=0, weights=weights), atol=1e-14)
    with pytest.raises(ValueError, match="average is 'all'; choose None, uniform or weighted"):
        _minibatch.Mean("all")
    with pytest.raises(ValueError, match="step is 'strong'; choose one of constant, sqrt, inverse"):
        _minibatch.Steps("strong")


def test_seeds():
    for seed in (0, 1, np.int64(7)):
        assert _minibatch.random_generator(seed).random() == np.random.default_rng(int(seed)).random()
    for wrong in (-1, 0.5):
        with pytest.raises(ValueError, match=f"seed is {wrong}; it must be an integer ≥ 0"):
            _minibatch.random_generator(wrong)
        with pytest.raises(ValueError, match=f"seed is {wrong}; it must be an integer ≥ 0"):
            solvers.frank_wolfe(risk(n=1), seed=wrong)
