"""What the figures about training share: images, rules, optimisers, measures."""

import numpy as np
import pytest

pytest.importorskip("skimage")
import lovasz_opt as lo
from lovasz_opt.figures import linear_models
from lovasz_opt.figures.settings import Settings
from lovasz_opt.figures.statistics import mean_and_error, paired
from lovasz_opt.losses import iou, lovasz_hinge_and_gradient
from lovasz_opt.problems import LinearHingeRisk

TILES = {"kind": "tiles", "scale": 6, "tile": 16}


def risk(seed=0, images=5):
    rng = np.random.default_rng(seed)
    features = [np.column_stack([rng.standard_normal((30, 3)), np.ones(30)]) for _ in range(images)]
    targets = [(X[:, 0] + 0.3 * rng.standard_normal(30) > 0.4).astype(np.uint8) for X in features]
    targets[-1][:] = 0
    return LinearHingeRisk(features, targets, 1e-3), features, targets


def test_problems():
    assert list(linear_models.problems(Settings())) == ["motorcycle"]
    assert list(linear_models.problems(Settings(data="somewhere"))) == [
        "cat", "cow", "dog", "horse", "person", "sheep"
    ]  # fmt: skip
    assert list(linear_models.problems(Settings(data="somewhere", quick=True))) == ["cat"]


def test_a_deal_holds_out_a_quarter_and_keeps_the_validation_images():
    first, second, again = (linear_models.deal(TILES, seed) for seed in (0, 1, 0))
    assert first.val.ids == second.val.ids
    assert set(first.val.ids).isdisjoint(first.train.ids)
    for deal in (first, second):
        assert sorted([*deal.fit.ids, *deal.held.ids]) == sorted(deal.train.ids)
        assert len(deal.held.ids) == max(1, round(len(deal.train.ids) / 4))
    assert first.held.ids == again.held.ids
    assert first.held.ids != second.held.ids


@pytest.mark.data
def test_voc_deals_are_balanced(data_directory):
    source = {"kind": "voc", "data": str(data_directory), "cls": "sheep"}
    first, second = linear_models.deal(source, 0), linear_models.deal(source, 1)
    for part in (first.train, first.val):
        shown = [bool((target == 1).any()) for target in part.targets]
        assert sum(shown) == len(shown) / 2
    assert first.val.ids == second.val.ids
    assert first.train.ids != second.train.ids


@pytest.mark.parametrize("name", linear_models.LOSSES)
def test_rules_are_gradients(name):
    rng = np.random.default_rng(2)
    scores, labels = rng.standard_normal(12), (rng.random(12) < 0.5).astype(np.uint8)
    gradient = linear_models.RULES[name]()(scores, labels)
    h = 1e-6
    for i in range(12):
        ends = [linear_models.LOSSES[name](scores + s * h * np.eye(12)[i], labels)[0] for s in (1, -1)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-6)


def test_moreau_rules_with_the_exact_prox_and_with_the_path_walk():
    rng = np.random.default_rng(3)
    scores, labels = rng.standard_normal(40), (rng.random(40) < 0.4).astype(np.uint8)
    h = lo.LovaszHinge(labels)
    exact = (scores - h.prox(scores, 4.0)) / 4.0
    walked = (scores - h.prox(scores, 4.0, method="path", max_steps=3)) / 4.0
    np.testing.assert_allclose(linear_models.RULES["Moreau"](0.1)(scores, labels), exact, atol=1e-12)
    np.testing.assert_allclose(linear_models.path_walk(0.1, max_steps=3)(scores, labels), walked, atol=1e-12)
    assert np.abs(exact - walked).max() > 1e-3


def test_optimisers():
    adam, falling = linear_models.Adam(0.1), linear_models.Adam(0.1, steps=4)
    g = np.array([3.0, -0.5])
    # With one gradient only, every step is the rate against its sign.
    steps = [adam.step(g) for _ in range(4)]
    np.testing.assert_allclose(steps, [[-0.1, 0.1]] * 4, rtol=1e-6)
    expected = np.outer([1, 0.75, 0.5, 0.25], [-0.1, 0.1])
    np.testing.assert_allclose([falling.step(g) for _ in range(4)], expected, rtol=1e-6)
    momentum = linear_models.Momentum(0.1)
    np.testing.assert_allclose([momentum.step(g)[0] for _ in range(3)], [-0.3, -0.57, -0.813])


def test_training_steps_are_those_of_the_definition():
    pb, features, targets = risk()
    order = np.random.default_rng([7, 3]).permutation(5)
    v, expected = np.zeros(4), []
    for i in order:
        v = v - 0.05 * features[i].T @ lovasz_hinge_and_gradient(features[i] @ v, targets[i])[1]
        expected.append(v)

    class Plain:
        def step(self, g):
            return -0.05 * g

    found = list(linear_models.iterates(pb, linear_models.RULES["Lovász hinge"](), Plain(), 1, 7))
    assert [seen for seen, _ in found] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([v for _, v in found], expected, atol=1e-12)
    (seen, joint), *_ = linear_models.iterates(pb, linear_models.RULES["hinge"](), Plain(), 1, 7, batch=3)
    X, y = np.concatenate([features[i] for i in order[:3]]), np.concatenate([targets[i] for i in order[:3]])
    np.testing.assert_allclose(
        joint, -0.05 * X.T @ linear_models.LOSSES["hinge"](X @ np.zeros(4), y)[1], atol=1e-12
    )
    assert seen == 3


def test_training_that_blows_up_ends():
    pb, *_ = risk()
    *_, (seen, v) = linear_models.iterates(
        pb, linear_models.RULES["Lovász hinge"](), linear_models.Momentum(1e200), 40, 0
    )
    assert seen == 200
    assert linear_models.image_ious(pb, np.full(4, np.inf)).tolist() == [0.0] * 5
    assert len(v) == 4


def test_measures():
    pb, features, targets = risk()
    v = np.array([1.0, 0.2, 0.0, -0.3])
    ious = linear_models.image_ious(pb, v)
    assert ious == pytest.approx([iou(X @ v > 0, y) for X, y in zip(features, targets, strict=True)])
    assert linear_models.image_ious(pb, np.array([0, 0, 0, -1.0]))[-1] == 1.0
    assert linear_models.areas(pb).tolist() == [int(y.sum()) for y in targets]
    for name, value in linear_models.mean_losses(pb, v).items():
        each = [linear_models.LOSSES[name](X @ v, y)[0] for X, y in zip(features, targets, strict=True)]
        assert value == pytest.approx(np.mean(each))


def test_statistics():
    assert mean_and_error(np.array([2.0])) == (2.0, 0.0)
    ours = np.array([[0.9, 0.8, 1.0], [0.5, 0.5, 0.5]])
    theirs = np.array([[0.8, 0.8, 0.8], [0.6, 0.5, 0.5]])
    found = paired(ours, theirs)
    gaps = (ours - theirs).mean(axis=0)
    assert found.mean == pytest.approx(gaps.mean())
    assert found.error == pytest.approx(np.sqrt(((gaps - gaps.mean()) ** 2).sum() / 2 / 3))
    assert found.above == 1
