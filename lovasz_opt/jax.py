"""The Lovász losses and the prox in JAX: they work under `jit`, `grad`, `vmap` and `lax.scan`.

The losses are computed in JAX itself, on the device of the arrays, with the subgradient of this package. The
prox and the envelope are computed by the core on the CPU of the host, by a callback that may be traced, with
derivatives through the explicit Jacobian: forward, reverse and of higher order.

Where nothing is traced, bad input raises (``check=False`` turns this off, and no call waits for the device
then). Under tracing the results of such an image are NaN. `vmap` counts as tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

try:
    import jax
    import jax.numpy as jnp
    from jax import Array
except ImportError as error:
    raise ImportError("lovasz_opt.jax needs JAX: pip install 'lovasz-opt[jax]'") from error

from ._validation import as_step
from .losses import _native
from .losses._images import image_shape
from .losses._rows import envelope_rows, jacobian_rows, prox_rows

__all__ = ["lovasz_hinge", "lovasz_sigmoid", "lovasz_softmax", "moreau_lovasz_hinge", "prox_lovasz_hinge"]

_STATIC = ("per_image", "ignore", "classes", "class_weights", "from_logits")
_hinge = jax.jit(_native.lovasz_hinge_and_gradient, static_argnames=_STATIC[:2])
_sigmoid = jax.jit(
    _native.lovasz_sigmoid_and_gradient, static_argnames=("per_image", "ignore", "from_logits")
)
_softmax = jax.jit(_native.lovasz_softmax_and_gradient, static_argnames=_STATIC)


def lovasz_hinge(
    logits: Any, labels: Any, per_image: bool = True, ignore: float | None = None, *, check: bool = True
) -> Array:
    """Lovász hinge of the Jaccard loss, f(max(0, 1 − s∘F)), averaged over images.

    Parameters
    ----------
    logits : (p,) or (B, ...) array of float
        Scores F.
    labels : array of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    check : bool, default True
        Whether to raise for bad input where nothing is traced.

    Returns
    -------
    () array
        In the dtype of the logits. An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If the shapes differ or there is no pixel; with `check`, if the logits are not finite, or a label is
        neither 0, 1 nor `ignore`.

    See Also
    --------
    lovasz_opt.lovasz_hinge : the same on arrays of any library.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from lovasz_opt.jax import lovasz_hinge
    >>> logits, labels = jnp.array([0.0, 1.0, 3.0]), jnp.array([1, 0, 1])
    >>> value, gradient = jax.value_and_grad(lovasz_hinge)(logits, labels)
    >>> float(value), (3 * gradient).round().tolist()
    (1.0, [-1.0, 1.0, -0.0])
    """
    return _loss_of(
        partial(_hinge, per_image=bool(per_image), ignore=ignore), logits, labels, "logits", check
    )


def lovasz_softmax(
    probas: Any,
    labels: Any,
    classes: Any = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: Sequence[float] | None = None,
    *,
    from_logits: bool = False,
    check: bool = True,
) -> Array:
    """Lovász-Softmax: the mean over classes of the Lovász extension of their Jaccard losses.

    Parameters
    ----------
    probas : (B, C, ...) array of float
        Class probabilities in [0, 1], or logits with `from_logits`.
    labels : (B, ...) array of int
        Class of every pixel in {0, …, C−1}; `ignore` marks void pixels. With 1-D labels, probas is (p, C).
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that count.
    per_image : bool, default False
        Whether every image has its own loss, averaged over images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    class_weights : (C,) sequence of float, optional
        Positive weights; 1 by default.
    from_logits : bool, default False
        Apply softmax along axis 1 first.
    check : bool, default True
        Whether to raise for bad input where nothing is traced.

    Returns
    -------
    () array
        In the dtype of probas; 0 where no class counts.

    Raises
    ------
    ValueError
        If the shapes do not match or `classes` is wrong; with `check`, if probas are not finite or leave
        [0, 1], or a label is no class.

    See Also
    --------
    lovasz_opt.lovasz_softmax : the same on arrays of any library, with more on the arguments.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from lovasz_opt.jax import lovasz_softmax
    >>> float(lovasz_softmax(jnp.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]]), jnp.array([0, 1])))
    0.5625
    """
    evaluate = partial(
        _softmax,
        classes=classes if isinstance(classes, str) else tuple(np.asarray(classes).tolist()),
        per_image=bool(per_image),
        ignore=ignore,
        class_weights=None if class_weights is None else tuple(np.asarray(class_weights).tolist()),
        from_logits=bool(from_logits),
    )
    return _loss_of(evaluate, probas, labels, "probas", check)


def lovasz_sigmoid(
    probas: Any,
    labels: Any,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
    check: bool = True,
) -> Array:
    """Lovász extension of the Jaccard loss at the errors |y − π| of foreground probabilities π.

    Parameters
    ----------
    probas : (p,) or (B, ...) array of float
        Foreground probabilities in [0, 1], or logits with `from_logits`.
    labels : array of {0, 1}
        In the shape of probas; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    from_logits : bool, default False
        Apply the sigmoid first.
    check : bool, default True
        Whether to raise for bad input where nothing is traced.

    Returns
    -------
    () array
        In the dtype of probas. An image without valid pixels counts 0 and stays in the mean.

    Raises
    ------
    ValueError
        If the shapes differ or there is no pixel; with `check`, if probas are not finite or leave [0, 1], or
        a label is neither 0, 1 nor `ignore`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from lovasz_opt.jax import lovasz_sigmoid
    >>> float(lovasz_sigmoid(jnp.array([0.75, 0.5, 1.0]), jnp.array([1, 0, 1])))
    0.25
    """
    evaluate = partial(_sigmoid, per_image=bool(per_image), ignore=ignore, from_logits=bool(from_logits))
    return _loss_of(evaluate, probas, labels, "probas", check)


def prox_lovasz_hinge(
    logits: Any, labels: Any, gamma: Any, *, ignore: float | None = None, check: bool = True
) -> Array:
    """Exact proximal point of the Lovász hinge, image by image with the full step, differentiable.

    Every image of the leading axis is replaced by argmin_Z ½‖Z − F‖² + gamma·L(Z) of its own.

    Parameters
    ----------
    logits : (p,) or (B, ...) array of float
        Scores F.
    labels : array of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    gamma : float or () array
        Step, > 0.
    ignore : number, optional
        Label of void pixels; they are returned unchanged.
    check : bool, default True
        Whether to raise for bad input where nothing is traced.

    Returns
    -------
    array
        Shape and dtype of the logits.

    Raises
    ------
    ValueError
        As `lovasz_hinge`, and if gamma is not finite and positive.

    Notes
    -----
    Computed on the CPU: arrays of a device are copied to the host and back. The prox is piecewise linear, and
    at a kink its derivative is that of the pools as they were found. Complexity: O(p log p).

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from lovasz_opt.jax import prox_lovasz_hinge
    >>> logits, labels = jnp.array([-25.0, 11.0, -12.0]), jnp.array([1, 0, 1])
    >>> prox_lovasz_hinge(logits, labels, 12.0).tolist()
    [-19.0, 9.0, -8.0]
    >>> slopes = jax.jacfwd(prox_lovasz_hinge, argnums=2)(logits, labels, 12.0)
    >>> (6 * slopes).round().tolist()
    [3.0, -1.0, 2.0]
    """
    rows, truth, step, dtype = _rows_of(logits, labels, gamma)
    return _prox(ignore, check, rows, truth, step).reshape(jnp.shape(logits)).astype(dtype)


def moreau_lovasz_hinge(
    logits: Any, labels: Any, gamma: Any, *, ignore: float | None = None, check: bool = True
) -> Array:
    """Moreau envelope of the Lovász hinge of every image, with the full step, averaged over images.

    The value is (1/B) Σ_b min_Z ‖Z − F_b‖²/(2·gamma) + L_b(Z), its gradient (F_b − prox_b)/(gamma·B).

    Parameters
    ----------
    logits : (p,) or (B, ...) array of float
        Scores F.
    labels : array of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    gamma : float or () array
        Step, > 0.
    ignore : number, optional
        Label of void pixels.
    check : bool, default True
        Whether to raise for bad input where nothing is traced.

    Returns
    -------
    () array
        In the dtype of the logits.

    Raises
    ------
    ValueError
        As `prox_lovasz_hinge`.

    Notes
    -----
    Computed on the CPU, as `prox_lovasz_hinge`. Its second derivative is that of the prox.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from lovasz_opt.jax import moreau_lovasz_hinge
    >>> float(moreau_lovasz_hinge(jnp.array([-25.0, 11.0, -12.0]), jnp.array([1, 0, 1]), 12.0))
    17.0
    """
    rows, truth, step, dtype = _rows_of(logits, labels, gamma)
    return jnp.mean(_envelopes(ignore, check, rows, truth, step)).astype(dtype)


def _loss_of(evaluate: Callable[..., Any], scores: Any, labels: Any, name: str, check: bool) -> Array:
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    rows = _computable(scores)
    dtype = scores.dtype if jnp.issubdtype(scores.dtype, jnp.floating) else rows.dtype
    return _loss(evaluate, name, check, rows, labels).astype(dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _loss(evaluate: Callable[..., Any], name: str, check: bool, scores: Array, labels: Array) -> Array:
    return _checked_loss(evaluate, name, check, scores, labels)[0]


@_loss.defjvp
def _loss_jvp(evaluate: Any, name: str, check: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    value, gradient = _checked_loss(evaluate, name, check, *primals)
    return value, jnp.sum(gradient * tangents[0])


def _checked_loss(evaluate: Any, name: str, check: bool, scores: Array, labels: Array) -> tuple[Array, Array]:
    value, gradient = evaluate(scores, labels)
    if check and _holds_nan(value):
        raise _native.reason(scores, name)
    return value, gradient


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _prox(ignore: float | None, check: bool, rows: Array, labels: Array, gamma: Array) -> Array:
    (moved,) = _on_host(prox_rows, ignore, (rows,), rows, labels, gamma)
    if check and _holds_nan(moved):
        raise _prox_reason(rows, labels, gamma)
    return moved


@_prox.defjvp
def _prox_jvp(ignore: float | None, check: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    moved = _prox(ignore, check, *primals)
    return moved, _pushed(ignore, primals, tangents)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _envelopes(ignore: float | None, check: bool, rows: Array, labels: Array, gamma: Array) -> Array:
    return _envelope_and_gradient(ignore, check, rows, labels, gamma)[0]


@_envelopes.defjvp
def _envelopes_jvp(ignore: float | None, check: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    values, gradient = _envelope_and_gradient(ignore, check, *primals)
    in_gamma = -0.5 * jnp.sum(gradient * gradient, axis=-1)
    return values, jnp.sum(gradient * tangents[0], axis=-1) + in_gamma * tangents[2]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _envelope_and_gradient(
    ignore: float | None, check: bool, rows: Array, labels: Array, gamma: Array
) -> tuple[Array, Array]:
    values, gradient = _on_host(envelope_rows, ignore, (rows[:, 0], rows), rows, labels, gamma)
    if check and _holds_nan(values):
        raise _prox_reason(rows, labels, gamma)
    return values, gradient


@_envelope_and_gradient.defjvp
def _envelope_and_gradient_jvp(
    ignore: float | None, check: bool, primals: Any, tangents: Any
) -> tuple[Any, Any]:
    gamma, (in_rows, _, in_gamma) = primals[2], tangents
    values, gradient = _envelope_and_gradient(ignore, check, *primals)
    slopes = jnp.sum(gradient * in_rows, axis=-1) - 0.5 * jnp.sum(gradient**2, axis=-1) * in_gamma
    curved = (in_rows - _pushed(ignore, primals, tangents) - gradient * in_gamma) / gamma
    return (values, gradient), (slopes, curved)


def _pushed(ignore: float | None, primals: Any, tangents: Any) -> Array:
    """The Jacobian of the prox times a tangent, linear in the tangent for JAX to transpose."""
    rows, labels, gamma = primals
    in_rows, _, in_gamma = tangents
    indices = jax.ShapeDtypeStruct(rows.shape, jnp.int32)
    pools, slopes = _on_host(jacobian_rows, ignore, (indices, rows), rows, labels, gamma)
    # Logits and margins of background and void pixels move together, those of foreground against each other.
    signs = jnp.where(labels == 1, -1, 1).astype(rows.dtype)

    def means(pool: Array, tangent: Array) -> Array:
        # What has the index p does not move: it is dropped here and 0 there.
        zeros = jnp.zeros_like(tangent)
        sizes = zeros.at[pool].add(1, mode="drop")
        sums = zeros.at[pool].add(tangent, mode="drop")
        return (sums / jnp.maximum(sizes, 1)).at[pool].get(mode="fill", fill_value=0)

    return signs * jax.vmap(means)(pools, signs * in_rows) + slopes * in_gamma


def _on_host(
    function: Any, ignore: float | None, results: Any, rows: Array, labels: Array, gamma: Array
) -> Any:
    """Results of a function of rows, computed by the core; axes that vmap adds lead all arguments."""

    def call(rows: Any, labels: Any, gamma: Any) -> Any:
        rows, labels, gamma = np.asarray(rows), np.asarray(labels), np.asarray(gamma)
        added, (images, pixels) = gamma.shape, rows.shape[-2:]
        parts = function(
            rows.reshape(-1, pixels), labels.reshape(-1, pixels), np.repeat(gamma.ravel(), images), ignore
        )
        return tuple(part.reshape(*added, images, *part.shape[1:]) for part in parts)

    shapes = tuple(jax.ShapeDtypeStruct(result.shape, result.dtype) for result in results)
    return jax.pure_callback(call, shapes, rows, labels, gamma, vmap_method="broadcast_all")


def _rows_of(logits: Any, labels: Any, gamma: Any) -> tuple[Array, Array, Array, Any]:
    """Logits and labels as (images, pixels), the step, and the dtype to give back."""
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if logits.shape != labels.shape:
        raise ValueError(
            f"logits has shape {logits.shape}, expected {labels.shape}; reshape it to match the target"
        )
    shape = image_shape(labels.shape, True, "labels")
    rows = _computable(logits)
    if not isinstance(gamma, jax.core.Tracer):
        gamma = as_step(gamma)
    dtype = logits.dtype if jnp.issubdtype(logits.dtype, jnp.floating) else rows.dtype
    return rows.reshape(shape), labels.reshape(shape), jnp.asarray(gamma, dtype=rows.dtype), dtype


def _computable(scores: Array) -> Array:
    """Scores in float32 or float64: half precision becomes float32, integers the default float of JAX."""
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        return scores.astype(jnp.result_type(float))
    return scores.astype(jnp.promote_types(scores.dtype, jnp.float32))


def _holds_nan(array: Array) -> bool:
    return not isinstance(array, jax.core.Tracer) and bool(jnp.isnan(array).any())


def _prox_reason(rows: Array, labels: Array, gamma: Array) -> ValueError:
    if not bool(jnp.isfinite(gamma) & (gamma > 0)):
        return ValueError(f"gamma is {gamma}; it must be finite and > 0")
    return _native.reason(rows)
