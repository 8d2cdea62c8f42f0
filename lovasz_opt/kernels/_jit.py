"""How kernels are compiled: without the GIL, kept on disk where that is possible."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


_SOURCES = _sources()


def kernel(function=None, *, fastmath=False):
    """Compile a kernel on its first call in machine code that is kept for later processes.

    Where neither the package, nor NUMBA_CACHE_DIR, nor the user's cache directory can be written, every
    process compiles anew. `fastmath` is what Numba knows by this name.
    """
    if function is None:
        return partial(kernel, fastmath=fastmath)
    # The code on disk contains the kernels that this one calls, and Numba looks for changes in its own file
    # only: the name of the code tells the state of all of them.
    function.__qualname__ += f"_{_SOURCES}"
    try:
        return njit(cache=True, fastmath=fastmath, **_OPTIONS)(function)
    except RuntimeError:
        return njit(fastmath=fastmath, **_OPTIONS)(function)


def inlined(function):
    """Compile a helper of one kernel as part of it.

    Ordinary calls count references to each array that they take, which in an inner loop costs more than many
    a helper.
    """
    return njit(inline="always", **_OPTIONS)(function)
