"""The figure of networks trained end to end, at its smallest size."""

import csv
import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt import grid
from lovasz_opt.figures import end_to_end
from lovasz_opt.figures.settings import Settings

CHOSEN = ("cross-entropy", "fine-tuned")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two methods of the quick figure."""
    pytest.importorskip("torch")
    todo = [c for c in end_to_end.cells(Settings.of(quick=True)) if c.arguments["method"] in CHOSEN]
    found = grid.run(todo, tmp_path_factory.mktemp("cells"))
    assert not found.failures
    return found


def test_pages_of_some_and_of_no_cells(done, tmp_path):
    settings = Settings.of(quick=True)
    page = end_to_end.publish(settings, done, tmp_path)
    assert page.verdict == "not testable here"
    assert "analogue" in page.why
    assert [row[0] for row in page.tables[0].rows] == [end_to_end.LOOKS[m].label for m in CHOSEN]
    assert all(picture.is_file() for picture, _ in page.pictures)
    assert len(page.pictures) == 2
    json.dumps(page.numbers, allow_nan=False)
    for table in page.tables:
        with table.write().open(encoding="utf-8", newline="") as stream:
            head, *rows = csv.reader(stream)
        assert rows
        assert all(len(row) == len(head) for row in rows)
    empty = end_to_end.publish(settings, grid.Done(), tmp_path)
    assert empty.pictures == []


def test_the_words_for_the_network_hold():
    pytest.importorskip("torch")
    from lovasz_opt.training.networks import UNet

    assert round(sum(part.numel() for part in UNet(11, end_to_end._WIDTH).parameters()), -3) == 123_000


def test_every_epoch_is_measured(done):
    for outcome in done.outcomes.values():
        lines = outcome.measures["epochs"]
        assert [line["epoch"] for line in lines] == [1, 2]
        assert all(0 <= line["image_miou"] <= 1 for line in lines)
        assert all(0 <= value <= 1 for value in outcome.measures["held"].values())
        json.dumps(outcome.measures, allow_nan=False)


def test_fine_tuning_goes_on_from_cross_entropy(done):
    runs = {cell.arguments["method"]: done.of(cell) for cell in end_to_end.cells(Settings.of(quick=True))}
    first, tuned = (runs[method].measures["epochs"] for method in CHOSEN)
    # Both train one epoch with cross-entropy; its step falls faster where this is all of it.
    assert tuned[0]["loss"] == pytest.approx(first[0]["loss"], rel=0.05)
    assert tuned[1]["rate"] > first[1]["rate"] * 0.99
    assert tuned[1]["loss"] != pytest.approx(first[1]["loss"], rel=0.05)


def test_a_run_depends_on_its_seed_alone(done):
    source = {"kind": "tiles", "epochs": 1}
    first, again, other = (
        end_to_end.run(source, "Lovász-Softmax, batch", 3e-3, seed).measures for seed in (0, 0, 1)
    )
    for key in ("image_miou", "loss", "classes"):
        assert first["epochs"][-1][key] == again["epochs"][-1][key]
    assert first["held"] == again["held"]
    assert first["epochs"][-1]["loss"] != other["epochs"][-1]["loss"]
    assert np.array(first["shown"]).shape[0] == end_to_end._SHOWN


@pytest.mark.data
def test_camvid_is_trained_on(data_directory):
    pytest.importorskip("torch")
    source = {"kind": "camvid", "data": str(data_directory), "scale": 12, "epochs": 1}
    measures = end_to_end.run(source, "Lovász-Softmax, batch", 3e-3, 0).measures
    assert len(measures["epochs"][0]["classes"]) == 11


def measured(level, held):
    """A run whose scores on the validation images end at a level."""
    lines = [
        {"epoch": k, "loss": 1.0, "image_miou": v, "dataset_miou": v + 0.01, "classes": [v, None]}
        for k, v in ((1, level - 0.1), (2, level))
    ]
    shown = np.zeros((end_to_end._SHOWN, 30, 30), dtype=int).tolist()
    return {"held": {"image_miou": held, "dataset_miou": held}, "epochs": lines, "shown": shown}


def test_the_step_size_is_chosen_on_images_held_out():
    # The best on the validation images, 0.9, is not the best on those held out.
    runs = {
        1e-3: {0: measured(0.9, 0.2), 1: measured(0.9, 0.2)},
        1e-2: {0: measured(0.5, 0.3), 1: measured(0.6, 0.3)},
        1e-1: {0: measured(0.4, 0.25), 1: measured(0.4, 0.25)},
        1.0: {0: measured(0.8, 0.9)},
    }
    chosen = end_to_end.choose(runs)
    assert (chosen.rate, chosen.edge) == (1e-2, False)
    assert chosen.last("image_miou").tolist() == [0.5, 0.6]
    # The last step size has one seed only: the others are compared.
    assert end_to_end.choose({3e-3: runs[1e-1], 1e-3: runs[1e-3], 1e-2: runs[1e-2], 1.0: runs[1.0]}).edge
    assert not end_to_end.choose({1e-2: runs[1e-2]}).edge


@pytest.mark.parametrize(
    ("level", "words"), [(0.55, "+5.0 ± 0.0 (after 1 epochs +5.0)"), (0.4, "-10.0 ± 0.0")]
)
def test_findings_follow_the_numbers(level, words, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    levels = {"cross-entropy": 0.5, "Lovász-Softmax, batch": level}
    done = grid.Done()
    settings = Settings(data="somewhere")
    tiles = end_to_end.images_of({"kind": "tiles"})
    monkeypatch.setattr(end_to_end, "images_of", lambda source: tiles)
    for cell in end_to_end.cells(settings):
        a = cell.arguments
        if a["method"] in levels:
            held = 0.5 - abs(np.log10(a["rate"] / 1e-2))
            found = measured(levels[a["method"]] + 0.01 * a["seed"], held)
            done.outcomes[cell.key] = grid.Outcome(measures=found)
    page = end_to_end.publish(settings, done, tmp_path)
    best = "Lovász-Softmax of the batch" if level > 0.5 else "cross-entropy"
    assert page.findings[0].startswith(f"Highest data set mIoU: {best}, {max(level, 0.5) + 0.015:.3f}.")
    assert f"Lovász-Softmax of the batch {words}" in page.findings[1]
    assert not any("smallest or largest tried" in finding for finding in page.findings)
    assert "was chosen on a quarter" in page.pictures[0][1]
    assert page.numbers["rates"] == {"cross-entropy": 0.01, "Lovász-Softmax of the batch": 0.01}
    classes = page.tables[1].rows[0]
    assert classes[1] == pytest.approx(0.505)
    assert classes[2] is None


def test_without_pytorch_there_is_nothing_to_run(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    assert end_to_end.cells(Settings()) == []
    page = end_to_end.publish(Settings(), grid.Done(), tmp_path)
    assert page.verdict == "not testable here"
    assert "needs PyTorch" in page.why
