"""The examples of docs/gallery run as they stand, without a warning, and draw."""

import runpy
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from threadpoolctl import threadpool_limits

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
EXAMPLES = sorted(GALLERY.glob("plot_*.py"))
#: An example that needs one of these has its name behind the number: plot_15_torch_training.py.
FRAMEWORKS = ("torch", "jax", "dask")
LONGEST = 80


@pytest.fixture
def pyplot(monkeypatch):
    """Pyplot without a display, and as it was afterwards."""
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    with matplotlib.rc_context():
        yield plt
    plt.close("all")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
# Clusters close their sockets in their own time.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*:DeprecationWarning:(distributed|tornado)")
def test_example_runs_and_draws(path, pyplot, tmp_path, monkeypatch, request):
    needed = path.stem.split("_")[2]
    if needed in FRAMEWORKS:
        pytest.importorskip(needed)
        # The example with JAX changes its precision.
        request.getfixturevalue("double_precision")
    monkeypatch.chdir(tmp_path)
    # Threads that wait for each other are slow where tests run side by side.
    with threadpool_limits(1):
        runpy.run_path(str(path), run_name="__main__")
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert figures
    for figure in figures:
        # A glyph that the font lacks, or axes that do not fit, are warnings, hence errors.
        figure.canvas.draw()
        assert all(axes.has_data() for axes in figure.axes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_imports_only_the_framework_in_its_name(path):
    source = path.read_text()
    used = [name for name in FRAMEWORKS if f"import {name}" in source or f"from {name}" in source]
    assert used == [name for name in FRAMEWORKS if name == path.stem.split("_")[2]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_the_form_of_the_gallery(path):
    lines = path.read_text().splitlines()
    assert len(lines) < LONGEST
    assert lines[0] == '"""'
    assert lines[2] == "=" * len(lines[1])
    assert lines.count("# %%") >= 3
    assert 'plt.style.use("lovasz_opt.figures.look")' in lines
    assert lines[-1] == "plt.show()"
