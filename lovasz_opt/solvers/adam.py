"""Adam over minibatches of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .._validation import as_number, as_step
from ..problems import LinearHingeRisk, LovaszSoftmaxRisk
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._minibatch import Minibatches, Rule, Steps, bounded, evaluated, given_step, random_generator
from ._needs import require
from .result import Result

#: Share of the step that would bring the linear model of P at the start to 0.
_SHARE = 0.5
_STATE = ("x", "first", "second", "g", "alpha", "k", "random")


def adam(
    pb: LinearHingeRisk | LovaszSoftmaxRisk,
    step: Rule = "sqrt",
    step_size: float | None = None,
    batch: int | None = 1,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    seed: int = 0,
    *,
    tol: float = 1e-6,
    max_iter: int = 100,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Adam: steps along a running mean of subgradients, each coordinate in units of its running size.

    With subgradients g_k at v of μ/2‖v − v₀‖² plus the mean loss of a minibatch, coordinate by coordinate,

    .. math:: m_k = \beta_1 m_{k-1} + (1 - \beta_1) g_k, \quad s_k = \beta_2 s_{k-1} + (1 - \beta_2) g_k^2,
        \quad v \leftarrow v - \alpha_k \frac{m_k / (1 - \beta_1^k)}{\sqrt{s_k / (1 - \beta_2^k)} + \epsilon}.

    Parameters
    ----------
    pb : LinearHingeRisk or LovaszSoftmaxRisk
        As for `stochastic_subgradient`.
    step : {"constant", "sqrt", "inverse"}
        α_k = α, α/√k or α/k, k = 1, 2, … counting minibatches.
    step_size : float, optional
        α > 0, about the change of a coordinate in the first steps; by default P/(2 ‖g‖₁) at the start, g a
        subgradient of P there, which follows the scale of features and objective.
    batch : int, optional
        Images a minibatch; None for all of them. Every epoch reshuffles the images and goes through all.
    beta1, beta2 : float
        Decay of the running means, in [0, 1).
    epsilon : float
        ε > 0, small beside the subgradients.
    seed : int
        Of the order of the images, ≥ 0.
    tol, max_time, callback, x0, resume
        As for `subgradient`.
    max_iter : int
        Limit in epochs.

    Returns
    -------
    Result
        x is the best candidate; the candidates are the iterates at the ends of the epochs.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    The quadratic is a part of the objective like any other, with its gradient scaled like the rest: weight
    decay is not decoupled. Iterations and their cost are those of `stochastic_subgradient`: an epoch and then
    a full evaluation, both counted; two passes an iteration with all images in one batch.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.adam(pb, max_iter=300)
    >>> bool(0 <= r.gap < 0.1 * r.value)
    True
    """
    require("adam", pb, "batch", "n_images", "linearise", convex=False)
    batches, steps, fixed = Minibatches(pb, batch), Steps(step), given_step(step_size)
    beta1, beta2 = as_number(beta1, "beta1"), as_number(beta2, "beta2")
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        if not 0 <= beta < 1:
            raise ValueError(f"{name} is {beta}; it must be ≥ 0 and below 1")
    small = as_step(epsilon, "epsilon")
    rng = random_generator(seed)
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            candidate, g = evaluated(pb, start)
            size = float(np.abs(g).sum())
            memory.update(
                x=start,
                first=np.zeros_like(start),
                second=np.zeros_like(start),
                g=g,
                alpha=fixed or (_SHARE * candidate[1] / size if size > 0 else 1.0),
                k=0,
                random=rng.bit_generator.state,
            )
            yield candidate
        x, first, second, g, alpha, k, random = (memory[name] for name in _STATE)
        rng.bit_generator.state = random
        while bounded(x):
            with np.errstate(over="ignore", invalid="ignore"):
                for images in batches.epoch(rng):
                    if not batches.whole:
                        g = batches.subgradient(images, x)
                    k += 1
                    first = beta1 * first + (1 - beta1) * g
                    second = beta2 * second + (1 - beta2) * g**2
                    scale = np.sqrt(second / (1 - beta2**k)) + small
                    x = x - steps.length(alpha, k) / (1 - beta1**k) * first / scale
                    if not bounded(x):
                        break
            candidate, g = evaluated(pb, x)
            now = (x, first, second, g, alpha, k, rng.bit_generator.state)
            memory.update(zip(_STATE, now, strict=True))
            yield candidate

    return drive(
        "adam",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )
