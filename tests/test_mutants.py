"""Mutation testing: what a mutant is, which are drawn, how they are scored, and a run on a tiny package."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "reliability"

# Scripts, no package; what runs the tests forks.
pytest.importorskip("resource")
sys.path.insert(0, str(FOLDER))
try:
    mutants, mutation, mutation_report = map(
        importlib.import_module, ("mutants", "mutation", "mutation_report")
    )
finally:
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def real():
    return mutants.mutants_of_tree(ROOT, mutation.FILES)


def changed(statement):
    """All mutants of one statement in a function, as text."""
    source = f"def f(a, b, c):\n    {statement}\n".encode()
    found = mutants.mutants_of("m.py", source)
    assert {mutant.function for mutant in found} <= {"f"}
    texts = [mutant.apply(source).decode() for mutant in found]
    for text in texts:
        ast.parse(text)
    return {text.removeprefix("def f(a, b, c):\n    ").removesuffix("\n") for text in texts}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a < b", {"a <= b"}),
        ("a <= b", {"a < b"}),
        ("a > b", {"a >= b"}),
        ("a >= b", {"a > b"}),
        ("a == b", {"a != b"}),
        ("a != b", {"a == b"}),
        ("a is b", {"a is not b"}),
        ("a is not b", {"a is b"}),
        ("a in b", {"a not in b"}),
        ("a not in b", {"a in b"}),
        ("a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("a + b", {"a - b"}),
        ("a - b", {"a + b"}),
        ("a * b", {"a / b"}),
        ("a / b", {"a * b"}),
        ("a // b", {"a * b"}),
        ("a % b", {"a * b"}),
        ("a ** b", {"a * b"}),
        ("a & b", {"a | b"}),
        ("a | b", {"a & b"}),
        ("a ^ b", {"a | b"}),
        ("a << b", {"a >> b"}),
        ("a >> b", {"a << b"}),
        ("a @ b", set()),
        ("(a) +(b)", {"(a) -(b)"}),
        ("a and b and c", {"a or b and c", "a and b or c"}),
        ("a or b", {"a and b"}),
        ("not a", {"a"}),
        ("not (a)", {"(a)"}),
        ("-a", {"a"}),
        ("-(a - b)", {"(a - b)", "-(a + b)"}),
        ("~a", {"a"}),
        ("3", {"4"}),
        ("0.5", {"1.0"}),
        ("0.0", {"1.0"}),
        ("1e-10", {"2e-10"}),
        ("True", {"False"}),
        ("False", {"True"}),
        ("None", set()),
        ("min(a, b)", {"max(a, b)"}),
        ("max(a, b)", {"min(a, b)"}),
        ("np.minimum(a, b)", {"np.maximum(a, b)"}),
        ("np.maximum(a, b)", {"np.minimum(a, b)"}),
        ("a.min()", set()),
        ("a if b else c", {"a if (not b) else c"}),
        ("a if b < c else c", {"a if b <= c else c"}),
        ("[a for a in b if a == c]", {"[a for a in b if a != c]"}),
        ("'a < 1'", set()),
        ("f'{a + 1:.3f}'", set()),
    ],
)
def test_changes_of_expressions(expression, expected):
    assert changed(f"a = {expression}") == {f"a = {text}" for text in expected}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("a += b", {"a -= b", "pass"}),
        ("a @= b", {"pass"}),
        ("a[b] = c", {"pass"}),
        ("a.b = c", {"pass"}),
        ("a = b", set()),
        ("f(a)", {"pass"}),
        ("raise a", {"pass"}),
        ("while a: break", {"while (not a): break", "while a: continue"}),
        ("for a in b: continue", {"for a in b: break"}),
        ("if a.b(): f(c)", {"if (not a.b()): f(c)", "if a.b(): pass"}),
        ("a: Literal[1] = 2", {"a: Literal[1] = 3"}),
        ("from b import c", set()),
        ('"""At least 1, and a < b."""', set()),
    ],
)
def test_changes_of_statements(statement, expected):
    assert changed(statement) == expected


def test_signatures():
    source = (
        b"@cache(1)\nclass A(B[2]):\n    @cache(3)\n    def f(self, a: C[4] = 5) -> C[6]:\n        return a\n"
    )
    (found,) = mutants.mutants_of("m.py", source)
    assert (found.before, found.after, found.function, found.line) == ("5", "6", "A.f", 4)


def test_positions_are_bytes():
    source = "# Größe\ndef f(γ, δ):\n    s = '∑'; Δ = (γ\n          + 1)  # ε + 1\n    return Δ\n".encode()
    plus, one = mutants.mutants_of("m.py", source)
    assert plus.mutated == "- 1)  # ε + 1"
    assert one.mutated == "+ 2)  # ε + 1"
    line = "x = 'ψ' if Δ < γ else ρ"
    (less,) = mutants.mutants_of("m.py", f"Γ = ''\r\n{line}\r\n".encode())
    assert less.mutated == "x = 'ψ' if Δ <= γ else ρ"
    assert less.column == len(line.partition("<")[0].encode()) == less.start - len("Γ = ''\r\n".encode())
    assert less.key == f"m.py::::{line}::{less.column}: < → <="


def test_a_comment_between_operands_is_not_changed():
    source = b"a = (b  # + 1\n     + c)\n"
    assert mutants.mutants_of("m.py", source) == []


def test_mutants_of_the_package(real):
    assert len(real) > 3000
    assert len({mutant.key for mutant in real}) == len(real)
    for mutant in real:
        source = (ROOT / mutant.path).read_bytes()
        assert source[mutant.start : mutant.end].decode() == mutant.before != mutant.after
        assert source.splitlines()[mutant.line - 1].decode().strip() == mutant.text
    for mutant in mutation.sampled(real, 200, 0):
        ast.parse(mutant.apply((ROOT / mutant.path).read_bytes()))


def test_equal_changes_have_names_of_their_own():
    source = b"def f(a):\n    a += b\n    a += b\n"
    keys = [mutant.key for mutant in mutants.mutants_of("m.py", source)]
    assert [key.partition("m.py::f::a += b::")[2] for key in keys] == [
        "0: a += b → pass",
        "2: += → -=",
        "0: a += b → pass #2",
        "2: += → -= #2",
    ]


def test_samples_are_spread_over_the_files(real):
    chosen = mutation.sampled(real, 390, 1)
    assert len({mutant.key for mutant in chosen}) == len(chosen)
    for path in {mutant.path for mutant in real}:
        share = sum(mutant.path == path for mutant in real) * 390 / len(real)
        assert sum(mutant.path == path for mutant in chosen) == max(1, round(share))
    assert mutation.sampled(real, 390, 1) == chosen != mutation.sampled(real, 390, 2)
    everything = mutation.sampled(real, None, 0)
    assert sorted(mutant.key for mutant in everything) == sorted(mutant.key for mutant in real)


def test_tests_that_are_run():
    names = mutation.TESTS.split()
    assert len(set(names)) == len(names)
    assert [name for name in names if not (ROOT / f"tests/test_{name}.py").exists()] == []
    assert set(mutation.KERNEL_TESTS.split()) <= set(names)


def test_interval():
    # Both ends solve (p − share)² = z² p (1 − p)/n.
    z = 1.959964
    for killed, total in ((0, 10), (7, 10), (450, 500), (500, 500)):
        low, high = mutation_report.interval(killed, total)
        assert low < killed / total < high or killed in (0, total)
        for p in (low, high):
            assert (p - killed / total) ** 2 == pytest.approx(z**2 * p * (1 - p) / total, abs=1e-15)
    assert mutation_report.interval(0, 0) == (0.0, 1.0)


def test_score_leaves_out_what_is_explained():
    outcomes = ["killed", "killed (time)", "survived", "survived", "gone"]
    rows = [
        {"path": "lovasz_opt/a.py", "key": str(k), "outcome": outcome, "first": "survived"}
        for k, outcome in enumerate(outcomes)
    ]
    score = mutation_report.Score(rows, {"2": "a reason", "9": "another"})
    assert (score.mutants, score.killed, score.explained, score.left) == (4, 2, 1, 1)
    assert score.share == 2 / 3
    assert mutation_report.Score(rows, {}, "first").killed == 0
    assert "| a.py | 4 | 2 | 1 | 1 |\n| all | 4 | 2 | 1 | 1 |" in mutation_report.table(
        rows, {"2": "a reason"}
    )


def test_reasons_are_of_mutants_that_there_are(real):
    """A changed line needs its reason again."""
    known = mutation_report.reasons()
    assert sorted(set(known) - {mutant.key for mutant in real}) == []
    assert all(len(reason) > 15 for reason in known.values())


def test_a_mutant_with_two_reasons(tmp_path):
    path = tmp_path / "explained.json"
    path.write_text(
        json.dumps([{"reason": "one", "mutants": ["a", "b"]}, {"reason": "two", "mutants": ["b"]}])
    )
    with pytest.raises(ValueError, match="two reasons for b"):
        mutation_report.reasons(path)


TINY = """def double(x):
    return 2 * x


def add(x, y):
    return x + y
"""
TINY_TESTS = """from lovasz_opt.tiny import add, double


def test_double():
    assert double(3) == 6


def test_add():
    assert add(3, {addend}) == 3 + {addend}
"""


def test_a_whole_run(tmp_path):
    """A survivor is found, and killed by a better test; what was killed is not run again."""
    for path, text in {
        "pyproject.toml": "",
        "README.md": "",
        "explained.json": "[]",
        "lovasz_opt/__init__.py": "",
        "lovasz_opt/tiny.py": TINY,
        "tests/test_tiny.py": TINY_TESTS.format(addend=0),
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    out = tmp_path / "mutation.json"
    command = [sys.executable, FOLDER / "mutation.py", "--root", tmp_path, "--files", "lovasz_opt/tiny.py"]
    command += ["--tests", "tiny", "--jobs", "2", "--out", out, "--explained", tmp_path / "explained.json"]
    command += ["--bound", "0.8"]

    def run(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        rows = json.loads(out.read_text(encoding="utf-8"))["mutants"]
        return done, {row["key"].partition("tiny.py::")[2]: row for row in rows}

    done, rows = run()
    assert done.returncode == 1, done.stdout + done.stderr
    survivor = "add::return x + y::9: + → -"
    assert {key: row["outcome"] for key, row in rows.items()} == {
        "double::return 2 * x::7: 2 → 3": "killed",
        "double::return 2 * x::9: * → /": "killed",
        survivor: "survived",
    }
    assert (tmp_path / "lovasz_opt/tiny.py").read_text() == TINY
    (tmp_path / "tests/test_tiny.py").write_text(TINY_TESTS.format(addend=1))
    done, again = run("--again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert again == {**rows, survivor: {**again[survivor], "outcome": "killed", "first": "survived"}}
