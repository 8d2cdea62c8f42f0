"""How time and memory grow: with pixels, classes, images, threads, the step and the class balance.

Every point is a process of its own, so that its peak memory is its own: the least time of some runs, and the
peak resident memory beyond the input, in float64 arrays of the number of pixels.

    python benchmarks/scaling.py [--only STUDY] [--repeats N] [--threads N] [--quick] [--full] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numba
import workloads
from measure import count, duration

from lovasz_opt.datasets import MissingExtra

#: A call holds its input, at most so many further float64 arrays of p, and what makes the input.
_ARRAYS_NEEDED = 20
#: Below so many pixels the peak memory is a matter of single pages.
_PAGES = 10**5


@dataclass
class Point:
    """One process: a call, and what it took. `skipped` says why there is nothing."""

    study: str
    curve: str
    x: float
    pixels: int
    threads: int
    seconds: float | None = None
    arrays: float | None = None
    skipped: str = ""


@dataclass(frozen=True)
class Study:
    """One axis of growth: what it varies, and the calls along it."""

    name: str
    axis: str
    points: Callable[[argparse.Namespace], Iterator[tuple[str, float, str, dict[str, Any], int]]]


def _shrunk(p: int, arguments: argparse.Namespace) -> int:
    return max(64, p // 1000) if arguments.quick else p


def pixels(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    largest = 8 if arguments.full else 7
    for exponent in range(3, 5 if arguments.quick else largest + 1):
        p = 10**exponent
        yield "one np.argsort", p, "argsort", {"p": p}, 1
        yield "hinge", p, "hinge", {"p": p}, 1
        yield "hinge, trained", p, "hinge", {"p": p, "trained": True}, 1
        for step in ("1", "p/10", "10p"):
            yield f"prox, γ = {step}", p, "prox", {"p": p, "gamma": workloads.STEPS[step](p)}, 1


def steps(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    p = _shrunk(10**6, arguments)
    for share in workloads.SHARES:
        for exponent in range(-2, 3 if arguments.quick else 9):
            gamma = 10.0**exponent
            call = {"p": p, "gamma": gamma, "share": share}
            yield f"{share:.0%} foreground", gamma, "prox", call, 1


def balance(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    p = _shrunk(10**6, arguments)
    for share in (0.5,) if arguments.quick else (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        yield "one np.argsort", share, "argsort", {"p": p}, 1
        yield "hinge", share, "hinge", {"p": p, "share": share}, 1
        for step in ("1", "p/10", "10p"):
            gamma = workloads.STEPS[step](p)
            yield f"prox, γ = {step}", share, "prox", {"p": p, "gamma": gamma, "share": share}, 1


def classes(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    p = _shrunk(10**5, arguments)
    for number in (2, 4) if arguments.quick else (2, 4, 8, 16, 32, 64):
        for threads in sorted({1, arguments.threads}):
            call = {"p": p, "classes": number}
            yield f"Lovász-Softmax, {_threads(threads)}", number, "softmax", call, threads


def images(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    p = _shrunk(512 * 512, arguments)
    for number in (1, 2) if arguments.quick else (1, 2, 4, 8, 16, 32):
        for threads in sorted({1, arguments.threads}):
            yield f"hinge, {_threads(threads)}", number, "hinge", {"p": p, "images": number}, threads


def threads(arguments: argparse.Namespace) -> Iterator[tuple[str, float, str, dict[str, Any], int]]:
    p = _shrunk(187_500, arguments)
    for number in range(1, arguments.threads + 1):
        yield "Lovász-Softmax, 21 classes", number, "softmax", {"p": p}, number
        yield "hinge, 16 images", number, "hinge", {"p": p, "images": 16}, number


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


STUDIES = (
    Study("pixels", "pixels p", pixels),
    Study("steps", "step γ of the prox, p = 10⁶", steps),
    Study("balance", "share of foreground, p = 10⁶", balance),
    Study("classes", "classes, 10⁵ pixels", classes),
    Study("images", "images of 512 × 512 pixels", images),
    Study("threads", "threads", threads),
)


def run(study: Study, arguments: argparse.Namespace) -> Iterator[Point]:
    """Every point of a study; those that the memory does not allow say so."""
    for curve, x, call, options, threads in study.points(arguments):
        channels = options.get("classes", workloads.CLASSES) if call == "softmax" else 1
        total = options["p"] * channels * options.get("images", 1)
        point = Point(study.name, curve, x, total, threads)
        needed, available = _ARRAYS_NEEDED * 8.0 * total, measure.available_memory()
        if needed > available:
            point.skipped = f"needs {needed / 2**30:.0f} GiB, {available / 2**30:.0f} GiB are free"
        else:
            repeats = str(1 if total >= 10**8 else arguments.repeats)
            result = measure.in_child(call, json.dumps(options), repeats, threads=threads)
            point.seconds = result["seconds"]
            if total >= _PAGES:
                point.arrays = result["bytes"] / (8 * total)
        print(
            f"{study.name}: {curve}, {x:g}: {point.skipped or duration(point.seconds or 0.0)}",
            file=sys.stderr,
        )
        yield point


HEAD = (
    "study",
    "curve",
    "x",
    "pixels in all",
    "threads",
    "seconds",
    "ns a pixel",
    "peak, float64 arrays",
)


def line(point: Point) -> tuple[str, ...]:
    place = (point.study, point.curve, f"{point.x:g}", count(point.pixels), str(point.threads))
    if point.seconds is None:
        return (*place, point.skipped, "", "")
    arrays = "" if point.arrays is None else f"{point.arrays:.2f}"
    return (*place, f"{point.seconds:.4g}", f"{1e9 * point.seconds / point.pixels:.3g}", arrays)


#: Colours of Okabe and Ito; curves are told apart in grey by dash and marker.
_LOOKS = (
    ("#000000", (0, (1, 1.2)), ""),
    ("#009E73", "solid", "o"),
    ("#009E73", (0, (6, 1.5)), "s"),
    ("#D55E00", "solid", "^"),
    ("#0072B2", (0, (6, 1.5)), "v"),
    ("#CC79A7", (0, (3, 1.5)), "D"),
)


def draw(points: list[Point], out: Path) -> list[Path]:
    """Nanoseconds a pixel along every axis, and memory along pixels; return the files."""
    from lovasz_opt.figures.style import figure

    panels = [(study, "time") for study in STUDIES] + [(STUDIES[0], "memory"), (STUDIES[1], "memory")]
    panels = [(s, what) for s, what in panels if any(p.study == s.name and _height(p, what) for p in points)]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    fig, context = figure(3.5 * columns, 3.3 * rows)
    curves = list(dict.fromkeys(p.curve for p in points))
    with context:
        grid = fig.subplots(rows, columns, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for axes, (study, what) in zip(grid.flat, panels, strict=False):
            mine = [p for p in points if p.study == study.name and _height(p, what)]
            for k, curve in enumerate(dict.fromkeys(p.curve for p in mine)):
                # A curve that several panels show looks the same in all of them.
                number = curves.index(curve) if curves.index(curve) < len(_LOOKS) else k + 1
                color, dash, marker = _LOOKS[number % len(_LOOKS)]
                xs = [p.x for p in mine if p.curve == curve]
                ys = [_height(p, what) for p in mine if p.curve == curve]
                axes.plot(xs, ys, color=color, linestyle=dash, marker=marker, markersize=4, label=curve)
            _scale(axes, study, what)
            axes.set_xlabel(study.axis)
            axes.set_title(
                "time, nanoseconds a pixel" if what == "time" else "peak memory, float64 arrays of p"
            )
            axes.legend(fontsize=7, handlelength=2.6, frameon=True, framealpha=0.85, edgecolor="none")
        files = [out / "scaling.png", out / "scaling.pdf"]
        for file in files:
            fig.savefig(file)
    return files


def _height(point: Point, what: str) -> float | None:
    if what == "memory":
        return point.arrays
    return None if point.seconds is None else 1e9 * point.seconds / point.pixels


def _scale(axes: Any, study: Study, what: str) -> None:
    if study.name == "balance":
        axes.set_xscale("logit")
        shares = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
        axes.set_xticks(shares, [f"{100 * share:g}%" for share in shares])
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    elif study.name == "threads":
        axes.xaxis.get_major_locator().set_params(integer=True)
    elif study.name in ("classes", "images"):
        numbers = sorted({x for line in axes.lines for x in line.get_xdata()})
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    else:
        axes.set_xscale("log")
    # Room for the legend.
    if what == "time" and study.name == "pixels":
        axes.set_yscale("log")
        axes.set_ylim(bottom=axes.get_ylim()[0] / 6)
    else:
        axes.set_ylim(0, (1.8 if study.name == "pixels" else 1.35) * axes.get_ylim()[1])


def main() -> None:
    names = [study.name for study in STUDIES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=names, metavar="STUDY", help=f"any of {', '.join(names)}"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of every point; the least counts (default 3)"
    )
    parser.add_argument("--threads", type=int, default=measure.cores(), help="the most (default: all cores)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--full", action="store_true", help="up to 10^8 pixels, where the memory allows")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if not 1 <= arguments.threads <= numba.config.NUMBA_NUM_THREADS or arguments.repeats < 1:
        parser.error(f"--threads must be 1 to {numba.config.NUMBA_NUM_THREADS}, --repeats at least 1")
    wanted = arguments.only or names
    points = [point for study in STUDIES if study.name in wanted for point in run(study, arguments)]
    environment = measure.environment(arguments.threads)
    text = (
        "# Time and memory\n\n"
        f"{measure.describe(environment)}\n\n"
        "Every point is a process of its own: the least time of its runs, and its peak resident memory "
        f"beyond the input, from {count(_PAGES)} pixels on.\n\n"
        + measure.markdown(HEAD, [line(point) for point in points])
    )
    document = {"environment": environment, "points": points}
    measure.save(arguments.out, "scaling", document, text, HEAD, [line(point) for point in points])
    print(text)
    try:
        for file in draw(points, arguments.out):
            print(f"wrote {file}")
    except MissingExtra as error:
        print(f"no figure: {error}")


if __name__ == "__main__":
    main()
