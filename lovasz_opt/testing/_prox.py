"""Checks of an algorithm of its own that a set function has for its prox."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s
from ..extension import LovaszExtension
from ..minnorm import prox_min_norm
from ..reference import brute
from ..sets.base import SetFunction, SubmodularityReport
from ._report import Skipped, fail
from ._set_case import SetCase, show, show_vector

#: Beyond so many elements the optimality conditions are checked, and no second solution is computed.
_MIN_NORM = 64
#: Beyond so many elements there are kinks within any step that rounding allows.
_DIFFERENCES = 1000
_LOOK = "`_prox` (or `_prox_point`): argmin ½ Σ metric_i (z_i − x_i)² + gamma·f(z)"


def check_prox(case: SetCase) -> None:
    """The Euclidean prox is that of all 2^n sets, of the min-norm point, or meets its certificate."""
    _check_metric(case, None, "the Euclidean metric")


def check_prox_constant_metric(case: SetCase) -> None:
    """The prox in a metric c‖·‖² is that of the reference."""
    _check_metric(case, np.full(case.n, 2.5), "a constant metric")


def check_prox_own_weights(case: SetCase) -> None:
    """The prox in the metric of F's own weights is that of the reference."""
    _require_prox(case)
    weights = getattr(case.F, "weights", None)
    if not isinstance(weights, np.ndarray) or weights.shape != (case.n,) or not (weights > 0).all():
        raise Skipped("F has no attribute `weights` of n positive numbers")
    _check_metric(case, weights, "the metric of its weights")


def check_prox_any_metric(case: SetCase) -> None:
    """The prox in any diagonal metric is that of the reference."""
    metric = _any_metric(case)
    _check_metric(case, metric, "a metric of random weights")


def check_pools(case: SetCase) -> None:
    """The pools of a prox are labels 0, 1, … by decreasing value, and z is constant in each."""
    for x, gamma, metric, solution in _solutions(case):
        z, pools = solution.z, np.asarray(solution.pools)
        problem = f"x = {show_vector(x)}, gamma = {gamma!r}, metric = {_shown(metric)}"
        if pools.shape != (case.n,) or pools.dtype.kind not in "iu":
            fail(
                f"pools have shape {pools.shape} and dtype {pools.dtype}, expected {case.n} integers",
                "`_prox`",
            )
        labels = np.unique(pools)
        if not np.array_equal(labels, np.arange(len(labels))):
            fail(
                f"pools are labelled {labels.tolist()}; expected 0, 1, …\n  for {problem}",
                "`_prox`: the `pools` of its ProxSolution",
            )
        highest, lowest = np.full(len(labels), -np.inf), np.full(len(labels), np.inf)
        np.maximum.at(highest, pools, z)
        np.minimum.at(lowest, pools, z)
        size = _size(case, x, gamma, metric)
        for k in np.flatnonzero(highest - lowest > size)[:1]:
            fail(
                f"z lies between {lowest[k]!r} and {highest[k]!r} in pool {k} = {show(pools == k)}"
                f"\n  for {problem}",
                "`_prox`: the `pools` of its ProxSolution",
            )
        for k in np.flatnonzero(np.diff(lowest) > size)[:1]:
            fail(
                f"pool {k} has z = {lowest[k]!r} and the next one {lowest[k + 1]!r}; labels go by "
                f"decreasing z\n  for {problem}",
                "`_prox`: the `pools` of its ProxSolution",
            )


def check_points(case: SetCase) -> None:
    """`_prox_point` is the z of `_prox`."""
    if not case.overrides("_prox_point"):
        raise Skipped("no `_prox_point` of its own")
    for x, gamma, metric, solution in _solutions(case):
        point = case.F._prox_point(x.copy(), gamma, metric)
        if point is None or not np.allclose(point, solution.z, rtol=0, atol=_size(case, x, gamma, metric)):
            fail(
                f"_prox_point is {point!r}, and the z of _prox is {show_vector(solution.z)}\n"
                f"  for x = {show_vector(x)}, gamma = {gamma!r}, metric = {_shown(metric)}",
                "`_prox_point` against `_prox`",
            )


def check_thresholded(case: SetCase) -> None:
    """`_prox_point` with `positive` is the prox of f∘max(·, 0)."""
    if not case.overrides("_prox_point"):
        raise Skipped("no `_prox_point` of its own")
    if not (case.F.is_submodular and case.F.is_nondecreasing):
        raise Skipped("F is not submodular and non-decreasing, which f∘max(·, 0) needs for its prox")
    for x, gamma in _problems(case, "thresholded"):
        size = _size(case, x, gamma, None)
        point = case.F._prox_point(x.copy(), gamma, None, True)
        if point is None:
            raise Skipped("`_prox_point` has no algorithm for `positive`")
        if case.n <= _MIN_NORM:
            z, error = _reference(case, x, gamma, None)
        else:
            z, error = LovaszExtension(case.F).prox_solution(x, gamma).z, 0.0
        expected = np.maximum(z, np.minimum(x, 0.0))
        if not np.allclose(point, expected, rtol=0, atol=size + error):
            fail(
                f"the prox of f∘max(·, 0) is {show_vector(point, 6)} instead of "
                f"{show_vector(expected, 6)} for x = {show_vector(x)}, gamma = {gamma!r}",
                "`_prox_point` with positive=True: max(z, min(x, 0)) with the z of `_prox`",
            )


