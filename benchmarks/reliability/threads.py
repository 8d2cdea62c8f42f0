"""Thread safety: results from eight threads at once are those of one thread alone, bit for bit.

    python benchmarks/reliability/threads.py

In a process for every threading layer of Numba that is installed, and for one, two and eight threads inside
the package, eight threads make all calls in random order, on objects of their own and on shared ones, warm
starts included; then all the same call on the same object. Then they use new objects together, which compute
parts of themselves when these are first needed. In one more process they make the first calls of all, with
nothing compiled yet. All processes must agree, and BLAS must use as many threads as before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from environment import record

LAYERS = ("omp", "tbb", "workqueue")
INSIDE = (1, 2, 8)
SOLVERS = ("ssnal", "bundle", "admm", "pdhg", "moreau", "fista", "frank_wolfe", "adam", "subgradient")
#: What Numba says of a layer without its library.
_NO_LAYER = "No threading layer could be loaded"


def calls(pixels: int) -> dict[str, Callable[[], Any]]:
    """Calls by name; those named "shared" use one object from all threads.

    Parameters
    ----------
    pixels : int
        Size of the images; one has 2^20, which is divided among threads.

    Returns
    -------
    dict of callable
        Each gives arrays and numbers, always the same.
    """
    import lovasz_opt as lo

    rng = np.random.default_rng(0)
    target, x = rng.random(pixels) < 0.3, rng.standard_normal(pixels)
    batch, masks = rng.standard_normal((4, pixels)).astype(np.float32), rng.random((4, pixels)) < 0.2
    probas = rng.dirichlet(np.ones(5), (2, pixels)).transpose(0, 2, 1).copy()
    classes = rng.integers(0, 5, (2, pixels))
    f, h = lo.LovaszExtension(lo.Jaccard(target)), lo.LovaszHinge(masks)
    near = x + 1e-6 * rng.standard_normal(pixels)
    few = lo.LovaszExtension(lo.Jaccard(target[:500]))
    large = rng.standard_normal(1 << 20).astype(np.float32)
    of_large = lo.LovaszHinge(large > 0.5)
    risk = _risk()
    made: dict[str, Callable[[], Any]] = {
        "prox": lambda: lo.LovaszExtension(lo.Jaccard(target)).prox(x, 50.0),
        "prox, shared": lambda: f.prox(x, 50.0),
        "prox from a nearby solution, shared": lambda: (
            f.prox(x, 50.0, start=x),
            f.prox(near, 50.0, start=x),
        ),
        "value and subgradient, shared": lambda: f.value_and_subgradient(x),
        "envelope and gradient, shared": lambda: f.envelope_and_gradient(x, 50.0),
        "derivative of the prox, shared": lambda: f.prox_vjp(x, 50.0, near),
        "certificate, shared": lambda: lo.verify_prox(few, x[:500], 3.0, few.prox(x[:500], 3.0)),
        "hinge of a batch, shared": lambda: h.value_and_subgradient(batch),
        "hinge of a large image, shared": lambda: of_large.value_and_subgradient(large),
        "prox of a batch, shared": lambda: h.prox(batch, 20.0),
        "prox of a batch, warm, shared": lambda: [h.prox(z, 20.0, start=batch) for z in (batch, -batch)],
        "Lovász-Softmax": lambda: lo.lovasz_softmax(probas, classes),
        "min-norm point": lambda: lo.LovaszExtension(lo.Cut.grid((3, 4))).prox(x[:12], 0.7),
        "rational prox": lambda: lo.prox_exact(target[:40], x[:40].tolist(), 3),
    }
    for name in SOLVERS:
        made[f"solver {name}"] = lambda name=name: _solve(name, _risk())
        made[f"solver {name}, shared"] = lambda name=name: _solve(name, risk)
    return made


def fresh_objects(pixels: int) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Objects that compute parts of themselves when first needed: how to make one, and what needs these.

    Parameters
    ----------
    pixels : int

    Returns
    -------
    dict of pairs of callable
    """
    import lovasz_opt as lo

    rng = np.random.default_rng(1)
    target, x = rng.random(pixels) < 0.3, rng.standard_normal(pixels)
    weights = rng.uniform(0.5, 2, 300)

    def all_of_extension(f: Any) -> Any:
        part = x[: f.F.n]
        return f.prox(part, 2.0), f.envelope_and_gradient(part, 2.0), f.value_and_subgradient(part)

    def all_of_hinge(h: Any) -> Any:
        part = x[: h.shape[0]]
        return h.prox(part, 9.0, start=part), h.envelope(part, 9.0), h.prox_vjp(part, 9.0, part)

    return {
        "Jaccard": (lambda: lo.LovaszExtension(lo.Jaccard(target)), all_of_extension),
        "Jaccard with weights": (
            lambda: lo.LovaszExtension(lo.Jaccard(target[:300], weights)),
            all_of_extension,
        ),
        "Tversky": (lambda: lo.LovaszExtension(lo.Tversky(target[:60], 0.5, 1.2)), all_of_extension),
        "Cut": (lambda: lo.LovaszExtension(lo.Cut.grid((3, 4))), all_of_extension),
        "hinge": (lambda: lo.LovaszHinge(target), all_of_hinge),
        "hinge with weights": (lambda: lo.LovaszHinge(target[:300], weights), all_of_hinge),
        "risk": (_risk, lambda risk: [_solve(name, risk) for name in ("ssnal", "admm", "pdhg")]),
    }


