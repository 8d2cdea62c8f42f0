"""What fixes a study up to the speed of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What fixes a study up to the speed of the machine.

    Attributes
    ----------
    seed : int
        Of the deal of tiles or images into training and test parts.
    full : bool
        All problems, more step sizes, and more time for every run.
    data : str or None
        Directory with the VOC features, and the CamVid scenes if `full`.
    scale, tile : int
        Shrinking of the photograph, and side of a tile.
    images : int
        At most this many images of VOC or CamVid in each part.
    steps : tuple of float
        Step sizes, in the unit of each method, that every method with a step size is run with.
    seconds : float
        Limit for one run of a method with a step size; the others, which have one run, get three times that.
    iterations : int
        Limit for one run.
    tol : float
        Relative certified gap at which a method stops.
    seeds : int
        Random orders of the images in the part about stability.
    """

    seed: int = 0
    full: bool = False
    data: str | None = None
    scale: int = 2
    tile: int = 40
    images: int = 120
    steps: tuple[float, ...] = (1e-2, 1e-1, 1.0, 1e1)
    seconds: float = 0.3
    iterations: int = 20000
    tol: float = 1e-8
    seeds: int = 2

    @classmethod
    def of(cls, seed: int = 0, quick: bool = False, full: bool = False, data: str | None = None) -> Settings:
        """The settings of the command line.

        Raises
        ------
        ValueError
            If both `quick` and `full` are asked for.
        """
        if quick and full:
            raise ValueError("--quick and --full exclude each other; choose one")
        if quick:
            return cls(seed, False, data, 4, 20, 10, (1e-1, 1.0), 0.1, 200, seeds=1)
        if full:
            return cls(seed, True, data, steps=(1e-3, 1e-2, 1e-1, 1.0, 1e1), seconds=2.0, seeds=5)
        return cls(seed, False, data)
