"""The proximal problem of one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s, as_scores, as_step, as_target
from ..losses import LovaszHinge
from ._base import Problem, image_iou


class ImageProx(Problem):
    r"""The proximal problem of one image: min over F of ½‖F − U‖² + γ L(F).

    Parameters
    ----------
    scores : array of float
        Logits U of one image, any shape; the unit of F.
    target : array of bool or {0, 1}
        Foreground mask, same shape.
    gamma : float
        Weight of the Lovász hinge L, > 0.
    ignore : int, optional
        Label of void pixels: L does not see them, so F = U there.

    Raises
    ------
    ValueError, TypeError
        For non-finite scores, labels outside {0, 1, ignore}, shapes that differ, or γ ≤ 0.

    Notes
    -----
    The exact solution is one proximal operator, O(p log p): `solve_exact`. The dual of theory is
    max over s in the polymatroid of ⟨γs, m(U)⟩ − ½‖γs‖² with the margins m(U) = 1 − y∘U.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.problems import ImageProx
    >>> pb = ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0)
    >>> F, s = pb.solve_exact()
    >>> bool(pb.gap(F, s) < 1e-15)
    True
    """

    def __init__(self, scores: ArrayLike, target: ArrayLike, gamma: float, ignore: int | None = None) -> None:
        array, _ = as_scores(scores, "scores")
        if array.size == 0:
            raise ValueError("scores is empty; an image needs at least one pixel")
        labels = np.asarray(target)
        if labels.shape != array.shape:
            raise ValueError(f"target has shape {labels.shape}, expected {array.shape}: one label per score")
        valid = np.ones(labels.size, dtype=np.bool_) if ignore is None else labels.ravel() != ignore
        mask = as_target(labels.ravel()[valid], "target")
        self.shape = array.shape
        self.gamma = as_step(gamma)
        self.strong_convexity = 1.0
        self.center = array.ravel().astype(np.float64)
        self._valid: Bools | None = None if valid.all() else valid
        self._signs = np.where(mask, 1.0, -1.0)
        self._kink = self.center[valid] - self._signs
        self._hinge = LovaszHinge(mask) if mask.size else None

    def __repr__(self) -> str:
        return f"ImageProx({self.center.size} pixels, gamma={self.gamma:g})"

    def apply(self, v: Float64s) -> Float64s:
        self.passes += 1
        return v if self._valid is None else v[self._valid]

    def adjoint(self, g: Float64s) -> Float64s:
        self.passes += 1
        if self._valid is None:
            return g
        out = np.zeros_like(self.center)
        out[self._valid] = g
        return out

    def gram(self, v: Float64s) -> Float64s:
        return self.adjoint(self.apply(v))

    def ridge(self, rho: float, target: Float64s) -> Float64s:
        if self._valid is None:
            return (self.center + rho * target) / (1 + rho)
        return (self.center + rho * target) / (1 + rho * self._valid)

    @property
    def squared_norm(self) -> float:
        return 1.0

    def loss(self, scores: Float64s) -> float:
        return self.gamma * float(self._hinge(scores)) if self._hinge else 0.0

    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        if not self._hinge:
            return 0.0, np.zeros_like(scores)
        value, subgradient = self._hinge.value_and_subgradient(scores)
        return self.gamma * float(value), np.asarray(self.gamma * subgradient, dtype=np.float64)

    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        return np.asarray(self._hinge.prox(scores, gamma * self.gamma)) if self._hinge else scores

    def prox(self, v: Float64s, gamma: float) -> Float64s:
        """argmin over F of ½‖F − v‖² + gamma·γL(F): the prox of the loss in the variable itself."""
        if self._valid is None:
            return self.prox_loss(v, gamma)
        out = v.copy()
        out[self._valid] = self.prox_loss(v[self._valid], gamma)
        return out

    def dual_scores(self, s: ArrayLike) -> Float64s:
        dual, _ = as_scores(s, "s")
        if dual.shape != self.shape and dual.shape != self.center.shape:
            raise ValueError(f"s has shape {dual.shape}, expected {self.shape}: one entry per pixel")
        return -self.gamma * self._signs * self.apply(dual.ravel().astype(np.float64))

    def solve_exact(self) -> tuple[Float64s, Float64s]:
        """Solve the problem by one exact prox.

        Returns
        -------
        F : ndarray of float64
            The solution, of the shape of the scores.
        s : ndarray of float64
            The dual vector that certifies it, y∘(F − U)/γ.
        """
        solution = self.prox(self.center, 1.0)
        s = np.zeros_like(self.center)
        s[slice(None) if self._valid is None else self._valid] = (
            self._signs * self.apply(solution - self.center) / self.gamma
        )
        return solution.reshape(self.shape), s.reshape(self.shape)

    def predict(self, v: ArrayLike) -> Bools:
        """Segmentation: the pixels with a positive score.

        Parameters
        ----------
        v : array of float
            Scores F.

        Returns
        -------
        ndarray of bool
            Of the shape of the scores.
        """
        return np.asarray(self._point(v) > 0).reshape(self.shape)

    def iou(self, v: ArrayLike) -> float:
        return image_iou(self.apply(self._point(v)) > 0, self._signs > 0)
