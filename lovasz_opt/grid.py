"""A grid of independent runs: in parallel, and every finished one is kept on disk."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numba

from . import __version__
from .datasets import DataError, MissingExtra
from .solvers import Result

Backend = Literal["loky", "dask"]


@dataclass(frozen=True)
class Outcome:
    """What a cell gives.

    Attributes
    ----------
    result : Result or None
        Of the solver, if the cell runs one. Its `state` is not kept: a cell is finished or run again.
    measures : dict
        What was measured besides, such as the IoU of test images; ready for JSON.
    """

    result: Result | None = None
    measures: dict[str, Any] = field(default_factory=dict)

    @property
    def solved(self) -> Result:
        """The result of a cell that runs a solver."""
        if self.result is None:
            raise TypeError("this cell runs no solver")
        return self.result


@dataclass(frozen=True)
class Cell:
    """One run to do: a function with all that it depends on.

    Attributes
    ----------
    function : callable
        Defined at the top of a module, so that another process can import it. It returns an `Outcome`.
    arguments : dict
        Its keyword arguments: numbers, strings, and lists or dictionaries of them. A function that needs data
        loads them itself, in the process that runs it.
    group : str
        What the progress shows; cells of one group follow each other.
    """

    function: Callable[..., Outcome]
    arguments: dict[str, Any]
    group: str = ""

    @property
    def description(self) -> dict[str, Any]:
        """All that fixes the outcome up to the speed of the machine."""
        return {
            "function": f"{self.function.__module__}.{self.function.__qualname__}",
            "arguments": self.arguments,
            "version": __version__,
        }

    @property
    def key(self) -> str:
        """Hash of the description."""
        text = json.dumps(self.description, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Progress:
    """What a grid tells while it runs; this one keeps quiet."""

    def begin(self, total: int, kept: int) -> None:
        """So many cells are wanted, of which so many are on disk already."""

    def end(self, cell: Cell, outcome: Outcome | None) -> None:
        """The cell is done; without an outcome it failed."""

    def close(self) -> None:
        """No more cells."""


@dataclass
class Done:
    """Outcomes of a grid.

    Attributes
    ----------
    outcomes : dict of str to Outcome
        By the key of the cell; cells that were not reached, or failed, are missing.
    failures : dict of str to str
        By the key of the cell: what went wrong.
    kept : int
        Cells that were on disk already.
    interrupted : bool
        Whether the keyboard interrupted the grid.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    interrupted: bool = False

    def of(self, cell: Cell) -> Outcome | None:
        """The outcome of a cell, None if there is none."""
        return self.outcomes.get(cell.key)


