"""The stochastic proximal point method: exact implicit steps, certified minorants, stability in the step."""

from functools import partial

import numpy as np
import pytest
from risks import KINDS, assert_certified, assert_resumes, awkward, images, interrupted, risk

from lovasz_opt import problems, reference, solvers
from lovasz_opt.problems import Minorant
from lovasz_opt.solvers import proximal_point
from lovasz_opt.solvers._cuts import Cuts
from lovasz_opt.solvers.toolkit import LowerBound

SOLVE = solvers.stochastic_proximal_point


LENGTHS = {
    "constant": lambda alpha, k: alpha,
    "sqrt": lambda alpha, k: alpha / np.sqrt(k),
    "inverse": lambda alpha, k: alpha / k,
}


@pytest.mark.parametrize("step", LENGTHS)
@pytest.mark.parametrize("average", [None, "uniform", "weighted"])
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("inner", ["cuts", "newton"])
def test_is_what_it_says(step, average, size, inner):
    """Every step written out with its two quadratics, and all iterates kept for the mean."""
    features, targets = images(np.random.default_rng(1), n=5)
    pb = problems.LinearHingeRisk(features, targets, 0.05)
    nudges = 1e-4 * np.random.default_rng(0).standard_normal((10, 4))
    points, rng, v = [], np.random.default_rng(7), np.zeros(4)
    for _ in range(2):
        for batch in np.split(rng.permutation(5), range(size, 5, size)):
            alpha = LENGTHS[step](3.0, len(points) + 1)
            part = problems.LinearHingeRisk([features[i] for i in batch], [targets[i] for i in batch], 0.05)
            previous = v
            merged = pb.batch(batch, previous / (1 + 0.05 * alpha), 0.05 + 1 / alpha)
            v = solvers.bundle(merged, tol=1e-13, max_iter=500).x
            objective = [
                part.value(u) + np.sum((u - previous) ** 2) / (2 * alpha) for u in (v, *(v + nudges))
            ]
            assert np.argmin(objective) == 0
            points.append(v)
    weights = {None: None, "uniform": np.ones(len(points)), "weighted": np.arange(1, len(points) + 1)}[
        average
    ]
    expected = v if weights is None else np.average(points, axis=0, weights=weights)
    seen = []
    SOLVE(
        pb, step, 3.0, size, average, 1e-6, inner, 7,
        tol=0, max_iter=2, callback=lambda state: seen.append(state.x.copy()),
    )  # fmt: skip
    np.testing.assert_allclose(seen[-1], expected, atol=1e-5)


@pytest.mark.parametrize("inner", ["cuts", "newton"])
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e2, 1e6])
@pytest.mark.parametrize("accuracy", [0.5, 1e-3])
def test_a_step_is_as_accurate_as_asked_for(inner, alpha, accuracy):
    pb, start = risk(2), np.array([1.0, -2.0, 0.5, 0.0])
    solve = proximal_point.by_cuts if inner == "cuts" else proximal_point._by_newton
    for batch in ([0], [1, 2, 3], range(6)):
        part = pb.batch(batch, start / (1 + 0.05 * alpha), 0.05 + 1 / alpha)
        v, minorant = solve(part, start, accuracy)
        exact = solvers.ssnal(part, tol=1e-12, x0=start)
        length = np.linalg.norm(exact.x - start)
        assert np.linalg.norm(v - exact.x) <= accuracy / (1 - accuracy) * length + 1e-9
        assert part.lower_bound(minorant) <= exact.value * (1 + 1e-12)
        for u in np.random.default_rng(3).standard_normal((5, 4)):
            linear = minorant.offset + minorant.slope @ (u - part.center)
            assert linear <= part.loss_at(u) + 1e-10


def wanted(part, start, delta, v):
    """The gap that an m-strongly convex step must have."""
    return delta**2 * part.strong_convexity / 2 * np.sum((v - start) ** 2)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 10.0])
