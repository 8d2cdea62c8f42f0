"""The part of the study about stability: what counts as good, widths of ranges, and the verdict."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from lovasz_opt import grid
from lovasz_opt.study import stability
from lovasz_opt.study.settings import Settings
from lovasz_opt.study.stability import STEPS, Entry, Line

INFINITE = float("inf")


def entries(ratios, ious=None, method="subgradient", problem="p", seed=0, level=2.0, variant="last"):
    ious = [0.5] * len(ratios) if ious is None else ious
    return [
        Entry(problem, variant, method, "constant", step, seed, ratio, iou, iou, level)
        for step, ratio, iou in zip(STEPS, ratios, ious, strict=True)
    ]


def test_width_of_the_range_of_good_steps():
    # Between 1.0 and 4.0 the logarithm passes that of 2 half way.
    width, cut = stability.decades(entries([4, 1, 1, 1, 4, 100, 100, 100]))
    assert (width, cut) == (pytest.approx(2 + 2 * 0.5), False)
    width, cut = stability.decades(entries([1, 1, 4, 9, 9, 9, 9, INFINITE]))
    assert (width, cut) == (pytest.approx(1.5), True)
    assert stability.decades(entries([1] * 8)) == (pytest.approx(7), True)
    assert stability.decades(entries([3] * 8)) == (0.0, False)
    # The longest of two ranges.
    width, cut = stability.decades(entries([4, 1, 4, 4, 1, 1, 1, 4]))
    assert (width, cut) == (pytest.approx(3), False)
    assert stability.decades(entries([1.9] * 8, level=1.5))[0] == 0


def test_medians_and_quantiles_bear_runs_that_diverged():
    found = [e for seed, r in enumerate([1.0, 2.0, INFINITE]) for e in entries([r] * 8, seed=seed)]
    low, middle, high = stability.by_step(found, "ratio")
    assert (low == 1).all()
    assert (middle == 2).all()
    assert np.isinf(high).all()


def test_best_iou_is_that_of_the_best_step_on_average():
    found = entries([1] * 8, [0.1, 0.9] + [0.5] * 6) + entries([1] * 8, [0.1, 0.2] + [0.6] * 6, seed=1)
    assert stability.best_ious(found) == [pytest.approx(0.9), pytest.approx(0.2)]
    assert stability.best_ious(entries([1] * 8, [0.1] * 7 + [0.7])) == [0.7]


def test_lines_and_verdict():
    found = []
    for problem in "pq":
        for seed in range(2):
            found += entries(
                [9, 9, 1, 1, 1, 1, 1, 9], [0.6 + 0.1 * seed] * 8, "proximal point", problem, seed
            )
            found += entries([9, 9, 1, 1, 9, 9, 9, 9], [0.7] * 8, "subgradient", problem, seed)
    table = stability.lines(found)
    ours, other = table
    reach = math.log(2) / math.log(9)
    assert (ours.method, ours.decades) == ("proximal point", pytest.approx(4 + 2 * reach))
    assert other.decades == pytest.approx(1 + 2 * reach)
    assert (ours.iou, ours.error) == (pytest.approx(0.65), pytest.approx(0.05))
    (sentence,) = stability.verdict(table, 2.0)
    assert "+3.0" in sentence
    assert "-0.0500" in sentence
    wide = replace(ours, cut=True)
    assert "≥ 4.6" in stability.verdict([wide, other], 2.0)[0]
    assert stability.verdict([Line("last", "adam", "sqrt", 1, False, 1, 0.5, 0)], 2.0) == []


def test_a_small_run_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(stability, "STEPS", (1e-2, 1.0, 1e3))
    monkeypatch.setattr(stability, "EPOCHS", 2)
    settings = Settings.of(quick=True)
    cells = stability.cells(settings)
    assert len(cells) == 1 + 3 * 4 * 2 * 3
    # Adam has no average: it is run with one image a step once.
    assert len({cell.key for cell in cells}) == len(cells) - 2 * 3
    done = grid.run(cells, tmp_path / "cells")
    assert not done.failures
    found = stability.entries(settings, done)
    assert len(found) == len(cells) - 1
    # Nothing is below the certified minimum, up to its gap.
    assert min(entry.ratio for entry in found) > 1 - 1e-5
    assert all(1 < entry.level <= 2 for entry in found)
    report = stability.publish(settings, done, tmp_path)
    assert {file.name for file in report.files} == {"stability.csv", "stability.png", "stability.pdf"}
    with (tmp_path / "stability.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["ratio"]) for row in rows] == [entry.ratio for entry in found]
    assert len(report.summary["lines"]) == 24
    # Without the certified minimum there is nothing to compare with.
    del done.outcomes[cells[0].key]
    assert stability.publish(settings, done, tmp_path).text == ""
