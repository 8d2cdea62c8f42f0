"""Cutting planes: the quadratic program of the model against CVXPY, and the solver with its certified gap."""

import importlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from risks import KINDS, assert_resumes, awkward, images

from lovasz_opt import problems, reference, solvers
from lovasz_opt.problems import Minorant
from lovasz_opt.solvers._cuts import Cuts

bundle = importlib.import_module("lovasz_opt.solvers.bundle")
EPSILON = np.finfo(np.float64).eps

long_images = partial(images, p=80)


def model_of(modulus, offsets, slopes):
    cuts = Cuts(modulus, Minorant(offsets[0], slopes[0]))
    for offset, slope in zip(offsets[1:], slopes[1:], strict=True):
        cuts.add(Minorant(offset, slope))
    return cuts, cuts.minimise()


def missing(modulus, offsets, slopes, minorant):
    """What the bound of an average of the cuts lacks at most: the model minus it, at its minimiser."""
    step = -minorant.slope / modulus
    return float((offsets + slopes @ step).max() - minorant.offset - minorant.slope @ step)


@pytest.mark.parametrize("seed", range(8))
def test_model_against_cvxpy(seed):
    cp = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(seed)
    k, d, modulus = int(rng.integers(2, 40)), int(rng.integers(1, 8)), 10.0 ** rng.uniform(-3, 1)
    slopes, offsets = rng.standard_normal((k, d)) + 0.5, rng.standard_normal(k)
    _, minorant = model_of(modulus, offsets, slopes)
    step = cp.Variable(d)
    objective = modulus / 2 * cp.sum_squares(step) + cp.max(offsets + slopes @ step)
    expected = cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL)
    bound = minorant.offset - minorant.slope @ minorant.slope / (2 * modulus)
    assert bound == pytest.approx(expected, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(
        -minorant.slope / modulus, step.value, atol=1e-3 * (1 + np.abs(step.value).max())
    )


@given(data=st.data())
def test_model_of_cuts_that_depend_on_each_other(data):
    """Small integers: duplicates, zeros and affine dependence at every turn, and ties between optima."""
    k, d = data.draw(st.integers(1, 25)), data.draw(st.integers(1, 5))
    entries = st.integers(-2, 2)
    slopes = np.array(data.draw(st.lists(st.lists(entries, min_size=d, max_size=d), min_size=k, max_size=k)))
    offsets = np.array(data.draw(st.lists(entries, min_size=k, max_size=k)), dtype=float)
    slopes = slopes * data.draw(st.sampled_from([1e-4, 1.0, 1e4]))
    modulus = data.draw(st.sampled_from([1e-3, 1.0]))
    # One by one, each from the solution before, as in the solver.
    cuts = Cuts(modulus, Minorant(offsets[0], slopes[0]))
    size = float((slopes**2).sum(axis=1).max() / modulus + np.abs(offsets).max())
    for m in range(1, k + 1):
        if m > 1:
            cuts.add(Minorant(offsets[m - 1], slopes[m - 1]))
        minorant = cuts.minimise()
        weights = cuts.state()["weights"]
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(weights @ slopes[:m], minorant.slope, atol=1e-14 * np.abs(slopes).max())
        assert missing(modulus, offsets[:m], slopes[:m], minorant) <= 1e-11 * size


@pytest.mark.parametrize("noise", [1.0, 1e-6])
def test_model_of_hundreds_of_cuts(noise):
    rng = np.random.default_rng(3)
    slopes = rng.standard_normal((300, 60)) + 0.2
    slopes[1::2] = slopes[::2] + noise * rng.standard_normal((150, 60))
    slopes = np.vstack([1e4 * slopes[:1], slopes])
    offsets = 0.1 * rng.random(301)
    cuts, minorant = model_of(1.0, offsets, slopes)
    assert missing(1.0, offsets, slopes, minorant) <= 1e-13 * 60
    active = int((cuts.state()["weights"] > 0).sum())
    assert 20 < active <= 61
    # Idle cuts are dropped after the second solution without weight, and nothing changes.
    cuts.forget(2)
    assert len(cuts) == 301
    cuts.minimise()
    cuts.forget(2)
    assert len(cuts) == active
    np.testing.assert_allclose(cuts.minimise().slope, minorant.slope, atol=1e-10)


def test_cuts_change_nothing_that_was_handed_out():
    rng = np.random.default_rng(1)
    cuts, _ = model_of(1.0, np.zeros(5), rng.standard_normal((5, 3)))
    state = cuts.state()
    kept = {name: array.copy() for name, array in state.items()}
    first = Cuts.restored(1.0, state)
    first.add(Minorant(5.0, np.ones(3)))
    after = first.minimise()
    np.testing.assert_array_equal(first.minimise().slope, after.slope)
    first.forget(1)
    for name, array in kept.items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("line_search", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_against_cvxpy(seed, line_search):
    pytest.importorskip("cvxpy")
    rng = np.random.default_rng(seed)
    features, targets = long_images(rng, n=3, p=25, d=3)
    l2 = 10.0 ** rng.uniform(-3, 0)
    expected = reference.solve_linear_hinge_risk(features, targets, l2)
    r = solvers.bundle(problems.LinearHingeRisk(features, targets, l2), line_search, tol=1e-10)
    assert r.status == "optimal"
    assert r.value == pytest.approx(expected.value, rel=1e-6)
    assert r.dual <= expected.value <= r.value * (1 + 1e-6)
    np.testing.assert_allclose(r.x, expected.x, atol=1e-2 * max(1.0, np.abs(r.x).max()))


@pytest.mark.parametrize("line_search", [True, False])
def test_prox_of_an_image(line_search):
    rng = np.random.default_rng(2)
    labels = np.where(rng.random((5, 8)) < 0.1, 255, rng.random((5, 8)) < 0.4)
    pb = problems.ImageProx(rng.standard_normal((5, 8)), labels, 20.0, ignore=255)
    exact = solvers.prox(pb)
    r = solvers.bundle(pb, line_search, tol=1e-8, max_iter=3000)
    assert r.status == "optimal"
    np.testing.assert_allclose(r.x, exact.x, atol=np.sqrt(2 * r.gap) + 1e-12)


def test_agrees_with_newton_within_their_gaps():
    pb = problems.LinearHingeRisk(*long_images(np.random.default_rng(3), n=10, p=400, d=12), l2=1e-3)
    newton = solvers.ssnal(pb, tol=1e-9)
    for patience in (1, 50):
        r = solvers.bundle(pb, patience=patience, tol=1e-6, max_iter=600)
        assert r.status == "optimal"
        assert max(r.dual, newton.dual) <= min(r.value, newton.value)
        assert (np.diff(r.trace["value"]) <= 0).all()


def test_the_line_search_saves_passes():
    pb = problems.LinearHingeRisk(*long_images(np.random.default_rng(4), n=5, p=300, d=10), l2=1e-3)
    with_search, without = (solvers.bundle(pb, flag, tol=1e-4, max_iter=2000) for flag in (True, False))
    assert with_search.status == without.status == "optimal"
    assert with_search.trace["passes"][-1] < 0.7 * without.trace["passes"][-1]
    # One product with the features and one with their transpose an iteration.
    np.testing.assert_allclose(np.diff(with_search.trace["passes"]), 2.0)


def test_a_poor_line_search_does_not_stall(monkeypatch):
    monkeypatch.setattr(bundle, "_TRIALS", 1)
    pb = problems.LinearHingeRisk(*long_images(np.random.default_rng(4), n=5, p=300, d=10), l2=1e-3)
    assert solvers.bundle(pb, tol=1e-5, max_iter=200).status == "optimal"


def test_a_run_in_parts_is_the_same_run(tmp_path):
    pb = problems.LinearHingeRisk(*long_images(np.random.default_rng(5)), l2=1e-3)
    for arguments in ({}, {"line_search": False, "patience": 3}):
        assert_resumes(partial(solvers.bundle, pb, **arguments, tol=0), tmp_path, 11, 25)


@pytest.mark.parametrize("line_search", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_problems(kind, line_search):
    pb = awkward(kind, np.random.default_rng(1), long_images, 1e-3)
    r = solvers.bundle(pb, line_search, tol=1e-7, max_iter=400)
    assert r.status == "optimal", r.message
    assert 0 <= r.gap <= max(1e-7 * r.value, 1e-14)
    assert r.value == pytest.approx(pb.value(r.x), rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_any_start(scale):
    rng = np.random.default_rng(2)
    pb = problems.LinearHingeRisk(*long_images(rng), l2=1e-2)
    r = solvers.bundle(pb, x0=scale * rng.standard_normal(4), tol=1e-8)
    assert r.status == "optimal"
    assert r.value == pytest.approx(solvers.ssnal(pb, tol=1e-10).value, rel=2e-8)


def test_bad_input():
    pb = awkward("one pixel", np.random.default_rng(1), long_images, 1e-3)
    with pytest.raises(ValueError, match="patience is 0; it must be ≥ 1"):
        solvers.bundle(pb, patience=0)
    assert solvers.bundle(pb, patience=1).status == "optimal"
    with pytest.raises(TypeError, match=r"bundle needs a problem with a value .* \('loss_and_subgradient'\)"):
        solvers.bundle(object())


def test_cuts_keep_count():
    """Products, weights and idle solutions of each cut, written out; the model in one variable, by hand."""
    assert Cuts(4.0, Minorant(1.0, np.array([2.0]))).state()["gram"].tolist() == [[1.0]]
    offsets, slopes = [0.0, 1.0, 0.5, -9.0], np.array([[0.0], [2.0], [-1.0], [0.5]])
    cuts = Cuts(4.0, Minorant(offsets[0], slopes[0]))
    idle = np.zeros(1, dtype=int)
    # The least value of 2w² plus the greatest cut: at 0, then at −½, then at −1/6 where the lines meet.
    for m, bound in enumerate((0.0, 0.5, 2 / 36 + 2 / 3, 2 / 36 + 2 / 3), 1):
        if m > 1:
            before = cuts.state()["weights"]
            cuts.add(Minorant(offsets[m - 1], slopes[m - 1]))
            np.testing.assert_array_equal(cuts.state()["weights"], [*before, 0.0])
            np.testing.assert_array_equal(cuts.state()["idle"], [*idle, 0])
            idle = np.append(idle, 0)
        minorant = cuts.minimise()
        assert minorant.offset - minorant.slope @ minorant.slope / 8 == pytest.approx(bound, abs=1e-14)
        state = cuts.state()
        np.testing.assert_array_equal(state["slopes"], slopes[:m])
        np.testing.assert_array_equal(state["offsets"], offsets[:m])
        np.testing.assert_allclose(state["gram"], slopes[:m] @ slopes[:m].T / 4.0, atol=1e-15)
        idle = np.where(state["weights"] > 0, 0, idle + 1)
        np.testing.assert_array_equal(state["idle"], idle)
        assert len(cuts) == m
    assert idle.tolist() == [3, 0, 0, 1]
    # Out of the model after as many solutions without weight as asked for, no earlier.
    for patience, left in ((4, [0, 1, 2, 3]), (3, [1, 2, 3]), (2, [1, 2, 3]), (1, [1, 2])):
        cuts.forget(patience)
        state = cuts.state()
        np.testing.assert_array_equal(state["slopes"], slopes[left])
        np.testing.assert_array_equal(state["offsets"], np.array(offsets)[left])
        np.testing.assert_allclose(state["gram"], slopes[left] @ slopes[left].T / 4.0, atol=1e-15)
        assert [len(state[name]) for name in ("weights", "idle")] == [len(left)] * 2


class Ray:
    """A point at t on a ray, where the objective is f and its slope df; counts how many are looked at."""

    looks = 0

    def __init__(self, f, df, t):
        self.f, self.df, self.t = f, df, t
        # Two scores for one variable: changes of scores must not be taken for those of the variable.
        self.x, self.scores, self.value = np.array([t]), np.array([3.0 * t, 1.0]), f(t)

    def towards(self, other, t):
        assert (self.t, other.t) == (0.0, 1.0)
        Ray.looks += 1
        return Ray(self.f, self.df, t)

    def slope(self, change, change_of_scores):
        assert (change.tolist(), change_of_scores.tolist()) == ([1.0], [3.0, 0.0])
        return self.df(self.t)


def search(f, df):
    here, there = Ray(f, df, 0.0), Ray(f, df, 1.0)
    Ray.looks = 0
    found = bundle._line_search(here, there)
    assert (found is here) == (found.t == 0.0)
    return found.t, Ray.looks


def test_the_line_search():
    def parabola(top):
        return lambda t: (t - top) ** 2, lambda t: 2 * (t - top)

    # The slope of a parabola is a line: the first secant is exact. The minimiser of the model costs nothing.
    assert search(*parabola(0.5)) == (0.5, 1)
    assert search(*parabola(3.0)) == (3.0, 3)
    # Flat enough at a tenth of the first slope, and there only.
    assert search(*parabola(1.05)) == (1.0, 0)
    assert search(*parabola(1.15)) == (1.15, 2)
    assert search(lambda t: max(-10 * t, t - 11), lambda t: -10.0 if t < 1 else 1.0) == (1.0, 0)
    # Six trials, each twice as far; the last one is the best.
    assert search(lambda t: -t, lambda t: -1.0) == (32.0, 5)
    # Of a plateau the nearest end.
    assert search(lambda t: max(1 - t, 0.0), lambda t: -1.0 if t <= 1 else 0.0) == (1.0, 1)
    # Where nothing falls, nothing is looked at.
    assert search(lambda t: t / 2, lambda t: 0.5) == (0.0, 0)
    assert search(lambda t: t * t, lambda t: 2 * t) == (0.0, 0)
    # A kink close by: every trial is worse than the start, which is kept.
    assert search(lambda t: max(-t, 1e9 * t - 1e-3), lambda t: -1.0 if t == 0 else 1e9)[0] == 0.0


@pytest.mark.parametrize("patience", [2, 50])
@pytest.mark.parametrize("trials", [6, 1, 0])
def test_an_iteration_is_what_it_says(trials, patience, monkeypatch):
    """Each from the memory of the one before: the model, the line, the cuts that are added and dropped."""
    rng, line_search = np.random.default_rng(1), trials > 0
    monkeypatch.setattr(bundle, "_TRIALS", trials)
    features, targets = images(rng, n=3, p=60, d=8, noise=0.6)
    center = rng.standard_normal(8)
    pb = problems.LinearHingeRisk(features, targets, 0.01).batch(range(3), center=center)

    def cut_at(v):
        return pb.linearise(v)[2]

    start = rng.standard_normal(8)
    r = solvers.bundle(pb, line_search, patience, x0=start, tol=0, max_iter=0)
    first = r.state["memory"]["cuts"]
    # The loss is ≥ 0, and touched at the start.
    np.testing.assert_allclose(first["offsets"], [0, cut_at(start).offset], atol=1e-12)
    np.testing.assert_allclose(first["slopes"], [np.zeros(8), cut_at(start).slope], atol=1e-12)
    added, dropped = [], 0
    for k in range(1, 20):
        old = r.state["memory"]
        cuts = Cuts.restored(pb.strong_convexity, old["cuts"])
        model = cuts.minimise()
        size = len(cuts)
        cuts.forget(patience)
        dropped += size - len(cuts)
        there = center - model.slope / 0.01
        r = solvers.bundle(pb, line_search, patience, tol=0, max_iter=k, resume=r)
        assert r.nit == k
        new, here = r.state["memory"], r.state["memory"]["x"]
        bound = pb.lower_bound(model)
        # What earlier cuts have proved stays proved when they are dropped.
        assert bound <= r.dual * (1 + 1e-12)
        assert patience == 2 or r.dual == pytest.approx(bound, rel=1e-9)
        np.testing.assert_allclose(new["scores"], pb.apply(here), atol=1e-10)
        expected = []
        if line_search:
            # On the ray, no higher than at either end, and near a minimum on it.
            along = there - old["x"]
            t = (here - old["x"]) @ along / (along @ along)
            np.testing.assert_allclose(here, old["x"] + t * along, atol=1e-10)
            assert pb.value(here) <= min(pb.value(old["x"]), pb.value(there)) + 1e-12
            if trials == 6:
                least = min(pb.value(old["x"] + step * along) for step in np.linspace(0, 2, 201))
                assert pb.value(here) - least <= 0.1 * (pb.value(old["x"]) - least) + 1e-6
            # A tenth of the way that is left, beyond it.
            expected.append(cut_at(here + 0.1 * (there - here)))
            height = pb.quadratic(there) + expected[0].offset + expected[0].slope @ (there - center)
            second = height < (bound + pb.value(here)) / 2
        else:
            np.testing.assert_allclose(here, there, atol=1e-10)
            second = True
        if second:
            expected.append(cut_at(there))
        added.append(len(expected))
        np.testing.assert_allclose(
            new["cuts"]["offsets"], [*cuts.offsets, *(c.offset for c in expected)], atol=1e-9
        )
        np.testing.assert_allclose(
            new["cuts"]["slopes"], [*cuts.slopes, *(c.slope for c in expected)], atol=1e-9
        )
    # A search that ends early falls short of the minimum at times.
    assert set(added) == ({1, 2} if trials == 1 else {1})
    assert (dropped > 0) == (patience == 2)
