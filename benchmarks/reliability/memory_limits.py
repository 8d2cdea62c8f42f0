"""Too little memory: a `MemoryError` or the right result, no crash and no hang, and work goes on afterwards.

    python benchmarks/reliability/memory_limits.py

A child process (Linux only) limits its address space to what it has and some room more, and makes a call
that needs far more; then with more room, and so on. Every call ends with its right result or with
`MemoryError`, and after it, with the limit lifted, a small problem has the same result as before. One case
has just the room for the stacks of one or two threads, page by page: threads then start, and some fail before
their first line.

All calls are made once before, without a limit: loading OpenBLAS and compiling with LLVM are out of our
hands, and may block or end a process that has not the memory for them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from environment import record

#: Room beyond what the process has, in parts of the memory that the input takes.
ROOM = (0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
#: Pages beyond the stacks of one thread and of two.
PAGES = range(0, 28)
STACKS = "hinge of a batch, stacks of threads"


def cases(pixels: int) -> dict[str, tuple[Callable[[], Any], Sequence[int]]]:
    """Calls by name, with the room for each in bytes.

    Parameters
    ----------
    pixels : int

    Returns
    -------
    dict of (callable, sequence of int)
    """
    import lovasz_opt as lo
    from lovasz_opt import problems, solvers

    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(pixels), rng.random(pixels) < 0.3
    single = x.astype(np.float32)
    h, f = lo.LovaszHinge(target), lo.LovaszExtension(lo.Jaccard(target))
    batch, masks = x[: pixels // 4 * 4].reshape(4, -1), target[: pixels // 4 * 4].reshape(4, -1)
    probas = rng.dirichlet(np.ones(4), pixels // 4).astype(np.float32)
    classes = rng.integers(0, 4, pixels // 4)
    features, of_risk = [x[: pixels // 8 * 8].reshape(-1, 8)], [target[: pixels // 8]]
    calls = {
        "hinge": lambda: h.value_and_subgradient(single)[0],
        "hinge of a batch": lambda: lo.lovasz_hinge(batch, masks),
        "prox of the hinge": lambda: float(h.prox(x, 10.0).sum()),
        "prox of a batch": lambda: float(lo.prox_lovasz_hinge(batch, masks, 10.0).sum()),
        "prox": lambda: float(f.prox(x, 10.0).sum()),
        "prox from a nearby solution": lambda: float(f.prox(x, 10.0, start=x).sum()),
        "prox with large steps": lambda: float(f.prox(x, float(pixels)).sum()),
        "envelope": lambda: f.envelope(x, 10.0),
        "derivative of the prox": lambda: f.prox_vjp(x, 10.0, x)[1],
        "certificate": lambda: lo.verify_prox(f, x, 10.0, x).gap,
        "Lovász-Softmax": lambda: lo.lovasz_softmax(probas, classes),
        "risk and solver": lambda: (
            solvers.ssnal(problems.LinearHingeRisk(features, of_risk), max_iter=2, tol=0).value
        ),
    }
    made: dict[str, tuple[Callable[[], Any], Sequence[int]]] = {
        name: (call, [int(room * x.nbytes) for room in ROOM]) for name, call in calls.items()
    }
    small, of_small = rng.standard_normal((4, 1 << 15)), rng.random((4, 1 << 15)) < 0.3
    stack = max(resource.getrlimit(resource.RLIMIT_STACK)[0], 0) or 1 << 21
    page = resource.getpagesize()
    made[STACKS] = (
        lambda: lo.lovasz_hinge(small, of_small),
        [stacks * stack + pages * page for stacks in (1, 2) for pages in PAGES],
    )
    return made


def squeezed(call: Callable[[], Any], room: int) -> tuple[str, Any]:
    """What a call gives with so much room: "done" with the result, or "MemoryError", or another error.

    Parameters
    ----------
    call : callable
    room : int
        Bytes beyond what the process holds.

    Returns
    -------
    outcome : str
    result : object
    """
    with open("/proc/self/statm", encoding="utf-8") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + room, before[1]))
    try:
        return "done", call()
    except MemoryError:
        return "MemoryError", None
    except Exception as error:
        return f"{type(error).__name__}: {error}", None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def child(name: str, pixels: int) -> None:
    """One case with more and more room; a line of JSON before each call, and one after it."""
    small, _ = cases(4000)[name]
    usual = small()
    call, rooms = cases(pixels)[name]
    # Compiles for these types, and shows what is right.
    right = call()
    for room in rooms:
        print(json.dumps({"room": room, "outcome": "no end"}), flush=True)
        outcome, result = squeezed(call, room)
        if outcome == "done" and result != right:
            outcome = f"wrong result {result}"
        if small() != usual:
            outcome += ", and wrong results afterwards"
        print(json.dumps({"room": room, "outcome": outcome}), flush=True)


def run(name: str, pixels: int, limit: float = 600.0) -> dict[int, str]:
    """The outcomes of a case, in a process that may die or hang.

    Parameters
    ----------
    name : str
    pixels : int
    limit : float
        Seconds until it counts as a hang.

    Returns
    -------
    dict of str
        By room in bytes; −1 where it did not come to a call.
    """
    command = [sys.executable, __file__, "--child", name, "--pixels", str(pixels)]
    # Freed arrays go back to the system at once, instead of being kept for the next call.
    variables = {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "NUMBA_NUM_THREADS": "4",
    }
    with subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            printed, said = process.communicate(timeout=limit)
            end = f"the process ended with {process.returncode}: {said[-400:]}"
        except subprocess.TimeoutExpired:
            process.kill()
            printed, said = process.communicate()
            end = f"hangs: {said[-400:]}"
        except KeyboardInterrupt:
            process.kill()
            raise
    outcomes: dict[int, str] = {}
    for line in printed.splitlines():
        row = json.loads(line)
        outcomes[row["room"]] = row["outcome"]
    unfinished = {room: end for room, outcome in outcomes.items() if outcome == "no end"}
    return outcomes | unfinished or {-1: end}


def problems_of(name: str, outcomes: dict[int, str]) -> list[str]:
    """What should not be: an outcome but the result or `MemoryError`, or no result with the most room."""
    problems = [
        f"{name} with room {room}: {outcome}"
        for room, outcome in outcomes.items()
        if outcome not in ("done", "MemoryError")
    ]
    if outcomes[max(outcomes)] != "done":
        problems.append(f"{name} does not succeed with room {max(outcomes)}")
    return problems


def needed(outcomes: dict[int, str]) -> float | None:
    """The least room, in MB, from which on there is always a result."""
    least = None
    for room in sorted(outcomes, reverse=True):
        if outcomes[room] != "done":
            break
        least = room / 1e6
    return least


def main(arguments: list[str] | None = None) -> int:
    """Run all cases, print, write; 1 if one ends otherwise than it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pixels", type=int, default=2_000_000)
    parser.add_argument("--only", help="one case")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory_limits.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        child(options.child, options.pixels)
        return 0
    names = list(cases(100))
    if options.only is not None and options.only not in names:
        parser.error(f"--only is {options.only!r}; choose one of {', '.join(names)}")
    begin = time.perf_counter()
    outcomes = {
        name: run(name, options.pixels) for name in (names if options.only is None else [options.only])
    }
    problems = [problem for name, found in outcomes.items() for problem in problems_of(name, found)]
    document = {
        "pixels": options.pixels,
        "calls": {name: len(found) for name, found in outcomes.items()},
        "refused": {name: [*found.values()].count("MemoryError") for name, found in outcomes.items()},
        # The room, in MB, from which on there is a result.
        "needs": {name: needed(found) for name, found in outcomes.items()},
        "problems": problems,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    record(options.out, document)
    print(
        f"{sum(document['calls'].values())} calls of {len(outcomes)} kinds on {options.pixels} pixels, "
        f"{sum(document['refused'].values())} refused with MemoryError: {len(problems)} problems"
    )
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
