"""The figure on IoU per image, per batch and over the data set."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from lovasz_opt import datasets, grid
from lovasz_opt.figures import batches, batches_drawing, linear_softmax
from lovasz_opt.figures.batches_differences import by_batch, claims, differences
from lovasz_opt.figures.linear_softmax import Images
from lovasz_opt.figures.recipes import Recipe, measures
from lovasz_opt.figures.settings import Settings
from lovasz_opt.grid import Done, Outcome

TILES = {"kind": "tiles", "scale": 4, "tile": 16}
CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def images():
    """Images of different sizes, the class of a pixel nearly fixed by its features."""
    rng = np.random.default_rng(4)
    features, labels = [], []
    for p in (7, 12, 5, 9):
        truth = rng.integers(0, 3, p) if p > 5 else np.zeros(p, dtype=np.int64)
        features.append(np.eye(3)[truth] + 0.3 * rng.standard_normal((p, 3)))
        labels.append(truth)
    return Images(features, labels, CLASSES)


class TestRecipe:
    presence = np.random.default_rng(0).random((10, 4)) < 0.3

    def test_random_order_takes_every_image_once_an_epoch(self):
        steps = list(Recipe(batch=4).batches(self.presence, 23, seed=1))
        assert [len(step) for step in steps] == [4] * 5 + [3]
        stream = [i for step in steps for i in step]
        assert sorted(stream[:10]) == sorted(stream[10:20]) == list(range(10))
        assert stream[:10] != stream[10:20]

    def test_equibatch_shows_all_classes_in_turn(self):
        steps = list(Recipe(batch=4, equibatch=True).batches(self.presence, 8, seed=1))
        assert all(self.presence[step].any(axis=0).all() for step in steps)

    def test_seed_fixes_the_batches(self):
        for equibatch in (False, True):
            recipe = Recipe(batch=3, equibatch=equibatch)
            first, again, other = (list(recipe.batches(self.presence, 30, seed)) for seed in (1, 1, 2))
            assert first == again != other

    def test_cross_entropy_comes_first(self):
        recipe = Recipe(batch=1, weight=0.7, warm=0.5)
        assert [recipe.weight_at(part) for part in (0, 0.49, 0.5, 1)] == [0, 0, 0.7, 0.7]


def test_measures_are_those_of_confusion_matrices():
    rng = np.random.default_rng(1)
    truths = [rng.integers(0, 3, size) for size in (20, 40, 3)]
    truths[2][:] = 1
    guesses = [np.where(rng.random(t.shape) < 0.6, t, rng.integers(0, 3, t.shape)) for t in truths]
    truths[0][:4] = 255
    tables = []
    for guess, truth in zip(guesses, truths, strict=True):
        table = np.zeros((4, 4))
        for g, t in zip(guess[truth < 255], truth[truth < 255], strict=True):
            table[t, g] += 1
        tables.append(table)

    def ious(table):
        union = table.sum(0) + table.sum(1) - table.diagonal()
        return [table[c, c] / union[c] if union[c] else None for c in range(4)]

    found = measures(guesses, truths, 4)
    whole = ious(sum(tables))
    assert found["classes"] == pytest.approx(whole)
    assert whole[3] is None
    assert found["dataset"] == pytest.approx(np.mean(whole[:3]))
    single = [np.mean([v for v in ious(table) if v is not None]) for table in tables]
    assert found["image"] == pytest.approx(np.mean(single))


def _lovasz(errors, truth):
    """Lovász extension of the Jaccard loss, by its definition."""
    order = np.argsort(-errors)
    value = before = 0.0
    for k in range(1, len(order) + 1):
        wrong = np.zeros(len(order), dtype=bool)
        wrong[order[:k]] = True
        after = wrong.sum() / (truth | wrong).sum()
        value += errors[order[k - 1]] * (after - before)
        before = after
    return value


def _lovasz_softmax(scores, labels, every):
    probas = softmax(scores, axis=1)
    counted = range(probas.shape[1]) if every else np.unique(labels)
    return np.mean([_lovasz(abs((labels == c) - probas[:, c]), labels == c) for c in counted])


def _loss(images, W, recipe):
    scores = [rows @ W for rows in images.features]
    joined, labels = np.concatenate(scores), np.concatenate(images.labels)
    cross_entropy = -log_softmax(joined, axis=1)[np.arange(len(labels)), labels].mean()
    every = recipe.classes == "all"
    if recipe.per_image:
        lovasz = np.mean([_lovasz_softmax(*pair, every) for pair in zip(scores, images.labels, strict=True)])
    else:
        lovasz = _lovasz_softmax(joined, labels, every)
    return recipe.weight * lovasz + (1 - recipe.weight) * cross_entropy


class TestLinearModels:
    @pytest.mark.parametrize(
        "recipe",
        [
            Recipe(4, weight=0.0),
            Recipe(4),
            Recipe(4, per_image=True),
            Recipe(4, classes="all"),
            Recipe(4, weight=0.3, per_image=True, classes="all"),
            Recipe(4, weight=0.6),
        ],
    )
    def test_gradient_is_that_of_the_loss(self, images, recipe):
        W = np.random.default_rng(2).standard_normal((3, 3))
        found = linear_softmax._gradient(images, W, recipe, recipe.weight)
        for index in np.ndindex(W.shape):
            step = np.zeros_like(W)
            step[index] = 1e-6
            slope = (_loss(images, W + step, recipe) - _loss(images, W - step, recipe)) / 2e-6
            assert found[index] == pytest.approx(slope, abs=1e-6)

    def test_training_learns_and_follows_from_the_seed(self, images):
        for recipe in (Recipe(2, weight=0.0), Recipe(2), Recipe(2, per_image=True, equibatch=True, warm=0.5)):
            W = linear_softmax.train(images, recipe, 0.1, 30, seed=3)
            assert linear_softmax.evaluate(images, W)["dataset"] > 0.8
            assert np.array_equal(W, linear_softmax.train(images, recipe, 0.1, 30, seed=3))
            assert not np.array_equal(W, linear_softmax.train(images, recipe, 0.1, 30, seed=4))

    def test_warm_start_is_cross_entropy_until_the_switch(self, images):
        """With all of the images seen in the first phase, nothing else is done."""
        alone, warm = (Recipe(2, weight=0.0), Recipe(2, warm=1.0))
        assert np.array_equal(*(linear_softmax.train(images, r, 0.1, 5, seed=0) for r in (alone, warm)))

    def test_held_out_images_are_not_fitted(self, images):
        fit, held = linear_softmax.fit_and_held(images, 0)
        assert (len(fit), len(held)) == (3, 1)
        together = sorted([*map(id, fit.labels), *map(id, held.labels)])
        assert together == sorted(map(id, images.labels))

    def test_photograph_in_three_depths(self):
        train, val = linear_softmax.load(TILES)
        near, nearest = (
            np.count_nonzero(datasets.motorcycle(4, threshold).target == 1) for threshold in (20, 40)
        )
        counts = np.bincount(np.concatenate([*train.labels, *val.labels]), minlength=3)
        assert counts[2] == nearest
        assert counts[1] + counts[2] == near
        assert train.features[0].dtype == np.float32

    def test_voc_in_seven_classes(self, data_directory):
        train, val = linear_softmax.load({"kind": "voc", "data": str(data_directory)})
        assert (len(train), len(val), len(train.classes)) == (437, 223, 7)
        alone = datasets.voc(data_directory, "dog", "val")
        k = train.classes.index("dog")
        assert val.presence[:, k].sum() == len(alone.ids)
        there = np.concatenate(alone.targets) == 1
        assert np.count_nonzero(np.concatenate(val.labels) == k) == np.count_nonzero(there)


def test_cell_chooses_a_step_and_repeats_itself():
    arguments = {"source": TILES, "recipe": asdict(Recipe(4)), "epochs": 1, "rates": [1e-5, 3e-2], "seed": 0}
    found = batches.run_linear(**arguments).measures
    assert found["rate"] == 3e-2
    assert found["held"] == max(found["tried"]) == found["tried"][1]
    assert found == batches.run_linear(**arguments).measures
    assert found != batches.run_linear(**{**arguments, "seed": 1}).measures
    train, val = linear_softmax.load(TILES)
    W = linear_softmax.train(train, Recipe(4), 3e-2 * 2, 1, seed=0)
    assert found["dataset"] == linear_softmax.evaluate(val, W)["dataset"]


def _runs(dataset, image=None, held=None):
    """One run a seed; image-mIoU is 0.5 unless given."""
    image = image or [0.5] * len(dataset)
    held = held or [None] * len(dataset)
    rows = zip(dataset, image, held, strict=True)
    return {seed: {"dataset": d, "image": i, "held": h} for seed, (d, i, h) in enumerate(rows)}


class TestDifferences:
    def test_are_means_over_common_batches_paired_by_seed(self):
        scores = {
            ("per batch", 2): _runs([0.6, 0.7, 0.8]),
            ("per batch", 8): _runs([0.7, 0.9, 0.8], [0.4, 0.4, 0.4]),
            ("per batch", 16): _runs([0.1, 0.2, 0.3]),
            ("cross-entropy", 2): _runs([0.5, 0.5, 0.5]),
            ("cross-entropy", 8): _runs([0.5, 0.5, 0.5]),
        }
        found = {gap.key: gap for gap in differences(scores)}
        gap = found["batch"]
        gaps = np.array([0.15, 0.3, 0.3])
        assert (gap.batches, gap.seeds) == ("2, 8", 3)
        assert (gap.dataset.mean, gap.dataset.error) == pytest.approx(
            (gaps.mean(), gaps.std(ddof=1) / 3**0.5)
        )
        assert gap.image.mean == pytest.approx(-0.05)
        assert gap.contrast.mean == pytest.approx(0.3)
        growth = found["growth"]
        assert growth.batches == "16 − 2"
        assert growth.dataset.mean == pytest.approx(-0.5)
        assert found.keys() == {"batch", "growth"}
        singly = {gap.batches: gap.dataset.mean for gap in by_batch(scores)}
        assert singly == pytest.approx({"2": 0.2, "8": 0.3})

    def test_one_image_is_one_batch(self):
        """Of one image nothing is compared."""
        scores = {(family, 1): _runs([0.5]) for family in ("per batch", "per image")}
        assert "grouping" not in {gap.key for gap in differences(scores)}

    def test_best_batch_is_chosen_on_images_held_out(self):
        scores = {
            ("per batch", 1): _runs([0.9, 0.6], held=[0.5, 0.9]),
            ("per batch", 4): _runs([0.7, 0.9], held=[0.6, 0.8]),
            ("cross-entropy", 4): _runs([0.5, 0.5], held=[0.1, 0.1]),
        }
        best = next(gap for gap in differences(scores) if gap.key == "batch, best")
        assert best.dataset.mean == pytest.approx((0.2 + 0.1) / 2)

    @pytest.mark.parametrize(
        ("ours", "status"),
        [
            ([0.61, 0.62, 0.63], "supported"),
            ([0.41, 0.42, 0.43], "contradicted"),
            ([0.41, 0.62, 0.50], "undecided"),
            ([0.50, 0.50, 0.50], "undecided"),
            ([0.61, 0.62], "undecided"),
        ],
    )
    def test_claims_need_two_standard_errors_and_three_seeds(self, ours, status):
        scores = {("equibatch", 4): _runs(ours), ("per batch", 4): _runs([0.5] * len(ours))}
        (claim,) = claims(differences(scores))
        assert claim.status == status


def _done(settings, value):
    """All cells, each with the scores that `value` gives for its family and batch."""
    done = Done()
    for study in batches.studies(settings):
        for (family, batch, seed), cell in study.cells.items():
            dataset, image = value(family, batch)
            noise = 0.001 * np.random.default_rng([seed, batch]).standard_normal()
            done.outcomes[cell.key] = Outcome(
                measures={
                    "dataset": dataset + noise,
                    "image": image + noise,
                    "classes": [None, *[0.5] * (len(study.classes) - 1)],
                    "rate": 1e-3,
                    "held": dataset,
                    "train": {"dataset": dataset, "image": image},
                }
            )
    return done


def _as_claimed(family, batch):
    """Distinct for every family, the order as the paper has it."""
    dataset = {"cross-entropy": 0.5, "per image": 0.52, "all classes": 0.53, "equibatch": 0.57}.get(
        family, 0.55
    )
    image = {"cross-entropy": 0.5, "per image": 0.56}.get(family, 0.52)
    return dataset + (0.0001 * batch if family == "per batch" else 0), image


class TestPage:
    # Never read: what was measured is given.
    settings = replace(Settings.of(), data="nowhere", seeds=3)

    @pytest.fixture(autouse=True)
    def _without_torch(self, monkeypatch):
        monkeypatch.setattr(batches, "find_spec", lambda name: None)

    def test_verdict_follows_the_numbers(self, tmp_path, monkeypatch):
        for draw in ("draw_curves", "draw_differences"):
            monkeypatch.setattr(batches_drawing, draw, lambda path, studies: path)
        page = batches.publish(self.settings, _done(self.settings, _as_claimed), tmp_path)
        statuses = [claim["status"] for claim in page.numbers["claims"]["VOC"]]
        assert (page.verdict, statuses) == ("confirmed", ["supported"] * 6)

        def reverse(family, batch):
            dataset, image = _as_claimed(family, batch)
            return 1 - dataset, 1 - image

        page = batches.publish(self.settings, _done(self.settings, reverse), tmp_path)
        assert page.verdict == "refuted"

        def mixed(family, batch):
            return (0.6 if family == "equibatch" else 0.5), 0.5

        page = batches.publish(self.settings, _done(self.settings, mixed), tmp_path)
        assert page.verdict == "partly confirmed"
        assert "1 are supported" in page.why
        assert "PyTorch" in page.findings[-1]

    def test_all_files_are_written(self, tmp_path):
        page = batches.publish(self.settings, _done(self.settings, _as_claimed), tmp_path)
        files = page.write(tmp_path / "batches.json", {})
        names = {file.name for file in files}
        assert {"batches.png", "batches.pdf", "batches-differences.png", "batches.csv"} <= names
        assert all(file.stat().st_size for file in files)

    def test_any_subset_of_cells_is_enough(self, tmp_path):
        done = _done(self.settings, _as_claimed)
        keys = sorted(done.outcomes)
        for count in (0, 1, len(keys) // 2):
            some = Done({key: done.outcomes[key] for key in keys[:count]})
            page = batches.publish(self.settings, some, tmp_path)
            page.write(tmp_path / "batches.json", {})
            if count < 2:
                assert (page.verdict, page.pictures) == ("not testable here", [])

    def test_photograph_gives_no_verdict(self, tmp_path):
        settings = replace(Settings.of(), seeds=3)
        page = batches.publish(settings, _done(settings, _as_claimed), tmp_path)
        assert page.verdict == "not testable here"
        assert page.pictures


def test_quick_cells_run(tmp_path: Path):
    settings = Settings.of(quick=True)
    done = grid.run(batches.cells(settings), tmp_path / "cells")
    assert not done.failures
    assert batches.publish(settings, done, tmp_path).tables[0].rows


def test_equal_recipes_are_run_once():
    cells = batches.cells(replace(Settings.of(), seeds=1))
    by_key = {cell.key for cell in cells}
    # Of one image, per batch and per image.
    assert len(cells) - len(by_key) == 1


class TestNetworks:
    @pytest.fixture
    def scenes(self):
        """Three classes by colour; class 0 is nowhere in the last image."""
        pytest.importorskip("torch")
        from lovasz_opt.training.data import Images

        rng = np.random.default_rng(3)
        masks = rng.integers(0, 3, (6, 4, 4)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
        masks[5][masks[5] == 0] = 1
        pixels = np.stack([(masks == c) * 200 for c in range(3)], axis=1) + rng.integers(
            0, 50, (6, 3, 16, 16)
        )
        masks[:, 0, 0] = 255
        return Images(pixels.astype(np.uint8), masks, tuple("uvwxyz"), CLASSES)

    @pytest.mark.parametrize(
        "recipe",
        [
            Recipe(6, weight=0.0),
            Recipe(6),
            Recipe(6, per_image=True),
            Recipe(6, classes="all", per_image=True),
            Recipe(6, weight=0.4),
        ],
    )
    def test_loss_is_that_of_the_linear_models(self, scenes, recipe):
        import torch

        from lovasz_opt.figures import network_softmax

        logits = np.random.default_rng(0).standard_normal((6, 3, 16, 16))
        found = network_softmax._loss(
            torch.from_numpy(logits), torch.from_numpy(scenes.masks).long(), recipe, recipe.weight
        )
        rows = [
            image.reshape(3, -1).T[mask.ravel() < 255]
            for image, mask in zip(logits, scenes.masks, strict=True)
        ]
        labels = [mask[mask < 255].astype(int) for mask in scenes.masks]
        # The scores themselves as the features of a linear model.
        assert float(found) == pytest.approx(_loss(Images(rows, labels, CLASSES), np.eye(3), recipe))

    def test_training_learns_and_follows_from_the_seed(self, scenes):
        from lovasz_opt.figures import network_softmax

        recipe = Recipe(2, warm=0.5)
        found, again, other = (
            network_softmax.evaluate(scenes, network_softmax.train(scenes, recipe, 1e-2, 20, seed))
            for seed in (0, 0, 1)
        )
        assert found["dataset"] > 0.8
        assert found == again != other

    def test_cell_runs(self, data_directory):
        pytest.importorskip("torch")
        settings = replace(Settings.of(quick=True), data=str(data_directory))
        study = batches.studies(settings)[1]
        cell = next(iter(study.cells.values()))
        found = cell.function(**cell.arguments).measures
        assert 0 < found["dataset"] < 1
        assert len(found["classes"]) == len(study.classes)
