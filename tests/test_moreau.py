"""Smoothing by the Moreau envelope with continuation: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest
from risks import awkward, noisy_images
from scipy.optimize import minimize

from lovasz_opt import problems, solvers


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
