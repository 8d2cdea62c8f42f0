"""The min-norm point against exact proxes and enumeration; submodular minimisation; honest certificates."""

import numpy as np
import pytest

import lovasz_opt.minnorm as minnorm
from lovasz_opt.minnorm import largest_violation, minimize, project_base, prox_min_norm
from lovasz_opt.sets import (
    Cardinality,
    CountFunction,
    Coverage,
    Cut,
    Dice,
    Jaccard,
    Modular,
    SetFunction,
    Tversky,
)


def all_masks(n):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def iterative(F):
    """F without an exact prox of its own, so that the min-norm point is used."""
    F._prox = lambda x, gamma, metric: None
    return F


def random_function(rng, n, k):
    target = rng.random(n) < 0.5
    factor = rng.standard_normal((n, n))
    gram = factor @ factor.T + 0.1 * np.eye(n)
    cover = Coverage(rng.random((n, n)) < 0.4, rng.random(n))
    prices = rng.random(n)
    return [
        lambda: Jaccard(target),
        lambda: Jaccard(target, rng.random(n) + 0.1),
        lambda: Tversky(target, 0.7, 1.6),
        lambda: Cut(rng.random((n, n)) * (rng.random((n, n)) < 0.5)),
        lambda: cover,
        lambda: SetFunction.from_callable(lambda m: cover(m) - float(prices[m].sum()), n),
        lambda: SetFunction.from_callable(
            lambda m: float(np.linalg.slogdet(gram[np.ix_(m, m)])[1]) if m.any() else 0.0, n
        ),
        lambda: Modular(rng.standard_normal(n)),
        lambda: Cardinality(lambda k: np.minimum(k, 2.5) - 0.4 * k, n),
    ][k % 9]()


def scores(rng, n, k):
    x = rng.standard_normal(n) * 10.0 ** rng.integers(-2, 3)
    if k % 3 == 0:
        x = np.round(x)
    if k % 7 == 0:
        x[0] += 1e8
    return x


def test_prox_agrees_with_the_exact_one_and_the_gap_bounds_the_error():
    rng = np.random.default_rng(0)
    for k in range(360):
        n = int(rng.integers(1, 9))
        F = random_function(rng, n, k)
        x, gamma = scores(rng, n, k), 10.0 ** rng.uniform(-3, 3)
        metric = None if k % 2 else 10.0 ** rng.uniform(-1, 1, n)
        exact = SetFunction._prox(F, x, gamma, metric)
        solution = prox_min_norm(F, x, gamma, metric)
        d = np.ones(n) if metric is None else metric
        scale = np.abs(x).max() + gamma * np.abs(F._increment_bounds()).max() / d.min()
        assert not solution.exact
        assert solution.nit >= 1
        move = 0.5 * d @ (exact.z - x) ** 2
        assert solution.gap <= 1e-10 * move + 1e-20 * scale**2
        error = 0.5 * d @ (solution.z - exact.z) ** 2
        assert error <= solution.gap + 1e-27 * d.max() * scale**2
        np.testing.assert_allclose(solution.z, exact.z, atol=1e-12 * scale)


def test_gap_of_an_early_stop_still_bounds_the_error():
    rng = np.random.default_rng(1)
    F = Cut(rng.random((12, 12)))
    x = rng.standard_normal(12) * 3
    exact = F._prox(x, 0.3, None)
    # What rounding leaves of terms of this size.
    rounding = 1e-14 * float(x @ x)
    gaps = []
    for max_iter in (1, 2, 4, 8, 16, 64):
        solution = prox_min_norm(F, x, 0.3, max_iter=max_iter)
        assert solution.nit <= max_iter
        assert 0.5 * ((solution.z - exact.z) ** 2).sum() <= solution.gap + rounding
        projection = project_base(F, x / 0.3, max_iter=max_iter)
        error = 0.5 * ((projection.w - (x - exact.z) / 0.3) ** 2).sum()
        assert error <= projection.gap + rounding / 0.3**2
        assert (projection.status == "optimal") == (projection.gap <= 1e-10 * 0.5 * (projection.w**2).sum())
        gaps.append(solution.gap)
    assert gaps[0] > 1e-2
    assert gaps[-1] < 1e-12
    assert gaps == sorted(gaps, reverse=True)


