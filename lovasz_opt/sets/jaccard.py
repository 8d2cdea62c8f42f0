"""The Jaccard loss."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints, as_weights
from ..decomposition import compensated_cumsum, prox_by_level_sets
from ..kernels.sort import argsort_decreasing
from ._jaccard_prox import Orders, jaccard_prox, jaccard_prox_point
from .base import SetFunction, SubmodularityReport, constant_metric
from .counts import as_pixels


class Jaccard(SetFunction):
    """Jaccard loss Δ(M) = μ(M) / μ({y = 1} ∪ M) of a set M of mistakes, Δ(∅) = 0.

    One minus the intersection over union of a segmentation that errs on M. With unit weights, a false
    negatives and b false positives among P foreground pixels, Δ = (a + b)/(P + b). It is non-decreasing and
    submodular, also without foreground (then Δ = 1 for every non-empty M).

    Parameters
    ----------
    target : (p,) array of bool or {0, 1}
        Foreground pixels.
    weights : (p,) array of positive numbers or None
        Pixel weights μ; None counts every pixel once.

    Attributes
    ----------
    target : (p,) ndarray of bool
    weights : (p,) ndarray of float64 or None
    P, N : int
        Number of foreground and background pixels.

    Raises
    ------
    ValueError, TypeError
        If the target is empty, not one-dimensional or holds other labels; if the weights have another shape
        or are not positive and finite.

    References
    ----------
    Yu and Blaschko, "Learning submodular losses with the Lovász hinge", 2015 (submodularity).

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Jaccard([1, 1, 0, 0])
    >>> F([True, False, True, False])
    0.6666666666666666
    >>> F.exact_value([True, False, True, False])
    Fraction(2, 3)
    >>> lo.Jaccard([1, 1, 0, 0], weights=[1, 2, 1, 1])([True, False, True, False])
    0.5
    """

    def __init__(self, target: ArrayLike, weights: ArrayLike | None = None) -> None:
        self.target = as_pixels(target)
        self.n = len(self.target)
        self.weights: Float64s | None = None if weights is None else as_weights(weights, (self.n,)).copy()
        self.P = int(self.target.sum())
        self.N = self.n - self.P

    def __repr__(self) -> str:
        return f"Jaccard(P={self.P}, N={self.N}{'' if self.weights is None else ', weighted'})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Δ as a rational number, weights taken as the rationals that the floats are."""
        single = self._as_mask(mask)
        if self.weights is None:
            pixels = int((single | self.target).sum())
            return Fraction(int(single.sum()), pixels) if pixels else Fraction(0)
        mistakes, union = (
            sum(map(Fraction, self.weights[members].tolist()), Fraction(0))
            for members in (single, single | self.target)
        )
        return mistakes / union if union else Fraction(0)

    def increments(self, order: ArrayLike) -> Float64s:
        """Greedy increments along an order. Complexity: O(p)."""
        order = self._check_order(order)
        foreground, mass = self.target[order], self._mass[order]
        fg_mass, bg_mass = np.where(foreground, mass, 0.0), np.where(foreground, 0.0, mass)
        # Foreground mass not yet joined, summed from the end: it reaches 0 exactly.
        left = np.cumsum(fg_mass[::-1])[::-1] - fg_mass
        after = self._total + np.cumsum(bg_mass)
        before = after - bg_mass
        if self.P == 0:
            return np.concatenate([[1.0], np.zeros(self.n - 1)])
        return np.where(foreground, mass / before, left / before * (mass / after))

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Always true: one more mistake never lowers the loss."""
        return True

    @cached_property
    def _report(self) -> SubmodularityReport:
        return SubmodularityReport(True, True, reason="the Jaccard loss is submodular")

    @cached_property
    def _mass(self) -> Float64s:
        return np.ones(self.n) if self.weights is None else self.weights

    @cached_property
    def _total(self) -> float:
        return math.fsum(self._mass[self.target])

    def _values(self, masks: Bools) -> Float64s:
        mistakes = np.where(masks, self._mass, 0.0).sum(axis=1)
        hits = np.where(self.target & ~masks, self._mass, 0.0).sum(axis=1)
        union = hits + mistakes
        return mistakes / np.where(union > 0, union, 1.0)

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        mass, background = self._mass, math.fsum(self._mass[~self.target])
        low = np.where(self.target, mass / (self._total + background), float(self.n == 1))
        if self.P == 0:
            return low, np.ones(self.n)
        return low, mass / np.where(self.target, self._total, self._total + mass)

    def _prox(self, x: Float64s, gamma: float, metric: Float64s | None) -> ProxSolution:
        factor = self._metric_factor(metric)
        if factor is not None:
            return jaccard_prox(self.target, self.weights, x, gamma / factor)
        return prox_by_level_sets(x, gamma, metric, self._minor, self._increment_bounds())

    def _prox_point(
        self, x: Float64s, gamma: float, metric: Float64s | None, positive: bool = False
    ) -> Float64s:
        factor = self._metric_factor(metric)
        if factor is not None:
            return jaccard_prox_point(self.target, self.weights, x, gamma / factor, positive)
        z = self._prox(x, gamma, metric).z
        return np.maximum(z, np.minimum(x, 0.0)) if positive else z

    def _prox_point_from(
        self, memory: Orders | None, x: Float64s, gamma: float, metric: Float64s | None
    ) -> tuple[Float64s, Orders | None]:
        factor = self._metric_factor(metric)
        if factor is None:
            return self._prox_point(x, gamma, metric), None
        orders = memory or Orders.kept(self.n, 1)
        return jaccard_prox_point(self.target, self.weights, x, gamma / factor, False, orders), orders

    def _metric_factor(self, metric: Float64s | None) -> float | None:
        """The factor c of a metric c·μ, which keeps the algorithm that sorts once; None for any other."""
        if self.weights is None:
            return constant_metric(metric)
        return constant_metric((1.0 if metric is None else metric) / self.weights)

    def _violation(self, w: Float64s) -> tuple[float, Bools]:
        mask = self._minor.minimise(np.arange(self.n), w, 1.0)
        return max(0.0, math.fsum([*w[mask], -self(mask)])), mask

    @property
    def _minor(self) -> JaccardMinor:
        return JaccardMinor(self.target, self._mass, self._total, self._total)


class JaccardMinor:
    """The weighted Jaccard loss contracted by a set L: M ↦ Δ(L ∪ M) − Δ(L).

    Parameters
    ----------
    target, mass : (p,) ndarrays
    left : float
        Foreground mass outside L.
    union : float
        Mass of the foreground and L together.
    """

    def __init__(self, target: Bools, mass: Float64s, left: float, union: float) -> None:
        self.target = target
        self.mass = mass
        self.left = left
        self.union = union

    def increment(self, members: Ints) -> float:
        foreground = self.target[members]
        fg = math.fsum(self.mass[members[foreground]])
        bg = math.fsum(self.mass[members[~foreground]])
        return float(self._increment(np.array([fg]), np.array([bg]))[0])

    def contract(self, members: Ints) -> JaccardMinor:
        foreground = self.target[members]
        fg = math.fsum(self.mass[members[foreground]])
        bg = math.fsum(self.mass[members[~foreground]])
        return JaccardMinor(self.target, self.mass, max(self.left - fg, 0.0), self.union + bg)

    def minimise(self, members: Ints, gains: Float64s, gamma: float) -> Bools:
        """A set M minimising gamma · (Δ(L ∪ M) − Δ(L)) − gains(M), in O(p log p).

        For a fixed background of mass β a foreground pixel costs γ·mass/(union + β), so the best foreground
        is {gain/mass > γ/(union + β)}. For a fixed foreground Δ is concave in β, the minimum over its
        tangents: for each tangent, of slope s, the best background is {gain/mass > s}. So both are prefixes
        in the order of gain/mass, and every prefix of the background, with its best foreground, is tried.
        """
        ratio = gains / self.mass[members]
        foreground = self.target[members]
        fg, bg = (
            positions[argsort_decreasing(ratio[positions])]
            for positions in (np.flatnonzero(foreground), np.flatnonzero(~foreground))
        )
        fg_mass, fg_gain = _sums(self.mass[members[fg]]), _sums(gains[fg])
        bg_mass, bg_gain = _sums(self.mass[members[bg]]), _sums(gains[bg])
        unions = self.union + bg_mass
        prices = gamma / np.where(unions > 0, unions, 1.0)
        sizes = np.searchsorted(-ratio[fg], -prices, side="left")
        costs = gamma * self._increment(fg_mass[sizes], bg_mass) - fg_gain[sizes] - bg_gain
        best = int(np.argmin(costs))
        mask = np.zeros(len(members), dtype=np.bool_)
        mask[fg[: sizes[best]]] = mask[bg[:best]] = True
        return mask

    def _increment(self, fg: Float64s, bg: Float64s) -> Float64s:
        if self.union == 0:
            return np.where(bg > 0, 1.0, 0.0)
        after = self.union + bg
        return fg / after + self.left / self.union * (bg / after)


def _sums(values: Float64s) -> Float64s:
    high, low = compensated_cumsum(values)
    return high + low
