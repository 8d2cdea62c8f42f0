"""Certificates: they accept the right answer, bound the error of a wrong one, and prove both in rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lovasz_opt as lo
from lovasz_opt import certify


@pytest.mark.parametrize("p", [3, 30, 3000])
@pytest.mark.parametrize("gamma", [1e-6, 0.5, 100.0, 1e6])
def test_distance_bound_holds_for_perturbed_answers(p, gamma):
    rng = np.random.default_rng(p)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(p) < 0.3))
    x = rng.standard_normal(p)
    z = f.prox(x, gamma)
    for size in (1e-8, 1e-3, 1.0):
        wrong = z + size * rng.standard_normal(p)
        certificate = lo.verify_prox(f, x, gamma, wrong)
        assert certificate.gap > 0
        assert np.linalg.norm(wrong - z) <= certificate.distance_bound * (1 + 1e-9)


def test_the_inexact_methods_are_found_out():
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    x = [26.0, 12.0, 13.0]
    for method in ("path", "pav-in-order"):
        certificate = lo.verify_prox(f, x, 12.0, f.prox(x, 12.0, method=method))
        assert certificate.gap == pytest.approx(0.25)
        assert certificate.relative_gap == pytest.approx(0.25 / 204.25)


def test_certificate_in_the_metric_of_the_weights():
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.2, 5, 40)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(40) < 0.5, weights))
    x = rng.standard_normal(40)
    for metric in (None, "weights"):
        z = f.prox(x, 8.0, metric=metric)
        assert lo.verify_prox(f, x, 8.0, z, metric=metric).distance_bound < 1e-6
    # The two metrics have different answers, and each certificate knows its own.
    assert lo.verify_prox(f, x, 8.0, f.prox(x, 8.0, metric="weights")).distance_bound > 1e-2


def test_subgradient_certificate():
    rng = np.random.default_rng(0)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(40) < 0.5))
    x = rng.standard_normal(40)
    good = lo.verify_subgradient(f, x, f.subgradient(x))
    assert abs(good.gap) <= 1e-14
    assert good.infeasibility <= 1e-14
    assert lo.verify_subgradient(f, x, f.subgradient(-x)).gap > 0.1
    assert lo.verify_subgradient(f, x, 2 * f.subgradient(x)).infeasibility == pytest.approx(1.0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_gap_of_a_vector_that_is_no_subgradient(seed, p):
    """f(x) − ⟨w, x⟩ whatever w sums to."""
    rng = np.random.default_rng(seed)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(p) < 0.5))
    x, w = rng.standard_normal(p), rng.standard_normal(p)
    assert lo.verify_subgradient(f, x, w).gap == pytest.approx(f(x) - w @ x, abs=1e-12)


# In the second case nothing is rounded: x − z leads into the polytope exactly, with a gap of 1/4.
@pytest.mark.parametrize(
    ("target", "x", "gamma"), [([1, 0, 1], [26.0, 12.0, 13.0], 0.3), ([1, 0], [4.0, 2.0], 0.25)]
)
def test_the_better_dual_point_is_kept(target, x, gamma):
    """Where x − z leads to a point of the base polytope that is not the best, the gap is that of the best."""
    f, x = lo.LovaszExtension(lo.Jaccard(target)), np.array(x)
    wrong = x - gamma * f.subgradient(-x)
    certificate = lo.verify_prox(f, x, gamma, wrong)

    def objective(z):
        return 0.5 * float((z - x) @ (z - x)) + gamma * f(z)

    assert certificate.infeasibility == 0
    assert 0 < certificate.gap < 1
    assert certificate.gap == pytest.approx(objective(wrong) - objective(f.prox(x, gamma)), abs=1e-12)
    assert certificate.primal == pytest.approx(objective(wrong))


@pytest.mark.parametrize(("metric", "z"), [(None, [3.0, 1.0]), ([2.0, 4.0], [3.5, 1.75])])
def test_an_exact_answer_is_certified_by_its_residual_alone(monkeypatch, metric, z):
    def solve(*_):
        raise AssertionError("the prox is computed")

    monkeypatch.setattr(lo.LovaszExtension, "_solve", solve)
    f = lo.LovaszExtension(lo.Jaccard([1, 1]))
    certificate = lo.verify_prox(f, [4.0, 2.0], 2.0, z, metric=metric)
    assert (certificate.gap, certificate.infeasibility, certificate.distance_bound) == (0, 0, 0)


@pytest.mark.parametrize("excess", [0.5, 2.0])
def test_a_residual_outside_the_polytope_is_not_believed(excess):
    """Its gap is negative, and says nothing."""
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    x, gamma = np.array([26.0, 12.0, 13.0]), 0.5
    wrong = x - gamma * (1 + excess) / 3
    certificate = lo.verify_prox(f, x, gamma, wrong)
    right = f.prox(x, gamma)
    excess_of_objective = 0.5 * ((wrong - x) @ (wrong - x) - (right - x) @ (right - x))
    excess_of_objective += gamma * (f(wrong) - f(right))
    assert certificate.gap == pytest.approx(excess_of_objective, rel=1e-9)
    assert certificate.infeasibility <= 1e-15
    assert certificate.distance_bound == pytest.approx(math.sqrt(2 * certificate.gap))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_every_number_of_a_certificate(seed, p, euclidean):
    rng = np.random.default_rng(seed)
    f = lo.LovaszExtension(lo.Jaccard(rng.random(p) < 0.5))
    x, z, w = rng.standard_normal((3, p))
    mu, gamma = np.ones(p) if euclidean else rng.uniform(0.5, 2, p), float(rng.uniform(0.1, 5))
    # Often with the right sum, where only smaller sets are violated.
    w += rng.integers(0, 2) * (f.F(np.ones(p, bool)) - w.sum()) / p
    certificate = certify._certificate(f, x, gamma, z, mu, w)
    primal = 0.5 * (mu * (z - x) ** 2).sum() + gamma * f(z)
    # The minimum over z of the Lagrangian, at z = x − gamma·w/mu.
    dual = gamma * (w @ x) - gamma**2 * (w**2 / mu).sum() / 2
    assert certificate.primal == pytest.approx(primal, abs=1e-12)
    assert certificate.gap == pytest.approx(primal - dual, abs=1e-12)
    assert certificate.infeasibility == pytest.approx(brute_force_infeasibility(f.F, w), abs=1e-13)
    masks = (np.arange(2**p)[:, None] >> np.arange(p) & 1).astype(bool)
    bound = certify._distance_bound(
        certificate.gap, (masks @ w - f.F(masks)).max(), abs(w.sum() - f.F(masks[-1])), gamma, z, mu.min()
    )
    assert certificate.distance_bound == pytest.approx(bound, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("mu", [0.25, 1.0, 3.0])
@pytest.mark.parametrize(("excess", "total_excess"), [(0, 0), (0.3, 0), (0, 0.2), (0.3, 0.2)])
def test_distance_bound_solves_its_inequality(mu, excess, total_excess):
    z, gap, gamma = np.array([2.0, -5.0, 1.0]), 0.7, 1.5
    D = certify._distance_bound(gap, excess, total_excess, gamma, z, mu)
    reached = gap + gamma * (excess * (7 + math.sqrt(2) * D) + total_excess * (5 + D))
    assert mu / 2 * D**2 == pytest.approx(reached, rel=1e-14)
    assert D > 0
    # A gap that rounding made negative is 0.
    assert certify._distance_bound(-1e-20, 0.0, 0.0, gamma, z, mu) == 0


def test_relative_gap():
    def relative(gap, primal):
        return lo.Certificate(gap, infeasibility=0.0, distance_bound=0.0, primal=primal).relative_gap

    tiny = np.finfo(float).tiny
    assert relative(0.0, 0.0) == 0.0
    assert relative(3.0, 12.0) == relative(3.0, -12.0) == 0.25
    assert relative(1.0, 4.0) == 0.25
    assert relative(3 * tiny, 0.0) == 3.0
    assert relative(-0.5, 0.25) == -2.0


def test_a_tiny_step_does_not_overflow():
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    certificate = lo.verify_prox(f, [1e3, 0.0, 2.0], 5e-324, [1.0, 0.0, 3.0])
    assert certificate.distance_bound == pytest.approx(np.hypot(999, 1))


def brute_force_infeasibility(F, w):
    p = len(w)
    masks = (np.arange(2**p)[:, None] >> np.arange(p) & 1).astype(bool)
    return max((masks @ w - F(masks)).max(), abs(w.sum() - F(np.ones(p, bool))))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_infeasibility_is_the_maximum_over_all_sets(seed, p):
    rng = np.random.default_rng(seed)
    F = lo.Jaccard(rng.random(p) < rng.random())
    w = rng.standard_normal(p) * rng.choice([0.2, 1.0])
    f = lo.LovaszExtension(F)
    assert f.infeasibility(w) == pytest.approx(brute_force_infeasibility(F, w), abs=1e-14)
    assert (f.conjugate(w) == 0.0) == (brute_force_infeasibility(F, w) <= 1e-9)
    assert f.conjugate(f.project(w)) == 0.0


def exact_extension(F, z):
    """f(z) from its level sets, in rationals."""
    levels = sorted(set(z), reverse=True)
    masks = [np.array([value >= level for value in z]) for level in levels]
    steps = [level - lower for level, lower in zip(levels, [*levels[1:], Fraction(0)], strict=True)]
    return sum((step * F.exact_value(mask) for step, mask in zip(steps, masks, strict=True)), Fraction(0))


SET_FUNCTIONS = {
    "Jaccard": lambda rng, p: lo.Jaccard(rng.random(p) < rng.random()),
    "weighted Jaccard": lambda rng, p: lo.Jaccard(rng.random(p) < 0.5, rng.integers(1, 5, p)),
    "of the size": lambda rng, p: lo.Cardinality([0, *np.cumsum(-np.sort(-rng.integers(-2, 5, p)))]),
}


@pytest.mark.parametrize("kind", SET_FUNCTIONS)
@pytest.mark.parametrize("inside", [False, True])
@given(seed=st.integers(0, 2**32 - 1), p=st.integers(1, 6))
def test_exact_certificate_agrees_with_all_sets(kind, inside, seed, p):
    rng = np.random.default_rng(seed)
    F = SET_FUNCTIONS[kind](rng, p)
    x = [Fraction(int(i)) for i in rng.integers(-5, 6, p)]
    gamma = Fraction(int(rng.integers(1, 20)), 3)
    if inside:  # the middle of two vertices of the base polytope
        w = [Fraction(0)] * p
        for order in (rng.permutation(p), rng.permutation(p)):
            before, mask = Fraction(0), np.zeros(p, bool)
            for i in order:
                mask[i] = True
                w[i] += (F.exact_value(mask) - before) / 2
                before = F.exact_value(mask)
    else:
        w = [
            Fraction(int(i), int(j))
            for i, j in zip(rng.integers(-4, 5, p), rng.integers(1, 5, p), strict=True)
        ]
    z = [a - gamma * b for a, b in zip(x, w, strict=True)]
    certificate = lo.verify_prox_exact(F, x, gamma, z)
    worst = Fraction(0)
    for code in range(1, 2**p):
        mask = np.array([code >> i & 1 for i in range(p)], bool)
        excess = sum(wi for wi, inside in zip(w, mask, strict=True) if inside) - F.exact_value(mask)
        worst = max(worst, excess, -excess if mask.all() else excess)
    assert certificate.infeasibility == worst
    assert certificate.gap == gamma * (exact_extension(F, z) - sum(a * b for a, b in zip(w, z, strict=True)))
    assert certificate.optimal == (certificate.gap == 0 and worst == 0)
    assert (certificate.violated is None) == (worst == 0)
    assert not inside or worst == 0
    if certificate.violated is not None:
        mask = np.zeros(p, bool)
        mask[list(certificate.violated)] = True
        assert abs(sum(w[i] for i in certificate.violated) - F.exact_value(mask)) == worst


def test_a_point_of_the_polytope_with_a_gap_is_not_optimal():
    F, x, w = lo.Jaccard([1, 0, 1]), [26, 12, 13], [Fraction(1, 3)] * 3
    z = [a - 12 * b for a, b in zip(x, w, strict=True)]
    # At z = (22, 8, 9), f(z) = (22 + 9)/2 and ⟨w, z⟩ = 39/3.
    certificate = lo.verify_prox_exact(F, x, 12, z)
    assert (certificate.optimal, certificate.infeasibility, certificate.violated) == (False, 0, None)
    assert certificate.gap == 12 * (Fraction(31, 2) - 13)


@pytest.mark.parametrize("alone", [(0,), (1,), (2,), (0, 2)])
def test_the_one_set_that_is_violated_is_named(alone):
    F = lo.Cardinality([0, 2, 3, 3])
    inside = np.isin(np.arange(3), alone)
    # One too much on that set; the other elements bring the sum to F(V) = 3.
    total = int(F(inside)) + 1
    w = [Fraction(total, len(alone)) if i else Fraction(3 - total, 3 - len(alone)) for i in inside]
    certificate = lo.verify_prox_exact(F, w, 1, [0, 0, 0])
    assert (certificate.optimal, certificate.infeasibility, certificate.violated) == (False, 1, alone)


def test_all_sets_are_looked_at_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(certify, "EXHAUSTIVE_LIMIT", 3)
    F = lo.Cardinality([0, 3, 5, 6])
    assert lo.verify_prox_exact(F, [4, 1, 2], 1, [1, 0, 0]).optimal
    with pytest.raises(ValueError, match="F has 4 elements; an exact check of Cardinality looks at all 2"):
        lo.verify_prox_exact(lo.Cardinality([0, 3, 5, 6, 6]), [4, 1, 2, 0], 1, [1, 0, 0, 0])


def test_exact_proof_of_the_counterexamples():
    F = lo.Jaccard([1, 0, 1])
    assert lo.verify_prox_exact(F, [26, 12, 13], 12, [20, 10, 9]).optimal
    pooled = lo.verify_prox_exact(F, [26, 12, 13], 12, [20, "19/2", "19/2"])
    assert not pooled.optimal
    assert pooled.violated == (0, 1)
    G = lo.Jaccard([0, 1, 0])
    x = [Fraction(3, 2), Fraction(1), Fraction(99, 100)]
    assert lo.verify_prox_exact(G, x, 1, [1, Fraction(2, 3), Fraction(247, 300)]).optimal
    assert not lo.verify_prox_exact(G, x, 1, [1, Fraction(149, 200), Fraction(149, 200)]).optimal


def test_exact_certificate_of_other_functions():
    F = lo.Cardinality([0, 3, 5, 6])
    z = [1, 0, 0]
    x = [4, 1, 2]  # increments (3, 2, 1) along the order, pooled on the last two: w = (3, 1, 2)
    assert lo.verify_prox_exact(F, x, 1, z).optimal
    assert not lo.verify_prox_exact(F, x, 1, [1, 0, 1]).optimal


def test_bad_input():
    F = lo.Jaccard([1, 0])
    with pytest.raises(ValueError, match="x has 3 entries, expected 2"):
        lo.verify_prox_exact(F, [1, 2, 3], 1, [1, 2])
    with pytest.raises(ValueError, match="z has 1 entries, expected 2"):
        lo.verify_prox_exact(F, [1, 2], 1, [1])
    for gamma in (0, -1):
        with pytest.raises(ValueError, match=f"gamma is {gamma}; it must be > 0"):
            lo.verify_prox_exact(F, [1, 2], gamma, [1, 2])
    with pytest.raises(ValueError, match=r"z\[1\] is nan; give a finite rational"):
        lo.verify_prox_exact(F, [1, 2], 1, [1, float("nan")])
    with pytest.raises(ValueError, match="at most 16"):
        lo.verify_prox_exact(lo.Cardinality(np.sqrt, 20), range(20), 1, range(20))
    with pytest.raises(ValueError, match="is not submodular"):
        lo.verify_prox_exact(lo.Dice([1, 1, 1]), [1, 2, 3], 1, [1, 2, 3])
    f = lo.LovaszExtension(F)
    with pytest.raises(ValueError, match=r"z has shape \(3,\), expected \(2,\)"):
        lo.verify_prox(f, [1, 2], 1.0, [1, 2, 3])
    with pytest.raises(ValueError, match="gamma is -1"):
        lo.verify_prox(f, [1, 2], -1, [1, 2])
    with pytest.raises(ValueError, match="is not submodular"):
        lo.verify_prox(lo.LovaszExtension(lo.Dice([1, 1, 1])), [1, 2, 3], 1.0, [1, 2, 3])
    # Here x/gamma satisfies all constraints, which without convexity would prove nothing.
    G = lo.Cardinality([0, 1, 1, 1.5])
    for verify, of in ((lo.verify_prox, lo.LovaszExtension(G)), (lo.verify_prox_exact, G)):
        with pytest.raises(ValueError, match=r"a certificate of a prox|an exact certificate"):
            verify(of, [0.5, 0.5, 0.5], 1.0, [0, 0, 0])
