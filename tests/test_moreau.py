"""Smoothing by the Moreau envelope with continuation: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest
from risks import awkward, noisy_images
from scipy.optimize import minimize

from lovasz_opt import problems, solvers
from lovasz_opt.solvers.toolkit import drive


def smoothed(pb, gamma):
    """The smoothed objective and its gradient."""

    def function(v):
        scores = pb.apply(v)
        F = pb.prox_loss(scores, gamma)
        g = (scores - F) / gamma
        gradient = pb.strong_convexity * (v - pb.center) + pb.adjoint(g)
        return pb.quadratic(v) + pb.loss(F) + 0.5 * gamma * float(g @ g), gradient

    return function


@pytest.mark.parametrize("precondition", [True, False])
def test_without_continuation_the_minimiser_of_the_smoothed_problem_is_found(precondition):
    rng = np.random.default_rng(8)
    pb = problems.LinearHingeRisk(*noisy_images(rng), l2=0.1).batch(range(6), center=rng.standard_normal(4))
    function = smoothed(pb, 50.0)
    expected = minimize(function, pb.center, jac=True, method="BFGS", options={"gtol": 1e-9})
    r = solvers.moreau(pb, 50.0, precondition, continuation=False, tol=0, max_iter=600)
    last = r.state["memory"]["v"]
    assert function(last)[0] == pytest.approx(expected.fun, rel=1e-10)
    assert np.linalg.norm(function(last)[1]) < 1e-5
    # The gap that is left is the error of the smoothing.
    assert r.relative_gap > 1e-3
    assert r.state["memory"]["gamma"] == 50.0


def test_continuation_follows_the_gap():
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(9)), l2=0.05)
    gammas = []
    r = None
    for k in range(1, 200, 10):
        r = solvers.moreau(pb, tol=0, max_iter=k, resume=r)
        gammas.append(r.state["memory"]["gamma"])
    assert (np.diff(gammas) <= 0).all()
    assert gammas[-1] < gammas[0] / 16
    assert r.relative_gap < 1e-4


def test_the_preconditioner_pays():
    features, targets = noisy_images(np.random.default_rng(10), n=8, p=200, d=10)
    scale = np.geomspace(1, 30, 10)
    pb = problems.LinearHingeRisk([X * scale for X in features], targets, l2=1e-3)
    default, plain = (solvers.moreau(pb, tol=1e-3, max_iter=1000, precondition=p).nit for p in (True, False))
    assert default < 0.3 * plain


@pytest.mark.parametrize("gamma", [1e-2, 1e5])
def test_a_bad_first_gamma_is_made_up_for(gamma):
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(11)), l2=0.05)
    assert solvers.moreau(pb, gamma, tol=1e-4, max_iter=2000).status == "optimal"


def test_gamma_stays_where_the_prox_can_be_told_from_the_scores():
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(12), n=2, p=20, d=2), l2=1.0)
    r = solvers.moreau(pb, tol=0, max_iter=3000)
    assert r.relative_gap < 1e-8
    assert r.state["memory"]["gamma"] > 0


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1), noisy_images)
    with pytest.raises(ValueError, match=r"gamma is 0\.0; it must be finite and > 0"):
        solvers.moreau(pb, 0.0)
    with pytest.raises(ValueError, match="x0 holds NaN"):
        solvers.moreau(pb, x0=np.full(4, np.nan))


def written_out(pb, A, gamma, precondition, continuation, start, bound):
    """In dense matrices: momentum for strongly convex problems, curvature by backtracking."""
    mu, loss = pb.strong_convexity, lambda v: pb.loss(A @ v)

    def gradient(scores):
        F = pb.prox_loss(scores, gamma)
        g = (scores - F) / gamma
        return pb.loss(F) + 0.5 * gamma * g @ g, g, pb.loss(F) + gamma * g @ g

    value, g = pb.loss_and_subgradient(A @ start)
    pb.passes += 2
    yield start, pb.quadratic(start) + value, pb.minorant(g, A.T @ g)
    if gamma is None:
        gamma = 0.02 * (pb.quadratic(start) + value) / (g @ g) if g.any() else 1.0
    norm2 = np.linalg.eigvalsh(A.T @ A).max() if A.size else 0.0
    H = A.T @ A if precondition else norm2 * np.eye(len(start))
    v = before = start
    curvature = t = 1.0
    while True:
        # Strong convexity of the quadratic relative to the model's, in the metric H.
        strong = mu * gamma / (curvature * (norm2 or 1.0))
        q = strong / (1 + strong)
        next_t = (1 - q * t**2 + np.sqrt((1 - q * t**2) ** 2 + 4 * t**2)) / 2
        y = v + (t - 1) / next_t * (1 + strong - next_t * strong) * (v - before)
        smooth, g, _ = gradient(A @ y)
        slope = A.T @ g
        pb.passes += 1
        curvature = max(0.8 * curvature, 1e-8)
        while True:
            penalty = curvature / gamma
            w = np.linalg.solve(mu * np.eye(len(v)) + penalty * H, mu * pb.center - slope + penalty * H @ y)
            change = A @ (w - y)
            pb.passes += 1
            new_smooth, new_g, touching = gradient(A @ w)
            allowed = penalty / 2 * (w - y) @ H @ (w - y)
            smooth_enough = new_smooth - smooth - g @ change <= allowed or (new_g - g) @ change <= allowed
            if curvature == 1 or smooth_enough:
                break
            curvature = min(2 * curvature, 1.0)
        # O'Donoghue and Candès: no momentum uphill.
        t = next_t if (y - w) @ H @ (w - v) <= 0 else 1.0
        before, v = v, w
        rest, error = pb.quadratic(v) + loss(v) - bound.value, loss(v) - touching
        moved = gamma * np.linalg.norm(new_g) > 4e-10 * np.linalg.norm(A @ v)
        if continuation and rest <= 2 * error and moved:
            gamma, t = gamma / 4, 1.0
        yield v, pb.quadratic(v) + loss(v), pb.minorant(g, slope)


def cases():
    rng = np.random.default_rng(13)
    features, targets = noisy_images(rng, n=3, p=30)
    pb = problems.LinearHingeRisk(features, targets, l2=0.02)
    A, one = np.concatenate(features), np.array([[2.0]])
    truth = 30.0 * np.linalg.lstsq(A, pb._signs, rcond=None)[0]
    return {
        "center": (pb.batch(range(3), center=rng.standard_normal(4)), A, None),
        "given": (pb, A, 4.0),
        "one pixel": (problems.LinearHingeRisk([one], [[1]], l2=0.05), one, None),
        "flat start": (problems.LinearHingeRisk([A], [A @ truth > 0], l2=0.5), A, None, 1e3 * truth),
        "zero": (problems.LinearHingeRisk([0 * A], [pb.truth], l2=0.5), 0 * A, None, np.ones(4)),
        "void": (problems.LinearHingeRisk([A], [0 * pb.truth], 0.5, ignore=0), A[:0], None, np.ones(4)),
    }


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("continuation", [True, False])
@pytest.mark.parametrize("kind", cases())
def test_is_what_it_says(kind, continuation, precondition):
    pb, A, gamma, *x0 = cases()[kind]
    start, options = x0[0] if x0 else pb.center, (gamma, precondition, continuation)
    limits = {"tol": 0, "max_iter": 60, "max_time": None, "callback": None}
    expected = drive("moreau", pb, lambda bound, _: written_out(pb, A, *options, start, bound), **limits)
    # In two parts, so that all that the method knows is kept.
    half = solvers.moreau(pb, *options, tol=0, max_iter=23, x0=start)
    found = solvers.moreau(pb, *options, tol=0, max_iter=60, resume=half)
    assert (found.status, found.nit) == (expected.status, expected.nit)
    for column in ("value", "dual"):
        np.testing.assert_allclose(found.trace[column], expected.trace[column], rtol=1e-8, atol=1e-12)
    if A.size:
        # Later on, where the smoothed problem is solved, rounding decides how often a curvature is tried.
        passes, wanted = (result.trace["passes"][:16] for result in (found, expected))
        np.testing.assert_allclose(passes, wanted)
