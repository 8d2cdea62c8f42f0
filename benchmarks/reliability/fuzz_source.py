"""From bytes to arguments, good and bad, and what must hold of every call of the package.

A `Source` draws arguments. A `Call` calls the package and checks: only documented exceptions; none, no
warning and nothing that is not finite where all arguments were good; inputs as they were.
"""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from certificate import certificate

import lovasz_opt as lo

#: What the docstrings promise; those of the package's own are among them.
DOCUMENTED = (ValueError, TypeError)
#: By bytes of the precision, relative to what rounding can spoil: far more than the soak allows, far less
#: than a wrong pool makes.
_CERTIFIED = {2: 1e-2, 4: 1e-5, 8: 1e-13}
_SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-3, 1e3, 1e6, -1e6, 1e-300, 5e-324, -5e-324, 1e100, -1e100,
    1 + 2.0**-52, 1 - 2.0**-53, 3.0, 1 / 3, -0.1,
)  # fmt: skip


class Finding(Exception):
    """Something that must not happen."""


class Source:
    """Bytes as a source of choices; zeros after the last one.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        #: Whether every argument so far was a good one.
        self.good = True

    def byte(self) -> int:
        """The next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, n: int) -> int:
        """A number from 0 to n − 1, n ≤ 256."""
        return self.byte() % n

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of them."""
        return choices[self.below(len(choices))]

    def flag(self) -> bool:
        """True or False."""
        return bool(self.byte() & 1)

    def number(self) -> float:
        """A finite float: simple ones, special ones, and any."""
        kind = self.byte()
        if kind < 150:
            return (self.byte() - 128) / 16
        if kind < 230:
            return self.pick(_SPECIAL)
        value = struct.unpack("<d", bytes(self.byte() for _ in range(8)))[0]
        return value if abs(value) < 1e100 else float(self.byte())

    def positive(self) -> float:
        """A positive float."""
        return abs(self.number()) or 1.0

    def array(self, shape: tuple[int, ...], dtype: Any = np.float64, largest: float = 1e100) -> np.ndarray:
        """Finite numbers of a precision."""
        values = np.array([self.number() for _ in range(int(np.prod(shape)))]).reshape(shape)
        top = min(float(np.finfo(dtype).max) / 16, largest)
        return np.clip(values, -top, top).astype(dtype)

    def labels(self, shape: tuple[int, ...], choices: Sequence[int] = (0, 1)) -> np.ndarray:
        """An array of labels."""
        return np.array([self.pick(choices) for _ in range(int(np.prod(shape)))]).reshape(shape)

    def rest(self) -> bytes:
        """All that is left."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    def damaged(self, content: bytes) -> bytes:
        """The content of a file with a few bytes changed, left out or cut off, or anything else."""
        self.good = False
        if self.below(8) == 0:
            return self.rest()
        changed = bytearray(content)
        for _ in range(self.below(4)):
            at = (self.byte() << 16 | self.byte() << 8 | self.byte()) % max(len(changed), 1)
            changed[at : at + self.below(3)] = bytes([self.byte()])
        return bytes(changed[: len(changed) * self.byte() // 255] if self.below(8) == 0 else changed)

    def or_bad(self, value: Any) -> Any:
        """The value, or once in a while something that does not belong there."""
        if self.byte() < 235:
            return value
        self.good = False
        bad: list[Any] = [
            None, "text", float("nan"), float("inf"), -1.0, 0, 10**400, object(), [], {}, 1 + 2j, b"",
            np.zeros((0,)), np.zeros((2, 0)), np.array(["a"]), np.array([None]), [[1.0], [2.0, 3.0]], True,
            np.float64(-0.0), np.array(1.0), slice(None), Fraction(1, 3), 2**63, -(2**70), 1e308,
            [1e308, -1e308], np.datetime64("2020"), range(3), (1, 0), "1/3", np.zeros((1, 1, 1, 1)),
            np.ones(3, complex),
        ]  # fmt: skip
        if isinstance(value, np.ndarray) and value.ndim and value.size and value.dtype.kind in "biuf":
            wrong = value.astype(np.float64)
            wrong.flat[self.below(min(value.size, 256))] = self.pick(
                (np.nan, np.inf, -np.inf, 7.0, 0.5, 1e308)
            )
            bad += [wrong, value[..., :-1], value[None], value.T, value.tolist(), value.ravel()]
            bad.append(value.astype(object))
        return self.pick(bad)


class Call:
    """Calls the package, and checks what holds of every call.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        #: How often each function was called, by module and name.
        self.made: Counter[str] = Counter()

    def __call__(self, function: Callable[..., Any], *args: Any, finite: bool = True, **kwargs: Any) -> Any:
        """The result, or None where the call was refused.

        Parameters
        ----------
        function : callable
        *args, **kwargs
            Of the call.
        finite : bool
            Whether the numbers of the result must be finite.

        Returns
        -------
        object
        """
        named = function if hasattr(function, "__qualname__") else type(function)
        name = named.__qualname__
        self.made[f"{named.__module__}.{name}"] += 1
        values = [*args, *kwargs.values()]
        before = [_digest(value) for value in values]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = function(*args, **kwargs)
            except DOCUMENTED as error:
                if self._source.good:
                    raise Finding(f"{name} refuses good arguments: {error}") from error
                if not str(error):
                    raise Finding(f"{name} raises {type(error).__name__} without a message") from error
                result = None
        if [_digest(value) for value in values] != before:
            raise Finding(f"{name} changes its arguments")
        if self._source.good:
            noise = [w for w in caught if not issubclass(w.category, lo.ProxAccuracyWarning)]
            if noise:
                raise Finding(f"{name} warns: {noise[0].category.__name__}: {noise[0].message}")
            if finite and not _finite(result):
                raise Finding(f"{name} gives something that is not finite")
        return result


def _digest(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype.kind != "O" else repr(value)
    if isinstance(value, list | tuple):
        return [_digest(part) for part in value]
    return None


def _finite(result: Any) -> bool:
    if isinstance(result, list | tuple):
        return all(_finite(part) for part in result)
    if isinstance(result, float) or (isinstance(result, np.ndarray) and result.dtype.kind == "f"):
        return bool(np.isfinite(result).all())
    return True


def certified(x: Any, foreground: Any, gamma: float, z: Any, hinge: bool) -> None:
    """Raise a finding unless z is the prox of one image in `gamma` of the Jaccard loss.

    Parameters
    ----------
    x, z : (p,) array of float
        Scores, and the claimed proximal point.
    foreground : (p,) array of bool
    gamma : float
    hinge : bool
        Whether they are the logits of a Lovász hinge.
    """
    bound = _CERTIFIED[z.dtype.itemsize]
    x, z = x.astype(np.float64).ravel(), z.astype(np.float64).ravel()
    unit = 1.0 if hinge else 0.0
    if hinge:
        x, z = (np.where(foreground, 1 - scores, 1 + scores) for scores in (x, z))
    scale = max(float(np.abs(x).max()), gamma)
    if not 1e-100 < scale < 1e120:
        # Squares would vanish or overflow; the soak has such scales.
        return
    gap, excess = certificate(x / scale, foreground, gamma / scale, z / scale, hinge, unit / scale)
    if not (abs(gap) <= bound and excess <= bound):
        raise Finding(f"no proximal point: gap {gap:.3g}, infeasibility {excess:.3g}, relative")