def _risk() -> Any:
    from lovasz_opt import problems

    rng = np.random.default_rng(2)
    features = [rng.standard_normal((60, 4)) for _ in range(5)]
    return problems.LinearHingeRisk(features, [rng.random(60) < 0.4 for _ in range(5)], l2=0.05)


def _solve(name: str, risk: Any) -> Any:
    from lovasz_opt import solvers

    result = getattr(solvers, name)(risk, tol=0, max_iter=5)
    return result.x, result.value, result.dual, result.gap, result.nit


def digest(value: Any) -> str:
    """What a result is, bit for bit: arrays, numbers, and tuples and lists of them."""
    if isinstance(value, tuple | list):
        data = " ".join(map(digest, value)).encode()
    else:
        array = np.asarray(value)
        data = repr(value).encode() if array.dtype.kind == "O" else array.dtype.str.encode() + array.tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


def at_once(work: Callable[[int], list[str]], threads: int) -> list[str]:
    """What ``work(0)``, … say that run in threads at the same time; an error says what it is.

    Parameters
    ----------
    work : callable
    threads : int

    Returns
    -------
    list of str
        All that they say, each once.
    """
    said: set[str] = set()
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        barrier.wait()
        try:
            said.update(work(number))
        except Exception as error:
            said.add(f"{type(error).__name__}: {error}")

    workers = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(threads)]
    interval = sys.getswitchinterval()
    # Python's threads take turns a thousand times as often as usual.
    sys.setswitchinterval(5e-6)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    return sorted(said)


def differing(made: dict[str, Callable[[], Any]], alone: dict[str, str], names: list[str]) -> list[str]:
    """Those of the named calls that do not give what they give alone."""
    return [name for name in names if digest(made[name]()) != alone[name]]


def together(pixels: int, threads: int, repeats: int) -> dict[str, Any]:
    """Make all calls alone, then from all threads in random order, then one by one; then use new objects.

    Parameters
    ----------
    pixels, threads : int
    repeats : int
        How often every thread makes every call, and how many new objects of every kind there are.

    Returns
    -------
    dict
        Digests of the results alone, how many calls were made, problems.
    """
    made, objects = calls(pixels), fresh_objects(pixels)
    alone = {name: digest(call()) for name, call in made.items()}
    of_objects = {f"new {name}": digest(use(make())) for name, (make, use) in objects.items()}
    before = blas_threads()

    def shuffled(number: int) -> list[str]:
        names = [*made] * repeats
        random.Random(number).shuffle(names)
        return differing(made, alone, names)

    problems = at_once(shuffled, threads)
    shared = [name for name in made if "shared" in name]
    for name in shared:
        problems += at_once(lambda _, name=name: differing(made, alone, [name] * repeats), threads)
    for name, (make, use) in objects.items():
        for _ in range(repeats):
            one = make()
            call = {f"new {name}": lambda use=use, one=one: use(one)}
            problems += at_once(lambda _, call=call: differing(call, of_objects, [*call]), threads)
    if blas_threads() != before:
        problems.append(f"BLAS used {before} threads before and {blas_threads()} after")
    return {
        "alone": alone | of_objects,
        "calls": threads * repeats * (len(made) + len(shared) + len(objects)),
        "problems": sorted(set(problems)),
    }


