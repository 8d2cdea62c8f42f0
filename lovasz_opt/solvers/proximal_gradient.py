"""Proximal gradient: a gradient step on the quadratic, then the prox of the loss."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._validation import as_step
from ..problems import ImageProx
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result


def proximal_gradient(
    pb: ImageProx,
    step_size: float = 0.5,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Proximal gradient, v ← prox_{τℓ/μ}(v − τ(v − v₀)): errors shrink by |1 − τ| an iteration.

    Parameters
    ----------
    pb : ImageProx
        Anything with `prox`: the loss in the variable itself must have an exact prox.
    step_size : float
        τ in (0, 2), in units of 1/μ. At τ = 1 the first iteration is the exact solution, for any start.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`.

    Returns
    -------
    Result
        The dual vector is the residual of the prox divided by its step.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks the prox, or an argument is out of range.

    Examples
    --------
    >>> from lovasz_opt import problems, solvers
    >>> pb = problems.ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0)
    >>> r = solvers.proximal_gradient(pb, tol=1e-9, x0=[0.0, 0.0, 0.0])
    >>> r.status
    'optimal'
    """
    require("proximal_gradient", pb, "prox")
    tau = as_step(step_size, "step_size")
    if tau >= 2:
        raise ValueError(f"step_size is {step_size}; it must be below 2 for convergence")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            value, _, minorant = pb.linearise(start)
            memory["x"] = start
            yield start, value, minorant
        x, step = memory["x"], tau / pb.strong_convexity
        while True:
            moved = x - tau * (x - pb.center)
            x = memory["x"] = pb.prox(moved, step)
            yield x, pb.value(x), pb.minorant(pb.apply(moved - x) / step)

    return drive(
        "proximal_gradient",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )
