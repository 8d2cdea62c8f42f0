"""The losses on a GPU against the public implementations there, and against the core on the CPU beside it.

All sides run in one process, in turn, forward and backward, until the value has come to the host. Needs
PyTorch with CUDA; peers that are not installed are named.

    python benchmarks/gpu.py [--repeats N] [--device NAME] [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import measure
import numpy as np
import rivals
import workloads
from measure import Cell, count, duration
from rows import Settings, agreement, in_turn

from lovasz_opt.losses import lovasz_hinge_and_gradient, lovasz_softmax_and_gradient

CORE = "the core on the CPU"
HEAD = ("work", "faster peer over ours", "runs", "ours", "faster peer", "core on the CPU over ours", "notes")
CELL_HEAD = ("work", "side", "median seconds", "least", "most")


def hinge(settings: Settings, device: str) -> Iterator[Cell]:
    for p in (10**5, 10**6, 10**7):
        for trained in (False, True):
            size = settings.size(p)
            target, logits = workloads.scene(size, trained=trained)
            sides = rivals.torch_adapter_hinge(logits, target, device)
            sides |= rivals.torch_hinge(logits, target, device)
            sides[CORE] = lambda logits=logits, target=target: lovasz_hinge_and_gradient(logits, target)
            case = f"hinge, {'trained' if trained else 'random'}, p = {count(size)}"
            yield in_turn(case, sides, settings, agreement(sides))


def softmax(settings: Settings, device: str) -> Iterator[Cell]:
    for trained in (False, True):
        pixels = settings.size(187_500)
        labels, logits = workloads.class_scene(pixels, trained=trained)
        sides = rivals.torch_adapter_softmax(logits, labels, device)
        sides |= rivals.torch_softmax(logits, labels, device)
        sides[CORE] = lambda logits=logits, labels=labels: lovasz_softmax_and_gradient(
            logits, labels, from_logits=True
        )
        case = f"softmax, {'trained' if trained else 'random'}, {workloads.CLASSES} × {count(pixels)} pixels"
        yield in_turn(case, sides, settings, agreement(sides))


def summarise(cell: Cell) -> tuple[str, ...]:
    """One line of the table."""
    ours = rivals.ADAPTER
    ratios, core = cell.ratios(rivals.TORCH, ours), cell.ratios((CORE,), ours)
    notes = "; ".join([part for part in [cell.note, *(f"missing: {what}" for what in cell.missing)] if part])
    fastest = min((s for s in rivals.TORCH if s in cell.seconds), key=cell.median, default=None)
    return (
        cell.case,
        f"{statistics.median(ratios):.3g} ×" if ratios else "–",
        f"{min(ratios):.3g} to {max(ratios):.3g}" if ratios else "–",
        duration(cell.median(ours)),
        f"{duration(cell.median(fastest))} ({fastest})" if fastest else "–",
        f"{statistics.median(core):.3g} ×",
        notes,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="runs of every side (default 7)")
    parser.add_argument("--device", default="cuda", help="of PyTorch (default cuda)")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the sizes: does it run?")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    torch = rivals.require("torch")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device")
    settings = Settings(arguments.repeats, measure.cores(), arguments.quick)
    environment = measure.environment(settings.threads)
    if arguments.device == "cuda":
        environment["processor"] = f"{torch.cuda.get_device_name()}, {environment['processor']}"
    cells: list[Cell] = []
    for cell in (*hinge(settings, arguments.device), *softmax(settings, arguments.device)):
        print(" | ".join(summarise(cell)), flush=True)
        cells.append(cell)
    text = (
        f"# On a GPU\n\n{measure.describe(environment)}\n\nFaster peer over ours: the median of ratios taken "
        "run by run, all on the same GPU. The core has the CPU beside it to itself.\n\n"
    )
    table = [
        (cell.case, side, *(f"{f(seconds):.6g}" for f in (np.median, min, max)))
        for cell in cells
        for side, seconds in cell.seconds.items()
    ]
    text += measure.markdown(HEAD, [summarise(cell) for cell in cells])
    measure.save(arguments.out, "gpu", {"environment": environment, "cells": cells}, text, CELL_HEAD, table)


if __name__ == "__main__":
    main()
