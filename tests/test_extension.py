"""The Lovász extension and its prox: properties that hold for every submodular set function."""

import itertools
import math
import warnings

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lovasz_opt as lo
from lovasz_opt import extension
from lovasz_opt._solution import ProxSolution
from lovasz_opt.path import pav_in_order, prox_path

INTEGERS = st.integers(-6, 6).map(float)
REALS = st.floats(-10, 10, allow_subnormal=True)
GAMMAS = st.one_of(st.integers(1, 30).map(float), st.floats(-6, 6).map(lambda e: 10.0**e))


@st.composite
def problems(draw, max_size=40):
    """A target, scores (often tied) and a step."""
    p = draw(st.integers(1, max_size))
    target = np.array(draw(st.lists(st.booleans(), min_size=p, max_size=p)))
    entries = draw(st.sampled_from([INTEGERS, REALS]))
    x = np.array(draw(st.lists(entries, min_size=p, max_size=p)))
    return target, x, draw(GAMMAS)


def scale_of(x, gamma):
    return max(1.0, float(np.abs(x).max()), gamma)


@given(problems())
def test_prox_is_certified(problem):
    target, x, gamma = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    certificate = lo.verify_prox(f, x, gamma, f.prox(x, gamma))
    scale = scale_of(x, gamma)
    assert certificate.gap <= 1e-13 * scale**2
    assert certificate.infeasibility <= 1e-13
    assert certificate.distance_bound <= 1e-6 * scale


@given(problems(max_size=12), st.data())
def test_prox_is_firmly_nonexpansive(problem, data):
    target, x, gamma = problem
    y = np.array(data.draw(st.lists(REALS, min_size=len(x), max_size=len(x))))
    f = lo.LovaszExtension(lo.Jaccard(target))
    zx, zy = f.prox(x, gamma), f.prox(y, gamma)
    slack = 1e-12 * scale_of(np.concatenate([x, y]), gamma) ** 2
    assert (zx - zy) @ (zx - zy) <= (zx - zy) @ (x - y) + slack


@given(problems())
def test_moreau_identity(problem):
    target, x, gamma = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    np.testing.assert_allclose(
        f.prox(x, gamma) + gamma * f.project(x / gamma), x, rtol=0, atol=1e-13 * scale_of(x, gamma)
    )


@given(problems())
def test_residual_is_a_subgradient_at_the_prox(problem):
    target, x, gamma = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    _, w = f.envelope_and_gradient(x, gamma)
    certificate = lo.verify_subgradient(f, f.prox(x, gamma), w)
    assert certificate.infeasibility <= 1e-13
    assert abs(certificate.gap) <= 1e-12 * scale_of(x, gamma)


@given(problems(max_size=10), st.randoms())
def test_permutation_inside_a_class(problem, random):
    target, x, gamma = problem
    order = np.arange(len(x))
    for members in (np.flatnonzero(target), np.flatnonzero(~target)):
        shuffled = list(members)
        random.shuffle(shuffled)
        order[members] = shuffled
    f = lo.LovaszExtension(lo.Jaccard(target))
    np.testing.assert_array_equal(f.prox(x[order], gamma), f.prox(x, gamma)[order])


@given(problems())
def test_order_is_kept_inside_a_class(problem):
    target, x, gamma = problem
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    for members in (target, ~target):
        assert (np.diff(z[members][np.argsort(x[members], kind="stable")]) >= 0).all()


@given(problems())
def test_no_foreground_pixel_overtakes_a_background_one(problem):
    # `background_keeps_lead` in proofs/coq/class_order.v; the other way round it happens.
    target, x, gamma = problem
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    ahead = x[~target][:, None] >= x[target]
    lead = z[~target][:, None] - z[target]
    assert (lead[ahead] >= -1e-12 * scale_of(x, gamma)).all()


@given(problems(), st.integers(-100, 100))
def test_prox_commutes_with_constants(problem, constant):
    target, x, gamma = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    shifted = f.prox(x + constant, gamma) - constant
    np.testing.assert_allclose(
        shifted, f.prox(x, gamma), rtol=0, atol=1e-12 * (scale_of(x, gamma) + abs(constant))
    )


