"""Block-coordinate Frank-Wolfe on the dual: certified, monotone, and the same run for the same seed."""

import importlib
from functools import partial

import numpy as np
import pytest
from risks import KINDS, assert_certified, assert_finds, assert_resumes, awkward, images, interrupted

from lovasz_opt import problems, reference, solvers

SAMPLINGS = ["gap", "permutation", "uniform"]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("average", [None, "weighted"])
def test_against_cvxpy(sampling, average):
    pytest.importorskip("cvxpy")
    features, targets = images(np.random.default_rng(0), n=3, p=25, d=3)
    expected = reference.solve_linear_hinge_risk(features, targets, 0.1)
    pb = problems.LinearHingeRisk(features, targets, 0.1)
    r = solvers.frank_wolfe(pb, sampling, average, tol=1e-3, max_iter=600)
    assert_finds(r, expected, 0.1)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_visit_raises_the_bound(sampling):
    """The bound is that of the dual point, so it is close to the optimum only if all blocks are right."""
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(1)), l2=0.05)
    newton = solvers.ssnal(pb, tol=1e-9)
    r = solvers.frank_wolfe(pb, sampling, tol=0, max_iter=150)
    memory = r.state["memory"]
    dual = problems.Minorant(memory["offsets"].sum(), memory["slopes"].sum(axis=0))
    bound = pb.lower_bound(dual)
    assert 0.98 * newton.value < bound <= r.dual * (1 + 1e-12) <= newton.value
    np.testing.assert_allclose(bound, r.dual, rtol=1e-2)
    # Kept per image: each pair is a minorant of that image's part of the loss.
    rng = np.random.default_rng(2)
    for v in rng.standard_normal((5, 4)):
        for i in range(pb.n_images):
            part = pb.batch([i], l2=pb.strong_convexity)
            loss = (part.value(v) - part.quadratic(v)) / pb.n_images
            assert memory["offsets"][i] + memory["slopes"][i] @ v <= loss + 1e-12


def test_one_image_is_frank_wolfe():
    """One block: the step is the exact line search on the dual, done here on a grid."""
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(3), n=1), l2=0.05)
    before, after = (solvers.frank_wolfe(pb, tol=0, max_iter=k).state["memory"] for k in (3, 4))
    old = problems.Minorant(before["offsets"][0], before["slopes"][0])
    target = pb.linearise(pb.minimiser_of_bound(old))[2]
    grid = [
        problems.Minorant(
            old.offset + t * (target.offset - old.offset), old.slope + t * (target.slope - old.slope)
        )
        for t in np.linspace(0, 1, 2001)
    ]
    new = problems.Minorant(after["offsets"][0], after["slopes"][0])
    best = max(pb.lower_bound(minorant) for minorant in grid)
    assert pb.lower_bound(old) < best <= pb.lower_bound(new) <= best * (1 + 1e-3)


def test_averages_help_early():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(4), n=12, p=200, d=10), l2=1e-3)
    plain, mean = (solvers.frank_wolfe(pb, average=a, tol=0, max_iter=20) for a in (None, "weighted"))
    assert mean.trace["value"][-1] < plain.trace["value"][-1]
    np.testing.assert_allclose(mean.dual, plain.dual, rtol=1e-12)
    # A product with A and one with its transpose, image by image, and one for the value.
    np.testing.assert_allclose(np.diff(plain.trace["passes"]), 3.0)


def test_a_center_that_is_not_zero():
    rng = np.random.default_rng(5)
    pb = problems.LinearHingeRisk(*images(rng), l2=0.05).batch([0, 2, 2, 5], center=rng.standard_normal(4))
    r = solvers.frank_wolfe(pb, tol=1e-2, max_iter=500)
    newton = solvers.ssnal(pb, tol=1e-9)
    assert r.status == "optimal"
    assert r.dual <= newton.value <= r.value
    assert newton.dual <= r.value


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_run_in_parts_is_the_same_run(sampling, tmp_path):
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(6)), l2=1e-2)
    solve = partial(solvers.frank_wolfe, pb, sampling, seed=3, tol=0)
    whole, rest = assert_resumes(solve, tmp_path, 5, 12, ("value", "dual"))
    np.testing.assert_array_equal(rest.state["memory"]["slopes"], whole.state["memory"]["slopes"])
    other = solvers.frank_wolfe(pb, sampling, seed=4, tol=0, max_iter=12)
    assert other.dual != whole.dual


