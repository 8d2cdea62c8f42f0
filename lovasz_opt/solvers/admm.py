"""The alternating direction method of multipliers with the exact prox."""

from __future__ import annotations

import math
from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._validation import as_number, as_step
from .._vectors import norm
from ..problems import Problem
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: One change of ρ is at most by this factor.
_BALANCE = 5.0
_TINY = 1e-300
_STATE = ("penalty", "F", "y", "adjoint_F", "adjoint_y", "iteration", "next_change")


def admm(
    pb: Problem,
    rho: float | None = None,
    adapt: bool = True,
    over_relaxation: float = 1.6,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""ADMM on min μ/2‖v − v₀‖² + ℓ(F) subject to F = Av: a ridge step, then one exact prox per image.

    Parameters
    ----------
    pb : Problem
        Anything with `ridge` and `prox_loss`.
    rho : float, optional
        Penalty; by default the size of a subgradient of ℓ at the start, per unit of margin.
    adapt : bool
        Balance the relative primal and dual residuals by changing ρ, in iterations ever further apart.
    over_relaxation : float
        In (0, 2); 1 is plain ADMM.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`.

    Returns
    -------
    Result
        x is the best ridge step. The dual vector is the residual of the prox, feasible in every iteration.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    With the eigenvectors of AᵀA computed once, a change of ρ is free. An iteration costs one product with A,
    one with Aᵀ, one prox and one value per image; the value is there for the certificate.

    References
    ----------
    S. Boyd et al., "Distributed optimization and statistical learning via the alternating direction method of
    multipliers", 2011; B. Wohlberg, "ADMM penalty parameter selection by residual balancing", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.admm(pb, tol=1e-9)
    >>> r.status
    'optimal'
    """
    require("admm", pb, "ridge", "prox_loss")
    over_relaxation = as_number(over_relaxation, "over_relaxation")
    if not 0 < over_relaxation < 2:
        raise ValueError(f"over_relaxation is {over_relaxation}; it must lie strictly between 0 and 2")
    fixed = None if rho is None else as_step(rho, "rho")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            F = pb.apply(start)
            loss, g = pb.loss_and_subgradient(F)
            slope = pb.adjoint(g)
            # Both 1 per margin and ‖g‖ are natural units, so their ratio is a scale-free first guess.
            penalty = fixed or norm(g) / max(F.size, 1) ** 0.5 or 1.0
            # y is the scaled multiplier: penalty·y is a subgradient of the loss at F.
            memory.update(
                penalty=penalty,
                F=F,
                y=g / penalty,
                adjoint_F=pb.gram(start),
                adjoint_y=slope / penalty,
                iteration=0,
                next_change=1,
            )
            yield start, pb.quadratic(start) + loss, pb.minorant(g, slope)
        penalty, F, y, adjoint_F, adjoint_y, iteration, next_change = (memory[name] for name in _STATE)
        while True:
            iteration += 1
            v = pb.ridge(penalty, adjoint_F - adjoint_y)
            scores = pb.apply(v)
            mixed = over_relaxation * scores + (1 - over_relaxation) * F
            shifted = mixed + y
            F_new = pb.prox_loss(shifted, 1 / penalty)
            y = shifted - F_new
            previous_y, adjoint_y = adjoint_y, pb.adjoint(y)
            # Aᵀ of F_new = mixed + y_old − y_new, without another product with the features.
            adjoint_F = (
                over_relaxation * pb.gram(v) + (1 - over_relaxation) * adjoint_F + previous_y - adjoint_y
            )
            value = pb.quadratic(v) + pb.loss(scores)
            minorant = pb.minorant(penalty * y, penalty * adjoint_y)
            if adapt and iteration == next_change:
                size = max(norm(scores), norm(F_new), _TINY)
                factor = _balance(norm(scores - F_new) / size, norm(F_new - F) / max(norm(y), _TINY))
                penalty, y, adjoint_y = penalty * factor, y / factor, adjoint_y / factor
                # Ever rarer, else convergence is not assured.
                next_change += 1 + next_change // 2
            F = F_new
            now = (penalty, F, y, adjoint_F, adjoint_y, iteration, next_change)
            memory.update(zip(_STATE, now, strict=True))
            yield v, value, minorant

    return drive(
        "admm",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _balance(primal: float, dual: float) -> float:
    """Factor for ρ that brings relative residuals together: their root, at most `_BALANCE` either way."""
    if primal <= 0 or dual <= 0:
        return 1.0
    factor = math.sqrt(primal / dual)
    return min(max(factor, 1 / _BALANCE), _BALANCE)
