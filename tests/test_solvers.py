"""Solvers: the optimum of independent references, certified gaps, limits, interrupts and refusals."""

import inspect
import time

import numpy as np
import pytest

from lovasz_opt import problems, reference, solvers
from lovasz_opt.datasets import shapes
from lovasz_opt.solvers.result import TRACE_COLUMNS
from lovasz_opt.solvers.toolkit import drive, require


def small_risk(seed, l2=0.05):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    sizes = rng.integers(5, 60, size=3)
    truth = rng.standard_normal(d)
    features = [rng.standard_normal((p, d)) for p in sizes]
    targets = [(X @ truth + rng.standard_normal(len(X)) > 0.5).astype(int) for X in features]
    return features, targets, l2


def image_prox(seed, p=60):
    rng = np.random.default_rng(seed)
    return problems.ImageProx(
        rng.standard_normal(p), rng.random(p) < 0.4, gamma=float(10 ** rng.uniform(0, 2))
    )


def linear_risk(n=3, size=16, l2=1e-2):
    data = shapes(n=n, size=size, seed=1)
    return problems.LinearHingeRisk(data.features, data.targets, l2)


@pytest.mark.parametrize("seed", range(6))
def test_admm_finds_the_optimum_of_the_reference(seed):
    pytest.importorskip("cvxpy")
    features, targets, l2 = small_risk(seed)
    expected = reference.solve_linear_hinge_risk(features, targets, l2)
    pb = problems.LinearHingeRisk(features, targets, l2)
    result = solvers.admm(pb, tol=1e-8, max_iter=20_000)
    assert result.status == "optimal"
    assert 0 <= result.gap <= 1e-8 * result.value
    assert pb.value(expected.x) == pytest.approx(result.value, rel=1e-6)
    # ½μ‖v − v*‖² ≤ gap, for both points.
    radius = sum(np.sqrt(2 * gap / l2) for gap in (result.gap, pb.value(expected.x) - result.dual))
    assert np.linalg.norm(result.x - expected.x) <= radius


@pytest.mark.parametrize("seed", range(6))
def test_proximal_methods_find_the_prox_of_the_reference(seed):
    pytest.importorskip("cvxpy")
    pb = image_prox(seed, p=30)
    expected = reference.solve_image_prox(pb.center, pb._signs > 0, pb.gamma)
    for solve in (solvers.prox, solvers.proximal_gradient, solvers.admm):
        result = solve(pb, tol=1e-11)
        assert result.status == "optimal"
        assert 0 <= result.gap <= 1e-11 * result.value
        np.testing.assert_allclose(result.x, expected.x, atol=2e-5)


@pytest.mark.parametrize("rule", ["constant", "sqrt", "strong", "polyak"])
@pytest.mark.parametrize("average", [None, "uniform", "weighted"])
def test_subgradient_rules_close_in_on_the_optimum(rule, average):
    size = {"constant": 0.02, "sqrt": 0.3, "strong": 1.0, "polyak": 1.0}[rule]
    for pb in (image_prox(3), linear_risk(l2=0.5)):
        optimum = solvers.admm(pb, tol=1e-9, max_iter=5000)
        assert optimum.status == "optimal"
        result = solvers.subgradient(pb, rule, size, average, max_iter=400)
        assert optimum.dual <= result.value <= optimum.value * 1.02
        assert optimum.value >= result.dual > 0
        assert result.gap < 0.5 * result.trace["gap"][0]


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("relaxation", [1.0, 1.6])
def test_admm_variants_agree(adapt, relaxation):
    pb = linear_risk()
    result = solvers.admm(pb, adapt=adapt, over_relaxation=relaxation, tol=1e-7, max_iter=5000)
    best = solvers.admm(pb, tol=1e-9, max_iter=20_000)
    assert result.status == best.status == "optimal"
    assert abs(result.value - best.value) <= result.gap + best.gap


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_admm_recovers_from_a_bad_penalty(factor):
    pb = linear_risk()
    g = pb.loss_and_subgradient(pb.apply(pb.center))[1]
    rho = factor * float(np.linalg.norm(g)) / np.sqrt(g.size)
    assert solvers.admm(pb, rho=rho, tol=1e-5, max_iter=1000).status == "optimal"
    assert solvers.admm(pb, rho=rho, adapt=False, tol=1e-5, max_iter=1000).status == "max_iter"


