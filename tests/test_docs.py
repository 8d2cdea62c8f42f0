"""Docstrings, README and docs: their examples run, and public docstrings are complete numpydoc."""

import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from numpydoc.validate import validate

import lovasz_opt as lo

ROOT = Path(__file__).parent.parent
MODULES = ["lovasz_opt"] + [
    module.name
    for module in pkgutil.walk_packages(lo.__path__, "lovasz_opt.")
    if not module.name.startswith("lovasz_opt.kernels")
]
# The checks of numpydoc that matter here: a summary, every parameter, what is returned, sections in order.
REQUIRED = {"GL08", "SS01", "SS03", "PR01", "PR02", "PR03", "PR04", "RT01", "GL06", "GL07"}

FRAMEWORKS = ["jax", "tensorflow", "torch"]
#: Modules that need PyTorch and do not say so in their name.
NETWORKS = ("lovasz_opt.training", "lovasz_opt.figures.network_softmax")


def require_frameworks(used):
    """Skip the test if a framework that it uses is not installed."""
    absent = [name for name in FRAMEWORKS if used(name) and importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{' and '.join(absent)} not installed")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
    needed = "torch" if name.startswith(NETWORKS) else "".join(name.split(".")[1:2])
    require_frameworks(needed.__eq__)
    with np.printoptions(legacy=False):
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def python_blocks():
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        name = page.relative_to(ROOT).as_posix()
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
        for number, block in enumerate(blocks, start=1):
            yield pytest.param(name, block, id=f"{name}-{number}")


@pytest.mark.parametrize(("page", "block"), list(python_blocks()))
def test_python_blocks_of_pages_run(page, block, tmp_path, monkeypatch):
    imported = re.findall(r"^ *(?:import|from) +(?:lovasz_opt\.)?(\w+)", block, flags=re.MULTILINE)
    require_frameworks(imported.__contains__)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, page, "exec"), {})


def public_objects():
    """Names with the checks that they need: overrides and dataclasses are documented elsewhere in part."""
    for name in lo.__all__:
        thing = getattr(lo, name)
        if inspect.isclass(thing):
            yield f"lovasz_opt.{name}", REQUIRED - {"PR01"} if dataclasses.is_dataclass(thing) else REQUIRED
            for attribute, member in vars(thing).items():
                if not attribute.startswith("_") and inspect.isfunction(member):
                    inherited = any(hasattr(base, attribute) for base in thing.__mro__[1:])
                    checks = REQUIRED - {"PR01", "RT01"} if inherited else REQUIRED
                    yield f"lovasz_opt.{name}.{attribute}", checks
        elif inspect.isfunction(thing):
            yield f"lovasz_opt.{name}", REQUIRED


@pytest.mark.parametrize(("name", "checks"), list(public_objects()))
def test_docstrings_are_numpydoc(name, checks):
    assert [error for error in validate(name)["errors"] if error[0] in checks] == []
