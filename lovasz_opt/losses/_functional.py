"""The Lovász hinge as plain functions of logits and labels, arrays of any library.

Results are of the kind of the logits: for a NumPy array or a list a float or a NumPy array; for an array of
another library an array of that library, on its device and in its dtype, a number as a 0-d array.
"""

from __future__ import annotations

from typing import Any

from .._validation import as_step
from ..interop import any_library, differentiable
from . import _native
from ._hinge import LovaszHinge
from ._images import Images


@differentiable
def lovasz_hinge(logits: Images, labels: Images, per_image: bool = True, ignore: float | None = None) -> Any:
    """Lovász hinge of the Jaccard loss, f(max(0, 1 − s∘F)), averaged over images.

    Parameters
    ----------
    logits : (p,) or (B, ...) array_like of float, or list of arrays
        Scores F; a list holds images of any sizes.
    labels : array_like of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.
    ignore : number, optional
        Label of void pixels.

    Returns
    -------
    float
        A 0-d array for logits of a library other than NumPy. An image without valid pixels counts 0 and stays
        in the mean.

    Raises
    ------
    ValueError
        If the logits are not finite, the shapes differ, a label is neither 0, 1 nor `ignore`, or there is no
        pixel.

    See Also
    --------
    LovaszHinge : the same loss as an object, with prox, envelope and derivatives.

    References
    ----------
    .. [1] J. Yu, M. B. Blaschko, "Learning submodular losses with the Lovász hinge", ICML 2015.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> lo.lovasz_hinge([0.0, 1.0, 3.0, -9.0], [1, 0, 1, 255], ignore=255)
    1.0
    """
    return lovasz_hinge_and_gradient(logits, labels, per_image, ignore)[0]


@any_library(native=_native.checked(_native.lovasz_hinge_and_gradient))
def lovasz_hinge_and_gradient(
    logits: Images, labels: Images, per_image: bool = True, ignore: float | None = None
) -> tuple[Any, Any]:
    """Lovász hinge and a subgradient in the logits, in their shape and dtype; arguments of `lovasz_hinge`.

    Examples
    --------
    >>> from lovasz_opt.losses import lovasz_hinge_and_gradient
    >>> lovasz_hinge_and_gradient([0.0, 2.0], [1, 0])
    (2.0, array([-0.5,  0.5]))
    """
    return _loss(labels, per_image, ignore).value_and_subgradient(logits)


@differentiable
@any_library()
def prox_lovasz_hinge(logits: Images, labels: Images, gamma: float, *, ignore: float | None = None) -> Any:
    """Exact proximal point of the Lovász hinge, image by image with the full step.

    Every image of the leading axis is replaced by argmin_Z ½‖Z − F‖² + gamma·L(Z) of its own. This is not the
    prox of the mean over the images: that one, `LovaszHinge.prox`, takes the step gamma/B.

    Parameters
    ----------
    logits : (p,) or (B, ...) array_like of float, or list of arrays
        Scores F; a list holds images of any sizes.
    labels : array_like of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    gamma : float
        Step, > 0.
    ignore : number, optional
        Label of void pixels; they are returned unchanged.

    Returns
    -------
    ndarray
        Library, shape and dtype of the logits.

    Raises
    ------
    ValueError
        As `lovasz_hinge`, and if gamma is not finite and positive.

    Notes
    -----
    Complexity: O(p log p). Always computed on the CPU: logits of another device are copied to the host, and
    the result back.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> lo.prox_lovasz_hinge([[-25.0, 11.0, -12.0], [0.0, 1.0, 3.0]], [[1, 0, 1], [1, 0, 1]], 12.0)
    array([[-19.,   9.,  -8.],
           [  1.,  -1.,   3.]])
    """
    return _loss(labels, True, ignore)._prox(logits, as_step(gamma))


@differentiable
def moreau_lovasz_hinge(logits: Images, labels: Images, gamma: float, *, ignore: float | None = None) -> Any:
    """Moreau envelope of the Lovász hinge of every image, with the full step, averaged over images.

    The value is (1/B) Σ_b min_Z ‖Z − F_b‖²/(2·gamma) + L_b(Z): smooth, and a lower bound of the loss. Its
    gradient in image b is (F_b − prox_b)/(gamma·B) with the `prox_lovasz_hinge` of the same gamma. (The
    envelope of the mean itself, `LovaszHinge.envelope`, takes the step gamma/B for each image.)

    Parameters
    ----------
    logits : (p,) or (B, ...) array_like of float, or list of arrays
        Scores F; a list holds images of any sizes.
    labels : array_like of {0, 1}
        In the shape of the logits; `ignore` marks void pixels.
    gamma : float
        Step, > 0.
    ignore : number, optional
        Label of void pixels.

    Returns
    -------
    float
        A 0-d array for logits of a library other than NumPy.

    Raises
    ------
    ValueError
        As `lovasz_hinge`, and if gamma is not finite and positive.

    Notes
    -----
    Computed on the CPU, as `prox_lovasz_hinge`.

    References
    ----------
    .. [1] M. Berman, M. B. Blaschko, "Optimization of the Jaccard index for image segmentation with the
       Lovász hinge", arXiv:1705.08790v1, 2017.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> round(lo.moreau_lovasz_hinge([-25.0, 11.0, -12.0], [1, 0, 1], 12.0), 12)
    17.0
    """
    return moreau_lovasz_hinge_and_gradient(logits, labels, gamma, ignore=ignore)[0]


@any_library()
def moreau_lovasz_hinge_and_gradient(
    logits: Images, labels: Images, gamma: float, *, ignore: float | None = None
) -> tuple[Any, Any]:
    """`moreau_lovasz_hinge` and its gradient in the logits, in their shape and dtype.

    Examples
    --------
    >>> from lovasz_opt.losses import moreau_lovasz_hinge_and_gradient
    >>> moreau_lovasz_hinge_and_gradient([0.0, 2.0], [1, 0], 1.0)
    (1.75, array([-0.5,  0.5]))
    """
    return _loss(labels, True, ignore)._envelope(logits, as_step(gamma), None)


def _loss(labels: Images, per_image: bool, ignore: float | None) -> LovaszHinge:
    return LovaszHinge._of_labels(labels, per_image, ignore)
