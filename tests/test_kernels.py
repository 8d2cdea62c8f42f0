"""Kernels by themselves, where a loss or a solver hardly shows a small mistake."""

import math
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest

from lovasz_opt.kernels import _jit, bilinear, greedy, products, softmax
from lovasz_opt.kernels import simplex_qp as qp
from lovasz_opt.kernels.bilinear import interpolate, spread
from lovasz_opt.kernels.greedy import BUCKETS, count, place, value_and_greedy
from lovasz_opt.kernels.simplex_qp import simplex_qp
from lovasz_opt.kernels.softmax import _exponential
from lovasz_opt.kernels.sort import leading


def test_compiled_code_is_that_of_all_sources(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("a = 1\n")
    monkeypatch.setattr(_jit, "__file__", str(tmp_path / "_jit.py"))
    before = _jit._sources()
    assert before == _jit._sources()
    assert len(before) == 12
    (tmp_path / "two.py").write_text("a = 2\n")
    assert _jit._sources() != before


@pytest.mark.parametrize("writable", [True, False])
def test_options_of_compilation(writable, monkeypatch):
    """Code is kept on disk where it can be, and without the GIL everywhere."""
    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache") and not writable:
            raise RuntimeError("no locator available")
        return lambda function: function

    def work():
        pass

    name = work.__qualname__
    monkeypatch.setattr(_jit, "njit", njit)
    assert _jit.kernel(work) is work
    assert work.__qualname__ == f"{name}_{_jit._SOURCES}"
    assert _jit.kernel(fastmath=True)(work) is work
    assert _jit.inlined(work) is work
    common = {"nogil": True, "error_model": "numpy"}
    for fastmath in (False, True):
        assert asked.pop(0) == {"cache": True, "fastmath": fastmath, **common}
        if not writable:
            assert asked.pop(0) == {"fastmath": fastmath, **common}
    assert asked == [{"inline": "always", **common}]


def test_exponential_to_the_last_places():
    x = np.concatenate([-np.linspace(0, 87, 20_001), -(10.0 ** np.linspace(-30, 0, 301)), [0.0]])
    x = x.astype(np.float32)
    expected = np.exp(x.astype(np.float64))
    found = np.array([_exponential(value) for value in x], np.float32)
    assert (np.abs(found - expected) / expected).max() < 1.2 * np.finfo(np.float32).eps
    for below in (np.nextafter(np.float32(-87), np.float32(-88)), -88.0, -100.0, -150.0, -1e30, -np.inf):
        assert _exponential(np.float32(below)) == 0.0


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


def bucket_by_hand(margin):
    """One of 64 of every power of 2, from just below 2^16 down to 2^−16."""
    mantissa, exponent = math.frexp(margin)
    return min(max(64 * (16 - exponent) + 127 - math.floor(128 * mantissa), 0), 2047)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buckets_by_hand(as_python, dtype):
    as_python(greedy)
    powers = dtype(2) ** np.arange(-18, 19).astype(dtype)
    margins = np.outer(powers, 1 + np.array([0, 1, 31, 63], dtype) / dtype(64)).ravel()
    margins = np.concatenate([margins, np.nextafter(margins, dtype(0)), [dtype(1e-38), dtype(1e38)]])
    words = np.array([leading(margin, dtype == np.float32) for margin in margins], np.uint64)
    words |= np.uint64(1 << 31)
    expected = [bucket_by_hand(float(margin)) for margin in margins]
    assert [greedy._bucket(word, dtype == np.float32) for word in words] == expected
    counts = np.zeros(BUCKETS, np.int64)
    greedy.count(words, len(words) - 1, dtype == np.float32, counts)
    pixels = np.bincount(expected[:-1], minlength=BUCKETS)
    np.testing.assert_array_equal(counts, pixels * ((1 << 32) + 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_background_margin_must_reach(as_python, dtype):
    """The smallest foreground margin, or the largest of the background where there is no foreground."""
    as_python(greedy)
    margins = np.array([-1.0, 3.0, 0.75, 2.0, 0.25, 0.5], dtype)
    for kinds, expected in (
        ([0, 1, 1, 1, 2, 0], 0.75),
        ([0, 1, 1, 1, 1, 0], 0.25),
        ([2, 0, 1, 0, 0, 0], 0.75),
        ([1, 1, 1, 1, 1, 0], -1.0),
        ([0, 2, 0, 2, 0, 0], 0.75),
        ([0, 2, 2, 2, 2, 2], 0.0),
        ([2, 2, 2, 2, 2, 2], 0.0),
    ):
        kinds = np.array(kinds, np.uint8)
        floor = greedy.floor_of(margins, kinds, int((kinds == 1).sum()))
        assert floor == expected
        assert floor.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 7, 8, 9, 1023, 1024, 1025, 2053])
def test_selected_pixels(as_python, dtype, p):
    as_python(greedy)
    rng = np.random.default_rng(p)
    for few in (0.02, 0.9):
        margins = (np.where(rng.random(p) < few, 1, -1) * rng.integers(0, 5, p)).astype(dtype)
        kinds = rng.integers(0, 3, p).astype(np.uint8)
        inside = (margins > 0) & ((kinds == 1) | ((kinds == 0) & (margins >= 2)))
        single = dtype == np.float32
        expected = [
            int(leading(margins[i], single)) + ((1 << 31) if kinds[i] == 1 else 0) + 5 + i
            for i in np.flatnonzero(inside)
        ]
        kept, words = margins.copy(), np.full(p + 1, 9, np.uint64)
        n = greedy.select(kept, kinds, 5, dtype(2), words)
        assert words[:n].tolist() == expected
        assert words[p] == 9
        np.testing.assert_array_equal(kept, np.where(inside, margins, 0))


def test_places_and_groups_of_blocks(as_python, monkeypatch):
    """Bucket after bucket, in each block after block; a bucket that makes a group large enough ends it."""
    as_python(greedy)
    for name, value in {"BUCKETS": 6, "_GROUP": 4, "_ONE_GROUP": 12}.items():
        monkeypatch.setattr(greedy, name, value)
    rng = np.random.default_rng(7)
    lengths = set()
    for blocks in (1, 2, 3) * 30:
        pixels = rng.integers(0, 6, (blocks, 6)) * (rng.random((blocks, 6)) < 0.6)
        foreground = rng.integers(0, pixels + 1)
        counts = pixels + (foreground << 32)
        total = pixels.sum()
        expected = [[0, 0]]
        for bucket in range(6):
            before = [pixels[:, : bucket + 1].sum(), foreground[:, : bucket + 1].sum()]
            full = total > 12 and before[0] - expected[-1][0] >= 4
            if full or bucket == 5:
                expected.append(before)
        np.testing.assert_array_equal(greedy.place(counts), expected)
        before = np.cumsum(pixels.T.ravel()) - pixels.T.ravel()
        np.testing.assert_array_equal(counts, before.reshape(6, blocks).T)
        lengths.add((len(expected), total > 12))
    assert {(2, False), (3, True), (4, True), (5, True)} <= lengths


def exact_greedy(margins, kinds, weights):
    """Value and greedy vector in rationals: how much each pixel, by decreasing margin, adds to the loss."""
    masses = [Fraction(1 if weights is None else float(weights[i])) for i in range(len(margins))]
    order = [i for i in np.argsort(-margins, kind="stable") if kinds[i] < 2 and margins[i] > 0]
    foreground = sum(mass for mass, kind in zip(masses, kinds, strict=True) if kind == 1)
    mistakes, union, before = Fraction(0), Fraction(foreground), Fraction(0)
    value, vector = Fraction(0), np.zeros(len(margins))
    for i in order:
        mistakes += masses[i]
        union += 0 if kinds[i] == 1 else masses[i]
        value += (mistakes / union - before) * Fraction(float(margins[i]))
        vector[i] = mistakes / union - before
        before = mistakes / union
    return float(value), vector


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_greedy_vector_in_small_groups(as_python, monkeypatch, dtype, weighted, share):
    as_python(greedy)
    for name, value in {"_GROUP": 3, "_ONE_GROUP": 8}.items():
        monkeypatch.setattr(greedy, name, value)
    groups = set()

    def count(words, n, single, counts, usual=greedy.count):
        assert single == (dtype == np.float32)
        usual(words, n, single, counts)

    def sweep_groups(*arguments, usual=greedy.sweep_groups):
        # One after another, the last first: what lies before a group is not known from the one before.
        margins, words, _, before, start, stop = arguments[:6]
        groups.add(stop - start)
        for g in range(stop - 1, start - 1, -1):
            inside = words[before[g, 0] : before[g + 1, 0]] & np.uint64(0x7FFFFFFF)
            others = np.delete(margins, inside)
            usual(*arguments[:4], g, g + 1, *arguments[6:])
            np.testing.assert_array_equal(np.delete(margins, inside), others)

    monkeypatch.setattr(greedy, "count", count)
    monkeypatch.setattr(greedy, "sweep_groups", sweep_groups)
    rng = np.random.default_rng(8)
    for p in (1, 2, 8, 9, 30):
        for _ in range(4):
            margins = rng.integers(-2, 9, p) / 4 * 2.0 ** rng.integers(-1, 2, p)
            # Several in a bucket, and in one place.
            margins = (margins * (1 + rng.integers(0, 4, p) / 1024)).astype(dtype)
            kinds = np.where(rng.random(p) < share, 1, 2 * (rng.random(p) < 0.2)).astype(np.uint8)
            foreground = int((kinds == 1).sum())
            weights = rng.uniform(0.5, 2, p) if weighted else None
            total = float(weights[kinds == 1].sum()) if weighted else None
            value, vector = exact_greedy(margins, kinds, weights)
            words, spare = np.empty(p, np.uint64), np.empty(p, np.uint64)
            gradient = margins.copy()
            found = greedy.value_and_greedy(
                gradient, kinds, foreground, weights, total, 3.0, 2.0, words, spare
            )
            assert found == pytest.approx(value, rel=1e-14, abs=0)
            expected = np.where(kinds == 1, -1.5, 1.5) * vector
            np.testing.assert_allclose(
                gradient, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-15 if weighted else 0
            )
    if share == 0.3 and not weighted:
        assert max(groups) >= 3


def test_behind_the_last_foreground_nothing_is_left(as_python):
    """Exactly 0, though 0.1 + 0.2 + 0.3 is not 0 any more after the three are subtracted from it."""
    as_python(greedy)
    gradient = np.array([3.0, 2.0, 1.0, 1.0])
    weights, kinds = np.array([0.1, 0.2, 0.3, 5.0]), np.array([1, 1, 1, 0], np.uint8)
    total = 0.1 + 0.2 + 0.3
    assert total - 0.1 - 0.2 - 0.3 > 0
    words, spare = np.empty(4, np.uint64), np.empty(4, np.uint64)
    value = greedy.value_and_greedy(gradient, kinds, 3, weights, total, 1.0, 1.0, words, spare)
    assert value == pytest.approx((0.3 + 0.4 + 0.3) / 0.6)
    assert gradient[3] == 0.0


@pytest.fixture
def images(as_python, monkeypatch):
    """Offsets of images of 3, 9, 1 and 2 pixels, in strips of 4; the pixel of every score of 3 classes."""
    as_python(softmax)
    monkeypatch.setattr(softmax, "_STRIP", 4)
    offsets = np.array([0, 3, 12, 13, 15])
    return offsets, np.concatenate([np.tile(np.arange(a, b), 3) for a, b in pairwise(offsets)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("start", "stop"), [(0, 15), (2, 9), (4, 8), (12, 13), (13, 15), (7, 7)])
def test_softmax_of_images_one_behind_the_other(images, dtype, start, stop):
    offsets, pixels = images
    rng = np.random.default_rng(9)
    logits = (60 * rng.standard_normal(45)).astype(dtype)
    logits[pixels == 5] = [500, -500, 499]
    tops = np.full(15, -np.inf, dtype)
    np.maximum.at(tops, pixels, logits)
    below = (logits - tops[pixels]).astype(np.float64)
    powers = np.exp(below)
    if dtype == np.float32:
        powers[below < -87] = 0.0
    expected = powers / np.bincount(pixels, powers)[pixels]
    inside = (start <= pixels) & (pixels < stop)
    probas = np.full(45, -1, dtype)
    softmax.softmax_pixels(logits, 3, offsets, start, stop, probas)
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(probas, np.where(inside, expected, -1), rtol=rtol, atol=0)

    gradient = rng.standard_normal(45).astype(dtype)
    means = np.bincount(pixels, expected * gradient)
    pulled = np.where(inside, expected * (gradient - means[pixels]), gradient)
    softmax.softmax_pullback(expected.astype(dtype), 3, offsets, start, stop, gradient)
    np.testing.assert_allclose(gradient, pulled, rtol=0, atol=4 * rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("start", "stop"), [(0, 4), (1, 3), (3, 4), (2, 2)])
def test_classes_of_groups_of_images(images, dtype, start, stop):
    """Some classes in a group of two images and in one of one; the rest of the gradient is left as it is."""
    offsets, pixels = images
    rng = np.random.default_rng(10)
    probas = (rng.integers(0, 17, 45) / 16).astype(dtype)
    labels = rng.integers(-1, 3, 15).astype(np.int32)
    numbers = np.concatenate([np.repeat(np.arange(3), b - a) for a, b in pairwise(offsets)])
    groups, shares = np.array([0, 2, 3, 4]), np.array([0.5, 1.0, 0.25, 2.0])
    members, classes = np.array([2, 0, 0, 1]), np.array([1, 0, 2, 2])
    values, expected_values = np.full(4, -1.0), np.full(4, -1.0)
    gradient, expected = np.full(45, 9, dtype), np.full(45, 9.0)
    for k in range(start, stop):
        first, end = offsets[groups[members[k]]], offsets[groups[members[k] + 1]]
        scores = (numbers == classes[k]) & (pixels >= first) & (pixels < end)
        truth = labels[first:end]
        inside = truth == classes[k]
        errors = np.where(inside, 1 - probas[scores], probas[scores])
        value, vector = exact_greedy(errors, np.where(truth < 0, 2, inside), None)
        expected_values[k] = value
        expected[scores] = np.where(inside, -1, 1) * vector * shares[k] / 2
    softmax.softmax_classes(
        probas, labels, 3, offsets, groups, members, classes, shares, 2.0, start, stop, values, gradient
    )
    np.testing.assert_allclose(values, expected_values, rtol=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_products_with_some_rows(as_python, dtype):
    """Small whole numbers, so that sums are exact in any order."""
    as_python(products)
    rng = np.random.default_rng(11)
    matrix = rng.integers(0, 256, (7, 5)).astype(dtype)
    right, left = rng.integers(-9, 10, 5) / 2, rng.integers(-9, 10, 7) / 4
    left[2], left[4] = 0.0, 1.0
    for start, stop in ((0, 7), (2, 6), (3, 3)):
        out = np.full(7, -1.0)
        products.rows_times(matrix, right, 0.5, start, stop, out)
        expected = np.full(7, -1.0)
        expected[start:stop] = matrix[start:stop].astype(float) @ right + 0.5
        np.testing.assert_array_equal(out, expected)
        out = np.arange(5.0)
        unread = matrix.copy()
        if dtype != np.uint8:
            unread[2] = np.nan
        products.transposed_times(unread, left, start, stop, out)
        expected = np.arange(5.0) + left[start:stop] @ matrix[start:stop].astype(float)
        np.testing.assert_array_equal(out, expected)


def test_a_share_of_zero_reads_nothing_beyond(as_python):
    """Not even something that is not a number."""
    as_python(bilinear)
    coarse = np.full(12, np.nan)
    coarse[[0, 2, 6, 8]] = [1.0, 2.0, 4.0, 8.0]
    row, column, zero = np.array([0, 2]), np.array([0, 2]), np.zeros(2)
    out = np.empty(4)
    bilinear.interpolate(coarse, 3, row, zero, column, zero, np.arange(4), out)
    np.testing.assert_array_equal(out, [1.0, 2.0, 4.0, 8.0])
    # Halfway between two rows or two columns, on the first or the last of the others.
    half, rows, columns = np.full(1, 0.5), np.array([1]), np.array([2])
    grid, out = np.arange(9.0), np.empty(1)
    grid[[0, 3, 6, 1, 4, 7]] = np.nan
    bilinear.interpolate(grid, 3, rows, half, columns, np.zeros(1), np.array([0]), out)
    assert out[0] == 6.5
    bilinear.interpolate(
        grid.reshape(3, 3).T.ravel(), 3, columns, np.zeros(1), rows, half, np.array([0]), out
    )
    assert out[0] == 6.5
    back = np.zeros(9)
    bilinear.spread(
        np.array([2.0, 3.0]), 3, columns, np.zeros(1), columns, np.zeros(1), np.zeros(2, int), back
    )
    np.testing.assert_array_equal(back, [0, 0, 0, 0, 0, 0, 0, 0, 5])
    # And a value of 1 is spread like any other, in whichever place it stands.
    back = np.zeros(4)
    one = np.array([0])
    bilinear.spread(np.array([0.0, 1.0, -3.0]), 2, one, half, one, half / 2, np.zeros(3, int), back)
    np.testing.assert_array_equal(back, [-0.75, -0.25, -0.75, -0.25])


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


def exact_maximum(G, b):
    """Greatest ⟨b, w⟩ − ½⟨w, Gw⟩ on the simplex, in rationals, from the conditions on every support."""
    best = None
    for support in (s for size in range(1, len(b) + 1) for s in combinations(range(len(b)), size)):
        # Gw + λ = b on the support, Σw = 1.
        rows = [
            [Fraction(float(G[i, j])) for j in support] + [Fraction(1), Fraction(float(b[i]))]
            for i in support
        ]
        rows.append([Fraction(1)] * len(support) + [Fraction(0), Fraction(1)])
        solution = exact_solution(rows)
        if solution is not None and min(solution[:-1]) >= 0:
            # Where the conditions hold, the value is ½(⟨b, w⟩ + λ).
            linear = sum(Fraction(float(b[i])) * w for i, w in zip(support, solution, strict=False))
            value = (linear + solution[-1]) / 2
            best = value if best is None else max(best, value)
    return float(best)


def exact_solution(rows):
    """Of a square system with its right-hand side, by Gauss and Jordan; None where it is singular."""
    n = len(rows)
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k] != 0), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [a / rows[k][k] for a in rows[k]]
        for i in range(n):
            if i != k:
                rows[i] = [a - rows[i][k] * c for a, c in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def small_programs():
    """Gram matrices of small whole numbers: of full rank and less, with equal columns, and with zeros."""
    rng = np.random.default_rng(12)
    for n in (1, 2, 3, 4):
        for rank in (0, 1, 2, 4):
            A = rng.integers(-3, 4, (n, rank)).astype(float)
            yield A @ A.T, rng.integers(-6, 7, n) / 2
            A[-1] = A[0]
            yield A @ A.T, rng.integers(-1, 2, n).astype(float)
    # The median of the diagonal is 0.
    yield np.diag([0.0, 0.0, 4.0]), np.array([0.0, 1.0, 3.0])
    yield np.zeros((3, 3)), np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize("factor", [1.0, 2.0**30, 2.0**-30, 2.0**-200])
def test_small_quadratic_programs_are_solved_exactly(as_python, factor):
    """From anywhere; and a power of 2 in front of the objective changes nothing but the gap."""
    as_python(qp)
    rng = np.random.default_rng(13)
    for G, b in small_programs():
        n = len(b)
        starts = [np.full(n, 1 / n), np.eye(n)[-1], rng.dirichlet(np.ones(n))]
        for start in starts if factor == 1 else starts[:1]:
            weights, plain = start.copy(), start.copy()
            pivots, gap = qp.simplex_qp(factor * G, factor * b, weights, 50)
            assert weights.min() >= 0
            assert weights.sum() == pytest.approx(1, rel=1e-15)
            value = b @ weights - weights @ G @ weights / 2
            assert value == pytest.approx(exact_maximum(G, b), rel=1e-13, abs=1e-13)
            gradient = b - G @ weights
            assert gap / factor == pytest.approx(gradient.max() - weights @ gradient, rel=0, abs=2e-14)
            assert pivots <= 2 * n
            assert qp.simplex_qp(G, b, plain, 50) == (pivots, gap / factor)
            np.testing.assert_array_equal(weights, plain)


def test_where_a_quadratic_program_ends(as_python):
    as_python(qp)
    # Nothing to gain: no index enters, and the gap is 0, not only small.
    weights = np.full(3, 1 / 3)
    assert qp.simplex_qp(np.zeros((3, 3)), np.zeros(3), weights, 9) == (0, 0.0)
    # With a large objective, which is linear, too.
    assert qp.simplex_qp(np.zeros((3, 3)), np.array([1e9, -1e300, 3e9]), weights, 9) == (1, 0.0)
    assert weights.tolist() == [0.0, 0.0, 1.0]
    # One index after another enters, and no more than allowed.
    b = np.arange(4.0)
    weights = np.eye(4)[0]
    pivots, gap = qp.simplex_qp(8 * np.eye(4), b, weights, 1)
    assert pivots == 1
    np.testing.assert_allclose(weights, [5 / 16, 0, 0, 11 / 16])
    assert gap == pytest.approx(2 - (3 - 8 * 11 / 16))
    pivots, gap = qp.simplex_qp(8 * np.eye(4), b, weights, 9)
    assert pivots == 2
    np.testing.assert_allclose(weights, (1 / 4 + (b - 1.5) / 8))
    # Where no index may enter, the weights end at the best of their support without what depends on the rest.
    weights = np.array([0.25, 0.25, 0.5, 0.0])
    G = np.diag([1.0, 1.0, 3.0, 1.0])
    G[0, 1] = G[1, 0] = 1.0
    assert qp.simplex_qp(G, np.array([0.5, 9.0, 0.0, 9.0]), weights, 0)[0] == 0
    np.testing.assert_allclose(weights, [0.875, 0.0, 0.125, 0.0], rtol=1e-15)
    # A large common part of b is rounded away from the differences, and yet the weights sum to 1.
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weights = np.full(6, 1 / 6)
        qp.simplex_qp(np.diag(rng.uniform(1, 2, 6)), 1e7 + 0.1 * rng.random(6), weights, 9)
        assert weights.sum() == pytest.approx(1, rel=1e-15)


def test_a_gap_that_no_longer_falls_ends_the_search(as_python, monkeypatch):
    """Rounding alone is never enough here, so only that the gap stands still can end it."""
    as_python(qp)
    monkeypatch.setattr(qp, "_EPSILON", -1.0)

    def enter(R, size, G, shift, weights, support, k, work, usual=qp._enter):
        assert k not in support[:size]
        return usual(R, size, G, shift, weights, support, k, work)

    monkeypatch.setattr(qp, "_enter", enter)
    for n in (2, 5):
        rng = np.random.default_rng(n)
        A = rng.standard_normal((n, n))
        weights = np.full(n, 1 / n)
        pivots, gap = qp.simplex_qp(A @ A.T, rng.standard_normal(n), weights, 1000)
        assert n < pivots <= 6 * n
        assert gap < 1e-14


def gram(rng, n, rank):
    A = rng.standard_normal((n, rank))
    return A @ A.T


def test_columns_enter_and_leave_the_factor(as_python):
    """RᵀR stays the matrix on the support, whichever column is taken out; a dependent one stays outside."""
    as_python(qp)
    rng = np.random.default_rng(14)
    shift = 0.5
    for taken in range(4):
        G = gram(rng, 7, 4)
        R, support, work = np.full((7, 7), np.nan), np.full(7, -1), np.empty(7)
        for size, k in enumerate([5, 1, 6, 3]):
            assert qp._append(R, size, G, shift, support, k, work)
        factor = np.triu(R[:4, :4])
        assert support.tolist() == [5, 1, 6, 3, -1, -1, -1]
        inside = support[:4]
        np.testing.assert_allclose(factor.T @ factor, G[np.ix_(inside, inside)] + shift, rtol=0, atol=1e-13)
        right = rng.standard_normal(5)
        for solve, matrix in ((qp._eliminate, factor.T), (qp._substitute, factor)):
            column = right.copy()
            solve(R, 4, column)
            np.testing.assert_allclose(column[:4], np.linalg.solve(matrix, right[:4]), rtol=1e-10)
            assert column[4] == right[4]
        # Of rank 4 and the shift: a sixth column depends on five others, and leaves its coordinates in them.
        assert qp._append(R, 4, G, shift, support, 0, work)
        kept = R.copy(), support.copy()
        assert not qp._append(R, 5, G, shift, support, 2, work)
        np.testing.assert_array_equal(R, kept[0])
        np.testing.assert_array_equal(support, kept[1])
        inside = support[:5]
        np.testing.assert_allclose(np.triu(R[:5, :5]).T @ work[:5], G[inside, 2] + shift, rtol=0, atol=1e-12)
        qp._remove(R, 4, support, taken)
        left = [k for k in (5, 1, 6, 3) if k != (5, 1, 6, 3)[taken]]
        assert support[:3].tolist() == left
        factor = np.triu(R[:3, :3])
        np.testing.assert_allclose(factor.T @ factor, G[np.ix_(left, left)] + shift, rtol=0, atol=1e-13)
        assert (np.diag(factor) > 0).all()


@pytest.mark.parametrize(
    ("direction", "longest", "expected", "step", "leaving"),
    [
        ([-1.0, 0.5, 0.5], 1.0, [0.0, 0.625, 0.375], 0.5, 0),
        ([1.0, 0.0, -1.0], 1.0, [0.625, 0.375, 0.0], 0.125, 2),
        # Exactly at the end of the longest step, and short of it.
        ([-0.5, 0.25, 0.25], 1.0, [0.0, 0.625, 0.375], 1.0, 0),
        ([-0.25, 0.25, 0.0], 1.0, [0.25, 0.625, 0.125], 1.0, -1),
        ([-0.25, 0.25, 0.0], 0.5, [0.375, 0.5, 0.125], 0.5, -1),
        # The nearest of several, in either order.
        ([-1.0, -1.0, 2.0], 1.0, [0.125, 0.0, 0.875], 0.375, 1),
        ([-2.0, -1.0, 3.0], 1.0, [0.0, 0.125, 0.875], 0.25, 0),
    ],
)
def test_advance_by_hand(as_python, direction, longest, expected, step, leaving):
    as_python(qp)
    # On the support 3, 1, 0, in this order; the entry behind it and the other weights do not take part.
    weights = np.array([0.125, 0.375, 0.0, 0.5, 9.0])
    support, direction = np.array([3, 1, 0, 4]), np.array([*direction, -100.0])
    assert qp._advance(weights, support, 3, direction, longest) == (step, leaving)
    np.testing.assert_array_equal(weights[[3, 1, 0]], expected)
    assert weights[[2, 4]].tolist() == [0.0, 9.0]
    # A weight of 0 that does not fall stays and leaves nothing.
    weights[0] = 0.0
    assert qp._advance(weights, support, 3, np.array([0.0, 0.0, 0.0, -100.0]), 1.0) == (1.0, -1)


def test_a_weight_that_leaves_is_zero(as_python):
    """Exactly, though 0.1 − (0.1 / 2.9)·2.9 is not."""
    as_python(qp)
    assert 0.1 - 0.1 / 2.9 * 2.9 > 0
    for position in (0, 1):
        weights, direction = np.array([0.9, 0.9]), np.array([2.9, 2.9])
        weights[position], direction[position] = 0.1, -2.9
        assert qp._advance(weights, np.arange(2), 2, direction, 1.0) == (0.1 / 2.9, position)
        assert weights[position] == 0.0


def test_what_is_left_of_a_dependent_column(as_python):
    """With sums of squares that are exact: 10^12 in all, and 1 or 2 beyond the other columns."""
    as_python(qp)
    R, support, work = np.eye(5), np.array([0, 1, 2, 3, -1]), np.empty(5)
    G = np.zeros((5, 5))
    G[:4, 4] = [999_319, 36_899, 1, 6]
    for total, left in ((1e12 + 0.0, 1.0), (1e12 + 1, 2.0)):
        G[4, 4] = total
        assert total - G[:4, 4] @ G[:4, 4] == left
        assert qp._append(R, 4, G, 0.0, support, 4, work) == (left == 2)
    assert R[4, 4] == np.sqrt(2)


def test_gradient_by_hand(as_python):
    as_python(qp)
    G, b = np.array([[2.0, -1.0, 7.0], [-1.0, 4.0, 7.0], [7.0, 7.0, 7.0]]), np.array([-3.0, 1.0, 7.0])
    weights, support = np.array([0.25, 0.75, 5.0]), np.array([1, 0, 2])
    assert qp._gradient(G, b, weights, support, 2, 0) == (-3 - 0.5 + 0.75, 3 + 0.5 + 0.75)
    assert qp._gradient(G, b, weights, support, 1, 1) == (1 - 3.0, 1 + 3.0)


def test_an_index_that_depends_on_the_support_takes_the_place_of_another(as_python):
    as_python(qp)
    A = np.array([[3.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.5, 1.0]])
    G, shift, work = A @ A.T, 1.0, np.empty(4)

    def entered(weights, k):
        R, support = np.full((4, 4), np.nan), np.full(4, -1)
        for size in range(2):
            assert qp._append(R, size, G, shift, support, size, work)
        size = qp._enter(R, 2, G, shift, weights, support, k, work)
        inside, factor = support[:size], np.triu(R[:size, :size])
        np.testing.assert_allclose(factor.T @ factor, G[np.ix_(inside, inside)] + shift, rtol=0, atol=1e-13)
        return inside.tolist()

    # Equal to index 0, whose weight it takes.
    weights = np.array([0.25, 0.75, 0.0, 0.0])
    assert entered(weights, 2) == [1, 2]
    np.testing.assert_allclose(weights, [0.0, 0.75, 0.25, 0.0], rtol=1e-15)
    # Halfway between the two: both fall until the smaller is gone.
    weights = np.array([0.25, 0.75, 0.0, 0.0])
    assert entered(weights, 3) == [1, 3]
    np.testing.assert_allclose(weights, [0.0, 0.5, 0.0, 0.5], rtol=1e-15)
    weights = np.array([0.75, 0.25, 0.0, 0.0])
    assert entered(weights, 3) == [0, 3]
    np.testing.assert_allclose(weights, [0.5, 0.0, 0.0, 0.5], rtol=1e-15)
    # More weight than one step takes, as rounding may leave it: the smallest weight goes.
    weights = np.array([1.5, 0.125, 0.0, 0.0])
    assert entered(weights, 2) == [2]
    np.testing.assert_allclose(weights, [0.0, 0.0, 1.5, 0.0], rtol=1e-15)
