"""The Numba core on tensors: memory of the CPU is shared, tensors of other devices are copied there and back.

Images are rows: (B, p) scores and labels. Every image has a loss, a gradient and a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._validation import as_step
from ..losses import LovaszHinge, lovasz_sigmoid_and_gradient, lovasz_softmax_and_gradient
from ..losses._images import in_chunks

HALVES = (torch.float16, torch.bfloat16)


def as_array(tensor: Tensor) -> Any:
    """The C-contiguous array of a tensor: the same memory for a contiguous float32, float64 or integer tensor
    of the CPU. Half precision is computed in float32."""
    tensor = tensor.detach()
    if tensor.dtype in HALVES:
        tensor = tensor.float()
    return tensor.cpu().resolve_neg().contiguous().numpy()


def as_tensor(array: Any, like: Tensor) -> Tensor:
    """The tensor of a new array, in the dtype and on the device of another tensor."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(like)


def hinge(logits: Tensor, labels: Tensor, ignore: float | None, check: bool) -> tuple[Tensor, Tensor]:
    rows, bad = _finite(logits, "logits", check)
    loss = LovaszHinge._of_labels(as_array(labels), True, ignore)
    values, gradient = loss._images(rows.reshape(-1), divisor=1.0)
    return _losses(values, gradient.reshape(rows.shape), bad, logits)


def sigmoid(
    scores: Tensor, labels: Tensor, ignore: float | None, from_logits: bool, check: bool
) -> tuple[Tensor, Tensor]:
    return _one_by_one(
        scores,
        "logits" if from_logits else "probas",
        check,
        labels,
        lambda image, truth: lovasz_sigmoid_and_gradient(
            image, truth, False, ignore, from_logits=from_logits
        ),
    )


def softmax(
    scores: Tensor,
    labels: Tensor,
    classes: list[int] | None,
    class_weights: list[float] | None,
    ignore: float | None,
    from_logits: bool,
    check: bool,
) -> tuple[Tensor, Tensor]:
    """Losses of groups of images: (G, B, C, p) scores, (G, B, p) labels."""
    chosen = "present" if classes is None else classes
    return _one_by_one(
        scores,
        "logits" if from_logits else "probas",
        check,
        labels,
        lambda images, truth: lovasz_softmax_and_gradient(
            images, truth, chosen, False, ignore, class_weights, from_logits=from_logits
        ),
    )


def envelope(
    logits: Tensor, labels: Tensor, gamma: Tensor, ignore: float | None, check: bool
) -> tuple[Tensor, Tensor]:
    rows, bad = _finite(logits, "logits", check)
    steps, bad = _steps(gamma, bad, check)
    values, gradient = np.empty(len(rows)), np.empty_like(rows)

    def solve(b: int, loss: LovaszHinge) -> None:
        values[b], gradient[b] = loss._envelope(rows[b : b + 1], steps[b], None)

    _each_image(labels, ignore, solve)
    return _losses(values, gradient, bad, logits)


def prox(logits: Tensor, labels: Tensor, gamma: Tensor, ignore: float | None, check: bool) -> Tensor:
    rows, bad = _finite(logits, "logits", check)
    steps, bad = _steps(gamma, bad, check)
    targets = as_array(labels)
    moved = np.empty_like(rows)
    for step in np.unique(steps):
        same = steps == step
        if same.all():
            moved = LovaszHinge._of_labels(targets, True, ignore)._prox(rows, step)
        else:
            moved[same] = LovaszHinge._of_labels(targets[same], True, ignore)._prox(rows[same], step)
    moved[bad] = np.nan
    return as_tensor(moved, logits)


