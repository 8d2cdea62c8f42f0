"""Small networks for street scenes, trained by a recipe with PyTorch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .._validation import Bools
from ..datasets import VOID
from ..sampling import class_presence
from ..torch import lovasz_softmax
from ..training.data import Images, camvid
from ..training.networks import UNet
from .recipes import Recipe, measures

#: A quarter of the size leaves time for more steps.
_SHRINK = 4
#: Images at a time when nothing is learned.
_BLOCK = 16


def load(data: str, limit: int | None = None) -> tuple[Images, Images]:
    """Training and validation images of CamVid, at most so many."""
    train, val = (camvid(data, split, _SHRINK) for split in ("train", "val"))
    return _first(train, limit), _first(val, limit)


def _first(images: Images, limit: int | None) -> Images:
    return replace(
        images,
        images=images.images[:limit],
        masks=images.masks[:limit],
        names=images.names[:limit],
    )


def train(images: Images, recipe: Recipe, rate: float, epochs: int, seed: int) -> UNet:
    """A network after mini-batch steps of Adam, whose size falls linearly to 0.

    Parameters
    ----------
    images : Images
    recipe : Recipe
    rate : float
        First step size.
    epochs : int
        The steps together see so many times the number of images.
    seed : int
        Of the first weights and of the order of the images.

    Returns
    -------
    UNet
        On the CPU. The same seed gives the same network on the same machine.
    """
    # Runs are spread over the cores already; and sums then do not depend on how many there are.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = UNet(len(images.classes))
    pixels, labels = _pixels(images), torch.from_numpy(images.masks).long()
    optimiser = torch.optim.Adam(network.parameters(), rate)
    total, seen = epochs * len(labels), 0
    for chosen in recipe.batches(presence(images), total, seed):
        progress = seen / total
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - progress)
        optimiser.zero_grad()
        _loss(network(pixels[chosen]), labels[chosen], recipe, recipe.weight_at(progress)).backward()
        optimiser.step()
        seen += len(chosen)
    return network


def presence(images: Images) -> Bools:
    """(n, C): which image shows which class."""
    return class_presence(images.masks, len(images.classes), VOID)


def _pixels(images: Images) -> Tensor:
    return torch.from_numpy(images.images).float() / 127.5 - 1


def _loss(logits: Tensor, labels: Tensor, recipe: Recipe, weight: float) -> Tensor:
    loss = torch.zeros(())
    if weight < 1:
        cross_entropy = torch.nn.functional.cross_entropy(logits, labels, ignore_index=VOID)
        loss = loss + (1 - weight) * cross_entropy
    if weight > 0:
        lovasz = lovasz_softmax(logits, labels, recipe.classes, recipe.per_image, VOID, from_logits=True)
        loss = loss + weight * lovasz
    return loss


def evaluate(images: Images, network: UNet) -> dict[str, object]:
    """The `measures` of the classes with the largest scores."""
    network.eval()
    with torch.no_grad():
        guesses = torch.cat([network(block).argmax(1) for block in _pixels(images).split(_BLOCK)])
    return measures(list(guesses.numpy()), list(images.masks), len(images.classes))