def check_warm_start(case: SetCase) -> None:
    """A prox that starts from what an earlier one left has the same bits."""
    if not case.overrides("_prox_point_from"):
        raise Skipped("no `_prox_point_from` of its own")
    rng = case.rng("warm start")
    memory, gamma = None, float(np.ptp(case.points("warm start", 1)[0]) / case.scale + 0.1)
    x = rng.standard_normal(case.n)
    for step in (0.0, 0.01, 0.1, 1.0, 0.0, 10.0, 0.0):
        x = x + step * rng.standard_normal(case.n)
        warm, memory = case.F._prox_point_from(memory, x.copy(), gamma, None)
        cold = case.F._prox_point(x.copy(), gamma, None)
        if cold is None:
            raise Skipped("no prox of its own in the Euclidean metric")
        if warm is None or not np.array_equal(warm, cold):
            fail(
                f"the prox started from an earlier one is {warm!r} and afresh {show_vector(cold)}, after a "
                f"change of x by about {step:g}; both must have the same bits",
                "`_prox_point_from`: what it leaves may save time, and must not change the result",
            )


def check_derivative(case: SetCase) -> None:
    """`prox_jvp` and `prox_vjp` of the extension, which rest on the pools, are the derivative of z."""
    _require_prox(case)
    if case.n > _DIFFERENCES:
        raise Skipped(f"with more than {_DIFFERENCES} elements the prox has too many kinks for differences")
    f = LovaszExtension(case.F)
    rng = case.rng("derivative")
    tried = 0
    for x, gamma in _problems(case, "derivative"):
        # Where entries tie, the prox has no derivative.
        x = x + 0.1 * rng.standard_normal(case.n)
        solution = case.F._prox(x, gamma, None)
        if solution is None:
            raise Skipped("no prox of its own in the Euclidean metric")
        tangent, cotangent = rng.standard_normal((2, case.n))
        step = 1e-6 * max(1.0, float(np.abs(x).max()))
        for in_x, in_gamma in ((1.0, 0.0), (0.0, gamma)):
            ends = [
                case.F._prox(x + t * in_x * tangent, gamma + t * in_gamma, None).z  # type: ignore[union-attr]
                for t in (-step, step)
            ]
            rounding = 10 * _size(case, x, gamma, None)
            # The prox is piecewise linear in x and along gamma: a second difference shows a kink between.
            if np.abs(ends[0] + ends[1] - 2 * solution.z).max() > rounding:
                continue
            tried += 1
            difference = (ends[1] - ends[0]) / (2 * step)
            slope = f.prox_jvp(x, gamma, in_x * tangent, in_gamma)
            allowed = rounding / step + 1e-6 * (1 + float(np.abs(difference).max()))
            problem = f"x = {show_vector(x)}, gamma = {gamma!r}"
            for i in np.flatnonzero(np.abs(slope - difference) > allowed)[:1]:
                fail(
                    f"entry {i} of prox_jvp in the direction of {'x' if in_x else 'gamma'} is {slope[i]!r}, "
                    f"and by differences of `_prox` it is {difference[i]!r}\n  for {problem}",
                    "the `pools` that `_prox` returns: elements with one z that move together",
                )
            gradient, in_step = f.prox_vjp(x, gamma, cotangent)
            pulled = float(gradient @ (in_x * tangent)) + in_step * in_gamma
            wanted = float(cotangent @ difference)
            if abs(pulled - wanted) > case.n * allowed * (1 + float(np.abs(cotangent).max())):
                fail(
                    f"prox_vjp gives {pulled!r} where differences give {wanted!r}\n  for {problem}",
                    "the `pools`",
                )
    if not tried:
        raise Skipped("the prox had a kink at every point that was tried")


def _require_prox(case: SetCase) -> None:
    if not case.F.is_submodular:
        raise Skipped("F says that it is not submodular, so it has no prox")
    if not case.overrides("_prox", "_prox_point"):
        raise Skipped("no `_prox` of its own")


def _problems(case: SetCase, name: str, most: int = 24) -> Iterator[tuple[Float64s, float]]:
    """Points, and steps from short, where little is pooled, to long; as many as do not take long."""
    count = max(16, 128 >> max(0, case.n - 8)) if case.exhaustive else 12 if case.n <= _MIN_NORM else 4
    count = min(count, most)
    steps = 10 ** case.rng(f"steps of {name}").uniform(-1.5, 2.5, count) / case.scale
    for x, gamma in zip(case.points(name, count), steps, strict=True):
        # Two digits, for the message.
        yield x, float(f"{gamma:.1e}")