@pytest.mark.parametrize(("delta", "far"), [(0.5, 1), (0.1, 1), (1e-2, 1), (1e-9, 1), (1e-9, 1e3)])
def test_cuts_end_as_soon_as_the_step_is_certified(alpha, delta, far):
    start = far * np.array([1.0, -2.0, 0.5, 0.0])
    part = risk(2).batch([1, 2, 3], start / (1 + 0.05 * alpha), 0.05 + 1 / alpha)
    cuts, points, certified = Cuts(part.strong_convexity, Minorant(0.0, np.zeros(4))), [start], False
    while not certified:
        scores = part.apply(points[-1])
        cuts.add(part.minorant(part.loss_and_subgradient(scores)[1]))
        model, values = cuts.minimise(), [part.value(u) for u in points]
        best = points[np.argmin(values)]
        rounding = 1e-14 * (min(values) + abs(model.offset))
        gap = min(values) - part.lower_bound(model)
        certified = gap <= max(wanted(part, start, delta, best), rounding)
        points.append(part.center - model.slope / part.strong_convexity)
    before = part.passes
    v, minorant = proximal_point.by_cuts(part, start, delta)
    np.testing.assert_array_equal(v, best)
    np.testing.assert_array_equal(minorant.slope, model.slope)
    assert part.passes - before == pytest.approx(2 * (len(points) - 1))


def test_newton_ends_as_soon_as_the_step_is_certified():
    start, first, delta = np.array([1.0, -2.0, 0.5, 0.0]), np.array([0.0, 3.0, 1.0, -1.0]), 0.03
    part = risk(2).batch(range(6), 0.9 * start, 0.06)
    for given in (None, first):
        states = []
        x0 = start if given is None else given
        solvers.ssnal(part, tol=1e-14, x0=x0, callback=lambda s: states.append((s, s.x.copy())))  # noqa: B023
        v, minorant = proximal_point._by_newton(part, start, delta, given)
        near = [s.value == s.best and s.gap <= wanted(part, start, delta, x) for s, x in states]
        assert 1 < np.argmax(near) < len(near) - 2
        state, expected = states[np.argmax(near)]
        np.testing.assert_array_equal(v, expected)
        assert part.lower_bound(minorant) == pytest.approx(state.dual, rel=1e-12)


def test_the_inner_solver_is_the_one_asked_for(monkeypatch):
    for inner, other in (("cuts", "_by_newton"), ("newton", "by_cuts")):
        with monkeypatch.context() as patch:
            patch.setattr(proximal_point, other, None)
            assert SOLVE(risk(2), inner=inner, max_iter=1, tol=0).nit == 1


def test_an_epoch_yields_the_mean_of_its_minorants(monkeypatch):
    """As functions: those of the steps have other centers, and the last minibatch is a smaller one."""
    steps, epochs, original, add = [], [], proximal_point.by_cuts, LowerBound.add

    def by_cuts(part, start, delta):
        v, minorant = original(part, start, delta)
        steps.append((part.n_images / 5, part.center, minorant))
        return v, minorant

    monkeypatch.setattr(proximal_point, "by_cuts", by_cuts)
    monkeypatch.setattr(LowerBound, "add", lambda *both: epochs.append(both[1]) or add(*both))
    center = np.array([0.5, -1.0, 2.0, 0.0])
    SOLVE(risk(2, n=5).batch(range(5), center), step_size=2.0, batch=2, tol=0, max_iter=2)
    assert len(steps) == 6
    for part, whole in ((steps[:3], epochs[1]), (steps[3:], epochs[2])):
        for u in np.vstack([center, np.random.default_rng(4).standard_normal((4, 4))]):
            expected = sum(share * (m.offset + m.slope @ (u - at)) for share, at, m in part)
            assert whole.offset + whole.slope @ (u - center) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_a_hundred_cuts_are_enough(monkeypatch):
    """Then Newton's method goes on from the best of their points."""
    monkeypatch.setattr(proximal_point, "_near", lambda *_: -np.inf)
    monkeypatch.setattr(proximal_point, "_ROUNDING", -np.inf)
    monkeypatch.setattr(proximal_point, "_by_newton", lambda *arguments: arguments)
    part, start = risk(2).batch([1, 2], l2=1.0), np.ones(4)
    seen, original = [], part.loss_and_subgradient
    monkeypatch.setattr(
        part, "loss_and_subgradient", lambda scores: seen.append(original(scores)) or seen[-1]
    )
    _, begun, delta, best = proximal_point.by_cuts(part, start, 0.2)
    assert (begun is start, delta, len(seen)) == (True, 0.2, 100)
    assert part.value(best) == pytest.approx(solvers.ssnal(part, tol=1e-12).value, rel=1e-11)


