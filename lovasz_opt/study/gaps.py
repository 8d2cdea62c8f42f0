"""How long a run took to a certified gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._validation import Bools, Float64s

#: Relative certified gaps that the tables ask for.
LEVELS = (1e-2, 1e-4, 1e-8)


class Reached(NamedTuple):
    """Where on its way a run was when it got there."""

    iteration: int
    seconds: float
    passes: float


def relative_gaps(trace: dict[str, Float64s]) -> Float64s:
    """The certified gap of each iteration in units of the best objective then."""
    best = np.abs(trace["best"])
    return np.asarray(trace["gap"] / np.where(best > 0, best, 1.0))


def time_to_gap(trace: dict[str, Float64s], level: float) -> Reached | None:
    """The first iteration with a relative certified gap of at most `level`, or None.

    Parameters
    ----------
    trace : dict of str to ndarray
        Of a `lovasz_opt.solvers.Result`.
    level : float

    Returns
    -------
    Reached or None

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.study.gaps import time_to_gap
    >>> rows = np.array([[0, 0.0, 1.0, 2.0, 2.0], [1, 0.5, 3.0, 2.0, 0.1]])
    >>> columns = ("iteration", "seconds", "passes", "best", "gap")
    >>> time_to_gap(dict(zip(columns, rows.T)), level=0.1)
    Reached(iteration=1, seconds=0.5, passes=3.0)
    """
    return _first(trace, relative_gaps(trace) <= level)


def time_to_value(trace: dict[str, Float64s], value: float) -> Reached | None:
    """The first iteration with an objective of at most `value`, or None.

    Parameters
    ----------
    trace : dict of str to ndarray
    value : float

    Returns
    -------
    Reached or None
    """
    return _first(trace, trace["best"] <= value)


def _first(trace: dict[str, Float64s], rows: Bools) -> Reached | None:
    """The first row that is marked."""
    found = np.flatnonzero(rows)
    if not found.size:
        return None
    k = int(found[0])
    return Reached(int(trace["iteration"][k]), float(trace["seconds"][k]), float(trace["passes"][k]))
