"""What the first-order methods with the prox have in common, in all their variants."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from risks import (
    KINDS,
    assert_certified,
    assert_finds,
    assert_resumes,
    awkward,
    image_prox,
    interrupted,
    noisy_images,
)

from lovasz_opt import problems, reference, solvers


@dataclass(frozen=True)
class Method:
    """Variants of a solver, awkward problems that it solves soon, and what it reaches on a larger one."""

    variants: tuple[dict[str, Any], ...]
    easy: tuple[str, ...]
    l2: float
    tol: float


METHODS = {
    "pdhg": Method(
        (
            {},
            {"accelerate": True},
            {"precondition": False},
            {"precondition": False, "accelerate": True},
            {"precondition": False, "adapt": False},
            {"precondition": False, "adapt": False, "accelerate": True},
            {"adapt": False},
        ),
        ("all void", "zero features", "one pixel", "separable", "small features"),
        1e-3,
        1e-6,
    ),
    "fista": Method(
        ({}, {"restart": False}, {"backtracking": False}, {"backtracking": False, "restart": False}),
        ("all void", "zero features", "one pixel", "small features"),
        0.1,
        1e-3,
    ),
    "moreau": Method(({}, {"precondition": False}), ("all void", "zero features", "one pixel"), 1e-2, 1e-5),
}
VARIANTS = [(name, variant) for name, method in METHODS.items() for variant in method.variants]
every_variant = pytest.mark.parametrize(("name", "variant"), VARIANTS)
every_method = pytest.mark.parametrize("name", METHODS)


def solver(name, **variant):
    return partial(getattr(solvers, name), **variant)


@every_variant
@pytest.mark.parametrize("seed", range(2))
def test_against_cvxpy(seed, name, variant):
    pytest.importorskip("cvxpy")
    features, targets = noisy_images(np.random.default_rng(seed), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    assert_finds(solver(name, **variant)(pb, tol=1e-5, max_iter=6000), expected, 0.1)


@every_variant
@pytest.mark.parametrize("seed", range(2))
def test_the_prox_of_an_image(seed, name, variant):
    pb = image_prox(seed)
    exact, _ = pb.solve_exact()
    r = solver(name, **variant)(pb, tol=1e-7, max_iter=6000, x0=np.ones(pb.shape))
    assert r.status == "optimal"
    np.testing.assert_allclose(r.x, exact, atol=np.sqrt(2 * r.gap) + 1e-12)


@every_method
def test_agrees_with_newton_on_a_larger_problem(name):
    method = METHODS[name]
    data = noisy_images(np.random.default_rng(2), n=10, p=300, d=12)
    pb = problems.LinearHingeRisk(*data, l2=method.l2)
    newton = solvers.ssnal(pb, tol=1e-9)
    r = solver(name)(pb, tol=method.tol, max_iter=2000)
    assert r.status == "optimal"
    assert r.dual <= newton.value
    assert newton.dual <= r.value


@every_variant
def test_a_center_that_is_not_zero(name, variant):
    rng = np.random.default_rng(3)
    whole = problems.LinearHingeRisk(*noisy_images(rng), l2=0.1)
    pb = whole.batch([0, 2, 2, 5], center=rng.standard_normal(4))
    newton = solvers.ssnal(pb, tol=1e-9)
    r = solver(name, **variant)(pb, tol=1e-4, max_iter=6000)
    assert r.status == "optimal"
    assert r.dual <= newton.value
    assert newton.dual <= r.value


@every_variant
def test_a_run_in_parts_is_the_same_run(name, variant, tmp_path):
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(4)), l2=1e-2)
    assert_resumes(partial(solver(name, **variant), pb, tol=0), tmp_path, 17, 40)


@every_method
def test_an_interrupted_run_goes_on(name):
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(5)), l2=1e-2)
    solve = partial(solver(name), pb, tol=0)
    rest = solve(max_iter=25, resume=interrupted(solve, 9))
    # The callback broke in before the memory of row 9 was kept or after: the rows up to it are the same.
    np.testing.assert_array_equal(rest.trace["value"], solve(max_iter=25).trace["value"])


@every_variant
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, name, variant):
    pb = awkward(kind, np.random.default_rng(6), noisy_images)
    best = solvers.ssnal(pb, tol=1e-9)
    for x0 in (None, np.full(pb.shape, 3.0)):
        r = solver(name, **variant)(pb, tol=1e-4, max_iter=200, x0=x0)
        assert r.status in ("optimal", "max_iter")
        assert_certified(r, best)
        if kind in METHODS[name].easy and not variant:
            assert r.status == "optimal"


@every_method
def test_a_wrong_prox_is_caught(name, monkeypatch):
    pb = problems.LinearHingeRisk(*noisy_images(np.random.default_rng(7)), l2=0.1)
    original = pb.prox_loss
    monkeypatch.setattr(pb, "prox_loss", lambda scores, gamma: original(scores, 1.5 * gamma))
    with pytest.raises(ArithmeticError, match=r"the lower bound .* exceeds the objective"):
        solver(name)(pb, tol=1e-9, max_iter=3000)


@every_method
def test_a_problem_without_a_prox_is_refused(name):
    with pytest.raises(TypeError, match=rf"{name} needs a problem with .*; object has none"):
        solver(name)(object())
