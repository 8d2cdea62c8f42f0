"""The losses as modules, to take the place of another loss in a training script."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .._validation import as_step
from ..losses._classes import Classes
from ._arguments import Reduction, reduced, weights_of
from ._functional import lovasz_hinge, lovasz_softmax, moreau_lovasz_hinge


class _Loss(torch.nn.Module):
    """What the losses share: how images become one number, and which label is void."""

    def __init__(self, per_image: bool, ignore_index: int | None, reduction: Reduction, check: bool) -> None:
        super().__init__()
        reduced(torch.zeros(1), reduction)
        self.per_image = per_image
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.check = check

    def extra_repr(self) -> str:
        names = [
            name for name in vars(self) if not name.startswith("_") and name not in ("training", "check")
        ]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


class LovaszHingeLoss(_Loss):
    """The Lovász hinge of binary segmentation; see `lovasz_hinge`.

    Parameters
    ----------
    per_image : bool, default True
        Whether every image has its own loss; if not, the whole batch is one image.
    ignore_index : int, optional
        Label of void pixels.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the losses of the images.
    check : bool, default True
        Whether logits that are not finite raise in eager mode.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import LovaszHingeLoss
    >>> LovaszHingeLoss(ignore_index=255)(torch.zeros(2, 4, 4), torch.full((2, 4, 4), 1))
    tensor(1.)
    """

    def __init__(
        self,
        per_image: bool = True,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        *,
        check: bool = True,
    ) -> None:
        super().__init__(per_image, ignore_index, reduction, check)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of (B, ...) logits and labels in {0, 1}."""
        return lovasz_hinge(
            logits, labels, self.per_image, self.ignore_index, reduction=self.reduction, check=self.check
        )


class LovaszSoftmaxLoss(_Loss):
    """Lovász-Softmax of multi-class segmentation, on logits; see `lovasz_softmax`.

    Parameters
    ----------
    classes : {"present", "all"} or sequence of int, default "present"
        Classes that count.
    per_image : bool, default False
        Whether every image has its own loss; if not, the whole batch is one image.
    ignore_index : int, optional
        Label of void pixels.
    class_weights : (C,) sequence of float, optional
        Positive weights of the classes; their sum over the classes that count divides.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the losses of the images.
    from_logits : bool, default True
        Whether softmax is applied first; if not, scores are probabilities.
    check : bool, default True
        Whether scores that are not finite raise in eager mode.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import LovaszSoftmaxLoss
    >>> loss = LovaszSoftmaxLoss(ignore_index=255)
    >>> loss(torch.zeros(2, 4, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long))
    tensor(0.7500)
    """

    def __init__(
        self,
        classes: Classes = "present",
        per_image: bool = False,
        ignore_index: int | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        reduction: Reduction = "mean",
        *,
        from_logits: bool = True,
        check: bool = True,
    ) -> None:
        super().__init__(per_image, ignore_index, reduction, check)
        self.classes = classes
        self.class_weights = None if class_weights is None else weights_of(class_weights)
        self.from_logits = from_logits

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Loss of (B, C, ...) scores and (B, ...) class labels."""
        return lovasz_softmax(
            scores,
            labels,
            self.classes,
            self.per_image,
            self.ignore_index,
            class_weights=self.class_weights,
            from_logits=self.from_logits,
            reduction=self.reduction,
            check=self.check,
        )


class MoreauLovaszHingeLoss(_Loss):
    """The Moreau envelope of the Lovász hinge, the smooth loss of the paper's first version.

    Its gradient (F − prox)/gamma replaces the subgradient of `LovaszHingeLoss`. The step is a buffer: it is
    saved with the module, and a change of it, as by `GammaSchedule`, compiles nothing anew.

    Parameters
    ----------
    gamma : float
        Step, > 0: the larger, the smoother.
    per_image : bool, default True
        Whether every image has its own envelope; if not, the whole batch is one image.
    ignore_index : int, optional
        Label of void pixels.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the envelopes of the images.
    check : bool, default True
        Whether logits that are not finite raise in eager mode.

    Attributes
    ----------
    gamma : Tensor
        The step, a float64 scalar.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import MoreauLovaszHingeLoss
    >>> MoreauLovaszHingeLoss(12.0)(torch.tensor([-25.0, 11.0, -12.0]), torch.tensor([1, 0, 1]))
    tensor(17.)
    """

    gamma: Tensor

    def __init__(
        self,
        gamma: float,
        per_image: bool = True,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        *,
        check: bool = True,
    ) -> None:
        super().__init__(per_image, ignore_index, reduction, check)
        self.register_buffer("gamma", torch.tensor(as_step(gamma), dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Envelope of (B, ...) logits and labels in {0, 1}."""
        return moreau_lovasz_hinge(
            logits,
            labels,
            self.gamma,
            ignore=self.ignore_index,
            per_image=self.per_image,
            reduction=self.reduction,
            check=self.check,
        )

    def extra_repr(self) -> str:
        return f"gamma={self.gamma.item():g}, {super().extra_repr()}"
