"""The pictures of docs/theory.md: one command draws those that the page shows, and their numbers hold."""

import importlib.util
import re
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.image import imread

import lovasz_opt as lo

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "images" / "theory"
PAGE = (DOCS / "theory.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_theory", DOCS / "draw_theory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_draws_what_the_page_shows(script, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["draw_theory.py", str(tmp_path)])
    script.main()
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(re.findall(r"\]\(images/theory/([\w.]+)\)", PAGE))
    assert drawn == sorted(path.name for path in KEPT.iterdir())
    for name in drawn:
        new, kept = imread(tmp_path / name), imread(KEPT / name)
        # Ink, and the picture that is kept but for the rasteriser of another version.
        assert (new[..., :3].min(axis=2) < 0.7).mean() > 0.005, name
        assert new.shape == kept.shape, name
        assert np.abs(new - kept).mean() < 0.005, f"{name}: run docs/draw_theory.py"


def test_corners_of_the_polytope_are_the_greedy_vectors_of_their_orders(script):
    F = lo.Jaccard(script.TARGET)
    named = {order: w for orders, w in script.CORNERS.items() for order in orders.split("\n")}
    assert set(named) == {" ".join(map(str, order)) for order in permutations((1, 2, 3))}
    for words, w in named.items():
        order = np.array(words.split(), dtype=int) - 1
        assert F.increments(order) == pytest.approx(np.array(w)[order])


def test_roots_and_pool_of_the_background(script):
    assert script._roots() == pytest.approx([9, 7.5, 9, 1], abs=1e-3)
    assert script._level_cost(3, 8.0) == pytest.approx(script._level_cost(1, 8.0))
    h = [[script._level_cost(b, t) for b in range(5)] for t in (9.1, 8.9, 8.1, 7.9, 1.1, 0.9)]
    assert [int(np.argmin(costs)) for costs in h] == [0, 1, 1, 3, 3, 4]


def test_rows_that_count_at_the_optimum(script):
    margins, kinds = script.newton_rows()
    tied, zero = margins[kinds == 1], margins[kinds == 2]
    assert (len(tied), len(zero)) == (10, 5)
    assert np.ptp(tied.reshape(5, 2), axis=1).max() < 1e-9
    assert np.abs(zero).max() < 1e-9
    # The others are far from that: a typical distance between neighbours is a million times larger.
    assert np.median(-np.diff(margins)) > 1e-4


def test_mathematics_reads_on_a_forge_as_well():
    """Markdown takes a backslash before punctuation for itself, < for a tag and | for a column."""
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", prose, flags=re.DOTALL)
    assert len(formulas) > 80
    assert [formula for formula in formulas if re.search(r"\\[^a-zA-Z]|[<>|]", formula)] == []
