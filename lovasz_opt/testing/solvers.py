"""The check of a solver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import _runs
from ._report import CheckReport, run_checks
from ._solver_case import SolverCase, given_problems, small_problems

#: From what all else rests on to what rests on all else: the first failure is the nearest to the cause.
CHECKS: Mapping[str, Callable[[SolverCase], None]] = {
    "arguments": _runs.check_arguments,
    "refusal": _runs.check_refusal,
    "result": _runs.check_result,
    "certificate": _runs.check_certificate,
    "trace": _runs.check_trace,
    "stopping rule": _runs.check_stopping_rule,
    "max_iter": _runs.check_iteration_limit,
    "callback": _runs.check_callback,
    "seconds": _runs.check_seconds,
    "max_time": _runs.check_time_limit,
    "Ctrl-C": _runs.check_interrupt,
    "x0": _runs.check_start,
    "inputs unchanged": _runs.check_inputs,
    "same result when called again": _runs.check_deterministic,
    "progress": _runs.check_progress,
    "bad arguments are refused": _runs.check_bad_arguments,
    "resume": _runs.check_resume,
}


def check_solver(
    solver: Callable[..., Any],
    *,
    problems: Mapping[str, Callable[[], Any]] | None = None,
    max_iter: int = 200,
    seed: int = 0,
) -> CheckReport:
    """Check that a solver keeps the contract of `lovasz_opt.solvers`, and that its certificates are right.

    It is run on small problems, on those of them that it takes: proxes of an image and linear risks, plain
    and awkward (ties, void pixels, separable, no foreground, one pixel, no features). Their optimal values
    are known to about 1e-9 from an exact prox or a second-order method.

    Parameters
    ----------
    solver : callable
        ``solver(pb, *, tol, max_iter, max_time, callback, x0)``, with other arguments if they have defaults;
        with `resume`, that is checked too. Wrap one that needs more with `functools.partial`.
    problems : mapping of str to callable, optional
        Problems to run it on instead: each callable makes one afresh. One of the package's solvers must take
        them, to know the optimum.
    max_iter : int
        Iterations in which the gap must be halved on each problem.
    seed : int
        Of the problems.

    Returns
    -------
    CheckReport
        What was checked, and what was skipped and why. Print it.

    Raises
    ------
    AssertionError
        At the first property that does not hold, with the numbers, the problem, and where to look.
    TypeError, ValueError
        If the solver is not callable, or max_iter < 12.

    Notes
    -----
    Seconds: some 200 short runs, and one of `max_iter` iterations on each problem.

    Examples
    --------
    >>> from lovasz_opt import solvers
    >>> from lovasz_opt.testing import check_solver
    >>> report = check_solver(solvers.bundle)
    >>> "certificate" in report.passed
    True

    One whose certificate is too good:

    >>> from dataclasses import replace
    >>> def boastful(pb, **options):
    ...     result = solvers.bundle(pb, **options)
    ...     return replace(result, dual=result.value, gap=0.0)
    >>> check_solver(boastful)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: boastful fails 'certificate': dual is ...
    """
    if not callable(solver):
        raise TypeError(f"solver must be callable, got {type(solver).__name__}; pass the function itself")
    if max_iter < 12:
        raise ValueError(f"max_iter is {max_iter}; it must be ≥ 12, the length of the short runs")
    instances = small_problems(seed) if problems is None else given_problems(problems)
    function = getattr(solver, "func", solver)
    name = str(getattr(function, "__name__", repr(solver)))
    return run_checks(name, CHECKS, SolverCase(solver, instances, max_iter))
