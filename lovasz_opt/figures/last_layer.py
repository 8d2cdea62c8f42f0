"""The last layer of a network trained with every loss and evaluated with every loss."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .. import solvers
from .._validation import Float64s
from ..grid import Cell, Done, Outcome
from ..problems import LinearHingeRisk
from . import linear_models, style
from .page import Page, Table, Verdict, judged
from .settings import Settings
from .statistics import Difference, mean_and_error, paired

name = "last_layer"
title = "Training the last layer: every loss against every loss"

#: Adam's largest steps, which fall to 0; those of the proximal point, α/√k; ridge weights.
_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_STEPS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_RIDGES = (1e-2, 1e-1, 1.0)
#: Of the proximal point, which needs some.
_RIDGE = 1e-2
_GAMMAS = (0.01, 0.1, 1.0)
_TOLERANCE = 1e-3
#: Splits of the training images that hyper-parameters are chosen by.
_SPLITS = 2

#: What is tried for each method, all combinations; and how many epochs, but for the optimum.
METHODS: dict[str, dict[str, Sequence[float]]] = {
    "cross-entropy": {"rate": _RATES},
    "hinge": {"rate": _RATES},
    # An image without the object has, alone, a soft Jaccard loss of 1 and no gradient, whatever the scores.
    "soft Jaccard": {"rate": _RATES, "batch": (1, 8)},
    "Lovász hinge": {"rate": _RATES},
    "Moreau": {"rate": _RATES[::2], "gamma": _GAMMAS},
    "proximal point": {"step": _STEPS},
    "ssnal": {"ridge": _RIDGES},
}
REFERENCE = "cross-entropy"
IOU = "image IoU"
COLUMNS = (*linear_models.LOSSES, IOU)
CLAIM = (
    "Trained with the Lovász hinge, a network's last layer has a higher IoU on images it has not seen than "
    "trained with cross-entropy or the hinge, and each loss is lowest where it was trained with (v1 and "
    "CVPR 2018: Pascal VOC, binary problems on balanced images)."
)


def cells(settings: Settings) -> list[Cell]:
    """One for every problem and method."""
    epochs = 2 if settings.quick else 8
    return [
        Cell(
            run,
            {
                "source": source,
                "method": method,
                "seeds": list(settings.all_seeds),
                "epochs": epochs,
                "thin": 2 if settings.quick else 1,
            },
            f"last layer: {problem}, {method}",
        )
        for problem, source in linear_models.problems(settings).items()
        for method in METHODS
    ]


def run(source: dict[str, Any], method: str, seeds: list[int], epochs: int, thin: int) -> Outcome:
    """Choose hyper-parameters on a part of the training images, then train on all of them with every seed.

    Parameters
    ----------
    source : dict
        Of `linear_models.problems`.
    method : str
        Of `METHODS`.
    seeds : list of int
        Hyper-parameters are chosen by the first two.
    epochs : int
        The most that are tried; a quarter of them is, too.
    thin : int
        Try every so-manyth hyper-parameter.

    Returns
    -------
    Outcome
        chosen and tried: hyper-parameters with the IoU on the images held out; and for every seed what
        `_evaluation` gives for the training and validation images.
    """
    options = {key: values[::thin] for key, values in METHODS[method].items()}
    if method != "ssnal":
        options["epochs"] = sorted({max(epochs // 4, 1), epochs})
    grid = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    held_out = np.zeros((min(_SPLITS, len(seeds)), len(grid)))
    for row, seed in zip(held_out, seeds, strict=False):
        images = linear_models.deal(source, seed)
        fit, held = images.fit.risk(_RIDGE), images.held.risk(_RIDGE)
        row[:] = [linear_models.image_ious(held, _train(fit, method, given, seed)).mean() for given in grid]
    means = held_out.mean(axis=0).tolist()
    tried = [{**given, "iou": mean} for given, mean in zip(grid, means, strict=True)]
    chosen = grid[int(np.argmax(means))]
    results = []
    for seed in seeds:
        images = linear_models.deal(source, seed)
        train, val = images.train.risk(_RIDGE), images.val.risk(_RIDGE)
        v = _train(train, method, chosen, seed)
        results.append({"seed": seed, "train": _evaluation(train, v), "val": _evaluation(val, v)})
    chosen["iou"] = max(means)
    return Outcome(measures={"chosen": chosen, "tried": tried, "results": results})


def _train(risk: LinearHingeRisk, method: str, given: dict[str, float], seed: int) -> Float64s:
    """The parameters in the end."""
    if method == "ssnal":
        return solvers.ssnal(risk.batch(range(risk.n_images), l2=given["ridge"]), tol=_TOLERANCE).x
    epochs = int(given["epochs"])
    if method == "proximal point":
        last = np.zeros(risk.n_features)

        def keep(state: solvers.State) -> None:
            # Of the last epoch, where the result has the parameters with the lowest objective.
            last[:] = state.x

        solvers.stochastic_proximal_point(
            risk, "sqrt", step_size=given["step"], max_iter=epochs, seed=seed, tol=0.0, callback=keep
        )
        return last
    options = (given["gamma"],) if "gamma" in given else ()
    rule, batch = linear_models.RULES[method](*options), int(given.get("batch", 1))
    steps = epochs * -(-risk.n_images // batch)
    *_, (_, v) = linear_models.iterates(
        risk, rule, linear_models.Adam(given["rate"], steps), epochs, seed, batch
    )
    return v


def _evaluation(risk: LinearHingeRisk, v: Float64s) -> dict[str, Any]:
    """Mean losses, the IoU of every image, and how many pixels its object has."""
    ious = linear_models.image_ious(risk, v)
    return {
        **linear_models.mean_losses(risk, v),
        IOU: float(ious.mean()),
        "ious": ious.tolist(),
        "areas": linear_models.areas(risk).tolist(),
        "pixels": [rows.stop - rows.start for rows in risk.slices],
    }


#: By problem and method: what `run` measured.
Results = dict[str, dict[str, dict[str, Any]]]


def results(settings: Settings, done: Done) -> Results:
    """What is done, of the problems for which all methods are."""
    found: Results = {}
    for cell in cells(settings):
        outcome = done.of(cell)
        if outcome is not None:
            problem = cell.group.removeprefix("last layer: ").split(", ")[0]
            found.setdefault(problem, {})[cell.arguments["method"]] = outcome.measures
    return {problem: by_method for problem, by_method in found.items() if len(by_method) == len(METHODS)}


def scores(found: Results, method: str, part: str, column: str) -> Float64s:
    """(problems, seeds) values of one column."""
    return np.array(
        [[entry[part][column] for entry in by_method[method]["results"]] for by_method in found.values()]
    )


def shown(found: Results, method: str, objects: bool) -> Float64s:
    """(problems, seeds) mean IoU of the validation images that show the object, or of those that do not."""
    rows = []
    for by_method in found.values():
        parts = [entry["val"] for entry in by_method[method]["results"]]
        kept = [(np.array(part["areas"]) > 0) == objects for part in parts]
        values = [np.array(part["ious"])[keep] for part, keep in zip(parts, kept, strict=True)]
        # Tiles of a photograph may all show it.
        rows.append([float(value.mean()) if value.size else np.nan for value in values])
    return np.array(rows)


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Tables of all losses, differences to cross-entropy, and the verdict."""
    found = results(settings, done)
    if not found:
        return Page(
            CLAIM, ["No problem is done for all methods yet."], "not testable here", "nothing was run"
        )
    seeds = len(settings.all_seeds)
    matrix = [
        [style.LOSSES[m].label, part, *(float(scores(found, m, part, column).mean()) for column in COLUMNS)]
        for part in ("train", "val")
        for m in METHODS
    ]
    ious = {m: scores(found, m, "val", IOU) for m in METHODS}
    per_class = []
    for m in METHODS:
        mean, error = mean_and_error(ious[m].mean(axis=0))
        classes = ious[m].mean(axis=1).tolist()
        parts = [_number(shown(found, m, objects).mean()) for objects in (True, False)]
        per_class.append([style.LOSSES[m].label, *classes, mean, error, *parts])
    differences = {m: paired(ious[m], ious[REFERENCE]) for m in METHODS if m != REFERENCE}
    tables = [
        Table(
            "Mean loss and IoU over problems and seeds, by training loss (rows) and evaluation (columns)",
            ["trained with", "images", *COLUMNS],
            matrix,
            out / f"{name}.csv",
        ),
        Table(
            "Validation image IoU",
            ["trained with", *found, "mean", "standard error over seeds", "with the object", "without"],
            per_class,
            out / f"{name}-classes.csv",
        ),
        Table(
            "Difference to cross-entropy in validation image IoU, paired by seed",
            [
                "trained with",
                "mean",
                "standard error over seeds",
                "over problems",
                "problems above",
                "problems",
            ],
            [
                [style.LOSSES[m].label, d.mean, d.error, d.error_over_problems, d.above, len(found)]
                for m, d in differences.items()
            ],
            out / f"{name}-differences.csv",
        ),
        Table(
            "IoU of the images held out by the first step of Adam, mean over problems",
            ["trained with", *(f"{rate:g}" for rate in by_rate(found, REFERENCE))],
            [
                [style.LOSSES[m].label, *by_rate(found, m).values()]
                for m in ("cross-entropy", "hinge", "Lovász hinge")
            ],
            out / f"{name}-rates.csv",
        ),
        Table(
            "Hyper-parameters, chosen on a quarter of the training images",
            ["problem", "trained with", "chosen", "IoU of the images held out"],
            [
                [
                    problem,
                    style.LOSSES[m].label,
                    _words(by_method[m]["chosen"]),
                    by_method[m]["chosen"]["iou"],
                ]
                for problem, by_method in found.items()
                for m in METHODS
            ],
            out / f"{name}-chosen.csv",
        ),
    ]
    verdict, why = judged(settings, *_verdict(differences["Lovász hinge"], len(found), seeds))
    picture = _draw(out / name, found, ious, matrix)
    best = max(METHODS, key=lambda m: float(ious[m].mean()))
    findings = [
        f"Lovász hinge (subgradient) against cross-entropy: {_points(differences['Lovász hinge'])}, above on "
        f"{differences['Lovász hinge'].above} of {len(found)} problems.",
        "Against the hinge: " + _points(paired(ious["Lovász hinge"], ious["hinge"])) + ".",
        f"Other ways to minimise it, against cross-entropy: Moreau rule {_points(differences['Moreau'])}, "
        f"stochastic proximal point {_points(differences['proximal point'])}, certified optimum "
        f"{_points(differences['ssnal'])}.",
        f"Highest mean validation IoU: {style.LOSSES[best].label}, {float(ious[best].mean()):.4f}.",
        _apart(found),
        _untuned(found),
        _diagonal(matrix),
    ]
    numbers = {
        "problems": list(found),
        "seeds": list(settings.all_seeds),
        "differences": {m: d._asdict() for m, d in differences.items()},
        "iou": {m: values.tolist() for m, values in ious.items()},
    }
    caption = (
        "Left: validation image IoU minus that of cross-entropy, by problem: means over seeds with standard "
        "errors. Right: means over the validation images, by training loss; the best of each column is bold."
    )
    return Page(CLAIM, findings, verdict, why, [(picture, caption)], tables, numbers)


