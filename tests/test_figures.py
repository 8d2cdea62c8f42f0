"""The figures of the paper as a whole: making, keeping, reporting, and what goes wrong."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt import grid
from lovasz_opt.cli import app
from lovasz_opt.datasets import DataError
from lovasz_opt.figures import catalogue, last_layer, report, small_objects, speed, style
from lovasz_opt.figures.page import Page, judged
from lovasz_opt.figures.settings import Settings

MINE = ["last_layer", "speed", "small_objects"]


def call(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"LOVASZ_OPT_DATA": ""})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three figures at their smallest size."""
    out = tmp_path_factory.mktemp("figures")
    options = [part for name in MINE for part in ("--only", name)]
    result = call("figures", "--quick", *options, "--out", str(out), "--jobs", "1")
    assert result.exit_code == 0, result.output
    return out, result.output


def test_every_figure_has_pictures_and_numbers(made):
    out, output = made
    for name in MINE:
        document = json.loads((out / f"{name}.json").read_text())
        assert document["name"] == name
        assert document["command"].startswith("lovasz-opt")
        assert document["settings"]["seeds"] == 1
        assert {"python", "numpy", "lovasz-opt"} <= set(document["versions"])
        assert document["cells"] == document["cells_done"] > 0
        assert document["verdict"] in report._KINDS
        assert f"{name}: {document['verdict']}" in output
        for picture in document["pictures"]:
            assert (out / picture["file"]).read_bytes().startswith(b"\x89PNG")
            assert (out / picture["file"]).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        for table in document["tables"]:
            with (out / table["file"]).open(newline="") as stream:
                head, *rows = csv.reader(stream)
            assert all(len(row) == len(head) for row in rows)


def test_a_second_run_runs_nothing_and_gives_the_same(made, tmp_path):
    out, _ = made
    before = {file.name: file.read_bytes() for file in out.glob("*.csv")}
    again = catalogue.make(Settings.of(quick=True), out, "again", MINE)
    assert again.done.kept == len(again.done.outcomes)
    assert {file.name: file.read_bytes() for file in out.glob("*.csv")} == before
    fresh = catalogue.make(Settings.of(quick=True), tmp_path, "fresh", ["last_layer"])
    assert fresh.done.kept == 0
    assert (tmp_path / "last_layer.csv").read_bytes() == before["last_layer.csv"]


def test_small_objects_run_no_model_of_their_own(made):
    settings = Settings.of(quick=True)
    assert {c.key for c in small_objects.cells(settings)} == {c.key for c in last_layer.cells(settings)}


@pytest.mark.parametrize("module", [last_layer, speed, small_objects])
def test_without_outcomes_there_is_no_verdict(module, tmp_path):
    page = module.publish(Settings.of(quick=True), grid.Done(), tmp_path)
    assert page.verdict == "not testable here"
    assert page.pictures == []


def test_an_interrupt_draws_what_is_done(made, tmp_path, monkeypatch):
    out, _ = made
    calls = []
    original = grid._call

    def stop_at_the_third(cell):
        calls.append(cell)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(cell)

    monkeypatch.setattr(grid, "_call", stop_at_the_third)
    result = call("figures", "--quick", "--only", "last_layer", "--out", str(tmp_path), "--jobs", "1")
    assert result.exit_code == 130
    assert "interrupted: 2 runs kept" in result.output
    monkeypatch.undo()
    document = json.loads((tmp_path / "last_layer.json").read_text())
    assert document["interrupted"]
    assert document["cells_done"] == 2
    result = call("figures", "--quick", "--only", "last_layer", "--out", str(tmp_path), "--jobs", "1")
    assert result.exit_code == 0
    assert (tmp_path / "last_layer.csv").read_bytes() == (out / "last_layer.csv").read_bytes()


def differences(mean, error, above):
    return last_layer.Difference(mean, error, 0.0, above)


def test_the_verdict_on_the_last_layer_follows_the_numbers():
    assert last_layer._verdict(differences(0.02, 0.005, 5), 6, 5)[0] == "confirmed"
    assert last_layer._verdict(differences(0.02, 0.005, 4), 6, 5)[0] == "partly confirmed"
    assert last_layer._verdict(differences(0.02, 0.01, 5), 6, 5)[0] == "partly confirmed"
    assert last_layer._verdict(differences(0.01, 0.001, 6), 6, 5)[0] == "partly confirmed"
    assert last_layer._verdict(differences(0.01, 0.009, 4), 6, 5)[0] == "refuted"
    assert last_layer._verdict(differences(-0.01, 0.001, 1), 6, 5)[0] == "refuted"


