"""The semismooth Newton augmented Lagrangian method: certified, also where the problem is awkward."""

import numpy as np
import pytest
import risks

from lovasz_opt import problems, reference, solvers


def images(rng, n=6, p=80, d=4, foreground=0.3, noise=1.0):
    features, targets = [], []
    for _ in range(n):
        target = rng.random(p) < foreground
        X = noise * rng.standard_normal((p, d))
        X[:, 0] += target
        X[:, -1] = 1.0
        features.append(X)
        targets.append(target)
    return features, targets


@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
def test_certified_gap(l2):
    features, targets = images(np.random.default_rng(0))
    r = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=l2), tol=1e-9)
    assert r.status == "optimal"
    assert 0 <= r.gap <= 1e-9 * r.value
    assert r.nit < 300


@pytest.mark.parametrize("seed", range(4))
def test_against_cvxpy(seed):
    rng = np.random.default_rng(seed)
    features, targets = images(rng, n=3, p=25, d=3)
    l2 = 10.0 ** rng.uniform(-3, 0)
    expected = reference.solve_linear_hinge_risk(features, targets, l2)
    r = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=l2), tol=1e-10)
    assert r.value == pytest.approx(expected.value, rel=1e-6)
    np.testing.assert_allclose(r.x, expected.x, atol=1e-2 * max(1.0, np.abs(r.x).max()))


def awkward(kind, rng):
    features, targets = images(rng)
    if kind == "separable":
        features, targets = images(rng, noise=0.01)
    elif kind == "no foreground":
        targets[0][:] = False
    elif kind == "all foreground":
        targets[1][:] = True
    elif kind == "duplicated columns":
        features = [np.hstack([X, X]) for X in features]
    elif kind == "large features":
        features = [1e4 * X for X in features]
    elif kind == "constant features":
        features = [np.ones_like(X) for X in features]
    elif kind == "one pixel":
        features, targets = [features[0][:1]], [targets[0][:1]]
    return problems.LinearHingeRisk(features, targets, l2=1e-3)


KINDS = [
    "separable",
    "no foreground",
    "all foreground",
    "duplicated columns",
    "large features",
    "constant features",
    "one pixel",
]


@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind):
    r = solvers.ssnal(awkward(kind, np.random.default_rng(1)), tol=1e-7, max_iter=500)
    assert r.status == "optimal", r.message
    assert r.gap <= max(1e-7 * r.value, 1e-14)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_any_start_and_penalty(scale):
    rng = np.random.default_rng(2)
    pb = problems.LinearHingeRisk(*images(rng), l2=1e-2)
    best = solvers.ssnal(pb, tol=1e-10).value
    start = scale * rng.standard_normal(4)
    for sigma in (None, 1e-4, 1e2):
        r = solvers.ssnal(pb, sigma, tol=1e-8, x0=start)
        assert r.status == "optimal", r.message
        assert r.value == pytest.approx(best, rel=2e-8)


def test_agrees_with_admm_within_their_gaps():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(3), p=400), l2=1e-2)
    newton, admm = solvers.ssnal(pb, tol=1e-9), solvers.admm(pb, tol=1e-5, max_iter=3000)
    assert newton.dual <= admm.value
    assert admm.dual <= newton.value
    assert newton.nit < admm.nit


def test_void_pixels_and_single_precision():
    features, targets = images(np.random.default_rng(4))
    labels = [np.where(np.arange(80) < 20, 255, t) for t in targets]
    cut = problems.LinearHingeRisk([X[20:] for X in features], [t[20:] for t in targets], l2=1e-2)
    void = problems.LinearHingeRisk(features, labels, l2=1e-2, ignore=255)
    single = problems.LinearHingeRisk([X.astype(np.float32) for X in features], labels, l2=1e-2, ignore=255)
    values = [solvers.ssnal(pb, tol=1e-9).value for pb in (cut, void, single)]
    assert values[0] == pytest.approx(values[1], rel=1e-8)
    assert values[0] == pytest.approx(values[2], rel=1e-5)


