"""Arrays of any library in, the same kind out; no copy on the CPU, no silent move from a device."""

import numpy as np
import pytest
from device_array import DeviceArray
from libraries import FOREIGN, JAX, STRICT, TENSORFLOW, TORCH, name_of

import lovasz_opt as lo
from lovasz_opt import interop, losses

pytestmark = pytest.mark.usefixtures("double_precision")

LIBRARIES = pytest.mark.parametrize("library", FOREIGN, ids=name_of)
LOGITS, LABELS = np.array([[0.0, 1.0, 3.0], [2.0, -1.0, 0.5]]), np.array([[1, 0, 1], [255, 0, 1]])


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    # double_precision must find JAX if it is there.
    try:
        import jax  # noqa: F401
    except ImportError:
        return


@LIBRARIES
def test_same_kind_out(library):
    logits, labels = library.array(LOGITS), library.array(LABELS)
    kind, value = type(logits), lo.lovasz_hinge(logits, labels, ignore=255)
    assert isinstance(value, kind)
    assert tuple(value.shape) == ()
    assert float(value) == lo.lovasz_hinge(LOGITS, LABELS, ignore=255)
    moved = lo.prox_lovasz_hinge(logits, labels, 1.5, ignore=255)
    assert isinstance(moved, kind)
    assert moved.dtype == logits.dtype
    assert (library.numpy(moved) == lo.prox_lovasz_hinge(LOGITS, LABELS, 1.5, ignore=255)).all()
    value, gradient = losses.moreau_lovasz_hinge_and_gradient(logits, labels, 1.5, ignore=255)
    expected = losses.moreau_lovasz_hinge_and_gradient(LOGITS, LABELS, 1.5, ignore=255)
    assert isinstance(gradient, kind)
    assert float(value) == expected[0]
    assert (library.numpy(gradient) == expected[1]).all()
    ratios = lo.iou(library.array(LABELS % 2), labels, classes=2, per_image=True, ignore=255)
    assert isinstance(ratios, kind)
    assert (library.numpy(ratios) == lo.iou(LABELS % 2, LABELS, classes=2, per_image=True, ignore=255)).all()


@LIBRARIES
def test_arguments_by_name_and_mixed_with_numpy(library):
    logits, expected = library.array(LOGITS), lo.lovasz_hinge(LOGITS, LABELS, ignore=255)
    value = lo.lovasz_hinge(labels=LABELS, logits=logits, ignore=255)
    assert isinstance(value, type(logits))
    assert float(value) == expected
    # The scores decide what comes back.
    assert type(lo.lovasz_hinge(LOGITS, library.array(LABELS), ignore=255)) is float
    probas, weights = library.array(np.full((3, 2), 0.5)), library.array(np.array([1.0, 2.0]))
    assert float(lo.lovasz_softmax(probas, [0, 1, 1], class_weights=weights)) == 0.5


@LIBRARIES
def test_lists_of_images(library):
    images, truth = [LOGITS[0], LOGITS[1:]], [LABELS[0], LABELS[1:]]
    given = [library.array(image) for image in images], [library.array(image) for image in truth]
    value, gradient = losses.lovasz_hinge_and_gradient(*given, ignore=255)
    expected = losses.lovasz_hinge_and_gradient(images, truth, ignore=255)
    assert float(value) == expected[0]
    for found, part in zip(gradient, expected[1], strict=True):
        assert isinstance(found, type(given[0][0]))
        assert (library.numpy(found) == part).all()


@LIBRARIES
def test_errors_are_those_of_the_core(library):
    with pytest.raises(ValueError, match=r"logits\[1, 0\] is nan; logits must be finite"):
        lo.lovasz_hinge(library.array(np.array([[0.0], [np.nan]])), library.array(np.array([[1], [0]])))
    with pytest.raises(ValueError, match="labels holds 255, outside"):
        lo.lovasz_hinge(library.array(LOGITS), library.array(LABELS))
    with pytest.raises(TypeError, match="missing"):
        lo.lovasz_hinge(library.array(LOGITS))


