"""Block-coordinate Frank-Wolfe on the dual: one image at a time, with the exact step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, Ints
from .._vectors import dot
from ..problems import LinearHingeRisk, Minorant
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._minibatch import random_generator
from ._needs import require
from .result import Result

Sampling = Literal["gap", "permutation", "uniform"]
_SAMPLINGS = ("gap", "permutation", "uniform")
#: Share of the visits that gap sampling deals out evenly: its gaps are those of the last visits.
_EVEN = 0.1
_STATE = ("offsets", "slopes", "gaps", "mean_slope", "steps", "random")


def frank_wolfe(
    pb: LinearHingeRisk,
    sampling: Sampling = "gap",
    average: Literal["weighted"] | None = "weighted",
    seed: int = 0,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Block-coordinate Frank-Wolfe on the dual of the risk, with one block per image and the exact step.

    Parameters
    ----------
    pb : LinearHingeRisk
        Or anything else with the `batch` of a few of its `n_images` images.
    sampling : {"gap", "permutation", "uniform"}
        Which images an iteration visits: images drawn in proportion to their parts of the duality gap, as
        far as they are known; each image once, in random order; or images drawn evenly.
    average : {None, "weighted"}
        Candidates to report: the primal point of the dual one, or the mean of these points over all steps
        with weights k.
    seed : int
        Of the random order, ≥ 0.
    tol, max_time, callback, x0, resume
        As for `subgradient`. At x0 the loss of every image is linearised; the dual start is their best
        multiple.
    max_iter : int
        Limit in passes: an iteration visits as many images as there are, then evaluates P.

    Returns
    -------
    Result
        x is the best candidate. The dual point is feasible in every step, and its value never decreases.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    The loss is a sum over the images, and of each part one minorant offset_i + ⟨slope_i, v − v₀⟩ is kept: n
    vectors of d numbers. Their sum has the lower bound Σ offset_i − ‖Σ slope_i‖²/(2μ), attained at
    v = v₀ − Σ slope_i/μ. A visit linearises the part of image i at v, which solves the linear problem of
    Frank and Wolfe, and moves (offset_i, slope_i) towards the outcome by γ ∈ [0, 1] with the largest bound:
    with the changes δ of the offset and Δ of the slope, γ = μ(δ + ⟨Δ, v − v₀⟩)/‖Δ‖², clipped. The numerator
    is μ times that image's part of the duality gap. An iteration costs one product with A and one with Aᵀ,
    image by image, and one more product with A for the value.

    References
    ----------
    S. Lacoste-Julien, M. Jaggi, M. Schmidt, P. Pletscher, "Block-coordinate Frank-Wolfe optimization for
    structural SVMs", 2013; A. Osokin et al., "Minding the gaps for block Frank-Wolfe optimization of
    structured SVMs", 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.frank_wolfe(pb, max_iter=200)
    >>> bool(0 <= r.gap < 1e-2 * r.value)
    True
    """
    require("frank_wolfe", pb, "batch", "n_images")
    if sampling not in _SAMPLINGS:
        raise ValueError(f"sampling is {sampling!r}; choose one of {', '.join(_SAMPLINGS)}")
    if average not in (None, "weighted"):
        raise ValueError(f"average is {average!r}; choose None or weighted")
    rng = random_generator(seed)
    start = starting_point(pb, x0)
    n, mu = pb.n_images, pb.strong_convexity
    parts = [pb.batch([i]) for i in range(n)]

    def minorant(i: int, v: Float64s) -> Minorant:
        """The minorant of image i's part of the loss that touches it at v."""
        offset, slope = parts[i].linearise(v)[2]
        # The quadratic of a batch is centred at 0.
        return Minorant((offset + dot(slope, pb.center)) / n, slope / n)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            cuts = [minorant(i, start) for i in range(n)]
            offsets, slopes = np.array([cut.offset for cut in cuts]), np.array([cut.slope for cut in cuts])
            whole = Minorant(float(offsets.sum()), slopes.sum(axis=0))
            share = _step(whole.offset, dot(whole.slope, whole.slope) / mu)
            memory.update(
                offsets=share * offsets,
                slopes=share * slopes,
                gaps=np.full(n, np.inf),
                mean_slope=share * whole.slope,
                steps=0,
                random=rng.bit_generator.state,
            )
            value = pb.quadratic(start) + whole.offset + dot(whole.slope, start - pb.center)
            yield start, value, whole
        offsets, slopes, gaps, mean_slope, k, random = (memory[name] for name in _STATE)
        rng.bit_generator.state = random
        while True:
            offsets, slopes, gaps = offsets.copy(), slopes.copy(), gaps.copy()
            offset, slope = float(offsets.sum()), slopes.sum(axis=0)
            for i in _order(sampling, gaps, rng):
                from_center = -slope / mu
                target = minorant(i, pb.center + from_center)
                rise, change = target.offset - float(offsets[i]), target.slope - slopes[i]
                gap = max(rise + dot(change, from_center), 0.0)
                step = _step(gap, dot(change, change) / mu)
                gaps[i] = gap
                offsets[i] += step * rise
                slopes[i] += step * change
                offset, slope = offset + step * rise, slope + step * change
                k += 1
                mean_slope = mean_slope + 2 / (k + 2) * (slope - mean_slope)
            now = (offsets, slopes, gaps, mean_slope, k, rng.bit_generator.state)
            memory.update(zip(_STATE, now, strict=True))
            dual = Minorant(offset, slope)
            # Where a bound is least depends on its slope alone: no offset of the mean is needed.
            v = pb.minimiser_of_bound(dual if average is None else dual._replace(slope=mean_slope))
            yield v, pb.value(v), dual

    return drive(
        "frank_wolfe",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _step(slope: float, curvature: float) -> float:
    """Where in [0, 1] the parabola slope·t − curvature·t²/2 is greatest."""
    if slope <= 0:
        return 0.0
    return 1.0 if slope >= curvature else slope / curvature


def _order(sampling: Sampling, gaps: Float64s, rng: np.random.Generator) -> Ints:
    """The images to visit. Before all gaps are known, and when all are 0, gap sampling visits each once."""
    n, total = len(gaps), float(gaps.sum())
    if sampling == "uniform":
        return rng.integers(n, size=n)
    if sampling == "permutation" or not 0 < total < np.inf:
        return rng.permutation(n)
    return rng.choice(n, size=n, p=_EVEN / n + (1 - _EVEN) * gaps / total)
