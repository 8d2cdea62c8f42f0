"""The figure of the losses as surfaces."""

import json
from itertools import product

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from lovasz_opt import grid, reference
from lovasz_opt.figures import surfaces
from lovasz_opt.figures.settings import Settings

QUICK = Settings.of(quick=True)


def jaccard(truth, wrong):
    """The Jaccard loss by its definition, on sets of Python."""
    foreground = {i for i, sign in enumerate(truth) if sign > 0}
    return len(wrong) / len(foreground | wrong) if wrong else 0.0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("surfaces")
    done = grid.run(surfaces.cells(QUICK), out / "cells")
    assert not done.failures
    return done, surfaces.publish(QUICK, done, out), out


@pytest.mark.parametrize("truth", surfaces.TRUTHS)
def test_surfaces_against_level_sets(truth):
    m = surfaces.hinge_surface(list(truth), side=9).measures
    table = [jaccard(truth, {i for i in (0, 1) if code >> i & 1}) for code in range(4)]
    axis = np.linspace(-2, 2, 9)
    for (row, y), (column, x) in product(enumerate(axis), enumerate(axis)):
        margins = np.maximum(0, 1 - np.array(truth) * (x, y))
        expected = reference.extension_by_levels(table, margins)
        assert m["values"]["Lovász hinge"][row][column] == pytest.approx(expected, abs=1e-12)
        assert m["values"]["hinge"][row][column] == pytest.approx(margins.mean())
        entropy = np.log1p(np.exp(-np.array(truth) * (x, y))).mean()
        assert m["values"]["cross-entropy"][row][column] == pytest.approx(entropy)
    assert m["pieces_error"] < 1e-12
    assert len(m["corners"]) == 4
    for corner in m["corners"]:
        wrong = {i for i in (0, 1) if corner["mistakes"][i]}
        assert corner["scores"] == [0 if i in wrong else truth[i] for i in (0, 1)]
        assert float(eval(corner["jaccard"])) == pytest.approx(jaccard(truth, wrong))
        assert corner["losses"]["Lovász hinge"] == pytest.approx(jaccard(truth, wrong))


def test_softmax_surfaces_by_hand():
    values = np.array(surfaces.softmax_surface(5, side=3).measures["values"])
    # One pixel of class 0: the loss is 1 − π₀.
    for (row, v), (column, u) in product(enumerate((-5, 0, 5)), enumerate((-5, 0, 5))):
        assert values[row, column] == pytest.approx(1 - 1 / (1 + np.exp(u) + np.exp(v)))
    values = np.array(surfaces.softmax_surface(1, side=3).measures["values"])
    # Two classes, truth (0, 1), both pixels certainly wrong or right; one certainly wrong.
    assert values[0, 2] == pytest.approx(1, abs=0.02)
    assert values[2, 0] == pytest.approx(0, abs=0.02)
    assert values[2, 2] == pytest.approx((1 + 1 / 2) / 2, abs=0.02)


def test_checks_hold_and_are_the_same_for_the_same_seed():
    hinge, softmax = (surfaces.check(what, 3, 60).measures for what in ("hinge", "softmax"))
    for m in (hinge, softmax):
        assert m["convexity"] < 1e-12
        assert m["corners"] < 1e-12
    assert softmax["convexity in logits"] > 0.05
    assert hinge["Lovász hinge below"] < 1e-12
    assert hinge["hinge below"] > 0.1
    assert surfaces.check("hinge", 3, 60).measures == hinge
    assert surfaces.check("hinge", 4, 60).measures != hinge


def test_a_loss_that_is_not_convex_is_found_out(monkeypatch):
    class Rooted(surfaces.LovaszHinge):
        def __call__(self, logits):
            return np.sqrt(super().__call__(logits))

    monkeypatch.setattr(surfaces, "LovaszHinge", Rooted)
    m = surfaces.check("hinge", 0, 60).measures
    assert m["convexity"] > 0.01
    assert m["corners"] > 0.1


def test_the_page(made):
    _, page, out = made
    assert page.verdict == "confirmed"
    assert page.numbers["corners"] < 1e-12
    assert page.numbers["difference"]["(+1, +1)"] < 1e-12 < page.numbers["difference"]["(−1, +1)"]
    assert [picture.name for picture, _ in page.pictures] == [
        "surfaces.png",
        "surfaces-contours.png",
        "surfaces-softmax.png",
    ]
    files = page.write(out / "surfaces.json", {})
    assert all(file.is_file() for file in files)
    assert {"surfaces.csv", "surfaces-checks.csv"} <= {file.name for file in files}
    json.loads((out / "surfaces.json").read_text())


def test_the_verdict_follows_the_numbers(made):
    numbers = made[1].numbers
    assert surfaces._verdict(numbers)[0] == "confirmed"
    verdict, why = surfaces._verdict(numbers | {"convexity": 0.1})
    assert verdict == "partly confirmed"
    assert "convex" in why
    broken = numbers | {"convexity": 0.1, "corners": 0.1, "pieces_error": 0.1}
    assert surfaces._verdict(broken)[0] == "refuted"
    text = " ".join(surfaces._findings({**numbers, "corners": 0.25}, {}))
    assert "at most 0.2" in text


def test_with_some_cells_or_none(made, tmp_path):
    done, *_ = made
    page = surfaces.publish(QUICK, grid.Done(), tmp_path)
    assert (page.verdict, page.pictures) == ("not testable here", [])
    todo = surfaces.cells(QUICK)
    kept = {c.key: done.outcomes[c.key] for c in todo if c.arguments.get("view") is None}
    kept.pop(todo[0].key)
    page = surfaces.publish(QUICK, grid.Done(outcomes=kept), tmp_path)
    assert page.verdict == "confirmed"
    assert len(page.pictures) == 2
