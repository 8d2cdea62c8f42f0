"""One exact proximal operator, where that is the whole solution."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import ArrayLike

from ..problems import ImageProx
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result


def prox(
    pb: ImageProx,
    *,
    tol: float = 1e-6,
    max_iter: int = 1,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Solve a proximal problem by its exact prox: one iteration, any accuracy.

    Parameters
    ----------
    pb : ImageProx
        Anything with `solve_exact`.
    tol : float
        The certified gap that counts as optimal, relative to \|value\|; rounding alone limits it.
    max_iter, max_time : int, float
        Limits; one iteration is all there is.
    callback : callable, optional
        Called with a `State` at the start and at the solution.
    x0 : array, optional
        Only where iteration 0 is evaluated; the solution does not depend on it.
    resume : Result, optional
        As for `subgradient`.

    Returns
    -------
    Result

    Raises
    ------
    TypeError
        If the solution of the problem is not a single prox.

    Examples
    --------
    >>> from lovasz_opt import problems, solvers
    >>> r = solvers.prox(problems.ImageProx([26.0, 12.0, 13.0], [1, 0, 1], gamma=12.0))
    >>> r.status
    'optimal'
    """
    require("prox", pb, "solve_exact")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            value, _, minorant = pb.linearise(start)
            memory["started"] = True
            yield start, value, minorant
        solution, s = pb.solve_exact()
        yield solution.ravel(), pb.value(solution), pb.minorant(pb.dual_scores(s))

    return drive(
        "prox", pb, iterates, tol=tol, max_iter=max_iter, max_time=max_time, callback=callback, resume=resume
    )
