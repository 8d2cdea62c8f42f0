"""Checks of a set function as such: values, increments, arguments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import permutations

import numpy as np

from .._validation import Ints
from ..sets.base import RELATIVE_TOLERANCE
from ._report import Skipped, fail
from ._set_case import SetCase, close, prefixes, show, show_order

_ORDERS, _POSITIONS, _SQUARE = 16, 64, 256


def check_normalised(case: SetCase) -> None:
    """F(∅) = 0, and every value is a finite number."""
    empty = case.F(np.zeros(case.n, dtype=np.bool_))
    if empty != 0:
        fail(f"F(∅) is {empty!r}, not 0", "`_values`: subtract the value of the empty set from all values")
    wrong = np.flatnonzero(~np.isfinite(case.values))
    if wrong.size:
        fail(
            f"F({show(case.sets[wrong[0]])}) is {case.values[wrong[0]]}; every value must be finite",
            "`_values`: divisions by 0 and logarithms of 0",
        )


def check_batches(case: SetCase) -> None:
    """A mask has the value it has alone, whatever batch, layout or dtype it comes in."""
    sets = case.few_sets("batches", 64)
    alone = np.array([case.F(mask) for mask in sets])
    look = "`_values`: it gets a (batch, n) stack of masks and returns (batch,) values, each of its own row"
    # As many masks as elements: where a batch is taken for a vector of elements, or the other way round.
    square = {case.n, case.n + 1} if case.n <= _SQUARE else set()
    for size in sorted({0, 1, 2, 3, len(sets)} | square):
        rows = np.arange(size) % len(sets)
        batch = np.asarray(case.F(sets[rows]))
        if batch.shape != (size,):
            fail(f"F of masks of shape {(size, case.n)} has shape {batch.shape}, expected {(size,)}", look)
        for i in np.flatnonzero(~(np.abs(batch - alone[rows]) <= case.tolerance)):
            fail(
                f"F of a batch of {size} masks is {batch[i]!r} at {show(sets[rows[i]])}, and alone it is "
                f"{alone[rows[i]]!r}",
                look,
            )
    for name, stack in (
        ("of two leading axes", sets[: len(sets) // 2 * 2].reshape(2, -1, case.n)),
        ("in Fortran order", np.asfortranarray(sets)),
        ("of 0 and 1", sets.astype(np.int64)),
    ):
        values = np.asarray(case.F(stack))
        if values.shape != stack.shape[:-1] or not np.allclose(
            values.ravel(), alone[: values.size], rtol=0, atol=case.tolerance
        ):
            fail(f"F of masks {name} differs from F of each mask alone", look)


def check_exact_value(case: SetCase) -> None:
    """The rational value is a Fraction and agrees with the float."""
    if not case.overrides("exact_value"):
        raise Skipped("no `exact_value` of its own")
    for mask in case.few_sets("exact value", 32):
        exact, value = case.F.exact_value(mask), case.F(mask)
        if not isinstance(exact, Fraction):
            fail(
                f"exact_value({show(mask)}) is {exact!r} of type {type(exact).__name__}, not a Fraction",
                "`exact_value`: return fractions.Fraction(…)",
            )
        if abs(exact - Fraction(value)) > Fraction(case.tolerance):
            fail(
                f"exact_value({show(mask)}) is {exact} = {float(exact)!r}, and F of it is {value!r}",
                "`exact_value` against `_values`",
            )


def check_increments(case: SetCase) -> None:
    """Increments along an order are the differences of values, and sum to F(V)."""
    worst: tuple[int, Ints, float, float] | None = None
    total = case.F(np.ones(case.n, dtype=np.bool_))
    for order, sizes in _orders(case):
        given = np.asarray(case.F.increments(order))
        if given.shape != (case.n,):
            fail(
                f"increments({show_order(order)}) has shape {given.shape}, expected {(case.n,)}",
                "`increments`: one entry for each element, in the given order",
            )
        values = _values_along(case, order, np.concatenate([sizes - 1, sizes]))
        expected = values[len(sizes) :] - values[: len(sizes)]
        for i in np.flatnonzero(~(np.abs(given[sizes - 1] - expected) <= case.tolerance))[:1]:
            if worst is None or sizes[i] < worst[0]:
                worst = int(sizes[i]), order, float(given[sizes[i] - 1]), float(expected[i])
        if worst is None and not close(float(given.sum()), total, case.n * case.tolerance):
            fail(
                f"increments({show_order(order)}) sum to {float(given.sum())!r}, and F(V) is {total!r}",
                "`increments`: differences of values along the order, none left out",
            )
    if worst is not None:
        size, order, got, wanted = worst
        before, after = prefixes(order, np.array([size - 1, size]))
        fail(
            f"increments({show_order(order)})[{size - 1}] is {got!r}, but\n"
            f"  F({show(after)}) − F({show(before)}) is {wanted!r}",
            f"`increments` where element {order[size - 1]} joins {show(before)}",
        )


def check_inputs_unchanged(case: SetCase) -> None:
    """Nothing that a caller passes is written to."""
    rng = case.rng("inputs")
    mask, order = rng.random(case.n) < 0.5, rng.permutation(case.n)
    # Both labels, so that a change of either is seen.
    mask[0], mask[-1] = True, case.n == 1
    w, metric = rng.standard_normal(case.n), rng.uniform(0.5, 2.0, case.n)
    calls: list[tuple[str, Callable[..., object], tuple[np.ndarray, ...]]] = [
        ("F(mask)", case.F, (mask,)),
        ("F(masks)", case.F, (np.stack([mask, ~mask]),)),
        ("increments(order)", case.F.increments, (order,)),
        ("exact_value(mask)", case.F.exact_value, (mask,)),
    ]
    if case.overrides("_violation"):
        calls.append(("_violation(w)", case.F._violation, (w,)))
    if case.F.is_submodular and case.overrides("_prox", "_prox_point"):
        for gamma in (0.5, 50.0):
            calls += [
                ("_prox(x, …)", lambda x, gamma=gamma: case.F._prox(x, gamma, None), (w,)),
                ("_prox(x, gamma, metric)", lambda x, m, gamma=gamma: case.F._prox(x, gamma, m), (w, metric)),
                (
                    "_prox_point(x, …)",
                    lambda x, gamma=gamma: case.F._prox_point(x, gamma, None),
                    (w,),
                ),
            ]
    for name, call, arguments in calls:
        kept = [argument.copy() for argument in arguments]
        call(*kept)
        for argument, after in zip(arguments, kept, strict=True):
            if not np.array_equal(argument, after):
                i = int(np.flatnonzero((argument != after).ravel())[0])
                fail(
                    f"{name} changes its argument: entry {i} was {argument.flat[i]} and is {after.flat[i]}",
                    "operations in place (`out=`, `+=`, `sort()`, `x[…] =`) on what was passed: copy first",
                )


def check_results_are_fresh(case: SetCase) -> None:
    """What a call returns is the caller's to change: it is neither kept nor handed out again."""
    order = case.rng("fresh").permutation(case.n)
    first = case.F.increments(order)
    wanted = np.array(first)
    _overwrite(first)
    again = np.array(case.F.increments(order))
    if not np.array_equal(again, wanted):
        fail(
            f"increments({show_order(order)}) changes after its first result was overwritten",
            "`increments`: it returns an array that F keeps; return a copy",
        )
    if not (case.F.is_submodular and case.overrides("_prox")):
        return
    x = case.points("fresh", 1)[0]
    solution = case.F._prox(x, 1.0, None)
    if solution is None:
        return
    kept = np.array(solution.z)
    if np.shares_memory(solution.z, x):
        fail(
            "the z of `_prox` shares memory with x: changing one changes the other", "`_prox`: return a copy"
        )
    _overwrite(solution.z)
    if not np.array_equal(case.F._prox(x, 1.0, None).z, kept):  # type: ignore[union-attr]
        fail("`_prox` changes after the z of an earlier call was overwritten", "`_prox`: return a copy")


