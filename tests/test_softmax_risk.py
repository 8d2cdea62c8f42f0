"""The Lovász-Softmax risk of a linear layer and its convex local model, against the definition and CVXPY."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lovasz_opt import reference, solvers
from lovasz_opt.problems import LinearisedSoftmaxRisk, LovaszSoftmaxRisk, Minorant
from lovasz_opt.solvers._driver import LowerBound


def jaccard(target, mask):
    union = np.count_nonzero(target | mask)
    return np.count_nonzero(mask) / union if union else 0.0


def brute_extension(target, errors):
    """max ⟨w, m⟩ over the base polytope: its vertices are the increments along all orders of the pixels."""
    best = -np.inf
    for order in itertools.permutations(range(len(target))):
        mask, before, total = np.zeros(len(target), bool), 0.0, 0.0
        for j in order:
            mask[j] = True
            after = jaccard(target, mask)
            total, before = total + (after - before) * errors[j], after
        best = max(best, total)
    return best


def brute_value(features, targets, W, l2, every=False, ignore=None):
    losses = []
    for X, y in zip(features, targets, strict=True):
        X, y = X[y != ignore], y[y != ignore]
        powers = np.exp(X @ W)
        probas = powers / powers.sum(axis=1, keepdims=True)
        counted = range(W.shape[1]) if every else np.unique(y)
        per_class = [
            brute_extension(y == c, np.where(y == c, 1 - probas[:, c], probas[:, c])) for c in counted
        ]
        losses.append(np.mean(per_class) if len(y) else 0.0)
    return l2 / 2 * np.sum(W**2) + np.mean(losses)


def data(seed, n_images=3, d=2, n_classes=3, largest=5, ignore=None):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, size=n_images)
    features = [rng.standard_normal((p, d)) for p in sizes]
    targets = [rng.integers(0, n_classes, size=p) for p in sizes]
    if ignore is not None:
        for y in targets:
            y[rng.random(len(y)) < 0.4] = ignore
    return features, targets, rng.standard_normal((d, n_classes))


def learnable(seed=0, n_images=4, p=80, d=3, n_classes=3, l2=1e-2):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((d, n_classes))
    features = [rng.standard_normal((p, d)) for _ in range(n_images)]
    targets = [(X @ truth + 0.5 * rng.standard_normal((p, n_classes))).argmax(axis=1) for X in features]
    return LovaszSoftmaxRisk(features, targets, l2, n_classes)


def models(seed, **options):
    features, targets, W = data(seed)
    pb = LovaszSoftmaxRisk(features, targets, 0.2, 3)
    for clip in (True, False):
        yield pb, W, pb.linearised(W, clip=clip, **options)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("ignore", [None, 255])
def test_value_is_what_it_says(seed, classes, ignore):
    features, targets, W = data(seed, ignore=ignore)
    pb = LovaszSoftmaxRisk(features, targets, 0.3, 3, classes, ignore)
    expected = brute_value(features, targets, W, 0.3, classes == "all", ignore)
    assert pb.value(W) == pytest.approx(expected, rel=1e-12)
    assert pb.value(W.ravel()) == pb.value(W)
    assert pb.value_and_subgradient(W)[0] == pb.value(W)
    assert pb.known_bound <= expected


@pytest.mark.parametrize("classes", ["present", "all"])
def test_subgradient_is_the_gradient_where_the_value_is_smooth(classes):
    features, targets, W = data(3, n_images=4, largest=12, ignore=255)
    pb = LovaszSoftmaxRisk(features, targets, 0.1, 3, classes, ignore=255)
    h = 1e-6
    differences = [
        (pb.value(W + h * E.reshape(2, 3)) - pb.value(W - h * E.reshape(2, 3))) / (2 * h) for E in np.eye(6)
    ]
    subgradient = pb.value_and_subgradient(W)[1]
    assert subgradient.shape == (2, 3)
    np.testing.assert_allclose(subgradient.ravel(), differences, atol=1e-8)


def test_it_is_not_convex_and_a_subgradient_is_no_minorant():
    # One pixel of class 0: P = l2/2‖W‖² + 1/(1 + e^a) with a = w₀ − w₁, concave where a < 0.
    pb = LovaszSoftmaxRisk([np.ones((1, 1))], [[0]], 1e-6, n_classes=2)
    low, high = np.array([[-4.0, 4.0]]), np.array([[0.0, 0.0]])
    chord = 0.5 * (pb.value(low) + pb.value(high))
    assert pb.value(0.5 * (low + high)) > chord + 0.2
    value, g = pb.value_and_subgradient(high)
    assert value == pytest.approx(0.5, rel=1e-12)
    other = np.array([[6.0, -6.0]])
    assert pb.value(other) > value + np.sum(g * (other - high)) + 0.5
    assert pb.value(-other) < value + np.sum(g * (-other - high)) - 0.5
    assert pb.linearise(high.ravel())[2] is None
    assert not pb.convex


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 30.0]), st.sampled_from(["present", "all"]))
def test_the_known_bound_is_below_the_risk(seed, scale, classes):
    features, targets, W = data(seed, n_classes=2 + seed % 3)
    pb = LovaszSoftmaxRisk([scale * X for X in features], targets, 10.0 ** -(seed % 5), W.shape[1], classes)
    g = pb.value_and_subgradient(W / scale)[1]
    for point in (W / scale, np.zeros_like(W), W / scale - g / np.linalg.norm(g), 10 * W / scale):
        assert 0 < pb.known_bound <= pb.value(point)


def test_the_known_bound_is_tight_where_the_ridge_rules():
    features, targets, W = data(0)
    pb = LovaszSoftmaxRisk(features, targets, 1e8, 3)
    assert pb.value(0 * W) == pytest.approx(2 / 3, rel=1e-12)
    assert pb.known_bound == pytest.approx(2 / 3, rel=2e-3)


@pytest.mark.parametrize("step", [None, "normalised", "constant", "sqrt", "polyak"])
def test_subgradient_descent_with_an_honest_gap(step):
    pb = learnable()
    size = 3.0 if step == "sqrt" else 0.3
    result = solvers.subgradient(pb, step, size, max_iter=150)
    assert result.status == "max_iter"
    assert result.x.shape == pb.shape
    assert result.value == pytest.approx(pb.value(result.x), rel=1e-12)
    assert result.value < 0.75 * pb.value(np.zeros(pb.shape))
    assert result.gap == result.value - result.dual > 0
    assert set(result.trace["dual"]) == {pb.known_bound}
    if step is None:
        assert result.value == solvers.subgradient(pb, "normalised", size, max_iter=150).value


def test_subgradient_descent_resumes(tmp_path):
    pb = learnable()
    whole = solvers.subgradient(pb, max_iter=20)
    solvers.subgradient(pb, max_iter=8).save(tmp_path / "half.npz")
    resumed = solvers.subgradient(pb, max_iter=20, resume=solvers.Result.load(tmp_path / "half.npz"))
    np.testing.assert_array_equal(resumed.x, whole.x)
    np.testing.assert_array_equal(resumed.trace["value"], whole.trace["value"])
    np.testing.assert_array_equal(resumed.trace["dual"], whole.trace["dual"])


CONVEX = {"admm", "bundle", "fista", "frank_wolfe", "moreau", "pdhg", "prox", "proximal_gradient", "ssnal"}


@pytest.mark.parametrize("name", sorted(CONVEX & set(solvers.__all__)))
def test_solvers_that_rely_on_convexity_refuse_it(name):
    with pytest.raises(
        TypeError, match=rf"{name} needs a problem with a convex objective \('convex'\); that of LovaszSoftm"
    ):
        getattr(solvers, name)(learnable())


def test_a_strongly_convex_step_is_refused_and_a_minorant_too():
    pb = learnable()
    with pytest.raises(TypeError, match=r"step 'strong' needs .* strongly convex objective"):
        solvers.subgradient(pb, "strong")
    with pytest.raises(TypeError, match="is not convex: its linearisations are no minorants"):
        LowerBound(pb).add(Minorant(0.0, pb.center))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("step", [None, 0.7])
def test_the_model_agrees_to_first_order(seed, step):
    for pb, W, model in models(seed, step=step):
        value, g = pb.value_and_subgradient(W)
        model_value, model_g = model.value_and_subgradient(W)
        assert model_value == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(model_g, g, atol=1e-13)
        D = np.random.default_rng(seed).standard_normal(W.shape)
        errors = [
            abs(model.value(W + t * D) - pb.value(W + t * D) - (t * t * np.sum(D * D) / 1.4 if step else 0))
            for t in (1e-2, 1e-3)
        ]
        lengths = max(np.sum(X * X, axis=1).max() for X in data(seed)[0])
        assert errors[0] <= 1e-4 * np.sum(D * D) * lengths / 6 + 1e-14
        assert errors[1] <= 1e-6 * np.sum(D * D) * lengths / 6 + 1e-14


@pytest.mark.parametrize("seed", range(8))
def test_a_short_step_makes_the_model_a_majorant(seed):
    features, targets, W = data(seed, largest=30)
    pb = LovaszSoftmaxRisk(features, targets, 0.05, 3)
    lengths = max(np.sum(X * X, axis=1).max() for X in features)
    model = pb.linearised(W, step=3 / lengths)
    rng = np.random.default_rng(seed)
    for _ in range(30):
        other = W + 10 ** rng.uniform(-2, 1) * rng.standard_normal(W.shape)
        assert pb.value(other) <= model.value(other) + 1e-12
    result = solvers.admm(model, tol=1e-7, max_iter=5000)
    assert result.status == "optimal"
    assert pb.value(result.x) <= result.value <= pb.value(W)


@pytest.mark.parametrize("seed", range(8))
def test_the_model_is_convex_and_its_minorants_are_below(seed):
    rng = np.random.default_rng(seed)
    for _, W, model in models(seed, step=2.0):
        points = [W, *(W + 3 * rng.standard_normal((6, *W.shape)))]
        values = [model.value(p) for p in points]
        mu = model.strong_convexity
        for p, q in itertools.combinations(range(len(points)), 2):
            bend = mu / 8 * np.sum((points[p] - points[q]) ** 2)
            middle = model.value(0.5 * (points[p] + points[q]))
            assert middle <= 0.5 * (values[p] + values[q]) - bend + 1e-12
        for point in points:
            value, g, cut = model.linearise(point.ravel())
            assert cut.offset + cut.slope @ (point.ravel() - model.center) + model.quadratic(
                point.ravel()
            ) == pytest.approx(value, rel=1e-12)
            for other, reached in zip(points, values, strict=True):
                step = (other - point).ravel()
                assert reached >= value + g @ step + mu / 2 * step @ step - 1e-11
            assert model.lower_bound(cut) <= min(values)
        assert model.known_bound <= min(values)


@pytest.mark.parametrize("seed", range(8))
def test_linear_algebra_and_prox_of_the_model(seed):
    rng = np.random.default_rng(seed)
    for _, W, model in models(seed, step=2.0):
        v, g = rng.standard_normal(W.size), rng.standard_normal(model.apply(W.ravel()).size)
        assert model.apply(v) @ g == pytest.approx(v @ model.adjoint(g), rel=1e-11)
        A = np.stack([model.apply(e) for e in np.eye(W.size)], axis=1)
        assert model.squared_norm == pytest.approx(np.linalg.norm(A, 2) ** 2, rel=1e-10)
        np.testing.assert_allclose(model.gram(v), A.T @ (A @ v), atol=1e-12)
        w = model.ridge(3.0, model.adjoint(g))
        residual = model.strong_convexity * (w - model.center) + 3.0 * (A.T @ (A @ w - g))
        np.testing.assert_allclose(residual, 0, atol=1e-11)
        # The residual of the prox is a subgradient at the prox: its support is attained there.
        scores, gamma = 2 * rng.standard_normal(g.size), 10 ** rng.uniform(-1, 1)
        F = model.prox_loss(scores, gamma)
        dual = (scores - F) / gamma
        assert model.support(dual, F) == pytest.approx(model.loss(F), abs=1e-12)
        for other in rng.standard_normal((10, g.size)):
            assert model.loss(other) >= model.support(dual, other) - 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_the_newton_matrix_is_the_derivative_of_the_prox(seed):
    rng = np.random.default_rng(seed)
    for _, W, model in models(seed, step=2.0):
        scores, gamma, h = rng.standard_normal(model.apply(W.ravel()).size), 2.0, 1e-6
        F, pools = model.prox_loss_pools(scores, gamma)
        np.testing.assert_allclose(F, model.prox_loss(scores, gamma), atol=1e-14)
        A = np.stack([model.apply(e) for e in np.eye(W.size)], axis=1)
        moves = [model.prox_loss(scores + h * a, gamma) - model.prox_loss(scores - h * a, gamma) for a in A.T]
        expected = 3.0 * A.T @ (A - np.stack(moves, axis=1) / (2 * h))
        np.testing.assert_allclose(model.newton_matrix(pools, 3.0), expected, atol=1e-7)


@pytest.mark.parametrize("clip", [True, False])
def test_second_order_agrees_with_first_order(clip, monkeypatch):
    pb = learnable()
    W = solvers.subgradient(pb, max_iter=20).x
    model = pb.linearised(W, step=5.0, clip=clip)
    newton, first = solvers.ssnal(model, tol=1e-10), solvers.admm(model, tol=1e-8, max_iter=20_000)
    assert (newton.status, first.status) == ("optimal", "optimal")
    assert abs(newton.value - first.value) <= newton.gap + first.gap
    pools = model.prox_loss_pools(model.apply(W.ravel()), 50.0)[1]
    whole = model.newton_matrix(pools, 1.0)
    monkeypatch.setattr("lovasz_opt.problems.linearised_softmax._BYTES", 8 * W.size * 7)
    assert len(pools.pooled) > 7
    np.testing.assert_allclose(model.newton_matrix(pools, 1.0), whole, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [None, 0.5])
def test_optimum_of_the_model_against_cvxpy(seed, step):
    pytest.importorskip("cvxpy")
    features, targets, W = data(seed, largest=8)
    pb = LovaszSoftmaxRisk(features, targets, 0.2, 3)
    for clip in (True, False):
        model = pb.linearised(W, step, clip)
        expected = reference.solve_linearised_softmax_risk(features, targets, W, 0.2, step=step, clip=clip)
        assert model.value(expected.x) == pytest.approx(expected.value, rel=1e-10)
        result = solvers.admm(model, tol=1e-9, max_iter=20_000)
        assert result.status == "optimal"
        assert 0 <= result.gap <= 1e-9 * abs(result.value)
        assert result.dual <= expected.value + 1e-12
        assert expected.value - expected.gap <= result.value + 1e-12
        assert result.value == pytest.approx(expected.value, rel=1e-7)
        descent = solvers.subgradient(model, max_iter=300)
        assert descent.dual - 1e-12 <= expected.value <= descent.value + 1e-9
        assert descent.gap < 0.2 * max(abs(descent.value), 0.1)


def test_a_model_with_a_negative_optimum_without_clipping():
    # Far from W = 0 the expanded error of the one pixel is below 0: rewarded, unless it is clipped.
    pb = LovaszSoftmaxRisk([np.full((1, 1), 4.0)], [[0]], 1e-2, n_classes=2)
    rewarded, clipped = pb.linearised([[0.0, 0.0]], clip=False), pb.linearised([[0.0, 0.0]])
    low, high = solvers.admm(rewarded, tol=1e-8), solvers.admm(clipped, tol=1e-8)
    # min l2·w² + 1/2 − 2w over W = (w, −w), and the same where the error is ≥ 0: w = 1/4.
    assert (low.status, high.status) == ("optimal", "optimal")
    assert low.value == pytest.approx(0.5 - 100.0, rel=1e-7)
    assert low.dual <= low.value
    assert high.value == pytest.approx(1e-2 / 16, rel=1e-6)
    assert solvers.subgradient(rewarded, max_iter=50).dual == pytest.approx(0.5 - 100.0, rel=1e-9)
    # A start below 0 is no sign of divergence.
    started = solvers.subgradient(rewarded, "constant", 1.0, x0=[[40.0, -40.0]], max_iter=3)
    assert started.trace["value"][0] < -1
    assert started.status == "max_iter"


def test_dual_values_certify_gaps_of_the_model():
    rng = np.random.default_rng(1)
    for pb, W, model in models(4, step=1.0):
        s = []
        # The mean of the errors is in every base polytope, and so is a greedy vector of random errors.
        for rows, y in zip(pb.pixels.slices, data(4)[1], strict=True):
            p = rows.stop - rows.start
            w = np.empty((len(np.unique(y)), p))
            for k, c in enumerate(np.unique(y)):
                order, mask, before = rng.permutation(p), np.zeros(p, bool), 0.0
                for j in order:
                    mask[j] = True
                    after = jaccard(y == c, mask)
                    w[k, j], before = after - before, after
            s.append(0.5 * w + 0.5 / p)
        for _ in range(10):
            assert model.gap(W + rng.standard_normal(W.shape), s) >= -1e-12
        with pytest.raises(ValueError, match="s holds 1 dual arrays, expected 3: one per image"):
            model.dual_value(s[:1])
        with pytest.raises(ValueError, match=r"s\[0\] has shape"):
            model.dual_value([w[:, :0] for w in s])


@pytest.mark.parametrize("classes", ["present", "all"])
def test_void_pixels_and_absent_classes(classes):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((9, 2)), rng.integers(0, 2, size=9)
    y[[0, 4]] = 255
    W, seen = rng.standard_normal((2, 4)), y != 255
    options = {"l2": 0.5, "n_classes": 4, "classes": classes}
    with_void = LovaszSoftmaxRisk([X, X], [y, np.full(9, 255)], ignore=255, **options)
    without = LovaszSoftmaxRisk([X[seen]], [y[seen]], **options)
    ridge = 0.25 * np.sum(W * W)
    assert with_void.n_pixels == without.n_pixels == 7
    assert with_void.value(W) - ridge == pytest.approx((without.value(W) - ridge) / 2, rel=1e-12)
    np.testing.assert_allclose(
        with_void.value_and_subgradient(W)[1] - 0.5 * W,
        (without.value_and_subgradient(W)[1] - 0.5 * W) / 2,
        atol=1e-14,
    )
    model = with_void.linearised(W)
    assert model.value(W) == pytest.approx(with_void.value(W), rel=1e-12)
    assert len(model.apply(W.ravel())) == 7 * (2 if classes == "present" else 4)
    result = solvers.admm(model, tol=1e-7, max_iter=5000)
    assert result.status == "optimal"
    assert with_void.iou(W) == pytest.approx((without.iou(W) + 1) / 2)


def test_all_void_is_solved_at_the_start():
    pb = LovaszSoftmaxRisk([np.ones((3, 2))], [[255] * 3], n_classes=3, ignore=255)
    W = np.ones((2, 3))
    assert pb.value(W) == pytest.approx(3e-3)
    assert pb.known_bound == 0.0
    np.testing.assert_allclose(pb.value_and_subgradient(W)[1], 1e-3)
    result = solvers.subgradient(pb)
    assert (result.status, result.value, result.nit) == ("optimal", 0.0, 0)
    for clip in (True, False):
        result = solvers.admm(pb.linearised(W, clip=clip))
        assert (result.status, result.value, result.nit) == ("optimal", 0.0, 0)
    assert pb.iou(W) == 1.0


def test_one_pixel():
    pb = LovaszSoftmaxRisk([[[2.0]]], [[1]], 0.1, n_classes=2)
    W = np.array([[0.3, -0.4]])
    assert pb.value(W) == pytest.approx(0.05 * 0.25 + 1 / (1 + np.exp(-1.4)), rel=1e-13)
    assert solvers.admm(pb.linearised(W, step=1.0), tol=1e-9).status == "optimal"
    result = solvers.subgradient(pb, max_iter=300)
    assert result.dual <= result.value < pb.value(0 * W)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scaled_features_end_with_a_status(scale):
    features, targets, _ = data(5, largest=30)
    pb = LovaszSoftmaxRisk([scale * X for X in features], targets, 1e-3, 3)
    result = solvers.subgradient(pb, max_iter=30)
    assert np.isfinite(result.value)
    assert 0 < result.dual <= result.value
    inner = solvers.admm(pb.linearised(result.x, step=scale**-2), max_iter=300)
    assert inner.gap >= 0


def test_prox_linear_steps_descend():
    pb = learnable()
    W, values = np.zeros(pb.shape), []
    for _ in range(6):
        values.append(pb.value(W))
        W = solvers.admm(pb.linearised(W, step=10.0), tol=1e-4).x
    assert values == sorted(values, reverse=True)
    # Subgradient descent with its best step comes to 0.4618 in 150 iterations.
    assert values[-1] < 0.465


def test_batches_share_features_and_count_passes():
    features, targets, W = data(6, n_images=4)
    pb = LovaszSoftmaxRisk(features, targets, 0.3, 3)
    part = pb.batch([2, 0, 2])
    same = LovaszSoftmaxRisk([features[i] for i in (2, 0, 2)], [targets[i] for i in (2, 0, 2)], 0.3, 3)
    assert part.value(W) == same.value(W)
    mean = np.mean([pb.batch([i]).value_and_subgradient(W)[1] for i in range(4)], axis=0)
    np.testing.assert_allclose(pb.value_and_subgradient(W)[1], mean, atol=1e-14)
    pb.passes = 0.0
    pb.batch([1, 3]).value_and_subgradient(W)
    assert pb.passes == pytest.approx(2 * (len(targets[1]) + len(targets[3])) / pb.n_pixels)
    with pytest.raises(ValueError, match="images holds no image"):
        pb.batch([])


def test_predictions_and_inputs_left_alone():
    X, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0, 1, 255])
    W = np.array([[2.0, 0.0], [0.0, 2.0]])
    for array in (X, y, W):
        array.flags.writeable = False
    pb = LovaszSoftmaxRisk([X.astype(np.float32)], [y], ignore=255)
    np.testing.assert_array_equal(pb.predict(W)[0], [0, 1])
    assert pb.iou(W) == 1.0
    assert pb.iou(-W) == 0.0
    model = pb.linearised(W, step=1.0)
    model.value_and_subgradient(W)
    assert isinstance(model, LinearisedSoftmaxRisk)
    assert model.iou(W) == 1.0
    assert "LovaszSoftmaxRisk(1 images, 2 pixels, 2 features, 2 classes" in repr(model)


X, y = np.ones((3, 2)), [1, 0, 2]
BAD = [
    (([], []), {}, "features holds no image"),
    (([X], [y, y]), {}, "features holds 1 images and targets 2; give one label map per image"),
    (([X[0]], [y]), {}, r"features\[0\] has shape \(2,\), expected \(pixels, features\)"),
    (([X[:, :0]], [y]), {}, r"features\[0\] has shape \(3, 0\)"),
    (([X], [y[:2]]), {}, r"targets\[0\] has shape \(2,\), expected \(3,\): one label per row"),
    (([X, X[:, :1]], [y, y]), {}, r"features\[1\] has 1 columns and features\[0\] has 2"),
    (([X * np.nan], [y]), {}, r"features\[0\]\[0, 0\] is nan"),
    (([X], [[1, 0, 255]]), {"n_classes": 3}, r"targets\[0\] holds 255, outside .*ignore="),
    (([X], [[1, 0, -1]]), {}, r"targets\[0\] holds -1, outside"),
    (([X], [y]), {"n_classes": 2}, r"targets\[0\] holds 2, outside {0, …, 1}"),
    (([X], [[0, 0, 0]]), {}, "n_classes is 1; a softmax needs at least 2"),
    (([X], [y]), {"classes": "absent"}, "classes is 'absent'; choose 'present' or 'all'"),
    (([X], [y]), {"l2": 0.0}, r"l2 is 0.0; it must be finite and > 0"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_risks_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LovaszSoftmaxRisk(*arguments, **options)


def test_bad_points_are_refused():
    pb = LovaszSoftmaxRisk([X], [y])
    with pytest.raises(ValueError, match=r"W has shape \(3, 2\), expected \(2, 3\): one row per feature"):
        pb.value(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"W\[0, 1\] is nan"):
        pb.linearised([[0.0, np.nan, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"step is -1\.0; it must be finite and > 0"):
        pb.linearised(np.zeros((2, 3)), step=-1.0)
    with pytest.raises(TypeError, match="must hold class numbers"):
        LovaszSoftmaxRisk([X], [["a", "b", "c"]], n_classes=3)
