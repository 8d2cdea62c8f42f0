"""How far the published algorithms for the prox are from the exact one, and how long each takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .. import reference
from .._validation import Bools, Float64s
from ..certify import verify_prox
from ..datasets import VOC_FREQUENT
from ..extension import LovaszExtension
from ..grid import Cell, Done, Outcome
from ..losses import LovaszHinge
from ..sets import Jaccard
from . import style
from .page import Page, Table, Verdict
from .score_maps import ScoreMap, load
from .settings import Settings

name = "prox_error"
title = "Error of the published proximal operator"

CLAIM = (
    "The walk along the path of merging groups computes the proximal operator of the Lovász hinge, and does "
    "so efficiently (v1; 20 moves in its code, 30 in its training runs)."
)

#: γ in units of the foreground pixels: a foreground pixel is pulled by at most so much.
GAMMAS = tuple(10.0**k for k in range(-3, 4))
#: A prox is right if it is off by at most so much of the largest change of a pixel, far above the tolerances
#: of the walk, which are 1e-6.
RIGHT = 1e-3
_SHARES = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
_DRAWN = "drawn scores"
#: A walk that is never cut off: it merges or ends with every move.
_NEVER = 10**9
#: Errors below this are drawn there.
_FLOOR = 1e-9


@dataclass(frozen=True)
class Method:
    """Arguments of `LovaszHinge.prox`, and how they are drawn."""

    words: str
    arguments: dict[str, Any]
    look: style.Look


_PATH = style.LOSSES["path"]
METHODS = {
    "path 20": Method("path walk, 20 moves", {"method": "path"}, _PATH),
    "path 30": Method(
        "path walk, 30 moves",
        {"method": "path", "max_steps": 30},
        replace(_PATH, color="#A0527F", dash=(0, (5, 1.5)), marker="D"),
    ),
    "path": Method(
        "path walk to its end",
        {"method": "path", "max_steps": _NEVER},
        replace(_PATH, color="#5E1F45", dash="solid", marker="s"),
    ),
    "in order": Method(
        "pooling in the order of the scores", {"method": "pav-in-order"}, style.LOSSES["in order"]
    ),
}
#: Walk with the slip of its code mended, for the small problems.
_MENDED = {"method": "path", "max_steps": _NEVER, "slip": False}

#: Where the published methods are known to be wrong: target, margins, γ.
KNOWN = (
    ("a background pixel overtakes", (1, 0, 1), (26, 12, 13), 12),
    ("the same among three close pixels", (0, 1, 0), (Fraction(3, 2), 1, Fraction(99, 100)), 1),
    ("slip: a single active pixel", (1, 1, 1),
     (Fraction(632, 1000), Fraction(-225, 1000), Fraction(-808, 1000)), 5),
)  # fmt: skip


def sources(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Score maps, by the groups in which they are shown."""
    scales = (16, 8) if settings.quick else (16, 8, 4) if not settings.full else (16, 8, 4, 2)
    found = {f"photograph, 1/{scale}": [{"kind": "photograph", "scale": scale}] for scale in scales}
    if settings.data is not None:
        classes = VOC_FREQUENT[:1] if settings.quick else VOC_FREQUENT
        for size, fine in ((33, False), (129, True)):
            found[f"VOC, {size} × {size}"] = [
                {"kind": "voc", "data": settings.data, "cls": cls, "fine": fine} for cls in classes
            ]
    return found


def cells(settings: Settings) -> list[Cell]:
    """One for every source of score maps, for the drawn scores of a seed, and for the small problems."""
    rounds = 1 if settings.quick else 3
    images = 3 if settings.quick else 30 if settings.full else 12
    maps = [
        Cell(score_maps, {"source": source, "images": images, "rounds": rounds}, f"prox_error: {group}")
        for group, many in sources(settings).items()
        for source in many
    ]
    pixels, problems = (500, 60) if settings.quick else (2000, 300)
    seeds = [
        cell
        for seed in settings.all_seeds
        for cell in (
            Cell(drawn, {"seed": seed, "pixels": pixels}, "prox_error: drawn scores"),
            Cell(small, {"seed": seed, "problems": problems}, "prox_error: small problems"),
        )
    ]
    return [*maps, *seeds, Cell(known, {}, "prox_error: counterexamples")]