ALL = [
    (solvers.subgradient, "risk"), (solvers.admm, "risk"), (solvers.subgradient, "image"),
    (solvers.admm, "image"), (solvers.prox, "image"), (solvers.proximal_gradient, "image"),
    (solvers.bundle, "risk"), (solvers.bundle, "image"), (solvers.frank_wolfe, "risk"),
    (solvers.pdhg, "risk"), (solvers.pdhg, "image"), (solvers.fista, "risk"),
    (solvers.moreau, "risk"), (solvers.moreau, "image"),
    (solvers.stochastic_subgradient, "risk"), (solvers.adam, "risk"),
    (solvers.stochastic_proximal_point, "risk"),
]  # fmt: skip


def make(kind):
    return linear_risk(l2=0.1) if kind == "risk" else image_prox(1)


@pytest.mark.parametrize(("solve", "kind"), ALL)
def test_results_and_traces_are_consistent(solve, kind):
    pb = make(kind)
    result = solve(pb, max_iter=25, tol=1e-6)
    assert result.x.shape == pb.shape
    assert result.value == pytest.approx(pb.value(result.x), rel=1e-12)
    assert result.gap == result.value - result.dual >= 0
    assert result.success == (result.status == "optimal") == (result.relative_gap <= 1e-6)
    trace = result.trace
    assert tuple(trace) == TRACE_COLUMNS
    np.testing.assert_array_equal(trace["iteration"], np.arange(result.nit + 1))
    np.testing.assert_array_equal(trace["best"], np.minimum.accumulate(trace["value"]))
    np.testing.assert_array_equal(trace["gap"], trace["best"] - trace["dual"])
    assert (np.diff(trace["dual"]) >= 0).all()
    assert (np.diff(trace["seconds"]) >= 0).all()
    assert (trace["best"][-1], trace["dual"][-1]) == (result.value, result.dual)
    assert trace["value"][0] == pytest.approx(pb.value(pb.center.reshape(pb.shape)), rel=1e-12)


@pytest.mark.parametrize(("solve", "kind"), ALL)
def test_solvers_are_deterministic_and_leave_inputs_alone(solve, kind):
    pb = make(kind)
    x0 = np.full(pb.shape, 0.25)
    x0.flags.writeable = False
    first, second = solve(pb, max_iter=10, x0=x0), solve(pb, max_iter=10, x0=x0)
    np.testing.assert_array_equal(first.x, second.x)
    for column in set(TRACE_COLUMNS) - {"seconds"}:
        np.testing.assert_array_equal(first.trace[column], second.trace[column])
    assert first.trace["value"][0] == pytest.approx(pb.value(x0), rel=1e-12)


@pytest.mark.parametrize(("solve", "kind"), ALL)
def test_an_interrupt_returns_what_was_found(solve, kind):
    pb, last = make(kind), 0 if solve is solvers.prox else 5

    def interrupt(state):
        if state.iteration == last:
            raise KeyboardInterrupt

    result = solve(pb, callback=interrupt, tol=0, max_iter=50)
    assert result.status == "interrupted"
    assert result.nit == last
    assert result.value == pytest.approx(pb.value(result.x), rel=1e-12)
    assert not result.success


def test_an_interrupt_inside_the_problem_returns_what_was_found(monkeypatch):
    pb, calls = linear_risk(), []
    original = pb.prox_loss

    def prox_loss(scores, gamma):
        calls.append(gamma)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(scores, gamma)

    monkeypatch.setattr(pb, "prox_loss", prox_loss)
    result = solvers.admm(pb, tol=0)
    assert (result.status, result.nit) == ("interrupted", 3)


