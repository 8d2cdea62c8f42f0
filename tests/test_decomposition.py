"""The exact prox by level sets, against optimality conditions over all 2^n sets."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from lovasz_opt.decomposition import best_counts, prox_by_level_sets, prox_of_counts, separate
from lovasz_opt.sets import Cardinality, CountFunction, Coverage, Cut, Jaccard, Modular, SetFunction, Tversky


def all_masks(n):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def extension(F, z):
    order = np.argsort(-z, kind="stable")
    return float(F.increments(order) @ z[order])


def error_of_prox(F, x, gamma, z, metric=None, values=None):
    """How far w = metric (x − z)/gamma is from the base polytope and from ⟨w, z⟩ = f(z), in units of x."""
    n = len(x)
    masks = all_masks(n)
    values = F(masks) if values is None else values
    move = (x - z) * (1.0 if metric is None else metric)
    outside = max((masks @ move - gamma * values).max(), abs(move.sum() - gamma * values[-1]))
    slack = gamma * extension(F, z - z[0]) - move @ (z - z[0])
    return max(outside, abs(slack) / max(np.ptp(z), 1e-15 * np.abs(x).max(), np.finfo(float).tiny))


def scale_of(F, x, gamma, metric=None):
    heaviest = 1.0 if metric is None else max(1.0, metric.max())
    return heaviest * len(x) * (np.abs(x).max() + gamma * max(1.0, np.abs(F._increment_bounds()).max()))


def check_prox(F, x, gamma, solution, metric=None, tol=4e-15):
    error = error_of_prox(F, x, gamma, solution.z, metric)
    assert error <= tol * scale_of(F, x, gamma, metric), (F, x, gamma, solution.z, error)
    check_pools(F, x, gamma, solution, metric)


def check_pools(F, x, gamma, solution, metric=None):
    """Pools are tied, numbered in decreasing order, and carry the value that their members give."""
    z, pools = solution.z, solution.pools
    assert sorted(set(pools.tolist())) == list(range(pools.max() + 1))
    d = np.ones(len(x)) if metric is None else metric
    order = np.argsort(pools, kind="stable")
    assert (np.diff(z[order]) <= 0).all()
    increments = np.bincount(pools[order], weights=F.increments(order))
    values = (np.bincount(pools, weights=d * x) - gamma * increments) / np.bincount(pools, weights=d)
    np.testing.assert_array_equal(z, z[np.unique(pools, return_index=True)[1]][pools])
    np.testing.assert_allclose(z, values[pools], atol=1e-14 * scale_of(F, x, gamma, metric))


def random_scores(rng, n):
    """Scores with the habits that break algorithms: ties, integers, a few far away."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.integers(-2, 3, n).astype(float)
    if kind == 1:
        return np.full(n, rng.standard_normal())
    x = rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4)
    if kind == 2:
        x[rng.random(n) < 0.3] += 1e6
    if kind == 3:
        x = np.where(rng.random(n) < 0.5, x, x[0])
    return x


def random_gamma(rng):
    return 10.0 ** rng.uniform(-6, 6) if rng.random() < 0.5 else 10.0 ** rng.uniform(-1, 1.5)


def random_target(rng, n):
    return rng.random(n) < rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])


def submodular_counts(rng, target):
    """Concave functions of non-negative combinations of the counts, plus a modular part."""
    rates, caps = rng.random((3, 2)), rng.random(3) * len(target)
    slope = rng.standard_normal(2)

    def g(a, b):
        return (
            sum(np.minimum(r[0] * a + r[1] * b, c) for r, c in zip(rates, caps, strict=True))
            + slope[0] * a
            + slope[1] * b
        )

    return CountFunction(g, target)


def test_prox_of_counts_on_thousands_of_small_problems():
    rng = np.random.default_rng(0)
    for k in range(2400):
        n = int(rng.integers(1, 8))
        target = random_target(rng, n)
        F = [
            lambda t: submodular_counts(rng, t),
            lambda t: Tversky(t, rng.choice([0.0, 0.4, 1.0, 2.0]), rng.choice([1.0, 1.5, 4.0])),
            lambda t: CountFunction(lambda a, b: (a + b) / np.maximum(t.sum() + b, 1), t),
        ][k % 3](target)
        x, gamma = random_scores(rng, n), random_gamma(rng)
        solution = F._prox(x, gamma, None)
        assert solution.exact
        check_prox(F, x, gamma, solution)


