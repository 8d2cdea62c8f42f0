"""Checks of the Lovász extension that a set function has."""

from __future__ import annotations

import numpy as np

from ..extension import LovaszExtension
from ._report import Skipped, fail
from ._set_case import SetCase, close, show, show_vector

_POINTS = 48


def check_extension(case: SetCase) -> None:
    """f(1_A) = F(A), f(t x) = t f(x) for t > 0, and f(x + c) = f(x) + c F(V)."""
    f = LovaszExtension(case.F)
    look = "`increments` along this order: it decides f, and F(A) comes from `_values`"
    sets, values = case.sets, case.values
    if not case.exhaustive:
        keep = slice(None, None, max(1, len(sets) // 32))
        sets, values = sets[keep], values[keep]
    for mask, value in zip(sets, values, strict=True):
        # A set as a vector: its elements come first, then the others.
        given = f(mask.astype(np.float64))
        if not close(given, value, case.n * case.tolerance):
            fail(f"the extension is {given!r} at the indicator of {show(mask)}, whose F is {value!r}", look)
    total = case.F(np.ones(case.n, dtype=np.bool_))
    for x in case.points("extension", _POINTS):
        size = 10 * case.n * case.tolerance * (1 + float(np.abs(x).max()))
        for name, given, expected in (
            ("f(2.5 x)", f(2.5 * x), 2.5 * f(x)),
            ("f(x + 3)", f(x + 3), f(x) + 3 * total),
        ):
            if not close(given, expected, size):
                order = np.argsort(-x, kind="stable")
                fail(
                    f"{name} is {given!r} instead of {expected!r} at x = {show_vector(x)}",
                    f"`increments({list(map(int, order[:12]))}…)`: the same order gave other increments",
                )


def check_convexity(case: SetCase) -> None:
    """The extension of a submodular F is convex, and its greedy vectors are in the base polytope."""
    if not case.F.is_submodular:
        raise Skipped("F says that it is not submodular, so its extension is not convex")
    f = LovaszExtension(case.F)
    look = "`_report`, which says that F is submodular, and `increments`"
    points = case.points("convexity", _POINTS)
    for x, y in zip(points, points[::-1], strict=True):
        size = 10 * case.n * case.tolerance * (1 + float(np.abs(x).max() + np.abs(y).max()))
        middle, mean = f((x + y) / 2), (f(x) + f(y)) / 2
        if not middle <= mean + size:
            fail(
                f"f((x + y)/2) is {middle!r}, more than (f(x) + f(y))/2 = {mean!r}, for "
                f"x = {show_vector(x)}, y = {show_vector(y)}",
                look,
            )
        w = np.asarray(f.greedy(x))
        excess = case.sets @ w - case.values
        worst = int(np.argmax(excess))
        if excess[worst] > case.n * case.tolerance:
            fail(
                f"the greedy vector w at x = {show_vector(x)} is not in the base polytope: "
                f"w(A) − F(A) is {excess[worst]!r} for A = {show(case.sets[worst])}",
                look,
            )