def test_projection_lies_in_the_base_polytope_in_any_metric():
    rng = np.random.default_rng(2)
    for k in range(120):
        n = int(rng.integers(1, 8))
        F = random_function(rng, n, k)
        y = rng.standard_normal(n) * 2
        metric = None if k % 2 else 10.0 ** rng.uniform(-1, 1, n)
        result = project_base(F, y, metric)
        masks = all_masks(n)
        values = F(masks)
        assert (masks @ result.w - values).max() <= 1e-13 * (1 + np.abs(values).max())
        assert abs(result.w.sum() - values[-1]) <= 1e-13 * (1 + np.abs(values).max())
        m = np.ones(n) if metric is None else metric
        exact = y - SetFunction._prox(F, m * y, 1.0, 1 / m).z / m
        assert 0.5 * m @ (result.w - exact) ** 2 <= result.gap + 1e-24
        assert result.status == "optimal"


def test_jaccard_at_two_hundred_pixels_agrees_with_its_own_prox():
    rng = np.random.default_rng(3)
    target = rng.random(200) < 0.4
    x = rng.standard_normal(200)
    for gamma in (0.1, 10.0, 300.0):
        solution = prox_min_norm(Jaccard(target), x, gamma)
        exact = Jaccard(target)._prox(x, gamma, None)
        np.testing.assert_allclose(solution.z, exact.z, atol=1e-13 * (1 + gamma / 10))
        np.testing.assert_array_equal(solution.pools, exact.pools)


def test_far_away_entries_keep_the_digits_of_the_others():
    F = Cut(np.ones((20, 20)))
    x = np.random.default_rng(4).standard_normal(20)
    near = prox_min_norm(F, x, 0.05)
    x[3], x[7] = 1e300, -1.7e308
    far = prox_min_norm(F, x, 0.05)
    x[3], x[7] = 100.0, -100.0
    middle = prox_min_norm(F, x, 0.05)
    others = np.delete(np.arange(20), [3, 7])
    np.testing.assert_allclose(far.z[others], middle.z[others], atol=1e-15)
    assert far.gap < 1e-12
    assert near.gap < 1e-12
    assert (far.z[3], far.z[7]) == (1e300, -1.7e308)


def test_total_variation_of_an_image_is_solved():
    rng = np.random.default_rng(5)
    F = Cut.grid((12, 12))
    clean = np.zeros((12, 12))
    clean[3:9, 2:8] = 1
    x = (clean + 0.2 * rng.standard_normal((12, 12))).ravel()
    solution = prox_min_norm(F, x, 0.2)
    w = (x - solution.z) / 0.2
    assert solution.gap <= 1e-10 * 0.5 * ((solution.z - x) ** 2).sum()
    # Optimality by another route: w is a flow divergence, so f(z) = ⟨w, z⟩ and no set violates its cut.
    image = solution.z.reshape(12, 12)
    variation = np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image)).sum()
    assert abs(w @ solution.z - variation) <= 1e-9
    assert abs(w.sum()) <= 1e-10
    assert largest_violation(F, w)[0] <= 1e-10


def test_large_coverage_is_solved():
    rng = np.random.default_rng(6)
    F = Coverage(rng.random((200, 300)) < 0.03, rng.random(300))
    x = rng.standard_normal(200)
    for gamma in (0.1, 1.0, 10.0):
        solution = prox_min_norm(F, x, gamma)
        assert solution.gap <= 1e-10 * 0.5 * ((solution.z - x) ** 2).sum()


# Minimisation


