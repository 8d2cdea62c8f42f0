"""Problems: values, subgradients, dual bounds and certified gaps, against definitions and brute force."""

import itertools

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import solvers
from lovasz_opt.problems import ImageProx, LinearHingeRisk, Minorant


def jaccard(target, mask):
    union = np.count_nonzero(target | mask)
    return np.count_nonzero(mask) / union if union else 0.0


def hinge_by_thresholds(target, logits):
    """L(F) as the integral over t > 0 of Δ of the pixels whose margin exceeds t."""
    margins = np.maximum(0, 1 - np.where(target, 1, -1) * logits)
    levels = np.unique(np.append(margins, 0.0))
    return sum((high - low) * jaccard(target, margins > low) for low, high in itertools.pairwise(levels))


def random_risk(rng, n_images=3, d=3, l2=0.1, ignore=None, largest=9):
    features, targets = [], []
    for _ in range(n_images):
        p = int(rng.integers(1, largest))
        features.append(rng.standard_normal((p, d)))
        targets.append((rng.random(p) < rng.choice([0.0, 0.4, 1.0])).astype(np.uint8))
        if ignore is not None:
            targets[-1][rng.random(p) < 0.3] = ignore
    return LinearHingeRisk(features, targets, l2, ignore), features, targets


def random_vertex(rng, target):
    """A vertex of the polymatroid {s ≥ 0, s(A) ≤ Δ(A)}: increments along a random chain, cut off."""
    order, s = rng.permutation(len(target)), np.zeros(len(target))
    mask, before = np.zeros(len(target), bool), 0.0
    for i in order[: rng.integers(0, len(target) + 1)]:
        mask[i] = True
        after = jaccard(target, mask)
        s[i], before = after - before, after
    return s


def random_dual(rng, target):
    weights = rng.dirichlet(np.ones(3))
    return sum(w * random_vertex(rng, target) for w in weights)


