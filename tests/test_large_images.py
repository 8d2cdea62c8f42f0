"""Images sorted in groups and divided over threads: the definition, whatever the number of threads."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt.kernels import greedy
from lovasz_opt.losses import _hinge, _large

ONE_GROUP = greedy._ONE_GROUP


def definition(logits, labels):
    """Value and subgradient from the sorted margins: exact counts, and the same roundings as the package."""
    valid = np.flatnonzero(labels != 255)
    inside = labels[valid] == 1
    margins = np.where(inside, 1 - logits[valid], 1 + logits[valid])
    order = np.argsort(-margins, kind="stable")
    inside, margins, pixels = inside[order], margins[order], valid[order]
    union = inside.sum() + np.cumsum(~inside) - ~inside
    remaining = inside.sum() - np.cumsum(inside) + inside
    weights = np.where(inside, 1.0, remaining) / np.maximum(np.where(inside, union, union * (union + 1.0)), 1)
    weights[:1] = np.where(union[:1] == 0, 1.0, weights[:1])
    weights[margins <= 0] = 0.0
    gradient = np.zeros_like(logits)
    gradient[pixels] = np.where(inside, -weights, weights).astype(logits.dtype)
    return math.fsum(weights * np.maximum(margins, 0)), gradient


def kinds_of_images(p, dtype):
    """Name, labels and logits of images that take every route."""
    rng = np.random.default_rng(p)
    labels = (rng.random(p) < 0.3).astype(np.uint8)
    signs = np.where(labels == 1, 1.0, -1.0)
    noise = rng.standard_normal(p)
    void = np.where(rng.random(p) < 0.2, 255, labels).astype(np.uint8)
    yield "random", labels, noise
    yield "ties", labels, np.round(4 * noise) / 4
    yield "equal", labels, np.zeros(p)
    yield "void", void, np.where(void == 255, 1e9, noise)
    yield "all void", np.full(p, 255, np.uint8), noise
    yield "no foreground", np.zeros(p, np.uint8), noise
    yield "no background", np.ones(p, np.uint8), noise
    yield "all foreground wrong", labels, np.where(labels == 1, -np.abs(noise) - 0.5, noise)
    yield "trained", labels, signs * np.where(rng.random(p) < 0.95, 1 + np.abs(noise), 1 - np.abs(noise))
    yield "right", labels, 2 * signs
    yield "crowded", labels, 1e-12 * noise
    yield "far apart", labels, -signs * 10.0 ** rng.uniform(-9, 9, p)
    yield "beyond the buckets", labels, -signs * (1e6 + np.abs(noise))


@pytest.fixture
def set_threads(monkeypatch):
    monkeypatch.setattr(numba, "threading_layer", lambda: "as if started")
    return lambda threads: monkeypatch.setattr(numba, "get_num_threads", lambda: threads)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 7, 1023, 1025, ONE_GROUP, ONE_GROUP + 1, 70_001])
def test_is_the_definition_with_any_number_of_threads(monkeypatch, set_threads, p, dtype):
    monkeypatch.setattr(_hinge, "LARGE", 0)
    for name, labels, scores in kinds_of_images(p, dtype):
        logits = scores.astype(dtype)
        value, gradient = definition(logits, labels)
        results = set()
        for threads in (1, 2, 5):
            set_threads(threads)
            found = lo.LovaszHinge(labels, ignore=255).value_and_subgradient(logits)
            results.add((found[0].hex(), found[1].tobytes()))
            np.testing.assert_array_equal(found[1], gradient, err_msg=f"{name}, {threads} threads")
            assert found[0] == pytest.approx(value, rel=1e-12, abs=1e-300), name
        assert len(results) == 1, name


@pytest.mark.parametrize("p", [_large.LARGE - 1, _large.LARGE])
def test_where_images_become_large(set_threads, p):
    rng = np.random.default_rng(0)
    labels, logits = rng.choice([0, 1, 255], p), rng.standard_normal(p).astype(np.float32)
    value, gradient = definition(logits, labels)
    results = set()
    for threads in (1, 2):
        set_threads(threads)
        found = lo.LovaszHinge(labels, ignore=255).value_and_subgradient(logits)
        results.add(found[0].hex())
        np.testing.assert_array_equal(found[1], gradient)
        assert found[0] == pytest.approx(value, rel=1e-12)
    assert len(results) == 1


def test_threads_are_used_for_large_images_only(monkeypatch, set_threads):
    divided = []
    real = _hinge.hinge_of_large_image

    def watch(logits, *arguments):
        divided.append(len(logits))
        return real(logits, *arguments)

    monkeypatch.setattr(_hinge, "hinge_of_large_image", watch)
    rng = np.random.default_rng(1)
    labels = [rng.random(n) < 0.4 for n in (1000, _large.LARGE, 7)]
    logits = [rng.standard_normal(len(y)) for y in labels]
    results = []
    for threads, expected in ((1, []), (3, []), (4, [_large.LARGE])):
        set_threads(threads)
        divided.clear()
        value, gradient = lo.LovaszHinge(labels).value_and_subgradient(logits)
        assert divided == expected
        results.append((value, b"".join(g.tobytes() for g in gradient)))
    assert len(set(results)) == 1
    # Sums of pixel weights depend on their order.
    lo.LovaszHinge(labels, weights=[np.ones(len(y)) for y in labels])(logits)
    assert divided == [_large.LARGE]


@pytest.mark.parametrize("kept", [ONE_GROUP - 1, ONE_GROUP, ONE_GROUP + 1, 3 * ONE_GROUP])
def test_void_pixels_do_not_change_the_groups(monkeypatch, set_threads, kept):
    monkeypatch.setattr(_hinge, "LARGE", kept + 1)
    rng = np.random.default_rng(kept)
    p = kept + ONE_GROUP
    labels = np.full(p, 255)
    pixels = np.sort(rng.permutation(p)[:kept])
    labels[pixels] = rng.random(kept) < 0.4
    logits = rng.standard_normal(p)
    for threads in (1, 2):
        set_threads(threads)
        with_void = lo.LovaszHinge(labels, ignore=255).value_and_subgradient(logits)
        alone = lo.LovaszHinge(labels[pixels]).value_and_subgradient(logits[pixels])
        assert with_void[0] == alone[0]
        np.testing.assert_array_equal(with_void[1][pixels], alone[1])


def test_weights_that_are_one_change_nothing():
    rng = np.random.default_rng(2)
    p = 2 * ONE_GROUP
    labels, logits = rng.random(p) < 0.3, rng.standard_normal(p)
    value, gradient = lo.LovaszHinge(labels).value_and_subgradient(logits)
    weighted = lo.LovaszHinge(labels, weights=np.ones(p)).value_and_subgradient(logits)
    assert weighted[0] == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(weighted[1], gradient, rtol=1e-13)
