"""Value and gradient of the Lovász losses, written once against the Python array API standard.

For arrays that live on a device and for tracing: every shape is known beforehand, nothing is written in place
and nothing leaves the device. Where the core would refuse a value (a score that is not finite, a label that
is not allowed, a probability outside [0, 1]), the loss and the gradient of that image are NaN; `checked`
makes an error of this.

The arguments are those of the functions of the same names in `lovasz_opt.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from .._validation import as_weights
from ..interop import dtype_name, namespace, on_host, to_numpy
from ._classes import Classes, listed_classes
from ._images import image_shape

Loss = Callable[..., tuple[Any, Any]]

_HALVES = ("float16", "bfloat16")


def lovasz_hinge_and_gradient(
    logits: Any, labels: Any, per_image: bool = True, ignore: float | None = None
) -> tuple[Any, Any]:
    """Value, a 0-d array, and gradient of the Lovász hinge."""
    return _mean(logits, *hinge_of_images(logits, labels, per_image, ignore))


def hinge_of_images(logits: Any, labels: Any, per_image: bool, ignore: float | None) -> tuple[Any, Any]:
    """Lovász hinge of every image, (B,), and the gradient of each in its pixels, (B, p)."""
    xp = namespace(logits)
    rows, foreground, valid, good = _binary(xp, logits, labels, "logits", per_image, ignore)
    values, weights = lovasz_extension(xp, xp.where(foreground, 1.0 - rows, 1.0 + rows), foreground, valid)
    return _marked(xp, values, xp.where(foreground, -weights, weights), good)


def lovasz_sigmoid_and_gradient(
    probas: Any,
    labels: Any,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
) -> tuple[Any, Any]:
    """Value, a 0-d array, and gradient of the Lovász sigmoid."""
    return _mean(probas, *sigmoid_of_images(probas, labels, per_image, ignore, from_logits))


def sigmoid_of_images(
    probas: Any, labels: Any, per_image: bool, ignore: float | None, from_logits: bool
) -> tuple[Any, Any]:
    """Lovász sigmoid of every image, (B,), and the gradient of each in its pixels, (B, p)."""
    xp = namespace(probas)
    rows, foreground, valid, good = _binary(xp, probas, labels, "probas", per_image, ignore)
    if from_logits:
        powers = xp.exp(-xp.abs(rows))
        rows = xp.where(rows >= 0, 1.0, powers) / (1.0 + powers)
    else:
        good = good & xp.all(_in_range(xp, rows, probas), axis=-1)
    values, weights = lovasz_extension(xp, xp.where(foreground, 1.0 - rows, rows), foreground, valid)
    gradient = xp.where(foreground, -weights, weights)
    if from_logits:
        gradient = gradient * rows * (1.0 - rows)
    return _marked(xp, values, gradient, good)


def lovasz_softmax_and_gradient(
    probas: Any,
    labels: Any,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: Any = None,
    *,
    from_logits: bool = False,
) -> tuple[Any, Any]:
    """Value, a 0-d array, and gradient of the Lovász-Softmax."""
    xp = namespace(probas)
    shape = tuple(probas.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            f"probas has shape {shape}, expected (B, C, ...) with at least one class and one pixel"
        )
    if tuple(labels.shape) != (shape[0], *shape[2:]):
        raise ValueError(
            f"labels has shape {tuple(labels.shape)}, expected {(shape[0], *shape[2:])}: "
            f"that of probas {shape} without the class axis 1"
        )
    apart, rows = per_image and len(shape) > 2, probas
    if not apart:
        rows = xp.permute_dims(rows, (1, 0, *range(2, len(shape))))
    rows = xp.reshape(rows, (shape[0] if apart else 1, shape[1], -1))
    truth = xp.reshape(labels, (rows.shape[0], -1))
    values, gradient = softmax_of_images(rows, truth, classes, ignore, class_weights, from_logits)
    if not apart:
        gradient = xp.reshape(gradient, (shape[1], shape[0], *shape[2:]))
        gradient = xp.expand_dims(xp.permute_dims(gradient, (1, 0, *range(2, len(shape)))), axis=0)
    return _mean(probas, values, gradient)


def softmax_of_images(
    probas: Any, labels: Any, classes: Classes, ignore: float | None, class_weights: Any, from_logits: bool
) -> tuple[Any, Any]:
    """Lovász-Softmax of every image, (B,), and the gradient of each, (B, C, p), for (B, C, p) and (B, p)."""
    xp = namespace(probas)
    n_classes = probas.shape[1]
    rows, finite = _finite(xp, _floating(xp, probas))
    numbers, void = (xp.expand_dims(array, axis=1) for array in _comparable(xp, labels, ignore))
    every = xp.reshape(xp.arange(n_classes, dtype=numbers.dtype, device=_device(rows)), (1, n_classes, 1))
    foreground = (numbers == every) & ~void
    legal = void[:, 0, :] | xp.any(foreground, axis=1)
    good = xp.all(legal, axis=-1) & xp.all(finite, axis=(1, 2))
    if from_logits:
        powers = xp.exp(rows - xp.max(rows, axis=1, keepdims=True))
        rows = powers / xp.sum(powers, axis=1, keepdims=True)
    else:
        good = good & xp.all(_in_range(xp, rows, probas), axis=(1, 2))
    values, weights = lovasz_extension(
        xp, xp.where(foreground, 1.0 - rows, rows), foreground, xp.broadcast_to(~void, foreground.shape)
    )
    masses = xp.broadcast_to(_masses(xp, foreground, classes, class_weights, rows), values.shape)
    total = xp.sum(masses, axis=-1, keepdims=True)
    shares = masses / xp.where(total > 0, total, xp.ones_like(total))
    gradient = xp.where(foreground, -weights, weights) * xp.expand_dims(shares, axis=-1)
    if from_logits:
        gradient = rows * (gradient - xp.sum(rows * gradient, axis=1, keepdims=True))
    return _marked(xp, xp.sum(shares * values, axis=-1), gradient, good)


def _masses(xp: Any, foreground: Any, classes: Classes, class_weights: Any, rows: Any) -> Any:
    """What every class of every image counts, up to a factor; lists of the host are sent to the device."""
    n_classes = foreground.shape[1]
    if isinstance(classes, str) and classes == "present":
        masses = xp.astype(xp.any(foreground, axis=-1), rows.dtype)
    else:
        listed = set(listed_classes(classes, n_classes).tolist())
        masses = xp.ones((n_classes,), dtype=rows.dtype, device=_device(rows))
        if len(listed) < n_classes:
            counted = [float(c in listed) for c in range(n_classes)]
            masses = xp.asarray(counted, dtype=rows.dtype, device=_device(rows))
    if class_weights is None:
        return masses
    if on_host(class_weights):
        class_weights = as_weights(to_numpy(class_weights), (n_classes,), "class_weights").tolist()
    return masses * xp.asarray(class_weights, dtype=rows.dtype, device=_device(rows))


def lovasz_extension(xp: Any, margins: Any, foreground: Any, valid: Any) -> tuple[Any, Any]:
    """Lovász extension of the Jaccard loss at the positive parts of margins, and its greedy vector.

    Parameters
    ----------
    xp : namespace of the array API
    margins : (..., p) floating array
        The last axis is one image.
    foreground, valid : (..., p) arrays of bool
        Foreground pixels must be valid.

    Returns
    -------
    (...) array
        0 where no pixel is valid.
    (..., p) array
        Greedy weights, 0 where the margin is ≤ 0 and on void pixels. Equal margins are ordered by index.

    Notes
    -----
    One stable sort, with void pixels last.
    """
    order = xp.argsort(xp.where(valid, -margins, xp.full_like(margins, xp.inf)), axis=-1, stable=True)
    found = xp.astype(xp.take_along_axis(foreground, order, axis=-1), xp.int32)
    wrong = xp.astype(xp.take_along_axis(valid & ~foreground, order, axis=-1), xp.int32)
    total = xp.sum(found, axis=-1, keepdims=True, dtype=xp.int32)
    remaining = total - xp.cumulative_sum(found, axis=-1, dtype=xp.int32) + found
    union = xp.astype(total + xp.cumulative_sum(wrong, axis=-1, dtype=xp.int32) - wrong, margins.dtype)
    # Without foreground the first pixel has the whole loss: remaining and union would be 0.
    remaining = xp.astype(remaining, margins.dtype)
    empty = union == 0
    one = xp.ones_like(union)
    per_pixel = one / xp.where(empty, one, union)
    step = xp.where(empty, one, remaining * per_pixel / (union + 1.0))
    zero = xp.zeros_like(union)
    greedy = xp.where(found > 0, per_pixel, xp.where(wrong > 0, step, zero))
    weights = xp.where(valid & (margins > 0), _unsorted(xp, greedy, order), zero)
    return xp.sum(xp.where(weights > 0, weights * margins, zero), axis=-1), weights


def _unsorted(xp: Any, values: Any, order: Any) -> Any:
    """Put values[..., k] to the place order[..., k].

    The standard has no scatter, so what libraries have is used, and a second sort where they have none.
    """
    if hasattr(values, "at"):
        rows, places = (xp.reshape(array, (-1, array.shape[-1])) for array in (values, order))
        numbers = xp.expand_dims(xp.arange(rows.shape[0]), axis=1)
        unsorted = xp.zeros_like(rows).at[numbers, places].set(rows, unique_indices=True)
        return xp.reshape(unsorted, values.shape)
    if hasattr(values, "scatter"):
        return xp.zeros_like(values).scatter(-1, order, values)
    return xp.take_along_axis(values, xp.argsort(order, axis=-1), axis=-1)


def checked(function: Loss) -> Loss:
    """Let a loss of this module raise where its value is NaN; it then waits for the device.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    names = list(signature(function).parameters)[:2]

    @wraps(function)
    def run(scores: Any, labels: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, gradient = function(scores, labels, *args, **kwargs)
        if bool(value != value):
            raise reason(scores, *names)
        return value, gradient

    return run


def reason(scores: Any, name: str = "logits", labels_name: str = "labels") -> ValueError:
    """Why a loss is NaN, as the error to raise."""
    xp = namespace(scores)
    return fault(bool(xp.all(xp.isfinite(scores))), name, labels_name)


def fault(finite: bool, name: str, labels_name: str = "labels") -> ValueError:
    """What is wrong with scores and labels whose loss is NaN, given whether the scores are finite."""
    if not finite:
        return ValueError(f"{name} must be finite: mask or clip NaN and infinite entries first")
    return ValueError(
        f"{labels_name} holds a value that is neither a class nor ignore, or {name} leaves [0, 1]; "
        f"pass ignore= for void {labels_name}, or from_logits=True if {name} are logits"
    )


def _binary(
    xp: Any, scores: Any, labels: Any, name: str, per_image: bool, ignore: float | None
) -> tuple[Any, Any, Any, Any]:
    """Scores, foreground and valid pixels as (images, pixels), and which images the core would accept."""
    if tuple(scores.shape) != tuple(labels.shape):
        raise ValueError(
            f"{name} has shape {tuple(scores.shape)}, expected {tuple(labels.shape)}; "
            "reshape it to match the target"
        )
    shape = image_shape(tuple(labels.shape), per_image, "labels")
    rows = xp.reshape(_floating(xp, scores), shape)
    numbers, void = (xp.reshape(array, shape) for array in _comparable(xp, labels, ignore))
    foreground = (numbers == 1) & ~void
    legal = void | foreground | (numbers == 0)
    rows, finite = _finite(xp, rows)
    return rows, foreground, ~void, xp.all(legal & finite, axis=-1)


def _marked(xp: Any, values: Any, gradient: Any, good: Any) -> tuple[Any, Any]:
    """NaN for the images that the core would refuse."""
    apart = xp.reshape(good, (-1, *[1] * (len(gradient.shape) - 1)))
    nothing = xp.full_like(values, xp.nan), xp.full_like(gradient, xp.nan)
    return xp.where(good, values, nothing[0]), xp.where(apart, gradient, nothing[1])


def _mean(scores: Any, values: Any, gradient: Any) -> tuple[Any, Any]:
    """Mean over the images and its gradient, in the shape and dtype of the scores."""
    xp = namespace(scores)
    dtype = _result_dtype(xp, scores)
    gradient = xp.reshape(gradient, tuple(scores.shape)) / values.shape[0]
    return xp.astype(xp.mean(values), dtype), xp.astype(gradient, dtype)


def _floating(xp: Any, scores: Any) -> Any:
    """Scores in the dtype that is computed in: float32 for half precisions."""
    if dtype_name(scores) in _HALVES:
        return xp.astype(scores, xp.float32)
    return xp.astype(scores, _result_dtype(xp, scores))


def _finite(xp: Any, rows: Any) -> tuple[Any, Any]:
    """Scores with 0 for NaN and ∞, which the standard does not say how to sort; and which are finite."""
    finite = xp.isfinite(rows)
    return xp.where(finite, rows, xp.zeros_like(rows)), finite


def _result_dtype(xp: Any, scores: Any) -> Any:
    if "float" in dtype_name(scores):
        return scores.dtype
    return xp.asarray(0.0).dtype


def _comparable(xp: Any, labels: Any, ignore: float | None) -> tuple[Any, Any]:
    """Labels that may be compared with class numbers, and which of them are void."""
    floating = "float" in dtype_name(labels)
    if dtype_name(labels) in ("bool", "int8", "uint8", "int16", "uint16"):
        labels = xp.astype(labels, xp.int32)
    if ignore is None or (not floating and ignore != int(ignore)):
        return labels, xp.zeros(labels.shape, dtype=xp.bool, device=_device(labels))
    return labels, labels == (ignore if floating else int(ignore))


def _in_range(xp: Any, probas: Any, given: Any) -> Any:
    tolerance = max(1e-6, 4 * float(xp.finfo(_result_dtype(xp, given)).eps))
    return (probas >= -tolerance) & (probas <= 1.0 + tolerance)


def _device(array: Any) -> Any:
    # An array that is being traced has no device, and needs none.
    return getattr(array, "device", None) if hasattr(array, "__dlpack__") else None
