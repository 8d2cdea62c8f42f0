"""The study: every method on every problem, with its certified gap; the parts share one grid of runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import grid
from ..datasets import check_files
from ..grid import Backend, Done, Progress
from ..versions import versions
from . import convergence, stability
from .parts import Part, Report
from .settings import Settings

__all__ = ["PARTS", "Part", "Report", "Settings", "Study", "run", "versions"]

PARTS: tuple[Part, ...] = (convergence, stability)


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes
    ----------
    done : Done
        Outcomes of all cells.
    text : str
        Tables and verdicts.
    files : list of Path
        What was written.
    """

    done: Done
    text: str
    files: list[Path]


def run(
    settings: Settings,
    out: Path,
    command: str,
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    progress: Progress | None = None,
    parts: Sequence[Part] | None = None,
) -> Study:
    """Run a study and write what it finds; an interrupt from the keyboard reports the runs done so far.

    Parameters
    ----------
    settings : Settings
    out : Path
        Directory for the figures, tables and curves; made if it does not exist. Finished runs are kept in
        its folder ``cells``, and taken from there when the same study is run again.
    command : str
        The command line, for the summary.
    jobs, backend, progress
        As for `grid.run`.
    parts : sequence of Part, optional
        By default all `PARTS`.

    Returns
    -------
    Study

    Raises
    ------
    DataError, MissingExtra
        If the data or a package cannot be had.
    """
    parts = PARTS if parts is None else parts
    if settings.data is not None:
        check_files(settings.data, camvid=settings.full)
    out.mkdir(parents=True, exist_ok=True)
    cells = [cell for part in parts for cell in part.cells(settings)]
    done = grid.run(cells, out / "cells", jobs=jobs, backend=backend, progress=progress)
    reports = {part.name: part.publish(settings, done, out) for part in parts}
    summary = {
        "command": command,
        "settings": asdict(settings),
        "versions": versions(),
        "cores": os.cpu_count(),
        "jobs": jobs,
        "interrupted": done.interrupted,
        "cells": {"wanted": len(cells), "done": len(done.outcomes), "kept_from_before": done.kept},
        "parts": {name: report.summary for name, report in reports.items()},
    }
    file = out / "summary.json"
    file.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = "\n\n".join(report.text for report in reports.values() if report.text)
    return Study(done, text, [*(f for report in reports.values() for f in report.files), file])
