"""Scores of single images with their targets: those of a real network, or of a fit to the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from .._validation import Bools, Float64s
from ..datasets import VOC_CLASSES, VOID
from ..study.instances import photograph


@dataclass(frozen=True)
class ScoreMap:
    """Scores of the valid pixels of an image, flat.

    Attributes
    ----------
    name : str
    scores : (p,) ndarray of float64
        Logits of the foreground.
    target : (p,) ndarray of bool
    """

    name: str
    scores: Float64s
    target: Bools


def load(kind: str, **source: Any) -> tuple[ScoreMap, ...]:
    """All score maps of a source; they stay in memory.

    Parameters
    ----------
    kind : {"photograph", "voc"}
    **source
        Of the photograph: scale, by which it is shrunk. Of VOC: data, cls, and fine, whether the logits are
        interpolated to 129 × 129 pixels. Scores are the log odds of the class against all others, on the
        validation images that show it.

    Returns
    -------
    tuple of ScoreMap
    """
    return _photograph(**source) if kind == "photograph" else _voc(**source)


@lru_cache(maxsize=4)
def _photograph(scale: int) -> tuple[ScoreMap, ...]:
    photo, scores = photograph(scale, 80 // scale, 0)
    valid = photo.valid
    return (ScoreMap(f"{photo.name}, 1/{scale}", scores[valid], photo.target[valid] == 1),)


@lru_cache(maxsize=4)
def _voc(data: str, cls: str, fine: bool) -> tuple[ScoreMap, ...]:
    logits, masks, ids = datasets.voc_logits(data)
    number = VOC_CLASSES.index(cls)
    maps = []
    for image, mask, name in zip(logits, masks, ids, strict=True):
        labels = mask if fine else mask[::4, ::4]
        valid = labels != VOID
        target = labels[valid] == number
        if target.any() and not target.all():
            scores = log_odds(interpolated(image) if fine else image, number)
            maps.append(ScoreMap(name, scores[valid], target))
    return tuple(maps)


def log_odds(logits: NDArray[Any], number: int) -> Float64s:
    """Log odds of a class against all others, along the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.figures.score_maps import log_odds
    >>> round(float(log_odds(np.log([0.5, 0.2, 0.3]), 1)), 6) == round(float(np.log(0.2 / 0.8)), 6)
    True
    """
    ours = logits[..., number].astype(np.float64)
    return np.asarray(
        ours - np.logaddexp.reduce(np.delete(logits, number, axis=-1), axis=-1, dtype=np.float64)
    )


def interpolated(grid: NDArray[Any], factor: int = 4) -> Float64s:
    """Bilinear interpolation of the first two axes, corners kept: n points become factor·(n − 1) + 1.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.figures.score_maps import interpolated
    >>> interpolated(np.array([[0.0, 1.0], [2.0, 3.0]]), 2).tolist()
    [[0.0, 0.5, 1.0], [1.0, 1.5, 2.0], [2.0, 2.5, 3.0]]
    """
    out = np.asarray(grid, dtype=np.float64)
    for axis in (0, 1):
        places = np.arange(factor * (out.shape[axis] - 1) + 1)
        below = np.minimum(places // factor, max(out.shape[axis] - 2, 0))
        share = (places / factor - below).reshape((-1,) + (1,) * (out.ndim - 1))
        moved = np.moveaxis(out, axis, 0)
        moved = (1 - share) * moved[below] + share * moved[np.minimum(below + 1, out.shape[axis] - 1)]
        out = np.moveaxis(moved, 0, axis)
    return out
