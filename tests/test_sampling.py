"""The equibatch sampler: all classes in every window, fair within a class, determined by the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lovasz_opt.sampling import EquibatchSampler, class_presence

tables = st.integers(1, 12).flatmap(
    lambda n: st.integers(1, 6).flatmap(
        lambda c: st.lists(st.lists(st.booleans(), min_size=c, max_size=c), min_size=n, max_size=n)
    )
)


@given(tables, st.integers(0, 2**31), st.integers(1, 40))
def test_every_window_shows_every_class(table, seed, length):
    presence = np.array(table)
    if not presence.any():
        with pytest.raises(ValueError, match="no class"):
            EquibatchSampler(presence)
        return
    sampler = EquibatchSampler(presence, length, seed)
    indices = list(sampler)
    assert len(indices) == len(sampler) == length
    occurring = presence.any(axis=0)
    count = occurring.sum()
    for start in range(length - count + 1):
        shown = presence[indices[start : start + count]].any(axis=0)
        np.testing.assert_array_equal(shown, occurring)
    assert all(presence[index].any() for index in indices)


def test_images_of_a_class_come_in_turn():
    presence = np.eye(2, dtype=bool)[[0] * 5 + [1] * 3]
    indices = np.array(list(EquibatchSampler(presence, 30, seed=3)))
    of_second = indices[indices >= 5]
    assert len(of_second) == 15
    for round_ in of_second.reshape(5, 3):
        assert sorted(round_) == [5, 6, 7]
    assert len({tuple(round_) for round_ in of_second.reshape(5, 3)}) > 1


def test_seed_and_epoch_determine_the_order():
    presence = np.random.default_rng(0).random((20, 4)) < 0.4
    first, second = EquibatchSampler(presence, seed=5), EquibatchSampler(presence, seed=5)
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(second) for _ in range(3)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != list(EquibatchSampler(presence, seed=6))
    second.epoch = 1
    assert list(second) == epochs[1]


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_share_an_epoch(replicas):
    presence = np.eye(3, dtype=bool)[np.arange(10) % 3]
    whole = list(EquibatchSampler(presence, length=-(-10 // replicas) * replicas, seed=1))
    parts = [list(EquibatchSampler(presence, 10, 1, replicas, rank)) for rank in range(replicas)]
    assert {len(part) for part in parts} == {len(EquibatchSampler(presence, 10, 1, replicas, 0))}
    assert [index for row in zip(*parts, strict=True) for index in row] == whole


def test_presence_of_classes():
    labels = [np.array([[0, 255], [2, 2]]), np.array([1]), np.array([255])]
    expected = [[True, False, True], [False, True, False], [False, False, False]]
    np.testing.assert_array_equal(class_presence(labels, 3, ignore=255), expected)
    assert class_presence([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match=r"labels\[0\] holds 255"):
        class_presence(labels, 3)
    for wrong in (-1, 0.5, np.nan, 3):
        with pytest.raises(ValueError, match=r"labels\[1\] holds"):
            class_presence([[0], [wrong]], 3)
    for n_classes in (0, 10**400):
        with pytest.raises(ValueError, match=f"n_classes is {n_classes}"):
            class_presence(labels, n_classes)
    with pytest.raises(TypeError, match="n_classes must be an integer"):
        class_presence(labels, 3.5)
    with pytest.raises(TypeError, match="ignore must be a number"):
        class_presence(labels, 3, ignore=np.zeros(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.5, 1.0]],), "booleans"),
        (([True, False],), "images, classes"),
        (([[True]], 0), "length is 0"),
        (([[True]], 2**64), "length is 18446744073709551616"),
        (([[True]], None, 0, 2, 2), "rank is 2"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        EquibatchSampler(*arguments)


def test_a_data_loader_takes_it():
    torch = pytest.importorskip("torch")
    presence = np.eye(4, dtype=bool)[np.arange(12) % 4]
    data = torch.utils.data.TensorDataset(torch.arange(12))
    loader = torch.utils.data.DataLoader(data, batch_size=4, sampler=EquibatchSampler(presence))
    for _ in range(2):
        batches = [batch for (batch,) in loader]
        assert len(batches) == 3
        assert all(presence[batch.numpy()].any(axis=0).all() for batch in batches)