def _words(chosen: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in chosen.items() if key != "iou")


def _points(difference: Difference) -> str:
    return f"{100 * difference.mean:+.2f} ± {100 * difference.error:.2f} points"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _apart(found: Results) -> str:
    """Where the difference to cross-entropy comes from."""
    parts = []
    for objects, words in ((True, "images that show the object"), (False, "those that do not")):
        ours, theirs = (shown(found, m, objects) for m in ("Lovász hinge", REFERENCE))
        if not np.isnan(ours - theirs).any():
            parts.append(f"{_points(paired(ours, theirs))} on {words}")
    return "Lovász hinge against cross-entropy: " + ", ".join(parts) + "."


def by_rate(found: Results, method: str) -> dict[float, float]:
    """Mean IoU of the images held out, by step size, after the most epochs that were tried."""
    tried = [entry for by_method in found.values() for entry in by_method[method]["tried"]]
    most = max(entry["epochs"] for entry in tried)
    rates = dict.fromkeys(entry["rate"] for entry in tried)
    return {
        rate: float(np.mean([e["iou"] for e in tried if (e["rate"], e["epochs"]) == (rate, most)]))
        for rate in rates
    }


def _untuned(found: Results) -> str:
    """What the comparison would say with one step size for all."""
    ours, theirs = (by_rate(found, m) for m in ("Lovász hinge", REFERENCE))
    gaps = [f"{100 * (ours[rate] - theirs[rate]):+.1f} at {rate:g}" for rate in ours]
    return (
        "With one step size for both, not tuned for each, the images held out would say (points, by the "
        "first step of Adam): " + ", ".join(gaps) + "."
    )


