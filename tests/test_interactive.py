"""The interactive page of the documentation in headless Chromium, and its mathematics against the package."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import lovasz_opt as lo

FOLDER = Path(__file__).parents[1] / "docs" / "interactive"
SOURCES = ("index.html", "page.js", "prox.js", "style.css")
ADDRESS = (FOLDER / "index.html").as_uri()
#: The page shows six digits.
SHOWN = 1e-5


@pytest.fixture
def page(browser):
    """The page at the width of a desk. A test fails if it complains, or asks for more than its own files."""
    browser.events.clear()
    browser.show(1280)
    browser.open(ADDRESS)
    yield browser
    browser.settle()
    reported = {event["method"]: event for event in browser.events}
    for complaint in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert complaint not in reported, reported[complaint]
    requests = [event["params"]["request"] for event in browser.events if "request" in event["params"]]
    asked = {request["url"].partition("#")[0] for request in requests}
    assert asked == {(FOLDER / name).as_uri() for name in SOURCES}


def number(text):
    return float(text.replace("−", "-"))


def texts(page, selector):
    """What the elements say."""
    return page.evaluate(f"[...document.querySelectorAll({selector!r})].map(element => element.textContent)")


def shown(page):
    """The problem that the page shows and both of its answers."""
    cells = texts(page, "#by-pixel tbody td")
    rows = [cells[k : k + 5] for k in range(0, len(cells), 5)]
    fields = page.evaluate("[...document.querySelectorAll('.pixel [type=number]')].map(field => field.value)")
    return {
        "x": [float(field) for field in fields],
        "foreground": [row[0].endswith("foreground") for row in rows],
        "gamma": float(page.evaluate("document.querySelector('#gamma').value")),
        "hinge": page.evaluate("document.querySelector('[value=hinge]').checked"),
        "greedy": [number(row[2]) for row in rows],
        "exact": [number(row[3]) for row in rows],
        "in order": [number(row[4]) for row in rows],
    }


def in_all(page, row):
    """A row of the second table: its name and the cells of both answers."""
    name, _, *both = texts(page, f"#in-all tbody tr:nth-child({row}) td")
    return [name, *both]


def answers(problem, method="exact"):
    """The proximal point by the package."""
    target, x, gamma = np.array(problem["foreground"]), np.array(problem["x"]), problem["gamma"]
    if not problem["hinge"]:
        return lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma, method=method)
    signs = 2.0 * target - 1.0
    return 1.0 - signs * lo.LovaszHinge(target).prox(signs * (1.0 - x), gamma, method)


def assert_right(page):
    """What is shown is what the package computes; return it."""
    now = shown(page)
    scale = max(map(abs, now["x"]))
    assert now["exact"] == pytest.approx(answers(now), rel=SHOWN, abs=SHOWN * scale)
    assert now["in order"] == pytest.approx(answers(now, "pav-in-order"), rel=SHOWN, abs=SHOWN * scale)
    return now


def test_the_sources_name_no_address():
    for name in SOURCES:
        source = (FOLDER / name).read_text()
        assert not re.search(r"https?:|[\"'(]//|@import|fetch\(|XMLHttpRequest|WebSocket", source), name
    links = set(re.findall(r'(?:href|src)="([^"]*)"', (FOLDER / "index.html").read_text()))
    assert links == {"../index.html", "../algorithm.html", "data:,", "style.css", "prox.js", "page.js"}


def test_the_page_shows_the_counterexample(page):
    now = assert_right(page)
    assert (now["x"], now["foreground"], now["gamma"]) == ([26, 12, 13], [True, False, True], 12)
    assert now["greedy"] == [0.5, 0, 0.5]
    assert now["exact"] == [20, 10, 9]
    assert now["in order"] == [20, 9.5, 9.5]
    assert in_all(page, 2) == ["objective", "204", "204.25"]
    assert in_all(page, 3) == ["above the least objective", "0", "0.25"]
    # Pooling passes the test of the gap and fails that of the polytope.
    assert in_all(page, 4) == ["duality gap of the residual", "0", "0"]
    assert in_all(page, 5) == ["largest violation w(A) − Δ(A)", "0", "0.04167, A = {1, 2}"]
    assert texts(page, "#verdict")[0].startswith("Pooling in the order of x wastes 0.25")
    assert texts(page, "#events li") == ["γ = 2: 2 and 3 pool", "γ = 6: 2 and 3 part, 3 falls below 2"]
    assert [len(texts(page, f"{panel} .ring")) for panel in ("#exact", "#in-order", "#paths")] == [1, 0, 1]
    assert [len(texts(page, f"{panel} .bracket")) for panel in ("#exact", "#in-order")] == [0, 1]


def test_every_example_opens(page):
    count = len(texts(page, "#presets button"))
    seen = []
    for k in range(1, count + 1):
        page.click(f"#presets button:nth-child({k})")
        seen.append(assert_right(page))
        pressed = page.evaluate("[...document.querySelectorAll('#presets button')].map(b => b.ariaPressed)")
        assert pressed == ["true" if k == j else "false" for j in range(1, count + 1)]
    assert (seen[1]["x"], seen[1]["gamma"]) == ([1.5, 1, 0.99], 1)
    assert seen[1]["exact"] == [1, 0.666667, 0.823333]
    assert seen[1]["in order"] == [1, 0.745, 0.745]
    assert any(len(now["x"]) == 2 for now in seen)
    assert any(not any(now["foreground"]) for now in seen)
    assert any(now["hinge"] and min(now["x"]) < 0 for now in seen)
    assert len(seen[-1]["x"]) == 8


@pytest.mark.parametrize("panel", ["exact", "in-order"])
def test_a_margin_follows_the_mouse(page, panel):
    page.drag(f"#{panel} .handle:nth-of-type(3)", 0, -60)
    now = assert_right(page)
    # The number lines are 286 pixels high and show 30 units.
    assert now["x"][2] == pytest.approx(13 + 60 * 30 / 286, abs=0.1)
    assert now["x"][:2] == [26, 12]
    # It stays within the axis.
    page.drag(f"#{panel} .handle:nth-of-type(3)", 0, -600)
    assert assert_right(page)["x"][2] == 30


def test_the_point_on_the_map_follows_the_mouse(page):
    before = shown(page)["x"]
    page.drag("#map .handle", 40, 30)
    now = assert_right(page)
    assert now["x"][0] == before[0]
    assert now["x"][1] > before[1] + 2
    assert now["x"][2] < before[2] - 1
    # A click puts it where the mouse is, for the map is 420 pixels or smaller.
    page.click("#map canvas + svg")
    assert assert_right(page)["x"] != now["x"]


def test_the_step_follows_the_mouse(page):
    page.drag("#paths .handle", -100, 0)
    now = assert_right(page)
    assert 0 < now["gamma"] < 12
    page.drag("#gamma-slider", 5, 0)
    # The middle of the slider is the middle of its three decades.
    assert assert_right(page)["gamma"] == pytest.approx(30 / 10**1.5, rel=0.5)


def test_a_finger_moves_margins_and_scrolls_elsewhere(page):
    page.show(390, touch=True)
    page.open(ADDRESS)
    page.swipe("#exact .handle:nth-of-type(1)", 0, 70)
    now = assert_right(page)
    assert now["x"][0] == pytest.approx(26 - 70 * 30 / 286, abs=0.1)
    before = page.evaluate("scrollY")
    page.swipe("#in-order svg", 0, -200)
    assert page.evaluate("new Promise(done => setTimeout(() => done(scrollY), 100))") > before
    assert shown(page)["x"] == now["x"]


def test_the_keyboard_moves_everything(page):
    page.evaluate("document.querySelector('#exact .handle:nth-of-type(2)').focus()")
    page.press("ArrowUp")
    page.press("ArrowUp")
    page.press("ArrowDown")
    assert assert_right(page)["x"] == [26, 12.1, 13]
    page.press("PageUp")
    assert assert_right(page)["x"] == [26, 13.1, 13]
    handle = "document.querySelector('#exact .handle:nth-of-type(2)')"
    assert page.evaluate(f"{handle}.getAttribute('aria-valuenow')") == "13.1"
    assert page.evaluate(f"{handle}.getAttribute('aria-label')") == "Margin of pixel 2, background"
    page.evaluate("document.querySelector('#map .handle').focus()")
    page.press("ArrowRight")
    page.press("ArrowDown")
    assert assert_right(page)["x"] == [26, 13.2, 12.9]
    page.evaluate("document.querySelector('#paths .handle').focus()")
    page.press("ArrowLeft")
    assert assert_right(page)["gamma"] == 11.9
    page.evaluate("document.querySelector('#pixels [type=range]').focus()")
    page.press("ArrowLeft")
    assert assert_right(page)["x"][0] == 25.9
    # What can be dragged can be reached, and has a name.
    handles = "[...document.querySelectorAll('.handle:not([aria-hidden])')]"
    assert page.evaluate(f"{handles}.length") == 5
    assert page.evaluate(f"{handles}.every(handle => handle.tabIndex === 0 && handle.ariaLabel)")


def test_play_sweeps_the_step(page):
    page.click("#play")
    first = assert_right_at_once(page)
    page.evaluate("new Promise(done => setTimeout(done, 300))")
    second = assert_right_at_once(page)
    assert 0 < first < second < 5
    page.click("#play")
    rests = assert_right(page)["gamma"]
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert shown(page)["gamma"] == rests
    assert page.evaluate("document.querySelector('#play').textContent").endswith("Play")


def assert_right_at_once(page):
    """Look at the running page at one moment; return the step."""
    field = "document.querySelector('#gamma').value"
    row = "[...document.querySelectorAll('#by-pixel td:nth-child(4)')].map(cell => cell.textContent)"
    gamma, cells = page.evaluate(f"[{field}, {row}]")
    problem = {"x": [26, 12, 13], "foreground": [True, False, True], "gamma": float(gamma), "hinge": False}
    assert [number(cell) for cell in cells] == pytest.approx(answers(problem), rel=SHOWN)
    return float(gamma)


def test_classes_function_and_number_of_pixels(page):
    page.click(".pixel:nth-child(3) button")
    assert assert_right(page)["foreground"] == [True, False, False]
    page.click("#add")
    assert len(assert_right(page)["x"]) == 4
    page.click("#remove")
    page.click("#remove")
    assert assert_right(page)["x"] == [26, 12]
    assert page.evaluate("document.querySelector('#remove').disabled")
    page.evaluate(
        "(() => { const field = document.querySelector('.pixel [type=number]');"
        "field.value = '-7.25'; field.dispatchEvent(new Event('input')); })()"
    )
    page.settle()
    assert assert_right(page)["x"] == [-7.25, 12]
    page.click("[value=hinge]")
    now = assert_right(page)
    assert now["hinge"]
    assert now["exact"][0] == -7.25


def test_a_view_can_be_shared(page):
    page.click("#presets button:nth-child(5)")
    page.drag("#exact .handle:nth-of-type(1)", 0, 30)
    page.evaluate("new Promise(done => setTimeout(done, 400))")
    link, before = page.evaluate("location.href"), shown(page)
    page.open(link)
    assert shown(page) == before
    plane = "document.querySelector('#plane').value"
    assert page.evaluate(plane) == "1,2"
    # A link that is followed within the page, and one that says nothing.
    page.evaluate("location.hash = 'x=1f,2b&gamma=0.5'")
    page.settle()
    assert assert_right(page)["x"] == [1, 2]
    assert page.evaluate("document.querySelector('#notice').hidden")
    pixels = ("axis", "x=1f&gamma=1", "x=1f,2c&gamma=1", "x=1e9f,2b&gamma=1")
    for wrong in (*pixels, "x=1f,2b&gamma=0", "x=1f,2b&gamma=1&plane=1,3"):
        page.evaluate(f"location.hash = {wrong!r}")
        page.settle()
        assert not page.evaluate("document.querySelector('#notice').hidden"), wrong
        assert shown(page)["exact"] == [20, 10, 9]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page, width, dark):
    page.show(width, dark=dark, touch=width < 500)
    for k in range(1, len(texts(page, "#presets button")) + 1):
        page.open(ADDRESS)
        page.click(f"#presets button:nth-child({k})")
        root = "document.documentElement"
        assert page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]") == [width, width]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 24, 30)" if dark else "rgb(255, 255, 255)"
    )
    # The map is painted, and anew when the theme changes.
    picture = "document.querySelector('#map canvas').toDataURL()"
    painted = page.evaluate(picture)
    page.show(width, dark=not dark, touch=width < 500)
    page.settle()
    assert page.evaluate(picture) != painted


def problems(count):
    """Random problems: margins that are real, or integers with ties; some of one class only."""
    rng = np.random.default_rng(0)
    for k in range(count):
        size = rng.integers(1, 9)
        foreground = rng.random(size) < rng.choice([0.0, 0.3, 0.5, 0.7, 1.0])
        if k % 2:
            x, gamma = rng.integers(-5, 6, size).astype(float), float(rng.integers(1, 13))
        else:
            x, gamma = rng.standard_normal(size) * 10 ** rng.uniform(-1, 1), float(10 ** rng.uniform(-2, 2))
        hinge = bool(rng.random() < 0.5)
        yield {"x": x.tolist(), "foreground": foreground.tolist(), "gamma": gamma, "hinge": hinge}


def solve(page, cases, body):
    """The body of a JavaScript function of a problem, for every one of them."""
    return page.evaluate(f"{json.dumps(cases)}.map(problem => {{ {body} }})")


_ALL_ABOUT_IT = """
const [exact, inOrder] = [lovasz.prox(problem).z, lovasz.proxInOrder(problem).z];
const [w, wInOrder] = [exact, inOrder].map((z) => lovasz.residual(problem, z));
return {
  exact, inOrder,
  value: lovasz.value(problem, exact), greedy: lovasz.greedy(problem, problem.x),
  objective: lovasz.objective(problem, exact), waste: lovasz.gap(problem, inOrder, w),
  gap: lovasz.gap(problem, exact, w), gapInOrder: lovasz.gap(problem, inOrder, wInOrder),
  excess: lovasz.violation(problem, w).excess,
};
"""


def test_the_mathematics_agrees_with_the_package(page):
    cases = list(problems(1000))
    assert sum(not any(case["foreground"]) for case in cases) > 100
    assert sum(all(case["foreground"]) for case in cases) > 100
    assert sum(len(set(case["x"])) < len(case["x"]) for case in cases) > 100
    results = solve(page, cases, _ALL_ABOUT_IT)
    wasted = 0
    for case, result in zip(cases, results, strict=True):
        target, x, gamma = np.array(case["foreground"]), np.array(case["x"]), case["gamma"]
        scale = max(gamma, np.abs(x).max())
        exact, in_order = answers(case), answers(case, "pav-in-order")
        np.testing.assert_allclose(result["exact"], exact, rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(result["inOrder"], in_order, rtol=0, atol=1e-13 * scale)
        if case["hinge"]:
            signs, h = 2.0 * target - 1.0, lo.LovaszHinge(target)
            value = lambda z, signs=signs, h=h: h(signs * (1.0 - z))  # noqa: E731
            greedy = -signs * h.subgradient(signs * (1.0 - x))
        else:
            value = lo.LovaszExtension(lo.Jaccard(target))
            greedy = value.greedy(x)
        assert result["value"] == pytest.approx(value(exact), abs=1e-13 * scale)
        np.testing.assert_allclose(result["greedy"], greedy, rtol=0, atol=1e-15)
        objective = [0.5 * np.sum((z - x) ** 2) + gamma * value(z) for z in (exact, in_order)]
        assert result["objective"] == pytest.approx(objective[0], abs=1e-13 * scale**2)
        assert result["waste"] == pytest.approx(objective[1] - objective[0], abs=1e-12 * scale**2)
        assert abs(result["gap"]) <= 1e-13 * scale**2
        assert abs(result["gapInOrder"]) <= 1e-13 * scale**2
        assert result["excess"] * gamma <= 1e-13 * scale
        wasted += result["waste"] > 1e-6 * scale**2
    assert wasted > 50


def test_violations_are_those_of_the_package(page):
    cases = [case for case in problems(600) if not case["hinge"]]
    residual = "const w = lovasz.residual(problem, lovasz.proxInOrder(problem).z);"
    results = solve(page, cases, f"{residual} return lovasz.violation(problem, w);")
    violated = 0
    for case, result in zip(cases, results, strict=True):
        F = lo.Jaccard(case["foreground"])
        z = answers(case, "pav-in-order")
        w = (np.array(case["x"]) - z) / case["gamma"]
        tolerance = 1e-13 * max(1.0, np.abs(case["x"]).max() / case["gamma"])
        assert result["excess"] == pytest.approx(lo.LovaszExtension(F).infeasibility(w), abs=tolerance)
        if result["excess"] > 1e-6:
            violated += 1
            chosen = np.isin(np.arange(len(w)), result["pixels"])
            assert w[chosen].sum() - F(chosen) == pytest.approx(result["excess"], abs=tolerance)
    assert violated > 20


def test_paths_are_proximal_points_at_every_step(page):
    """Between its points a path is straight, as the page draws it; that is the prox there as well."""
    cases = list(problems(60))
    results = solve(page, cases, "return lovasz.sweep(problem, 2 * problem.gamma);")
    happened = 0
    for case, result in zip(cases, results, strict=True):
        gammas, paths = np.array(result["gammas"]), np.array(result["exact"])
        scale = max(case["gamma"], np.abs(case["x"]).max())
        for gamma in np.linspace(0.05, 1.95, 7) * case["gamma"]:
            here = [np.interp(gamma, gammas, path) for path in paths.T]
            np.testing.assert_allclose(here, answers({**case, "gamma": gamma}), rtol=0, atol=1e-7 * scale)
        for event in result["events"]:
            happened += 1
            exact = answers({**case, "gamma": event["gamma"]})
            np.testing.assert_allclose(event["z"], exact, rtol=0, atol=1e-12 * scale)
            for pool in event["merged"]:
                assert np.ptp(exact[pool]) <= 1e-7 * scale
            for i, j in event["fallen"]:
                assert case["foreground"][i]
                assert not case["foreground"][j]
                assert case["x"][i] > case["x"][j]
                assert exact[i] < exact[j] + 1e-12 * scale
    assert happened > 50
