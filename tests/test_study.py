"""The study end to end: its files, its honesty, and what an interrupt leaves."""

import csv
import json
import os

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

from lovasz_opt import study
from lovasz_opt.figures import style
from lovasz_opt.solvers.result import TRACE_COLUMNS

TINY = study.Settings(
    quick=True, scale=8, tile=12, iterations_a=8, iterations_b=12, admm_iterations=30, images=2
)


class Recorder(study.Reporter):
    def __init__(self):
        self.begun, self.steps, self.ended, self.closed = [], 0, [], 0

    def begin(self, task, number, total):
        self.begun.append((task, number, total))

    def step(self, state):
        self.steps += 1

    def end(self, run):
        self.ended.append(run)

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recorder = Recorder()
    done = study.run(TINY, recorder)
    out = tmp_path_factory.mktemp("study") / "deep" / "er"
    return done, recorder, out, study.write(done, out, "lovasz-opt study --quick")


def test_every_task_is_run_and_reported(finished):
    done, recorder, *_ = finished
    assert [run.task for run in done.runs] == study.tasks(TINY)
    assert [task for task, *_ in recorder.begun] == study.tasks(TINY)
    assert recorder.ended == done.runs
    assert recorder.steps == sum(run.result.nit + 1 for run in done.runs)
    assert recorder.closed == 1
    assert not done.interrupted


def test_files(finished):
    _, _, out, files = finished
    names = ["convergence.pdf", "convergence.png", "curves.csv", "summary.json"]
    assert sorted(os.listdir(out)) == sorted(file.name for file in files) == names
    assert (out / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "convergence.pdf").read_bytes().startswith(b"%PDF")


def test_curves_parse_and_agree_with_the_results(finished):
    done, _, out, _ = finished
    with (out / "curves.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert set(rows[0]) == {"problem", "method", "step_size", "selected", *TRACE_COLUMNS}
    assert len(rows) == sum(run.result.nit + 1 for run in done.runs)
    assert all(float(row["gap"]) >= 0 and float(row["best"]) >= float(row["dual"]) for row in rows)
    position = 0
    for run in done.runs:
        part = rows[position : position + run.result.nit + 1]
        position += len(part)
        np.testing.assert_array_equal([float(row["gap"]) for row in part], run.result.trace["gap"])
        assert {row["method"] for row in part} == {run.task.method}
    marked = {(r["problem"], r["method"], r["step_size"]) for r in rows if r["selected"] == "1"}
    assert len(marked) == len(done.selected("a")) + len(done.selected("b")) == 13


def test_summary_tells_how_to_repeat_the_study(finished):
    done, _, out, _ = finished
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["command"] == "lovasz-opt study --quick"
    assert summary["settings"]["seed"] == 0
    assert {"python", "numpy", "scipy", "numba", "scikit-image", "matplotlib"} <= set(summary["versions"])
    assert summary["interrupted"] is False
    assert len(summary["runs"]) == len(done.runs)
    assert all(run["gap"] >= 0 and run["value"] >= run["dual"] for run in summary["runs"])


def test_files_hold_no_pixels(finished):
    done, _, out, _ = finished
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))

    def longest_list(thing):
        children = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else []
        own = len(thing) if isinstance(thing, list) else 0
        return max([own, *map(longest_list, children)])

    assert longest_list(summary) <= len(done.runs)
    assert (out / "summary.json").stat().st_size < 10**6


def test_the_selected_step_is_the_one_with_the_lowest_objective(finished):
    done, *_ = finished
    for problem in "ab":
        for chosen in done.selected(problem):
            rivals = [
                r for r in done.runs if (r.task.problem, r.task.method) == (problem, chosen.task.method)
            ]
            assert chosen.result.value == min(rival.result.value for rival in rivals)
            assert len(rivals) == (
                1 if chosen.task.method in ("prox", "admm", "polyak") else len(study.STEP_SIZES)
            )


def test_all_certificates_are_compatible(finished):
    done, *_ = finished
    for problem in "ab":
        runs = [run for run in done.runs if run.task.problem == problem]
        assert max(run.result.dual for run in runs) <= min(run.result.value for run in runs) * (1 + 1e-12)


def test_the_exact_prox_wins_on_the_image(finished):
    done, *_ = finished
    exact, *others = done.selected("a")
    assert exact.task.method == "prox"
    assert exact.result.nit == 1
    assert exact.result.relative_gap <= 1e-12
    assert all(exact.result.value <= run.result.value * (1 + 1e-12) for run in others)
    problem = done.problems["a"]
    assert exact.iou > problem.iou(problem.center)


def test_table_and_verdict(finished):
    done, *_ = finished
    text = study.table(done)
    for method in style.METHODS.values():
        assert method.label in text
    assert "certified gap" in text
    assert "IoU train  test" in text
    assert "Of 33 subgradient runs none certifies less than" in text
    tightest = min(
        run.result.relative_gap
        for run in done.runs
        if run.task.problem == "b" and run.task.solver == "subgradient"
    )
    assert f"none certifies less than {tightest:.1e}" in study.verdict(done, "b")[0]


class Interrupter(study.Reporter):
    """Ctrl-C in one iteration of one task, or between two tasks."""

    def __init__(self, task, iteration=None):
        self.task, self.iteration, self.number = task, iteration, 0

    def begin(self, task, number, total):
        self.number = number
        if self.iteration is None and number == self.task:
            raise KeyboardInterrupt

    def step(self, state):
        if (self.number, state.iteration) == (self.task, self.iteration):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("interrupter", "runs"), [(Interrupter(5), 4), (Interrupter(2, 3), 2), (Interrupter(1), 0)]
)
def test_an_interrupt_keeps_what_is_done(interrupter, runs, tmp_path):
    done = study.run(TINY, interrupter)
    assert done.interrupted
    assert len(done.runs) == runs
    files = study.write(done, tmp_path, "command")
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["interrupted"] is True
    assert (tmp_path / "convergence.png" in files) == (runs > 0)
    study.table(done)


def test_the_seed_deals_the_tiles():
    first, second, again = (study.prepare(study.Settings.of(seed, quick=True)) for seed in (0, 1, 0))
    v = np.ones(first.problems["b"].n_features)
    assert first.problems["b"].value(v) != second.problems["b"].value(v)
    assert first.problems["b"].value(v) == again.problems["b"].value(v)


def test_figure_without_the_prox_panels(tmp_path):
    todo = [task for task in study.tasks(TINY) if task.problem == "b" and task.method == "admm"]
    done = study.run(TINY, todo=todo)
    assert len(study.write(done, tmp_path, "command")) == 4


@pytest.mark.data
def test_voc_features_for_problem_b(data_directory):
    settings = study.Settings.of(quick=True, data=str(data_directory))
    done = study.run(
        settings, todo=[t for t in study.tasks(settings) if t.method == "admm" and t.problem == "b"]
    )
    assert done.problems["b"].n_features == 257
    assert done.data["b"].startswith("VOC cat: 10 images (train")
    assert done.runs[0].iou > 0.5