@LIBRARIES
def test_memory_of_the_host_is_not_copied(library):
    array = library.array(np.arange(64.0))
    read = interop.to_numpy(array)
    assert (read == np.arange(64.0)).all()
    # Another read of the same memory, by the library's own means where there are any.
    again = array.numpy() if library is TORCH else np.from_dlpack(array)
    assert address(read) == address(again)


def test_results_share_memory_with_torch():
    tensor = TORCH.array(np.zeros(3))
    result = np.arange(3.0)
    assert interop.Home.of(tensor).give(result).data_ptr() == address(result)


@LIBRARIES
def test_inputs_are_not_changed(library):
    logits = library.array(LOGITS)
    moved = lo.prox_lovasz_hinge(logits, library.array(LABELS), 1.5, ignore=255)
    assert (library.numpy(logits) == LOGITS).all()
    assert not np.may_share_memory(interop.to_numpy(moved), interop.to_numpy(logits))


@pytest.mark.parametrize(
    ("library", "dtype"),
    [(library, dtype) for library in FOREIGN for dtype in library.halves],
    ids=lambda value: name_of(value) or value,
)
def test_half_precision_comes_back_in_kind(library, dtype):
    logits, labels = library.array(LOGITS, dtype), library.array(LABELS)
    assert interop.to_numpy(logits).dtype == ("float32" if dtype == "bfloat16" else "float16")
    value, gradient = losses.lovasz_hinge_and_gradient(logits, labels, ignore=255)
    moved = lo.prox_lovasz_hinge(logits, labels, 1.5, ignore=255)
    assert value.dtype == gradient.dtype == moved.dtype == logits.dtype
    expected = lo.prox_lovasz_hinge(LOGITS, LABELS, 1.5, ignore=255)
    np.testing.assert_allclose(library.numpy(moved), expected, rtol=2.0**-8)


@LIBRARIES
def test_integers_are_scores_too(library):
    moved = lo.prox_lovasz_hinge(library.array(np.array([0, 1, 3])), library.array(np.array([1, 0, 1])), 1.5)
    assert library.numpy(moved).tolist() == [0.5, 0.5, 3.0]


@LIBRARIES
def test_read_only_views_are_given_back(library):
    result = np.arange(3.0)
    result.flags.writeable = False
    given = interop.Home.of(library.array(np.zeros(3))).give(result)
    assert library.numpy(given).tolist() == [0.0, 1.0, 2.0]
    if library is TORCH:
        # A tensor may be written to; the read-only memory must not be its own.
        given += 1
        assert result.tolist() == [0.0, 1.0, 2.0]


def test_read_only_views_of_jax_are_read():
    array = JAX.array(LOGITS)
    view = np.from_dlpack(array)
    assert not view.flags.writeable
    assert lo.lovasz_hinge(view, LABELS, ignore=255) == lo.lovasz_hinge(LOGITS, LABELS, ignore=255)
    assert lo.prox_lovasz_hinge(view, LABELS, 1.5, ignore=255).flags.writeable


@LIBRARIES
def test_arrays_without_elements(library):
    empty = library.array(np.zeros((2, 0)))
    assert interop.to_numpy(empty).shape == (2, 0)
    assert tuple(interop.Home.of(empty).give(np.zeros((2, 0))).shape) == (2, 0)
    with pytest.raises(ValueError, match="holds no pixel"):
        lo.lovasz_hinge(empty, empty)


def test_tensors_that_are_not_contiguous():
    torch = TORCH.load()
    wide = torch.asarray(np.tile(LOGITS, (2, 2)))
    for tensor in (wide[::2, ::2], wide.T, wide[:1].expand(3, -1), wide.reshape(1, 1, 4, 6).to(
        memory_format=torch.channels_last)):  # fmt: skip
        labels = (tensor > 0).to(torch.int64)
        expected = lo.prox_lovasz_hinge(tensor.numpy().copy(), labels.numpy().copy(), 1.5)
        assert (lo.prox_lovasz_hinge(tensor, labels, 1.5).numpy() == expected).all()
        assert address(interop.to_numpy(tensor)) == tensor.data_ptr()


