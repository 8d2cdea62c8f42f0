"""Losses of class scores by name, as the training loop calls them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from ..datasets import VOID
from ..torch import (
    GammaSchedule,
    MoreauLovaszHingeLoss,
    data_parallel_lovasz_softmax,
    lovasz_hinge,
    lovasz_softmax,
)

NAMES = (
    "cross-entropy",
    "soft-jaccard",
    "lovasz-softmax",
    "lovasz-softmax-per-image",
    "lovasz-hinge",
    "moreau",
    "mixture",
)


class ClassLoss(nn.Module):
    """A loss of (B, C, H, W) scores and (B, H, W) labels: that of the joint batch, if processes share one.

    Parameters
    ----------
    name : str
        Of `NAMES`. "lovasz-softmax" is of the whole batch; "lovasz-hinge" and "moreau" take every class of
        every image against the rest.
    weight : float
        Of the Lovász-Softmax in the mixture; cross-entropy has the rest.
    gammas : (float, float)
        First and last step of the Moreau envelope.
    steps : int
        Of the whole training, over which the step falls.

    Raises
    ------
    ValueError
        For an unknown name, or a weight outside [0, 1].
    """

    def __init__(
        self,
        name: str,
        weight: float = 0.5,
        gammas: tuple[float, float] = (256.0, 1.0),
        steps: int = 1,
    ) -> None:
        super().__init__()
        if name not in NAMES:
            raise ValueError(f"loss is {name!r}; choose {', '.join(NAMES)}")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight is {weight}; it must be between 0 and 1")
        self.name, self.weight, self.gammas = name, weight, gammas
        self.envelope = MoreauLovaszHingeLoss(gammas[0], ignore_index=VOID) if name == "moreau" else None
        self.schedule = None if self.envelope is None else GammaSchedule(self.envelope, gammas[1], steps)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The mean loss."""
        if self.name == "lovasz-hinge":
            return _one_against_rest(scores, labels, lambda x, y: lovasz_hinge(x, y, ignore=VOID))
        if self.envelope is not None:
            return _one_against_rest(scores, labels, self.envelope)
        if self.name == "mixture":
            return self.weight * _of_batch(scores, labels) + (1 - self.weight) * _cross_entropy(
                scores, labels
            )
        simple: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "cross-entropy": _cross_entropy,
            "soft-jaccard": _soft_jaccard,
            "lovasz-softmax": _of_batch,
            "lovasz-softmax-per-image": _by_image,
        }
        return simple[self.name](scores, labels)

    def step(self, k: int) -> None:
        """So many steps of the training have been taken."""
        if self.schedule is not None:
            self.schedule.taken = k - 1
            self.schedule.step()


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over the valid pixels of the batch; 0 where there are none."""
    total = functional.cross_entropy(scores, labels, ignore_index=VOID, reduction="sum")
    return _joint(total) / _joint((labels != VOID).sum()).clamp(min=1)


def _of_batch(scores: Tensor, labels: Tensor) -> Tensor:
    if _together():
        return data_parallel_lovasz_softmax(scores, labels, ignore=VOID, from_logits=True)
    return lovasz_softmax(scores, labels, ignore=VOID, from_logits=True)


def _by_image(scores: Tensor, labels: Tensor) -> Tensor:
    return _mean_of_images(
        lovasz_softmax(scores, labels, per_image=True, ignore=VOID, from_logits=True), scores
    )


def _soft_jaccard(scores: Tensor, labels: Tensor) -> Tensor:
    """1 − Σ πy / Σ (π + y − πy), the mean over the classes that the batch shows."""
    valid = labels != VOID
    truth = functional.one_hot(torch.where(valid, labels, 0), scores.shape[1]).movedim(-1, 1)
    truth, probas = truth * valid[:, None], scores.softmax(1) * valid[:, None]
    axes = (0, *range(2, scores.ndim))
    both, pixels = _joint((probas * truth).sum(axes)), _joint(truth.sum(axes))
    union = _joint(probas.sum(axes)) + pixels - both
    shown = pixels > 0
    return ((1 - both / union.clamp(min=1e-7)) * shown).sum() / shown.sum().clamp(min=1)


def _one_against_rest(scores: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The mean over images and classes of a binary loss."""
    numbers = torch.arange(scores.shape[1], device=labels.device)[:, None, None]
    truth = (labels[:, None] == numbers).to(labels.dtype)
    truth = torch.where(labels[:, None] == VOID, VOID, truth)
    return _mean_of_images(loss(scores.flatten(0, 1), truth.flatten(0, 1)), scores)


def _mean_of_images(mean: Tensor, scores: Tensor) -> Tensor:
    """The mean over all processes, which may have different numbers of images, of a mean over images."""
    images = torch.tensor(len(scores), device=scores.device)
    return _joint(len(scores) * mean) / _joint(images)


def _joint(part: Tensor) -> Tensor:
    """The sum over all processes; gradients of parameters are to be averaged over them afterwards."""
    if not _together():
        return part
    total = part.detach().clone()
    dist.all_reduce(total)
    return total + dist.get_world_size() * (part - part.detach())


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
