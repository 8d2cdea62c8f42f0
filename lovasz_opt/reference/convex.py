"""The same answers from a general convex solver (CVXPY with Clarabel), in independent forms.

Only values of F on masks are used. Each form is a different description of the same problem, so that
agreement between them, and with the brute force, is evidence for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Bools, Float64s, as_target
from ..sets.base import SetFunction
from .brute import all_masks, set_values

#: Clarabel's own tolerances; its default of 1e-8 leaves errors near 1e-5 in a proximal point.
_TOLERANCES = {
    "tol_gap_abs": 1e-12,
    "tol_gap_rel": 1e-12,
    "tol_feas": 1e-12,
    "tol_ktratio": 1e-9,
    "max_iter": 500,
}

#: A convex function by its greedy vectors: the offset and slope of an affine minorant that is tight at a
#: point.
Oracle = Callable[[Float64s], tuple[float, Float64s]]


@dataclass(frozen=True)
class ReferenceSolution:
    """Answer of a reference solver.

    Attributes
    ----------
    x : ndarray of float64
        Minimiser.
    value : float
        Objective at `x`, evaluated by the greedy formula and not by the solver.
    gap : float
        `value` minus a lower bound of the minimum; as certain as float64 sums are where `certified` holds.
    certified : bool
        True if the lower bound holds whatever the solver's accuracy was: its dual point is a convex
        combination of greedy vectors. False if the dual point is feasible only up to that accuracy.
    rounds : int
        Number of convex programmes solved.
    """

    x: Float64s
    value: float
    gap: float
    certified: bool
    rounds: int = 1


def prox_all_sets(
    F: SetFunction, x: ArrayLike, gamma: float, *, metric: ArrayLike | None = None, hinge: bool = False
) -> ReferenceSolution:
    """Prox of the Lovász extension by projecting on the base polytope with all 2^n constraints.

    Parameters
    ----------
    F : SetFunction
        Submodular, of at most 16 elements (12 are comfortable).
    x : (n,) array of float
        Point.
    gamma : float
        Step, > 0.
    metric : (n,) array of float, optional
        Positive weights μ of the squared distance ½ Σ μ_i (z_i − x_i)².
    hinge : bool
        Take the prox of m ↦ f(max(m, 0)) for a non-decreasing F: the projection is on {s ≥ 0, s(A) ≤ F(A)}.

    Returns
    -------
    ReferenceSolution

    Raises
    ------
    ModuleNotFoundError
        If CVXPY is not installed.

    Examples
    --------
    >>> from lovasz_opt import Jaccard
    >>> prox_all_sets(Jaccard([1, 0, 1]), [26.0, 12.0, 13.0], 12.0).x.round(6).tolist()
    [20.0, 10.0, 9.0]
    """
    cp = _cvxpy()
    x = np.asarray(x, dtype=np.float64)
    masks, values = all_masks(F.n)[1:].astype(np.float64), set_values(F)[1:]
    w = cp.Variable(F.n)
    constraints = [masks @ w <= values]
    constraints.append(w >= 0 if hinge else masks[-1] @ w == values[-1])
    return _project(cp, F, x, gamma, w, constraints, metric, hinge)


def prox_counts(F: SetFunction, target: ArrayLike, x: ArrayLike, gamma: float) -> ReferenceSolution:
    """Prox of the Lovász extension of a function of two counts, by (P+1)(N+1) constraints for all sets.

    w is in the base polytope iff for all counts (a, b) the a largest foreground entries and the b largest
    background entries of w sum to at most Δ(a, b), with equality for (P, N).

    Parameters
    ----------
    F : SetFunction
        Its value may only depend on the numbers of foreground and background elements of a mask.
    target : (n,) array of {0, 1}
        Which elements are foreground.
    x : (n,) array of float
        Point.
    gamma : float
        Step, > 0.

    Returns
    -------
    ReferenceSolution

    Examples
    --------
    >>> from lovasz_opt import Jaccard
    >>> prox_counts(Jaccard([1, 0, 1]), [1, 0, 1], [26.0, 12.0, 13.0], 12.0).x.round(6).tolist()
    [20.0, 10.0, 9.0]
    """
    cp = _cvxpy()
    x, mask = np.asarray(x, dtype=np.float64), as_target(target)
    classes = [np.flatnonzero(mask), np.flatnonzero(~mask)]
    a, b = np.indices([len(c) + 1 for c in classes])
    first = np.zeros((*a.shape, F.n), dtype=np.bool_)
    first[..., classes[0]] = np.arange(len(classes[0])) < a[..., None]
    first[..., classes[1]] = np.arange(len(classes[1])) < b[..., None]
    table = np.asarray(F(first))
    w = cp.Variable(F.n)
    constraints = [cp.sum(w) == table[-1, -1]]
    # One bound for each sum of largest entries; the table then couples them by affine constraints.
    bounds = [cp.Variable(len(c) + 1) for c in classes]
    for members, bound in zip(classes, bounds, strict=True):
        constraints.append(bound[0] == 0)
        constraints += [cp.sum_largest(w[members], k) <= bound[k] for k in range(1, len(members) + 1)]
    ones = [np.ones((1, len(c) + 1)) for c in classes]
    sums = cp.reshape(bounds[0], (a.shape[0], 1), "C") @ ones[1] + (
        ones[0].T @ cp.reshape(bounds[1], (1, a.shape[1]), "C")
    )
    constraints.append(sums <= table)
    return _project(cp, F, x, gamma, w, constraints, None, False)


def prox_dotsort(values: ArrayLike, x: ArrayLike, gamma: float) -> ReferenceSolution:
    """Prox of the Lovász extension of a concave function of the size, a weighted sum of order statistics.

    Parameters
    ----------
    values : (n + 1,) array of float
        F of sets with 0, …, n elements: concave, values[0] = 0.
    x : (n,) array of float
        Point.
    gamma : float
        Step, > 0.

    Returns
    -------
    ReferenceSolution
        Not certified.

    Examples
    --------
    >>> prox_dotsort([0.0, 1.0, 1.0], [3.0, 2.0], 2.0).x.round(6).tolist()
    [1.5, 1.5]
    """
    cp = _cvxpy()
    x, values = np.asarray(x, dtype=np.float64), np.asarray(values, dtype=np.float64)
    increments = np.diff(values)
    scale = max(float(np.abs(x).max()), gamma)
    z = cp.Variable(len(x))
    objective = 0.5 * cp.sum_squares(z - x / scale) + (gamma / scale) * cp.dotsort(z, increments)
    _solve(cp, cp.Problem(cp.Minimize(objective)))
    best = z.value * scale
    # The solver's residual is as much of a dual vector as this form has: repaired to the right sum only.
    w = (x - best) / gamma
    w += (values[-1] - w.sum()) / len(x)
    value = 0.5 * float(((best - x) ** 2).sum()) + gamma * float(np.sort(best)[::-1] @ increments)
    lower = 0.5 * float(x @ x) - 0.5 * float(((x - gamma * w) ** 2).sum())
    return ReferenceSolution(best, value, value - lower, certified=False)


def prox_constraint_generation(
    F: SetFunction,
    x: ArrayLike,
    gamma: float,
    *,
    tol: float = 1e-10,
    max_rounds: int = 500,
    hinge: bool = False,
) -> ReferenceSolution:
    """Prox of the Lovász extension for n in the hundreds: cutting planes from the greedy oracle.

    min ½‖z − x‖² + γ t subject to t ≥ ⟨w_k, z⟩ for the greedy vectors w_k met so far.

    Parameters
    ----------
    F : SetFunction
        Submodular, and non-decreasing if `hinge`.
    x : (n,) array of float
        Point.
    gamma : float
        Step, > 0.
    tol : float
        Stop when the certified gap is at most tol · max(1, |value|).
    max_rounds : int
        Largest number of programmes to solve.
    hinge : bool
        Take the prox of m ↦ f(max(m, 0)) instead.

    Returns
    -------
    ReferenceSolution
        Certified; look at its gap, which is above the tolerance if the rounds ran out.

    Examples
    --------
    >>> from lovasz_opt import Jaccard
    >>> prox_constraint_generation(Jaccard([1, 0, 1]), [26.0, 12.0, 13.0], 12.0).x.round(5).tolist()
    [20.0, 10.0, 9.0]
    """
    x = np.asarray(x, dtype=np.float64)

    def oracle(z: Float64s) -> tuple[float, Float64s]:
        return 0.0, _greedy(F, z, hinge)

    return _cutting_planes(x, 1.0, gamma, [oracle], tol, max_rounds)


def solve_image_prox(
    logits: ArrayLike, target: ArrayLike, gamma: float, *, tol: float = 1e-10, max_rounds: int = 500
) -> ReferenceSolution:
    """Minimise ½‖S − U‖² + γ L(S) over the scores S of one image, L its Lovász hinge for the Jaccard loss.

    Parameters
    ----------
    logits : array of float
        The point U, any shape.
    target : array of {0, 1}
        Labels, of the shape of `logits`.
    gamma : float
        Step, > 0.
    tol, max_rounds
        As in `prox_constraint_generation`.

    Returns
    -------
    ReferenceSolution
        `x` has the shape of `logits`.

    Examples
    --------
    >>> solve_image_prox([0.0, 0.0], [1, 0], 0.5).x.round(4).tolist()
    [0.25, -0.25]
    """
    scores = np.asarray(logits, dtype=np.float64)
    oracle = _jaccard_hinge(as_target(target).ravel(), None)
    answer = _cutting_planes(scores.ravel(), 1.0, gamma, [oracle], tol, max_rounds)
    return replace(answer, x=answer.x.reshape(scores.shape))


def solve_linear_hinge_risk(
    features: Sequence[ArrayLike],
    targets: Sequence[ArrayLike],
    l2: float,
    *,
    tol: float = 1e-10,
    max_rounds: int = 500,
) -> ReferenceSolution:
    """Minimise (l2/2)‖v‖² + (1/n) Σ_i L_i(X_i v) over a few parameters v, L_i the Lovász hinge of image i.

    Parameters
    ----------
    features : sequence of n (p_i, d) arrays
        Pixel features; d ≲ 10 keeps the number of cuts small.
    targets : sequence of n (p_i,) arrays of {0, 1}
        Labels.
    l2 : float
        Ridge, > 0.
    tol, max_rounds
        As in `prox_constraint_generation`.

    Returns
    -------
    ReferenceSolution
        `x` is v, of shape (d,).

    Examples
    --------
    >>> solve_linear_hinge_risk([[[1.0], [-1.0]]], [[1, 0]], l2=1.0).x.round(4).tolist()
    [1.0]
    """
    matrices = [np.asarray(X, dtype=np.float64) for X in features]
    oracles = [_jaccard_hinge(as_target(y), X) for X, y in zip(matrices, targets, strict=True)]
    center = np.zeros(matrices[0].shape[1])
    return _cutting_planes(center, l2, 1.0 / len(oracles), oracles, tol, max_rounds)


def solve_linearised_softmax_risk(
    features: Sequence[ArrayLike],
    targets: Sequence[ArrayLike],
    W: ArrayLike,
    l2: float,
    *,
    step: float | None = None,
    clip: bool = True,
    tol: float = 1e-10,
    max_rounds: int = 500,
) -> ReferenceSolution:
    """Minimise the model of the Lovász-Softmax risk with the class errors expanded around W.

    (l2/2)‖W'‖² + ‖W' − W‖²/(2 step) + (1/n) Σ_i mean over the classes c of image i of
    f_ic(max(0, m_i(c) + J_ic (W' − W))).

    Parameters
    ----------
    features : sequence of n (p_i, d) arrays
        Pixel features, without void pixels; d·C ≲ 10 keeps the number of cuts small.
    targets : sequence of n (p_i,) arrays of int
        Classes in {0, …, C−1}. An image without pixels counts 0.
    W : (d, C) array of float
        Where the errors are expanded.
    l2 : float
        Ridge, > 0.
    step : float, optional
        Step of the proximal term; without one there is none.
    clip : bool
        Whether expanded errors below 0 count as 0.
    tol, max_rounds
        As in `prox_constraint_generation`.

    Returns
    -------
    ReferenceSolution
        `x` is W', of shape (d, C).

    Examples
    --------
    >>> answer = solve_linearised_softmax_risk([[[1.0], [-1.0]]], [[0, 1]], [[0.0, 0.0]], l2=1.0)
    >>> answer.x.round(4).tolist()
    [[0.25, -0.25]]
    """
    start = np.asarray(W, dtype=np.float64)
    pull = 0.0 if step is None else 1.0 / step
    oracles = [
        _softmax_errors(np.asarray(X, dtype=np.float64).reshape(-1, len(start)), np.asarray(y), start, clip)
        for X, y in zip(features, targets, strict=True)
    ]
    curvature = l2 + pull
    center = pull / curvature * start.ravel()
    answer = _cutting_planes(center, curvature, 1.0 / len(oracles), oracles, tol, max_rounds)
    # Completing the square of the two quadratics leaves a constant.
    constant = 0.5 * l2 * pull / curvature * float((start**2).sum())
    return replace(answer, x=answer.x.reshape(start.shape), value=answer.value + constant)


def _softmax_errors(X: Float64s, labels: NDArray[Any], W: Float64s, clip: bool) -> Oracle:
    """Oracle of the mean over the classes of an image of f_c at the expanded errors."""
    powers = np.exp(X @ W)
    probas = powers / powers.sum(axis=1, keepdims=True)
    terms = []
    for c in np.unique(labels):
        target = labels == c
        sign = np.where(target, -1.0, 1.0)
        # ∂π_c/∂W_ak = x_a π_c (δ_ck − π_k), one row per pixel.
        inner = probas[:, [c]] * ((np.arange(W.shape[1]) == c) - probas)
        jacobian = (sign[:, None, None] * X[:, :, None] * inner[:, None, :]).reshape(len(X), -1)
        terms.append((target, jacobian, np.where(target, 1.0, 0.0) + sign * probas[:, c]))

    def oracle(v: Float64s) -> tuple[float, Float64s]:
        offset, slope = 0.0, np.zeros_like(v)
        for target, jacobian, errors in terms:
            fixed = errors - jacobian @ W.ravel()
            w = _greedy(_jaccard_loss(target), fixed + jacobian @ v, clip)
            offset += float(w @ fixed) / len(terms)
            slope += w @ jacobian / len(terms)
        return offset, slope

    return oracle


def _jaccard_hinge(target: Bools, features: Float64s | None) -> Oracle:
    """Oracle of v ↦ L(X v), or of L itself, from the definition |M| / |target ∪ M| of the Jaccard loss."""
    signs = 2.0 * target - 1.0

    loss = _jaccard_loss(target)

    def oracle(v: Float64s) -> tuple[float, Float64s]:
        scores = v if features is None else features @ v
        s = _greedy(loss, 1.0 - signs * scores, True)
        return float(s.sum()), -signs * s if features is None else -features.T @ (signs * s)

    return oracle


def _jaccard_loss(target: Bools) -> Callable[[Bools], Float64s]:
    """Values |M| / |target ∪ M| of masks M along the last axis."""

    def loss(masks: Bools) -> Float64s:
        mistakes = masks.sum(axis=-1)
        return np.where(mistakes > 0, mistakes / np.maximum((masks | target).sum(axis=-1), 1), 0.0)

    return loss


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the convex references need CVXPY: install them with pip install 'lovasz-opt[reference]'"
        ) from error
    return cvxpy


def _solve(cp: Any, problem: Any) -> None:
    """Solve to the accuracy that float64 allows; the caller measures what was reached."""
    import warnings

    with warnings.catch_warnings():
        # CVXPY warns when the last digits asked for are out of reach, which is the usual case here.
        warnings.simplefilter("ignore", UserWarning)
        problem.solve(solver=cp.CLARABEL, **_TOLERANCES)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise RuntimeError(
            f"Clarabel ended with status {problem.status!r}; rescale the problem or make it smaller"
        )


def _project(
    cp: Any,
    F: SetFunction,
    x: Float64s,
    gamma: float,
    w: Any,
    constraints: list[Any],
    metric: ArrayLike | None,
    hinge: bool,
) -> ReferenceSolution:
    """Solve the dual of the prox, max ⟨w, x⟩ − ½γ Σ w_i²/μ_i over constraints on w, and go back to z."""
    mu = np.ones(F.n) if metric is None else np.asarray(metric, dtype=np.float64)
    scale = max(float(np.abs(x).max()), gamma)
    objective = (0.5 * gamma / scale) * cp.sum_squares(cp.multiply(mu**-0.5, w)) - (x / scale) @ w
    _solve(cp, cp.Problem(cp.Minimize(objective), constraints))
    z = x - gamma * w.value / mu
    support = float(_greedy(F, z, hinge) @ z)
    value = 0.5 * float(mu @ (z - x) ** 2) + gamma * support
    return ReferenceSolution(z, value, gamma * (support - float(w.value @ z)), certified=False)


def _greedy(F: Callable[[Bools], Any], z: Float64s, hinge: bool) -> Float64s:
    """Greedy vector at z from values of F on the level sets; entries where z ≤ 0 vanish for the hinge."""
    order = np.argsort(-z, kind="stable")
    n = len(z)
    chain: Bools = np.tri(n, dtype=np.bool_)
    masks = np.zeros_like(chain)
    masks[:, order] = chain
    w = np.empty(n)
    w[order] = np.diff(np.asarray(F(masks)), prepend=0.0)
    return np.where(z > 0, w, 0.0) if hinge else w


def _cutting_planes(
    center: Float64s, curvature: float, weight: float, oracles: Sequence[Oracle], tol: float, max_rounds: int
) -> ReferenceSolution:
    """Minimise (curvature/2)‖v − center‖² + weight·Σ_i φ_i(v), each φ_i given by its tight affine minorants.

    The master problem is solved in the convex weights λ_ik of the cuts, with v = center −
    (weight/curvature) Σ λ g. Its value at any weights is a lower bound of the minimum, since every cut is a
    minorant.
    """
    cp = _cvxpy()
    offsets: list[list[float]] = [[] for _ in oracles]
    slopes: list[list[Float64s]] = [[] for _ in oracles]
    v, best, lower, value = center, center, -np.inf, np.inf
    rounds = 0
    while True:
        here = 0.5 * curvature * float((v - center) @ (v - center))
        for i, oracle in enumerate(oracles):
            offset, slope = oracle(v)
            here += weight * (offset + float(slope @ v))
            offsets[i].append(offset)
            slopes[i].append(slope)
        if here < value:
            best, value = v, here
        if value - lower <= tol * max(1.0, abs(value)) or rounds == max_rounds:
            return ReferenceSolution(best, value, value - lower, certified=True, rounds=rounds)
        rounds += 1
        lambdas = _master(cp, center, curvature, weight, offsets, slopes)
        step: Any = sum(lam @ np.array(g) for lam, g in zip(lambdas, slopes, strict=True)) * (
            weight / curvature
        )
        v = center - step
        linear = sum(
            float(lam @ (np.array(o) + np.array(g) @ center))
            for lam, o, g in zip(lambdas, offsets, slopes, strict=True)
        )
        lower = max(lower, weight * linear - 0.5 * curvature * float(step @ step))


def _master(
    cp: Any,
    center: Float64s,
    curvature: float,
    weight: float,
    offsets: list[list[float]],
    slopes: list[list[Float64s]],
) -> list[NDArray[np.float64]]:
    """Convex weights of the cuts of each φ_i that maximise the dual, repaired to be feasible exactly."""
    stacked = [np.array(g) for g in slopes]
    linear = [np.array(o) + g @ center for o, g in zip(offsets, stacked, strict=True)]
    lambdas = [cp.Variable(len(g), nonneg=True) for g in stacked]
    step: Any = sum(g.T @ lam for g, lam in zip(stacked, lambdas, strict=True))
    scale = max(1.0, *(float(np.abs(c).max()) for c in linear))
    gain = sum(c @ lam for c, lam in zip(linear, lambdas, strict=True)) / scale
    objective = gain - (0.5 * weight / curvature / scale) * cp.sum_squares(step)
    _solve(cp, cp.Problem(cp.Maximize(objective), [cp.sum(lam) == 1 for lam in lambdas]))
    clipped = [np.maximum(lam.value, 0.0) for lam in lambdas]
    return [lam / lam.sum() for lam in clipped]