def test_views_of_array_api_strict_that_are_not_contiguous():
    wide = STRICT.array(np.tile(LOGITS, (2, 2)))[::-2, ::-1]
    host = np.tile(LOGITS, (2, 2))[::-2, ::-1]
    assert (interop.to_numpy(wide) == host).all()
    assert float(lo.lovasz_hinge(wide, host > 0)) == lo.lovasz_hinge(host, host > 0)


def test_tensors_with_history_are_detached_for_reading():
    torch = TORCH.load()
    tensor = torch.asarray(LOGITS).requires_grad_()
    assert (interop.to_numpy(tensor) == LOGITS).all()
    value, gradient = losses.lovasz_hinge_and_gradient(tensor, torch.asarray(LABELS), ignore=255)
    assert not value.requires_grad
    assert not gradient.requires_grad
    with torch.no_grad():
        assert not lo.lovasz_hinge(tensor, torch.asarray(LABELS), ignore=255).requires_grad


@pytest.mark.parametrize(
    "name", ["lovasz_hinge", "lovasz_sigmoid", "lovasz_softmax", "prox_lovasz_hinge", "moreau_lovasz_hinge"]
)
def test_tensors_with_history_keep_it(name):
    torch = TORCH.load()
    scores = LOGITS.T if name == "lovasz_softmax" else LOGITS
    labels = np.array([0, 1, 1]) if name == "lovasz_softmax" else LABELS % 2
    options = {"gamma": 1.5} if "_hinge" in name[4:] and name != "lovasz_hinge" else {}
    options |= {} if "hinge" in name else {"from_logits": True}
    tensor = torch.asarray(scores.copy()).requires_grad_()
    result = getattr(lo, name)(tensor, torch.asarray(labels), **options)
    assert np.allclose(result.detach().numpy(), getattr(lo, name)(scores, labels, **options), atol=1e-12)
    result.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    assert (tensor.grad != 0).any()


def test_steps_with_history_keep_it():
    torch = TORCH.load()
    gamma = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    lo.prox_lovasz_hinge(torch.asarray(LOGITS), torch.asarray(LABELS % 2), gamma).sum().backward()
    h = 1e-6
    ends = [lo.prox_lovasz_hinge(LOGITS, LABELS % 2, 1.5 + s * h).sum() for s in (1, -1)]
    assert gamma.grad is not None
    assert np.isclose(gamma.grad, (ends[0] - ends[1]) / (2 * h), atol=1e-8)


def test_functional_names_may_be_compiled():
    torch = TORCH.load()
    logits, labels = torch.asarray(LOGITS), torch.asarray(LABELS)
    run = torch.compile(lambda x: 2 * lo.lovasz_hinge(x, labels, ignore=255), fullgraph=True, backend="eager")
    assert float(run(logits)) == 2 * lo.lovasz_hinge(LOGITS, LABELS, ignore=255)


def test_functional_names_may_be_batched_and_transformed():
    torch = TORCH.load()
    logits, labels = torch.asarray(LOGITS), torch.asarray(LABELS % 2)
    values = torch.vmap(lo.lovasz_hinge)(logits, labels)
    expected = [lo.lovasz_hinge(x, y) for x, y in zip(LOGITS, LABELS % 2, strict=True)]
    assert np.allclose(values.numpy(), expected, rtol=1e-12)
    gradient = torch.func.grad(lo.lovasz_hinge)(logits, labels)
    assert (gradient.numpy() == losses.lovasz_hinge_and_gradient(LOGITS, LABELS % 2)[1]).all()


def test_pending_conjugation_and_negation_are_carried_out():
    torch = TORCH.load()
    pairs = torch.asarray(LOGITS + 1j * np.array([[1.0, 2.0, 4.0], [1.0, -1.0, 0.5]]))
    negated = torch.conj(pairs).imag
    assert negated.is_neg()
    assert (interop.to_numpy(negated) == -pairs.imag.numpy()).all()
    labels = torch.asarray(LABELS)
    assert lo.lovasz_hinge(negated, labels, ignore=255) == lo.lovasz_hinge(-pairs.imag, labels, ignore=255)
    assert (interop.to_numpy(torch.conj(pairs)) == np.conj(pairs.numpy())).all()
    with pytest.raises(TypeError, match="real numbers"):
        lo.lovasz_hinge(torch.conj(pairs), labels, ignore=255)


