"""Settings that all tests share."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from devtools import Browser, find_chromium
from hypothesis import HealthCheck, settings

# Compilation makes the first example slow and says nothing about the code, so there is no deadline.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


@pytest.fixture
def as_python(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], ModuleType]:
    """Makes the kernels of a module Python functions that call one another, and returns the module.

    They need no compilation, their constants can be made small, and what they call can be counted.
    """

    def replace(module: ModuleType) -> ModuleType:
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
        return module

    return replace


@pytest.fixture
def data_directory() -> Path:
    """Folder of the real data sets; tests that need it are skipped where LOVASZ_OPT_DATA is not set."""
    directory = os.environ.get("LOVASZ_OPT_DATA")
    if directory:
        return Path(directory)
    if os.environ.get("LOVASZ_OPT_REQUIRE_DATA"):
        pytest.fail("LOVASZ_OPT_REQUIRE_DATA is set, but LOVASZ_OPT_DATA is not")
    pytest.skip("set LOVASZ_OPT_DATA to the folder of the real data sets to run this test")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium without a network; tests that need it are skipped where there is none."""
    program = find_chromium()
    if program is None:
        if os.environ.get("LOVASZ_OPT_REQUIRE_CHROMIUM"):
            pytest.fail("LOVASZ_OPT_REQUIRE_CHROMIUM is set, but there is no Chromium")
        pytest.skip("no Chromium to open pages in")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def double_precision() -> Iterator[None]:
    """JAX with float64, where the test module has imported it."""
    jax = sys.modules.get("jax")
    if jax is None:
        yield
        return
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
