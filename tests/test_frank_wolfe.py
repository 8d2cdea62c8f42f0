"""Block-coordinate Frank-Wolfe on the dual: certified, monotone, and the same run for the same seed."""

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
