"""The problems of the convergence study: what they are, and how a process gets hold of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import datasets
from .._validation import Float64s
from ..datasets import VOC_FREQUENT, VOID, ImageSet
from ..problems import ImageProx, LinearHingeRisk, Problem
from .settings import Settings

CAMVID_CLASSES = ("road", "sky", "building")
RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: γ of the prox of the photograph, times the number of foreground pixels.
_GAMMA = 0.5
#: Interpolated targets have sixteen times as many pixels.
_FINE_IMAGES = 20


@dataclass(frozen=True)
class Instance:
    """One problem of the study.

    Attributes
    ----------
    key : str
        Names it in the tables.
    figure : str
        Problems of one figure belong together.
    title : str
    column : str
        Of the overview, which takes medians over the problems of a column.
    source : dict
        Arguments of `load`.
    share : float
        Of the time limit and of the step sizes: secondary problems get less of both.
    """

    key: str
    figure: str
    title: str
    column: str
    source: dict[str, Any]
    share: float = 1.0


@dataclass(frozen=True)
class Loaded:
    """A problem in memory, and the risk of the test images where there are any."""

    problem: Problem
    test: LinearHingeRisk | None
    data: str


def instances(settings: Settings) -> list[Instance]:
    """All problems of a study."""
    photo = {"scale": settings.scale, "tile": settings.tile, "seed": settings.seed}
    found = [
        Instance(
            "prox",
            "convergence",
            "prox of the photograph, ½‖F − U‖² + γL(F)",
            "prox",
            {"kind": "prox", **photo},
        ),
        Instance(
            "tiles",
            "convergence",
            "linear risk, tiles of the photograph, l2 = 0.001",
            "tiles",
            {"kind": "tiles", **photo, "l2": 1e-3},
        ),
        Instance(
            "shapes",
            "convergence",
            "linear risk, random shapes, l2 = 0.001",
            "shapes",
            {"kind": "shapes", "size": settings.tile + 8, "seed": settings.seed, "l2": 1e-3},
            0.5,
        ),
    ]
    if settings.data is None:
        return found
    drawn = {"data": settings.data, "images": settings.images, "seed": settings.seed}
    classes = VOC_FREQUENT if settings.full else ("cat",)
    for cls in classes:
        for l2 in RIDGES if settings.full else (1e-3,):
            found.append(
                Instance(
                    f"voc {cls} {l2:g}",
                    f"convergence-voc-{cls}",
                    f"linear risk, VOC {cls}, l2 = {l2:g}",
                    f"VOC, l2 = {l2:g}",
                    {"kind": "voc", "cls": cls, "l2": l2, **drawn},
                    1.0 if (cls, l2) == ("cat", 1e-3) else 0.5,
                )
            )
    if settings.full:
        for cls in classes:
            fine = drawn | {"images": min(settings.images, _FINE_IMAGES)}
            found.append(
                Instance(
                    f"voc fine {cls}",
                    f"convergence-voc-{cls}",
                    f"linear risk, VOC {cls} at 129 × 129, l2 = 0.001",
                    "VOC 129 × 129",
                    {"kind": "voc fine", "cls": cls, "l2": 1e-3, **fine},
                    0.9,
                )
            )
        for cls in CAMVID_CLASSES:
            found.append(
                Instance(
                    f"camvid {cls}",
                    "convergence-camvid",
                    f"linear risk, CamVid {cls}, l2 = 0.001",
                    "CamVid",
                    {"kind": "camvid", "cls": cls, "l2": 1e-3, **drawn},
                    0.5,
                )
            )
    return found


def load(kind: str, **source: Any) -> Loaded:
    """Build a problem anew, so that every run pays for its own set-up; the data stay in memory.

    Parameters
    ----------
    kind : {"prox", "tiles", "shapes", "voc", "voc fine", "camvid"}
    **source
        As in the `source` of an `Instance`.

    Returns
    -------
    Loaded
    """
    if kind == "prox":
        photo, scores = photograph(**source)
        gamma = _GAMMA * int(np.count_nonzero(photo.target == 1))
        problem = ImageProx(scores, photo.target, gamma, ignore=VOID)
        return Loaded(problem, None, f"{photo.name}, scores of a least squares fit to its training tiles")
    l2 = source.pop("l2")
    train, test = _image_sets(kind, tuple(sorted(source.items())))
    return Loaded(train.risk(l2), test.risk(l2), f"{train.name}; tested on {test.name}")


@lru_cache(maxsize=1)
def photograph(scale: int, tile: int, seed: int) -> tuple[datasets.Photograph, Float64s]:
    """The photograph with the scores of a least squares fit to its training tiles."""
    photo = datasets.motorcycle(scale)
    train, _ = datasets.tiles(photo, tile, seed)
    return photo, datasets.score_map(photo, train)


@lru_cache(maxsize=2)
def _image_sets(kind: str, source: tuple[tuple[str, Any], ...]) -> tuple[ImageSet, ImageSet]:
    """Training and test images."""
    given = dict(source)
    seed = given["seed"]
    if kind == "tiles":
        return datasets.tiles(datasets.motorcycle(given["scale"]), given["tile"], seed)
    if kind == "shapes":
        train, test = (datasets.shapes(8, given["size"], seed=2 * seed + part) for part in (0, 1))
        return train, test
    if kind not in ("voc", "voc fine", "camvid"):
        raise ValueError(f"kind is {kind!r}; choose prox, tiles, shapes, voc, voc fine or camvid")
    if kind == "camvid":
        parts = [
            datasets.camvid(given["data"], given["cls"], split, given["images"], seed)
            for split in ("train", "val")
        ]
    else:
        parts = [
            datasets.voc(given["data"], given["cls"], split, given["images"], seed, fine=kind == "voc fine")
            for split in ("train", "val")
        ]
    if kind == "voc":
        # In float64 the products with the features take half the time, and they fit.
        for part in parts:
            part.features[:] = [rows.astype(np.float64) for rows in part.features]
    return parts[0], parts[1]
