"""What fixes the figures of the paper up to the speed of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What fixes the figures of the paper up to the speed of the machine.

    Attributes
    ----------
    seed : int
        The first of the random seeds.
    seeds : int
        How many seeds every random experiment is run with.
    quick : bool
        Smaller everywhere: it shows that all runs.
    full : bool
        Larger than the pages of this project need.
    data : str or None
        Directory with VOC and CamVid; without it, the figures use images that packages ship.
    """

    seed: int = 0
    seeds: int = 5
    quick: bool = False
    full: bool = False
    data: str | None = None

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
        return cls(seed, 1 if quick else 2 if data is None and not full else 5, quick, full, data)

    @property
    def all_seeds(self) -> range:
        """The seeds to run."""
        return range(self.seed, self.seed + self.seeds)
