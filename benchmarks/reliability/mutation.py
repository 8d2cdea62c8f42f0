"""Mutation testing: do the tests notice small changes of kernels, the extension, certificates and solvers?

    python benchmarks/reliability/mutation.py --sample 400 --seed 1     # a stratified sample
    python benchmarks/reliability/mutation.py                           # all mutants: a night
    python benchmarks/reliability/mutation.py --again                   # the survivors, after new tests

Works on a copy of the tree, where processes can be forked. Every test runs once as it is, so that its seconds
and the functions it calls are known; a mutant is run against the tests that call its function, the quickest
first, until one fails. Kernels are first run as Python, where no compilation is to be waited for, and what
survives that is compiled. Ends with status 1 if the score is below the bound or a survivor is not explained.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from environment import environment
from mutants import Mutant, mutants_of_tree
from mutation_child import PASSED, Tests, measure, run
from mutation_report import EXPLAINED, GONE, Score, reasons, summary, write

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "lovasz_opt/kernels/*.py",
    "lovasz_opt/extension.py",
    "lovasz_opt/certify.py",
    "lovasz_opt/solvers/*.py",
)
#: Test files that show which kernels they call, being quick without compilation: tests/test_NAME.py.
KERNEL_TESTS = (
    "sort sort_buckets pav certify extension path pool_search warm_start kernels bundle ssnal features "
    "losses lovasz_softmax large_images hinge_kernels"
)
TESTS = (
    f"{KERNEL_TESTS} prox_methods prox_references minnorm decomposition sets verify reference problems "
    "softmax_risk solvers driver proximal_gradient adam admm fista frank_wolfe moreau pdhg proximal_point "
    "stochastic_subgradient subgradient result"
)
#: Seconds that the tests of one mutant may take unmutated, and that one test may: as Python, and compiled.
_BUDGET = {True: 6.0, False: 15.0}
_SLOWEST = {True: 0.7, False: 20.0}
_COMPILING = 120.0


class Bench:
    """A copy of the tree with everything that running a mutant needs.

    Parameters
    ----------
    root : Path
        The tree.
    folder : Path
        For the copy, compiled kernels and what is known of the tests; may be that of an earlier run.

    Attributes
    ----------
    root : Path
        The copy.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder.resolve()
        self.root, self._cache = self._folder / "tree", self._folder / "cache"
        shutil.rmtree(self.root, ignore_errors=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        for name in ("lovasz_opt", "tests"):
            shutil.copytree(root / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy2(root / name, self.root)
        self._users = _users(self.root / "lovasz_opt/kernels")
        self._tests: dict[bool, Tests] = {}

    def measure(self, names: list[str], jobs: int) -> str:
        """Learn what the tests do, or remember it where neither they nor the package have changed."""
        answer, key = self._folder / "tests.json", self._state(names)
        known = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
        if known.get("key") != key:
            known = {"key": key, "modes": [vars(tests) for tests in self._measured(names, jobs)]}
            answer.write_text(json.dumps(known), encoding="utf-8")
        self._tests = {mode: Tests(**known["modes"][mode]) for mode in (False, True)}
        compiled, interpreted = (len(self._tests[mode].seconds) for mode in (False, True))
        return f"{compiled} tests compiled, {interpreted} interpreted"

    def _state(self, names: list[str]) -> str:
        digest = hashlib.sha256(repr((names, _BUDGET, _SLOWEST, environment())).encode())
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _measured(self, names: list[str], jobs: int) -> tuple[Tests, Tests]:
        """What is known of compiled tests, and of interpreted ones."""
        files = [f"tests/test_{name}.py" for name in names]
        small = [f"tests/test_{name}.py" for name in names if name in KERNEL_TESTS.split()]
        place = self.root, self._cache
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            # Once before, to compile everything.
            compiling = (*place, files, False, _COMPILING, False)
            interpreting = (*place, small, True, _SLOWEST[True], True)
            _, interpreted = pool.starmap(measure, [compiling, interpreting], 1)
            runs = [(*place, files, False, _SLOWEST[False], trace) for trace in (False, True)]
            timed, traced = pool.starmap(measure, runs, 1)
        # Which kernels a test calls is seen where they are Python, also before a slow one is stopped.
        calls = {
            test: sorted({*functions, *interpreted.calls.get(test, ())})
            for test, functions in traced.calls.items()
        }
        return Tests(timed.seconds, calls), interpreted

    def verdict(self, mutant: Mutant) -> dict[str, Any]:
        """Run one mutant: how it ended, in which mode, against how many tests, in which time."""
        begin = time.monotonic()
        kernel = mutant.path.startswith("lovasz_opt/kernels/")
        source = mutant.apply((self.root / mutant.path).read_bytes())
        # Tests would "kill" what Python cannot read.
        ast.parse(source)
        outcome, mode, number = PASSED, "none", 0
        for interpreted in (True, False) if kernel else (False,):
            chosen = self._tests[interpreted].of(mutant.path, mutant.function, _BUDGET[interpreted])
            if not chosen:
                continue
            number += len(chosen)
            compiles = kernel and not interpreted
            usual = sum(self._tests[interpreted].seconds[test] for test in chosen)
            limit = 10.0 + 2.0 * usual + (60.0 if compiles else 0.0)
            cache = self._cache_without(mutant.path) if compiles else self._cache
            outcome = run(self.root, cache, chosen, interpreted, limit, mutant.path, source)
            mode = "interpreted" if interpreted else "compiled"
            if outcome != PASSED:
                break
        return {
            "key": mutant.key,
            "path": mutant.path,
            "line": mutant.line,
            "outcome": outcome,
            "first": outcome,
            "mode": mode,
            "tests": number,
            "seconds": round(time.monotonic() - begin, 2),
        }

    def _cache_without(self, path: str) -> Path:
        """A cache of this process without the code that contains a file's: the rest is linked."""
        cache = self._folder / f"cache-{os.getpid()}"
        shutil.rmtree(cache, ignore_errors=True)
        stale = self._users[Path(path).stem]
        shutil.copytree(
            self._cache,
            cache,
            copy_function=os.link,
            ignore=lambda _, names: [name for name in names if name.split(".")[0] in stale],
        )
        return cache


def _users(folder: Path) -> dict[str, set[str]]:
    """For every module of the kernels, itself and those that import it, directly or not."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    users = {name: {name} for name in texts}
    while True:
        grown = {
            name: found
            | {other for other, text in texts.items() if any(f"from .{one} import" in text for one in found)}
            for name, found in users.items()
        }
        if grown == users:
            return users
        users = grown


def sampled(mutants: list[Mutant], size: int | None, seed: int) -> list[Mutant]:
    """The same share of the mutants of every file, at least one; all of them if the size is None."""
    rng = random.Random(seed)
    chosen: list[Mutant] = []
    for path in sorted({mutant.path for mutant in mutants}):
        of_file = [mutant for mutant in mutants if mutant.path == path]
        share = 1.0 if size is None else min(1.0, size / len(mutants))
        chosen += rng.sample(of_file, max(1, round(share * len(of_file))))
    # In any order: a run that is stopped early is a sample too.
    rng.shuffle(chosen)
    return chosen


def survivors(rows: list[dict[str, Any]], mutants: list[Mutant]) -> list[Mutant]:
    """Those to run again; a survivor whose line has changed is no mutant any more, and marked as gone."""
    present = {mutant.key: mutant for mutant in mutants}
    alive = [row for row in rows if row["outcome"] == PASSED]
    for row in alive:
        if row["key"] not in present:
            row["outcome"] = GONE
    return [present[row["key"]] for row in alive if row["key"] in present]


def verdicts(bench: Bench, mutants: list[Mutant], jobs: int, end: float) -> Iterator[dict[str, Any]]:
    """Results of mutants as they come, until the time is over."""
    with multiprocessing.get_context("fork").Pool(jobs, _start, (bench, end)) as pool:
        yield from filter(None, pool.imap_unordered(_work, mutants))


def _start(bench: Bench, end: float) -> None:
    global _bench, _end
    _bench, _end = bench, end


def _work(mutant: Mutant) -> dict[str, Any] | None:
    return _bench.verdict(mutant) if time.monotonic() < _end else None


def main(arguments: list[str] | None = None) -> int:
    """Run, write results, and say whether the score is reached and every survivor explained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="tree to test; it is copied first")
    parser.add_argument("--files", nargs="+", default=list(FILES), help="what to mutate")
    parser.add_argument("--tests", nargs="+", default=TESTS.split(), help="tests/test_NAME.py to run")
    parser.add_argument("--sample", type=int, help="number of mutants, spread evenly; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run the survivors of --out once more")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants at the same time")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no mutant after so long")
    parser.add_argument("--folder", type=Path, help="keep compiled kernels there for the next run")
    parser.add_argument("--bound", type=float, default=0.9, help="least score, explained survivors left out")
    parser.add_argument("--explained", type=Path, default=EXPLAINED, help="reasons for survivors")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "mutation.json")
    options = parser.parse_args(arguments)
    for name in options.tests:
        if not (options.root / f"tests/test_{name}.py").exists():
            parser.error(f"--tests has {name}, but there is no tests/test_{name}.py")

    begin = time.monotonic()
    known = reasons(options.explained)
    with tempfile.TemporaryDirectory(prefix="mutation-") as new:
        bench = Bench(options.root, options.folder or Path(new))
        mutants = mutants_of_tree(bench.root, tuple(options.files))
        if options.again:
            document = json.loads(options.out.read_text(encoding="utf-8"))
            chosen = survivors(document["mutants"], mutants)
        else:
            document = {"all": len(mutants), "seed": options.seed, "seconds": 0, "mutants": []}
            chosen = sampled(mutants, options.sample, options.seed)
        rows, earlier = {row["key"]: row for row in document["mutants"]}, document["seconds"]
        print(f"{len(chosen)} mutants of {len(mutants)}", flush=True)
        print(f"{bench.measure(options.tests, options.jobs)}, {time.monotonic() - begin:.0f} s", flush=True)
        for row in verdicts(bench, chosen, options.jobs, begin + 60 * options.minutes):
            rows[row["key"]] = {**row, "first": rows.get(row["key"], row)["first"]}
            if row["outcome"] == PASSED and row["key"] not in known:
                print(f"left: {row['path']}:{row['line']}: {row['key'].split('::', 2)[2]}", flush=True)
            document["environment"] = environment()
            document["seconds"] = earlier + round(time.monotonic() - begin)
            document["mutants"] = list(rows.values())
            write(options.out, document)
    text = summary(document, known)
    print(text)
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    score = Score(document["mutants"], known)
    return 0 if score.share >= options.bound and not score.left else 1


if __name__ == "__main__":
    sys.exit(main())
