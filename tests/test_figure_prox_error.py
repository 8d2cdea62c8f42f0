"""The figure of the error of the published proximal operator."""

import json
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt import grid, reference
from lovasz_opt.figures import prox_error
from lovasz_opt.figures.prox_error import METHODS
from lovasz_opt.figures.score_maps import ScoreMap
from lovasz_opt.figures.settings import Settings
from lovasz_opt.sets import Jaccard

QUICK = Settings.of(quick=True)
#: The smallest counterexample, as scores.
TARGET = np.array([True, False, True])
SCORES = 1 - np.array([26.0, 12.0, 13.0])
SCORES[1] = 12.0 - 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("prox_error")
    done = grid.run(prox_error.cells(QUICK), out / "cells")
    assert not done.failures
    return done, prox_error.publish(QUICK, done, out), out


def test_the_counterexample_as_an_image():
    found = prox_error.compare(ScoreMap("three", SCORES, TARGET), 12.0, 2)
    assert found["relative_gap"] < 1e-14
    assert found["infeasibility"] < 1e-14
    assert found["agreement"] < 1e-14
    pooled = found["methods"]["in order"]
    # The prox is (20, 10, 9) with objective 204; pooling gives (20, 9.5, 9.5) with 204.25.
    assert pooled["waste"] == pytest.approx(0.25 / 204)
    assert pooled["error"] == pytest.approx(0.5 / 6)
    assert found["methods"]["path"]["waste"] == pytest.approx(0.25 / 204, rel=1e-4)
    assert all(line["ratio"] > 0 for line in found["methods"].values())


def test_errors_against_all_sets():
    rng = np.random.default_rng(0)
    for _ in range(10):
        target = rng.random(8) < 0.5
        scores = rng.standard_normal(8)
        found = prox_error.compare(ScoreMap("eight", scores, target), 1.5, 1)
        margins = 1 - np.where(target, 1, -1) * scores
        z = reference.prox(reference.set_values(Jaccard(target)), margins, 1.5)
        right = np.maximum(z, np.minimum(margins, 0))
        change = np.abs(right - margins).max()
        for key, method in METHODS.items():
            answer = prox_error.walked(target, margins, 1.5, method.arguments)
            error = np.abs(answer - right).max() / change
            assert found["methods"][key]["error"] == pytest.approx(error, abs=1e-12)
            assert found["methods"][key]["waste"] >= -1e-12


def test_an_image_without_errors():
    target = np.array([True, False])
    found = prox_error.compare(ScoreMap("easy", np.array([3.0, -3.0]), target), 1.0, 1)
    assert found["methods"]["path 20"]["error"] is None
    assert found["methods"]["path 20"]["waste"] is None
    assert found["relative_gap"] < 1e-14


def test_exact_fractions():
    assert prox_error.exact_margins([1, 0, 1], [26, 12, 13], 12) == [20, 10, 9]
    second = prox_error.exact_margins([0, 1, 0], [Fraction(3, 2), 1, Fraction(99, 100)], 1)
    assert second == [1, Fraction(2, 3), Fraction(99, 100) - Fraction(1, 6)]
    # A pixel without an error stays.
    assert prox_error.exact_margins([1, 1], [2, Fraction(-1, 2)], 1) == [Fraction(3, 2), Fraction(-1, 2)]


def test_known_counterexamples():
    entries = prox_error.known().measures["entries"]
    wrong = {key: [prox_error._is_wrong(e, key) for e in entries] for key in entries[0]["answers"]}
    assert wrong == {
        "exact": [False, False, False],
        "path": [True, True, True],
        "path, slip mended": [True, True, False],
        "in order": [True, True, False],
    }
    assert entries[0]["answers"]["in order"] == [20, 9.5, 9.5]


def test_small_problems():
    m = prox_error.small(1, 60).measures
    assert max(m["errors"]["exact"]) < 1e-12
    assert max(m["errors"]["path"]) > 1e-2
    assert min(m["excess"].values()) > -1e-12
    assert m == prox_error.small(1, 60).measures
    assert m != prox_error.small(2, 60).measures


def test_a_wrong_exact_method_would_be_found_out(monkeypatch):
    monkeypatch.setitem(prox_error._SMALL, "exact", METHODS["in order"].arguments)
    assert max(prox_error.small(1, 60).measures["errors"]["exact"]) > 1e-3


def test_drawn_scores_are_the_same_for_the_same_seed():
    def errors(seed):
        return [e["methods"]["path"]["error"] for e in prox_error.drawn(seed, 200).measures["entries"]]

    assert errors(0) == errors(0)
    assert errors(0) != errors(1)


def test_the_page(made):
    _, page, out = made
    assert page.verdict == "refuted"
    assert page.numbers["certificate"]["relative_gap"] < 1e-10
    assert page.numbers["certificate"]["agreement"] < 1e-12
    assert page.numbers["small"]["exact"]["wrong"] == 0
    assert page.numbers["known_wrong"]["exact"] == 0
    files = {file.name for file in page.write(out / "prox_error.json", {})}
    assert {"prox_error.png", "prox_error.csv", "prox_error-small.csv", "prox_error-known.csv"} <= files
    json.loads((out / "prox_error.json").read_text())


def test_the_verdict_follows_the_numbers():
    def verdict(right, wrong):
        lines = {key: {"right": right, "ratio": 2.0} for key in METHODS}
        return prox_error._verdict({"all_maps": lines, "small": {"path": {"wrong": wrong}}})

    assert verdict(1.0, 0.0)[0] == "confirmed"
    assert verdict(1.0, 0.1)[0] == "partly confirmed"
    assert verdict(0.6, 0.0)[0] == "partly confirmed"
    assert verdict(0.4, 0.0)[0] == "refuted"
    assert "40%" in verdict(0.4, 0.0)[1]


def test_with_some_cells_or_none(made, tmp_path):
    done, *_ = made
    assert prox_error.publish(QUICK, grid.Done(), tmp_path).verdict == "not testable here"
    todo = prox_error.cells(QUICK)
    kept = {c.key: done.outcomes[c.key] for c in todo if c.function is not prox_error.drawn}
    kept.pop(todo[0].key)
    page = prox_error.publish(QUICK, grid.Done(outcomes=kept), tmp_path)
    assert page.verdict == "refuted"
    assert (tmp_path / "prox_error.png").is_file()


@pytest.mark.data
def test_real_score_maps(data_directory):
    source = {"kind": "voc", "data": str(data_directory), "cls": "sheep", "fine": False}
    entries = prox_error.score_maps(source, 2, 1).measures["entries"]
    assert len(entries) == 2 * len(prox_error.GAMMAS)
    assert max(e["relative_gap"] for e in entries) < 1e-10
    assert max(e["agreement"] for e in entries) < 1e-12
