"""Isotonic regression: against SciPy and exact rationals, and the properties of a projection on a cone."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import isotonic_regression

from lovasz_opt.kernels import pav
from lovasz_opt.kernels.pav import isotonic_decreasing

ULP = 2.0**-52


def exact_fit(y, weights=None):
    """The regression in rationals, one entry after the other."""
    masses = [Fraction(1)] * len(y) if weights is None else [Fraction(float(w)) for w in weights]
    pools = []
    for value, mass in zip(y, masses, strict=True):
        pools.append([Fraction(float(value)) * mass, mass, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] <= pools[-1][0] * pools[-2][1]:
            total, more, size = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + more, pools[-1][2] + size]
    return [total / mass for total, mass, size in pools for _ in range(size)]


def shapes(rng, n):
    """Inputs that take every route: long runs, decreasing stretches, noise to thin, ties, and mixtures."""
    noise = rng.standard_normal(n)
    yield "random", noise
    yield "increasing", np.sort(noise)
    yield "decreasing", np.sort(noise)[::-1].copy()
    yield "walk", np.cumsum(noise)
    yield "constant", np.full(n, 0.1)
    yield "blocks", np.repeat(noise, 10)[:n]
    yield "falling", noise - np.arange(n) / 5
    yield "rising", noise + np.arange(n) / 5
    yield "ties", rng.integers(-1, 2, n) / 3
    yield "offset", 1e6 + noise
    yield "wide", noise * 10.0 ** rng.uniform(-12, 12, n)
    yield "stretches", np.concatenate([np.sort(part) for part in np.array_split(noise, 5)])


def check(y, weights=None):
    """Compare with the exact fit, in ulp of the mean of |y| over the pool; return the worst error."""
    before = y.copy(), None if weights is None else weights.copy()
    fit, starts = isotonic_decreasing(y, weights)
    np.testing.assert_array_equal(y, before[0])
    if weights is not None:
        np.testing.assert_array_equal(weights, before[1])
    assert starts[0] == 0
    assert starts[-1] == len(y)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(fit) <= 0).all()
    assert all((fit[a:b] == fit[a]).all() for a, b in pairwise(starts))
    single = starts[:-1][np.diff(starts) == 1]
    np.testing.assert_array_equal(fit[single], y[single])
    masses = np.ones(len(y)) if weights is None else weights
    scale = np.add.reduceat(masses * np.abs(y), starts[:-1]) / np.add.reduceat(masses, starts[:-1])
    errors = [abs(float(Fraction(float(z)) - e)) for z, e in zip(fit, exact_fit(y, weights), strict=True)]
    return (np.array(errors) / (np.repeat(scale, np.diff(starts)) + 1e-300)).max() / ULP


@pytest.mark.parametrize("n", [1, 2, 3, 9, 17, 64, 200, 1500])
@pytest.mark.parametrize("weighted", [False, True])
def test_exact_rationals(n, weighted):
    rng = np.random.default_rng(n)
    worst = 0.0
    for _ in range(max(1, 60 // n)):
        for _, y in shapes(rng, n):
            worst = max(worst, check(y, 10.0 ** rng.uniform(-2, 2, n) if weighted else None))
    assert worst <= (3 if weighted else 2)


@pytest.mark.parametrize("n", [1, 10, 1000, 100_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_scipy(n, weighted):
    rng = np.random.default_rng(n)
    for name, y in shapes(rng, n):
        weights = rng.uniform(0.1, 2, n) if weighted else None
        fit, starts = isotonic_decreasing(y, weights)
        expected = isotonic_regression(y, weights=weights, increasing=False)
        # SciPy adds up a pool entry by entry, so its own error grows with the size of the pool.
        np.testing.assert_allclose(fit, expected.x, rtol=0, atol=1e-12 * np.abs(y).max(), err_msg=name)
        if name in ("random", "falling", "rising", "walk"):
            np.testing.assert_array_equal(starts, expected.blocks, err_msg=name)


def test_error_does_not_grow_with_the_pool():
    rng = np.random.default_rng(0)
    y = np.sort(rng.random(300_000))
    weights = rng.uniform(0.1, 2, len(y))
    for masses in (np.ones(len(y)), weights):
        total = sum(Fraction(a) * Fraction(b) for a, b in zip(y, masses, strict=True))
        mean = total / sum(map(Fraction, masses))
        fit, starts = isotonic_decreasing(y, masses)
        assert len(starts) == 2
        assert abs(Fraction(float(fit[0])) - mean) <= ULP * mean
    assert isotonic_decreasing(y)[0][0] == isotonic_decreasing(y, np.ones(len(y)))[0][0]


def test_decreasing_input_is_returned_bit_for_bit():
    rng = np.random.default_rng(1)
    for y in (np.sort(rng.standard_normal(5000))[::-1].copy(), 1 - ULP * np.arange(2000.0)):
        fit, starts = isotonic_decreasing(y)
        np.testing.assert_array_equal(fit, y)
        assert len(starts) == len(y) + 1


@pytest.mark.parametrize("weighted", [False, True])
def test_entries_between_a_mean_and_its_rounded_value(weighted):
    """Such an entry joins by the rounded mean; if the sum then refused it, the loop would never end."""
    rng = np.random.default_rng(3)
    cases = []
    between = 0
    for _ in range(200):
        head = np.sort(rng.random(int(rng.integers(2, 8))))
        weights = rng.uniform(0.1, 2, len(head) + 60) if weighted else None
        masses = np.ones(len(head)) if weights is None else weights[: len(head)]
        mean = isotonic_decreasing(head, masses if weighted else None)[0][0]
        total = sum(Fraction(a) * Fraction(b) for a, b in zip(head, masses, strict=True))
        between += Fraction(mean) * sum(map(Fraction, masses)) < total
        # A decreasing tail, so that nothing but this entry violates.
        cases.append((np.concatenate([head, [mean], mean - np.arange(1, 60.0)]), weights))
    assert between > 50
    errors = []
    worker = threading.Thread(target=lambda: errors.extend(check(*case) for case in cases), daemon=True)
    worker.start()
    worker.join(timeout=120)
    assert len(errors) == len(cases)
    assert max(errors) <= 3


@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324])
def test_extreme_sizes(scale):
    rng = np.random.default_rng(2)
    y = rng.integers(-50, 50, 2000) * scale
    fit, _ = isotonic_decreasing(y)
    expected = np.array([float(z) for z in exact_fit(y)])
    np.testing.assert_allclose(fit, expected, rtol=0, atol=max(4 * ULP * np.abs(y).max(), 5e-324))


def test_cancellation_inside_a_pool():
    fit, _ = isotonic_decreasing(np.array([-1e16, 1.0, 1e16, 0.5]))
    np.testing.assert_array_equal(fit, np.full(4, 0.375))


entries = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)


@given(st.data())
def test_projection_on_a_convex_cone(data):
    n = data.draw(st.integers(1, 120))
    y = data.draw(arrays(np.float64, n, elements=entries))
    weights = data.draw(st.none() | arrays(np.float64, n, elements=st.floats(0.01, 100)))
    assert check(y, weights) <= 4
    fit, starts = isotonic_decreasing(y, weights)
    masses = np.ones(n) if weights is None else weights
    scale = (masses.sum() * np.abs(y).max() + 1e-300) * 1e-13
    # Moreau: the residual lies in the polar cone, and its partial sums vanish at the ends of the pools.
    partial = np.cumsum(masses * (y - fit))
    assert (partial <= scale).all()
    np.testing.assert_allclose(partial[starts[1:] - 1], 0, atol=scale)
    again, _ = isotonic_decreasing(fit, weights)
    np.testing.assert_allclose(again, fit, rtol=2 * ULP, atol=1e-300)
    shift = data.draw(st.sampled_from([-2.0, 0.5, 4.0]))
    shifted, _ = isotonic_decreasing(y * abs(shift), weights)
    # Powers of two scale exactly, but for entries so small that halving rounds them.
    np.testing.assert_allclose(shifted, fit * abs(shift), rtol=0, atol=1e-300)


@pytest.fixture
def small(as_python, monkeypatch):
    """Thinned blocks of 8, 16 and 32 entries, in Python; counts the sums that are taken."""
    as_python(pav)
    monkeypatch.setattr(pav, "_SMALL_BLOCK", 8)
    monkeypatch.setattr(pav, "_LARGE_BLOCK", 32)
    calls = []

    def two_sum(high, low, term, usual=pav.two_sum):
        calls.append(term)
        return usual(high, low, term)

    monkeypatch.setattr(pav, "two_sum", two_sum)
    return calls


@pytest.mark.parametrize("weighted", [False, True])
def test_small_blocks(small, weighted):
    rng = np.random.default_rng(4)
    worst = 0.0
    for n in (1, 2, 3, 8, 9, 24, 70, 110):
        for name, y in shapes(rng, n):
            weights = rng.uniform(0.1, 2, n) if weighted else None
            worst = max(worst, check(y, weights))
            if name == "decreasing":
                small.clear()
                isotonic_decreasing(y, weights)
                # The first entry, and the eight behind it, which do not join it; the rest is only copied.
                assert len(small) <= 4
    assert worst <= (3 if weighted else 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_whole_numbers(small, weighted):
    """Sums of small whole numbers are exact, so a mean is rounded once."""
    rng = np.random.default_rng(5)
    for n in (2, 3, 4, 7, 12, 33, 60):
        for height in (1, 3, 20):
            for slope in (-3, -1, 0, 1):
                y = (rng.integers(-height, height + 1, n) + (slope * np.arange(n)) // 4).astype(float)
                weights = rng.integers(1, 4, n).astype(float) if weighted else None
                fit, _ = isotonic_decreasing(y, weights)
                np.testing.assert_array_equal(fit, [float(z) for z in exact_fit(y, weights)])


@pytest.mark.parametrize("weighted", [False, True])
def test_long_pools_that_are_merged(small, weighted):
    """What their sums have lost in rounding, and their masses, is not lost when they become one."""
    rng = np.random.default_rng(6)
    runs = [np.sort(rng.random(400)) - k for k in range(5)]
    y = np.concatenate([*runs, np.sort(20 * rng.random(900) - 4)])
    weights = rng.uniform(0.1, 2, len(y)) if weighted else None
    assert len(isotonic_decreasing(y, weights)[1]) == 2
    assert check(y, weights) <= 1


def test_what_rounding_left_of_a_pool_is_merged_too(as_python):
    as_python(pav)
    # −1 + 2^−60 waits as a pool until −2 and 3 join it, which cancel all but 2^−60.
    fit, _ = isotonic_decreasing(np.array([-1.0, 2.0**-60, -2.0, 3.0]))
    np.testing.assert_array_equal(fit, np.full(4, 2.0**-62))
    # Six masses of 1 beside one of 2^53.
    y, weights = np.array([1.0, *[2.0] * 6, 0.5, 3.0]), np.array([2.0**53, *[1.0] * 8])
    fit, _ = isotonic_decreasing(y, weights)
    np.testing.assert_array_equal(fit, [float(z) for z in exact_fit(y, weights)])


@pytest.mark.parametrize(("heavy", "above"), [(1e2, 1e-13), (1e4, 5e-12), (1e10, 1e-6), (1e15, 0.5)])
def test_a_light_entry_before_heavy_ones(small, heavy, above):
    """Their common mean is that of the heavy ones but for rounding, and yet the light one is above it."""
    for tail in ([1.0] * 8, [1.0] * 20, [0.5, *[1.0] * 8], [1.0, 1.5, *[1.0] * 8]):
        y = np.array([1 + above, *tail])
        assert check(y, np.array([1.0, *[heavy] * len(tail)])) <= 1


def test_weights_of_very_different_sizes(small):
    """Light pools between entries that are heavier than all light ones together."""
    rng = np.random.default_rng(7)
    for few in (0.01, 0.05, 0.2):
        weights = np.where(rng.random(200) < few, 2.0**53, 0.25)
        for y in (
            rng.random(200),
            1 + np.arange(200) / 200,
            np.round(rng.random(200) - np.arange(200) / 200, 1),
        ):
            assert check(y, weights) <= 3


def means_rise(left, right):
    return right[0] * left[1] >= left[0] * right[1]


def passed(pools, first):
    """Pools first and first + 1, the next two, and so on, merged where their means rise or are equal."""
    pairs = [pools[k : k + 2] for k in range(first, len(pools), 2)]
    merged = [
        [[a + b for a, b in zip(*pair, strict=True)]] if len(pair) == 2 and means_rise(*pair) else pair
        for pair in pairs
    ]
    return pools[:first] + [pool for pair in merged for pool in pair]


def thinned(y, weights):
    """Sums, masses and sizes of pools after passes from the second pool and from the first, in turn."""
    pools = [[z * w, w, 1.0] for z, w in zip(y, weights, strict=True)]
    n = len(y)
    pools = passed(pools, 0)
    if 16 * (len(pools) - n % 2) >= 15 * n:
        return []
    before = np.inf
    while len(pools) > n // 8 and len(pools) < 0.8 * before:
        before = len(pools)
        pools = passed(passed(pools, 1), 0)
    return pools


@pytest.mark.parametrize("weighted", [False, True])
def test_thinned_blocks(as_python, weighted):
    """Against lists, with whole numbers; the entries around the block do not take part."""
    as_python(pav)
    rng = np.random.default_rng(8)
    few = []
    for n in (1, 2, 3, 8, 15, 16, 17, 32, 33, 64):
        for height in (1, 4, 1000):
            for slope in (-height, -height / 3, 0, height / 3):
                inner = rng.integers(-height, height + 1, n) + np.round(slope * np.arange(n))
                # One violation, two, or three.
                falling = np.arange(n, 0.0, -1)
                falling[1 : 2 * int(rng.integers(1, 4)) : 2] += 1.5
                for part in (inner, falling):
                    y = np.concatenate([[9.0, 1e9, -1e9], part, [-1e9, 1e9]])
                    weights = rng.integers(1, 4, n + 5).astype(float) if weighted else None
                    masses = np.ones(n) if weights is None else weights[3 : n + 3]
                    sums, total, sizes = np.empty(n), np.empty(n), np.empty(n)
                    left = pav._thin(y, weights, 3, n + 3, sums, total, sizes if weighted else None)
                    expected = thinned(part.tolist(), masses.tolist())
                    assert left == len(expected)
                    found = [sums[:left], total[:left], sizes[:left] if weighted else total[:left]]
                    assert np.transpose(found).tolist() == expected
                    few.append(left)
    assert 0.05 < np.mean(np.array(few) == 0) < 0.8


def test_thinning_saves_sums(as_python, monkeypatch):
    """Noise is pooled with few sums: most of it by thinning, which takes none."""
    as_python(pav)
    calls = []

    def two_sum(*arguments, usual=pav.two_sum):
        calls.append(arguments)
        return usual(*arguments)

    monkeypatch.setattr(pav, "two_sum", two_sum)
    rng = np.random.default_rng(9)
    y = rng.standard_normal(1500)
    isotonic_decreasing(y, None)
    assert len(calls) < len(y) / 2
    calls.clear()
    monkeypatch.setattr(pav, "_thin", lambda *arguments: 0)
    isotonic_decreasing(y, None)
    assert len(calls) > len(y)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [2, 8, 9, 16, 17, 25, 40])
def test_runs_by_exact_sums(small, weighted, n):
    """All entries up to the first that is below the mean of those before it; eight of them with one sum."""
    rng = np.random.default_rng(n)
    rising = np.arange(float(n))
    for stop in range(1, n + 1):
        for y in (rising, np.full(n, 0.1), np.full(n, -3.0), rng.integers(5, 40, n) + 4.0 * rising):
            y = y.copy()
            y[stop:] = y[:stop].min() - 1.0
            if stop % 2:
                # Behind the one that is below there may be others that are not.
                y[stop + 1 :] = 1e3
            weights = rng.integers(1, 4, n).astype(float) if weighted else None
            masses = np.ones(n) if weights is None else weights
            end, total, mass = 1, Fraction(y[0]) * Fraction(masses[0]), Fraction(masses[0])
            while end < n and Fraction(y[end]) * mass >= total:
                total += Fraction(y[end]) * Fraction(masses[end])
                mass += Fraction(masses[end])
                end += 1
            small.clear()
            i, high, low, found, found_low = pav._absorb(y, weights, 1, y[0] * masses[0], 0.0, masses[0], 0.0)
            assert i == end
            assert abs(Fraction(high) + Fraction(low) - total) <= abs(total) * Fraction(2.0**-52)
            assert Fraction(found) + Fraction(found_low) == mass
            if stop == n and y[1] in (0.1, -3.0):
                assert end == n
                assert len(small) == (1 + weighted) * sum(divmod(n - 1, 8))


@pytest.mark.parametrize("weighted", [False, True])
def test_when_eight_entries_join_at_once(small, weighted):
    """If the smallest of them is not below the mean with all of them, and otherwise one after another."""
    rng = np.random.default_rng(11)
    together = []
    for _ in range(400):
        size = int(rng.integers(1, 9))
        y = np.append(rng.integers(0, 9), rng.integers(4, 10) + rng.integers(0, 6, 8) // 2).astype(float)
        weights = rng.integers(1, 4, 9).astype(float) if weighted else None
        masses = np.ones(9) if weights is None else weights
        total, mass, end = size * y[0], float(size), 1
        all_of_them = y[1:].min() * (mass + masses[1:].sum()) >= total + masses[1:] @ y[1:]
        while end < 9 and y[end] * mass >= total:
            total += masses[end] * y[end]
            mass += masses[end]
            end += 1
        small.clear()
        found = pav._absorb(y, weights, 1, size * y[0], 0.0, float(size), 0.0)
        assert found == (end, total, 0.0, mass, 0.0)
        assert len(small) == (1 if all_of_them else end - 1) * (1 + weighted)
        together.append(all_of_them)
    assert 0.2 < np.mean(together) < 0.8


@pytest.mark.parametrize("weighted", [False, True])
def test_equal_entries_are_a_run(small, weighted):
    """However their sums are rounded: eight of them at a time."""
    rng = np.random.default_rng(10)
    for _ in range(30):
        y = np.full(401, rng.standard_normal())
        weights = rng.uniform(0.1, 2, 401) if weighted else None
        mass = 1.0 if weights is None else weights[0]
        small.clear()
        i, *_ = pav._absorb(y, weights, 1, y[0] * mass, 0.0, mass, 0.0)
        assert i == 401
        assert len(small) == 50 * (1 + weighted)


def test_the_sum_of_a_pool_has_two_parts(small):
    """Here 10 and 1, so that the mean of two entries is 5.5; the lower part grows with the pool."""
    for more, joins in ((5.2, False), (5.6, True)):
        for n in (1, 8):
            small.clear()
            i, *_ = pav._absorb(np.array([6.0, *[more] * n]), None, 1, 10.0, 1.0, 2.0, 0.0)
            assert i == 1 + n * joins
            assert len(small) == joins


@pytest.mark.parametrize("place", range(8))
def test_one_low_entry_ends_a_run(small, place):
    y = np.arange(20.0)
    y[9 + place] = 3.0
    for weights in (None, np.linspace(1, 2, 20)):
        first = 1.0 if weights is None else weights[0]
        assert pav._absorb(y, weights, 1, 0.0, 0.0, first, 0.0)[0] == 9 + place
