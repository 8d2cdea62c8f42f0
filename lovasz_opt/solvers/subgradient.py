"""Subgradient descent with the usual step rules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import as_step
from .._vectors import dot
from ..problems import Problem
from ._driver import Callback, Iterate, LowerBound, drive, starting_point
from ._needs import require
from .result import Result

Rule = Literal["constant", "sqrt", "strong", "polyak"]
Average = Literal["uniform", "weighted"]
_RULES = ("constant", "sqrt", "strong", "polyak")
_AVERAGES = ("uniform", "weighted")


def subgradient(
    pb: Problem,
    step: Rule = "strong",
    step_size: float = 1.0,
    average: Average | None = None,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
) -> Result:
    r"""Subgradient descent, v ← v − α_k g_k with g_k a subgradient at v.

    Parameters
    ----------
    pb : Problem
        Anything with `linearise`.
    step : {"constant", "sqrt", "strong", "polyak"}
        With η = `step_size` and μ the strong convexity: α_k = η; η/√k; η/(μk); or Polyak's
        η (P(v) − D)/‖g‖², in which D is the certified lower bound known so far, since the optimum is not.
    step_size : float
        η > 0.
    average : {None, "uniform", "weighted"}
        Candidates to report: the iterates, their uniform mean, or their mean with weights k (made for
        "strong" with η = 2). Averages cost one more value an iteration.
    tol : float
        Stop when the certified gap is at most tol·\|value\|, or 1e-14.
    max_iter, max_time : int, float
        Limits in iterations and in seconds.
    callback : callable, optional
        Called with a `State` after each iteration; returning True stops.
    x0 : array, optional
        Start; by default the minimiser of the quadratic.

    Returns
    -------
    Result
        x is the best candidate. The dual bound is the best over segments of the subgradients' minorants.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    References
    ----------
    S. Lacoste-Julien, M. Schmidt, F. Bach, "A simpler approach to obtaining an O(1/t) convergence rate for
    the projected stochastic subgradient method", 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> pb = problems.ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0)
    >>> r = solvers.subgradient(pb, "strong", max_iter=200)
    >>> bool(0 <= r.gap < 1e-2 * r.value)
    True
    """
    require("subgradient", pb, "linearise")
    if step not in _RULES:
        raise ValueError(f"step is {step!r}; choose one of {', '.join(_RULES)}")
    if average is not None and average not in _AVERAGES:
        raise ValueError(f"average is {average!r}; choose None, {' or '.join(_AVERAGES)}")
    eta = as_step(step_size, "step_size")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound) -> Iterator[Iterate]:
        x = mean = start
        k = 0
        while True:
            k += 1
            value, g, minorant = pb.linearise(x)
            if average is None or k == 1:
                yield x, value, minorant
            else:
                mean = mean + (x - mean) * (1 / k if average == "uniform" else 2 / (k + 1))
                yield mean, pb.value(mean), minorant
            norm2 = dot(g, g)
            if norm2 == 0 or not math.isfinite(norm2):
                return
            if step == "constant":
                alpha = eta
            elif step == "sqrt":
                alpha = eta / math.sqrt(k)
            elif step == "strong":
                alpha = eta / (pb.strong_convexity * k)
            else:
                alpha = eta * max(value - bound.value, 0.0) / norm2
            x = np.subtract(x, alpha * g)

    return drive(
        "subgradient", pb, iterates, tol=tol, max_iter=max_iter, max_time=max_time, callback=callback
    )
