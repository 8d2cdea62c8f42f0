"""Subgradient descent with the usual step rules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import as_step
from .._vectors import dot
from ..problems import LovaszSoftmaxRisk, Problem
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

Rule = Literal["constant", "sqrt", "strong", "polyak", "normalised"]
Average = Literal["uniform", "weighted"]
_RULES = ("constant", "sqrt", "strong", "polyak", "normalised")
_AVERAGES = ("uniform", "weighted")


def subgradient(
    pb: Problem | LovaszSoftmaxRisk,
    step: Rule | None = None,
    step_size: float = 1.0,
    average: Average | None = None,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Subgradient descent, v ← v − α_k g_k with g_k a subgradient at v.

    Parameters
    ----------
    pb : Problem or LovaszSoftmaxRisk
        Anything with `linearise`. It need not be convex: where it yields no minorants, the lower bound is the
        one that the problem knows.
    step : {"constant", "sqrt", "strong", "polyak", "normalised"}, optional
        With η = `step_size` and μ the strong convexity: α_k = η; η/√k; η/(μk); Polyak's η (P(v) − D)/‖g‖², in
        which D is the certified lower bound known so far, since the optimum is not; or η/(√k ‖g‖), which
        moves by η/√k whatever the scale of the objective. By default "strong", which the problem must be,
        and "normalised" where it is not.
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
    resume : Result, optional
        Outcome of an earlier call on the same problem, from which to go on: the same iterates, trace and
        bound as one long run. `max_iter` counts the iterations of both, `max_time` the seconds of this call.

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
    require("subgradient", pb, "linearise", convex=False)
    if step is None:
        step = "strong" if hasattr(pb, "strong_convexity") else "normalised"
    if step not in _RULES:
        raise ValueError(f"step is {step!r}; choose one of {', '.join(_RULES)}")
    if average is not None and average not in _AVERAGES:
        raise ValueError(f"average is {average!r}; choose None, {' or '.join(_AVERAGES)}")
    if step == "strong":
        require("subgradient with step 'strong'", pb, "strong_convexity", convex=False)
        modulus = pb.strong_convexity  # type: ignore[union-attr]
    eta = as_step(step_size, "step_size")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            value, g, minorant = pb.linearise(start)
            memory.update(x=start, mean=start, g=g, value=value, k=1)
            yield start, value, minorant
        x, mean, g, value, k = (memory[name] for name in ("x", "mean", "g", "value", "k"))
        while True:
            norm2 = dot(g, g)
            if norm2 == 0 or not math.isfinite(norm2):
                return
            if step == "constant":
                alpha = eta
            elif step == "sqrt":
                alpha = eta / math.sqrt(k)
            elif step == "strong":
                alpha = eta / (modulus * k)
            elif step == "normalised":
                alpha = eta / math.sqrt(k * norm2)
            else:
                alpha = eta * (value - bound.value) / norm2
            x = np.subtract(x, alpha * g)
            k += 1
            value, g, minorant = pb.linearise(x)
            if average is not None:
                mean = mean + (x - mean) * (1 / k if average == "uniform" else 2 / (k + 1))
            memory.update(x=x, mean=mean, g=g, value=value, k=k)
            if average is None:
                yield x, value, minorant
            else:
                yield mean, pb.value(mean), minorant

    return drive(
        "subgradient",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )
