"""The figure of the running time."""

import json
import time

import numba
import numpy as np
import pytest

pytest.importorskip("matplotlib")
from lovasz_opt import grid, reference
from lovasz_opt.figures import runtime
from lovasz_opt.figures.settings import Settings
from lovasz_opt.losses import LovaszHinge
from lovasz_opt.sets import Jaccard

QUICK = Settings.of(quick=True)


def outcome(cell, seconds):
    """An outcome with made-up times: `seconds` of the side and the place."""
    study, place = cell.arguments["study"], cell.arguments["place"]
    elements = int(place) if study in ("random", "trained") else 10_000
    sides = {
        "classes": ("argsort", "softmax", "cross-entropy"),
        "steps": ("argsort", "prox"),
    }.get(study, ("argsort", "value", "gradient", "prox, 1", "prox, p/10", "cross-entropy"))
    return grid.Outcome(
        measures={"elements": elements, "seconds": {s: [seconds(s, elements)] * 3 for s in sides}}
    )


def published(out, seconds, keep=lambda c: True):
    done = grid.Done(outcomes={c.key: outcome(c, seconds) for c in runtime.cells(QUICK) if keep(c)})
    return runtime.publish(QUICK, done, out)


def like_a_sort(side, p):
    return (1e-9 if side == "argsort" else 3e-9) * p * np.log(p)


def quadratic_prox(side, p):
    return 1e-9 * p * p if side.startswith("prox") else like_a_sort(side, p)


def quadratic(side, p):
    return 1e-9 * p * p if side != "argsort" else like_a_sort(side, p)


def test_sides_run_in_turn_and_are_timed():
    order = []

    def side(name, pause):
        def call():
            order.append(name)
            time.sleep(pause)

        return call

    seconds = runtime.in_turn({"slow": side("slow", 0.02), "fast": side("fast", 0.01)}, 3)
    # Two calls of each to warm up and to choose how often; then rounds.
    assert order == ["slow"] * 2 + ["fast"] * 2 + ["slow", "fast"] * 3
    assert np.median(np.divide(seconds["slow"], seconds["fast"])) == pytest.approx(2, rel=0.3)
    assert min(seconds["fast"]) >= 0.01


def test_short_calls_are_repeated():
    calls = []
    seconds = runtime.in_turn({"short": lambda: calls.append(1)}, 2)
    assert len(calls) > 100
    assert max(seconds["short"]) < 1e-4


@pytest.mark.parametrize("study", ["random", "trained", "steps", "images"])
def test_the_calls_are_what_they_are_called(study):
    sides, elements = runtime._sides(study, 2.0 if study == "images" else 12, 12, np.random.default_rng(0))
    scores, labels = runtime.scene(
        (2, 128, 128) if study == "images" else (12,), np.random.default_rng(0), study == "trained"
    )
    assert elements == scores.size
    rows = scores.reshape(len(scores) if study == "images" else 1, -1)
    np.testing.assert_array_equal(sides["argsort"](), np.argsort(rows, axis=-1))
    if study in ("random", "trained"):
        signs = np.where(labels == 1, 1, -1)
        table = reference.set_values(Jaccard(labels))
        margins = 1 - signs * scores
        assert sides["value"]() == pytest.approx(
            reference.extension_by_levels(table, np.maximum(margins, 0)), abs=1e-12
        )
        assert sides["gradient"]()[0] == pytest.approx(sides["value"](), abs=1e-12)
        z = np.maximum(reference.prox(table, margins, 1.2), np.minimum(margins, 0))
        np.testing.assert_allclose(sides["prox, p/10"](), signs * (1 - z), atol=1e-12)
    if study == "images":
        alone, _ = runtime.scene((2, 128, 128), np.random.default_rng(0))
        expected = [LovaszHinge(y.ravel()).prox(x.ravel(), 1.0) for x, y in zip(alone, labels, strict=True)]
        np.testing.assert_allclose(sides["prox, 1"]().reshape(2, -1), expected, atol=1e-12)
    if study == "trained":
        many, right = runtime.scene((20_000,), np.random.default_rng(1), trained=True)
        assert np.mean(np.where(right == 1, 1, -1) * many > 1) == pytest.approx(0.95, abs=0.01)


def test_classes():
    sides, elements = runtime._sides("classes", 4.0, 50, np.random.default_rng(0))
    assert elements == 200
    value, gradient = sides["softmax"]()
    assert 0 < value < 1
    assert gradient.shape == (1, 4, 50)


def test_a_cell_uses_one_thread_and_gives_the_threads_back(monkeypatch):
    before = numba.get_num_threads()
    seen = []
    original = runtime.in_turn

    def look(sides, rounds):
        seen.append(numba.get_num_threads())
        return original(sides, rounds)

    monkeypatch.setattr(runtime, "in_turn", look)
    m = runtime.measure("random", 1000, 1000, 2, 0).measures
    assert seen == [1]
    assert numba.get_num_threads() == before
    assert {len(s) for s in m["seconds"].values()} == {2}
    assert min(min(s) for s in m["seconds"].values()) > 0


def test_the_verdict_follows_the_times(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_draw", lambda path, found: path)
    page = published(tmp_path, like_a_sort)
    assert page.verdict == "confirmed"
    grown = page.numbers["growth"]["random"]["gradient"]
    assert grown["ratio"] == pytest.approx(1)
    assert grown["most"] == pytest.approx(3)
    assert 1.05 < grown["exponent"] < 1.2
    assert published(tmp_path, quadratic_prox).verdict == "partly confirmed"
    assert published(tmp_path, quadratic).verdict == "refuted"
    assert published(tmp_path, quadratic).numbers["growth"]["random"]["gradient"][
        "exponent"
    ] == pytest.approx(2)


def test_files(tmp_path):
    page = published(tmp_path, like_a_sort)
    files = {file.name for file in page.write(tmp_path / "runtime.json", {})}
    assert {"runtime.png", "runtime.pdf", "runtime.csv", "runtime-growth.csv"} <= files
    json.loads((tmp_path / "runtime.json").read_text())


def test_with_some_cells_or_none(tmp_path):
    only_sizes = published(tmp_path, like_a_sort, lambda c: c.arguments["study"] in ("random", "trained"))
    assert only_sizes.verdict == "confirmed"
    assert only_sizes.pictures
    for keep in (lambda c: False, lambda c: c.arguments["place"] <= 1000):
        page = published(tmp_path, like_a_sort, keep)
        assert (page.verdict, page.pictures) == ("not testable here", [])


def test_sizes_of_the_settings():
    assert max(runtime.places(Settings.of())["random"]) == 10**6
    assert max(runtime.places(Settings.of(full=True))["random"]) == 10**7
    assert runtime.places(Settings.of())["classes"][-1] == 64