@pytest.mark.parametrize(("solve", "kind"), ALL)
def test_callbacks_stop(solve, kind):
    seen = []
    result = solve(make(kind), callback=lambda state: seen.append(state) or len(seen) == 2, tol=0, max_iter=9)
    assert (result.status, result.nit, len(seen)) == ("stopped", 1, 2)
    state = seen[-1]
    assert (state.best, state.dual, state.gap) == (result.value, result.dual, result.gap)
    assert state.relative_gap == result.relative_gap
    with pytest.raises(ValueError, match="read-only"):
        state.x[...] = 0
    result.x[...] = 0


def test_limits():
    pb = linear_risk()
    assert solvers.subgradient(pb, max_iter=7).nit == 7
    assert solvers.subgradient(pb, max_iter=0).nit == 0
    timed = solvers.subgradient(pb, max_time=0.05, max_iter=10**6)
    assert timed.status == "max_time"
    assert 0.05 <= timed.trace["seconds"][-1] < 1.0
    loose = solvers.admm(pb, tol=0.5)
    assert loose.status == "optimal"
    assert loose.trace["gap"][-2] > 0.5 * loose.trace["best"][-2]


def test_time_in_callbacks_is_not_counted():
    pb = linear_risk(n=1, size=8)

    result = solvers.subgradient(pb, max_iter=10, callback=lambda state: time.sleep(0.02))
    assert result.trace["seconds"][-1] < 0.1


def test_a_step_that_is_too_long_is_reported():
    result = solvers.subgradient(image_prox(0), "constant", 100.0, max_iter=10_000)
    assert result.status == "diverged"
    assert "shorter step" in result.message
    assert np.isfinite(result.value)
    assert result.gap >= 0


def test_an_infinite_objective_is_not_optimal():
    """The start is finite, its objective is not: no tolerance makes a gap of ∞ a solution."""
    pb = problems.LinearHingeRisk([[[1.0], [2.0]]], [[1, 0]], l2=1e300)
    for solve in (solvers.subgradient, solvers.admm, solvers.stochastic_subgradient):
        with np.errstate(over="ignore"):
            result = solve(pb, x0=[1e10], max_iter=5)
        assert (result.status, result.nit, result.gap) == ("diverged", 0, np.inf)


def test_proximal_gradient_with_unit_step_is_the_exact_prox():
    pb = image_prox(5)
    result = solvers.proximal_gradient(pb, 1.0, x0=np.ones(60), tol=1e-12)
    assert (result.status, result.nit) == ("optimal", 1)
    np.testing.assert_allclose(result.x, solvers.prox(pb).x, atol=1e-14)


def test_a_prox_in_two_parts_is_one_prox():
    pb, x0 = image_prox(5), np.ones(60)
    start = solvers.prox(pb, x0=x0, max_iter=0)
    assert (start.status, start.nit, start.value) == ("max_iter", 0, pb.value(x0))
    rest, whole = (solvers.prox(pb, x0=x0, tol=1e-12, resume=part) for part in (start, None))
    assert (rest.status, rest.nit) == ("optimal", 1)
    for column in ("value", "dual", "passes"):
        np.testing.assert_array_equal(rest.trace[column], whole.trace[column])


def test_separable_duplicated_and_one_class_images():
    X = np.array([[1.0, 1.0, 2.0], [1.0, 1.0, -2.0], [1.0, 1.0, 1.5]])
    for targets in ([[1, 0, 1], [1, 0, 1]], [[0, 0, 0], [0, 0, 0]], [[1, 1, 1], [0, 0, 0]]):
        result = solvers.admm(problems.LinearHingeRisk([X, X], targets, l2=1e-2), tol=1e-7, max_iter=20_000)
        assert result.status == "optimal", targets


def test_all_void_is_solved_at_the_start():
    X = np.ones((3, 2))
    pb = problems.LinearHingeRisk([X], [[255, 255, 255]], ignore=255)
    for solve in (solvers.admm, solvers.subgradient):
        result = solve(pb)
        assert (result.status, result.value, result.nit) == ("optimal", 0.0, 0)
    image = problems.ImageProx([1.0, 2.0], [255, 255], 1.0, ignore=255)
    np.testing.assert_array_equal(solvers.prox(image, x0=[0.0, 0.0]).x, [1.0, 2.0])


