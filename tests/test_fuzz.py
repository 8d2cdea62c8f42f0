"""The fuzzer notices what it should, reaches every public name, and finds nothing at random."""

import importlib.util
import inspect
import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import cli, datasets, interop, losses, problems, reference, sampling, sets, solvers, testing
from lovasz_opt.solvers import toolkit

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks" / "reliability"))
import fuzz
import fuzz_calls
from fuzz_source import Call, Finding, Source, certified

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGVTALRM"), reason="no timer of the processor's time here"
)

#: Public names that no entry calls, and why not.
_RECORDS = "a record or type, made and taken by what is called"
_CVXPY = "its answers are those of CVXPY; tests/test_reference.py compares them"
NOT_CALLED = {
    **dict.fromkeys(
        ("NotProximalError", "ProxAccuracyWarning", "DataError", "MissingExtra"), "an exception or a warning"
    ),
    **dict.fromkeys(
        ("Certificate", "ExactCertificate", "SubgradientCertificate", "SubmodularityReport", "State", "Pools",
         "ReferenceSolution", "Minorant", "CheckReport", "Callback", "Iterate", "Memory"),
        _RECORDS,
    ),
    "LowerBound": "every solver makes one",
    "LinearisedSoftmaxRisk": "LovaszSoftmaxRisk.linearised makes it",
    "DistributedHingeRisk": "starts processes; its checks of arguments are those of LinearHingeRisk",
    "prox_constraint_generation": _CVXPY,
    **dict.fromkeys(("prox_all_sets", "prox_counts", "prox_dotsort"), _CVXPY),
    **dict.fromkeys(("solve_image_prox", "solve_linear_hinge_risk", "solve_linearised_softmax_risk"), _CVXPY),
}  # fmt: skip


@pytest.fixture(scope="module")
def log():
    return fuzz.at_random(2000, seed=0)


def test_random_inputs_find_nothing(log):
    assert log.findings == {}
    assert log.inputs == sum(log.entries.values()) == 2000
    assert set(log.entries) == {entry.__name__.strip("_") for entry in fuzz_calls.ENTRIES}


def public():
    """Every public function and class, by the name in `Log.calls`."""
    for module in (lo, losses, sets, problems, solvers, toolkit, testing, reference):
        for name in module.__all__:
            if not inspect.ismodule(getattr(module, name)):
                yield name, getattr(module, name)
    for module in (datasets, sampling, interop):
        for name, member in vars(module).items():
            made_here = inspect.isfunction(member) or inspect.isclass(member)
            if (
                made_here
                and not name.startswith("_")
                and getattr(member, "__module__", None) == module.__name__
            ):
                yield name, member


def test_every_public_name_is_called_or_excused(log):
    called = set(log.calls)
    missing = set()
    for name, member in public():
        key = f"{member.__module__}.{getattr(member, '__qualname__', name)}"
        if not any(call == key or call.startswith(f"{key}.") for call in called):
            missing.add(name)
    assert missing == set(NOT_CALLED)


def test_every_command_is_called(log):
    commands = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert {f"lovasz_opt.cli.{name}" for name in commands} <= set(log.calls)


def warns(x):
    warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)
    return 1.0


def writes(x):
    x += 1


def lacks(x):
    return {}["key"]


def refuses(x):
    raise ValueError("no such thing")


def says_nothing(x):
    raise TypeError


def not_finite(x):
    return [1.0, (x, x * np.inf)]


@pytest.mark.parametrize(
    ("function", "good", "message"),
    [
        (warns, True, "warns warns: RuntimeWarning: divide by zero"),
        (writes, True, "writes changes its arguments"),
        (writes, False, "writes changes its arguments"),
        (lacks, True, "'key'"),
        (lacks, False, "'key'"),
        (refuses, True, "refuses refuses good arguments: no such thing"),
        (says_nothing, False, "says_nothing raises TypeError without a message"),
        (not_finite, True, "not_finite gives something that is not finite"),
    ],
)
def test_planted_faults_are_noticed(function, good, message, monkeypatch):
    def entry(source, call):
        source.good = good
        call(function, np.ones(3))

    monkeypatch.setattr(fuzz_calls, "ENTRIES", (entry,))
    log = fuzz.Log()
    log.one(b"12345678")
    log.one(b"123")
    (finding,) = log.findings.values()
    assert message in finding["message"]
    # The shorter of two inputs with one finding is kept.
    assert (finding["times"], finding["data"]) == (2, b"123".hex())
    assert log.entries == {"findings": 2}
    assert log.calls[f"{__name__}.{function.__name__}"] == 2
    with pytest.raises((Finding, KeyError), match=message):
        fuzz.main(["--input", "00"])


def test_what_is_allowed_is_no_finding():
    source = Source(b"")
    call = Call(source)
    assert call(np.negative, 1.0) == -1.0
    assert call(not_finite, np.ones(3), finite=False) is not None
    source.good = False
    for function in (warns, refuses, not_finite):
        call(function, np.ones(3))
    assert call.made[f"{__name__}.not_finite"] == 2


def test_a_hang_is_a_finding(monkeypatch):
    def spin(source, call):
        while True:
            pass

    monkeypatch.setattr(fuzz, "_HANG", 0.1)
    monkeypatch.setattr(fuzz_calls, "ENTRIES", (spin,))
    log = fuzz.at_random(1, 0)
    assert "TimeoutError: an input takes more than 0.1 s" in str(log.findings)


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    calls = iter([None, None, KeyboardInterrupt])

    def entry(source, call):
        error = next(calls)
        if error:
            raise error

    monkeypatch.setattr(fuzz_calls, "ENTRIES", (entry,))
    assert fuzz.at_random(10, 0).entries == {"entry": 2}


@pytest.mark.parametrize("hinge", [False, True])
def test_wrong_proximal_points_are_noticed(hinge):
    rng = np.random.default_rng(0)
    for _ in range(50):
        target, x = rng.random(20) < 0.4, rng.normal(size=20)
        if hinge:
            z = lo.prox_lovasz_hinge(x, target, 5.0)
        else:
            z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, 5.0)
        certified(x, target, 5.0, z, hinge)
        with pytest.raises(Finding, match="no proximal point"):
            certified(x, target, 5.0, x + 1.0001 * (z - x), hinge)


def test_an_input_is_what_its_bytes_say():
    data = bytes(range(256)) * 2
    one, again = Source(data), Source(data)
    drawn = [
        (s.array((3,)), s.labels((2, 2)), s.number(), s.or_bad(1), s.damaged(b"abcdef")) for s in (one, again)
    ]
    assert repr(drawn[0]) == repr(drawn[1])
    assert Source(b"").number() == -8.0
    bad = Source(bytes([255, 1]))
    assert bad.or_bad(3.0) == "text"
    assert not bad.good
    good = Source(bytes([0]))
    assert good.or_bad(3.0) == 3.0
    assert good.good


def test_command_at_random(capsys):
    assert fuzz.main(["--random", "20"]) == 0
    assert "at random: 20 inputs" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("mode", ["interpreted", "compiled"])
def test_guided_by_coverage(mode, tmp_path):
    out = tmp_path / "fuzz.json"
    command = [
        sys.executable,
        fuzz.__file__,
        f"--{mode}",
        "3",
        "--corpus",
        str(tmp_path),
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text(encoding="utf-8"))[mode]
    assert document["inputs"] > 1000
    assert document["edges"] > 1000
