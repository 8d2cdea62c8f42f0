"""The report in a browser: headless Chromium, at the width of a desk and of a phone."""

import os
import re
import shutil
import subprocess

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt.figures import catalogue, report
from lovasz_opt.figures.settings import Settings

_SIZE = """
<script>
const broken = [...document.images].filter(image => !image.complete || !image.naturalWidth).length;
const page = document.documentElement;
const beyond = page.scrollWidth - page.clientWidth;
document.body.append(`[broken ${broken} of ${document.images.length}] [beyond ${beyond}]`);
</script>
"""


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("LOVASZ_OPT_REQUIRE_CHROMIUM"):
            pytest.fail("LOVASZ_OPT_REQUIRE_CHROMIUM is set, but there is no Chromium")
        pytest.skip("no Chromium to open the report in")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of two figures; what is measured in the browser is added at its end."""
    out = tmp_path_factory.mktemp("report")
    catalogue.make(Settings.of(quick=True), out, "lovasz-opt figures --quick", ["speed", "last_layer"])
    file = report.write_html(out)
    measured = out / "measured.html"
    measured.write_text(file.read_text().replace("</body>", _SIZE + "</body>"))
    return measured


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_whole(chromium, page, width, tmp_path):
    options = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-extensions", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--dump-dom", f"--user-data-dir={tmp_path}", f"--window-size={width},900",
        "--virtual-time-budget=2000",
    )  # fmt: skip
    result = subprocess.run(
        [chromium, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    broken, images = map(int, re.search(r"\[broken (\d+) of (\d+)\]", result.stdout).groups())
    assert images >= 2
    assert broken == 0
    # Wide tables scroll in their own boxes, the page does not.
    assert int(re.search(r"\[beyond (-?\d+)\]", result.stdout).group(1)) <= 0
