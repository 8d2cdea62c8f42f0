"""The public implementations to compare with: used where they are installed, named where they are not."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], Any]
KORNIA, SEGMENTATION_MODELS = "kornia", "segmentation_models_pytorch"
TORCH = (KORNIA, SEGMENTATION_MODELS)
ADAPTER = "lovasz_opt.torch"


class NotInstalled(Exception):
    """A peer that this environment lacks."""


#: The call of every peer, or why there is none.
Peers = dict[str, "Call | NotInstalled"]


def gather(makers: dict[str, Call]) -> Peers:
    """Set up every peer that is installed."""
    peers: Peers = {}
    for name, make in makers.items():
        try:
            peers[name] = make()
        except NotInstalled as reason:
            peers[name] = reason
    return peers


def require(name: str) -> Any:
    """Import a module of a peer."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotInstalled(str(error)) from None


def set_torch_threads(threads: int) -> None:
    """Give PyTorch as many threads as the other side has; nothing to do where it is not installed."""
    try:
        require("torch").set_num_threads(threads)
    except NotInstalled:
        return


def torch_hinge(logits: Any, target: Any, device: str = "cpu") -> Peers:
    """Value and gradient of the Lovász hinge of one image of (p,) logits. The labels are floats already."""

    def kornia() -> Call:
        torch = require("torch")
        labels = torch.from_numpy(target.astype(np.float32)).to(device).reshape(1, 1, -1)
        scores = torch.from_numpy(logits.copy()).to(device).reshape(1, 1, 1, -1)
        return _forward_and_backward(require("kornia.losses").lovasz_hinge_loss, scores, labels)

    def segmentation_models() -> Call:
        torch = require("torch")
        labels = torch.from_numpy(target.astype(np.float32)).to(device).reshape(1, 1, 1, -1)
        scores = torch.from_numpy(logits.copy()).to(device).reshape(1, 1, 1, -1)
        return _forward_and_backward(_segmentation_losses().LovaszLoss(mode="binary"), scores, labels)

    return gather({KORNIA: kornia, SEGMENTATION_MODELS: segmentation_models})


def torch_adapter_hinge(logits: Any, target: Any, device: str = "cpu") -> Peers:
    """The Lovász hinge of this package through its PyTorch adapter."""

    def make() -> Call:
        torch = require("torch")
        scores = torch.from_numpy(logits.copy()).to(device)
        return _forward_and_backward(
            require(ADAPTER).lovasz_hinge, scores, torch.from_numpy(target).to(device)
        )

    return gather({ADAPTER: make})


def torch_adapter_softmax(logits: Any, labels: Any, device: str = "cpu") -> Peers:
    """The Lovász-Softmax of this package through its PyTorch adapter, softmax included."""

    def make() -> Call:
        torch = require("torch")
        scores = torch.from_numpy(logits.copy()).to(device)
        return _forward_and_backward(
            require(ADAPTER).LovaszSoftmaxLoss(), scores, torch.from_numpy(labels).to(device)
        )

    return gather({ADAPTER: make})


def torch_softmax(logits: Any, labels: Any, device: str = "cpu") -> Peers:
    """Value and gradient of the Lovász-Softmax of (B, C, p) logits and (B, p) labels, softmax included."""

    def with_loss(loss: Any) -> Call:
        torch = require("torch")
        scores = torch.from_numpy(logits.copy()).to(device)[:, :, None]
        return _forward_and_backward(loss, scores, torch.from_numpy(labels).to(device)[:, None])

    return gather(
        {
            KORNIA: lambda: with_loss(require("kornia.losses").lovasz_softmax_loss),
            SEGMENTATION_MODELS: lambda: with_loss(_segmentation_losses().LovaszLoss(mode="multiclass")),
        }
    )


def scikit_learn_isotonic(y: Any) -> Peers:
    """Isotonic regression of scikit-learn, non-increasing."""

    def make() -> Call:
        return partial(require("sklearn.isotonic").isotonic_regression, y, increasing=False)

    return gather({"scikit-learn": make})


def clarabel_prox(F: Any, target: Any, x: Any, gamma: float) -> Peers:
    """The prox by the O(P·N) count constraints in CVXPY, solved by Clarabel; formulation included."""

    def make() -> Call:
        require("cvxpy")
        require("clarabel")
        prox_counts = require("lovasz_opt.reference.convex").prox_counts
        return lambda: prox_counts(F, target, x, gamma).x

    return gather({"cvxpy + Clarabel": make})


def _segmentation_losses() -> Any:
    """The losses of segmentation_models_pytorch, loaded from its installed files alone.

    The package itself imports torchvision and timm, which its losses do not need.
    """
    require("torch")
    spec = importlib.util.find_spec(SEGMENTATION_MODELS)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(f"No module named '{SEGMENTATION_MODELS}'")
    name = SEGMENTATION_MODELS + "_losses"
    if name not in sys.modules:
        folder = Path(spec.submodule_search_locations[0]) / "losses"
        losses = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert losses is not None
        assert losses.loader is not None
        module = importlib.util.module_from_spec(losses)
        sys.modules[name] = module
        losses.loader.exec_module(module)
    return sys.modules[name]


def _forward_and_backward(loss: Callable[[Any, Any], Any], logits: Any, labels: Any) -> Call:
    logits.requires_grad_()

    def call() -> tuple[float, Any]:
        logits.grad = None
        value = loss(logits, labels)
        value.backward()
        return float(value.detach()), logits.grad

    return call
