"""Where features come from: dense, memory-mapped, 8-bit codes, coarse grids; batches of images; threads."""

import tracemalloc

import numba
import numpy as np
import pytest
from scipy import ndimage

from lovasz_opt import solvers
from lovasz_opt.problems import LinearHingeRisk, Quantised


def coded_images(rng, n=4, d=3, largest=60):
    sizes = rng.integers(1, largest, n)
    codes = [rng.integers(0, 256, (p, d)).astype(np.uint8) for p in sizes]
    targets = [rng.choice([0, 1, 255], p) for p in sizes]
    return codes, targets


def assert_same(first, second, rng, rtol=1e-12):
    v = rng.standard_normal(first.n_features)
    g = rng.standard_normal(first.n_pixels)
    scale = np.abs(second.apply(v)).max() + 1
    np.testing.assert_allclose(first.apply(v), second.apply(v), atol=rtol * scale)
    pulled = second.adjoint(g)
    np.testing.assert_allclose(first.adjoint(g), pulled, atol=rtol * np.abs(pulled).max())
    gram = second._gram
    np.testing.assert_allclose(first._gram, gram, atol=rtol * np.abs(gram).max())
    assert first.value(v) == pytest.approx(second.value(v), rel=1e-9)
    pixels = np.sort(rng.choice(first.n_pixels, min(5, first.n_pixels), replace=False))
    np.testing.assert_allclose(first._rows(pixels), second._rows(pixels), atol=rtol * scale)
    assert first.iou(v) == second.iou(v)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_codes_are_the_features_they_stand_for(seed, constant):
    rng = np.random.default_rng(seed)
    codes, targets = coded_images(rng)
    quantised = [Quantised(q, 0.37, 12.0, constant) for q in codes]
    dense = [0.37 * (q - 12.0) for q in codes]
    if constant:
        dense = [np.hstack([X, np.ones((len(X), 1))]) for X in dense]
    for X, Q in zip(dense, quantised, strict=True):
        assert Q.shape == X.shape
        np.testing.assert_allclose(Q.dense(), X, atol=1e-12)
    first = LinearHingeRisk(quantised, targets, l2=0.1, ignore=255)
    assert_same(first, LinearHingeRisk(dense, targets, l2=0.1, ignore=255), rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_memory_maps(tmp_path, dtype):
    rng = np.random.default_rng(3)
    codes, targets = coded_images(rng)
    maps, dense = [], []
    for i, q in enumerate(codes):
        np.save(tmp_path / f"{i}.npy", q.astype(dtype))
        stored = np.load(tmp_path / f"{i}.npy", mmap_mode="r")
        maps.append(Quantised(stored, 1.0, 0.0) if dtype == np.uint8 else stored)
        dense.append(q.astype(np.float64))
    first = LinearHingeRisk(maps, targets, l2=0.1, ignore=255)
    assert_same(first, LinearHingeRisk(dense, targets, l2=0.1, ignore=255), rng)
    bad = np.lib.format.open_memmap(tmp_path / "bad.npy", "w+", np.float64, (3, 2))
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"features\[0\]\[2, 1\] is nan"):
        LinearHingeRisk([bad], [[0, 1, 1]])


def test_memory_maps_larger_than_the_memory_that_is_used(tmp_path):
    rng = np.random.default_rng(4)
    n, p, d = 20, 4000, 128
    path = tmp_path / "features.npy"
    stored = np.lib.format.open_memmap(path, "w+", np.uint8, (n, p, d))
    stored[:] = rng.integers(0, 256, (n, p, d), dtype=np.uint8)
    weights = rng.standard_normal(d)
    targets = [(X - 128.0) @ weights + 200 * rng.standard_normal(p) > 400 for X in stored]
    stored.flush()
    codes = np.load(path, mmap_mode="r")
    float64 = n * p * d * 8
    pb = LinearHingeRisk([Quantised(q, 0.01, 128) for q in codes], targets, l2=1e-1)

    def solve(limit):
        return [
            solvers.ssnal(pb, tol=1e-4, max_iter=limit),
            solvers.subgradient(pb, max_iter=3),
            solvers.admm(pb, max_iter=3),
        ]

    # Compilers and caches take memory once.
    solve(1)
    tracemalloc.start()
    try:
        results = solve(500)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert results[0].status == "optimal"
    # Vectors of all pixels and blocks of rows, but never the features.
    assert peak < float64 / 2


@pytest.mark.parametrize("mode", ["align_corners", "half_pixel"])
@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_upsampled_scores_are_those_of_upsampled_features(mode, dtype):
    rng = np.random.default_rng(5)
    shapes = [((5, 4), (17, 13)), ((1, 3), (4, 6)), ((6, 6), (6, 6)), ((4, 5), (3, 2))]
    features, fine, targets, flat_targets = [], [], [], []
    for (h, w), (H, W) in shapes:
        X = rng.integers(0, 20, (h, w, 3)).astype(np.uint8)
        if mode == "align_corners":
            rows = np.arange(H) * ((h - 1) / (H - 1))
            columns = np.arange(W) * ((w - 1) / (W - 1))
        else:
            rows = np.clip((np.arange(H) + 0.5) * h / H - 0.5, 0, h - 1)
            columns = np.clip((np.arange(W) + 0.5) * w / W - 0.5, 0, w - 1)
        grid = np.meshgrid(rows, columns, indexing="ij")
        maps = [ndimage.map_coordinates(X[..., j].astype(float), grid, order=1) for j in range(3)]
        target = rng.choice([0, 1, 255], (H, W))
        features.append(Quantised(X, 1.0, 0.0) if dtype == np.uint8 else X.astype(dtype))
        fine.append(np.stack(maps, axis=-1).reshape(-1, 3))
        targets.append(target)
        flat_targets.append(target.ravel())
    first = LinearHingeRisk(features, targets, l2=0.1, ignore=255, upsample=mode)
    second = LinearHingeRisk(fine, flat_targets, l2=0.1, ignore=255)
    assert_same(first, second, rng)
    assert [mask.shape for mask in first.predict(np.ones(3))] == [shape for _, shape in shapes]
    a, b = (solvers.ssnal(pb, tol=1e-8) for pb in (first, second))
    assert a.status == b.status == "optimal"
    assert a.value == pytest.approx(b.value, rel=1e-7)