@given(problems(), st.integers(-20, 20))
def test_positive_homogeneity_by_powers_of_two_is_exact(problem, exponent):
    target, x, gamma = problem
    x = np.where(np.abs(x) < 1e-200, 0.0, x)
    f = lo.LovaszExtension(lo.Jaccard(target))
    factor = 2.0**exponent
    np.testing.assert_array_equal(f.prox(factor * x, factor * gamma), factor * f.prox(x, gamma))
    assert f(factor * x) == factor * f(x)


@given(problems(max_size=6))
def test_greedy_vector_is_the_best_vertex(problem):
    target, x, _ = problem
    F = lo.Jaccard(target)
    f = lo.LovaszExtension(F)
    values = []
    for order in itertools.permutations(range(len(x))):
        vertex = np.empty(len(x))
        vertex[list(order)] = F.increments(np.array(order))
        values.append(vertex @ x)
    assert f(x) == pytest.approx(max(values), abs=1e-12)
    assert f.subgradient(x) @ x == pytest.approx(max(values), abs=1e-12)


@given(problems())
def test_limits_of_gamma(problem):
    target, x, _ = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    np.testing.assert_allclose(f.prox(x, 1e-14), x, rtol=0, atol=1e-13)
    # As gamma grows, the prox has the order of a point of least value: x − z → gamma·(min-norm point) + O(1).
    w = (x - f.prox(x, 1e9)) / 1e9
    np.testing.assert_allclose(w, f.project(np.zeros(len(x))), rtol=0, atol=1e-7)


@given(problems())
def test_value_is_the_level_set_integral(problem):
    target, x, _ = problem
    F = lo.Jaccard(target)
    levels = np.unique(x)[::-1]
    total = sum((high - low) * F(x >= high) for high, low in itertools.pairwise(levels)) + levels[-1] * F(
        np.ones(len(x), bool)
    )
    assert lo.LovaszExtension(F)(x) == pytest.approx(total, abs=1e-12)


@given(problems(max_size=15))
@settings(max_examples=200)
def test_derivative_against_finite_differences(problem):
    target, x, gamma = problem
    rng = np.random.default_rng(len(x))
    x = x + 1e-3 * rng.standard_normal(len(x))  # off the kinks, almost surely
    f = lo.LovaszExtension(lo.Jaccard(target))
    direction, gamma_direction = rng.standard_normal(len(x)), float(rng.standard_normal()) * gamma
    h = 1e-9
    ahead = f.prox_solution(x + h * direction, gamma + h * gamma_direction)
    behind = f.prox_solution(x - h * direction, gamma - h * gamma_direction)
    here = f.prox_solution(x, gamma)
    if not (np.array_equal(ahead.pools, here.pools) and np.array_equal(behind.pools, here.pools)):
        return  # a kink after all: the two sides have different derivatives
    jvp = f.prox_jvp(x, gamma, direction, gamma_direction)
    scale = scale_of(x, gamma)
    np.testing.assert_allclose((ahead.z - behind.z) / (2 * h), jvp, rtol=1e-5, atol=1e-6 * scale)


@given(problems())
def test_jvp_and_vjp_are_adjoint(problem):
    target, x, gamma = problem
    f = lo.LovaszExtension(lo.Jaccard(target))
    rng = np.random.default_rng(len(x))
    tangent, gamma_tangent, cotangent = (
        rng.standard_normal(len(x)),
        rng.standard_normal(),
        rng.standard_normal(len(x)),
    )
    x_gradient, gamma_gradient = f.prox_vjp(x, gamma, cotangent)
    left = cotangent @ f.prox_jvp(x, gamma, tangent, gamma_tangent)
    assert left == pytest.approx(x_gradient @ tangent + gamma_gradient * gamma_tangent, abs=1e-10)


