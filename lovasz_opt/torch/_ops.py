"""The operators: how PyTorch runs, traces, differentiates and batches them. The mathematics is in the core.

Every tensor argument has the images in front. A loss gives values (B,) and, for each image, the gradient of
its own value; the gradient is a differentiable output, so that second derivatives are those of the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor

from . import _device, _host

Gradients = tuple[Any, ...]

_PAIR = "-> (Tensor, Tensor)"


def _home(scores: Tensor) -> Any:
    """Where a loss is computed: by the core for the CPU, by PyTorch itself for a device."""
    return _host if scores.device.type == "cpu" else _device


def _operator(
    name: str,
    schema: str,
    compute: Callable[..., Any],
    shapes: Callable[..., Any],
    save: Callable[..., None],
    backward: Callable[..., Gradients],
) -> Any:
    """Register an operator with the rules that all share: any device, shapes for tracing, vmap."""
    op = torch.library.custom_op(f"lovasz_opt::{name}", compute, mutates_args=(), schema=schema)
    op.register_fake(shapes)
    op.register_autograd(backward, setup_context=save)

    def batched(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        # Images are independent, so another axis is just more of them.
        folded = [
            _fold(arg, dim, info.batch_size) if isinstance(arg, Tensor) else arg
            for arg, dim in zip(args, in_dims, strict=True)
        ]
        result = op(*folded)
        if isinstance(result, Tensor):
            return result.unflatten(0, (info.batch_size, -1)), 0
        return tuple(part.unflatten(0, (info.batch_size, -1)) for part in result), (0,) * len(result)

    op.register_vmap(batched)

    class Differentiable(torch.autograd.Function):
        """The operator for `torch.func`, which does not differentiate operators but functions."""

        generate_vmap_rule = True

        @staticmethod
        def forward(*args: Any) -> Any:
            return op(*args)

    Differentiable.setup_context = staticmethod(save)
    Differentiable.backward = staticmethod(backward)

    def call(*args: Any) -> Any:
        return op(*args) if torch.compiler.is_compiling() else Differentiable.apply(*args)

    return call


def _fold(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    stacked = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return stacked.flatten(0, 1)


def _loss_shapes(scores: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return scores.new_empty(scores.shape[:1]), scores.new_empty(scores.shape)


def _along(values: Tensor, like: Tensor) -> Tensor:
    """One number for each image, to multiply its entries with."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _scaled(gradient: Tensor, factors: Tensor) -> Tensor:
    """A saved gradient, image by image times a factor.

    Written over the gradient if autograd is about to drop it: its memory may still be in a cache, and there
    need not be a second array of that size. PyTorch has no public name for the question.
    """
    kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)()
    factors = _along(factors, gradient)
    traced = torch.compiler.is_compiling() or type(gradient) is not Tensor
    if not kept and not traced and not torch.is_grad_enabled():
        # One gradient cannot be written over with many, which is what vmap asks for.
        with suppress(RuntimeError):
            return gradient.mul_(factors)
    return gradient * factors


def _sum(*terms: Tensor | None) -> Tensor | None:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _nothing(count: int) -> tuple[None, ...]:
    return (None,) * count


# Losses whose gradient is piecewise constant: the second derivative is 0 wherever it exists.


def _save_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1])
    ctx.others = len(inputs) - 1


def _scale_gradient(ctx: Any, of_values: Tensor | None, of_gradient: Tensor | None) -> Gradients:
    (gradient,) = ctx.saved_tensors
    if of_values is None:
        return torch.zeros_like(gradient), *_nothing(ctx.others)
    return _scaled(gradient, of_values), *_nothing(ctx.others)


hinge = _operator(
    "hinge",
    f"(Tensor logits, Tensor labels, float? ignore, bool check) {_PAIR}",
    lambda logits, *rest: _home(logits).hinge(logits, *rest),
    _loss_shapes,
    _save_gradient,
    _scale_gradient,
)


def _of(name: str, from_logits: bool) -> Callable[..., tuple[Tensor, Tensor]]:
    """A loss of probabilities, or of the logits that give them."""

    def compute(scores: Tensor, *rest: Any) -> Any:
        *arguments, check = rest
        return getattr(_home(scores), name)(scores, *arguments, from_logits, check)

    return compute


_SIGMOID = f"(Tensor scores, Tensor labels, float? ignore, bool check) {_PAIR}"
_SOFTMAX = (
    "(Tensor scores, Tensor labels, int[]? classes, float[]? class_weights, float? ignore, bool check) "
    + _PAIR
)

sigmoid = _operator("sigmoid", _SIGMOID, _of("sigmoid", False), _loss_shapes, _save_gradient, _scale_gradient)

softmax = _operator("softmax", _SOFTMAX, _of("softmax", False), _loss_shapes, _save_gradient, _scale_gradient)

# The same losses of logits: the greedy vector w is constant, the probabilities π are not.


