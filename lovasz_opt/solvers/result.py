"""What every solver returns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._npz import read_npz
from .._validation import Float64s

#: Columns of a trace, one row per iteration.
TRACE_COLUMNS = ("iteration", "seconds", "passes", "value", "best", "dual", "gap")


@dataclass(frozen=True)
class State:
    """What a callback sees after each iteration.

    Attributes
    ----------
    iteration : int
        0 at the starting point.
    seconds : float
        Since the start, callbacks excluded.
    passes : float
        Passes over the data: products with the features or their transpose, in units of all pixels.
    x : (n,) ndarray
        The current candidate, read-only.
    value, best, dual, gap : float
        Objective at x, best objective so far, best lower bound so far, and best − dual.
    """

    iteration: int
    seconds: float
    passes: float
    x: Float64s
    value: float
    best: float
    dual: float
    gap: float

    @property
    def relative_gap(self) -> float:
        """The certified gap in units of the best objective: what `tol` is compared with."""
        return self.gap / abs(self.best) if self.best else self.gap


@dataclass(frozen=True)
class Result:
    """Outcome of a solver.

    Attributes
    ----------
    x : ndarray
        The best point found, of the problem's shape.
    value : float
        Objective at x.
    dual : float
        Best certified lower bound of the optimal value.
    gap : float
        value − dual ≥ 0; the optimal value lies in [dual, value]. Where the problem is not convex, dual is a
        bound that the problem knows, and the gap does not tend to 0.
    status : str
        "optimal" (gap within `tol`), "max_iter", "max_time", "stopped" (by the callback), "interrupted",
        "diverged", or "finished" (the method has no further iteration).
    message : str
        The same in a sentence.
    nit : int
        Iterations done; the starting point is iteration 0.
    trace : dict of str to (nit + 1,) ndarray
        Columns iteration, seconds, passes (over the data), value (of this iteration's candidate), best, dual,
        gap.
    method : str
        Name of the method.
    state : dict
        What the method needs to go on: pass the result as `resume` to the same method on the same problem.

    Examples
    --------
    >>> from lovasz_opt import problems, solvers
    >>> r = solvers.prox(problems.ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=1.0))
    >>> r.status, r.nit, bool(r.gap <= 1e-14)
    ('optimal', 1, True)

    A run in two parts is the same run:

    >>> pb = problems.ImageProx([0.5, -0.2, 0.3], [1, 1, 0], gamma=2.0)
    >>> half = solvers.subgradient(pb, "sqrt", max_iter=10, tol=0)
    >>> rest, whole = (solvers.subgradient(pb, "sqrt", max_iter=20, tol=0, resume=r) for r in (half, None))
    >>> rest.nit, bool((rest.x == whole.x).all())
    (20, True)
    """

    x: Float64s
    value: float
    dual: float
    gap: float
    status: str
    message: str
    nit: int
    trace: dict[str, Float64s] = field(repr=False)
    method: str
    state: dict[str, Any] = field(repr=False)

    @property
    def relative_gap(self) -> float:
        """The certified gap in units of the value: what `tol` is compared with."""
        return self.gap / abs(self.value) if self.value else self.gap

    @property
    def success(self) -> bool:
        """Whether the certified gap is within the tolerance asked for."""
        return self.status == "optimal"

    def save(self, path: str | Path) -> None:
        """Write the result to a file that `load` reads; an older file is replaced in one step.

        Parameters
        ----------
        path : str or Path
            NumPy's npz format; nothing in it is pickled.
        """
        arrays: dict[str, Any] = {"x": self.x}
        arrays |= {f"trace/{name}": column for name, column in self.trace.items()}
        plain = {name: getattr(self, name) for name in _PLAIN}
        plain["state"] = _without_arrays(self.state, "state", arrays)
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as stream:
            np.savez(stream, plain=np.array(json.dumps(plain)), **arrays)
        partial.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result that `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Result

        Raises
        ------
        ValueError
            If the file is no saved result.
        """
        try:
            arrays = read_npz(Path(path))
            plain = json.loads(str(arrays["plain"]))
            return cls(
                x=arrays["x"],
                trace={name: arrays[f"trace/{name}"] for name in TRACE_COLUMNS},
                state=_with_arrays(plain.pop("state"), "state", arrays),
                **plain,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no saved result; write one with Result.save") from error


#: Fields that are plain numbers and strings.
_PLAIN = ("value", "dual", "gap", "status", "message", "nit", "method")


def _without_arrays(state: dict[str, Any], prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a state; its arrays go to `arrays` under names made of the keys."""
    plain: dict[str, Any] = {}
    for key, entry in state.items():
        name = f"{prefix}/{key}"
        if isinstance(entry, np.ndarray):
            arrays[name] = entry
        elif isinstance(entry, dict):
            plain[key] = _without_arrays(entry, name, arrays)
        else:
            plain[key] = entry.item() if isinstance(entry, np.generic) else entry
    return plain


def _with_arrays(plain: dict[str, Any], prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    state = {
        key: _with_arrays(entry, f"{prefix}/{key}", arrays) if isinstance(entry, dict) else entry
        for key, entry in plain.items()
    }
    for name, array in arrays.items():
        parent, _, key = name.rpartition("/")
        if parent == prefix:
            state[key] = array
    return state
