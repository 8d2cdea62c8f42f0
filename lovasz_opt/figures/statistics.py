"""Means with standard errors, and paired differences, over problems and seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._validation import Float64s


def mean_and_error(values: Float64s) -> tuple[float, float]:
    """Mean and its standard error; the error of a single value is 0.

    Parameters
    ----------
    values : (n,) ndarray

    Returns
    -------
    float, float

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.figures.statistics import mean_and_error
    >>> mean_and_error(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


class Difference(NamedTuple):
    """How far one method is above another, paired by seed.

    Attributes
    ----------
    mean : float
    error : float
        Standard error over seeds of the mean over problems.
    error_over_problems : float
        Standard error over problems of the mean over seeds.
    above : int
        Problems on which the mean over seeds is above 0.
    """

    mean: float
    error: float
    error_over_problems: float
    above: int


def paired(ours: Float64s, theirs: Float64s) -> Difference:
    """The difference of two (problems, seeds) arrays.

    Parameters
    ----------
    ours, theirs : (problems, seeds) ndarray

    Returns
    -------
    Difference

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.figures.statistics import paired
    >>> paired(np.array([[2.0, 4.0], [1.0, 1.0]]), np.ones((2, 2)))
    Difference(mean=1.0, error=0.5, error_over_problems=1.0, above=1)
    """
    gap = ours - theirs
    mean, error = mean_and_error(gap.mean(axis=0))
    by_problem = gap.mean(axis=1)
    return Difference(mean, error, mean_and_error(by_problem)[1], int(np.count_nonzero(by_problem > 0)))
