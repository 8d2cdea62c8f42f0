"""Pools of the Jaccard prox and the search for their values, function by function."""

from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import reference as ref
from lovasz_opt.kernels import jaccard_prox
from lovasz_opt.kernels.prefix import prefix_sums, weight_sums
from lovasz_opt.reference import brute


def as_python(kernel):
    """A kernel that is not compiled, so that its arguments may be watched and its names replaced."""
    return getattr(kernel, "py_func", kernel)


class Watched:
    """An array that counts how often it is read, and only lets itself be read inside."""

    def __init__(self, x):
        self.x, self.shape, self.reads = x, x.shape, 0

    def __getitem__(self, i):
        assert 0 <= i < len(self.x)
        self.reads += 1
        return self.x[i]


def test_count_above_from_every_guess():
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 3, 7, 40):
        # Ties, and levels that are entries.
        x = np.sort(rng.integers(0, max(n, 1), n))[::-1].astype(float)
        for level in np.arange(-0.5, n + 1, 0.5):
            expected = int((x > level).sum())
            for guess in range(n + 1):
                watched = Watched(x)
                assert as_python(jaccard_prox.count_above)(watched, level, guess) == expected
                # Two comparisons confirm the guess or one more; else there are two for a bit of the distance.
                assert watched.reads <= 2 + 2 * max(expected - guess - 1, guess - expected).bit_length()


def exact_sums(terms):
    return [Fraction(0), *accumulate(map(Fraction, terms))]


def assert_exact(high, low, exact, scale):
    found = [Fraction(a) + Fraction(b) for a, b in zip(high, low, strict=True)]
    assert max(abs(a - b) for a, b in zip(found, exact, strict=True)) <= scale * 2.0**-100


@pytest.mark.parametrize("weighted", [False, True])
def test_prefix_sums_have_twice_the_digits(weighted):
    rng = np.random.default_rng(2)
    reach = 0.5
    # Gaps just below the reach inside a run and just above it between two, where 1e-12 of an entry counts.
    x, starts = [], []
    for front in (1e13, 1e13 - 20, 3e3, 8.0, 6.99, 5.9, -1e13):
        starts.append(len(x))
        near = reach + 5 if abs(front) > 1e12 else 0.499
        x += [front, front - near, *(front - near - np.sort(rng.random(30)) * 1e-3)]
    x = np.array(x)
    weights = rng.random(len(x)) + 0.5 if weighted else None
    terms = x if weights is None else x * weights
    high, low = np.empty(len(x)), np.empty(len(x))
    prefix_sums(x, weights, reach, high, low)
    starts.append(len(x))
    for start, stop in pairwise(starts):
        exact = exact_sums(terms[start:stop])[1:]
        assert_exact(high[start:stop], low[start:stop], exact, abs(terms[start]) * len(x))


def test_weight_sums_have_twice_the_digits():
    weights = 10.0 ** np.random.default_rng(3).uniform(-20, 3, 200)
    high, low = weight_sums(weights)
    assert_exact(high, low, exact_sums(weights), weights.sum())
    assert [a.tolist() for a in weight_sums(weights[:0])] == [[0.0], [0.0]]


@pytest.mark.parametrize("total", [0, 1, 5])
def test_increment_of_the_loss(total):
    def loss(fg, bg):
        return Fraction(fg + bg, total + bg) if fg + bg else Fraction(0)

    for fg0 in range(total + 1):
        for fg in range(total - fg0 + 1):
            for bg0 in range(4):
                for bg in range(4):
                    found = jaccard_prox.jaccard_increment(
                        float(total), float(fg0), float(fg), float(bg0), float(bg)
                    )
                    exact = loss(fg0 + fg, bg0 + bg) - loss(fg0, bg0)
                    assert found == pytest.approx(float(exact), rel=1e-15, abs=0)
    # Rounding has counted more foreground than there is.
    assert jaccard_prox.jaccard_increment(1.0, 1.0 + 2.0**-52, 0.0, 0.0, 1.0) == 0.0


