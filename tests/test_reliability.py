"""Threads and too little memory: short runs of two benchmarks, and what they rest on."""

import _thread
import gc
import importlib.util
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from lovasz_opt._threads import share_out, thread_count
from lovasz_opt.solvers._blas import one_blas_thread

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "reliability"


def script(name):
    spec = importlib.util.spec_from_file_location(f"reliability_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def never(*arguments):
    raise RuntimeError("can't start new thread")


def no_memory(*arguments):
    raise MemoryError


def stillborn(*arguments):
    """A thread that starts, and dies before its first line."""


class TestShareOut:
    @pytest.mark.parametrize("threads", [1, 2, 8])
    @pytest.mark.parametrize("items", [0, 1, 2, 100])
    def test_every_item_once(self, threads, items):
        seen = []
        share_out(seen.append, range(items), threads)
        assert sorted(seen) == list(range(items))

    def test_threads_work_at_the_same_time(self):
        barrier = threading.Barrier(4, timeout=60)
        share_out(lambda _: barrier.wait(), range(4), 4)

    def test_at_most_so_many_threads(self):
        idents = set()
        share_out(lambda _: idents.add(threading.get_ident()), range(200), 1)
        assert idents == {threading.get_ident()}

    @pytest.mark.parametrize("start", [never, no_memory, stillborn])
    def test_the_calling_thread_does_it_alone_where_no_other_can(self, monkeypatch, start):
        monkeypatch.setattr(_thread, "start_new_thread", start)
        seen = []
        share_out(lambda k: seen.append((k, threading.get_ident())), range(10), 4)
        assert seen == [(k, threading.get_ident()) for k in range(10)]

    def test_a_thread_that_comes_late_does_nothing(self, monkeypatch):
        late = []
        monkeypatch.setattr(_thread, "start_new_thread", lambda *call: late.append(call))
        seen = []
        share_out(seen.append, range(10), 3)
        for work, arguments in late:
            work(*arguments)
        assert len(late) == 2
        assert seen == list(range(10))

    @pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
    @pytest.mark.parametrize("own", [True, False])
    def test_errors_come_through_after_all_threads_have_ended(self, error, own):
        barrier, ended = threading.Barrier(2, timeout=60), []

        def task(k):
            barrier.wait()
            if (threading.get_ident() == caller) is own:
                raise error
            ended.append(k)

        caller = threading.get_ident()
        with pytest.raises(error):
            share_out(task, range(2), 2)
        assert len(ended) == 1

    def test_an_error_leaves_nothing_behind(self):
        class Large:
            pass

        def fail(_):
            large = Large()
            held.append(weakref.ref(large))
            raise MemoryError

        held = []
        gc.disable()
        try:
            with pytest.raises(MemoryError):
                share_out(fail, range(4), 2)
            assert held
            assert all(large() is None for large in held)
        finally:
            gc.enable()


def test_numba_is_asked_for_its_threads_only_when_it_has_started_them(monkeypatch):
    def layer():
        if not started:
            raise ValueError("Threading layer is not initialized.")
        return "omp"

    started = False
    monkeypatch.setattr(numba, "threading_layer", layer)
    monkeypatch.setattr(numba, "get_num_threads", lambda: numba.config.NUMBA_NUM_THREADS + 1)
    assert thread_count() == numba.config.NUMBA_NUM_THREADS
    started = True
    assert thread_count() == numba.config.NUMBA_NUM_THREADS + 1


def test_a_first_loss_starts_no_threads_of_numba():
    code = """
import numba, lovasz_opt as lo
lo.LovaszHinge([[1, 0], [0, 1]])([[1.0, 2.0], [3.0, 4.0]])
try:
    print(numba.threading_layer())
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Threading layer is not initialized.\n"


def test_solvers_in_two_threads_keep_blas_to_one_until_both_have_ended():
    def blas():
        # Some BLAS libraries that other packages bring can have no more than one.
        return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        assert blas() == 2
        with first:
            with second:
                assert blas() == 1
            assert blas() == 1
        assert blas() == 2
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas() == 1
        second.__exit__(None, None, None)
        assert blas() == 2


def test_eight_threads_at_once_are_one_alone_bit_for_bit(monkeypatch):
    monkeypatch.setattr("numba.threading_layer", lambda: "as if started")
    monkeypatch.setattr("numba.get_num_threads", lambda: 4)
    found = script("threads").together(pixels=9000, threads=8, repeats=10)
    assert found["problems"] == []
    assert found["calls"] > 8 * 10 * len(found["alone"])


def test_threads_says_what_differs():
    threads = script("threads")
    shared = np.zeros(1)

    def scratch():
        shared[0] = threading.get_ident()
        return shared

    assert threads.differing({"a": scratch}, {"a": threads.digest(np.zeros(1))}, ["a"]) == ["a"]
    assert threads.at_once(lambda number: [str(1 // number)], 3) == [
        "0",
        "1",
        "ZeroDivisionError: integer division or modulo by zero",
    ]
    assert len({threads.digest(part) for part in (0.0, -0.0, 0, (0.0,), np.float32(0), "0", [0.0, 1])}) == 7


@pytest.mark.slow
def test_eight_threads_may_make_the_first_calls_of_all(tmp_path):
    command = [sys.executable, SCRIPTS / "threads.py", "--child", "first", "--pixels", "9000"]
    done = subprocess.run(
        command,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"calls": 32, "problems": []' in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space, reads /proc")
@pytest.mark.parametrize("name", ["hinge of a batch, stacks of threads", "prox of a batch"])
def test_too_little_memory_is_a_memory_error_or_enough(name):
    memory_limits = script("memory_limits")
    outcomes = memory_limits.run(name, 400_000, limit=300)
    assert memory_limits.problems_of(name, outcomes) == []
    assert len(outcomes) == len(memory_limits.cases(100)[name][1])
