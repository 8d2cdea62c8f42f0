"""Cutting planes: the master problem of a structured SVM, with an exact line search."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import ArrayLike

from .._validation import Float64s
from .._vectors import dot
from ..problems import Minorant, Problem
from ._bracket import Bracket
from ._cuts import Cuts
from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require
from .result import Result

#: How far beyond the best point, towards the minimiser of the model, the loss is linearised.
_BEYOND = 0.1
#: The line search ends where the slope is this fraction of the first, or after so many trials.
_FLAT, _TRIALS = 0.1, 6


def bundle(
    pb: Problem,
    line_search: bool = True,
    patience: int = 50,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    max_time: float | None = None,
    callback: Callback | None = None,
    x0: ArrayLike | None = None,
    resume: Result | None = None,
) -> Result:
    r"""Cutting planes with one slack: minimise the quadratic plus the greatest of the minorants seen so far.

    Parameters
    ----------
    pb : Problem
        Anything with `loss_and_subgradient` on the scores.
    line_search : bool
        Minimise P on the line from the best point to the minimiser of the model, and linearise a little
        beyond that minimum, as OCAS does; otherwise linearise at the minimiser of the model.
    patience : int
        Drop a minorant that has had no weight in so many solutions of the model, ≥ 1.
    tol, max_iter, max_time, callback, x0, resume
        As for `subgradient`.

    Returns
    -------
    Result
        x is the best candidate, and the dual bound the least value of the quadratic plus the model.

    Raises
    ------
    TypeError, ValueError
        If the problem lacks a property, or an argument is out of range.

    Notes
    -----
    With the minorants offset_k + ⟨slope_k, v − v₀⟩ of the loss, the master problem is

    .. math:: \min_v \tfrac{\mu}{2}\|v - v_0\|^2 + \max_k\,(\mathrm{offset}_k + \langle\mathrm{slope}_k,
        v - v_0\rangle) = \max_{w \ge 0,\,\sum w = 1} \langle w, \mathrm{offset}\rangle
        - \tfrac{1}{2\mu}\Bigl\|\sum_k w_k\,\mathrm{slope}_k\Bigr\|^2,

    a concave quadratic program in as many weights as there are minorants, solved by an active-set method to
    the accuracy of rounding; 0 is one of the minorants. An iteration costs one product with A, one with Aᵀ
    (a second one where the first new minorant does not cut off the minimiser of the model), some subgradients
    of ℓ on scores that are known already, and O(Kn) for K minorants of n variables.

    References
    ----------
    T. Joachims, T. Finley, C.-N. J. Yu, "Cutting-plane training of structural SVMs", 2009; C. H. Teo et al.,
    "Bundle methods for regularized risk minimization", 2010; V. Franc, S. Sonnenburg, "Optimized cutting
    plane algorithm for large-scale risk minimization", 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems, solvers
    >>> X = np.array([[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]])
    >>> pb = problems.LinearHingeRisk([X, X[:2]], [[1, 0, 1], [1, 0]], l2=0.1)
    >>> r = solvers.bundle(pb, tol=1e-10)
    >>> r.status
    'optimal'
    """
    require("bundle", pb, "loss_and_subgradient")
    if patience < 1:
        raise ValueError(f"patience is {patience}; it must be ≥ 1")
    start = starting_point(pb, x0)

    def iterates(bound: LowerBound, memory: Memory) -> Iterator[Iterate]:
        if not memory:
            here = _Point.at(pb, start)
            cuts = Cuts(pb.strong_convexity, pb.known_minorant)
            first = pb.minorant(here.g)
            cuts.add(first)
            memory.update(x=here.x, scores=here.scores, cuts=cuts.state())
            yield here.x, here.value, first
        cuts = Cuts.restored(pb.strong_convexity, memory["cuts"])
        here = _Point(pb, memory["x"], memory["scores"])
        while True:
            model = cuts.minimise()
            cuts.forget(patience)
            there = _Point.at(pb, pb.minimiser_of_bound(model))
            cut: Minorant | None = None
            if line_search:
                here = _line_search(here, there)
                cut = pb.minorant(here.towards(there, _BEYOND).g)
                cuts.add(cut)
            else:
                here = there
            # The cut at the minimiser of the model lifts the model there to P. A cut a little beyond the
            # minimum on the line is worth more, but lifts little where the search fell short of that minimum.
            if cut is None or _height(pb, cut, there.x) < (pb.lower_bound(model) + here.value) / 2:
                cuts.add(pb.minorant(there.g))
            memory.update(x=here.x, scores=here.scores, cuts=cuts.state())
            yield here.x, here.value, model

    return drive(
        "bundle",
        pb,
        iterates,
        tol=tol,
        max_iter=max_iter,
        max_time=max_time,
        callback=callback,
        resume=resume,
    )


def _height(pb: Problem, cut: Minorant, v: Float64s) -> float:
    """The quadratic plus a cut."""
    return pb.quadratic(v) + cut.offset + dot(cut.slope, v - pb.center)


class _Point:
    """A point with its scores, the objective there, and a subgradient g of ℓ at the scores."""

    def __init__(self, pb: Problem, x: Float64s, scores: Float64s) -> None:
        self._pb = pb
        self.x, self.scores = x, scores
        loss, self.g = pb.loss_and_subgradient(scores)
        self.value = pb.quadratic(x) + loss

    @classmethod
    def at(cls, pb: Problem, x: Float64s) -> _Point:
        return cls(pb, x, pb.apply(x))

    def towards(self, other: _Point, t: float) -> _Point:
        """The point self + t·(other − self), without a product with A."""
        x = self.x + t * (other.x - self.x)
        return _Point(self._pb, x, self.scores + t * (other.scores - self.scores))

    def slope(self, change: Float64s, change_of_scores: Float64s) -> float:
        """A directional subgradient of P."""
        quadratic = self._pb.strong_convexity * dot(self.x - self._pb.center, change)
        return quadratic + dot(self.g, change_of_scores)


def _line_search(here: _Point, there: _Point) -> _Point:
    """The best of a few points on the ray from here to there; P is convex, with kinks."""
    change, change_of_scores = there.x - here.x, there.scores - here.scores
    descent = here.slope(change, change_of_scores)
    best, bracket, step = here, Bracket(descent), 1.0
    for _ in range(_TRIALS if descent < 0 else 0):
        trial = there if step == 1.0 else here.towards(there, step)
        if trial.value < best.value:
            best = trial
        slope = trial.slope(change, change_of_scores)
        if abs(slope) <= _FLAT * abs(descent):
            break
        step = bracket.narrow(step, slope)
    return best
