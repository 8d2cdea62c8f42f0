"""A set function given as a Python callable."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Bools, Float64s
from .base import SetFunction, _describe, as_size


class CallableFunction(SetFunction):
    """What `SetFunction.from_callable` returns: F(S) = fn(mask of S), checked at every call."""

    def __init__(self, fn: Callable[[Bools], Any], n: int) -> None:
        if not callable(fn):
            raise TypeError(
                f"fn must be callable, got {type(fn).__name__}; pass a function of a boolean mask"
            )
        self.n = as_size(n)
        self.fn = fn
        empty = self._evaluate(np.zeros(self.n, dtype=np.bool_))
        if empty != 0:
            raise ValueError(
                f"fn of the empty set is {empty}, not 0; subtract it: lambda mask: fn(mask) - ({empty})"
            )

    def __repr__(self) -> str:
        return (
            f"SetFunction.from_callable({getattr(self.fn, '__name__', type(self.fn).__name__)}, n={self.n})"
        )

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Value on one mask as `fn` gives it: an int, a Fraction, or a float taken as the rational it is."""
        value = self._evaluate(self._as_mask(mask))
        # Narrow NumPy floats have no as_integer_ratio that every Fraction accepts.
        return Fraction(float(value) if isinstance(value, np.floating) else value)

    def _values(self, masks: Bools) -> Float64s:
        return np.array([float(self._evaluate(mask)) for mask in masks], dtype=np.float64)

    def _evaluate(self, mask: Bools) -> Any:
        value = self.fn(mask.copy())
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if not isinstance(value, int | float | Fraction | np.integer | np.floating | np.bool_):
            raise TypeError(
                f"fn of the set {_describe(mask)} is of type {type(value).__name__}; it must be a real "
                f"number: return one int, float or Fraction for one mask"
            )
        if not math.isfinite(value):
            raise ValueError(f"fn of the set {_describe(mask)} is {value}; every value must be finite")
        return int(value) if isinstance(value, np.integer | np.bool_) else value
