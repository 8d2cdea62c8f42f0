"""Segmentation networks: a small U-Net of ours, and those of torchvision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

TORCHVISION = ("deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "fcn_resnet50")
NAMES = ("unet", *TORCHVISION)


class UNet(nn.Module):
    """Three levels down and up again, with skips; for images of any size.

    Parameters
    ----------
    channels : int
        Of the scores: the number of classes.
    width : int
        Channels of the first level, a multiple of 4; every level below has twice as many.
    """

    def __init__(self, channels: int, width: int = 12) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"width is {width}; it must be a multiple of 4, the groups of the normalisation")
        first, second, third, lowest = (width * 2**k for k in range(4))
        self.down = nn.ModuleList(
            [_block(3, first), _block(first, second), _block(second, third), _block(third, lowest)]
        )
        self.up = nn.ModuleList(
            [_block(lowest + third, third), _block(third + second, second), _block(second + first, first)]
        )
        self.last = nn.Conv2d(first, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, channels, H, W) of images (B, 3, H, W)."""
        levels = []
        x = images
        for k, block in enumerate(self.down):
            # An image of a single row or column stays one.
            x = block(x if k == 0 else functional.max_pool2d(x, 2, ceil_mode=True))
            levels.append(x)
        for block, skip in zip(self.up, levels[-2::-1], strict=True):
            x = functional.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        scores: Tensor = self.last(x)
        return scores


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (inputs, outputs):
        layers += [
            nn.Conv2d(source, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(4, outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class _Scores(nn.Module):
    """A network of torchvision without its dictionary."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.network(images)["out"]
        return scores


def network(name: str, classes: int, pretrained: bool = False) -> nn.Module:
    """A network that maps images (B, 3, H, W) to scores (B, classes, H, W).

    Parameters
    ----------
    name : {"unet", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "fcn_resnet50"}
    classes : int
    pretrained : bool
        Start from the weights that torchvision has for the backbone; not for the U-Net.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        For an unknown name, or a U-Net that is to be pretrained.
    ImportError
        If torchvision is needed and not installed.
    OSError
        If the weights are neither in torchvision's cache nor to be had.
    """
    if name not in NAMES:
        raise ValueError(f"name is {name!r}; choose {', '.join(NAMES)}")
    if name == "unet":
        if pretrained:
            raise ValueError(
                "pretrained is True, but there are no weights for 'unet'; choose another network"
            )
        return UNet(classes)
    segmentation = _torchvision()
    weights: dict[str, Any] = {"weights": None, "weights_backbone": "DEFAULT" if pretrained else None}
    try:
        built = getattr(segmentation, name)(num_classes=classes, **weights)
    except OSError as error:
        raise OSError(
            f"the weights of {name} cannot be had ({error}); connect to a network once, or do without"
        ) from None
    return _Scores(built)


def _torchvision() -> Any:
    try:
        from torchvision.models import segmentation
    except (ImportError, RuntimeError) as error:
        # A torchvision that was built for another PyTorch raises a RuntimeError.
        raise ImportError(
            f"this network needs torchvision ({error}): pip install 'lovasz-opt[training]'"
        ) from None
    return segmentation
