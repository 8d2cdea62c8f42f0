"""The benchopt benchmark runs, its referee agrees with the package, and it misses no solver."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lovasz_opt import solvers
from lovasz_opt.datasets import VOID, shapes
from lovasz_opt.problems import LinearHingeRisk

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "lovasz_hinge"


@pytest.fixture(scope="module")
def referee():
    spec = importlib.util.spec_from_file_location("referee", BENCHMARK / "benchmark_utils" / "risk.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(3))
def test_referee_agrees_with_the_package(referee, seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, size=6)
    features = [rng.standard_normal((size, 3)) for size in sizes]
    targets = [rng.choice(np.array([0, 1, VOID], dtype=np.uint8), size) for size in sizes]
    targets[0][:], targets[1][:], targets[2][:] = VOID, 0, 1
    independent, package = referee.Risk(features, targets, 0.1), LinearHingeRisk(features, targets, 0.1, VOID)
    assert independent.n_features == 3
    for v in (np.zeros(3), *rng.standard_normal((3, 3))):
        assert independent.value(v) == pytest.approx(package.value(v), rel=1e-12)
        assert independent.iou(v) == package.iou(v)
        if v.any():
            expected = package.value_and_subgradient(v)[1]
            np.testing.assert_allclose(independent.subgradient(v), expected, rtol=1e-10, atol=1e-13)


def test_no_solver_of_the_risk_is_missing():
    images = shapes(n=2, size=6)
    problem = LinearHingeRisk(images.features, images.targets, l2=0.1)
    serving = set()
    for name in solvers.__all__:
        solve = getattr(solvers, name)
        if not isinstance(solve, type):
            try:
                solve(problem, max_iter=1)
            except TypeError:
                continue  # It says that it needs another kind of problem.
            serving.add(name)
    files = {path.stem for path in (BENCHMARK / "solvers").glob("*.py")}
    assert "ssnal" in serving
    assert serving <= files, f"add to {BENCHMARK / 'solvers'}: {', '.join(sorted(serving - files))}"


@pytest.mark.skipif(importlib.util.find_spec("benchopt") is None, reason="needs benchopt")
def test_a_short_run(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    chosen = ["-o", "Lovasz hinge risk[l2=0.1]", "-d", "simulated[n=2,size=12]"]
    chosen += ["-s", "ssnal", "-s", "numpy_subgradient"]
    limits = ["--max-runs", "25", "--timeout", "10", "--seed", "1", "--no-plot", "--no-cache"]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "benchopt", "run", str(BENCHMARK)),
            *(*chosen, *limits, "--output", str(tmp_path / "run.parquet")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "BENCHOPT_RAISE_ON_ERROR": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = parquet.read_table(tmp_path / "run.parquet").to_pylist()
    curves = {
        name: [row for row in rows if row["solver_name"] == name] for name in ("ssnal", "numpy_subgradient")
    }
    assert len(rows) == sum(map(len, curves.values()))
    for curve in curves.values():
        assert len(curve) > 2
        assert curve[-1]["objective_value"] < curve[0]["objective_value"]
        assert all(0 <= row[f"objective_{part}_iou"] <= 1 for row in curve for part in ("train", "test"))
    ssnal = curves["ssnal"][-1]
    assert ssnal["objective_relative_gap"] <= 1e-6
    assert ssnal["objective_dual"] <= curves["numpy_subgradient"][-1]["objective_value"]
    assert all(row["objective_relative_gap"] == 1 for row in curves["numpy_subgradient"])
