"""A set function under check, with what its checks share: values of all sets, random sets, tolerances."""

from __future__ import annotations

import math
import zlib
from functools import cached_property

import numpy as np

from .._validation import Bools, Float64s, Ints
from ..reference.brute import all_masks
from ..sets.base import SetFunction, _describe

#: Up to this many elements, all 2^n sets are looked at.
EXHAUSTIVE = 12
#: Beyond: so many random sets and so many single elements, fewer where masks are long.
_SETS, _SINGLES, _ENTRIES = 256, 64, 2**22


class SetCase:
    """A set function under check.

    Parameters
    ----------
    F : SetFunction
    rtol : float
        Rounding that is allowed, relative to the largest value of F.
    seed : int
    """

    def __init__(self, F: SetFunction, rtol: float, seed: int) -> None:
        self.F, self.rtol, self.n = F, rtol, F.n
        self._seed = seed
        self.exhaustive = self.n <= EXHAUSTIVE

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers of one check: the same whether or not other checks run before it."""
        return np.random.default_rng([self._seed, zlib.crc32(name.encode())])

    def overrides(self, *names: str) -> bool:
        """Whether F has its own version of one of the methods."""
        return any(
            getattr(getattr(self.F, name), "__func__", None) is not getattr(SetFunction, name)
            for name in names
        )

    @cached_property
    def table(self) -> Float64s:
        """Values of all sets, bit i of the index standing for element i; only where all are looked at."""
        return np.asarray(self.F(all_masks(self.n)))

    @cached_property
    def sets(self) -> Bools:
        """All sets by size, or beyond 12 elements the empty set, single elements, and random sets."""
        if self.exhaustive:
            masks = all_masks(self.n)
            return masks[np.argsort(masks.sum(axis=1), kind="stable")]
        rng = self.rng("sets")
        most = max(8, _ENTRIES // self.n)
        chosen = rng.permutation(self.n)[: min(_SINGLES, most)]
        singles = chosen[:, None] == np.arange(self.n)
        # Densities from nearly empty to nearly full: mistakes often hide at the ends.
        densities = rng.beta(0.5, 0.5, (min(_SETS, most), 1))
        random = rng.random((len(densities), self.n)) < densities
        random = random[np.argsort(random.sum(axis=1), kind="stable")]
        empty, full = np.zeros((1, self.n), dtype=np.bool_), np.ones((1, self.n), dtype=np.bool_)
        return np.concatenate([empty, singles, random, ~singles, full])

    @cached_property
    def values(self) -> Float64s:
        """Values of `sets`."""
        return np.asarray(self.F(self.sets))

    @cached_property
    def scale(self) -> float:
        """Size of the values of F."""
        return max(float(np.abs(self.values).max()), float(np.finfo(np.float64).tiny))

    @property
    def tolerance(self) -> float:
        """Difference between two values that counts as rounding."""
        return self.rtol * self.scale

    def few_sets(self, name: str, count: int) -> Bools:
        """Some of `sets`, spread over all sizes."""
        if len(self.sets) <= count:
            return self.sets
        chosen = self.rng(name).choice(len(self.sets), count - 2, replace=False)
        return self.sets[np.sort(np.concatenate([[0], chosen, [len(self.sets) - 1]]))]

    def points(self, name: str, count: int) -> Float64s:
        """Random points: spread out, with ties, with few entries that are not 0; short to write."""
        rng = self.rng(name)
        x = np.round(rng.standard_normal((count, self.n)), 2)
        x[1::3] = np.round(2 * x[1::3]) / 2
        x[2::3] *= rng.random((len(x[2::3]), self.n)) < min(1.0, 4 / self.n)
        return x


def show(mask: Bools) -> str:
    """A set, for a message."""
    return _describe(mask) if mask.any() else "∅"


def show_order(order: Ints) -> str:
    """An order, for a message."""
    head = ", ".join(map(str, order[:12]))
    return f"[{head}{', …' if len(order) > 12 else ''}]"


def show_vector(x: Float64s, digits: int = 17) -> str:
    """A vector, for a message: with all its digits where it is to be tried again."""
    head = ", ".join(f"{float(v):.{digits}g}" if digits < 17 else repr(float(v)) for v in x[:12])
    return f"[{head}{', …' if len(x) > 12 else ''}]"


def prefixes(order: Ints, sizes: Ints) -> Bools:
    """Masks of the first so many elements of an order."""
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    mask: Bools = ranks[None, :] < np.asarray(sizes)[:, None]
    return mask


def close(first: float, second: float, tolerance: float) -> bool:
    """Whether two numbers agree; NaN and infinity agree with nothing."""
    return math.isfinite(first) and abs(first - second) <= tolerance
