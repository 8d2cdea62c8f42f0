"""Certificates as files: a proximal point in integers, which programs without this package can check.

``proofs/certificates/README.md`` defines the format.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isqrt, lcm, nextafter
from pathlib import Path
from typing import Any, Literal

from numpy.typing import ArrayLike

from ._validation import as_rationals
from .exact import as_problem, float_solution, prox_exact, refutation

_FIRST = "lovasz-opt certificate 1"
_INTEGER = re.compile("0|-?[1-9][0-9]*")
_SHOWN = 40


class NotProximalError(ValueError):
    """A claimed proximal point is refuted; the message names the set that refutes it."""


@dataclass(frozen=True)
class ProxCertificate:
    """The claim that Z/D is the prox of X/D with step G/D for the Jaccard loss, and V/D within E/D of it.

    `certify_prox` makes one that holds; `read` and `from_text` take what a file claims, and `refutation`
    checks it.

    Attributes
    ----------
    y : tuple of bool
        Foreground pixels.
    X, Z : tuple of int
        Numerators of the scores and of the proximal point.
    G : int
        Numerator of the step, > 0.
    D : int
        Common denominator, > 0.
    V : tuple of int or None
        Numerators of an approximate answer, such as the float64 prox.
    E : int or None
        ‖V − Z‖ ≤ E; None iff V is.
    """

    y: tuple[bool, ...]
    X: tuple[int, ...]
    Z: tuple[int, ...]
    G: int
    D: int
    V: tuple[int, ...] | None = None
    E: int | None = None

    @property
    def z(self) -> list[Fraction]:
        """The proximal point."""
        return [Fraction(value, self.D) for value in self.Z]

    @property
    def error_bound(self) -> float | None:
        """Least float that is ≥ E/D, which bounds the Euclidean error of the approximate answer."""
        if self.E is None:
            return None
        try:
            nearest = self.E / self.D
        except OverflowError:
            return inf
        return nearest if Fraction(nearest) >= Fraction(self.E, self.D) else nextafter(nearest, inf)

    def refutation(self) -> str | None:
        """Why the claim is false, or None if it holds: a proof in integers, either way.

        Returns
        -------
        str or None

        Examples
        --------
        >>> import dataclasses
        >>> import lovasz_opt as lo
        >>> certificate = lo.certify_prox([1, 0, 1], [26, 12, 13], 12)
        >>> certificate.refutation() is None
        True
        >>> dataclasses.replace(certificate, Z=(20, 9, 9)).refutation()
        'w(A) exceeds Δ(A) by 0.0833 on A = {0, 1}, w = (x − z)/gamma'
        """
        reason = refutation(self.y, self.X, self.Z, self.G)
        if reason is None and self.V is not None and self.E is not None:
            excess = _squared_distance(self.V, self.Z) > self.E**2
            return "the approximate answer is further than E/D from z" if excess else None
        return reason

    def summary(self) -> str:
        """What is claimed, for people.

        Returns
        -------
        str
            Lines without one at the end.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> print(lo.certify_prox([1, 0, 1], [26, 12, 13], 12, v="float64").summary())
        pixels       3: 2 foreground, 1 background
        pools        3 different values
        denominator  1 digit
        float error  at most 0.0
        """
        foreground = sum(self.y)
        with _any_number_of_digits():
            digits = len(str(self.D))
        lines = [
            f"pixels       {len(self.y)}: {foreground} foreground, {len(self.y) - foreground} background",
            f"pools        {len(set(self.Z))} different values",
            f"denominator  {digits} digit{'s' * (digits > 1)}",
        ]
        if self.E is not None:
            lines.append(f"float error  at most {self.error_bound}")
        return "\n".join(lines)

    def to_text(self) -> str:
        """The certificate in its text format.

        Returns
        -------
        str

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> print(lo.certify_prox([1, 0, 1], [26, 12, 13], 12).to_text(), end="")
        lovasz-opt certificate 1
        loss jaccard
        pixels 3
        denominator 1
        gamma 12
        1 26 20
        0 12 10
        1 13 9
        end
        """
        with _any_number_of_digits():
            head = [_FIRST, "loss jaccard", f"pixels {len(self.y)}"]
            head += [f"denominator {self.D}", f"gamma {self.G}"]
            columns = [map(int, self.y), self.X, self.Z]
            if self.V is not None:
                head.append(f"error {self.E}")
                columns.append(self.V)
            rows = (" ".join(map(str, row)) for row in zip(*columns, strict=True))
            return "\n".join([*head, *rows, "end\n"])

    @classmethod
    def from_text(cls, text: str) -> ProxCertificate:
        """Read the text format; whether the claim holds is not looked at.

        Parameters
        ----------
        text : str

        Returns
        -------
        ProxCertificate

        Raises
        ------
        ValueError
            If the text is not a certificate; the message names the line and what belongs there.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> text = lo.certify_prox([1, 0], [2, 1], 1).to_text()
        >>> lo.ProxCertificate.from_text(text).Z
        (1, 1)
        """
        with _any_number_of_digits():
            return _parse(text)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the text format to a file, UTF-8 with LF at the end of each line.

        Parameters
        ----------
        path : path

        Returns
        -------
        None
        """
        Path(path).write_text(self.to_text(), encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ProxCertificate:
        """Read a file that `write` wrote; whether the claim holds is not looked at.

        Parameters
        ----------
        path : path

        Returns
        -------
        ProxCertificate

        Raises
        ------
        ValueError
            If the file is not a certificate; the message names the file, the line and what belongs there.
        """
        try:
            return cls.from_text(Path(path).read_bytes().decode("utf-8"))
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None


def certify_prox(
    target: ArrayLike,
    x: Iterable[Any],
    gamma: Any,
    *,
    z: Iterable[Any] | None = None,
    v: Iterable[Any] | Literal["float64"] | None = None,
) -> ProxCertificate:
    """Certificate of the prox of the Jaccard loss, and of the error of an approximate one.

    Parameters
    ----------
    target : (p,) array of bool or {0, 1}
        Foreground pixels.
    x : sequence of int, float, str or fractions.Fraction
        Scores; floats are taken as the exact rationals that they are.
    gamma : int, float, str or fractions.Fraction
        Step, > 0.
    z : sequence of int, float, str or fractions.Fraction, optional
        The claimed proximal point; by default `prox_exact` finds it.
    v : sequence of int, float, str or fractions.Fraction, or "float64", optional
        An approximate answer, whose distance from z is certified too. "float64" is `LovaszExtension.prox` of
        the numbers rounded to float64, left out where they are out of its range.

    Returns
    -------
    ProxCertificate
        It holds. E is the least integer possible.

    Raises
    ------
    NotProximalError
        If the given z is not the proximal point; the message names a set that refutes it.
    ValueError, TypeError
        If the target is empty or not binary, lengths differ, an entry is not a finite rational, or gamma ≤ 0.

    Notes
    -----
    Complexity: O(p log p) operations on integers, as `prox_exact`. Their digits are those of the common
    denominator of all numbers, and that can have O(p) digits: it holds a factor P + b for every number b of
    background pixels at which a foreground pixel lies alone.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> certificate = lo.certify_prox([0, 1, 0], [1.5, 1.0, 0.99], 1, v="float64")
    >>> [round(float(value), 4) for value in certificate.z]
    [1.0, 0.6667, 0.8233]
    >>> certificate.error_bound < 1e-15
    True
    >>> lo.certify_prox([1, 0, 1], [26, 12, 13], 12, z=[20, "19/2", "19/2"])
    Traceback (most recent call last):
        ...
    lovasz_opt.certificates.NotProximalError: z is not the proximal point: w(A) exceeds Δ(A) by 0.0417 on
    A = {0, 1}, w = (x − z)/gamma
    """
    mask, scores, step = as_problem(target, x, gamma)
    point = prox_exact(mask, scores, step) if z is None else as_rationals(z, "z")
    if isinstance(v, str):
        if v != "float64":
            raise ValueError(f"v is {v!r}; give an approximate answer, 'float64' or None")
        solution = float_solution(mask, scores, step)
        v = None if solution is None else solution.z
    approximation = None if v is None else as_rationals(v, "v")
    for name, given in (("z", point), ("v", approximation)):
        if given is not None and len(given) != len(mask):
            raise ValueError(f"{name} has {len(given)} entries, expected {len(mask)}: one per pixel")
    every = [step, *scores, *point, *(approximation or ())]
    D = lcm(*{value.denominator for value in every})
    X, Z, V = (_numerators(values, D) for values in (scores, point, approximation or ()))
    G = int(step * D)
    reason = None if z is None else refutation(mask.tolist(), X, Z, G)
    if reason is not None:
        raise NotProximalError(f"z is not the proximal point: {reason}")
    y = tuple(mask.tolist())
    if approximation is None:
        return ProxCertificate(y, X, Z, G, D)
    squared = _squared_distance(V, Z)
    E = isqrt(squared)
    return ProxCertificate(y, X, Z, G, D, V, E + (squared > E**2))


def _numerators(values: Iterable[Fraction], D: int) -> tuple[int, ...]:
    return tuple(value.numerator * (D // value.denominator) for value in values)


def _squared_distance(V: Iterable[int], Z: Iterable[int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(V, Z, strict=True))


@contextmanager
def _any_number_of_digits() -> Iterator[None]:
    """Lift Python's limit on the digits of an integer in text: denominators of large images exceed it."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def _parse(text: str) -> ProxCertificate:
    lines = text.split("\n")

    def fail(at: int, expected: str) -> ValueError:
        found = lines[at] if at < len(lines) else ""
        found = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
        return ValueError(
            f"line {at + 1}: expected {expected}, found {found!r}; 'lovasz-opt certify' writes the file anew"
        )

    def integers(at: int, count: int, expected: str, word: str = "") -> list[int]:
        fields = lines[at].split(" ") if at < len(lines) else []
        numbers = fields[1:] if word else fields
        if fields[: bool(word)] != [word] * bool(word) or len(numbers) != count:
            raise fail(at, expected)
        if not all(map(_INTEGER.fullmatch, numbers)):
            raise fail(at, expected)
        return [int(number) for number in numbers]

    def header(at: int, word: str, least: int) -> int:
        expected = f"'{word}' and an integer ≥ {least}"
        (number,) = integers(at, 1, expected, word)
        if number < least:
            raise fail(at, expected)
        return number

    for at, fixed in enumerate((_FIRST, "loss jaccard")):
        if lines[at : at + 1] != [fixed]:
            raise fail(at, repr(fixed))
    pixels, D, G = header(2, "pixels", 1), header(3, "denominator", 1), header(4, "gamma", 1)
    E = header(5, "error", 0) if "".join(lines[5:6]).startswith("error") else None
    start, columns = (5, "y X Z") if E is None else (6, "y X Z V")
    rows = []
    for at in range(start, start + pixels):
        rows.append(integers(at, len(columns.split()), f"the integers {columns} of one of {pixels} pixels"))
        if rows[-1][0] not in (0, 1):
            raise fail(at, f"the integers {columns} with y = 0 or 1")
    if lines[start + pixels :] != ["end", ""]:
        raise fail(start + pixels, f"'end' after {pixels} pixels, and nothing behind it")
    y, X, Z, *V = zip(*rows, strict=True)
    return ProxCertificate(tuple(map(bool, y)), X, Z, G, D, V[0] if V else None, E)
