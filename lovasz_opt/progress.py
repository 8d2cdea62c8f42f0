"""Progress of a grid of runs on the terminal, or a few lines where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .grid import Cell, Outcome, Progress


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _kept(kept: int, total: int) -> str:
    return f"{kept} of {total} runs are there from before"


def _what(cell: Cell, outcome: Outcome | None) -> str:
    if outcome is None:
        return f"{cell.group} failed"
    if outcome.result is None:
        return cell.group
    return f"{cell.group}, certified gap {outcome.result.relative_gap:.1e}"


class _Lines(Progress):
    """One line when a group has its first run done, for logs and pipes."""

    _total = _done = 0
    _group: str | None = None

    def begin(self, total: int, kept: int) -> None:
        self._total, self._done = total, kept
        if kept:
            _tell(_kept(kept, total))

    def end(self, cell: Cell, outcome: Outcome | None) -> None:
        self._done += 1
        if cell.group != self._group:
            self._group = cell.group
            _tell(f"run {self._done} of {self._total}: {_what(cell, outcome)}")


class _Bar(Progress):
    """A bar over the runs, with the latest one and its certified gap beside it."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def begin(self, total: int, kept: int) -> None:
        if kept:
            _tell(_kept(kept, total))
        self._bar = self._tqdm(
            total=total, initial=kept, unit="run", dynamic_ncols=True, leave=False, file=sys.stderr
        )

    def end(self, cell: Cell, outcome: Outcome | None) -> None:
        self._bar.set_postfix_str(_what(cell, outcome), refresh=False)
        self._bar.update(1)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def reporter() -> Iterator[Progress]:
    """A progress bar if standard error is a terminal and tqdm is there, else lines."""
    report: Progress = _Lines()
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            report = _Bar(tqdm)
    try:
        yield report
    finally:
        report.close()
