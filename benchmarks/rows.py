"""The rows of the table of peers: kinds of work, each with its sides and its bound."""

from __future__ import annotations

import inspect
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any

import measure
import numba
import numpy as np
import rivals
import workloads
from measure import Cell, count, duration
from scipy.optimize import isotonic_regression

import lovasz_opt as lo
from lovasz_opt.kernels.pav import isotonic_decreasing
from lovasz_opt.losses import lovasz_hinge_and_gradient, lovasz_softmax_and_gradient
from lovasz_opt.minnorm import prox_min_norm

OURS = "lovasz_opt"
ARGSORT = "np.argsort"


@dataclass
class Settings:
    """How long and how large."""

    repeats: int
    threads: int
    quick: bool

    def size(self, p: int) -> int:
        return max(100, p // 100) if self.quick else p


@dataclass
class Row:
    """One kind of work.

    The ratio is ours over theirs where it may be `at_most` something, and theirs over ours (how much faster
    we are) otherwise; of several peers, the fastest counts. A row without a bound is there to be read.
    """

    name: str
    work: str
    cells: Callable[[Settings], Iterator[Cell]]
    theirs: tuple[str, ...]
    ours: str = OURS
    at_most: float | None = None
    at_least: float | None = None
    mean: bool = False
    unit: str = "×"
    show: Callable[[float], str] = field(default=duration, repr=False)

    def ratios(self, cell: Cell) -> list[float]:
        """Run by run."""
        ratios = cell.ratios(self.theirs, self.ours)
        return [1 / ratio for ratio in ratios] if self.at_most is not None else ratios

    def deciding(self, cells: list[Cell]) -> Cell | None:
        """The cell with the worst median; None if no peer ran."""
        ran = [cell for cell in cells if self.ratios(cell)]
        worst = max if self.at_most is not None else min
        return worst(ran, key=lambda cell: statistics.median(self.ratios(cell)), default=None)

    def verdict(self, cells: list[Cell]) -> list[float]:
        """Ratios, run by run, of the deciding cell, or their geometric mean over the cells."""
        if self.mean:
            ratios = [runs for runs in map(self.ratios, cells) if runs]
            return [statistics.geometric_mean(run) for run in zip(*ratios, strict=True)]
        cell = self.deciding(cells)
        return [] if cell is None else self.ratios(cell)

    def measured(self, cells: list[Cell]) -> float | None:
        """Median of the verdict."""
        ratios = self.verdict(cells)
        return statistics.median(ratios) if ratios else None

    def met(self, cells: list[Cell]) -> bool | None:
        measured = self.measured(cells)
        if measured is None or (self.at_most is None and self.at_least is None):
            return None
        return measured <= self.at_most if self.at_most is not None else measured >= (self.at_least or 0.0)

    def bound(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        return "–" if self.at_least is None else f"≥ {self.at_least:g} {self.unit} faster"


def in_turn(case: str, peers: rivals.Peers, settings: Settings, note: str = "") -> Cell:
    """Run the sides that there are, in turn."""
    calls = {name: call for name, call in peers.items() if not isinstance(call, rivals.NotInstalled)}
    missing = [f"{name} ({call})" for name, call in peers.items() if isinstance(call, rivals.NotInstalled)]
    return Cell(case, measure.in_turn(calls, settings.repeats), missing, note)


def agreement(peers: rivals.Peers) -> str:
    """How far the losses that the sides compute are apart."""
    values = [float(call()[0]) for call in peers.values() if not isinstance(call, rivals.NotInstalled)]
    return f"values agree to {np.ptp(values) / abs(values[0]):.0e}" if len(values) > 1 else ""


def hinge_argsort(settings: Settings, trained: bool) -> Iterator[Cell]:
    p = settings.size(10**6)
    target, logits = workloads.scene(p, trained=trained)
    hinge = lo.LovaszHinge(target)
    margins = np.where(target, 1 - logits, 1 + logits)
    sides = {OURS: partial(hinge.value_and_subgradient, logits), ARGSORT: partial(np.argsort, margins)}
    yield in_turn(f"p = {count(p)}", sides, settings)


def hinge_torch(settings: Settings, trained: bool) -> Iterator[Cell]:
    p = settings.size(10**6)
    target, logits = workloads.scene(p, trained=trained)
    sides: rivals.Peers = {OURS: partial(lovasz_hinge_and_gradient, logits, target)}
    sides |= rivals.torch_hinge(logits, target)
    yield in_turn(f"p = {count(p)}", sides, settings, agreement(sides))


def softmax_torch(settings: Settings, trained: bool) -> Iterator[Cell]:
    pixels = settings.size(187_500)
    labels, logits = workloads.class_scene(pixels, trained=trained)
    sides: rivals.Peers = {OURS: partial(lovasz_softmax_and_gradient, logits, labels, from_logits=True)}
    sides |= rivals.torch_softmax(logits, labels)
    yield in_turn(f"{workloads.CLASSES} × {count(pixels)} pixels", sides, settings, agreement(sides))


def torch_adapter(settings: Settings) -> Iterator[Cell]:
    for trained in (False, True):
        note = "trained" if trained else "random"
        p = settings.size(10**6)
        target, logits = workloads.scene(p, trained=trained)
        sides: rivals.Peers = {OURS: partial(lovasz_hinge_and_gradient, logits, target)}
        sides |= rivals.torch_adapter_hinge(logits, target)
        yield in_turn(f"hinge, {note}, p = {count(p)}", sides, settings, agreement(sides))
        pixels = settings.size(187_500)
        labels, scores = workloads.class_scene(pixels, trained=trained)
        sides = {OURS: partial(lovasz_softmax_and_gradient, scores, labels, from_logits=True)}
        sides |= rivals.torch_adapter_softmax(scores, labels)
        case = f"softmax, {note}, {workloads.CLASSES} × {count(pixels)} pixels"
        yield in_turn(case, sides, settings, agreement(sides))


def prox_argsort(settings: Settings) -> Iterator[Cell]:
    p = settings.size(10**6)
    x = workloads.scores(p)
    for step, gamma_of in workloads.STEPS.items():
        for share in workloads.SHARES:
            f = lo.LovaszExtension(lo.Jaccard(np.random.default_rng(1).random(p) < share))
            sides = {OURS: partial(f.prox, x, gamma_of(p)), ARGSORT: partial(np.argsort, x)}
            yield in_turn(f"γ = {step}, {share:.0%} foreground", sides, settings)


def prox_path(settings: Settings, max_steps: int) -> Iterator[Cell]:
    p = settings.size(10**4)
    target, logits = workloads.scene(p)
    scores = logits.astype(np.float64)
    hinge, f = lo.LovaszHinge(target), lo.LovaszExtension(lo.Jaccard(target))
    margins = np.where(target, 1 - scores, 1 + scores)
    for step in ("p/100", "p/10"):
        gamma = workloads.STEPS[step](p)
        exact = partial(hinge.prox, scores, gamma)
        path = partial(hinge.prox, scores, gamma, "path", max_steps=max_steps)
        values = [float(0.5 * ((z - scores) ** 2).sum() + gamma * hinge(z)) for z in (exact(), path())]
        certificate = lo.verify_prox(f, margins, gamma, f.prox(margins, gamma))
        note = (
            f"certified: ours within {certificate.distance_bound:.0e} of the exact point; "
            f"the path's objective is {values[1] / values[0] - 1:.0e} above the minimum"
        )
        yield in_turn(f"γ = {step}, p = {count(p)}", {OURS: exact, "path": path}, settings, note)


def pav(settings: Settings, weighted: bool) -> Iterator[Cell]:
    for n in (10, 10**3, 10**5) if settings.quick else (10, 10**3, 10**5, 10**6, 10**7):
        weights = np.random.default_rng(1).uniform(0.1, 2, n) if weighted else None
        for shape, y in workloads.sequences(n):
            scipy = partial(isotonic_regression, y, weights=weights, increasing=False)
            sides = {OURS: partial(isotonic_decreasing, y, weights), "scipy": scipy}
            yield in_turn(f"{shape}, n = {count(n)}", sides, settings)


def pav_scikit_learn(settings: Settings) -> Iterator[Cell]:
    for n in (10**3, settings.size(10**6)):
        for shape, y in workloads.sequences(n):
            sides: rivals.Peers = {OURS: partial(isotonic_decreasing, y)}
            yield in_turn(f"{shape}, n = {count(n)}", sides | rivals.scikit_learn_isotonic(y), settings)


def prox_growth(settings: Settings) -> Iterator[Cell]:
    small, large = settings.size(10**5), settings.size(10**7)
    for step in ("1", "p/10", "p"):
        gamma_of = workloads.STEPS[step]
        sides = {
            "large": workloads.prox(large, gamma_of(large)),
            "small": workloads.prox(small, gamma_of(small)),
        }
        yield in_turn(f"γ = {step}, p = {count(large)} over {count(small)}", sides, settings)


def two_threads(settings: Settings) -> Iterator[Cell]:
    labels, logits = workloads.class_scene(settings.size(187_500))
    probas = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def call(threads: int, scores: Any, from_logits: bool) -> None:
        numba.set_num_threads(threads)
        lovasz_softmax_and_gradient(scores, labels, from_logits=from_logits)

    for case, scores, from_logits in (("from logits", logits, True), ("from probabilities", probas, False)):
        if numba.config.NUMBA_NUM_THREADS < 2:
            yield Cell(case, missing=["a second core"])
            continue
        sides = {
            "2 threads": partial(call, 2, scores, from_logits),
            "1 thread": partial(call, 1, scores, from_logits),
        }
        yield in_turn(case, sides, settings)
        numba.set_num_threads(settings.threads)


def prox_memory(settings: Settings) -> Iterator[Cell]:
    p = settings.size(4 * 10**6)
    for step in ("1", "p/10", "10p"):
        arguments = json.dumps({"p": p, "gamma": workloads.STEPS[step](p)})
        peak = measure.in_child("prox", arguments, "0", threads=settings.threads)["bytes"]
        # Bytes in the place of seconds: the ratio is the number of arrays.
        yield Cell(f"γ = {step}, p = {count(p)}", {OURS: [peak], "one array": [8.0 * p]})


def import_time(settings: Settings) -> Iterator[Cell]:
    # A median of a few processes is not steady enough for a bound so close to 1.
    repeats = settings.repeats if settings.quick else max(15, settings.repeats)
    commands = {OURS: "import lovasz_opt", "import numba": "import numba"}
    yield Cell("whole processes", measure.processes_in_turn(commands, repeats))


def first_call(settings: Settings) -> Iterator[Cell]:
    commands = {
        "import": "import lovasz_opt",
        "numba": "import numba",
        "floor": workloads.FLOOR,
        **workloads.FIRST_CALLS,
    }
    runs = measure.processes_in_turn(commands, settings.repeats)
    least = statistics.median(a - b for a, b in zip(runs["floor"], runs["numba"], strict=True))
    note = f"a cached kernel that does nothing takes {duration(least)} beyond import numba"
    for name in workloads.FIRST_CALLS:
        beyond = [max(call - bare, 1e-9) for call, bare in zip(runs[name], runs["import"], strict=True)]
        yield Cell(name, {OURS: beyond, "one second": [1.0] * len(beyond)}, note=note)


def prox_solvers(settings: Settings) -> Iterator[Cell]:
    for p in (20, 40) if settings.quick else (50, 100, 200):
        target = np.random.default_rng(1).random(p) < 0.3
        F, x, gamma = lo.Jaccard(target), workloads.scores(p), p / 10
        f = lo.LovaszExtension(F)
        sides: rivals.Peers = {OURS: partial(f.prox, x, gamma)}
        sides["min-norm point"] = lambda F=F, x=x, gamma=gamma: prox_min_norm(F, x, gamma).z  # type: ignore[misc]
        sides |= rivals.clarabel_prox(F, target, x, gamma)
        far = [
            f"{name} {np.abs(call() - f.prox(x, gamma)).max():.0e}"
            for name, call in sides.items()
            if name != OURS and not isinstance(call, rivals.NotInstalled)
        ]
        yield in_turn(f"γ = p/10, p = {p}", sides, settings, "largest difference: " + ", ".join(far))


def warm_start(settings: Settings) -> Iterator[Cell]:
    p = settings.size(10**6)
    x, gamma = workloads.scores(p), p / 10
    f = lo.LovaszExtension(lo.Jaccard(np.random.default_rng(1).random(p) < 0.3))
    if "start" not in inspect.signature(f.prox).parameters:
        yield Cell("", missing=["prox has no start= in this version"])
        return
    noise = [np.random.default_rng(seed).standard_normal(p) for seed in range(2, 6)]
    for exponent in (-2, -4, -6):
        # Every call sees another point, so that the order kept from the last call is never its own.
        points = [x + 10.0**exponent * direction for direction in noise]
        warm_points, cold_points, z = cycle(points), cycle(points), f.prox(x, gamma)
        sides = {
            "from the last": lambda points=warm_points, z=z: f.prox(next(points), gamma, start=z),
            "from nothing": lambda points=cold_points: f.prox(next(points), gamma),
        }
        yield in_turn(f"γ = p/10, x moved by 10^{exponent}", sides, settings)


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"


ROWS = (
    Row(
        "hinge-random",
        "hinge, value and subgradient: float32 standard normal logits, 30% foreground",
        partial(hinge_argsort, trained=False),
        (ARGSORT,),
        at_most=0.8,
    ),
    Row(
        "hinge-trained",
        "the same, 95% of the pixels beyond the margin",
        partial(hinge_argsort, trained=True),
        (ARGSORT,),
        at_most=0.12,
    ),
    Row(
        "torch-hinge-random",
        "hinge, forward and backward: float32 standard normal logits, 30% foreground",
        partial(hinge_torch, trained=False),
        rivals.TORCH,
        at_least=6.0,
    ),
    Row(
        "torch-hinge-trained",
        "the same, 95% of the pixels beyond the margin",
        partial(hinge_torch, trained=True),
        rivals.TORCH,
        at_least=30.0,
    ),
    Row(
        "torch-softmax",
        "Lovász-Softmax, forward and backward, from standard normal logits",
        partial(softmax_torch, trained=False),
        rivals.TORCH,
        at_least=5.0,
    ),
    Row(
        "torch-softmax-trained",
        "the same, logits of the true class about 8",
        partial(softmax_torch, trained=True),
        rivals.TORCH,
    ),
    Row(
        "torch-adapter",
        "PyTorch adapter over core, forward and backward: the worst of 4 cases",
        torch_adapter,
        (OURS,),
        ours=rivals.ADAPTER,
        # It keeps 80 % of what the core gains on the peers.
        at_most=1.25,
    ),
    Row(
        "torch-adapter-mean",
        "the same: geometric mean of the 4",
        torch_adapter,
        (OURS,),
        ours=rivals.ADAPTER,
        at_most=1.25,
        mean=True,
    ),
    Row(
        "prox-mean",
        "exact prox, float64, sorting included: geometric mean of 18 cases",
        prox_argsort,
        (ARGSORT,),
        at_most=3.0,
        mean=True,
    ),
    Row("prox-worst", "the same: the worst of the 18", prox_argsort, (ARGSORT,), at_most=6.0),
    Row(
        "prox-path",
        "exact prox of the hinge, against the path walk to its end",
        partial(prox_path, max_steps=10**9),
        ("path",),
        at_least=100.0,
    ),
    Row(
        "prox-path-20",
        "the same, against the path walk cut off after 20 steps",
        partial(prox_path, max_steps=20),
        ("path",),
    ),
    Row(
        "pav",
        "isotonic regression: the worst of 30 inputs",
        partial(pav, weighted=False),
        ("scipy",),
        at_least=1.0,
    ),
    Row("pav-weighted", "the same with weights", partial(pav, weighted=True), ("scipy",), at_least=1.0),
    Row(
        "pav-mean", "isotonic regression: geometric mean", partial(pav, weighted=False), ("scipy",), mean=True
    ),
    Row(
        "pav-scikit-learn", "isotonic regression: the worst of 12 inputs", pav_scikit_learn, ("scikit-learn",)
    ),
    Row(
        "warm-start",
        "exact prox from a nearby solution: the worst of 3 distances",
        warm_start,
        ("from nothing",),
        ours="from the last",
    ),
    Row(
        "prox-growth",
        "time of the prox, 10^7 pixels over 10^5: the worst of 3 steps",
        prox_growth,
        ("small",),
        ours="large",
        at_most=130.0,
    ),
    Row(
        "two-threads",
        "Lovász-Softmax of 21 classes, two threads",
        two_threads,
        ("1 thread",),
        ours="2 threads",
        at_least=1.7,
    ),
    Row(
        "prox-memory",
        "peak extra memory of the prox, in float64 arrays of p",
        prox_memory,
        ("one array",),
        at_most=8.0,
        unit="arrays",
        show=_mebibytes,
    ),
    Row("import", "import of the package", import_time, ("import numba",), at_most=1.15),
    Row(
        "first-call",
        "first call of a process with a warm cache, beyond the import",
        first_call,
        ("one second",),
        at_most=0.5,
        unit="s",
    ),
    Row(
        "prox-solvers",
        "exact prox, against general methods: the smallest problem",
        prox_solvers,
        ("min-norm point", "cvxpy + Clarabel"),
    ),
)
