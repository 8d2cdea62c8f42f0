"""The prox of the Lovász hinge for images that are rows, each with a step of its own, for use in callbacks.

A callback must not raise: where the core would refuse a row (a score that is not finite, a label that is not
allowed, a step that is not positive), its results are NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._validation import Bools, Floats
from ._hinge import LovaszHinge
from ._images import in_chunks


def prox_rows(logits: Floats, labels: Any, gammas: Floats, ignore: float | None) -> tuple[Floats]:
    """Prox of every row.

    Parameters
    ----------
    logits : (n, p) ndarray of float32 or float64
    labels : (n, p) ndarray
    gammas : (n,) ndarray
    ignore : number or None

    Returns
    -------
    tuple of one (n, p) ndarray
    """
    bad, logits, labels, gammas = _mended(logits, labels, gammas, ignore)
    moved = np.empty_like(logits)
    for gamma in np.unique(gammas):
        same = gammas == gamma
        loss = LovaszHinge._of_labels(labels[same], True, ignore)
        moved[same] = loss._prox(logits[same], float(gamma))
    moved[bad] = np.nan
    return (moved,)


def envelope_rows(logits: Floats, labels: Any, gammas: Floats, ignore: float | None) -> tuple[Floats, Floats]:
    """Moreau envelope of every row, (n,), and its gradient, (n, p); the arguments of `prox_rows`."""
    bad, logits, labels, gammas = _mended(logits, labels, gammas, ignore)
    values, gradient = np.empty(len(logits), dtype=logits.dtype), np.empty_like(logits)

    def solve(b: int, loss: LovaszHinge) -> None:
        values[b], gradient[b] = loss._envelope(logits[b : b + 1], float(gammas[b]), None)

    _each_row(labels, ignore, solve)
    values[bad], gradient[bad] = np.nan, np.nan
    return values, gradient


def jacobian_rows(logits: Floats, labels: Any, gammas: Floats, ignore: float | None) -> tuple[Any, Floats]:
    """The explicit Jacobian of the prox of every row; the arguments of `prox_rows`.

    Returns
    -------
    (n, p) ndarray of int32
        A pixel of the pool that every pixel moves with: in margins, a pool moves by the mean of its tangents.
        A pixel that does not move at all has p.
    (n, p) ndarray
        Derivative of the prox in the step.
    """
    bad, logits, labels, gammas = _mended(logits, labels, gammas, ignore)
    pixels = logits.shape[1]
    pools = np.tile(np.arange(pixels, dtype=np.int32), (len(logits), 1))
    slopes = np.zeros_like(logits)

    def solve(b: int, loss: LovaszHinge) -> None:
        def use(_: int, image: Any, solved: Any, masses: Any) -> None:
            pool = solved.solution.pools
            member = np.empty(pool.max() + 1, dtype=np.int32)
            member[pool] = image.pixels
            shares = image.extension._pool_increments(pool) / np.bincount(pool)
            moving, free = solved.x > 0, solved.z > 0
            kept = pools[b, image.pixels]
            pools[b, image.pixels] = np.where(moving, np.where(free, member[pool], pixels), kept)
            slopes[b, image.pixels] = np.where(moving & free, image.signs * shares[pool], 0.0)

        loss._each_solved(logits[b], float(gammas[b]), None, use)

    _each_row(labels, ignore, solve)
    slopes[bad] = np.nan
    return pools, slopes


def _each_row(labels: Any, ignore: float | None, solve: Callable[[int, LovaszHinge], None]) -> None:
    """Call ``solve(b, loss)`` for every row, in threads when there are pixels enough."""

    def run(start: int, stop: int) -> None:
        for b in range(start, stop):
            solve(b, LovaszHinge._of_labels(labels[b : b + 1], True, ignore))

    in_chunks(run, labels.shape[1] * np.arange(len(labels) + 1))


def _mended(
    logits: Floats, labels: Any, gammas: Floats, ignore: float | None
) -> tuple[Bools, Floats, Any, Floats]:
    """Which rows the core would refuse, and the arguments with something legal in their place."""
    legal = (labels == 0) | (labels == 1)
    if ignore is not None:
        legal |= labels == ignore
    bad = ~(np.isfinite(logits) & legal).all(axis=1) | ~np.isfinite(gammas) | ~(gammas > 0)
    if bad.any():
        logits, labels, gammas = logits.copy(), labels.copy(), gammas.copy()
        logits[bad], labels[bad], gammas[bad] = 0, 0, 1
    return bad, logits, labels, gammas
