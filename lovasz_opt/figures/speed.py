"""How fast and how steadily the rules train a last layer: over step sizes, random orders, and images seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import Float64s
from ..grid import Cell, Done, Outcome
from ..problems import LinearHingeRisk
from ..solvers.proximal_point import by_cuts
from . import linear_models, style
from .page import Page, Table, Verdict, judged
from .settings import Settings

name = "speed"
title = "Speed and stability of training"

#: One step size for every decade, and γ of the Moreau rule in units of the pixels of an image.
STEPS = tuple(10.0**k for k in range(-5, 4))
_GAMMAS = (0.1, 1.0)
#: A run has come near the best IoU with so much of it, and ends well with so much; its objective is good at
#: so many times the least.
_NEAR, _WELL, _FACTOR = 0.99, 0.98, 2.0
#: Accuracy of an implicit step, in units of its length.
_ACCURACY = 0.1
#: Objectives beyond this factor of the best are drawn at the upper edge.
_TOP = 1e3


@dataclass(frozen=True)
class Method:
    """A rule and the steps that it is taken with; `look` is a key of `style.LOSSES`."""

    look: str
    words: str
    optimiser: str
    gammas: tuple[float, ...] = ()


METHODS = {
    "subgradient": Method("Lovász hinge", "subgradient, momentum 0.9", "momentum"),
    "adam": Method("hinge", "subgradient, Adam", "adam"),
    "Moreau": Method("Moreau", "Moreau rule, exact prox", "momentum", _GAMMAS),
    "path": Method("path", "Moreau rule, path walk of 30 moves", "momentum", _GAMMAS),
    "proximal point": Method("proximal point", "stochastic proximal point", "implicit"),
}
#: A method and its γ, 0 for those without.
Variant = tuple[str, float]
VARIANTS: list[Variant] = [(m, gamma) for m, method in METHODS.items() for gamma in method.gammas or (0.0,)]

CLAIM = (
    "Training with the prox (the Moreau gradient on the scores, by the path walk) is faster than with "
    "subgradients, and more stable: less sensitive to the step size (v1, abstract)."
)


def cells(settings: Settings) -> list[Cell]:
    """One for every problem, variant and seed; each runs all step sizes."""
    variants = [v for v in VARIANTS if v[1] in (0.0, 0.1)] if settings.quick else VARIANTS
    return [
        Cell(
            run,
            {
                "source": source,
                "method": method,
                "gamma": gamma,
                "seed": seed,
                "epochs": 1 if settings.quick else 2,
            },
            f"speed: {problem}, {method}",
        )
        for problem, source in linear_models.problems(settings).items()
        for method, gamma in variants
        for seed in settings.all_seeds
    ]


def run(source: dict[str, Any], method: str, gamma: float, seed: int, epochs: int) -> Outcome:
    """Train with every step size, and look at the validation images after 1, 2, 4, … and at each epoch.

    Parameters
    ----------
    source : dict
        Of `linear_models.problems`.
    method : str
        Of `METHODS`.
    gamma : float
        γ of the Moreau rule, in units of the pixels of an image; 0 for other methods.
    seed, epochs : int

    Returns
    -------
    Outcome
        seen: images; and for every step size the IoU there, and the objective after the last epoch (None
        where it is not finite).
    """
    images = linear_models.deal(source, seed, fine=False)
    train, val = images.train.risk(1e-6), images.val.risk(1e-6)
    seen = sorted({*(2**k for k in range(20) if 2**k <= train.n_images), *_epoch_ends(train, epochs)})
    ious, objectives = [], []
    for step in STEPS:
        found = []
        for k, v in _iterates(train, method, gamma, step, seed, epochs):
            if k in seen:
                found.append(float(linear_models.image_ious(val, v).mean()))
        ious.append(found)
        objectives.append(_objective(train, v))
    return Outcome(measures={"seen": seen, "iou": ious, "objective": objectives})


def _epoch_ends(risk: LinearHingeRisk, epochs: int) -> range:
    return range(risk.n_images, epochs * risk.n_images + 1, risk.n_images)


def _objective(risk: LinearHingeRisk, v: Float64s) -> float | None:
    """The mean Lovász hinge of the training images."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = risk.apply(v) if np.isfinite(v).all() else np.array([np.nan])
    return risk.loss(scores) if np.isfinite(scores).all() and np.abs(scores).max() < 1e100 else None