def test_weighted_derivative_in_the_metric_of_the_weights():
    rng = np.random.default_rng(3)
    target, weights = rng.random(9) < 0.4, rng.uniform(0.5, 2, 9)
    f = lo.LovaszExtension(lo.Jaccard(target, weights))
    x, direction = rng.standard_normal(9), rng.standard_normal(9)
    h = 1e-7
    for metric in ("weights", None):
        difference = (
            f.prox(x + h * direction, 4.0 + h, metric=metric)
            - f.prox(x - h * direction, 4.0 - h, metric=metric)
        ) / (2 * h)
        np.testing.assert_allclose(f.prox_jvp(x, 4.0, direction, 1.0, metric=metric), difference, atol=1e-6)
        gradient, gamma_gradient = f.prox_vjp(x, 4.0, direction, metric=metric)
        assert gradient @ direction + gamma_gradient == pytest.approx(
            direction @ f.prox_jvp(x, 4.0, direction, 1.0, metric=metric)
        )


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(4)
    target, x = rng.random(50) < 0.4, rng.standard_normal(50)
    plain = lo.LovaszExtension(lo.Jaccard(target)).prox(x, 7.0)
    weighted = lo.LovaszExtension(lo.Jaccard(target, np.full(50, 3.0)))
    np.testing.assert_allclose(weighted.prox(x, 7.0), plain, atol=1e-13)
    np.testing.assert_allclose(weighted.prox(x, 21.0, metric="weights"), plain, atol=1e-13)


def test_integer_weights_repeat_pixels():
    rng = np.random.default_rng(5)
    target, x, repeats = rng.random(30) < 0.4, rng.standard_normal(30), rng.integers(1, 5, 30)
    weighted = lo.LovaszExtension(lo.Jaccard(target, repeats.astype(float)))
    repeated = lo.LovaszExtension(lo.Jaccard(np.repeat(target, repeats)))
    for gamma in (0.1, 3.0, 30.0, 1e4):
        np.testing.assert_allclose(
            np.repeat(weighted.prox(x, gamma, metric="weights"), repeats),
            repeated.prox(np.repeat(x, repeats), gamma),
            atol=1e-12 * max(1.0, gamma),
        )


def test_batch_equals_loop_bit_for_bit_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(300) < 0.3))
    x = rng.standard_normal((3, 4, 300))
    loop = np.array([[f.prox(row, 5.0) for row in rows] for rows in x])
    threads = numba.get_num_threads()
    try:
        for count in range(1, threads + 1):
            numba.set_num_threads(count)
            np.testing.assert_array_equal(f.prox(x, 5.0), loop)
            np.testing.assert_array_equal(f(x), [[f(row) for row in rows] for rows in x])
    finally:
        numba.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_kept(dtype):
    rng = np.random.default_rng(0)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(50) < 0.3))
    x = rng.standard_normal(50).astype(dtype)
    for result in (
        f.prox(x, 2.0),
        f.subgradient(x),
        f.project(x),
        f.prox_jvp(x, 2.0, x),
        f.prox_vjp(x, 2.0, x)[0],
    ):
        assert result.dtype == dtype
    np.testing.assert_allclose(
        f.prox(x, 2.0), f.prox(x.astype(np.float64), 2.0), atol=np.finfo(dtype).eps * 4
    )


