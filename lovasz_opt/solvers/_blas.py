"""Solvers keep BLAS to one thread: its idle threads spin, and take the cores from the kernels' threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
#: The limits of the solvers that run now, in threads of their own: the first sets what the last restores.
_limits: list[Any] = []


@cache
def _controller() -> Any:
    # Looks through all loaded libraries: once is enough, NumPy and SciPy are there already.
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """``with one_blas_thread():`` — what was set before is restored when the last thread has left.

    The matrices of a solver are small: threads gain little on them, and the last bits of the result would
    depend on their number. The number is one for the whole process.
    """
    with _lock:
        _limits.append(_limits[0] if _limits else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()
