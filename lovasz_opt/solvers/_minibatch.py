"""What the stochastic methods share: reshuffled minibatches of images, step lengths, evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any, Literal

import numpy as np

from .._validation import Float64s, as_step
from .._vectors import dot
from ._driver import AnyProblem, Iterate

Rule = Literal["constant", "sqrt", "inverse"]
Average = Literal["uniform", "weighted"]
_AVERAGES = ("uniform", "weighted")
#: The power of k that divides the step.
_POWERS = {"constant": 0.0, "sqrt": 0.5, "inverse": 1.0}


class Minibatches:
    """Batches of images; those of an epoch hold every image once, in random order, the last maybe fewer.

    Parameters
    ----------
    pb : LinearHingeRisk or LovaszSoftmaxRisk
        Whatever has `n_images` and the `batch` of some of them.
    size : int or None
        Images a batch, at least 1; all of them if None.
    """

    def __init__(self, pb: Any, size: int | None) -> None:
        if size is not None and (not isinstance(size, Integral) or size < 1):
            raise ValueError(f"batch is {size!r}; it must be an integer ≥ 1, or None for all images")
        self._pb = pb
        self._n = pb.n_images
        self.size = self._n if size is None else min(int(size), self._n)
        self._parts: dict[int, Any] = {}

    @property
    def whole(self) -> bool:
        """Whether every batch is all images."""
        return bool(self.size == self._n)

    def epoch(self, rng: np.random.Generator) -> Iterator[list[int]]:
        """The batches of a pass over all images."""
        order = rng.permutation(self._n).tolist()
        return (order[first : first + self.size] for first in range(0, self._n, self.size))

    def subgradient(self, images: list[int], v: Float64s) -> Float64s:
        """A subgradient at v of the quadratic plus the mean loss of these images."""
        if self.whole:
            return np.asarray(self._pb.linearise(v)[1])
        part = self._part(images)
        g = part.linearise(v)[1]
        shift = part.center - self._pb.center
        return np.asarray(g + self._pb.strong_convexity * shift if shift.any() else g)

    def _part(self, images: list[int]) -> Any:
        if len(images) > 1:
            return self._pb.batch(images)
        # Single images come back in every epoch, and are views: looking them up takes as long as using them.
        i = images[0]
        if i not in self._parts:
            self._parts[i] = self._pb.batch([i])
        return self._parts[i]


class Steps:
    """Step lengths α, α/√k or α/k.

    Parameters
    ----------
    rule : {"constant", "sqrt", "inverse"}
    """

    def __init__(self, rule: Rule) -> None:
        if rule not in _POWERS:
            raise ValueError(f"step is {rule!r}; choose one of {', '.join(_POWERS)}")
        self._power = _POWERS[rule]

    def length(self, alpha: float, k: int) -> float:
        """That of step k = 1, 2, …"""
        return float(alpha / k**self._power)


class Mean:
    """The running mean of the iterates, if any is wanted.

    Parameters
    ----------
    kind : {None, "uniform", "weighted"}
        The latter with weights k.
    """

    def __init__(self, kind: Average | None) -> None:
        if kind is not None and kind not in _AVERAGES:
            raise ValueError(f"average is {kind!r}; choose None, {' or '.join(_AVERAGES)}")
        self._kind = kind

    def with_next(self, mean: Float64s, v: Float64s, k: int) -> Float64s:
        """The mean of k iterates, of which v is the last; v itself where no mean is wanted."""
        if self._kind is None:
            return v
        return np.asarray(mean + (v - mean) * (1 / k if self._kind == "uniform" else 2 / (k + 1)))


def random_generator(seed: int) -> np.random.Generator:
    """The generator of a seed, an integer ≥ 0."""
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be an integer ≥ 0")
    return np.random.default_rng(int(seed))


def given_step(step_size: float | None) -> float | None:
    """A step length that a user gave, if one was."""
    return None if step_size is None else as_step(step_size, "step_size")


def bounded(v: Float64s) -> bool:
    """Whether ‖v‖² is a number: beyond that, nothing that is computed from v is."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(dot(v, v))


def evaluated(pb: AnyProblem, v: Float64s) -> tuple[Iterate, Float64s]:
    """What to yield for v, and a subgradient there; P counts as infinite where it cannot be computed."""
    if bounded(v):
        with np.errstate(over="ignore", invalid="ignore"):
            value, g, minorant = pb.linearise(v)
        if math.isfinite(value):
            return (v, value, minorant), g
    return (v, math.inf, None), np.zeros_like(v)
