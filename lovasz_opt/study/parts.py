"""What a part of the study is: cells for the grid, and a report of their outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..grid import Cell, Done
from .settings import Settings


@dataclass(frozen=True)
class Report:
    """What a part says.

    Attributes
    ----------
    text : str
        For the terminal.
    files : list of Path
        Those that it wrote.
    summary : dict
        Ready for JSON: its entry in the summary of the study.
    """

    text: str
    files: list[Path]
    summary: dict[str, Any]


class Part(Protocol):
    """A part of the study: a module with these names does."""

    @property
    def name(self) -> str:
        """Its key in the summary."""

    def cells(self, settings: Settings) -> list[Cell]:
        """All runs that it needs."""

    def publish(self, settings: Settings, done: Done, out: Path) -> Report:
        """Write its files and say what came out, with whatever cells are done."""
