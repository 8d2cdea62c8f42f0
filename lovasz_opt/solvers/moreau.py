"""Accelerated gradient on the Moreau envelope of the loss: Nesterov's smoothing with the exact prox."""

from __future__ import annotations

import math
from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._validation import Float64s, as_step
from .._vectors import dot, norm
from ..problems import Problem
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: The first smoothing error is about this fraction of the objective at the start.
_FIRST = 1e-2
#: γ shrinks by this factor when the rest of the gap is this multiple of the smoothing error.
_SHRINK, _SOLVED = 4.0, 1.0
#: Decay of the curvature tried in every iteration, and its growth where the trial fails.
_DECAY, _GROW = 0.8, 2.0
#: γ stays so large that the prox moves the scores by this fraction at least: g is their difference.
_RESOLUTION = 1e-10
#: The least curvature tried, in units of the one that is safe everywhere.
_LEAST = 1e-8
_STATE = ("v", "scores", "last_v", "last_scores", "gamma", "curvature", "momentum")


def moreau(
    pb: Problem,
    gamma: float | None = None,
    precondition: bool = True,
    continuation: bool = True,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Accelerated gradient on the smoothed objective, with the smoothing taken back step by step.

    .. math:: \varphi_\gamma(v) = \frac\mu2\|v - v_0\|^2 + e_\gamma(Av), \qquad
              \nabla e_\gamma(F) = \frac{F - \mathrm{prox}_{\gamma\ell}(F)}{\gamma} = g

    Parameters
    ----------
    pb : Problem
        Anything with `prox_loss` and `ridge`.
    gamma : float, optional
        First (or only) step of the envelope; by default, the error of smoothing is about a hundredth of P at
        the start.
    precondition : bool
        Bound the envelope from above by curvature/(2γ) ‖A(w − v)‖², so that a step is a ridge system, in
        place of curvature ‖A‖²/(2γ) ‖w − v‖².
    continuation : bool
        Decrease γ as soon as the smoothed problem is solved to within the error of smoothing. Otherwise the
        minimiser of φ_γ is what can be found.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`.

    Returns
    -------
    Result
        x is the best iterate. The dual vector is the residual g of the prox.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    A step minimises the quadratic, which stays as it is, plus the model of the envelope around the
    extrapolated point; the curvature in (0, 1] is found by backtracking. 1 is always enough, and much less is
    as a rule: the prox moves most pixels as a shift, along which the envelope is linear. Momentum is bounded
    as the strong convexity of the quadratic allows, and dropped where it points uphill. The certified gap is
    that of the smoothed problem plus ℓ(F) − ℓ(prox) − ⟨g, F − prox⟩, the error of smoothing; comparing them
    decides when γ shrinks. An iteration costs one product with Aᵀ, one prox and one value; one product with A
    and one prox for each curvature tried. To reach a gap ε takes O(1/√(με)) steps.

    References
    ----------
    Y. Nesterov, "Smooth minimization of non-smooth functions", 2005; A. Beck, M. Teboulle, "Smoothing and
    first order methods: a unified framework", 2012; A. Chambolle, T. Pock, "An introduction to continuous
    optimization for imaging", 2016; B. O'Donoghue, E. Candès, "Adaptive restart for
    accelerated gradient schemes", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> solvers.moreau(pb, tol=1e-4).status
    'optimal'
    """
    require("moreau", pb, "loss_and_subgradient", "prox_loss", "squared_norm", "ridge")
    fixed = None if gamma is None else as_step(gamma, "gamma")
    start = starting_point(pb, x0)

    def envelope(scores: Float64s, gamma: float) -> tuple[float, Float64s, float]:
        """e_γ, its gradient g, and what ℓ(prox) + ⟨g, F − prox⟩ is."""
        F = pb.prox_loss(scores, gamma)
        g = (scores - F) / gamma
        loss, square = pb.support(g, F), gamma * dot(g, g)
        return loss + 0.5 * square, g, loss + square

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            scores = pb.apply(start)
            loss, g = pb.loss_and_subgradient(scores)
            value, square = pb.quadratic(start) + loss, dot(g, g)
            # ℓ − e_γ ≤ γ/2 ‖g‖².
            first = fixed or (2 * _FIRST * value / square if square > 0 else 1.0)
            now = (start, scores, start, scores, first, 1.0, 1.0)
            memory.update(zip(_STATE, now, strict=True))
            yield start, value, pb.minorant(g)
        v, scores, last_v, last_scores, gamma, curvature, momentum = (memory[name] for name in _STATE)
        while True:
            # Strong convexity of the quadratic in the metric of the steps: it bounds the momentum.
            strong = pb.strong_convexity * gamma / (curvature * (pb.squared_norm or 1.0))
            lost = 1 - strong / (1 + strong) * momentum**2
            grown = (lost + math.sqrt(lost**2 + 4 * momentum**2)) / 2
            beta = (momentum - 1) / grown * (1 + strong - grown * strong)
            y, at = v + beta * (v - last_v), scores + beta * (scores - last_scores)
            smooth, g, _ = envelope(at, gamma)
            slope = pb.adjoint(g)
            curvature = max(_DECAY * curvature, _LEAST)
            while True:
                new_v = _step(pb, y, slope, curvature / gamma, precondition)
                new_scores = pb.apply(new_v)
                new_smooth, new_g, support = envelope(new_scores, gamma)
                change, move = new_scores - at, new_v - y
                square = dot(change, change) if precondition else pb.squared_norm * dot(move, move)
                allowed = 0.5 * curvature / gamma * square
                # The second says the same of a convex function, and more reliably for short steps.
                if (
                    curvature >= 1
                    or new_smooth - smooth - dot(g, change) <= allowed
                    or dot(new_g - g, change) <= allowed
                ):
                    break
                curvature = min(_GROW * curvature, 1.0)
            loss = pb.loss(new_scores)
            value, error = pb.quadratic(new_v) + loss, loss - support
            ahead = new_v - v
            pull = dot(pb.gram(move), ahead) if precondition else dot(move, ahead)
            momentum = 1.0 if pull < 0 else grown
            last_v, last_scores, v, scores = v, scores, new_v, new_scores
            minorant = pb.minorant(g, slope)
            if (
                continuation
                and value - bound.value <= (1 + _SOLVED) * error
                and gamma * norm(new_g) > _SHRINK * _RESOLUTION * norm(scores)
            ):
                gamma, momentum = gamma / _SHRINK, 1.0
            now = (v, scores, last_v, last_scores, gamma, curvature, momentum)
            memory.update(zip(_STATE, now, strict=True))
            yield v, value, minorant

    return drive(
        "moreau",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _step(pb: Problem, y: Float64s, slope: Float64s, penalty: float, precondition: bool) -> Float64s:
    """argmin_v μ/2‖v − v₀‖² + ⟨slope, v − y⟩ + penalty/2 times ‖A(v − y)‖² or ‖A‖²‖v − y‖²."""
    if precondition:
        return pb.ridge(penalty, pb.gram(y) - slope / penalty)
    bound = penalty * pb.squared_norm
    return (bound * y - slope + pb.strong_convexity * pb.center) / (bound + pb.strong_convexity)
