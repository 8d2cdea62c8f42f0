"""The primal-dual hybrid gradient method and its variants: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest
from risks import awkward, noisy_images

from lovasz_opt import problems, solvers
from lovasz_opt.solvers.pdhg import _metric


def test_metrics_belong_together():
    """Norm, dual norm, step and the norm of A in the metric, against matrices."""
    rng = np.random.default_rng(8)
    features, targets = noisy_images(rng)
    pb = problems.LinearHingeRisk(features, targets, l2=0.3).batch(range(6), center=rng.standard_normal(4))
    A, mu, rho, tau = np.concatenate(features), 0.3, 0.02, 0.7
    v, slope = rng.standard_normal((2, 4))
    for metric, M in ((_metric(pb, None), np.eye(4)), (_metric(pb, rho), mu * np.eye(4) + rho * A.T @ A)):
        inverse = np.linalg.inv(M)
        assert metric.square(v) == pytest.approx(v @ M @ v)
        assert metric.dual_square(slope) == pytest.approx(slope @ inverse @ slope)
        assert metric.squared_norm == pytest.approx(np.linalg.eigvals(A @ inverse @ A.T).real.max())
        assert metric.modulus == pytest.approx(mu / np.linalg.eigvalsh(M).max())
        w = metric.step(v, slope, tau)
        np.testing.assert_allclose(mu * (w - pb.center) + slope + M @ (w - v) / tau, 0, atol=1e-9)


def test_the_preconditioner_and_the_line_search_pay():
    """Columns of very different size."""
    features, targets = noisy_images(np.random.default_rng(9), n=8, p=200, d=10)
    scale = np.geomspace(1, 30, 10)
    pb = problems.LinearHingeRisk([X * scale for X in features], targets, l2=1e-3)
    default, fixed, plain = (
        solvers.pdhg(pb, tol=1e-3, max_iter=1000, **options).nit
        for options in ({}, {"adapt": False}, {"precondition": False})
    )
    assert default < 0.5 * fixed
    assert default < 0.2 * plain


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_bad_first_step_is_made_up_for(factor):
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(10)), l2=1e-2)
    g = pb.loss_and_subgradient(pb.apply(pb.center))[1]
    sigma = factor * float(np.linalg.norm(g)) / np.sqrt(g.size)
    assert solvers.pdhg(pb, sigma, tol=1e-5, max_iter=300).status == "optimal"
    assert solvers.pdhg(pb, sigma, adapt=False, tol=1e-5, max_iter=1000).status == "max_iter"


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1), noisy_images)
    with pytest.raises(ValueError, match=r"sigma is -1\.0; it must be finite and > 0"):
        solvers.pdhg(pb, -1.0)
    with pytest.raises(ValueError, match="x0 holds NaN"):
        solvers.pdhg(pb, x0=np.full(4, np.nan))


def test_a_plain_step_is_the_one_of_chambolle_and_pock():
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(11)), l2=0.1)
    plain = {"precondition": False, "adapt": False, "tol": 0}
    old, new = (solvers.pdhg(pb, max_iter=k, **plain).state["memory"] for k in (5, 6))
    tau, sigma = old["step"], old["balance"] * old["step"]
    assert sigma * tau * pb.squared_norm == pytest.approx(1)
    v = (old["v"] - tau * pb.adjoint(old["g"])) / (1 + 0.1 * tau)
    moved = old["g"] + sigma * pb.apply(2 * v - old["v"])
    np.testing.assert_allclose(new["v"], v)
    np.testing.assert_allclose(new["g"], moved - sigma * pb.prox_loss(moved / sigma, 1 / sigma), atol=1e-12)
