"""Grids of cells: nothing is run twice, nothing finished is lost, and processes do not change results."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from lovasz_opt import grid, problems, solvers
from lovasz_opt.datasets import DataError

DETERMINISTIC = ("iteration", "passes", "value", "best", "dual", "gap")


def solve(scores, step_size, seed=0):
    """A cell: a small prox problem by subgradient descent."""
    target = np.arange(len(scores)) % 2
    pb = problems.ImageProx(scores, target, gamma=2.0)
    result = solvers.subgradient(pb, "sqrt", step_size, max_iter=20, tol=0)
    return grid.Outcome(result, {"iou": pb.iou(result.x), "path": [0.1, 0.2, 1 / 3]})


def fail(kind, seed=0):
    raise {"arithmetic": ArithmeticError, "data": DataError}[kind]("the reason")


class Recorder(grid.Progress):
    def __init__(self):
        self.total, self.kept, self.ended, self.closed = None, None, [], 0

    def begin(self, total, kept):
        self.total, self.kept = total, kept

    def end(self, cell, outcome):
        self.ended.append((cell, outcome))

    def close(self):
        self.closed += 1


class Interrupter(Recorder):
    def end(self, cell, outcome):
        super().end(cell, outcome)
        if len(self.ended) == 2:
            raise KeyboardInterrupt


def cells(n=4):
    return [grid.Cell(solve, {"scores": [0.5, -0.2, 0.3], "step_size": 0.1 * (i + 1)}) for i in range(n)]


def same(first, second):
    np.testing.assert_array_equal(first.result.x, second.result.x)
    for column in DETERMINISTIC:
        np.testing.assert_array_equal(first.result.trace[column], second.result.trace[column])
    assert first.measures == second.measures
    assert first.result.status == second.result.status


def test_finished_cells_are_kept_and_not_run_again(tmp_path):
    todo, first = cells(), Recorder()
    done = grid.run([*todo, todo[0]], tmp_path / "new" / "cells", progress=first)
    assert (first.total, first.kept, len(first.ended), first.closed) == (4, 0, 4, 1)
    assert len(done.outcomes) == 4
    assert not done.interrupted
    assert not done.failures
    again = Recorder()
    more = grid.run([*todo, cells(5)[4]], tmp_path / "new" / "cells", progress=again)
    assert (again.total, again.kept) == (5, 4)
    assert [cell for cell, _ in again.ended] == [cells(5)[4]]
    for cell in todo:
        same(done.of(cell), more.of(cell))


def test_the_key_is_the_description(monkeypatch):
    first, second, again = cells(2)[0], cells(2)[1], cells(2)[0]
    assert first.key == again.key != second.key
    assert grid.Cell(fail, first.arguments).key != first.key
    assert grid.Cell(solve, first.arguments, "another group").key == first.key
    monkeypatch.setattr(grid, "__version__", "0.0.0")
    assert again.key != cells(2)[1].key
    assert cells(1)[0].description["version"] == "0.0.0"


@pytest.mark.parametrize("damage", ["truncate", "no result", "no description", "other JSON", "not JSON"])
def test_a_broken_cell_is_run_again(damage, tmp_path):
    todo = cells(2)
    before = grid.run(todo, tmp_path)
    result, description = tmp_path / f"{todo[0].key}.npz", tmp_path / f"{todo[0].key}.json"
    if damage == "truncate":
        result.write_bytes(result.read_bytes()[:300])
    elif damage == "no result":
        result.unlink()
    elif damage == "no description":
        description.unlink()
    elif damage == "other JSON":
        description.write_text("[1, 2]")
    else:
        description.write_bytes(b"\xff{")
    recorder = Recorder()
    after = grid.run(todo, tmp_path, progress=recorder)
    assert [cell for cell, _ in recorder.ended] == todo[:1]
    same(before.of(todo[0]), after.of(todo[0]))
    assert grid.run(todo, tmp_path).kept == 2


def test_an_interrupt_keeps_what_is_done(tmp_path):
    todo, recorder = cells(), Interrupter()
    done = grid.run(todo, tmp_path, progress=recorder)
    assert done.interrupted
    assert recorder.closed == 1
    assert list(done.outcomes) == [cell.key for cell in todo[:2]]
    assert grid.run(todo, tmp_path).kept == 2


def test_a_solver_that_was_interrupted_is_not_finished(tmp_path, monkeypatch):
    original = problems.ImageProx.linearise
    calls = []

    def linearise(self, v):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return original(self, v)

    monkeypatch.setattr(problems.ImageProx, "linearise", linearise)
    done = grid.run(cells(3), tmp_path)
    assert done.interrupted
    assert len(done.outcomes) == 1
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_processes_give_the_same_outcomes(tmp_path):
    here = grid.run(cells(3), tmp_path / "one")
    there = grid.run(cells(3), tmp_path / "two", jobs=2)
    for cell in cells(3):
        same(here.of(cell), there.of(cell))
    assert grid.run(cells(3), tmp_path / "two").kept == 3


def test_an_interrupt_of_several_processes(tmp_path):
    done = grid.run(cells(6), tmp_path, jobs=2, progress=Interrupter())
    assert done.interrupted
    assert len(done.outcomes) == len(list(tmp_path.glob("*.json"))) == 2
    assert grid.run(cells(6), tmp_path).kept == 2


def test_the_dask_backend():
    pytest.importorskip("distributed")
    # In a process of its own: a cluster leaves threads and warnings behind.
    code = """
        import tempfile, pathlib
        from lovasz_opt import problems, solvers
        from lovasz_opt import grid
        from test_grid import cells, same
        if __name__ == "__main__":
            with tempfile.TemporaryDirectory() as folder:
                here = grid.run(cells(3), pathlib.Path(folder) / "one")
                there = grid.run(cells(3), pathlib.Path(folder) / "two", jobs=2, backend="dask")
            for cell in cells(3):
                same(here.of(cell), there.of(cell))
            print("the same")
    """
    here = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n" + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == "the same\n", done.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_fails_is_reported_and_the_others_run(jobs, tmp_path):
    bad = grid.Cell(fail, {"kind": "arithmetic"})
    recorder = Recorder()
    done = grid.run([bad, *cells(2)], tmp_path, jobs=jobs, progress=recorder)
    assert done.failures == {bad.key: "ArithmeticError: the reason"}
    assert len(done.outcomes) == 2
    assert (bad, None) in recorder.ended
    # A failure is not kept: the next run tries again.
    assert grid.run([bad], tmp_path).kept == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_missing_data_end_the_grid(jobs, tmp_path):
    with pytest.raises(DataError, match="the reason"):
        grid.run([grid.Cell(fail, {"kind": "data"})], tmp_path, jobs=jobs)


def test_files_say_what_they_hold(tmp_path):
    cell = cells(1)[0]
    grid.run([cell], tmp_path)
    stored = json.loads((tmp_path / f"{cell.key}.json").read_text())
    assert stored["arguments"] == cell.arguments
    assert stored["function"].endswith(".solve")
    assert stored["measures"]["path"] == [0.1, 0.2, 1 / 3]
    assert solvers.Result.load(tmp_path / f"{cell.key}.npz").state == {}


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="jobs is 0"):
        grid.run([], tmp_path, jobs=0)
    with pytest.raises(ValueError, match="backend is 'ray'"):
        grid.run([], tmp_path, backend="ray")


@pytest.mark.parametrize(("name", "extra"), [("joblib", "study"), ("distributed", "dask")])
def test_a_missing_package_names_its_extra(name, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(grid.MissingExtra, match=rf"lovasz-opt\[{extra}\]"):
        grid.run(cells(2), tmp_path, jobs=2, backend="loky" if name == "joblib" else "dask")
