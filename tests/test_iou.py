"""Intersection over union against sets of pixels."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import iou


def iou_of_sets(guess, truth, label, ignore, empty):
    """The index of one class from Python sets of pixel positions."""
    valid = {i for i, y in enumerate(truth) if y != ignore}
    first = {i for i, y in enumerate(guess) if y == label} & valid
    second = {i for i, y in enumerate(truth) if y == label} & valid
    return len(first & second) / len(first | second) if first | second else empty


@pytest.mark.parametrize(("ignore", "empty"), list(product([None, 9], [1.0, 0.0, 0.25])))
@pytest.mark.parametrize("classes", [None, 4, [2, 0], (3,)])
@pytest.mark.parametrize("per_image", [False, True])
def test_against_sets(classes, per_image, ignore, empty):
    rng = np.random.default_rng(0)
    labels_of = [0, 1] if classes is None else [0, 1, 2, 3]
    for _ in range(10):
        guess = rng.choice(labels_of, size=(3, 2, 4))
        truth = rng.choice([*labels_of, *([] if ignore is None else [ignore])], size=(3, 2, 4))
        if ignore is not None:
            truth[1] = ignore
        result = iou(guess, truth, classes=classes, per_image=per_image, ignore=ignore, empty=empty)
        listed = [1] if classes is None else range(classes) if isinstance(classes, int) else classes
        rows = list(zip(guess.reshape(3, -1), truth.reshape(3, -1), strict=True))
        rows = rows if per_image else [(guess.ravel(), truth.ravel())]
        expected = np.array([[iou_of_sets(g, t, c, ignore, empty) for c in listed] for g, t in rows])
        if classes is None:
            expected = expected[:, 0]
        if not per_image:
            expected = expected[0]
        np.testing.assert_array_equal(result, expected)
        assert np.shape(result) == np.shape(expected)


def test_by_hand():
    assert iou([1, 1, 0, 0], [1, 0, 0, 1]) == 1 / 3
    assert isinstance(iou([1, 1, 0, 0], [1, 0, 0, 1]), float)
    assert iou([True, False], [1, 0]) == 1.0
    assert iou([0, 0], [0, 0]) == 1.0
    assert iou([1, 0], [0, 0]) == 0.0
    assert math.isnan(iou([0, 0], [0, 0], empty=math.nan))
    assert iou([1, 0], [255, 255], ignore=255, empty=0.5) == 0.5
    np.testing.assert_array_equal(iou([1, 0], [1, 1], per_image=True), [0.5])


def test_is_one_minus_the_jaccard_loss_of_the_mistakes():
    rng = np.random.default_rng(1)
    for share in (0.0, 0.5, 1.0):
        for _ in range(20):
            truth, guess = rng.random(6) < share, rng.random(6) < 0.5
            assert iou(guess, truth) == pytest.approx(1 - lo.Jaccard(truth)(guess != truth), abs=1e-15)


def test_void_predictions_are_not_looked_at():
    assert iou([1, 77], [1, 255], ignore=255) == 1.0
    np.testing.assert_array_equal(iou([0, 77], [0, 255], ignore=255, classes=2), [1.0, 1.0])


def test_listed_classes_accept_any_other_label():
    np.testing.assert_array_equal(iou([7, 8, 5], [7, 7, 6], classes=[7, 5]), [0.5, 0.0])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 0], [1]), {}, r"prediction has shape \(2,\), expected \(1,\): that of labels"),
        (([], []), {}, r"labels has shape \(0,\) and holds no pixel"),
        (([1, 2], [1, 0]), {}, "prediction holds 2, outside"),
        (([1, 0], [1, 2]), {}, "labels holds 2, outside"),
        (([1, 0], [1, 3]), {"classes": 3}, r"labels holds 3, outside \{0, …, 2\}; raise classes"),
        (([1, 4], [1, 0]), {"classes": 3}, "prediction holds 4"),
        (([1, 0], [1, 0]), {"classes": 0}, "classes is 0; pass the number of classes"),
        (([1, 0], [1, 0]), {"classes": [1, 1]}, r"classes holds \[1, 1\]; list every class once"),
        (([1, 0], [1, 0]), {"classes": [0.5]}, r"classes is \[0.5\]"),
    ],
)
def test_messages(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        iou(*arguments, **options)
