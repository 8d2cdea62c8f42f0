"""What is measured: inputs and calls of this package, by name, for the scripts and their child processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lovasz_opt as lo
from lovasz_opt.losses import lovasz_softmax_and_gradient

#: The steps of the proximal operator that a table goes through, as functions of the number of pixels.
STEPS: dict[str, Callable[[int], float]] = {
    "1": lambda p: 1.0,
    "p/100": lambda p: p / 100,
    "p/10": lambda p: p / 10,
    "p/3": lambda p: p / 3,
    "p": float,
    "10p": lambda p: 10.0 * p,
}
SHARES = (0.05, 0.3, 0.7)
CLASSES = 21


def scene(p: int, share: float = 0.3, trained: bool = False, seed: int = 0) -> tuple[Any, Any]:
    """Labels with a share of foreground, and float32 logits: standard normal, or those of a trained network.

    Trained: 95 % of the pixels are beyond the margin (s∘F > 1), the others spread below it.
    """
    rng = np.random.default_rng(seed)
    target = rng.random(p) < share
    logits = rng.standard_normal(p)
    if trained:
        distance = np.abs(logits)
        right = rng.random(p) < 0.95
        logits = np.where(target, 1.0, -1.0) * np.where(right, 1.0 + distance, 1.0 - distance)
    return target, logits.astype(np.float32)


def class_scene(
    pixels: int, classes: int = CLASSES, images: int = 1, trained: bool = False, seed: int = 0
) -> tuple[Any, Any]:
    """Labels (B, p) of all classes, and float32 logits (B, C, p), standard normal or nearly right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (images, pixels))
    logits = rng.standard_normal((images, classes, pixels), dtype=np.float32)
    if trained:
        np.put_along_axis(logits, labels[:, None], 8 + rng.standard_normal((images, 1, pixels)), axis=1)
    return labels, logits


def scores(p: int, seed: int = 0) -> Any:
    """Standard normal float64 scores for the proximal operator."""
    return np.random.default_rng(seed).standard_normal(p)


def sequences(n: int, seed: int = 0) -> Iterator[tuple[str, Any]]:
    """Inputs of an isotonic regression, of every shape that takes another route."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n)
    yield "random", noise
    yield "in order", np.sort(noise)[::-1].copy()
    yield "against it", np.sort(noise)
    yield "random walk", np.cumsum(noise)
    yield "constant", np.full(n, 0.1)
    yield "blocks of ten", np.repeat(noise, 10)[:n]


def prox(p: int, gamma: float, share: float = 0.3, seed: int = 0) -> Callable[[], Any]:
    x = scores(p, seed)
    f = lo.LovaszExtension(lo.Jaccard(np.random.default_rng(seed + 1).random(p) < share))
    return lambda: f.prox(x, gamma)


def hinge(p: int, share: float = 0.3, trained: bool = False, images: int = 1) -> Callable[[], Any]:
    target, logits = scene(p * images, share, trained)
    h = lo.LovaszHinge(target.reshape(images, p))
    rows = logits.reshape(images, p)
    return lambda: h.value_and_subgradient(rows)


def softmax(p: int, classes: int = CLASSES, images: int = 1, trained: bool = False) -> Callable[[], Any]:
    labels, logits = class_scene(p, classes, images, trained)
    return lambda: lovasz_softmax_and_gradient(logits, labels, classes="all", from_logits=True)


def argsort(p: int, dtype: str = "float64") -> Callable[[], Any]:
    x = scores(p).astype(dtype)
    return lambda: np.argsort(x)


#: Whole processes: Numba with a kernel that does nothing (floor.py), which no first call can beat.
FLOOR = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import floor"
#: A whole process each: the import and one small call.
FIRST_CALLS = {
    "first hinge": (
        "import numpy as np, lovasz_opt as lo\n"
        "lo.LovaszHinge(np.array([1, 0])).value_and_subgradient(np.zeros(2, dtype=np.float32))"
    ),
    "first prox": "import lovasz_opt as lo\nlo.LovaszExtension(lo.Jaccard([1, 0])).prox([0.5, 0.2], 1.0)",
    "first softmax": "import lovasz_opt as lo\nlo.lovasz_softmax([[0.5, 0.5]], [1])",
}

CALLS: dict[str, Callable[..., Callable[[], Any]]] = {
    "prox": prox,
    "hinge": hinge,
    "softmax": softmax,
    "argsort": argsort,
}
