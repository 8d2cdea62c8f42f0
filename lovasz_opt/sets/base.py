"""What every set function offers: values on masks, greedy increments, and a check of submodularity."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._solution import ProxSolution
from .._validation import Bools, Float64s, Ints, as_target
from ..decomposition import TabulatedMinor, prox_by_level_sets, prox_on_chain, subset_sums
from ..minnorm import largest_violation

#: Up to this many elements, all 2^n sets are looked at.
EXHAUSTIVE_LIMIT = 16
#: An inequality between values counts as broken beyond this multiple of the largest value.
RELATIVE_TOLERANCE = 1e-12
_SAMPLES = 4096
_BLOCK = 2**22


@dataclass(frozen=True)
class SubmodularityReport:
    """Outcome of a check that F(A) + F(B) ≥ F(A ∪ B) + F(A ∩ B) for all A, B.

    Attributes
    ----------
    submodular : bool
        False if a violating pair was found.
    exact : bool
        True if the answer is a proof; False if only a sample of pairs was looked at.
    violation : tuple of two ndarray of bool or None
        Masks A, B with F(A) + F(B) < F(A ∪ B) + F(A ∩ B).
    excess : float
        F(A ∪ B) + F(A ∩ B) − F(A) − F(B) of that pair, 0 if there is none.
    reason : str
        How the answer was found.
    """

    submodular: bool
    exact: bool
    violation: tuple[Bools, Bools] | None = None
    excess: float = 0.0
    reason: str = ""


class SetFunction(ABC):
    """A set function F on the subsets of {0, …, n−1}, normalised: F(∅) = 0.

    A subclass sets `n` and defines `_values`; everything else has a general method, which it may replace by
    a faster one. As in SciPy's distributions, what a subclass defines begins with an underscore, and users
    call the public methods around it:

    =====================  ================================================================================
    `_values`              values of a (batch, n) stack of masks; required
    `increments`           greedy increments along an order, by default n values
    `_report`              `submodularity` with a proof, by default all sets for n ≤ 16 and a sample beyond
    `is_nondecreasing`     by default from the last increments
    `_increment_bounds`    first and last increments, by default 2 n values
    `exact_value`          rational arithmetic, by default the float
    `_violation`           max_A w(A) − F(A), by default all sets for n ≤ 16, then a minimisation
    `_prox`                the exact prox, by default all sets for n ≤ 16, then the min-norm point;
                           `_prox_in_order` is all of it where the order of the proximal point is known, and
                           `lovasz_opt.decomposition.prox_by_level_sets` where F plus a modular function is
                           easy to minimise
    `_prox_point`          the point of `_prox` alone, where that is faster
    `_prox_point_from`     the same from a nearby solution
    `weights`              an attribute: the pixel weights that ``metric="weights"`` means
    =====================  ================================================================================

    Public methods that a subclass replaces check their arguments with `_check_order` and `_as_mask`.
    `lovasz_opt.testing.check_set_function` compares all of these with the values.
    """

    #: Number of elements of the ground set.
    n: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n})"

    @abstractmethod
    def _values(self, masks: Bools) -> Float64s:
        """Values of a (batch, n) stack of masks, as a (batch,) float64 array."""

    def __call__(self, mask: ArrayLike) -> Any:
        """Value of F on a boolean mask of shape (n,), or values on masks of shape (..., n).

        Raises
        ------
        ValueError, TypeError
            If the last axis does not have n entries, or the mask is not boolean or {0, 1}.
        """
        masks = self._as_masks(mask)
        flat = masks.reshape(-1, self.n)
        rows = max(1, _BLOCK // self.n)
        values = np.empty(len(flat))
        for start in range(0, len(flat), rows):
            values[start : start + rows] = self._values(flat[start : start + rows])
        return float(values[0]) if masks.ndim == 1 else values.reshape(masks.shape[:-1])

    def exact_value(self, mask: ArrayLike) -> Fraction:
        """Value of F on one mask as a rational number; floats are taken as the rationals they are.

        Parameters
        ----------
        mask : (n,) array of bool

        Returns
        -------
        fractions.Fraction
            The exact value where F is given by rational arithmetic, otherwise the float value of F as a
            fraction.

        Raises
        ------
        ValueError, TypeError
            If the mask is not one boolean mask of n entries.
        """
        return Fraction(float(self._values(self._as_mask(mask)[None])[0]))

    def increments(self, order: ArrayLike) -> Float64s:
        """Greedy increments F(S_k) − F(S_{k−1}) along an order, S_k its first k elements.

        Parameters
        ----------
        order : (n,) array of int
            A permutation of 0, …, n−1.

        Returns
        -------
        (n,) ndarray of float64
            Entry k belongs to element ``order[k]``.

        Raises
        ------
        ValueError
            If ``order`` is not a permutation of 0, …, n−1.
        """
        order = self._check_order(order)
        values = np.zeros(self.n + 1)
        ranks = np.empty(self.n, dtype=np.int64)
        ranks[order] = np.arange(self.n)
        for sizes in self._blocks(np.arange(1, self.n + 1)):
            values[sizes] = self._values(ranks[None, :] < sizes[:, None])
        return np.diff(values)

    @property
    def is_submodular(self) -> bool:
        """Whether no violated pair was found; `submodularity` says if that is a proof."""
        return self._report.submodular

    @cached_property
    def is_nondecreasing(self) -> bool:
        """Whether F(A) ≤ F(B) for all A ⊆ B.

        A submodular F is non-decreasing iff its last increments F(V) − F(V∖{i}) are ≥ 0. A function that is
        not submodular is checked on all sets for n ≤ 16, and along random orders beyond.
        """
        if self.is_submodular:
            increments = self._increment_bounds()[0]
            magnitude = abs(float(self._values(np.ones((1, self.n), dtype=np.bool_))[0]))
        elif self.n <= EXHAUSTIVE_LIMIT:
            table = self._table
            codes = np.arange(len(table))
            increments = np.concatenate([table[codes | 1 << i] - table for i in range(self.n)])
            magnitude = float(np.abs(table).max())
        else:
            rng = np.random.default_rng(0)
            increments = np.concatenate([self.increments(rng.permutation(self.n)) for _ in range(32)])
            magnitude = float(np.abs(increments).max())
        return bool((increments >= -RELATIVE_TOLERANCE * magnitude).all())

    def submodularity(self) -> SubmodularityReport:
        """Check submodularity: by proof where there is one, else all sets for n ≤ 16, else a random sample.

        Returns
        -------
        SubmodularityReport
            With a violated pair if there is one; ``exact`` is False where only a sample was looked at.

        Notes
        -----
        F is submodular iff F(S+i) + F(S+j) ≥ F(S+i+j) + F(S) for all S and i ≠ j outside S. A floating-point
        excess below 1e-12 of the largest value counts as rounding.
        Complexity: O(2^n n²) operations on 2^n values for n ≤ 16, 4 · 4096 evaluations beyond; computed once.
        """
        return self._report

    def require_submodular(self, purpose: str) -> None:
        """Raise `ValueError` naming the violated pair if F is not submodular.

        Parameters
        ----------
        purpose : str
            What needs a convex extension, for the message.

        Raises
        ------
        ValueError
            With two sets that violate F(A) + F(B) ≥ F(A ∪ B) + F(A ∩ B).
        """
        report = self.submodularity()
        if report.violation is None:
            return
        first, second = report.violation
        raise ValueError(
            f"{self!r} is not submodular, and {purpose} needs a convex Lovász extension: with "
            f"A = {_describe(first)} and B = {_describe(second)}, F(A ∪ B) + F(A ∩ B) exceeds F(A) + F(B) by "
            f"{report.excess:.6g}; use a submodular loss such as Jaccard"
        )

    @staticmethod
    def from_callable(fn: Callable[[Bools], float], n: int) -> SetFunction:
        """A set function from a Python callable on boolean masks of shape (n,).

        Parameters
        ----------
        fn : callable
            Takes a boolean mask of shape (n,), returns a real number, and 0 for the empty mask.
        n : int
            Number of elements, ≥ 1.

        Returns
        -------
        SetFunction

        Raises
        ------
        ValueError
            If n < 1, ``fn`` of the empty set is not 0, or a value is NaN or infinite.
        TypeError
            If ``fn`` is not callable, n is not an integer, or a value is not a real number.

        Examples
        --------
        >>> import numpy as np
        >>> from lovasz_opt import SetFunction
        >>> F = SetFunction.from_callable(lambda mask: np.sqrt(mask.sum()), 3)
        >>> round(F([True, True, False]), 4)
        1.4142
        >>> F.is_submodular
        True
        """
        from .callable import CallableFunction

        return CallableFunction(fn, n)

    def _prox(self, x: Float64s, gamma: float, metric: Float64s | None) -> ProxSolution | None:
        """Exact argmin_z ½ Σ metric_i (z_i − x_i)² + gamma · f(z), or None where F has no way of its own.

        Here: over all sets for n ≤ 16, else none. `metric` is None (Euclidean) or (n,) positive float64.
        """
        if self.n > EXHAUSTIVE_LIMIT or not self.is_submodular:
            return None
        return prox_by_level_sets(x, gamma, metric, TabulatedMinor(self._table), self._increment_bounds())

    def _prox_in_order(
        self, order: ArrayLike, x: Float64s, gamma: float, metric: Float64s | None
    ) -> ProxSolution:
        """The prox, given an order in which the proximal point decreases: one isotonic regression, O(n).

        For a subclass to call from `_prox`. With any other order it is not the prox.
        """
        order = self._check_order(order)
        weights = np.ones(self.n) if metric is None else metric
        return prox_on_chain(order, self.increments(order), x, gamma, weights)

    def _prox_point(
        self, x: Float64s, gamma: float, metric: Float64s | None, positive: bool = False
    ) -> Float64s | None:
        """The point of `_prox` without its pools; with `positive` the prox of f∘max(·, 0), F non-decreasing.

        The thresholding rule holds for the support function of the polymatroid {s ≥ 0, s(A) ≤ F(A)}.
        """
        solution = self._prox(x, gamma, metric)
        if solution is None:
            return None
        return np.maximum(solution.z, np.minimum(x, 0.0)) if positive else solution.z

    def _prox_point_from(self, memory: Any, x: Float64s, gamma: float, metric: Float64s | None) -> Any:
        """The point of `_prox_point`, started from what an earlier call left; and what to leave for the next.

        Here nothing is left.
        """
        return self._prox_point(x, gamma, metric), None

    def _violation(self, w: Float64s) -> tuple[float, Bools]:
        """Maximum over all sets A of w(A) − F(A), and a maximiser; ∅ gives 0.

        Here: over all sets for n ≤ 16. Beyond, by submodular minimisation of F − w: the number is then an
        upper bound on the maximum (the value at the returned set plus the duality gap), so it never
        under-reports.
        """
        if self.n <= EXHAUSTIVE_LIMIT:
            code = int(np.argmax(subset_sums(w) - self._table))
            mask = _unpack(np.array([code]), self.n)[0]
            return max(0.0, math.fsum([*w[mask], -self._table[code]])), mask
        return largest_violation(self, w)

    def _increment_bounds(self) -> tuple[Float64s, Float64s]:
        """For each element its last increment F(V) − F(V∖{i}) and its first, F({i}).

        For a submodular F every increment of i, and entry i of every base, lies between the two.
        """
        low, high = np.empty(self.n), np.empty(self.n)
        full = self._values(np.ones((1, self.n), dtype=np.bool_))[0]
        for block in self._blocks(np.arange(self.n)):
            single = block[:, None] == np.arange(self.n)
            high[block] = self._values(single)
            low[block] = full - self._values(~single)
        return low, high

    @cached_property
    def _table(self) -> Float64s:
        """All 2^n values; bit i of the index stands for element i."""
        values = np.empty(2**self.n)
        for codes in self._blocks(np.arange(2**self.n)):
            values[codes] = self._values(_unpack(codes, self.n))
        return values

    @cached_property
    def _report(self) -> SubmodularityReport:
        return (
            self._check_all() if self.n <= EXHAUSTIVE_LIMIT else self._check_sample(np.random.default_rng(0))
        )

    def _check_all(self) -> SubmodularityReport:
        values, codes = self._table, np.arange(2**self.n)
        reason = "all local inequalities checked"
        tolerance = RELATIVE_TOLERANCE * float(np.abs(values).max())
        for i in range(self.n):
            for j in range(i + 1, self.n):
                base = codes[codes & (1 << i | 1 << j) == 0]
                with_i, with_j = base | 1 << i, base | 1 << j
                excess = values[with_i | with_j] + values[base] - values[with_i] - values[with_j]
                worst = int(np.argmax(excess))
                if excess[worst] > tolerance:
                    first, second = _unpack(np.array([with_i[worst], with_j[worst]]), self.n)
                    return SubmodularityReport(False, True, (first, second), float(excess[worst]), reason)
        return SubmodularityReport(True, True, None, 0.0, reason)

    def _check_sample(self, rng: np.random.Generator) -> SubmodularityReport:
        reason = f"a sample of {_SAMPLES} local inequalities, of more than 2^{self.n}"
        # Densities from nearly empty to nearly full: violations often hide at the ends.
        densities = rng.beta(0.4, 0.4, _SAMPLES)
        worst = SubmodularityReport(True, False, None, 0.0, reason)
        magnitude = 0.0
        for rows in self._blocks(np.arange(_SAMPLES)):
            base = rng.random((len(rows), self.n)) < densities[rows, None]
            i = rng.integers(self.n, size=len(rows))
            j = (i + rng.integers(1, self.n, size=len(rows))) % self.n
            at = np.arange(len(rows))
            base[at, i] = base[at, j] = False
            with_i, with_j, both = base.copy(), base.copy(), base.copy()
            with_i[at, i] = with_j[at, j] = both[at, i] = both[at, j] = True
            values = [self._values(masks) for masks in (both, base, with_i, with_j)]
            magnitude = max(magnitude, *(float(np.abs(v).max()) for v in values))
            excess = values[0] + values[1] - values[2] - values[3]
            k = int(np.argmax(excess))
            if excess[k] > max(worst.excess, RELATIVE_TOLERANCE * magnitude):
                worst = SubmodularityReport(False, True, (with_i[k], with_j[k]), float(excess[k]), reason)
        return worst

    def _blocks(self, indices: Ints) -> list[Ints]:
        """The indices in pieces for which one mask each fits in bounded memory."""
        size = max(1, _BLOCK // self.n)
        return [indices[start : start + size] for start in range(0, len(indices), size)]

    def _as_masks(self, mask: ArrayLike) -> Bools:
        masks = as_target(mask, "mask")
        if masks.ndim == 0 or masks.shape[-1] != self.n:
            raise ValueError(f"mask has shape {masks.shape}, expected (..., {self.n}): one entry per element")
        return masks

    def _as_mask(self, mask: ArrayLike) -> Bools:
        single = self._as_masks(mask)
        if single.ndim != 1:
            raise ValueError(f"mask has shape {single.shape}, expected ({self.n},): pass one mask at a time")
        return single

    def _check_order(self, order: ArrayLike) -> Ints:
        array = np.asarray(order)
        if array.shape != (self.n,) or array.dtype.kind not in "iu":
            raise ValueError(
                f"order has shape {array.shape} and dtype {array.dtype}, expected {self.n} integers: "
                f"a permutation such as numpy.argsort gives"
            )
        array = array.astype(np.int64)
        seen = np.zeros(self.n, dtype=np.bool_)
        seen[array[(array >= 0) & (array < self.n)]] = True
        if not seen.all():
            raise ValueError(
                f"order is not a permutation of 0, …, {self.n - 1}: it lacks {int(np.argmin(seen))}; "
                f"name every element once"
            )
        return array


def as_ground_set(size: int, name: str) -> int:
    """Return the size of a ground set, refusing an empty one."""
    if size < 1:
        raise ValueError(f"{name} is empty; a set function needs at least one element: skip empty problems")
    return size


def as_size(n: int) -> int:
    """Return a number of elements, an integer ≥ 1."""
    try:
        size = operator.index(n)
    except TypeError:
        raise TypeError(f"n must be an integer, got {n!r}; pass the number of elements") from None
    if size < 1:
        raise ValueError(f"n is {n}; a set function needs at least one element: skip empty problems")
    return size


def sum_by(labels: Ints, values: Float64s, size: int) -> Float64s:
    """Sums of the values with the labels 0, …, size − 1."""
    # Of no values at all, bincount returns integers.
    return np.bincount(labels, weights=values, minlength=size).astype(np.float64, copy=False)


def constant_metric(metric: Float64s | None) -> float | None:
    """The factor c of a metric c·‖·‖², 1 for the Euclidean one, None if the elements weigh differently."""
    if metric is None:
        return 1.0
    return float(metric[0]) if (metric == metric[0]).all() else None


def _unpack(codes: Ints, n: int) -> Bools:
    """Masks of the given bit codes, (len(codes), n)."""
    return (codes[:, None] >> np.arange(n)) & 1 == 1


def _describe(mask: Bools) -> str:
    """A short name for a set: its elements, or its size when there are many."""
    elements = np.flatnonzero(mask)
    if len(elements) <= 8:
        return "{" + ", ".join(map(str, elements)) + "}"
    return f"{{{', '.join(map(str, elements[:4]))}, … {len(elements)} elements}}"
