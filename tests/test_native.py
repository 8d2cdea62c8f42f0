"""The losses written against the array API agree with the Numba core (for JAX see test_jax.py)."""

import numpy as np
import pytest
from libraries import NUMPY, STRICT, TORCH, name_of

from lovasz_opt import losses
from lovasz_opt.losses import _native

if int(np.__version__.split(".")[0]) < 2:
    pytest.skip("NumPy before 2 has no array API namespace", allow_module_level=True)

LIBRARIES = pytest.mark.parametrize("library", [NUMPY, STRICT, TORCH], ids=name_of)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(autouse=True)
def loaded(library):
    library.load()
    if library is TORCH:
        pytest.importorskip("array_api_compat")


def binary(seed=0):
    """Images with void pixels, without foreground, all void."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((4, 5, 11)), rng.integers(0, 2, (4, 5, 11)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    labels[1][labels[1] == 1] = 0
    labels[2] = 255
    return logits, labels


def classes(seed=0):
    """Images with void pixels, with a class missing, all void."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal((3, 4, 5, 11)), rng.integers(0, 4, (3, 5, 11))
    labels[rng.random(labels.shape) < 0.2] = 255
    labels[1][labels[1] == 2] = 0
    labels[2] = 255
    return logits, labels


def agree(library, name, scores, labels, dtype, **options):
    expected = getattr(losses, name)(scores.astype(dtype), labels, **options)
    found = getattr(_native, name)(library.array(scores, dtype), library.array(labels), **options)
    assert [str(part.dtype).rpartition(".")[2] for part in found] == [dtype, dtype]
    assert found[0].shape == ()
    assert tuple(found[1].shape) == scores.shape
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(library.numpy(found[0]), expected[0], rtol=tolerance)
    np.testing.assert_allclose(library.numpy(found[1]), expected[1], rtol=tolerance, atol=tolerance / 8)


@LIBRARIES
@DTYPES
@pytest.mark.parametrize("per_image", [True, False])
def test_hinge(library, dtype, per_image):
    agree(library, "lovasz_hinge_and_gradient", *binary(), dtype, per_image=per_image, ignore=255)


@LIBRARIES
@DTYPES
@pytest.mark.parametrize("per_image", [True, False])
def test_sigmoid(library, dtype, per_image):
    logits, labels = binary()
    name, options = "lovasz_sigmoid_and_gradient", {"per_image": per_image, "ignore": 255}
    agree(library, name, logits, labels, dtype, from_logits=True, **options)
    agree(library, name, 1 / (1 + np.exp(-logits)), labels, dtype, **options)


@LIBRARIES
@DTYPES
@pytest.mark.parametrize("per_image", [True, False])
@pytest.mark.parametrize("counted", ["present", "all", [0, 2]])
def test_softmax(library, dtype, per_image, counted):
    logits, labels = classes()
    name, options = "lovasz_softmax_and_gradient", {"per_image": per_image, "ignore": 255, "classes": counted}
    agree(library, name, logits, labels, dtype, from_logits=True, **options)
    agree(library, name, logits, labels, dtype, from_logits=True, class_weights=[1, 2, 3, 4], **options)
    powers = np.exp(logits)
    agree(library, name, powers / powers.sum(axis=1, keepdims=True), labels, dtype, **options)


@LIBRARIES
def test_softmax_of_one_image_has_the_classes_last(library):
    logits, labels = classes()
    scores = np.ascontiguousarray(logits[0].reshape(4, -1).T)
    name = "lovasz_softmax_and_gradient"
    agree(library, name, scores, labels[0].ravel(), "float64", ignore=255, from_logits=True)


@LIBRARIES
def test_equal_margins_are_ordered_by_index(library):
    rng = np.random.default_rng(1)
    logits, labels = rng.integers(-2, 3, (2, 60)) / 2, rng.integers(0, 2, (2, 60))
    agree(library, "lovasz_hinge_and_gradient", logits, labels, "float64")
    agree(library, "lovasz_hinge_and_gradient", np.zeros((2, 60)), labels, "float64")


