"""The sort in buckets: the same order as NumPy's stable sort, on inputs that take every route."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lovasz_opt.kernels import sort_buckets
from lovasz_opt.kernels.sort import _key
from lovasz_opt.kernels.sort_buckets import MANY, _sort_runs
from lovasz_opt.sets._jaccard_prox import Orders, jaccard_prox_point


def check(x, chosen=None):
    """Sort the chosen indices and compare with NumPy; −0 is behind +0."""
    chosen = np.arange(len(x)) if chosen is None else chosen
    n = len(chosen)
    words = np.append(chosen, 12345).astype(np.uint64)
    pixels, entries = np.zeros(n, np.uint32), np.zeros(n)
    sort_buckets.sort_into(x, words, n, np.empty(n, np.uint64), pixels, entries)
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


def test_a_digit_is_all_leading_bits():
    assert ((1 << 64) - 1) >> int(sort_buckets._SHIFT) == (1 << sort_buckets._BITS) - 1


@pytest.fixture
def small(as_python, monkeypatch):
    """Buckets, digits and runs so small that few entries take every route; the buckets that are sorted."""
    as_python(sort_buckets)
    for name, value in {"_BITS": 12, "_SHIFT": np.uint64(52), "_FULL": 8, "_LEADING": 3, "_RUN": 2}.items():
        monkeypatch.setattr(sort_buckets, name, value)
    buckets = []

    def sort_bucket(x, keys, pixels, start, stop, words, spare, usual=sort_buckets._sort_bucket):
        buckets.append((start, stop))
        usual(x, keys, pixels, start, stop, words, spare)

    monkeypatch.setattr(sort_buckets, "_sort_bucket", sort_bucket)
    return buckets


def full_buckets(x):
    """Where buckets start and stop: each takes the next digit unless it would hold more than 8 entries."""
    keys = np.array([_key(value, False) for value in x], np.uint64)
    ends, size = [], 8
    for count in np.unique(keys >> np.uint64(52), return_counts=True)[1].tolist():
        if size + count > 8:
            ends.append(0)
            size = 0
        size += count
        ends[-1] = size
    stops = np.cumsum(ends).tolist()
    return list(zip([0, *stops[:-1]], stops, strict=True))


def test_small_buckets(small):
    rng = np.random.default_rng(6)
    # A digit of one entry, one of 8, and so on: no other input has as many buckets.
    alternating = np.repeat(2.0 ** np.arange(10), [1, 8] * 5) * (1 + 2.0**-52 * rng.permutation(45))
    inputs = [x for n in (1, 2, 40) for _, x in shapes(rng, n)]
    inputs += [alternating, -alternating[::-1], np.repeat([1.0, 2.0, 4.0], [4, 4, 4]), np.arange(1.0, 9.0)]
    # Runs that agree in the leading bits of a bucket: few, many, and such as insertion sorts at once.
    run = 1 + 2.0**-52 * np.arange(30.0)
    inputs += [np.append(run, 1.4), np.append(rng.permutation(run), 1.4), np.append(run[::-1], 1.4)]
    inputs += [np.append(swapped, [1.2, 1.4]) for swapped in (run[[2, 1, 0]], run[[0, 3, 2, 1, 4]])]
    inputs += [np.array([np.inf, -np.inf, 1.0, np.inf, -0.0, 0.0, -0.0])]
    for x in inputs:
        small.clear()
        check(x)
        assert small == full_buckets(x)
        check(np.append(x, -x), np.flatnonzero(rng.random(2 * len(x)) < 0.5))


def test_a_bucket_is_sorted_by_the_bits_in_which_it_differs(small, monkeypatch):
    """By three bits, or fewer where all of them are taken; only what is crowded goes to the other sort."""
    spread, crowded = [], []

    def sort_words(words, spare, n, usual=sort_buckets._sort_words):
        spread.append(int(words[:n].max() >> np.uint64(32)) - int(words[:n].min() >> np.uint64(32)))
        usual(words, spare, n)

    def sort_indices(x, words, spare, n, usual=sort_buckets.sort_indices):
        crowded.append(n)
        usual(x, words, spare, n)

    monkeypatch.setattr(sort_buckets, "_sort_words", sort_words)
    monkeypatch.setattr(sort_buckets, "sort_indices", sort_indices)
    for width, expected in ((0, 0), (1, 1), (7, 7), (8, 4), (15, 7), (16, 4), (1 << 40, 4)):
        spread.clear()
        check(1 + 2.0**-52 * np.array([0, width]))
        assert spread == [expected]
    assert crowded == []
    # Insertion moves the last of three rising entries by two places, and of four by three.
    check(1 + 2.0**-52 * np.array([1 << 40, 1, 2, 3]))
    assert crowded == []
    check(1 + 2.0**-52 * np.array([1 << 40, 1, 2, 3, 4]))
    assert crowded == [5]


@pytest.mark.parametrize("length", [1, 2, 47, 48, 49])
def test_how_far_insertion_goes(as_python, length):
    as_python(sort_buckets)
    n = length + 1
    keys = np.append(np.arange(1, n), 0).astype(np.uint64)
    for front in (0, 3):
        # In front a run of its own that is in order.
        upper = np.repeat(np.array([1, 2], np.uint64), [front, n]) << np.uint64(32)
        words = upper | np.append(np.arange(n, n + front), np.arange(n)).astype(np.uint64)
        within = sort_buckets._sort_runs(np.append(keys, np.arange(front, dtype=np.uint64)), words, n + front)
        assert within == (length <= sort_buckets._RUN)
        if within:
            order = [*range(n, n + front), length, *range(length)]
            np.testing.assert_array_equal(words & np.uint64(0xFFFFFFFF), order)


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
