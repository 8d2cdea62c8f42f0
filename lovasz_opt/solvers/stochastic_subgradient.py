"""Stochastic subgradient descent over minibatches of images, with momentum and averages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .._validation import as_number
from .._vectors import dot
from ..problems import LinearHingeRisk, LovaszSoftmaxRisk
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._minibatch import (
    Average,
    Mean,
    Minibatches,
    Rule,
    Steps,
    bounded,
    evaluated,
    given_step,
    random_generator,
)
from ._needs import require
from .result import Result

_STATE = ("x", "velocity", "mean", "g", "alpha", "k", "random")


def stochastic_subgradient(
    pb: LinearHingeRisk | LovaszSoftmaxRisk,
    step: Rule = "sqrt",
    step_size: float | None = None,
    batch: int | None = 1,
    momentum: float = 0.0,
    nesterov: bool = False,
    average: Average | None = None,
    seed: int = 0,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Stochastic subgradient descent, v ← v − α_k m_k with m_k = β m_{k−1} + g_k.

    Here g_k is a subgradient at v of μ/2‖v − v₀‖² plus the mean loss of a minibatch of images.

    Parameters
    ----------
    pb : LinearHingeRisk or LovaszSoftmaxRisk
        Anything with `linearise` and the `batch` of a few of its `n_images` images. It need not be convex:
        where it yields no minorants, the lower bound is the one that the problem knows.
    step : {"constant", "sqrt", "inverse"}
        α_k = α, α/√k or α/k, k = 1, 2, … counting minibatches.
    step_size : float, optional
        α > 0; by default (1 − β)·P/‖g‖² at the start, g a subgradient of P there: this is Polyak's step for
        an optimal value of 0, and follows the scale of features and objective.
    batch : int, optional
        Images a minibatch; None for all of them. Every epoch reshuffles the images and goes through all.
    momentum : float
        β in [0, 1). The step that a constant subgradient ends in is α/(1 − β).
    nesterov : bool
        Move along g_k + β m_k instead of m_k.
    average : {None, "uniform", "weighted"}
        Candidates to report: the iterates, their mean over all steps, or that mean with weights k.
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
    An iteration is an epoch, and then P with a subgradient of all images at the candidate, which certifies
    the gap: two passes over the data each, both counted in `passes` and in seconds. With all images in one
    batch and no average, that subgradient is also the next step's, and an iteration costs two passes.
    Only the end of an epoch is a point where limits of time are seen.

    References
    ----------
    H. Robbins, S. Monro, "A stochastic approximation method", 1951; B. T. Polyak, "Some methods of speeding
    up the convergence of iteration methods", 1964; I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the
    importance of initialization and momentum in deep learning", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.stochastic_subgradient(pb, average="weighted", max_iter=200)
    >>> bool(0 <= r.gap < 1e-2 * r.value)
    True
    """
    require("stochastic_subgradient", pb, "batch", "n_images", "linearise", convex=False)
    batches, steps, fixed = Minibatches(pb, batch), Steps(step), given_step(step_size)
    momentum = as_number(momentum, "momentum")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must be ≥ 0 and below 1")
    averaged, rng = Mean(average), random_generator(seed)
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            first, g = evaluated(pb, start)
            square = dot(g, g)
            memory.update(
                x=start,
                velocity=np.zeros_like(start),
                mean=start,
                g=g,
                alpha=fixed or ((1 - momentum) * first[1] / square if square > 0 else 1.0),
                k=0,
                random=rng.bit_generator.state,
            )
            yield first
        x, velocity, mean, g, alpha, k, random = (memory[name] for name in _STATE)
        rng.bit_generator.state = random
        known = batches.whole and average is None
        while bounded(x):
            with np.errstate(over="ignore", invalid="ignore"):
                for images in batches.epoch(rng):
                    if not known:
                        g = batches.subgradient(images, x)
                    k += 1
                    velocity = momentum * velocity + g
                    direction = g + momentum * velocity if nesterov else velocity
                    x = x - steps.length(alpha, k) * direction
                    if not bounded(x):
                        break
                    mean = averaged.with_next(mean, x, k)
            candidate, g = evaluated(pb, mean if bounded(x) else x)
            now = (x, velocity, mean, g, alpha, k, rng.bit_generator.state)
            memory.update(zip(_STATE, now, strict=True))
            yield candidate

    return drive(
        "stochastic_subgradient",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )
