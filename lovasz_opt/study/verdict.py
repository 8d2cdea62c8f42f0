"""What a study says about "faster": every method against the best explicit subgradient method, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ..figures import style
from .gaps import Reached, time_to_gap, time_to_value
from .runs import Run

#: An objective counts as reached within this.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Comparison:
    """One method against all runs of the explicit methods on a problem.

    Attributes
    ----------
    method : str
    to_gap, to_value : float or None
        How many times sooner than the explicit methods the method gets to their best certified gap, and to
        their lowest objective; less than 1 is later, None is never.
    seconds_to_gap, seconds_to_value : float or None
    gap : float
        Relative certified gap in the end.
    """

    method: str
    to_gap: float | None
    to_value: float | None
    seconds_to_gap: float | None
    seconds_to_value: float | None
    gap: float


def name(run: Run) -> str:
    """Label of the method with its step size."""
    eta = "" if run.task.step_size is None else f", η = {run.task.step_size:g}"
    return style.METHODS[run.task.method].label + eta


def _is_explicit(run: Run) -> bool:
    return style.METHODS[run.task.method].family in style.EXPLICIT


def explicit(found: Sequence[Run]) -> tuple[Run, Run] | None:
    """The explicit runs with the least certified gap and with the lowest objective, of one problem."""
    plain = [run for run in found if _is_explicit(run)]
    if not plain:
        return None
    return min(plain, key=lambda r: r.result.relative_gap), min(plain, key=lambda r: r.result.value)


def compare(found: Sequence[Run]) -> list[Comparison]:
    """Every other method against the explicit ones, by the runs of one problem."""
    best = explicit(found)
    if best is None:
        return []
    tightest, lowest = best
    level, value = tightest.result.relative_gap, lowest.result.value
    value += _ROUNDING * abs(value)
    theirs = time_to_gap(tightest.result.trace, level), time_to_value(lowest.result.trace, value)
    compared = []
    for method in dict.fromkeys(run.task.method for run in found if not _is_explicit(run)):
        mine = [run for run in found if run.task.method == method]
        gap = _soonest(mine, lambda run: time_to_gap(run.result.trace, level))
        low = _soonest(mine, lambda run: time_to_value(run.result.trace, value))
        compared.append(
            Comparison(
                method,
                _ratio(theirs[0], gap),
                _ratio(theirs[1], low),
                gap,
                low,
                min(run.result.relative_gap for run in mine),
            )
        )
    return compared


def _soonest(found: Sequence[Run], reach: Callable[[Run], Reached | None]) -> float | None:
    return min((there.seconds for run in found if (there := reach(run)) is not None), default=None)


def _ratio(theirs: Reached | None, mine: float | None) -> float | None:
    return None if theirs is None or mine is None else theirs.seconds / max(mine, 1e-6)


def sentences(found: Sequence[Run]) -> list[str]:
    """The verdict on one problem, a line for each method."""
    best = explicit(found)
    compared = compare(found)
    if best is None or not compared:
        return []
    tightest, lowest = best
    count = sum(map(_is_explicit, found))
    bound = max(run.result.dual for run in found)
    above = (lowest.result.value - bound) / abs(lowest.result.value)
    lines = [
        f"Of {count} explicit runs none certifies less than {tightest.result.relative_gap:.1e} "
        f"({name(tightest)}); the lowest objective is {above:.1e} above the best bound ({name(lowest)})."
    ]
    for item in compared:
        label = style.METHODS[item.method].label
        gap = _times(item.to_gap, item.seconds_to_gap)
        low = _times(item.to_value, item.seconds_to_value)
        lines.append(f"{label}: that gap {gap}, that objective {low}; ends at {item.gap:.1e}.")
    return lines


def _times(ratio: float | None, seconds: float | None) -> str:
    if ratio is None or seconds is None:
        return "never"
    words = f"{ratio:.3g} times sooner" if ratio >= 1 else f"{1 / max(ratio, 1e-9):.3g} times later"
    return f"after {seconds:.2g} s ({words})"


def overall(problems: Sequence[Sequence[Run]]) -> list[str]:
    """The verdict over all problems, a line for each method."""
    compared = [compare(found) for found in problems]
    lines = []
    for method in dict.fromkeys(item.method for items in compared for item in items):
        mine = [item for items in compared for item in items if item.method == method]
        parts = []
        for what, ratios in (
            ("gap", [item.to_gap for item in mine]),
            ("objective", [item.to_value for item in mine]),
        ):
            sooner = sum(ratio is not None and ratio > 1 for ratio in ratios)
            middle = median(ratio or 0.0 for ratio in ratios)
            parts.append(
                f"their best {what} sooner on {sooner} of {len(mine)} problems"
                + (f" (median {middle:.3g} times)" if middle else " (median: never)")
            )
        lines.append(f"{style.METHODS[method].label}: " + ", ".join(parts) + ".")
    return lines
