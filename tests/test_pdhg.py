"""The primal-dual hybrid gradient method and its variants: certified, resumable, on both kinds of problem."""

import numpy as np
import pytest

from lovasz_opt import problems, reference, solvers
from lovasz_opt.solvers.pdhg import _metric

VARIANTS = [
    {},
    {"accelerate": True},
    {"precondition": False},
    {"precondition": False, "accelerate": True},
    {"precondition": False, "adapt": False},
    {"precondition": False, "adapt": False, "accelerate": True},
    {"adapt": False},
]
#: Awkward problems that the default solves within the limit.
EASY = ("all void", "zero features", "one pixel", "separable", "small features")


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
    r = solvers.pdhg(pb, **variant, tol=1e-5, max_iter=6000)
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
    r = solvers.pdhg(pb, **variant, tol=1e-7, max_iter=6000, x0=np.ones(pb.shape))
    assert r.status == "optimal"
    np.testing.assert_allclose(r.x, exact, atol=np.sqrt(2 * r.gap) + 1e-12)


def test_agrees_with_newton_on_a_larger_problem():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(2), n=10, p=300, d=12), l2=1e-3)
    newton = solvers.ssnal(pb, tol=1e-9)
    r = solvers.pdhg(pb, tol=1e-6, max_iter=2000)
    assert r.status == "optimal"
    assert r.dual <= newton.value
    assert newton.dual <= r.value


def test_a_center_that_is_not_zero():
    rng = np.random.default_rng(3)
    pb = problems.LinearHingeRisk(*images(rng), l2=0.1).batch([0, 2, 2, 5], center=rng.standard_normal(4))
    newton = solvers.ssnal(pb, tol=1e-9)
    for variant in VARIANTS:
        r = solvers.pdhg(pb, **variant, tol=1e-4, max_iter=6000)
        assert r.status == "optimal"
        assert r.dual <= newton.value
        assert newton.dual <= r.value


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_in_parts_is_the_same_run(variant, tmp_path):
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(4)), l2=1e-2)
    whole = solvers.pdhg(pb, **variant, tol=0, max_iter=40)
    solvers.pdhg(pb, **variant, tol=0, max_iter=17).save(tmp_path / "part.npz")
    part = solvers.Result.load(tmp_path / "part.npz")
    # Twice: what is stored must not change under the second run.
    for _ in range(2):
        rest = solvers.pdhg(pb, **variant, tol=0, max_iter=40, resume=part)
        np.testing.assert_array_equal(rest.x, whole.x)
        for column in ("passes", "value", "dual"):
            np.testing.assert_array_equal(rest.trace[column], whole.trace[column])


def test_an_interrupted_run_goes_on():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(5)), l2=1e-2)

    def interrupt(state):
        if state.iteration == 9:
            raise KeyboardInterrupt

    part = solvers.pdhg(pb, tol=0, callback=interrupt)
    assert (part.status, part.nit) == ("interrupted", 9)
    whole = solvers.pdhg(pb, tol=0, max_iter=25)
    rest = solvers.pdhg(pb, tol=0, max_iter=25, resume=part)
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
        r = solvers.pdhg(pb, **variant, tol=1e-4, max_iter=200, x0=x0)
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
        solvers.pdhg(pb, tol=1e-9, max_iter=3000)


def test_a_problem_without_a_prox_is_refused():
    with pytest.raises(TypeError, match=r"pdhg needs a problem with .*; object has none"):
        solvers.pdhg(object())


def test_metrics_belong_together():
    """Norm, dual norm, step and the norm of A in the metric, against matrices."""
    rng = np.random.default_rng(8)
    features, targets = images(rng)
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
    features, targets = images(np.random.default_rng(9), n=8, p=200, d=10)
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
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(10)), l2=1e-2)
    g = pb.loss_and_subgradient(pb.apply(pb.center))[1]
    sigma = factor * float(np.linalg.norm(g)) / np.sqrt(g.size)
    assert solvers.pdhg(pb, sigma, tol=1e-5, max_iter=300).status == "optimal"
    assert solvers.pdhg(pb, sigma, adapt=False, tol=1e-5, max_iter=1000).status == "max_iter"


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"sigma is -1\.0; it must be finite and > 0"):
        solvers.pdhg(pb, -1.0)
    with pytest.raises(ValueError, match="x0 holds NaN"):
        solvers.pdhg(pb, x0=np.full(4, np.nan))


def test_a_plain_step_is_the_one_of_chambolle_and_pock():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(11)), l2=0.1)
    plain = {"precondition": False, "adapt": False, "tol": 0}
    old, new = (solvers.pdhg(pb, max_iter=k, **plain).state["memory"] for k in (5, 6))
    tau, sigma = old["step"], old["balance"] * old["step"]
    assert sigma * tau * pb.squared_norm == pytest.approx(1)
    v = (old["v"] - tau * pb.adjoint(old["g"])) / (1 + 0.1 * tau)
    moved = old["g"] + sigma * pb.apply(2 * v - old["v"])
    np.testing.assert_allclose(new["v"], v)
    np.testing.assert_allclose(new["g"], moved - sigma * pb.prox_loss(moved / sigma, 1 / sigma), atol=1e-12)