def test_layouts_and_inputs_that_must_not_change():
    rng = np.random.default_rng(0)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(60) < 0.3))
    x = rng.standard_normal((5, 60))
    expected = f.prox(x, 3.0)
    wide = np.zeros((5, 120))
    wide[:, ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for variant in (
        wide[:, ::2],
        np.asfortranarray(x),
        read_only,
        x.astype(">f8"),
        x.tolist(),
        x[::-1][::-1],
    ):
        before = np.array(variant)
        np.testing.assert_array_equal(f.prox(variant, 3.0), expected)
        np.testing.assert_array_equal(np.asarray(variant), before)
    assert f.prox(x.astype(">f8"), 3.0).dtype == np.float64


def test_results_never_alias_the_input():
    f = lo.LovaszExtension(lo.Jaccard([False, False]))
    x = np.array([1.0, 0.0])
    z = f.prox(x, 1e-300)
    z[:] = 7.0
    np.testing.assert_array_equal(x, [1.0, 0.0])


@pytest.mark.parametrize("target", [[1], [0], [1, 1, 1], [0, 0, 0], [1, 0, 1, 0]])
@pytest.mark.parametrize("entries", [0.0, -0.0, 5e-324, 1e300, -1e300, 1.0])
def test_ties_and_extreme_values(target, entries):
    f = lo.LovaszExtension(lo.Jaccard(target))
    x = np.full(len(target), entries)
    for gamma in (5e-324, 1e-6, 1.0, 1e300):
        z = f.prox(x, gamma)
        assert np.isfinite(z).all()
        w = x / gamma if abs(entries) < 1e-300 and gamma > 1e-300 else None
        # All entries equal: the prox moves them by gamma times the min-norm point.
        np.testing.assert_allclose(z, x - gamma * f.project(np.zeros(len(x))), rtol=1e-14, atol=1e-323)
        del w


def test_the_smallest_subnormals_are_exact():
    u = 5e-324
    f = lo.LovaszExtension(lo.Jaccard([0, 0]))
    np.testing.assert_array_equal(f.prox([-9 * u, -4 * u], u), [-9 * u, -5 * u])
    g = lo.LovaszExtension(lo.Jaccard([1, 0]))
    np.testing.assert_array_equal(g.prox([3 * u, 8 * u], 2 * u), [2 * u, 7 * u])


def test_the_largest_floats_do_not_overflow():
    top = 1.7e308
    f = lo.LovaszExtension(lo.Jaccard([0, 0, 0, 1]))
    x = np.array([top, top, top, -top])
    np.testing.assert_array_equal(f.prox(x, 1e307), 2**60 * f.prox(x / 2**60, 1e307 / 2**60))
    tiny = lo.LovaszExtension(lo.Jaccard([1, 0, 1, 0, 1, 0, 0]))
    x = np.array([1e300, 1.25, 1, 1.1, -1e300, 5e-324, -top])
    np.testing.assert_allclose(tiny.prox(x, 1e-310), x, rtol=1e-15, atol=1e-310)


def test_a_step_that_underflows_moves_nothing():
    f = lo.LovaszExtension(lo.Jaccard([1, 1, 1, 0, 0, 0]))
    x = np.array([1.1, 0.0, 0.5, 1.1, 0.0, 5e-324])
    np.testing.assert_array_equal(f.prox(x, 5e-324), x)


def test_scales_do_not_mix():
    """Small entries keep their digits next to huge ones that never share a pool with them."""
    rng = np.random.default_rng(0)
    small_target, small = rng.random(30) < 0.5, rng.standard_normal(30)
    huge = np.array([1e300, 3e299, 1e200, 3e199, 1e100])
    for background in (True, False):
        target = np.concatenate([np.full(5, not background), small_target])
        x = np.concatenate([huge, small])
        z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, 12.0)
        # Far above means joined already: what remains is the loss contracted by those five pixels.
        joined = lo.Jaccard(target)
        P, b = joined.P, 5 * background
        rest = lo.CountFunction(lambda a, c, P=P, b=b: (5 + a + c) / (P + b + c) - 5 / (P + b), small_target)
        expected = lo.LovaszExtension(rest).prox(small, 12.0)
        assert len(np.unique(expected)) < 30
        np.testing.assert_allclose(z[5:], expected, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(z[:5], huge)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_pool_values_keep_their_digits_among_many_pixels(share):
    p = 300_000
    rng = np.random.default_rng(1)
    target, x = rng.random(p) < share, 1.0 + rng.random(p)
    f = lo.LovaszExtension(lo.Jaccard(target))
    solution = f.prox_solution(x, p / 50)
    increments = f._pool_increments(solution.pools)
    sizes = np.bincount(solution.pools)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(solution.pools, kind="stable")
    # Labels run in decreasing order of the value.
    assert (np.diff(solution.z[order]) <= 0).all()
    large = np.flatnonzero(sizes > 1)
    assert len(large) > 20
    for pool in large:
        members = order[starts[pool] : starts[pool + 1]]
        value = math.fsum([*x[members], -p / 50 * increments[pool]]) / len(members)
        assert abs(solution.z[members[0]] - value) <= 4 * np.spacing(2.0)


@pytest.mark.parametrize("shape", [(12,), (1, 12), (2, 3, 12)])
def test_envelope_and_gradient_from_the_prox(shape):
    rng = np.random.default_rng(6)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(12) < 0.4))
    x, gamma = rng.standard_normal(shape), 3.0
    z = f.prox(x, gamma)
    values, gradients = f.envelope_and_gradient(x, gamma)
    assert np.shape(values) == shape[:-1]
    np.testing.assert_allclose(values, ((z - x) ** 2).sum(axis=-1) / (2 * gamma) + f(z), rtol=1e-13)
    np.testing.assert_allclose(gradients, (x - z) / gamma, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(f.envelope(x, gamma), values)
    single = f.envelope_and_gradient(x.astype(np.float32), gamma)[1]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, gradients, rtol=0, atol=1e-6)


def test_a_gradient_keeps_its_digits_next_to_a_large_constant():
    rng = np.random.default_rng(8)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(40) < 0.4))
    x, gamma = rng.integers(-40, 40, 40) / 8, 256.0
    # Exact, but x − z would keep no digit after the second.
    shifted = x + 2.0**44
    np.testing.assert_array_equal(shifted - 2.0**44, x)
    pools = f.prox_solution(shifted, gamma).pools
    assert 1 < pools.max() + 1 < 20
    _, expected = f.envelope_and_gradient(x, gamma)
    _, gradient = f.envelope_and_gradient(shifted, gamma)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(12,), (1, 12), (2, 3, 12)])
def test_value_and_subgradient_are_those_of_the_rows(shape, dtype):
    rng = np.random.default_rng(7)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(12) < 0.4))
    x = rng.standard_normal(shape).astype(dtype)
    values, vectors = f.value_and_subgradient(x)
    assert vectors.dtype == dtype
    np.testing.assert_array_equal(values, f(x))
    np.testing.assert_array_equal(vectors, f.subgradient(x))
    assert isinstance(values, float) == (len(shape) == 1)


def test_conjugate_is_zero_up_to_the_tolerance():
    f = lo.LovaszExtension(lo.Jaccard([1, 1, 0]))
    w = [0.5, 0.5, 0.25]  # w(V) is 1/4 too large, and so is no smaller set
    assert f.infeasibility(w) == 0.25
    assert f.conjugate(w, tol=0.25) == 0.0
    assert f.conjugate(w, tol=0.249) == f.conjugate(w) == np.inf
    for excess, value in ((0.9e-9, 0.0), (1.1e-9, np.inf)):
        assert f.conjugate([0.5, 0.5, excess]) == value


def test_the_other_methods_walk_and_pool_along_the_greedy_vector():
    rng = np.random.default_rng(0)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(200) < 0.5))
    x = 1 + 3 * rng.random((2, 200))
    walks = []
    for options in ({}, {"max_steps": 20, "slip": True}, {"max_steps": 21}, {"slip": False}):
        walk = f.prox(x, 50.0, method="path", **options)
        for row, z in zip(x, walk, strict=True):
            np.testing.assert_array_equal(z, prox_path(row, f.greedy(row), 50.0, **options))
        walks.append(walk)
    np.testing.assert_array_equal(walks[0], walks[1])
    assert (walks[0] != walks[2]).any()
    # With a single active entry the slip shows.
    few, alone = lo.LovaszExtension(lo.Jaccard([1, 1, 1])), [0.632, -0.225, -0.808]
    for slip in (True, False):
        expected = prox_path(alone, few.greedy(alone), 5.0, slip=slip)
        np.testing.assert_array_equal(few.prox(alone, 5.0, method="path", slip=slip), expected)
    assert few.prox(alone, 5.0, method="path")[1] != few.prox(alone, 5.0, method="path", slip=False)[1]
    for row, z in zip(x, f.prox(x, 50.0, method="pav-in-order"), strict=True):
        np.testing.assert_array_equal(z, pav_in_order(row, f.greedy(row), 50.0))


