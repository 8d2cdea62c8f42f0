"""The package where nothing can be written, without the compiler, and what importing it loads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lovasz_opt

SMALL = """
import numpy as np, lovasz_opt as lo
from lovasz_opt import losses
from lovasz_opt.path import pav_in_order
rng = np.random.default_rng(0)
target, x, weights = rng.random(60) < 0.4, rng.standard_normal(60), rng.uniform(0.5, 2, 60)
labels, scores = rng.integers(0, 3, (2, 30)), rng.standard_normal((2, 3, 30))
results = []
for dtype in (np.float32, np.float64):
    y, s = x.astype(dtype), scores.astype(dtype)
    h, w = lo.LovaszHinge(target), lo.LovaszHinge(target, weights=weights)
    f = lo.LovaszExtension(lo.Jaccard(target))
    for loss in (h, w):
        results += [loss(y), loss.subgradient(y)]
    results += [h.prox(y, 5.0), h.prox(y, 5.0, start=y), h.prox(y, 5.0, "path")]
    results += [w.prox(y, 5.0, metric="weights")]
    results += [h.prox(y, 5.0, "pav-in-order"), f(y), f.subgradient(y), f.prox(y, 5.0), f.prox_jvp(y, 5.0, y)]
    results += [lo.LovaszExtension(lo.Cardinality(np.sqrt, 60)).prox(y, 2.0)]
    for from_logits in (True, False):
        z = s if from_logits else np.abs(s) / 9
        results += losses.lovasz_softmax_and_gradient(z, labels, from_logits=from_logits)
big = np.concatenate([x, 1 + 1e-12 * np.tile(x, 30)])
results += [lo.LovaszExtension(lo.Jaccard(np.tile(target, 31))).prox(big, 500.0)]
print([float(r).hex() for part in results for r in np.atleast_1d(part).ravel()])
"""


def run(code, *arguments, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_without_the_compiler():
    compiled, interpreted = (
        [float.fromhex(r) for r in eval(run(SMALL, NUMBA_DISABLE_JIT=switch))] for switch in "01"
    )
    assert len(compiled) == len(interpreted) > 3000
    # LLVM may fuse a multiplication and an addition, so the last bits can differ: of float32 in the softmax.
    assert max(abs(a - b) for a, b in zip(compiled, interpreted, strict=True)) <= 1e-7
    assert max(abs(a - b) for a, b in zip(compiled[-1860:], interpreted[-1860:], strict=True)) <= 1e-14


def test_nothing_can_be_written(tmp_path):
    # A file where a directory is wanted stops any user, also one whom no permission stops.
    package = Path(lovasz_opt.__file__).parent
    copy = tmp_path / "lovasz_opt"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (copy, copy / "kernels"):
        (folder / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    blocked = str(tmp_path / "home" / "cache")
    code = "import lovasz_opt as lo; print(lo.__file__, lo.lovasz_hinge([0.0, 1.0, 3.0], [1, 0, 1]))"
    for cache in ("", blocked):
        out = run(
            code,
            "-B",
            PYTHONPATH=str(tmp_path),
            PYTHONSAFEPATH="1",
            HOME=blocked,
            XDG_CACHE_HOME=blocked,
            LOCALAPPDATA=blocked,
            NUMBA_CACHE_DIR=cache,
        )
        assert out == f"{copy / '__init__.py'} 1.0"


def test_an_edited_kernel_is_compiled_anew(tmp_path):
    package = Path(lovasz_opt.__file__).parent
    copy = tmp_path / "lovasz_opt"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    code = "import lovasz_opt as lo; print(lo.lovasz_hinge([0.0, 1.0, 3.0], [1, 0, 1]))"
    options = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(code, **options) == "1.0"
    greedy = copy / "kernels" / "greedy.py"
    source = greedy.read_text()
    assert "    value = 0.0\n" in source
    # Called by hinge.py, which stays as it is.
    greedy.write_text(source.replace("    value = 0.0\n", "    value = 100.0\n"))
    assert run(code, **options) == "101.0"


@pytest.mark.parametrize("module", ["scipy.special", "scipy.optimize", "scipy.sparse", "scipy.linalg"])
def test_slow_modules_are_loaded_when_needed(module):
    assert run(f"import sys, lovasz_opt; print({module!r} in sys.modules)") == "False"
