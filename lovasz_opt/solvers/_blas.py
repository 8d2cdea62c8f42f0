"""Solvers keep BLAS to one thread: its idle threads spin, and take the cores from the kernels' threads."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> Any:
    # Looks through all loaded libraries: once is enough, NumPy and SciPy are there already.
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """``with one_blas_thread():`` — what was set before is restored.

    The matrices of a solver are small: threads gain little on them, and the last bits of the result would
    depend on their number.
    """
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit
