"""Certificates: gaps and base-polytope membership that bound the error of an answer, however it was found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ._validation import Bools, Float64s, as_rational, as_rationals, as_scores, as_step
from .extension import LovaszExtension
from .kernels.sort import argsort_decreasing
from .sets.base import EXHAUSTIVE_LIMIT, SetFunction
from .sets.jaccard import Jaccard


@dataclass(frozen=True)
class Certificate:
    """How far a claimed proximal point z can be from the true one, z*.

    Attributes
    ----------
    gap : float
        primal(z) − dual(w) for a dual point w, ≥ 0 up to rounding if w is in the base polytope.
    infeasibility : float
        Largest violation of the base polytope's constraints by that w, over all 2^p sets.
    distance_bound : float
        Bound on ‖z − z*‖, the Euclidean norm whatever the metric, from the gap and the infeasibility.
    primal : float
        ½‖z − x‖² + gamma·f(z).
    """

    gap: float
    infeasibility: float
    distance_bound: float
    primal: float

    @property
    def relative_gap(self) -> float:
        """The gap divided by the primal value's size (0/0 counts as 0)."""
        return self.gap / max(abs(self.primal), float(np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class SubgradientCertificate:
    """Whether w is a subgradient of f at x.

    Attributes
    ----------
    gap : float
        f(x) − ⟨w, x⟩, 0 for a subgradient.
    infeasibility : float
        Largest violation of the base polytope's constraints by w, over all 2^p sets; 0 for a subgradient.
    """

    gap: float
    infeasibility: float


@dataclass(frozen=True)
class ExactCertificate:
    """Outcome of a check in exact rational arithmetic: `optimal` is a proof, either way.

    Attributes
    ----------
    optimal : bool
        True iff z is the proximal point, exactly.
    gap : fractions.Fraction
        f(z) − ⟨w, z⟩ times gamma, with w = (x − z)/gamma.
    infeasibility : fractions.Fraction
        Largest violation of the base polytope's constraints by w, over all 2^p sets.
    violated : tuple of int or None
        Elements of a set whose constraint w violates the most; None if there is none.
    """

    optimal: bool
    gap: Fraction
    infeasibility: Fraction
    violated: tuple[int, ...] | None


def verify_prox(
    f: LovaszExtension,
    x: ArrayLike,
    gamma: float,
    z: ArrayLike,
    *,
    metric: ArrayLike | Literal["weights"] | None = None,
) -> Certificate:
    """Certify z as argmin ½‖z − x‖² + gamma·f(z), whatever computed it.

    For w in the base polytope and any z,

        primal(z) − dual(w) = ½‖z − x + gamma·w‖² + gamma·(f(z) − ⟨w, z⟩) ≥ ½‖z − z*‖².

    The residual w = (x − z)/gamma is tried first. Rounding of z puts it outside the polytope by about the
    rounding error times p/gamma, so the projection of x/gamma is tried too and the w with the smaller
    distance bound is kept. Membership of either is checked over all 2^p sets by its own means, not assumed.

    Parameters
    ----------
    f : LovaszExtension
        Of a submodular function.
    x : (p,) array
        Scores.
    gamma : float
        Step, > 0.
    z : (p,) array
        The claimed proximal point.
    metric : (p,) array of positive weights, "weights" or None
        The metric of the prox; None is Euclidean.

    Returns
    -------
    Certificate
        With fields gap, infeasibility, distance_bound and primal.

    Raises
    ------
    ValueError
        If shapes differ, an entry is not finite, gamma is not positive, or F is not submodular.

    Notes
    -----
    The bound on the distance accounts for the infeasibility of w. Float arithmetic: correct up to rounding;
    `verify_prox_exact` is a proof. Complexity: O(p log p) for Jaccard.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    >>> x = [26.0, 12.0, 13.0]
    >>> lo.verify_prox(f, x, 12.0, f.prox(x, 12.0)).distance_bound < 1e-6
    True
    >>> wrong = lo.verify_prox(f, x, 12.0, [20.0, 9.5, 9.5])
    >>> round(wrong.gap, 12), round(wrong.distance_bound, 4)
    (0.25, 0.7071)
    """
    gamma = as_step(gamma)
    f.F.require_submodular("a certificate of a prox")
    x64 = as_scores(x, "x", (f.n,))[0].astype(np.float64, copy=False)
    z64 = as_scores(z, "z", (f.n,))[0].astype(np.float64, copy=False)
    weights = f._metric(metric)
    mu = np.ones(f.n) if weights is None else weights
    # For a tiny gamma the residual of a wrong z overflows; the other dual point is finite.
    with np.errstate(over="ignore", invalid="ignore"):
        residual = _certificate(f, x64, gamma, z64, mu, mu * (x64 - z64) / gamma)
    if residual.gap <= 0 and residual.infeasibility <= 0:
        return residual
    dual = f._dual(x64, gamma, f._solve(x64, gamma, weights, 1e-12), weights)
    repaired = _certificate(f, x64, gamma, z64, mu, dual)
    return min(repaired, residual, key=lambda c: c.distance_bound)


def _certificate(
    f: LovaszExtension, x: Float64s, gamma: float, z: Float64s, mu: Float64s, w: Float64s
) -> Certificate:
    """The certificate of z with the dual point w."""
    slack, total_excess = _support_gap(f.F, z, w)
    residual = z - x + gamma * w / mu
    gap = 0.5 * float(mu @ residual**2) + gamma * slack
    excess = max(0.0, float(f.F._violation(w)[0]))
    infeasibility = max(excess, total_excess)
    primal = 0.5 * float(mu @ (z - x) ** 2) + gamma * f(z)
    bound = _distance_bound(gap, excess, total_excess, gamma, z, float(mu.min()))
    return Certificate(gap, infeasibility, bound, primal)


def _distance_bound(
    gap: float, excess: float, total_excess: float, gamma: float, z: Float64s, mu: float
) -> float:
    """Bound D on ‖z − z*‖ from the gap of a w that violates its constraints a little.

    If w(A) ≤ F(A) + ε and |w(V) − F(V)| ≤ η, then ⟨w, u⟩ ≤ f(u) + ε·range(u) + η·max|u| for every u, so
    (μ/2) D² ≤ gap + gamma·(ε·range(z*) + η·max|z*|), where range(z*) ≤ range(z) + √2·D and
    max|z*| ≤ max|z| + D.
    """
    linear = gamma * (math.sqrt(2.0) * excess + total_excess)
    constant = gap + gamma * (excess * float(np.ptp(z)) + total_excess * float(np.abs(z).max()))
    return (linear + math.sqrt(linear**2 + 2.0 * mu * max(0.0, constant))) / mu


def _support_gap(F: SetFunction, z: Float64s, w: Float64s) -> tuple[float, float]:
    """f(z) − ⟨w, z⟩ and |w(V) − F(V)|, summed over level sets so that nothing large cancels."""
    order = argsort_decreasing(z)
    slack = np.cumsum(F.increments(order) - w[order])
    sorted_z = z[order]
    gap = float(-np.diff(sorted_z) @ slack[:-1]) + float(sorted_z[-1] * slack[-1])
    return gap, abs(float(slack[-1]))


def verify_subgradient(f: LovaszExtension, x: ArrayLike, w: ArrayLike) -> SubgradientCertificate:
    """Certify w as a subgradient of f at x: w in the base polytope and ⟨w, x⟩ = f(x).

    Parameters
    ----------
    f : LovaszExtension
        Of a submodular function.
    x : (p,) array
        Scores.
    w : (p,) array
        The claimed subgradient.

    Returns
    -------
    SubgradientCertificate
        With fields gap and infeasibility.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> f = lo.LovaszExtension(lo.Jaccard([1, 0]))
    >>> lo.verify_subgradient(f, [1.0, 2.0], [0.5, 0.5])
    SubgradientCertificate(gap=0.0, infeasibility=0.0)
    """
    x64 = as_scores(x, "x", (f.n,))[0].astype(np.float64, copy=False)
    w64 = as_scores(w, "w", (f.n,))[0].astype(np.float64, copy=False)
    return SubgradientCertificate(_support_gap(f.F, x64, w64)[0], f.infeasibility(w64))


def verify_prox_exact(F: SetFunction, x: Iterable[Any], gamma: Any, z: Iterable[Any]) -> ExactCertificate:
    """Prove or refute, in exact rational arithmetic, that z is argmin ½‖z − x‖² + gamma·f(z).

    z is the proximal point iff w = (x − z)/gamma lies in the base polytope and ⟨w, z⟩ = f(z).

    Parameters
    ----------
    F : SetFunction
        Unweighted Jaccard of any size, or any submodular function of up to 16 elements.
    x : sequence of int, float, str or fractions.Fraction
        Scores; floats are taken as the exact rationals that they are.
    gamma : int, float, str or fractions.Fraction
        Step, > 0.
    z : sequence of int, float, str or fractions.Fraction
        The claimed proximal point.

    Returns
    -------
    ExactCertificate
        With fields optimal, gap, infeasibility and violated.

    Raises
    ------
    ValueError
        If lengths differ, gamma ≤ 0, an entry is not a finite rational, or F is too large to check all sets.

    Notes
    -----
    Complexity: O(p log p) rational operations for Jaccard, O(2^p p) otherwise.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Jaccard([1, 0, 1])
    >>> lo.verify_prox_exact(F, [26, 12, 13], 12, [20, 10, 9]).optimal
    True
    >>> lo.verify_prox_exact(F, [26, 12, 13], 12, [20, "19/2", "19/2"])
    ExactCertificate(optimal=False, gap=Fraction(0, 1), infeasibility=Fraction(1, 24), violated=(0, 1))
    """
    xs, zs = as_rationals(x, "x"), as_rationals(z, "z")
    step = as_rational(gamma, "gamma")
    for name, values in (("x", xs), ("z", zs)):
        if len(values) != F.n:
            raise ValueError(f"{name} has {len(values)} entries, expected {F.n}: one per element of F")
    if step <= 0:
        raise ValueError(f"gamma is {gamma}; it must be > 0")
    w = [(a - b) / step for a, b in zip(xs, zs, strict=True)]
    full = F.exact_value(np.ones(F.n, dtype=np.bool_))
    order = sorted(range(F.n), key=lambda i: zs[i], reverse=True)
    support = _exact_support(F, [zs[i] for i in order], order)
    gap = step * (support - sum((a * b for a, b in zip(w, zs, strict=True)), Fraction(0)))
    if isinstance(F, Jaccard) and F.weights is None:
        excess, worst = _exact_excess_jaccard(F, w)
    elif F.n <= EXHAUSTIVE_LIMIT:
        F.require_submodular("an exact certificate")
        excess, worst = _exact_excess_all(F, w)
    else:
        raise ValueError(
            f"F has {F.n} elements; an exact check of {type(F).__name__} looks at all 2^n sets and takes at "
            f"most {EXHAUSTIVE_LIMIT}: use verify_prox, or the unweighted Jaccard loss"
        )
    shortfall = full - sum(w, Fraction(0))
    if abs(shortfall) > excess:
        excess, worst = abs(shortfall), tuple(range(F.n))
    return ExactCertificate(gap == 0 and excess == 0, gap, excess, worst if excess > 0 else None)


def _exact_support(F: SetFunction, sorted_z: Sequence[Fraction], order: Sequence[int]) -> Fraction:
    """f(z) from the values of F on the level sets of z."""
    total = Fraction(0)
    if isinstance(F, Jaccard) and F.weights is None:
        a = b = 0
        before = Fraction(0)
        for i, value in zip(order, sorted_z, strict=True):
            if F.target[i]:
                a += 1
            else:
                b += 1
            after = Fraction(a + b, F.P + b)
            total += value * (after - before)
            before = after
        return total
    mask = np.zeros(F.n, dtype=np.bool_)
    before = Fraction(0)
    for i, value in zip(order, sorted_z, strict=True):
        mask[i] = True
        after = F.exact_value(mask)
        total += value * (after - before)
        before = after
    return total


def _exact_excess_jaccard(F: Jaccard, w: Sequence[Fraction]) -> tuple[Fraction, tuple[int, ...]]:
    """Largest w(A) − Δ(A): for b background pixels the best foreground is {w_i > 1/(P + b)}."""
    target: Bools = F.target
    fg = sorted((i for i in range(F.n) if target[i]), key=lambda i: w[i], reverse=True)
    bg = sorted((i for i in range(F.n) if not target[i]), key=lambda i: w[i], reverse=True)
    best, best_counts = Fraction(0), (0, 0)
    a, fg_sum, bg_sum = 0, Fraction(0), Fraction(0)
    for b in range(len(bg) + 1):
        if b > 0:
            bg_sum += w[bg[b - 1]]
        while a < len(fg) and w[fg[a]] * (F.P + b) > 1:
            fg_sum += w[fg[a]]
            a += 1
        if a + b == 0:
            continue
        excess = fg_sum + bg_sum - Fraction(a + b, F.P + b)
        if excess > best:
            best, best_counts = excess, (a, b)
    return best, tuple(sorted(fg[: best_counts[0]] + bg[: best_counts[1]]))


def _exact_excess_all(F: SetFunction, w: Sequence[Fraction]) -> tuple[Fraction, tuple[int, ...]]:
    best = Fraction(0)
    best_set: tuple[int, ...] = ()
    for code in range(1, 2**F.n):
        elements = tuple(i for i in range(F.n) if code >> i & 1)
        mask = np.zeros(F.n, dtype=np.bool_)
        mask[list(elements)] = True
        excess = sum((w[i] for i in elements), Fraction(0)) - F.exact_value(mask)
        if excess > best:
            best, best_set = excess, elements
    return best, best_set
