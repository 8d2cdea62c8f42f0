"""The benchmark scripts run at a small size, write valid results, and name what they could not measure."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
ROWS_WITHOUT_PEERS = ["hinge-trained", "prox-path", "prox-memory", "prox-solvers"]


def run(script, *arguments, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def load(name):
    """A module of the benchmarks, which are no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


def check_image(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
    assert len(content) > 5000


def blocked(tmp_path):
    """A folder in which importing PyTorch and scikit-learn fails, as where they are not installed."""
    for name in ("torch", "sklearn"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError(\"No module named '{name}'\")\n")
    return {"PYTHONPATH": str(tmp_path)}


def test_peers_measures_what_there_is(tmp_path):
    only = [word for row in [*ROWS_WITHOUT_PEERS, "curves"] for word in ("--only", row)]
    printed = run("peers.py", "--quick", "--repeats", "2", "--threads", "1", "--out", str(tmp_path), *only)
    document = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    assert list(document["rows"]) == ROWS_WITHOUT_PEERS
    assert document["environment"]["threads"] == 1
    assert {"numpy", "scipy", "numba", "cvxpy"} <= set(document["environment"]["versions"])
    for row, cells in document["rows"].items():
        assert cells
        for cell in cells:
            assert not cell["missing"]
            assert "lovasz_opt" in cell["seconds"]
            assert len(cell["seconds"]) >= 2
            lengths = {len(runs) for runs in cell["seconds"].values()}
            assert lengths == {1 if row == "prox-memory" else 2}
            assert all(math.isfinite(s) and s > 0 for runs in cell["seconds"].values() for s in runs)
    with (tmp_path / "peers.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len({(line["row"], line["case"]) for line in lines}) == sum(map(len, document["rows"].values()))
    text = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert text.startswith(printed.rstrip("\n")[:200])
    table = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(ROWS_WITHOUT_PEERS)
    assert "not measured" not in printed
    # A hundredth of the size says nothing about a bound.
    assert "sizes too small" in printed
    assert "**no**" not in printed
    for panel in ("hinge", "prox"):
        curves = document["curves"][panel]
        sizes = [p for p, _ in curves["lovasz_opt"]]
        assert sizes == sorted(sizes)
        assert [p for p, _ in curves["np.argsort"]] == sizes
    check_image(tmp_path / "peers.png")
    check_image(tmp_path / "peers.pdf")


def test_peers_names_what_is_not_installed(tmp_path):
    rows = ["torch-hinge-random", "torch-softmax", "pav-scikit-learn"]
    only = [word for row in rows for word in ("--only", row)]
    printed = run("peers.py", "--quick", "--repeats", "1", "--out", str(tmp_path), *only, **blocked(tmp_path))
    table = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert len(table) == len(rows)
    for line, missing in zip(table, ("torch", "torch", "sklearn"), strict=True):
        assert "not measured" in line
        assert f"No module named '{missing}'" in line
    assert all("segmentation_models_pytorch" in line for line in table[:2])
    cells = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["rows"]["torch-softmax"]
    assert len(cells[0]["missing"]) == 2
    assert list(cells[0]["seconds"]) == ["lovasz_opt"]


def test_scaling(tmp_path):
    run("scaling.py", "--quick", "--repeats", "1", "--only", "classes", "--out", str(tmp_path))
    points = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))["points"]
    assert {point["study"] for point in points} == {"classes"}
    assert all(point["seconds"] > 0 and not point["skipped"] for point in points)
    assert "| classes |" in (tmp_path / "scaling.md").read_text(encoding="utf-8")
    check_image(tmp_path / "scaling.png")


def test_scaling_says_when_the_memory_is_too_small(monkeypatch):
    scaling, measure = load("scaling"), load("measure")
    monkeypatch.setattr(measure, "available_memory", lambda: 2.0**14)
    monkeypatch.setattr(measure, "in_child", lambda *_, **__: pytest.fail("started all the same"))
    arguments = scaling.argparse.Namespace(quick=True, full=False, repeats=1, threads=1)
    points = list(scaling.run(scaling.Study("pixels", "pixels", scaling.pixels), arguments))
    assert {point.pixels for point in points} == {10**3, 10**4}
    assert all("are free" in point.skipped and point.seconds is None for point in points)
    assert scaling.line(points[0])[5:] == (points[0].skipped, "", "")


def test_latency(tmp_path):
    printed = run("latency.py", "--repeats", "1", "--out", str(tmp_path))
    document = json.loads((tmp_path / "latency.json").read_text(encoding="utf-8"))
    assert {"import numba", "import lovasz_opt", "first hinge", "first prox"} <= set(document["seconds"])
    assert "| import lovasz_opt |" in printed


def test_sides_run_in_turn():
    order = []
    sides = {name: lambda name=name: order.append(name) for name in "ab"}
    measure = load("measure")
    measure._RUN_SECONDS, kept = 0.0, measure._RUN_SECONDS
    try:
        seconds = measure.in_turn(sides, 3)
    finally:
        measure._RUN_SECONDS = kept
    assert order == [*"aabb", *"ababab"]
    assert {name: len(runs) for name, runs in seconds.items()} == {"a": 3, "b": 3}


def test_ratios_are_taken_run_by_run_against_the_fastest():
    measure, rows = load("measure"), load("rows")
    cell = measure.Cell("case", {"lovasz_opt": [1.0, 2.0], "x": [8.0, 6.0], "y": [4.0, 10.0]})
    faster = rows.Row("row", "work", lambda settings: iter([cell]), ("x", "y", "absent"), at_least=3.0)
    assert faster.ratios(cell) == [4.0, 3.0]
    assert faster.measured([cell]) == 3.5
    assert faster.met([cell])
    slower = rows.Row("row", "work", lambda settings: iter([cell]), ("x",), at_most=0.2)
    assert slower.ratios(cell) == pytest.approx([1 / 8, 1 / 3])
    other = measure.Cell("other", {"lovasz_opt": [1.0], "x": [100.0]})
    assert slower.measured([other, cell]) == pytest.approx((1 / 8 + 1 / 3) / 2)
    assert slower.deciding([other, cell]) is cell
    assert not slower.met([other, cell])
    absent = measure.Cell("absent", {"lovasz_opt": [1.0]}, ["x (not there)"])
    assert slower.met([absent]) is None


def test_peak_memory():
    code = (
        "import numpy as np\nfrom measure import peak_memory\n"
        "with peak_memory() as peak:\n    x = np.ones(4_000_000)\n    y = x + 1\n    del x\n"
        "with peak_memory() as less:\n    z = y.sum()\n"
        "print(peak['bytes'] / 32e6, less['bytes'] / 32e6)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER
    ).stdout
    two, none = map(float, output.split())
    if not math.isnan(two):
        assert two == pytest.approx(2, abs=0.2)
        assert none == pytest.approx(0, abs=0.2)