def test_known_counterexamples_to_pooling_in_order():
    F = Tversky([1, 0, 1], 1, 1)
    assert F._prox(np.array([26.0, 12.0, 13.0]), 12.0, None).z.tolist() == [20, 10, 9]
    F = Tversky([0, 1, 0], 1, 1)
    expected = [1, 2 / 3, 0.99 - 1 / 6]
    np.testing.assert_allclose(F._prox(np.array([1.5, 1.0, 0.99]), 1.0, None).z, expected, atol=1e-16)


def test_prox_of_counts_at_a_thousand_pixels_against_the_general_decomposition():
    rng = np.random.default_rng(1)
    for n, gamma in ((400, 1e-2), (400, 30.0), (300, 1e4)):
        target = rng.random(n) < 0.4
        x = rng.standard_normal(n)
        F = Jaccard(target)
        counts = Tversky(target, 1, 1)._prox(x, gamma, None)
        general = prox_by_level_sets(x, gamma, None, F._minor, F._increment_bounds())
        np.testing.assert_allclose(counts.z, general.z, atol=1e-14 * max(1, gamma / n))
        np.testing.assert_array_equal(counts.pools, general.pools)


@pytest.mark.parametrize("gamma", [1.0, 1e4, 1e6])
def test_prox_of_counts_at_image_size_agrees_with_the_fast_jaccard_prox(gamma):
    rng = np.random.default_rng(2)
    p = 10**5
    target = rng.random(p) < 0.3
    x = rng.standard_normal(p)
    slow = Tversky(target, 1, 1)._prox(x, gamma, None)
    fast = Jaccard(target)._prox(x, gamma, None)
    np.testing.assert_allclose(slow.z, fast.z, rtol=0, atol=4e-15 * max(1, np.abs(x).max()))


def test_functions_of_the_size_agree_with_functions_of_two_counts():
    rng = np.random.default_rng(3)
    for _ in range(30):
        n = int(rng.integers(1, 60))
        x, gamma = random_scores(rng, n), random_gamma(rng)
        target = random_target(rng, n)
        by_size = Cardinality(np.sqrt, n)._prox(x, gamma, None)
        by_counts = CountFunction(lambda a, b: np.sqrt(a + b), target)._prox(x, gamma, None)
        order = np.argsort(-x, kind="stable")
        expected = isotonic_regression(
            x[order] - gamma * np.diff(np.sqrt(np.arange(n + 1))), increasing=False
        ).x
        scale = np.abs(x).max() + gamma
        np.testing.assert_allclose(by_size.z[order], expected, atol=1e-14 * scale)
        np.testing.assert_allclose(by_counts.z, expected[np.argsort(order)], atol=1e-13 * scale)


def test_weighted_jaccard_in_any_metric():
    rng = np.random.default_rng(4)
    for k in range(900):
        n = int(rng.integers(1, 8))
        target = random_target(rng, n)
        weights = np.round(rng.random(n) * 4 + 0.5) if k % 4 == 0 else 10.0 ** rng.uniform(-2, 2, n)
        F = Jaccard(target, None if k % 5 == 0 else weights)
        metric = [None, 10.0 ** rng.uniform(-1, 1, n), np.full(n, 0.25)][k % 3]
        x, gamma = random_scores(rng, n), random_gamma(rng)
        check_prox(F, x, gamma, F._prox(x, gamma, metric), metric, tol=1e-14)


