"""A prox that starts from a nearby solution is the prox, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lovasz_opt as lo
from lovasz_opt.kernels import jaccard_prox


@pytest.mark.parametrize("size", [1e-9, 1e-5, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("gamma", [1.0, 3e3, 1e5])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_along_an_iteration(size, gamma, share):
    rng = np.random.default_rng(0)
    p = 4000
    target = rng.random(p) < share
    f, h = lo.LovaszExtension(lo.Jaccard(target)), lo.LovaszHinge(target)
    x, z = rng.normal(size=p), np.zeros(p)
    moved = x
    for _ in range(4):
        x = x + size * rng.normal(size=p)
        z = f.prox(x, gamma, start=z)
        np.testing.assert_array_equal(z, lo.LovaszExtension(f.F).prox(x, gamma))
        moved = h.prox(x, gamma, start=moved)
        np.testing.assert_array_equal(moved, lo.LovaszHinge(target).prox(x, gamma))


@given(data=st.data())
def test_ties_and_any_change(data):
    p = data.draw(st.integers(1, 40))
    values = st.lists(st.integers(-3, 3).map(float), min_size=p, max_size=p)
    target = np.array(data.draw(st.lists(st.booleans(), min_size=p, max_size=p)))
    weighted = data.draw(st.booleans())
    weights = np.arange(1.0, p + 1) if weighted else None
    metric = "weights" if weighted else None
    f = lo.LovaszExtension(lo.Jaccard(target, weights))
    h = lo.LovaszHinge(target, weights=weights)
    for _ in range(3):
        x, gamma = np.array(data.draw(values)), data.draw(st.sampled_from([1e-3, 1.0, 7.0, 1e4]))
        for loss in (f, h):
            warm = loss.prox(x, gamma, metric=metric, start=x)
            np.testing.assert_array_equal(warm, loss.prox(x, gamma, metric=metric))


def test_insertion_everywhere():
    """Into an array that is full afterwards: decreasing entries, equal ones by their pixels."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        n = int(rng.integers(1, 6))
        entries, pixels = rng.integers(0, 3, n).astype(float), rng.permutation(n).astype(np.uint32)
        before, after = (np.lexsort((pixels[:k], -entries[:k])) for k in (n - 1, n))
        sorted_entries, sorted_pixels = np.append(entries[before], np.nan), np.append(pixels[before], 9)
        sorted_pixels = sorted_pixels.astype(np.uint32)
        moved = jaccard_prox._insert(sorted_pixels, sorted_entries, n - 1, pixels[-1], entries[-1])
        assert sorted_entries.tolist() == entries[after].tolist()
        assert sorted_pixels.tolist() == pixels[after].tolist()
        assert moved == n - 1 - after.tolist().index(n - 1)


def test_sorting_again(monkeypatch):
    """It inserts as long as little is moved, and says when it has given up."""
    monkeypatch.setattr(jaccard_prox, "_PATIENCE", 6)
    kernel = getattr(jaccard_prox._sort_again, "py_func", jaccard_prox._sort_again)
    rng = np.random.default_rng(4)
    scale, cut = 2.0, 8.0
    ends = {True: 0, False: 0}
    for k in range(400):
        n, change = int(rng.integers(1, 16)), (0, 1, 3, 20)[k % 4]
        members = np.flatnonzero(np.arange(2 * n) % 3)
        old = rng.integers(0, 20, 2 * n).astype(float)
        x = old + rng.integers(-change, change + 1, 2 * n) * (rng.random(2 * n) < 0.3)

        def above(x, members=members):
            return members[scale * x[members] > cut]

        def in_order(x, pixels):
            return pixels[np.lexsort((pixels, -x[pixels]))]

        words = above(x)
        before = in_order(old, above(old)).astype(np.uint32)
        known = before[np.isin(before, words)]
        came = words[~np.isin(words, before)]
        # Every pixel moves those that came before it and belong behind it.
        arrivals = np.append(known, came)
        place = np.empty(2 * n, int)
        place[in_order(x, words)] = np.arange(len(words))
        moves = sum((place[arrivals[:k]] > place[pixel]).sum() for k, pixel in enumerate(arrivals))
        pixels, entries = np.empty(len(words), np.uint32), np.empty(len(words))
        done = kernel(x, scale, cut, before, words.astype(np.uint64), len(words), pixels, entries)
        if moves <= 6:
            assert done
        if moves > 6 + len(words):
            assert not done
        if done:
            assert pixels.tolist() == in_order(x, words).tolist()
            assert entries.tolist() == (scale * x[pixels]).tolist()
        ends[done] += len(words) > 6
    assert ends[True] > 50
    assert ends[False] >= 15