@pytest.mark.parametrize("own_prox", [True, False])
def test_minimize_agrees_with_enumeration(own_prox):
    rng = np.random.default_rng(7)
    for k in range(180):
        n = int(rng.integers(1, 9))
        F = random_function(rng, n, k)
        if k % 2:
            # Prices of half a unit: several minimisers.
            base, prices = F, rng.integers(-2, 3, n) / 2
            F = SetFunction.from_callable(lambda m: base(m) + float(prices[m].sum()), n)  # noqa: B023
        if not own_prox:
            F = iterative(F)
        result = minimize(F)
        values = F(all_masks(n))
        scale = 1e-9 * (1 + np.abs(values).max())
        assert abs(result.value - values.min()) <= scale
        assert result.lower_bound <= values.min() + 1e-13 * (1 + np.abs(values).max())
        assert result.value == F(result.mask)
        assert result.gap == pytest.approx(result.value - result.lower_bound, abs=1e-15)
        assert result.status == "optimal"
        assert (result.nit == 0) == own_prox
        assert (all_masks(n) @ result.w - values).max() <= 1e-12 * (1 + np.abs(values).max())


def test_minimiser_is_the_minimal_one():
    rng = np.random.default_rng(8)
    for k in range(120):
        n = int(rng.integers(1, 7))
        # Multiples of 0.1: minimisers that tie in the rationals, and differ by rounding in floats.
        unit = 1.0 if k % 3 == 0 else 0.1
        cut = Cut(unit * rng.integers(0, 3, (n, n)))
        prices = unit * rng.integers(-3, 4, n)
        F = SetFunction.from_callable(lambda m: cut(m) + float(prices[m].sum()), n)  # noqa: B023
        masks = all_masks(n)
        values = F(masks)
        smallest = np.logical_and.reduce(masks[values <= values.min() + 1e-12], axis=0)
        result = minimize(F if k % 2 else iterative(F))
        np.testing.assert_array_equal(result.mask, smallest)
        assert result.value <= values.min() + 1e-12


def test_minimize_of_an_image_segmentation():
    rng = np.random.default_rng(9)
    cut = Cut.grid((8, 8))
    truth = np.zeros((8, 8), bool)
    truth[2:6, 2:6] = True
    prices = np.where(truth, -1.5, 1.5).ravel() + 0.8 * rng.standard_normal(64)
    F = SetFunction.from_callable(lambda m: cut(m) + float(prices[m].sum()), 64)
    result = minimize(F)
    assert result.status == "optimal"
    assert result.gap <= 1e-8
    np.testing.assert_array_equal(result.mask.reshape(8, 8), truth)
    bound, mask = largest_violation(cut, -prices)
    np.testing.assert_array_equal(mask, result.mask)
    assert bound == pytest.approx(-result.value, abs=1e-8)


def test_minimize_uses_the_exact_routes():
    assert minimize(Jaccard(np.arange(500) < 100)).mask.sum() == 0
    modular = minimize(Modular([-1.0, 2.0, -0.5]))
    assert (modular.mask.tolist(), modular.value, modular.gap, modular.nit) == (
        [True, False, True],
        -1.5,
        0,
        0,
    )
    F = CountFunction(lambda a, b: np.sqrt(a + b) - 0.3 * a, np.arange(40) < 30)
    result = minimize(F)
    assert (result.mask == F.target).all()
    assert result.gap <= 1e-13
    assert minimize(Cardinality(lambda k: np.minimum(k, 3) - 0.5 * k, 10)).mask.all()


def test_largest_violation_never_under_reports(monkeypatch):
    rng = np.random.default_rng(10)
    for k in range(150):
        n = int(rng.integers(1, 9))
        F = iterative(random_function(rng, n, k))
        w = rng.standard_normal(n) * rng.choice([0.1, 1.0])
        if k % 3 == 0:
            w = project_base(F, w).w
        bound, mask = largest_violation(F, w)
        masks = all_masks(n)
        expected = (masks @ w - F(masks)).max()
        assert bound >= expected - 1e-15 * n
        assert bound <= expected + 1e-9
        assert w[mask].sum() - F(mask) >= expected - 1e-9
    # Stopped early, the bound is loose but still a bound.
    monkeypatch.setattr(minnorm, "_iteration_limit", lambda *args: 2)
    loose = 0.0
    for k in range(60):
        F = iterative(random_function(rng, 6, k))
        w = rng.standard_normal(6)
        expected = (all_masks(6) @ w - F(all_masks(6))).max()
        bound, _ = largest_violation(F, w)
        assert bound >= expected - 1e-14
        loose = max(loose, bound - expected)
    assert loose > 0.1
    monkeypatch.undo()
    F = Cut.grid((5, 5))
    feasible = F.increments(np.arange(25))
    assert F._violation(feasible)[0] <= 1e-9
    feasible[7] += 1e-3
    assert F._violation(feasible)[0] >= 1e-3


