"""Certificates: they accept the right answer, bound the error of a wrong one, and prove both in rationals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lovasz_opt as lo


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


def test_the_better_dual_point_is_kept():
    """Where x − z leads to a point of the base polytope that is not the best, the gap is that of the best."""
    f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    x, gamma = np.array([26.0, 12.0, 13.0]), 0.3
    wrong = x - gamma * f.subgradient(-x)
    certificate = lo.verify_prox(f, x, gamma, wrong)

    def objective(z):
        return 0.5 * float((z - x) @ (z - x)) + gamma * f(z)

    assert certificate.infeasibility == 0
    assert 0 < certificate.gap < 1
    assert certificate.gap == pytest.approx(objective(wrong) - objective(f.prox(x, gamma)), abs=1e-12)
    assert certificate.primal == pytest.approx(objective(wrong))


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


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_exact_certificate_agrees_with_all_sets(seed, p):
    rng = np.random.default_rng(seed)
    F = lo.Jaccard(rng.random(p) < rng.random())
    x = [Fraction(int(i)) for i in rng.integers(-5, 6, p)]
    z = [Fraction(int(i), int(j)) for i, j in zip(rng.integers(-9, 9, p), rng.integers(1, 5, p), strict=True)]
    gamma = Fraction(int(rng.integers(1, 20)))
    certificate = lo.verify_prox_exact(F, x, gamma, z)
    w = [(a - b) / gamma for a, b in zip(x, z, strict=True)]
    worst = Fraction(0)
    for code in range(1, 2**p):
        mask = np.array([code >> i & 1 for i in range(p)], bool)
        excess = sum(wi for wi, inside in zip(w, mask, strict=True) if inside) - F.exact_value(mask)
        worst = max(worst, excess, -excess if mask.all() else excess)
    assert certificate.infeasibility == worst
    assert certificate.optimal == (certificate.gap == 0 and worst == 0)
    if certificate.violated is not None:
        mask = np.zeros(p, bool)
        mask[list(certificate.violated)] = True
        assert abs(sum(w[i] for i in certificate.violated) - F.exact_value(mask)) == worst


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
    with pytest.raises(ValueError, match="gamma is 0; it must be > 0"):
        lo.verify_prox_exact(F, [1, 2], 0, [1, 2])
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
