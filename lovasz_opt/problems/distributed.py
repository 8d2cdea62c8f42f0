"""A linear risk whose images live on the workers of a dask cluster; only d² numbers travel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import Float64s, as_step
from . import _newton
from ._base import Minorant, Objective
from ._newton import Augmented, Start
from .linear_hinge import LinearHingeRisk, Upsampling

#: Features and targets of some images, or what loads them where they are needed.
Part = tuple[Sequence[Any], Sequence[ArrayLike]] | Callable[[], tuple[Sequence[Any], Sequence[ArrayLike]]]

#: Seconds between looks at the cluster, and without any worker before giving up.
_LOOK, _PATIENCE = 2.0, 60.0


class DistributedHingeRisk(Objective):
    r"""`LinearHingeRisk` over images on the workers of a `dask.distributed` cluster.

    Per-image sums of value, subgradient and generalised Hessian are formed where the images are. For methods
    that look at the pixels only through them: `solvers.subgradient`, `solvers.bundle`, `solvers.ssnal`.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    parts : sequence
        For every part of the images its (features, targets) as `LinearHingeRisk` takes them, or a function
        without arguments that returns them. The function runs on a worker, so that no pixel passes through
        this process, and runs again if that worker is lost. A few parts for every worker are enough.
    l2 : float
        Ridge weight μ > 0.
    ignore : int, optional
        Label of void pixels.
    upsample : {None, "align_corners", "half_pixel"}
        As for `LinearHingeRisk`.

    Attributes
    ----------
    n_images, n_pixels, n_features : int
        Images, valid pixels and columns in all.

    Raises
    ------
    ValueError, TypeError
        As `LinearHingeRisk`; for no parts; for parts that differ in their number of features.

    Notes
    -----
    The results are those of `LinearHingeRisk` on all images up to rounding: sums are taken part by part, in
    the order of the parts, whichever worker found them. What a worker that dies has held is computed again by
    the others from the messages since the beginning; a solve goes on as soon as that is done. An iteration of
    `solvers.ssnal` moves the coefficients, a d × d matrix and a few numbers for every part.

    Examples
    --------
    ::

        from dask.distributed import Client
        from lovasz_opt import problems, solvers

        def load(k):  # on a worker
            return features_of(k), masks_of(k)

        with Client("tcp://scheduler:8786") as client:
            pb = problems.DistributedHingeRisk(client, [partial(load, k) for k in range(16)], l2=1e-3)
            r = solvers.ssnal(pb, tol=1e-6)
    """

    def __init__(
        self,
        client: Any,
        parts: Sequence[Part],
        l2: float = 1e-3,
        ignore: int | None = None,
        upsample: Upsampling | None = None,
    ) -> None:
        if len(parts) == 0:
            raise ValueError("parts is empty; give at least one part with images")
        self.strong_convexity = as_step(l2, "l2")
        self._client = client
        loaded = [
            client.submit(_load, part, self.strong_convexity, ignore, upsample, pure=False) for part in parts
        ]
        sizes = self._gather([client.submit(_size, risk, pure=False) for risk in loaded])
        columns = {size[2] for size in sizes}
        if len(columns) > 1:
            raise ValueError(
                f"parts have {' and '.join(map(str, sorted(columns)))} features; all need the same features"
            )
        self.n_images, self.n_pixels = sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        self.n_features = columns.pop()
        self.center = np.zeros(self.n_features)
        self.shape = (self.n_features,)
        self._risks = [
            client.submit(_with_share, risk, size[0] / self.n_images, pure=False)
            for risk, size in zip(loaded, sizes, strict=True)
        ]

    def __repr__(self) -> str:
        return (
            f"DistributedHingeRisk({len(self._risks)} parts, {self.n_images} images, {self.n_pixels} pixels, "
            f"{self.n_features} features, l2={self.strong_convexity:g})"
        )

    def loss_at(self, v: Float64s) -> float:
        return float(sum(self._ask(_loss_at, v)))

    def linearise(self, v: Float64s) -> tuple[float, Float64s, Minorant]:
        loss, minorant = _sum(self._ask(_linearise, v))
        return self.quadratic(v) + loss, self.strong_convexity * (v - self.center) + minorant.slope, minorant

    def iou(self, v: ArrayLike) -> float:
        """Mean intersection over union of the segmented images on valid pixels; 1 where the union is empty.

        Parameters
        ----------
        v : (d,) array of float
            Coefficients.

        Returns
        -------
        float
        """
        return float(sum(self._ask(_iou, self._point(v))))

    def newton_system(self) -> RemoteNewton:
        """The state in which a second-order method walks through this risk."""
        return RemoteNewton(self)

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The answer of every part to a question that leaves no state."""
        submit = self._client.submit
        answers = self._gather(
            [submit(_answer, question, risk, *arguments, pure=False) for risk in self._risks]
        )
        return self._counted(answers)

    def _counted(self, answers: list[tuple[Any, float]]) -> list[Any]:
        self.passes += sum(pixels for _, pixels in answers) / max(self.n_pixels, 1)
        return [answer for answer, _ in answers]

    def _gather(self, futures: list[Any]) -> list[Any]:
        """Wait for results; an error of a worker is raised here, and so is the loss of all workers."""
        from distributed import wait

        lonely = None
        while True:
            try:
                wait(futures, timeout=_LOOK)
                return list(self._client.gather(futures))
            except TimeoutError:
                if self._client.nthreads():
                    lonely = None
                elif lonely is None:
                    lonely = monotonic()
                elif monotonic() - lonely > _PATIENCE:
                    raise RuntimeError(
                        f"the cluster has had no worker for {_PATIENCE:g} s; start workers and resume from "
                        "the last result"
                    ) from None