# Robustness


def test_degenerate_polytopes():
    x = np.array([0.3, -1.0, 0.3, 2.0] * 6)
    zero = Cut(np.zeros((24, 24)))
    np.testing.assert_array_equal(prox_min_norm(zero, x, 1.0).z, x)
    np.testing.assert_array_equal(prox_min_norm(Modular(np.ones(24)), x, 0.5).z, x - 0.5)
    pairs = Cut.from_edges(np.arange(24).reshape(12, 2))
    solution = prox_min_norm(pairs, x, 0.2)
    np.testing.assert_allclose(solution.z[:4], [0.1, -0.8, 0.5, 1.8], atol=1e-15)
    assert solution.gap < 1e-25
    huge = prox_min_norm(Cut(1e100 * np.ones((4, 4))), x[:4], 1e-100)
    np.testing.assert_allclose(huge.z, prox_min_norm(Cut(np.ones((4, 4))), x[:4], 1.0).z, atol=1e-14)


def test_fallback_of_the_linear_algebra_gives_the_same_answer(monkeypatch):
    rng = np.random.default_rng(11)
    F = Coverage(rng.random((30, 40)) < 0.1, rng.random(40))
    x = rng.standard_normal(30)
    expected = prox_min_norm(F, x, 1.0)
    monkeypatch.setattr(minnorm._Corral, "_solve", lambda self: None)
    np.testing.assert_allclose(prox_min_norm(F, x, 1.0).z, expected.z, atol=1e-12)


def test_failed_update_of_the_factors_is_repaired(monkeypatch):
    rng = np.random.default_rng(12)
    F = Coverage(rng.random((30, 40)) < 0.1, rng.random(40))
    x = rng.standard_normal(30)
    expected = prox_min_norm(F, x, 1.0)

    def broken(*args, **kwargs):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("scipy.linalg.qr_insert", broken)
    np.testing.assert_allclose(prox_min_norm(F, x, 1.0).z, expected.z, atol=1e-12)


def test_an_impossible_tolerance_is_reported_as_stalled():
    rng = np.random.default_rng(13)
    F = Coverage(rng.random((200, 300)) < 0.03)
    result = project_base(F, 2 * rng.standard_normal(200), tol=1e-300)
    # On some processors the last step is right to the last bit.
    assert result.status == ("stalled" if result.gap > 0 else "optimal")
    assert result.gap < 1e-10


@pytest.mark.parametrize(
    "solve", [minimize, lambda F: project_base(F, np.zeros(F.n)), lambda F: F._violation(np.ones(F.n))]
)
def test_functions_that_are_not_submodular_are_refused_with_the_pair(solve):
    F = SetFunction.from_callable(lambda m: float(m.sum() ** 2), 17)
    with pytest.raises(
        ValueError, match=r"from_callable\(<lambda>, n=17\) is not submodular.* A = \{.*\} and B = \{"
    ):
        solve(F)
    with pytest.raises(
        ValueError, match=r"Dice.* is not submodular, and minimize needs .* A = \{0\} and B = \{1\}"
    ):
        minimize(Dice([1, 1, 0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda F: minimize(F, tol=0.0), "tol is 0.0; it must be > 0"),
        (lambda F: minimize(F, tol=float("nan")), "tol is nan"),
        (lambda F: minimize(F, max_iter=0), "max_iter is 0; it must be ≥ 1"),
        (lambda F: project_base(F, [1.0]), r"y has shape \(1,\), expected \(4,\)"),
        (lambda F: project_base(F, [1.0, 2.0, np.nan, 0.0]), r"y\[2\] is nan"),
        (lambda F: project_base(F, np.ones(4), metric=np.zeros(4)), "metric holds 0.0; weights must be > 0"),
        (lambda F: prox_min_norm(F, np.ones(4), 1.0, tol=-1.0), "tol is -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Cut.grid((2, 2)))