def score_maps(source: dict[str, Any], images: int, rounds: int) -> Outcome:
    """All methods on the score maps of a source, for every γ.

    Parameters
    ----------
    source : dict
        Of `score_maps.load`.
    images : int
        At most this many, evenly spaced over all.
    rounds : int
        Timings of every method, in turn.

    Returns
    -------
    Outcome
        entries: see `compare`, with γ over foreground pixels.
    """
    all_maps = load(**source)
    chosen = np.unique(np.linspace(0, len(all_maps) - 1, min(images, len(all_maps))).round().astype(int))
    _warm_up()
    entries = [
        {"gamma": gamma, **compare(all_maps[i], gamma * int(all_maps[i].target.sum()), rounds)}
        for i in chosen
        for gamma in GAMMAS
    ]
    return Outcome(measures={"entries": entries})


def drawn(seed: int, pixels: int) -> Outcome:
    """All methods on normal scores around ±1, with γ the number of foreground pixels, over class balances."""
    rng = np.random.default_rng(seed)
    _warm_up()
    entries = []
    for share in _SHARES:
        target = np.arange(pixels) < round(share * pixels)
        scores = np.where(target, 1.0, -1.0) + rng.standard_normal(pixels)
        image = ScoreMap(f"drawn, {share:g}", scores, target)
        entries.append({"gamma": 1.0, **compare(image, float(target.sum()), 1)})
    return Outcome(measures={"entries": entries})


def compare(image: ScoreMap, gamma: float, rounds: int) -> dict[str, Any]:
    """All methods on one prox.

    Parameters
    ----------
    image : ScoreMap
    gamma : float
    rounds : int

    Returns
    -------
    dict
        pixels, share of foreground; certificate of the exact prox: relative gap, infeasibility. For every
        method: error, max |z − z*| over the largest change max |z* − U|; waste, (objective − least) / least;
        ratio, its time over that of the exact prox, the median of the rounds. Error and waste are None where
        the exact prox changes nothing or the least objective is 0.
    """
    h, f = LovaszHinge(image.target), LovaszExtension(Jaccard(image.target))
    signs = np.where(image.target, 1.0, -1.0)
    margins = 1 - signs * image.scores
    certified = f.prox(margins, gamma)
    certificate = verify_prox(f, margins, gamma, certified)
    exact = signs * (1 - np.maximum(certified, np.minimum(margins, 0.0)))
    seconds: dict[str, list[float]] = {key: [] for key in ("exact", *METHODS)}
    answers: dict[str, Float64s] = {}
    for _ in range(rounds):
        for key in seconds:
            arguments = METHODS[key].arguments if key in METHODS else {}
            begin = perf_counter()
            answers[key] = np.asarray(h.prox(image.scores, gamma, **arguments))
            seconds[key].append(perf_counter() - begin)

    def objective(z: Float64s) -> float:
        return 0.5 * float(((z - image.scores) ** 2).sum()) + gamma * float(h(z))

    least, change = objective(exact), float(np.abs(exact - image.scores).max())
    return {
        "pixels": len(image.scores),
        "share": float(image.target.mean()),
        "seconds": float(np.median(seconds["exact"])),
        "relative_gap": abs(certificate.relative_gap),
        "infeasibility": certificate.infeasibility,
        # The hinge's own code against the prox that was certified.
        "agreement": float(np.abs(answers["exact"] - exact).max()) / max(change, 1.0),
        "methods": {
            key: {
                "error": float(np.abs(answers[key] - exact).max()) / change if change > 0 else None,
                "waste": objective(answers[key]) / least - 1 if least > 0 else None,
                "ratio": float(np.median(np.divide(seconds[key], seconds["exact"]))),
            }
            for key in METHODS
        },
    }


