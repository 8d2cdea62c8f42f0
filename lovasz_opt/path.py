"""Two inexact proximal operators of the literature, kept to be compared with.

Both order the pixels once, by their margins at the start, and let neighbours in that order pool. The proximal
point of the Jaccard loss can order them differently: a background pixel overtakes a foreground one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._validation import Float64s, as_scores, as_step, as_weights
from .kernels.path import path_walk
from .kernels.pav import isotonic_decreasing


def prox_path(
    x: ArrayLike, greedy: ArrayLike, gamma: float, max_steps: int = 20, slip: bool = True
) -> Float64s:
    """Path walk of the paper's first version for the prox of m ↦ f(max(m, 0)): inexact, for comparison only.

    Starting at the margins x with the greedy vector g there, the walk moves along −g until two neighbouring
    groups of active (positive) entries meet, which merges them for good, or until the last active group
    reaches 0, and ends at the exact minimum along a move or at the step limit. Three things make it inexact:
    groups merge where a background pixel should overtake a foreground one; entries that have met without
    being merged cross; and the step limit cuts it off on anything of the size of an image.

    Parameters
    ----------
    x : (n,) array_like of float
        Margins.
    greedy : (n,) array_like of float
        Greedy vector at x.
    gamma : float
        Step of the proximal operator, > 0: the inverse of the regularisation in the paper.
    max_steps : int, default 20
        Largest number of moves, ≥ 0; the paper trains with 30.
    slip : bool, default True
        Keep a slip of the released code: next to a single active entry the inactive ones drift in the
        first move.

    Returns
    -------
    (n,) ndarray of float64

    Raises
    ------
    ValueError
        If x is not 1-D or not finite, greedy has another length, gamma is not finite and positive, or
        max_steps is negative.

    Notes
    -----
    Complexity: O(n log n + n · moves).

    References
    ----------
    .. [1] M. Berman, M. B. Blaschko, "Optimization of the Jaccard index for image segmentation with the
       Lovász hinge", arXiv:1705.08790v1, 2017.

    Examples
    --------
    Three foreground pixels; only the first has an error, the others should not move:

    >>> import numpy as np
    >>> from lovasz_opt.path import prox_path
    >>> margins = [0.632, -0.225, -0.808]
    >>> greedy = np.full(3, 1 / 3)
    >>> prox_path(margins, greedy, 5.0).round(3)
    array([ 0.   , -0.857, -1.44 ])
    >>> prox_path(margins, greedy, 5.0, slip=False).round(3)
    array([ 0.   , -0.225, -0.808])
    """
    margins, weights = _as_vector(x, "x"), _as_vector(greedy, "greedy", len(np.atleast_1d(x)))
    step = as_step(gamma)
    if max_steps < 0:
        raise ValueError(f"max_steps is {max_steps}; it must be >= 0")
    order = np.argsort(-margins, kind="stable")
    z = np.empty_like(margins)
    z[order], _ = path_walk(margins[order], weights[order], step, int(max_steps), bool(slip))
    return z


def pav_in_order(x: ArrayLike, greedy: ArrayLike, gamma: float, metric: ArrayLike | None = None) -> Float64s:
    """Pool adjacent violators in the order of x: exact for functions of the size, inexact for Jaccard.

    Solves the problem with the order of z held to that of x,

        min ½ Σ metric_i (z_i − x_i)² + gamma ⟨greedy, z⟩   s.t.  z_i ≥ z_j where x_i > x_j,

    which is the prox of the Lovász extension only if the proximal point keeps that order.

    Parameters
    ----------
    x : (n,) array_like of float
    greedy : (n,) array_like of float
        Greedy vector at x.
    gamma : float
        Step of the proximal operator, > 0.
    metric : (n,) array_like of float, optional
        Positive weights of the squares; 1 by default.

    Returns
    -------
    (n,) ndarray of float64

    Raises
    ------
    ValueError
        If x is not 1-D or not finite, greedy has another length, or gamma is not finite and positive.

    Notes
    -----
    Complexity: O(n log n).

    References
    ----------
    .. [1] F. Bach, "Learning with submodular functions: a convex optimization perspective", 2013.

    Examples
    --------
    Foreground, background, foreground; the exact prox is (20, 10, 9), with objective 204 against 204.25:

    >>> from lovasz_opt.path import pav_in_order
    >>> pav_in_order([26.0, 12.0, 13.0], [1 / 2, 0.0, 1 / 2], 12.0)
    array([20. ,  9.5,  9.5])
    """
    values, pull = _as_vector(x, "x"), _as_vector(greedy, "greedy", len(np.atleast_1d(x)))
    weights = None if metric is None else as_weights(metric, values.shape, "metric")
    target = values - as_step(gamma) * (pull if weights is None else pull / weights)
    order = np.argsort(-values, kind="stable")
    z = np.empty_like(values)
    ordered = None if weights is None else weights[order]
    z[order] = isotonic_decreasing(target[order], ordered)[0]
    return z


def _as_vector(x: ArrayLike, name: str, length: int | None = None) -> Float64s:
    array, _ = as_scores(x, name)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; it must be one-dimensional and not empty")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} has {len(array)} entries, expected {length}: one per pixel")
    return array.astype(np.float64, copy=False)
