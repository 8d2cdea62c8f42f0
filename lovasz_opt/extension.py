"""The Lovász extension of a set function: value, greedy vector, prox and its derivative, projection."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ._solution import ProxSolution
from ._validation import Float64s, Floats, as_number, as_scores, as_step, as_weights
from .kernels.sort import argsort_decreasing, argsort_labels
from .minnorm import prox_min_norm
from .path import pav_in_order, prox_path
from .sets.base import SetFunction

Method = Literal["exact", "path", "pav-in-order"]
METHODS = ("exact", "path", "pav-in-order")


class ProxAccuracyWarning(UserWarning):
    """The certified gap of an iterative prox is larger than the tolerance asked for."""


class LovaszExtension:
    """The Lovász extension f(x) = max {⟨w, x⟩ : w ∈ B(F)} of a set function F.

    With x sorted in decreasing order, f(x) = Σ_k x_(k) (F(S_k) − F(S_{k−1})), S_k the first k elements. It is
    convex iff F is submodular; methods that need convexity refuse any other F, naming a violated pair.

    Parameters
    ----------
    F : SetFunction
        Normalised set function on n elements.

    Notes
    -----
    Every method takes x of shape (n,) or (..., n) and treats the last axis; float32 and float64 are kept,
    half precision is computed in float32 and integers in float64. Inputs are never changed.

    References
    ----------
    Lovász, "Submodular functions and convexity", 1983. Bach, "Learning with submodular functions", 2013.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
    >>> f([26.0, 12.0, 13.0])
    19.5
    >>> f.prox([26.0, 12.0, 13.0], gamma=12.0)
    array([20., 10.,  9.])
    """

    def __init__(self, F: SetFunction) -> None:
        if not isinstance(F, SetFunction):
            raise TypeError(
                f"F must be a SetFunction, got {type(F).__name__}; wrap it with SetFunction.from_callable"
            )
        self.F = F
        self.n = F.n

    def __repr__(self) -> str:
        return f"LovaszExtension({self.F!r})"

    @property
    def is_convex(self) -> bool:
        """Whether F is submodular (see `SetFunction.submodularity` for whether that is proved)."""
        return self.F.is_submodular

    def __call__(self, x: ArrayLike) -> Any:
        """Value f(x), a float for x of shape (n,) and an array for (..., n), in O(n log n) + increments."""
        rows, _, shape = self._rows(x)
        return _batch(np.array([self._value_and_greedy(row)[0] for row in rows]), shape)

    def greedy(self, x: ArrayLike) -> Floats:
        """Edmonds' greedy vector at x, the gradient of f where the entries of x differ; defined for every F.

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.

        Returns
        -------
        ndarray
            Shape and dtype of x. Ties are broken by position.
        """
        return self._per_row(x, lambda row: self._value_and_greedy(row)[1])

    def subgradient(self, x: ArrayLike) -> Floats:
        """A subgradient of f at x: the greedy vector, a vertex of the base polytope.

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.

        Returns
        -------
        ndarray
            Shape and dtype of x.

        Raises
        ------
        ValueError
            If F is not submodular (`greedy` still gives the gradient of its extension).
        """
        self.F.require_submodular("a subgradient")
        return self.greedy(x)

    def value_and_subgradient(self, x: ArrayLike) -> tuple[Any, Floats]:
        """Value and greedy vector, for one sort.

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.

        Returns
        -------
        value : float or ndarray
            f(x), one for each row.
        subgradient : ndarray
            Shape and dtype of x.
        """
        self.F.require_submodular("a subgradient")
        rows, dtype, shape = self._rows(x)
        values = np.empty(len(rows))
        vectors = np.empty(rows.shape, dtype=dtype)
        for i, row in enumerate(rows):
            values[i], vectors[i] = self._value_and_greedy(row)
        return _batch(values, shape), vectors.reshape(shape)

    def prox(
        self,
        x: ArrayLike,
        gamma: float,
        *,
        method: Method = "exact",
        metric: ArrayLike | Literal["weights"] | None = None,
        tol: float = 1e-10,
        max_steps: int = 20,
        slip: bool = True,
        start: ArrayLike | None = None,
    ) -> Floats:
        """Proximal point argmin_z ½ Σ metric_i (z_i − x_i)² + gamma·f(z).

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.
        gamma : float
            Step, > 0.
        method : {"exact", "path", "pav-in-order"}
            "exact" uses F's own exact algorithm, or the min-norm point where it has none. The other two are
            **not exact** and exist to be compared with: "path" is the walk of Berman and Blaschko (2017,
            first version), which computes the prox of f∘max(·, 0); "pav-in-order" pools in the order of x.
        metric : (n,) array of positive weights, "weights" or None
            None is the Euclidean metric. "weights" takes the pixel weights of F: each pixel counts as
            weights[i] pixels, for which the weighted Jaccard loss keeps its O(n log n) algorithm.
        tol : float
            Relative certified gap for set functions without an exact algorithm.
        max_steps : int
            Of method "path" only: its step limit.
        slip : bool
            Of method "path" only: whether to keep the slip of the released code.
        start : (n,) or (..., n) array, optional
            A nearby solution, such as the last iterate of a solver. The result is the same to the last bit.
            With it the Jaccard loss keeps the order of the pixels from call to call (n 32-bit numbers), and
            entries that have moved little since are put right by insertion, which is quicker than sorting;
            where they have moved too far, it sorts. Other set functions take no advantage of it.

        Returns
        -------
        ndarray
            Shape and dtype of x.

        Raises
        ------
        ValueError
            If F is not submodular, gamma is not positive and finite, x is not finite or has a wrong shape, or
            the method is unknown.

        Warns
        -----
        ProxAccuracyWarning
            If an iterative method stopped with a certified gap above tol; the message states the gap.

        Notes
        -----
        Complexity: O(n log n) for Jaccard and functions of the size, O(n log² n) in practice for functions of
        the two counts, iterative otherwise.
        """
        gamma = as_step(gamma)
        if method == "exact":
            if start is None:
                return self._per_row(x, lambda row: self._point(row, gamma, metric, tol))
            return self._warm_prox(x, gamma, metric, tol, start)
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
        if metric is not None:
            raise ValueError(f"metric is only for method='exact'; method {method!r} is Euclidean")
        self.F.require_submodular("a proximal operator")
        if method == "path":
            return self._per_row(
                x,
                lambda row: prox_path(
                    row, self._value_and_greedy(row)[1], gamma, max_steps=max_steps, slip=slip
                ),
            )
        return self._per_row(x, lambda row: pav_in_order(row, self._value_and_greedy(row)[1], gamma))

    def prox_solution(
        self,
        x: ArrayLike,
        gamma: float,
        *,
        metric: ArrayLike | Literal["weights"] | None = None,
        tol: float = 1e-10,
    ) -> ProxSolution:
        """The exact prox of one vector in float64, with its pools, certified gap and iterations.

        Parameters
        ----------
        x : (n,) array
            Scores.
        gamma : float
            Step, > 0.
        metric : (n,) array of positive weights, "weights" or None
            As in `prox`.
        tol : float
            As in `prox`.

        Returns
        -------
        ProxSolution
            With fields z, pools, exact, gap and nit.
        """
        row, _ = as_scores(x, "x", (self.n,))
        return self._solve(row.astype(np.float64, copy=False), as_step(gamma), metric, tol)

    def envelope(self, x: ArrayLike, gamma: float) -> Any:
        """Moreau envelope e(x) = min_z ‖z − x‖²/(2 gamma) + f(z), smooth with gradient (x − prox(x))/gamma.

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.
        gamma : float
            Step, > 0.

        Returns
        -------
        float or ndarray
            One value for each row.
        """
        return self.envelope_and_gradient(x, gamma)[0]

    def envelope_and_gradient(self, x: ArrayLike, gamma: float) -> tuple[Any, Floats]:
        """Moreau envelope and its gradient, the projection of x/gamma on the base polytope.

        Parameters
        ----------
        x : (n,) or (..., n) array
            Scores.
        gamma : float
            Step, > 0.

        Returns
        -------
        value : float or ndarray
            One for each row.
        gradient : ndarray
            Shape and dtype of x.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
        >>> value, gradient = f.envelope_and_gradient([26.0, 12.0, 13.0], gamma=12.0)
        >>> round(value, 12), gradient.round(4).tolist()
        (17.0, [0.5, 0.1667, 0.3333])
        """
        gamma = as_step(gamma)
        rows, dtype, shape = self._rows(x)
        values = np.empty(len(rows))
        gradients = np.empty((len(rows), self.n))
        for i, row in enumerate(rows):
            solution = self._solve(row, gamma, None, 1e-10)
            gradients[i] = self._dual(row, gamma, solution, None)
            values[i] = (
                0.5 * gamma * float(gradients[i] @ gradients[i]) + self._value_and_greedy(solution.z)[0]
            )
        return _batch(values, shape), gradients.reshape(shape).astype(dtype, copy=False)

    def infeasibility(self, w: ArrayLike) -> float:
        """Largest violation of the base polytope's constraints by w, over all 2^n sets; 0 means w ∈ B(F).

        The larger of max_A w(A) − F(A) and |w(V) − F(V)|. Complexity: O(n log n) for Jaccard.

        Parameters
        ----------
        w : (n,) array
            A candidate for membership.

        Returns
        -------
        float
            Never an under-estimate but for rounding, also where a minimisation is only approximate.
        """
        self.F.require_submodular("membership of the base polytope")
        vector = as_scores(w, "w", (self.n,))[0].astype(np.float64, copy=False)
        excess, _ = self.F._violation(vector)
        total = float(self.F(np.ones(self.n, dtype=np.bool_)))
        return max(0.0, float(excess), abs(float(vector.sum()) - total))

    def conjugate(self, w: ArrayLike, tol: float = 1e-9) -> float:
        """Convex conjugate f*(w): 0 if w is in the base polytope to within tol, infinite otherwise.

        Parameters
        ----------
        w : (n,) array
            Argument.
        tol : float
            Allowed infeasibility (see `infeasibility`), for w that rounding put outside.

        Returns
        -------
        float
            0.0 or infinity.
        """
        return 0.0 if self.infeasibility(w) <= tol else float("inf")

    def project(self, w: ArrayLike, *, tol: float = 1e-10) -> Floats:
        """Euclidean projection of w on the base polytope B(F), by Moreau's identity w − prox_f(w).

        Parameters
        ----------
        w : (n,) or (..., n) array
            What to project.
        tol : float
            Relative certified gap for set functions without an exact algorithm.

        Returns
        -------
        ndarray
            Shape and dtype of w.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> lo.LovaszExtension(lo.Jaccard([1, 1])).project([3.0, 2.0])
        array([0.5, 0.5])
        """
        return self._per_row(w, lambda row: self._dual(row, 1.0, self._solve(row, 1.0, None, tol), None), "w")

    def prox_jvp(
        self,
        x: ArrayLike,
        gamma: float,
        tangent: ArrayLike,
        gamma_tangent: float = 0.0,
        *,
        metric: ArrayLike | Literal["weights"] | None = None,
    ) -> Floats:
        """Directional derivative of (x, gamma) ↦ prox(x, gamma), with the pools of the solution held fixed.

        On a pool B: mean of the tangent over B minus gamma_tangent · (increment of F over B)/|B|, with means
        and sizes weighted by the metric.

        Parameters
        ----------
        x : (n,) array
            Scores.
        gamma : float
            Step, > 0.
        tangent : (n,) array
            Direction in x.
        gamma_tangent : float
            Direction in gamma.
        metric : (n,) array of positive weights, "weights" or None
            As in `prox`.

        Returns
        -------
        (n,) ndarray
            In the dtype of x. The prox is piecewise linear; where it is not differentiable this is one of
            the limits.

        Notes
        -----
        Complexity: one prox, then O(n).
        """
        row, dtype = as_scores(x, "x", (self.n,))
        step = as_scores(tangent, "tangent", (self.n,))[0]
        pools, weights, slopes = self._derivative(row, gamma, metric)
        means = np.bincount(pools, weights=weights * step) / np.bincount(pools, weights=weights)
        return (means - as_number(gamma_tangent, "gamma_tangent") * slopes)[pools].astype(dtype)

    def prox_vjp(
        self,
        x: ArrayLike,
        gamma: float,
        cotangent: ArrayLike,
        *,
        metric: ArrayLike | Literal["weights"] | None = None,
    ) -> tuple[Floats, float]:
        """Transposed derivative of the prox: gradients of ⟨cotangent, prox(x, gamma)⟩ in x and in gamma.

        Parameters
        ----------
        x : (n,) array
            Scores.
        gamma : float
            Step, > 0.
        cotangent : (n,) array
            Weights of the entries of the prox.
        metric : (n,) array of positive weights, "weights" or None
            As in `prox`.

        Returns
        -------
        x_gradient : (n,) ndarray
            In the dtype of x.
        gamma_gradient : float
            Derivative in gamma.
        """
        row, dtype = as_scores(x, "x", (self.n,))
        u = as_scores(cotangent, "cotangent", (self.n,))[0].astype(np.float64, copy=False)
        pools, weights, slopes = self._derivative(row, gamma, metric)
        sums = np.bincount(pools, weights=u)
        masses = np.bincount(pools, weights=weights)
        return (weights * (sums / masses)[pools]).astype(dtype), -float(sums @ slopes)

    def _derivative(self, row: Floats, gamma: float, metric: Any) -> tuple[Any, Float64s, Float64s]:
        """Pools, metric, and −∂z/∂gamma of each pool."""
        x = row.astype(np.float64, copy=False)
        weights = self._metric(metric)
        if weights is None:
            weights = np.ones(self.n)
        pools = self._solve(x, as_step(gamma), metric, 1e-10).pools
        return pools, weights, self._pool_increments(pools) / np.bincount(pools, weights=weights)

    def _dual(self, x: Float64s, gamma: float, solution: ProxSolution, weights: Float64s | None) -> Float64s:
        """The dual point w = metric·(x − z)/gamma of a prox, from the pools instead of the difference x − z.

        A pixel that is alone has exactly its increment, whatever is lost in x − z to rounding.
        """
        pools = solution.pools
        metric = np.ones(self.n) if weights is None else weights
        masses = np.bincount(pools, weights=metric)
        # Centring on one member first keeps the digits of the differences inside a pool.
        anchors = np.empty(len(masses))
        anchors[pools] = x
        inside = x - anchors[pools]
        inside -= (np.bincount(pools, weights=metric * inside) / masses)[pools]
        return metric * ((self._pool_increments(pools) / masses)[pools] + inside / gamma)

    def _pool_increments(self, pools: Any) -> Float64s:
        """Increment of F over each pool, pools joined in decreasing order of their value."""
        order = argsort_labels(pools, int(pools.max()) + 1)
        return np.bincount(pools[order], weights=self.F.increments(order)).astype(np.float64, copy=False)

    def _point(self, x: Float64s, gamma: float, metric: Any, tol: float) -> Float64s:
        self.F.require_submodular("a proximal operator")
        z = self.F._prox_point(x, gamma, self._metric(metric))
        return self._solve(x, gamma, metric, tol).z if z is None else z

    def _warm_prox(self, x: ArrayLike, gamma: float, metric: Any, tol: float, start: ArrayLike) -> Floats:
        self.F.require_submodular("a proximal operator")
        as_scores(start, "start", np.shape(x))
        weights = self._metric(metric)
        # Taken out while in use: calls from other threads start afresh.
        memories = self.__dict__.pop("_memories", [])
        left: list[Any] = []

        def point(row: Float64s) -> Float64s:
            memory = memories[len(left)] if len(left) < len(memories) else None
            z, memory = self.F._prox_point_from(memory, row, gamma, weights)
            left.append(memory)
            return self._solve(row, gamma, metric, tol).z if z is None else z

        result = self._per_row(x, point)
        self._memories = left
        return result

    def _solve(self, x: Float64s, gamma: float, metric: Any, tol: float) -> ProxSolution:
        self.F.require_submodular("a proximal operator")
        weights = self._metric(metric)
        solution = self.F._prox(x, gamma, weights)
        if solution is not None:
            return solution
        solution = prox_min_norm(self.F, x, gamma, weights, tol=tol)
        if solution.gap > tol * _problem_scale(x, solution.z, gamma, weights):
            warnings.warn(
                f"prox of {self!r}: certified duality gap {solution.gap:.3g} after {solution.nit} iterations "
                f"is above tol = {tol:g} times the problem's scale; raise tol or treat z as approximate",
                ProxAccuracyWarning,
                stacklevel=_levels_to_the_caller(),
            )
        return solution

    def _metric(self, metric: Any) -> Float64s | None:
        if metric is None:
            return None
        if isinstance(metric, str):
            if metric != "weights":
                raise ValueError(
                    f"metric is {metric!r}; pass 'weights', an array of positive weights, or None"
                )
            weights: Float64s | None = getattr(self.F, "weights", None)
            if weights is None:
                raise ValueError(
                    f"metric is 'weights', but {self.F!r} has no pixel weights; leave metric out"
                )
            return weights
        return as_weights(metric, (self.n,), "metric")

    def _value_and_greedy(self, row: Float64s) -> tuple[float, Float64s]:
        order = argsort_decreasing(row)
        increments = self.F.increments(order)
        greedy = np.empty(self.n)
        greedy[order] = increments
        return float(increments @ row[order]), greedy

    def _rows(self, x: ArrayLike, name: str = "x") -> tuple[Float64s, np.dtype, tuple[int, ...]]:
        array, dtype = as_scores(x, name)
        if array.ndim == 0 or array.shape[-1] != self.n:
            raise ValueError(
                f"{name} has shape {array.shape}, expected (..., {self.n}): one score per element of F"
            )
        return array.reshape(-1, self.n).astype(np.float64, copy=False), dtype, array.shape

    def _per_row(self, x: ArrayLike, function: Callable[[Float64s], Float64s], name: str = "x") -> Floats:
        rows, dtype, shape = self._rows(x, name)
        if len(rows) == 1:
            return function(rows[0]).astype(dtype, copy=False).reshape(shape)
        out = np.empty(rows.shape, dtype=dtype)
        for i, row in enumerate(rows):
            out[i] = function(row)
        return out.reshape(shape)


def _batch(values: Float64s, shape: tuple[int, ...]) -> Any:
    """One value per row in the shape of the batch; a float where there is no batch."""
    return float(values[0]) if len(shape) == 1 else values.reshape(shape[:-1])


def _problem_scale(x: Float64s, z: Float64s, gamma: float, weights: Float64s | None) -> float:
    """Size of the objective that a gap is compared with: ½‖z − x‖² in the metric, and no less than gamma."""
    square = (z - x) ** 2
    return max(float(square.sum() if weights is None else weights @ square) / 2, gamma)


def _levels_to_the_caller() -> int:
    """The `stacklevel` at which a warning shows the user's line, however many of our calls are between."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
