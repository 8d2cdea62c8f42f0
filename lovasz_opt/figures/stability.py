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
VARIANTS = {
    "last": "last iterate, one image a step",
    "average": "weighted average, one image a step",
    "average of ten": "weighted average, ten images a step",
}
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
    """One measure for one variant and rule of steps, by method."""

    variant: str
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
        Row by row: a row for every variant, a column for every measure and rule.
    factor : float
        Objectives within this factor of the minimum are marked.
    title : str

    Returns
    -------
    list of Path
        The files written.
    """
    columns = len(RULES) * len(MEASURES)
    rows = len(panels) // columns
    fig, context = style.figure(3.3 * columns, 2.6 * rows + 1.0)
    with context:
        sections = np.atleast_1d(fig.subfigures(rows, 1))
        for k, section in enumerate(sections):
            mine = panels[k * columns : (k + 1) * columns]
            axes = section.subplots(1, columns)
            section.suptitle(VARIANTS[mine[0].variant], x=0.01, ha="left", fontsize=10)
            for axis, panel in zip(axes, mine, strict=True):
                _draw_panel(axis, panel, factor)
            for j in range(0, columns, len(RULES)):
                axes[j].set_ylabel(MEASURES[mine[j].measure])
                for axis in axes[j + 1 : j + len(RULES)]:
                    axis.sharey(axes[j])
            if k == rows - 1:
                for axis in axes:
                    axis.set_xlabel("step size α")
        axes = fig.axes
        fig.suptitle(title, fontsize=11, fontweight="bold")
        handles, labels = axes[0].get_legend_handles_labels()
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
            (-4, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color="#00684A",
            fontsize=8,
        )
