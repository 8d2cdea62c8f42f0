"""The Lovász hinge of one large image in several threads: the phases of its kernel, block by block."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .._threads import share_out
from .._validation import Floats
from ..kernels.greedy import BUCKETS, count, floor_of, place, scatter, select, sweep_groups
from ..kernels.hinge import hinge_margins
from ._images import Codes, chunks, work_space

#: With fewer pixels, most of them beyond the margin, starting threads costs more than they save.
LARGE = 1 << 20
#: Blocks of pixels for every thread, so that none waits long for the last.
_BLOCKS = 2


def hinge_of_large_image(
    logits: Floats, kinds: Codes, divisor: float, threads: int, gradient: Floats
) -> float:
    """What `hinge_images` computes for one image without weights, the same to the last bit.

    Blocks of pixels are only counted and moved, to the same places however they are cut. Floating-point sums
    are taken group by group, and the groups follow from the margins alone.

    Parameters
    ----------
    logits : (p,) ndarray of float
    kinds : (p,) ndarray of uint8
        1 foreground, 0 background, 2 void.
    divisor : float
        What the subgradient is divided by.
    threads : int
    gradient : (p,) ndarray like logits, written

    Returns
    -------
    float
    """
    edges = np.linspace(0, len(logits), _BLOCKS * threads + 1).astype(np.int64)
    blocks = [slice(int(start), int(stop)) for start, stop in pairwise(edges)]
    foregrounds, selected = np.zeros((2, len(blocks)), dtype=np.int64)
    counts = np.zeros((len(blocks), BUCKETS), dtype=np.int64)
    single = gradient.itemsize == 4
    words, spare = work_space(len(logits))

    def start(k: int) -> None:
        block = blocks[k]
        foregrounds[k] = hinge_margins(logits[block], kinds[block], gradient[block])

    def choose(k: int) -> None:
        block = blocks[k]
        selected[k] = select(gradient[block], kinds[block], block.start, floor, words[block])
        count(words[block], int(selected[k]), single, counts[k])

    def move(k: int) -> None:
        scatter(words[blocks[k]], int(selected[k]), single, counts[k], spare)

    def sweep(groups: tuple[int, int]) -> None:
        sweep_groups(gradient, spare, words, before, *groups, foreground, 1.0, divisor, values)

    every = range(len(blocks))
    share_out(start, every, threads)
    foreground = int(foregrounds.sum())
    floor = floor_of(gradient, kinds, foreground)
    share_out(choose, every, threads)
    before = place(counts)
    share_out(move, every, threads)
    values = np.zeros(len(before) - 1)
    share_out(sweep, chunks(before[:, 0], threads), threads)
    # Added one after the other, as in the kernel.
    return float(np.add.accumulate(values)[-1])
