"""The study end to end: its files, its honesty, and what an interrupt leaves."""

import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

from lovasz_opt import grid, solvers, study
from lovasz_opt.figures import style
from lovasz_opt.solvers.result import TRACE_COLUMNS
from lovasz_opt.study import convergence, gaps, instances, methods, report, runs, verdict

# Limited by iterations, not by time: what comes out does not depend on the machine.
TINY = study.Settings(scale=8, tile=12, images=2, steps=(0.1, 1.0), seconds=60.0, iterations=8)
FIGURES = ["convergence", "convergence-distance", "convergence-iou", "photograph", "time_to_gap"]
FILES = sorted(
    [f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")]
    + ["cells", "curves.csv", "summary.json", "tables.txt", "time_to_gap.csv"]
)


class Recorder(grid.Progress):
    def __init__(self):
        self.ended, self.kept = [], None

    def begin(self, total, kept):
        self.kept = kept

    def end(self, cell, outcome):
        self.ended.append(cell)


class Tables:
    """The tables of the part about convergence, without its figures, which take long to draw."""

    name = "convergence"
    cells = staticmethod(convergence.cells)

    @staticmethod
    def text(found):
        return "\n".join(report.table(found, instance) for instance in report.problems(found))

    @staticmethod
    def publish(settings, done, out):
        found = runs.runs(runs.tasks(settings), done)
        return study.Report(Tables.text(found), [], report.summary(found))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "deep" / "er"
    done = study.run(TINY, out, "lovasz-opt study --quick", parts=[convergence])
    return done, out, runs.runs(runs.tasks(TINY), done.done)


def read(out):
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_every_task_is_run(finished):
    done, _, found = finished
    assert [run.task for run in found] == runs.tasks(TINY)
    assert not done.done.interrupted
    assert not done.done.failures


def test_every_solver_is_in_the_study_where_it_can_be():
    assert {method.solver for method in methods.METHODS.values()} >= set(solvers.__all__) - {
        "Result",
        "State",
    }
    assert set(methods.METHODS) == set(style.METHODS)
    todo = runs.tasks(TINY)
    solved = {(task.instance.key, task.method) for task in todo}
    assert ("prox", "prox") in solved
    assert ("prox", "ssnal") not in solved
    assert ("tiles", "ssnal") in solved
    assert ("tiles", "prox") not in solved


def test_a_solver_that_breaks_is_not_taken_for_one_that_refuses(monkeypatch):
    def broken(pb, **arguments):
        raise TypeError("a slip")

    monkeypatch.setattr(solvers, "admm", broken)
    methods.serves.cache_clear()
    with pytest.raises(TypeError, match="a slip"):
        methods.serves("admm", "tiles")
    methods.serves.cache_clear()


def test_files(finished):
    done, out, _ = finished
    assert sorted(os.listdir(out)) == FILES
    assert sorted(file.name for file in done.files) == [name for name in FILES if name != "cells"]
    for name in FIGURES:
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_curves_parse_and_agree_with_the_results(finished):
    _, out, found = finished
    with (out / "curves.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert set(rows[0]) == {"problem", "method", "step_size", "selected", "test_iou", *TRACE_COLUMNS}
    assert all(float(row["gap"]) >= 0 and float(row["best"]) >= float(row["dual"]) for row in rows)
    position = 0
    for run in found:
        kept = [k for k in range(run.result.nit + 1) if k in runs.WATCHED or k == run.result.nit]
        part = rows[position : position + len(kept)]
        position += len(kept)
        for column in ("iteration", "gap", "passes", "seconds"):
            np.testing.assert_array_equal(
                [float(row[column]) for row in part], run.result.trace[column][kept]
            )
        assert {row["method"] for row in part} == {run.task.method}
        ious = [float(row["test_iou"]) for row in part if row["test_iou"]]
        assert ious == run.measures["watched_iou"]
        assert (not ious) == (run.task.instance.key == "prox")
    assert position == len(rows)
    marked = {(r["problem"], r["method"], r["step_size"]) for r in rows if r["selected"] == "1"}
    assert len(marked) == len({(run.task.instance.key, run.task.method) for run in found})


def test_summary_tells_how_to_repeat_the_study(finished):
    _, out, found = finished
    summary = read(out)
    assert summary["command"] == "lovasz-opt study --quick"
    assert summary["settings"]["seed"] == 0
    assert {"python", "numpy", "scipy", "numba", "scikit-image", "matplotlib"} <= set(summary["versions"])
    assert summary["interrupted"] is False
    assert summary["cells"] == {"wanted": len(found), "done": len(found), "kept_from_before": 0}
    part = summary["parts"]["convergence"]
    assert set(part["problems"]) == {"prox", "tiles", "shapes"}
    assert len(part["runs"]) == len(found)
    assert all(run["gap"] >= 0 and run["value"] >= run["dual"] for run in part["runs"])


def test_files_hold_no_pixels(finished):
    _, out, found = finished

    def longest_list(thing):
        children = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else []
        own = len(thing) if isinstance(thing, list) else 0
        return max([own, *map(longest_list, children)])

    assert longest_list(read(out)) <= len(found)
    assert (out / "summary.json").stat().st_size < 10**6


def test_the_selected_step_is_the_one_with_the_lowest_objective(finished):
    *_, found = finished
    for instance in report.problems(found):
        for chosen in runs.selected(found, instance):
            rivals = [r for r in report.on(found, instance) if r.task.method == chosen.task.method]
            assert chosen.result.value == min(rival.result.value for rival in rivals)
            varied = methods.METHODS[chosen.task.method].step is not None
            assert len(rivals) == (len(TINY.steps) if varied else 1)


def test_all_certificates_are_compatible(finished):
    *_, found = finished
    for instance in report.problems(found):
        mine = report.on(found, instance)
        assert max(run.result.dual for run in mine) <= min(run.result.value for run in mine) * (1 + 1e-12)


def test_traces_count_the_set_up(finished):
    *_, found = finished
    for run in found:
        trace = run.result.trace
        assert 0 <= run.measures["setup"] <= trace["seconds"][0] + 1e-9
        assert (np.diff(trace["seconds"]) >= 0).all()
        assert (np.diff(trace["passes"]) >= 0).all()
        assert trace["passes"][0] > 0


def test_the_exact_prox_wins_on_the_image(finished):
    *_, found = finished
    mine = report.on(found, report.problems(found)[0])
    exact = next(run for run in mine if run.task.method == "prox")
    assert exact.result.nit == 1
    assert exact.result.relative_gap <= 1e-12
    assert all(exact.result.value <= run.result.value * (1 + 1e-12) for run in mine)


def test_tables(finished):
    done, _, found = finished
    for method in {run.task.method for run in found}:
        assert style.METHODS[method].label in done.text
    for words in ("certified", "test IoU", "1e-02", "Against the explicit subgradient methods"):
        assert words in done.text
    tiles = [run for run in found if run.task.instance.key == "tiles"]
    tightest, _ = verdict.explicit(tiles)
    assert f"none certifies less than {tightest.result.relative_gap:.1e}" in done.text


def test_the_same_study_again_runs_nothing(finished):
    _, out, found = finished
    recorder = Recorder()
    again = study.run(TINY, out, "again", progress=recorder, parts=[Tables])
    assert recorder.ended == []
    assert recorder.kept == len(found)
    assert again.text == Tables.text(found)


def test_more_steps_run_only_what_is_new(finished):
    _, out, found = finished
    recorder = Recorder()
    more = replace(TINY, steps=(*TINY.steps, 10.0))
    grid.run(convergence.cells(more), out / "cells", progress=recorder)
    varied = {run.task.method for run in found if run.task.step_size is not None}
    assert {cell.group.split(": ")[1] for cell in recorder.ended} == varied


def test_processes_do_not_change_what_comes_out(finished, tmp_path):
    *_, found = finished
    some = [run.task.cell for run in found if run.task.instance.key == "shapes"]
    done = grid.run(some, tmp_path, jobs=2)
    for run in found:
        if run.task.instance.key == "shapes":
            other = done.of(run.task.cell)
            for column in set(TRACE_COLUMNS) - {"seconds"}:
                np.testing.assert_array_equal(other.result.trace[column], run.result.trace[column])
            assert other.measures["watched_iou"] == run.measures["watched_iou"]


@pytest.mark.parametrize("finished_cells", [0, 3])
def test_an_interrupt_reports_what_is_done(finished_cells, tmp_path):
    class Interrupter(Recorder):
        def begin(self, total, kept):
            if not finished_cells:
                raise KeyboardInterrupt

        def end(self, cell, outcome):
            super().end(cell, outcome)
            if len(self.ended) == finished_cells:
                raise KeyboardInterrupt

    part = Tables if finished_cells else convergence
    done = study.run(TINY, tmp_path, "command", progress=Interrupter(), parts=[part])
    assert done.done.interrupted
    summary = read(tmp_path)
    assert summary["interrupted"] is True
    assert len(summary["parts"]["convergence"]["runs"]) == finished_cells


def test_a_method_that_breaks_down_is_named(tmp_path, monkeypatch):
    def broken(pb, **arguments):
        if pb.center.size < 10:
            return solvers.subgradient(pb, max_iter=0)
        raise ArithmeticError("no bound")

    broken.__name__ = "admm"
    monkeypatch.setattr(solvers, "admm", broken)
    some = [task.cell for task in runs.tasks(TINY) if task.cell.group == "prox: admm"]
    done = grid.run(some, tmp_path / "cells")
    told = convergence.publish(TINY, done, tmp_path)
    assert told.text == "failed: prox: admm: ArithmeticError: no bound"
    assert told.summary["failures"] == [told.text]


def trace(best, gap, seconds, passes):
    columns = {"best": best, "gap": gap, "seconds": seconds, "passes": passes}
    made = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return made | {"iteration": np.arange(float(len(best)))}


def test_time_to_gap_on_a_trace_made_by_hand():
    made = trace(
        best=[4, 2, 2, 2], gap=[4, 0.02, 0.019, 0.0002], seconds=[0.1, 0.2, 0.4, 0.8], passes=[2, 4, 6, 9]
    )
    assert gaps.time_to_gap(made, 1e-2) == (1, 0.2, 4.0)
    assert gaps.time_to_gap(made, 1e-4) == (3, 0.8, 9.0)
    assert gaps.time_to_gap(made, 1e-8) is None
    assert gaps.time_to_gap(made, 1.0) == (0, 0.1, 2.0)
    assert gaps.time_to_value(made, 2.0) == (1, 0.2, 4.0)
    assert gaps.time_to_value(made, 1.0) is None
    nothing = trace(best=[0, 0], gap=[1e-3, 0], seconds=[0, 1], passes=[0, 1])
    assert gaps.time_to_gap(nothing, 1e-8).iteration == 1


def made_run(method, best, gap, seconds, step_size=None):
    instance = instances.Instance("made", "convergence", "made by hand", "made", {"kind": "tiles"})
    made = trace(best, gap, seconds, [2 * k for k in range(len(best))])
    result = solvers.Result(
        np.zeros(2), best[-1], best[-1] - gap[-1], gap[-1], "max_iter", "", len(best) - 1, made, method, {}
    )
    cell = grid.Cell(runs.solve, {"solver": method, "step": step_size})
    return runs.Run(runs.Task(instance, method, step_size, cell), result, {})


def test_verdict_on_runs_made_by_hand():
    # The explicit runs get to the gap 0.1 after 1 s, and to the objective 1.1 after 2 s.
    found = [
        made_run("strong", [2, 1.2, 1.2], [2, 0.12, 0.12], [0, 1.0, 2.0], 0.1),
        made_run("strong", [2, 1.5, 1.1], [2, 1.5, 1.1], [0, 1.0, 2.0], 1.0),
        made_run("ssnal", [2, 1.0], [2, 1e-9], [0, 0.25]),
        made_run("admm", [2, 1.1, 1.0], [2, 1.1, 0.05], [0, 1.0, 4.0]),
        made_run("frank_wolfe", [2, 1.3], [2, 0.5], [0, 0.1]),
    ]
    newton, admm, dual = verdict.compare(found)
    assert (newton.to_gap, newton.to_value, newton.gap) == (pytest.approx(4), pytest.approx(8), 1e-9)
    assert (admm.to_gap, admm.to_value) == (pytest.approx(0.25), pytest.approx(2))
    assert (dual.to_gap, dual.to_value) == (None, None)
    text = "\n".join(verdict.sentences(found))
    assert "Of 2 explicit runs none certifies less than 1.0e-01" in text
    assert "ADMM: that gap after 4 s (4 times later), that objective after 1 s (2 times sooner)" in text
    assert "block Frank–Wolfe: that gap never, that objective never; ends at 3.8e-01." in text
    overall = verdict.overall([found, found])
    assert "their best gap sooner on 2 of 2 problems (median 4 times)" in overall[0]
    assert "sooner on 0 of 2 problems (median: never)" in overall[2]
    methods_, columns, seconds = report.overview(found, 1e-2)
    assert columns == ["made"]
    assert dict(zip(methods_, seconds, strict=True)) == {
        "ssnal": [0.25],
        "admm": [np.inf],
        "frank_wolfe": [np.inf],
        "strong": [np.inf],
    }
    assert report.soonest(found, "strong", 0.1).seconds == 1.0


def test_the_seed_deals_the_tiles():
    first, second, again = (
        instances.load("tiles", scale=4, tile=20, seed=seed, l2=0.1).problem for seed in (0, 1, 0)
    )
    v = np.ones(first.n_features)
    assert first.value(v) != second.value(v)
    assert first.value(v) == again.value(v)


def test_full_has_more_of_everything():
    default, full = (study.Settings.of(full=full, data="somewhere") for full in (False, True))
    assert len(full.steps) > len(default.steps)
    columns = {instance.column for instance in instances.instances(full)}
    assert columns >= {"prox", "tiles", "shapes", "VOC, l2 = 1e-05", "VOC 129 × 129", "CamVid"}
    with pytest.raises(ValueError, match="exclude each other"):
        study.Settings.of(quick=True, full=True)


@pytest.mark.data
@pytest.mark.parametrize("kind", ["voc", "voc fine", "camvid"])
def test_real_data(kind, data_directory, tmp_path):
    settings = replace(TINY, full=True, data=str(data_directory))
    task = next(
        task
        for task in runs.tasks(settings)
        if task.instance.source["kind"] == kind and task.method == "ssnal"
    )
    done = grid.run([task.cell], tmp_path / "cells")
    outcome = done.of(task.cell)
    assert outcome.measures["images"] == 2
    assert outcome.measures["iou"] > 0.4
    assert outcome.result.gap >= 0
    assert outcome.measures["watched_iou"][-1] > 0.4
