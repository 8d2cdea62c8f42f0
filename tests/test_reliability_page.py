"""The figures on docs/reliability.md are those of the last runs."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "reliability" / "results"


def load(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def mutation():
    run = load("mutation")
    killed, first = (
        sum(row[field].startswith("killed") for row in run["mutants"]) for field in ("outcome", "first")
    )
    alive = len(run["mutants"]) - killed
    yield f"{killed} of {len(run['mutants'])} random mutants killed, {alive} explained, 0 left"
    yield f"{first} of them were killed by the tests as they were"
    yield f"{run['all']:,} mutants in all"


def fuzz():
    runs = load("fuzz")
    yield f"{sum(run['inputs'] for run in runs.values()):,} inputs, 0 findings"
    for kernels, run in runs.items():
        assert run["exit"] == 0
        yield f"| {kernels} | {run['inputs']:,} | {run['seconds'] / 60:.0f} | {len(run['findings'])} |"


def soak():
    run = load("soak")
    gap, infeasibility = (run["worst"][name]["ulp"] for name in ("gap", "infeasibility"))
    yield f"{run['count']:,} random proxes, {run['failed']} out of bound"
    yield f"worst gap {gap} ulp, worst infeasibility {infeasibility} ulp"


def threads():
    run = load("threads")
    assert run["problems"] == []
    yield f"{sum(run['calls'].values()):,} calls of {len(run['names'])} kinds, bit for bit as alone"


def memory_limits():
    run = load("memory_limits")
    assert run["problems"] == []
    calls, refused = sum(run["calls"].values()), sum(run["refused"].values())
    yield f"{calls} calls of {len(run['calls'])} kinds, {refused} refused with `MemoryError`"


@pytest.mark.parametrize("figures", [mutation, fuzz, soak, threads, memory_limits])
def test_the_page_has_the_figures_of_the_last_run(figures):
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert [text for text in figures() if text not in page] == []
