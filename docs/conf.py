"""The documentation site, `make docs`.

The root of the source is that of the repository, so that a link between pages works here as it does in the
repository; the pages outside docs/ that belong to the site are listed below.
"""

import re
import shutil
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent

project = "lovasz_opt"
author = "The lovasz_opt developers"
copyright = author
release = version = installed_version("lovasz-opt")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "proofs/README.md",
    "proofs/paper/*.md",
    "proofs/certificates/README.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "benchmarks/reliability/results/*.md",
    "benchmarks/lovasz_hinge/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "docs/_templates",
    "docs/gallery/README.rst",
    "docs/sg_execution_times.rst",
]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "docs/gallery",
    "gallery_dirs": "docs/auto_gallery",
    # An example whose framework is not installed is shown without its output.
    "filename_pattern": "/plot_.._(?!{})".format(
        "|".join(["none", *(name for name in ("torch", "jax", "dask") if not find_spec(name))])
    ),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 10**6,
    "show_memory": False,
    "show_signature": False,
    "doc_module": ("lovasz_opt",),
    "backreferences_dir": "docs/auto_gallery/of",
    "image_scrapers": ("matplotlib",),
}

html_theme = "pydata_sphinx_theme"
html_title = "lovasz_opt"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
# The column at the left lists the pages below a page, which of the first level only these two have.
below = ["sidebar-nav-bs"]
html_sidebars = {"docs/*": [], "docs/proofs": below, "docs/tables": below}

LITERAL_OR_BAR = re.compile(r"``.*?``|\|")


def escape_bars(app, what, name, obj, options, lines):
    """|S| is the size of a set here; in reStructuredText it would be a substitution."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = LITERAL_OR_BAR.sub(lambda found: r"\|" if found[0] == "|" else found[0], line)


def add_pages(app, exception):
    """The interactive page as it is, and a door at the root."""
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        shutil.copytree(HERE / "interactive", out / "docs" / "interactive", dirs_exist_ok=True)
        target = f"{root_doc}.html"
        (out / "index.html").write_text(
            f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{project}</title>'
            f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">{project}</a></html>\n',
            encoding="utf-8",
        )


def setup(app):
    # The site carries MathJax; this form needs no fonts, which browsers refuse to pages from a disk.
    app.config.mathjax_path = "mathjax/tex-svg.js"
    # After numpydoc.
    app.connect("autodoc-process-docstring", escape_bars, priority=900)
    app.connect("build-finished", add_pages)