def _solutions(case: SetCase) -> Iterator[tuple[Float64s, float, Float64s | None, ProxSolution]]:
    """The prox of F's own in all metrics in which it has one."""
    _require_prox(case)
    metrics: list[Float64s | None] = [None, np.full(case.n, 2.5)]
    metrics.append(_any_metric(case))
    weights = getattr(case.F, "weights", None)
    if isinstance(weights, np.ndarray) and weights.shape == (case.n,) and (weights > 0).all():
        metrics.append(weights)
    found = False
    for x, gamma in _problems(case, "pools"):
        for metric in metrics:
            solution = case.F._prox(x.copy(), gamma, metric)
            if solution is not None:
                found = True
                yield x, gamma, metric, solution
    if not found:
        raise Skipped("`_prox` returns None in all metrics")


def _check_metric(case: SetCase, metric: Float64s | None, name: str) -> None:
    _require_prox(case)
    for x, gamma in _problems(case, "prox", most=128):
        solution = case.F._prox(x.copy(), gamma, metric)
        point = case.F._prox_point(x.copy(), gamma, metric)
        if solution is None and point is None:
            raise Skipped(f"`_prox` returns None in {name}")
        z = np.asarray(point if solution is None else solution.z)
        problem = f"x = {show_vector(x)}, gamma = {gamma!r}, metric = {_shown(metric)}"
        if z.shape != (case.n,):
            fail(f"the prox has shape {z.shape}, expected {(case.n,)}\n  for {problem}", _LOOK)
        if case.n > _MIN_NORM:
            _check_optimality(case, x, gamma, metric, z, problem)
            continue
        expected, error = _reference(case, x, gamma, metric)
        size = _size(case, x, gamma, metric) + error
        for i in np.flatnonzero(~(np.abs(z - expected) <= size))[:1]:
            fail(
                f"the prox is {show_vector(z, 6)} instead of {show_vector(expected, 6)}\n"
                f"  (entry {i}: {z[i]!r} instead of {expected[i]!r})\n  for {problem}",
                _LOOK,
            )


def _reference(case: SetCase, x: Float64s, gamma: float, metric: Float64s | None) -> tuple[Float64s, float]:
    """The prox by all sets or by the min-norm point, and how far that can be from the true one."""
    if case.exhaustive:
        return np.asarray(brute.prox(case.table, x, gamma, metric)), 0.0
    # An F without hooks, so that nothing of what is checked is used.
    solution = prox_min_norm(_Plain(case.F), x, gamma, metric, tol=1e-14)
    least = 1.0 if metric is None else float(metric.min())
    return solution.z, float(np.sqrt(2 * solution.gap / least))


class _Plain(SetFunction):
    """Values and increments of F, and the general methods for all else."""

    def __init__(self, F: SetFunction) -> None:
        self.n, self._F = F.n, F

    def _values(self, masks: Bools) -> Float64s:
        return self._F._values(masks)

    def increments(self, order: ArrayLike) -> Float64s:
        return self._F.increments(order)

    @property
    def _report(self) -> SubmodularityReport:
        return self._F.submodularity()


def _check_optimality(
    case: SetCase, x: Float64s, gamma: float, metric: Float64s | None, z: Float64s, problem: str
) -> None:
    """z is the prox iff w = metric·(x − z)/gamma is in the base polytope and f(z) = ⟨w, z⟩."""
    w = (x - z) / gamma if metric is None else metric * (x - z) / gamma
    # The rounding of x − z, magnified by 1/gamma and summed over a set.
    size = case.n * (case.tolerance + case.rtol * float(np.abs(x).max() + np.abs(z).max()) / gamma)
    order = np.argsort(-w, kind="stable")
    levels = np.unique(np.geomspace(1, case.n, 64).astype(np.int64))
    ranks = np.empty(case.n, dtype=np.int64)
    ranks[order] = np.arange(case.n)
    sets = np.concatenate([case.sets, ranks[None, :] < levels[:, None]])
    excess = sets @ w - np.asarray(case.F(sets))
    worst = int(np.argmax(excess))
    # Equality for the whole set.
    if excess[worst] > size or abs(excess[len(case.sets) - 1]) > size:
        worst = worst if excess[worst] > size else len(case.sets) - 1
        fail(
            f"the dual vector w = metric·(x − z)/gamma of the prox is not in the base polytope: w(A) − F(A) "
            f"is {excess[worst]!r} for A = {show(sets[worst])}\n  for {problem}",
            _LOOK,
        )
    gap = LovaszExtension(case.F)(z) - float(w @ z)
    if abs(gap) > size * (1 + float(np.abs(z).max())):
        fail(f"f(z) − ⟨w, z⟩ is {gap!r}, and 0 for the true prox\n  for {problem}", _LOOK)


def _size(case: SetCase, x: Float64s, gamma: float, metric: Float64s | None) -> float:
    """How far rounding may move an entry of the prox."""
    least = 1.0 if metric is None else float(metric.min())
    return 10 * case.rtol * (float(np.abs(x).max()) + gamma * case.scale / least)


def _any_metric(case: SetCase) -> Float64s:
    return np.round(case.rng("any metric").uniform(0.3, 3.0, case.n), 1)


def _shown(metric: Float64s | None) -> str:
    return "None" if metric is None else show_vector(metric)