def test_middle_breakpoint():
    rng = np.random.default_rng(1)
    none = 0
    for _ in range(300):
        x = np.sort(rng.normal(size=rng.integers(0, 9)))[::-1].copy()
        stop, start = np.sort(rng.exponential(size=2))
        floor, ceiling = np.sort(rng.normal(size=2)) - rng.exponential()
        inside = [[b for b in x - cost if floor < b < ceiling] for cost in (start, stop)]
        middles = {kind[len(kind) // 2] for kind in inside if kind and len(kind) == max(map(len, inside))}
        found = jaccard_prox.middle_breakpoint(x, start, stop, floor, ceiling)
        assert found in (middles or {floor})
        none += not middles
    assert 30 < none < 150


def pools_of(xf, xb, wf, wb, total, gamma, kernel=jaccard_prox.jaccard_pools):
    """Ends, first and last foreground ranks, and values of the pools; `gamma` and entries in order."""
    n, N = len(xf) + len(xb), len(xb)
    ends, starts, stops = (np.empty(N, np.int32) for _ in range(3))
    values = np.empty(N)
    pools = kernel(xf, xb, wf, wb, total, gamma, np.empty(n), np.empty(n), ends, starts, stops, values)
    return ends[:pools], starts[:pools], stops[:pools], values[:pools]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_pools_of_small_problems(weighted, share):
    rng = np.random.default_rng(2)
    merged = within = 0
    for _ in range(100):
        p = int(rng.integers(1, 8))
        target, x = rng.random(p) < share, rng.normal(size=p)
        # What merges is close together.
        x[~target] *= 0.1
        weights = rng.exponential(size=p) if weighted else np.ones(p)
        gamma = 10 ** rng.uniform(-1, 1.5)
        z = brute.prox(brute.set_values(lo.Jaccard(target, weights)), x, gamma, weights)
        order = np.argsort(-x)
        fg, bg = order[target[order]], order[~target[order]]
        total = weights[fg].sum()
        masses = (weights[fg], weights[bg]) if weighted else (None, None)
        ends, starts, stops, values = pools_of(x[fg], x[bg], *masses, total, gamma)
        assert ends.tolist() == sorted(set(ends.tolist()))
        assert (ends[-1:] == len(bg)).all()
        np.testing.assert_allclose(
            np.repeat(values, np.diff(ends, prepend=0)), z[bg], rtol=0, atol=1e-12 * gamma
        )
        before = 0.0
        for end, first, stop, value in zip(ends, starts, stops, values, strict=True):
            after = weights[bg[:end]].sum()
            # Without foreground nothing pays for it.
            costs = [gamma / (total + b) if len(fg) else 0.0 for b in (before, after)]
            assert [first, stop] == [(x[fg] > value + cost).sum() for cost in costs]
            before = after
            within += stop - first
        merged += len(bg) - len(ends)
    assert merged > 20
    assert share == 0.0 or within >= 15


#: Scores of the foreground and of the background, and steps, with which Newton's iterates meet the ends of
#: the bracket exactly.
WHOLE = [
    ([1, 1, 1], [0], 4),
    ([4, 3, 0], [3, 2], 20),
    ([3, 1, 1, 0], [0], 10),
    ([2, 2, 2, 1], [1, 0], 15),
    ([7, 5, 4, 4], [2], 20),
]


def test_pools_of_whole_numbers():
    rng = np.random.default_rng(3)
    drawn = [
        (rng.integers(0, 8, rng.integers(1, 7)), rng.integers(0, 8, rng.integers(1, 5)), rng.integers(1, 40))
        for _ in range(100)
    ]
    for fg, bg, gamma in WHOLE + drawn:
        xf, xb = (np.sort(np.array(entries, dtype=float))[::-1].copy() for entries in (fg, bg))
        ends, _, _, values = pools_of(xf, xb, None, None, float(len(xf)), float(gamma))
        target = np.arange(len(xf) + len(xb)) < len(xf)
        x = np.append(xf, xb)
        exact = ref.prox_counts_exact(ref.jaccard_row(len(xf)), target, x, int(gamma))[len(xf) :]
        found = np.repeat(values, np.diff(ends, prepend=0))
        np.testing.assert_allclose(found, exact.astype(float), rtol=0, atol=1e-14 * (8 + gamma))
        # Ranks of different values are in different pools.
        assert set(np.flatnonzero(np.diff(exact)) + 1) <= set(ends.tolist())
    # Two ranks that nothing pulls stay two.
    assert pools_of(np.full(2, 10.0), np.ones(2), None, None, 2.0, 2.0)[0].tolist() == [1, 2]


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


def effort(xf, xb, gamma, monkeypatch):
    """Number of pools, and how often functions that look for them are called."""
    calls = {"jaccard_increment": 0, "middle_breakpoint": 0, "count_above": 0}

    def counted(name, function, *arguments):
        calls[name] += 1
        return function(*arguments)

    with monkeypatch.context() as patch:
        for name in calls:
            patch.setattr(jaccard_prox, name, partial(counted, name, getattr(jaccard_prox, name)))
        kernel = as_python(jaccard_prox.jaccard_pools)
        pools = len(pools_of(xf, xb, None, None, float(len(xf)), gamma, kernel)[0])
    return pools, *calls.values()


@pytest.mark.parametrize("s", [30, 100])
def test_a_staircase_takes_logarithmically_many_evaluations(s, monkeypatch):
    x, gamma = staircase(s)
    pools, evaluations, breakpoints, _ = effort(np.sort(x[:-1])[::-1].copy(), x[-1:], gamma, monkeypatch)
    assert pools == 1
    # Newton alone: 64 and 204.
    assert evaluations <= 4 * np.log2(len(x))
    assert 0 < breakpoints <= evaluations / 2


@pytest.mark.parametrize("gamma", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_ordinary_scores_take_one_evaluation_for_most_pools(spread, gamma, monkeypatch):
    rng = np.random.default_rng(4)
    xf, xb = np.sort(rng.normal(size=90))[::-1].copy(), spread * np.sort(rng.normal(size=210))[::-1].copy()
    pools, evaluations, breakpoints, searches = effort(xf, xb, gamma, monkeypatch)
    # A pool is looked for at every rank and again at every merge, close to where the one before was.
    tried = len(xb) + len(xb) - pools
    assert evaluations <= 1.4 * tried
    assert searches <= 0.7 * tried
    assert breakpoints == 0


def test_staircases_are_solved_exactly(monkeypatch):
    """As one is, and disturbed so that the search ends elsewhere, but not sooner."""
    rng = np.random.default_rng(8)
    long = 0
    for k in range(14):
        x, gamma = staircase(30 if k == 0 else 10)
        target = np.arange(len(x)) < len(x) - 1
        if k > 0:
            x[target] += 1e-2 * rng.normal(size=len(x) - 1)
            x[-1] += 0.2 * rng.normal()
        long += effort(np.sort(x[target])[::-1].copy(), x[-1:], gamma, monkeypatch)[1] > 9
        z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
        exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma).astype(float)
        bound = 4 * np.spacing(max(np.abs(x).max(), gamma / len(x)))
        np.testing.assert_allclose(z, exact, rtol=0, atol=bound)
    assert long > 9


def solve(x, target, weights, gamma, labelled=True):
    """The proximal point, by the kernel, and its pools."""
    p = len(x)
    z, labels = np.empty(p), np.empty(p, np.int64) if labelled else None
    nothing = np.empty(0, np.uint32), np.zeros(2, np.int64), np.empty(jaccard_prox.WORK * (p + 1), np.uint64)
    jaccard_prox.jaccard_prox(x, target.astype(np.uint8), weights, gamma, False, z, labels, *nothing)
    return z, labels


def values_of_pools(x, target, weights, gamma, labels):
    """What each pool must take, in rational arithmetic: its mean score less what it adds to the loss."""
    sums, masses = ([[Fraction(0), Fraction(0)] for _ in range(labels.max() + 1)] for _ in range(2))
    for i, label in enumerate(labels):
        mass = Fraction(weights[i])
        sums[label][0] += mass * Fraction(x[i])
        masses[label][int(target[i])] += mass
    total = sum(fg for _, fg in masses)
    fg, bg, loss, values = Fraction(0), Fraction(0), Fraction(0), []
    for (gain, _), (more_bg, more_fg) in zip(sums, masses, strict=True):
        fg, bg, before = fg + more_fg, bg + more_bg, loss
        loss = (fg + bg) / (total + bg)
        values.append((gain - Fraction(gamma) * (loss - before)) / (more_fg + more_bg))
    return np.array([float(values[label]) for label in labels])


@pytest.mark.parametrize("weighted", [False, True])
def test_long_sums_keep_their_digits(weighted):
    """Small pools at the end of long sums."""
    rng = np.random.default_rng(5)
    p = 600
    target, x = rng.random(p) < 0.4, 1000 + rng.random(p)
    weights = rng.random(p) + 0.5 if weighted else None
    masses = np.ones(p) if weights is None else weights
    for gamma in (300.0, 3000.0):
        z, labels = solve(x, target, weights, gamma)
        exact = values_of_pools(x, target, masses, gamma, labels)
        np.testing.assert_allclose(z, exact, rtol=0, atol=3 * np.spacing(1000.0))


def test_rounding_does_not_add_up_where_many_pixels_tie():
    """Every tied pixel joins the pool of those before it, whose value must not be a bound of the new one."""
    tied, above, gamma = 1500, 6000, 3e-6
    x = np.repeat([-1.0, 0.0, -1.0], [1, above, tied])
    z, _ = solve(x, np.arange(len(x)) == 0, None, gamma)
    gain = Fraction(above + tied, above + tied + 1) - Fraction(above, above + 1)
    exact = float(-1 - Fraction(gamma) * gain / tied)
    np.testing.assert_allclose(z[1 + above :], exact, rtol=0, atol=2 * np.spacing(1.0))


@pytest.mark.parametrize("heavy", [0, 1])
def test_weights_that_a_plain_sum_loses_count(heavy):
    """One heavy pixel of one class or of both, and many that are half of its last place."""
    rng = np.random.default_rng(6)
    p = 600
    target, x = rng.random(p) < 0.5, rng.random(p)
    weights = np.full(p, 2.0**-53)
    weights[np.flatnonzero(target)[:1]] = weights[np.flatnonzero(~target)[:1]] = 1.0
    first = int(np.flatnonzero(target if heavy else ~target)[0])
    x[first] = 2.0
    for gamma in (1e-3, 0.1, 1.0, 3.0):
        z, labels = solve(x, target, weights, gamma)
        exact = values_of_pools(x, target, weights, gamma, labels)
        np.testing.assert_allclose(z, exact, rtol=0, atol=2 * np.spacing(2.0))


def test_a_breakpoint_where_a_plain_sum_of_weights_is_wrong():
    """The foreground pixel joins the background's pool from 0 on, so that 2e-14 already pulls at it."""
    light = 2.0**-53
    x, target = np.zeros(502), np.arange(502) < 1
    x[0] = 2e-14
    weights = np.where(np.arange(502) < 2, 1.0, light)
    z, _ = solve(x, target, weights, 1.0)
    exact = (Fraction(x[0]) - 1) / (2 + 500 * Fraction(light))
    np.testing.assert_allclose(z, float(exact), rtol=4e-16, atol=0)


def test_a_rank_that_rounding_lifts_above_itself_is_a_pool():
    """x·μ/μ may be more than x, where the foreground is so far in front that nothing pulls."""
    rng = np.random.default_rng(7)
    lifted = 0
    for x, weight in rng.random((100, 2)):
        weights = np.ones(1), np.array([weight])
        ends, _, _, values = pools_of(np.array([10.0]), np.array([x]), *weights, 1.0, 0.5)
        assert ends.tolist() == [1]
        assert values[0] == pytest.approx(x, rel=1e-15)
        lifted += x * weight / weight > x
    assert lifted > 5
