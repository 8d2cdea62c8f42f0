"""Answers from all 2^n values of a set function: slow, obvious, and sharing no code with the fast paths.

A set is its code, the integer whose bit i says whether element i is in. Every function takes the values of
F as an array indexed by code, in float64 or as `fractions.Fraction` objects (`rational.set_values_exact`),
and batches of problems along the leading axes. With fractions the answers are exact.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Bools, Float64s, Ints
from ..sets.base import SetFunction

#: float64, or object arrays of fractions.
Numbers = NDArray[Any]
LIMIT = 16


def all_masks(n: int) -> Bools:
    """All 2^n subsets of n elements as boolean masks; row c is the set with code c.

    Parameters
    ----------
    n : int
        Number of elements, at most 16.

    Returns
    -------
    (2^n, n) ndarray of bool

    Raises
    ------
    ValueError
        If n is negative or above 16.

    Examples
    --------
    >>> all_masks(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if not 0 <= n <= LIMIT:
        raise ValueError(
            f"n is {n}, and all 2^n sets are enumerated for n ≤ {LIMIT} only; take a smaller problem"
        )
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def set_values(F: SetFunction) -> Float64s:
    """Values of F on all 2^n sets, indexed by code.

    Parameters
    ----------
    F : SetFunction
        Of at most 16 elements.

    Returns
    -------
    (2^n,) ndarray of float64

    Examples
    --------
    >>> from lovasz_opt import Jaccard
    >>> set_values(Jaccard([1, 0])).tolist()
    [0.0, 1.0, 0.5, 1.0]
    """
    return np.asarray(F(all_masks(F.n)), dtype=np.float64)


def extension_by_levels(values: ArrayLike, x: ArrayLike) -> Any:
    """Lovász extension as the integral of F over level sets, ∫ F({x > t}) dt with F(V) min x added.

    Parameters
    ----------
    values : (..., 2^n) array
        Values of F by code, F(∅) = 0.
    x : (..., n) array
        Points; the leading axes broadcast with those of `values`.

    Returns
    -------
    float, Fraction or ndarray
        f(x), one number for each point.

    Examples
    --------
    >>> float(extension_by_levels([0, 1.0, 0.5, 1.0], [2.0, 3.0]))
    2.5
    """
    values, x = np.asarray(values), np.asarray(x)
    n = x.shape[-1]
    order = np.argsort(-x, axis=-1)
    levels = np.take_along_axis(x, order, axis=-1)
    chain = np.cumsum(1 << order, axis=-1)
    on_chain = np.take_along_axis(np.broadcast_to(values, (*x.shape[:-1], 2**n)), chain, axis=-1)
    widths = levels.copy()
    widths[..., :-1] -= levels[..., 1:]
    return (on_chain * widths).sum(axis=-1)


def vertices(values: ArrayLike, polymatroid: bool = False) -> Numbers:
    """Vertices of the base polytope, or of the polymatroid: the greedy vectors of all orders.

    The polymatroid is {s ≥ 0, s(A) ≤ F(A) for all A}, for a non-decreasing F; its vertices are the greedy
    vectors cut off after any number of elements.

    Parameters
    ----------
    values : (2^n,) array
        Values of F by code; n ≤ 7, as there are n! orders.
    polymatroid : bool
        Whether to return the vertices of the polymatroid instead.

    Returns
    -------
    (m, n) ndarray
        Without repetitions, in lexicographic order.

    Raises
    ------
    ValueError
        If n > 7.

    Examples
    --------
    >>> vertices([0, 1.0, 0.5, 1.0]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    values = np.asarray(values)
    n = len(values).bit_length() - 1
    if n > 7:
        raise ValueError(f"values describes {n} elements, and all n! orders are enumerated for n ≤ 7 only")
    orders = np.array(list(permutations(range(n))), dtype=np.int64).reshape(-1, n)
    chain = np.cumsum(1 << orders, axis=1)
    greedy = values[chain] - values[chain - (1 << orders)]
    found = np.zeros_like(greedy)
    np.put_along_axis(found, orders, greedy, axis=1)
    if polymatroid:
        ranks = np.argsort(orders, axis=1)
        found = np.concatenate([np.where(ranks < kept, found, 0 * found) for kept in range(n + 1)])
    return np.array(sorted(set(map(tuple, found))), dtype=values.dtype).reshape(-1, n)


def extension_over_vertices(values: ArrayLike, x: ArrayLike, polymatroid: bool = False) -> Any:
    """Lovász extension as the maximum of ⟨w, x⟩ over the vertices of the base polytope (or the polymatroid).

    Parameters
    ----------
    values : (2^n,) array
        Values of F by code; n ≤ 7.
    x : (n,) or (batch, n) array
        Points.
    polymatroid : bool
        Maximise over the polymatroid, which gives f(max(x, 0)) for a non-decreasing F.

    Returns
    -------
    float, Fraction or ndarray

    Examples
    --------
    >>> float(extension_over_vertices([0, 1.0, 0.5, 1.0], [2.0, 3.0]))
    2.5
    """
    return (np.asarray(x) @ vertices(values, polymatroid).T).max(axis=-1)


def extension_by_lp(values: ArrayLike, x: ArrayLike) -> float:
    """Lovász extension as a linear programme over all 2^n constraints of the base polytope.

    Parameters
    ----------
    values : (2^n,) array of float
        Values of F by code.
    x : (n,) array of float
        Point.

    Returns
    -------
    float

    Examples
    --------
    >>> round(extension_by_lp([0, 1.0, 0.5, 1.0], [2.0, 3.0]), 9)
    2.5
    """
    from scipy.optimize import linprog

    values, x = np.asarray(values, dtype=np.float64), np.asarray(x, dtype=np.float64)
    masks = all_masks(len(x)).astype(np.float64)
    answer = linprog(-x, A_ub=masks, b_ub=values, A_eq=masks[-1:], b_eq=values[-1:], bounds=(None, None))
    if not answer.success:
        raise RuntimeError(f"the linear programme was not solved: {answer.message}")
    return -float(answer.fun)


def prox(values: ArrayLike, x: ArrayLike, gamma: ArrayLike, metric: ArrayLike | None = None) -> Numbers:
    """Proximal operator of the Lovász extension from the minimisers over all 2^n sets.

    The set {z > t} minimises γ F(A) + Σ_{i ∈ A} μ_i (t − x_i). These are 2^n lines in t; going down from
    t = +∞ along their lower envelope, the elements that enter at a break t have z = t.

    Parameters
    ----------
    values : (2^n,) or (batch, 2^n) array
        Values of a submodular F by code.
    x : (n,) or (batch, n) array
        Points.
    gamma : number or (batch,) array
        Steps, > 0.
    metric : (n,) or (batch, n) array, optional
        Positive weights μ of the squared distance ½ Σ μ_i (z_i − x_i)²; 1 by default.

    Returns
    -------
    ndarray of the shape of `x`
        Exact if everything is given in fractions.

    Notes
    -----
    Complexity: O(n 2^n) a problem, vectorised over the batch.

    Examples
    --------
    >>> prox([0, 1.0, 0.5, 1.0], [2.0, 3.0], 1.0).tolist()
    [1.5, 2.5]
    """
    shape = np.shape(x)
    points = np.atleast_2d(np.asarray(x))
    batch, n = points.shape
    masses = np.broadcast_to(np.asarray(1 if metric is None else metric), points.shape)
    codes, members = np.arange(2**n), all_masks(n).T.astype(points.dtype)
    steps = np.broadcast_to(np.asarray(gamma), (batch,))
    gain = (masses * points) @ members - steps[:, None] * np.broadcast_to(np.asarray(values), (batch, 2**n))
    mass = masses @ members
    z = np.empty_like(points)
    inside = np.zeros(batch, dtype=np.int64)
    rows = np.arange(batch)
    while rows.size:
        current = inside[rows, None]
        grows = (codes & current == current) & (codes != current)
        rise = gain[rows] - np.take_along_axis(gain[rows], current, axis=1)
        run = mass[rows] - np.take_along_axis(mass[rows], current, axis=1)
        breaks = np.where(grows, rise / np.where(grows, run, 1), -np.inf)
        chosen = np.argmax(breaks, axis=1)
        enters = (chosen[:, None] & ~current) >> np.arange(n) & 1 == 1
        level = np.take_along_axis(breaks, chosen[:, None], axis=1)
        z[rows] = np.where(enters, level, z[rows])
        inside[rows] = chosen
        rows = rows[chosen != 2**n - 1]
    return z.reshape(shape)


def project(points: ArrayLike, y: ArrayLike) -> Float64s:
    """Projection of y on the convex hull of a list of points, by non-negative least squares.

    With W = points − y, the minimiser c ≥ 0 of ‖Wᵀc‖² + (Σc − 1)² is a multiple of the convex weights of the
    point of the hull nearest to y (for weights α·λ with Σλ = 1, the best α leaves an increasing function of
    ‖Wᵀλ‖).

    Parameters
    ----------
    points : (m, n) array of float
        For instance `vertices` of a base polytope or a polymatroid.
    y : (n,) array of float
        Point to project.

    Returns
    -------
    (n,) ndarray of float64

    Examples
    --------
    >>> project([[0.5, 0.5], [1.0, 0.0]], [3.0, 2.0]).round(9).tolist()
    [1.0, 0.0]
    """
    from scipy.optimize import lsq_linear, nnls

    points, y = np.asarray(points, dtype=np.float64), np.asarray(y, dtype=np.float64)
    # Distances near 1 keep both terms of the sum of squares in the range of float64.
    scale = max(1.0, float(np.abs(points - y).max()))
    # Without the row of zeros the nnls of SciPy 1.15 is wrong where as many weights as rows are positive
    # (scipy/scipy#25389).
    system = np.vstack([(points - y).T / scale, np.ones(len(points)), np.zeros(len(points))])
    goal = np.append(np.zeros(len(y)), [1.0, 0.0])
    weights, _ = nnls(system, goal, maxiter=100 * len(points))
    if (system.T @ (system @ weights - goal)).min() < -1e-9:
        # The nnls of SciPy 1.17 may stop where a weight that is 0 still wants to grow.
        weights = lsq_linear(system, goal, (0, np.inf), method="bvls", tol=1e-15).x
    return points.T @ (weights / weights.sum())


def infeasibility(values: ArrayLike, w: ArrayLike, polymatroid: bool = False) -> Any:
    """How far w is outside the base polytope (or the polymatroid): the largest violation of any constraint.

    Parameters
    ----------
    values : (2^n,) or (batch, 2^n) array
        Values of F by code.
    w : (n,) or (batch, n) array
        Vectors.
    polymatroid : bool
        Test s ≥ 0 and s(A) ≤ F(A) instead of w(A) ≤ F(A) and w(V) = F(V).

    Returns
    -------
    float, Fraction or ndarray
        0 for a member.

    Examples
    --------
    >>> float(infeasibility([0, 1.0, 0.5, 1.0], [0.25, 0.75]))
    0.25
    """
    values, w = np.asarray(values), np.asarray(w)
    excess = w @ all_masks(w.shape[-1]).T.astype(w.dtype) - values
    worst = excess.max(axis=-1)
    other = (-w).max(axis=-1) if polymatroid else abs(excess[..., -1])
    return np.maximum(worst, other)


def prox_gap(
    values: ArrayLike, x: ArrayLike, gamma: ArrayLike, z: ArrayLike, polymatroid: bool = False
) -> tuple[Any, Any]:
    """Duality gap of a claimed proximal point z, and how infeasible its dual vector w = (x − z)/γ is.

    z = prox_{γg}(x) for the support function g of a convex set iff w is in the set and g(z) = ⟨w, z⟩. Both
    are checked from the values of F alone, so that two zeros prove z right.

    Parameters
    ----------
    values : (2^n,) or (batch, 2^n) array
        Values of F by code.
    x, z : (n,) or (batch, n) array
        Points and claimed proximal points.
    gamma : number or (batch,) array
        Steps.
    polymatroid : bool
        Test the prox of m ↦ f(max(m, 0)), the hinge, instead of that of f.

    Returns
    -------
    gap : float, Fraction or ndarray
        γ (g(z) − ⟨w, z⟩).
    infeasibility : float, Fraction or ndarray
        Largest violated constraint of w.

    Examples
    --------
    >>> gap, outside = prox_gap([0, 1.0, 0.5, 1.0], [2.0, 3.0], 1.0, [1.5, 2.5])
    >>> float(gap), float(outside)
    (0.0, 0.0)
    """
    x, z = np.asarray(x), np.asarray(z)
    step = np.asarray(gamma)[..., None] if np.ndim(gamma) else gamma
    support = extension_by_levels(values, np.maximum(z, 0 * z) if polymatroid else z)
    w = (x - z) / step
    gap = np.asarray(gamma) * support - ((x - z) * z).sum(axis=-1)
    return gap, infeasibility(values, w, polymatroid)


def codes_of(masks: ArrayLike) -> Ints:
    """Codes of boolean masks of shape (..., n), the indices into an array of values.

    Parameters
    ----------
    masks : (..., n) array of bool

    Returns
    -------
    (...) ndarray of int64

    Examples
    --------
    >>> codes_of([[False, True], [True, True]]).tolist()
    [2, 3]
    """
    masks = np.asarray(masks, dtype=np.bool_)
    return masks @ (1 << np.arange(masks.shape[-1], dtype=np.int64))