def first_calls(pixels: int, threads: int) -> dict[str, Any]:
    """The same calls from all threads before anything is compiled, then alone.

    Parameters
    ----------
    pixels, threads : int

    Returns
    -------
    dict
        As of `together`.
    """
    made = calls(pixels)
    names = ["hinge of a batch, shared", "prox, shared", "prox of a batch, shared", "Lovász-Softmax"]
    found = at_once(lambda _: [f"{name}: {digest(made[name]())}" for name in names], threads)
    alone = {name: digest(made[name]()) for name in names}
    expected = {f"{name}: {result}" for name, result in alone.items()}
    return {
        "alone": alone,
        "calls": threads * len(names),
        "problems": [f"first call: {said}" for said in found if said not in expected],
    }


def blas_threads() -> list[int]:
    """How many threads the BLAS libraries use."""
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def child(
    options: argparse.Namespace, variables: dict[str, str], first: bool = False
) -> dict[str, Any] | None:
    """`together` or `first_calls` in a process of its own; None without the library of a threading layer."""
    command = [sys.executable, __file__, "--child", "first" if first else "together"]
    for name in ("threads", "repeats", "pixels"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=1800
    )
    if _NO_LAYER in done.stderr:
        return None
    if done.returncode:
        what = f"ended with {done.returncode}: {done.stderr[-400:]}"
        return {"alone": {}, "calls": 0, "problems": [what]}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def runs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What every process found, by its setting.

    Parameters
    ----------
    options : Namespace

    Returns
    -------
    dict of dict
    """
    found = {}
    for layer in LAYERS:
        for inside in INSIDE:
            variables = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": str(inside)}
            result = child(options, variables)
            if result is not None:
                found[f"{layer}, {inside} inside"] = result
    with tempfile.TemporaryDirectory() as empty:
        result = child(options, {"NUMBA_CACHE_DIR": empty}, first=True)
        if result is not None:
            found["nothing compiled"] = result
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run all processes, print, write; 1 if a result differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--pixels", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "threads.json")
    parser.add_argument("--child", choices=["first", "together"], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child == "first":
        print(json.dumps(first_calls(options.pixels, options.threads)))
        return 0
    if options.child == "together":
        import numba

        # Starts the threading layer, or fails where it is not installed.
        numba.get_num_threads()
        print(json.dumps(together(options.pixels, options.threads, options.repeats)))
        return 0
    begin = time.perf_counter()
    found = runs(options)
    expected: dict[str, str] = {}
    problems = []
    for setting, run in found.items():
        problems += [f"{setting}: {what}" for what in run["problems"]]
        for name, result in run["alone"].items():
            if expected.setdefault(name, result) != result:
                problems.append(f"{setting}: {name} alone is not as in the runs before")
    document = {
        "threads": options.threads,
        "pixels": options.pixels,
        "names": list(expected),
        "calls": {setting: run["calls"] for setting, run in found.items()},
        "missing": [layer for layer in LAYERS if not any(setting.startswith(layer) for setting in found)],
        "problems": problems,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    record(options.out, document)
    print(
        f"{sum(document['calls'].values())} calls of {len(expected)} kinds from {options.threads} threads, "
        f"in {len(found)} settings ({', '.join(found)}): {len(problems)} problems"
    )
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
