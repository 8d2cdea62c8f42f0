"""The command line: exit codes, messages, files."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

import lovasz_opt
from lovasz_opt import datasets, grid, study, verify
from lovasz_opt.cli import app, main

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")


def call(*arguments):
    return CliRunner().invoke(app, arguments)


def test_version_and_help():
    assert call("--version").stdout == f"lovasz-opt {lovasz_opt.__version__}\n"
    text = call("study", "--help").stdout
    for option in ("--quick", "--full", "--seed", "--out", "--data", "--jobs", "--backend"):
        assert option in text


def test_info_lists_versions_and_extras():
    result = call("info")
    assert result.exit_code == 0
    for word in (
        "numpy",
        "scipy",
        "numba",
        "extra study",
        "extra dask",
        "extra reference",
        "threads",
        "kernel cache",
    ):
        assert word in result.stdout


@pytest.fixture
def tiny(monkeypatch):
    """A study of the photograph alone, in this process."""
    settings = study.Settings(scale=8, tile=12, images=2, steps=(0.1,), seconds=60.0, iterations=3)
    monkeypatch.setattr(study.Settings, "of", classmethod(lambda cls, *arguments: settings))
    everything = study.convergence.tasks
    monkeypatch.setattr(
        study.convergence,
        "tasks",
        lambda given: [task for task in everything(given) if task.instance.key == "prox"],
    )
    monkeypatch.setattr(study, "PARTS", (study.convergence,))
    return study.convergence.tasks(settings)


def test_study_writes_its_files_and_goes_on_from_them(tiny, tmp_path):
    result = call("study", "--quick", "--jobs", "1", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "exact prox" in result.stdout
    assert f"run 1 of {len(tiny)}: prox: prox, certified gap" in result.stderr
    assert {"convergence.pdf", "convergence.png", "curves.csv", "summary.json", "time_to_gap.csv"} < set(
        os.listdir(tmp_path / "out")
    )
    again = call("study", "--quick", "--jobs", "1", "--out", str(tmp_path / "out"))
    assert f"{len(tiny)} of {len(tiny)} runs are there from before" in again.stderr
    assert "run 1" not in again.stderr
    assert again.stdout == result.stdout


def test_study_keeps_what_is_done_when_interrupted(tiny, tmp_path, monkeypatch):
    original = grid._call
    calls = []

    def stop_at_the_fourth(cell):
        calls.append(cell)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(cell)

    monkeypatch.setattr(grid, "_call", stop_at_the_fourth)
    result = call("study", "--jobs", "1", "--out", str(tmp_path))
    assert result.exit_code == 130
    assert f"interrupted: 3 runs kept in {tmp_path / 'cells'}" in result.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert len(summary["parts"]["convergence"]["runs"]) == 3
    assert (tmp_path / "convergence.png").exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no groups of processes here")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_in_a_real_process(jobs, tmp_path):
    # A test run in the background of a shell inherits an ignored SIGINT, which Python would leave ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from lovasz_opt.cli import main; main()"
    command = [sys.executable, "-c", code, "study", "--jobs", jobs, "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stderr:
        if "run 2" in line:
            break
    time.sleep(0.2)
    # As a terminal does: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert 0 < summary["cells"]["done"] < summary["cells"]["wanted"]


def test_bad_input_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cases = [
        (("study", "--out", str(tmp_path / "file" / "below")), "cannot write to"),
        (("study", "--out", str(tmp_path / "file")), "cannot write to"),
        (
            ("study", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "o")),
            "nowhere: no such directory",
        ),
        (("study", "--data", str(tmp_path), "--out", str(tmp_path / "o")), "deeplab_train.npz: no such file"),
        (("study", "--quick", "--full"), "--quick and --full exclude each other"),
        (("verify", "--json", str(tmp_path / "file" / "below.json")), "cannot write to"),
    ]
    for arguments, message in cases:
        result = call(*arguments)
        assert result.exit_code == 2, arguments
        assert result.stderr.startswith("lovasz-opt: "), arguments
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "o" / "summary.json").exists()


def test_options_out_of_range():
    for arguments in (
        ("study", "--seed", "-1"),
        ("study", "--jobs", "0"),
        ("study", "--backend", "ray"),
        ("verify", "--problems", "0"),
        ("verify", "--size", "1"),
        ("nothing",),
    ):
        assert call(*arguments).exit_code == 2


def test_a_missing_extra_is_one_line(tiny, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise datasets.MissingExtra("the photograph comes with scikit-image: pip install 'lovasz-opt[study]'")

    monkeypatch.setattr(datasets, "motorcycle", refuse)
    study.convergence.photograph.cache_clear()
    result = call("study", "--jobs", "1", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert (
        result.stderr
        == "lovasz-opt: the photograph comes with scikit-image: pip install 'lovasz-opt[study]'\n"
    )


def report(worst, complete=True):
    return verify.Report(
        3, 5, 1000, [verify.Row("a claim", 5, worst, 1.0, worst <= 1.0, "because")], complete, 0.1
    )


@pytest.mark.parametrize(
    ("outcome", "code"), [(report(0.5), 0), (report(2.0), 1), (report(0.5, complete=False), 130)]
)
def test_verify_exit_codes(outcome, code, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(verify, "run", lambda *arguments: seen.append(arguments) or outcome)
    file = tmp_path / "report.json"
    result = call("verify", "--seed", "3", "--problems", "5", "--size", "1000", "--json", str(file))
    assert result.exit_code == code
    assert seen[0][:3] == (3, 5, 1000)
    assert "a claim" in result.stdout
    assert json.loads(file.read_text())["passed"] is (code == 0)


def test_verify_runs():
    result = call("verify", "--seed", "1", "--problems", "5", "--size", "1000")
    assert result.exit_code == 0, result.output
    assert "bounds kept" in result.stdout


def test_entry_point(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lovasz-opt", "--version"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("lovasz-opt ")
