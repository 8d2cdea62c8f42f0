"""How many threads a loss may use."""

from __future__ import annotations

from functools import cache

import numba


def thread_count() -> int:
    """As many as Numba may use."""
    _start()
    return int(numba.get_num_threads())


@cache
def _start() -> None:
    """Have Numba start its threads, and put back what that changes for others.

    Numba then sets the number of OpenMP threads, also for PyTorch: a process that was told to use one would
    use all cores from its first loss on, and round differently than before.
    """
    from threadpoolctl import ThreadpoolController

    with ThreadpoolController().limit(limits=None):
        numba.get_num_threads()
