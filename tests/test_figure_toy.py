"""The figure of the prox against subgradient steps on one image, and the score maps it takes."""

import json

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")
from lovasz_opt import grid, reference
from lovasz_opt.datasets import DataError, voc_logits
from lovasz_opt.figures import toy
from lovasz_opt.figures.score_maps import ScoreMap, interpolated, load, log_odds
from lovasz_opt.figures.settings import Settings
from lovasz_opt.sets import Jaccard

SMALL = Settings.of(quick=True)
IMAGE = ScoreMap("four", np.array([0.3, -1.2, 0.4, 2.0]), np.array([True, True, False, False]))


def objective(z, gamma):
    """½‖F − U‖² + γL(F) from all sets."""
    signs = np.where(IMAGE.target, 1, -1)
    table = reference.set_values(Jaccard(IMAGE.target))
    loss = reference.extension_over_vertices(table, 1 - signs * z, polymatroid=True)
    return 0.5 * ((z - IMAGE.scores) ** 2).sum() + gamma * loss


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy")
    todo = toy.cells(SMALL)
    for cell in todo:
        cell.arguments.update(iterations=20)
    done = grid.run(todo, out / "cells")
    assert not done.failures
    return todo, done, out


def published(made, monkeypatch, keep=lambda c: True):
    todo, done, out = made
    monkeypatch.setattr(toy, "cells", lambda settings: todo)
    kept = {c.key: done.outcomes[c.key] for c in todo if keep(c)}
    return toy.publish(SMALL, grid.Done(outcomes=kept), out)


def test_the_optimum_is_that_of_a_search_over_all_sets():
    here = toy.task("proximal", IMAGE)
    gamma = 0.5 * 2
    rng = np.random.default_rng(0)
    z = here.prox(np.zeros(4), 1.0, "exact")
    assert here.value(z) == pytest.approx(here.optimum, abs=1e-12)
    assert objective(z, gamma) == pytest.approx(here.optimum, abs=1e-12)
    assert here.relative_gap < 1e-12
    near = [objective(z + 10 ** rng.uniform(-4, 0) * rng.standard_normal(4), gamma) for _ in range(300)]
    assert min(near) >= here.optimum - 1e-12


def test_the_runs_are_those_of_the_definitions():
    here = toy.task("proximal", IMAGE)
    x0 = toy.start("flipped", IMAGE, 0)
    np.testing.assert_array_equal(x0, -IMAGE.scores)
    first = here.value(x0) - here.optimum
    for method in ("constant", "sqrt", "polyak", "momentum"):
        x, velocity, expected = x0, 0.0, []
        for k in range(1, 4):
            g = here.subgradient(x)
            if method == "momentum":
                velocity = 0.9 * velocity - 0.1 * g
                x = x + velocity
            else:
                step = {
                    "constant": 0.1,
                    "sqrt": 0.1 / k**0.5,
                    "polyak": (here.value(x) - here.optimum) / (g @ g),
                }
                x = x - step[method] * g
            expected.append((here.value(x) - here.optimum) / first)
        seconds, gaps = toy._follow(here, method, 0.1, x0, first, [1, 2, 3])
        assert gaps == pytest.approx(expected, abs=1e-13)
        assert seconds == sorted(seconds)
    assert toy._follow(here, "prox", 1.0, x0, first, [1, 2, 3])[1] == pytest.approx([0, 0, 0], abs=1e-14)


def test_what_blows_up_is_said_to():
    here = toy.task("proximal", IMAGE)
    x0 = toy.start("zero", IMAGE, 0)
    gaps = toy._follow(here, "constant", 1e50, x0, 1.0, [1, 2, 3, 10])[1]
    assert gaps[-1] is None
    assert len(gaps) == 4


def test_runs_are_the_same_for_the_same_seed():
    source = {"kind": "photograph", "scale": 8}

    def gaps(seed):
        m = toy.run(source, "loss", "random", seed, 5).measures
        return [entry["gap"] for entry in m["runs"]]

    assert gaps(1) == gaps(1)
    assert gaps(1) != gaps(2)


def test_watched_iterations():
    assert toy.watched_iterations(50)[:3] == [1, 2, 3]
    assert toy.watched_iterations(50)[-1] == 50
    assert toy.watched_iterations(1) == [1]


def test_the_page(made, monkeypatch):
    page = published(made, monkeypatch)
    lines = page.numbers["lines"]
    for which in toy.TASKS:
        assert lines[which]["prox"]["iterations"] == 1
        assert lines[which]["prox"]["gap"] <= 1e-14
    assert page.numbers["relative_gap_of_optimum"] < 1e-10
    files = page.write(made[2] / "toy.json", {})
    assert {"toy.png", "toy.pdf", "toy.csv", "toy-best.csv"} <= {file.name for file in files}
    assert json.loads((made[2] / "toy.json").read_text())["verdict"] == page.verdict


def test_with_some_cells_or_none(made, monkeypatch):
    some = published(made, monkeypatch, lambda c: c.arguments["begin"] == "zero")
    assert some.numbers["starts"] == {"loss": 1, "proximal": 1}
    assert some.pictures
    for keep in (lambda c: c.arguments["which"] == "loss", lambda c: False):
        page = published(made, monkeypatch, keep)
        assert (page.verdict, page.pictures) == ("not testable here", [])


def line(iterations, decades, steps=7):
    return {"iterations": iterations, "decades": decades, "steps": steps}


def test_the_verdict_follows_the_numbers():
    def verdict(prox, theirs):
        lines = {"prox": prox, "path": prox} | dict.fromkeys(("constant", "adam", "polyak"), theirs)
        return toy._verdict({"lines": {"loss": lines, "proximal": lines}})[0]

    assert verdict(line(1, 5), line(30, 3)) == "confirmed"
    assert verdict(line(1, 5), line(None, 0)) == "confirmed"
    assert verdict(line(1, 5), line(2, 3)) == "partly confirmed"
    assert verdict(line(1, 2), line(30, 3)) == "partly confirmed"
    assert verdict(line(20, 2), line(30, 3)) == "refuted"
    assert verdict(line(None, 0), line(None, 0)) == "refuted"


def test_score_maps():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((5, 6, 4))
    powers = np.exp(logits)
    share = powers[..., 2] / powers.sum(axis=-1)
    np.testing.assert_allclose(log_odds(logits, 2), np.log(share / (1 - share)))
    fine = interpolated(logits)
    assert fine.shape == (17, 21, 4)
    where = np.stack(np.meshgrid(np.arange(17) / 4, np.arange(21) / 4, indexing="ij"))
    for channel in range(4):
        expected = ndimage.map_coordinates(logits[..., channel], where, order=1)
        np.testing.assert_allclose(fine[..., channel], expected, atol=1e-12)
    (photo,) = load("photograph", scale=8)
    assert photo.scores.shape == photo.target.shape
    assert photo.target.any()


@pytest.mark.data
def test_voc_score_maps(data_directory):
    coarse, fine = (load("voc", data=str(data_directory), cls="sheep", fine=fine) for fine in (False, True))
    names = {image.name: image for image in fine}
    assert len(coarse) > 10
    for image in coarse[:5]:
        assert image.target.any()
        assert 8 < len(names[image.name].scores) / len(image.scores) < 17
    # A network that was trained on the classes finds most of the pixels.
    right = [np.mean((image.scores > 0) == image.target) for image in fine]
    assert np.mean(right) > 0.9


def test_damaged_logits_are_named(tmp_path):
    arrays = {
        "masks129": np.zeros((2, 129, 129), dtype=np.uint8),
        "ids": np.array(["a", "b"]),
        "logits": np.zeros((2, 33, 33, 20), dtype=np.uint8),
    }
    np.savez(tmp_path / "deeplab_val.npz", **arrays)
    with pytest.raises(DataError, match=r"deeplab_val\.npz: logits has shape \(2, 33, 33, 20\)"):
        voc_logits(tmp_path)
    with pytest.raises(ValueError, match="choose 'train' or 'val'"):
        voc_logits(tmp_path, "test")
    arrays["logits"] = np.full((2, 33, 33, 21), 7, dtype=np.uint8)
    np.savez(tmp_path / "deeplab_val.npz", logits_scale=0.5, logits_zero=3, **arrays)
    logits, masks, ids = voc_logits(tmp_path)
    assert (logits == 2.0).all()
    assert masks.shape == (2, 129, 129)
    assert ids == ("a", "b")
