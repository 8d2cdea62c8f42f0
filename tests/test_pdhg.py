"""The primal-dual hybrid gradient method and its variants: certified, resumable, on both kinds of problem."""

import itertools

import numpy as np
import pytest
from risks import awkward, noisy_images

from lovasz_opt import problems, solvers
from lovasz_opt.solvers.pdhg import _metric, _rebalance
from lovasz_opt.solvers.toolkit import drive


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


def test_steps_are_balanced_only_by_distances_that_there_are():
    assert _rebalance(4.0, 8.0, 1 / 8) == 2.0
    assert _rebalance(0.0, 8.0, 0.5) == _rebalance(4.0, 0.0, 0.5) == 1.0


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


def written_out(pb, A, sigma, accelerate, precondition, adapt, start):
    """The iterations in dense matrices, all iterates since the last restart kept for their mean."""
    mu, v = pb.strong_convexity, start
    loss, g = pb.loss_and_subgradient(A @ v)
    yield v, pb.quadratic(v) + loss, pb.minorant(g, A.T @ g)
    scale = np.linalg.norm(A, 2) ** 2 if A.size else 0.0
    sigma = sigma or np.sqrt(np.mean(g**2) if g.size else 0.0) or mu / (scale or 1.0)
    M = mu * np.eye(len(v)) + sigma * A.T @ A if precondition else np.eye(len(v))
    inverse = np.linalg.inv(M)
    norm2 = np.linalg.eigvals(inverse @ A.T @ A).real.max() or 1.0
    modulus = mu / np.linalg.eigvalsh(M).max()
    tau, theta = 1 / (sigma * norm2), 1.0
    ratio, last_gap, restart, anchor, since = sigma / tau, np.inf, 0, (v, g), []
    for k in itertools.count(1):
        w = np.linalg.solve(mu * np.eye(len(v)) + M / tau, mu * pb.center - A.T @ g + M @ v / tau)
        growth = 1 + modulus * tau if accelerate else 1.0
        ratio *= growth
        safe = 1 / np.sqrt(ratio * norm2)
        trial = max(tau * np.sqrt((1 + theta) / growth), safe) if adapt else safe
        while True:
            theta, sigma = trial / tau, ratio * trial
            ahead = w + theta * (w - v)
            u = g + sigma * A @ ahead
            h = u - sigma * pb.prox_loss(u / sigma, 1 / sigma)
            turn = A.T @ (h - g)
            if trial <= safe or sigma * trial * turn @ inverse @ turn <= (h - g) @ (h - g) * (1 + 1e-12):
                break
            trial = max(trial / 2, safe)
        v, g, tau = w, h, trial
        since.append((sigma, ahead, g))
        weights, points, duals = zip(*since, strict=True)
        candidates = []
        for x, y in ((v, g), (np.average(points, 0, weights), np.average(duals, 0, weights))):
            minorant = pb.minorant(y, A.T @ y)
            candidates.append((x, y, pb.quadratic(x) + pb.loss(A @ x), minorant, pb.lower_bound(minorant)))
        x, _, value, *_ = min(candidates, key=lambda one: one[2])
        yield x, value, max(candidates, key=lambda one: one[4])[3]
        gaps = [one[2] - one[4] for one in candidates]
        if adapt and (min(gaps) <= 0.65 * last_gap or k - restart >= max(20, 0.36 * k)):
            v, g, *_ = candidates[int(gaps[1] < gaps[0])]
            last_gap, restart, since, theta = min(gaps), k, [], 1.0
            primal, dual = (v - anchor[0]) @ M @ (v - anchor[0]), (g - anchor[1]) @ (g - anchor[1])
            # A quarter of the way, in logarithms, to the ratio of the squared distances.
            factor = (dual / primal / ratio) ** 0.25 if primal > 0 and dual > 0 else 1.0
            ratio, tau, anchor = ratio * factor, tau / np.sqrt(factor), (v, g)


def cases():
    rng = np.random.default_rng(12)
    features, targets = noisy_images(rng, n=3, p=30)
    pb = problems.LinearHingeRisk(features, targets, l2=0.02)
    A, one = np.concatenate(features), np.array([[2.0]])
    steep = A * np.geomspace(1, 300, 4)
    truth = 30.0 * np.linalg.lstsq(A, pb._signs, rcond=None)[0]
    return {
        "center": (pb.batch(range(3), center=rng.standard_normal(4)), A, None),
        "given": (pb, A, 0.003),
        # Slow enough for restarts that are due to nothing but the time since the last.
        "steep": (problems.LinearHingeRisk([steep], [pb.truth], l2=1e-3), steep, None),
        "one pixel": (problems.LinearHingeRisk([one], [[1]], l2=0.05), one, None),
        "flat start": (problems.LinearHingeRisk([A], [A @ truth > 0], l2=0.5), A, None, 1e3 * truth),
        "zero": (problems.LinearHingeRisk([0 * A], [pb.truth], l2=0.5), 0 * A, None, np.ones(4)),
        "void": (problems.LinearHingeRisk([A], [0 * pb.truth], 0.5, ignore=0), A[:0], None, np.ones(4)),
    }


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("kind", cases())
def test_is_what_it_says(kind, accelerate, precondition, adapt):
    pb, A, sigma, *x0 = cases()[kind]
    start = x0[0] if x0 else pb.center
    options = (sigma, accelerate, precondition, adapt)
    limits = {"tol": 0, "max_iter": 120, "max_time": None, "callback": None}
    expected = drive("pdhg", pb, lambda *_: written_out(pb, A, *options, start), **limits)
    # In two parts, so that all that the method knows is kept.
    half = solvers.pdhg(pb, *options, tol=0, max_iter=23, x0=start)
    found = solvers.pdhg(pb, *options, tol=0, max_iter=120, resume=half)
    assert found.status == expected.status
    # Only where the gap is one of rounding may one end before the other.
    assert found.nit == expected.nit or found.status == "optimal"
    both = min(found.nit, expected.nit) + 1
    if kind == "zero" and adapt:
        # The last point and the mean are equally good, and rounding decides between them.
        both = 2
    for column in ("value", "dual"):
        traces = found.trace[column][:both], expected.trace[column][:both]
        np.testing.assert_allclose(*traces, rtol=1e-8, atol=1e-12)
    if A.size and not adapt:
        np.testing.assert_allclose(np.diff(found.trace["passes"]), 2.0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_features_whose_squares_overflow_end_the_run():
    codes = np.array([[3, 1], [2, 200], [9, 9]], np.uint8)
    pb = problems.LinearHingeRisk([problems.Quantised(codes, 1e300, 3.0)], [[1, 0, 1]], 1e-3)
    for precondition in (True, False):
        result = solvers.pdhg(pb, sigma=1.0, precondition=precondition, max_iter=3)
        assert result.status == "diverged"
