"""The package's prox against brute force, exact fractions and the convex solver."""

from fractions import Fraction

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import reference as ref
from lovasz_opt.verify import COUNTEREXAMPLES, Problem, random_problem

ROUNDING = 1e-14  # of the scale, the largest input: some tens of roundings, most of them the reference's own
ULP = 4  # measured: below 2 ulp of the largest input in 10^4 problems of up to 60 pixels
SOLVER = 5e-6  # of the scale: errors of an interior-point method in z are of the order √(its gap)


def stacked(problems):
    """Problems grouped by their number of pixels: with values on all sets, x and gamma as arrays."""
    for n in sorted({len(p.x) for p in problems}):
        group = [p for p in problems if len(p.x) == n]
        values = np.stack([ref.set_values(lo.Jaccard(p.target)) for p in group])
        yield group, values, np.stack([p.x for p in group]), np.array([p.gamma for p in group])


def test_two_thousand_problems_against_all_sets():
    rng = np.random.default_rng(0)
    problems = [random_problem(rng) for _ in range(2400)]
    assert {len(p.x) for p in problems} == set(range(1, 11))
    assert sum(not p.target.any() for p in problems) > 100
    assert sum(bool(p.target.all()) for p in problems) > 100
    assert sum(len(set(p.x.tolist())) < len(p.x) for p in problems) > 500
    assert min(p.gamma for p in problems) < 1e-5
    assert max(p.gamma for p in problems) > 1e5
    for group, values, x, gamma in stacked(problems):
        scale = np.array([p.scale for p in group])
        z = np.stack([lo.LovaszExtension(lo.Jaccard(p.target)).prox(p.x, p.gamma) for p in group])
        assert (np.abs(z - ref.prox(values, x, gamma)) <= ROUNDING * scale[:, None]).all()
        gap, violation = ref.prox_gap(values, x, gamma, z)
        assert (np.abs(gap) <= ROUNDING * scale**2).all()
        assert (gamma * violation <= ROUNDING * scale).all()


def test_hinge_against_the_polymatroid():
    rng = np.random.default_rng(1)
    for group, values, x, gamma in stacked([random_problem(rng) for _ in range(1000)]):
        signs = 2.0 * np.stack([p.target for p in group]) - 1
        scale = np.maximum(1.0, [p.scale for p in group])
        z = np.stack([lo.LovaszHinge(p.target).prox(p.x, p.gamma) for p in group])
        gap, violation = ref.prox_gap(values, 1 - signs * x, gamma, 1 - signs * z, polymatroid=True)
        assert (np.abs(gap) <= ROUNDING * scale**2).all()
        assert (gamma * violation <= ROUNDING * scale).all()


def test_hinge_against_least_squares_and_the_convex_solver():
    rng = np.random.default_rng(2)
    for _ in range(24):
        target, x, gamma = problem = random_problem(rng, (1, 5))
        F, signs, scale = lo.Jaccard(target), 2.0 * target - 1, max(1.0, problem.scale)
        margins = 1 - signs * lo.LovaszHinge(target).prox(x, gamma)
        corners = ref.vertices(ref.set_values(F), polymatroid=True)
        projected = (1 - signs * x) - gamma * ref.project(corners, (1 - signs * x) / gamma)
        np.testing.assert_allclose(margins, projected, rtol=0, atol=1e-7 * scale)
        convex = ref.prox_all_sets(F, 1 - signs * x, gamma, hinge=True).x
        np.testing.assert_allclose(margins, convex, rtol=0, atol=SOLVER * max(scale, gamma))


@pytest.mark.parametrize("form", ["all sets", "counts", "cuts"])
def test_jaccard_against_the_convex_solver(form):
    rng = np.random.default_rng(3)
    for _ in range(24):
        target, x, gamma = random_problem(rng, (1, 8))
        F = lo.Jaccard(target)
        if form == "all sets":
            answer = ref.prox_all_sets(F, x, gamma)
        elif form == "counts":
            answer = ref.prox_counts(F, target, x, gamma)
        else:
            answer = ref.prox_constraint_generation(F, x, gamma)
        z = lo.LovaszExtension(F).prox(x, gamma)
        np.testing.assert_allclose(z, answer.x, rtol=0, atol=SOLVER * max(np.abs(x).max(), gamma))


