"""A model of the loss from affine minorants, and the quadratic program that finds its minimiser."""

from __future__ import annotations

import numpy as np

from .._validation import Ints
from .._vectors import times, transpose_times
from ..kernels.simplex_qp import simplex_qp
from ..problems import Minorant
from ._driver import Memory

#: Sums of numbers below it are finite.
_LARGEST = 1e300


class Cuts:
    r"""The model max_k offset_k + ⟨slope_k, v − v₀⟩ of a loss.

    Nothing is changed in place: arrays that were handed out by `state` stay as they are.

    Parameters
    ----------
    modulus : float
        μ of the quadratic μ/2‖v − v₀‖² that is added to the model.
    minorant : Minorant
        The first cut.
    """

    def __init__(self, modulus: float, minorant: Minorant) -> None:
        self._modulus = modulus
        self.offsets = np.array([minorant.offset])
        self.slopes = minorant.slope[None]
        self._gram = times(self.slopes, minorant.slope)[None] / modulus
        self._weights = np.ones(1)
        #: For how many solutions in a row each cut has had no weight.
        self._idle: Ints = np.zeros(1, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.offsets)

    def state(self) -> Memory:
        """What `restored` needs."""
        return {
            "offsets": self.offsets,
            "slopes": self.slopes,
            "gram": self._gram,
            "weights": self._weights,
            "idle": self._idle,
        }

    @classmethod
    def restored(cls, modulus: float, state: Memory) -> Cuts:
        """The cuts with a `state`."""
        cuts = cls.__new__(cls)
        cuts._modulus = modulus
        cuts.offsets, cuts.slopes = state["offsets"], state["slopes"]
        cuts._gram, cuts._weights, cuts._idle = state["gram"], state["weights"], state["idle"]
        return cuts

    def add(self, minorant: Minorant) -> None:
        """Add a cut, with weight 0."""
        self.offsets = np.append(self.offsets, minorant.offset)
        self.slopes = np.vstack([self.slopes, minorant.slope])
        row = times(self.slopes, minorant.slope) / self._modulus
        self._gram = np.block([[self._gram, row[:-1, None]], [row]])
        self._weights = np.append(self._weights, 0.0)
        self._idle = np.append(self._idle, 0)

    def minimise(self) -> Minorant:
        """The average of the cuts whose lower bound is greatest; it is attained where the model is least.

        Where squares of the slopes overflow it stays the average that it was, which is a bound as well.
        """
        self._weights = self._weights.copy()
        if np.abs(self._gram).max() < _LARGEST:
            simplex_qp(self._gram, self.offsets, self._weights, 10 * len(self) + 100)
        self._idle = np.where(self._weights > 0, 0, self._idle + 1)
        used = np.flatnonzero(self._weights)
        weights = self._weights[used]
        return Minorant(float(weights @ self.offsets[used]), transpose_times(self.slopes[used], weights))

    def forget(self, patience: int) -> None:
        """Drop the cuts that have had no weight for so many solutions."""
        keep = self._idle < patience
        if not keep.all():
            self.offsets, self.slopes = self.offsets[keep], self.slopes[keep]
            self._gram = self._gram[np.ix_(keep, keep)]
            self._weights, self._idle = self._weights[keep], self._idle[keep]
