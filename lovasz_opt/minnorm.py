"""Projection on the base polytope by the Fujishige–Wolfe min-norm point, and submodular minimisation.

The projection w of a point y on B(F) and the prox of the Lovász extension are one problem and its dual: with
z = y − w, z minimises ½‖z − y‖² + f(z). Any w in B(F) and any z bound the error of each other by the duality
gap

    ½‖z − y + w‖² + f(z) − ⟨w, z⟩ ≥ ½‖z − z*‖² + ½‖w − w*‖²,

so the iterates certify themselves. From each iterate the primal point is the best one in the order of y − w:
an isotonic regression, which finds the exact z, to rounding, as soon as that order is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ._solution import ProxSolution
from ._validation import Bools, Float64s, Ints, as_scores, as_weights
from .decomposition import prox_on_chain, separate

if TYPE_CHECKING:
    from .sets.base import SetFunction

_EPSILON = float(np.finfo(np.float64).eps)
#: Convex weights below this are zero.
_NEGLIGIBLE = 1e-13


@dataclass(frozen=True)
class BaseProjection:
    """Projection on the base polytope, with its certificate.

    Attributes
    ----------
    w : (n,) ndarray of float64
        A point of B(F): a convex combination of greedy vectors.
    gap : float
        Certified duality gap: ½ Σ metric_i (w_i − w*_i)² ≤ gap, w* the true projection.
    nit : int
        Iterations: greedy vectors looked at.
    status : str
        "optimal" if the gap meets the tolerance, else "max_iter", or "stalled" where rounding stops all
        progress.
    """

    w: Float64s
    gap: float
    nit: int
    status: str


@dataclass(frozen=True)
class MinimizeResult:
    """A minimiser of a submodular function, with its certificate.

    Attributes
    ----------
    mask : (n,) ndarray of bool
        The best set found; the minimal minimiser, to rounding, when the gap is 0.
    value : float
        F(mask).
    lower_bound : float
        Σ min(w_i, 0) ≤ F(A) for every A.
    gap : float
        value − lower_bound ≥ F(mask) − min F.
    w : (n,) ndarray of float64
        The point of B(F) that gives the bound.
    nit : int
        Iterations, 0 where F has an exact algorithm of its own.
    status : str
        "optimal" if the gap meets the tolerance, else "max_iter", or "stalled" where rounding stops all
        progress.
    """

    mask: Bools
    value: float
    lower_bound: float
    gap: float
    w: Float64s
    nit: int
    status: str


def minimize(F: SetFunction, tol: float = 1e-10, max_iter: int | None = None) -> MinimizeResult:
    """Minimise a submodular function over all subsets, with a certified gap.

    min_A F(A) = max {Σ min(w_i, 0) : w ∈ B(F)}, and the negative entries of the point of B(F) nearest to the
    origin are the minimal minimiser.

    Parameters
    ----------
    F : SetFunction
        Submodular.
    tol : float
        Stop when gap ≤ tol · Σ_i max(|F({i})|, |F(V) − F(V∖{i})|).
    max_iter : int or None
        Limit on the iterations; None is 20 n + 1000.

    Returns
    -------
    MinimizeResult

    Raises
    ------
    ValueError
        If F is not submodular (the violated pair is named), or tol or max_iter is not positive.

    Notes
    -----
    Functions with an exact prox (modular, of the size, of two counts, n ≤ 16) need no iteration. Others take
    O(n² + one greedy vector) for each iteration, and in practice a small multiple of n iterations.

    References
    ----------
    Fujishige and Isotani, "A submodular function minimization algorithm based on the minimum-norm base",
    2011.

    Examples
    --------
    >>> import numpy as np
    >>> import lovasz_opt as lo
    >>> cost = np.array([-1.0, 0.5, -2.0])
    >>> F = lo.SetFunction.from_callable(lambda mask: 1.5 * mask.any() + cost[mask].sum(), 3)
    >>> result = lo.minimize(F)
    >>> result.mask, result.value
    (array([ True, False,  True]), -1.5)
    """
    F.require_submodular("minimize")
    return _minimize_difference(F, np.zeros(F.n), tol, max_iter)


def largest_violation(F: SetFunction, w: Float64s) -> tuple[float, Bools]:
    """An upper bound on max_A w(A) − F(A), with the best set found.

    The bound is the value at that set plus the duality gap of the minimisation of F − w: it never
    under-reports.
    """
    F.require_submodular("membership of the base polytope")
    result = _minimize_difference(F, w, 1e-12, None)
    return max(0.0, -result.lower_bound, -result.value), result.mask


def project_base(
    F: SetFunction,
    y: ArrayLike,
    metric: ArrayLike | None = None,
    tol: float = 1e-10,
    max_iter: int | None = None,
) -> BaseProjection:
    """Projection argmin {½ Σ metric_i (w_i − y_i)² : w ∈ B(F)} by the min-norm point algorithm.

    Parameters
    ----------
    F : SetFunction
        Submodular.
    y : (n,) array
    metric : (n,) array of positive weights or None
        None is Euclidean.
    tol : float
        Stop when the certified gap is at most tol times ½ Σ metric_i w_i².
    max_iter : int or None
        Limit on the iterations; None is 20 n + 1000.

    Returns
    -------
    BaseProjection

    Raises
    ------
    ValueError
        If F is not submodular, shapes differ, an entry is not finite, or tol or max_iter is not positive.

    References
    ----------
    Wolfe, "Finding the nearest point in a polytope", 1976. Fujishige, "Submodular functions and
    optimization", 2005.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> from lovasz_opt.minnorm import project_base
    >>> project_base(lo.Jaccard([1, 1]), [3.0, 2.0]).w
    array([0.5, 0.5])
    """
    F.require_submodular("a projection on the base polytope")
    point = as_scores(y, "y", (F.n,))[0].astype(np.float64)
    weights = np.ones(F.n) if metric is None else as_weights(metric, (F.n,), "metric")
    _, best = _project(F, point * weights, 1.0, 1.0 / weights, tol, max_iter)
    return best


def prox_min_norm(
    F: SetFunction,
    x: Float64s,
    gamma: float,
    metric: Float64s | None = None,
    tol: float = 1e-10,
    max_iter: int | None = None,
) -> ProxSolution:
    """Proximal point argmin_z ½ Σ metric_i (z_i − x_i)² + gamma · f(z) by the min-norm point, certified.

    Parameters
    ----------
    F : SetFunction
        Submodular.
    x : (n,) ndarray of float64
    gamma : float
    metric : (n,) ndarray of float64 or None
        Positive; None is Euclidean.
    tol : float
        Stop when the certified gap is at most tol times ½ Σ metric_i (z_i − x_i)².
    max_iter : int or None
        Limit on the iterations; None is 20 n + 1000.

    Returns
    -------
    ProxSolution
        With ``exact=False``; `gap` is what was reached, whether or not it meets tol.

    Raises
    ------
    ValueError
        If F is not submodular, or tol or max_iter is not positive.

    Notes
    -----
    The gap is that of an equivalent problem: elements of x too far apart to interact are first moved
    together, which changes neither w nor the pools and keeps all digits.
    """
    F.require_submodular("a proximal operator")
    d = np.ones(F.n) if metric is None else metric
    order, best = _project(F, x, gamma, d, tol, max_iter)
    solution = prox_on_chain(order, F.increments(order), x, gamma, d)
    return ProxSolution(solution.z, solution.pools, exact=False, gap=gamma**2 * best.gap, nit=best.nit)


def _project(
    F: SetFunction, x: Float64s, gamma: float, d: Float64s, tol: float, max_iter: int | None
) -> tuple[Ints, BaseProjection]:
    """Order of the best primal point, and its dual point with the gap of the problem divided by gamma²."""
    limit = _iteration_limit(F.n, tol, max_iter)
    problem = _Problem(F, x, gamma, d)
    best_gap, best_order, best_w = math.inf, np.arange(F.n), np.zeros(F.n)
    nit, status = 0, "stalled"
    for w, order, vertex in _wolfe(problem):
        nit += 1
        z = problem.best_on_chain(order, vertex)
        gap = 0.5 * float(d @ (z - problem.y + w / d) ** 2) + _slack(z, vertex - w, order)
        if gap < best_gap:
            best_gap, best_order, best_w = max(0.0, gap), order, w
        # Where w is close to 0 the size of the base polytope is the measure.
        if best_gap <= tol * 0.5 * max(float(w**2 @ (1.0 / d)), 1e-8 * problem.width):
            status = "optimal"
            break
        if nit >= limit:
            status = "max_iter"
            break
    return best_order, BaseProjection(best_w, best_gap, nit, status)


def _minimize_difference(F: SetFunction, shift: Float64s, tol: float, max_iter: int | None) -> MinimizeResult:
    """Minimise F − shift: B(F − shift) = B(F) − shift, whose min-norm point is shift projected on B(F)."""
    limit = _iteration_limit(F.n, tol, max_iter)
    low, high = F._increment_bounds()
    scale = float(np.maximum(np.abs(low), np.abs(high)).sum())
    solution = F._prox(shift, 1.0, None)
    if solution is not None:
        mask, value, lower = _certify(F, shift, -solution.z, np.argsort(-solution.z, kind="stable"))
        return MinimizeResult(mask, value, lower, max(0.0, value - lower), -solution.z, 0, "optimal")
    mask, value, lower, point = np.zeros(F.n, dtype=np.bool_), 0.0, -math.inf, -shift
    nit, status = 0, "stalled"
    for w, order, _ in _wolfe(_Problem(F, shift, 1.0, np.ones(F.n))):
        nit += 1
        new_mask, new_value, new_lower = _certify(F, shift, w - shift, order)
        # Of sets that only rounding tells apart, the smaller.
        rounding = 1e-13 * scale
        smaller = new_mask.sum() < mask.sum()
        if new_value < value - rounding or (smaller and new_value <= value + rounding):
            mask, value = new_mask, new_value
        if new_lower > lower:
            lower, point = new_lower, w - shift
        if value - lower <= tol * scale:
            status = "optimal"
            break
        if nit >= limit:
            status = "max_iter"
            break
    return MinimizeResult(mask, value, lower, max(0.0, value - lower), point, nit, status)


def _certify(F: SetFunction, shift: Float64s, base: Float64s, order: Ints) -> tuple[Bools, float, float]:
    """Best prefix of the order for F − shift, its value, and the lower bound from a base of F − shift."""
    values = np.concatenate([[0.0], np.cumsum(F.increments(order) - shift[order])])
    # The first of the least values, those that only rounding tells apart included: the minimal minimiser.
    size = int(np.argmax(values <= values.min() + 1e-13 * np.abs(values).max()))
    mask = np.zeros(F.n, dtype=np.bool_)
    mask[order[:size]] = True
    value = float(F(mask)) - math.fsum(shift[mask]) if size else 0.0
    return mask, value, math.fsum(np.minimum(base, 0.0))


def _wolfe(problem: _Problem) -> Iterator[tuple[Float64s, Ints, Float64s]]:
    """Iterates of Wolfe's algorithm.

    Yields w in B(F), the order of decreasing z = y − w/d, and the greedy vector of that order, until rounding
    stops all progress. The objective decreases strictly.
    """
    F, y, d = problem.F, problem.y, problem.d
    root = np.sqrt(d)

    def centred(vertex: Float64s) -> Float64s:
        return (vertex - d * y) / root

    w = _greedy(F, problem.order(y))
    corral = _Corral(w, centred(w))
    while True:
        z = y - w / d
        order = problem.order(z)
        vertex = _greedy(F, order)
        yield w, order, vertex
        progress = _slack(z, vertex - w, order)
        if progress <= 8 * _EPSILON * float(np.abs(z) @ (np.abs(vertex) + np.abs(w))):
            return
        corral.insert(vertex, centred(vertex))
        nearer = corral.nearest()
        # Σ d z² before minus after, without subtracting two nearly equal squares.
        if not _slack(z + (y - nearer / d), nearer - w, order) > 0:
            return
        w = nearer


class _Corral:
    """Affinely independent vertices with convex weights, and QR factors of (c, …, c; their centred columns).

    With A = QR that matrix, the point of the affine hull nearest to the origin has weights proportional to
    R⁻¹Q₁, Q₁ the first row of Q: one triangular solve, without forming AᵀA.
    """

    def __init__(self, vertex: Float64s, column: Float64s) -> None:
        self.constant = max(float(np.linalg.norm(column)), np.finfo(np.float64).tiny)
        self.vertices = vertex[None]
        self.columns = column[:, None]
        self.weights = np.ones(1)
        self.q, self.r = self._factors()

    def insert(self, vertex: Float64s, column: Float64s) -> None:
        """Add a vertex with weight 0."""
        from scipy.linalg import qr_insert

        self.vertices = np.vstack([self.vertices, vertex])
        self.columns = np.column_stack([self.columns, column])
        self.weights = np.append(self.weights, 0.0)
        try:
            self.q, self.r = qr_insert(
                self.q,
                self.r,
                np.append(self.constant, column),
                self.r.shape[1],
                which="col",
                check_finite=False,
            )
        except (np.linalg.LinAlgError, ValueError):
            self.q, self.r = self._factors()

    def nearest(self) -> Float64s:
        """Move to the nearest point of the hull, dropping vertices on the way, and return it."""
        while True:
            affine = self._affine_weights()
            if (affine > _NEGLIGIBLE).all():
                self.weights = affine
                return self.weights @ self.vertices
            leaving = affine <= _NEGLIGIBLE
            steps = np.full(len(affine), np.inf)
            steps[leaving] = self.weights[leaving] / np.maximum(
                self.weights[leaving] - affine[leaving], _NEGLIGIBLE
            )
            first = int(np.argmin(steps))
            self.weights = self.weights + min(1.0, float(steps[first])) * (affine - self.weights)
            dropped = self.weights <= _NEGLIGIBLE
            dropped[first] = True
            if dropped.all():
                dropped[int(np.argmax(self.weights))] = False
            self._drop(dropped)

    def _affine_weights(self) -> Float64s:
        weights = self._solve()
        if weights is None:
            self.q, self.r = self._factors()
            weights = self._solve()
        if weights is None:
            right = np.append(self.constant, np.zeros(len(self.columns)))
            weights = np.linalg.lstsq(self._rows(), right, rcond=None)[0]
        return np.asarray(weights / weights.sum())

    def _solve(self) -> Float64s | None:
        """R⁻¹Q₁, or None if the factors are too close to singular, or have drifted."""
        from scipy.linalg import solve_triangular

        diagonal = np.abs(np.diag(self.r))
        if diagonal.min() <= 1e-13 * diagonal.max():
            return None
        weights: Float64s = solve_triangular(self.r, self.q[0], check_finite=False)
        point = self.columns @ (weights / weights.sum())
        # All vertices have the same product with the nearest point of their affine hull.
        products = self.columns.T @ point
        size = self.constant * (1e-9 * float(np.linalg.norm(point)) + 1e-14 * self.constant)
        return weights if float(np.ptp(products)) <= size else None

    def _drop(self, dropped: Bools) -> None:
        from scipy.linalg import qr_delete

        for k in np.flatnonzero(dropped)[::-1]:
            self.q, self.r = qr_delete(self.q, self.r, int(k), which="col", check_finite=False)
        self.vertices, self.columns = self.vertices[~dropped], self.columns[:, ~dropped]
        self.weights = self.weights[~dropped] / self.weights[~dropped].sum()

    def _factors(self) -> tuple[Float64s, Float64s]:
        from scipy.linalg import qr

        q, r = qr(self._rows(), mode="economic", check_finite=False)
        return q, r

    def _rows(self) -> Float64s:
        return np.vstack([np.full(len(self.weights), self.constant), self.columns])


def _greedy(F: SetFunction, order: Ints) -> Float64s:
    vertex = np.empty(F.n)
    vertex[order] = F.increments(order)
    return vertex


def _slack(z: Float64s, difference: Float64s, order: Ints) -> float:
    """⟨difference, z⟩ for a difference that sums to 0, over the level sets of z: nothing large cancels."""
    return float(-np.diff(z[order]) @ np.cumsum(difference[order])[:-1])


class _Problem:
    """min {½ Σ (w_i − d_i y_i)²/d_i : w ∈ B(F)}, y = x/gamma with what does not interact taken apart.

    The elements fall into blocks whose order is certain (see `separate`), and w(block) is the same for every
    w that can be optimal. Only x − constant matters inside a block, so y is centred there: Σ_block (d_i y_i −
    w_i) = 0. All numbers are then as small as they can be, whatever the range of x.

    Attributes
    ----------
    y : (n,) ndarray of float64
    blocks : (n,) ndarray of int64
        Numbers of the blocks, those with the larger x first.
    drops : (n,) ndarray of float64
        Constants that put y − w/d of each block below that of the block before when they are subtracted.
    width : float
        Σ (high_i − low_i)²/d_i, from the bounds low ≤ w ≤ high.
    """

    def __init__(self, F: SetFunction, x: Float64s, gamma: float, d: Float64s) -> None:
        self.F = F
        self.d = d
        low, high = bounds = F._increment_bounds()
        order, cuts = separate(x, gamma, d, bounds)
        starts, sizes = cuts[:-1], np.diff(cuts)
        self.blocks = np.empty(F.n, dtype=np.int64)
        self.blocks[order] = np.repeat(np.arange(len(starts)), sizes)
        self.y = np.empty(F.n)
        self.y[order] = (x[order] - np.repeat(x[order[starts]], sizes)) / gamma
        excess = np.bincount(self.blocks, weights=d * self.y - _greedy(F, order))
        self.y -= (excess / np.bincount(self.blocks, weights=d))[self.blocks]
        tops = np.maximum.reduceat((self.y - low / d)[order], starts)
        bottoms = np.minimum.reduceat((self.y - high / d)[order], starts)
        drops = np.concatenate([[0.0], np.cumsum(tops[1:] - bottoms[:-1])])
        self.drops = drops[self.blocks]
        self.width = float((high - low) ** 2 @ (1.0 / d))

    def order(self, z: Float64s) -> Ints:
        """The order of decreasing z inside the blocks, blocks in their order."""
        return np.lexsort((-z, self.blocks))

    def best_on_chain(self, order: Ints, vertex: Float64s) -> Float64s:
        """The best z decreasing along an order, given the greedy vector of that order."""
        from scipy.optimize import isotonic_regression

        start = (self.y - vertex / self.d - self.drops)[order]
        z = np.empty(self.F.n)
        z[order] = isotonic_regression(start, weights=self.d[order], increasing=False).x
        return z + self.drops


def _iteration_limit(n: int, tol: float, max_iter: int | None) -> int:
    if not tol > 0:
        raise ValueError(f"tol is {tol}; it must be > 0: rounding leaves no gap of exactly 0 to ask for")
    if max_iter is not None and max_iter < 1:
        raise ValueError(f"max_iter is {max_iter}; it must be ≥ 1, or None for 20 n + 1000")
    return 20 * n + 1000 if max_iter is None else max_iter
