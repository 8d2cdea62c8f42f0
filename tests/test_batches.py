"""Many images in one call: arrays and lists of sizes of their own are the loop over images, bit for bit."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import losses

SHAPES = [(40, 70), (1,), (3, 5), (90, 110), (7,), (64, 64)]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = numba.get_num_threads()
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("Numba was started with fewer threads")
    numba.set_num_threads(request.param)
    yield request.param
    numba.set_num_threads(before)


def images(dtype=np.float64, void=True, seed=0):
    rng = np.random.default_rng(seed)
    labels = [
        rng.choice([0, 1, 255] if void else [0, 1], size=shape, p=[0.6, 0.3, 0.1] if void else [0.7, 0.3])
        for shape in SHAPES
    ]
    if void:
        labels[2][:] = 255
    logits = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    return [y.astype(np.uint8) for y in labels], logits


def assert_same(lists, expected):
    assert isinstance(lists, list)
    for part, whole in zip(lists, expected, strict=True):
        assert part.dtype == whole.dtype
        np.testing.assert_array_equal(part, whole, strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_hinge_of_a_list_is_the_loop(threads, dtype):
    labels, logits = images(dtype)
    n = len(labels)
    h = lo.LovaszHinge(labels, ignore=255)
    alone = [lo.LovaszHinge(y.ravel(), ignore=255) for y in labels]
    pairs = [(g, x.ravel()) for g, x in zip(alone, logits, strict=True)]
    assert h.n_images == n
    assert h.shape == SHAPES
    np.testing.assert_array_equal(h.values(logits), [g.values(x)[0] for g, x in pairs])
    assert h(logits) == np.mean([g(x) for g, x in pairs])
    value, gradient = h.value_and_subgradient(logits)
    assert value == h(logits)
    compute = np.float32 if dtype == np.float16 else dtype
    expected = [
        (g.subgradient(x.astype(compute)) / compute(n)).astype(dtype).reshape(shape)
        for (g, x), shape in zip(pairs, SHAPES, strict=True)
    ]
    assert_same(gradient, expected)
    moved = [g.prox(x, 40.0 / n).reshape(shape) for (g, x), shape in zip(pairs, SHAPES, strict=True)]
    assert_same(h.prox(logits, 40.0), moved)
    assert_same(h.prox(logits, 40.0, start=logits), moved)
    full = [g.prox(x, 40.0).reshape(shape) for (g, x), shape in zip(pairs, SHAPES, strict=True)]
    assert_same(lo.prox_lovasz_hinge(logits, labels, 40.0, ignore=255), full)
    assert lo.lovasz_hinge(logits, labels, ignore=255) == value
    envelope, slope = losses.moreau_lovasz_hinge_and_gradient(logits, labels, 40.0, ignore=255)
    assert envelope == np.mean([g.envelope(x, 40.0) for g, x in pairs])
    assert lo.moreau_lovasz_hinge(logits, labels, 40.0, ignore=255) == envelope
    assert [s.shape for s in slope] == SHAPES
    for method in ("path", "pav-in-order"):
        expected = [g.prox(x, 3.0 / n, method).reshape(s) for (g, x), s in zip(pairs, SHAPES, strict=True)]
        assert_same(h.prox(logits, 3.0, method), expected)


def test_weights_metric_and_derivatives_of_a_list():
    labels, logits = images()
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 2, shape) for shape in SHAPES]
    other = [rng.uniform(0.5, 2, shape) for shape in SHAPES]
    n = len(labels)
    h = lo.LovaszHinge(labels, weights=weights, ignore=255)
    alone = [
        lo.LovaszHinge(y.ravel(), weights=w.ravel(), ignore=255) for y, w in zip(labels, weights, strict=True)
    ]
    for metric in (None, "weights", other):
        each = [metric] * n if metric is not other else [m.ravel() for m in other]
        rows = list(zip(alone, logits, each, SHAPES, strict=True))
        moved = [g.prox(x.ravel(), 9.0 / n, metric=m).reshape(s) for g, x, m, s in rows]
        assert_same(h.prox(logits, 9.0, metric=metric), moved)
    pushed = [g.prox_jvp(x.ravel(), 9.0 / n, x.ravel(), metric="weights").reshape(s) for g, x, _, s in rows]
    assert_same(h.prox_jvp(logits, 9.0, logits, metric="weights"), pushed)
    pulled = [
        g.prox_vjp(x.ravel(), 9.0 / n, x.ravel(), metric="weights")[0].reshape(s) for g, x, _, s in rows
    ]
    assert_same(h.prox_vjp(logits, 9.0, logits, metric="weights")[0], pulled)


def test_a_list_of_equal_sizes_is_the_array():
    rng = np.random.default_rng(2)
    target, logits = rng.random((3, 20, 30)) < 0.4, rng.normal(size=(3, 20, 30))
    stacked, listed = lo.LovaszHinge(target), lo.LovaszHinge(list(target))
    assert stacked(logits) == listed(list(logits))
    np.testing.assert_array_equal(np.stack(listed.prox(list(logits), 5.0)), stacked.prox(logits, 5.0))
    whole = lo.LovaszHinge(list(target), per_image=False)
    assert whole.n_images == 1
    assert whole(list(logits)) == lo.LovaszHinge(target, per_image=False)(logits)
    assert_same(
        whole.prox(tuple(logits), 5.0), list(lo.LovaszHinge(target, per_image=False).prox(logits, 5.0))
    )


def test_images_and_classes_as_losses_of_their_own():
    rng = np.random.default_rng(3)
    target, logits = rng.random((2, 3, 8, 9)) < 0.4, rng.normal(size=(2, 3, 8, 9))
    h = lo.LovaszHinge(target.reshape(6, 8, 9))
    expected = [
        lo.lovasz_hinge(logits[b, c].ravel(), target[b, c].ravel()) for b in range(2) for c in range(3)
    ]
    np.testing.assert_array_equal(h.values(logits.reshape(6, 8, 9)), expected)
    flat = lo.LovaszHinge(target)
    assert flat.n_images == 2
    assert flat.values(logits)[1] == lo.lovasz_hinge(logits[1].ravel(), target[1].ravel())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("from_logits", [False, True])
def test_softmax_of_a_list(threads, dtype, from_logits):
    rng = np.random.default_rng(4)
    labels = [rng.integers(0, 4, shape) for shape in SHAPES]
    labels[0][0, :30] = 255
    labels[4][:] = 255
    scores = [rng.normal(size=(4, *shape)) for shape in SHAPES]
    if not from_logits:
        scores = [np.exp(x) / np.exp(x).sum(axis=0) for x in scores]
    scores = [x.astype(dtype) for x in scores]
    options = {"ignore": 255, "from_logits": from_logits}
    value, gradient = losses.lovasz_softmax_and_gradient(scores, labels, per_image=True, **options)
    alone = [
        losses.lovasz_softmax_and_gradient(x[None], y[None], per_image=True, **options)
        for x, y in zip(scores, labels, strict=True)
    ]
    assert value == np.mean([v for v, _ in alone])
    for part, (_, whole) in zip(gradient, alone, strict=True):
        if from_logits:
            # The mean is taken before the softmax is undone.
            np.testing.assert_allclose(part, whole[0] / len(SHAPES), rtol=0, atol=2 * np.finfo(dtype).eps)
        else:
            np.testing.assert_array_equal(part, whole[0] / dtype(len(SHAPES)))
    # As one image, a list is the concatenation of its pixels.
    value, gradient = losses.lovasz_softmax_and_gradient(scores, labels, **options)
    flat = np.concatenate([x.reshape(4, -1) for x in scores], axis=1)
    whole, slopes = losses.lovasz_softmax_and_gradient(
        flat.T, np.concatenate([y.ravel() for y in labels]), **options
    )
    assert value == whole
    np.testing.assert_array_equal(np.concatenate([g.reshape(4, -1) for g in gradient], axis=1).T, slopes)


def test_results_do_not_depend_on_threads():
    labels, logits = images(np.float32)
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(2, 5, 150, 160)).astype(np.float32)
    classes = rng.integers(0, 5, (2, 150, 160))
    results = []
    before = numba.get_num_threads()
    for count in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
        numba.set_num_threads(count)
        h = lo.LovaszHinge(labels, ignore=255)
        value, gradient = losses.lovasz_softmax_and_gradient(scores, classes, from_logits=True)
        parts = [*h.subgradient(logits), *h.prox(logits, 9.0), gradient, np.array([value, h(logits)])]
        results.append(b"".join(part.tobytes() for part in parts))
    numba.set_num_threads(before)
    assert len(set(results)) == 1


def test_sigmoid_of_a_list():
    labels, logits = images()
    value, gradient = losses.lovasz_sigmoid_and_gradient(logits, labels, ignore=255, from_logits=True)
    alone = [
        losses.lovasz_sigmoid_and_gradient(x.ravel(), y.ravel(), ignore=255, from_logits=True)
        for x, y in zip(logits, labels, strict=True)
    ]
    assert value == np.mean([v for v, _ in alone])
    for part, (_, whole) in zip(gradient, alone, strict=True):
        np.testing.assert_allclose(part.ravel(), whole / len(SHAPES), rtol=1e-14, atol=1e-20)


def test_no_input_is_changed_and_nothing_is_shared():
    labels, logits = images(void=False)
    labels = [y.astype(bool) for y in labels]
    for array in (*labels, *logits):
        array.flags.writeable = False
    h = lo.LovaszHinge(labels)
    for result in (h.subgradient(logits), h.prox(logits, 5.0)):
        assert not any(np.shares_memory(a, b) for a, b in zip(result, logits, strict=True))
    owned = np.array([True, False, True])
    h = lo.LovaszHinge(owned)
    value = h([0.1, 0.2, 0.3])
    owned[:] = False
    assert h([0.1, 0.2, 0.3]) == value


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda y, x: lo.LovaszHinge(y)(x[:1]), ValueError, "logits holds 1 images, expected a list of 2"),
        (lambda y, x: lo.LovaszHinge(y)(x[0]), ValueError, "logits holds no list images, expected a list"),
        (
            lambda y, x: lo.LovaszHinge(y)(x[::-1]),
            ValueError,
            r"logits\[0\] has shape \(2,\), expected \(3,\)",
        ),
        (lambda y, x: lo.LovaszHinge(y)([x[0], x[1] * np.nan]), ValueError, r"logits\[1\]\[0\] is nan"),
        (
            lambda y, x: lo.LovaszHinge(y)([x[0], x[1].astype(np.float32)]),
            TypeError,
            "logits mixes float32 and float64; convert all images to one dtype",
        ),
        (lambda y, x: lo.LovaszHinge([y[0], y[1] + 2]), ValueError, r"target\[1\] holds [23], outside"),
        (lambda y, x: lo.LovaszHinge([y[0], y[1][:0]]), ValueError, r"target\[1\] has shape \(0,\)"),
        (lambda y, x: lo.LovaszHinge(y, weights=[x[0] * 0 + 1]), ValueError, "weights holds 1 images"),
        (
            lambda y, x: lo.lovasz_softmax([np.eye(3), np.eye(3)], y),
            ValueError,
            r"probas\[1\] has shape \(3, 3\), expected \(3, 2\): classes first",
        ),
        (
            lambda y, x: lo.lovasz_softmax([np.eye(3), np.ones((3, 2)) / 3], [y[0], y[1] + 5]),
            ValueError,
            r"labels\[1\] holds [56], outside",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call([np.array([1, 0, 1]), np.array([0, 1])], [np.zeros(3), np.zeros(2)])
