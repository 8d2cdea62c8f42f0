"""Measuring: sides run in turn, ratios run by run, peak memory of a child process, environment, tables."""

from __future__ import annotations

import contextlib
import csv
import gc
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numba

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = (
    "lovasz-opt",
    "numpy",
    "scipy",
    "numba",
    "torch",
    "kornia",
    "segmentation-models-pytorch",
    "scikit-learn",
    "cvxpy",
    "clarabel",
)
#: A run repeats its call until it has taken about this long, so that the clock's grain does not matter.
_RUN_SECONDS = 0.004
#: Load average above which other programs disturb the measurement.
_QUIET = 0.3

Sides = dict[str, Callable[[], Any]]


@dataclass
class Cell:
    """One comparison: seconds a call of every side, run by run."""

    case: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    note: str = ""

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    def ratios(self, above: Sequence[str], below: str) -> list[float]:
        """Run by run, the fastest of the sides above over the side below; empty if a side did not run."""
        ran = [self.seconds[side] for side in above if side in self.seconds]
        if not ran or below not in self.seconds:
            return []
        return [min(tops) / bottom for *tops, bottom in zip(*ran, self.seconds[below], strict=True)]


def in_turn(sides: Sides, repeats: int) -> dict[str, list[float]]:
    """Seconds a call of every side, measured A B A B … after one call of each to warm up."""
    calls = {}
    for name, side in sides.items():
        side()
        start = time.perf_counter()
        side()
        calls[name] = max(1, math.ceil(_RUN_SECONDS / max(time.perf_counter() - start, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, side in sides.items():
                start = time.perf_counter()
                for _ in range(calls[name]):
                    side()
                seconds[name].append((time.perf_counter() - start) / calls[name])
    finally:
        gc.enable()
    return seconds


def processes_in_turn(commands: dict[str, str], repeats: int) -> dict[str, list[float]]:
    """Seconds of whole Python processes that run a line of code, in turn; the first round warms the disk.

    It also writes bytecode, which an installation does, even where the environment forbids it.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(repeats + 1):
        for name, code in commands.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=environment
            )
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def in_child(*arguments: str, threads: int | None = None) -> dict[str, Any]:
    """What child.py prints for these arguments, in a process of its own."""
    environment = dict(os.environ)
    if threads is not None:
        environment["NUMBA_NUM_THREADS"] = str(threads)
    output = subprocess.run(
        [sys.executable, str(HERE / "child.py"), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ).stdout
    return dict(json.loads(output.splitlines()[-1]))


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}")


@contextlib.contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Peak resident memory of this process inside the block, in bytes above that on entry.

    Linux keeps the peak itself, and forgets an earlier one on request; where it may not, a thread samples the
    resident memory every millisecond (the kernels release the interpreter's lock).
    """
    result = {"bytes": math.nan}
    try:
        before = _status("VmRSS")
    except OSError:
        yield result
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
        exact = _status("VmHWM") - before < 1 << 22
    except OSError:
        exact = False
    peak = before
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, _status("VmRSS"))

    sampler = threading.Thread(target=sample, daemon=True)
    if not exact:
        sampler.start()
    try:
        yield result
    finally:
        done.set()
        if exact:
            peak = _status("VmHWM")
        else:
            sampler.join()
    result["bytes"] = max(0, peak - before)


def available_memory() -> float:
    """Bytes that can be had without swapping; infinite where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return math.inf


def environment(threads: int) -> dict[str, Any]:
    """Machine, threads and versions."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": cores(),
        "threads": threads,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threading layer": numba.config.THREADING_LAYER,
        "versions": versions,
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe(environment: dict[str, Any]) -> str:
    """One line on the machine, for the head of a table."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    threads, load = environment["threads"], environment["load"]
    # With other programs about, threads wait for each other, PyTorch's more than ours.
    warning = f"; **not a quiet machine: load {load:.1f} at the start**" if load > _QUIET else ""
    return (
        f"{environment['date']}, {environment['processor']}, {environment['cores']} cores, "
        f"{threads} {'thread' if threads == 1 else 'threads'} on every side unless a row says otherwise"
        f"{warning}; Python {environment['python']}, {versions}."
    )


def duration(seconds: float) -> str:
    """Seconds in a unit that leaves three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def count(n: float) -> str:
    """A number of pixels: 10^6 where it is a power of ten, plain otherwise."""
    exponent = round(math.log10(n))
    return f"10^{exponent}" if n >= 1000 and n == 10**exponent else f"{n:,.0f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def save(
    out: Path, name: str, document: dict[str, Any], text: str, head: Sequence[str], rows: Sequence[Any]
) -> None:
    """Write a result three times: for readers (.md), for spreadsheets (.csv), for programs (.json)."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    with (out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
    plain = json.dumps(document, default=asdict, indent=1, ensure_ascii=False)
    (out / f"{name}.json").write_text(plain + "\n", encoding="utf-8")