def test_newton_matrix_is_the_derivative_of_the_gradient():
    rng = np.random.default_rng(5)
    pb = problems.LinearHingeRisk(*images(rng, n=2, p=30), l2=1e-2)
    v, direction, sigma, h = rng.standard_normal(4), rng.standard_normal(4), 0.05, 1e-7

    def gradient(point):
        scores = pb.apply(point)
        F, pools = pb.prox_loss_pools(scores, 1 / sigma)
        np.testing.assert_allclose(F, pb.prox_loss(scores, 1 / sigma), atol=1e-13)
        return pb.strong_convexity * point + sigma * pb.adjoint(scores - F), pools

    ahead, behind = gradient(v + h * direction)[0], gradient(v - h * direction)[0]
    matrix = pb.newton_matrix(gradient(v)[1], sigma) + pb.strong_convexity * np.eye(4)
    np.testing.assert_allclose(matrix @ direction, (ahead - behind) / (2 * h), rtol=1e-5)


def test_bad_input():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(6)), l2=1e-2)
    with pytest.raises(ValueError, match=r"sigma is -1.0; it must be finite and > 0"):
        solvers.ssnal(pb, -1.0)
    with pytest.raises(
        TypeError, match=r"ssnal needs a problem with .* \('newton_system'\); ImageProx has none"
    ):
        solvers.ssnal(problems.ImageProx([0.5, 1.0], [1, 0], 1.0))
    assert solvers.ssnal(pb, max_iter=3, tol=1e-12).status == "max_iter"
    assert solvers.ssnal(pb, tol=0.0).status in ("finished", "optimal")


def test_pools_too_large_for_memory(monkeypatch):
    from lovasz_opt.problems import linear_hinge

    pb = problems.LinearHingeRisk(*images(np.random.default_rng(7), n=3, p=50), l2=1e-2)
    pools = pb.prox_loss_pools(pb.apply(np.zeros(4)), 1.0)[1]
    assert np.diff(pools.starts, append=len(pools.pooled)).min() > 16
    whole = pb.newton_matrix(pools, 0.3)
    monkeypatch.setattr(linear_hinge, "_BYTES", 16 * 4 * 8)
    np.testing.assert_allclose(pb.newton_matrix(pools, 0.3), whole, atol=1e-12 * np.abs(whole).max())


def test_resume_is_the_same_run(tmp_path):
    features, targets = images(np.random.default_rng(8))
    whole = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=1e-4), tol=1e-11)
    for k in (0, 1, whole.nit // 2, whole.nit - 1):
        part = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=1e-4), max_iter=k, tol=1e-11)
        assert part.status == "max_iter"
        part.save(tmp_path / "part.npz")
        kept = solvers.Result.load(tmp_path / "part.npz")
        rest = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=1e-4), tol=1e-11, resume=kept)
        assert rest.status == "optimal"
        np.testing.assert_array_equal(rest.x, whole.x)
        for column in ("iteration", "value", "dual", "gap"):
            np.testing.assert_array_equal(rest.trace[column], whole.trace[column])


@pytest.mark.parametrize("duplicated", [False, True])
@pytest.mark.parametrize("l2", [1e-3, 1e-8])
@pytest.mark.parametrize("scale", [1e-6, 1e4, 1e6, 1e8, 1e12])
def test_a_ridge_that_is_lost_in_rounding(scale, l2, duplicated):
    """The Newton matrix may come out indefinite: the outcome is a status with an honest gap, not an error."""
    features, targets = risks.images(np.random.default_rng(0))
    features = [scale * np.hstack([X, X] if duplicated else [X]) for X in features]
    r = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=l2), tol=1e-7, max_iter=250)
    assert r.status in ("optimal", "finished", "max_iter", "diverged")
    assert np.isfinite(r.x).all()
    assert 0 <= r.dual <= r.value <= 1 + 1e-12
    if scale <= 1e6:
        assert r.status == "optimal"