def test_tangents_are_in_x_alone_by_default():
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    x, tangent = [26.0, 12.0, 13.0], [1.0, 2.0, 4.0]
    # At [20, 10, 9] every pixel is alone, in the order 0, 1, 2: the prox is x − gamma·(1/2, 1/6, 1/3).
    assert f.prox_jvp(x, 12.0, tangent).tolist() == tangent
    np.testing.assert_allclose(f.prox_jvp(x, 12.0, tangent, 6.0), [-2, 1, 2], rtol=1e-15)
    gradient, gamma_gradient = f.prox_vjp(x, 12.0, tangent)
    assert gradient.tolist() == tangent
    assert gamma_gradient == pytest.approx(-(1 / 2 + 2 / 6 + 4 / 3))


#: Beyond 16 elements a general set function has no exact prox. The entries after the first few are 0.
TOTAL_VARIATION = lo.LovaszExtension(lo.Cut(np.eye(17, k=1) + np.eye(17, k=-1)))


def padded(*entries, by=0.0):
    return np.array([*entries, *[by] * (17 - len(entries))])


@pytest.mark.parametrize("metric", [None, padded(1.0, 2.0, 4.0, by=1.0)])
def test_accuracy_that_iterative_proxes_are_asked_for(monkeypatch, metric):
    asked = []

    def recorded(*arguments, tol):
        asked.append(tol)
        return min_norm(*arguments, tol=tol)

    min_norm = extension.prox_min_norm
    monkeypatch.setattr(extension, "prox_min_norm", recorded)
    f, x = TOTAL_VARIATION, padded(3.0, 1.0, -2.0)
    f.prox(x, 1.0, metric=metric)
    f.prox(x, 1.0, metric=metric, start=x)
    f.prox_solution(x, 1.0, metric=metric)
    f.prox_jvp(x, 1.0, x, metric=metric)
    f.prox_vjp(x, 1.0, x, metric=metric)
    f.project(x)
    f.envelope(x, 1.0)
    assert asked == [1e-10] * 7
    lo.verify_prox(f, x, 1.0, x, metric=metric)
    assert asked[7:] == [1e-12]
    f.prox(x, 1.0, metric=metric, tol=1e-3)
    f.prox(x, 1.0, metric=metric, tol=1e-4, start=x)
    f.prox_solution(x, 1.0, metric=metric, tol=1e-5)
    f.project(x, tol=1e-6)
    assert asked[8:] == [1e-3, 1e-4, 1e-5, 1e-6]


@pytest.mark.parametrize(
    ("weighted", "gamma", "scale"),
    # ½ Σ metric_i (z_i − x_i)², and no less than gamma.
    [(False, 1.0, 2.625), (True, 1.0, 3.5), (False, 7.0, 7.0), (True, 2.625, 3.5)],
)
def test_warning_where_the_gap_is_above_the_tolerance(monkeypatch, weighted, gamma, scale):
    f, x, z, gaps = TOTAL_VARIATION, padded(3.0, -1.0, 0.0), padded(1.0, -2.0, 0.5), []
    metric = padded(1.0, 2.0, 4.0, by=1.0) if weighted else None
    monkeypatch.setattr(
        extension, "prox_min_norm", lambda *_, tol: ProxSolution(z, np.arange(17), False, gaps[-1], 7)
    )
    gaps.append(0.5 * scale)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(f.prox(x, gamma, metric=metric, tol=0.5), z)
    gaps.append(math.nextafter(0.5 * scale, math.inf))
    message = rf"gap {gaps[-1]:.3g} after 7 iterations is above tol = 0.5 times the problem's scale"
    for prox in (
        lambda: f.prox(x, gamma, metric=metric, tol=0.5),
        lambda: f.prox([x, x], gamma, metric=metric, tol=0.5),
        lambda: f.prox(x, gamma, metric=metric, tol=0.5, start=x),
        lambda: f.prox_solution(x, gamma, metric=metric, tol=0.5),
    ):
        # It shows the line of the user, which is that of the lambda.
        with pytest.warns(lo.ProxAccuracyWarning, match=message) as caught:
            prox()
        line = (__file__, prox.__code__.co_firstlineno)
        assert {(warning.filename, warning.lineno) for warning in caught} == {line}


