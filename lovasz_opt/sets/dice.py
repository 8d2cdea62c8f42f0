"""The Dice loss."""

from __future__ import annotations

from numpy.typing import ArrayLike

from .tversky import Tversky


class Dice(Tversky):
    """Dice loss 1 − 2TP/(2TP + FP + FN) of a set of mistakes: (a + b)/(2P − a + b).

    **Not submodular** for P ≥ 2: without false positives it is a/(2P − a), convex in a. So it has no convex
    Lovász extension, no proximal operator and no duality gap; whatever needs these refuses it. The Jaccard
    loss J = 2D/(1 + D) orders segmentations in the same way and is submodular.

    Parameters
    ----------
    target : (p,) array of bool or {0, 1}
        Foreground pixels.

    Raises
    ------
    ValueError, TypeError
        If the target is empty or holds other labels.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> F = lo.Dice([1, 1, 0])
    >>> F([True, False, False])
    0.3333333333333333
    >>> F.is_submodular
    False
    """

    def __init__(self, target: ArrayLike) -> None:
        super().__init__(target, alpha=0.5, beta=0.5)

    def __repr__(self) -> str:
        return f"Dice(P={self.P}, N={self.N})"