def _save_logits(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(inputs[0], output[1])
    ctx.others = len(inputs) - 1


def _pull_back_logits(
    ctx: Any, of_values: Tensor | None, of_gradient: Tensor | None, hessian: Callable[..., Tensor]
) -> Gradients:
    logits, gradient = ctx.saved_tensors
    first = None if of_values is None else _along(of_values, gradient) * gradient
    second = None if of_gradient is None else hessian(logits, gradient, of_gradient)
    return _sum(first, second), *_nothing(ctx.others)


def _sigmoid_hessian(logits: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
    """Of g = w∘π∘(1 − π), times a direction: w does not occur."""
    return direction * gradient * (1.0 - 2.0 * logits.sigmoid())


def _softmax_hessian(logits: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
    """Of g = π∘(w − ⟨π, w⟩), times a direction u: (u − ⟨π, u⟩)∘g − π⟨u, g⟩, in which w does not occur."""
    probas = logits.softmax(2)
    mean = (probas * direction).sum(2, keepdim=True)
    return (direction - mean) * gradient - probas * (direction * gradient).sum(2, keepdim=True)


sigmoid_of_logits = _operator(
    "sigmoid_of_logits",
    _SIGMOID,
    _of("sigmoid", True),
    _loss_shapes,
    _save_logits,
    partial(_pull_back_logits, hessian=_sigmoid_hessian),
)

softmax_of_logits = _operator(
    "softmax_of_logits",
    _SOFTMAX,
    _of("softmax", True),
    _loss_shapes,
    _save_logits,
    partial(_pull_back_logits, hessian=_softmax_hessian),
)

# The proximal operator, piecewise linear: its Jacobian is a constant wherever it exists.

_PROX_ARGUMENTS = "Tensor logits, Tensor labels, Tensor gamma"
_REST = "float? ignore, bool check"


def _save_jacobian(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:3])
    ctx.rest = inputs[-2:]


def _pull_back_prox(ctx: Any, cotangent: Tensor) -> Gradients:
    logits, labels, gamma = ctx.saved_tensors
    if cotangent is None:
        return _nothing(5)
    pulled, slopes = hinge_prox_vjp(logits, labels, gamma, cotangent, *ctx.rest)
    return pulled, None, slopes, None, None


def _pull_back_vjp(ctx: Any, of_pulled: Tensor | None, of_slopes: Tensor | None) -> Gradients:
    logits, labels, gamma = ctx.saved_tensors
    of_pulled = torch.zeros_like(logits) if of_pulled is None else of_pulled
    of_slopes = torch.zeros_like(gamma) if of_slopes is None else of_slopes
    pushed = hinge_prox_jvp(logits, labels, gamma, of_pulled, of_slopes, *ctx.rest)
    return torch.zeros_like(logits), None, torch.zeros_like(gamma), pushed, None, None


def _pull_back_jvp(ctx: Any, cotangent: Tensor | None) -> Gradients:
    logits, labels, gamma = ctx.saved_tensors
    if cotangent is None:
        return _nothing(7)
    pulled, slopes = hinge_prox_vjp(logits, labels, gamma, cotangent, *ctx.rest)
    return torch.zeros_like(logits), None, torch.zeros_like(gamma), pulled, slopes, None, None


hinge_prox = _operator(
    "hinge_prox",
    f"({_PROX_ARGUMENTS}, {_REST}) -> Tensor",
    _host.prox,
    lambda logits, *_: logits.new_empty(logits.shape),
    _save_jacobian,
    _pull_back_prox,
)

hinge_prox_vjp = _operator(
    "hinge_prox_vjp",
    f"({_PROX_ARGUMENTS}, Tensor cotangent, {_REST}) {_PAIR}",
    _host.prox_vjp,
    lambda logits, labels, gamma, *_: (logits.new_empty(logits.shape), gamma.new_empty(gamma.shape)),
    _save_jacobian,
    _pull_back_vjp,
)

hinge_prox_jvp = _operator(
    "hinge_prox_jvp",
    f"({_PROX_ARGUMENTS}, Tensor tangent, Tensor gamma_tangent, {_REST}) -> Tensor",
    _host.prox_jvp,
    lambda logits, *_: logits.new_empty(logits.shape),
    _save_jacobian,
    _pull_back_jvp,
)

# The envelope, once differentiable in the logits F and the step γ: (F − prox)/γ and −‖F − prox‖²/(2γ²).


def _save_envelope(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:3], output[1])
    ctx.rest = inputs[-2:]


def _pull_back_envelope(ctx: Any, of_values: Tensor | None, of_gradient: Tensor | None) -> Gradients:
    logits, labels, gamma, gradient = ctx.saved_tensors
    to_logits, to_gamma = None, None
    if of_values is not None:
        to_logits = _along(of_values, gradient) * gradient
        if ctx.needs_input_grad[2]:
            to_gamma = -0.5 * of_values * gradient.square().sum(1).to(gamma)
    if of_gradient is not None:
        pulled, slopes = hinge_prox_vjp(logits, labels, gamma, of_gradient, *ctx.rest)
        to_logits = _sum(to_logits, ((of_gradient - pulled) / _along(gamma, gradient)).to(logits))
        if ctx.needs_input_grad[2]:
            to_gamma = _sum(to_gamma, -((of_gradient * gradient).sum(1).to(gamma) + slopes) / gamma)
    return to_logits, None, to_gamma, None, None


hinge_envelope = _operator(
    "hinge_envelope",
    f"({_PROX_ARGUMENTS}, {_REST}) {_PAIR}",
    _host.envelope,
    _loss_shapes,
    _save_envelope,
    _pull_back_envelope,
)