def test_functions_of_the_size_against_the_convex_solver():
    rng = np.random.default_rng(4)
    for _ in range(24):
        _, x, gamma = random_problem(rng, (1, 12))
        values = np.append(0.0, np.cumsum(np.sort(rng.normal(size=len(x)))[::-1]))
        z = lo.LovaszExtension(lo.Cardinality(values)).prox(x, gamma)
        scale = max(np.abs(x).max(), gamma * np.abs(np.diff(values)).max())
        np.testing.assert_allclose(z, ref.prox_dotsort(values, x, gamma).x, rtol=0, atol=SOLVER * scale)


def test_hundreds_of_pixels_against_cutting_planes():
    rng = np.random.default_rng(5)
    target, x = rng.random(300) < 0.3, rng.normal(size=300)
    answer = ref.prox_constraint_generation(lo.Jaccard(target), x, 50.0, tol=1e-9)
    assert answer.gap <= 1e-9 * abs(answer.value)
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, 50.0)
    assert 0.5 * ((z - answer.x) ** 2).sum() <= answer.gap + 1e-13


def error_in_ulp(target, x, gamma):
    """Largest error of the float64 prox, in ulp of the largest input max(max |x_i|, γ / max(P, 1))."""
    z = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma)
    ulp = Fraction(float(np.spacing(Problem(target, x, gamma).scale)))
    return float(max(abs(Fraction(a) - b) for a, b in zip(z.tolist(), exact, strict=True)) / ulp)


def test_integers_within_a_few_ulp_of_exact_fractions():
    rng = np.random.default_rng(6)
    for k in range(400):
        p = int(2 * 40 ** rng.random()) if k else 700
        target = rng.random(p) < rng.random()
        x = rng.integers(-1000, 1001, p) // int(10 ** rng.integers(0, 4))
        assert error_in_ulp(target, x.astype(float), float(rng.integers(1, 10 ** rng.integers(1, 7)))) <= ULP


def test_floats_within_a_few_ulp_of_exact_fractions():
    rng = np.random.default_rng(7)
    for _ in range(400):
        assert error_in_ulp(*random_problem(rng, (1, 30))) <= ULP


@pytest.mark.parametrize("unit", [1e300, 1e-310])
def test_huge_and_subnormal_scores_within_a_few_ulp(unit):
    rng = np.random.default_rng(8)
    for _ in range(100):
        p = int(rng.integers(1, 9))
        target, x = rng.random(p) < 0.5, rng.integers(-9, 10, p) * unit
        assert error_in_ulp(target, x, float(rng.integers(1, 50) * unit)) <= ULP


def test_float32_is_the_exact_answer_rounded():
    rng = np.random.default_rng(9)
    for _ in range(200):
        p = int(rng.integers(1, 30))
        target, x, gamma = rng.random(p) < 0.5, rng.integers(-50, 51, p), int(rng.integers(1, 200))
        z = lo.LovaszExtension(lo.Jaccard(target)).prox(x.astype(np.float32), gamma)
        exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma).astype(float)
        assert z.dtype == np.float32
        # Half a unit in the last place of each entry, and a hair for the double rounding.
        assert (np.abs(z - exact) <= 0.51 * np.spacing(np.abs(z)) + 1e-12).all()


@pytest.mark.parametrize(("target", "x", "gamma", "right", "pooled"), COUNTEREXAMPLES)
def test_known_counterexamples_to_pooling_in_order(target, x, gamma, right, pooled):
    F = lo.Jaccard(target)
    f = lo.LovaszExtension(F)
    np.testing.assert_allclose(f.prox(x, gamma), right, rtol=1e-14)
    for method in ("path", "pav-in-order"):
        np.testing.assert_allclose(f.prox(x, gamma, method=method), pooled, rtol=1e-12)
    values, point = ref.set_values(F), np.array(x)

    def objective(z):
        return 0.5 * ((np.array(z) - point) ** 2).sum() + gamma * ref.extension_by_levels(values, np.array(z))

    assert objective(right) < objective(pooled) - 1e-4


def test_the_objectives_of_the_integer_counterexample():
    values, x = ref.set_values_exact(lo.Jaccard([1, 0, 1])), ref.as_fractions([26, 12, 13])

    def objective(z):
        z = ref.as_fractions(z)
        return ((z - x) ** 2).sum() / 2 + 12 * ref.extension_by_levels(values, z)

    assert objective([20, 10, 9]) == 204
    assert objective([20, 9.5, 9.5]) == Fraction(817, 4)