def check_repeatable(case: SetCase) -> None:
    """The same call gives the same bits, whatever was called in between."""
    rng = case.rng("repeatable")
    sets, order = case.few_sets("repeatable", 32), rng.permutation(case.n)
    values, increments = np.array(case.F(sets)), np.array(case.F.increments(order))
    for _ in range(3):
        case.F.increments(rng.permutation(case.n))
        case.F(sets[::-1])
    for name, before, after in (
        ("F(mask)", values, np.asarray(case.F(sets))),
        ("increments(order)", increments, np.asarray(case.F.increments(order))),
    ):
        if not np.array_equal(before, after):
            i = int(np.flatnonzero(before != after)[0])
            where = f"for {show(sets[i])}" if name == "F(mask)" else f"at entry {i}"
            fail(
                f"{name} was {before[i]!r} {where} and is {after[i]!r} when called again",
                "state that a call leaves in F, and random numbers",
            )


def check_bad_input(case: SetCase) -> None:
    """Masks and orders that are none are refused."""
    F, n = case.F, case.n
    masks, once = np.zeros((2, n), dtype=np.bool_), np.full(n, n)
    in_call = "`__call__`: leave that of SetFunction, which checks masks, and define `_values`"
    in_exact = "`exact_value`: begin with `mask = self._as_mask(mask)`"
    in_increments = "`increments`: begin with `order = self._check_order(order)`"
    cases: list[tuple[str, Callable[[], object], type[Exception], str]] = [
        (f"F of a mask of {n + 1} entries", lambda: F(np.zeros(n + 1, dtype=bool)), ValueError, in_call),
        ("F of a mask that holds 0.5", lambda: F(np.full(n, 0.5)), ValueError, in_call),
        ("F of a mask of strings", lambda: F(np.full(n, "a")), TypeError, in_call),
        ("exact_value of two masks", lambda: F.exact_value(masks), ValueError, in_exact),
        (f"increments of 0, …, {n}", lambda: F.increments(np.arange(n + 1)), ValueError, in_increments),
        (f"increments of {n}, {n}, …", lambda: F.increments(once), ValueError, in_increments),
        ("increments of floats", lambda: F.increments(np.arange(n) + 0.0), ValueError, in_increments),
    ]
    for what, call, error, look in cases:
        try:
            call()
        except error:
            continue
        except Exception as other:
            fail(f"{what} raises {type(other).__name__} instead of {error.__name__}: {other}", look)
        fail(f"{what} is accepted; it must raise {error.__name__}", look)