def test_jaccard_minor_minimises_over_all_subsets():
    rng = np.random.default_rng(5)
    for _ in range(400):
        n = int(rng.integers(2, 9))
        F = Jaccard(random_target(rng, n), 10.0 ** rng.uniform(-1, 1, n))
        order = rng.permutation(n)
        below, members = order[: n // 3], np.sort(order[n // 3 :])
        gains, gamma = rng.standard_normal(len(members)), 10.0 ** rng.uniform(-1, 2)
        base = np.zeros(n, bool)
        base[below] = True
        minor = F._minor.contract(below) if len(below) else F._minor
        subsets = all_masks(len(members))
        masks = np.tile(base, (len(subsets), 1))
        masks[:, members] = subsets
        costs = gamma * (F(masks) - F(base)) - subsets @ gains
        mask = minor.minimise(members, gains, gamma)
        chosen = base.copy()
        chosen[members[mask]] = True
        assert gamma * (F(chosen) - F(base)) - gains @ mask <= costs.min() + 1e-12 * (1 + gamma)
        assert abs(minor.increment(members[mask]) - (F(chosen) - F(base))) < 1e-13


def other_function(rng, n, k):
    """A random submodular function that is no function of counts, in turn of five kinds."""
    factor = rng.standard_normal((n, n))
    gram = factor @ factor.T + 0.1 * np.eye(n)
    return [
        lambda: Cut(rng.random((n, n)) * (rng.random((n, n)) < 0.5)),
        lambda: Coverage(rng.random((n, 5)) < 0.4, rng.random(5)),
        lambda: Modular(rng.standard_normal(n)),
        lambda: Cardinality(np.cumsum(np.concatenate([[0], np.sort(rng.standard_normal(n))[::-1]]))),
        lambda: SetFunction.from_callable(
            lambda m: float(np.linalg.slogdet(gram[np.ix_(m, m)])[1]) if m.any() else 0.0, n
        ),
    ][k % 5]()


def test_every_other_function_up_to_sixteen_elements():
    rng = np.random.default_rng(6)
    for k in range(240):
        n = int(rng.integers(1, 7))
        F = other_function(rng, n, k)
        metric = None if k % 2 else 10.0 ** rng.uniform(-1, 1, n)
        x, gamma = random_scores(rng, n), random_gamma(rng)
        check_prox(F, x, gamma, F._prox(x, gamma, metric), metric, tol=2e-14)


def test_enumeration_at_its_limit():
    F = Cut.grid((4, 4))
    x = np.random.default_rng(7).standard_normal(16)
    check_prox(F, x, 0.3, F._prox(x, 0.3, None))
    assert Cut.grid((4, 5))._prox(np.zeros(20), 1.0, None) is None


def exact_pool_values(F, x, gamma, pools):
    """Values of the pools in rational arithmetic."""
    values = {}
    mask, before = np.zeros(len(x), bool), Fraction(0)
    for pool in range(pools.max() + 1):
        members = np.flatnonzero(pools == pool)
        mask[members] = True
        after = F.exact_value(mask)
        total = sum(map(Fraction, x[members].tolist()), Fraction(0))
        values[pool] = (total - Fraction(gamma) * (after - before)) / len(members)
        before = after
    return [values[p] for p in pools]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300, 2.0**1020])
def test_all_of_the_floating_point_range(scale):
    rng = np.random.default_rng(8)
    for _ in range(40):
        n = int(rng.integers(1, 12))
        target = random_target(rng, n)
        x = rng.integers(-5, 6, n) * scale
        for F in (Tversky(target, 1, 1), Jaccard(target, np.linspace(1, 2, n))):
            gamma = 3.0 * scale
            z = F._prox(x, gamma, None).z
            unit = F._prox(x / scale, 3.0, None).z
            assert np.isfinite(z).all()
            np.testing.assert_allclose(z / scale, unit, rtol=1e-13, atol=1e-14)


def test_far_away_and_tiny_entries_keep_their_digits():
    target = np.array([1, 0, 1, 0, 1, 0, 0], bool)
    x = np.array([1e300, 1.25, 1.0, 1.1, -1e300, 5e-324, -1.7e308])
    for F in (Tversky(target, 1, 1), Jaccard(target, np.linspace(1, 2, 7))):
        for gamma in (0.5, 1e-6, 3.0, 1e-310):
            solution = F._prox(x, gamma, None)
            exact = exact_pool_values(F, x, gamma, solution.pools)
            for value, expected in zip(solution.z.tolist(), exact, strict=True):
                assert abs(Fraction(value) - expected) <= 4 * Fraction(np.spacing(abs(float(expected))))


def test_middle_of_a_spread_out_problem_equals_the_same_problem_nearby():
    # What is 1e300 away acts as a constant: the entries between solve the problem they would solve 100 away.
    target = np.array([1, 0, 1, 0, 1, 0], bool)
    near = np.array([100.0, 1.25, 1.0, 1.1, -100.0, -101.0])
    far = np.array([1e300, 1.25, 1.0, 1.1, -1e300, -1.5e300])
    for F in (Tversky(target, 1, 1), Jaccard(target, [1.0, 2.0, 1.0, 3.0, 1.0, 1.0])):
        for gamma in (0.1, 1.0, 5.0):
            np.testing.assert_array_equal(F._prox(near, gamma, None).z[1:4], F._prox(far, gamma, None).z[1:4])


def test_ties_of_everything():
    for P, N in ((0, 5), (5, 0), (3, 4), (1, 1), (1, 0), (0, 1)):
        target = np.arange(P + N) < P
        solution = Tversky(target, 1, 1)._prox(np.full(P + N, 0.75), 7.0, None)
        np.testing.assert_allclose(solution.z, 0.75 - 7.0 / (P + N), atol=2e-15)


