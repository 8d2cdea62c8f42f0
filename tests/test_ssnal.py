"""The semismooth Newton augmented Lagrangian method: certified, also where the problem is awkward."""

import importlib

import numpy as np
import pytest
import risks

from lovasz_opt import problems, reference, solvers
from lovasz_opt.solvers.toolkit import drive

# The package has a function of this name.
module = importlib.import_module("lovasz_opt.solvers.ssnal")


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


def jacobian(pb, pools):
    """That of the prox as a dense matrix: margins are held at 0, or averaged."""
    J = np.eye(pb.n_pixels)
    J[pools.pinned] = 0.0
    for pool in np.split(pools.pooled, pools.starts[1:]):
        J[pool] = 0.0
        J[np.ix_(pool, pool)] = np.outer(pb._signs[pool], pb._signs[pool]) / max(len(pool), 1)
    return J


def written_out(pb, A, sigma, start):
    """Newton's method on φ with dense matrices, in an augmented Lagrangian method."""
    mu, v, trials = pb.strong_convexity, start, 0
    loss, g = pb.loss_and_subgradient(A @ v)
    yield v, pb.quadratic(v) + loss, pb.minorant(g, A.T @ g)
    penalty, least, stale = sigma or np.sqrt(np.mean(g**2) if g.size else 0.0) or 1.0, np.inf, 0

    def ahead(v):
        u = A @ v + g / penalty
        F, pools = pb.prox_loss_pools(u, 1 / penalty)
        return penalty * (u - F), pools

    while stale < 8:
        for steps in range(1, 51):
            h, pools = ahead(v)
            gradient = mu * (v - pb.center) + A.T @ h
            H = mu * np.eye(len(v)) + penalty * A.T @ (np.eye(len(A)) - jacobian(pb, pools)) @ A
            direction = -np.linalg.solve(H, gradient)
            low, high, step = (0.0, gradient @ direction), None, 1.0
            for _ in range(25):
                point = v + step * direction
                slope = direction @ (mu * (point - pb.center) + A.T @ ahead(point)[0])
                if abs(slope) <= 0.4 * abs(gradient @ direction):
                    break
                trials += 1
                low, high = (low, (step, slope)) if slope > 0 else ((step, slope), high)
                if high is None:
                    step *= 2
                else:
                    share = low[1] / (low[1] - high[1])
                    step = low[0] + np.clip(share, 0.1, 0.9) * (high[0] - low[0])
            moved, v = (v + step * direction != v).any(), v + step * direction
            h, _ = ahead(v)
            minorant = pb.minorant(h, A.T @ h)
            value, residual = pb.quadratic(v) + pb.loss(A @ v), mu * (v - pb.center) + A.T @ h
            gap, newton = value - pb.lower_bound(minorant), residual @ residual / (2 * mu)
            done = not moved or newton <= 0.3 * (gap - newton) or steps == 50
            if done:
                least, stale = (gap, 0) if gap < 0.9 * least else (least, stale + 1)
            yield v, value, minorant
            if done:
                break
        penalty, g = penalty * (3 if steps <= 3 else 1.5 if steps <= 6 else 1), h


def centred(seed):
    rng = np.random.default_rng(seed)
    features, targets = images(rng, n=2, p=30)
    pb = problems.LinearHingeRisk(features, targets, l2=1e-3)
    return pb.batch(range(2), center=rng.standard_normal(4)), np.concatenate(features), None


def cases():
    rng = np.random.default_rng(14)
    features, targets = images(rng, n=2, p=30)
    pb = problems.LinearHingeRisk(features, targets, l2=1e-3)
    A, one = np.concatenate(features), np.array([[2.0]])
    truth = 30.0 * np.linalg.lstsq(A, pb._signs, rcond=None)[0]
    start = 3.0 * rng.standard_normal(4)
    solved = problems.LinearHingeRisk([A], [A @ truth > 0], l2=0.5).batch([0], center=0.1 * start)
    return {
        # Some of their Newton steps nearly end an inner problem, and some only just.
        "center": centred(17),
        "other": centred(20),
        "small penalty": (pb, A, 1e-6, start),
        "large penalty": (pb, A, 10.0, start),
        "one pixel": (problems.LinearHingeRisk([one], [[1]], l2=0.05), one, None),
        "flat start": (solved, A, None, 2 * truth),
        "void": (problems.LinearHingeRisk([A], [0 * pb.truth], 0.5, ignore=0), A[:0], None, np.ones(4)),
    }


