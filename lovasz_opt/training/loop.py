"""The training loop: batches, steps, checkpoints, evaluation; on one device or several processes."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader

from ..datasets import VOID, DataError
from ..sampling import EquibatchSampler, class_presence
from .crops import Crops, as_tensor, read
from .data import Images, Source
from .losses import ClassLoss
from .metrics import Scores, counts, scores

#: Columns of the log.
COLUMNS = ("epoch", "loss", "rate", "image_miou", "dataset_miou", "seconds")
#: Images of one size that are evaluated together.
_AT_ONCE = 16


@dataclass(frozen=True)
class Plan:
    """How a network is trained; together with network, loss and images it fixes the result.

    Attributes
    ----------
    epochs, batch : int
        Batch is the number of images of a step, of all processes together.
    rate : float
        First step size; it falls to 0 as (1 − progress)^0.9.
    optimiser : {"adam", "sgd"}
        SGD with momentum 0.9; both with weight decay 10⁻⁴.
    height, width : int
        Of the crops.
    augment : bool
    equibatch : bool
        Draw images so that every class is present over consecutive batches.
    amp : bool
        Mixed precision: float16 with scaled gradients on CUDA, bfloat16 on a CPU.
    seed, workers : int
        Workers read images, beside the process that trains.
    """

    epochs: int = 20
    batch: int = 8
    rate: float = 1e-3
    optimiser: str = "adam"
    height: int = 321
    width: int = 321
    augment: bool = True
    equibatch: bool = False
    amp: bool = False
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "height", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be ≥ 1")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}; it must be > 0")
        if self.optimiser not in ("adam", "sgd"):
            raise ValueError(f"optimiser is {self.optimiser!r}; choose adam or sgd")

    def steps(self, images: int, processes: int = 1) -> int:
        """Steps of an epoch: a last batch with fewer than two images for each process is left out.

        A process must have one to take part, and normalisation over a batch needs two.
        """
        full, rest = divmod(images, self.batch)
        return max(full + (rest >= min(2 * processes, self.batch)), 1)


class Processes:
    """The processes that train together; one unless a launcher such as torchrun has set up more."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.size = dist.get_world_size() if together else 1

    def sum(self, array: Any) -> Any:
        """Sum of an array over the processes."""
        if self.size == 1:
            return array
        total = torch.from_numpy(np.ascontiguousarray(array))
        if dist.get_backend() == "nccl":
            total = total.cuda()
        dist.all_reduce(total)
        return total.cpu().numpy()