def test_the_first_step_is_ten_times_polyaks():
    features, targets = images(np.random.default_rng(3))
    for scale in (0.1, 10.0):
        pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.1 * scale**2)
        x0 = np.array([1.0, 0.0, -1.0, 0.5]) / scale
        value, g = pb.value_and_subgradient(x0)
        limits = {"tol": 0, "max_iter": 2, "x0": x0}
        given = SOLVE(pb, step_size=10 * value / float(g @ g), **limits)
        np.testing.assert_allclose(SOLVE(pb, **limits).trace["value"], given.trace["value"], rtol=1e-9)


def test_newton_takes_over_where_cuts_are_many(monkeypatch):
    pb = risk(3)
    expected = SOLVE(pb, "constant", 100.0, accuracy=1e-5, tol=0, max_iter=3)
    monkeypatch.setattr(proximal_point, "_MOST_CUTS", 2)
    found = SOLVE(pb, "constant", 100.0, accuracy=1e-5, tol=0, max_iter=3)
    np.testing.assert_allclose(found.trace["value"], expected.trace["value"], rtol=1e-4)
    assert found.trace["passes"][-1] != expected.trace["passes"][-1]


@pytest.mark.parametrize("average", [None, "weighted"])
@pytest.mark.parametrize("size", [1, 2, None])
def test_against_cvxpy(average, size):
    pytest.importorskip("cvxpy")
    features, targets = images(np.random.default_rng(2), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    r = SOLVE(pb, "inverse", 10.0, size, average, tol=0, max_iter=100)
    assert r.dual <= expected.value * (1 + 1e-9)
    assert expected.value * (1 - 1e-9) <= r.value <= 1.01 * expected.value
    assert r.gap < 0.05 * r.value


def test_all_images_in_a_batch_solve_the_problem():
    pb = risk(4)
    newton = solvers.ssnal(pb, tol=1e-9)
    r = SOLVE(pb, "constant", 1e3, None, accuracy=1e-4, tol=1e-6, max_iter=30)
    assert r.status == "optimal"
    assert newton.dual <= r.value
    assert r.dual <= newton.value


@pytest.mark.parametrize("step", LENGTHS)
@pytest.mark.parametrize("alpha", [1e-8, 1e2, 1e8, 1e16])
def test_no_step_is_too_long(step, alpha):
    pb = risk(5)
    r = SOLVE(pb, step, alpha, tol=0, max_iter=5)
    newton = solvers.ssnal(pb, tol=1e-9)
    assert r.status == "max_iter"
    # Never beyond the minimisers of single images.
    assert (r.trace["value"] <= 3.0).all()
    assert r.dual <= newton.value
    assert newton.dual <= r.value


def test_defaults_follow_the_scale_of_the_features():
    features, targets = images(np.random.default_rng(3))
    for scale in (1e-4, 1.0, 1e4):
        pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.05 * scale**2)
        r = SOLVE(pb, tol=0, max_iter=20)
        newton = solvers.ssnal(pb, tol=1e-9)
        assert newton.dual <= r.value <= 1.1 * newton.value
        assert r.dual <= newton.value


