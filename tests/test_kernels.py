"""Kernels by themselves, where a loss or a solver hardly shows a small mistake."""

import numpy as np
import pytest

from lovasz_opt.kernels import _jit
from lovasz_opt.kernels.bilinear import interpolate, spread
from lovasz_opt.kernels.greedy import BUCKETS, count, place, value_and_greedy
from lovasz_opt.kernels.simplex_qp import simplex_qp
from lovasz_opt.kernels.softmax import _exponential


def test_compiled_code_is_that_of_all_sources(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("a = 1\n")
    monkeypatch.setattr(_jit, "__file__", str(tmp_path / "_jit.py"))
    before = _jit._sources()
    assert before == _jit._sources()
    assert len(before) == 12
    (tmp_path / "two.py").write_text("a = 2\n")
    assert _jit._sources() != before


def test_exponential_to_the_last_places():
    x = np.concatenate([-np.linspace(0, 87, 20_001), -(10.0 ** np.linspace(-30, 0, 301)), [0.0]])
    x = x.astype(np.float32)
    expected = np.exp(x.astype(np.float64))
    found = np.array([_exponential(value) for value in x], np.float32)
    assert (np.abs(found - expected) / expected).max() < 1.2 * np.finfo(np.float32).eps
    assert _exponential(np.float32(-88.0)) == 0.0
    assert _exponential(np.float32(-1e30)) == 0.0


def test_bilinear_interpolation_and_its_transpose():
    rng = np.random.default_rng(0)
    height, width, rows, columns = 4, 5, 7, 9
    row, column = rng.integers(0, height - 1, rows), rng.integers(0, width - 1, columns)
    row_share, column_share = rng.random(rows), rng.random(columns)
    row[0], row_share[0], column[0], column_share[0] = height - 1, 0.0, width - 1, 0.0
    pixels = rng.permutation(rows * columns)[:40]
    matrix = np.zeros((len(pixels), height * width))
    for k, pixel in enumerate(pixels):
        i, j = divmod(pixel, columns)
        for down, t in ((0, 1 - row_share[i]), (1, row_share[i])):
            for right, u in ((0, 1 - column_share[j]), (1, column_share[j])):
                if t * u > 0:
                    matrix[k, (row[i] + down) * width + column[j] + right] += t * u
    where = (width, row, row_share, column, column_share, pixels)
    coarse, values = rng.standard_normal(height * width), rng.standard_normal(len(pixels))
    values[3] = 0.0
    out, back = np.empty(len(pixels)), np.ones(height * width)
    interpolate(coarse, *where, out)
    np.testing.assert_allclose(out, matrix @ coarse, rtol=0, atol=1e-14)
    spread(values, *where, back)
    np.testing.assert_allclose(back, 1 + matrix.T @ values, rtol=0, atol=1e-14)


def greedy_by_numpy(margins, kinds):
    """Value and greedy vector at positive margins of the valid pixels, by one sort."""
    valid = kinds < 2
    order = np.flatnonzero(valid)[np.argsort(-margins[valid], kind="stable")]
    foreground = kinds[order] == 1
    a, b = np.cumsum(foreground), np.cumsum(~foreground)
    total = int(foreground.sum())
    delta = np.concatenate([[0.0], (a + b) / (total + b)])
    weights = np.zeros(len(margins))
    weights[order] = np.diff(delta)
    weights[margins <= 0] = 0.0
    return float(weights @ margins), weights


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread_over", [1e-3, 1.0, 1e9])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_greedy_vector_of_many_pixels(dtype, spread_over, share):
    """More pixels than one group holds, in few buckets and in all."""
    rng = np.random.default_rng(0)
    p = 70_000
    margins = (rng.standard_normal(p) * spread_over ** rng.uniform(-1, 1, p)).astype(dtype)
    kinds = (rng.random(p) < share).astype(np.uint8)
    kinds[::7] = 2
    value, weights = greedy_by_numpy(margins.astype(np.float64), kinds)
    words, spare = np.empty(p, np.uint64), np.empty(p, np.uint64)
    gradient = margins.copy()
    found = value_and_greedy(gradient, kinds, int((kinds == 1).sum()), None, None, 3.0, 2.0, words, spare)
    assert found == pytest.approx(value, rel=1e-12, abs=0)
    expected = np.where(kinds == 1, -1.0, 1.0) * 1.5 * weights
    np.testing.assert_allclose(gradient, expected, rtol=1e-6 if dtype == np.float32 else 1e-9, atol=1e-20)


def test_groups_of_buckets():
    rng = np.random.default_rng(1)
    n = 40_000
    margins = np.exp(rng.standard_normal(n)).astype(np.float32)
    words = margins.view(np.uint32).astype(np.uint64)
    words = ((words ^ np.uint64(0x7FFFFFFF)) << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    counts = np.zeros((1, BUCKETS), np.int64)
    count(words, n, True, counts[0])
    assert (counts & 0xFFFFFFFF).sum() == n
    before = place(counts)
    assert before[0].tolist() == [0, 0]
    assert before[-1].tolist() == [n, 0]
    sizes = np.diff(before[:, 0])
    assert (sizes[:-1] >= 1 << 13).all()
    # A bucket is one of 64 of a power of 2, and here few: a group is closed as soon as it is large enough.
    assert len(sizes) >= 3
    assert sizes.max() < (1 << 13) + n // 50


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_quadratic_program_over_the_simplex(rank):
    rng = np.random.default_rng(rank)
    for n in (1, 2, 5, 12):
        A = rng.standard_normal((n, rank))
        G, b = A @ A.T, rng.standard_normal(n)
        weights = np.full(n, 1.0 / n)
        pivots, gap = simplex_qp(G, b, weights, 200)
        gradient = b - G @ weights
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        # At the maximum no entry has a larger gradient than the mean.
        assert gradient.max() - weights @ gradient <= 1e-12 * (1 + np.abs(b).max() + np.abs(G).max())
        assert abs(gap - (gradient.max() - weights @ gradient)) < 1e-12
        assert 0 <= pivots < 200
