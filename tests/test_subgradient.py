"""Subgradient descent: every rule and average written out, in parts, and where there is no way on."""

import itertools

import numpy as np
import pytest
from risks import risk

from lovasz_opt import solvers
from lovasz_opt.problems import Minorant
from lovasz_opt.solvers.toolkit import drive

LIMITS = {"tol": 0, "max_time": None, "callback": None}
LENGTHS = {
    "constant": lambda eta, k, mu, rest, norm: eta,
    "sqrt": lambda eta, k, mu, rest, norm: eta / np.sqrt(k),
    "strong": lambda eta, k, mu, rest, norm: eta / (mu * k),
    "polyak": lambda eta, k, mu, rest, norm: eta * rest / norm**2,
    "normalised": lambda eta, k, mu, rest, norm: eta / (np.sqrt(k) * norm),
}


def written_out(pb, rule, eta, average, start, bound):
    """All points are kept for their mean, with the start; Polyak's rule goes by the bound so far."""
    points, weight = [start], {"uniform": lambda k: 1, "weighted": lambda k: k}.get(average)
    value, g, minorant = pb.linearise(start)
    yield start, value, minorant
    for k in itertools.count(1):
        rest = value - bound.value
        points.append(points[-1] - LENGTHS[rule](eta, k, pb.strong_convexity, rest, np.linalg.norm(g)) * g)
        value, g, minorant = pb.linearise(points[-1])
        if weight is None:
            yield points[-1], value, minorant
        else:
            mean = np.average(points, axis=0, weights=[weight(j + 1) for j in range(k + 1)])
            yield mean, pb.value(mean), minorant


@pytest.mark.parametrize("rule", LENGTHS)
@pytest.mark.parametrize("average", [None, "uniform", "weighted"])
def test_is_what_it_says(rule, average):
    pb = risk(3, n=2, p=30).batch(range(2), center=np.array([0.5, -1.0, 0.0, 2.0]), l2=0.3)
    start, arguments = np.array([1.0, 0.0, -1.0, 0.5]), (rule, 0.7, average)
    expected = drive(
        "subgradient", pb, lambda bound, _: written_out(pb, *arguments, start, bound), max_iter=25, **LIMITS
    )
    half = solvers.subgradient(pb, *arguments, tol=0, max_iter=11, x0=start)
    found = solvers.subgradient(pb, *arguments, tol=0, max_iter=25, resume=half)
    for column in ("value", "dual", "passes"):
        np.testing.assert_allclose(found.trace[column], expected.trace[column], rtol=1e-9)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-9)


class Distance:
    """|x| + 1: without a quadratic, minorants or a step that is too short to be seen."""

    shape, center, passes, convex = (1,), np.array([3.0]), 0.0, False
    known_minorant, known_bound = Minorant(0.0, np.zeros(1)), 0.0

    def linearise(self, x):
        return abs(x[0]) + 1, np.sign(x), None


def test_ends_where_the_subgradient_is_zero_or_infinite(monkeypatch):
    result = solvers.subgradient(Distance(), "constant", tol=0)
    assert (result.status, result.trace["value"].tolist()) == ("finished", [4.0, 3.0, 2.0, 1.0])
    assert (result.x.tolist(), result.value, result.dual) == ([0.0], 1.0, 0.0)
    monkeypatch.setattr(Distance, "linearise", lambda self, x: (1.0, np.array([1e200]), None))
    with np.errstate(over="ignore"):
        assert solvers.subgradient(Distance(), "constant").status == "finished"


def test_the_default_rule_needs_what_the_problem_has():
    pb = risk(4, n=1, p=20)
    default, strong = solvers.subgradient(pb, max_iter=5), solvers.subgradient(pb, "strong", max_iter=5)
    np.testing.assert_array_equal(default.trace["value"], strong.trace["value"])
    moved = solvers.subgradient(Distance(), step_size=0.25, max_iter=3).trace["value"]
    np.testing.assert_allclose(moved, 4 - 0.25 * np.array([0, 1, 1 + 2**-0.5, 1 + 2**-0.5 + 3**-0.5]))
    with pytest.raises(TypeError, match=r"subgradient with step 'strong' needs .* \('strong_convexity'\)"):
        solvers.subgradient(Distance(), "strong")
