"""Lovász-Softmax and Lovász-sigmoid against a plain definition, class by class."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lovasz_opt import losses


def naive_extension(errors, foreground):
    """f(m) as the integral over thresholds of the Jaccard loss of {m > t}."""
    levels = np.unique(np.concatenate([[0.0], errors]))
    value = 0.0
    for low, high in itertools.pairwise(levels):
        mistakes = errors > low
        value += (high - low) * mistakes.sum() / (foreground | mistakes).sum()
    return value


def naive_softmax(probas, labels, classes="present", ignore=None, weights=None):
    """Loss of one image, probas (C, p) and labels (p,)."""
    kept = np.ones(labels.shape, dtype=bool) if ignore is None else labels != ignore
    probas, labels = probas[:, kept], labels[kept]
    if not labels.size:
        return 0.0
    listed = {"present": np.unique(labels), "all": range(len(probas))}.get(classes, classes)
    weights = np.ones(len(probas)) if weights is None else weights
    each = [naive_extension(np.where(labels == c, 1 - probas[c], probas[c]), labels == c) for c in listed]
    return float(np.average(each, weights=[weights[c] for c in listed]))


def random_batch(rng, shape=(3, 4, 5, 6), void=0.1, decimals=None):
    logits = 2 * rng.normal(size=shape)
    probas = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if decimals is not None:
        probas = np.round(probas, decimals)
    labels = rng.integers(0, shape[1], size=(shape[0], *shape[2:]))
    labels[rng.random(labels.shape) < void] = 255
    # One class is absent from the batch, one from an image.
    labels[labels == 3] = 0
    labels[0][labels[0] == 2] = 1
    return probas, labels


class TestSoftmax:
    def test_by_hand(self):
        # Class 0: errors 1/4 (foreground) and 1/2, 1/2·1/2 + 1/4·1/2. Class 1: 1/2 (foreground) and 1/4, 1/2.
        value, gradient = losses.lovasz_softmax_and_gradient([[0.75, 0.25], [0.5, 0.5]], [0, 1])
        assert value == (0.375 + 0.5) / 2
        np.testing.assert_array_equal(gradient, [[-0.25, 0], [0.25, -0.5]])

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("classes", ["present", "all", [2, 0], np.array([3])])
    @pytest.mark.parametrize("per_image", [False, True])
    @pytest.mark.parametrize("decimals", [None, 1])
    def test_against_the_definition(self, per_image, classes, weighted, decimals):
        rng = np.random.default_rng(0)
        probas, labels = random_batch(rng, decimals=decimals)
        labels[2] = 255
        weights = rng.uniform(0.5, 3, 4) if weighted else None
        value = losses.lovasz_softmax(probas, labels, classes, per_image, 255, weights)
        key = classes if isinstance(classes, str) else tuple(int(c) for c in classes)
        if per_image:
            images = [
                naive_softmax(p.reshape(4, -1), y.ravel(), key, 255, weights)
                for p, y in zip(probas, labels, strict=True)
            ]
            assert images[2] == 0.0
            expected = np.mean(images)
        else:
            expected = naive_softmax(
                np.moveaxis(probas, 1, 0).reshape(4, -1), labels.ravel(), key, 255, weights
            )
        assert value == pytest.approx(expected, rel=1e-13)

    @pytest.mark.parametrize("from_logits", [False, True])
    @pytest.mark.parametrize("per_image", [False, True])
    def test_gradient_by_finite_differences(self, per_image, from_logits):
        rng = np.random.default_rng(1)
        probas, labels = random_batch(rng)
        scores = np.log(probas) if from_logits else probas
        direction = rng.normal(size=scores.shape)
        options = {
            "from_logits": from_logits,
            "per_image": per_image,
            "ignore": 255,
            "class_weights": [1.0, 2.0, 0.5, 3.0],
        }
        value, gradient = losses.lovasz_softmax_and_gradient(scores, labels, **options)
        assert value == losses.lovasz_softmax(scores, labels, **options)
        ends = [losses.lovasz_softmax(scores + t * direction, labels, **options) for t in (1e-7, -1e-7)]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-7, rel=1e-6)
        assert not np.moveaxis(gradient, 1, -1)[labels == 255].any()

    @settings(max_examples=50, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
    def test_subgradient_inequality_and_convexity_in_the_probabilities(self, seed, share):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, size=(2, 4))
        here, there = rng.integers(0, 5, size=(2, 2, 3, 4)) / 4
        value, gradient = losses.lovasz_softmax_and_gradient(here, labels)
        other = losses.lovasz_softmax(there, labels)
        assert other >= value + float((gradient * (there - here)).sum()) - 1e-14
        middle = losses.lovasz_softmax(share * here + (1 - share) * there, labels)
        assert middle <= share * value + (1 - share) * other + 1e-14

    def test_logits_are_softmax_first(self):
        rng = np.random.default_rng(2)
        probas, labels = random_batch(rng, void=0.0)
        shifted = np.log(probas) + rng.normal(size=(3, 1, 5, 6))
        assert losses.lovasz_softmax(shifted, labels, from_logits=True) == pytest.approx(
            losses.lovasz_softmax(probas, labels), rel=1e-13
        )
        gradient = losses.lovasz_softmax_and_gradient(shifted, labels, from_logits=True)[1]
        np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-17)
        far = np.array([[1e300, -1e300], [-1.7e308, 1.7e308]])
        assert losses.lovasz_softmax(far, [0, 1], from_logits=True) == 0.0
        value, gradient = losses.lovasz_softmax_and_gradient(far, [1, 0], from_logits=True)
        assert value == 1.0
        assert not gradient.any()

    def test_perfect_and_absent(self):
        assert losses.lovasz_softmax(np.eye(3), [0, 1, 2]) == 0.0
        # A listed class that does not occur costs its largest probability.
        assert losses.lovasz_softmax([[0.75, 0.25], [0.5, 0.5]], [0, 0], classes=[1]) == 0.5
        assert losses.lovasz_softmax([[0.75, 0.25], [0.5, 0.5]], [9, 9], classes="all", ignore=9) == 0.0
        value, gradient = losses.lovasz_softmax_and_gradient(
            np.full((2, 2, 3), 0.5), np.full((2, 3), 9), ignore=9
        )
        assert value == 0.0
        assert not gradient.any()

    def test_present_is_judged_in_the_image_or_in_the_batch(self):
        probas = np.array([[[0.75], [0.25]], [[0.5], [0.5]]])
        labels = [[0], [1]]
        assert losses.lovasz_softmax(probas, labels, per_image=True) == (0.25 + 0.5) / 2
        assert losses.lovasz_softmax(probas, labels) == (0.375 + 0.5) / 2

    @pytest.mark.parametrize("threads", [1, 2, 5])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_batch_is_loop_bit_for_bit(self, monkeypatch, dtype, threads):
        monkeypatch.setattr("numba.threading_layer", lambda: "as if started")
        monkeypatch.setattr("numba.get_num_threads", lambda: threads)
        probas, labels = random_batch(np.random.default_rng(3), shape=(3, 4, 50, 70))
        probas = probas.astype(dtype)
        for from_logits in (False, True):
            options = {"per_image": True, "ignore": 255, "from_logits": from_logits}
            value, gradient = losses.lovasz_softmax_and_gradient(probas, labels, **options)
            alone = [
                losses.lovasz_softmax_and_gradient(p[None], y[None], **options)
                for p, y in zip(probas, labels, strict=True)
            ]
            assert value == np.mean([v for v, _ in alone])
            if not from_logits:
                np.testing.assert_array_equal(gradient, np.concatenate([g for _, g in alone]) / dtype(3))
        loss, gradient = losses.lovasz_softmax_and_gradient(probas, labels, ignore=255)
        monkeypatch.setattr("numba.get_num_threads", lambda: 1)
        serial = losses.lovasz_softmax_and_gradient(probas, labels, ignore=255)
        assert loss == serial[0]
        np.testing.assert_array_equal(gradient, serial[1])

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("from_logits", [False, True])
    def test_dtypes_come_back(self, dtype, from_logits):
        probas, labels = random_batch(np.random.default_rng(4))
        narrow = probas.astype(dtype)
        options = {"ignore": 255, "from_logits": from_logits}
        value, gradient = losses.lovasz_softmax_and_gradient(narrow, labels, **options)
        expected, wide = losses.lovasz_softmax_and_gradient(narrow.astype(float), labels, **options)
        assert gradient.dtype == dtype
        tolerance = 4 * float(np.finfo(dtype).eps)
        assert value == pytest.approx(expected, rel=max(tolerance, 1e-14))
        np.testing.assert_allclose(gradient, wide, atol=tolerance)

    @pytest.mark.parametrize("per_image", [False, True])
    def test_layouts_and_no_mutation(self, per_image):
        probas, labels = random_batch(np.random.default_rng(5))
        expected = losses.lovasz_softmax_and_gradient(probas, labels, per_image=per_image, ignore=255)
        last = np.moveaxis(np.ascontiguousarray(np.moveaxis(probas, 1, -1)), -1, 1)
        for scores in (
            np.asfortranarray(probas),
            last,
            np.repeat(probas, 2, axis=3)[..., ::2],
            probas.astype(">f8"),
        ):
            scores.flags.writeable = False
            for truth in (
                labels.astype(np.uint8),
                labels.astype(">i4"),
                np.asfortranarray(labels),
                labels * 1.0,
            ):
                before = truth.copy()
                value, gradient = losses.lovasz_softmax_and_gradient(
                    scores, truth, per_image=per_image, ignore=255
                )
                assert value == expected[0]
                np.testing.assert_array_equal(gradient, expected[1])
                np.testing.assert_array_equal(truth, before)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([[1.5, 0.5]], [0]), r"probas holds 1.5, outside \[0, 1\]; pass from_logits=True"),
            (([[1.0, -0.5]], [0]), "probas holds -0.5"),
            (([[math.nan, 0.5]], [0]), r"probas\[0, 0\] is nan"),
            (([0.5, 0.5], [0, 1]), r"probas has shape \(2,\), expected \(B, C, ...\)"),
            ((np.zeros((0, 2)), []), r"probas has shape \(0, 2\), expected"),
            (
                ([[0.5, 0.5]], [0, 1]),
                r"labels has shape \(2,\), expected \(1,\): that of probas \(1, 2\) without",
            ),
            (([[0.5, 0.5]], [2]), r"labels holds 2, outside \{0, …, 1\}; check the class axis"),
            (([[0.5, 0.5]], [-1]), "labels holds -1"),
            (([[0.5, 0.5]], [0.5]), "labels holds 0.5"),
            (
                ([[0.5, 0.5]], [7], "present", False, 255),
                r"labels holds 7, outside \{0, …, 1\} and ignore=255",
            ),
            (([[0.5, 0.5]], [0], "some"), "classes is 'some'; pass 'present', 'all' or a list"),
            (([[0.5, 0.5]], [0], []), r"classes is \[\]"),
            (([[0.5, 0.5]], [0], [2]), r"classes holds \[2\], outside \{0, …, 1\}"),
            (([[0.5, 0.5]], [0], [1, 1]), r"classes holds \[1, 1\]; list every class once"),
            (
                ([[0.5, 0.5]], [0], "all", False, None, [1.0]),
                r"class_weights has shape \(1,\), expected \(2,\)",
            ),
            (([[0.5, 0.5]], [0], "all", False, None, [1.0, 0.0]), "class_weights holds 0.0"),
        ],
    )
    def test_messages(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            losses.lovasz_softmax(*arguments)

    def test_types(self):
        with pytest.raises(TypeError, match="labels must hold class numbers"):
            losses.lovasz_softmax([[0.5, 0.5]], ["cat"])
        with pytest.raises(TypeError, match="ignore must be the label of void pixels"):
            losses.lovasz_softmax([[0.5, 0.5]], [0], ignore="void")

    def test_rounding_beyond_the_unit_interval_is_accepted(self):
        assert losses.lovasz_softmax([[1.0 + 1e-7, -1e-7]], [0], classes="all") == 0.0


class TestSigmoid:
    @pytest.mark.parametrize("per_image", [False, True])
    @pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
    def test_against_the_definition(self, share, per_image):
        rng = np.random.default_rng(6)
        labels = (rng.random((3, 20)) < share).astype(int)
        labels[rng.random(labels.shape) < 0.1] = 255
        labels[1] = 255
        probas = np.round(rng.random((3, 20)), 2)
        images = list(zip(probas, labels, strict=True)) if per_image else [(probas.ravel(), labels.ravel())]
        expected = np.mean(
            [
                naive_extension(np.abs(y - p)[y < 2], (y == 1)[y < 2]) if (y < 2).any() else 0.0
                for p, y in images
            ]
        )
        value = losses.lovasz_sigmoid(probas, labels, per_image, 255)
        assert value == pytest.approx(expected, rel=1e-13)

    @pytest.mark.parametrize("from_logits", [False, True])
    def test_gradient_by_finite_differences(self, from_logits):
        rng = np.random.default_rng(7)
        labels = rng.integers(0, 2, size=(2, 3, 5))
        scores = rng.normal(size=labels.shape) if from_logits else rng.uniform(0.1, 0.9, labels.shape)
        direction = rng.normal(size=labels.shape)
        value, gradient = losses.lovasz_sigmoid_and_gradient(scores, labels, from_logits=from_logits)
        assert value == losses.lovasz_sigmoid(scores, labels, from_logits=from_logits)
        ends = [
            losses.lovasz_sigmoid(scores + t * direction, labels, from_logits=from_logits)
            for t in (1e-7, -1e-7)
        ]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-7, rel=1e-6)

    def test_one_class_of_softmax(self):
        rng = np.random.default_rng(8)
        labels, probas = rng.integers(0, 2, size=(2, 30)), rng.random((2, 30))
        stacked = np.stack([1 - probas, probas], axis=1)
        value, gradient = losses.lovasz_sigmoid_and_gradient(probas, labels)
        both, slopes = losses.lovasz_softmax_and_gradient(stacked, labels, classes=[1], per_image=True)
        assert value == both
        np.testing.assert_array_equal(gradient, slopes[:, 1])

    def test_dtypes_and_messages(self):
        for dtype in (np.float16, np.float32, np.float64):
            for from_logits in (False, True):
                scores = np.array([0.25, 0.5], dtype=dtype)
                gradient = losses.lovasz_sigmoid_and_gradient(scores, [1, 0], from_logits=from_logits)[1]
                assert gradient.dtype == dtype
        with pytest.raises(ValueError, match=r"probas holds 2.0, outside \[0, 1\]"):
            losses.lovasz_sigmoid([2.0], [1])
        with pytest.raises(ValueError, match="labels holds 3"):
            losses.lovasz_sigmoid([0.5], [3])
        with pytest.raises(ValueError, match=r"probas has shape \(1,\), expected \(2,\)"):
            losses.lovasz_sigmoid([0.5], [1, 0])
        with pytest.raises(ValueError, match=r"labels has shape \(0,\) and holds no pixel"):
            losses.lovasz_sigmoid([], [])
        assert losses.lovasz_sigmoid([0.5], [255], ignore=255) == 0.0
