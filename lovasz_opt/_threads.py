"""Threads of a loss: how many there may be, and work shared out among them."""

from __future__ import annotations

import _thread
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

import numba

T = TypeVar("T")


def thread_count() -> int:
    """As many as Numba may use."""
    try:
        numba.threading_layer()
    except ValueError:
        # Numba has not started its threads, and need not for this question: that would set the number of
        # OpenMP threads for PyTorch too, which then uses all cores and rounds differently.
        return int(numba.config.NUMBA_NUM_THREADS)
    return int(numba.get_num_threads())


def share_out(task: Callable[[T], None], items: Sequence[T], threads: int) -> None:
    """Call ``task(item)`` for every item, in the calling thread and in others that help.

    Where there is no room for a thread, the others do its work. `threading.Thread.start`, and with it
    `ThreadPoolExecutor`, waits for ever for a thread that lacks the memory for its first call [1]_.

    Parameters
    ----------
    task : callable
    items : sequence
    threads : int
        How many at most, with the calling one.

    Raises
    ------
    BaseException
        What a task raised, after all threads have ended.

    References
    ----------
    .. [1] https://github.com/python/cpython/issues/140746
    """
    todo: SimpleQueue[T] = SimpleQueue()
    for item in items:
        todo.put(item)
    # With a place for the error: to append one would take memory.
    failures: list[BaseException | None] = [None]

    def work(turn: _thread.LockType) -> None:
        # A helper that comes when the calling thread has ended finds its lock taken.
        if not turn.acquire(blocking=False):
            return
        try:
            while True:
                task(todo.get_nowait())
        except Empty:
            pass
        except BaseException as error:
            failures[0] = error
        finally:
            turn.release()

    turns = [_thread.allocate_lock() for _ in range(min(threads, len(items)) - 1)]
    for turn in turns:
        try:
            _thread.start_new_thread(work, (turn,))
        except (RuntimeError, MemoryError):
            break
    work(_thread.allocate_lock())
    for turn in turns:
        # At once where the helper has not begun, or never will.
        turn.acquire()
    failure = failures.pop()
    if failure is not None:
        try:
            raise failure
        finally:
            # The traceback holds this frame, which is not to hold the error and all its arrays.
            del failure