def run(
    cells: Sequence[Cell],
    folder: Path,
    *,
    jobs: int = 1,
    backend: Backend = "loky",
    progress: Progress | None = None,
) -> Done:
    """Run the cells that are not on disk yet; an interrupt from the keyboard keeps what is done.

    Parameters
    ----------
    cells : sequence of Cell
        Equal cells are run once.
    folder : Path
        Where finished cells are kept; made if it does not exist.
    jobs : int
        Number of processes. With 1, the cells run in this process with all threads of Numba; with more, they
        run in others with one thread each. The outcomes are the same up to the times.
    backend : {"loky", "dask"}
        Of joblib. "dask" uses the scheduler that Dask is configured with (``DASK_SCHEDULER_ADDRESS``), or
        else starts a local cluster.
    progress : Progress, optional
        Is told about every cell.

    Returns
    -------
    Done

    Raises
    ------
    ValueError
        If jobs < 1, or the backend is unknown.
    MissingExtra, DataError
        If a package or data are missing. Other errors in a cell are reported as its failure.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; it must be ≥ 1")
    if backend not in ("loky", "dask"):
        raise ValueError(f"backend is {backend!r}; choose 'loky' or 'dask'")
    folder.mkdir(parents=True, exist_ok=True)
    progress = progress or Progress()
    wanted = {cell.key: cell for cell in cells}
    done = Done()
    for key in wanted:
        stored = _load(folder, key)
        if stored is not None:
            done.outcomes[key] = stored
    done.kept = len(done.outcomes)
    todo = [cell for key, cell in wanted.items() if key not in done.outcomes]
    try:
        progress.begin(len(wanted), done.kept)
        # Closed at once: an interrupt is to end the processes, not to leave that to the garbage collector.
        with closing(_outcomes(todo, jobs, backend)) as arriving:
            for key, outcome in arriving:
                if isinstance(outcome, Outcome):
                    _save(folder, wanted[key], outcome)
                    done.outcomes[key] = outcome
                    progress.end(wanted[key], outcome)
                else:
                    done.failures[key] = outcome
                    progress.end(wanted[key], None)
    except KeyboardInterrupt:
        done.interrupted = True
    finally:
        progress.close()
    return done


def _outcomes(
    todo: Sequence[Cell], jobs: int, backend: Backend
) -> Generator[tuple[str, Outcome | str], None, None]:
    """Outcomes or messages of failure, in the order in which they come."""
    if not todo:
        return
    if jobs == 1:
        for cell in todo:
            yield _call(cell)
        return
    try:
        from joblib import Parallel, delayed, parallel_config
    except ImportError:
        raise MissingExtra("several jobs need joblib: pip install 'lovasz-opt[study]'") from None
    with ExitStack() as stack:
        if backend == "dask":
            stack.enter_context(_dask_client(jobs))
            stack.enter_context(parallel_config(backend="dask"))
        else:
            stack.enter_context(parallel_config(backend="loky", inner_max_num_threads=1))
        # One cell at a time: each may take seconds, and is to be on disk as soon as it is done.
        pool = Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        arriving = pool(delayed(_call_alone)(cell) for cell in todo)
        try:
            # Not "yield from", which would pass the end of this generator on before the warning is silenced.
            for outcome in arriving:  # noqa: UP028
                yield outcome
        finally:
            with warnings.catch_warnings():
                # That cells are left undone is what an interrupt is for.
                warnings.simplefilter("ignore", UserWarning)
                arriving.close()


def _dask_client(jobs: int) -> Any:
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise MissingExtra("the dask backend needs Dask: pip install 'lovasz-opt[dask]'") from None
    if dask.config.get("scheduler-address", None):
        return Client()
    return Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)


def _call(cell: Cell) -> tuple[str, Outcome | str]:
    try:
        outcome = cell.function(**cell.arguments)
    except (DataError, MissingExtra):
        raise
    except Exception as error:
        # One method that breaks down on one problem is a finding, not a reason to lose the others.
        return cell.key, f"{type(error).__name__}: {error}"
    if outcome.result is not None and outcome.result.status == "interrupted":
        raise KeyboardInterrupt
    return cell.key, outcome


def _call_alone(cell: Cell) -> tuple[str, Outcome | str]:
    """As `_call`, on one core, in a process that leaves Ctrl-C to the one that started it."""
    numba.set_num_threads(1)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _call(cell)


def _save(folder: Path, cell: Cell, outcome: Outcome) -> None:
    """The result first: a cell counts as finished once its description is there."""
    if outcome.result is not None:
        replace(outcome.result, state={}).save(folder / f"{cell.key}.npz")
    kept = {"solver": outcome.result is not None, "measures": outcome.measures}
    text = json.dumps({**cell.description, **kept}, ensure_ascii=False)
    partial = folder / f"{cell.key}.json.part"
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(folder / f"{cell.key}.json")


def _load(folder: Path, key: str) -> Outcome | None:
    """The outcome of a finished cell; None if there is none, or it cannot be read."""
    # ValueError covers what is no saved result and what is no JSON.
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        file = folder / f"{key}.npz"
        return Outcome(Result.load(file) if stored["solver"] else None, stored["measures"])
    return None
