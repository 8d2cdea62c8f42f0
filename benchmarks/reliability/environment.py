"""Results, with when, on what, and with which versions they were made."""

from __future__ import annotations

import datetime
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Date, processor, cores, Python and the libraries that the numbers depend on.

    Returns
    -------
    dict
        Plain values, to be written as JSON.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "numba")},
    }


def record(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON, with its `environment`."""
    document = {"environment": environment(), **result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def in_words(known: dict[str, Any]) -> str:
    """What `environment` gave, as a part of a sentence."""
    versions = (f"{name} {known[name]}" for name in ("python", "numpy", "scipy", "numba"))
    return ", ".join((known["date"], known["machine"], f"{known['cores']} cores", *versions))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
