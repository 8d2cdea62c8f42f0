"""The check of a set function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..sets.base import SetFunction
from . import _claims, _extension, _prox, _values
from ._report import CheckReport, run_checks
from ._set_case import SetCase

#: From what all else rests on to what rests on all else: the first failure is the nearest to the cause.
CHECKS: Mapping[str, Callable[[SetCase], None]] = {
    "normalised": _values.check_normalised,
    "batches of masks": _values.check_batches,
    "exact_value": _values.check_exact_value,
    "increments": _values.check_increments,
    "inputs unchanged": _values.check_inputs_unchanged,
    "results are fresh": _values.check_results_are_fresh,
    "same result when called again": _values.check_repeatable,
    "bad input is refused": _values.check_bad_input,
    "repr": _values.check_repr,
    "is_submodular": _claims.check_submodular,
    "is_nondecreasing": _values.check_nondecreasing,
    "increment bounds": _claims.check_increment_bounds,
    "largest violation": _claims.check_violation,
    "Lovász extension": _extension.check_extension,
    "convexity": _extension.check_convexity,
    "prox": _prox.check_prox,
    "prox in a constant metric": _prox.check_prox_constant_metric,
    "prox in the metric of the weights": _prox.check_prox_own_weights,
    "prox in any metric": _prox.check_prox_any_metric,
    "prox point": _prox.check_points,
    "prox of the positive part": _prox.check_thresholded,
    "pools of the prox": _prox.check_pools,
    "derivative of the prox": _prox.check_derivative,
    "warm start of the prox": _prox.check_warm_start,
}


def check_set_function(F: SetFunction, *, rtol: float = 1e-10, seed: int = 0) -> CheckReport:
    """Check that a set function keeps the contract of `SetFunction`, and that its fast algorithms are right.

    Values are the reference for all else: increments, bounds, violations and claims are compared with the
    values on all 2^n sets for n ≤ 12, and on random sets beyond; a prox of its own with the prox by all sets,
    by the min-norm point for n ≤ 64, and with its optimality conditions beyond. So check a small instance
    first, then a few larger ones. That the values are those that you mean only your own tests can know.

    Parameters
    ----------
    F : SetFunction
        An instance of a class of your own, or one of this package.
    rtol : float
        Rounding to allow, relative to the largest value of F.
    seed : int
        Of the random sets, orders and points; a failure comes again with the same seed.

    Returns
    -------
    CheckReport
        What was checked, and what was skipped and why. Print it.

    Raises
    ------
    AssertionError
        At the first property that does not hold, with the numbers, a counterexample (as small as was found),
        and where to look.
    TypeError, ValueError
        If F is no `SetFunction`, or rtol is not positive.

    Notes
    -----
    A second or so for n ≤ 12, where all 2^n sets are looked at; beyond, time and memory are those of some
    thousands of values and a few hundred orders, fewer where n is large, and of some 50 proxes.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> from lovasz_opt.testing import check_set_function
    >>> report = check_set_function(lo.Jaccard([1, 0, 1, 0, 0]))
    >>> report.skipped
    {'prox in the metric of the weights': 'F has no attribute `weights` of n positive numbers'}

    One that forgets an element:

    >>> class Wrong(lo.Modular):
    ...     def increments(self, order):
    ...         return self.weights[self._check_order(order)] * (self.weights < 3)
    >>> check_set_function(Wrong([1.0, 2.0, 3.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: Modular(n=3) fails 'increments': increments([0, 1, 2])[2] is 0.0, but
      F({0, 1, 2}) − F({0, 1}) is 3.0
      look at: ...
    """
    if not isinstance(F, SetFunction):
        raise TypeError(
            f"F must be a SetFunction, got {type(F).__name__}; wrap it with SetFunction.from_callable"
        )
    if not rtol > 0:
        raise ValueError(f"rtol is {rtol}; it must be > 0: rounding is never 0")
    return run_checks(_named(F), CHECKS, SetCase(F, rtol, seed))


def _named(F: SetFunction) -> str:
    try:
        return repr(F).split("\n")[0][:120]
    except Exception:
        # That is a failure of its own.
        return type(F).__name__
