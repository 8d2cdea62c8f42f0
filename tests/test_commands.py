"""Commands in README and on pages: the programs, targets, files, extras and options that they name exist."""

import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from lovasz_opt.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/**/*.md", "proofs/**/*.md")
    for path in ROOT.glob(pattern)
]
PROGRAMS = r"(?:\w+=\S+ )*(?:make|lovasz-opt|python|bash|pip install|\.ci/|\.venv/bin/)"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


EXTRAS = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([\w-]+):", read("Makefile"), flags=re.MULTILINE))
SUBCOMMANDS = typer.main.get_command(app).commands


def commands(text):
    """The words of every command: lines that a shell runs, and code in prose that begins with a program."""
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        yield from filter(None, (shlex.split(line, comments=True) for line in lines))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for code in re.findall(rf"`({PROGRAMS}[^`]*)`", prose):
        yield shlex.split(code.replace("\n", " "))


def options(words):
    return {word.split("=")[0] for word in words if re.match("--[a-z]", word)}


def missing(words):
    """What a command names that is not there."""
    while re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    program, rest = Path(words[0]).name, words[1:]
    if words[0].startswith(".ci/"):
        return [] if (ROOT / words[0]).is_file() else words[:1]
    match program:
        case "make":
            return [word for word in rest if "=" not in word and word not in TARGETS]
        case "lovasz-opt":
            if not rest or rest[0].startswith("-"):
                return []
            if rest[0] not in SUBCOMMANDS:
                return rest[:1]
            known = {name for parameter in SUBCOMMANDS[rest[0]].params for name in parameter.opts}
            return sorted(options(rest) - known - {"--help"})
        case "pip":
            named = re.findall(r"\[([\w,-]+)\]", " ".join(rest))
            files = [name for flag, name in pairwise(rest) if flag == "-r"]
            absent = {extra for group in named for extra in group.split(",")} - set(EXTRAS)
            return [*sorted(absent), *(name for name in files if not (ROOT / name).is_file())]
        case "bash":
            return [word for word in rest[:1] if not (ROOT / word).is_file()]
        case "python":
            return missing_of_python(rest)
        case "benchopt" | "ruff":
            # The first is run by tests/test_benchopt.py, the second by `make lint`.
            return []
    return [program]


def missing_of_python(words):
    if words[:1] == ["-m"]:
        if not words[1].startswith("lovasz_opt"):
            return [] if words[1] in ("venv", "pytest") else words[1:2]
        folder = ROOT / words[1].replace(".", "/")
    elif words and words[0].endswith(".py"):
        if not (ROOT / words[0]).is_file():
            return words[:1]
        folder = (ROOT / words[0]).parent
    else:
        return []
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    # As argparse, or as Typer spells the parameter of a function.
    return [
        name
        for name in sorted(options(words))
        if f'"{name}"' not in source and not re.search(rf"\b{name[2:].replace('-', '_')}:", source)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_command_names_exists(path):
    found = [
        (" ".join(words), absent)
        for words in commands(path.read_text(encoding="utf-8"))
        if (absent := missing(words))
    ]
    assert found == []


def test_commands_are_found_and_wrong_ones_refused():
    assert sum(1 for path in PAGES for _ in commands(path.read_text(encoding="utf-8"))) > 80
    page = (
        "`make nothing`\n```sh\nA=1 lovasz-opt study --fast  # soon\npip install \\\n  '.[study,gold]'\n```\n"
    )
    page += "`python benchmarks/a.py` `python benchmarks/scaling.py --full --wrong` `.ci/none` `bash no.sh`"
    assert [missing(words) for words in commands(page)] == [
        ["--fast"], ["gold"], ["nothing"], ["benchmarks/a.py"], ["--wrong"], [".ci/none"], ["no.sh"],
    ]  # fmt: skip
