"""Accelerated proximal gradient on the dual."""

from __future__ import annotations

import math
from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._vectors import dot
from ..problems import Problem
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: Growth of the step tried in every iteration, and its cut where the trial fails.
_GROW, _CUT = 1.25, 0.5
#: Slack for rounding in the test of a step.
_SLACK = 1 + 1e-12
_STATE = ("g", "slope", "scores", "last_g", "last_slope", "last_scores", "step", "momentum")


def fista(
    pb: Problem,
    backtracking: bool = True,
    restart: bool = True,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""FISTA on the dual: a smooth quadratic, and the prox of the conjugate loss for each image.

    .. math:: \min_g \frac{1}{2\mu}\|A^\top g\|^2 - \langle g, Av_0\rangle + \ell^*(g),
              \qquad v(g) = v_0 - \frac1\mu A^\top g

    An iteration is g ← prox_{σℓ*}(z + σ A v(z)) at the extrapolated z. By Moreau's identity that is
    σ(u − prox_{ℓ/σ}(u)) with u = A v(z) + z/σ, so that g is feasible for the dual in every iteration.

    Parameters
    ----------
    pb : Problem
        Anything with `prox_loss`.
    backtracking : bool
        Try steps longer than μ/‖A‖², the one that is safe for all directions, and keep those for which the
        quadratic model holds along the step taken.
    restart : bool
        Drop the momentum where it points uphill.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`. The dual starts at a subgradient of ℓ at the scores of x0.

    Returns
    -------
    Result
        x is the best v(g).

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    An iteration costs one product with A, one prox and one value; one product with Aᵀ and one prox for each
    step tried. The dual objective falls by O(1/k²), with constants that grow as ‖A‖²/μ: for a small μ the
    methods that can solve ridge systems are faster by far. Where ℓ itself has a prox in the variable,
    `proximal_gradient` needs no dual.

    References
    ----------
    A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems",
    2009; B. O'Donoghue, E. Candès, "Adaptive restart for accelerated gradient schemes", 2015; K. Scheinberg,
    D. Goldfarb, X. Bai, "Fast first-order methods for composite convex optimization with backtracking", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> solvers.fista(pb, tol=1e-9).status
    'optimal'
    """
    require("fista", pb, "loss_and_subgradient", "prox_loss", "squared_norm")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        safe = pb.strong_convexity / (pb.squared_norm or 1.0)
        if not memory:
            loss, g = pb.loss_and_subgradient(pb.apply(start))
            slope = pb.adjoint(g)
            minorant = pb.minorant(g, slope)
            scores = pb.apply(pb.minimiser_of_bound(minorant))
            memory.update(zip(_STATE, (g, slope, scores, g, slope, scores, safe, 1.0), strict=True))
            yield start, pb.quadratic(start) + loss, minorant
        g, slope, scores, last_g, last_slope, last_scores, step, momentum = (memory[name] for name in _STATE)
        while True:
            trial = _GROW * step if backtracking else step
            while True:
                # Steps of different lengths: the momentum must shrink where the step grows.
                grown = (1 + math.sqrt(1 + 4 * (step / trial) * momentum**2)) / 2
                beta = (momentum - 1) / grown
                z = g + beta * (g - last_g)
                u = scores + beta * (scores - last_scores) + z / trial
                new = trial * (u - pb.prox_loss(u, 1 / trial))
                new_slope = pb.adjoint(new)
                move, turn = new - z, new_slope - slope - beta * (slope - last_slope)
                curved = trial * dot(turn, turn) > pb.strong_convexity * dot(move, move) * _SLACK
                if not curved or trial <= safe:
                    break
                trial = max(_CUT * trial, safe)
            step, momentum = trial, grown
            uphill = dot(move, new - g) < 0
            minorant = pb.minorant(new, new_slope)
            v = pb.minimiser_of_bound(minorant)
            last_g, last_slope, last_scores = g, slope, scores
            g, slope, scores = new, new_slope, pb.apply(v)
            if restart and uphill:
                momentum = 1.0
            now = (g, slope, scores, last_g, last_slope, last_scores, step, momentum)
            memory.update(zip(_STATE, now, strict=True))
            yield v, pb.quadratic(v) + pb.loss(scores), minorant

    return drive(
        "fista",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )
