"""The table of proofs/README.md: every theorem has a row, and every row a theorem and a test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COQ = ROOT / "proofs" / "coq"

ROW = re.compile(
    r"^\|[^|]*\|[^|]*\| *`(\w+)` *\| *`(test_\w+\.py)(?:::(\w+))?` *\|([^|]*)\|$", flags=re.MULTILINE
)
STATEMENT = re.compile(r"^(Theorem|Corollary|Example|Lemma) (\w+)", flags=re.MULTILINE)


def rows():
    return ROW.findall((ROOT / "proofs" / "README.md").read_text(encoding="utf-8"))


def statements():
    return [
        found
        for path in sorted(COQ.glob("*.v"))
        for found in STATEMENT.findall(path.read_text(encoding="utf-8"))
    ]


def test_every_theorem_has_a_row_and_every_row_a_theorem():
    named = [name for name, *_ in rows()]
    assert len(set(named)) == len(named)
    known = {name for _, name in statements()}
    assert set(named) <= known
    left_out = {name for kind, name in statements() if kind in ("Theorem", "Corollary")} - set(named)
    assert not left_out


def test_no_row_is_malformed():
    table = [line for line in (ROOT / "proofs" / "README.md").read_text().splitlines() if "| `" in line]
    assert len(table) == len(rows()) > 70


@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for _, file, test, _ in rows()}))
def test_the_tests_of_the_table_exist(file, test):
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert not test or re.search(rf"^ *def {test}\(", source, flags=re.MULTILINE)


def test_the_readme_counts_the_rows():
    (count,) = re.findall(r"(\d+) theorems, no axioms", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(count) == len(rows())


def test_every_item_has_theorems():
    assert {item for *_, items in rows() for item in re.findall(r"\d+", items)} == set("123456789")


def test_every_file_is_compiled():
    listed = re.findall(r"^(\w+\.v)$", (COQ / "_CoqProject").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in COQ.glob("*.v"))
