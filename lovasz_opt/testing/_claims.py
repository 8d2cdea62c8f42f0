"""Checks of what a set function says of itself: submodularity, bounds, violations."""

from __future__ import annotations

import numpy as np

from .._validation import Bools, Float64s
from ..sets.base import RELATIVE_TOLERANCE
from ._report import Skipped, fail
from ._set_case import SetCase, show, show_vector

#: Up to this many elements, all pairs of sets are compared.
_ALL_PAIRS = 8
_SAMPLES, _ENTRIES = 4096, 2**22


def check_submodular(case: SetCase) -> None:
    """`is_submodular` tells the truth, and a violation that F reports is one."""
    report = case.F.submodularity()
    if bool(report.submodular) != bool(case.F.is_submodular):
        fail(
            f"is_submodular is {case.F.is_submodular}, and submodularity().submodular is {report.submodular}",
            "`is_submodular`: leave that of SetFunction, and define `_report`",
        )
    found = _violated_pair(case)
    if report.submodular and found is not None:
        A, B, excess = found
        fail(
            f"F says that it is submodular, but F(A ∪ B) + F(A ∩ B) exceeds F(A) + F(B) by {excess!r} with "
            f"A = {show(A)}, B = {show(B)}: {_values(case, A, B)}",
            "`_report`, or `_values`",
        )
    if report.submodular:
        return
    if report.violation is None:
        fail(
            "F says that it is not submodular, and names no pair of sets that shows it",
            "`_report`: pass the two masks as `violation`",
        )
    A, B = (np.asarray(mask) for mask in report.violation)
    excess = _excess(case, A, B)
    if not excess > 0 or abs(excess - report.excess) > 1e-6 * excess + case.tolerance:
        fail(
            f"F says that A = {show(A)} and B = {show(B)} violate submodularity by {report.excess!r}, but "
            f"F(A ∪ B) + F(A ∩ B) − F(A) − F(B) is {excess!r}: {_values(case, A, B)}",
            "`_report`: the `violation` and its `excess`",
        )


def check_increment_bounds(case: SetCase) -> None:
    """The bounds of an increment are F(V) − F(V∖{i}) and F({i})."""
    if not case.overrides("_increment_bounds"):
        raise Skipped("no `_increment_bounds` of its own")
    low, high = case.F._increment_bounds()
    elements = case.rng("bounds").permutation(case.n)[: max(8, _ENTRIES // case.n // 4)]
    single = elements[:, None] == np.arange(case.n)
    total = case.F(np.ones(case.n, dtype=np.bool_))
    for name, given, expected in (
        ("low", low, total - np.asarray(case.F(~single))),
        ("high", high, np.asarray(case.F(single))),
    ):
        if np.shape(given) != (case.n,):
            fail(
                f"the {name} bounds have shape {np.shape(given)}, expected {(case.n,)}", "`_increment_bounds`"
            )
        for k in np.flatnonzero(~(np.abs(given[elements] - expected) <= case.tolerance))[:1]:
            i = elements[k]
            meant = f"F(V) − F(V∖{{{i}}})" if name == "low" else f"F({{{i}}})"
            fail(f"{name}[{i}] is {given[i]!r}, but {meant} is {expected[k]!r}", "`_increment_bounds`")


def check_violation(case: SetCase) -> None:
    """The largest violation of w(A) ≤ F(A) is not under-reported, and is that of the set returned."""
    if not case.overrides("_violation"):
        raise Skipped("no `_violation` of its own")
    rng = case.rng("violation")
    sets, values = case.sets, case.values
    for k in range(24):
        w = case.scale * rng.choice([0.05, 0.3, 2.0]) * rng.standard_normal(case.n)
        if k % 3 == 0:
            # A base, and one that is a little outside: the set must be found without a large violation.
            order = rng.permutation(case.n)
            w[order] = case.F.increments(order)
            w[order[0]] += 1e-3 * case.scale * (k % 2)
        excess, mask = case.F._violation(w.copy())
        excesses = sets @ w - values
        best = int(np.argmax(excesses))
        tolerance = 10 * case.rtol * (case.scale + float(np.abs(w).sum()))
        if excess < excesses[best] - tolerance or excess < 0:
            fail(
                f"_violation(w) is {excess!r} for w = {show_vector(w)}, but w(A) − F(A) is "
                f"{excesses[best]!r} for A = {show(sets[best])}",
                "`_violation`: the maximum over all sets, ∅ included",
            )
        attained = float(w[mask].sum() - case.F(mask))
        if abs(attained - excess) > tolerance:
            fail(
                f"_violation(w) is {excess!r} for w = {show_vector(w)}, but w(A) − F(A) is {attained!r} for "
                f"the set A = {show(mask)} that it returns",
                "`_violation`: the mask that attains the maximum",
            )


def _violated_pair(case: SetCase) -> tuple[Bools, Bools, float] | None:
    """A pair that violates submodularity, the smallest found.

    All pairs of sets are looked at for few elements, all S + i and S + j for more, and beyond that a sample.
    """
    tolerance = max(case.tolerance, RELATIVE_TOLERANCE * case.scale)
    if not case.exhaustive:
        A, B = _local_sample(case)
    else:
        codes = np.arange(2**case.n)
        if case.n <= _ALL_PAIRS:
            first, second = (axis.ravel() for axis in np.meshgrid(codes, codes))
        else:
            i, j = np.triu_indices(case.n, 1)
            base = codes[:, None] & ~(1 << i | 1 << j)
            first, second = (base | 1 << i).ravel(), (base | 1 << j).ravel()
        table = case.table
        excess = table[first | second] + table[first & second] - table[first] - table[second]
        hits = np.flatnonzero(excess > tolerance)
        A, B = ((side[hits, None] >> np.arange(case.n)) & 1 == 1 for side in (first, second))
    values = [np.asarray(case.F(masks)) for masks in (A | B, A & B, A, B)]
    excess = values[0] + values[1] - values[2] - values[3]
    hits = np.flatnonzero(excess > tolerance)
    if not hits.size:
        return None
    k = hits[np.argmin((A | B)[hits].sum(axis=1))]
    return A[k], B[k], float(excess[k])


def _local_sample(case: SetCase) -> tuple[Bools, Bools]:
    """Random pairs S + i and S + j."""
    rng = case.rng("submodular")
    rows = np.arange(max(8, min(_SAMPLES, _ENTRIES // case.n)))
    # Densities from nearly empty to nearly full: violations often hide at the ends.
    base = rng.random((len(rows), case.n)) < rng.beta(0.4, 0.4, (len(rows), 1))
    i = rng.integers(case.n, size=len(rows))
    j = (i + rng.integers(1, case.n, size=len(rows))) % case.n
    base[rows, i] = base[rows, j] = False
    with_i, with_j = base.copy(), base
    with_i[rows, i] = with_j[rows, j] = True
    return with_i, with_j


def _excess(case: SetCase, A: Bools, B: Bools) -> float:
    return float(case.F(A | B) + case.F(A & B) - case.F(A) - case.F(B))


def _values(case: SetCase, A: Bools, B: Bools) -> str:
    values: Float64s = np.asarray(case.F(np.stack([A | B, A & B, A, B])))
    return "F(A ∪ B) = {:.9g}, F(A ∩ B) = {:.9g}, F(A) = {:.9g}, F(B) = {:.9g}".format(*values)
