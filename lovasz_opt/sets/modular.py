"""Modular set functions: the linear functions among them."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s, as_scores
from .base import SetFunction, SubmodularityReport, as_ground_set


class Modular(SetFunction):
    """F(S) = Σ_{i∈S} w_i, whose Lovász extension is the linear function ⟨w, x⟩.

    Parameters
    ----------
    weights : (n,) array
        Finite real numbers of any sign.

    Raises
    ------
    ValueError, TypeError
        If the weights are empty, not one-dimensional, not real or not finite.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Modular([1.0, -2.0, 0.5])
    >>> F([True, False, True])
    1.5
    """

    def __init__(self, weights: ArrayLike) -> None:
        self.weights: Float64s = as_scores(weights, "weights")[0].astype(np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"weights has shape {self.weights.shape}, expected (n,); pass weights.ravel()")
        self.n = as_ground_set(len(self.weights), "weights")

    def __repr__(self) -> str:
        return f"Modular(n={self.n})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Sum of the weights in the mask, exactly."""
        return sum(map(Fraction, self.weights[self._as_mask(mask)].tolist()), Fraction(0))

    def increments(self, order: ArrayLike) -> Float64s:
        """The weights in the given order. Complexity: O(n)."""
        return self.weights[self._check_order(order)]

    def _values(self, masks: Bools) -> Float64s:
        return np.where(masks, self.weights, 0.0).sum(axis=1)

    @cached_property
    def _report(self) -> SubmodularityReport:
        return SubmodularityReport(True, True, reason="modular: every inequality is an equality")

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        return self.weights, self.weights

    def _prox(self, x: Float64s, gamma: float, metric: Float64s | None) -> ProxSolution:
        pull = gamma * self.weights
        z = x - (pull if metric is None else pull / metric)
        pools = np.empty(self.n, dtype=np.int64)
        pools[np.argsort(-z, kind="stable")] = np.arange(self.n)
        return ProxSolution(z, pools)

    def _violation(self, w: Float64s) -> tuple[float, Bools]:
        mask = w > self.weights
        return math.fsum(w[mask] - self.weights[mask]), mask
