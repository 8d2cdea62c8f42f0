"""The losses on tensors of a device such as a GPU: nothing leaves it, and images are computed side by side.

The mathematics is that of `lovasz_opt.losses._native`, which PyTorch runs through array-api-compat. Tested on
tensors of the CPU; **not tested on a GPU**.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..losses import _native


def hinge(logits: Tensor, labels: Tensor, ignore: float | None, check: bool) -> tuple[Tensor, Tensor]:
    def evaluate(image: Tensor, truth: Tensor) -> Any:
        return _native.lovasz_hinge_and_gradient(image, truth, False, ignore)

    return _side_by_side(evaluate, logits, labels, "logits", check)


def sigmoid(
    scores: Tensor, labels: Tensor, ignore: float | None, from_logits: bool, check: bool
) -> tuple[Tensor, Tensor]:
    def evaluate(image: Tensor, truth: Tensor) -> Any:
        return _native.lovasz_sigmoid_and_gradient(image, truth, False, ignore, from_logits=from_logits)

    return _side_by_side(evaluate, scores, labels, "logits" if from_logits else "probas", check)


def softmax(
    scores: Tensor,
    labels: Tensor,
    classes: list[int] | None,
    class_weights: list[float] | None,
    ignore: float | None,
    from_logits: bool,
    check: bool,
) -> tuple[Tensor, Tensor]:
    chosen = "present" if classes is None else classes

    def evaluate(images: Tensor, truth: Tensor) -> Any:
        return _native.lovasz_softmax_and_gradient(
            images, truth, chosen, False, ignore, class_weights, from_logits=from_logits
        )

    return _side_by_side(evaluate, scores, labels, "logits" if from_logits else "probas", check)


def _side_by_side(
    evaluate: Callable[[Tensor, Tensor], Any], scores: Tensor, labels: Tensor, name: str, check: bool
) -> tuple[Tensor, Tensor]:
    values, gradient = torch.vmap(evaluate)(scores, labels)
    if check and bool(values.isnan().any()):
        raise _native.reason(scores, labels, name)
    return values, gradient.contiguous()
