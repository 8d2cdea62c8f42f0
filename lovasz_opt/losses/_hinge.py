"""The Lovász hinge of the Jaccard loss: value, subgradient, proximal operator, envelope, derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from .._solution import ProxSolution
from .._threads import thread_count
from .._validation import Float64s, Floats, Ints, as_number, as_step, as_weights
from ..extension import METHODS, LovaszExtension, Method
from ..kernels.hinge import hinge_images, hinge_prox_images
from ..path import pav_in_order, prox_path
from ..sets import Jaccard
from ..sets._jaccard_prox import Orders, check_size
from ._images import VOID, Codes, Images, Layout, flat_codes, in_chunks, is_list, work_space
from ._large import LARGE, hinge_of_large_image

Metric = Images | Literal["weights"] | None


class _Image(NamedTuple):
    """The valid pixels of one image, its Jaccard loss and the Lovász extension of that."""

    pixels: Ints
    signs: Float64s
    loss: Jaccard
    extension: LovaszExtension


class _Solved(NamedTuple):
    """The exact prox of one image in margins: x before, z after, and the solution before thresholding."""

    x: Float64s
    z: Float64s
    solution: ProxSolution


class LovaszHinge:
    r"""The Lovász hinge of the Jaccard loss of a fixed target, a convex function of the logits.

    With the signs :math:`s = 2y - 1` and the Lovász extension f of the Jaccard loss Δ,

    .. math:: L(F) = f(\max(0, 1 - s \circ F)), \qquad
              \Delta(M) = \frac{\mu(M)}{\mu(\{y = 1\}) + \mu(M \cap \{y = 0\})},

    where μ sums pixel weights, or counts pixels. A 1-D target is one image; from two axes on, the leading
    axis counts images and the loss is the mean of theirs. Images of different sizes are passed as a list of
    arrays; logits, weights and the like are then lists too, and so is every result with a pixel axis.

    Parameters
    ----------
    target : (p,) or (B, ...) array_like of {0, 1}, or list of arrays
        Boolean, integer or floating labels; pixels equal to `ignore` are void.
    weights : array_like of float, optional
        Positive pixel weights μ in the shape of the target.
    ignore : number, optional
        Label of void pixels, such as 255. They take no part: subgradient 0, and the prox leaves them alone.
    per_image : bool, default True
        Whether the leading axis counts images; if not, the whole batch is one image.

    Attributes
    ----------
    shape : tuple of int, or list of them
        Shape of the target, and of the logits; of every image of a list.
    n_images : int
        Number of images B in the mean.

    Raises
    ------
    ValueError
        If a label is neither 0, 1 nor `ignore`, there is no pixel, or weights are not positive and finite.

    Notes
    -----
    An image without valid pixels counts 0 **and stays in the mean** (other libraries leave it out). Without
    foreground the loss of an image is its largest positive margin.

    Value and subgradient take O(p) for a fixed precision: pixels that cannot matter are dropped, a radix sort
    orders the others. float32 logits are sorted in float32 and accumulated in float64. Images are computed in
    as many threads as Numba may use, with the same result to the last bit whatever their number; for value
    and subgradient without weights, so are the parts of an image of 2^20 pixels or more.

    Everything behind the leading axis is one image. Where images and classes are losses of their own, as with
    multi-label targets of shape (B, C, H, W), both are leading: pass ``target.reshape(B * C, H, W)`` and
    logits alike, which copies nothing.

    The Lovász hinge is not consistent for a non-modular loss: its minimiser over distributions need not
    minimise the expected Jaccard loss [3]_.

    References
    ----------
    .. [1] J. Yu, M. B. Blaschko, "Learning submodular losses with the Lovász hinge", ICML 2015.
    .. [2] M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018.
    .. [3] J. Finocchiaro, R. Frongillo, E. Nueve, "The structured abstain problem and the Lovász hinge",
       COLT 2022.

    Examples
    --------
    >>> import lovasz_opt as lo
    >>> h = lo.LovaszHinge([1, 0, 1])
    >>> h([0.0, 1.0, 3.0])
    1.0
    >>> h.subgradient([0.0, 1.0, 3.0]).round(4)
    array([-0.3333,  0.3333,  0.    ])
    >>> h.prox([0.0, 1.0, 3.0], gamma=1.5)
    array([0.5, 0.5, 3. ])
    >>> import numpy as np
    >>> sizes = lo.LovaszHinge([np.array([1, 0, 1]), np.array([[1, 0], [0, 0]])])
    >>> [z.shape for z in sizes.prox([np.zeros(3), np.zeros((2, 2))], gamma=1.5)]
    [(3,), (2, 2)]
    """

    def __init__(
        self,
        target: Images,
        weights: Images | None = None,
        ignore: float | None = None,
        per_image: bool = True,
    ) -> None:
        codes = flat_codes(target, ignore, "target")
        if not is_list(target) and np.may_share_memory(codes, target):
            codes = codes.copy()
        self._prepare(codes, Layout.of(target, bool(per_image), "target"), weights)

    @classmethod
    def _of_labels(cls, labels: Images, per_image: bool, ignore: float | None) -> LovaszHinge:
        """The loss for one call: messages name `labels`, which need not be copied."""
        loss = cls.__new__(cls)
        loss._prepare(flat_codes(labels, ignore, "labels"), Layout.of(labels, per_image, "labels"), None)
        return loss

    @classmethod
    def _of_flat(cls, codes: Codes, offsets: Ints) -> LovaszHinge:
        """The loss of images that lie one behind the other in flat arrays; some may have no pixel."""
        loss = cls.__new__(cls)
        loss._prepare(codes, Layout((codes.shape,), False, offsets), None)
        return loss

    def _prepare(self, codes: Codes, layout: Layout, weights: Images | None) -> None:
        self.shape = layout.shape
        self.n_images = layout.n_images
        self._codes = codes
        self._layout = layout
        self._weights: Float64s | None = None
        self._totals: Float64s | None = None
        if weights is not None:
            self._weights = self._flat_weights(weights, "weights")
            self._totals = np.array([self._foreground_mass(rows) for rows in self._slices])

    @property
    def _slices(self) -> list[slice]:
        return [slice(int(a), int(b)) for a, b in pairwise(self._layout.offsets)]

    def _flat_weights(self, weights: Images, name: str) -> Float64s:
        layout = self._layout
        if not layout.listed:
            return as_weights(weights, layout.shape, name).reshape(-1).copy()  # type: ignore[arg-type]
        return np.concatenate(
            [as_weights(image, shape, part).reshape(-1) for part, image, shape in layout.parts(weights, name)]
        )

    def __repr__(self) -> str:
        weighted = ", weighted" if self._weights is not None else ""
        return f"LovaszHinge(shape={self.shape}, images={self.n_images}{weighted})"

    def __call__(self, logits: Images) -> float:
        """Value of the loss: the mean over the images, accumulated in float64."""
        return self._evaluate(self._flat(logits)[0])[0]

    def values(self, logits: Images) -> Floats:
        """Loss of every image.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.

        Returns
        -------
        (B,) ndarray
            In the dtype of the logits; 0 for an image without valid pixels.
        """
        flat, dtype = self._flat(logits)
        return self._images(flat)[0].astype(dtype)

    def subgradient(self, logits: Images) -> Floats:
        """A subgradient of the loss at the logits; see `value_and_subgradient`.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.

        Returns
        -------
        ndarray
            Shape and dtype of the logits.
        """
        return self.value_and_subgradient(logits)[1]

    def value_and_subgradient(self, logits: Images) -> tuple[float, Floats]:
        """Value of the loss and a subgradient, the gradient wherever the loss is differentiable.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.

        Returns
        -------
        float
            The mean over the images.
        ndarray
            Shape and dtype of the logits: −s ∘ w / B with the greedy vector w of each image; 0 where the
            margin is ≤ 0 and on void pixels. Equal margins are ordered by pixel index.

        Raises
        ------
        ValueError
            If the logits are not finite or do not have the shape of the target.

        Notes
        -----
        Complexity: O(p) for a fixed precision.
        """
        flat, dtype = self._flat(logits)
        value, gradient = self._evaluate(flat)
        return value, self._restored(gradient, dtype)

    def prox(
        self,
        logits: Images,
        gamma: float,
        method: Method = "exact",
        *,
        metric: Metric = None,
        max_steps: int = 20,
        slip: bool = True,
        start: Images | None = None,
    ) -> Any:
        r"""Proximal operator of the loss: :math:`\arg\min_Z \tfrac12 \|Z - F\|^2 + \gamma L(Z)`.

        It is the prox of the loss itself: with a mean over B images every image moves with the step gamma/B.
        `prox_lovasz_hinge` moves every image with the full step instead.

        Parameters
        ----------
        logits : array_like of float
            Scores F in the shape of the target.
        gamma : float
            Step, > 0.
        method : {"exact", "path", "pav-in-order"}, default "exact"
            The last two are inexact and only there to be compared with: the path walk of the paper's first
            version (`lovasz_opt.path.prox_path`), and pooling in the order of the margins.
        metric : array_like of float or "weights", optional
            Positive weights of the squares in the shape of the target, or "weights" for the pixel weights of
            the loss, which keeps the weighted prox in O(p log p). For method "exact" only.
        max_steps : int, default 20
            Step limit of the path walk.
        slip : bool, default True
            Whether the path walk keeps the slip of the released code.
        start : array_like of float, optional
            A nearby solution, such as the last iterate of a solver. The result is the same to the last bit.
            With it the loss keeps the order of the pixels from call to call (a 32-bit number each), and
            margins that have moved little since are put right by insertion, which is quicker than sorting;
            where they have moved too far, it sorts. For method "exact" in the metric of the loss.

        Returns
        -------
        ndarray
            Shape and dtype of the logits. Void pixels and pixels with margin ≤ 0 are returned unchanged.

        Raises
        ------
        ValueError
            If the logits are not finite or have another shape, gamma is not finite and positive, the method
            is unknown, or a metric is given to an inexact method.

        Notes
        -----
        On margins the prox is max(prox_{γf}(x), min(x, 0)), because Δ is non-decreasing.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> h = lo.LovaszHinge([1, 0, 1])
        >>> h.prox([-25.0, 11.0, -12.0], 12.0)
        array([-19.,   9.,  -8.])
        >>> h.prox([-25.0, 11.0, -12.0], 12.0, method="path")
        array([-19. ,   8.5,  -8.5])
        """
        step = as_step(gamma) / self.n_images
        return self._prox(logits, step, method, metric, max_steps, slip, start)

    def envelope(self, logits: Images, gamma: float, *, metric: Metric = None) -> float:
        """Moreau envelope of the loss; see `envelope_and_gradient`.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.
        gamma : float
            Step, > 0.
        metric : array_like of float or "weights", optional
            As in `prox`.

        Returns
        -------
        float
            A lower bound of the loss.
        """
        return self.envelope_and_gradient(logits, gamma, metric=metric)[0]

    def envelope_and_gradient(
        self, logits: Images, gamma: float, *, metric: Metric = None
    ) -> tuple[float, Floats]:
        r"""Moreau envelope :math:`\min_Z \tfrac1{2\gamma} \|Z - F\|^2 + L(Z)` of the loss, and its gradient.

        Parameters
        ----------
        logits : array_like of float
            Scores F in the shape of the target.
        gamma : float
            Step, > 0.
        metric : array_like of float or "weights", optional
            As in `prox`.

        Returns
        -------
        float
            A lower bound of the loss, equal to it in the limit of small gamma.
        ndarray
            The gradient (F − prox)/gamma, times the metric; shape and dtype of the logits.

        Raises
        ------
        ValueError
            As `prox`.

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> value, gradient = lo.LovaszHinge([1, 0, 1]).envelope_and_gradient([-25.0, 11.0, -12.0], 12.0)
        >>> round(value, 12), gradient.round(4).tolist()
        (17.0, [-0.5, 0.1667, -0.3333])
        """
        return self._envelope(logits, as_step(gamma) / self.n_images, metric)

    def prox_jvp(
        self,
        logits: Images,
        gamma: float,
        tangent: Images,
        gamma_tangent: float = 0.0,
        *,
        metric: Metric = None,
    ) -> Floats:
        """Directional derivative of (F, gamma) ↦ `prox` (F, gamma), which is piecewise linear.

        Pixels with margin ≤ 0 and void pixels have derivative 1, pixels pinned at margin 0 have 0, and a pool
        moves, in margins, by the mean of its tangents minus gamma_tangent times its share of the loss.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.
        gamma : float
            Step, > 0.
        tangent : array_like of float
            Direction in the logits, in their shape.
        gamma_tangent : float, default 0.0
            Direction in gamma.
        metric : array_like of float or "weights", optional
            As in `prox`.

        Returns
        -------
        ndarray
            Shape and dtype of the logits; at a kink, the derivative with the pools as they were found.

        Raises
        ------
        ValueError
            As `prox`, and if the tangent does not have the shape of the target or is not finite.

        Notes
        -----
        Complexity: one prox, then O(p).

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> lo.LovaszHinge([1, 0, 1]).prox_jvp([0.0, 1.0, 3.0], 1.5, [1.0, 2.0, 3.0])
        array([1., 2., 3.])
        """
        flat, dtype = self._flat(logits)
        directions = self._flat(tangent, "tangent")[0].astype(np.float64)
        step = as_step(gamma) / self.n_images
        step_tangent = as_number(gamma_tangent, "gamma_tangent") / self.n_images
        out = directions.copy()

        def push(b: int, image: _Image, solved: _Solved, masses: Float64s) -> None:
            pools = solved.solution.pools
            tangents = -image.signs * directions[image.pixels]
            increments = image.extension._pool_increments(pools)
            sums = np.bincount(pools, weights=masses * tangents) - step_tangent * increments
            means = sums / np.bincount(pools, weights=masses)
            moved = np.where(solved.z > 0, means[pools], 0.0)
            out[image.pixels] = -image.signs * np.where(solved.x > 0, moved, tangents)

        self._each_solved(flat, step, metric, push)
        return self._restored(out, dtype)

    def prox_vjp(
        self, logits: Images, gamma: float, cotangent: Images, *, metric: Metric = None
    ) -> tuple[Floats, float]:
        """Transposed derivative of `prox`: what a cotangent of its result pulls back to.

        Parameters
        ----------
        logits : array_like of float
            Scores in the shape of the target.
        gamma : float
            Step, > 0.
        cotangent : array_like of float
            Weights of the entries of the prox, in the shape of the target.
        metric : array_like of float or "weights", optional
            As in `prox`.

        Returns
        -------
        ndarray
            Gradient of ⟨cotangent, prox⟩ in the logits, in their shape and dtype.
        float
            The same in gamma.

        Raises
        ------
        ValueError
            As `prox`, and if the cotangent does not have the shape of the target or is not finite.

        Notes
        -----
        Complexity: one prox, then O(p).

        Examples
        --------
        >>> import lovasz_opt as lo
        >>> pulled, slope = lo.LovaszHinge([1, 0, 1]).prox_vjp([-25.0, 11.0, -12.0], 12.0, [1.0, 2.0, 3.0])
        >>> pulled, round(slope, 6)
        (array([1., 2., 3.]), 1.166667)
        """
        flat, dtype = self._flat(logits)
        directions = self._flat(cotangent, "cotangent")[0].astype(np.float64)
        step = as_step(gamma) / self.n_images
        out = directions.copy()
        gamma_gradients = np.zeros(self.n_images)

        def pull(b: int, image: _Image, solved: _Solved, masses: Float64s) -> None:
            pools = solved.solution.pools
            cotangents = -image.signs * directions[image.pixels]
            free = solved.z > 0
            means = np.bincount(pools, weights=np.where(free, cotangents, 0.0)) / np.bincount(
                pools, weights=masses
            )
            gamma_gradients[b] = -float(means @ image.extension._pool_increments(pools)) / self.n_images
            moved = np.where(free, masses * means[pools], 0.0)
            out[image.pixels] = -image.signs * np.where(solved.x > 0, moved, cotangents)

        self._each_solved(flat, step, metric, pull)
        return self._restored(out, dtype), float(gamma_gradients.sum())

    def _foreground_mass(self, rows: slice) -> float:
        assert self._weights is not None
        return float(self._weights[rows][self._codes[rows] == 1].sum())

    def _flat(self, scores: Images, name: str = "logits") -> tuple[Floats, np.dtype]:
        return self._layout.flat_scores(scores, name)

    def _restored(self, flat: Floats, dtype: np.dtype) -> Any:
        return self._layout.restored(flat.astype(dtype, copy=False))

    def _images(self, flat: Floats, divisor: float | None = None) -> tuple[Float64s, Floats]:
        """Values of the images in float64, and the subgradient of their mean; of their sum over a divisor."""
        divisor = float(self.n_images) if divisor is None else divisor
        values = np.zeros(self.n_images)
        gradient = np.empty_like(flat)
        offsets = self._layout.offsets

        def run(start: int, stop: int) -> None:
            work = work_space(np.diff(offsets[start : stop + 1]).max())
            hinge_images(
                flat,
                self._codes,
                self._weights,
                self._totals,
                offsets,
                divisor,
                start,
                stop,
                *work,
                values,
                gradient,
            )

        threads = thread_count()
        if self._weights is not None or self.n_images >= threads:
            in_chunks(run, offsets)
            return values, gradient
        # Too few images to keep every thread busy: the large ones are divided.
        for b, rows in enumerate(self._slices):
            if rows.stop - rows.start < LARGE:
                run(b, b + 1)
            else:
                values[b] = hinge_of_large_image(
                    flat[rows], self._codes[rows], divisor, threads, gradient[rows]
                )
        return values, gradient

    def _evaluate(self, flat: Floats) -> tuple[float, Floats]:
        values, gradient = self._images(flat)
        return float(values.mean()), gradient

    @cached_property
    def _valid_images(self) -> list[_Image | None]:
        """The images as the prox needs them; None where every pixel is void."""
        images: list[_Image | None] = []
        for rows in self._slices:
            codes = self._codes[rows]
            pixels = rows.start + np.flatnonzero(codes != VOID)
            if not len(pixels):
                images.append(None)
                continue
            foreground = self._codes[pixels] == 1
            weights = None if self._weights is None else self._weights[pixels]
            loss = Jaccard(foreground, weights)
            images.append(_Image(pixels, np.where(foreground, 1.0, -1.0), loss, LovaszExtension(loss)))
        return images

    def _metric(self, metric: Metric) -> Float64s | None:
        if metric is None:
            return None
        if isinstance(metric, str):
            if metric != "weights":
                raise ValueError(
                    f"metric is {metric!r}; pass 'weights', an array of positive weights, or None"
                )
            if self._weights is None:
                raise ValueError("metric is 'weights', but the loss has none; pass weights to LovaszHinge")
            return self._weights
        return self._flat_weights(metric, "metric")

    def _solve(self, image: _Image, flat: Floats, step: float, metric: Float64s | None) -> _Solved:
        x = 1.0 - image.signs * flat[image.pixels].astype(np.float64, copy=False)
        solution = image.extension.prox_solution(x, step, metric=metric)
        return _Solved(x, np.maximum(solution.z, np.minimum(x, 0.0)), solution)

    def _each_solved(
        self,
        flat: Floats,
        step: float,
        metric: Metric,
        use: Callable[[int, _Image, _Solved, Float64s], None],
    ) -> None:
        """Solve the prox of every image and hand it to ``use(b, image, solved, metric of its pixels)``."""
        weights = self._metric(metric)
        images = self._valid_images

        def run(start: int, stop: int) -> None:
            for b in range(start, stop):
                image = images[b]
                if image is not None:
                    masses = None if weights is None else weights[image.pixels]
                    solved = self._solve(image, flat, step, masses)
                    use(b, image, solved, np.ones(len(image.pixels)) if masses is None else masses)

        in_chunks(run, self._layout.offsets)

    def _prox(
        self,
        logits: Images,
        step: float,
        method: Method = "exact",
        metric: Metric = None,
        max_steps: int = 20,
        slip: bool = True,
        start: Images | None = None,
    ) -> Any:
        """The prox with the same step for every image."""
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
        flat, dtype = self._flat(logits)
        if method == "exact":
            # Taken out while in use: calls from other threads start afresh.
            orders = self.__dict__.pop("_orders", None)
            if start is not None:
                self._flat(start, "start")
                orders = orders or Orders.kept(len(flat), self.n_images)
            moved = self._exact_prox(
                flat, step, self._metric(metric), orders if start is not None else Orders.none(self.n_images)
            )
            if orders is not None:
                self._orders = orders
            return self._restored(moved, dtype)
        if metric is not None:
            raise ValueError(f"metric is only for method='exact'; method {method!r} is Euclidean")
        moved = flat.astype(np.float64)
        for image in self._valid_images:
            if image is None:
                continue
            x = 1.0 - image.signs * moved[image.pixels]
            greedy = image.extension.greedy(x)
            if method == "path":
                z = prox_path(x, greedy, step, max_steps=max_steps, slip=slip)
            else:
                z = np.maximum(pav_in_order(x, greedy, step), np.minimum(x, 0.0))
            _move(moved, image, x, z)
        return self._restored(moved, dtype)

    def _exact_prox(self, flat: Floats, step: float, metric: Float64s | None, orders: Orders) -> Float64s:
        offsets = self._layout.offsets
        check_size(int(np.diff(offsets).max()))
        if metric is self._weights:
            moved = np.empty(len(flat))

            def run(start: int, stop: int) -> None:
                hinge_prox_images(flat, self._codes, metric, offsets, step, start, stop, moved, *orders)

        else:
            moved = flat.astype(np.float64)
            images = self._valid_images

            def run(start: int, stop: int) -> None:
                for image in images[start:stop]:
                    if image is not None:
                        x = 1.0 - image.signs * moved[image.pixels]
                        masses = None if metric is None else metric[image.pixels]
                        _move(moved, image, x, image.loss._prox_point(x, step, masses, positive=True))

        in_chunks(run, offsets)
        return moved

    def _envelope(self, logits: Images, step: float, metric: Metric) -> tuple[float, Floats]:
        """Mean over the images of their envelopes with the given step, and its gradient."""
        flat, dtype = self._flat(logits)
        moved = flat.astype(np.float64)
        gradient = np.zeros(moved.shape)
        squares = np.zeros(self.n_images)

        def use(b: int, image: _Image, solved: _Solved, masses: Float64s) -> None:
            _move(moved, image, solved.x, solved.z)
            dual = image.extension._dual(solved.x, step, solved.solution, masses)
            down = solved.z <= 0
            dual[down] = masses[down] * np.maximum(solved.x[down], 0.0) / step
            squares[b] = 0.5 * step * float(dual @ (dual / masses))
            gradient[image.pixels] = -image.signs * dual / self.n_images

        self._each_solved(flat, step, metric, use)
        value = float((squares + self._images(moved)[0]).mean())
        return value, self._restored(gradient, dtype)


def _move(flat: Float64s, image: _Image, x: Float64s, z: Float64s) -> None:
    """Write margins z back into the logits of one image; a margin that has not moved keeps its logit."""
    flat[image.pixels] = np.where(z == x, flat[image.pixels], image.signs * (1.0 - z))
