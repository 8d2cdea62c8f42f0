"""Adam over minibatches: its definition, certified gaps, runs in parts, steps that are too long."""

from functools import partial

import numpy as np
import pytest
from risks import KINDS, assert_certified, assert_resumes, awkward, images, interrupted, risk

from lovasz_opt import problems, reference, solvers

LENGTHS = {
    "constant": lambda alpha, k: alpha,
    "sqrt": lambda alpha, k: alpha / np.sqrt(k),
    "inverse": lambda alpha, k: alpha / k,
}


@pytest.mark.parametrize("step", LENGTHS)
@pytest.mark.parametrize("size", [1, 2, None])
def test_is_what_it_says(step, size):
    """Written out: bias-corrected means as sums over the whole history of subgradients."""
    features, targets = images(np.random.default_rng(1), n=5)
    pb = problems.LinearHingeRisk(features, targets, 0.05)
    rng, v, history = np.random.default_rng(7), np.zeros(4), []
    for _ in range(3):
        order = rng.permutation(5)
        for batch in np.split(order, range(size or 5, 5, size or 5)):
            part = problems.LinearHingeRisk([features[i] for i in batch], [targets[i] for i in batch], 0.05)
            history.append(part.value_and_subgradient(v)[1])
            k = len(history)
            first = np.average(history, axis=0, weights=0.8 ** np.arange(k)[::-1])
            second = np.average(np.square(history), axis=0, weights=0.95 ** np.arange(k)[::-1])
            v = v - LENGTHS[step](0.1, k) * first / (np.sqrt(second) + 1e-3)
    seen = []
    solvers.adam(
        pb, step, 0.1, size, 0.8, 0.95, 1e-3, 7,
        tol=0, max_iter=3, callback=lambda state: seen.append(state.x.copy()),
    )  # fmt: skip
    np.testing.assert_allclose(seen[-1], v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, None])
def test_against_cvxpy(size):
    pytest.importorskip("cvxpy")
    features, targets = images(np.random.default_rng(2), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    r = solvers.adam(pb, "sqrt", 0.1, size, tol=0, max_iter=300)
    assert r.dual <= expected.value * (1 + 1e-9)
    assert expected.value * (1 - 1e-9) <= r.value <= 1.02 * expected.value
    assert r.gap < 0.2 * r.value


def test_defaults_follow_the_scale_of_the_features():
    features, targets = images(np.random.default_rng(3))
    for scale in (1e-4, 1.0, 1e4):
        pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.05 * scale**2)
        r = solvers.adam(pb, tol=0, max_iter=60)
        newton = solvers.ssnal(pb, tol=1e-9)
        assert newton.dual <= r.value <= 1.1 * newton.value
        assert r.dual <= newton.value


@pytest.mark.parametrize("size", [1, 4, None])
def test_a_run_in_parts_is_the_same_run(size, tmp_path):
    pb = risk(5)
    arguments = {"batch": size, "seed": 3, "tol": 0}
    solve = partial(solvers.adam, pb, **arguments)
    whole, rest = assert_resumes(solve, tmp_path, 3, 8, ("value", "dual"))
    # Sums of fractions of the pixels, rounded.
    np.testing.assert_allclose(rest.trace["passes"], whole.trace["passes"], rtol=1e-8)


def test_seeds_passes_and_interrupts():
    pb = risk(6)
    x0 = np.full(4, 0.25)
    x0.flags.writeable = False
    first, second = (solvers.adam(pb, seed=1, x0=x0, tol=0, max_iter=6) for _ in range(2))
    np.testing.assert_array_equal(first.trace["value"], second.trace["value"])
    other = solvers.adam(pb, seed=2, x0=x0, tol=0, max_iter=6)
    assert first.trace["value"][-1] != other.trace["value"][-1]
    np.testing.assert_allclose(np.diff(first.trace["passes"]), 4.0)
    whole = solvers.adam(pb, batch=None, tol=0, max_iter=6)
    np.testing.assert_allclose(np.diff(whole.trace["passes"]), 2.0)

    part = interrupted(partial(solvers.adam, pb, seed=1, x0=x0, tol=0), 4)
    np.testing.assert_array_equal(part.trace["dual"], first.trace["dual"][:5])


