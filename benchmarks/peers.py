"""This package against one argsort and the public implementations, both sides in one process and one run.

Every row of the table is one kind of work with its bound. The sides run in turn (A B A B …), ratios are taken
run by run, and the table holds medians. Peers that are not installed are named in it.

    python benchmarks/peers.py [--only ROW] [--repeats N] [--threads N] [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import curves
import measure
import numba
import rivals
from measure import Cell
from rows import ROWS, Row, Settings

from lovasz_opt.datasets import MissingExtra

HEAD = ("work", "bound", "measured", "runs", "met", "ours", "theirs", "deciding case", "notes")
CELL_HEAD = ("row", "case", "side", "median seconds", "least", "most", "median ratio", "runs")


def summarise(row: Row, cells: list[Cell], settings: Settings) -> tuple[str, ...]:
    """One line of the table."""
    missing = [f"missing: {what}" for what in dict.fromkeys(what for cell in cells for what in cell.missing)]
    cell, measured, met = row.deciding(cells), row.measured(cells), row.met(cells)
    if cell is None or measured is None:
        return (row.work, row.bound(), "–", "–", "not measured", "–", "–", "–", "; ".join(missing))
    ratios = row.verdict(cells)
    fastest = min((side for side in row.theirs if side in cell.seconds), key=cell.median)
    verdict = "–" if met is None else "yes" if met else "**no**"
    return (
        row.work,
        row.bound(),
        f"{measured:.3g} {row.unit}",
        f"{min(ratios):.3g} to {max(ratios):.3g}" if len(ratios) > 1 else "one",
        "sizes too small" if settings.quick and met is not None else verdict,
        "–" if row.mean else row.show(cell.median(row.ours)),
        fastest if row.mean else f"{row.show(cell.median(fastest))} ({fastest})",
        "geometric mean of all" if row.mean else cell.case,
        "; ".join([note for note in [cell.note, *missing] if note]),
    )


def details(row: Row, cells: list[Cell]) -> list[tuple[str, ...]]:
    """Every side of every cell, for the spreadsheet."""
    lines = []
    for cell in cells:
        ratios = row.ratios(cell)
        for side, seconds in cell.seconds.items():
            ratio = f"{statistics.median(ratios):.4g}" if ratios and side == row.ours else ""
            figures = (statistics.median(seconds), min(seconds), max(seconds))
            lines.append(
                (row.name, cell.case, side, *(f"{s:.6g}" for s in figures), ratio, str(len(seconds)))
            )
        lines += [(row.name, cell.case, what, "missing", "", "", "", "0") for what in cell.missing]
    return lines


def main() -> None:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        action="append",
        choices=[*names, "curves"],
        metavar="ROW",
        help=f"any of {', '.join(names)}, curves",
    )
    parser.add_argument("--repeats", type=int, default=7, help="runs of every side (default 7)")
    parser.add_argument(
        "--threads", type=int, default=measure.cores(), help="on every side (default: all cores)"
    )
    parser.add_argument("--quick", action="store_true", help="a hundredth of the sizes: does it run?")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if not 1 <= arguments.threads <= numba.config.NUMBA_NUM_THREADS or arguments.repeats < 1:
        parser.error(f"--threads must be 1 to {numba.config.NUMBA_NUM_THREADS}, --repeats at least 1")
    settings = Settings(arguments.repeats, arguments.threads, arguments.quick)
    numba.set_num_threads(settings.threads)
    rivals.set_torch_threads(settings.threads)
    wanted = arguments.only or [*names, "curves"]
    environment = measure.environment(settings.threads)

    done: dict[object, list[Cell]] = {}
    lines, cells_of, table = [], {}, []
    for row in ROWS:
        if row.name not in wanted:
            continue
        print(f"{row.name} …", end=" ", flush=True, file=sys.stderr)
        # Rows that read the same measurements in two ways share them.
        key = repr(row.cells)
        if key not in done:
            done[key] = list(row.cells(settings))
        line = summarise(row, done[key], settings)
        print(" | ".join(line[1:5]), file=sys.stderr)
        lines.append(line)
        cells_of[row.name] = done[key]
        table += details(row, done[key])
    text = (
        "# Against argsort and the public implementations\n\n"
        f"{measure.describe(environment)}\n\n"
        "*measured* is the median of ratios taken run by run, *runs* their range, *ours* and *theirs* the "
        "median times of the deciding case. Every run is in peers.json.\n\n"
    )
    text += measure.markdown(HEAD, lines)
    cases = "\n## All cases\n\n" + measure.markdown(CELL_HEAD, table)
    document = {"environment": environment, "settings": settings, "rows": cells_of}
    if "curves" in wanted:
        document["curves"] = curves.sweep(settings)
    measure.save(arguments.out, "peers", document, text + cases, CELL_HEAD, table)
    print(text)
    if "curves" in wanted:
        try:
            note = measure.describe(environment).replace("**", "")
            for file in curves.draw(document["curves"], arguments.out, note):
                print(f"wrote {file}")
        except MissingExtra as error:
            print(f"no figure: {error}")


if __name__ == "__main__":
    main()
