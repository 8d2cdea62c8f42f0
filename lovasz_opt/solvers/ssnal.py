"""The semismooth Newton augmented Lagrangian method: second order, with the explicit Jacobian of the prox."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve

from .._validation import Float64s, as_step
from .._vectors import dot
from ..problems import LinearHingeRisk
from ..problems._newton import NewtonSystem
from ._bracket import Bracket
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
_STATE = ("v", "slope", "penalty", "steps", "least", "stale")


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
        Or anything else with a `newton_system`.
    sigma : float, optional
        First penalty of the augmented Lagrangian; by default the size of a subgradient of ℓ at the start,
        per unit of margin. It grows while Newton's method finds the inner problems easy.
    tol, max_time, callback, x0, resume
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
    require("ssnal", pb, "newton_system")
    fixed = None if sigma is None else as_step(sigma, "sigma")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        system = pb.newton_system()
        if "multiplier" not in memory:
            # Without a multiplier, as of a run whose pixels were elsewhere, only the point is taken up again.
            v = memory.get("v", start)
            loss, minorant, square, pixels = system.begin(v)
            penalty = fixed or math.sqrt(square / max(pixels, 1)) or 1.0
            steps, least, stale = 0, math.inf, 0
            if not memory:
                memory.update(v=v)
                yield v, pb.quadratic(v) + loss, minorant
            slope = system.turn(penalty)
        else:
            v, slope, penalty, steps, least, stale = (memory[name] for name in _STATE)
            system.restore(memory, penalty)
        while True:
            step = _newton_step(pb, system, v, slope, penalty)
            v = step.v
            loss, minorant = system.settle()
            slope = minorant.slope
            value = pb.quadratic(v) + loss
            residual = pb.strong_convexity * (v - pb.center) + slope
            newton_part = dot(residual, residual) / (2 * pb.strong_convexity)
            gap = value - pb.lower_bound(minorant)
            steps += 1
            inner_done = (
                not step.moved or newton_part <= _INNER * (gap - newton_part) or steps >= _INNER_STEPS
            )
            if inner_done:
                least, stale = (gap, 0) if gap < 0.9 * least else (least, stale + 1)
                # Few Newton steps: a larger penalty saves multipliers. Many: the problem is hard enough.
                penalty *= 3.0 if steps <= 3 else 1.5 if steps <= 6 else 1.0
                steps = 0
                slope = system.turn(penalty)
            memory.update(zip(_STATE, (v, slope, penalty, steps, least, stale), strict=True))
            memory.update(system.memory())
            yield v, value, minorant
            if stale >= _PATIENCE:
                return

    return drive(
        "ssnal",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


class _Step(NamedTuple):
    """Where a Newton step led, and whether that is elsewhere."""

    v: Float64s
    moved: bool


def _newton_step(
    pb: LinearHingeRisk, system: NewtonSystem, v: Float64s, slope: Float64s, penalty: float
) -> _Step:
    """Go along the Newton direction to where the slope of φ is a fraction of what it was; φ is convex.

    A slope costs a prox and no product with A.
    """
    gradient = pb.strong_convexity * (v - pb.center) + slope
    direction = _solve(system.matrix(penalty), pb.strong_convexity, -gradient)
    descent = dot(gradient, direction)
    bracket, step = Bracket(descent), 1.0
    along = system.aim(direction, penalty)
    for _ in range(_TRIALS):
        here = along + pb.strong_convexity * dot(v + step * direction - pb.center, direction)
        if abs(here) <= _CURVATURE * abs(descent):
            break
        step = bracket.narrow(step, here)
        along = system.trial(step, penalty)
    moved = v + step * direction
    return _Step(moved, bool(np.any(moved != v)))


def _solve(matrix: Float64s, ridge: float, target: Float64s) -> Float64s:
    """(matrix + ridge·I)⁻¹ target for a matrix that is positive semidefinite up to rounding.

    Where the ridge is lost in that rounding, a larger one takes its place: the direction remains one of
    descent, and the line search and the certificate do not depend on how exact it is.
    """
    if not np.isfinite(matrix).all():
        # It has overflowed: there is no direction to go.
        return np.zeros_like(target)
    diagonal = np.diag_indices_from(matrix)
    size = float(matrix[diagonal].max())
    while True:
        shifted = matrix.copy()
        shifted[diagonal] += ridge
        try:
            return np.asarray(cho_solve(cho_factor(shifted, lower=True, check_finite=False), target))
        except np.linalg.LinAlgError:
            ridge = max(100.0 * ridge, np.finfo(np.float64).eps * size)
