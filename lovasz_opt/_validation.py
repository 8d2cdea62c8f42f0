"""Checks of arguments that every public function shares: one place, one wording."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Float64s = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def as_scores(x: ArrayLike, name: str = "x", shape: tuple[int, ...] | None = None) -> tuple[Floats, np.dtype]:
    """Return finite scores as a C-contiguous native float array, and the dtype to give results back in.

    float32 and float64 stay what they are, half precision is computed in float32, and integers in float64.
    The result may share memory with `x`; callers never write to it.
    """
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it with astype(float)"
        )
    out_dtype = array.dtype.newbyteorder("=")
    if out_dtype.itemsize > 8:
        out_dtype = np.dtype(np.float64)
    compute_dtype = np.float32 if out_dtype.itemsize <= 4 else np.float64
    array = np.asarray(array, dtype=compute_dtype, order="C")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}; reshape it to match the target")
    check_finite(array, name)
    return array, out_dtype


def check_finite(array: Floats, name: str) -> None:
    """Raise unless every entry is finite, naming the first that is not."""
    if np.isfinite(array).all():
        return
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    where = f"[{', '.join(map(str, index))}]" if index else ""
    raise ValueError(
        f"{name}{where} is {array[index]}; {name} must be finite: mask or clip such entries first"
    )


def as_target(target: ArrayLike, name: str = "target") -> Bools:
    """Return labels in {0, 1} (bool, integer or float) as a C-contiguous boolean array."""
    array = np.asarray(target)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be boolean or hold 0 and 1, got dtype {array.dtype}")
    if array.dtype.kind != "b":
        wrong = (array != 0) & (array != 1)
        if wrong.any():
            raise ValueError(
                f"{name} holds {array[wrong].flat[0]}, outside {{0, 1}}; "
                "binarise it, or pass ignore= for void labels"
            )
    return np.ascontiguousarray(array.astype(np.bool_, copy=False))


def as_weights(weights: ArrayLike, shape: tuple[int, ...], name: str = "weights") -> Float64s:
    """Return positive finite float64 weights of the given shape."""
    array = np.ascontiguousarray(as_float64s(weights, name))
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}: one weight per pixel")
    check_finite(array, name)
    if array.size and array.min() <= 0:
        raise ValueError(
            f"{name} holds {array.min()}; weights must be > 0: drop a pixel instead of weighting it 0"
        )
    return array


def as_float64s(values: ArrayLike, name: str) -> Float64s:
    """Return numbers as float64, not copied where they are; they may be NaN or infinite."""
    try:
        return np.asarray(values, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{name} holds an integer beyond the range of floats; it must be finite") from None


def as_number(value: Any, name: str, kind: str = "a number") -> float:
    """Return a number as a float, which may be NaN or infinite; `kind` says what belongs there."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is an integer beyond the range of floats; it must be finite") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {kind}, got {value!r}") from None


def as_whole(value: Any, name: str) -> int:
    """Return an integer, which may be one of NumPy's."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def as_step(gamma: float, name: str = "gamma") -> float:
    """Return the step of a proximal operator, a positive finite number."""
    value = as_number(gamma, name, "a positive number")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {gamma}; it must be finite and > 0")
    return value


def as_rational(value: Any, name: str) -> Fraction:
    """Return a number as an exact fraction; a float is the dyadic rational that it stores."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(
            f"{name} is {value!r}; give a finite rational, as int, float, Fraction or 'p/q'"
        ) from None


def as_rationals(values: Iterable[Any], name: str) -> list[Fraction]:
    """`as_rational` of every entry."""
    return [as_rational(value, f"{name}[{i}]") for i, value in enumerate(values)]
