"""What step sizes do to stochastic methods: objective and test IoU against the step, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._validation import Float64s
from . import style

RULES = {"constant": "α", "sqrt": "α/√k"}
MEASURES = {"ratio": "objective / certified minimum", "final_iou": "test IoU"}
METHODS = {
    "proximal point": style.Look("stochastic proximal point", "proximal", "#0072B2", width=2.6),
    "subgradient": style.Look("stochastic subgradient", "explicit", "#000000"),
    "momentum": style.Look("with momentum 0.9", "explicit", "#8C8C8C", (0, (5, 1.5))),
    "adam": style.Look("Adam", "explicit", "#B8860B", (0, (1, 1.2)), 2.2),
}
#: Objectives beyond this factor are drawn at the upper edge.
_TOP = 1e3


class Band(NamedTuple):
    """Median and quantiles for every step size."""

    steps: Float64s
    low: Float64s
    middle: Float64s
    high: Float64s


@dataclass(frozen=True)
class Panel:
    """One measure for one rule of steps, by method."""

    rule: str
    measure: str
    bands: dict[str, Band]


def draw(path: Path, panels: Sequence[Panel], factor: float, title: str) -> list[Path]:
    """Draw the figure and write it as PNG and PDF.

    Parameters
    ----------
    path : Path
        Without suffix.
    panels : sequence of Panel
        Row by row: a row for every measure, a column for every rule.
    factor : float
        Objectives within this factor of the minimum are marked.
    title : str

    Returns
    -------
    list of Path
        The files written.
    """
    columns = len(RULES)
    rows = len(panels) // columns
    fig, context = style.figure(9.0, 2.9 * rows + 0.9)
    with context:
        axes = np.atleast_2d(fig.subplots(rows, columns, sharex=True, sharey="row"))
        for axis, panel in zip(axes.ravel(), panels, strict=True):
            _draw_panel(axis, panel, factor)
        for axis in axes[:, 0]:
            axis.set_ylabel(MEASURES[panels[int(np.argmax(axes[:, 0] == axis)) * columns].measure])
        for axis in axes[-1]:
            axis.set_xlabel("step size α")
        fig.suptitle(title, fontsize=10, fontweight="bold")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=len(labels))
        return style.save(fig, path)


def _draw_panel(axis: Any, panel: Panel, factor: float) -> None:
    objective = panel.measure == "ratio"
    axis.set_xscale("log")
    axis.set_title(f"steps {RULES[panel.rule]}")
    # What wins is drawn last, on top.
    for method, band in reversed(panel.bands.items()):
        look = METHODS[method]
        low, middle, high = (
            np.minimum(values, _TOP) if objective else values for values in (band.low, band.middle, band.high)
        )
        axis.fill_between(band.steps, low, high, color=look.color, alpha=0.13, linewidth=0)
        axis.plot(
            band.steps,
            middle,
            color=look.color,
            linestyle=look.dash,
            linewidth=look.width,
            marker="o",
            markersize=3,
            label=look.label,
        )
    if objective:
        axis.set_yscale("log")
        axis.set_ylim(0.9, _TOP)
        axis.axhspan(0.9, factor, color="#37B58A", alpha=0.12, linewidth=0)
        axis.annotate(
            f"within {factor:.2g} ×",
            (1, factor),
            (-4, -3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            color="#00684A",
            fontsize=8,
        )
