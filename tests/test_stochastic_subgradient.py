"""Stochastic subgradient descent: its definition, certified gaps, runs in parts, steps that are too long."""

from functools import partial

import numpy as np
import pytest
from risks import KINDS, assert_certified, assert_resumes, awkward, images, interrupted, risk

from lovasz_opt import problems, reference, solvers

SOLVE = solvers.stochastic_subgradient


LENGTHS = {
    "constant": lambda alpha, k: alpha,
    "sqrt": lambda alpha, k: alpha / np.sqrt(k),
    "inverse": lambda alpha, k: alpha / k,
}


@pytest.mark.parametrize("step", LENGTHS)
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("average", [None, "uniform", "weighted"])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_is_what_it_says(step, nesterov, average, size):
    """Written out with lists: a problem for every minibatch, and all iterates kept for the mean."""
    features, targets = images(np.random.default_rng(1), n=5)
    pb = problems.LinearHingeRisk(features, targets, 0.05)
    points, rng, velocity, v = [], np.random.default_rng(7), 0.0, np.zeros(4)
    for _ in range(3):
        order = rng.permutation(5)
        for batch in np.split(order, range(size, 5, size)):
            part = problems.LinearHingeRisk([features[i] for i in batch], [targets[i] for i in batch], 0.05)
            g = part.value_and_subgradient(v)[1]
            velocity = 0.7 * velocity + g
            length = LENGTHS[step](0.2, len(points) + 1)
            v = v - length * (g + 0.7 * velocity if nesterov else velocity)
            points.append(v)
    weights = {None: None, "uniform": np.ones(len(points)), "weighted": np.arange(1, len(points) + 1)}[
        average
    ]
    expected = v if weights is None else np.average(points, axis=0, weights=weights)
    seen = []
    SOLVE(
        pb, step, 0.2, size, 0.7, nesterov, average, 7,
        tol=0, max_iter=3, callback=lambda state: seen.append(state.x.copy()),
    )  # fmt: skip
    np.testing.assert_allclose(seen[-1], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("step", "other"), [("constant", "constant"), ("sqrt", "sqrt"), ("inverse", "strong")]
)
def test_all_images_in_a_batch_are_subgradient_descent(step, other):
    pb = risk()
    scale = pb.strong_convexity if other == "strong" else 1.0
    plain = solvers.subgradient(pb, other, 0.3 * scale, tol=0, max_iter=20)
    for size in (None, 6, 100):
        full = SOLVE(pb, step, 0.3, size, tol=0, max_iter=20)
        np.testing.assert_allclose(full.trace["value"], plain.trace["value"], rtol=1e-12)
        np.testing.assert_allclose(full.trace["dual"], plain.trace["dual"], rtol=1e-9, atol=1e-12)
        assert full.trace["passes"][-1] == plain.trace["passes"][-1] == 42


@pytest.mark.parametrize("average", [None, "weighted"])
@pytest.mark.parametrize("size", [1, 2])
def test_against_cvxpy(average, size):
    pytest.importorskip("cvxpy")
    features, targets = images(np.random.default_rng(2), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    r = SOLVE(pb, "inverse", 10.0, size, average=average, tol=0, max_iter=200)
    assert r.dual <= expected.value * (1 + 1e-9)
    assert expected.value * (1 - 1e-9) <= r.value <= 1.01 * expected.value
    assert r.gap < 0.05 * r.value


def test_defaults_follow_the_scale_of_the_features():
    """v and features scaled against each other are the same problem, and the same run."""
    features, targets = images(np.random.default_rng(3))
    values = []
    for scale in (1e-4, 1.0, 1e4):
        pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.05 * scale**2)
        r = SOLVE(pb, tol=0, max_iter=40)
        values.append(r.value)
        newton = solvers.ssnal(pb, tol=1e-9)
        assert newton.dual <= r.value <= 1.1 * newton.value
        assert r.dual <= newton.value
    np.testing.assert_allclose(values, values[0], rtol=1e-5)


@pytest.mark.parametrize("scale", [0.1, 10.0])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_the_first_step_is_polyaks(scale, momentum):
    features, targets = images(np.random.default_rng(3))
    pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.05 * scale**2)
    x0 = np.array([1.0, 0.0, -1.0, 0.5]) / scale
    value, g = pb.value_and_subgradient(x0)
    solve = partial(SOLVE, pb, momentum=momentum, tol=0, max_iter=3, x0=x0)
    given = solve(step_size=(1 - momentum) * value / float(g @ g))
    np.testing.assert_allclose(solve().trace["value"], given.trace["value"], rtol=1e-9)


