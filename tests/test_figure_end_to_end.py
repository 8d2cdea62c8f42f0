"""The figure of networks trained end to end, at its smallest size."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt import grid
from lovasz_opt.figures import end_to_end
from lovasz_opt.figures.settings import Settings


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two methods of the quick figure."""
    pytest.importorskip("torch")
    todo = [c for c in end_to_end.cells(Settings.of(quick=True)) if c.arguments["method"] in CHOSEN]
    found = grid.run(todo, tmp_path_factory.mktemp("cells"))
    assert not found.failures
    return found


CHOSEN = ("cross-entropy", "fine-tuned")


def test_pages_of_some_and_of_no_cells(done, tmp_path):
    settings = Settings.of(quick=True)
    page = end_to_end.publish(settings, done, tmp_path)
    assert page.verdict == "not testable here"
    assert "analogue" in page.why
    assert [row[0] for row in page.tables[0].rows] == [end_to_end.LOOKS[m].label for m in CHOSEN]
    assert all(picture.is_file() for picture, _ in page.pictures)
    assert len(page.pictures) == 2
    json.dumps(page.numbers)
    empty = end_to_end.publish(settings, grid.Done(), tmp_path)
    assert empty.pictures == []


def test_every_epoch_is_measured(done):
    for outcome in done.outcomes.values():
        lines = outcome.measures["epochs"]
        assert [line["epoch"] for line in lines] == [1, 2]
        assert all(0 <= line["image_miou"] <= 1 for line in lines)
        assert outcome.measures["rate"] in end_to_end._RATES


def test_a_run_depends_on_its_seed_alone(done):
    source = {"kind": "tiles", "epochs": 1}
    first, again, other = (end_to_end.run(source, "cross-entropy", seed).measures for seed in (0, 0, 1))
    assert first["epochs"][-1]["image_miou"] == pytest.approx(again["epochs"][-1]["image_miou"], abs=1e-6)
    assert first["epochs"][-1]["loss"] != other["epochs"][-1]["loss"]
    assert np.array(first["shown"]).shape[0] == end_to_end._SHOWN


@pytest.mark.data
def test_camvid_is_trained_on(data_directory):
    pytest.importorskip("torch")
    source = {"kind": "camvid", "data": str(data_directory), "scale": 12, "epochs": 1}
    measures = end_to_end.run(source, "Lovász-Softmax, batch", 0).measures
    assert len(measures["epochs"][0]["classes"]) == 11


def test_without_pytorch_there_is_nothing_to_run(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    assert end_to_end.cells(Settings()) == []
    page = end_to_end.publish(Settings(), grid.Done(), tmp_path)
    assert page.verdict == "not testable here"
    assert "needs PyTorch" in page.why
