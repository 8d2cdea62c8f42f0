"""What a figure of the paper is, and what it says: claim, findings, verdict, pictures, tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ..grid import Cell, Done
from .settings import Settings

#: Fewer seeds say nothing about their spread.
FEWEST_SEEDS = 3

Verdict = Literal["confirmed", "partly confirmed", "refuted", "not testable here"]


@dataclass(frozen=True)
class Table:
    """Numbers for readers, and the file that holds them for programs.

    Attributes
    ----------
    title : str
    head : sequence of str
    rows : sequence of sequences
        Text, numbers or None; numbers are shown with few digits and stored with all.
    file : Path
        The CSV file.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    file: Path

    def write(self) -> Path:
        """Write the file."""
        with self.file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.head)
            writer.writerows(self.rows)
        return self.file


@dataclass(frozen=True)
class Page:
    """What a figure says with the cells that are done.

    Attributes
    ----------
    claim : str
        What the paper says, in our words, with the place.
    findings : list of str
        What came out, a sentence or two each; every number in them is in a table or in `numbers`.
    verdict : str
    why : str
        One sentence for the verdict.
    pictures : list of (Path, str)
        PNG files, each with its caption; a PDF of the same name lies beside it.
    tables : list of Table
    numbers : dict
        Ready for JSON: what the findings and the verdict rest on.
    """

    claim: str
    findings: list[str]
    verdict: Verdict
    why: str
    pictures: list[tuple[Path, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def write(self, file: Path, facts: dict[str, Any]) -> list[Path]:
        """Write tables and numbers beside the pictures; return all files.

        Parameters
        ----------
        file : Path
            For the JSON, with `facts` (versions, settings, command) in it.
        facts : dict
        """
        files = [part for picture, _ in self.pictures for part in (picture, picture.with_suffix(".pdf"))]
        files += [table.write() for table in self.tables]
        document = facts | {
            "claim": self.claim,
            "findings": self.findings,
            "verdict": self.verdict,
            "why": self.why,
            "pictures": [{"file": picture.name, "caption": caption} for picture, caption in self.pictures],
            "tables": [{"file": table.file.name, "title": table.title} for table in self.tables],
            "numbers": self.numbers,
        }
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [*files, file]


def judged(settings: Settings, verdict: Verdict, why: str) -> tuple[Verdict, str]:
    """A verdict that needs real data and several seeds, withheld where there are none.

    Parameters
    ----------
    settings : Settings
    verdict, why : str
        What the numbers say.

    Returns
    -------
    verdict, why : str
    """
    if settings.data is None:
        return "not testable here", f"a claim about VOC needs its images; on one photograph, {why}"
    if settings.seeds < FEWEST_SEEDS:
        return (
            "not testable here",
            f"a mean needs at least {FEWEST_SEEDS} seeds; with {settings.seeds}, {why}",
        )
    return verdict, why


class Figure(Protocol):
    """A figure of the paper: a module with these names does."""

    @property
    def name(self) -> str:
        """What `--only` takes, and what its files begin with."""

    @property
    def title(self) -> str:
        """A line for readers."""

    def cells(self, settings: Settings) -> list[Cell]:
        """All runs that it needs; finished ones are kept."""

    def publish(self, settings: Settings, done: Done, out: Path) -> Page:
        """Draw the pictures into `out` and say what came out, with whatever cells are done."""