def test_a_wrong_prox_is_caught_by_its_certificate(monkeypatch):
    pb = linear_risk()
    original = pb.prox_loss
    monkeypatch.setattr(pb, "prox_loss", lambda scores, gamma: original(scores, 1.5 * gamma))
    with pytest.raises(ArithmeticError, match=r"the lower bound .* exceeds the objective"):
        solvers.admm(pb, tol=1e-12, max_iter=3000)


def test_solvers_say_which_property_is_missing():
    pb = linear_risk()
    with pytest.raises(TypeError, match=r"prox needs a problem with a solution that is a single prox"):
        solvers.prox(pb)
    with pytest.raises(TypeError, match=r"proximal_gradient needs .* \('prox'\); LinearHingeRisk has none"):
        solvers.proximal_gradient(pb)
    for solve in (solvers.admm, solvers.subgradient):
        with pytest.raises(TypeError, match="object has none"):
            solve(object())


@pytest.mark.parametrize("name", sorted(set(solvers.__all__) - {"Result", "State"}))
def test_every_solver_refuses_what_is_no_problem(name):
    with pytest.raises(TypeError, match=rf"^{name} needs a problem with .*; object has none"):
        getattr(solvers, name)(object())


def test_a_solver_of_ones_own_may_need_what_no_solver_here_does():
    with pytest.raises(
        TypeError, match=r"mine needs a problem with one more property \('hessian'\); object has"
    ):
        require("mine", object(), "hessian")


BAD = [
    (
        solvers.subgradient,
        {"step": "newton"},
        "step is 'newton'; choose one of constant, sqrt, strong, polyak",
    ),
    (solvers.subgradient, {"average": "all"}, "average is 'all'; choose None, uniform or weighted"),
    (solvers.subgradient, {"step_size": -1.0}, "step_size is -1.0; it must be finite and > 0"),
    (solvers.subgradient, {"tol": -1.0}, "tol is -1.0; it must be finite and ≥ 0"),
    (solvers.subgradient, {"tol": np.nan}, "tol is nan"),
    (solvers.subgradient, {"tol": np.inf}, "tol is inf; it must be finite"),
    (solvers.subgradient, {"max_iter": -1}, "max_iter is -1; it must be ≥ 0"),
    (solvers.subgradient, {"max_time": 0.0}, "max_time is 0.0; it must be > 0 seconds"),
    (solvers.admm, {"rho": 0.0}, "rho is 0.0; it must be finite and > 0"),
    (solvers.admm, {"over_relaxation": 0.0}, "over_relaxation is 0.0; it must lie strictly between 0 and 2"),
    (solvers.admm, {"over_relaxation": 2.0}, "over_relaxation is 2.0; it must lie strictly between 0 and 2"),
    (solvers.admm, {"x0": np.zeros(3)}, r"x0 has shape \(3,\), expected \(4,\): one entry per variable"),
    (solvers.admm, {"x0": np.full(4, np.nan)}, "x0 holds NaN or infinite entries"),
    (solvers.admm, {"x0": [10**400, 0, 0, 0]}, "x0 holds an integer beyond the range of floats"),
    (solvers.admm, {"x0": np.full(4, -1e160)}, r"x0 has entries up to 1e\+160, whose squares overflow"),
]


