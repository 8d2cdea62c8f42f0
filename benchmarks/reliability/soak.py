"""A soak: very many random proxes, every answer certified by code that shares nothing with the package.

    python benchmarks/reliability/soak.py                   # a million: some minutes on one core
    python benchmarks/reliability/soak.py --only 123456     # one case of it, in detail

Every case has random numbers of its own, which its index and the seed determine: sizes from 1 to 10⁴, all
kinds of targets, ties, scales from subnormal to 10²⁷⁰, steps over sixteen decades, three precisions, the
Lovász extension, and the Lovász hinge with void pixels and batches. The exit status is 1 if an answer is
outside the bound. Ctrl-C writes what is done.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from certificate import certificate
from environment import record

import lovasz_opt as lo

#: What gap and infeasibility may be, in units in the last place of the precision of the answer.
BOUND = 8.0
#: Seconds between two lines of progress.
_TOLD_EVERY = 5.0
RESULTS = Path(__file__).parent / "results"
ROUTES = ("extension", "hinge", "hinge with void pixels", "hinge of a batch")
DTYPES = (np.float64, np.float32, np.float16)
KINDS = (
    "normal", "integers", "few values", "constant", "crowded", "wide", "sorted", "huge", "tiny", "subnormal",
    "at the boundary",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One problem: scores, labels (255 is void), step, and what it was made from."""

    scores: np.ndarray
    labels: np.ndarray
    gamma: float
    route: str
    kind: str


def case(seed: int, index: int) -> Case:
    """The problem with an index.

    Parameters
    ----------
    seed, index : int

    Returns
    -------
    Case
    """
    rng = np.random.default_rng([seed, index])
    route = ROUTES[(0, 0, 0, 0, 1, 1, 2, 3)[rng.integers(8)]]
    dtype = DTYPES[(0, 0, 0, 0, 0, 0, 1, 1, 2)[rng.integers(9)]]
    draw = rng.random()
    top = 64 if draw < 0.95 else 1000 if draw < 0.995 else 10_000
    n = int(rng.integers(1, top + 1))
    images = int(rng.integers(2, 5)) if route == "hinge of a batch" else 1
    kind = KINDS[rng.integers(len(KINDS))] if dtype is np.float64 else KINDS[rng.integers(7)]
    gamma = float(10.0 ** rng.uniform(-8, 8)) * (1.0 if rng.random() < 0.5 else n)
    if rng.random() < 0.2 or dtype is np.float16:
        # The prox moves by up to γ, which must not leave the range of half precision.
        gamma = float(rng.integers(1, 40))
    noise = rng.standard_normal((images, n))
    if kind == "integers":
        noise = np.round(5 * noise)
    elif kind == "few values":
        noise = rng.choice([-1.0, -0.0, 0.0, 0.1, 1.0], (images, n))
    elif kind == "constant":
        noise[:] = noise[0, 0]
    elif kind == "crowded":
        noise = 1 + 1e-9 * noise
    elif kind == "wide":
        noise *= 10.0 ** rng.uniform(-4, 4, noise.shape)
    elif kind == "sorted":
        noise.sort()
    labels = rng.random((images, n)) < (0, 1 / n, 0.1, 0.3, 0.5, 0.9, 1)[rng.integers(7)]
    if kind == "at the boundary":
        # Background pixels exactly where foreground pixels of another cost arrive: merges by a tie.
        noise = np.round(noise)
        costs = gamma / np.maximum(labels.sum(axis=1), 1)
        noise = np.where(labels, noise + costs[:, None], noise)
    scale = {"huge": 2.0**900, "tiny": 2.0**-900, "subnormal": 5e-324 * 64}.get(kind, 1.0)
    if route == "extension":
        # A batch of its own scale; the hinge has its own unit, the margin 1.
        noise, gamma = noise * scale, max(gamma * scale, 5e-324)
    targets = labels.astype(np.int64)
    if route == "hinge with void pixels":
        targets[rng.random(labels.shape) < 0.3] = 255
    shape = (images, n) if route == "hinge of a batch" else (n,)
    return Case(noise.astype(dtype).reshape(shape), targets.reshape(shape), gamma, route, kind)


def answer(problem: Case) -> np.ndarray:
    """What the package computes."""
    if problem.route == "extension":
        return lo.LovaszExtension(lo.Jaccard(problem.labels)).prox(problem.scores, problem.gamma)
    ignore = 255 if problem.route == "hinge with void pixels" else None
    return lo.prox_lovasz_hinge(problem.scores, problem.labels, problem.gamma, ignore=ignore)


def check(problem: Case, moved: np.ndarray) -> tuple[float, float]:
    """Gap and infeasibility of an answer in units in the last place; raises if it is no answer at all.

    The unit is that of the precision of the answer, for subnormal numbers their distance from one another.

    Parameters
    ----------
    problem : Case
    moved : ndarray

    Returns
    -------
    gap, infeasibility : float
        The worst of the images.
    """
    scores, labels = problem.scores, problem.labels
    if moved.shape != scores.shape or moved.dtype != scores.dtype:
        raise AssertionError(f"{moved.dtype}{moved.shape} for {scores.dtype}{scores.shape}")
    if not np.isfinite(moved).all():
        raise AssertionError("not finite")
    void = labels == 255
    if not np.array_equal(moved[void], scores[void]):
        raise AssertionError("void pixels moved")
    gap = infeasibility = 0.0
    rows = (array.reshape(-1, scores.shape[-1]) for array in (scores, moved, labels))
    for x, z, y in zip(*rows, strict=True):
        valid = y != 255
        if not valid.any():
            continue
        one = _certified(x[valid], z[valid], y[valid] == 1, problem)
        gap, infeasibility = max(gap, abs(one[0])), max(infeasibility, one[1])
    return gap, infeasibility


