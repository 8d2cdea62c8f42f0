"""All figures on one page that needs nothing else: claims, pictures, findings, verdicts, tables, files."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from ..datasets import DataError
from .catalogue import NAMES, figure

_TITLE = "Optimization of the Jaccard index with the Lovász hinge: every claim, made again"
_SOURCE = (
    "M. Berman, M. B. Blaschko, arXiv 1705.08790: version 1 of 2017 (“v1”), and its successor with A. Rannen "
    "Triki, CVPR 2018."
)
#: Rows of a table that are shown; all are in its file.
_ROWS = 24

_KINDS = {
    "confirmed": "confirmed",
    "partly confirmed": "partly",
    "refuted": "refuted",
    "not testable here": "untested",
}


@dataclass(frozen=True)
class Found:
    """What one figure left in the folder."""

    name: str
    title: str
    document: dict[str, Any] | None


def read(folder: Path) -> list[Found]:
    """What the figures left in a folder; a figure that was not made has no document.

    Raises
    ------
    DataError
        If the folder holds no figure, or a file is damaged; the message names it.
    """
    found = []
    for name in NAMES:
        file = folder / f"{name}.json"
        document = None
        if file.is_file():
            with _telling_damage(file):
                document = json.loads(file.read_text(encoding="utf-8"))
                missing = [p["file"] for p in document["pictures"] if not (folder / p["file"]).is_file()]
                missing += [t["file"] for t in document["tables"] if not (folder / t["file"]).is_file()]
            if missing:
                raise DataError(f"{folder / missing[0]}: no such file; make the figure {name!r} again")
        found.append(Found(name, figure(name).title, document))
    if all(entry.document is None for entry in found):
        raise DataError(f"{folder}: holds no figure; make some with 'lovasz-opt figures --out {folder}'")
    return found


@contextmanager
def _telling_damage(file: Path) -> Iterator[None]:
    """Name the file that holds something else than what the figures write."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{file}: damaged ({error}); delete it and make the figure again") from None


def write_html(folder: Path) -> Path:
    """Write ``report.html`` into the folder of the figures.

    Returns
    -------
    Path
    """
    found = read(folder)
    sections = []
    for entry in found:
        with _telling_damage(folder / f"{entry.name}.json"):
            sections.append(_section(entry, folder))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(_TITLE)}</title><style>{_style()}</style></head><body>",
        f"<h1>{escape(_TITLE)}</h1><p>{escape(_SOURCE)}</p>",
        _overview(found),
        *sections,
        "</body></html>",
    ]
    file = folder / "report.html"
    file.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return file


def write_markdown(folder: Path, page: Path, pictures: Path) -> list[Path]:
    """Write the same as a page of the documentation; pictures are copied.

    Parameters
    ----------
    folder : Path
        Of the figures.
    page : Path
        The Markdown file.
    pictures : Path
        Folder for the PNG files, made if it does not exist.

    Returns
    -------
    list of Path
    """
    found = read(folder)
    pictures.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Every claim of the paper, made again",
        "",
        "This page is written by `lovasz-opt report --docs docs` from what `lovasz-opt figures` found.",
        _SOURCE,
        "",
        "| figure | verdict | because |",
        "|---|---|---|",
    ]
    for entry in found:
        d = entry.document
        row = ("not made", "") if d is None else (f"**{d['verdict']}**", d["why"])
        lines.append(f"| {entry.title} | {row[0]} | {row[1]} |")
    files = [page]
    for entry in found:
        d = entry.document
        if d is None:
            continue
        lines += [
            "",
            f"## {entry.title}",
            "",
            f"*Claim.* {d['claim']}",
            "",
            f"**{d['verdict']}**: {d['why']}.",
            "",
        ]
        lines += [f"- {finding}" for finding in d["findings"]]
        for picture in d["pictures"]:
            target = pictures / picture["file"]
            target.write_bytes((folder / picture["file"]).read_bytes())
            files.append(target)
            inside = target.relative_to(page.parent).as_posix()
            lines += ["", f"![{entry.title}]({inside})", "", f"*{picture['caption']}*"]
        for table in d["tables"][:1]:
            head, rows = _table(folder / table["file"])
            lines += ["", f"{table['title']} (`{table['file']}`):", ""]
            lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
            lines += ["| " + " | ".join(_short(value) for value in row) + " |" for row in rows[:_ROWS]]
        lines += ["", f"`{d['command']}`; {_settings(d)}."]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


