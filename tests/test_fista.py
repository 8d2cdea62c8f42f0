"""Accelerated proximal gradient on the dual: certified, resumable, on both kinds of problem."""

from itertools import islice

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


def textbook(pb, X, g, backtracking, restart):
    """FISTA on the dual, as Beck and Teboulle, Scheinberg et al., and O'Donoghue and Candès have it."""
    mu = pb.strong_convexity
    safe = mu / np.linalg.norm(X, 2) ** 2
    step, t, last = safe, 1.0, g
    while True:
        trial = 1.25 * step if backtracking else step
        while True:
            grown = (1 + np.sqrt(1 + 4 * step / trial * t**2)) / 2
            z = g + (t - 1) / grown * (g - last)
            # A gradient step on ‖Aᵀg‖²/2μ − ⟨g, Av₀⟩, then the prox of the conjugate by Moreau's identity.
            u = z - trial * (X @ (X.T @ z) / mu - X @ pb.center)
            new = u - trial * pb.prox_loss(u / trial, 1 / trial)
            if trial <= safe or trial * np.sum((X.T @ (new - z)) ** 2) <= mu * np.sum((new - z) ** 2):
                break
            trial = max(0.5 * trial, safe)
        uphill = (z - new) @ (new - g) > 0
        step, t, last, g = trial, 1.0 if restart and uphill else grown, g, new
        yield g, step, t


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_what_it_says(variant):
    features, targets = noisy_images(np.random.default_rng(13), n=3, p=25)
    X, center = np.vstack(features), np.array([0.5, -1.0, 0.0, 2.0])
    pb = problems.LinearHingeRisk(features, targets, 0.7).batch(range(3), center=center)
    start, values = np.array([1.0, 0.5, -0.5, 0.0]), [pb.value([1.0, 0.5, -0.5, 0.0])]
    g = pb.loss_and_subgradient(X @ start)[1]
    steps, restarts, dual, r = set(), 0, pb.lower_bound(pb.minorant(g)), None
    book = textbook(pb, X, g, variant.get("backtracking", True), variant.get("restart", True))
    for k, (expected, step, t) in enumerate(islice(book, 50), 1):
        r = solvers.fista(pb, **variant, x0=start, tol=0, max_iter=k, resume=r)
        memory = r.state["memory"]
        np.testing.assert_allclose(memory["g"], expected, rtol=1e-6, atol=1e-9)
        assert (memory["step"], memory["momentum"]) == (pytest.approx(step), pytest.approx(t))
        minorant = pb.minorant(expected)
        values.append(pb.value(pb.minimiser_of_bound(minorant)))
        dual = max(dual, pb.lower_bound(minorant))
        assert dual <= r.dual * (1 + 1e-12)
        steps.add(memory["step"])
        restarts += t == 1.0
    np.testing.assert_allclose(r.trace["value"], values, rtol=1e-7)
    assert (len(steps) > 10) == variant.get("backtracking", True)
    assert bool(restarts > 1) == variant.get("restart", True)


def test_the_dual_falls_at_the_rate_of_the_theorem():
    """D* − D(g_k) ≤ 2‖g₀ − g*‖²/(σ(k + 1)²) for the safe step σ, after Beck and Teboulle."""
    features, targets = noisy_images(np.random.default_rng(12), n=2, p=30)
    pb = problems.LinearHingeRisk(features, targets, 0.05)
    safe = 0.05 / np.linalg.norm(np.vstack(features), 2) ** 2
    optimum = solvers.fista(pb, tol=1e-13, max_iter=5000)
    assert optimum.status == "optimal"
    g = pb.loss_and_subgradient(pb.apply(np.zeros(4)))[1]
    distance = np.sum((g - optimum.state["memory"]["g"]) ** 2)
    r = None
    for k in range(1, 60):
        r = solvers.fista(pb, False, False, tol=0, max_iter=k, resume=r)
        memory = r.state["memory"]
        missing = optimum.value - pb.lower_bound(pb.minorant(memory["g"], memory["slope"]))
        assert missing <= 2 * distance / (safe * (k + 1) ** 2)
