"""Readers of .npz files: whatever is damaged, a `ValueError` names the file."""

import numpy as np
import pytest

from lovasz_opt import datasets, problems, solvers
from lovasz_opt._npz import read_npz
from lovasz_opt.problem_file import read_problem


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, target=np.array([1, 0, 1]), x=np.array([3.0, 2.0, 1.0]), gamma=0.5)
    return path


def test_arrays_by_name(path):
    assert {name: array.tolist() for name, array in read_npz(path).items()} == {
        "target": [1, 0, 1], "x": [3.0, 2.0, 1.0], "gamma": 0.5,
    }  # fmt: skip
    assert list(read_npz(path, "x", "gamma")) == ["x", "gamma"]
    with pytest.raises(ValueError, match=r"some\.npz: holds no array 'z'; found target, x, gamma"):
        read_npz(path, "x", "z")
    with pytest.raises(FileNotFoundError):
        read_npz(path.with_name("other.npz"))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.npz: (damaged or not an \.npz|holds no array)"):
        read_npz(path, "x")


def test_one_array_is_no_archive(path):
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(ValueError, match="damaged or not an"):
        read_npz(path)


def test_too_little_memory_is_not_called_damage_alone(path, monkeypatch):
    def load(*arguments, **options):
        raise MemoryError("Unable to allocate 8 GiB")

    monkeypatch.setattr(np, "load", load)
    with pytest.raises(ValueError, match=r"some\.npz: too large for the memory.*8 GiB.*free memory"):
        read_npz(path)


def changes(content):
    """The content with one bit changed, for every byte, or one byte, and cut off anywhere."""
    for at in range(len(content)):
        for value in (content[at] ^ 1 << at % 8, 255):
            yield content[:at] + bytes([value]) + content[at + 1 :]
    for at in range(0, len(content), 9):
        yield content[:at]


def message(read, path):
    """Of the `ValueError` of a reader, None where it reads the file."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return None


def test_every_damage_is_told(path):
    told = 0
    for content in changes(path.read_bytes()):
        path.write_bytes(content)
        found = message(read_problem, path)
        told += found is not None
        assert found is None or str(path) in found
    assert told > 500


def test_every_damage_of_a_result_is_told(tmp_path):
    path = tmp_path / "result.npz"
    solvers.prox(problems.ImageProx([0.5, -0.2], [1, 0], 1.0)).save(path)
    content = path.read_bytes()
    # The archive's own tables, and the first array.
    start = content.rindex(b"PK\x01\x02")
    parts = list(changes(content[start:]))
    told = 0
    for part in parts:
        path.write_bytes(content[:start] + part)
        found = message(solvers.Result.load, path)
        told += found is not None
        assert found is None or str(path) in found
    assert told > 100
    np.savez(path, plain=np.array("{}"), x=np.ones(2))
    with pytest.raises(ValueError, match="is no saved result"):
        solvers.Result.load(path)
    np.savez(path, plain=np.array("no JSON"), x=np.ones(2))
    with pytest.raises(ValueError, match="is no saved result"):
        solvers.Result.load(path)


def test_data_sets_tell_too(tmp_path):
    path = tmp_path / "deeplab_train.npz"
    np.savez(path, masks129=np.zeros((1, 129, 129), np.uint8))
    content = path.read_bytes()
    # A table that points before the beginning of the file.
    path.write_bytes(content[:-8] + bytes([0, 0, 1, 0]) + content[-4:])
    with pytest.raises(datasets.DataError, match="damaged or not an"):
        datasets.voc(tmp_path)
