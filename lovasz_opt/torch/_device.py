"""The losses on tensors of a device such as a GPU: nothing leaves it, and images are computed side by side.

What `lovasz_opt.losses._native` computes for arrays of any library, in PyTorch's own terms and with few
passes over the images: on a GPU the start of a pass costs as much as the pass over a small image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .._validation import as_weights
from ..losses._classes import listed_classes
from ..losses._native import fault
from ._host import HALVES


class _Targets(NamedTuple):
    """Foreground, void pixels (None if there can be none), and the images whose labels are allowed."""

    foreground: Tensor
    void: Tensor | None
    legal: Tensor


def hinge(logits: Tensor, labels: Tensor, ignore: float | None, check: bool) -> tuple[Tensor, Tensor]:
    targets = _binary(labels, ignore)
    rows = _computed(logits)
    signs = torch.where(targets.foreground, -1.0, 1.0).to(rows.dtype)
    values, gradient, _ = _extension(torch.addcmul(torch.ones_like(rows), rows, signs), targets)
    return _checked(values, gradient.mul_(signs), targets, logits, "logits", check)


def sigmoid(
    scores: Tensor, labels: Tensor, ignore: float | None, from_logits: bool, check: bool
) -> tuple[Tensor, Tensor]:
    targets = _binary(labels, ignore)
    rows = _computed(scores)
    probas = rows.sigmoid() if from_logits else rows
    values, gradient, _ = _extension(_errors(probas, targets), targets)
    gradient = torch.where(targets.foreground, -gradient, gradient)
    if from_logits:
        gradient *= probas * (1.0 - probas)
        return _checked(values, gradient, targets, scores, "logits", check)
    targets = targets._replace(legal=targets.legal & _in_range(probas, scores).all(-1))
    return _checked(values, gradient, targets, scores, "probas", check)


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
    together = scores.movedim(2, 1)
    rows, truth = _computed(together.flatten(2)), labels.flatten(1)
    n_classes = rows.shape[1]
    void = None if ignore is None else (truth == ignore)[:, None]
    foreground = truth[:, None] == torch.arange(n_classes, device=rows.device)[:, None]
    if void is not None:
        foreground &= ~void
    known = foreground.any(1)
    legal = (known if void is None else known | void[:, 0]).all(-1)
    probas = rows.softmax(1) if from_logits else rows
    targets = _Targets(foreground, void, legal)
    values, gradient, totals = _extension(_errors(probas, targets), targets)
    gradient = torch.where(foreground, -gradient, gradient)
    masses = _masses(classes, class_weights, rows)
    if classes is None:
        masses = masses * (totals > 0)
    shares = (masses / masses.sum(-1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)).expand_as(values)
    gradient *= shares[..., None]
    if from_logits:
        gradient = probas * (gradient - (probas * gradient).sum(1, keepdim=True))
    else:
        targets = targets._replace(legal=legal & _in_range(probas, scores).flatten(1).all(-1))
    values, gradient = _checked(
        (shares * values).sum(-1),
        gradient.reshape(together.shape).movedim(1, 2),
        targets,
        scores,
        "logits" if from_logits else "probas",
        check,
    )
    return values, gradient.contiguous()


def _binary(labels: Tensor, ignore: float | None) -> _Targets:
    foreground = labels == 1
    allowed = foreground | (labels == 0)
    if ignore is None:
        return _Targets(foreground, None, allowed.all(-1))
    void = labels == ignore
    return _Targets(foreground & ~void, void, (allowed | void).all(-1))


def _computed(scores: Tensor) -> Tensor:
    return scores.float() if scores.dtype in HALVES else scores


def _errors(probas: Tensor, targets: _Targets) -> Tensor:
    return torch.where(targets.foreground, 1.0 - probas, probas)


def _in_range(probas: Tensor, scores: Tensor) -> Tensor:
    tolerance = max(1e-6, 4 * torch.finfo(scores.dtype).eps)
    return (probas >= -tolerance) & (probas <= 1.0 + tolerance)


def _masses(classes: list[int] | None, class_weights: list[float] | None, rows: Tensor) -> Tensor:
    """What every class counts, up to a factor; lists are sent to the device."""
    n_classes = rows.shape[1]
    masses = rows.new_ones(n_classes)
    if classes is not None:
        listed = listed_classes(classes, n_classes)
        if len(listed) < n_classes:
            masses = rows.new_zeros(n_classes).index_fill_(0, torch.from_numpy(listed).to(rows.device), 1.0)
    if class_weights is not None:
        masses = masses * rows.new_tensor(as_weights(class_weights, (n_classes,), "class_weights"))
    return masses


def _extension(margins: Tensor, targets: _Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Lovász extension of the Jaccard loss at the positive parts of (..., p) margins.

    Returns
    -------
    values : (...) Tensor
    weights : (..., p) Tensor
        Greedy weights, 0 where the margin is ≤ 0 and on void pixels.
    totals : (...) Tensor of int
        Foreground pixels.

    Notes
    -----
    Among the first k pixels are a of the foreground, and the union is u = P + k − a. The increment of the
    k-th is 1/u if it is foreground, and (P − a)/(u(u − 1)) if not; that of the first is 1 where P = 0.
    """
    if targets.void is not None:
        margins = margins.masked_fill(targets.void, -torch.inf)
    ordered, order = margins.sort(dim=-1, descending=True, stable=True)
    found = targets.foreground.gather(-1, order)
    seen = found.cumsum(-1, dtype=torch.int32)
    totals = seen[..., -1:]
    remaining = totals - seen
    ranks = torch.arange(1, margins.shape[-1] + 1, dtype=torch.int32, device=margins.device)
    union = (remaining + ranks).to(margins.dtype)
    background = torch.where(union == 1, 1.0, remaining / (union - 1.0)) / union
    weights = torch.where(found, union.reciprocal_(), background)
    # Margins that are NaN stay it, for the value of their image to tell.
    weights *= ordered > 0
    positive = ordered.clamp_(min=0)
    values = positive.mul_(weights).sum(-1)
    return values, torch.empty_like(weights).scatter_(-1, order, weights), totals[..., 0]


def _checked(
    values: Tensor,
    gradient: Tensor,
    targets: _Targets,
    scores: Tensor,
    name: str,
    check: bool,
) -> tuple[Tensor, Tensor]:
    """Values and gradients in the dtype of the scores, NaN for the images that the core would refuse."""
    # 0 · x is NaN where x is NaN or infinite.
    marks = torch.where(targets.legal, (scores * 0).flatten(1).sum(-1), torch.nan)
    values = (values + marks).to(scores.dtype)
    if check and bool(values.isnan().any()):
        raise fault(bool(scores.isfinite().all()), name)
    gradient = gradient + marks.reshape(-1, *[1] * (gradient.ndim - 1))
    return values, gradient.to(scores.dtype)
