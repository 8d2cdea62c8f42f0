"""Import and first call: whole child processes, in turn with `import numba`.

python benchmarks/latency.py [--repeats N] [--cold] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
from measure import duration
from workloads import FIRST_CALLS, FLOOR

COMMANDS = {
    "nothing": "pass",
    "import numpy": "import numpy",
    "import numba": "import numba",
    "import lovasz_opt": "import lovasz_opt",
    "first call of an empty kernel": FLOOR,
    **FIRST_CALLS,
}
HEAD = ("process", "median", "least", "most", "over import numba", "beyond import lovasz_opt")


def cold(code: str) -> float:
    """Seconds of a process that finds no compiled kernel."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], check=True, env={**os.environ, "NUMBA_CACHE_DIR": folder}
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="processes of every kind (default 15)")
    parser.add_argument("--cold", action="store_true", help="also first calls that compile, once each")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    seconds = measure.processes_in_turn(COMMANDS, arguments.repeats)
    if arguments.cold:
        seconds |= {f"{name}, compiling": [cold(code)] for name, code in FIRST_CALLS.items()}
    rows = []
    for name, runs in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(runs, seconds["import numba"], strict=False))
        beyond = statistics.median(a - b for a, b in zip(runs, seconds["import lovasz_opt"], strict=False))
        times = (duration(s) for s in (statistics.median(runs), min(runs), max(runs)))
        rows.append((name, *times, f"{ratio:.2f} ×", duration(beyond) if name.startswith("first") else ""))
    environment = measure.environment(measure.cores())
    text = (
        f"# Import and first call\n\n{measure.describe(environment)}\n\n"
        "Whole processes, in turn; ratios and differences run by run.\n\n" + measure.markdown(HEAD, rows)
    )
    measure.save(arguments.out, "latency", {"environment": environment, "seconds": seconds}, text, HEAD, rows)
    print(text)


if __name__ == "__main__":
    main()