@pytest.mark.parametrize(("solve", "arguments", "message"), BAD)
def test_bad_arguments_are_refused(solve, arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(linear_risk(n=1, size=8), **arguments)


def test_proximal_gradient_refuses_long_steps():
    with pytest.raises(ValueError, match=r"step_size is 2\.0; it must be below 2"):
        solvers.proximal_gradient(image_prox(0), 2.0)


#: What solvers do without further arguments. Runs that others have published depend on it.
LIMITS = {"tol": 1e-6, "max_iter": 1000, "max_time": None, "callback": None, "x0": None, "resume": None}
EPOCHS = LIMITS | {"max_iter": 100}
STOCHASTIC = {"step": "sqrt", "step_size": None, "batch": 1}
DEFAULTS = {
    # β₁, β₂ and ε are those of Kingma and Ba.
    "adam": STOCHASTIC | {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "seed": 0} | EPOCHS,
    "admm": {"rho": None, "adapt": True, "over_relaxation": 1.6} | LIMITS,
    "bundle": {"line_search": True, "patience": 50} | LIMITS,
    "fista": {"backtracking": True, "restart": True} | LIMITS,
    "frank_wolfe": {"sampling": "gap", "average": "weighted", "seed": 0} | LIMITS,
    "moreau": {"gamma": None, "precondition": True, "continuation": True} | LIMITS,
    "pdhg": {"sigma": None, "accelerate": False, "precondition": True, "adapt": True} | LIMITS,
    "prox": LIMITS | {"max_iter": 1},
    "proximal_gradient": {"step_size": 0.5} | LIMITS,
    "ssnal": {"sigma": None} | LIMITS | {"tol": 1e-8},
    "stochastic_proximal_point": STOCHASTIC
    | {"average": None, "accuracy": 0.1, "inner": "cuts", "seed": 0}
    | EPOCHS,
    "stochastic_subgradient": STOCHASTIC
    | {"momentum": 0.0, "nesterov": False, "average": None, "seed": 0}
    | EPOCHS,
    "subgradient": {"step": None, "step_size": 1.0, "average": None} | LIMITS,
}


def test_every_solver_has_its_defaults_written_down():
    assert set(DEFAULTS) == set(solvers.__all__) - {"Result", "State"}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_and_the_order_of_arguments(name):
    solve = getattr(solvers, name)
    pb, *rest = inspect.signature(solve).parameters.values()
    assert pb.name == "pb"
    assert {parameter.name: parameter.default for parameter in rest} == DEFAULTS[name]
    assert [parameter.name for parameter in rest] == list(DEFAULTS[name])
    assert [p.name for p in rest if p.kind is p.KEYWORD_ONLY] == list(LIMITS)
    # They are accepted, and no iteration is no more than a look at the start.
    start = solve(make("image" if name.startswith("prox") else "risk"), max_iter=0)
    assert (start.status, start.nit, len(start.trace["value"])) == ("max_iter", 0, 1)


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_solver_refuses_what_lacks_everything(name):
    with pytest.raises(TypeError, match=rf"{name} needs a problem with .*; object has none"):
        getattr(solvers, name)(object())


def test_rounding_of_subnormal_objectives_is_forgiven():
    """The lower bound of such an objective may exceed it by a share that is large and means nothing."""
    pb = problems.ImageProx(np.full(6, 1 + 2.0**-52), [0, 0, 1, 0, 1, 1], 1.9681e-319)

    def iterates(bound, memory):
        x = pb.center
        while True:
            value, slope, minorant = pb.linearise(x)
            yield x, value, minorant
            x = x - 0.1 * slope

    result = drive("descent", pb, iterates, tol=0.0, max_iter=3, max_time=None, callback=None)
    assert 0 <= result.gap < 1e-300


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scale", [1e155, 1e200, 1e300])
@pytest.mark.parametrize(
    "name", sorted({*solvers.__all__} - {"Result", "State", "prox", "proximal_gradient"})
)
def test_features_whose_squares_overflow_end_with_an_honest_gap(name, scale):
    # The quadratic program of the cuts once wrote beyond its arrays here.
    rng = np.random.default_rng(3)
    features = [scale * rng.standard_normal((5, 2)) for _ in range(3)]
    pb = problems.LinearHingeRisk(features, [rng.random(5) < 0.5 for _ in range(3)], l2=1e-3)
    result = getattr(solvers, name)(pb, max_iter=5)
    assert result.status in ("finished", "max_iter", "diverged")
    assert 0 <= result.dual <= 1 <= result.value