def test_a_center_that_is_not_zero():
    rng = np.random.default_rng(4)
    heavy = risk(4).batch(range(6), center=rng.standard_normal(4), l2=1.0)
    r = SOLVE(heavy, "constant", 1e3, None, accuracy=1e-4, tol=1e-6, max_iter=10)
    assert r.status == "optimal"
    pb = risk(4).batch([0, 2, 2, 5], center=rng.standard_normal(4))
    newton = solvers.ssnal(pb, tol=1e-9)
    for size in (1, 3):
        r = SOLVE(pb, "inverse", 20.0, size, "weighted", tol=0, max_iter=100)
        assert newton.dual <= r.value <= 1.01 * newton.value
        assert r.dual <= newton.value
        assert r.gap < 0.1 * r.value


@pytest.mark.parametrize("size", [1, 4, None])
@pytest.mark.parametrize("average", [None, "uniform"])
def test_a_run_in_parts_is_the_same_run(size, average, tmp_path):
    pb = risk(5)
    arguments = {"batch": size, "average": average, "seed": 3, "tol": 0}
    solve = partial(SOLVE, pb, **arguments)
    whole, rest = assert_resumes(solve, tmp_path, 3, 8, ("value", "dual"))
    # Sums of fractions of the pixels, rounded.
    np.testing.assert_allclose(rest.trace["passes"], whole.trace["passes"], rtol=1e-8)


def test_seeds_and_interrupts():
    pb = risk(6)
    x0 = np.full(4, 0.25)
    x0.flags.writeable = False
    first, second = (SOLVE(pb, seed=1, x0=x0, tol=0, max_iter=6) for _ in range(2))
    np.testing.assert_array_equal(first.trace["value"], second.trace["value"])
    assert first.trace["value"][0] == pytest.approx(pb.value(x0), rel=1e-12)
    assert first.trace["value"][-1] != SOLVE(pb, seed=2, x0=x0, tol=0, max_iter=6).trace["value"][-1]

    part = interrupted(partial(SOLVE, pb, seed=1, x0=x0, tol=0), 4)
    np.testing.assert_array_equal(part.trace["dual"], first.trace["dual"][:5])
    assert part.value == pytest.approx(pb.value(part.x), rel=1e-12)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, size):
    pb = awkward(kind, np.random.default_rng(1))
    best = solvers.ssnal(pb, tol=1e-9)
    for arguments in ({}, {"inner": "newton"}, {"step": "constant", "step_size": 1.0}):
        r = SOLVE(pb, batch=size, tol=1e-4, max_iter=10, **arguments)
        assert r.status in ("optimal", "max_iter")
        assert_certified(r, best)
        if kind in ("zero features", "all void"):
            assert r.status == "optimal"


BAD = [
    ({"step": "strong"}, "step is 'strong'; choose one of constant, sqrt, inverse"),
    ({"step_size": -1.0}, "step_size is -1.0; it must be finite and > 0"),
    ({"batch": 0}, "batch is 0; it must be an integer ≥ 1, or None"),
    ({"average": "all"}, "average is 'all'; choose None, uniform or weighted"),
    ({"accuracy": 0.0}, "accuracy is 0.0; it must be finite and > 0"),
    ({"inner": "admm"}, "inner is 'admm'; choose cuts or newton"),
    ({"seed": -1}, "seed is -1; it must be an integer ≥ 0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SOLVE(risk(), **arguments)


def test_problems_without_images_or_convexity_are_refused():
    with pytest.raises(TypeError, match=r"needs a problem with images .* \('batch'\); ImageProx has none"):
        SOLVE(problems.ImageProx([0.5, 1.0], [1, 0], 1.0))
    softmax = problems.LovaszSoftmaxRisk([np.ones((3, 2))], [[0, 1, 2]])
    with pytest.raises(TypeError, match=r"needs a problem with a convex objective"):
        SOLVE(softmax)