def prox_vjp(
    logits: Tensor, labels: Tensor, gamma: Tensor, cotangent: Tensor, ignore: float | None, check: bool
) -> tuple[Tensor, Tensor]:
    rows, bad = _finite(logits, "logits", check)
    steps, bad = _steps(gamma, bad, check)
    # A scaled loss may overflow in half precision: such cotangents are handed on, never an error.
    directions, infinite = _finite(cotangent, "cotangent", False)
    pulled, slopes = np.empty_like(rows), np.empty(len(rows))

    def pull(b: int, loss: LovaszHinge) -> None:
        pulled[b], slopes[b] = loss.prox_vjp(rows[b : b + 1], steps[b], directions[b : b + 1])

    _each_image(labels, ignore, pull)
    pulled[bad | infinite], slopes[bad | infinite] = np.nan, np.nan
    return as_tensor(pulled, logits), as_tensor(slopes, gamma)


def prox_jvp(
    logits: Tensor,
    labels: Tensor,
    gamma: Tensor,
    tangent: Tensor,
    gamma_tangent: Tensor,
    ignore: float | None,
    check: bool,
) -> Tensor:
    rows, bad = _finite(logits, "logits", check)
    steps, bad = _steps(gamma, bad, check)
    directions, infinite = _finite(tangent, "tangent", False)
    slopes = as_array(gamma_tangent).astype(np.float64)
    pushed = np.empty_like(rows)

    def push(b: int, loss: LovaszHinge) -> None:
        pushed[b] = loss.prox_jvp(rows[b : b + 1], steps[b], directions[b : b + 1], slopes[b])

    _each_image(labels, ignore, push)
    pushed[bad | infinite] = np.nan
    return as_tensor(pushed, logits)


def _finite(scores: Tensor, name: str, check: bool) -> tuple[Any, Any]:
    """Scores with the rows that hold NaN or ∞ put to 0, and which those are; an error if `check`."""
    rows = as_array(scores)
    bad = np.zeros(len(rows), dtype=np.bool_)
    finite = np.isfinite(rows)
    if finite.all():
        return rows, bad
    bad = ~finite.reshape(len(rows), -1).all(axis=1)
    if check:
        b = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name} holds {rows[b][~finite[b]][0]} in image {b}; {name} must be finite: mask or clip such "
            "entries first, or pass check=False to have NaN as the loss of that image"
        )
    rows = rows.copy()
    rows[bad] = 0
    return rows, bad


def _steps(gamma: Tensor, bad: Any, check: bool) -> tuple[Any, Any]:
    """Positive steps of the images; those that are not finite count as 1 and make their image bad."""
    steps = as_array(gamma).astype(np.float64)
    if not check:
        infinite = ~np.isfinite(steps)
        steps, bad = np.where(infinite, 1.0, steps), bad | infinite
    for step in np.unique(steps):
        as_step(step)
    return steps, bad


def _losses(values: Any, gradient: Any, bad: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    if bad.any():
        values[bad], gradient[bad] = np.nan, np.nan
    return as_tensor(values, like), as_tensor(gradient, like)


def _one_by_one(
    scores: Tensor, name: str, check: bool, labels: Tensor, evaluate: Callable[[Any, Any], tuple[float, Any]]
) -> tuple[Tensor, Tensor]:
    """Value and gradient of every group, one after the other: the core divides a group among the threads."""
    rows, bad = _finite(scores, name, check)
    targets = as_array(labels)
    values = np.empty(len(rows))
    if len(rows) == 1:
        values[0], gradient = evaluate(rows[0], targets[0])
        return _losses(values, gradient[None], bad, scores)
    gradient = np.empty_like(rows)
    for g in range(len(rows)):
        values[g], gradient[g] = evaluate(rows[g], targets[g])
    return _losses(values, gradient, bad, scores)


def _each_image(labels: Tensor, ignore: float | None, use: Callable[[int, LovaszHinge], None]) -> None:
    """Call ``use(b, loss of image b)`` for every image, in threads where there are pixels enough."""
    targets = as_array(labels)
    count, pixels = targets.shape

    def run(start: int, stop: int) -> None:
        for b in range(start, stop):
            use(b, LovaszHinge._of_labels(targets[b : b + 1], False, ignore))

    in_chunks(run, pixels * np.arange(count + 1, dtype=np.int64))