@pytest.mark.parametrize("seed", range(20))
def test_linear_risk_is_what_it_says(seed):
    rng = np.random.default_rng(seed)
    pb, features, targets = random_risk(rng, l2=0.3)
    v = rng.standard_normal(3)
    losses = [hinge_by_thresholds(y == 1, X @ v) for X, y in zip(features, targets, strict=True)]
    assert pb.value(v) == pytest.approx(0.15 * v @ v + np.mean(losses), rel=1e-12)
    library = np.mean([lo.LovaszHinge(y)(X @ v) for X, y in zip(features, targets, strict=True)])
    assert pb.value(v) == pytest.approx(0.15 * v @ v + library, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_image_prox_is_what_it_says(seed):
    rng = np.random.default_rng(seed)
    target, U, F = rng.random((2, 4)) < 0.5, rng.standard_normal((2, 4)), rng.standard_normal((2, 4))
    pb = ImageProx(U, target, gamma=1.7)
    expected = 0.5 * np.sum((F - U) ** 2) + 1.7 * hinge_by_thresholds(target.ravel(), F.ravel())
    assert pb.value(F) == pytest.approx(expected, rel=1e-12)
    assert pb.value_and_subgradient(F)[1].shape == (2, 4)


@pytest.mark.parametrize("seed", range(30))
def test_subgradient_inequality_with_strong_convexity(seed):
    rng = np.random.default_rng(seed)
    linear = random_risk(rng)[0]
    image = ImageProx(rng.standard_normal(7), rng.random(7) < 0.5, gamma=2.0)
    for pb in (linear, image):
        n = pb.center.size
        v, others = rng.standard_normal(n), 2 * rng.standard_normal((20, n))
        value, g = pb.value_and_subgradient(v)
        assert value == pytest.approx(pb.value(v), rel=1e-13)
        for w in others:
            bound = value + g @ (w - v) + pb.strong_convexity / 2 * np.sum((w - v) ** 2)
            assert pb.value(w) >= bound - 1e-12


def test_subgradient_is_the_gradient_where_the_value_is_smooth():
    rng = np.random.default_rng(4)
    pb = random_risk(rng, n_images=4, d=4, largest=12)[0]
    v, h = rng.standard_normal(4), 1e-6
    differences = [(pb.value(v + h * e) - pb.value(v - h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(pb.value_and_subgradient(v)[1], differences, atol=1e-8)


@pytest.mark.parametrize("seed", range(40))
def test_every_dual_feasible_point_is_a_lower_bound(seed):
    rng = np.random.default_rng(seed)
    pb, features, targets = random_risk(rng)
    s = [random_dual(rng, y == 1) for y in targets]
    U, target = rng.standard_normal(8), rng.random(8) < 0.5
    image = ImageProx(U, target, gamma=3.0)
    dual = random_dual(rng, target)
    for _ in range(20):
        assert pb.dual_value(s) <= pb.value(rng.standard_normal(3)) + 1e-12
        assert image.dual_value(dual) <= image.value(U + rng.standard_normal(8)) + 1e-12
    signs = [np.where(y == 1, 1.0, -1.0) for y in targets]
    pull = sum(-X.T @ (y * a) for X, y, a in zip(features, signs, s, strict=True)) / 3
    by_theory = -pull @ pull / (2 * 0.1) + sum(a.sum() for a in s) / 3
    assert pb.dual_value(s) == pytest.approx(by_theory, rel=1e-12, abs=1e-14)


def test_an_infeasible_dual_can_exceed_the_optimum():
    image = ImageProx([0.0, 0.0], [1, 0], gamma=1.0)
    assert image.dual_value([0.6, 0.6]) > image.value(image.solve_exact()[0])


@pytest.mark.parametrize("seed", range(30))
def test_gap_is_zero_at_the_exact_prox(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 200))
    labels = (rng.random(p) < rng.random()).astype(int)
    labels[rng.random(p) < 0.2] = 255
    pb = ImageProx(3 * rng.standard_normal(p), labels, 10 ** rng.uniform(-3, 3), ignore=255)
    F, s = pb.solve_exact()
    assert abs(pb.gap(F, s)) <= 1e-13 * max(1.0, pb.gamma)
    assert s.min() >= -1e-15
    np.testing.assert_array_equal(F[labels == 255], pb.center[labels == 255])


def test_gap_bounds_the_distance_to_the_optimum():
    rng = np.random.default_rng(0)
    target = rng.random(50) < 0.4
    pb = ImageProx(rng.standard_normal(50), target, gamma=20.0)
    optimum = pb.solve_exact()[0]
    for _ in range(20):
        F, s = optimum + rng.standard_normal(50), random_dual(rng, target)
        assert 0.5 * np.sum((F - optimum) ** 2) <= pb.gap(F, s) + 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_minorants_of_subgradients_touch_the_loss(seed):
    rng = np.random.default_rng(seed)
    pb = random_risk(rng)[0]
    v, others = rng.standard_normal(3), 3 * rng.standard_normal((30, 3))
    value, _, cut = pb.linearise(v)
    assert cut.offset + cut.slope @ v == pytest.approx(value - pb.quadratic(v), rel=1e-12, abs=1e-14)
    for w in others:
        assert cut.offset + cut.slope @ w <= pb.value(w) - pb.quadratic(w) + 1e-12
    w = pb.minimiser_of_bound(cut)
    assert pb.lower_bound(cut) == pytest.approx(pb.quadratic(w) + cut.offset + cut.slope @ w, rel=1e-12)
    assert pb.lower_bound(Minorant(0.0, np.zeros(3))) == 0.0


def test_linear_algebra_of_the_problems():
    rng = np.random.default_rng(1)
    for pb in (
        random_risk(rng, ignore=255)[0],
        ImageProx(rng.standard_normal(6), [0, 1, 255, 1, 0, 0], 1.0, ignore=255),
        ImageProx(rng.standard_normal(6), [0, 1, 0, 1, 0, 0], 1.0),
    ):
        v = rng.standard_normal(pb.center.size)
        g = rng.standard_normal(pb.apply(v).size)
        assert pb.apply(v) @ g == pytest.approx(v @ pb.adjoint(g), rel=1e-12)
        np.testing.assert_allclose(pb.gram(v), pb.adjoint(pb.apply(v)), atol=1e-12)
        for rho in (1e-3, 10.0):
            w = pb.ridge(rho, g_adjoint := pb.adjoint(g))
            residual = pb.strong_convexity * (w - pb.center) + rho * (pb.gram(w) - g_adjoint)
            np.testing.assert_allclose(residual, 0, atol=1e-11)


def test_float32_features_stay_float32_and_give_the_same_problem():
    rng = np.random.default_rng(2)
    features = [rng.standard_normal((p, 5)).astype(np.float32) for p in (30, 20)]
    targets = [rng.random(p) < 0.5 for p in (30, 20)]
    single = LinearHingeRisk(features, targets)
    double = LinearHingeRisk([X.astype(np.float64) for X in features], targets)
    assert single._features._blocks[0].codes.dtype == np.float32
    v = rng.standard_normal(5)
    assert single.value(v) == pytest.approx(double.value(v), rel=1e-13)
    np.testing.assert_allclose(
        single.value_and_subgradient(v)[1], double.value_and_subgradient(v)[1], atol=1e-13
    )
    np.testing.assert_allclose(single.gram(v), double.gram(v), rtol=1e-12)


def test_void_pixels_do_not_count():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((12, 2)), (rng.random(12) < 0.5).astype(int)
    y[[0, 5]] = 255
    v, seen = rng.standard_normal(2), y != 255
    with_void = LinearHingeRisk([X, X], [y, np.full(12, 255)], ignore=255)
    without = LinearHingeRisk([X[seen]], [y[seen]])
    ridge = without.quadratic(v)
    assert with_void.value(v) - ridge == pytest.approx((without.value(v) - ridge) / 2, rel=1e-13)
    assert with_void.n_pixels == 10
    assert not with_void.predict(v)[1].any()
    np.testing.assert_array_equal(with_void.predict(v)[0][seen], X[seen] @ v > 0)


def test_iou():
    X = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    pb = LinearHingeRisk([X, X[2:]], [[1, 0, 0, 1], [0, 0]])
    assert pb.iou([1.0]) == (1 / 3 + 1) / 2
    image = ImageProx([[2.0, -1.0], [1.0, 5.0]], [[1, 1], [0, 255]], 1.0, ignore=255)
    assert image.iou(image.center) == 1 / 3
    np.testing.assert_array_equal(image.predict(image.center), [[True, False], [True, True]])


def test_inputs_are_not_changed():
    rng = np.random.default_rng(5)
    X, y, v = rng.standard_normal((9, 2)), (rng.random(9) < 0.5).astype(int), rng.standard_normal(2)
    U = rng.standard_normal(9)
    for array in (X, y, v, U):
        array.flags.writeable = False
    pb = LinearHingeRisk([X], [y])
    pb.value_and_subgradient(v)
    pb.dual_value([np.abs(U) / 100])
    image = ImageProx(U, y, 3.0)
    image.value_and_subgradient(U)
    image.solve_exact()
    assert image.center is not U


X, y = np.ones((3, 2)), [1, 0, 1]
BAD_RISKS = [
    (([], []), {}, "features holds no image"),
    (([X], [y, y]), {}, "features holds 1 images and targets 2; give one mask per image"),
    (([X[0]], [y]), {}, r"features\[0\] has shape \(2,\), expected \(pixels, features\)"),
    (([X], [y[:2]]), {}, r"targets\[0\] has shape \(2,\), expected \(3,\): one label per row"),
    (([X, X[:, :1]], [y, y]), {}, r"features\[1\] has 1 columns and features\[0\] has 2"),
    (([X[:, :0]], [y]), {}, r"features\[0\] has no column"),
    (([X * np.nan], [y]), {}, r"features\[0\]\[0, 0\] is nan"),
    (([X], [[1, 0, 255]]), {}, r"targets\[0\] holds 255, outside {0, 1}; .*ignore="),
    (([X], [y]), {"l2": 0.0}, r"l2 is 0.0; it must be finite and > 0"),
    (([X], [y]), {"l2": np.inf}, "l2 is inf"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD_RISKS)
def test_bad_risks_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LinearHingeRisk(*arguments, **options)


BAD_PROXES = [
    (([], [], 1.0), "scores is empty"),
    (([1.0], [1, 0], 1.0), r"target has shape \(2,\), expected \(1,\)"),
    (([np.inf], [1], 1.0), r"scores\[0\] is inf"),
    (([1.0], [3], 1.0), "target holds 3"),
    (([1.0], [1], 0.0), "gamma is 0.0; it must be finite and > 0"),
    (([1.0], [1], np.nan), "gamma is nan"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_PROXES)
def test_bad_proxes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageProx(*arguments)


def test_bad_points_and_duals_are_refused():
    pb, image = LinearHingeRisk([X], [y]), ImageProx([1.0, 2.0], [1, 0], 1.0)
    with pytest.raises(ValueError, match=r"v has shape \(3,\), expected \(2,\): one entry per variable"):
        pb.value(np.zeros(3))
    with pytest.raises(ValueError, match=r"v\[1\] is nan"):
        pb.value([0.0, np.nan])
    with pytest.raises(ValueError, match="s holds 2 dual vectors, expected 1: one per image"):
        pb.dual_value([np.zeros(3), np.zeros(3)])
    with pytest.raises(ValueError, match=r"s\[0\] has shape \(2,\), expected \(3,\)"):
        pb.dual_value([np.zeros(2)])
    with pytest.raises(ValueError, match=r"s has shape \(3,\), expected \(2,\)"):
        image.dual_value(np.zeros(3))
    with pytest.raises(TypeError, match="v must hold real numbers"):
        image.value(["a", "b"])


def test_minorants_far_away_keep_their_digits():
    rng = np.random.default_rng(3)
    pb = random_risk(rng)[0]
    optimum = solvers.ssnal(pb, tol=1e-10)
    for scale in (1e6, 1e12, 1e15):
        minorant = pb.linearise(scale * rng.standard_normal(pb.n_features))[2]
        assert pb.lower_bound(minorant) <= optimum.value