@LIBRARIES
@pytest.mark.parametrize("kind", ["bool", "int64", "float32", "uint8"])
def test_labels_of_any_dtype(library, kind):
    logits, labels = binary()
    labels = (labels == 1).astype(kind)
    ignore = None if kind == "bool" else 7.5 if kind == "float32" else -1
    if kind == "float32":
        labels[0, 0] = ignore
    agree(library, "lovasz_hinge_and_gradient", logits, labels, "float64", ignore=ignore)


@LIBRARIES
def test_void_label_may_be_a_class_number(library):
    agree(library, "lovasz_softmax_and_gradient", *(lambda x, y: (x, y % 4))(*classes()), "float64", ignore=0,
          from_logits=True)  # fmt: skip
    logits, labels = binary()
    agree(library, "lovasz_hinge_and_gradient", logits, labels % 2, "float64", ignore=1)


@LIBRARIES
def test_large_logits_do_not_overflow(library):
    logits = np.array([800.0, -800.0, 30.0, -30.0])
    labels = np.array([0, 1, 1, 0])
    agree(library, "lovasz_sigmoid_and_gradient", logits, labels, "float64", from_logits=True)
    scores = np.stack([logits, -logits], axis=1)
    agree(library, "lovasz_softmax_and_gradient", scores, labels, "float64", from_logits=True)


@LIBRARIES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_scores_make_their_image_nan(library, bad):
    logits, labels = binary()
    logits[3, 0, 0] = bad
    scores, truth = library.array(logits), library.array(labels)
    for name in ("lovasz_hinge_and_gradient", "lovasz_sigmoid_and_gradient"):
        options = {"ignore": 255} if "hinge" in name else {"ignore": 255, "from_logits": True}
        value, gradient = map(library.numpy, getattr(_native, name)(scores, truth, **options))
        assert np.isnan(value)
        assert np.isnan(gradient[3]).all()
        assert np.isfinite(gradient[:3]).all()
        with pytest.raises(ValueError, match="must be finite"):
            _native.checked(getattr(_native, name))(scores, truth, **options)


@LIBRARIES
def test_bad_labels_and_probabilities_are_errors(library):
    logits, labels = binary()
    hinge = _native.checked(_native.lovasz_hinge_and_gradient)
    with pytest.raises(ValueError, match="labels holds a value"):
        hinge(library.array(logits), library.array(labels))
    sigmoid = _native.checked(_native.lovasz_sigmoid_and_gradient)
    with pytest.raises(ValueError, match="from_logits=True"):
        sigmoid(library.array(logits), library.array(labels), ignore=255)
    softmax = _native.checked(_native.lovasz_softmax_and_gradient)
    scores, numbers = classes()
    with pytest.raises(ValueError, match="probas leaves"):
        softmax(library.array(scores), library.array(numbers), ignore=255)
    with pytest.raises(ValueError, match="neither a class"):
        softmax(library.array(scores), library.array(numbers), from_logits=True)
    with pytest.raises(ValueError, match="class_weights holds"):
        softmax(library.array(scores), library.array(numbers), class_weights=[1, 0, 1, 1])


@LIBRARIES
def test_bad_shapes_are_errors(library):
    with pytest.raises(ValueError, match="logits has shape"):
        _native.lovasz_hinge_and_gradient(library.array(np.ones(3)), library.array(np.ones(4)))
    with pytest.raises(ValueError, match="holds no pixel"):
        _native.lovasz_hinge_and_gradient(library.array(np.ones((2, 0))), library.array(np.ones((2, 0))))
    for scores, labels in ((np.ones(3), np.ones(3)), (np.ones((2, 3)), np.ones((2, 3)))):
        with pytest.raises(ValueError, match="shape"):
            _native.lovasz_softmax_and_gradient(library.array(scores), library.array(labels))