class RemoteNewton:
    """The `NewtonSystem` of a distributed risk: every state is the future of a value that never changes.

    So a lost worker loses nothing: the scheduler knows how each value came about.
    """

    def __init__(self, risk: DistributedHingeRisk) -> None:
        self._risk = risk
        self._states: list[Any] = [None] * len(risk._risks)

    def _act(self, action: Callable[..., tuple[Augmented, Any]], *arguments: Any) -> list[Any]:
        submit = self._risk._client.submit
        self._states = [
            submit(_act, action, risk, state, *arguments, pure=False)
            for risk, state in zip(self._risk._risks, self._states, strict=True)
        ]
        answers = self._risk._gather([submit(itemgetter(1), state, pure=False) for state in self._states])
        return self._risk._counted(answers)

    def begin(self, v: Float64s) -> Start:
        self._states = [None] * len(self._states)
        starts = self._act(_newton.begin, v)
        loss, minorant = _sum([(start.loss, start.minorant) for start in starts])
        return Start(loss, minorant, sum(s.square for s in starts), sum(s.pixels for s in starts))

    def turn(self, penalty: float) -> Float64s:
        return np.sum(self._act(_newton.turn, penalty), axis=0)

    def matrix(self, penalty: float) -> Float64s:
        return np.sum(self._act(_newton.matrix, penalty), axis=0)

    def aim(self, direction: Float64s, penalty: float) -> float:
        return float(sum(self._act(_newton.aim, direction, penalty)))

    def trial(self, step: float, penalty: float) -> float:
        return float(sum(self._act(_newton.trial, step, penalty)))

    def settle(self) -> tuple[float, Minorant]:
        return _sum(self._act(_newton.settle))

    def memory(self) -> dict[str, Any]:
        return {}

    def restore(self, memory: dict[str, Any], penalty: float) -> None:
        raise NotImplementedError("the pixels are not here; a method begins anew at the point it had reached")


def _sum(parts: list[tuple[float, Minorant]]) -> tuple[float, Minorant]:
    loss = float(sum(part for part, _ in parts))
    offset = float(sum(minorant.offset for _, minorant in parts))
    return loss, Minorant(offset, np.sum([minorant.slope for _, minorant in parts], axis=0))


# What runs on the workers.


def _load(part: Part, l2: float, ignore: int | None, upsample: Upsampling | None) -> LinearHingeRisk:
    features, targets = part() if callable(part) else part
    return LinearHingeRisk(features, targets, l2, ignore, upsample)


def _size(risk: LinearHingeRisk) -> tuple[int, int, int]:
    return risk.n_images, risk.n_pixels, risk.n_features


def _with_share(risk: LinearHingeRisk, share: float) -> LinearHingeRisk:
    part = risk.batch(range(risk.n_images))
    part._share = share
    return part


def _answer(question: Callable[..., Any], risk: LinearHingeRisk, *arguments: Any) -> tuple[Any, float]:
    """The answer, and how many pixels were passed over for it."""
    before = risk.passes
    return question(risk, *arguments), (risk.passes - before) * risk.n_pixels


def _act(
    action: Callable[..., tuple[Augmented, Any]],
    risk: LinearHingeRisk,
    previous: tuple[Augmented, Any] | None,
    *arguments: Any,
) -> tuple[Augmented, tuple[Any, float]]:
    states = () if previous is None else previous[:1]
    (state, reply), pixels = _answer(action, risk, *states, *arguments)
    return state, (reply, pixels)


def _loss_at(risk: LinearHingeRisk, v: Float64s) -> float:
    return risk.loss_at(v)


def _linearise(risk: LinearHingeRisk, v: Float64s) -> tuple[float, Minorant]:
    value, _, minorant = risk.linearise(v)
    return value - risk.quadratic(v), minorant


def _iou(risk: LinearHingeRisk, v: Float64s) -> float:
    return risk._share * risk.iou(v)