@pytest.mark.parametrize("kind", ["dense", "codes", "coarse"])
def test_batches_are_risks_of_their_images(kind):
    rng = np.random.default_rng(6)
    if kind == "coarse":
        features = [rng.standard_normal((4, 4, 3)) for _ in range(5)]
        targets = [rng.choice([0, 1, 255], (9, 9)) for _ in range(5)]
        options = {"upsample": "half_pixel"}
    else:
        codes, targets = coded_images(rng, n=5)
        features = [Quantised(q, 0.1, 3.0) if kind == "codes" else 0.1 * q for q in codes]
        options = {}
    pb = LinearHingeRisk(features, targets, l2=0.1, ignore=255, **options)
    center = rng.standard_normal(3)
    for chosen in ([2], [0, 4], [3, 1, 3]):
        part = pb.batch(chosen, center, 0.7)
        expected = LinearHingeRisk(
            [features[i] for i in chosen], [targets[i] for i in chosen], l2=0.7, ignore=255, **options
        )
        v = rng.standard_normal(3)
        loss = expected.value(v) - 0.35 * v @ v
        assert part.value(v) == pytest.approx(loss + 0.35 * (v - center) @ (v - center), rel=1e-12)
        value, _, minorant = part.linearise(v)
        assert part.quadratic(v) + minorant.offset + minorant.slope @ (v - center) == pytest.approx(value)
        # The ridge step knows of the center.
        w = part.ridge(0.3, part.adjoint(part.apply(v)))
        stationary = 0.7 * (w - center) + 0.3 * (part.gram(w) - part.gram(v))
        np.testing.assert_allclose(stationary, 0, atol=1e-8 * np.abs(part._gram).max())
        solved = solvers.ssnal(part, tol=1e-9)
        assert solved.status == "optimal"
        assert solved.value <= part.value(center)
    before = pb.passes
    part.apply(center)
    assert pb.passes - before == pytest.approx(part.n_pixels / pb.n_pixels)
    with pytest.raises(ValueError, match="images holds no image"):
        pb.batch([])


def test_batches_of_void_images():
    rng = np.random.default_rng(8)
    features = [rng.standard_normal((4, 2)) for _ in range(3)]
    for labels in ([[1, 0, 1, 0], [255] * 4, [255] * 4], [[255] * 4] * 3):
        for chosen in ([0], [1], [2], [0, 1, 2]):
            pb = LinearHingeRisk(features, labels, l2=0.1, ignore=255)
            expected = LinearHingeRisk(
                [features[i] for i in chosen], [labels[i] for i in chosen], l2=0.1, ignore=255
            )
            v = rng.standard_normal(2)
            assert pb.batch(chosen).value(v) == pytest.approx(expected.value(v), rel=1e-14)


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 9000, 12)
    features = [rng.standard_normal((p, 7)).astype(np.float32) for p in sizes]
    targets = [rng.random(p) < 0.3 for p in sizes]
    pb = LinearHingeRisk(features, targets, l2=1e-2)
    v = rng.standard_normal(7)
    found = []
    threads = numba.get_num_threads()
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            r = solvers.ssnal(pb, max_iter=8, tol=0)
            found.append((*pb.value_and_subgradient(v), r.x, r.value, r.dual))
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 3)), 1.0, 0.0), "codes must be uint8, got dtype float64"),
        ((np.zeros(3, np.uint8), 1.0, 0.0), r"codes has shape \(3,\), expected \(pixels, features\)"),
        ((np.zeros((2, 3), np.uint8), 0.0, 0.0), "scale is 0.0; it must be finite and not 0"),
        ((np.zeros((2, 3), np.uint8), 1.0, np.inf), "zero is inf; it must be finite"),
        (
            (np.zeros((2, 3), np.uint8), 1e308, 3.0),
            r"scale is 1e\+308 and zero 3.0: features of some codes overflow",
        ),
    ],
)
def test_bad_codes_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Quantised(*arguments)


@pytest.mark.parametrize(
    ("features", "targets", "upsample", "message"),
    [
        ([np.zeros((4, 2))], [np.zeros(4)], "nearest", "upsample is 'nearest'; choose None, align_corners"),
        (
            [np.zeros((4, 2))],
            [np.zeros(4)],
            "half_pixel",
            r"features\[0\] has shape \(4, 2\), expected",
        ),
        ([np.zeros((2, 2, 2))], [np.zeros(4)], "half_pixel", r"targets\[0\] has shape \(4,\)"),
        ([np.zeros((0, 2, 2))], [np.zeros((3, 3))], "half_pixel", "at least one row and column"),
        ([np.zeros((2, 2, 2))], [np.zeros((2, 2))], None, r"features\[0\] has shape \(2, 2, 2\), expected"),
    ],
)
def test_bad_grids_are_refused(features, targets, upsample, message):
    with pytest.raises(ValueError, match=message):
        LinearHingeRisk(features, targets, upsample=upsample)
