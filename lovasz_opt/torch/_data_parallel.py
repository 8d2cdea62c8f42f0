"""Batch-level losses over the batches of all processes: value and gradient as one process would have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from .._validation import as_weights
from ..losses._classes import Classes, listed_classes
from ._arguments import as_groups, as_images, weights_of
from ._host import HALVES

#: What a process may find wrong with its part; all of them then raise, and none waits for another for ever.
_FAULTS = (
    "scores hold NaN or infinity; mask or clip such entries first, or pass check=False",
    "labels hold a value that is neither a class nor ignore; pass ignore= for void labels",
    "probas leave [0, 1]; pass from_logits=True if they are logits",
)


@torch.compiler.disable
def data_parallel_lovasz_hinge(
    logits: Tensor,
    labels: Tensor,
    ignore: float | None = None,
    *,
    group: Any = None,
    averaged: bool = True,
    check: bool = True,
) -> Tensor:
    """Lovász hinge of the joint batch of all processes as one image.

    The value is that of ``lovasz_hinge(..., per_image=False)`` on the concatenated batch, on every process,
    where the mean over processes of their own batch-level losses would be another objective.

    Parameters
    ----------
    logits : (p,) or (B, ...) floating-point tensor
        The part of this process; parts may differ in size.
    labels : tensor of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    ignore : number, optional
        Label of void pixels.
    group : ProcessGroup, optional
        The processes; all by default. Without an initialised process group there is one.
    averaged : bool, default True
        Whether gradients of parameters are averaged over processes afterwards, as by
        ``DistributedDataParallel``. The gradient in the logits is then multiplied by the number of processes,
        so that the average is the gradient of the joint loss. With False it is the part of this process.
    check : bool, default True
        Whether logits that are not finite raise, on every process; if not, the loss is NaN.

    Returns
    -------
    Tensor
        The same on every process.

    Raises
    ------
    ValueError
        As `lovasz_hinge`. What another process finds wrong with its part raises here too.

    Notes
    -----
    Sent are counts and only those margins that can matter: positive ones, and of the background only those
    above the smallest of the foreground. Compiled code calls this function eagerly. It is differentiable
    once.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import data_parallel_lovasz_hinge
    >>> data_parallel_lovasz_hinge(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1, 0, 1]))
    tensor(1.)
    """
    rows, truth = as_images(logits, labels, "logits", False)
    foreground, void = truth == 1, _void(truth, ignore)
    faults = [~rows.isfinite().all(), ~(foreground | (truth == 0) | void).all()]
    rows = _computed(rows)
    margins = torch.where(foreground, 1.0 - rows, 1.0 + rows)
    values, _ = _Extension.apply(margins, foreground & ~void, ~void, faults, group, averaged, check)
    return values[0].to(logits.dtype)


@torch.compiler.disable
def data_parallel_lovasz_softmax(
    probas: Tensor,
    labels: Tensor,
    classes: Classes = "present",
    ignore: float | None = None,
    class_weights: Sequence[float] | Tensor | None = None,
    *,
    from_logits: bool = False,
    group: Any = None,
    averaged: bool = True,
    check: bool = True,
) -> Tensor:
    """Lovász-Softmax of the joint batch of all processes as one image.

    The value is that of ``lovasz_softmax(..., per_image=False)`` on the concatenated batch; a class is
    present if any process has it.

    Parameters
    ----------
    probas : (B, C, ...) floating-point tensor
        The part of this process: class probabilities, or logits with `from_logits`.
    labels : (B, ...) tensor of int
        Class of every pixel; `ignore` marks void pixels.
    classes : {"present", "all"} or sequence of int, default "present"
        Classes that count.
    ignore : number, optional
        Label of void pixels.
    class_weights : (C,) sequence of float, optional
        Positive weights of the classes.
    from_logits : bool, default False
        Apply softmax along axis 1 first.
    group : ProcessGroup, optional
        The processes; all by default.
    averaged : bool, default True
        Whether gradients of parameters are averaged over processes afterwards; see
        `data_parallel_lovasz_hinge`.
    check : bool, default True
        Whether scores that are not finite raise, on every process; if not, the loss is NaN.

    Returns
    -------
    Tensor
        The same on every process.

    Raises
    ------
    ValueError
        As `lovasz_softmax`. What another process finds wrong with its part raises here too.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import data_parallel_lovasz_softmax
    >>> probas = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])
    >>> data_parallel_lovasz_softmax(probas, torch.tensor([0, 1]))
    tensor(0.5625)
    """
    scores, truth = as_groups(probas, labels, "logits" if from_logits else "probas", False)
    n_classes = scores.shape[2]
    weights = np.ones(n_classes)
    if class_weights is not None:
        weights = as_weights(weights_of(class_weights), (n_classes,), "class_weights")
    masses = np.zeros(n_classes)
    listed = listed_classes(classes, n_classes)
    masses[listed] = weights[listed]

    rows = _computed(scores[0].movedim(1, 0).flatten(1))
    flat = truth.flatten()
    void = _void(flat, ignore)
    foreground = (flat == torch.arange(n_classes, device=flat.device)[:, None]) & ~void
    faults = [~rows.isfinite().all(), ~(foreground.any(0) | void).all()]
    if from_logits:
        rows = rows.softmax(0)
    else:
        tolerance = max(1e-6, 4 * torch.finfo(probas.dtype).eps)
        faults.append(((rows < -tolerance) | (rows > 1.0 + tolerance)).any())
    margins = torch.where(foreground, 1.0 - rows, rows)
    valid = (~void).expand_as(foreground)
    values, totals = _Extension.apply(margins, foreground, valid, faults, group, averaged, check)
    shares = torch.from_numpy(masses).to(values)
    if isinstance(classes, str) and classes == "present":
        shares = shares * (totals > 0)
    divisor = torch.where(shares.any(), shares.sum(), 1.0)
    return ((shares * values).sum() / divisor).to(probas.dtype)


class _Extension(torch.autograd.Function):
    """Lovász extensions of the Jaccard losses of K rows, each one image of which this process has a part."""

    @staticmethod
    def forward(
        ctx: Any,
        margins: Tensor,
        foreground: Tensor,
        valid: Tensor,
        faults: list[Tensor],
        group: Any,
        averaged: bool,
        check: bool,
    ) -> tuple[Tensor, Tensor]:
        ranks = _Ranks(group)
        totals, counts = _agreed(margins, foreground, valid, faults, ranks, check)
        if counts is None:
            values, gradient = (
                margins.new_full((len(margins),), torch.nan),
                torch.full_like(margins, torch.nan),
            )
        else:
            values, gradient = _values_and_gradient(margins, foreground, valid, totals, counts, ranks)
        ctx.save_for_backward(gradient)
        ctx.factor = ranks.size if averaged else 1
        ctx.mark_non_differentiable(totals)
        return values, totals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor, _: Any) -> tuple[Any, ...]:
        (gradient,) = ctx.saved_tensors
        return ctx.factor * cotangent[:, None] * gradient, None, None, None, None, None, None


class _Ranks:
    """The processes of a group, or just this one."""

    def __init__(self, group: Any) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.group = group
        self.size = dist.get_world_size(group) if together else 1
        self.rank = dist.get_rank(group) if together else 0

    def reduce(self, tensor: Tensor, operation: Any) -> Tensor:
        if self.size > 1:
            dist.all_reduce(tensor, operation, group=self.group)
        return tensor

    def gather(self, tensor: Tensor) -> list[Tensor]:
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor, group=self.group)
        return parts


def _agreed(
    margins: Tensor, foreground: Tensor, valid: Tensor, faults: list[Tensor], ranks: _Ranks, check: bool
) -> tuple[Tensor, Tensor | None]:
    """Foreground pixels of every row over all processes, and the least margin of the background that matters.

    Raises
    ------
    ValueError
        On every process, if one has found a fault. With ``check=False``, None in place of the margins stands
        for scores that are not finite.
    """
    sums = torch.cat([foreground.sum(1), torch.stack(faults).to(torch.int64)])
    sums = ranks.reduce(sums, dist.ReduceOp.SUM)
    totals, found = sums[: len(margins)], sums[len(margins) :].tolist()
    for k, count in enumerate(found):
        if count and (k or check):
            raise ValueError(f"{_FAULTS[k]} (found by {count} of {ranks.size} processes)")
    if found[0]:
        return totals, None
    lowest = margins.masked_fill(~foreground, torch.inf).amin(1)
    highest = margins.masked_fill(~valid, -torch.inf).amax(1)
    lowest, highest = ranks.reduce(torch.stack([lowest, -highest]), dist.ReduceOp.MIN)
    # Without foreground the loss is the largest margin of all.
    return totals, torch.where(totals > 0, lowest, -highest).clamp_min(0)


def _values_and_gradient(
    margins: Tensor, foreground: Tensor, valid: Tensor, totals: Tensor, floors: Tensor, ranks: _Ranks
) -> tuple[Tensor, Tensor]:
    """Values of the rows, and their gradients in the margins of this process."""
    kept = valid & (margins > 0) & (foreground | (margins >= floors[:, None]))
    # One number for each pixel: the sign tells the class, and no margin is 0.
    signed = torch.where(foreground, margins, -margins)[kept]
    counts = torch.stack(ranks.gather(kept.sum(1)))
    longest = int(counts.sum(1).max())
    padded = torch.cat([signed, signed.new_zeros(longest - len(signed))])
    parts = [
        part[: int(own.sum())].split(own.tolist())
        for part, own in zip(ranks.gather(padded), counts, strict=True)
    ]
    values, weights = [], []
    for k, total in enumerate(totals):
        value, greedy = _value_and_greedy(torch.cat([part[k] for part in parts]), total)
        values.append(value)
        weights.append(greedy.split(counts[:, k].tolist())[ranks.rank])
    gradient = torch.zeros_like(margins)
    gradient[kept] = torch.cat(weights).to(margins.dtype)
    return torch.stack(values).to(margins.dtype), gradient


def _value_and_greedy(signed: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Lovász extension at margins |signed|, foreground where positive, with `total` foreground pixels."""
    margins, order = signed.abs().sort(descending=True, stable=True)
    foreground = signed[order] > 0
    # Counts before each pixel; float64 holds them exactly.
    missed = foreground.cumsum(0, dtype=torch.float64) - foreground.to(torch.float64)
    union = total + (~foreground).cumsum(0, dtype=torch.float64) - (~foreground).to(torch.float64)
    increments = torch.where(
        foreground, 1.0 / union, torch.where(union > 0, (total - missed) / (union * (union + 1.0)), 1.0)
    )
    greedy = torch.empty_like(increments)
    greedy[order] = increments
    return (increments * margins.to(torch.float64)).sum(), greedy


def _computed(rows: Tensor) -> Tensor:
    return rows.float() if rows.dtype in HALVES else rows


def _void(labels: Tensor, ignore: float | None) -> Tensor:
    return torch.zeros_like(labels, dtype=torch.bool) if ignore is None else labels == ignore