def _warm_up() -> None:
    """Nobody is charged for compiling."""
    h = LovaszHinge([1, 0, 1])
    for arguments in ({}, *(method.arguments for method in METHODS.values())):
        h.prox([0.5, 0.2, -0.3], 1.0, **arguments)


def exact_margins(target: Any, margins: Any, gamma: Any) -> list[Fraction]:
    """The prox of m ↦ f(max(m, 0)) in fractions, from all 2^p sets."""
    values = reference.set_values_exact(Jaccard(np.asarray(target, dtype=np.bool_)))
    x = reference.as_fractions(margins)
    z = reference.prox(values, x, np.array(Fraction(gamma), dtype=object))
    return [max(a, min(b, Fraction(0))) for a, b in zip(z, x, strict=True)]


def walked(target: Bools, margins: Float64s, gamma: float, arguments: dict[str, Any]) -> Float64s:
    """What a method gives for margins."""
    signs = np.where(target, 1.0, -1.0)
    return np.asarray(1 - signs * LovaszHinge(target).prox(signs * (1 - margins), gamma, **arguments))


#: Methods of the small problems.
_SMALL: dict[str, dict[str, Any]] = {
    "exact": {},
    "path": METHODS["path"].arguments,
    "path, slip mended": _MENDED,
    "in order": METHODS["in order"].arguments,
}


def small(seed: int, problems: int) -> Outcome:
    """Random problems of three to six pixels against exact fractions: normal scores, γ from 0.1 to 10.

    Parameters
    ----------
    seed, problems : int

    Returns
    -------
    Outcome
        For every method of exact, path, path with its slip mended, in order: the largest error of each
        problem, and the largest excess of the objective.
    """
    rng = np.random.default_rng(seed)
    errors: dict[str, list[float]] = {key: [] for key in _SMALL}
    excess: dict[str, list[float]] = {key: [] for key in _SMALL}
    for _ in range(problems):
        p = int(rng.integers(3, 7))
        target = rng.random(p) < 0.5
        # Dyadic numbers, which floats hold exactly: all methods and the reference see the same problem.
        margins = 1 - np.round(rng.standard_normal(p) * 1024) / 1024
        gamma = round(float(10 ** rng.uniform(-1, 1)) * 64) / 64
        right = np.array([float(v) for v in exact_margins(target, margins, gamma)])
        least = _objective(target, right, margins, gamma)
        for key, arguments in _SMALL.items():
            z = walked(target, margins, gamma, arguments)
            errors[key].append(float(np.abs(z - right).max()))
            excess[key].append(_objective(target, z, margins, gamma) - least)
    return Outcome(
        measures={"errors": errors, "excess": {key: max(values) for key, values in excess.items()}}
    )


def _objective(target: Bools, z: Float64s, margins: Float64s, gamma: float) -> float:
    loss = LovaszExtension(Jaccard(target))(np.maximum(z, 0.0))
    return 0.5 * float(((z - margins) ** 2).sum()) + gamma * float(loss)


def known() -> Outcome:
    """The known counterexamples: the answer in fractions, and what every method gives."""
    entries = []
    for words, target, margins, gamma in KNOWN:
        x, mask = np.array([float(v) for v in margins]), np.array(target, dtype=np.bool_)
        right = exact_margins(target, list(margins), gamma)
        answers = {
            key: walked(mask, x, float(gamma), arguments).tolist() for key, arguments in _SMALL.items()
        }
        entries.append({"words": words, "right": [str(v) for v in right], "answers": answers})
    return Outcome(measures={"entries": entries})


