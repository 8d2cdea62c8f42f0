"""Solvers of `lovasz_opt.problems`, one file each; all return a `Result` with a certified gap."""

from .admm import admm
from .bundle import bundle
from .frank_wolfe import frank_wolfe
from .prox import prox
from .proximal_gradient import proximal_gradient
from .result import Result, State
from .ssnal import ssnal
from .subgradient import subgradient

__all__ = [
    "Result",
    "State",
    "admm",
    "bundle",
    "frank_wolfe",
    "prox",
    "proximal_gradient",
    "ssnal",
    "subgradient",
]
