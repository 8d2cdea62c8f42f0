"""The Tversky loss."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, Ints, as_number
from .base import SubmodularityReport
from .counts import CountFunction

#: Products of this with numbers of pixels, and their squares, do not overflow.
_LARGEST_WEIGHT = 1e140


class Tversky(CountFunction):
    """Tversky loss 1 − TP/(TP + α·FP + β·FN) of a set of mistakes.

    With a false negatives and b false positives among P foreground pixels,

        Δ(a, b) = (αb + βa) / (P − a + αb + βa),

    and Δ = 1 where the denominator vanishes but the set does not (the limit α, β → 0+). α = β = 1 is the
    Jaccard loss, α = β = 1/2 the Dice loss.

    Parameters
    ----------
    target : (p,) array of bool or {0, 1}
        Foreground pixels.
    alpha, beta : float
        Weight of a false positive and of a false negative, ≥ 0.

    Raises
    ------
    ValueError, TypeError
        If the target is empty or holds other labels, or a weight is negative, not finite or above 1e140.

    Notes
    -----
    **Submodular iff β ≥ 1 or P ≤ 1**, whatever α and N are. With D(a, b) = P − (1−β)a + αb,

        Δ(a+1, b) − Δ(a, b) = (βP + αb) / (D(a, b) · D(a+1, b)).

    For β ≥ 1 both factors of the denominator grow with a, so Δ is concave in a; and (βP + αb)/(D(a+1, b)) is
    1 plus (βP − D(a+1, 0))/D(a+1, b) ≥ 1, falling in b, so the increment falls in b too. Concavity in b holds
    always: Δ is one minus the convex (P−a)/(D(a, b)). For β < 1 the denominator shrinks with a: with b = 0
    the increments grow, and two of them exist as soon as P ≥ 2. With P ≤ 1 there is no second increment in a,
    and Δ(1, ·) is constant.

    References
    ----------
    Tversky, "Features of similarity", 1977. Salehi et al., "Tversky loss function for image segmentation",
    2017.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Tversky([1, 1, 0], alpha=0.5, beta=1.5)
    >>> F([True, False, True])
    0.6666666666666666
    >>> F.is_submodular, lo.Tversky([1, 1, 0], alpha=1.5, beta=0.5).is_submodular
    (True, False)
    """

    def __init__(self, target: ArrayLike, alpha: float = 0.5, beta: float = 0.5) -> None:
        self.alpha = _as_mistake_weight(alpha, "alpha")
        self.beta = _as_mistake_weight(beta, "beta")
        super().__init__(self._loss, target)

    def __repr__(self) -> str:
        return f"Tversky(alpha={self.alpha:g}, beta={self.beta:g}, P={self.P}, N={self.N})"

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Δ as a rational number, α and β taken as the rationals that the floats are."""
        single = self._as_mask(mask)
        a = int((single & self.target).sum())
        return self._exact_loss(a, int(single.sum()) - a)

    def _exact_loss(self, a: int, b: int) -> Fraction:
        mistakes = Fraction(self.alpha) * b + Fraction(self.beta) * a
        union = self.P - a + mistakes
        return mistakes / union if union else Fraction(a + b > 0)

    def _loss(self, a: Ints, b: Ints) -> Float64s:
        return self._g_increment(np.zeros_like(a), np.zeros_like(b), a, b)

    def _g_increment(self, a0: Ints, b0: Ints, a1: Ints, b1: Ints) -> Float64s:
        # TP₀/D₀ − TP₁/D₁ over the common denominator: sums and products of terms ≥ 0, so nothing cancels.
        mistakes = self.alpha * b0 + self.beta * a0
        more = self.alpha * (b1 - b0) + self.beta * (a1 - a0)
        before = np.asarray(self.P - a0 + mistakes, dtype=np.float64)
        after = np.asarray(self.P - a1 + mistakes + more, dtype=np.float64)
        numerator = (self.P - a0) * more + (a1 - a0) * mistakes
        if self.P > 0 and self.beta > 0:
            return numerator / before / after
        defined = (before > 0) & (after > 0)
        # One after the other: the product of two small denominators may underflow.
        ratio = numerator / np.where(defined, before, 1.0) / np.where(defined, after, 1.0)
        return np.where(defined, ratio, self._limit(a0, b0, a1, b1, before, after))

    def _limit(self, a0: Ints, b0: Ints, a1: Ints, b1: Ints, before: Float64s, after: Float64s) -> Float64s:
        """Increments from or to counts for which TP, α·FP and β·FN all vanish."""
        safe_before, safe_after = np.where(before > 0, before, 1.0), np.where(after > 0, after, 1.0)
        loss_before = np.where(before > 0, 1 - (self.P - a0) / safe_before, a0 + b0 > 0)
        loss_after = np.where(after > 0, 1 - (self.P - a1) / safe_after, a1 + b1 > 0)
        return loss_after - loss_before

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Always true: one more mistake never lowers the loss."""
        return True

    @cached_property
    def _report(self) -> SubmodularityReport:
        reason = "the Tversky loss is submodular iff beta ≥ 1 or P ≤ 1"
        if self.beta >= 1 or self.P <= 1:
            return SubmodularityReport(True, True, reason=reason)
        last = self.P - 2
        excess = self._exact_loss(last + 2, 0) + self._exact_loss(last, 0) - 2 * self._exact_loss(last + 1, 0)
        return SubmodularityReport(False, True, self._pair(last, 0, (1, 0), (1, 0)), float(excess), reason)


def _as_mistake_weight(value: float, name: str) -> float:
    number = as_number(value, name, "a number ≥ 0")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} is {value}; it must be finite and ≥ 0")
    if number > _LARGEST_WEIGHT:
        raise ValueError(f"{name} is {value}; it must be at most {_LARGEST_WEIGHT:g}, or sums overflow")
    return number
