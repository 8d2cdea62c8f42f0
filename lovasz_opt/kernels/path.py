"""The path walk of the first version of the paper, on sorted margins."""

from __future__ import annotations

import numpy as np

from ._jit import kernel

_TOLERANCE = 1e-6


@kernel
def _average_groups(g, ends, active):
    """Replace g by its mean on every group of the first `active` entries."""
    first = 0
    while first < active:
        last = ends[first]
        if last > first + 1:
            mean = 0.0
            for k in range(first, last):
                mean += g[k] / (last - first)
            for k in range(first, last):
                g[k] = mean
        first = last


@kernel
def path_walk(x_sorted, g_sorted, gamma, max_steps, keep_slip):
    """Follow the path of merged groups from x_sorted for at most max_steps moves.

    Parameters
    ----------
    x_sorted : (p,) float64
        Margins in decreasing order.
    g_sorted : (p,) float64
        Greedy vector in the same order.
    gamma : float
    max_steps : int
    keep_slip : bool
        Leave g alone on the inactive entries until the first merge when a single entry is active, as the
        released code does.

    Returns
    -------
    (p,) ndarray of float64
        Where the walk ends, in the same order.
    int
        Number of moves.
    """
    p = x_sorted.shape[0]
    x = x_sorted.copy()
    g = g_sorted.copy()
    active = 0
    for k in range(p):
        if x[k] >= _TOLERANCE:
            active = k + 1
    if active == 0:
        return x, 0
    # ends[first] is the end of the group that starts at `first`; only entries at starts are meaningful.
    ends = np.empty(p, dtype=np.int64)
    first = 0
    for k in range(1, active + 1):
        if k == active or not x[k - 1] - x[k] < _TOLERANCE:
            ends[first] = k
            first = k
    if active > 1 or not keep_slip:
        _average_groups(g, ends, active)
        g[active:] = 0.0

    steps = 0
    while steps < max_steps and active > 0:
        steps += 1
        move = np.inf
        meeting = -1
        last_group = 0
        first = 0
        while first < active:
            last_group = first
            second = ends[first]
            if second < active:
                distance = x[second - 1] - x[second]
                closing = g[second - 1] - g[second]
                if distance > _TOLERANCE and closing > _TOLERANCE and distance / closing < move:
                    move = distance / closing
                    meeting = first
            first = second
        if g[active - 1] > 0.0:
            time = x[active - 1] / g[active - 1]
            if 0.0 < time < move:
                move = time
                meeting = -1
        along = 0.0
        square = 0.0
        for k in range(p):
            along += (x[k] - x_sorted[k]) * g[k]
            square += g[k] * g[k]
        optimum = along / square + gamma
        finished = 0.0 <= optimum < move
        if finished:
            move = optimum
        if not move < np.inf:
            break
        for k in range(p):
            x[k] -= move * g[k]
        if finished:
            break
        if meeting >= 0:
            ends[meeting] = ends[ends[meeting]]
        else:
            active = last_group
        _average_groups(g, ends, active)
        g[active:] = 0.0
    return x, steps