def test_bad_input():
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    x = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"x\[1\] is nan; x must be finite"):
        f.prox([1.0, np.nan, 2.0], 1.0)
    with pytest.raises(ValueError, match=r"x\[2\] is inf"):
        f([1.0, 0.0, np.inf])
    for gamma in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"gamma is .*; it must be finite and > 0"):
            f.prox(x, gamma)
    with pytest.raises(TypeError, match="gamma must be a positive number, got 'big'"):
        f.prox(x, "big")
    with pytest.raises(ValueError, match=r"x has shape \(2,\), expected \(..., 3\)"):
        f.prox([1.0, 2.0], 1.0)
    with pytest.raises(ValueError, match=r"x has shape \(\)"):
        f(1.0)
    with pytest.raises(ValueError, match="method is 'fast'; choose one of exact, path, pav-in-order"):
        f.prox(x, 1.0, method="fast")
    with pytest.raises(ValueError, match="metric is only for method='exact'"):
        f.prox(x, 1.0, method="path", metric="weights")
    with pytest.raises(ValueError, match=r"metric is 'weights', but .* has no pixel weights"):
        f.prox(x, 1.0, metric="weights")
    with pytest.raises(ValueError, match="metric is 'mass'"):
        f.prox(x, 1.0, metric="mass")
    with pytest.raises(ValueError, match=r"metric holds -1.0; weights must be > 0"):
        f.prox(x, 1.0, metric=[1.0, -1.0, 1.0])
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype complex128"):
        f.prox(np.array(x) + 1j, 1.0)
    with pytest.raises(TypeError, match="F must be a SetFunction, got list"):
        lo.LovaszExtension([1, 0])
    with pytest.raises(ValueError, match=r"tangent has shape \(2,\)"):
        f.prox_jvp(x, 1.0, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"cotangent\[0\] is nan"):
        f.prox_vjp(x, 1.0, [np.nan, 2.0, 1.0])


def test_a_non_submodular_function_has_a_value_and_nothing_convex():
    f = lo.LovaszExtension(lo.Dice([1, 1, 1, 0]))
    x = [3.0, 2.0, 1.0, 0.5]
    assert f(x) == pytest.approx(f.greedy(x) @ x)
    assert not f.is_convex
    for method in (f.subgradient, f.value_and_subgradient, f.project, f.conjugate, f.infeasibility):
        with pytest.raises(ValueError, match=r"is not submodular.*A = \{.*\} and B = \{"):
            method(x)
    for method in (f.prox, f.envelope):
        with pytest.raises(ValueError, match=r"is not submodular.*A = \{.*\} and B = \{"):
            method(x, 1.0)
    for method in ("path", "pav-in-order", "exact"):
        with pytest.raises(ValueError, match="is not submodular"):
            f.prox(x, 1.0, method=method, start=x)


def test_a_set_function_is_not_asked_for_the_prox_where_there_is_none(monkeypatch):
    def prox(*_):
        raise AssertionError("asked")

    F = lo.Cardinality([0, 1, 1, 1.5])
    monkeypatch.setattr(lo.Cardinality, "_prox", prox)
    f, x = lo.LovaszExtension(F), [3.0, 2.0, 1.0]
    for call in (
        lambda: f.prox(x, 1.0),
        lambda: f.prox(x, 1.0, start=x),
        lambda: f.prox_solution(x, 1.0),
        lambda: f.prox_jvp(x, 1.0, x),
        lambda: f.project(x),
    ):
        with pytest.raises(ValueError, match="is not submodular"):
            call()


@pytest.mark.parametrize("target", [[0, 0, 0], [1, 0, 0], [0, 1, 1]])
@pytest.mark.parametrize("gamma", [1e-15, 1e-13, 1e-9])
def test_steps_of_a_few_ulp_against_exact_fractions(target, gamma):
    # What is left out before sorting must not depend on how small a step is beside the scores.
    x = [1.0, 0.0, 0.5]
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    exact = [float(value) for value in lo.prox_exact(target, x, gamma)]
    np.testing.assert_allclose(z, exact, rtol=0, atol=2.3e-16)
