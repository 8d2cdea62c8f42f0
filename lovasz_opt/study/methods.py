"""The methods of the convergence study: which solver, with which parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .. import solvers
from ..problems import ImageProx, LinearHingeRisk, Problem


@dataclass(frozen=True)
class Method:
    """A solver with its parameters.

    Attributes
    ----------
    solver : str
        Name in `lovasz_opt.solvers`.
    arguments : dict
        Those that are not its defaults.
    step : str or None
        Name of the argument that is varied, if there is one.
    unit : float
        The step sizes of the settings are multiples of this.
    """

    solver: str
    arguments: dict[str, Any] = field(default_factory=dict)
    step: str | None = None
    unit: float = 1.0


#: By the keys of `lovasz_opt.figures.style.METHODS`, in the order of the tables.
METHODS = {
    "prox": Method("prox"),
    "ssnal": Method("ssnal"),
    "admm": Method("admm"),
    "fista": Method("fista"),
    "proximal_gradient": Method("proximal_gradient"),
    "pdhg": Method("pdhg"),
    "moreau": Method("moreau"),
    "stochastic_proximal_point": Method("stochastic_proximal_point", step="step_size"),
    "bundle": Method("bundle"),
    "frank_wolfe": Method("frank_wolfe"),
    "polyak": Method("subgradient", {"step": "polyak"}),
    "strong": Method("subgradient", {"step": "strong"}, "step_size"),
    "strong-average": Method("subgradient", {"step": "strong", "average": "weighted"}, "step_size"),
    "sqrt": Method("subgradient", {"step": "sqrt"}, "step_size"),
    "normalised": Method("subgradient", {"step": "normalised"}, "step_size"),
    "constant": Method("subgradient", {"step": "constant"}, "step_size"),
    "stochastic_subgradient": Method("stochastic_subgradient", step="step_size"),
    "momentum": Method("stochastic_subgradient", {"momentum": 0.9}, "step_size", 0.1),
    "adam": Method("adam", step="step_size", unit=0.1),
}


def available() -> dict[str, Method]:
    """The methods whose solver this version has."""
    return {key: method for key, method in METHODS.items() if method.solver in solvers.__all__}


@cache
def serves(solver: str, kind: str) -> bool:
    """Whether a solver takes problems of this kind: it refuses one that lacks a property."""
    tiny: Problem
    if kind == "prox":
        tiny = ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0)
    else:
        tiny = LinearHingeRisk([[[1.0, 0.2], [1.0, -0.4], [1.0, 0.9]]], [[1, 0, 1]], l2=0.1)
    try:
        getattr(solvers, solver)(tiny, max_iter=0)
    except TypeError as error:
        if "needs a problem with" not in str(error):
            raise
        return False
    return True
