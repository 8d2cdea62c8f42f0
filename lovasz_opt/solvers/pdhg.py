"""The primal-dual hybrid gradient method with the exact prox."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._validation import Float64s, as_step
from .._vectors import dot, norm
from ..problems import Problem
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: Cut of a primal step that the line search refuses.
_CUT = 0.5
#: A restart when the certified gap is this fraction of that at the last one, and how far the balance of the
#: steps then moves, in logarithms, to that of the distances travelled.
_REDUCTION, _BALANCE = 0.65, 0.25
#: A restart without that after so many iterations, if they are such a share of all: ever more rarely.
_LONG, _SHARE = 20, 0.36
#: Slack for rounding in the test of a step.
_SLACK = 1 + 1e-12
_STATE = (
    "v", "scores", "g", "slope", "step", "balance", "extrapolation",
    "mean_v", "mean_scores", "mean_g", "mean_slope", "weight", "anchor_v", "anchor_g", "last_gap",
    "rho", "count", "restarted",
)  # fmt: skip


def pdhg(
    pb: Problem,
    sigma: float | None = None,
    accelerate: bool = False,
    precondition: bool = True,
    adapt: bool = True,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Primal-dual hybrid gradient method of Chambolle and Pock.

    .. math:: v^+ &= \arg\min_w \tfrac\mu2\|w - v_0\|^2 + \langle A^\top g, w\rangle
                     + \tfrac1{2\tau}\|w - v\|_M^2 \\
              g^+ &= \mathrm{prox}_{\sigma\ell^*}\bigl(g + \sigma A(v^+ + \theta(v^+ - v))\bigr)

    By Moreau's identity the second is σ(u − prox_{ℓ/σ}(u)) with u = g/σ + A(…): g is feasible for the dual in
    every iteration.

    Parameters
    ----------
    pb : Problem
        Anything with `prox_loss` and `ridge`.
    sigma : float, optional
        First dual step; by default the size of a subgradient of ℓ at the start, per unit of margin. The first
        primal step τ is the longest that it allows.
    accelerate : bool
        Shorten τ and lengthen σ by the strong convexity of the quadratic.
    precondition : bool
        Measure primal steps by M = μI + ρAᵀA, with ρ the first σ, in place of M = I: a step is then a ridge
        system, and its length does not suffer from the conditioning of A.
    adapt : bool
        Find the steps by a line search; and whenever the certified gap has shrunk by a fixed factor, or has
        not for long, restart from the mean of the iterates if that has the smaller gap, and balance σ and τ
        anew. Otherwise στ‖A‖² = 1, with the norm that belongs to M.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`.

    Returns
    -------
    Result
        x is the best of the iterates v and their means.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    An iteration costs one product with A, one prox and two values; one product with Aᵀ and one prox for each
    step tried. Means of plain and of accelerated steps (`adapt=False`) have gaps of O(1/k) and O(1/k²). A
    restart needs a gap that is smaller by a factor, or comes after a share of all iterations so far, ever
    more rarely. Line search and restarts have proofs of their own; for both with the balancing of steps we
    know of none, but convergence on these piecewise quadratic problems is linear in practice, and certified.

    References
    ----------
    A. Chambolle, T. Pock, "A first-order primal-dual algorithm for convex problems with applications to
    imaging", 2011; T. Pock, A. Chambolle, "Diagonal preconditioning for first order primal-dual algorithms in
    convex optimization", 2011; Y. Malitsky, T. Pock, "A first-order primal-dual algorithm with linesearch",
    2018; D. Applegate et al., "Practical large-scale linear programming using primal-dual hybrid gradient",
    2021.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> solvers.pdhg(pb, tol=1e-9).status
    'optimal'
    """
    require("pdhg", pb, "loss_and_subgradient", "prox_loss", "squared_norm", "ridge")
    fixed = None if sigma is None else as_step(sigma, "sigma")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            scores = pb.apply(start)
            loss, g = pb.loss_and_subgradient(scores)
            slope = pb.adjoint(g)
            # Both 1 per margin and ‖g‖ are natural units, so their ratio is a scale-free first guess.
            guess = norm(g) / max(g.size, 1) ** 0.5 or pb.strong_convexity / (pb.squared_norm or 1.0)
            first = fixed or guess
            metric = _metric(pb, first if precondition else None)
            # σ = balance·τ throughout.
            balance = first**2 * metric.squared_norm
            tau = first / balance
            means = (start, scores, g, slope, 0.0)
            now = (start, scores, g, slope, tau, balance, 1.0, *means, start, g, math.inf, first, 0, 0)
            memory.update(zip(_STATE, now, strict=True))
            yield start, pb.quadratic(start) + loss, pb.minorant(g, slope)
        v, scores, g, slope, tau, balance, theta = (memory[name] for name in _STATE[:7])
        mean_v, mean_scores, mean_g, mean_slope, weight = (memory[name] for name in _STATE[7:12])
        anchor_v, anchor_g, last_gap, rho, count, restarted = (memory[name] for name in _STATE[12:])
        metric = _metric(pb, rho if precondition else None)
        while True:
            count += 1
            new_v = metric.step(v, slope, tau)
            new_scores = pb.apply(new_v)
            before = balance
            if accelerate:
                balance *= 1 + metric.modulus * tau
            safe = 1 / math.sqrt(balance * metric.squared_norm)
            trial = max(tau * math.sqrt(before / balance * (1 + theta)), safe) if adapt else safe
            while True:
                theta, step = trial / tau, balance * trial
                u = new_scores + theta * (new_scores - scores) + g / step
                new_g = step * (u - pb.prox_loss(u, 1 / step))
                new_slope = pb.adjoint(new_g)
                move, turn = new_g - g, new_slope - slope
                # "Not greater": where squares of the features overflow, all of this is NaN.
                if not trial > safe or step * trial * metric.dual_square(turn) <= dot(move, move) * _SLACK:
                    break
                trial = max(_CUT * trial, safe)
            weight += step
            share = step / weight
            mean_v = mean_v + share * (new_v + theta * (new_v - v) - mean_v)
            mean_scores = mean_scores + share * (new_scores + theta * (new_scores - scores) - mean_scores)
            mean_g = mean_g + share * (new_g - mean_g)
            mean_slope = mean_slope + share * (new_slope - mean_slope)
            v, scores, g, slope, tau = new_v, new_scores, new_g, new_slope, trial
            last = (pb.quadratic(v) + pb.loss(scores), v, pb.minorant(g, slope))
            mean = (pb.quadratic(mean_v) + pb.loss(mean_scores), mean_v, pb.minorant(mean_g, mean_slope))
            bounds = [pb.lower_bound(minorant) for _, _, minorant in (last, mean)]
            gaps = [last[0] - bounds[0], mean[0] - bounds[1]]
            stuck = count - restarted >= max(_LONG, _SHARE * count)
            if adapt and (stuck or min(gaps) <= _REDUCTION * last_gap):
                if gaps[1] < gaps[0]:
                    v, scores, g, slope = mean_v, mean_scores, mean_g, mean_slope
                last_gap, weight, theta, restarted = min(gaps), 0.0, 1.0, count
                factor = _rebalance(metric.square(v - anchor_v), dot(g - anchor_g, g - anchor_g), balance)
                balance, tau = balance * factor, tau / math.sqrt(factor)
                anchor_v, anchor_g = v, g
            means = (mean_v, mean_scores, mean_g, mean_slope, weight)
            now = (
                v,
                scores,
                g,
                slope,
                tau,
                balance,
                theta,
                *means,
                anchor_v,
                anchor_g,
                last_gap,
                rho,
                count,
                restarted,
            )
            memory.update(zip(_STATE, now, strict=True))
            value, candidate = min(last[:2], mean[:2], key=lambda pair: pair[0])
            yield candidate, value, last[2] if bounds[0] >= bounds[1] else mean[2]

    return drive(
        "pdhg",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _rebalance(primal: float, dual: float, balance: float) -> float:
    """Factor for the balance of the steps, towards the ratio of the squared distances travelled."""
    if not (primal > 0 and dual > 0):
        return 1.0
    return (dual / primal / balance) ** _BALANCE


class _Metric(ABC):
    """How primal steps are measured: ‖w‖² in the metric M.

    Attributes
    ----------
    squared_norm : float
        ‖A‖² from this metric to the Euclidean one; 1 for A = 0, where any step will do.
    modulus : float
        Strong convexity of the quadratic in this metric.
    """

    squared_norm: float
    modulus: float

    @abstractmethod
    def step(self, v: Float64s, slope: Float64s, tau: float) -> Float64s:
        """argmin_w μ/2‖w − v₀‖² + ⟨slope, w⟩ + ‖w − v‖²/(2τ)."""

    @abstractmethod
    def square(self, w: Float64s) -> float:
        """‖w‖²."""

    @abstractmethod
    def dual_square(self, slope: Float64s) -> float:
        """The dual norm squared, ⟨slope, M⁻¹ slope⟩."""


class _Euclidean(_Metric):
    def __init__(self, pb: Problem) -> None:
        self._pb = pb
        self.squared_norm = pb.squared_norm or 1.0
        self.modulus = pb.strong_convexity

    def step(self, v: Float64s, slope: Float64s, tau: float) -> Float64s:
        pull = tau * self.modulus
        return (v - tau * slope + pull * self._pb.center) / (1 + pull)

    def square(self, w: Float64s) -> float:
        return dot(w, w)

    def dual_square(self, slope: Float64s) -> float:
        return dot(slope, slope)


class _Ridge(_Metric):
    """M = μI + ρAᵀA."""

    def __init__(self, pb: Problem, rho: float) -> None:
        self._pb, self._rho, self._mu = pb, rho, pb.strong_convexity
        largest = self._mu + rho * pb.squared_norm
        self.squared_norm = pb.squared_norm / largest or 1.0
        self.modulus = self._mu / largest
        self._shift = pb.ridge(rho, pb.center * 0.0)

    def step(self, v: Float64s, slope: Float64s, tau: float) -> Float64s:
        pull = self._mu * (v - self._pb.center) - tau * slope
        return self._pb.ridge(self._rho / (1 + tau), pull / self._rho + self._pb.gram(v))

    def square(self, w: Float64s) -> float:
        return self._mu * dot(w, w) + self._rho * dot(w, self._pb.gram(w))

    def dual_square(self, slope: Float64s) -> float:
        return dot(slope, self._pb.ridge(self._rho, slope / self._rho) - self._shift)


def _metric(pb: Problem, rho: float | None) -> _Metric:
    return _Euclidean(pb) if rho is None else _Ridge(pb, rho)