def _style() -> str:
    return resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")


def _overview(found: list[Found]) -> str:
    rows = []
    for entry in found:
        if entry.document is None:
            cells = f"<td>{_badge('not made')}</td><td></td>"
        else:
            cells = f"<td>{_badge(entry.document['verdict'])}</td><td>{escape(entry.document['why'])}</td>"
        rows.append(f'<tr><td><a href="#{entry.name}">{escape(entry.title)}</a></td>{cells}</tr>')
    return (
        '<div class="scroll"><table><thead><tr><th>figure</th><th>verdict</th><th>because</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _badge(verdict: str) -> str:
    return f'<span class="badge {_KINDS.get(verdict, "untested")}">{escape(verdict)}</span>'


def _section(entry: Found, folder: Path) -> str:
    d = entry.document
    head = f'<section id="{entry.name}"><h2>{escape(entry.title)}</h2>'
    if d is None:
        return f"{head}<p>Not made: <code>lovasz-opt figures --only {entry.name}</code>.</p></section>"
    parts = [
        head,
        f"<blockquote>{escape(d['claim'])}</blockquote>",
        f"<p>{_badge(d['verdict'])} {escape(d['why'])}.</p>",
        "<ul>" + "".join(f"<li>{escape(finding)}</li>" for finding in d["findings"]) + "</ul>",
    ]
    for picture in d["pictures"]:
        data = base64.b64encode((folder / picture["file"]).read_bytes()).decode()
        parts.append(
            f'<figure><img alt="{escape(entry.title)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(picture['caption'])}</figcaption></figure>"
        )
    parts += [_html_table(folder / table["file"], table["title"]) for table in d["tables"]]
    numbers = json.dumps(d["numbers"], ensure_ascii=False)
    link = _download(numbers, f"{entry.name}-numbers.json", "application/json", "numbers")
    versions = ", ".join(f"{name} {version}" for name, version in d["versions"].items())
    done = (
        "" if d["cells_done"] == d["cells"] else f" <b>{d['cells_done']} of {d['cells']} runs are done.</b>"
    )
    failures = "".join(f"<li>{escape(message)}</li>" for message in d["failures"])
    parts.append(
        f'<p class="small"><code>{escape(d["command"])}</code>; {escape(_settings(d))}; '
        f"{escape(versions)}.{done} {link}</p>" + (f"<ul>{failures}</ul>" if failures else "") + "</section>"
    )
    return "\n".join(parts)


def _settings(document: dict[str, Any]) -> str:
    s = document["settings"]
    size = "quick" if s["quick"] else "full" if s["full"] else "default size"
    data = "embedded images" if s["data"] is None else "real data"
    return f"{data}, {size}, seeds {s['seed']} to {s['seed'] + s['seeds'] - 1}"


def _html_table(file: Path, title: str) -> str:
    head, rows = _table(file)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows[:_ROWS])
    more = f" {len(rows) - _ROWS} more rows are in the file." if len(rows) > _ROWS else ""
    link = _download(file.read_text(encoding="utf-8"), file.name, "text/csv", file.name)
    return (
        f"<details><summary>{escape(title)}</summary><div class='scroll'><table><thead><tr>"
        + "".join(f"<th>{escape(name)}</th>" for name in head)
        + f'</tr></thead><tbody>{body}</tbody></table></div><p class="small">{link}{more}</p></details>'
    )


def _cell(value: str) -> str:
    kind = ' class="number"' if _is_number(value) else ""
    return f"<td{kind}>{escape(_short(value))}</td>"


def _download(text: str, name: str, kind: str, words: str) -> str:
    data = base64.b64encode(text.encode()).decode()
    return f'<a download="{escape(name)}" href="data:{kind};base64,{data}">{escape(words)}</a>'


def _table(file: Path) -> tuple[list[str], list[list[str]]]:
    with _telling_damage(file), file.open(newline="", encoding="utf-8") as stream:
        head, *rows = csv.reader(stream)
    return head, rows


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _short(value: str) -> str:
    """Four digits of a number that is not whole."""
    if not _is_number(value):
        return value or "–"
    return value if value.lstrip("+-").isdigit() else f"{float(value):.4g}"