def _certified(x: np.ndarray, z: np.ndarray, foreground: np.ndarray, problem: Case) -> tuple[float, float]:
    precision = np.finfo(x.dtype)
    x, z = x.astype(np.float64), z.astype(np.float64)
    gamma, unit = problem.gamma, float(problem.route != "extension")
    if unit:
        x, z = (np.where(foreground, 1 - scores, 1 + scores) for scores in (x, z))
    # Powers of two change nothing but the exponents, so that squares neither overflow nor vanish.
    shift = -math.frexp(max(float(np.abs(x).max()), gamma))[1]
    half = shift // 2
    x, z = (np.ldexp(np.ldexp(values, half), shift - half) for values in (x, z))
    gamma, unit = (math.ldexp(math.ldexp(value, half), shift - half) for value in (gamma, unit))
    gap, infeasibility = certificate(x, foreground, gamma, z, unit > 0, unit)
    least = math.ldexp(math.ldexp(float(precision.smallest_subnormal), half), shift - half)
    ulp = float(precision.eps) + len(x) * least
    return gap / ulp, infeasibility / ulp


def soak(count: int, seed: int, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Run the cases 0, …, count − 1; Ctrl-C ends with those that are done.

    Parameters
    ----------
    count, seed : int
    progress : callable, optional
        Is told every few seconds how far it is.

    Returns
    -------
    dict
        The count of cases done, their numbers by route, kind, precision and size, the worst gap and the worst
        infeasibility with the cases that have them, and what failed.
    """
    counts = {name: Counter[str]() for name in ("route", "kind", "precision", "pixels")}
    worst = {"gap": (0.0, -1), "infeasibility": (0.0, -1)}
    failures: list[dict[str, Any]] = []
    done, interrupted, begin = 0, False, time.perf_counter()
    told = begin
    try:
        for index in range(count):
            problem = case(seed, index)
            try:
                pair = _examined(problem)
            except Exception as error:
                failures.append({"case": index, "error": f"{type(error).__name__}: {error}"})
            else:
                for name, ulp in zip(worst, pair, strict=True):
                    worst[name] = max(worst[name], (ulp, index))
            for name, value in _traits(problem).items():
                counts[name][value] += 1
            done += 1
            if progress is not None and time.perf_counter() > told + _TOLD_EVERY:
                told = time.perf_counter()
                ulp = max(value for value, _ in worst.values())
                progress(f"{done:,} of {count:,} proxes: worst {ulp:.2f} ulp, {len(failures)} failed")
    except KeyboardInterrupt:
        interrupted = True
    return {
        "count": done,
        "seed": seed,
        "seconds": round(time.perf_counter() - begin, 1),
        "interrupted": interrupted,
        "bound": BOUND,
        "worst": {name: {"ulp": round(value, 2), "case": index} for name, (value, index) in worst.items()},
        "counts": {name: dict(sorted(values.items())) for name, values in counts.items()},
        "failed": len(failures),
        "failures": failures[:20],
    }


def _examined(problem: Case) -> tuple[float, float]:
    """Gap and infeasibility of the answer; raises if one exceeds the bound, or an input was changed."""
    before = problem.scores.copy(), problem.labels.copy()
    pair = check(problem, answer(problem))
    if not all(map(np.array_equal, before, (problem.scores, problem.labels))):
        raise AssertionError("an input was changed")
    if not max(pair) <= BOUND:
        raise AssertionError(f"gap {pair[0]:.3g} ulp, infeasibility {pair[1]:.3g} ulp")
    return pair


def _traits(problem: Case) -> dict[str, str]:
    size = problem.scores.shape[-1]
    return {
        "route": problem.route,
        "kind": problem.kind,
        "precision": problem.scores.dtype.name,
        "pixels": "1 to 64" if size <= 64 else "65 to 1000" if size <= 1000 else "1001 to 10000",
    }


def main(arguments: list[str] | None = None) -> int:
    """Soak, print, write; 1 if an answer is outside the bound, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000, help="how many cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: %(default)s)")
    parser.add_argument("--only", type=int, metavar="CASE", help="show one case instead, and write nothing")
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS / "soak.json",
        help="(default: results/soak.json beside this script)",
    )
    options = parser.parse_args(arguments)
    if options.only is not None:
        problem = case(options.seed, options.only)
        print(problem, moved := answer(problem), sep="\n")
        gap, infeasibility = check(problem, moved)
        print(f"gap {gap:.3g} ulp, infeasibility {infeasibility:.3g} ulp, bound {BOUND:g} ulp")
        return int(not max(gap, infeasibility) <= BOUND)
    result = soak(options.count, options.seed, lambda text: print(text, file=sys.stderr, flush=True))
    record(options.out, result)
    worst = result["worst"]
    print(
        f"{result['count']:,} proxes in {result['seconds']} s: worst gap {worst['gap']['ulp']} ulp, worst "
        f"infeasibility {worst['infeasibility']['ulp']} ulp, bound {BOUND:g} ulp; {result['failed']} failed"
    )
    for failure in result["failures"]:
        print(f"case {failure['case']}: {failure['error']}")
    return 1 if result["failed"] else 130 if result["interrupted"] else 0


if __name__ == "__main__":
    sys.exit(main())
