"""What solvers return: its gap and its words, and files that hold all of it."""

import numpy as np
import pytest

from lovasz_opt.solvers import Result, State
from lovasz_opt.solvers.result import TRACE_COLUMNS


def result(value=-2.0, status="optimal"):
    state = {
        "bound": {"best": np.array([1.0, -0.0]), "best offset": np.float64(0.1), "count": 3},
        "memory": {
            "v": np.zeros((2, 0)),
            "k": np.int64(7),
            "random": {"name": "PCG64", "state": {"state": 2**120 + 1, "words": np.arange(2)}},
            "alpha": np.inf,
            "started": True,
            "empty": {},
        },
    }
    trace = {name: np.arange(2.0) + j for j, name in enumerate(TRACE_COLUMNS)}
    return Result(
        np.array([[1.0], [np.pi]]), value, value - 0.5, 0.5, status, "words", 1, trace, "mine", state
    )


def test_gaps_are_relative_to_values():
    for value, relative in ((-2.0, 0.25), (4.0, 0.125), (0.0, 0.5)):
        assert result(value).relative_gap == relative
        assert State(0, 0.0, 0.0, np.zeros(1), 9.0, value, value - 0.5, 0.5).relative_gap == relative
    assert result().success
    assert not result(status="max_iter").success


def test_its_words_are_few():
    """Not the whole trace and state."""
    text = repr(result())
    assert "value=-2.0" in text
    assert "trace" not in text
    assert "state=" not in text


def same(first, second):
    """Whether two states are alike, arrays by their bits."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray):
        return first.shape == second.shape and first.tobytes() == second.tobytes()
    return type(second) in (int, float, str, bool) and first == second


def test_a_file_holds_all_of_it(tmp_path):
    saved, path = result(), tmp_path / "r.npz"
    saved.save(path)
    loaded = Result.load(path)
    for name in ("value", "dual", "gap", "status", "message", "nit", "method"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert same({"x": saved.x}, {"x": loaded.x})
    assert same(saved.trace, loaded.trace)
    assert list(loaded.trace) == list(TRACE_COLUMNS)
    assert same(saved.state, loaded.state)
    assert [file.name for file in tmp_path.iterdir()] == ["r.npz"]


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "r.npz"
    result().save(path)

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="no space"):
            result(value=1.0).save(path)
    assert Result.load(path).value == -2.0
    result(value=1.0).save(path)
    assert Result.load(path).value == 1.0


class Trap:
    """What runs where it is unpickled."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def test_other_files_are_refused_and_nothing_in_them_runs(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, x=np.zeros(1))
    with pytest.raises(ValueError, match=r"other\.npz is no saved result; write one with Result\.save"):
        Result.load(path)
    np.savez(path, plain=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match="is no saved result"):
        Result.load(path)
    assert not Trap.sprung
