"""Accelerated proximal gradient on the dual: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest
from risks import awkward, image_prox, noisy_images

from lovasz_opt import problems, solvers

VARIANTS = [{}, {"restart": False}, {"backtracking": False}, {"backtracking": False, "restart": False}]


def test_a_problem_that_is_one_prox_takes_one_step():
    pb = image_prox(3)
    exact, _ = pb.solve_exact()
    for variant in VARIANTS:
        r = solvers.fista(pb, **variant, tol=1e-12, x0=np.ones(pb.shape))
        assert (r.status, r.nit) == ("optimal", 1)
        np.testing.assert_allclose(r.x, exact, atol=1e-12)


def test_every_step_obeys_the_model_of_the_quadratic():
    """Without momentum, each step may raise the dual only: the model along it bounds it from below."""
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(8)), l2=0.05)
    duals = []
    r = None
    for k in range(1, 30):
        r = solvers.fista(pb, tol=0, max_iter=k, resume=r)
        memory = r.state["memory"]
        duals.append(pb.lower_bound(pb.minorant(memory["g"], memory["slope"])))
        memory["momentum"] = 1.0
    assert (np.diff(duals) >= -1e-12).all()
    assert duals[-1] > 0


def test_backtracking_and_restarts_pay():
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(9)), l2=0.05)
    default, fixed, without = (
        solvers.fista(pb, tol=1e-10, max_iter=2000, **options).nit
        for options in ({}, {"backtracking": False}, {"restart": False})
    )
    assert default < 0.5 * fixed
    assert default < 0.8 * without


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1), noisy_images)
    with pytest.raises(ValueError, match="x0 holds NaN"):
        solvers.fista(pb, x0=np.full(4, np.nan))
    with pytest.raises(ValueError, match="tol is nan"):
        solvers.fista(pb, tol=np.nan)


def test_a_step_is_taken_from_the_extrapolated_point():
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(10)), l2=0.1)
    old, new = (solvers.fista(pb, False, False, tol=0, max_iter=k).state["memory"] for k in (5, 6))
    sigma, t = old["step"], old["momentum"]
    beta = (t - 1) / new["momentum"]
    assert beta > 0.4
    z = old["g"] + beta * (old["g"] - old["last_g"])
    moved = z - sigma / 0.1 * pb.apply(pb.adjoint(z))
    np.testing.assert_allclose(new["g"], moved - sigma * pb.prox_loss(moved / sigma, 1 / sigma), atol=1e-12)
