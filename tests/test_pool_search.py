"""The search for the value of a pool: where Newton's steps alone are as many as the pixels."""

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import reference as ref
from lovasz_opt.kernels import jaccard_prox


def staircase(s):
    """Scores, the last one of the background, and a step; proofs/paper/05-complexity.md derives them.

    Around its root the function of the pool is like sign(t)·√|t|, on which Newton's method goes to and fro.
    """
    a, b, down = [1.0], [1.0], 2 / s
    for slope in range(s, 2 * s - 1):
        a.append(a[-1] - down)
        up = (a[-2] + b[-1] - down / 2) / (slope + 1)
        b.append(b[-1] - up)
        down = (a[-1] + b[-1] + up / 2) / (slope + 1)
    width = a[-1] + b[-1]
    left, right = -(np.array(a[1:]) + a[:-1]) / 2, (np.array(b[1:]) + b[:-1]) / 2
    starts = [-a[-1]] * (2 * s - 2)
    for j in range(6):
        starts += [e for e in left + j * width if e < 1 + width]
        starts += [e for e in right - (j + 1) * width if e > -1 - 2 * width]
    starts = np.append(np.array(starts) / width, np.full(s // 4, -100.0 * s))
    P = len(starts)
    root = (width * (2 * s - 1) / (4 * s - 3) - a[-1]) / width
    behind = P - np.clip(starts + 1 - root, 0, 1).sum()
    return np.append(starts + P + 1, root + behind), P * (P + 1.0)


def evaluations(x, gamma, monkeypatch):
    """How often the search looks at the one pool of a staircase."""
    count = 0
    increment = jaccard_prox.jaccard_increment.py_func

    def counted(*arguments):
        nonlocal count
        count += 1
        return increment(*arguments)

    P = len(x) - 1
    xf, xb = np.sort(x[:P])[::-1].copy(), x[P:].copy()
    work = np.empty(P + 1), np.empty(P + 1)
    counts = [np.empty(1, np.int32) for _ in range(3)]
    monkeypatch.setattr(jaccard_prox, "jaccard_increment", counted)
    pools = jaccard_prox.jaccard_pools.py_func(
        xf, xb, None, None, float(P), gamma, *work, *counts, np.empty(1)
    )
    assert pools == 1
    return count


@pytest.mark.parametrize("s", [30, 100])
def test_a_staircase_takes_logarithmically_many_evaluations(s, monkeypatch):
    x, gamma = staircase(s)
    # Newton alone: 64 and 204.
    assert evaluations(x, gamma, monkeypatch) <= 4 * np.log2(len(x))


def test_a_staircase_is_solved_exactly():
    x, gamma = staircase(30)
    target = np.arange(len(x)) < len(x) - 1
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma).astype(float)
    np.testing.assert_allclose(z, exact, rtol=0, atol=4 * np.spacing(max(np.abs(x).max(), gamma / len(x))))
