"""What every problem is: a quadratic plus a support function of the scores, with a certified lower bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, Ints, as_scores
from .._vectors import dot


class Minorant(NamedTuple):
    """An affine lower bound of the loss: loss(v) ≥ offset + ⟨slope, v − center⟩ for all v.

    Parameters
    ----------
    offset : float
    slope : (n,) ndarray
    """

    offset: float
    slope: Float64s


class Pools(NamedTuple):
    """Where the Jacobian J of the prox of the loss differs from the identity.

    Parameters
    ----------
    pinned : (k,) ndarray of int
        Scores held at margin 0: J is 0 there.
    pooled : (l,) ndarray of int
        Scores in pools of two or more, pool by pool: J averages their margins.
    starts : (m,) ndarray of int
        Where in `pooled` each pool starts.
    """

    pinned: Ints
    pooled: Ints
    starts: Ints


class Objective(ABC):
    r"""A quadratic plus a convex loss of a point, :math:`P(v) = \frac{\mu}{2}\|v - v_0\|^2 + \ell(Av)`.

    All that first-order methods look at. Points v are flat float64 arrays inside; users see `shape`.

    Attributes
    ----------
    strong_convexity : float
        The modulus μ of the quadratic.
    center : (n,) ndarray
        The minimiser v₀ of the quadratic.
    shape : tuple of int
        Shape of a point for the user.
    passes : float
        Passes over the data so far: products with A or Aᵀ, in units of all pixels.
    """

    strong_convexity: float
    center: Float64s
    shape: tuple[int, ...]
    passes: float = 0.0
    #: Linearisations of the loss are minorants of it.
    convex: bool = True

    @property
    def known_minorant(self) -> Minorant:
        """The minorant of the loss that costs nothing: it is ≥ 0."""
        return Minorant(0.0, np.zeros_like(self.center))

    @property
    def known_bound(self) -> float:
        """The lower bound of P that costs nothing."""
        return self.lower_bound(self.known_minorant)

    @abstractmethod
    def loss_at(self, v: Float64s) -> float:
        """ℓ(Av)."""

    @abstractmethod
    def linearise(self, v: Float64s) -> tuple[float, Float64s, Minorant]:
        """P(v), a subgradient of P, and the minorant of the loss that touches it at v, in one pass."""

    def _point(self, v: ArrayLike) -> Float64s:
        array, _ = as_scores(v, "v")
        if array.shape != self.shape and array.shape != self.center.shape:
            raise ValueError(f"v has shape {array.shape}, expected {self.shape}: one entry per variable")
        return array.reshape(-1).astype(np.float64, copy=False)

    def quadratic(self, v: Float64s) -> float:
        """μ/2‖v − v₀‖²."""
        step = v - self.center
        return 0.5 * self.strong_convexity * dot(step, step)

    def value(self, v: ArrayLike) -> float:
        """Objective P(v).

        Parameters
        ----------
        v : array of float
            A point, of the problem's `shape` or flat.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If v has another shape or is not finite.
        """
        point = self._point(v)
        return self.quadratic(point) + self.loss_at(point)

    def value_and_subgradient(self, v: ArrayLike) -> tuple[float, Float64s]:
        """Objective and one of its subgradients, in one pass over the pixels.

        Parameters
        ----------
        v : array of float
            A point, of the problem's `shape` or flat.

        Returns
        -------
        float
            P(v).
        ndarray of float64
            A subgradient of the shape of v; the gradient wherever P is differentiable.
        """
        point = self._point(v)
        value, subgradient, _ = self.linearise(point)
        return value, subgradient.reshape(np.shape(v))

    def lower_bound(self, minorant: Minorant) -> float:
        """Least value of the quadratic plus a minorant: offset − ‖slope‖²/(2μ) ≤ min P."""
        return minorant.offset - dot(minorant.slope, minorant.slope) / (2 * self.strong_convexity)

    def minimiser_of_bound(self, minorant: Minorant) -> Float64s:
        """The point v₀ − slope/μ where the quadratic plus a minorant is least: primal from dual."""
        return self.center - minorant.slope / self.strong_convexity


class Problem(Objective):
    r"""An objective whose scores Av are at hand: a support function of them, with a certified lower bound.

    The loss ℓ on the scores Av is a weighted sum of Lovász hinges, so it is a support function:
    ℓ(F) = max ⟨g, F − y⟩ over the g = −y∘s with y = ±1 and s in a product of scaled polymatroids. Each such g
    is an affine `Minorant` of the loss, and the least value of the quadratic plus a minorant is a lower bound
    of P: the dual objective. Greedy vectors, residuals of the prox and averages of them are all such g.

    A subclass defines `loss`, `loss_and_subgradient`, `prox_loss` on flat scores, and the linear algebra
    `apply`, `adjoint`, `gram` and `ridge`.
    """

    _signs: Float64s
    #: Av₀ − y: a dual g has the offset ⟨g, Av₀ − y⟩.
    _kink: Float64s

    @abstractmethod
    def apply(self, v: Float64s) -> Float64s:
        """Scores Av of all valid pixels."""

    @abstractmethod
    def adjoint(self, g: Float64s) -> Float64s:
        """Aᵀg."""

    @abstractmethod
    def gram(self, v: Float64s) -> Float64s:
        """AᵀAv."""

    @abstractmethod
    def ridge(self, rho: float, target: Float64s) -> Float64s:
        """argmin_v μ/2‖v − v₀‖² + ρ/2‖Av‖² − ρ⟨target, v⟩."""

    @property
    @abstractmethod
    def squared_norm(self) -> float:
        """‖A‖², the largest eigenvalue of AᵀA: ‖A‖²/γ is the smoothness of an envelope e_γ(Av) in v."""

    @abstractmethod
    def loss(self, scores: Float64s) -> float:
        """ℓ at flat scores."""

    @abstractmethod
    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        """ℓ and one of its subgradients, at flat scores."""

    @abstractmethod
    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        """argmin_F ½‖F − scores‖² + γℓ(F), exactly."""

    @abstractmethod
    def dual_scores(self, s: Any) -> Float64s:
        """The flat g = −y∘s, scaled like the loss, that belongs to dual vectors s."""

    @abstractmethod
    def iou(self, v: ArrayLike) -> float:
        """Mean intersection over union of the segmented images on valid pixels; 1 where the union is empty.

        Parameters
        ----------
        v : array of float
            A point.

        Returns
        -------
        float
        """

    def loss_at(self, v: Float64s) -> float:
        return self.loss(self.apply(v))

    def linearise(self, v: Float64s) -> tuple[float, Float64s, Minorant]:
        loss, g = self.loss_and_subgradient(self.apply(v))
        slope = self.adjoint(g)
        step = v - self.center
        value = 0.5 * self.strong_convexity * dot(step, step) + loss
        return value, self.strong_convexity * step + slope, self.minorant(g, slope)

    def minorant(self, g: Float64s, slope: Float64s | None = None) -> Minorant:
        """The minorant of dual scores g; `slope` is Aᵀg where it is known already."""
        return Minorant(dot(g, self._kink), self.adjoint(g) if slope is None else slope)

    def support(self, g: Float64s, scores: Float64s) -> float:
        """⟨g, F − y⟩, which is ℓ(F) for a subgradient g of ℓ at F."""
        return dot(g, scores - self._signs)

    def dual_value(self, s: Any) -> float:
        """Dual objective: a lower bound of min P if s ≥ 0 and s(A) ≤ Δ(A) for all sets A of pixels.

        Parameters
        ----------
        s : list of (p_i,) arrays, or one array
            Dual vectors, one per image; `ImageProx` takes the one of its image. Entries on void pixels
            are not looked at. That s is feasible is not checked.

        Returns
        -------
        float
        """
        return self.lower_bound(self.minorant(self.dual_scores(s)))

    def gap(self, v: ArrayLike, s: Any) -> float:
        """Duality gap P(v) − dual_value(s) ≥ 0; it bounds P(v) − min P and ½μ‖v − v*‖² for a feasible s.

        Parameters
        ----------
        v : array of float
            A point.
        s : list of arrays, or one array
            As in `dual_value`.

        Returns
        -------
        float
        """
        return self.value(v) - self.dual_value(s)


def image_iou(predicted: Bools, truth: Bools) -> float:
    """Intersection over union of one image; 1 where the union is empty."""
    union = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / union if union else 1.0