def _iterates(
    risk: LinearHingeRisk, method: str, gamma: float, step: float, seed: int, epochs: int
) -> Iterator[tuple[int, Float64s]]:
    kind = METHODS[method].optimiser
    if kind == "implicit":
        yield from _implicit(risk, step, seed, epochs)
        return
    rule = linear_models.RULES[method](gamma) if gamma else linear_models.RULES["Lovász hinge"]()
    optimiser = linear_models.Adam(step) if kind == "adam" else linear_models.Momentum(step)
    yield from linear_models.iterates(risk, rule, optimiser, epochs, seed)


def _implicit(risk: LinearHingeRisk, step: float, seed: int, epochs: int) -> Iterator[tuple[int, Float64s]]:
    """argmin_v L_i(v) + ‖v − v_k‖²/(2·step), image by image in the orders of `linear_models.iterates`."""
    rng = np.random.default_rng([seed, 3])
    v = np.zeros(risk.n_features)
    for epoch in range(epochs):
        for k, i in enumerate(rng.permutation(risk.n_images), start=1):
            v, _ = by_cuts(risk.batch([i], center=v, l2=1 / step), v, _ACCURACY)
            yield epoch * risk.n_images + k, v


@dataclass(frozen=True)
class Curves:
    """What one variant did.

    Attributes
    ----------
    seen : (k,) ndarray
        Images seen, as a share of the training images.
    iou : (problems, seeds, steps, k) ndarray
    objective : (problems, seeds, steps) ndarray
        Infinite where it blew up.
    """

    seen: Float64s
    iou: Float64s
    objective: Float64s

    @property
    def final(self) -> Float64s:
        """IoU after the last epoch."""
        return self.iou[..., -1]


def collect(settings: Settings, done: Done) -> tuple[list[str], dict[Variant, Curves]]:
    """Problems for which everything is done, and the curves of every variant on them."""
    todo = cells(settings)
    problems = [
        problem
        for problem in linear_models.problems(settings)
        if all(done.of(c) is not None for c in todo if c.group.startswith(f"speed: {problem},"))
    ]
    found: dict[Variant, Curves] = {}
    for variant in dict.fromkeys((c.arguments["method"], c.arguments["gamma"]) for c in todo):
        mine = [
            [
                done.outcomes[c.key].measures
                for c in todo
                if c.group.startswith(f"speed: {problem},")
                and (c.arguments["method"], c.arguments["gamma"]) == variant
            ]
            for problem in problems
        ]
        if mine:
            found[variant] = _joined(mine)
    return problems, found


def _joined(measures: list[list[dict[str, Any]]]) -> Curves:
    """Problems have different numbers of images: curves are read off at common shares of an epoch."""
    epochs = max(m["seen"][-1] / _first_epoch(m["seen"]) for row in measures for m in row)
    least = min(1 / _first_epoch(m["seen"]) for row in measures for m in row)
    shares = np.unique(np.concatenate([np.geomspace(least, epochs, 60), np.arange(1, round(epochs) + 1)]))

    def read(m: dict[str, Any]) -> Float64s:
        at = np.log(np.array(m["seen"]) / _first_epoch(m["seen"]))
        return np.array([np.interp(np.log(shares), at, ious) for ious in m["iou"]])

    objective = [[[np.inf if o is None else o for o in m["objective"]] for m in row] for row in measures]
    return Curves(shares, np.array([[read(m) for m in row] for row in measures]), np.array(objective))


def _first_epoch(seen: list[int]) -> int:
    """Training images: the first number that is no power of two, or the last before the epochs begin."""
    return next((k for k in seen if k & (k - 1)), seen[-1])


@dataclass(frozen=True)
class Summary:
    """One line of the table.

    Attributes
    ----------
    epochs : float
        Until the IoU is near the best, at the step size that gets there first: the median over problems and
        seeds; infinite if it never does.
    step : float
        That step size; if none gets there, the one that ends with the highest IoU.
    decades_iou, decades_objective : int
        Step sizes, one for a decade, that end well in IoU (mean over problems and seeds), or with a good
        objective (median).
    final, spread : float
        Final IoU at the best step size, and its standard deviation over seeds, averaged over problems.
    """

    epochs: float
    step: float
    decades_iou: int
    decades_objective: int
    final: float
    spread: float


