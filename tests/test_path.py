"""The inexact proximal operators: what they get right, and the ways in which they are known to be wrong."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt.kernels.path import path_walk
from lovasz_opt.path import pav_in_order, prox_path
from lovasz_opt.reference import brute

KNOWN = [
    ([26, 12, 13], [1, 0, 1], 12.0, [20, 9.5, 9.5]),
    ([1.5, 1, 0.99], [0, 1, 0], 1.0, [1, 0.745, 0.745]),
]


def greedy_of(target, x):
    return lo.LovaszExtension(lo.Jaccard(target)).greedy(np.asarray(x, dtype=float))


def objective(values, x, gamma, z):
    """½‖z − x‖² + γ f(max(z, 0)), f from the level sets of z."""
    return ((z - x) ** 2).sum(axis=-1) / 2 + gamma * brute.extension_by_levels(values, np.maximum(z, 0))


def small_problems(rng, count, target_of):
    for _ in range(count):
        p = int(rng.integers(3, 7))
        yield 1 + rng.normal(size=p), target_of(rng.random(p)), float(10 ** rng.uniform(-1, 1.5))


def walk_in_fractions(x, g, gamma, max_steps, slip):
    """The walk by its description: groups of ranks with a common level and speed, in exact numbers."""
    start, slopes, gamma = [Fraction(v) for v in x], [Fraction(v) for v in g], Fraction(gamma)
    tolerance, z = Fraction(1e-6), list(start)
    active = max((k + 1 for k, v in enumerate(start) if v >= tolerance), default=0)
    groups = []
    for k in range(active):
        if groups and z[k - 1] - z[k] < tolerance:
            groups[-1].append(k)
        else:
            groups.append([k])

    def share_slopes():
        for group in groups:
            mean = sum(slopes[k] for k in group) / len(group)
            for k in group:
                slopes[k] = mean
        for k in range(sum(map(len, groups)), len(z)):
            slopes[k] = Fraction(0)

    if active != 1 or not slip:
        share_slopes()
    steps = 0
    while groups and steps < max_steps:
        steps += 1
        events = []
        for j, (upper, lower) in enumerate(pairwise(groups)):
            distance, closing = z[upper[-1]] - z[lower[0]], slopes[upper[-1]] - slopes[lower[0]]
            if min(distance, closing) > tolerance:
                events.append((distance / closing, j))
        last = groups[-1][-1]
        if slopes[last] > 0 and z[last] > 0:
            events.append((z[last] / slopes[last], len(groups)))
        along = sum((a - b) * c for a, b, c in zip(z, start, slopes, strict=True))
        optimum = along / sum(c * c for c in slopes) + gamma
        move, j = min(events, default=(math.inf, None))
        if 0 <= optimum < move:
            move, j = optimum, None
        if move == math.inf:
            break
        z = [a - move * c for a, c in zip(z, slopes, strict=True)]
        if j is None:
            break
        if j < len(groups):
            groups[j] += groups.pop(j + 1)
        else:
            groups.pop()
        share_slopes()
    return [float(v) for v in z], steps


class TestPath:
    def test_walks_as_described(self):
        rng = np.random.default_rng(4)
        ends = set()
        for k in range(150):
            p = int(rng.integers(1, 8))
            # Ties every other time, and inactive entries.
            x = 1 + (rng.integers(-3, 3, p) if k % 2 else 1.5 * rng.normal(size=p))
            x = np.sort(x.astype(float))[::-1].copy()
            g = greedy_of(rng.random(p) < 0.6, x)
            gamma, most, slip = 10 ** rng.uniform(-1, 1.5), int(rng.integers(0, 12)), bool(rng.random() < 0.5)
            z, steps = path_walk(x, g, gamma, most, slip)
            expected, expected_steps = walk_in_fractions(x, g, gamma, most, slip)
            np.testing.assert_allclose(z, expected, rtol=0, atol=1e-9)
            assert steps == expected_steps
            ends.add(steps)
        assert ends >= {0, 1, 2, 3, 4, 5}

    @pytest.mark.parametrize(
        ("x", "g", "gamma", "expected"),
        [
            # Active from 1e-6 on, and one group if closer than that, or else after meeting.
            ([1e-6, 1e-6 - 1e-9], [0.5, 0.5], 1.0, [0, 1e-6 - 1e-9]),
            ([1 + 0.9e-6, 1.0], [0.5, 0.25], 1.0, [0.625 + 0.9e-6, 0.625]),
            ([1 + 1.1e-6, 1.0], [0.5, 0.25], 1.0, [0.625 + 0.55e-6, 0.625 + 0.55e-6]),
            ([2e-6, 1e-6], [0.5, 0.25], 1e-6, [1.5e-6, 0.75e-6]),
            ([2e-6, 1e-6], [0.5, 0.1], 5e-6, [-0.5e-6, 0.5e-6]),
            # Slopes that differ by no more do not meet.
            ([1.5, 1.0], [2e-6, 1e-6], 6e5, [0.3, 0.4]),
            ([1 + 1.2e-6, 1.0], [0.5, 0.5 - 0.9e-6], 1.9, [0.05 + 1.2e-6, 0.05 + 1.71e-6]),
            ([1 + 1.2e-6, 1.0], [0.5, 0.5 - 1.1e-6], 1.9, [0.05 + 1.645e-6, 0.05 + 1.645e-6]),
            # Merging at 0 they go on below: only what arrives there alone is held.
            ([2.0, 1.0], [0.5, 0.25], 6.0, [-0.75, -0.75]),
        ],
    )
    def test_tolerances(self, x, g, gamma, expected):
        z, _ = path_walk(np.array(x), np.array(g), gamma, 50, False)
        np.testing.assert_allclose(z, expected, rtol=0, atol=1e-10)

    @pytest.mark.parametrize(("x", "target", "gamma", "expected"), KNOWN)
    @pytest.mark.parametrize("slip", [True, False])
    def test_merges_where_a_pixel_should_overtake(self, x, target, gamma, expected, slip):
        np.testing.assert_allclose(prox_path(x, greedy_of(target, x), gamma, slip=slip), expected, rtol=1e-12)

    def test_ends_after_a_meeting_at_the_minimum(self):
        z, steps = path_walk(np.array([12.0, 11.0]), np.array([0.5, 0.25]), 4.0, 50, False)
        assert (z.tolist(), steps) == ([10.0, 10.0], 2)

    def test_where_no_loss_pulls_nothing_moves(self):
        x = np.array([2.0, 1.0])
        with np.errstate(invalid="ignore"):
            z, steps = path_walk(x, np.zeros(2), 4.0, 50, False)
        assert (z.tolist(), steps) == ([2.0, 1.0], 1)

    def test_slip(self):
        x, greedy = np.array([0.632, -0.225, -0.808]), np.full(3, 1 / 3)
        np.testing.assert_allclose(prox_path(x, greedy, 5.0), [0, -0.857, -1.440], atol=1e-12)
        np.testing.assert_allclose(prox_path(x, greedy, 5.0, slip=False), [0, -0.225, -0.808], atol=1e-12)
        # The slip needs a single active entry: with two, the inactive one is left alone.
        x = np.array([0.9, 0.632, -0.808])
        np.testing.assert_allclose(prox_path(x, greedy, 5.0), [0, 0, -0.808], atol=1e-12)

    def test_stops_at_the_exact_minimum_along_a_move(self):
        np.testing.assert_allclose(prox_path([9.0, 5.0, 1.0], np.full(3, 1 / 3), 1.5), [8.5, 4.5, 0.5])
        # Half of the way the last pixel is at 0; the others go on.
        np.testing.assert_allclose(prox_path([9.0, 5.0, 1.0], np.full(3, 1 / 3), 6.0), [7, 3, 0], atol=1e-14)

    def test_step_limit(self):
        rng = np.random.default_rng(0)
        x = 1 + 3 * rng.random(200)
        greedy = greedy_of(rng.random(200) < 0.5, x)
        np.testing.assert_array_equal(prox_path(x, greedy, 50.0, max_steps=0), x)
        cut, more, full = (prox_path(x, greedy, 50.0, max_steps=k) for k in (20, 100, 10_000))
        values = [
            ((z - x) ** 2).sum() / 2 + 50.0 * lo.LovaszExtension(lo.Jaccard(greedy > 0))(z)
            for z in (cut, full)
        ]
        assert len({len(np.unique(z.round(9))) for z in (cut, more, full)}) == 3
        assert np.abs(cut - full).max() > 0.1
        assert values[0] != values[1]

    def test_simultaneous_meetings_cross(self):
        # Both neighbours meet after the time 5; only the first pair merges, and the last entry is overtaken.
        x, greedy = np.array([3.0, 2.0, 1.0]), np.array([0.5, 0.3, 0.1])
        z = prox_path(x, greedy, 5.5)
        assert z[2] > z[1] == z[0]

    def test_starts_with_ties_as_one_group(self):
        x = np.array([2.0, 2.0, 2.0, -1.0])
        z = prox_path(x, np.array([0.7, 0.2, 0.1, 0.0]), 1.5)
        np.testing.assert_allclose(z, [1.5, 1.5, 1.5, -1.0])

    def test_nothing_active_nothing_moves(self):
        x = np.array([0.0, -1.0, 5e-7])
        np.testing.assert_array_equal(prox_path(x, greedy_of([1, 0, 1], x), 3.0), x)

    def test_wrong_now_and_then_and_never_below_the_minimum(self):
        rng = np.random.default_rng(1)
        wrong = {True: 0, False: 0}
        for x, target, gamma in small_problems(rng, 300, lambda u: u < 0.5):
            values = brute.set_values(lo.Jaccard(target))
            exact = np.maximum(brute.prox(values, x, gamma), np.minimum(x, 0))
            best = objective(values, x, gamma, exact)
            for slip in wrong:
                z = prox_path(x, greedy_of(target, x), gamma, slip=slip)
                assert objective(values, x, gamma, z) >= best - 1e-12
                wrong[slip] += np.abs(z - exact).max() > 1e-5
        assert 9 <= wrong[False] < wrong[True] <= 60

    def test_right_where_order_is_kept(self):
        rng = np.random.default_rng(2)
        for target_of in (lambda u: u < 2, lambda u: u > 2):
            for x, target, gamma in small_problems(rng, 60, target_of):
                values = brute.set_values(lo.Jaccard(target))
                exact = np.maximum(brute.prox(values, x, gamma), np.minimum(x, 0))
                z = prox_path(x, greedy_of(target, x), gamma, max_steps=50, slip=False)
                np.testing.assert_allclose(z, exact, atol=1e-5)


class TestPoolingInOrder:
    @pytest.mark.parametrize(("x", "target", "gamma", "expected"), KNOWN)
    def test_known_failures(self, x, target, gamma, expected):
        np.testing.assert_allclose(pav_in_order(x, greedy_of(target, x), gamma), expected, rtol=1e-12)

    def test_exact_for_functions_of_the_size(self):
        rng = np.random.default_rng(3)
        for _ in range(60):
            p = int(rng.integers(1, 7))
            x, gamma = np.round(rng.normal(size=p), 1), float(10 ** rng.uniform(-1, 1))
            sizes = brute.all_masks(p).sum(axis=1)
            order = np.argsort(-x, kind="stable")
            greedy = np.empty(p)
            greedy[order] = np.diff(np.sqrt(np.arange(p + 1)))
            np.testing.assert_allclose(
                pav_in_order(x, greedy, gamma), brute.prox(np.sqrt(sizes), x, gamma), atol=1e-12
            )

    def test_metric(self):
        # Two pixels in one pool: a weighted mean, with the pull of both shared.
        z = pav_in_order([3.0, 2.0], [1.0, 0.0], 4.0, metric=[1.0, 3.0])
        np.testing.assert_allclose(z, [(3 + 6 - 4) / 4] * 2)
        z = pav_in_order([3.0, 2.0], [1.0, 0.0], 1.0, metric=[2.0, 3.0])
        np.testing.assert_allclose(z, [2.5, 2.0])


@pytest.mark.parametrize("function", [prox_path, pav_in_order])
class TestArguments:
    def test_messages(self, function):
        for arguments, message in (
            (([], [], 1.0), r"x has shape \(0,\); it must be one-dimensional and not empty"),
            (([[1.0]], [1.0], 1.0), r"x has shape \(1, 1\)"),
            (([1.0, 2.0], [1.0], 1.0), "greedy has 1 entries, expected 2: one per pixel"),
            (([1.0, math.nan], [1.0, 0.0], 1.0), r"x\[1\] is nan"),
            (([1.0], [math.inf], 1.0), r"greedy\[0\] is inf"),
            (([1.0], [1.0], 0.0), "gamma is 0.0; it must be finite and > 0"),
        ):
            with pytest.raises(ValueError, match=message):
                function(*arguments)

    def test_inputs_do_not_change(self, function):
        x, greedy = np.array([3.0, 1.0, 2.0]), np.array([0.5, 0.1, 0.4])
        x.flags.writeable = greedy.flags.writeable = False
        z = function(x[::-1], greedy[::-1], 1.0)
        np.testing.assert_allclose(z[::-1], function(x, greedy, 1.0))
        np.testing.assert_array_equal(x, [3, 1, 2])
