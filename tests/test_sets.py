"""Set functions against their definitions on all subsets, and their checks of submodularity."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lovasz_opt.sets import (
    Cardinality,
    CountFunction,
    Coverage,
    Cut,
    Dice,
    Jaccard,
    Modular,
    SetFunction,
    Tversky,
    counts,
)


def all_masks(n):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def violates(F, A, B):
    return F(A | B) + F(A & B) - F(A) - F(B)


def submodular_by_all_pairs(F):
    """F(A) + F(B) ≥ F(A ∪ B) + F(A ∩ B) for every pair of sets."""
    values = F(all_masks(F.n))
    codes = np.arange(len(values))
    A, B = codes[:, None], codes[None, :]
    excess = values[A | B] + values[A & B] - values[A] - values[B]
    return excess.max() <= 1e-10 * max(1e-300, np.abs(values).max())


def naive_jaccard(target, weights):
    def value(mask):
        mistakes = sum(w for w, m in zip(weights, mask, strict=True) if m)
        union = sum(w for w, m, t in zip(weights, mask, target, strict=True) if m or t)
        return mistakes / union if mistakes else 0.0

    return value


def naive_tversky(target, alpha, beta):
    def value(mask):
        tp = sum(t and not m for t, m in zip(target, mask, strict=True))
        fn = sum(t and m for t, m in zip(target, mask, strict=True))
        fp = sum(m and not t for t, m in zip(target, mask, strict=True))
        union = tp + alpha * fp + beta * fn
        return 1 - tp / union if union else float(fn + fp > 0)

    return value


def naive_cut(matrix):
    def value(mask):
        return sum(
            matrix[i, j] for i in range(len(mask)) for j in range(len(mask)) if mask[i] and not mask[j]
        )

    return value


def naive_coverage(memberships, weights):
    def value(mask):
        covered = set()
        for i in np.flatnonzero(mask):
            covered |= set(np.flatnonzero(memberships[i]))
        return sum(weights[k] for k in covered)

    return value


def examples(rng, n):
    """One random function of every kind, with its definition."""
    target = rng.random(n) < rng.choice([0.0, 0.3, 0.7, 1.0])
    weights, signed = rng.random(n) + 0.1, rng.standard_normal(n)
    alpha, beta = rng.choice([0.0, 0.3, 1.0, 1.7], 2)
    matrix = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    memberships = rng.random((n, n + 2)) < 0.4
    items = rng.random(n + 2)
    sizes = np.concatenate([[0.0], np.cumsum(rng.standard_normal(n))])
    P, N = int(target.sum()), int((~target).sum())
    table = rng.standard_normal((P + 1, N + 1))
    table[0, 0] = 0
    return [
        (Jaccard(target), naive_jaccard(target, np.ones(n))),
        (Jaccard(target, weights), naive_jaccard(target, weights)),
        (Tversky(target, alpha, beta), naive_tversky(target, alpha, beta)),
        (Dice(target), naive_tversky(target, 0.5, 0.5)),
        (Modular(signed), lambda mask: sum(signed[mask])),
        (Cardinality(sizes), lambda mask: sizes[sum(mask)]),
        (Cut(matrix), naive_cut(matrix)),
        (Cut(sparse.csr_array(matrix)), naive_cut(matrix)),
        (Coverage(memberships, items), naive_coverage(memberships, items)),
        (CountFunction(lambda a, b: table[a, b], target), lambda m: table[sum(m & target), sum(m & ~target)]),
        (SetFunction.from_callable(lambda m: float(signed[m].sum() ** 2), n), lambda m: sum(signed[m]) ** 2),
    ]


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_values_and_increments_match_the_definitions(n):
    rng = np.random.default_rng(n)
    for _ in range(4):
        for F, definition in examples(rng, n):
            masks = all_masks(n)
            expected = np.array([definition(mask) for mask in masks])
            np.testing.assert_allclose(F(masks), expected, atol=1e-12, err_msg=repr(F))
            np.testing.assert_allclose(F(masks.reshape(2, -1, n)), expected.reshape(2, -1), atol=1e-12)
            assert F(masks[-1]) == F(masks)[-1]
            assert isinstance(F(masks[-1]), float)
            assert F(masks[0]) == 0
            order = rng.permutation(n)
            chain = np.arange(n)[None, :] < np.arange(n + 1)[:, None]
            prefixes = np.zeros_like(chain)
            prefixes[:, order] = chain
            np.testing.assert_allclose(F.increments(order), np.diff(F(prefixes)), atol=1e-12, err_msg=repr(F))
            for mask in masks[:: max(1, len(masks) // 8)]:
                assert isinstance(F.exact_value(mask), Fraction)
                assert abs(F.exact_value(mask) - Fraction(F(mask))) <= Fraction(1, 10**12)


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_submodularity_and_monotonicity_match_all_pairs(n):
    rng = np.random.default_rng(10 + n)
    for _ in range(10):
        for F, _ in examples(rng, n):
            report = F.submodularity()
            assert report.exact
            assert report.submodular == F.is_submodular == submodular_by_all_pairs(F), repr(F)
            if report.violation is not None:
                A, B = report.violation
                assert report.excess > 0
                np.testing.assert_allclose(violates(F, A, B), report.excess, atol=1e-12)
            values = F(all_masks(n))
            codes = np.arange(2**n)
            steps = np.concatenate([values[codes | 1 << i] - values for i in range(n)])
            assert F.is_nondecreasing == (steps.min() >= -1e-12), repr(F)


def test_increment_bounds_are_the_first_and_last_increments():
    rng = np.random.default_rng(3)
    for n in (1, 2, 6):
        for F, _ in examples(rng, n):
            low, high = F._increment_bounds()
            default_low, default_high = SetFunction._increment_bounds(F)
            np.testing.assert_allclose(low, default_low, atol=1e-12, err_msg=repr(F))
            np.testing.assert_allclose(high, default_high, atol=1e-12, err_msg=repr(F))


def test_violation_is_the_maximum_over_all_sets():
    rng = np.random.default_rng(4)
    for n in (1, 3, 8):
        masks = all_masks(n)
        for _ in range(12):
            w = rng.standard_normal(n) * rng.choice([0.05, 0.3, 2.0])
            if rng.random() < 0.3:
                w = np.round(w * 4) / 4
            for F, _ in examples(rng, n):
                excess, mask = F._violation(w)
                expected = (masks @ w - F(masks)).max()
                assert abs(excess - expected) <= 1e-12 * (1 + expected), repr(F)
                assert abs(w[mask].sum() - F(mask) - excess) <= 1e-12 * (1 + expected), repr(F)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_increments_sum_to_the_value_of_the_whole_set(data):
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for F, _ in examples(rng, n):
        total = F.increments(rng.permutation(n)).sum()
        assert abs(total - F(np.ones(n, bool))) <= 1e-11 * n, repr(F)


# Tversky and Dice


@pytest.mark.parametrize(("P", "N"), [(P, N) for P in (0, 1, 2, 3, 6) for N in (0, 1, 4) if P + N])
def test_tversky_is_submodular_exactly_where_it_says(P, N):
    target = np.arange(P + N) < P
    for alpha in (0.0, 1e-3, 0.5, 1.0, 3.0):
        for beta in (0.0, 1e-3, 0.5, 0.99, 1.0, 1.01, 4.0):
            F = Tversky(target, alpha, beta)
            generic = CountFunction(F._loss, target).submodularity()
            assert F.is_submodular == (beta >= 1 or P <= 1) == generic.submodular
            assert F.submodularity().exact
            if not F.is_submodular:
                A, B = F.submodularity().violation
                exact = F.exact_value(A | B) + F.exact_value(A & B) - F.exact_value(A) - F.exact_value(B)
                assert exact > 0
                assert float(exact) == F.submodularity().excess


def test_tversky_contains_jaccard_and_dice():
    target = np.array([1, 1, 1, 0, 0], bool)
    masks = all_masks(5)
    np.testing.assert_allclose(Tversky(target, 1, 1)(masks), Jaccard(target)(masks), atol=1e-15)
    np.testing.assert_allclose(Tversky(target)(masks), Dice(target)(masks), atol=0)
    jaccard = Jaccard(target)(masks)
    np.testing.assert_allclose(Dice(target)(masks), jaccard / (2 - jaccard), atol=1e-15)


def test_dice_is_refused_with_a_pair_that_violates():
    F = Dice([1, 1, 0, 1])
    with pytest.raises(
        ValueError, match=r"Dice\(P=3, N=1\) is not submodular, and a prox needs a convex"
    ) as error:
        F.require_submodular("a prox")
    A, B = F.submodularity().violation
    assert violates(F, A, B) > 0.1
    assert "A = {0, 1} and B = {0, 3}" in str(error.value)
    assert (set(np.flatnonzero(A)), set(np.flatnonzero(B))) == ({0, 1}, {0, 3})
    Jaccard([1, 1, 0, 1]).require_submodular("a prox")


def test_tversky_at_image_size_is_decided_at_once():
    target = np.arange(10**6) < 3 * 10**5
    assert Tversky(target, 0.7, 1.3).submodularity().exact
    report = Tversky(target, 0.7, 0.999).submodularity()
    assert not report.submodular
    assert report.excess > 0


# Checks on tables and samples


def test_large_tables_of_counts_are_searched_in_windows():
    target = np.arange(3000) < 1200
    assert CountFunction(lambda a, b: np.sqrt(a + 0.5 * b), target).submodularity().exact

    def dented(a, b):
        # One raised value, deep inside: convex around it.
        return np.sqrt(a + 0.5 * b) + ((a == 777) & (b == 1313)) * 1e-3

    for oriented in (target, ~target):
        F = (
            CountFunction(dented, oriented)
            if oriented is target
            else CountFunction(lambda a, b: dented(b, a), ~target)
        )
        report = F.submodularity()
        assert not report.submodular
        A, B = report.violation
        assert violates(F, A, B) > 1e-4


def convex_from(a, b):
    """A function of two counts that bends upwards once, at a or at b."""
    return lambda i, j: np.maximum(i - a, 0) * (a > 0) + np.maximum(j - b, 0) * (b > 0)


def test_windows_leave_no_inequality_out(monkeypatch):
    monkeypatch.setattr(counts, "_WINDOW", 1)
    for P, N in ((14, 5), (5, 14)):
        target = np.arange(P + N) < P
        for a, b in [(k, 0) for k in range(1, P)] + [(0, k) for k in range(1, N)]:
            kinked = CountFunction(convex_from(a, b), target)
            first, second = kinked.submodularity().violation
            assert violates(kinked, first, second) == 1
        falling = CountFunction(lambda i, j: -1.0 * (i == P) - 1.0 * (j == N), target)  # noqa: B023
        assert falling.is_submodular
        assert not falling.is_nondecreasing
        assert CountFunction(lambda i, j: np.sqrt(i + j), target).is_submodular


def test_too_large_a_table_is_sampled_and_says_so():
    target = np.arange(60000) < 30000
    good = CountFunction(lambda a, b: np.sqrt(a + b), target).submodularity()
    assert good.submodular
    assert not good.exact
    assert "sample" in good.reason
    bad = CountFunction(lambda a, b: (a + b) / (2.0 * 30000 - a + b), target).submodularity()
    assert not bad.submodular
    A, B = bad.violation
    assert A.sum() == B.sum()


def test_a_callable_beyond_sixteen_elements_is_sampled_and_says_so():
    good = SetFunction.from_callable(lambda m: np.sqrt(m.sum()), 20).submodularity()
    assert good.submodular
    assert not good.exact
    assert "sample of 4096" in good.reason
    F = SetFunction.from_callable(lambda m: float(m.sum() ** 2), 20)
    report = F.submodularity()
    assert not report.submodular
    A, B = report.violation
    assert violates(F, A, B) == report.excess > 0
    assert F.is_nondecreasing
    assert not SetFunction.from_callable(lambda m: float(m.sum() * (30 - m.sum())), 20).is_nondecreasing


def test_scale_of_values_does_not_matter_to_the_check():
    for scale in (1e-200, 1e200):
        assert Cardinality(scale * np.sqrt(np.arange(6.0))).is_submodular
        assert not Cardinality(scale * np.arange(6.0) ** 2).is_submodular
        assert not SetFunction.from_callable(lambda m: scale * float(m.sum()) ** 2, 4).is_submodular  # noqa: B023


# Exact values


def test_exact_values_are_rational_arithmetic():
    target = [1, 1, 0, 1]
    assert Jaccard(target).exact_value([1, 0, 1, 0]) == Fraction(1, 2)
    third = Jaccard(target, [0.1, 1, 1, 1]).exact_value([1, 0, 0, 0])
    assert third == Fraction(0.1) / (Fraction(0.1) + 2)
    assert Tversky(target, 0.1, 1).exact_value([0, 0, 1, 0]) == Fraction(0.1) / (3 + Fraction(0.1))
    assert Modular([0.1, 0.2]).exact_value([1, 1]) == Fraction(0.1) + Fraction(0.2)
    assert Modular([0.1]).exact_value([0]) == 0
    exact = SetFunction.from_callable(lambda m: Fraction(int(m.sum()), 3), 2)
    assert exact.exact_value([1, 0]) == Fraction(1, 3)
    assert SetFunction.from_callable(lambda m: m.sum(), 2).exact_value([1, 1]) == 2
    assert SetFunction.from_callable(lambda m: np.float32(0.5) * m[0], 2).exact_value([1, 1]) == Fraction(
        1, 2
    )


# Construction


def test_cut_constructors():
    grid = Cut.grid((2, 3))
    pairs = [(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)]
    masks = all_masks(6)
    np.testing.assert_array_equal(grid(masks), Cut.from_edges(pairs)(masks))
    assert Cut.grid((5,))([1, 1, 0, 0, 1]) == 2
    doubled = Cut.from_edges([(0, 1), (1, 0), (0, 1)], [1.0, 2.0, 4.0], n=3)
    assert doubled([1, 0, 0]) == 7
    assert Cut.from_edges(np.empty((0, 2), int), n=2)([1, 0]) == 0
    image = np.arange(6.0) % 4
    order = np.argsort(-image, kind="stable")
    variation = (
        np.abs(np.diff(image.reshape(2, 3), axis=0)).sum() + np.abs(np.diff(image.reshape(2, 3))).sum()
    )
    assert grid.increments(order) @ image[order] == variation


@pytest.mark.parametrize(
    ("F", "text"),
    [
        (Jaccard([1, 0, 0]), "Jaccard(P=1, N=2)"),
        (Jaccard([1, 0], [1, 2]), "Jaccard(P=1, N=1, weighted)"),
        (Tversky([1, 0], 0.25, 2), "Tversky(alpha=0.25, beta=2, P=1, N=1)"),
        (Dice([1, 0]), "Dice(P=1, N=1)"),
        (Modular([1.0]), "Modular(n=1)"),
        (Cardinality([0, 1, 2]), "Cardinality(n=2)"),
        (Cut.grid((2, 2)), "Cut(n=4, edges=8)"),
        (Coverage([[1, 0, 1]]), "Coverage(n=1, items=3)"),
        (CountFunction(np.hypot, [1, 0]), "CountFunction(hypot, P=1, N=1)"),
        (SetFunction.from_callable(np.any, 3), "SetFunction.from_callable(any, n=3)"),
    ],
)
def test_repr_is_short(F, text):
    assert text in repr(F)


def test_inputs_are_neither_changed_nor_kept():
    target = np.array([True, False, True])
    weights = np.array([1.0, 2.0, 3.0])
    functions = [Jaccard(target, weights), Modular(weights), Tversky(target), Coverage(np.eye(3), weights)]
    before = [F([True, True, False]) for F in functions]
    target[:] = False
    weights[:] = 9
    assert [F([True, True, False]) for F in functions] == before

    def vandal(mask):
        count = mask.sum()
        mask[:] = True
        return float(count)

    mask = np.array([True, False])
    assert SetFunction.from_callable(vandal, 2)(mask) == 1
    assert mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Jaccard([]), ValueError, "target is empty; .* skip empty problems"),
        (
            lambda: Jaccard([[1, 0]]),
            ValueError,
            r"target has shape \(1, 2\), expected \(p,\); pass target.ravel",
        ),
        (lambda: Jaccard([1, 2]), ValueError, "target holds 2"),
        (lambda: Jaccard([1, 0], [1.0]), ValueError, r"weights has shape \(1,\), expected \(2,\)"),
        (lambda: Jaccard([1, 0], [1.0, 0.0]), ValueError, "weights must be > 0"),
        (lambda: Jaccard([1, 0], [1.0, np.nan]), ValueError, r"weights\[1\] is nan"),
        (lambda: Tversky([1, 0], alpha=-1), ValueError, "alpha is -1; it must be finite and ≥ 0"),
        (lambda: Tversky([1, 0], beta=np.inf), ValueError, "beta is inf"),
        (lambda: Tversky([1, 0], beta="x"), TypeError, "beta must be a number"),
        (lambda: Tversky([]), ValueError, "target is empty"),
        (lambda: Dice([]), ValueError, "target is empty"),
        (lambda: Modular([]), ValueError, "weights is empty"),
        (lambda: Modular([1.0, np.inf]), ValueError, r"weights\[1\] is inf"),
        (lambda: Modular([[1.0]]), ValueError, r"weights has shape \(1, 1\)"),
        (lambda: Modular(["a"]), TypeError, "weights must hold real numbers"),
        (lambda: Cardinality([0.0]), ValueError, "ground set .* is empty"),
        (lambda: Cardinality([1.0, 2.0]), ValueError, r"function\(0\) is 1.0, not 0; subtract it"),
        (lambda: Cardinality([0.0, np.nan]), ValueError, r"function\[1\] is nan"),
        (lambda: Cardinality(np.sqrt), ValueError, "n is missing"),
        (lambda: Cardinality(np.sqrt, 0), ValueError, "n is 0; a set function needs at least one element"),
        (lambda: Cardinality(np.sqrt, 2.5), TypeError, "n must be an integer, got 2.5"),
        (
            lambda: Cardinality([0, 1, 1], 3),
            ValueError,
            "n is 3, but function holds 3 values: it needs n . 1",
        ),
        (lambda: Cardinality(lambda k: 0.0, 2), ValueError, "wrap a scalar function with numpy.vectorize"),
        (lambda: Cardinality([[0, 1]]), ValueError, r"function has shape \(1, 2\)"),
        (lambda: Cut(np.empty((0, 0))), ValueError, "adjacency is empty"),
        (lambda: Cut(np.ones((2, 3))), ValueError, r"adjacency has shape \(2, 3\), expected \(n, n\)"),
        (lambda: Cut(np.ones(3)), ValueError, r"adjacency has shape \(3,\)"),
        (lambda: Cut([[0, -2.0], [1, 0]]), ValueError, r"adjacency\[0, 1\] is -2.0; weights must be ≥ 0"),
        (lambda: Cut([[0, np.nan], [1, 0]]), ValueError, "adjacency.* is nan"),
        (lambda: Cut([["a"]]), TypeError, "adjacency must hold real numbers"),
        (lambda: Cut.grid((3, 0)), ValueError, r"grid of shape \(3, 0\) is empty"),
        (lambda: Cut.from_edges([(0, 5)], n=3), ValueError, "elements from 0 to 5, outside 0, …, 2"),
        (lambda: Cut.from_edges([0, 1]), ValueError, r"edges has shape \(2,\)"),
        (lambda: Cut.from_edges([(0.0, 1.0)]), ValueError, "expected .m, 2. integers"),
        (
            lambda: Cut.from_edges([(0, 1)], [1.0, 2.0]),
            ValueError,
            r"weights has shape \(2,\), expected \(1,\)",
        ),
        (lambda: Cut.from_edges(np.empty((0, 2), int)), ValueError, "n is 0"),
        (lambda: Coverage(np.empty((0, 3))), ValueError, "memberships is empty"),
        (lambda: Coverage([1, 0]), ValueError, r"memberships has shape \(2,\), expected \(n, m\)"),
        (lambda: Coverage([[1, 3]]), ValueError, "memberships holds 3"),
        (
            lambda: Coverage([[1, 0]], [1.0]),
            ValueError,
            r"weights has shape \(1,\), expected \(2,\): one weight per item",
        ),
        (lambda: Coverage([[1]], [-1.0]), ValueError, "weights holds -1.0; weights of items must be ≥ 0"),
        (lambda: Coverage([[1]], [np.inf]), ValueError, r"weights\[0\] is inf"),
        (
            lambda: CountFunction(lambda a, b: a + b + 1, [1, 0]),
            ValueError,
            r"function\(0, 0\) is 1.0, not 0",
        ),
        (lambda: CountFunction(3, [1, 0]), TypeError, "function must be callable, got int"),
        (lambda: CountFunction(lambda a, b: 0.0, [1, 0]), ValueError, "must be vectorised"),
        (lambda: CountFunction(lambda a, b: a + 1j, [1]), TypeError, "function returns dtype complex128"),
        (
            lambda: CountFunction(lambda a, b: np.where(a > 0, np.nan, 0.0), [1])([1]),
            ValueError,
            r"\(1, 0\) is nan",
        ),
        (
            lambda: SetFunction.from_callable(lambda m: 1.0, 2),
            ValueError,
            "fn of the empty set is 1.0, not 0; subtract",
        ),
        (
            lambda: SetFunction.from_callable(lambda m: float("nan"), 2),
            ValueError,
            r"fn of the set \{\} is nan",
        ),
        (
            lambda: SetFunction.from_callable(lambda m: np.inf if m.all() else 0.0, 2)([1, 1]),
            ValueError,
            r"fn of the set \{0, 1\} is inf; every value must be finite",
        ),
        (
            lambda: SetFunction.from_callable(lambda m: "0", 2),
            TypeError,
            "is of type str; it must be a real number",
        ),
        (lambda: SetFunction.from_callable(lambda m: m * 1.0, 2), TypeError, "is of type ndarray"),
        (lambda: SetFunction.from_callable(lambda m: None, 2), TypeError, "is of type NoneType"),
        (
            lambda: SetFunction.from_callable(np.sum, 0),
            ValueError,
            "n is 0; a set function needs at least one",
        ),
        (lambda: SetFunction.from_callable(np.sum, 1.5), TypeError, "n must be an integer, got 1.5"),
        (lambda: SetFunction.from_callable(None, 2), TypeError, "fn must be callable, got NoneType"),
        (lambda: Jaccard([1, 0])([1, 0, 1]), ValueError, r"mask has shape \(3,\), expected \(..., 2\)"),
        (lambda: Jaccard([1, 0])(True), ValueError, r"mask has shape \(1,\)"),
        (lambda: Jaccard([1, 0])([2, 0]), ValueError, "mask holds 2"),
        (lambda: Jaccard([1, 0]).exact_value([[1, 0]]), ValueError, "pass one mask at a time"),
        (lambda: Jaccard([1, 0]).increments([0, 0]), ValueError, "not a permutation of 0, …, 1: it lacks 1"),
        (lambda: Jaccard([1, 0]).increments([0, 2]), ValueError, "it lacks 1"),
        (lambda: Jaccard([1, 0]).increments([0.0, 1.0]), ValueError, "expected 2 integers"),
        (lambda: Jaccard([1, 0]).increments([0]), ValueError, r"order has shape \(1,\)"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