def test_the_same_seed_is_the_same_run_and_an_interrupt_keeps_what_was_found():
    pb = problems.LinearHingeRisk(*images(np.random.default_rng(7)), l2=1e-2)
    x0 = np.full(4, 0.25)
    x0.flags.writeable = False
    first, second = (solvers.frank_wolfe(pb, seed=1, x0=x0, tol=0, max_iter=9) for _ in range(2))
    assert first.trace["value"][0] == pytest.approx(pb.value(x0), rel=1e-12)
    for column in ("value", "best", "dual", "gap"):
        np.testing.assert_array_equal(first.trace[column], second.trace[column])

    part = interrupted(partial(solvers.frank_wolfe, pb, seed=1, x0=x0, tol=0), 5)
    np.testing.assert_array_equal(part.trace["dual"], first.trace["dual"][:6])
    assert part.value == pytest.approx(pb.value(part.x), rel=1e-12)
    stopped = solvers.frank_wolfe(pb, seed=1, x0=x0, tol=0, callback=lambda state: state.iteration == 2)
    assert (stopped.status, stopped.nit) == ("stopped", 2)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, sampling):
    pb = awkward(kind, np.random.default_rng(1))
    r = solvers.frank_wolfe(pb, sampling, tol=1e-4, max_iter=60)
    assert r.status in ("optimal", "max_iter")
    assert_certified(r, solvers.ssnal(pb, tol=1e-9))
    if kind in ("zero features", "one pixel", "all void"):
        assert r.status == "optimal"


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1))
    with pytest.raises(ValueError, match="sampling is 'all'; choose one of gap, permutation, uniform"):
        solvers.frank_wolfe(pb, "all")
    with pytest.raises(ValueError, match="average is 'uniform'; choose None or weighted"):
        solvers.frank_wolfe(pb, average="uniform")
    with pytest.raises(ValueError, match="seed is -1; it must be an integer ≥ 0"):
        solvers.frank_wolfe(pb, seed=-1)
    with pytest.raises(
        TypeError,
        match=r"frank_wolfe needs a problem with images that can be looked at one by one \('batch'\); "
        "ImageProx has none",
    ):
        solvers.frank_wolfe(problems.ImageProx([0.5, 1.0], [1, 0], 1.0))


def textbook(features, targets, l2, center, sampling, seed, start, passes):
    """Lacoste-Julien et al. 2013, algorithm 4, with the gap sampling of Osokin et al. 2016; all visits."""
    rng, n = np.random.default_rng(seed), len(features)
    parts = [problems.LinearHingeRisk([X], [t], l2) for X, t in zip(features, targets, strict=True)]

    def oracle(i, v):
        """The loss of image i is ≥ a + ⟨s, w⟩ for all w, with equality at v."""
        value, g = parts[i].value_and_subgradient(v)
        s = (g - l2 * v) / n
        return (value - l2 / 2 * v @ v) / n - s @ v, s

    a, s = (np.array(column) for column in zip(*(oracle(i, start) for i in range(n)), strict=True))
    # The best multiple of the whole in [0, 1], in the dual of step = v − v₀.
    share = np.clip(l2 * np.sum(a + s @ center) / np.sum(s.sum(axis=0) ** 2), 0, 1)
    a, s, gaps = share * a, share * s, np.full(n, np.inf)
    yield a.copy(), s.copy(), gaps.copy()
    for _ in range(passes):
        if sampling == "uniform":
            order = rng.integers(n, size=n)
        elif sampling == "permutation" or np.isinf(gaps).any():
            order = rng.permutation(n)
        else:
            order = rng.choice(n, size=n, p=0.1 / n + 0.9 * gaps / gaps.sum())
        for i in order:
            v = center - s.sum(axis=0) / l2
            offset, slope = oracle(i, v)
            gaps[i] = max(offset - a[i] + (slope - s[i]) @ v, 0.0)
            length = np.sum((slope - s[i]) ** 2)
            step = min(l2 * gaps[i] / length, 1.0) if length else 0.0
            a[i], s[i] = (1 - step) * a[i] + step * offset, (1 - step) * s[i] + step * slope
            yield a.copy(), s.copy(), gaps.copy()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("average", [None, "weighted"])
