"""Certified optima of real problems: ssnal in subgradient evaluations, and where others are by then.

python benchmarks/second_order.py [--data FOLDER] [--classes cat dog …] [--l2 1e-3 …] [--large] [--quick]

Without data (--data, or LOVASZ_OPT_DATA) the images are drawn shapes. `--large` adds all training images with
scores interpolated to 129 × 129 pixels, in a process of its own for its peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measure
import numpy as np
from measure import duration

from lovasz_opt import datasets, problems, solvers

TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-8)
#: Budgets for the other methods, in subgradient evaluations.
BUDGETS = (200, 400)
STEPS = (1e-3, 1e-2, 1e-1, 1.0, 1e1)
CLASSES = ("cat", "cow", "dog", "horse", "person", "sheep")
HEAD = ("problem", "subgradient evaluation", "Newton steps", "passes", *(f"to {t:g}" for t in TOLERANCES))
BY_THEN = ("method", *(f"{what} after {b}" for b in BUDGETS for what in ("gap", "above optimum")))


def methods() -> dict[str, list[Callable[..., solvers.Result]]]:
    """Every other method that serves a linear risk, with the step sizes from which the best run counts."""
    found: dict[str, list[Callable[..., solvers.Result]]] = {
        f"subgradient, {rule}": [partial(solvers.subgradient, step=rule, step_size=eta) for eta in sizes]
        for rule, sizes in {
            "constant": STEPS,
            "sqrt": STEPS,
            "strong": (1.0,),
            "polyak": (1.0,),
            "normalised": STEPS,
        }.items()
    }
    for name in ("stochastic_subgradient", "adam"):
        found[name] = [partial(getattr(solvers, name), step_size=eta) for eta in STEPS]
    for name in ("admm", "pdhg", "fista", "moreau", "bundle", "frank_wolfe", "stochastic_proximal_point"):
        found[name] = [getattr(solvers, name)]
    return found


def evaluation(pb: Any, repeats: int = 21) -> float:
    """Median seconds of a value with subgradient, at coefficients of the size of a solution."""
    v = 0.05 * np.random.default_rng(0).standard_normal(pb.n_features)
    runs = measure.in_turn({"evaluation": lambda: pb.value_and_subgradient(v)}, repeats)["evaluation"]
    return statistics.median(runs)


def reached(result: solvers.Result, tol: float) -> float | None:
    """Seconds until the certified gap was within tol."""
    trace = result.trace
    rows = np.flatnonzero(trace["gap"] <= tol * np.abs(trace["best"]))
    return float(trace["seconds"][rows[0]]) if rows.size else None


def standing(result: solvers.Result, seconds: float, optimum: float) -> tuple[float, float]:
    """Certified relative gap, and distance to the optimal value, by then."""
    row = max(int(np.searchsorted(result.trace["seconds"], seconds, side="right")) - 1, 0)
    best, gap = result.trace["best"][row], result.trace["gap"][row]
    return float(gap / best), float((best - optimum) / optimum)


def race(name: str, pb: Any, others: bool) -> dict[str, Any]:
    solvers.ssnal(pb, max_iter=2)
    first = evaluation(pb)
    result = solvers.ssnal(pb, tol=TOLERANCES[-1], max_iter=2000)
    one = statistics.mean([first, evaluation(pb)])
    times = [reached(result, tol) for tol in TOLERANCES]
    document: dict[str, Any] = {
        "problem": name,
        "evaluation": one,
        "steps": result.nit,
        "passes": result.trace["passes"][-1],
        "status": result.status,
        "optimum": result.value,
        "to": {f"{tol:g}": seconds for tol, seconds in zip(TOLERANCES, times, strict=True)},
        "others": {},
    }
    for method, variants in methods().items() if others else ():
        print(f"  {method} …", file=sys.stderr, flush=True)
        runs = [run(pb, tol=TOLERANCES[-1], max_iter=10**7, max_time=BUDGETS[-1] * one) for run in variants]
        # Each figure from the variant for which it is best: an oracle choice in their favour.
        document["others"][method] = [
            min(column)
            for budget in BUDGETS
            for column in zip(*(standing(r, budget * one, result.value) for r in runs), strict=True)
        ]
    return document


def line(document: dict[str, Any]) -> tuple[str, ...]:
    one = document["evaluation"]
    cells = ["–" if s is None else f"{s / one:.0f} ({duration(s)})" for s in document["to"].values()]
    return (
        document["problem"],
        duration(one),
        str(document["steps"]),
        f"{document['passes']:.0f}",
        *cells,
    )


def solve_large(path: str, cls: str, limit: int | None) -> None:
    """Print as JSON how ssnal solves the risk of all images at 129 × 129 pixels."""
    label, void = datasets.VOC_CLASSES.index(cls), datasets.VOID
    with (
        measure.peak_memory() as peak,
        np.load(Path(path) / "voc_animals" / "deeplab_train.npz", allow_pickle=False) as stored,
    ):
        scale, zero = float(stored["scale"]), float(stored["zero"])
        # All images, those without the class too.
        codes, masks = stored["features"][:limit], stored["masks129"][:limit]
        pb = problems.LinearHingeRisk(
            [problems.Quantised(image, scale, zero, constant=True) for image in codes],
            [np.where(mask == void, void, mask == label) for mask in masks],
            l2=1e-3,
            ignore=void,
            upsample="align_corners",
        )
        one = evaluation(pb)
        result = solvers.ssnal(pb, tol=1e-6)
    found = {
        "problem": repr(pb),
        "evaluation": one,
        "status": result.status,
        "gap": result.relative_gap,
        "value": result.value,
        "steps": result.nit,
        "seconds": float(result.trace["seconds"][-1]),
        "passes": float(result.trace["passes"][-1]),
        "bytes": peak["bytes"],
    }
    print(json.dumps(found))


def large(path: str, cls: str, quick: bool) -> str:
    call = f"import second_order; second_order.solve_large({path!r}, {cls!r}, {20 if quick else None})"
    output = subprocess.run(
        [sys.executable, "-c", call], check=True, stdout=subprocess.PIPE, text=True, cwd=measure.HERE
    ).stdout
    found = json.loads(output.splitlines()[-1])
    return (
        f"{found['problem']}, scores interpolated from 33 × 33: {found['status']}, certified relative gap "
        f"{found['gap']:.1e} at {found['value']:.9g} after {found['steps']} Newton steps, "
        f"{found['seconds']:.0f} s ({found['seconds'] / found['evaluation']:.0f} subgradient evaluations of "
        f"{duration(found['evaluation'])}), {found['passes']:.0f} passes over the data; peak memory "
        f"{found['bytes'] / 2**20:.0f} MiB with the data.\n"
    )


def others_table(document: dict[str, Any]) -> str:
    """Where the other methods were on one problem."""
    table = [
        (method, *(f"{figure:.1e}" for figure in figures)) for method, figures in document["others"].items()
    ]
    return (
        f"\n## Where the other methods are by then: {document['problem']}\n\n"
        f"After the time of {BUDGETS[0]} and {BUDGETS[1]} subgradient evaluations: the relative gap that a "
        "method certifies, and how far its objective is above the certified optimum, relative to that. Of "
        f"methods with a step size the best over {', '.join(f'{eta:g}' for eta in STEPS)}, each figure by "
        "itself.\n\n" + measure.markdown(BY_THEN, table)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default=os.environ.get("LOVASZ_OPT_DATA"), help="folder of the VOC features"
    )
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), choices=CLASSES)
    parser.add_argument("--l2", nargs="+", type=float, default=[1e-3])
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument(
        "--large", action="store_true", help="also all images at 129 × 129 pixels (needs data)"
    )
    parser.add_argument("--quick", action="store_true", help="small, only to show that it works")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.large and not arguments.data:
        parser.error("--large needs --data or LOVASZ_OPT_DATA")
    documents = []
    classes = arguments.classes[:1] if arguments.quick else arguments.classes
    for cls in classes if arguments.data else ["shapes"]:
        limit = 10 if arguments.quick else arguments.images
        if arguments.data:
            images = datasets.voc(arguments.data, cls, "train", limit)
        else:
            images = datasets.shapes(limit)
        for l2 in arguments.l2:
            pb = problems.LinearHingeRisk(
                [X.astype(np.float64) for X in images.features], images.targets, l2=l2, ignore=datasets.VOID
            )
            name = f"{cls}, {pb.n_images} images, {pb.n_pixels} × {pb.n_features}, l2 = {l2:g}"
            print(name, file=sys.stderr, flush=True)
            # The others on the first problem of each l2: they take 400 evaluations for every step size.
            documents.append(race(name, pb, others=cls == classes[0]))
    environment = measure.environment(measure.cores())
    rows = [line(document) for document in documents]
    text = (
        f"# ssnal to a certified optimum\n\n{measure.describe(environment)}\n\n"
        "Time until the certified relative gap is within a tolerance, in full subgradient evaluations of the "
        "same problem (median) and in seconds. A pass is a product with the features or their transpose.\n\n"
        + measure.markdown(HEAD, rows)
    )
    text += "".join(others_table(document) for document in documents if document["others"])
    if arguments.large:
        print("all images at 129 × 129 …", file=sys.stderr, flush=True)
        text += "\n## Many pixels\n\n" + large(arguments.data, arguments.classes[0], arguments.quick)
    measure.save(
        arguments.out, "second_order", {"environment": environment, "races": documents}, text, HEAD, rows
    )
    print(text)


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