def train(
    network: nn.Module,
    loss: ClassLoss,
    images: Images | Source,
    validation: Images | Source | None,
    plan: Plan,
    *,
    out: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train a network in place.

    Parameters
    ----------
    network : torch.nn.Module
        (B, 3, H, W) standardised images ↦ (B, C, H, W) scores.
    loss : ClassLoss
    images, validation : Images or Source
        Validation images are looked at after every epoch, as they are: at their own size.
    plan : Plan
    out : Path, optional
        Folder for ``checkpoint.pt``, written after every epoch at once or not at all, and ``log.csv``.
    resume : bool
        Go on from the checkpoint in `out`, if there is one, to the weights of an uninterrupted run: bit for
        bit on a CPU with as many threads.
    device : str
    tell : callable, optional
        Is given the line of every epoch.

    Returns
    -------
    list of dict
        A line for every epoch: `COLUMNS` and classes, the IoU of each class; None for what is not defined.

    Raises
    ------
    DataError
        If an image or a checkpoint is damaged; the message names the file.
    ValueError
        If a batch is smaller than the number of processes, or the checkpoint is of another plan or network.
    """
    processes = Processes()
    if min(plan.batch, len(images.names)) < processes.size:
        raise ValueError(
            f"batch is {plan.batch} of {len(images.names)} images, fewer than the {processes.size} processes"
        )
    # Convolutions and normalisation are faster with the channels last, on CPUs and on GPUs.
    network, loss = network.to(device, memory_format=torch.channels_last), loss.to(device)
    optimiser = _optimiser(network, plan)
    scaler = torch.amp.GradScaler(device, enabled=plan.amp and device.startswith("cuda"))
    crops = Crops(images, plan.height, plan.width, plan.augment, plan.seed)
    presence = _presence(images) if plan.equibatch else None
    state = {"network": network, "optimiser": optimiser, "scaler": scaler}
    lines: list[dict[str, Any]] = []
    if resume and out is not None and (out / "checkpoint.pt").is_file():
        lines = _load(out / "checkpoint.pt", state, plan, loss, device)
    parallel = _parallel(network, device, processes)
    steps = plan.steps(len(crops), processes.size)
    for epoch in range(len(lines), plan.epochs):
        begin = time.perf_counter()
        # All that is random in an epoch follows from its number: a resumed run goes the same way.
        torch.manual_seed(plan.seed * 100_003 + epoch)
        crops.epoch = epoch
        batches = _batches(len(crops), plan, epoch, presence)[:steps]
        mine = [batch[processes.rank :: processes.size] for batch in batches]
        loader = DataLoader(crops, batch_sampler=mine, num_workers=plan.workers)
        parallel.train()
        total = 0.0
        for k, (pixels, labels) in enumerate(loader):
            done = epoch * steps + k
            rate = plan.rate * (1 - done / (steps * plan.epochs)) ** 0.9
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss.step(done)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.partition(":")[0], enabled=plan.amp, dtype=_half(device)):
                value = loss(parallel(_placed(pixels, device)), labels.to(device))
            scaler.scale(value).backward()
            scaler.step(optimiser)
            scaler.update()
            total += float(value.detach())
        found = evaluate(network, validation, device) if validation is not None else None
        lines.append(
            {
                "epoch": epoch + 1,
                "loss": _number(float(processes.sum(np.array([total]))[0]) / processes.size / steps),
                "rate": rate,
                "image_miou": None if found is None else _number(found.image_miou),
                "dataset_miou": None if found is None else _number(found.dataset_miou),
                "seconds": time.perf_counter() - begin,
                "classes": None if found is None else [_number(float(iou)) for iou in found.classes],
            }
        )
        if processes.rank == 0:
            if out is not None:
                _save(out, state, plan, loss, lines)
            if tell is not None:
                tell(lines[-1])
    return lines


def evaluate(network: nn.Module, images: Images | Source, device: str = "cpu") -> Scores:
    """Scores of a network on images at their own size; the processes share the images.

    Parameters
    ----------
    network : torch.nn.Module
    images : Images or Source
    device : str

    Returns
    -------
    Scores
    """
    processes = Processes()
    network.eval()
    n_classes = len(images.classes)
    tables = np.zeros((len(images.names), 2, n_classes), dtype=np.int64)
    mine = range(processes.rank, len(images.names), processes.size)
    # Images on disk may differ in size.
    at_once = _AT_ONCE if isinstance(images, Images) else 1
    for start in range(0, len(mine), at_once):
        chosen = mine[start : start + at_once]
        pixels, masks = zip(*(read(images, i) for i in chosen), strict=True)
        with torch.no_grad():
            found = network(_placed(torch.stack([as_tensor(image) for image in pixels]), device))
        for i, guess, mask in zip(chosen, found.argmax(1).cpu().numpy(), masks, strict=True):
            tables[i] = counts(guess, mask, n_classes)
    return scores(processes.sum(tables))


def _placed(pixels: torch.Tensor, device: str) -> torch.Tensor:
    return pixels.to(device, memory_format=torch.channels_last)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _half(device: str) -> torch.dtype:
    return torch.float16 if device.startswith("cuda") else torch.bfloat16


def _optimiser(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    if plan.optimiser == "adam":
        return torch.optim.AdamW(parameters, plan.rate, weight_decay=1e-4)
    return torch.optim.SGD(parameters, plan.rate, momentum=0.9, weight_decay=1e-4)


def _parallel(network: nn.Module, device: str, processes: Processes) -> nn.Module:
    if processes.size == 1:
        return network
    if device.startswith("cuda"):
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(network, device_ids=[torch.device(device)])
    return nn.parallel.DistributedDataParallel(network)


def _presence(images: Images | Source) -> Any:
    masks: Any = (
        images.masks if isinstance(images, Images) else (images.read(i)[1] for i in range(len(images)))
    )
    return class_presence(masks, len(images.classes), VOID)


def _batches(count: int, plan: Plan, epoch: int, presence: Any) -> list[list[int]]:
    if presence is None:
        order = np.random.default_rng([plan.seed, epoch]).permutation(count).tolist()
    else:
        sampler = EquibatchSampler(presence, length=count, seed=plan.seed)
        sampler.epoch = epoch
        order = list(sampler)
    return [order[start : start + plan.batch] for start in range(0, count, plan.batch)]


def _fixed(plan: Plan, loss: ClassLoss) -> dict[str, Any]:
    """What a resumed run must have in common with the one before; more workers change nothing."""
    return {**vars(plan), "workers": 0, "loss": loss.name, "weight": loss.weight, "gammas": list(loss.gammas)}


def _save(out: Path, state: dict[str, Any], plan: Plan, loss: ClassLoss, lines: list[dict[str, Any]]) -> None:
    """The checkpoint is there whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {name: part.state_dict() for name, part in state.items()}
    partial = out / "checkpoint.pt.part"
    torch.save({**kept, "plan": _fixed(plan, loss), "lines": lines}, partial)
    os.replace(partial, out / "checkpoint.pt")
    with (out / "log.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([line[column] for column in COLUMNS] for line in lines)


def _load(
    file: Path, state: dict[str, Any], plan: Plan, loss: ClassLoss, device: str
) -> list[dict[str, Any]]:
    stored = load_checkpoint(file, device)
    wanted = _fixed(plan, loss)
    for name, value in stored["plan"].items():
        if wanted.get(name) != value:
            raise ValueError(
                f"{file} was trained with {name} = {value}, not {wanted.get(name)}; resume with that, or "
                "choose another folder"
            )
    start_from(stored, state, file)
    lines: list[dict[str, Any]] = stored["lines"]
    return lines


def start_from(stored: dict[str, Any], state: dict[str, Any], file: Path) -> None:
    """Put parts of a checkpoint into the network, and what else there is.

    Raises
    ------
    ValueError
        If they are of another network.
    """
    for name, part in state.items():
        try:
            part.load_state_dict(stored[name])
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{file} is of another network, or of other classes ({reason})") from None


def load_checkpoint(file: Path, device: str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        stored: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        _ = stored["network"], stored["plan"], stored["lines"]
    except FileNotFoundError:
        raise DataError(f"{file}: no such checkpoint") from None
    except Exception as error:
        # Damaged archives raise many kinds of errors.
        raise DataError(f"{file}: damaged or no checkpoint ({error}); train again from the start") from None
    return stored
