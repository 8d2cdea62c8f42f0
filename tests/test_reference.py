"""The references against each other: brute force, exact fractions and the convex solver."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from lovasz_opt import reference as ref
from lovasz_opt.sets import Cut
from lovasz_opt.sets.base import SetFunction

SOLVER = 5e-6  # of max(|x|, γ): errors of an interior-point method in z are of the order √(its gap)


class ByDefinition(SetFunction):
    """A set function from a formula on a stack of masks, so that these tests use nothing of the package."""

    def __init__(self, n, formula):
        self.n, self.formula = n, formula

    def _values(self, masks):
        return self.formula(masks)


def jaccard(target):
    target = np.asarray(target, dtype=bool)

    def formula(masks):
        return np.where(masks.any(-1), masks.sum(-1) / np.maximum((masks | target).sum(-1), 1), 0.0)

    return ByDefinition(len(target), formula)


def jaccard_fractions(target):
    target = np.asarray(target, dtype=bool)
    values = [Fraction(int(m.sum()), max(int((m | target).sum()), 1)) for m in ref.all_masks(len(target))]
    return np.array(values, dtype=object)


def cut(weights):
    return ByDefinition(len(weights), lambda masks: ((masks @ weights) * ~masks).sum(-1))


def coverage(incidence, worth):
    return ByDefinition(len(incidence), lambda masks: ((masks @ incidence) > 0) @ worth)


def random_functions(rng, n):
    """One function of each kind on n elements: two counts, directed cut, coverage, size."""
    weights = rng.random((n, n)) * (1 - np.eye(n))
    concave = np.append(0.0, np.cumsum(np.sort(rng.normal(size=n))[::-1]))
    return {
        "jaccard": jaccard(rng.random(n) < rng.random()),
        "cut": cut(weights),
        "coverage": coverage(rng.random((n, 6)) < 0.4, rng.random(6)),
        "size": ByDefinition(n, lambda masks: concave[masks.sum(-1)]),
    }


def random_problem(rng, n, kind):
    """Scores with ties half of the time, and a log-uniform step."""
    x = rng.integers(-3, 4, n).astype(float) if kind % 2 else rng.normal(size=n)
    return x, float(10 ** rng.uniform(-6, 6))


def test_codes_and_masks_are_inverse():
    masks = ref.all_masks(5)
    np.testing.assert_array_equal(ref.codes_of(masks), np.arange(32))
    np.testing.assert_array_equal(masks[0b10010], [False, True, False, False, True])


def test_extension_by_levels_vertices_and_linear_programme():
    rng = np.random.default_rng(0)
    for kind in range(10):
        n = int(rng.integers(1, 6))
        for F in random_functions(rng, n).values():
            values, (x, _) = ref.set_values(F), random_problem(rng, n, kind)
            expected = ref.extension_by_levels(values, x)
            assert ref.extension_over_vertices(values, x) == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert ref.extension_by_lp(values, x) == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_extension_is_the_set_function_on_indicators():
    for F in random_functions(np.random.default_rng(1), 5).values():
        values, masks = ref.set_values(F), ref.all_masks(5)
        np.testing.assert_allclose(
            ref.extension_by_levels(np.tile(values, (32, 1)), masks.astype(float)), values
        )


def test_extension_of_the_positive_part_is_the_support_function_of_the_polymatroid():
    rng = np.random.default_rng(2)
    for kind in range(10):
        values = ref.set_values(jaccard(rng.random(5) < 0.5))
        x, _ = random_problem(rng, 5, kind)
        expected = ref.extension_by_levels(values, np.maximum(x, 0.0))
        assert ref.extension_over_vertices(values, x, polymatroid=True) == pytest.approx(expected, abs=1e-14)


def test_vertices_are_in_the_polytope_and_nothing_beyond_is():
    values = ref.set_values(jaccard([1, 1, 0, 0]))
    for polymatroid in (False, True):
        corners = ref.vertices(values, polymatroid)
        assert len(corners) > 1
        assert ref.infeasibility(values, corners, polymatroid).max() <= 1e-15
    corner = np.array([0.5, 0.5, 0.0, 0.0])
    assert ref.infeasibility(values, corner) == 0
    assert ref.infeasibility(values, corner + np.array([0.1, -0.1, 0, 0])) == pytest.approx(0.1)
    assert ref.infeasibility(values, corner - 0.1) == pytest.approx(0.4)
    assert ref.infeasibility(values, corner - np.array([0, 0, 0.2, 0]), polymatroid=True) == pytest.approx(
        0.2
    )
    assert ref.infeasibility(values, corner - np.array([0.3, 0, 0, 0]), polymatroid=True) == 0


def test_brute_prox_is_the_projection_by_least_squares_over_vertices():
    rng = np.random.default_rng(4)
    for kind in range(20):
        n = int(rng.integers(1, 6))
        for name, F in random_functions(rng, n).items():
            values, (x, gamma) = ref.set_values(F), random_problem(rng, n, kind)
            scale = max(np.abs(x).max(), gamma * np.abs(values).max())
            z = ref.prox(values, x, gamma)
            w = ref.project(ref.vertices(values), x / gamma)
            np.testing.assert_allclose(x - gamma * w, z, rtol=0, atol=1e-9 * scale, err_msg=name)


def test_brute_prox_has_no_gap_on_thousands_of_problems():
    rng = np.random.default_rng(5)
    for n in range(1, 11):
        values = np.stack([ref.set_values(jaccard(rng.random(n) < rng.random())) for _ in range(200)])
        problems = [random_problem(rng, n, kind) for kind in range(200)]
        x, gamma = np.stack([p[0] for p in problems]), np.array([p[1] for p in problems])
        scale = np.maximum(np.abs(x).max(axis=1), gamma)
        gap, infeasible = ref.prox_gap(values, x, gamma, ref.prox(values, x, gamma))
        assert (np.abs(gap) <= 1e-14 * scale**2).all()
        assert (gamma * infeasible <= 1e-14 * scale).all()


def test_brute_prox_in_a_metric_counts_an_element_as_often_as_its_weight():
    rng = np.random.default_rng(6)
    for kind in range(20):
        copies = rng.integers(1, 4, 3)
        owner = np.repeat(np.arange(3), copies)
        F = random_functions(rng, 3)["coverage"]
        x, gamma = random_problem(rng, 3, kind)
        # f(z) of the short vector and Σ over copies of ½(z − x)²: copies share F of their owner's set.
        long = ByDefinition(len(owner), lambda masks, F=F, owner=owner: F(_owners(masks, owner)))
        expected = ref.prox(ref.set_values(long), x[owner], gamma)
        z = ref.prox(ref.set_values(F), x, gamma, metric=copies.astype(float))
        np.testing.assert_allclose(z[owner], expected, rtol=0, atol=1e-12 * max(np.abs(x).max(), gamma))


def _owners(masks, owner):
    return np.stack([masks[..., owner == k].any(-1) for k in range(3)], axis=-1)


def test_exact_prox_by_sets_and_by_counts_and_its_proof():
    rng = np.random.default_rng(7)
    for _ in range(60):
        n = int(rng.integers(1, 7))
        target = rng.random(n) < rng.random()
        x, gamma = rng.integers(-5, 6, n), Fraction(int(rng.integers(1, 40)), int(rng.integers(1, 7)))
        values = jaccard_fractions(target)
        z = ref.prox(values, ref.as_fractions(x), gamma)
        assert all(isinstance(v, Fraction) for v in z)
        assert (z == ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, gamma)).all()
        assert ref.prox_gap(values, ref.as_fractions(x), gamma, z) == (0, 0)
        assert (
            np.abs(ref.prox(ref.set_values(jaccard(target)), x * 1.0, float(gamma)) - z.astype(float)).max()
            < 1e-13
        )


def test_exact_prox_of_another_function_of_the_counts():
    rng = np.random.default_rng(8)
    rank = [0, 12, 18, 18, 18]

    def row(b):
        return [rank[a] + 5 * min(b, 2) for a in range(5)], 7

    for _ in range(20):
        target, x = rng.permutation([1, 1, 1, 1, 0, 0, 0]), rng.integers(-4, 5, 7)
        counts = [(int(m[target == 1].sum()), int(m[target == 0].sum())) for m in ref.all_masks(7)]
        values = ref.as_fractions([Fraction(row(b)[0][a], row(b)[1]) for a, b in counts])
        expected = ref.prox(values, ref.as_fractions(x), Fraction(9, 2))
        assert (ref.prox_counts_exact(row, target, x, Fraction(9, 2)) == expected).all()


def test_exact_prox_takes_floats_for_the_rationals_they_are():
    z = ref.prox_counts_exact(ref.jaccard_row(1), [1], [0.1], 0.2)
    assert z[0] == Fraction(0.1) - Fraction(0.2) != Fraction(-1, 10)


def test_a_wrong_prox_has_a_gap():
    values = jaccard_fractions([1, 0, 1])
    x = ref.as_fractions([26, 12, 13])
    assert ref.prox_gap(values, x, 12, ref.as_fractions([20, 10, 9])) == (0, 0)
    pooled = ref.as_fractions([20, Fraction(19, 2), Fraction(19, 2)])
    assert ref.prox_gap(values, x, 12, pooled)[1] == Fraction(1, 24)


def test_hinge_prox_by_least_squares_proof_and_threshold():
    rng = np.random.default_rng(9)
    for kind in range(40):
        n = int(rng.integers(1, 6))
        F = jaccard(rng.random(n) < rng.random())
        values, (x, gamma) = ref.set_values(F), random_problem(rng, n, kind)
        scale = max(np.abs(x).max(), gamma)
        z = x - gamma * ref.project(ref.vertices(values, polymatroid=True), x / gamma)
        gap, infeasible = ref.prox_gap(values, x, gamma, z, polymatroid=True)
        assert gap <= 1e-9 * scale**2
        assert gamma * infeasible <= 1e-9 * scale
        thresholded = np.maximum(ref.prox(values, x, gamma), np.minimum(x, 0.0))
        np.testing.assert_allclose(thresholded, z, rtol=0, atol=1e-9 * scale)


FORMS = {
    "all sets": lambda F, target, sizes, x, gamma: ref.prox_all_sets(F, x, gamma),
    "all sets, hinge": lambda F, target, sizes, x, gamma: ref.prox_all_sets(F, x, gamma, hinge=True),
    "counts": lambda F, target, sizes, x, gamma: ref.prox_counts(F, target, x, gamma),
    "cuts": lambda F, target, sizes, x, gamma: ref.prox_constraint_generation(F, x, gamma),
    "cuts, hinge": lambda F, target, sizes, x, gamma: ref.prox_constraint_generation(F, x, gamma, hinge=True),
    "dotsort": lambda F, target, sizes, x, gamma: ref.prox_dotsort(sizes, x, gamma),
}


@pytest.mark.parametrize("form", FORMS)
def test_convex_forms_agree_with_brute_force(form):
    rng = np.random.default_rng(10)
    for kind in range(24):
        n = int(rng.integers(1, 8))
        target = rng.random(n) < rng.random()
        x, gamma = random_problem(rng, n, kind)
        sizes = np.append(0.0, np.cumsum(np.sort(rng.normal(size=n))[::-1]))
        F = jaccard(target)
        if form == "dotsort":
            F = ByDefinition(n, lambda masks, sizes=sizes: sizes[masks.sum(-1)])
        answer, z = FORMS[form](F, target, sizes, x, gamma), ref.prox(ref.set_values(F), x, gamma)
        if "hinge" in form:
            z = np.maximum(z, np.minimum(x, 0.0))
        scale = max(np.abs(x).max(), gamma * max(1.0, np.abs(np.diff(sizes)).max()))
        np.testing.assert_allclose(answer.x, z, rtol=0, atol=SOLVER * scale)
        assert abs(answer.gap) <= 1e-9 * scale**2


def test_all_sets_in_a_metric():
    rng = np.random.default_rng(11)
    for name, F in random_functions(rng, 5).items():
        x, metric = rng.normal(size=5), rng.uniform(0.5, 3.0, 5)
        answer = ref.prox_all_sets(F, x, 0.7, metric=metric)
        expected = ref.prox(ref.set_values(F), x, 0.7, metric)
        np.testing.assert_allclose(answer.x, expected, atol=SOLVER, err_msg=name)


def test_constraint_generation_for_hundreds_of_pixels():
    rng = np.random.default_rng(12)
    target, x = rng.random(200) < 0.4, rng.normal(size=200)
    answer = ref.prox_constraint_generation(jaccard(target), x, 60.0, tol=1e-9)
    exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, 60).astype(float)
    assert answer.certified
    assert 0 <= answer.gap <= 1e-9 * max(1.0, abs(answer.value))
    # Strong convexity: half the squared distance to the minimiser is at most the gap.
    assert 0.5 * ((answer.x - exact) ** 2).sum() <= answer.gap + 1e-13


def test_constraint_generation_reports_what_it_did_not_reach():
    rng = np.random.default_rng(13)
    target, x = rng.random(60) < 0.5, rng.normal(size=60)
    early = ref.prox_constraint_generation(jaccard(target), x, 200.0, max_rounds=3)
    assert early.rounds == 3
    assert early.gap > 1e-6
    exact = ref.prox_counts_exact(ref.jaccard_row(int(target.sum())), target, x, 200).astype(float)
    assert 0.5 * ((early.x - exact) ** 2).sum() <= early.gap


def test_image_prox_is_the_hinge_prox_on_margins():
    rng = np.random.default_rng(14)
    for kind in range(8):
        target, (logits, _) = rng.random(8) < 0.5, random_problem(rng, 8, kind)
        signs = 2 * target - 1.0
        answer = ref.solve_image_prox(logits.reshape(2, 4), target.reshape(2, 4), 1.7)
        margins = ref.prox_all_sets(jaccard(target), 1 - signs * logits, 1.7, hinge=True).x
        np.testing.assert_allclose(answer.x.ravel(), signs * (1 - margins), atol=1e-4)
        assert answer.x.shape == (2, 4)
        assert -1e-14 <= answer.gap <= 1e-9


def test_linear_hinge_risk_against_direct_search():
    from scipy.optimize import minimize

    rng = np.random.default_rng(15)
    features = [rng.normal(size=(p, 2)) for p in (9, 14)]
    targets = [X @ [1.0, -0.5] + 0.3 * rng.normal(size=len(X)) > 0 for X in features]
    answer = ref.solve_linear_hinge_risk(features, targets, 0.1)

    def risk(v):
        total = 0.0
        for X, y in zip(features, targets, strict=True):
            margins = np.maximum(1 - (2 * y - 1) * (X @ v), 0)
            order = np.argsort(-margins)
            masks = np.zeros((len(y), len(y)), dtype=bool)
            masks[:, order] = np.tri(len(y), dtype=bool)
            total += np.diff(jaccard(y)(masks), prepend=0) @ margins[order]
        return 0.05 * v @ v + total / 2

    assert answer.value == pytest.approx(risk(answer.x), abs=1e-13)
    assert -1e-14 <= answer.gap <= 1e-9
    found = minimize(risk, answer.x + 0.1, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
    assert found.fun >= answer.value - answer.gap
    assert found.fun == pytest.approx(answer.value, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ref.all_masks(17), "n ≤ 16"),
        (lambda: ref.vertices(np.zeros(2**8)), "n ≤ 7"),
    ],
)
def test_too_large_for_enumeration(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_cvxpy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ModuleNotFoundError, match=r"lovasz-opt\[reference\]"):
        ref.prox_all_sets(jaccard([1, 0]), [1.0, 2.0], 1.0)


def test_projection_where_the_least_squares_of_scipy_stop_early():
    """Of SciPy 1.17.1, with a weight left at 0 that wants to grow."""
    corners = ref.vertices(ref.set_values(Cut.grid((2, 2))))
    np.testing.assert_allclose(ref.project(corners, np.ones(4)), 0, atol=1e-12)
