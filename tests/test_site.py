"""The documentation site in headless Chromium; LOVASZ_OPT_SITE is where `make docs` has built it."""

import os
from pathlib import Path

import pytest

SITE = os.environ.get("LOVASZ_OPT_SITE")
PAGES = [
    "index",
    "choose",
    "theory",
    "guarantees",
    "reliability",
    "limits",
    "paper",
    "api/core",
    "auto_gallery/index",
]

pytestmark = pytest.mark.skipif(SITE is None, reason="LOVASZ_OPT_SITE does not say where the site is")


def page(name):
    return (Path(SITE).resolve() / "docs" / f"{name}.html").as_uri()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_shows_its_pictures(browser, name, width):
    browser.show(width)
    browser.open(page(name))
    browser.settle()
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelector('main h1, h1').textContent.length") > 3
    missing = "[...document.images].filter(i => i.loading != 'lazy' && !i.naturalWidth).map(i => i.src)"
    assert browser.evaluate(missing) == []


def test_formulas_are_set_without_a_network(browser):
    browser.show(1280)
    browser.open(page("theory"))
    browser.evaluate("MathJax.startup.promise")
    assert browser.evaluate("document.querySelectorAll('mjx-container svg').length") > 50


def test_a_reader_finds_the_three_answers_in_two_clicks(browser):
    """How to use it in PyTorch, how to make the figures again, what is guaranteed."""
    browser.open(page("index"))
    first = "[...new Set([...document.querySelectorAll('article a, nav a')].map(a => a.href.split('#')[0]))]"
    reached = set(browser.evaluate(first))
    for name in ("frameworks", "paper", "guarantees"):
        assert page(name) in reached


def test_search_of_the_reference_finds_the_main_names(browser):
    browser.open(page("api/generated/lovasz_opt.LovaszExtension"))
    text = browser.evaluate("document.querySelector('article').textContent")
    for method in ("prox", "prox_jvp", "subgradient", "conjugate"):
        assert f"{method}(" in text