@pytest.mark.parametrize("kind", cases())
def test_is_what_it_says(kind):
    pb, A, sigma, *x0 = cases()[kind]
    start = x0[0] if x0 else pb.center
    limits = {"tol": 1e-8, "max_iter": 200, "max_time": None, "callback": None}
    expected = drive("ssnal", pb, lambda *_: written_out(pb, A, sigma, start), **limits)
    assert expected.status == "optimal"
    # In two parts, so that all that the method knows is kept.
    half = solvers.ssnal(pb, sigma, tol=0, max_iter=min(7, expected.nit - 1), x0=start)
    found = solvers.ssnal(pb, sigma, tol=1e-8, resume=half)
    assert (found.status, found.nit) == (expected.status, expected.nit)
    for column in ("value", "dual"):
        np.testing.assert_allclose(found.trace[column], expected.trace[column], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("steps", "factor"), [(1, 3.0), (3, 3.0), (4, 1.5), (6, 1.5), (7, 1.0), (50, 1.0), (None, 1.0)]
)
def test_the_penalty_grows_where_newton_steps_are_few(steps, factor, monkeypatch):
    """With a Newton method that stands still at the end of every inner problem, or in all of it.

    Without progress, the method ends at the eighth multiplier after the first.
    """
    calls = []

    def stand(pb, system, v, slope, penalty):
        calls.append(penalty)
        return module._Step(v, steps is None or len(calls) % steps > 0)

    monkeypatch.setattr(module, "_newton_step", stand)
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(15), n=1, p=20), l2=0.1)
    result = solvers.ssnal(pb, 0.5, tol=0, x0=np.full(4, 0.1))
    length = steps or 50
    assert (result.status, result.nit) == ("finished", 9 * length)
    np.testing.assert_allclose(calls, np.repeat(0.5 * factor ** np.arange(9.0), length))


def test_a_line_search_gives_up():
    """A slope that never changes is followed with doubled steps, 25 times."""

    class Slope:
        def matrix(self, penalty):
            return np.zeros((2, 2))

        def aim(self, direction, penalty):
            return -1e30

        def trial(self, step, penalty):
            return -1e30

    pb = problems.LinearHingeRisk([np.eye(2)], [[1, 0]], l2=0.5)
    step = module._newton_step(pb, Slope(), np.zeros(2), np.array([1.0, -2.0]), 1.0)
    np.testing.assert_allclose(step.v, 2.0**25 * np.array([-2.0, 4.0]))
    assert step.moved
    assert not module._newton_step(pb, Slope(), np.zeros(2), np.zeros(2), 1.0).moved


def test_a_ridge_grows_until_the_matrix_is_definite():
    eps, target = np.finfo(float).eps, np.array([3.0, 1.0])
    M = np.array([[4.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(module._solve(M, 0.5, target), np.linalg.solve(M + 0.5 * np.eye(2), target))
    np.testing.assert_array_equal(M, [[4.0, 1.0], [1.0, 2.0]])
    for low, ridge, taken in (
        # A hundred times as much, until it is enough; at least the rounding of the greatest entry.
        (-1e-10, 1e-13, 1e-9),
        (-3e-16, 1e-20, 2 * eps),
    ):
        found = module._solve(np.diag([2.0, low]), ridge, target)
        np.testing.assert_allclose(found, target / (np.array([2.0, low]) + taken), rtol=1e-6)


def test_features_whose_squares_overflow_end_with_an_honest_gap():
    features, targets = images(np.random.default_rng(16), n=2, p=20)
    pb = problems.LinearHingeRisk([1e155 * X for X in features], targets, l2=1e-2)
    with np.errstate(over="ignore", invalid="ignore"):
        result = solvers.ssnal(pb, max_iter=50)
    assert result.status == "finished"
    assert 0 <= result.dual <= result.value == 1.0
    assert result.x.tolist() == [0.0] * 4
