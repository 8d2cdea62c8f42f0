"""Train a segmentation network: ``python -m lovasz_opt.training --data DIR --dataset voc``.

With several GPUs: ``torchrun --nproc-per-node N -m lovasz_opt.training …``.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.distributed as dist
import typer

from ..datasets import DataError
from ..versions import versions
from . import data, losses, networks
from .loop import COLUMNS, Plan, Processes, load_checkpoint, start_from, train


class _Datasets(StrEnum):
    voc = "voc"
    voc_sbd = "voc-sbd"
    voc_animals = "voc-animals"
    camvid = "camvid"


class _Optimisers(StrEnum):
    adam = "adam"
    sgd = "sgd"


def _sources(dataset: str, directory: Path) -> tuple[data.Source, data.Source]:
    if dataset == "camvid":
        return data.camvid_source(directory, "train"), data.camvid_source(directory, "val")
    if dataset == "voc-animals":
        return data.voc_animals(directory, "train"), data.voc_animals(directory, "val")
    train_source = data.voc_and_sbd(directory) if dataset == "voc-sbd" else data.voc(directory, "train")
    return train_source, data.voc(directory, "val")


def _fail(message: str, code: int = 2) -> typer.Exit:
    typer.echo(f"lovasz_opt.training: {message}", err=True)
    return typer.Exit(code)


def run(
    directory: Annotated[Path, typer.Option("--data", help="Folder of the data set.")],
    dataset: Annotated[
        _Datasets, typer.Option(help="voc and voc-sbd in their public layouts.")
    ] = _Datasets.voc,
    model: Annotated[str, typer.Option(help=f"One of {', '.join(networks.NAMES)}.")] = "unet",
    loss: Annotated[str, typer.Option(help=f"One of {', '.join(losses.NAMES)}.")] = "lovasz-softmax",
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and summary.")] = Path("training"),
    epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Images of a step, over all processes.")] = 8,
    rate: Annotated[float, typer.Option(help="First step size.")] = 1e-3,
    optimiser: Annotated[_Optimisers, typer.Option()] = _Optimisers.adam,
    size: Annotated[tuple[int, int], typer.Option(help="Height and width of the crops.")] = (321, 321),
    weight: Annotated[float, typer.Option(help="Of the Lovász-Softmax in the mixture.")] = 0.5,
    gammas: Annotated[tuple[float, float], typer.Option(help="First and last step of moreau.")] = (
        256.0,
        1.0,
    ),
    pretrained: Annotated[bool, typer.Option("--pretrained", help="torchvision's backbone.")] = False,
    init: Annotated[Path | None, typer.Option(help="Start from the network of this checkpoint.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    augment: Annotated[bool, typer.Option(help="Scale, crop and mirror at random.")] = True,
    equibatch: Annotated[bool, typer.Option("--equibatch", help="Every class over few batches.")] = False,
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch VOC (and SBD) into --data.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda; by default a GPU if there is one.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images.")] = 2,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train a segmentation network with any loss.

    Ctrl-C keeps the last checkpoint, and --resume goes on from there.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        if chosen == "cuda":
            chosen = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(chosen)
        dist.init_process_group("nccl" if chosen.startswith("cuda") else "gloo")
    first = Processes().rank == 0
    options = {
        name: value.value if isinstance(value, StrEnum) else str(value) if isinstance(value, Path) else value
        for name, value in locals().items()
        if name not in ("chosen", "first", "device")
    }
    try:
        if download:
            data.download(directory, boundaries=dataset.value == "voc-sbd")
        images, validation = _sources(dataset.value, directory)
        plan = Plan(epochs, batch, rate, optimiser.value, *size, augment, equibatch, amp, seed, workers)
        torch.manual_seed(seed)
        network = networks.network(model, len(images.classes), pretrained)
        if init is not None:
            start_from(load_checkpoint(init), {"network": network}, init)
        steps = epochs * plan.steps(len(images), Processes().size)
        criterion = losses.ClassLoss(loss, weight, gammas, steps)
        if first:
            out.mkdir(parents=True, exist_ok=True)
            sizes = [f"{part.name}: {len(part)} images" for part in (images, validation)]
            typer.echo("; ".join([*sizes, f"on {chosen}"]))
        lines = train(
            network, criterion, images, validation, plan,
            out=out, resume=resume, device=chosen, tell=_tell if first else None,
        )  # fmt: skip
    except (DataError, ValueError, ImportError) as error:
        raise _fail(str(error)) from None
    except OSError as error:
        raise _fail(f"{error.filename or out}: {error.strerror or error}") from None
    except KeyboardInterrupt:
        kept = out / "checkpoint.pt"
        words = f"go on from {kept} with --resume" if kept.is_file() else "before the first checkpoint"
        raise _fail(f"interrupted: {words}", 130) from None
    if first:
        summary: dict[str, Any] = {
            "command": ["python", "-m", "lovasz_opt.training", *sys.argv[1:]],
            "options": options,
            "versions": versions(),
            "classes": dict(zip(images.classes, lines[-1]["classes"], strict=True)),
            "epochs": lines,
        }
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        typer.echo(f"wrote checkpoint.pt, log.csv and summary.json to {out}")
    if dist.is_initialized():
        dist.destroy_process_group()


def _tell(line: dict[str, Any]) -> None:
    values = {name: "none" if line[name] is None else f"{line[name]:.4g}" for name in COLUMNS}
    typer.echo("  ".join(f"{name} {value}" for name, value in values.items()))


def main() -> None:
    """Entry point of ``python -m lovasz_opt.training``."""
    typer.run(run)


if __name__ == "__main__":
    main()
