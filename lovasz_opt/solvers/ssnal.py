"""The semismooth Newton augmented Lagrangian method: second order, with the explicit Jacobian of the prox."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, as_step
from .._vectors import dot, norm
from ..problems import LinearHingeRisk
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: The line search ends where the slope is this fraction of the first, or after so many trials.
_CURVATURE, _TRIALS = 0.4, 25
#: The inner problem is left when its part of the gap is this fraction of the rest.
_INNER = 0.3
_INNER_STEPS = 50
#: Multiplier updates without any progress of the gap before the method gives up.
_PATIENCE = 8


def ssnal(
    pb: LinearHingeRisk,
    sigma: float | None = None,
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Semismooth Newton augmented Lagrangian method on min μ/2‖v − v₀‖² + ℓ(F) subject to F = Av.

    Parameters
    ----------
    pb : LinearHingeRisk
        Or anything else with its `prox_loss_pools` and `newton_matrix`.
    sigma : float, optional
        First penalty of the augmented Lagrangian; by default the size of a subgradient of ℓ at the start,
        per unit of margin. It grows while Newton's method finds the inner problems easy.
    tol, max_time, callback, x0
        As for `subgradient`.
    max_iter : int
        Limit on Newton steps.

    Returns
    -------
    Result
        nit counts Newton steps. The status is "finished" where rounding lets the gap get no smaller.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    With the multiplier g and u = Av + g/σ, minimising the augmented Lagrangian over F leaves the smooth
    function φ(v) = μ/2‖v − v₀‖² + e(u), e the Moreau envelope of ℓ with step 1/σ. Its gradient
    μ(v − v₀) + Aᵀg⁺, g⁺ = σ(u − prox(u)), has the generalised Jacobian μI + σAᵀ(I − J)A, J the Jacobian of
    the prox; I − J is 0 but on pixels in pools of two or more and on pixels held at margin 0. The new
    multiplier g⁺ is dual feasible in every step, and the certified gap is
    ‖∇φ(v)‖²/(2μ) + ℓ(Av) − ℓ(F) − ⟨g⁺, Av − F⟩: Newton's method works on the first part until it is a
    fraction of the second, which the next multiplier reduces. A step costs two products with A, a few proxes,
    a value, and k·d² operations for k such pixels and d variables.

    References
    ----------
    X. Li, D. Sun, K.-C. Toh, "A highly efficient semismooth Newton augmented Lagrangian method for solving
    lasso problems", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> solvers.ssnal(pb, tol=1e-10).status
    'optimal'
    """
    from scipy.linalg import cho_factor, cho_solve

    require("ssnal", pb, "prox_loss_pools", "newton_matrix")
    fixed = None if sigma is None else as_step(sigma, "sigma")
    start = starting_point(pb, x0)
    mu = pb.strong_convexity

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        v = start
        value, _, minorant = pb.linearise(v)
        yield v, value, minorant
        scores = pb.apply(v)
        g = pb.loss_and_subgradient(scores)[1]
        penalty = fixed or norm(g) / math.sqrt(max(g.size, 1)) or 1.0
        least, stale = math.inf, 0
        while True:
            # The multiplier of this inner problem is fixed; `inner` is the state of the smooth φ at v.
            multiplier = g
            inner = _Envelope(pb, v, scores, multiplier, penalty)
            for steps in range(1, _INNER_STEPS + 1):  # noqa: B007
                matrix = pb.newton_matrix(inner.pools, penalty)
                direction = cho_solve(cho_factor(matrix, lower=True, check_finite=False), -inner.gradient)
                inner, moved = _line_search(pb, inner, multiplier, penalty, direction)
                value = pb.quadratic(inner.v) + pb.loss(inner.scores)
                yield inner.v, value, pb.minorant(inner.g, inner.slope)
                newton_part = dot(inner.gradient, inner.gradient) / (2 * mu)
                rest = value - pb.lower_bound(pb.minorant(inner.g, inner.slope)) - newton_part
                if not moved or newton_part <= _INNER * rest:
                    break
            v, scores, g = inner.v, inner.scores, inner.g
            gap = newton_part + rest
            least, stale = (gap, 0) if gap < 0.9 * least else (least, stale + 1)
            if stale >= _PATIENCE:
                return
            # Few Newton steps: a larger penalty saves multipliers. Many: the inner problem is hard enough.
            penalty *= 3.0 if steps <= 3 else 1.5 if steps <= 6 else 1.0

    return drive("ssnal", pb, iterates, tol=tol, max_iter=max_iter, max_time=max_time, callback=callback)


class _Envelope:
    """φ, its gradient and what its Jacobian needs, at one v."""

    def __init__(
        self, pb: LinearHingeRisk, v: Float64s, scores: Float64s, multiplier: Float64s, penalty: float
    ) -> None:
        shifted = scores + multiplier / penalty
        F, self.pools = pb.prox_loss_pools(shifted, 1 / penalty)
        self.v = v
        self.scores = scores
        self.g = penalty * (shifted - F)
        self._pb = pb

    @cached_property
    def slope(self) -> Float64s:
        """Aᵀg; the line search looks at the value alone."""
        return self._pb.adjoint(self.g)

    @cached_property
    def gradient(self) -> Float64s:
        return self._pb.strong_convexity * (self.v - self._pb.center) + self.slope


def _line_search(
    pb: LinearHingeRisk, here: _Envelope, multiplier: Float64s, penalty: float, direction: Float64s
) -> tuple[_Envelope, bool]:
    """Go along the Newton step to where the slope of φ is a fraction of what it was; φ is convex.

    The slope costs a prox and no product with A. The flag says whether v has moved.
    """
    along = pb.apply(direction)
    descent = dot(here.gradient, direction)
    low, low_slope, high, high_slope = 0.0, descent, math.inf, math.inf
    step = 1.0
    there = here
    for _ in range(_TRIALS):
        there = _Envelope(pb, here.v + step * direction, here.scores + step * along, multiplier, penalty)
        slope = pb.strong_convexity * dot(there.v - pb.center, direction) + dot(there.g, along)
        if abs(slope) <= _CURVATURE * abs(descent):
            break
        if slope > 0:
            high, high_slope = step, slope
        else:
            low, low_slope = step, slope
        if high == math.inf:
            step *= 2.0
        else:
            # The zero of the secant, kept away from the ends.
            share = low_slope / (low_slope - high_slope)
            step = low + min(max(share, 0.1), 0.9) * (high - low)
    return there, bool(np.any(there.v != here.v))