@pytest.mark.parametrize("alpha", [1e12, 1e100, 1e200, 1e308])
@pytest.mark.parametrize("size", [1, None])
def test_steps_that_are_too_long_are_reported(alpha, size):
    pb = risk(7)
    r = solvers.adam(pb, "constant", alpha, size, max_iter=40)
    assert r.status == "diverged"
    assert not np.isnan(r.trace["value"]).any()
    assert np.isfinite(r.x).all()
    if size == 1 and alpha >= 1e200:
        # Nothing can be computed after the first image, and nothing is tried: two products for one of six.
        assert r.trace["passes"][-1] - r.trace["passes"][-2] == pytest.approx(2 / 6)
    assert 0 <= r.dual <= solvers.ssnal(pb).value <= r.value * (1 + 1e-8)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, size):
    pb = awkward(kind, np.random.default_rng(1))
    best = solvers.ssnal(pb, tol=1e-9)
    for arguments in ({}, {"step": "constant", "step_size": 1.0}):
        r = solvers.adam(pb, batch=size, tol=1e-4, max_iter=30, **arguments)
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
    r = solvers.adam(pb, batch=2, max_iter=30)
    assert r.x.shape == (3, 3)
    assert pb.known_bound == r.dual < r.value < 0.5 * r.trace["value"][0]


BAD = [
    ({"step": "strong"}, "step is 'strong'; choose one of constant, sqrt, inverse"),
    ({"step_size": 0.0}, "step_size is 0.0; it must be finite and > 0"),
    ({"batch": 0}, "batch is 0; it must be an integer ≥ 1, or None"),
    ({"beta1": 1.0}, "beta1 is 1.0; it must be ≥ 0 and below 1"),
    ({"beta2": -0.1}, "beta2 is -0.1; it must be ≥ 0 and below 1"),
    ({"epsilon": 0.0}, "epsilon is 0.0; it must be finite and > 0"),
    ({"seed": -1}, "seed is -1; it must be an integer ≥ 0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        solvers.adam(risk(), **arguments)


def test_a_problem_without_images_is_refused():
    with pytest.raises(TypeError, match=r"needs a problem with images .* \('batch'\); ImageProx has none"):
        solvers.adam(problems.ImageProx([0.5, 1.0], [1, 0], 1.0))


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_the_default_step_halves_a_linear_model_of_the_objective(scale):
    features, targets = images(np.random.default_rng(9))
    pb = problems.LinearHingeRisk([scale * X for X in features], targets, 0.05 * scale**2)
    value, g = pb.value_and_subgradient(np.full(4, 0.1 / scale))
    r, same = (
        solvers.adam(pb, step_size=alpha, x0=np.full(4, 0.1 / scale), tol=0, max_iter=3)
        for alpha in (None, value / (2 * np.abs(g).sum()))
    )
    np.testing.assert_allclose(r.x, same.x, rtol=1e-9)
    assert r.state["memory"]["alpha"] == pytest.approx(value / (2 * np.abs(g).sum()), rel=1e-12)


def test_a_start_that_is_stationary_for_all_images_together():
    """Two images pull in opposite directions: no scale is known, and the step is 1."""
    X = np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, 1.0]])
    pb = problems.LovaszSoftmaxRisk([X, -X], [[0, 1, 1], [0, 1, 1]], l2=0.1)
    assert np.abs(pb.value_and_subgradient(np.zeros((2, 2)))[1]).max() == 0
    r, same = (solvers.adam(pb, step_size=alpha, max_iter=2) for alpha in (None, 1.0))
    for name in ("x", "alpha"):
        np.testing.assert_array_equal(r.state["memory"][name], same.state["memory"][name])
    assert np.abs(r.state["memory"]["x"]).max() > 0


def test_decays_of_zero_are_sign_steps():
    """Without memory a step is g/(|g| + ε), whatever the size of the subgradient."""
    pb = risk(10)
    g = pb.value_and_subgradient(np.full(4, 0.2))[1]
    seen = []
    solvers.adam(
        pb, "constant", 0.5, None, 0.0, 0.0, 1e-12, x0=np.full(4, 0.2), tol=0, max_iter=1,
        callback=lambda state: seen.append(state.x.copy()),
    )  # fmt: skip
    np.testing.assert_allclose(seen[1], 0.2 - 0.5 * np.sign(g), atol=1e-9)
