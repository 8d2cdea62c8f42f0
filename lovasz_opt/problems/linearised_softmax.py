"""The convex local model of the Lovász-Softmax risk: a prox-linear, or Gauss-Newton, step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from .._validation import Float64s, Ints, as_scores, as_step
from .._vectors import dot, times, transpose_times
from ..extension import LovaszExtension
from ..losses._images import in_chunks
from ..sets import Jaccard
from ..sets._jaccard_prox import jaccard_prox, jaccard_prox_positive
from ._base import Minorant, Pools, Problem
from ._newton import LocalNewton, NewtonSystem

if TYPE_CHECKING:
    from .softmax import LovaszSoftmaxRisk

#: Marks of scores in no pool and of those held at error 0.
_FREE, _PINNED = -1, -2
#: Memory for rows of A.
_BYTES = 1 << 26


class _ClassOfImage(NamedTuple):
    """One term of the loss: weight·f at these scores."""

    rows: slice
    jaccard: Jaccard
    extension: LovaszExtension
    weight: float


class LinearisedSoftmaxRisk(Problem):
    r"""The Lovász-Softmax risk with its errors expanded to first order around W; convex in W'.

    .. math:: Q(W') = \frac{\mu}{2}\|W'\|_F^2 + \frac{1}{2\alpha}\|W' - W\|_F^2 + \frac1n \sum_i
        \frac{1}{|S_i|} \sum_{c \in S_i} f_{ic}\bigl([m_i(c) + J_{ic}(W' - W)]_+\bigr)

    with the errors m and their Jacobian J at W. Value and subgradient agree with those of the risk at W' = W,
    subgradients are true minorants, and gaps are certified. The weights of a greedy vector are ≥ 0 and sum to
    at most 1, so but for the proximal term the model differs from the risk by no more than the largest error
    of the expansion, ‖x_j‖²‖W' − W‖²/6. With a step α ≤ 3/max ‖x_j‖² the model is above the risk, and a
    lower value of the model than at W is a lower risk.

    `LovaszSoftmaxRisk.linearised` makes it.

    Parameters
    ----------
    risk : LovaszSoftmaxRisk
        What is modelled.
    W : (d, C) ndarray of float64
        Where it is expanded.
    step : float, optional
        α of the proximal term; without one there is none.
    clip : bool
        Whether expanded errors below 0 become 0: the positive part above. No error is negative, so this is
        at least as close to the risk, and the loss is ≥ 0. Without it an error below 0 is rewarded and the
        loss may be negative: 0 is then no minorant of it, but `known_minorant` is one.

    Raises
    ------
    ValueError, TypeError
        If the step is not positive.

    Notes
    -----
    Scores are the linear part of the expanded errors, J_ic W', image by image and class by class. A product
    with A or its transpose costs one with the features and O(C p). `ridge` and `squared_norm` build the
    (dC)² matrix AᵀA and its eigenvectors: O(p C² d² + d³C³) once. `solvers.ssnal` does without them.

    References
    ----------
    D. Drusvyatskiy, A. S. Lewis, "Error bounds, quadratic growth, and linear convergence of proximal
    methods", 2018; D. Drusvyatskiy, C. Paquette, "Efficiency of minimizing compositions of convex functions
    and smooth maps", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt import problems
    >>> pb = problems.LovaszSoftmaxRisk([[[1.0], [-1.0]]], [[0, 1]], l2=0.1)
    >>> model = pb.linearised([[0.0, 0.0]])
    >>> model.value([[1.0, -1.0]]), model.value([[2.0, -2.0]])
    (0.1, 0.4)
    """

    def __init__(self, risk: LovaszSoftmaxRisk, W: Float64s, step: float | None, clip: bool = True) -> None:
        self._risk, self._pixels, self.clip = risk, risk.pixels, bool(clip)
        self.shape = risk.shape
        pull = 0.0 if step is None else 1 / as_step(step, "step")
        self.strong_convexity = risk.l2 + pull
        start = W.reshape(-1)
        self.center = pull / self.strong_convexity * start
        #: What the two quadratics leave besides μ/2‖W' − v₀‖²; it is counted with the loss.
        self._constant = 0.5 * risk.l2 * pull / self.strong_convexity * dot(start, start)
        pixels = self._pixels
        self._probas: Float64s = softmax(risk._scores(start), axis=1)
        self._terms: list[_ClassOfImage] = []
        entries, first = [], 0
        for i, rows in enumerate(pixels.slices):
            counted = np.flatnonzero(pixels.counted[i])
            size = rows.stop - rows.start
            for c in counted:
                jaccard = Jaccard(pixels.labels[rows] == c)
                self._terms.append(
                    _ClassOfImage(
                        slice(first, first + size),
                        jaccard,
                        LovaszExtension(jaccard),
                        1 / (risk.n_images * len(counted)),
                    )
                )
                entries.append(np.arange(rows.start, rows.stop) * risk.n_classes + c)
                first += size
        self._entries = np.concatenate(entries) if entries else np.zeros(0, dtype=np.int64)
        #: An error of a class falls with the probability on its own pixels and rises with it elsewhere.
        own = pixels.labels[self._entries // risk.n_classes] == self._entries % risk.n_classes
        self._slopes = np.where(own, -1.0, 1.0)
        errors = np.where(own, 1.0, 0.0) + self._slopes * self._probas.reshape(-1)[self._entries]
        self._signs = self.apply(start) - errors
        self._kink = errors + self.apply(self.center - start)
        self.passes = 0.0

    def __repr__(self) -> str:
        return f"LinearisedSoftmaxRisk({self._risk!r}, strong_convexity={self.strong_convexity:g})"

    @property
    def known_minorant(self) -> Minorant:
        """A minorant that costs no evaluation: 0, or the mean of the errors, which f is never below."""
        if self.clip:
            return Minorant(self._constant, np.zeros_like(self.center))
        g = np.empty(len(self._entries))
        for term in self._terms:
            g[term.rows] = term.weight / term.jaccard.n
        return self.minorant(g)

    @property
    def known_bound(self) -> float:
        """The lower bound of min Q by `known_minorant`."""
        return self.lower_bound(self.known_minorant)

    def _count(self) -> None:
        self.passes += 1
        self._risk._count()

    def _softmax_derivative(self, T: Float64s) -> Float64s:
        """The derivative of the probabilities in the direction T of the scores, which is symmetric."""
        return self._probas * (T - np.einsum("ij,ij->i", self._probas, T)[:, None])

    def apply(self, v: Float64s) -> Float64s:
        self._count()
        moved = self._softmax_derivative(self._pixels.times(v.reshape(self.shape)))
        return self._slopes * moved.reshape(-1)[self._entries]

    def adjoint(self, g: Float64s) -> Float64s:
        self._count()
        G = np.zeros_like(self._probas)
        G.reshape(-1)[self._entries] = self._slopes * g
        return self._pixels.transpose_times(self._softmax_derivative(G)).reshape(-1)

    def gram(self, v: Float64s) -> Float64s:
        return self.adjoint(self.apply(v))

    @cached_property
    def _eigen(self) -> tuple[Float64s, Float64s]:
        """Eigenvalues and vectors of AᵀA, which is the sum of x xᵀ ⊗ M over the pixels."""
        d, C = self.shape
        gram = np.zeros((d, C, d, C))
        owner = np.repeat(np.arange(len(self._pixels.counted)), np.diff(self._pixels.offsets))
        for start, stop, rows in self._pixels.features.pieces():
            probas, counted = self._probas[start:stop], self._pixels.counted[owner[start:stop]]
            U = probas[:, :, None] * (np.eye(C) - probas[:, None, :])
            M = np.einsum("jkc,jc,jlc->jkl", U, counted, U)
            for k in range(C):
                for other in range(C):
                    gram[:, k, :, other] += rows.T @ (M[:, k, other, None] * rows)
        values, vectors = np.linalg.eigh(gram.reshape(d * C, d * C))
        return np.maximum(values, 0), vectors

    def ridge(self, rho: float, target: Float64s) -> Float64s:
        values, vectors = self._eigen
        pulled = rho * target + self.strong_convexity * self.center
        return times(vectors, transpose_times(vectors, pulled) / (self.strong_convexity + rho * values))

    @property
    def squared_norm(self) -> float:
        return float(self._eigen[0][-1])

    def loss(self, scores: Float64s) -> float:
        return self.loss_and_subgradient(scores)[0]

    def loss_and_subgradient(self, scores: Float64s) -> tuple[float, Float64s]:
        errors = scores - self._signs
        values, g = np.zeros(len(self._terms)), np.empty_like(errors)

        def run(start: int, stop: int) -> None:
            for k in range(start, stop):
                term = self._terms[k]
                part = errors[term.rows]
                values[k], w = term.extension._value_and_greedy(np.maximum(part, 0) if self.clip else part)
                g[term.rows] = term.weight * (np.where(part > 0, w, 0.0) if self.clip else w)

        in_chunks(run, self._costs)
        return self._constant + float(values @ [term.weight for term in self._terms]), g

    def prox_loss(self, scores: Float64s, gamma: float) -> Float64s:
        errors, out = scores - self._signs, np.empty_like(scores)

        def run(start: int, stop: int) -> None:
            for term in self._terms[start:stop]:
                part = errors[term.rows]
                z = term.jaccard._prox_point(part, gamma * term.weight, None, self.clip)
                # As a difference, what has not moved stays exactly.
                out[term.rows] = scores[term.rows] + (z - part)

        in_chunks(run, self._costs)
        return out

    def prox_loss_pools(self, scores: Float64s, gamma: float) -> tuple[Float64s, Pools]:
        """`prox_loss` and where its Jacobian is not the identity."""
        errors, out = scores - self._signs, np.empty_like(scores)
        labels = np.empty(len(scores), dtype=np.int64)

        def run(start: int, stop: int) -> None:
            for term in self._terms[start:stop]:
                part, step = errors[term.rows], gamma * term.weight
                if self.clip:
                    z, pools = jaccard_prox_positive(term.jaccard.target, part, step)
                else:
                    solution = jaccard_prox(term.jaccard.target, None, part, step)
                    z, pools = solution.z, solution.pools
                out[term.rows] = scores[term.rows] + (z - part)
                # Labels of the pools of a term are less than its size, so they stay apart.
                numbers = np.where(pools >= 0, term.rows.start + pools, _FREE)
                if self.clip:
                    numbers[(pools >= 0) & (z <= 0)] = _PINNED
                labels[term.rows] = numbers

        in_chunks(run, self._costs)
        members = np.flatnonzero(labels >= 0)
        members = members[np.bincount(labels[members])[labels[members]] > 1]
        pooled = members[np.argsort(labels[members], kind="stable")]
        starts = np.flatnonzero(np.diff(labels[pooled], prepend=-1))
        return out, Pools(np.flatnonzero(labels == _PINNED), pooled, starts)

    def newton_matrix(self, pools: Pools, penalty: float) -> Float64s:
        """penalty·Aᵀ(I − J)A for the Jacobian J that `pools` describes; O(k d²C²) for k listed scores."""
        total = np.zeros((self.center.size, self.center.size))
        most = max(_BYTES // (8 * self.center.size), 1)
        for start in range(0, len(pools.pinned), most):
            rows = self._rows(pools.pinned[start : start + most])
            total += rows.T @ rows
        sizes = np.diff(pools.starts, append=len(pools.pooled))
        owners = np.repeat(np.arange(len(sizes)), sizes)
        means = np.zeros((len(sizes), self.center.size))
        for start in range(0, len(owners), most):
            rows, owner = self._rows(pools.pooled[start : start + most]), owners[start : start + most]
            first = np.flatnonzero(np.diff(owner, prepend=-1))
            means[owner[first]] += np.add.reduceat(rows, first, axis=0) / sizes[owner[first], None]
        for start in range(0, len(owners), most):
            rows = self._rows(pools.pooled[start : start + most]) - means[owners[start : start + most]]
            total += rows.T @ rows
        return penalty * total

    def _rows(self, entries: Ints) -> Float64s:
        """Rows of A."""
        C = self.shape[1]
        pixel, c = self._entries[entries] // C, self._entries[entries] % C
        probas = self._probas[pixel]
        inner = probas[np.arange(len(c)), c, None] * ((np.arange(C) == c[:, None]) - probas)
        rows = self._pixels.features.rows(pixel)
        return ((self._slopes[entries, None] * rows)[:, :, None] * inner[:, None, :]).reshape(len(c), -1)

    def newton_system(self) -> NewtonSystem:
        """The state in which a second-order method walks through this model."""
        return LocalNewton(self)  # type: ignore[arg-type]

    @cached_property
    def _costs(self) -> np.ndarray:
        return np.array([0] + [term.rows.stop for term in self._terms])

    def minorant(self, g: Float64s, slope: Float64s | None = None) -> Minorant:
        offset, direction = super().minorant(g, slope)
        return Minorant(offset + self._constant, direction)

    def support(self, g: Float64s, scores: Float64s) -> float:
        return super().support(g, scores) + self._constant

    def dual_scores(self, s: Sequence[ArrayLike]) -> Float64s:
        pixels = self._pixels
        if len(s) != len(pixels.counted):
            raise ValueError(f"s holds {len(s)} dual arrays, expected {len(pixels.counted)}: one per image")
        parts = []
        for i, (dual, rows, counted) in enumerate(zip(s, pixels.slices, pixels.counted, strict=True)):
            shape = (int(counted.sum()), rows.stop - rows.start)
            parts.append(as_scores(dual, f"s[{i}]", shape)[0].reshape(-1))
        weights = np.concatenate([np.full(t.jaccard.n, t.weight) for t in self._terms] or [np.zeros(0)])
        return weights * np.concatenate(parts)

    def iou(self, v: ArrayLike) -> float:
        return self._risk.iou(v)
