"""Accelerated proximal gradient on the dual: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest

from lovasz_opt import problems, reference, solvers

VARIANTS = [{}, {"restart": False}, {"backtracking": False}, {"backtracking": False, "restart": False}]
#: Awkward problems that the default solves within the limit.
EASY = ("all void", "zero features", "one pixel", "small features")


def images(rng, n=6, p=60, d=4, foreground=0.3, noise=1.0):
    features, targets = [], []
    for _ in range(n):
        target = rng.random(p) < foreground
        X = noise * rng.standard_normal((p, d))
        X[:, :2] += 1.5 * target[:, None]
        X[:, -1] = 1.0
        features.append(X)
        targets.append(target)
    return features, targets


def image_prox(seed, p=40):
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(p) < 0.1, 255, rng.random(p) < 0.4)
    return problems.ImageProx(rng.standard_normal(p), target, gamma=10.0, ignore=255)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(2))
def test_against_cvxpy(seed, variant):
    pytest.importorskip("cvxpy")
    features, targets = images(np.random.default_rng(seed), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    r = solvers.fista(pb, **variant, tol=1e-5, max_iter=6000)
    assert r.status == "optimal"
    assert r.dual <= expected.value * (1 + 1e-9)
    assert expected.value <= r.value * (1 + 1e-9)
    # ½μ‖v − v*‖² ≤ gap.
    assert np.linalg.norm(r.x - expected.x) <= np.sqrt(2 * r.gap / 0.1) + 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(2))
def test_the_prox_of_an_image(seed, variant):
    pb = image_prox(seed)
    exact, _ = pb.solve_exact()
    r = solvers.fista(pb, **variant, tol=1e-7, max_iter=6000, x0=np.ones(pb.shape))
    assert r.status == "optimal"
    np.testing.assert_allclose(r.x, exact, atol=np.sqrt(2 * r.gap) + 1e-12)


def test_agrees_with_newton_on_a_larger_problem():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(2), n=10, p=300, d=12), l2=0.1)
    newton = solvers.ssnal(pb, tol=1e-9)
    r = solvers.fista(pb, tol=1e-3, max_iter=2000)
    assert r.status == "optimal"
    assert r.dual <= newton.value
    assert newton.dual <= r.value


def test_a_center_that_is_not_zero():
    rng = np.random.default_rng(3)
    pb = problems.LinearHingeRisk(*images(rng), l2=0.1).batch([0, 2, 2, 5], center=rng.standard_normal(4))
    newton = solvers.ssnal(pb, tol=1e-9)
    for variant in VARIANTS:
        r = solvers.fista(pb, **variant, tol=1e-4, max_iter=6000)
        assert r.status == "optimal"
        assert r.dual <= newton.value
        assert newton.dual <= r.value


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_in_parts_is_the_same_run(variant, tmp_path):
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(4)), l2=1e-2)
    whole = solvers.fista(pb, **variant, tol=0, max_iter=40)
    solvers.fista(pb, **variant, tol=0, max_iter=17).save(tmp_path / "part.npz")
    part = solvers.Result.load(tmp_path / "part.npz")
    # Twice: what is stored must not change under the second run.
    for _ in range(2):
        rest = solvers.fista(pb, **variant, tol=0, max_iter=40, resume=part)
        np.testing.assert_array_equal(rest.x, whole.x)
        for column in ("passes", "value", "dual"):
            np.testing.assert_array_equal(rest.trace[column], whole.trace[column])


def test_an_interrupted_run_goes_on():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(5)), l2=1e-2)

    def interrupt(state):
        if state.iteration == 9:
            raise KeyboardInterrupt

    part = solvers.fista(pb, tol=0, callback=interrupt)
    assert (part.status, part.nit) == ("interrupted", 9)
    whole = solvers.fista(pb, tol=0, max_iter=25)
    rest = solvers.fista(pb, tol=0, max_iter=25, resume=part)
    # The callback broke in before the memory of row 9 was kept or after: the rows up to it are the same.
    np.testing.assert_array_equal(rest.trace["value"], whole.trace["value"])


def awkward(kind, rng):
    features, targets = images(rng)
    if kind == "separable":
        features, targets = images(rng, noise=0.01)
    elif kind == "no foreground":
        targets = [np.zeros_like(target) for target in targets]
    elif kind == "all foreground":
        targets[1][:] = True
    elif kind == "one void image":
        targets = [target.astype(int) for target in targets]
        targets[0][:] = 255
    elif kind == "all void":
        targets = [np.full(target.shape, 255) for target in targets]
    elif kind == "duplicated columns":
        features = [np.hstack([X, X]) for X in features]
    elif kind == "large features":
        features = [1e4 * X for X in features]
    elif kind == "small features":
        features = [1e-4 * X for X in features]
    elif kind == "zero features":
        features = [np.zeros_like(X) for X in features]
    elif kind == "one pixel":
        features, targets = [features[0][:1]], [targets[0][:1]]
    return problems.LinearHingeRisk(features, targets, l2=1e-2, ignore=255)


KINDS = [
    "separable", "no foreground", "all foreground", "one void image", "all void", "duplicated columns",
    "large features", "small features", "zero features", "one pixel",
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, variant):
    pb = awkward(kind, np.random.default_rng(6))
    best = solvers.ssnal(pb, tol=1e-9)
    for x0 in (None, np.full(pb.shape, 3.0)):
        r = solvers.fista(pb, **variant, tol=1e-4, max_iter=200, x0=x0)
        assert r.status in ("optimal", "max_iter")
        assert np.isfinite(r.x).all()
        assert r.dual <= best.value * (1 + 1e-9) + 1e-14
        assert best.dual <= r.value * (1 + 1e-9)
        if kind in EASY and not variant:
            assert r.status == "optimal"


def test_a_wrong_prox_is_caught(monkeypatch):
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(7)), l2=0.1)
    original = pb.prox_loss
    monkeypatch.setattr(pb, "prox_loss", lambda scores, gamma: original(scores, 1.5 * gamma))
    with pytest.raises(ArithmeticError, match=r"the lower bound .* exceeds the objective"):
        solvers.fista(pb, tol=1e-9, max_iter=3000)


def test_a_problem_without_a_prox_is_refused():
    with pytest.raises(TypeError, match=r"fista needs a problem with .*; object has none"):
        solvers.fista(object())


def test_a_problem_that_is_one_prox_takes_one_step():
    pb = image_prox(3)
    exact, _ = pb.solve_exact()
    for variant in VARIANTS:
        r = solvers.fista(pb, **variant, tol=1e-12, x0=np.ones(pb.shape))
        assert (r.status, r.nit) == ("optimal", 1)
        np.testing.assert_allclose(r.x, exact, atol=1e-12)


def test_every_step_obeys_the_model_of_the_quadratic():
    """Without momentum, each step may raise the dual only: the model along it bounds it from below."""
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(8)), l2=0.05)
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
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(9)), l2=0.05)
    default, fixed, without = (
        solvers.fista(pb, tol=1e-10, max_iter=2000, **options).nit
        for options in ({}, {"backtracking": False}, {"restart": False})
    )
    assert default < 0.5 * fixed
    assert default < 0.8 * without


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1))
    with pytest.raises(ValueError, match="x0 holds NaN"):
        solvers.fista(pb, x0=np.full(4, np.nan))
    with pytest.raises(ValueError, match="tol is nan"):
        solvers.fista(pb, tol=np.nan)


def test_a_step_is_taken_from_the_extrapolated_point():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(10)), l2=0.1)
    old, new = (solvers.fista(pb, False, False, tol=0, max_iter=k).state["memory"] for k in (5, 6))
    sigma, t = old["step"], old["momentum"]
    beta = (t - 1) / new["momentum"]
    assert beta > 0.4
    z = old["g"] + beta * (old["g"] - old["last_g"])
    moved = z - sigma / 0.1 * pb.apply(pb.adjoint(z))
    np.testing.assert_allclose(new["g"], moved - sigma * pb.prox_loss(moved / sigma, 1 / sigma), atol=1e-12)
