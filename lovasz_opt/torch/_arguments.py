"""Tensors of any shape become images in rows, for every loss in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..losses._classes import Classes
from ._host import HALVES

Reduction = Literal["mean", "sum", "none"]


def checked(check: bool) -> bool:
    """Whether to raise at scores that are not finite: traced code lets NaN through instead."""
    return check and not torch.compiler.is_compiling()


def as_scores(scores: Tensor, name: str) -> Tensor:
    """Floating-point scores, in float32 where autocast has made them half precision.

    Raises
    ------
    TypeError
        If they are no floating-point tensor.
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        kind = scores.dtype if isinstance(scores, Tensor) else type(scores).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {kind}; convert it with .float()")
    if scores.dtype in HALVES and torch.is_autocast_enabled(scores.device.type):
        return scores.float()
    return scores


def as_images(scores: Tensor, labels: Tensor, name: str, per_image: bool) -> tuple[Tensor, Tensor]:
    """Scores and labels of one shape as (B, p) rows; one row unless `per_image`, or for one axis.

    Raises
    ------
    ValueError
        If shapes or devices differ, or there is no pixel.
    """
    scores = as_scores(scores, name)
    _check_labels(labels, scores, name)
    if labels.shape != scores.shape:
        raise ValueError(
            f"{name} has shape {tuple(scores.shape)}, labels {tuple(labels.shape)}; make them equal, for "
            "example by squeezing a channel axis of size 1"
        )
    if not scores.numel():
        raise ValueError(f"{name} has shape {tuple(scores.shape)} and holds no pixel; pass at least one")
    rows = scores.shape[0] if per_image and scores.ndim > 1 else 1
    return scores.reshape(rows, -1), labels.reshape(rows, -1)


def as_groups(scores: Tensor, labels: Tensor, name: str, per_image: bool) -> tuple[Tensor, Tensor]:
    """Scores (B, C, ...) as (G, B/G, C, p) and labels (B, ...) as (G, B/G, p): groups of images.

    Every image is a group if `per_image`, else there is one. With labels (p,) of one axis, scores are (p, C).

    Raises
    ------
    ValueError
        If the labels lack the shape of the scores without axis 1, devices differ, or there is no pixel.
    """
    scores = as_scores(scores, name)
    _check_labels(labels, scores, name)
    if scores.ndim < 2 or not scores.numel():
        raise ValueError(
            f"{name} has shape {tuple(scores.shape)}, expected (B, C, ...) with at least one class and one "
            "pixel"
        )
    shape = (scores.shape[0], *scores.shape[2:])
    if labels.shape != shape:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)}, expected {tuple(shape)}: that of {name} "
            f"{tuple(scores.shape)} without the class axis 1"
        )
    if scores.ndim == 2:
        return scores.movedim(1, 0)[None, None], labels[None, None]
    images, classes = scores.shape[:2]
    groups = images if per_image else 1
    return (
        scores.reshape(groups, images // groups, classes, -1),
        labels.reshape(groups, images // groups, -1),
    )


def as_steps(gamma: float | Tensor, rows: Tensor) -> Tensor:
    """The step of every image: (B,) float64.

    Raises
    ------
    ValueError
        If gamma is a tensor of more than one number.
    """
    steps = torch.as_tensor(gamma, dtype=torch.float64, device=rows.device)
    if steps.numel() != 1:
        raise ValueError(f"gamma has shape {tuple(steps.shape)}; pass one number for all images")
    return steps.reshape(1).expand(rows.shape[0])


def reduced(values: Tensor, reduction: Reduction) -> Tensor:
    """Losses of the images by the usual name.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if reduction == "mean":
        return values.mean()
    if reduction == "sum":
        return values.sum()
    if reduction == "none":
        return values
    raise ValueError(f"reduction is {reduction!r}; choose 'mean', 'sum' or 'none'")


def class_numbers(classes: Classes, n_classes: int) -> list[int] | None:
    """Classes that count, as the operator takes them; None stands for those that are present.

    Raises
    ------
    ValueError
        If it is another name; the operator checks numbers.
    """
    if not isinstance(classes, str):
        return [int(number) for number in classes]
    if classes == "present":
        return None
    if classes == "all":
        return list(range(n_classes))
    raise ValueError(f"classes is {classes!r}; pass 'present', 'all' or a list of class numbers")


def weights_of(class_weights: Sequence[float] | Tensor) -> list[float]:
    """Class weights as numbers, which the operator takes."""
    return [float(weight) for weight in class_weights]


def _check_labels(labels: Tensor, scores: Tensor, name: str) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a tensor, got {type(labels).__name__}; pass torch.as_tensor(labels)")
    if labels.device != scores.device:
        raise ValueError(
            f"labels is on {labels.device}, {name} on {scores.device}; move one with .to(device)"
        )
