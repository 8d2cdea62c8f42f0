"""ADMM with the exact prox: the published iteration, its first penalty and how that changes."""

import importlib
from itertools import islice

import numpy as np
import pytest
from risks import images

from lovasz_opt import problems, solvers


def textbook_admm(pb, X, rho, relaxation, start, changes):
    """Boyd et al. 2011 with an unscaled multiplier; penalties by relative residuals as Wohlberg 2017."""
    mu, F = pb.strong_convexity, X @ start
    y, k = pb.loss_and_subgradient(F)[1], 0
    while True:
        k += 1
        system = mu * np.eye(X.shape[1]) + rho * X.T @ X
        v = np.linalg.solve(system, mu * pb.center + X.T @ (rho * F - y))
        mixed = relaxation * X @ v + (1 - relaxation) * F
        old, F = F, pb.prox_loss(mixed + y / rho, 1 / rho)
        y = y + rho * (mixed - F)
        if k in changes:
            primal = np.linalg.norm(X @ v - F) / max(np.linalg.norm(X @ v), np.linalg.norm(F))
            dual = rho * np.linalg.norm(F - old) / np.linalg.norm(y)
            rho *= float(np.clip(np.sqrt(primal / dual), 0.2, 5.0))
        yield v, F, y, rho


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.6])
@pytest.mark.parametrize("rho", [None, 1e-3])
def test_admm_is_what_it_says(adapt, relaxation, rho):
    features, targets = images(np.random.default_rng(4), n=3, p=20, noise=1.0)
    X, center = np.vstack(features), np.array([0.5, -1.0, 0.0, 2.0])
    pb = problems.LinearHingeRisk(features, targets, 0.05).batch(range(3), center=center)
    start, seen = np.array([1.0, 0.5, -0.5, 0.0]), []
    result = solvers.admm(
        pb, rho, adapt, relaxation, x0=start, tol=0, max_iter=12,
        callback=lambda state: seen.append((state.x.copy(), state.value, state.dual)),
    )  # fmt: skip
    g = pb.loss_and_subgradient(X @ start)[1]
    first = rho or float(np.linalg.norm(g)) / np.sqrt(60)
    # Ever further apart: the next change comes after half as many iterations again.
    changes = (1, 2, 4, 7, 11) if adapt else ()
    states = list(islice(textbook_admm(pb, X, first, relaxation, start, changes), 12))
    assert seen[0][1] == pytest.approx(pb.value(start), rel=1e-12)
    best = 0.0
    for (x, value, dual), (v, _, y, _) in zip(seen[1:], states, strict=True):
        np.testing.assert_allclose(x, v, rtol=1e-8, atol=1e-8)
        assert value == pytest.approx(pb.value(v), rel=1e-8)
        best = max(best, pb.lower_bound(pb.minorant(y)))
        assert best <= dual * (1 + 1e-9) + 1e-12
    memory, (_, F, y, penalty) = result.state["memory"], states[-1]
    assert memory["penalty"] == pytest.approx(penalty, rel=1e-7)
    assert (memory["penalty"] == pytest.approx(first, rel=1e-12)) == (not adapt)
    np.testing.assert_allclose(memory["F"], F, atol=1e-8)
    np.testing.assert_allclose(memory["penalty"] * memory["y"], y, atol=1e-8)
    # Kept up to date without products with the features.
    np.testing.assert_allclose(memory["adjoint_F"], X.T @ F, atol=1e-7)
    np.testing.assert_allclose(memory["penalty"] * memory["adjoint_y"], X.T @ y, atol=1e-7)


def test_the_first_penalty_of_admm():
    """‖g‖ per unit of margin; 1 where the loss is flat, and where there is no pixel."""
    one = problems.LinearHingeRisk([[[2.0]]], [[1]], l2=0.1)
    g = one.loss_and_subgradient(np.zeros(1))[1]
    assert solvers.admm(one, max_iter=0).state["memory"]["penalty"] == abs(g[0])
    right = problems.LinearHingeRisk([[[1.0], [-1.0]]], [[1, 0]], l2=0.1)
    assert solvers.admm(right, x0=[5.0], max_iter=0).state["memory"]["penalty"] == 1.0
    void = problems.LinearHingeRisk([[[1.0]]], [[255]], l2=0.1, ignore=255)
    assert solvers.admm(void, x0=[5.0], max_iter=0).state["memory"]["penalty"] == 1.0
    # From the flat part of the loss it finds the optimum all the same.
    assert solvers.admm(right, x0=[5.0], tol=1e-9).status == "optimal"


def test_a_change_of_penalty_is_bounded():
    balance = importlib.import_module("lovasz_opt.solvers.admm")._balance
    assert balance(0.5, 0.25) == pytest.approx(np.sqrt(2))
    assert balance(0.25, 0.5) == pytest.approx(np.sqrt(0.5))
    assert balance(24.0, 1.0) == pytest.approx(np.sqrt(24))
    assert (balance(26.0, 1.0), balance(1.0, 26.0)) == (5.0, 0.2)
    # Nothing is known about the ratio.
    assert balance(0.0, 1.0) == balance(1.0, 0.0) == balance(0.0, 0.0) == 1.0
