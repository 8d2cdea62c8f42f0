"""What a run of mutation testing found: results, one mutant a line, and a table of files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from environment import in_words
from mutation_child import PASSED

#: Survivors that no test could be asked to kill, with the reason.
EXPLAINED = Path(__file__).parent / "explained_mutants.json"
#: The outcome of a survivor whose line is not in the sources any more; it does not count.
GONE = "gone"


def reasons(path: Path = EXPLAINED) -> dict[str, str]:
    """Why a mutant is not killed, by its key; refuses a mutant with two reasons."""
    found: dict[str, str] = {}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        for key in entry["mutants"]:
            if key in found:
                raise ValueError(f"{path.name} has two reasons for {key}")
            found[key] = entry["reason"]
    return found


def interval(killed: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, killed / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - half, middle + half


class Score:
    """Numbers of mutants, by the outcomes and the reasons for survivors.

    Parameters
    ----------
    rows : iterable of dict
        Results with a key and an outcome.
    known : dict
        Reasons by key.
    field : str
        "outcome", or "first" for the outcome before tests were added.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], known: dict[str, str], field: str = "outcome") -> None:
        rows = [row for row in rows if row[field] != GONE]
        alive = [row["key"] for row in rows if row[field] == PASSED]
        self.mutants = len(rows)
        self.killed = len(rows) - len(alive)
        self.explained = sum(key in known for key in alive)
        self.left = len(alive) - self.explained

    @property
    def share(self) -> float:
        """Killed mutants among those without an explanation."""
        return self.killed / (self.killed + self.left) if self.mutants > self.explained else 1.0

    def __str__(self) -> str:
        low, high = interval(self.killed, self.killed + self.left)
        return (
            f"{self.killed} of {self.mutants} mutants killed, {self.explained} explained, {self.left} left: "
            f"{self.share:.1%} of those not explained (95 % interval {low:.1%} to {high:.1%})"
        )


def table(rows: list[dict[str, Any]], known: dict[str, str]) -> str:
    """A table in Markdown, one line a file."""
    lines = ["| file | mutants | killed | explained | left |", "|---|---:|---:|---:|---:|"]
    for path in [*sorted({row["path"] for row in rows}), ""]:
        score = Score((row for row in rows if path in ("", row["path"])), known)
        name = path.removeprefix("lovasz_opt/") or "all"
        lines.append(f"| {name} | {score.mutants} | {score.killed} | {score.explained} | {score.left} |")
    return "\n".join(lines)


def summary(document: dict[str, Any], known: dict[str, str]) -> str:
    """The page that is written beside the results, and printed."""
    rows = document["mutants"]
    text = f"# Mutants by file\n\n{in_words(document['environment'])}.\n\n"
    text += f"{document['all']:,} mutants, of which {len(rows):,} were run (seed {document['seed']}).\n\n"
    if any(row["first"] != row["outcome"] for row in rows):
        text += f"With the tests as they were first: {Score(rows, known, 'first')}.\n\n"
    return f"{text}{Score(rows, known)}.\n\n{table(rows, known)}\n"


def write(path: Path, document: dict[str, Any]) -> None:
    """Write results, one mutant a line."""
    head = json.dumps({**document, "mutants": None}, ensure_ascii=False)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in document["mutants"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head.replace(": null", f": [\n{lines}\n]") + "\n", encoding="utf-8")
