"""What the prox of one set function hands to the Lovász extension."""

from __future__ import annotations

from dataclasses import dataclass

from ._validation import Float64s, Ints


@dataclass(frozen=True)
class ProxSolution:
    """A proximal point with the pools that its derivative needs.

    Attributes
    ----------
    z : (n,) ndarray of float64
        The proximal point.
    pools : (n,) ndarray of int64
        Elements with the same label are tied by the algorithm; labels are 0, 1, … in decreasing order of z.
    exact : bool
        True if the method is exact up to rounding; False if it is iterative and only as good as `gap`.
    gap : float
        Certified duality gap of z, 0 for an exact method.
    nit : int
        Iterations, 0 for an exact method.
    """

    z: Float64s
    pools: Ints
    exact: bool = True
    gap: float = 0.0
    nit: int = 0
