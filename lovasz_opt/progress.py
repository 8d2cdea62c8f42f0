"""Progress of a study on the terminal, or a few lines where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .figures import style
from .solvers import State
from .study import Reporter, Run, Task


class _Lines(Reporter):
    """One line per method, for logs and pipes."""

    _method = ("", "")

    def begin(self, task: Task, number: int, total: int) -> None:
        if self._method != (task.problem, task.method):
            self._method = (task.problem, task.method)
            label = style.METHODS[task.method].label
            print(f"run {number} of {total}: ({task.problem}) {label}", file=sys.stderr, flush=True)


class _Bar(Reporter):
    """A bar over the tasks, with the method and its certified gap beside it."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def begin(self, task: Task, number: int, total: int) -> None:
        if self._bar is None:
            options = {"unit": "run", "miniters": 0, "dynamic_ncols": True, "leave": False}
            self._bar = self._tqdm(total=total, file=sys.stderr, **options)
        self._bar.set_description(f"({task.problem}) {task.label}", refresh=False)

    def step(self, state: State) -> None:
        text = f"iteration {state.iteration}, certified gap {state.relative_gap:.1e}"
        self._bar.set_postfix_str(text, refresh=False)
        # tqdm redraws at most ten times a second.
        self._bar.update(0)

    def end(self, run: Run) -> None:
        self._bar.update(1)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def reporter() -> Iterator[Reporter]:
    """A progress bar if standard error is a terminal and tqdm is there, else lines."""
    report: Reporter = _Lines()
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
