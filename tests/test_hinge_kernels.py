"""Kernels of the Lovász hinge on flat arrays of several images, against brute force image by image."""

from itertools import pairwise

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt.kernels.hinge import hinge_images, hinge_prox_images
from lovasz_opt.kernels.hinge_pools import hinge_prox_pools_images
from lovasz_opt.reference import brute


def images(rng):
    """Logits, kinds, weights and offsets of images of 7, 0, 1, 5 and 9 pixels, the last of them void."""
    sizes = [7, 0, 1, 5, 9]
    kinds = rng.integers(0, 3, sum(sizes)).astype(np.uint8)
    kinds[-9:] = 2
    return 2 * rng.normal(size=len(kinds)), kinds, 0.5 + rng.random(len(kinds)), np.cumsum([0, *sizes])


@pytest.mark.parametrize("weighted", [False, True])
def test_hinge_of_some_images(weighted):
    """Only those asked for are written, and each is what NumPy and the set function say."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        logits, kinds, weights, offsets = images(rng)
        totals = np.array([weights[a:b][kinds[a:b] == 1].sum() for a, b in pairwise(offsets)])
        values, gradient = np.full(5, np.nan), np.full(len(logits), np.nan)
        spare = np.empty(9, np.uint64), np.empty(9, np.uint64)
        hinge_images(
            logits,
            kinds,
            weights if weighted else None,
            totals if weighted else None,
            offsets,
            4.0,
            1,
            4,
            *spare,
            values,
            gradient,
        )
        assert np.isnan(values[[0, 4]]).all()
        assert np.isnan(gradient[: offsets[1]]).all()
        assert np.isnan(gradient[offsets[4] :]).all()
        for b in (1, 2, 3):
            part = slice(offsets[b], offsets[b + 1])
            valid = kinds[part] < 2
            target, masses = kinds[part][valid] == 1, weights[part][valid] if weighted else None
            f = lo.LovaszExtension(lo.Jaccard(target, masses)) if valid.any() else None
            margins = np.maximum(1 - np.where(target, 1, -1) * logits[part][valid], 0)
            assert values[b] == pytest.approx(f(margins) if f else 0.0, rel=1e-12)
            expected = np.zeros(len(valid))
            if f:
                expected[valid] = np.where(target, -1, 1) * f.greedy(margins) * (margins > 0) / 4
            np.testing.assert_allclose(gradient[part], expected, rtol=1e-12, atol=1e-16)


def moved_by_brute_force(logits, kinds, weights, gamma):
    """Prox of the Lovász hinge of one image."""
    moved = logits.copy()
    valid = kinds < 2
    if valid.any():
        target, masses = kinds[valid] == 1, weights[valid]
        signs = np.where(target, 1.0, -1.0)
        x = 1 - signs * logits[valid]
        z = brute.prox(brute.set_values(lo.Jaccard(target, masses)), x, gamma, masses)
        z = np.where(x > 0, np.maximum(z, 0), x)
        moved[valid] = signs * (1 - z)
    return moved


@pytest.mark.parametrize("weighted", [False, True])
def test_hinge_prox_of_some_images(weighted):
    rng = np.random.default_rng(5)
    for _ in range(20):
        logits, kinds, weights, offsets = images(rng)
        gamma, masses = 10 ** rng.uniform(-1, 1), weights if weighted else np.ones(len(logits))
        order, sizes = np.full(len(logits), 99, np.uint32), np.zeros((5, 2), np.int64)
        moved = np.full(len(logits), np.nan)
        for scores in (logits, logits + 1e-3):
            hinge_prox_images(
                scores, kinds, weights if weighted else None, offsets, gamma, 1, 5, moved, order, sizes
            )
            assert np.isnan(moved[: offsets[1]]).all()
            assert (order[: offsets[1]] == 99).all()
            for b in range(1, 5):
                part = slice(offsets[b], offsets[b + 1])
                expected = moved_by_brute_force(scores[part], kinds[part], masses[part], gamma)
                np.testing.assert_allclose(moved[part], expected, rtol=0, atol=1e-12)
                positive = np.where(kinds == 1, 1 - scores, 1 + scores)[part] > 0
                assert sizes[b].tolist() == [(positive & (kinds[part] == c)).sum() for c in (1, 0)]
                still = ~positive | (kinds[part] == 2)
                assert moved[part][still].tolist() == scores[part][still].tolist()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e17])
def test_a_step_that_moves_no_pixel_gives_back_the_logits(scale):
    """To the last bit, whatever the margins lose of it."""
    logits, kinds, _, offsets = images(np.random.default_rng(7))
    logits *= scale
    n = len(logits)
    moved, order, sizes = np.empty(n), np.empty(0, np.uint32), np.zeros((5, 2), np.int64)
    hinge_prox_images(logits, kinds, None, offsets, 1e-30, 0, 5, moved, order, sizes)
    assert moved.tolist() == logits.tolist()
    moved[:] = np.nan
    found = *(np.empty(n, np.int64) for _ in range(3)), np.empty((5, 3), np.int64)
    hinge_prox_pools_images(logits, kinds, offsets, 1e-30, 0, 5, moved, *found)
    assert moved.tolist() == logits.tolist()


def test_hinge_prox_with_what_its_jacobian_needs():
    rng = np.random.default_rng(6)
    seen, several = np.zeros(3, int), 0
    for k in range(80):
        logits, kinds, _, offsets = images(rng)
        gamma = 10 ** rng.uniform(-2, 1)
        if k % 2:
            # Two pairs of the background, close together: each a pool for most steps.
            kinds[:7], logits[:7] = [0, 1, 0, 2, 0, 0, 1], [1, -1.3, 1.001, 5, 0, 0.001, 0.3]
        moved, n = np.full(len(logits), np.nan), len(logits)
        pinned, pooled, sizes = (np.full(n, -1) for _ in range(3))
        counts = np.full((5, 3), -1)
        hinge_prox_pools_images(logits, kinds, offsets, gamma, 0, 4, moved, pinned, pooled, sizes, counts)
        assert np.isnan(moved[offsets[4] :]).all()
        assert (counts[4] == -1).all()
        for b in range(4):
            first, stop = offsets[b], offsets[b + 1]
            part = slice(first, stop)
            expected = moved_by_brute_force(logits[part], kinds[part], np.ones(stop - first), gamma)
            np.testing.assert_allclose(moved[part], expected, rtol=0, atol=1e-12)
            signs = np.where(kinds == 1, 1.0, -1.0)[part]
            margins, before = 1 - signs * expected, 1 - signs * logits[part]
            valid = (kinds[part] < 2) & (before > 0)
            still = ~valid
            assert moved[part][still].tolist() == logits[part][still].tolist()
            n_pinned, n_pooled, n_pools = counts[b]
            down = first + np.flatnonzero(valid & (margins < 1e-12))
            assert pinned[part][:n_pinned].tolist() == down.tolist()
            # Pools of two or more, as sets of pixels, by decreasing margins.
            free = np.flatnonzero(valid & (margins >= 1e-12))
            levels = np.unique(margins[free].round(9))[::-1]
            pools = [(first + free[margins[free].round(9) == level]).tolist() for level in levels]
            pools = [pool for pool in pools if len(pool) > 1]
            assert sizes[part][:n_pools].tolist() == [len(pool) for pool in pools]
            assert pooled[part][:n_pooled].tolist() == [pixel for pool in pools for pixel in pool]
            for array, used in ((pinned, n_pinned), (pooled, n_pooled), (sizes, n_pools)):
                assert (array[part][used:] == -1).all()
            seen += counts[b]
            several += n_pools > 1
    assert (seen > 40).all()
    assert several > 10