def test_graphs_of_tensorflow_are_refused():
    tensorflow = TENSORFLOW.load()
    with pytest.raises(TypeError, match=r"tf\.numpy_function"):
        tensorflow.function(lambda x: lo.lovasz_hinge(x, LABELS))(tensorflow.constant(LOGITS))


def on_device(values, number=0):
    return DeviceArray(values, number)


@pytest.mark.parametrize("per_image", [True, False])
def test_losses_stay_on_the_device(per_image):
    logits, labels = on_device(LOGITS, 1), on_device(LABELS, 1)
    value, gradient = losses.lovasz_hinge_and_gradient(logits, labels, per_image, ignore=255)
    expected = losses.lovasz_hinge_and_gradient(LOGITS, LABELS, per_image, ignore=255)
    assert value.device == gradient.device == "cuda:1"
    np.testing.assert_allclose(value._elements, expected[0])
    np.testing.assert_allclose(gradient._elements, expected[1])
    assert lo.lovasz_hinge(labels=labels, logits=logits, per_image=per_image, ignore=255).device == "cuda:1"
    assert lo.lovasz_sigmoid(logits, labels, per_image, 255, from_logits=True).device == "cuda:1"
    softmax = lo.lovasz_softmax(on_device(LOGITS.T), on_device([0, 1, 1]), from_logits=True)
    expected = lo.lovasz_softmax(LOGITS.T, [0, 1, 1], from_logits=True)
    np.testing.assert_allclose(softmax._elements, expected)
    assert logits.host_copies == labels.host_copies == 0


def test_the_prox_copies_to_the_host_and_back():
    logits, labels = on_device(LOGITS, 1), on_device(LABELS, 1)
    moved = lo.prox_lovasz_hinge(logits, labels, 1.5, ignore=255)
    assert moved.device == "cuda:1"
    assert (moved._elements == lo.prox_lovasz_hinge(LOGITS, LABELS, 1.5, ignore=255)).all()
    assert logits.host_copies == labels.host_copies == 1
    value = lo.moreau_lovasz_hinge(logits, labels, 1.5, ignore=255)
    assert value.device == "cuda:1"
    assert float(value._elements) == lo.moreau_lovasz_hinge(LOGITS, LABELS, 1.5, ignore=255)
    assert lo.iou(labels, labels, ignore=255).device == "cuda:1"


def test_devices_must_agree():
    for labels in (LABELS, on_device(LABELS, 1)):
        with pytest.raises(ValueError, match=r"logits is on device 0 .* and labels on .*move one of them"):
            lo.lovasz_hinge(on_device(LOGITS), labels, ignore=255)
        with pytest.raises(ValueError, match="nothing is moved"):
            lo.prox_lovasz_hinge(on_device(LOGITS), labels, 1.5, ignore=255)
    with pytest.raises(ValueError, match="logits is on the host"):
        lo.lovasz_hinge(LOGITS, on_device(LABELS), ignore=255)
    with pytest.raises(TypeError, match="images of a device"):
        lo.lovasz_hinge([on_device(LOGITS)], [on_device(LABELS)], ignore=255)


def test_bad_input_on_a_device_is_an_error():
    with pytest.raises(ValueError, match="logits must be finite"):
        lo.lovasz_hinge(on_device([np.nan, 1.0]), on_device([1, 0]))
    with pytest.raises(ValueError, match="labels holds a value"):
        lo.lovasz_hinge(on_device(LOGITS), on_device(LABELS))


def test_what_is_not_an_array_of_another_library():
    class Convertible:
        shape = (3,)

        def __array__(self, dtype=None, copy=None):
            return np.array([0.0, 1.0, 3.0])

    for scores in ([0.0, 1.0, 3.0], (0.0, 1.0, 3.0), np.float64(1.0), 1.0, None, [], [[0.0], [1.0]]):
        assert not interop.is_foreign(scores)
    assert lo.lovasz_hinge(Convertible(), [1, 0, 1]) == 1.0
    assert type(lo.lovasz_hinge(Convertible(), [1, 0, 1])) is float