def test_the_verdict_on_small_objects_follows_the_numbers():
    names = ["small", "large"]
    assert small_objects._verdict(np.array([[0.05, 0.01], [0.0, 0.01]]), names)[0] == "confirmed"
    assert small_objects._verdict(np.array([[0.01, 0.01], [0.0, 0.01]]), names)[0] == "partly confirmed"
    # The smallest gain for certain, but hardly more than the largest.
    assert small_objects._verdict(np.array([[0.05, 0.01], [0.04, 0.01]]), names)[0] == "partly confirmed"
    assert small_objects._verdict(np.array([[0.0, 0.01], [0.05, 0.01]]), names)[0] == "refuted"


def test_verdicts_need_real_data_and_seeds():
    given = ("confirmed", "so it is")
    assert judged(Settings.of(data="somewhere"), *given) == given
    assert judged(Settings.of(), *given)[0] == "not testable here"
    verdict, why = judged(Settings.of(quick=True, data="somewhere"), *given)
    assert verdict == "not testable here"
    assert "at least 3 seeds; with 1, so it is" in why


def summary(epochs, decades):
    return speed.Summary(epochs, 0.1, decades, decades, 0.8, 0.0)


def test_the_verdict_on_speed_follows_the_numbers():
    assert speed._verdict(summary(0.5, 4), summary(1.0, 2), summary(1.0, 2))[0] == "confirmed"
    assert speed._verdict(summary(1.0, 4), summary(1.0, 2), summary(1.0, 2))[0] == "partly confirmed"
    assert speed._verdict(summary(1.0, 2), summary(1.0, 2), summary(1.0, 2))[0] == "refuted"
    assert speed._verdict(summary(np.inf, 2), summary(1.0, 2), summary(1.0, 2))[0] == "refuted"


def test_curves_are_summarised_by_hand():
    # One problem, two seeds, all steps; four points on the way.
    seen = np.array([0.25, 0.5, 1.0, 2.0])
    good, bad = np.zeros((1, 2, len(speed.STEPS), 4)), np.zeros((1, 2, len(speed.STEPS), 4))
    good[..., 3, :] = [0.2, 0.7, 0.795, 0.8]
    good[..., 4, :] = [0.2, 0.3, 0.4, 0.796]
    bad[..., 3, :] = [0.1, 0.2, 0.3, 0.5]
    objective = np.full((1, 2, len(speed.STEPS)), np.inf)
    objective[..., 3], objective[..., 4] = 1.0, 1.9
    found = {
        ("subgradient", 0.0): speed.Curves(seen, good, objective),
        ("Moreau", 0.1): speed.Curves(seen, bad, 3 * objective),
    }
    lines = speed.summarise(found)
    best, worse = lines["subgradient", 0.0], lines["Moreau", 0.1]
    assert (best.epochs, best.step) == (1.0, speed.STEPS[3])
    assert (best.decades_iou, best.decades_objective) == (2, 2)
    assert best.final == pytest.approx(0.8)
    assert (worse.epochs, worse.decades_iou, worse.decades_objective) == (np.inf, 0, 0)


def test_implicit_steps_are_proximal_points():
    import cvxpy as cp

    from lovasz_opt.problems import LinearHingeRisk

    X = np.random.default_rng(0).standard_normal((6, 2))
    y = np.array([1, 0, 1, 0, 0, 1])
    pb = LinearHingeRisk([X], [y], 1e-6)
    (_, v), *_ = speed._implicit(pb, 0.7, 0, 1)
    # By brute force over all orders: the extension is the largest of the greedy sums.
    from itertools import permutations

    from lovasz_opt import Jaccard, LovaszExtension

    w = cp.Variable(2)
    margins = cp.pos(1 - cp.multiply(2 * y - 1, X @ w))
    f = LovaszExtension(Jaccard(y))
    greedy = {tuple(f.subgradient(-np.argsort(order).astype(float))) for order in permutations(range(6))}
    value = cp.max(cp.hstack([np.array(g) @ margins for g in greedy]))
    cp.Problem(cp.Minimize(value + cp.sum_squares(w) / (2 * 0.7))).solve(solver="CLARABEL")
    # An implicit step is accurate to a tenth of its length.
    assert np.linalg.norm(v - w.value) <= 0.1 * np.linalg.norm(v) + 1e-6


