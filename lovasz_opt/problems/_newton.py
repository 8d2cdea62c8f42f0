"""What second-order methods ask of a risk, in messages of at most d² numbers: pixels stay where they are.

The augmented Lagrangian of min μ/2‖v − v₀‖² + ℓ(F) subject to F = Av, with multiplier g and penalty σ, is
after its minimisation over F the quadratic plus e(Av + g/σ), e the Moreau envelope of ℓ with step 1/σ. Its
gradient in the scores is g⁺ = σ(u − prox(u)), u = Av + g/σ: dual feasible, and the next multiplier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .._validation import Float64s
from .._vectors import dot
from ._base import Minorant, Pools

if TYPE_CHECKING:
    from .linear_hinge import LinearHingeRisk


class Start(NamedTuple):
    """The loss at a first point, its minorant there, and ‖g‖² of its subgradient in so many scores."""

    loss: float
    minorant: Minorant
    square: float
    pixels: int


class NewtonSystem(Protocol):
    """The state of the scores, the multiplier and a trial point, wherever the pixels are."""

    def begin(self, v: Float64s) -> Start:
        """Go to v; the multiplier becomes a subgradient of the loss there."""

    def turn(self, penalty: float) -> Float64s:
        """Take g⁺ for the multiplier and the current scores for the trial; Aᵀg⁺ of the new g⁺."""

    def matrix(self, penalty: float) -> Float64s:
        """The generalised Hessian σAᵀ(I − J)A at the trial, J the Jacobian of the prox."""

    def aim(self, direction: Float64s, penalty: float) -> float:
        """Try the current scores + A·direction; the slope ⟨g⁺, A·direction⟩ there."""

    def trial(self, step: float, penalty: float) -> float:
        """Try another step along the direction; the slope there."""

    def settle(self) -> tuple[float, Minorant]:
        """Make the trial current; its loss, and the minorant of its g⁺."""

    def memory(self) -> dict[str, Any]:
        """The state for `restore`; empty where it cannot be had."""

    def restore(self, memory: dict[str, Any], penalty: float) -> None:
        """Go on from a `memory`."""


class Augmented(NamedTuple):
    """What belongs to the pixels of a risk: never changed, only replaced."""

    scores: Float64s
    multiplier: Float64s
    trial: Float64s
    g: Float64s
    along: Float64s | None
    pools: Pools | None


def begin(risk: LinearHingeRisk, v: Float64s) -> tuple[Augmented, Start]:
    """`NewtonSystem.begin` for the pixels of one risk, without state of its own, as all that follow."""
    scores = risk.apply(v)
    loss, g = risk.loss_and_subgradient(scores)
    start = Start(loss, risk.minorant(g), dot(g, g), g.size)
    return Augmented(scores, g, scores, g, None, None), start


def turn(risk: LinearHingeRisk, state: Augmented, penalty: float) -> tuple[Augmented, Float64s]:
    """`NewtonSystem.turn`."""
    state = _tried(risk, state._replace(multiplier=state.g), state.scores, penalty)
    return state, risk.adjoint(state.g)


def matrix(risk: LinearHingeRisk, state: Augmented, penalty: float) -> tuple[Augmented, Float64s]:
    """`NewtonSystem.matrix`."""
    assert state.pools is not None
    return state, risk.newton_matrix(state.pools, penalty)


def aim(
    risk: LinearHingeRisk, state: Augmented, direction: Float64s, penalty: float
) -> tuple[Augmented, float]:
    """`NewtonSystem.aim`."""
    return trial(risk, state._replace(along=risk.apply(direction)), 1.0, penalty)


def trial(risk: LinearHingeRisk, state: Augmented, step: float, penalty: float) -> tuple[Augmented, float]:
    """`NewtonSystem.trial`."""
    assert state.along is not None
    state = _tried(risk, state, state.scores + step * state.along, penalty)
    return state, dot(state.g, state.along)  # type: ignore[arg-type]


def settle(risk: LinearHingeRisk, state: Augmented) -> tuple[Augmented, tuple[float, Minorant]]:
    """`NewtonSystem.settle`."""
    return state._replace(scores=state.trial), (risk.loss(state.trial), risk.minorant(state.g))


def _tried(risk: LinearHingeRisk, state: Augmented, scores: Float64s, penalty: float) -> Augmented:
    shifted = scores + state.multiplier / penalty
    F, pools = risk.prox_loss_pools(shifted, 1 / penalty)
    return state._replace(trial=scores, g=penalty * (shifted - F), pools=pools)


class LocalNewton:
    """The system of a risk in this process."""

    def __init__(self, risk: LinearHingeRisk) -> None:
        self._risk = risk
        self._state: Augmented

    def begin(self, v: Float64s) -> Start:
        self._state, start = begin(self._risk, v)
        return start

    def turn(self, penalty: float) -> Float64s:
        self._state, slope = turn(self._risk, self._state, penalty)
        return slope

    def matrix(self, penalty: float) -> Float64s:
        return matrix(self._risk, self._state, penalty)[1]

    def aim(self, direction: Float64s, penalty: float) -> float:
        self._state, slope = aim(self._risk, self._state, direction, penalty)
        return slope

    def trial(self, step: float, penalty: float) -> float:
        self._state, slope = trial(self._risk, self._state, step, penalty)
        return slope

    def settle(self) -> tuple[float, Minorant]:
        self._state, settled = settle(self._risk, self._state)
        return settled

    def memory(self) -> dict[str, Any]:
        return {"scores": self._state.scores, "multiplier": self._state.multiplier}

    def restore(self, memory: dict[str, Any], penalty: float) -> None:
        scores, multiplier = np.asarray(memory["scores"]), np.asarray(memory["multiplier"])
        kept = Augmented(scores, multiplier, scores, multiplier, None, None)
        self._state = _tried(self._risk, kept, scores, penalty)