def check_repr(case: SetCase) -> None:
    """Messages name F by its repr, so it is one short line."""
    text = repr(case.F)
    if "\n" in text or len(text) > 120:
        fail(
            f"repr(F) has {len(text)} characters in {text.count(chr(10)) + 1} lines: {text[:60]!r}…",
            "`__repr__`: one line of at most 120 characters, as error messages quote it",
        )


def check_nondecreasing(case: SetCase) -> None:
    """`is_nondecreasing` tells the truth."""
    claim = case.F.is_nondecreasing
    # Each set with one element more.
    masks = case.sets if case.exhaustive else case.few_sets("nondecreasing", 64)
    tolerance = max(case.tolerance, RELATIVE_TOLERANCE * case.scale)
    elements = np.arange(case.n) if case.exhaustive else case.rng("nondecreasing").permutation(case.n)[:64]
    found = False
    for i in elements:
        below = masks[~masks[:, i]]
        above = below.copy()
        above[:, i] = True
        steps = np.asarray(case.F(above)) - np.asarray(case.F(below))
        for k in np.flatnonzero(steps < -tolerance)[:1]:
            found = True
            if claim:
                fail(
                    f"is_nondecreasing is True, but F({show(above[k])}) − F({show(below[k])}) is "
                    f"{steps[k]!r}",
                    "`is_nondecreasing`, or `_values`",
                )
    if not claim and not found and case.exhaustive:
        fail(
            "is_nondecreasing is False, but no set loses value when an element joins",
            "`is_nondecreasing`, or `_report`, from which it follows by default",
        )


def _orders(case: SetCase) -> list[tuple[Ints, Ints]]:
    """Orders, with the sizes of the prefixes to look at."""
    if case.n <= 4:
        orders = [np.array(order) for order in permutations(range(case.n))]
    else:
        rng = case.rng("increments")
        orders = [np.arange(case.n), np.arange(case.n)[::-1].copy()]
        orders += [rng.permutation(case.n) for _ in range(_ORDERS)]
    sizes = np.arange(1, case.n + 1)
    if case.n > _POSITIONS:
        sizes = np.unique(np.geomspace(1, case.n, _POSITIONS // 2).astype(np.int64))
        sizes = np.unique(np.concatenate([sizes, case.n + 1 - sizes]))
        # Masks of n entries each: fewer orders where they are long.
        orders = orders[: max(3, 2**20 // case.n)]
    return [(order, sizes) for order in orders]


def _values_along(case: SetCase, order: Ints, sizes: Ints) -> np.ndarray:
    masks = prefixes(order, sizes)
    if case.exhaustive:
        return np.asarray(case.table[masks @ (1 << np.arange(case.n))])
    return np.asarray(case.F(masks))


def _overwrite(result: np.ndarray) -> None:
    # A read-only result is safe from its caller.
    if result.flags.writeable:
        result[...] = np.nan