def test_the_report_is_one_page_that_needs_nothing_else(made):
    out, _ = made
    result = call("report", "--out", str(out))
    assert result.exit_code == 0, result.output
    page = (out / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:", "#")) for source in sources)
    for name in MINE:
        document = json.loads((out / f"{name}.json").read_text())
        assert f'id="{name}"' in page
        for table in document["tables"]:
            assert f'download="{table["file"]}"' in page
    # Figures that were not made are named, with the command that makes them.
    assert "lovasz-opt figures --only surfaces" in page
    for anchor in re.findall(r'href="#(\w+)"', page):
        assert f'id="{anchor}"' in page


def test_the_report_as_a_page_of_the_documentation(made, tmp_path):
    out, _ = made
    assert call("report", "--out", str(out), "--docs", str(tmp_path)).exit_code == 0
    text = (tmp_path / "paper.md").read_text()
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (tmp_path / picture).is_file()
    for name in MINE:
        assert json.loads((out / f"{name}.json").read_text())["why"] in text


def test_numbers_are_escaped(made, tmp_path, monkeypatch):
    out, _ = made
    for file in out.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "speed.json"
    document = json.loads(file.read_text())
    document["findings"] = ["a < b & <script>"]
    file.write_text(json.dumps(document))
    page = report.write_html(tmp_path).read_text()
    assert "<script>" not in page
    assert "a &lt; b &amp; &lt;script&gt;" in page


def test_errors_of_the_report_name_the_file(made, tmp_path):
    result = call("report", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "holds no figure; make some with" in result.output
    (tmp_path / "speed.json").write_text("{")
    with pytest.raises(DataError, match=r"speed\.json: damaged .*delete it"):
        report.read(tmp_path)
    out, _ = made
    (tmp_path / "speed.json").write_text((out / "speed.json").read_text())
    with pytest.raises(DataError, match=r"speed\.png: no such file; make the figure 'speed' again"):
        report.read(tmp_path)


def test_any_damage_of_a_figure_is_named(made, tmp_path):
    out, _ = made
    for file in out.glob("speed*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    report.write_html(tmp_path)
    file = tmp_path / "speed.json"
    document = json.loads(file.read_text())
    for key in document:
        for damaged in ({name: document[name] for name in document if name != key}, document | {key: 5}):
            file.write_text(json.dumps(damaged))
            if key in ("numbers", "cells", "cells_done", "title", "name") and key in damaged:
                continue
            result = call("report", "--out", str(tmp_path))
            assert result.exit_code in (0, 2)
            assert result.exit_code == 0 or re.search(r"speed\.json: damaged", result.output)
    file.write_text(json.dumps(document))
    for content in (b"", b"a,b\n\xff\n"):
        (tmp_path / document["tables"][0]["file"]).write_bytes(content)
        with pytest.raises(DataError, match=r"speed\w*\.csv: damaged"):
            report.write_html(tmp_path)


def test_bad_arguments(tmp_path):
    result = call("figures", "--only", "nothing", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "there is no figure 'nothing'; choose surfaces" in result.output
    result = call("figures", "--quick", "--full", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "exclude each other" in result.output
    result = call("figures", "--data", str(tmp_path / "none"), "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "no such directory" in result.output
    (tmp_path / "file").write_text("")
    result = call("figures", "--out", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "choose another --out" in result.output


def test_damaged_data_are_named(tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"deeplab_{split}.npz").write_bytes(b"PK\x03\x04 damaged")
    result = call(
        "figures",
        "--quick",
        "--data",
        str(tmp_path),
        "--only",
        "speed",
        "--out",
        str(tmp_path / "out"),
        "--jobs",
        "1",
    )
    assert result.exit_code == 2
    assert re.search(r"deeplab_\w+\.npz: damaged", result.output)


def test_a_full_disk_keeps_the_finished_cells(tmp_path, monkeypatch):
    original = grid._save
    calls = []

    def full_at_the_third(folder, cell, outcome):
        calls.append(cell)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(folder))
        original(folder, cell, outcome)

    monkeypatch.setattr(grid, "_save", full_at_the_third)
    arguments = ("figures", "--quick", "--only", "last_layer", "--out", str(tmp_path), "--jobs", "1")
    result = call(*arguments)
    assert result.exit_code == 2
    assert "No space left on device" in result.output
    monkeypatch.undo()
    assert len(list((tmp_path / "cells").glob("*.json"))) == 2
    assert call(*arguments).exit_code == 0


def test_losses_look_different_in_grey():
    for methods in (last_layer.METHODS, [method.look for method in speed.METHODS.values()]):
        looks = [style.LOSSES[method] for method in methods]
        assert len({look.color for look in looks}) == len(looks)
        assert len({(str(look.dash), look.marker) for look in looks}) == len(looks)


def test_pages_are_written_whole(tmp_path):
    page = Page("claim", ["finding"], "refuted", "why", numbers={"a": 1.0})
    (file,) = page.write(tmp_path / "x.json", {"name": "x"})
    assert json.loads(Path(file).read_text())["numbers"] == {"a": 1.0}
