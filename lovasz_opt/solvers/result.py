"""What every solver returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._validation import Float64s

#: Columns of a trace, one row per iteration.
TRACE_COLUMNS = ("iteration", "seconds", "value", "best", "dual", "gap")


@dataclass(frozen=True)
class State:
    """What a callback sees after each iteration.

    Attributes
    ----------
    iteration : int
        0 at the starting point.
    seconds : float
        Since the start, callbacks excluded.
    x : (n,) ndarray
        The current candidate, read-only.
    value, best, dual, gap : float
        Objective at x, best objective so far, best lower bound so far, and best − dual.
    """

    iteration: int
    seconds: float
    x: Float64s
    value: float
    best: float
    dual: float
    gap: float

    @property
    def relative_gap(self) -> float:
        """The certified gap in units of the best objective: what `tol` is compared with."""
        return self.gap / abs(self.best) if self.best else self.gap


@dataclass(frozen=True)
class Result:
    """Outcome of a solver.

    Attributes
    ----------
    x : ndarray
        The best point found, of the problem's shape.
    value : float
        Objective at x.
    dual : float
        Best certified lower bound of the optimal value.
    gap : float
        value − dual ≥ 0; the optimal value lies in [dual, value].
    status : str
        "optimal" (gap within `tol`), "max_iter", "max_time", "stopped" (by the callback), "interrupted",
        "diverged", or "finished" (the method has no further iteration).
    message : str
        The same in a sentence.
    nit : int
        Iterations done; the starting point is iteration 0.
    trace : dict of str to (nit + 1,) ndarray
        Columns iteration, seconds, value (of this iteration's candidate), best, dual, gap.
    method : str
        Name of the method.

    Examples
    --------
    >>> from lovasz_opt import problems, solvers
    >>> r = solvers.prox(problems.ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0))
    >>> r.status, r.nit, bool(r.gap <= 1e-14)
    ('optimal', 1, True)
    """

    x: Float64s
    value: float
    dual: float
    gap: float
    status: str
    message: str
    nit: int
    trace: dict[str, Float64s] = field(repr=False)
    method: str

    @property
    def relative_gap(self) -> float:
        """The certified gap in units of the value: what `tol` is compared with."""
        return self.gap / abs(self.value) if self.value else self.gap

    @property
    def success(self) -> bool:
        """Whether the certified gap is within the tolerance asked for."""
        return self.status == "optimal"
