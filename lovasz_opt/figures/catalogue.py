"""All figures of the paper, and how they are made."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from .. import grid
from ..datasets import check_files
from ..grid import Backend, Done, Progress
from ..versions import versions
from .page import Figure, Page
from .settings import Settings

#: Modules of this package, in the order of the report.
NAMES = (
    "surfaces",
    "toy",
    "prox_error",
    "last_layer",
    "speed",
    "small_objects",
    "batches",
    "end_to_end",
    "runtime",
)


@dataclass(frozen=True)
class Made:
    """What a call made.

    Attributes
    ----------
    done : Done
        Outcomes of all cells.
    pages : dict of str to Page
        By the name of the figure.
    files : list of Path
        What was written.
    """

    done: Done
    pages: dict[str, Page]
    files: list[Path]


def figure(name: str) -> Figure:
    """Load the module of a figure.

    Raises
    ------
    ValueError
        If there is no such figure.
    """
    if name not in NAMES:
        raise ValueError(f"there is no figure {name!r}; choose {', '.join(NAMES)}")
    return cast(Figure, importlib.import_module(f".{name}", __package__))


def make(
    settings: Settings,
    out: Path,
    command: str,
    only: Sequence[str] = (),
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    progress: Progress | None = None,
) -> Made:
    """Run what the figures need and write them; an interrupt from the keyboard draws what is done so far.

    Parameters
    ----------
    settings : Settings
    out : Path
        Directory for NAME.png, .pdf, .csv and .json of each figure; made if it does not exist. Finished runs
        are kept in its folder ``cells``.
    command : str
        The command line, for the JSON files.
    only : sequence of str
        Names of figures; all by default.
    jobs, backend, progress
        As for `grid.run`.

    Returns
    -------
    Made

    Raises
    ------
    ValueError
        If there is no such figure.
    DataError, MissingExtra
        If the data or a package cannot be had.
    """
    chosen = {name: figure(name) for name in NAMES if name in (only or NAMES)}
    for name in only:
        figure(name)
    if settings.data is not None:
        check_files(settings.data)
    out.mkdir(parents=True, exist_ok=True)
    cells = [cell for module in chosen.values() for cell in module.cells(settings)]
    done = grid.run(cells, out / "cells", jobs=jobs, backend=backend, progress=progress)
    facts = {
        "command": command,
        "settings": asdict(settings),
        "versions": versions(),
        "cores": os.cpu_count(),
        "jobs": jobs,
        "interrupted": done.interrupted,
    }
    pages, files = {}, []
    for name, module in chosen.items():
        mine = {cell.key for cell in module.cells(settings)}
        missing = {"cells": len(mine), "cells_done": len(mine & done.outcomes.keys())}
        failures = [message for key, message in done.failures.items() if key in mine]
        page = module.publish(settings, done, out)
        more = {"name": name, "title": module.title, **missing, "failures": failures}
        files += page.write(out / f"{name}.json", more | facts)
        pages[name] = page
    return Made(done, pages, files)
