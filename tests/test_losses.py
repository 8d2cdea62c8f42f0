"""The Lovász hinge against its definition, its prox against certificates over all sets; comparison losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lovasz_opt as lo
from lovasz_opt import losses
from lovasz_opt.reference import brute


def jaccard_values(target, weights=None):
    """Values of the Jaccard loss on all 2^p mistake sets, from its definition."""
    target = np.asarray(target, dtype=bool)
    weights = np.ones(len(target)) if weights is None else np.asarray(weights)
    masks = brute.all_masks(len(target))
    union = (masks | target) @ weights
    return np.where(union > 0, masks @ weights / np.where(union > 0, union, 1.0), 0.0)


def naive_hinge(logits, target, weights=None):
    """Value and greedy vector in plain NumPy: Δ along the chain of level sets, and its differences."""
    target = np.asarray(target, dtype=bool)
    weights = np.ones(len(target)) if weights is None else np.asarray(weights, dtype=float)
    margins = np.maximum(0, 1 - np.where(target, 1.0, -1.0) * np.asarray(logits, dtype=float))
    order = np.argsort(-margins, kind="stable")
    mistakes = np.concatenate([[0.0], np.cumsum(weights[order])])
    union = weights[target].sum() + np.concatenate([[0.0], np.cumsum((weights * ~target)[order])])
    delta = np.divide(mistakes, union, out=np.zeros_like(mistakes), where=mistakes > 0)
    greedy = np.empty(len(target))
    greedy[order] = np.diff(delta)
    return float(greedy @ margins), greedy * (margins > 0)


def random_problem(rng, largest=8):
    """Logits, target and step; ties, one-sided targets and integer scores are frequent."""
    p = int(rng.integers(1, largest + 1))
    scale = rng.choice([0.3, 2.0, 20.0])
    logits = rng.normal(scale=scale, size=p)
    if rng.random() < 0.4:
        logits = np.rint(logits)
    target = rng.random(p) < rng.choice([0.0, 0.3, 0.5, 0.8, 1.0])
    return logits, target, float(10 ** rng.uniform(-6, 6))


def signs_of(target):
    return np.where(np.asarray(target, dtype=bool), 1.0, -1.0)


class TestValueAndSubgradient:
    def test_by_hand(self):
        # Margins 1, 2 and −2: background first, 2/(2·3), then foreground, 1/3.
        h = lo.LovaszHinge([1, 0, 1])
        assert h([0.0, 1.0, 3.0]) == pytest.approx(1.0, abs=1e-15)
        np.testing.assert_allclose(h.subgradient([0.0, 1.0, 3.0]), [-1 / 3, 1 / 3, 0], rtol=1e-15)
        # Without foreground only the first of the largest margins counts.
        assert lo.lovasz_hinge([0.5, 2.0, 2.0], [0, 0, 0]) == 3.0
        np.testing.assert_array_equal(lo.LovaszHinge([0, 0, 0]).subgradient([0.5, 2.0, 2.0]), [0, 1, 0])
        # Without background it is the mean of the hinges.
        assert lo.lovasz_hinge([0.5, 2.0, -1.0], [1, 1, 1]) == pytest.approx((0.5 + 2.0) / 3)
        # Weights 3 (foreground) and 1: 3/4 of the union is lost by the foreground after the background.
        weighted = lo.LovaszHinge([1, 0], weights=[3.0, 1.0])
        np.testing.assert_allclose(weighted.subgradient([0.0, 1.0]), [-3 / 4, 1 / 4], rtol=1e-15)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_the_maximum_over_all_vertices(self, weighted):
        rng = np.random.default_rng(0)
        for _ in range(60):
            logits, target, _ = random_problem(rng, largest=6)
            weights = rng.uniform(0.2, 5.0, len(target)) if weighted else None
            values = jaccard_values(target, weights)
            margins = 1 - signs_of(target) * logits
            h = lo.LovaszHinge(target, weights=weights)
            value, gradient = h.value_and_subgradient(logits)
            expected = brute.extension_over_vertices(values, margins, polymatroid=True)
            assert value == pytest.approx(expected, rel=1e-13, abs=1e-14)
            vector = -signs_of(target) * gradient
            assert brute.infeasibility(values, vector, polymatroid=True) <= 1e-15
            assert float(vector @ margins) == pytest.approx(value, rel=1e-13, abs=1e-14)

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
    def test_against_plain_numpy(self, share, weighted):
        rng = np.random.default_rng(1)
        p = 3000
        target = rng.random(p) < share
        weights = rng.uniform(0.1, 10.0, p) if weighted else None
        # Both regimes of the pruning: some foreground without error, and every foreground pixel wrong.
        for logits in (
            rng.normal(size=p),
            np.round(rng.normal(size=p), 1),
            np.where(target, -rng.random(p), rng.normal(size=p)),
        ):
            value, gradient = lo.LovaszHinge(target, weights=weights).value_and_subgradient(logits)
            expected, greedy = naive_hinge(logits, target, weights)
            assert value == pytest.approx(expected, rel=1e-12)
            np.testing.assert_allclose(-signs_of(target) * gradient, greedy, rtol=1e-9, atol=1e-15)

    def test_float32_sorts_in_float32_and_sums_in_float64(self):
        rng = np.random.default_rng(2)
        target = rng.random(50_000) < 0.3
        logits = rng.normal(size=50_000).astype(np.float32)
        value, gradient = lo.LovaszHinge(target).value_and_subgradient(logits)
        assert gradient.dtype == np.float32
        assert value == pytest.approx(naive_hinge(logits, target)[0], rel=2e-8)

    def test_gradient_by_finite_differences(self):
        rng = np.random.default_rng(3)
        target = rng.random((2, 7)) < 0.5
        h = lo.LovaszHinge(target, weights=rng.uniform(0.5, 2, (2, 7)))
        logits = rng.normal(size=(2, 7))
        direction = rng.normal(size=(2, 7))
        slope = (h(logits + 1e-6 * direction) - h(logits - 1e-6 * direction)) / 2e-6
        assert float((h.subgradient(logits) * direction).sum()) == pytest.approx(slope, rel=1e-7)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_subgradient_inequality_and_convexity(self, data):
        shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 6)))
        scores = hnp.arrays(np.float64, shape, elements=st.floats(-50, 50))
        labels = data.draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255])))
        h = lo.LovaszHinge(labels, ignore=255, per_image=data.draw(st.booleans()))
        here, there = data.draw(scores), data.draw(scores)
        value, gradient = h.value_and_subgradient(here)
        assert h(there) >= value + float((gradient * (there - here)).sum()) - 1e-11
        share = data.draw(st.floats(0, 1))
        assert h(share * here + (1 - share) * there) <= share * value + (1 - share) * h(there) + 1e-11

    def test_void_pixels_take_no_part(self):
        rng = np.random.default_rng(4)
        labels = rng.choice([0, 1, 255], size=400)
        logits = rng.normal(size=400)
        weights = rng.uniform(0.5, 2, 400)
        kept = labels != 255
        for chosen in (None, weights):
            h = lo.LovaszHinge(labels, weights=chosen, ignore=255)
            alone = lo.LovaszHinge(labels[kept], weights=None if chosen is None else chosen[kept])
            assert h(logits) == alone(logits[kept])
            gradient = h.subgradient(logits)
            np.testing.assert_array_equal(gradient[kept], alone.subgradient(logits[kept]))
            assert not gradient[~kept].any()
            np.testing.assert_array_equal(h.prox(logits, 3.0)[kept], alone.prox(logits[kept], 3.0))
            np.testing.assert_array_equal(h.prox(logits, 3.0)[~kept], logits[~kept])

    def test_the_void_label_may_be_a_class(self):
        logits = np.array([5.0, 0.5, -1.0])
        assert lo.lovasz_hinge(logits, [0, 1, 1], ignore=0) == lo.lovasz_hinge(logits[1:], [1, 1])
        assert lo.lovasz_hinge(logits, [False, True, True], ignore=1) == lo.lovasz_hinge(logits[:1], [0])

    def test_an_all_void_image_counts_zero_and_stays_in_the_mean(self):
        labels = np.array([[1, 0], [255, 255]])
        logits = np.array([[0.0, 2.0], [9.0, 9.0]])
        h = lo.LovaszHinge(labels, ignore=255)
        np.testing.assert_array_equal(h.values(logits), [2.0, 0.0])
        assert h(logits) == lo.lovasz_hinge(logits, labels, ignore=255) == 1.0
        np.testing.assert_array_equal(h.subgradient(logits), [[-0.25, 0.25], [0, 0]])
        np.testing.assert_array_equal(h.prox(logits, 1.0)[1], logits[1])
        assert lo.lovasz_hinge(logits[1], labels[1], ignore=255) == 0.0
        assert lo.lovasz_hinge(logits, labels, per_image=False, ignore=255) == 2.0

    def test_whole_batch_as_one_image(self):
        rng = np.random.default_rng(5)
        target, logits = rng.random((3, 4, 5)) < 0.4, rng.normal(size=(3, 4, 5))
        h = lo.LovaszHinge(target, per_image=False)
        flat = lo.LovaszHinge(target.ravel())
        assert h(logits) == flat(logits.ravel())
        assert h.values(logits).shape == (1,)
        np.testing.assert_array_equal(h.prox(logits, 2.0).ravel(), flat.prox(logits.ravel(), 2.0))


class TestProx:
    @pytest.mark.parametrize(
        ("target", "margins", "gamma", "exact", "pooled"),
        [
            ([1, 0, 1], [26, 12, 13], 12.0, [20, 10, 9], [20, 9.5, 9.5]),
            ([0, 1, 0], [1.5, 1, 0.99], 1.0, [1, 2 / 3, 0.99 - 1 / 6], [1, 0.745, 0.745]),
        ],
    )
    def test_a_background_pixel_overtakes_a_foreground_one(self, target, margins, gamma, exact, pooled):
        h = lo.LovaszHinge(target)
        signs = signs_of(target)
        logits = signs * (1 - np.asarray(margins))
        for method, expected in (("exact", exact), ("path", pooled), ("pav-in-order", pooled)):
            z = 1 - signs * h.prox(logits, gamma, method=method)
            np.testing.assert_allclose(z, expected, rtol=1e-12, err_msg=method)

    def test_path_keeps_its_slip_and_its_step_limit(self):
        h = lo.LovaszHinge([1, 1, 1])
        margins = np.array([0.632, -0.225, -0.808])
        np.testing.assert_allclose(1 - h.prox(1 - margins, 5.0, "path"), margins - 0.632, atol=1e-12)
        for logits in (h.prox(1 - margins, 5.0, "path", slip=False), h.prox(1 - margins, 5.0)):
            np.testing.assert_allclose(1 - logits, [0, -0.225, -0.808], atol=1e-12)
        np.testing.assert_array_equal(h.prox(1 - margins, 5.0, "path", max_steps=0), 1 - margins)

    def test_certified_over_all_sets(self):
        rng = np.random.default_rng(6)
        for _ in range(500):
            logits, target, gamma = random_problem(rng)
            signs = signs_of(target)
            z = 1 - signs * lo.LovaszHinge(target).prox(logits, gamma)
            gap, outside = brute.prox_gap(
                jaccard_values(target), 1 - signs * logits, gamma, z, polymatroid=True
            )
            scale = max(1.0, np.abs(logits).max())
            assert abs(gap) <= 1e-13 * scale * max(1.0, scale / gamma)
            assert outside <= 1e-14 * max(1.0, scale / gamma)

    def test_against_projection_on_the_polymatroid(self):
        rng = np.random.default_rng(7)
        for _ in range(40):
            logits, target, _ = random_problem(rng, largest=5)
            gamma = float(10 ** rng.uniform(-1, 1.5))
            margins = 1 - signs_of(target) * logits
            dual = brute.project(brute.vertices(jaccard_values(target), polymatroid=True), margins / gamma)
            z = 1 - signs_of(target) * lo.LovaszHinge(target).prox(logits, gamma)
            np.testing.assert_allclose(z, margins - gamma * dual, atol=1e-7 * max(1.0, np.abs(logits).max()))

    @pytest.mark.parametrize("metric", ["weights", "other", None])
    def test_pixel_weights_and_metric(self, metric):
        rng = np.random.default_rng(8)
        tolerance = 1e-12 if metric == "weights" else 1e-8
        for _ in range(40):
            logits, target, _ = random_problem(rng, largest=6)
            p = len(target)
            gamma = float(10 ** rng.uniform(-2, 2))
            weights, other = rng.uniform(0.2, 5, (2, p))
            squares = {"weights": weights, "other": other, None: np.ones(p)}[metric]
            h = lo.LovaszHinge(target, weights=weights)
            z = 1 - signs_of(target) * h.prox(logits, gamma, metric=other if metric == "other" else metric)
            x = 1 - signs_of(target) * logits
            values = jaccard_values(target, weights)
            dual = squares * (x - z) / gamma
            gap = brute.extension_over_vertices(values, z, polymatroid=True) - float(dual @ z)
            scale = max(1.0, np.abs(logits).max(), np.abs(logits).max() / gamma)
            assert brute.infeasibility(values, dual, polymatroid=True) <= tolerance * scale
            assert abs(gap) <= tolerance * scale**2

    def test_pooling_with_the_weights_as_metric_is_refused(self):
        h = lo.LovaszHinge([1, 0], weights=[1.0, 2.0])
        for method in ("path", "pav-in-order"):
            with pytest.raises(ValueError, match="metric is only for method='exact'"):
                h.prox([0.0, 0.0], 1.0, method=method, metric="weights")

    def test_a_mean_over_images_shares_the_step(self):
        rng = np.random.default_rng(9)
        target, logits = rng.random((4, 30)) < 0.4, rng.normal(size=(4, 30))
        h = lo.LovaszHinge(target)
        alone = [lo.LovaszHinge(t).prox(row, 5.0 / 4) for t, row in zip(target, logits, strict=True)]
        np.testing.assert_array_equal(h.prox(logits, 5.0), alone)
        full = [lo.LovaszHinge(t).prox(row, 5.0) for t, row in zip(target, logits, strict=True)]
        np.testing.assert_array_equal(lo.prox_lovasz_hinge(logits, target, 5.0), full)
        for method in ("path", "pav-in-order"):
            alone = [
                lo.LovaszHinge(t).prox(row, 5.0 / 4, method) for t, row in zip(target, logits, strict=True)
            ]
            np.testing.assert_array_equal(h.prox(logits, 5.0, method), alone)

    def test_what_cannot_move_is_unchanged_bit_for_bit(self):
        rng = np.random.default_rng(10)
        target = rng.random(200) < 0.5
        logits = signs_of(target) * rng.choice(
            [0.1, 1e-320, 1.0, *rng.uniform(1, 9, 9), 2.0**53 + 2], size=200
        )
        right = signs_of(target) * logits >= 1
        for gamma in (1e-6, 1.0, 1e6):
            np.testing.assert_array_equal(lo.LovaszHinge(target).prox(logits, gamma)[right], logits[right])
        # An error far behind the last foreground error: its margin 1 − 1e-20 rounds, the logit must not.
        assert lo.LovaszHinge([1, 0]).prox([-50.0, 1e-20], 1.0)[1] == 1e-20

    def test_limits_of_the_step(self):
        rng = np.random.default_rng(11)
        target, logits = rng.random(50) < 0.4, 3 * rng.normal(size=50)
        h = lo.LovaszHinge(target)
        np.testing.assert_allclose(h.prox(logits, 1e-12), logits, atol=1e-12)
        # With a huge step nothing is left of the loss, and what had an error sits on the margin.
        far = h.prox(logits, 1e9)
        assert h(far) == 0.0
        wrong = signs_of(target) * logits < 1
        np.testing.assert_array_equal(far[wrong], signs_of(target)[wrong])


class TestEnvelope:
    def problem(self):
        rng = np.random.default_rng(12)
        labels = rng.choice([0, 1, 255], size=(3, 9), p=[0.5, 0.4, 0.1])
        return rng, labels, 2 * rng.normal(size=(3, 9))

    def test_value_is_the_minimum(self):
        _, labels, logits = self.problem()
        h = lo.LovaszHinge(labels, ignore=255)
        z = h.prox(logits, 4.0)
        assert h.envelope(logits, 4.0) == pytest.approx(((z - logits) ** 2).sum() / 8.0 + h(z), rel=1e-13)
        assert h.envelope(logits, 4.0) < h(logits)
        assert h.envelope(logits, 1e-9) == pytest.approx(h(logits), rel=1e-7)

    @pytest.mark.parametrize("metric", [None, "other"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_gradient(self, weighted, metric):
        rng, labels, logits = self.problem()
        weights = rng.uniform(0.5, 2, labels.shape)
        h = lo.LovaszHinge(labels, weights=weights if weighted else None, ignore=255)
        chosen = weights if metric else None
        _, gradient = h.envelope_and_gradient(logits, 4.0, metric=chosen)
        moved = (logits - h.prox(logits, 4.0, metric=chosen)) / 4.0 * (weights if metric else 1.0)
        np.testing.assert_allclose(gradient, moved, atol=1e-8)
        direction = rng.normal(size=logits.shape)
        slope = (
            h.envelope(logits + 1e-4 * direction, 4.0, metric=chosen)
            - h.envelope(logits - 1e-4 * direction, 4.0, metric=chosen)
        ) / 2e-4
        assert float((gradient * direction).sum()) == pytest.approx(slope, abs=1e-6)

    def test_functional_form_gives_every_image_the_full_step(self):
        _, labels, logits = self.problem()
        value, gradient = losses.moreau_lovasz_hinge_and_gradient(logits, labels, 4.0, ignore=255)
        assert lo.moreau_lovasz_hinge(logits, labels, 4.0, ignore=255) == value
        alone = [
            lo.LovaszHinge(row, ignore=255).envelope_and_gradient(scores, 4.0)
            for row, scores in zip(labels, logits, strict=True)
        ]
        assert value == np.mean([v for v, _ in alone])
        np.testing.assert_allclose(gradient, [g / 3 for _, g in alone], rtol=1e-15)
        moved = (logits - lo.prox_lovasz_hinge(logits, labels, 4.0, ignore=255)) / (4.0 * 3)
        np.testing.assert_allclose(gradient, moved, atol=1e-15)

    def test_gradient_keeps_its_digits_for_tiny_steps(self):
        target = np.array([1, 0, 1, 0])
        logits = np.array([-1e8, 3e7, 0.3, 2.0])
        h = lo.LovaszHinge(target)
        np.testing.assert_array_equal(h.envelope_and_gradient(logits, 1e-9)[1], h.subgradient(logits))


class TestDerivativeOfTheProx:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize("weighted", [False, True])
    def test_finite_differences_and_adjoint(self, seed, weighted):
        rng = np.random.default_rng(seed)
        shape = (2, 15)
        labels = rng.choice([0, 1, 9], size=shape, p=[0.5, 0.4, 0.1])
        logits = 2 * rng.normal(size=shape)
        weights = rng.uniform(0.5, 2, shape) if weighted else None
        metric = "weights" if weighted else None
        h = lo.LovaszHinge(labels, weights=weights, ignore=9)
        gamma, step = float(rng.uniform(2, 30)), 1e-6
        tangent, cotangent, slope = rng.normal(size=shape), rng.normal(size=shape), float(rng.normal())
        pushed = h.prox_jvp(logits, gamma, tangent, slope, metric=metric)
        ahead = h.prox(logits + step * tangent, gamma + step * slope, metric=metric)
        behind = h.prox(logits - step * tangent, gamma - step * slope, metric=metric)
        np.testing.assert_allclose(pushed, (ahead - behind) / (2 * step), atol=1e-7)
        pulled, gamma_gradient = h.prox_vjp(logits, gamma, cotangent, metric=metric)
        assert float((cotangent * pushed).sum()) == pytest.approx(
            float((pulled * tangent).sum()) + gamma_gradient * slope, rel=1e-12
        )

    def test_all_three_kinds_of_pixels(self):
        # Margins 3, 0.5 and −1 of foreground pixels, and a void pixel; the prox takes gamma/3 from each.
        h = lo.LovaszHinge([1, 1, 1, 255], ignore=255)
        logits, tangent = [-2.0, 0.5, 2.0, 5.0], np.array([1.0, 2.0, 3.0, 4.0])
        np.testing.assert_allclose(h.prox(logits, 3.0), [-1.0, 1.0, 2.0, 5.0])
        np.testing.assert_array_equal(h.prox_jvp(logits, 3.0, tangent), [1, 0, 3, 4])
        np.testing.assert_allclose(h.prox_jvp(logits, 3.0, tangent, 6.0), [1 + 6 / 3, 0, 3, 4])
        pulled, gamma_gradient = h.prox_vjp(logits, 3.0, tangent)
        np.testing.assert_array_equal(pulled, [1, 0, 3, 4])
        assert gamma_gradient == pytest.approx(1 / 3)

    def test_a_pool_moves_as_one_in_margins(self):
        # Margins 10 (background) and 11 (foreground): one pool, which shares the whole of Δ, 1.
        h = lo.LovaszHinge([0, 1])
        logits = [9.0, -10.0]
        np.testing.assert_allclose(h.prox(logits, 4.0), [7.5, -7.5])
        np.testing.assert_allclose(h.prox_jvp(logits, 4.0, [1.0, 0.0], 1.0), [0.5 - 0.5, -0.5 + 0.5])
        pulled, gamma_gradient = h.prox_vjp(logits, 4.0, [1.0, 0.0])
        np.testing.assert_allclose(pulled, [0.5, -0.5])
        assert gamma_gradient == pytest.approx(-0.5)


class TestArrays:
    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_batch_is_loop_bit_for_bit(self, monkeypatch, threads):
        monkeypatch.setattr("numba.threading_layer", lambda: "as if started")
        monkeypatch.setattr("numba.get_num_threads", lambda: threads)
        rng = np.random.default_rng(13)
        labels = rng.choice([0, 1, 255], size=(7, 60, 100), p=[0.6, 0.3, 0.1])
        labels[3] = 255
        labels[4] = 0
        for dtype in (np.float32, np.float64):
            logits = rng.normal(size=labels.shape).astype(dtype)
            h = lo.LovaszHinge(labels, ignore=255)
            alone = [lo.LovaszHinge(row.ravel(), ignore=255) for row in labels]
            rows = list(zip(alone, logits.reshape(7, -1), strict=True))
            np.testing.assert_array_equal(h.values(logits), [g.values(row)[0] for g, row in rows])
            gradient = np.stack([g.subgradient(row) for g, row in rows]) / dtype(7)
            np.testing.assert_array_equal(h.subgradient(logits).reshape(7, -1), gradient)
            moved = [g.prox(row, 40.0 / 7) for g, row in rows]
            np.testing.assert_array_equal(h.prox(logits, 40.0).reshape(7, -1), moved)
            pulled, _ = h.prox_vjp(logits, 40.0, logits)
            np.testing.assert_array_equal(
                pulled.reshape(7, -1), [g.prox_vjp(row, 40.0 / 7, row)[0] for g, row in rows]
            )

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_dtypes_come_back(self, dtype):
        rng = np.random.default_rng(14)
        target, logits = rng.random((2, 40)) < 0.4, rng.normal(size=(2, 40)).astype(dtype)
        h, wide = lo.LovaszHinge(target), logits.astype(np.float64)
        tolerance = 4 * float(np.finfo(dtype).eps)
        for narrow, exact in (
            (h.values(logits), h.values(wide)),
            (h.subgradient(logits), h.subgradient(wide)),
            (h.prox(logits, 3.0), h.prox(wide, 3.0)),
            (h.prox(logits, 3.0, "path"), h.prox(wide, 3.0, "path")),
            (h.envelope_and_gradient(logits, 3.0)[1], h.envelope_and_gradient(wide, 3.0)[1]),
            (h.prox_jvp(logits, 3.0, logits), h.prox_jvp(wide, 3.0, wide)),
            (h.prox_vjp(logits, 3.0, logits)[0], h.prox_vjp(wide, 3.0, wide)[0]),
            (lo.prox_lovasz_hinge(logits, target, 3.0), lo.prox_lovasz_hinge(wide, target, 3.0)),
        ):
            assert narrow.dtype == dtype
            np.testing.assert_allclose(narrow, exact, rtol=tolerance, atol=tolerance)

    def test_layouts_and_no_mutation(self):
        rng = np.random.default_rng(15)
        target = (rng.random((3, 4, 6)) < 0.5).astype(np.int16)
        logits = rng.normal(size=(3, 4, 6))
        weights = rng.uniform(1, 2, target.shape)
        h = lo.LovaszHinge(target, weights=weights)
        expected = h.value_and_subgradient(logits)
        moved = h.prox(logits, 2.0, metric="weights")
        padded = np.repeat(logits, 2, axis=2)
        for scores in (
            np.asfortranarray(logits),
            padded[:, :, ::2],
            logits[::-1][::-1],
            logits.astype(">f8"),
        ):
            scores.flags.writeable = False
            before = scores.copy()
            value, gradient = h.value_and_subgradient(scores)
            assert value == expected[0]
            np.testing.assert_array_equal(gradient, expected[1])
            np.testing.assert_array_equal(h.prox(scores, 2.0, metric="weights"), moved)
            np.testing.assert_array_equal(scores, before)
            assert gradient.dtype == np.float64
            assert not np.shares_memory(moved, scores)
        for labels in (
            target.astype(bool),
            target.astype(">i4"),
            np.asfortranarray(target),
            target.astype(float),
        ):
            assert lo.LovaszHinge(labels, weights=weights)(logits) == expected[0]

    def test_the_target_is_the_losss_own(self):
        target, weights = np.array([1, 0, 1], dtype=np.uint8), np.ones(3)
        h = lo.LovaszHinge(target, weights=weights)
        before = h([0.1, 0.2, 0.3])
        target[:], weights[:] = 0, 7
        assert h([0.1, 0.2, 0.3]) == before

    def test_integers_are_computed_in_float64(self):
        h = lo.LovaszHinge([1, 0])
        assert h.subgradient([0, 2]).dtype == np.float64
        np.testing.assert_array_equal(h.prox([-25, 11], 1.0), h.prox([-25.0, 11.0], 1.0))


class TestExtremes:
    @pytest.mark.parametrize("target", [[1], [0], [1, 1, 1], [0, 0, 0], [1, 0, 1]])
    @pytest.mark.parametrize("score", [0.0, -0.0, 5e-324, -5e-324, 1e-310, 1.0, -1.0, 1e300, -1e300])
    def test_all_equal_scores(self, target, score):
        logits = np.full(len(target), score)
        signs, values = signs_of(target), jaccard_values(target)
        h = lo.LovaszHinge(target)
        value, gradient = h.value_and_subgradient(logits)
        expected = brute.extension_over_vertices(values, 1 - signs * logits, polymatroid=True)
        assert value == pytest.approx(expected, rel=1e-14)
        assert brute.infeasibility(values, -signs * gradient, polymatroid=True) <= 1e-15
        for gamma in (1e-6, 1.0, 1e6):
            z = h.prox(logits, gamma)
            assert np.isfinite(z).all()
            envelope, gradient = h.envelope_and_gradient(logits, gamma)
            assert 0 <= envelope <= value
            assert brute.infeasibility(values, -signs * gradient, polymatroid=True) <= 1e-15
            assert np.isfinite(h.prox_jvp(logits, gamma, logits, 1.0)).all()
            if abs(score) <= 1:
                dual = signs * (z - logits) / gamma
                assert brute.infeasibility(values, dual, polymatroid=True) <= 1e-15 + 4e-16 / gamma

    def test_mixed_magnitudes(self):
        logits = np.array([-1e300, 1e300, 1e-320, -0.0, 1e300, -1e300])
        target = np.array([1, 0, 1, 0, 1, 0])
        value, gradient = lo.LovaszHinge(target).value_and_subgradient(logits)
        expected, greedy = naive_hinge(logits, target)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(-signs_of(target) * gradient, greedy, rtol=1e-14)
        z = lo.LovaszHinge(target).prox(logits, 1.0)
        np.testing.assert_array_equal(z[[0, 1, 4, 5]], logits[[0, 1, 4, 5]])
        assert np.isfinite(z).all()

    def test_ties_go_to_the_first_pixel(self):
        # Equal margins of background pixels: increments 1/2, 1/6 and 1/12 by position.
        gradient = lo.LovaszHinge([0, 0, 0, 1]).subgradient([2.0, 2.0, 2.0, 0.5])
        np.testing.assert_allclose(gradient, [1 / 2, 1 / 6, 1 / 12, -1 / 4], rtol=1e-15)
        many = np.zeros(5000, dtype=bool)
        many[-1] = True
        gradient = lo.LovaszHinge(many).subgradient(np.ones(5000))
        assert (np.diff(gradient[:-1]) < 0).all()


class TestMessages:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([0, 1, 2],), r"target holds 2, outside \{0, 1\}; binarise it, or pass ignore="),
            (([0, 1, 7], None, 255), r"target holds 7, outside \{0, 1\} and ignore=255"),
            (([0.5, 1],), "target holds 0.5"),
            (([],), r"target has shape \(0,\) and holds no pixel"),
            ((1,), r"target has shape \(\) and holds no pixel"),
            ((np.zeros((2, 0)),), r"target has shape \(2, 0\) and holds no pixel"),
            (([0, 1], [1.0]), r"weights has shape \(1,\), expected \(2,\)"),
            (([0, 1], [1.0, 0.0]), "weights holds 0.0; weights must be > 0"),
            (([0, 1], [1.0, math.nan]), r"weights\[1\] is nan"),
        ],
    )
    def test_construction(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            lo.LovaszHinge(*arguments)

    def test_types(self):
        with pytest.raises(TypeError, match="target must be boolean"):
            lo.LovaszHinge(["a", "b"])
        with pytest.raises(TypeError, match="ignore must be the label of void pixels"):
            lo.LovaszHinge([0, 1], ignore="void")
        with pytest.raises(TypeError, match="logits must hold real numbers"):
            lo.LovaszHinge([0, 1])([1j, 0])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda h: h([0.0, math.nan]), r"logits\[1\] is nan; logits must be finite"),
            (lambda h: h.subgradient([math.inf, 0.0]), r"logits\[0\] is inf"),
            (lambda h: h([0.0, 0.0, 0.0]), r"logits has shape \(3,\), expected \(2,\)"),
            (lambda h: h.prox([0.0, 0.0], 0.0), "gamma is 0.0; it must be finite and > 0"),
            (lambda h: h.prox([0.0, 0.0], -1.0), "gamma is -1.0"),
            (lambda h: h.prox([0.0, 0.0], math.nan), "gamma is nan"),
            (lambda h: h.envelope([0.0, 0.0], math.inf), "gamma is inf"),
            (lambda h: h.prox([0.0, 0.0], 1.0, "newton"), "method is 'newton'; choose one of exact, path"),
            (lambda h: h.prox([0.0, 0.0], 1.0, "path", max_steps=-1), "max_steps is -1"),
            (
                lambda h: h.prox([0.0, 0.0], 1.0, metric="weights"),
                "metric is 'weights', but the loss has none",
            ),
            (lambda h: h.prox([0.0, 0.0], 1.0, metric="euclid"), "metric is 'euclid'; pass 'weights'"),
            (lambda h: h.prox([0.0, 0.0], 1.0, metric=[1.0]), r"metric has shape \(1,\), expected \(2,\)"),
            (lambda h: h.prox_jvp([0.0, 0.0], 1.0, [1.0]), r"tangent has shape \(1,\)"),
            (lambda h: h.prox_vjp([0.0, 0.0], 1.0, [math.nan, 0]), r"cotangent\[0\] is nan"),
        ],
    )
    def test_calls(self, call, message):
        with pytest.raises(ValueError, match=message):
            call(lo.LovaszHinge([1, 0]))

    @pytest.mark.parametrize(
        "function",
        [
            lo.lovasz_hinge,
            losses.lovasz_hinge_and_gradient,
            lambda *a, **k: lo.prox_lovasz_hinge(*a, 1.0, **k),
            lambda *a, **k: lo.moreau_lovasz_hinge(*a, 1.0, **k),
            losses.cross_entropy,
            losses.hinge,
            losses.soft_jaccard,
        ],
    )
    def test_functions_name_their_own_arguments(self, function):
        with pytest.raises(ValueError, match="labels holds 3"):
            function([0.0, 1.0], [1, 3])
        with pytest.raises(ValueError, match=r"labels holds 3, outside \{0, 1\} and ignore=255"):
            function([0.0, 1.0], [255, 3], ignore=255)
        with pytest.raises(ValueError, match=r"labels has shape \(0,\) and holds no pixel"):
            function([], [])
        with pytest.raises(ValueError, match=r"logits has shape \(2,\), expected \(3,\)"):
            function([0.0, 1.0], [1, 0, 1])
        with pytest.raises(ValueError, match=r"logits\[0\] is nan"):
            function([math.nan, 1.0], [1, 0])
        assert "shape=(2,)" in repr(lo.LovaszHinge([1, 0]))


COMPARISONS = [
    (losses.cross_entropy, losses.cross_entropy_and_gradient),
    (losses.hinge, losses.hinge_and_gradient),
    (losses.soft_jaccard, losses.soft_jaccard_and_gradient),
]


class TestComparisons:
    @pytest.mark.parametrize(("value", "with_gradient"), COMPARISONS)
    @pytest.mark.parametrize("per_image", [True, False])
    def test_gradient_void_and_mean(self, value, with_gradient, per_image):
        rng = np.random.default_rng(16)
        labels = rng.choice([0, 1, 255], size=(3, 4, 5), p=[0.5, 0.3, 0.2])
        labels[1] = 255
        logits, direction = 2 * rng.normal(size=(2, 3, 4, 5))
        loss, gradient = with_gradient(logits, labels, per_image, 255)
        assert loss == value(logits, labels, per_image, 255)
        assert not gradient[labels == 255].any()
        ends = [value(logits + t * direction, labels, per_image, 255) for t in (1e-6, -1e-6)]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)
        kept = [(logits[b][labels[b] != 255], labels[b][labels[b] != 255]) for b in (0, 2)]
        if per_image:
            assert loss == pytest.approx(sum(value(*image) for image in kept) / 3, rel=1e-14)
        else:
            both = [np.concatenate(part) for part in zip(*kept, strict=True)]
            assert loss == pytest.approx(value(*both), rel=1e-14)

    def test_definitions(self):
        rng = np.random.default_rng(17)
        logits, target = rng.normal(size=20), rng.random(20) < 0.5
        probas = 1 / (1 + np.exp(-logits))
        expected = -np.mean(np.where(target, np.log(probas), np.log(1 - probas)))
        assert losses.cross_entropy(logits, target) == pytest.approx(expected, rel=1e-14)
        expected = np.mean(np.maximum(0, 1 - signs_of(target) * logits))
        assert losses.hinge(logits, target) == pytest.approx(expected, rel=1e-14)
        expected = 1 - (probas * target).sum() / (probas + target - probas * target).sum()
        assert losses.soft_jaccard(logits, target) == pytest.approx(expected, rel=1e-14)

    @pytest.mark.parametrize(("value", "with_gradient"), COMPARISONS)
    def test_stable_at_the_ends(self, value, with_gradient):
        for scale in (40.0, 800.0, 1e300):
            right, wrong = [scale, -scale], [-scale, scale]
            assert 0 <= value(right, [1, 0]) < 1e-16
            assert value(wrong, [1, 0]) == pytest.approx(
                1.0 if value is losses.soft_jaccard else scale, rel=0.1
            )
            for logits in (right, wrong):
                assert np.isfinite(with_gradient(logits, [1, 0])[1]).all()
        assert value([-1.0, 2.0], [255, 255], ignore=255) == 0.0
        assert losses.soft_jaccard([-1e5, -1e5], [0, 0]) == 0.0
        assert losses.soft_jaccard([-1.0, 0.0], [0, 0]) == 1.0

    def test_small_losses_keep_their_digits(self):
        # 1 − intersection / union would round to 0 here.
        assert losses.soft_jaccard([40.0, -40.0], [1, 0]) == pytest.approx(2 * math.exp(-40), rel=1e-12)
        assert losses.cross_entropy([40.0], [1]) == pytest.approx(math.exp(-40), rel=1e-12)

    @pytest.mark.parametrize("per_image", [True, False])
    def test_class_cross_entropy(self, per_image):
        rng = np.random.default_rng(18)
        labels = rng.choice([0, 1, 2, 255], size=(2, 3, 5))
        logits, direction = rng.normal(size=(2, 2, 3, 3, 5))
        loss, gradient = losses.cross_entropy_and_gradient(logits, labels, per_image, 255)
        assert gradient.shape == logits.shape
        powers = np.exp(logits)
        each = -np.log(
            np.take_along_axis(powers / powers.sum(1, keepdims=True), (labels % 255)[:, None], axis=1)[:, 0]
        )
        images = [each[b][labels[b] != 255] for b in range(2)]
        expected = np.mean([image.mean() for image in images]) if per_image else np.concatenate(images).mean()
        assert loss == pytest.approx(expected, rel=1e-14)
        ends = [losses.cross_entropy(logits + t * direction, labels, per_image, 255) for t in (1e-6, -1e-6)]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)

    def test_two_classes_are_the_binary_loss_of_the_difference(self):
        rng = np.random.default_rng(19)
        logits, labels = 3 * rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
        loss, gradient = losses.cross_entropy_and_gradient(logits, labels)
        binary, slope = losses.cross_entropy_and_gradient(logits[:, 1] - logits[:, 0], labels)
        assert loss == pytest.approx(binary, rel=1e-14)
        np.testing.assert_allclose(gradient, np.stack([-slope, slope], axis=1), atol=1e-16)
        assert losses.cross_entropy([[1e300, -1e300]], [1]) == pytest.approx(2e300)

    def test_class_cross_entropy_messages(self):
        with pytest.raises(ValueError, match=r"labels holds 3, outside \{0, …, 2\}"):
            losses.cross_entropy(np.zeros((2, 3)), [0, 3])
        with pytest.raises(ValueError, match=r"labels has shape \(3,\), expected \(2,\)"):
            losses.cross_entropy(np.zeros((2, 3)), [0, 1, 2])

    @pytest.mark.parametrize(("value", "with_gradient"), COMPARISONS)
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_dtypes_come_back(self, value, with_gradient, dtype):
        logits = np.array([0.5, -1.0, 2.0], dtype=dtype)
        gradient = with_gradient(logits, [1, 0, 0])[1]
        assert gradient.dtype == dtype
        tolerance = 2 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(
            gradient, with_gradient(logits.astype(float), [1, 0, 0])[1], rtol=tolerance, atol=tolerance
        )
