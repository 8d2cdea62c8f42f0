"""The report in a browser: headless Chromium, at the width of a desk and of a phone."""

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt.figures import catalogue, report
from lovasz_opt.figures.settings import Settings


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of two figures."""
    out = tmp_path_factory.mktemp("report")
    catalogue.make(Settings.of(quick=True), out, "lovasz-opt figures --quick", ["speed", "last_layer"])
    return report.write_html(out)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_whole(browser, page, width):
    browser.show(width)
    browser.open(page.as_uri())
    images = browser.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(images) >= 2
    assert all(images)
    # Wide tables scroll in their own boxes, the page does not.
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
