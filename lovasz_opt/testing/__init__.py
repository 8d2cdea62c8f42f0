"""Checks that you run on set functions and solvers of your own; NumPy alone is needed, no test framework.

The pages "Add a set function" and "Add a solver" of the documentation show both at work.
"""

from ._report import CheckReport
from .set_functions import check_set_function
from .solvers import check_solver

__all__ = ["CheckReport", "check_set_function", "check_solver"]
