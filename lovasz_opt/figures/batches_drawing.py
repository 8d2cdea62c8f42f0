"""Pictures of the figure on batches: both measures over the size of the batch, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import Float64s
from . import style
from .batches_differences import Difference, Scores
from .statistics import mean_and_error

#: Families that are drawn over the size of the batch, as keys of `style.LOSSES`.
CURVES = {
    "cross-entropy": "cross-entropy",
    "per image": "Lovász-Softmax, per image",
    "per batch": "Lovász-Softmax",
    "all classes": "Lovász-Softmax, all classes",
    "equibatch": "Lovász-Softmax, equibatch",
}
_NAMES = {"per batch": "Lovász-Softmax per batch", "equibatch": "Lovász-Softmax per batch, equibatch"}
#: Name, marker, colour and place beside each other.
_MEASURES = {
    "dataset": ("dataset-mIoU", "o", "#0072B2", -0.14),
    "image": ("image-mIoU", "s", "#D55E00", 0.14),
}
#: What lies this far below the median, in units of the highest value above it, is left out.
_FAR = 4.0


def draw_curves(path: Path, studies: Mapping[str, Scores]) -> Path:
    """Both measures of every family over the size of the batch, one row for every study.

    Parameters
    ----------
    path : Path
        Without suffix.
    studies : mapping of str to scores
        By their titles.

    Returns
    -------
    Path
        The PNG file.
    """
    fig, context = style.figure(10.0, 3.3 * len(studies) + 0.7)
    with context:
        grid = fig.subplots(len(studies), 2, squeeze=False)
        for row, (title, scores) in zip(grid, studies.items(), strict=True):
            for axis, (measure, (words, *_)) in zip(row, _MEASURES.items(), strict=True):
                _draw_measure(axis, scores, measure)
                axis.set_title(f"{title}: {words}")
                axis.set_xlabel("images in a batch")
                axis.set_ylabel("validation mIoU, %")
        handles: dict[str, Any] = {}
        for axis in grid.flat:
            handles |= {handle.get_label(): handle for handle in axis.get_legend_handles_labels()[0]}
        fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
        return style.save(fig, path)[0]


def _draw_measure(axis: Any, scores: Scores, measure: str) -> None:
    sizes = sorted({batch for family, batch in scores if family in CURVES})
    drawn: list[float] = []
    for k, (family, key) in enumerate(CURVES.items()):
        mine = [b for b in sizes if (family, b) in scores]
        values = [
            mean_and_error(100 * np.array([run[measure] for run in scores[family, b].values()])) for b in mine
        ]
        if not values:
            continue
        means, errors = zip(*values, strict=True)
        look = style.LOSSES[key]
        # Side by side, so that error bars do not hide each other.
        places = np.array([sizes.index(b) for b in mine]) + 0.05 * (k - 2)
        axis.errorbar(
            places,
            means,
            errors,
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=5,
            linewidth=1.3,
            label=_NAMES.get(family, look.label),
        )
        drawn += [mean + side * error for mean, error in values for side in (-1, 0, 1)]
    if drawn:
        _keep_readable(axis, np.array(drawn))
    axis.set_xticks(range(len(sizes)), [str(b) for b in sizes])
    axis.set_xlim(-0.4, len(sizes) - 0.6)


def _keep_readable(axis: Any, values: Float64s) -> None:
    """What is far below the others is left below the picture, with its number, not to flatten the rest."""
    middle, high = float(np.median(values)), float(values.max())
    low = float(values[values >= middle - _FAR * max(high - middle, 0.5)].min())
    room = 0.1 * (high - low)
    axis.set_ylim(low - room, high + room)
    if values.min() < low:
        axis.annotate(
            f"down to {values.min():.0f} below the picture",
            (0.02, 0.03),
            xycoords="axes fraction",
            fontsize=8,
            color="#555555",
        )


def draw_differences(path: Path, studies: Mapping[str, Sequence[Difference]]) -> Path:
    """Paired differences with their standard errors, one panel for every study.

    Parameters
    ----------
    path : Path
        Without suffix.
    studies : mapping of str to differences
        By their titles.

    Returns
    -------
    Path
        The PNG file.
    """
    labels = list(dict.fromkeys(_label(d) for found in studies.values() for d in found))
    fig, context = style.figure(4.2 + 3.6 * len(studies), 0.33 * len(labels) + 1.5)
    with context:
        axes = fig.subplots(1, len(studies), squeeze=False, sharey=True)[0]
        for axis, (title, found) in zip(axes, studies.items(), strict=True):
            limit = _limit(found)
            for measure, (words, marker, color, shift) in _MEASURES.items():
                estimates = [getattr(d, measure) for d in found]
                means = 100 * np.array([e.mean for e in estimates])
                places = np.array([labels.index(_label(d)) for d in found]) + shift
                inside = abs(means) <= limit
                axis.errorbar(
                    means[inside],
                    places[inside],
                    xerr=200 * np.array([e.error for e in estimates])[inside],
                    fmt=marker,
                    color=color,
                    markerfacecolor=color if measure == "dataset" else "white",
                    markersize=5,
                    linewidth=1.3,
                    label=words,
                )
                for mean, place in zip(means[~inside], places[~inside], strict=True):
                    right = mean > 0
                    axis.text(
                        limit if right else -limit,
                        place,
                        f"{mean:+.1f} →" if right else f"← {mean:+.1f}",
                        ha="right" if right else "left",
                        va="center",
                        color=color,
                        fontsize=8,
                    )
            axis.set_xlim(-limit, limit)
            axis.axvline(0, color="#000000", linewidth=0.8)
            axis.set_title(title)
            axis.set_xlabel("difference in points, ± 2 standard errors")
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.4, -0.6)
        handles, names = axes[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside lower center", ncols=2)
        return style.save(fig, path)[0]


def _limit(found: Sequence[Difference]) -> float:
    """Half the width of a panel in points: a few large differences are written, not to flatten the others."""
    estimates = [e for d in found for e in (d.dataset, d.image)]
    reach = 100 * np.array([abs(e.mean) + 2 * e.error for e in estimates])
    return float(1.1 * min(reach.max(), max(1.0, 4 * np.median(reach))))


def _label(difference: Difference) -> str:
    best = " (best batch of each)" if difference.key.endswith(", best") else ""
    return difference.label + best