def test_a_center_that_is_not_zero():
    rng = np.random.default_rng(4)
    pb = risk(4).batch([0, 2, 2, 5], center=rng.standard_normal(4))
    newton = solvers.ssnal(pb, tol=1e-9)
    for size in (1, 3):
        r = SOLVE(pb, "inverse", 20.0, size, average="weighted", tol=0, max_iter=300)
        assert newton.dual <= r.value <= 1.01 * newton.value
        assert r.dual <= newton.value


@pytest.mark.parametrize("size", [1, 4, None])
@pytest.mark.parametrize("average", [None, "uniform"])
def test_a_run_in_parts_is_the_same_run(size, average, tmp_path):
    pb = risk(5)
    arguments = {"batch": size, "momentum": 0.9, "average": average, "seed": 3, "tol": 0}
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
    # An epoch and an evaluation, of two products with the features each.
    np.testing.assert_allclose(np.diff(first.trace["passes"]), 4.0)

    part = interrupted(partial(SOLVE, pb, seed=1, x0=x0, tol=0), 4)
    np.testing.assert_array_equal(part.trace["dual"], first.trace["dual"][:5])
    assert part.value == pytest.approx(pb.value(part.x), rel=1e-12)


@pytest.mark.parametrize("alpha", [1e3, 1e12, 1e200, 1e308])
@pytest.mark.parametrize("momentum", [0.0, 0.99])
@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("average", [None, "uniform"])
def test_steps_that_are_too_long_are_reported(alpha, momentum, size, average):
    pb = risk(7)
    r = SOLVE(pb, "constant", alpha, size, momentum, average=average, max_iter=40)
    assert r.status == "diverged", r.trace["value"]
    assert not np.isnan(r.trace["value"]).any()
    assert np.isfinite(r.x).all()
    assert np.isfinite(r.value)
    assert 0 <= r.dual <= solvers.ssnal(pb).value <= r.value * (1 + 1e-8)


def test_an_epoch_ends_where_its_steps_overflow():
    r = SOLVE(risk(7), "constant", 1e308, max_iter=40)
    assert (r.status, r.nit) == ("diverged", 1)
    # The start, and one image of six: nothing is evaluated where nothing can be.
    np.testing.assert_allclose(r.trace["passes"], [2, 2 + 2 / 6])


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, size):
    pb = awkward(kind, np.random.default_rng(1))
    best = solvers.ssnal(pb, tol=1e-9)
    for arguments in ({}, {"momentum": 0.9, "average": "uniform"}, {"step": "constant", "step_size": 1.0}):
        r = SOLVE(pb, batch=size, tol=1e-4, max_iter=30, **arguments)
        assert r.status in ("optimal", "max_iter")
        assert_certified(r, best)
        if kind in ("zero features", "all void"):
            assert r.status == "optimal"


def test_softmax_risk():
    rng = np.random.default_rng(8)
    truth = rng.standard_normal((3, 3))
    features = [rng.standard_normal((40, 3)) for _ in range(4)]
    targets = [(X @ truth).argmax(axis=1) for X in features]
    pb = problems.LovaszSoftmaxRisk(features, targets, l2=1e-3)
    r = SOLVE(pb, batch=2, momentum=0.9, max_iter=30)
    assert r.x.shape == (3, 3)
    assert pb.known_bound == r.dual < r.value < 0.5 * r.trace["value"][0]


BAD = [
    ({"step": "strong"}, "step is 'strong'; choose one of constant, sqrt, inverse"),
    ({"step_size": -1.0}, "step_size is -1.0; it must be finite and > 0"),
    ({"batch": 0}, "batch is 0; it must be an integer ≥ 1, or None"),
    ({"batch": 1.5}, "batch is 1.5; it must be an integer ≥ 1, or None"),
    ({"momentum": 1.0}, "momentum is 1.0; it must be ≥ 0 and below 1"),
    ({"momentum": np.nan}, "momentum is nan"),
    ({"average": "all"}, "average is 'all'; choose None, uniform or weighted"),
    ({"seed": -1}, "seed is -1; it must be an integer ≥ 0"),
    ({"seed": 0.5}, "seed is 0.5; it must be an integer ≥ 0"),
    ({"x0": np.zeros(3)}, r"x0 has shape \(3,\), expected \(4,\)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SOLVE(risk(), **arguments)


def test_a_problem_without_images_is_refused():
    with pytest.raises(TypeError, match=r"needs a problem with images .* \('batch'\); ImageProx has none"):
        SOLVE(problems.ImageProx([0.5, 1.0], [1, 0], 1.0))