def _diagonal(matrix: list[list[Any]]) -> str:
    """For which losses training with it gives the lowest value on validation images."""
    own = []
    for k, loss in enumerate(linear_models.LOSSES, start=2):
        rows = [row for row in matrix if row[1] == "val"]
        lowest = min(rows, key=lambda row: row[k])
        own.append((loss, lowest[0]))
    return "Lowest validation loss: " + "; ".join(f"{loss} by {by}" for loss, by in own) + "."


def _verdict(difference: Difference, problems: int, seeds: int) -> tuple[Verdict, str]:
    """Asked for: 1.5 points on average, three standard errors, five of six problems."""
    enough = difference.above >= problems - problems // 6
    certain = seeds > 1 and difference.mean >= 3 * difference.error
    words = (
        f"the Lovász hinge is {100 * difference.mean:+.2f} points from cross-entropy, with a standard error "
        f"of {100 * difference.error:.2f} over {seeds} seeds, and above on {difference.above} of {problems}"
    )
    if certain and enough and difference.mean >= 0.015:
        return "confirmed", words
    if difference.mean > 0 and (certain or enough):
        return "partly confirmed", words
    return "refuted", words


def _draw(path: Path, found: Results, ious: dict[str, Float64s], matrix: list[list[Any]]) -> Path:
    fig, context = style.figure(12.5, 4.6)
    with context:
        left, right = fig.subplots(1, 2, width_ratios=[1.25, 1])
        problems = [*found, "mean"]
        others = [m for m in METHODS if m != REFERENCE]
        for k, m in enumerate(others):
            gap = 100 * (ious[m] - ious[REFERENCE])
            gap = np.vstack([gap, gap.mean(axis=0)])
            means, errors = zip(*(mean_and_error(row) for row in gap), strict=True)
            places = np.arange(len(problems)) + (k - (len(others) - 1) / 2) * 0.12
            look = style.LOSSES[m]
            left.errorbar(
                places,
                means,
                errors,
                fmt=look.marker,
                color=look.color,
                label=look.label,
                markersize=7 if look.marker != "*" else 10,
                linewidth=1.2,
            )
        left.axhline(0, color="#000000", linewidth=0.8)
        _keep_readable(left, ious)
        left.set_xticks(range(len(problems)), problems)
        left.set_ylabel("validation image IoU minus cross-entropy's, points")
        left.set_title("difference to cross-entropy")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
        _draw_matrix(right, [row for row in matrix if row[1] == "val"])
        return style.save(fig, path)[0]


