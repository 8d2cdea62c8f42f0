"""Importing the package loads NumPy, SciPy and Numba, and no framework, solver or plotting library."""

import os
import re
import subprocess
import sys

import pytest

import lovasz_opt as lo


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_import_is_isolated():
    optional = ["cvxpy", "matplotlib", "skimage", "tqdm", "typer", "rich", "joblib", "torch", "jax", "pandas"]
    optional += ["tensorflow", "cupy", "array_api_compat", "array_api_strict"]
    result = run(f"import sys, lovasz_opt; print(sorted(set({optional}) & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(("framework", "others"), [("jax", ["torch", "tensorflow"]), ("torch", ["jax"])])
def test_an_adapter_imports_its_framework_only(framework, others):
    pytest.importorskip(framework)
    code = f"import sys, lovasz_opt.{framework}; print(set({others}) & set(sys.modules))"
    # Warnings that a framework raises while it is imported are its own.
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout.strip() == "set()", result.stderr


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_missing_framework_is_named_with_what_to_install(framework):
    result = run(f"import sys; sys.modules[{framework!r}] = None; import lovasz_opt.{framework}")
    assert result.returncode != 0
    assert re.search(rf"pip install .lovasz-opt\[{framework}\]", result.stderr), result.stderr


def test_missing_array_api_compat_is_named_with_what_to_install():
    code = """
import sys
sys.modules["array_api_compat"] = None
from lovasz_opt.interop import namespace
namespace(object())
"""
    assert "pip install 'lovasz-opt[array-api]'" in run(code).stderr


def test_every_public_name_exists_and_is_documented():
    for name in lo.__all__:
        assert getattr(lo, name).__doc__, name
    assert lo.__all__ == sorted(lo.__all__, key=str.casefold)


def test_results_without_the_compiler():
    code = """
import numpy as np, lovasz_opt as lo
rng = np.random.default_rng(0)
target, x, weights = rng.random(40) < 0.4, rng.standard_normal(40), rng.uniform(0.5, 2, 40)
h = lo.LovaszHinge(target)
results = [h(x), *h.subgradient(x), *h.prox(x, 5.0), *h.prox(x, 5.0, method="path")]
results += lo.LovaszExtension(lo.Jaccard(target, weights)).prox(x, 5.0, metric="weights").tolist()
print([float(r).hex() for r in results])
"""
    compiled, interpreted = run(code), run(code, NUMBA_DISABLE_JIT="1")
    assert compiled.returncode == 0, compiled.stderr
    assert interpreted.returncode == 0, interpreted.stderr
    # LLVM may fuse a multiplication and an addition, so the last bits can differ.
    first, second = ([float.fromhex(r) for r in eval(out.stdout)] for out in (compiled, interpreted))
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) <= 1e-14
