"""What a release consists of: one version, workflows that run what is there, a wheel and what is in it."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import lovasz_opt

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(read("pyproject.toml"))["project"]


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_one_version():
    citation = yaml.safe_load(read("CITATION.cff"))
    headings = re.findall(r"^## \[(.*?)\]", read("CHANGELOG.md"), flags=re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert PROJECT["version"] == lovasz_opt.__version__ == str(citation["version"])
    assert headings[0] == "Unreleased"
    # Before the first release there is nothing but [Unreleased].
    assert released[:1] in ([], [PROJECT["version"]])
    # A released version has the same day in both files.
    day = re.findall(r"^## \[[\d.]+\] - (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE)[:1]
    assert day == ([str(citation["date-released"])] if "date-released" in citation else [])


def test_one_licence():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert PROJECT["license"] == citation["license"] == "BSD-3-Clause"
    text = read("LICENSE")
    assert text.startswith("BSD 3-Clause License\n")
    assert len(re.findall(r"^\d\. ", text, flags=re.MULTILINE)) == 3


def minor_versions():
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    return [f"3.{minor}" for minor in range(int(low), int(high))]


def test_the_classifiers_and_the_workflow_name_every_python():
    classifiers = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["classifiers"]))
    matrix = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert classifiers == matrix["python"] == minor_versions()
    assert {system.split("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def commands(text):
    """The scripts and the targets of make that lines of a shell run."""
    return set(re.findall(r"\.ci/\w+|proofs/check\.sh|\bmake +\w+", text))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_exists(path):
    called = set().union(*(commands(step.get("run", "")) for step in steps(path)))
    assert called
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), flags=re.MULTILINE))
    for name in called:
        if name.startswith("make"):
            assert name.split()[1] in targets
        else:
            assert (ROOT / name).is_file()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no mode here")
def test_the_scripts_can_be_run():
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.read_text().startswith("#!")]
    assert len(scripts) >= 4
    assert all(os.access(path, os.X_OK) for path in scripts)


def test_the_workflow_and_the_whole_check_are_the_same():
    here = commands(read(".ci/run"))
    there = set().union(*(commands(step.get("run", "")) for step in steps(ROOT / ".github/workflows/ci.yml")))
    assert there <= here


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        # What writes must be asked for: the identity with which PyPI trusts the upload.
        assert job.get("permissions", {}) in ({}, {"id-token": "write"}), name
    for step in steps(path):
        # A tag can be moved, a commit cannot.
        assert "uses" not in step or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
        # What somebody else wrote must not become a command.
        assert "github.event" not in step.get("run", "")


def test_only_the_upload_has_an_identity():
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]
    trusted = [name for name, job in jobs.items() if job.get("permissions")]
    assert trusted == ["publish"]
    # It uploads what the job before has tested, and runs nothing of this repository.
    assert jobs["publish"]["needs"] == "wheel"
    assert not any("run" in step or "checkout" in step["uses"] for step in jobs["publish"]["steps"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_complete(path):
    form = load(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 1
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_a_wrong_result_comes_with_its_certificate():
    form = load(ROOT / ".github/ISSUE_TEMPLATE/wrong_result.yml")
    field = next(field for field in form["body"] if field.get("id") == "certificate")
    assert field["validations"]["required"]
    assert "verify_prox" in field["attributes"]["description"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel in LOVASZ_OPT_DIST, or one built here, without a network, where hatchling is installed."""
    folder = os.environ.get("LOVASZ_OPT_DIST")
    if folder is None:
        if find_spec("hatchling") is None:
            pytest.skip("hatchling not installed, and LOVASZ_OPT_DIST does not say where the wheel is")
        folder = tmp_path_factory.mktemp("dist")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lovasz_opt").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"lovasz_opt/py.typed", "lovasz_opt/figures/report.css"} < package
    information = f"lovasz_opt-{PROJECT['version']}.dist-info/"
    files = {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD"}
    assert set(wheel.namelist()) == package | {information + file for file in files}


def test_the_wheel_says_what_it_is(wheel):
    metadata = wheel.read(f"lovasz_opt-{PROJECT['version']}.dist-info/METADATA").decode()
    head = metadata.partition("\n\n")[0].splitlines()
    for line in (
        "Name: lovasz-opt",
        f"Version: {PROJECT['version']}",
        "License-Expression: BSD-3-Clause",
        "License-File: LICENSE",
        "Requires-Python: <3.15,>=3.11",
        "Classifier: Typing :: Typed",
        "Description-Content-Type: text/markdown",
    ):
        assert line in head
    required = [line for line in head if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert len(required) == len(PROJECT["dependencies"])