def _keep_readable(axis: Any, ious: dict[str, Float64s]) -> None:
    """A loss that fails altogether is left below the picture, with its number, not to flatten the rest."""
    gaps = {m: 100 * (values - ious[REFERENCE]).mean(axis=1) for m, values in ious.items()}
    low = min(float(gap.min()) for m, gap in gaps.items() if m != "soft Jaccard")
    high = max(float(gap.max()) for gap in gaps.values())
    bottom = low - 0.3 * max(high - low, 1.0)
    if gaps["soft Jaccard"].min() < bottom:
        axis.set_ylim(bottom, high + 0.3 * max(high - low, 1.0))
        axis.annotate(
            f"soft Jaccard: {gaps['soft Jaccard'].mean():.0f} on average, partly below the picture",
            (0.02, 0.02),
            xycoords="axes fraction",
            color=style.LOSSES["soft Jaccard"].color,
            fontsize=8,
        )


def _draw_matrix(axis: Any, rows: list[list[Any]]) -> None:
    """Every column shaded from its lowest to its highest loss (highest to lowest IoU)."""
    values = np.array([row[2:] for row in rows], dtype=np.float64)
    worse = np.where(np.array(COLUMNS) == IOU, -1.0, 1.0) * values
    spread = np.ptp(worse, axis=0)
    shade = (worse - worse.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    axis.imshow(np.sqrt(shade), cmap="YlGnBu_r", aspect="auto", vmin=-0.1, vmax=1.1)
    for (i, j), value in np.ndenumerate(values):
        best = shade[i, j] == 0
        axis.text(
            j,
            i,
            f"{value:.3f}",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if best else "normal",
            color="white" if shade[i, j] < 0.2 else "#222222",
        )
    axis.set_xticks(range(len(COLUMNS)), [f"{c} ↑" if c == IOU else f"{c} ↓" for c in COLUMNS])
    axis.tick_params(axis="x", rotation=20, length=0)
    axis.set_yticks(range(len(rows)), [row[0] for row in rows])
    axis.tick_params(axis="y", length=0)
    axis.set_title("trained with (rows), evaluated with (columns)")
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
