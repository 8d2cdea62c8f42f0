"""A solver names the properties of a problem that it uses, and refuses a problem that lacks one."""

from __future__ import annotations

from typing import Any

_WHAT = {
    "linearise": "a value with a subgradient and its minorant",
    "batch": "images that can be looked at one by one",
    "n_images": "a number of images",
    "prox_loss": "an exact prox of its loss on the scores",
    "ridge": "a solvable ridge step in its linear map",
    "newton_system": "an exact prox of its loss with the Jacobian, and Newton systems of its linear map",
    "prox": "an exact prox of its loss in the variable itself",
    "solve_exact": "a solution that is a single prox",
}


def require(solver: str, problem: Any, *names: str) -> None:
    """Raise `TypeError` naming the first property that the problem lacks."""
    for name in names:
        if not hasattr(problem, name):
            raise TypeError(
                f"{solver} needs a problem with {_WHAT[name]} ('{name}'); {type(problem).__name__} has none: "
                "see lovasz_opt.solvers for the other methods"
            )
