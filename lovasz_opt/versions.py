"""What is installed."""

from __future__ import annotations

import platform
from importlib import metadata

_NAMES = (
    "lovasz-opt", "numpy", "scipy", "numba", "matplotlib", "scikit-image", "tqdm", "joblib", "dask",
    "distributed", "cvxpy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of Python, this package and the packages it may use, where installed."""
    found = {"python": platform.python_version()}
    for name in _NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