def test_is_what_it_says(sampling, average):
    features, targets = images(np.random.default_rng(8), n=5, p=30, noise=1.0)
    center, start = np.array([0.5, -1.0, 0.0, 2.0]), np.array([1.0, 0.5, -0.5, 0.0])
    pb = problems.LinearHingeRisk(features, targets, 0.3).batch(range(5), center=center)
    seen = []
    r = solvers.frank_wolfe(
        pb, sampling, average, 7, x0=start, tol=0, max_iter=6,
        callback=lambda state: seen.append((state.x.copy(), state.value, state.dual)),
    )  # fmt: skip
    visited = list(textbook(features, targets, 0.3, center, sampling, 7, start, 6))
    history = [s.sum(axis=0) for _, s, _ in visited]
    bounds = [pb.lower_bound(problems.Minorant(np.sum(a + s @ center), s.sum(axis=0))) for a, s, _ in visited]
    assert (np.diff(bounds) >= -1e-12).all()
    assert seen[0][1] == pytest.approx(pb.value(start), rel=1e-12)
    for k, (x, value, dual) in enumerate(seen[1:], 1):
        # The mean of the start with weight 1 and of visit j with weight j + 1.
        visits = 5 * k + 1
        weights = 1 + np.arange(visits) if average else np.eye(visits)[-1]
        mean = np.average(history[:visits], axis=0, weights=weights)
        np.testing.assert_allclose(x, center - mean / 0.3, rtol=1e-8, atol=1e-8)
        assert value == pytest.approx(pb.value(x), rel=1e-12)
        assert bounds[visits - 1] <= dual * (1 + 1e-12)
    memory, (a, s, gaps) = r.state["memory"], visited[-1]
    np.testing.assert_allclose(memory["slopes"], s, atol=1e-9)
    np.testing.assert_allclose(memory["offsets"], a + s @ center, atol=1e-9)
    np.testing.assert_allclose(memory["gaps"], gaps, atol=1e-9)
    assert memory["steps"] == 30


def test_the_step_is_that_of_the_parabola():
    step = importlib.import_module("lovasz_opt.solvers.frank_wolfe")._step
    given = [(-1.0, 2.0), (0.0, 2.0), (0.0, 0.0), (0.5, 2.0), (1.5, 2.0), (2.0, 2.0), (3.0, 2.0), (1.0, 0.0)]
    assert [step(*arguments) for arguments in given] == [0.0, 0.0, 0.0, 0.25, 0.75, 1.0, 1.0, 1.0]


def test_gap_sampling_needs_gaps():
    order = importlib.import_module("lovasz_opt.solvers.frank_wolfe")._order
    for gaps in (np.zeros(4), np.array([0.0, np.inf, 1.0, 2.0])):
        assert sorted(order("gap", gaps, np.random.default_rng(1))) == [0, 1, 2, 3]
    # Small gaps are gaps: nine tenths of the visits go to the image that has one, and its share of the rest.
    rng = np.random.default_rng(1)
    visits = np.concatenate([order("gap", np.array([0.0, 1e-9, 0.0, 0.0]), rng) for _ in range(500)])
    shares = np.bincount(visits, minlength=4) / 2000
    np.testing.assert_allclose(shares, [0.025, 0.925, 0.025, 0.025], atol=0.015)