def publish(settings: Settings, done: Done, out: Path) -> Page:
    """Errors, wasted objectives and times, tables, and the verdict."""
    found = [(c, o.measures) for c in cells(settings) if (o := done.of(c)) is not None]
    groups: dict[str, list[dict[str, Any]]] = {}
    for c, m in found:
        if c.function in (score_maps, drawn):
            groups.setdefault(c.group.removeprefix("prox_error: "), []).extend(m["entries"])
    random = [m for c, m in found if c.function is small]
    examples = [entry for c, m in found if c.function is known for entry in m["entries"]]
    maps = {group: entries for group, entries in groups.items() if group != _DRAWN}
    if not maps or not random or not examples:
        return Page(CLAIM, ["Not every kind of problem is done yet."], "not testable here", "nothing was run")
    numbers = _numbers(groups, random, examples)
    verdict, why = _verdict(numbers)
    tables = [
        _table(groups, out / f"{name}.csv"),
        _small_table(random, out / f"{name}-small.csv"),
        _known_table(examples, out / f"{name}-known.csv"),
    ]
    picture = _draw(out / name, groups)
    caption = (
        "Top: largest error of a pixel, relative to the largest change that the exact prox makes. Middle: "
        "objective wasted, relative to the least. Bottom: time over that of the exact prox in the same "
        "process. Medians over the images with markers; nine of ten images are below the thin lines. What is "
        f"below {_FLOOR:g} is drawn there."
    )
    return Page(CLAIM, _findings(numbers), verdict, why, [(picture, caption)], tables, numbers)


def _values(entries: list[dict[str, Any]], method: str, measure: str) -> Float64s:
    """A measure of all entries that have it."""
    given = [entry["methods"][method][measure] for entry in entries]
    return np.array([value for value in given if value is not None], dtype=np.float64)


def _numbers(
    groups: dict[str, list[dict[str, Any]]], random: list[dict[str, Any]], examples: list[dict[str, Any]]
) -> dict[str, Any]:
    every = [entry for entries in groups.values() for entry in entries]
    errors = {key: np.concatenate([m["errors"][key] for m in random]) for key in _SMALL}
    wrong = {key: sum(_is_wrong(entry, key) for entry in examples) for key in _SMALL}
    return {
        "certificate": {
            key: max(entry[key] for entry in every) for key in ("relative_gap", "infeasibility", "agreement")
        },
        "problems": len(every),
        "all_maps": _lines([e for group, entries in groups.items() if group != _DRAWN for e in entries]),
        "maps": {group: _lines(entries) for group, entries in groups.items()},
        "small": {
            key: {
                "problems": len(errors[key]),
                "wrong": float(np.mean(errors[key] > RIGHT)),
                "error": float(errors[key].max()),
                "excess": max(m["excess"][key] for m in random),
            }
            for key in _SMALL
        },
        "known_wrong": wrong,
        "known": len(examples),
    }  # fmt: skip


