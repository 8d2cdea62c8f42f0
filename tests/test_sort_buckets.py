"""The sort in buckets: the same order as NumPy's stable sort, on inputs that take every route."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lovasz_opt.kernels.sort_buckets import MANY, _sort_runs, sort_into
from lovasz_opt.sets._jaccard_prox import Orders, jaccard_prox_point


def check(x, chosen=None):
    """Sort the chosen indices and compare with NumPy; −0 is behind +0."""
    chosen = np.arange(len(x)) if chosen is None else chosen
    n = len(chosen)
    words = np.append(chosen, 12345).astype(np.uint64)
    pixels, entries = np.zeros(n, np.uint32), np.zeros(n)
    sort_into(x, words, n, np.empty(n, np.uint64), pixels, entries)
    expected = chosen[np.lexsort((np.signbit(x[chosen]), -x[chosen]))]
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(entries.view(np.uint64), x[expected].view(np.uint64))
    assert words[n] == 12345


def shapes(rng, n):
    noise = rng.standard_normal(n)
    yield "normal", noise
    yield "rounded", np.round(noise, 2)
    yield "constant", np.full(n, -0.3)
    yield "signs of zero", rng.choice([0.0, -0.0], n)
    yield "wide", noise * 10.0 ** rng.uniform(-300, 300, n)
    yield "crowded", 1 + 1e-9 * rng.random(n)
    # One bucket wide enough to leave bits out, whose entries agree in those that are kept.
    few = rng.random(n) < 0.01
    yield "crowded and spread", 1 + np.where(few, 1e-2, 1e-12) * rng.random(n)
    yield "subnormal", rng.integers(-9, 9, n) * 5e-324


@pytest.mark.parametrize("n", [1, 2, 70, 5000, 200_000])
def test_order(n):
    rng = np.random.default_rng(n)
    for _, x in shapes(rng, n):
        check(x)
        check(x, np.flatnonzero(np.append(True, rng.random(n - 1) < 0.3)))


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=False)))
def test_any_floats(x):
    check(x)


def test_crowded_entries_are_recognised():
    words = (np.arange(200) % 2).astype(np.uint64)[::-1].copy()
    keys = np.array([5, 4], np.uint64)
    assert not _sort_runs(keys, words, 200)
    distinct = np.arange(200, dtype=np.uint64) | np.arange(200, dtype=np.uint64) << np.uint64(32)
    assert _sort_runs(np.arange(200, dtype=np.uint64), distinct.copy(), 200)


@pytest.mark.parametrize("scale", [1.0, 1e305, 1e-305])
def test_the_prox_is_the_same_to_the_last_bit(scale):
    """Enough pixels of both classes for the buckets, against a call that knows the order."""
    rng = np.random.default_rng(4)
    p = 3 * MANY
    x = rng.standard_normal(p) * scale
    target = rng.random(p) < 0.4
    order = np.argsort(-x, kind="stable")
    order = np.concatenate([order[target[order]], order[~target[order]]]).astype(np.uint32)
    known = Orders(order, np.array([[target.sum(), p - target.sum()]]))
    z = jaccard_prox_point(target, None, x, scale, False)
    np.testing.assert_array_equal(jaccard_prox_point(target, None, x, scale, False, known), z)


def test_what_an_earlier_call_leaves_in_the_work_space_does_not_matter():
    rng = np.random.default_rng(5)
    x, target = rng.standard_normal(5000), rng.random(5000) < 0.4
    small = jaccard_prox_point(target[:99], None, x[:99], 3.0, False)
    large = jaccard_prox_point(target, None, x, 3.0, False)
    np.testing.assert_array_equal(jaccard_prox_point(target[:99], None, x[:99], 3.0, False), small)
    np.testing.assert_array_equal(jaccard_prox_point(target, None, x, 3.0, False), large)
