"""Runs tests in a forked child, on a package that was not imported before: a second or less to start.

The parent has imported what takes long and does not change: NumPy, SciPy, Numba, pytest, Hypothesis. A
mutant is never written to the tree; the child is given it where it asks for the file.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import numba
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse

#: Bytes of address space of a child: a mutant must not take all memory.
_MEMORY = 16 << 30
PASSED, KILLED, TIMEOUT = "survived", "killed", "killed (time)"
#: How a child ends that could not run the tests, or ran them on another copy of the package.
_BROKEN = 99
#: Of Hypothesis, for a test that is only to show what it calls, and for one that is to kill.
FEW, MANY = 20, 100
_OPTIONS = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
# Hypothesis is imported before pytest could rewrite its assertions.
_OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
del scipy


@dataclass
class Tests:
    """What is known of the tests in one mode: seconds of those that pass, and the functions they call."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)

    def of(self, path: str, function: str, budget: float) -> list[str]:
        """Tests that call the function, or else any of the file, quickest first, for so many seconds."""
        chosen = [test for test, names in self.calls.items() if f"{path}::{function}" in names]
        chosen = chosen or [test for test, names in self.calls.items() if f"{path}::" in "".join(names)]
        chosen = chosen or list(self.calls)
        total, kept = 0.0, []
        for test in sorted((test for test in chosen if test in self.seconds), key=self.seconds.__getitem__):
            total += self.seconds[test]
            if kept and total > budget:
                break
            kept.append(test)
        return kept


def measure(root: Path, cache: Path, files: list[str], interpreted: bool, limit: float, trace: bool) -> Tests:
    """Run test files as they are, and note what passes within the limit of seconds.

    Parameters
    ----------
    root, cache : Path
        The tree, and the folder of compiled kernels.
    files : list of str
    interpreted : bool
        Whether kernels run as Python.
    limit : float
        Seconds of the processor for a test.
    trace : bool
        Whether to note which functions are called, on few examples; that takes longer.

    Returns
    -------
    Tests
    """
    answer, output = (cache.parent / f"measured-{os.getpid()}.{suffix}" for suffix in ("json", "txt"))

    def tests() -> int:
        _enter(root, cache, interpreted, FEW if interpreted or trace else MANY, output)
        recorder = _Recorder(root, limit, trace)
        code = pytest.main([*_OPTIONS, *files], plugins=[recorder, _Guard(root)])
        answer.write_text(json.dumps([recorder.tests.seconds, recorder.tests.calls]), encoding="utf-8")
        # Tests may fail here: some read files that are not in the copy.
        return 0 if code in (0, 1) else _BROKEN

    _, status = os.waitpid(_fork(tests), 0)
    if status:
        raise _broken(output)
    return Tests(*json.loads(answer.read_text(encoding="utf-8")))


def run(
    root: Path, cache: Path, tests: list[str], interpreted: bool, limit: float, path: str, source: bytes
) -> str:
    """Run tests on a mutant until one fails.

    Parameters
    ----------
    root, cache : Path
    tests : list of str
        Node ids, in this order.
    interpreted : bool
    limit : float
        Seconds of the processor after which the child is killed; it may wait for twenty times as long.
    path : str
        Of the mutated file, relative to the root.
    source : bytes
        What stands in it.

    Returns
    -------
    str
        "survived", "killed" or "killed (time)".
    """
    output = cache.parent / f"run-{os.getpid()}.txt"

    def mutated() -> int:
        _enter(root, cache, interpreted, FEW if interpreted else MANY, output, limit)
        _substitute(str(root / path), source)
        return int(pytest.main([*_OPTIONS, "-x", *tests], plugins=[_Guard(root)]))

    child = _fork(mutated)
    end = time.monotonic() + 20 * limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
                raise _broken(output)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
                return TIMEOUT
            return KILLED if status else PASSED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TIMEOUT


def _fork(work: Callable[[], int]) -> int:
    """The id of a child that ends with the status that the work returns."""
    child = os.fork()
    if child:
        return child
    code = _BROKEN
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # What the parent would do next is not for the child.
        os._exit(code)


def _broken(output: Path) -> RuntimeError:
    return RuntimeError(f"the tests could not be run:\n{output.read_text(encoding='utf-8')[-2000:]}")


def _enter(
    root: Path, cache: Path, interpreted: bool, examples: int, output: Path, limit: float = 3600.0
) -> None:
    os.setpgid(0, 0)
    # Of the processor: how busy the machine is does not count.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(root)
    sys.path.insert(0, str(root))
    numba.config.CACHE_DIR = str(cache)
    numba.config.DISABLE_JIT = int(interpreted)
    # No byte code, which would hide a mutant from later children or be one.
    sys.dont_write_bytecode = True
    hypothesis.settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        # A failing example is not made small: that it fails is enough.
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        max_examples=examples,
    )


def _substitute(path: str, source: bytes) -> None:
    """Let Python import a file as if it held that source."""
    usual = SourceFileLoader.get_data

    def get_data(loader: SourceFileLoader, name: str) -> bytes:
        return source if name == path else usual(loader, name)

    SourceFileLoader.get_data = get_data  # type: ignore[method-assign]


class _Guard:
    """Refuses to run tests that have imported another copy of the package than that of the tree."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def pytest_collection_modifyitems(self) -> None:
        package = sys.modules.get("lovasz_opt")
        if package is not None and not str(package.__file__).startswith(f"{self._root}{os.sep}"):
            pytest.exit(f"imported {package.__file__}, which is not in {self._root}", _BROKEN)


class _Recorder:
    """Notes seconds and called functions of every test; stops tests that take too long."""

    def __init__(self, root: Path, limit: float, trace: bool) -> None:
        self.tests = Tests()
        self._prefix, self._limit, self._trace = f"{root}/", limit, trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        seen: set[Any] = set()

        def note(frame: Any, event: str, argument: Any) -> None:
            seen.add(frame.f_code)

        # Again and again: Hypothesis tries an example that failed once more.
        signal.signal(signal.SIGVTALRM, _too_slow)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit, self._limit / 4)
        if self._trace:
            threading.settrace(note)
            sys.settrace(note)
        begin = time.process_time()
        try:
            result = yield
            self.tests.seconds[item.nodeid] = time.process_time() - begin
            return result
        except _TooSlow:
            # The stack of a signal may be beyond what pytest can show.
            raise _TooSlow from None
        except BaseException as error:
            raise RuntimeError(repr(error)) from None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            self.tests.calls[item.nodeid] = sorted({self._name(code) for code in seen if self._counts(code)})

    def _counts(self, code: Any) -> bool:
        """Whether it is a function of the tree, and no module or class that happened to be imported here."""
        return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_filename.startswith(self._prefix)

    def _name(self, code: Any) -> str:
        names = code.co_qualname.replace("<locals>.", "").split(".")
        names = names[: next((k for k, name in enumerate(names) if name.startswith("<")), len(names))]
        return f"{code.co_filename[len(self._prefix) :]}::{'.'.join(names)}"


class _TooSlow(Exception):
    pass


def _too_slow(*_: Any) -> NoReturn:
    raise _TooSlow
