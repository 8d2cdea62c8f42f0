"""A prox that starts from a nearby solution is the prox, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lovasz_opt as lo


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
