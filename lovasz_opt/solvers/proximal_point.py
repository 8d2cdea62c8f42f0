"""Stochastic proximal point: implicit steps on minibatches of images, each solved to a certified gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, as_step
from .._vectors import dot
from ..problems import LinearHingeRisk, Minorant, Problem
from ._cuts import Cuts
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._minibatch import Average, Mean, Minibatches, Rule, Steps, evaluated, given_step, random_generator
from ._needs import require
from .result import Result, State
from .ssnal import ssnal

Inner = Literal["cuts", "newton"]
#: The first step, in units of Polyak's step for an optimal value of 0.
_LONGER = 10.0
#: Cuts of a step before Newton's method takes over.
_MOST_CUTS = 100
#: Share of the terms of the certified gap of a step that is rounding.
_ROUNDING = 1e-14
_STATE = ("v", "mean", "alpha", "k", "random")


def stochastic_proximal_point(
    pb: LinearHingeRisk,
    step: Rule = "sqrt",
    step_size: float | None = None,
    batch: int | None = 1,
    average: Average | None = None,
    accuracy: float = 0.1,
    inner: Inner = "cuts",
    seed: int = 0,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Stochastic proximal point method, v ← argmin_v μ/2‖v − v₀‖² + L_S(v) + ‖v − v_k‖²/(2α_k).

    L_S is the mean loss of a minibatch S of images.

    Parameters
    ----------
    pb : LinearHingeRisk
        Or anything else with the `batch` of a few of its `n_images` images around another center.
    step : {"constant", "sqrt", "inverse"}
        α_k = α, α/√k or α/k, k = 1, 2, … counting minibatches.
    step_size : float, optional
        α > 0; by default 10·P/‖g‖² at the start, g a subgradient of P there: ten times Polyak's step for an
        optimal value of 0, too long for an explicit method. α = 1/μ with "inverse" is the rule for strongly
        convex objectives.
    batch : int, optional
        Images a minibatch; None for all of them. Every epoch reshuffles the images and goes through all.
    average : {None, "uniform", "weighted"}
        Candidates to report: the iterates, their mean over all steps, or that mean with weights k.
    accuracy : float
        δ > 0: a step is solved until its error is certified to be at most δ times its length.
    inner : {"cuts", "newton"}
        Solver of a step: cutting planes, or `ssnal`, which pays off for long steps on dozens of images.
    seed : int
        Of the order of the images, ≥ 0.
    tol, max_time, callback, x0, resume
        As for `subgradient`.
    max_iter : int
        Limit in epochs.

    Returns
    -------
    Result
        x is the best candidate; the candidates are those at the ends of the epochs.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    Both quadratics merge into one with the modulus m = μ + 1/α_k. A point v of a step whose certified gap is
    at most δ²m/2·‖v − v_k‖² is within δ‖v − v_k‖ of the exact step, because the step is m-strongly convex:
    the criterion is relative to the step, as needed where steps shrink, and ends the work on long and short
    steps alike after a few digits. The exact step is stable for any α_k, and moves at most to the minimiser
    of its own images.

    Cutting planes maximise the dual of a step over the convex hull of the subgradients seen, each of which
    costs two products with the features of S. A step on one image takes 2 to 10 of them to δ = 0.1, and the
    augmented Lagrangian method about as many Newton steps, each with a d × d system. Beyond 100 cuts it takes
    over.

    The dual of a step is a certified minorant of the loss of its images. The mean of those of an epoch, in
    which every image counts once, is one of the whole loss. An iteration is an epoch and then P at the
    candidate, one more pass over the data, which `passes` and seconds count. Only the end of an epoch is a
    point where limits of time are seen.

    References
    ----------
    D. P. Bertsekas, "Incremental proximal methods for large scale convex optimization", 2011; H. Asi,
    J. C. Duchi, "Stochastic (approximate) proximal point methods: convergence, optimality, and adaptivity",
    2019; R. T. Rockafellar, "Monotone operators and the proximal point algorithm", 1976 (the accuracy of a
    step).

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.stochastic_proximal_point(pb, "inverse", step_size=10.0, max_iter=300)
    >>> bool(0 <= r.gap < 1e-2 * r.value)
    True
    """
    require("stochastic_proximal_point", pb, "batch", "n_images", "loss_and_subgradient")
    batches, steps, fixed = Minibatches(pb, batch), Steps(step), given_step(step_size)
    delta = as_step(accuracy, "accuracy")
    if inner not in ("cuts", "newton"):
        raise ValueError(f"inner is {inner!r}; choose cuts or newton")
    solve = by_cuts if inner == "cuts" else _by_newton
    averaged, rng = Mean(average), random_generator(seed)
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            first, g = evaluated(pb, start)
            square = dot(g, g)
            memory.update(
                v=start,
                mean=start,
                alpha=fixed or (_LONGER * first[1] / square if 0 < square < np.inf else 1.0),
                k=0,
                random=rng.bit_generator.state,
            )
            yield first
        v, mean, alpha, k, random = (memory[name] for name in _STATE)
        rng.bit_generator.state = random
        while True:
            offset, slope = 0.0, np.zeros_like(v)
            for images in batches.epoch(rng):
                k += 1
                inverse = 1 / steps.length(alpha, k)
                modulus = pb.strong_convexity + inverse
                center = (pb.strong_convexity * pb.center + inverse * v) / modulus
                v, dual = solve(pb.batch(images, center, modulus), v, delta)
                mean = averaged.with_next(mean, v, k)
                share = len(images) / pb.n_images
                offset += share * (dual.offset + dot(dual.slope, pb.center - center))
                slope += share * dual.slope
            memory.update(zip(_STATE, (v, mean, alpha, k, rng.bit_generator.state), strict=True))
            yield mean, pb.value(mean), Minorant(offset, slope)

    return drive(
        "stochastic_proximal_point",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _near(risk: Problem, v: Float64s, start: Float64s, delta: float) -> float:
    """The gap that certifies that v is within δ‖v − start‖ of the minimiser."""
    change = v - start
    return delta**2 * risk.strong_convexity / 2 * dot(change, change)


def by_cuts(risk: LinearHingeRisk, start: Float64s, delta: float) -> tuple[Float64s, Minorant]:
    """A point near the minimiser, as measured from the start, and the minorant of the loss that tells."""
    cuts = Cuts(risk.strong_convexity, Minorant(0.0, np.zeros_like(start)))
    v, best, value = start, start, np.inf
    while True:
        scores = risk.apply(v)
        loss, g = risk.loss_and_subgradient(scores)
        here = risk.quadratic(v) + loss
        if here < value:
            best, value = v, here
        cuts.add(risk.minorant(g))
        model = cuts.minimise()
        gap = value - risk.lower_bound(model)
        if gap <= max(_near(risk, best, start, delta), _ROUNDING * (value + abs(model.offset))):
            return best, model
        if len(cuts) > _MOST_CUTS:
            return _by_newton(risk, start, delta, best)
        v = risk.minimiser_of_bound(model)


def _by_newton(
    risk: LinearHingeRisk, start: Float64s, delta: float, first: Float64s | None = None
) -> tuple[Float64s, Minorant]:
    """The same by the semismooth Newton method, from `first` on or the start."""

    def near(state: State) -> bool:
        return state.value == state.best and state.gap <= _near(risk, state.x, start, delta)

    result = ssnal(risk, tol=_ROUNDING, callback=near, x0=start if first is None else first)
    return result.x, Minorant(result.state["bound"]["best offset"], result.state["bound"]["best"])