def test_single_active_pixel_of_the_path_walk():
    h = lo.LovaszExtension(lo.Jaccard([1, 1, 1]))
    x = np.array([0.632, -0.225, -0.808])
    np.testing.assert_allclose(h.prox(x, 5.0, method="path"), [0, -0.857, -1.44], atol=1e-12)
    right = np.maximum(h.prox(x, 5.0), np.minimum(x, 0.0))
    np.testing.assert_allclose(right, [0, -0.225, -0.808], atol=1e-12)
    np.testing.assert_allclose(h.prox(x, 5.0, method="path", slip=False), right, atol=1e-12)


def test_the_path_walk_is_often_wrong_and_never_better():
    rng = np.random.default_rng(10)
    wrong = 0
    for _ in range(300):
        n = int(rng.integers(3, 7))
        target, x, gamma = rng.random(n) < 0.5, rng.normal(size=n), float(10 ** rng.uniform(-1, 1))
        values, f = ref.set_values(lo.Jaccard(target)), lo.LovaszExtension(lo.Jaccard(target))
        exact = np.maximum(f.prox(x, gamma), np.minimum(x, 0.0))
        costs = [
            0.5 * ((z - x) ** 2).sum() + gamma * ref.extension_by_levels(values, np.maximum(z, 0.0))
            for z in (exact, f.prox(x, gamma, method="path"))
        ]
        assert costs[0] <= costs[1] + 1e-12
        wrong += costs[1] > costs[0] + 1e-6
    assert 10 < wrong < 150


def other_functions(rng, target):
    n = len(target)
    graph = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    np.fill_diagonal(graph, 0.0)
    return [
        lo.Modular(rng.normal(size=n)),
        lo.Cardinality(np.append(0.0, np.cumsum(np.sort(rng.normal(size=n))[::-1]))),
        lo.Tversky(target, alpha=rng.uniform(0.1, 2.0), beta=rng.uniform(1.0, 3.0)),
        lo.Cut(graph),
        lo.Coverage(rng.random((n, 8)) < 0.4, rng.random(8)),
        lo.SetFunction.from_callable(lambda mask: float(np.sqrt(mask @ np.arange(1.0, n + 1))), n),
    ]


def test_other_set_functions_against_all_sets():
    rng = np.random.default_rng(11)
    for _ in range(40):
        target, x, gamma = random_problem(rng, (1, 8))
        for F in other_functions(rng, target):
            values = ref.set_values(F)
            scale = max(np.abs(x).max(), gamma * np.abs(values).max())
            z = lo.LovaszExtension(F).prox(x, gamma)
            np.testing.assert_allclose(
                z, ref.prox(values, x, gamma), rtol=0, atol=1e-13 * scale, err_msg=repr(F)
            )


def test_weighted_jaccard_in_both_metrics_against_all_sets():
    rng = np.random.default_rng(12)
    for _ in range(200):
        target, x, gamma = random_problem(rng, (1, 9))
        weights = rng.uniform(0.1, 10.0, len(x))
        F = lo.Jaccard(target, weights)
        f, values = lo.LovaszExtension(F), ref.set_values(F)
        scale = max(np.abs(x).max(), gamma / min(1.0, weights.min()))
        for metric, masses in ((None, None), ("weights", weights)):
            expected = ref.prox(values, x, gamma, masses)
            np.testing.assert_allclose(f.prox(x, gamma, metric=metric), expected, rtol=0, atol=1e-13 * scale)


def test_projection_and_extension_against_brute_force():
    rng = np.random.default_rng(13)
    for _ in range(60):
        target, x, _ = random_problem(rng, (1, 6))
        F = lo.Jaccard(target)
        f, values = lo.LovaszExtension(F), ref.set_values(F)
        assert f(x) == pytest.approx(
            ref.extension_over_vertices(values, x), rel=1e-13, abs=1e-13 * np.abs(x).max()
        )
        w = f.project(x)
        assert ref.infeasibility(values, w) <= 1e-13 * max(1.0, np.abs(x).max())
        np.testing.assert_allclose(
            w, ref.project(ref.vertices(values), x), rtol=0, atol=1e-7 * max(1, np.abs(x).max())
        )


def test_float_answers_are_the_exact_fractions_and_proved_so():
    rng = np.random.default_rng(14)
    for _ in range(60):
        p = int(rng.integers(1, 13))
        target, x, gamma = rng.random(p) < 0.5, rng.integers(-20, 21, p).tolist(), int(rng.integers(1, 40))
        z = [
            Fraction(v).limit_denominator(p**3)
            for v in lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma).tolist()
        ]
        assert lo.verify_prox_exact(lo.Jaccard(target), x, gamma, z).optimal
        assert z == list(ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma))