def summarise(found: dict[Variant, Curves]) -> dict[Variant, Summary]:
    """Compare all variants with the best IoU and the least objective that any of them has on each problem."""
    best_iou = np.max([c.iou.mean(axis=1).max(axis=(1, 2)) for c in found.values()], axis=0)
    least = np.min([c.objective.mean(axis=1).min(axis=1) for c in found.values()], axis=0)
    lines = {}
    for variant, c in found.items():
        medians, k = _soonest(c, best_iou)
        final = (c.final / best_iou[:, None, None]).mean(axis=(0, 1))
        ratio = np.median(c.objective / least[:, None, None], axis=(0, 1))
        top = int(np.argmax(final))
        # A standard deviation needs two seeds.
        spread = float(c.final[:, :, top].std(axis=1, ddof=1).mean()) if c.final.shape[1] > 1 else 0.0
        lines[variant] = Summary(
            float(medians[k]),
            STEPS[k],
            int(np.count_nonzero(final >= _WELL)),
            int(np.count_nonzero(ratio <= _FACTOR)),
            float(c.final[:, :, top].mean()),
            spread,
        )
    return lines


def _soonest(c: Curves, best: Float64s) -> tuple[Float64s, int]:
    """Epochs to near the best IoU by step size, and the number of the step size that is soonest."""
    reached = c.iou >= _NEAR * best[:, None, None, None]
    first = np.where(reached.any(axis=-1), c.seen[reached.argmax(axis=-1)], np.inf)
    medians = np.median(first, axis=(0, 1))
    if np.isfinite(medians).any():
        return medians, int(np.argmin(medians))
    return medians, int(np.argmax(c.final.mean(axis=(0, 1))))


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Curves over step sizes and images, the table, and two verdicts in one."""
    problems, found = collect(settings, done)
    if not found:
        return Page(
            CLAIM, ["No problem is done for all methods yet."], "not testable here", "nothing was run"
        )
    lines = summarise(found)
    chosen = {m: max((v for v in lines if v[0] == m), key=lambda v: _rank(lines[v])) for m in METHODS}
    head = [
        "method", "γ / pixels", "epochs to within 1 % of the best IoU", "at step",
        "decades with an IoU within 2 %",
        f"decades with an objective within {_FACTOR:g} ×", "final IoU, best step",
        "standard deviation over seeds",
    ]  # fmt: skip
    rows = [
        [
            METHODS[m].words,
            gamma or None,
            *(None if v == np.inf else v for v in vars(lines[m, gamma]).values()),
        ]
        for (m, gamma), line in lines.items()
    ]
    table = Table("Speed and stability", head, rows, out / f"{name}.csv")
    curves = Table(
        "Final IoU and objective by step size, mean over problems and seeds",
        ["method", "γ / pixels", "step", "final IoU", "median objective / least"],
        _by_step(found),
        out / f"{name}-steps.csv",
    )
    picture = _draw(out / name, {m: found[v] for m, v in chosen.items()})
    ours, theirs = lines[chosen["Moreau"]], lines[chosen["subgradient"]]
    implicit, walk = lines[chosen["proximal point"]], lines[chosen["path"]]
    verdict, why = judged(settings, *_verdict(ours, theirs, implicit))
    adam = lines[chosen["adam"]]
    findings = [
        "; ".join(
            (
                _speed("subgradients", theirs),
                _speed("the Moreau rule with the exact prox", ours),
                _speed("with the path walk", walk),
                _speed("the stochastic proximal point", implicit),
            )
        )
        + ".",
        f"Step sizes, of {len(STEPS)} decades, that end within 2 % of the best IoU: subgradients "
        f"{theirs.decades_iou}, Adam {adam.decades_iou}, Moreau rule {ours.decades_iou}, path walk "
        f"{walk.decades_iou}, stochastic proximal point {implicit.decades_iou}.",
        f"That end with an objective within {_FACTOR:g} times the least: subgradients "
        f"{theirs.decades_objective}, Adam {adam.decades_objective}, Moreau rule {ours.decades_objective}, "
        f"path walk {walk.decades_objective}, stochastic proximal point {implicit.decades_objective}.",
    ]
    numbers = {
        "problems": problems,
        "steps": list(STEPS),
        "lines": {f"{m} {gamma:g}": _plain(line) for (m, gamma), line in lines.items()},
    }
    caption = (
        "Lovász hinge of a linear model, one image a step, from 0 on: means over problems and seeds, bands "
        "from the lowest to the highest seed. Left: validation IoU after the last epoch, by constant step "
        "size. Middle: objective over the least of all. Right: validation IoU on the way, each method with "
        "the step size that gets within 1 % of the best soonest."
    )
    return Page(CLAIM, findings, verdict, why, [(picture, caption)], [table, curves], numbers)


def _plain(line: Summary) -> dict[str, float | None]:
    return {key: None if value == np.inf else value for key, value in vars(line).items()}


def _rank(line: Summary) -> tuple[int, float]:
    return line.decades_iou, -line.epochs


def _speed(words: str, line: Summary) -> str:
    if line.epochs == np.inf:
        return f"{words} never get within 1 % of the best IoU"
    return f"{words}: within 1 % of the best IoU after {line.epochs:.2g} epochs (step {line.step:g})"


def _verdict(ours: Summary, theirs: Summary, implicit: Summary) -> tuple[Verdict, str]:
    faster = ours.epochs < 0.8 * theirs.epochs
    steadier = ours.decades_iou > theirs.decades_iou
    words = (
        f"the Moreau rule takes {_ratio(ours.epochs, theirs.epochs)} the epochs of subgradients, and "
        f"{ours.decades_iou} decades of steps are good against {theirs.decades_iou}; the stochastic proximal "
        f"point takes {_ratio(implicit.epochs, theirs.epochs)}, and {implicit.decades_iou} are good"
    )
    if faster and steadier:
        return "confirmed", words
    return ("partly confirmed" if faster or steadier else "refuted"), words


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2g} ×" if max(ours, theirs) < np.inf else "an unknown multiple of"


def _by_step(found: dict[Variant, Curves]) -> list[list[Any]]:
    least = np.min([c.objective.mean(axis=1).min(axis=1) for c in found.values()], axis=0)
    rows: list[list[Any]] = []
    for (m, gamma), c in found.items():
        ratio = np.median(c.objective / least[:, None, None], axis=(0, 1))
        for k, step in enumerate(STEPS):
            good = float(ratio[k]) if np.isfinite(ratio[k]) else None
            rows.append([METHODS[m].words, gamma or None, step, float(c.final[:, :, k].mean()), good])
    return rows


def _draw(path: Path, found: dict[str, Curves]) -> Path:
    fig, context = style.figure(12.5, 4.4)
    least = np.min([c.objective.mean(axis=1).min(axis=1) for c in found.values()], axis=0)
    best = np.max([c.iou.mean(axis=1).max(axis=(1, 2)) for c in found.values()], axis=0)
    with context:
        axes = fig.subplots(1, 3)
        for m, c in reversed(found.items()):
            draw: Callable[..., None] = partial(_draw_band, look=style.LOSSES[METHODS[m].look])
            draw(axes[0], np.array(STEPS), c.final.mean(axis=0), label=METHODS[m].words)
            ratios = np.minimum(np.median(c.objective / least[:, None, None], axis=0), _TOP)
            draw(axes[1], np.array(STEPS), ratios)
            _, k = _soonest(c, best)
            draw(axes[2], c.seen, c.iou[:, :, k].mean(axis=0), markers=False)
        for axis in axes:
            axis.set_xscale("log")
            style.logarithmic(axis.xaxis)
        axes[0].set_ylabel("IoU of the validation images")
        axes[0].set_title("after the last epoch")
        axes[1].set_yscale("log")
        axes[1].set_ylim(0.9, _TOP * 1.2)
        style.logarithmic(axes[1].yaxis)
        axes[1].set_ylabel("objective / least of all")
        axes[1].set_title("after the last epoch")
        axes[2].axhline(_NEAR * best.mean(), color="#000000", linewidth=0.8, linestyle=(0, (1, 1.2)))
        axes[2].annotate("99 % of the best", (axes[2].get_xlim()[0], _NEAR * best.mean()), (4, 3),
                         textcoords="offset points", fontsize=8)  # fmt: skip
        axes[2].set_ylabel("IoU of the validation images")
        axes[2].set_title("on the way, best step size")
        for axis, words in zip(axes, ("step size", "step size", "epochs"), strict=True):
            axis.set_xlabel(words)
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=3)
        return style.save(fig, path)[0]


def _draw_band(
    axis: Any, x: Float64s, seeds: Float64s, look: style.Look, label: str = "", markers: bool = True
) -> None:
    axis.fill_between(x, seeds.min(axis=0), seeds.max(axis=0), color=look.color, alpha=0.15, linewidth=0)
    axis.plot(
        x,
        seeds.mean(axis=0),
        color=look.color,
        linestyle=look.dash,
        linewidth=look.width,
        marker=look.marker if markers else "",
        markersize=4,
        label=label,
    )