@pytest.mark.parametrize("many", [8, 9])
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_entries_in_order_are_scaled_whatever_the_sort(scale, many, monkeypatch):
    monkeypatch.setattr(jaccard_prox, "MANY", many)
    kernel = getattr(jaccard_prox._sort_pixels, "py_func", jaccard_prox._sort_pixels)
    x = np.array([0.5, -1.0, 3.0, 0.5, 7.0, -2.0, 3.0, 9.0, 0.0])
    words, spare = np.append(np.arange(8), 99).astype(np.uint64), np.empty(9, np.uint64)
    pixels, entries = np.full(9, 99, np.uint32), np.full(9, np.nan)
    kernel(x, scale, words, spare, 8, pixels, entries)
    assert pixels.tolist() == [7, 4, 2, 6, 0, 3, 1, 5, 99]
    assert entries[:8].tolist() == (scale * x[pixels[:8]]).tolist()
    assert np.isnan(entries[8])


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_what_is_kept_is_the_order_of_what_can_move(share):
    rng = np.random.default_rng(5)
    p, gamma = 80, 0.01 * (16 if share else 1)
    target, x = rng.random(p) < share, rng.normal(size=p)
    x[::9] = 0.0
    x[target] += 1.5
    weights = 0.01 * (1 + rng.random(p))
    order, sizes = np.empty(p, np.uint32), np.zeros(2, np.int64)
    work, z = np.empty(jaccard_prox.WORK * (p + 1), np.uint64), np.empty(p)
    for size in (0.0, 0.01, 10.0, 0.0):
        x = x + size * rng.normal(size=p)
        for positive in (True, False):
            arguments = (x, target.astype(np.uint8), weights, gamma, positive)
            jaccard_prox.jaccard_prox(*arguments, z, None, order, sizes, work)
            alone, labels = np.empty(p), np.full(p, -1)
            nothing = np.empty(0, np.uint32), np.zeros(2, np.int64)
            jaccard_prox.jaccard_prox(*arguments, alone, None, *nothing, work)
            np.testing.assert_array_equal(z, alone)
            jaccard_prox.jaccard_prox(*arguments, alone, labels, *nothing, work)
            np.testing.assert_allclose(z, alone, rtol=2e-15, atol=0)
            for factor in (2.0**-980, 2.0**1016):
                again = np.zeros_like(order), np.zeros(2, np.int64)
                numbers = factor * x, target.astype(np.uint8), weights, factor * gamma, positive
                jaccard_prox.jaccard_prox(*numbers, alone, None, *again, work)
                np.testing.assert_array_equal(alone, factor * z)
                assert again[1].tolist() == sizes.tolist()
            fg, bg = order[: sizes[0]], order[sizes[0] : sizes.sum()]
            for pixels, of_class in ((fg, target), (bg, ~target)):
                assert (np.diff(x[pixels]) <= 0).all()
                assert of_class[pixels].all()
            if positive:
                assert (sizes[0], sizes[1]) == ((x[target] > 0).sum(), (x[~target] > 0).sum())
                assert ((labels >= 0) == (x > 0)).all()
                continue
            assert sizes[0] == target.sum()
            assert (labels >= 0).all()
            # Background so far behind that it can meet no other pixel, within a hundredth, is left out.
            if share == 1.0:
                continue
            front = x[target].min() if share else x[~target].max()
            reach = gamma / (weights[target].sum() if share else weights.min())
            behind = front - x[~target]
            assert (behind < reach).sum() <= sizes[1] <= (behind < 1.01 * reach).sum()


def test_batches_dtypes_and_other_set_functions():
    rng = np.random.default_rng(1)
    target = rng.random(500) < 0.4
    f = lo.LovaszExtension(lo.Jaccard(target))
    for dtype in (np.float32, np.float64):
        x = rng.normal(size=(3, 500)).astype(dtype)
        for rows in (x, x[:2], x[0], x + dtype(1e-3)):
            warm = f.prox(rows, 50.0, start=rows)
            assert warm.dtype == dtype
            np.testing.assert_array_equal(warm, f.prox(rows, 50.0))
    g = lo.LovaszExtension(lo.Cardinality(np.sqrt, 500))
    np.testing.assert_array_equal(g.prox(x[0], 5.0, start=x[0]), g.prox(x[0], 5.0))


def test_the_order_is_reused(monkeypatch):
    from lovasz_opt.sets import _jaccard_prox

    rng = np.random.default_rng(2)
    target, x = rng.random(300) < 0.4, rng.normal(size=300)
    f = lo.LovaszExtension(lo.Jaccard(target))
    orders = []
    kernel = _jaccard_prox.kernel
    monkeypatch.setattr(
        _jaccard_prox, "kernel", lambda *a: (orders.append((a[7].copy(), a[8].copy())), kernel(*a))
    )
    first = f.prox(x, 9.0, start=x)
    f.prox(x + 1e-9, 9.0, start=first)
    assert orders[0][1].sum() == 0
    order, sizes = orders[1]
    assert sizes[0] == target.sum()
    assert (np.diff(x[order[: sizes[0]]]) <= 0).all()
    assert (np.diff(x[order[sizes[0] : sizes.sum()]]) <= 0).all()
    f.prox(x, 9.0)
    assert orders[2][0].size == 0


def test_messages():
    f, h = lo.LovaszExtension(lo.Jaccard([1, 0])), lo.LovaszHinge([1, 0])
    for loss in (f, h):
        with pytest.raises(ValueError, match=r"start has shape \(3,\), expected \(2,\)"):
            loss.prox([0.0, 1.0], 1.0, start=[0.0, 1.0, 2.0])
        with pytest.raises(ValueError, match=r"start\[1\] is nan"):
            loss.prox([0.0, 1.0], 1.0, start=[0.0, np.nan])
