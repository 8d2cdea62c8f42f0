"""A solver names the properties of a problem that it uses, and refuses a problem that lacks one."""

from __future__ import annotations

from typing import Any

_WHAT = {
    "strong_convexity": "a strongly convex objective",
    "linearise": "a value with a subgradient and its minorant",
    "loss_and_subgradient": "a value with a subgradient of its loss on the scores",
    "batch": "images that can be looked at one by one",
    "n_images": "a number of images",
    "prox_loss": "an exact prox of its loss on the scores",
    "squared_norm": "the spectral norm of its linear map",
    "ridge": "a solvable ridge step in its linear map",
    "newton_system": "an exact prox of its loss with the Jacobian, and Newton systems of its linear map",
    "prox": "an exact prox of its loss in the variable itself",
    "solve_exact": "a solution that is a single prox",
}


def require(solver: str, problem: Any, *names: str, convex: bool = True) -> None:
    """Raise `TypeError` naming the first property that the problem lacks.

    Parameters
    ----------
    solver : str
        Its name, for the message.
    problem : object
    *names : str
        Attributes that the solver uses.
    convex : bool
        Whether it relies on convexity, as it does for its minorants at least.

    Returns
    -------
    None
    """
    if convex and not getattr(problem, "convex", True):
        raise TypeError(
            f"{solver} needs a problem with a convex objective ('convex'); that of {type(problem).__name__} "
            "is not: see its documentation for solvers that can do without, and for convex models of it"
        )
    for name in names:
        if not hasattr(problem, name):
            what = _WHAT.get(name, "one more property")
            raise TypeError(
                f"{solver} needs a problem with {what} ('{name}'); {type(problem).__name__} has none: "
                "see lovasz_opt.solvers for the other methods"
            )