def test_many_orders_of_magnitude_stay_cheap_and_exact():
    n = 600
    target = np.arange(n) % 3 == 0
    x = 2.0 ** np.linspace(-500, 500, n)
    solution = Tversky(target, 1, 1)._prox(x, 1.0, None)
    exact = exact_pool_values(Jaccard(target), x, 1.0, solution.pools)
    worst = max(
        abs(Fraction(v) - e) / Fraction(np.spacing(max(abs(v), 1.0)))
        for v, e in zip(solution.z, exact, strict=True)
    )
    assert worst <= 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_prox_commutes_with_constants_and_scaling_and_is_non_expansive(data):
    n = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    F = Tversky(
        random_target(rng, n),
        data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        data.draw(st.sampled_from([1.0, 2.0])),
    )
    x, y = rng.integers(-20, 20, (2, n)) / 4.0
    gamma = data.draw(st.floats(1e-3, 1e3))
    z = F._prox(x, gamma, None).z
    scale = 30 + gamma
    np.testing.assert_allclose(F._prox(x + 8, gamma, None).z, z + 8, atol=1e-14 * scale)
    np.testing.assert_allclose(F._prox(4 * x, 4 * gamma, None).z, 4 * z, atol=1e-13 * scale)
    other = F._prox(y, gamma, None).z
    assert (z - other) @ (z - other) <= (x - y) @ (z - other) + 1e-12 * scale**2
    for members in (F.target, ~F.target):
        order = np.argsort(-x[members], kind="stable")
        assert (np.diff(z[members][order]) <= 0).all()
    shuffle = rng.permutation(n)
    permuted = Tversky(F.target[shuffle], F.alpha, F.beta)._prox(x[shuffle], gamma, None).z
    np.testing.assert_allclose(permuted, z[shuffle], atol=1e-14 * scale)


def test_accidental_ties_are_not_pools():
    x = np.array([1.0, 1.0, 1.0, -2.0])
    assert sorted(Modular(np.ones(4))._prox(x, 1.0, None).pools) == [0, 1, 2, 3]
    assert sorted(Cardinality(np.arange(5.0))._prox(x, 1.0, None).pools) == [0, 1, 2, 3]
    assert Cardinality(np.sqrt, 4)._prox(x, 1.0, None).pools.max() == 1


def test_best_counts_at_size_against_every_pair_of_counts():
    rng = np.random.default_rng(9)
    for _ in range(60):
        n = int(rng.integers(1, 80))
        F = submodular_counts(rng, random_target(rng, n))
        w = rng.standard_normal(n) * 2
        mask = best_counts(F._g_increment, F.target, w)
        scanned = F._best_of_all_counts(w)
        value, expected = (w[m].sum() - F(m) for m in (mask, scanned))
        assert abs(value - expected) <= 1e-12 * n


def test_separate_finds_only_certain_level_sets():
    x = np.array([5.0, 0.0, 4.5, 0.6])
    low, high = np.zeros(4), np.ones(4)
    order, cuts = separate(x, 1.0, np.ones(4), (low, high))
    assert (order.tolist(), cuts.tolist()) == ([0, 2, 3, 1], [0, 2, 4])
    _, cuts = separate(x, 0.01, np.ones(4), (low, high))
    assert cuts.tolist() == [0, 1, 2, 3, 4]


def test_functions_that_are_not_submodular_have_no_prox():
    target = np.arange(6) < 4
    assert Tversky(target, 1, 0.5)._prox(np.zeros(6), 1.0, None) is None
    assert Cardinality(np.arange(7.0) ** 2)._prox(np.zeros(6), 1.0, None) is None
    assert SetFunction.from_callable(lambda m: float(m.sum() ** 2), 3)._prox(np.zeros(3), 1.0, None) is None


def test_inputs_are_left_alone():
    x, metric = np.random.default_rng(10).standard_normal((2, 12))
    metric = np.abs(metric) + 1
    before = x.copy(), metric.copy()
    target = np.arange(12) < 5
    prox_of_counts(
        Tversky(target, 1, 1)._g_increment, target, x, 1.0, Tversky(target, 1, 1)._increment_bounds()
    )
    for F in (Jaccard(target, metric), Cut.grid((3, 4)), Modular(metric), Cardinality(np.sqrt, 12)):
        F._prox(x, 1.0, metric)
        F._violation(x)
    np.testing.assert_array_equal(before, (x, metric))
