"""The losses and the proximal operator as functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..losses._classes import Classes
from . import _ops
from ._arguments import (
    Reduction,
    as_groups,
    as_images,
    as_steps,
    checked,
    class_numbers,
    reduced,
    weights_of,
)


def lovasz_hinge(
    logits: Tensor,
    labels: Tensor,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    reduction: Reduction = "mean",
    check: bool = True,
) -> Tensor:
    r"""Lovász hinge of the Jaccard loss, f(max(0, 1 − s∘F)), averaged over images.

    The signature is that of the paper's public repository; `docs/migration.md` tells where values differ.

    Parameters
    ----------
    logits : (p,) or (B, ...) floating-point tensor
        Scores F, in any memory layout. One axis is one image; else the leading axis counts images.
    labels : tensor of {0, 1}
        In the shape of the logits and on their device; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the losses of the images; "none" gives all, (B,).
    check : bool, default True
        Whether logits that are not finite raise. If not, and always in compiled code, they make the loss of
        their image and its gradient NaN.

    Returns
    -------
    Tensor
        In the dtype of the logits; float32 under autocast. An image without valid pixels counts 0 and stays
        in the mean.

    Raises
    ------
    ValueError
        If the logits are not finite, shapes or devices differ, a label is neither 0, 1 nor `ignore`, or there
        is no pixel.
    TypeError
        If the logits are no floating-point tensor.

    Notes
    -----
    O(p) on the CPU, where the core shares the memory of the tensors; value and gradient come from one call.
    The gradient is a subgradient where the loss has a kink, and the second derivative is 0.

    References
    ----------
    .. [1] J. Yu, M. B. Blaschko, "Learning submodular losses with the Lovász hinge", ICML 2015.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import lovasz_hinge
    >>> logits = torch.tensor([[0.0, 1.0, 3.0, -9.0]], requires_grad=True)
    >>> loss = lovasz_hinge(logits, torch.tensor([[1, 0, 1, 255]]), ignore=255)
    >>> loss.backward()
    >>> loss.item(), logits.grad.tolist()[0][2:]
    (1.0, [0.0, 0.0])
    """
    rows, truth = as_images(logits, labels, "logits", per_image)
    return reduced(_ops.hinge(rows, truth, ignore, checked(check))[0], reduction)


def lovasz_sigmoid(
    probas: Tensor,
    labels: Tensor,
    per_image: bool = True,
    ignore: float | None = None,
    *,
    from_logits: bool = False,
    reduction: Reduction = "mean",
    check: bool = True,
) -> Tensor:
    """Lovász extension of the Jaccard loss at the errors |y − π| of foreground probabilities π.

    Parameters
    ----------
    probas : (p,) or (B, ...) floating-point tensor
        Foreground probabilities in [0, 1], or logits with `from_logits`.
    labels : tensor of {0, 1}
        In the shape of probas and on their device; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    from_logits : bool, default False
        Apply the sigmoid first.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the losses of the images.
    check : bool, default True
        As in `lovasz_hinge`.

    Returns
    -------
    Tensor
        In the dtype of probas; float32 under autocast.

    Raises
    ------
    ValueError
        As `lovasz_hinge`, and if probas leave [0, 1] by more than rounding.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import lovasz_sigmoid
    >>> lovasz_sigmoid(torch.tensor([0.75, 0.5, 1.0]), torch.tensor([1, 0, 1]))
    tensor(0.2500)
    """
    rows, truth = as_images(probas, labels, "logits" if from_logits else "probas", per_image)
    loss = _ops.sigmoid_of_logits if from_logits else _ops.sigmoid
    return reduced(loss(rows, truth, ignore, checked(check))[0], reduction)


def lovasz_softmax(
    probas: Tensor,
    labels: Tensor,
    classes: Classes = "present",
    per_image: bool = False,
    ignore: float | None = None,
    class_weights: Sequence[float] | Tensor | None = None,
    *,
    from_logits: bool = False,
    reduction: Reduction = "mean",
    check: bool = True,
) -> Tensor:
    r"""Lovász-Softmax: the mean over classes of the Lovász extension of their Jaccard losses.

    With the errors :math:`m_i(c) = 1 - \pi_i(c)` where c is the class of pixel i and
    :math:`\pi_i(c)` elsewhere,

    .. math:: \sum_{c \in S} \frac{\omega_c}{\sum_{k \in S} \omega_k} f_c(m(c)).

    The signature is that of the paper's public repository; `docs/migration.md` tells where values differ.

    Parameters
    ----------
    probas : (B, C, ...) floating-point tensor
        Class probabilities in [0, 1], or logits with `from_logits`.
    labels : (B, ...) tensor of int
        Class of every pixel in {0, …, C−1}; `ignore` marks void pixels. With (p,) labels, probas is (p, C).
    classes : {"present", "all"} or sequence of int, default "present"
        The set S: classes that occur among the valid labels (of the image if `per_image`, else of the batch),
        all C, or those listed.
    per_image : bool, default False
        Whether every image has its own loss; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.
    class_weights : (C,) sequence of float, optional
        Positive weights ω; 1 by default.
    from_logits : bool, default False
        Apply softmax along axis 1 first, in the same pass over memory.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the losses of the images; there is one loss unless `per_image`.
    check : bool, default True
        As in `lovasz_hinge`.

    Returns
    -------
    Tensor
        In the dtype of probas; float32 under autocast. 0 where no class counts.

    Raises
    ------
    ValueError
        If probas leave [0, 1] by more than rounding, are not finite, shapes or devices differ, a label is no
        class, a class is out of range or listed twice, or there is no pixel.

    Notes
    -----
    The second derivative is that of the loss, through the softmax with `from_logits`.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import lovasz_softmax
    >>> probas = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])
    >>> lovasz_softmax(probas, torch.tensor([0, 1]))
    tensor(0.5625)
    """
    scores, truth = as_groups(probas, labels, "logits" if from_logits else "probas", per_image)
    loss = _ops.softmax_of_logits if from_logits else _ops.softmax
    chosen = class_numbers(classes, scores.shape[2])
    weights = None if class_weights is None else weights_of(class_weights)
    values, _ = loss(scores, truth, chosen, weights, ignore, checked(check))
    return reduced(values, reduction)


def prox_lovasz_hinge(
    logits: Tensor, labels: Tensor, gamma: float | Tensor, *, ignore: float | None = None, check: bool = True
) -> Tensor:
    """Exact proximal point of the Lovász hinge, image by image with the full step.

    Every image of the leading axis is replaced by argmin_Z ½‖Z − F‖² + gamma·L(Z) of its own. Differentiable
    in logits and gamma through the explicit Jacobian, in O(p).

    Parameters
    ----------
    logits : (p,) or (B, ...) floating-point tensor
        Scores F. One axis is one image; else the leading axis counts images.
    labels : tensor of {0, 1}
        In the shape of the logits and on their device; `ignore` marks void pixels.
    gamma : float or tensor of one number
        Step, > 0.
    ignore : number, optional
        Label of void pixels; they are returned unchanged.
    check : bool, default True
        As in `lovasz_hinge`.

    Returns
    -------
    Tensor
        Shape and dtype of the logits.

    Raises
    ------
    ValueError
        As `lovasz_hinge`, and if gamma is not finite and positive.

    Notes
    -----
    O(p log p), on the CPU: tensors of other devices are copied there and back.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import prox_lovasz_hinge
    >>> prox_lovasz_hinge(torch.tensor([-25.0, 11.0, -12.0]), torch.tensor([1, 0, 1]), 12.0)
    tensor([-19.,   9.,  -8.])
    """
    rows, truth = as_images(logits, labels, "logits", True)
    moved = _ops.hinge_prox(rows, truth, as_steps(gamma, rows), ignore, checked(check))
    return moved.reshape(logits.shape)


def moreau_lovasz_hinge(
    logits: Tensor,
    labels: Tensor,
    gamma: float | Tensor,
    *,
    ignore: float | None = None,
    per_image: bool = True,
    reduction: Reduction = "mean",
    check: bool = True,
) -> Tensor:
    """Moreau envelope of the Lovász hinge of every image, with the full step, averaged over images.

    The value is (1/B) Σ_b min_Z ‖Z − F_b‖²/(2·gamma) + L_b(Z). Its gradient in image b is
    (F_b − prox_b)/(gamma·B), the training rule of the paper's first version, here with the upstream gradient
    of every image: batches, weighted losses and sums with other losses are exact.

    Parameters
    ----------
    logits : (p,) or (B, ...) floating-point tensor
        Scores F.
    labels : tensor of {0, 1}
        In the shape of the logits and on their device; `ignore` marks void pixels.
    gamma : float or tensor of one number
        Step, > 0. A tensor that requires it gets the gradient −‖F − prox‖²/(2·gamma²).
    ignore : number, optional
        Label of void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    reduction : {"mean", "sum", "none"}, default "mean"
        What becomes of the envelopes of the images.
    check : bool, default True
        As in `lovasz_hinge`.

    Returns
    -------
    Tensor
        In the dtype of the logits; float32 under autocast.

    Raises
    ------
    ValueError
        As `prox_lovasz_hinge`.

    Notes
    -----
    Twice differentiable almost everywhere: the Hessian is (I − J)/gamma with the Jacobian J of the prox. On
    the CPU, as `prox_lovasz_hinge`.

    References
    ----------
    .. [1] M. Berman, M. B. Blaschko, "Optimization of the Jaccard index for image segmentation with the
       Lovász hinge", arXiv:1705.08790v1, 2017.

    Examples
    --------
    >>> import torch
    >>> from lovasz_opt.torch import moreau_lovasz_hinge
    >>> logits = torch.tensor([-25.0, 11.0, -12.0], requires_grad=True)
    >>> moreau_lovasz_hinge(logits, torch.tensor([1, 0, 1]), 12.0).backward()
    >>> logits.grad
    tensor([-0.5000,  0.1667, -0.3333])
    """
    rows, truth = as_images(logits, labels, "logits", per_image)
    values, _ = _ops.hinge_envelope(rows, truth, as_steps(gamma, rows), ignore, checked(check))
    return reduced(values, reduction)
