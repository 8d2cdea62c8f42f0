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