def _lines(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every method over some of the problems: share that is right, and medians."""
    lines = {}
    for key in METHODS:
        errors, waste, ratios = (_values(entries, key, m) for m in ("error", "waste", "ratio"))
        lines[key] = {
            "cases": len(errors),
            "right": float(np.mean(errors <= RIGHT)) if errors.size else 1.0,
            "error": _middle(errors),
            "waste": _middle(waste),
            "ratio": float(np.median(ratios)),
            "ratio_range": np.quantile(ratios, (0.1, 0.9)).tolist(),
        }
    return lines


def _is_wrong(entry: dict[str, Any], method: str) -> bool:
    right = np.array([float(Fraction(v)) for v in entry["right"]])
    return bool(np.abs(np.array(entry["answers"][method]) - right).max() > RIGHT)


def _verdict(numbers: dict[str, Any]) -> tuple[Verdict, str]:
    """Right everywhere, right on most score maps, or neither."""
    shares = {key: line["right"] for key, line in numbers["all_maps"].items()}
    small_wrong = numbers["small"]["path"]["wrong"]
    ratio = numbers["all_maps"]["path 20"]["ratio"]
    words = (
        f"on score maps the walk is right to {RIGHT:g} in {shares['path 20']:.0%} of the cases with 20 "
        f"moves, {shares['path 30']:.0%} with 30 and {shares['path']:.0%} to its end; it is wrong in "
        f"{small_wrong:.0%} of small random problems; with 20 moves it takes {ratio:.2g} times as long as "
        "the exact prox"
    )
    if min(shares[key] for key in ("path 20", "path 30", "path")) == 1 and small_wrong == 0:
        return "confirmed", words
    return ("partly confirmed" if shares["path 20"] >= 0.5 else "refuted"), words


def _findings(numbers: dict[str, Any]) -> list[str]:
    certificate, random = numbers["certificate"], numbers["small"]
    found = [
        f"All {numbers['problems']} exact answers are certified: relative gap at most "
        f"{certificate['relative_gap']:.1g}, violation of the base polytope over all sets at most "
        f"{certificate['infeasibility']:.1g}.",
        f"Random problems of 3 to 6 pixels against exact fractions ({random['path']['problems']}, normal "
        f"scores, γ from 0.1 to 10; the shares depend on that): the walk to its end is wrong in "
        f"{random['path']['wrong']:.0%}, by up to {random['path']['excess']:.2g} in the objective (with its "
        f"slip mended {random['path, slip mended']['wrong']:.0%}, "
        f"{random['path, slip mended']['excess']:.2g}); pooling in order in "
        f"{random['in order']['wrong']:.0%}, by up to {random['in order']['excess']:.2g}; the exact method "
        f"in {random['exact']['wrong']:.0%}, "
        f"with a largest error of {random['exact']['error']:.1g}.",
        f"Known counterexamples, {numbers['known']}: wrong are the walk in {numbers['known_wrong']['path']}, "
        f"pooling in {numbers['known_wrong']['in order']}, the exact method in "
        f"{numbers['known_wrong']['exact']}.",
    ]
    for group, by_method in numbers["maps"].items():
        found.append(
            f"{group[0].upper()}{group[1:]}: "
            + "; ".join(
                f"{METHODS[key].words} right in {line['right']:.0%}, median waste {line['waste'] or 0:.1g}, "
                f"{line['ratio']:.2g} times the time"
                for key, line in by_method.items()
            )
            + "."
        )
    return found


def _table(groups: dict[str, list[dict[str, Any]]], file: Path) -> Table:
    rows = []
    for group, entries in groups.items():
        for gamma in dict.fromkeys(entry["gamma"] for entry in entries):
            mine = [entry for entry in entries if entry["gamma"] == gamma]
            rows += [
                [
                    group, gamma, line["cases"], METHODS[key].words, line["right"], line["error"],
                    line["waste"], line["ratio"], *line["ratio_range"],
                    max(entry["relative_gap"] for entry in mine),
                ]
                for key, line in _lines(mine).items()
            ]  # fmt: skip
    head = [
        "scores", "γ / foreground pixels", "cases", "method", f"right to {RIGHT:g}", "relative error",
        "objective wasted", "time / exact", "10 %", "90 %", "largest relative gap of the exact prox",
    ]  # fmt: skip
    return Table("Errors and times against the exact prox: medians over the images", head, rows, file)


def _middle(values: Float64s) -> float | None:
    return float(np.median(values)) if values.size else None


def _small_table(random: list[dict[str, Any]], file: Path) -> Table:
    rows = []
    for key in _SMALL:
        errors = np.concatenate([m["errors"][key] for m in random])
        excess = max(m["excess"][key] for m in random)
        rows.append([key, len(errors), float(np.mean(errors > RIGHT)), float(errors.max()), excess])
    head = ["method", "problems", "share wrong", "largest error", "largest excess of the objective"]
    return Table("Random problems of 3 to 6 pixels against exact fractions", head, rows, file)


def _known_table(examples: list[dict[str, Any]], file: Path) -> Table:
    rows = [
        [entry["words"], ", ".join(entry["right"]),
         *(", ".join(f"{v:.6g}" for v in entry["answers"][key]) for key in _SMALL)]
        for entry in examples
    ]  # fmt: skip
    return Table(
        "Counterexamples: the margins after the prox", ["problem", "in fractions", *_SMALL], rows, file
    )


def _draw(path: Path, groups: dict[str, list[dict[str, Any]]]) -> Path:
    maps = {group: entries for group, entries in groups.items() if group != _DRAWN}
    # The last two are the most real: the two sizes of VOC, or the larger photographs.
    shown = list(maps)[-2:]
    fig, context = style.figure(13.0, 9.6)
    with context:
        axes = fig.subplots(3, 3)
        for column, group in enumerate(shown):
            for row, measure in enumerate(("error", "waste", "ratio")):
                _draw_over(axes[row, column], maps[group], "gamma", measure)
            pixels = int(np.median([entry["pixels"] for entry in maps[group]]))
            axes[0, column].set_title(f"{group}: {pixels:,} pixels (median)")
        photographs = [
            entry for group, entries in maps.items() if group.startswith("photograph") for entry in entries
        ]
        at_one = [entry for entry in photographs if entry["gamma"] == 1]
        _draw_over(axes[0, 2], at_one, "pixels", "error")
        axes[0, 2].set_title("photograph by size, γ = foreground pixels")
        _draw_over(axes[1, 2], groups.get(_DRAWN, []), "share", "waste")
        axes[1, 2].set_title("drawn scores by class balance, γ = foreground pixels")
        _draw_over(axes[2, 2], photographs, "pixels", "ratio")
        axes[2, 2].set_title("photograph by size, all γ")
        words = ("max |z − z*| / max |z* − U|", "(objective − least) / least", "time / exact prox")
        for row, label in zip(axes, words, strict=True):
            row[0].set_ylabel(label)
        for axis in axes.flat:
            axis.set_xscale("log")
            axis.set_yscale("log")
        for axis in axes[2]:
            axis.axhline(1.0, color=style.METHODS["prox"].color, linewidth=1.2)
            axis.set_ylim(0.5, max(200.0, axis.get_ylim()[1]))
        for axis in axes[:2].flat:
            axis.set_ylim(_FLOOR / 5, max(10.0, axis.get_ylim()[1]))
        for axis in axes.flat:
            style.logarithmic(axis.xaxis)
            style.logarithmic(axis.yaxis)
        axes[1, 2].set_xscale("linear")
        axes[1, 2].xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        sizes = sorted({entry["pixels"] for entry in photographs})
        for axis in (axes[0, 2], axes[2, 2]):
            axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4)
        return style.save(fig, path)[0]


def _draw_over(axis: Any, entries: list[dict[str, Any]], along: str, measure: str) -> None:
    """Medians of a measure along another, and what nine of ten images are below."""
    places = sorted({entry[along] for entry in entries})
    # The shorter walk on top of the longer ones, which it often equals.
    for key, method in reversed(METHODS.items()):
        kept = []
        for place in places:
            values = _values([entry for entry in entries if entry[along] == place], key, measure)
            if values.size:
                kept.append((place, *np.quantile(np.maximum(values, _FLOOR), (0.5, 0.9))))
        if not kept:
            continue
        x, middle, high = np.array(kept).T
        look = method.look
        axis.plot(x, high, color=look.color, linestyle=look.dash, linewidth=0.7)
        axis.plot(
            x, middle, color=look.color, linestyle=look.dash, marker=look.marker, markersize=5,
            label=method.words,
        )  # fmt: skip
    axis.set_xlabel({"gamma": "γ / foreground pixels", "share": "share of foreground"}.get(along, along))
