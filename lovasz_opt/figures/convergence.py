"""Curves of every method on several problems, against iterations, passes over the data, and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import Float64s
from . import style

#: Gaps below this are rounding.
FLOOR = 1e-16

# In inches: the names of the curves stand to the right of the last panel.
_WIDTH, _ROW, _LEGEND = 13.0, 3.6, 0.4
_LEFTS, _PANEL = (0.75, 4.0, 7.25), 3.05

#: Columns of the figure: entries of a trace, and what they are called.
AXES = {
    "iteration": "iterations",
    "passes": "passes over the data",
    "seconds": "seconds (set-up and certificate included)",
}

#: What can be drawn.
QUANTITIES = {
    "certified": "certified gap / objective",
    "distance": "(objective − best bound of all) / objective",
    "iou": "IoU of the test images",
}


@dataclass(frozen=True)
class Curve:
    """One method on one problem.

    Attributes
    ----------
    method : str
        A key of `style.METHODS`.
    x : dict of str to (n,) ndarray
        For each of `AXES`.
    y : (n,) ndarray
    """

    method: str
    x: dict[str, Float64s]
    y: Float64s


@dataclass(frozen=True)
class Row:
    """One problem: its title, and a curve for each method."""

    title: str
    curves: Sequence[Curve]


def draw(path: Path, rows: Sequence[Row], quantity: str) -> list[Path]:
    """Draw the figure and write it as PNG and PDF.

    Parameters
    ----------
    path : Path
        Without suffix.
    rows : sequence of Row
    quantity : {"certified", "distance", "iou"}
        What y is.

    Returns
    -------
    list of Path
        The files written.
    """
    height = _ROW * len(rows) + _LEGEND
    fig, context = style.figure(_WIDTH, height, layout=None)
    with context:
        for i, row in enumerate(rows):
            _draw_row(fig, row, quantity, height - _ROW * (i + 1), height)
        _draw_legend(fig, rows, height)
        return style.save(fig, path)


def _draw_row(fig: Any, row: Row, quantity: str, bottom: float, height: float) -> None:
    """One problem, `bottom` inches above the lower edge of a figure so many inches high."""
    fig.text(0.01, (bottom + _ROW - 0.22) / height, row.title, fontsize=10, fontweight="bold")
    axes: list[Any] = []
    for left in _LEFTS:
        place = (left / _WIDTH, (bottom + 0.5) / height, _PANEL / _WIDTH, (_ROW - 0.85) / height)
        axes.append(fig.add_axes(place, sharey=axes[0] if axes else None))
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    # What wins is drawn last, on top.
    order = list(style.METHODS)
    curves = sorted(row.curves, key=lambda curve: order.index(curve.method), reverse=True)
    for axis, (column, label) in zip(axes, AXES.items(), strict=True):
        for curve in curves:
            _draw_curve(axis, curve.x[column], curve.y, style.METHODS[curve.method], quantity)
        axis.set_xscale("log")
        style.logarithmic(axis.xaxis)
        axis.set_xlabel(label)
        axis.margins(x=0.05)
    if quantity == "iou":
        _zoom_on_the_best(axes[0], curves)
    else:
        axes[0].set_yscale("log")
        low, high = axes[0].get_ylim()
        # Two powers of ten at least, or there would be no scale to read.
        axes[0].set_ylim(min(low, high / 200), high)
        style.logarithmic(axes[0].yaxis)
    axes[0].set_ylabel(QUANTITIES[quantity])
    _label(axes[-1], [(curve, _last(curve, quantity)) for curve in curves], quantity)


def _values(y: Float64s, quantity: str) -> Float64s:
    return y if quantity == "iou" else np.maximum(y, FLOOR)


def _last(curve: Curve, quantity: str) -> tuple[float, float]:
    return float(curve.x["seconds"][-1]), float(_values(curve.y, quantity)[-1])


def _draw_curve(axis: Any, x: Float64s, y: Float64s, look: style.Look, quantity: str) -> None:
    y = _values(y, quantity)
    if look.marker or len(x) == 1:
        size = 13 if look.marker else 7
        axis.plot(x[-1:], y[-1:], look.marker or "o", color=look.color, markersize=size, clip_on=False)
        return
    axis.plot(x, y, color=look.color, linestyle=look.dash, linewidth=look.width)
    axis.plot(x[-1:], y[-1:], "o", color=look.color, markersize=3.5)


def _zoom_on_the_best(axis: Any, curves: Sequence[Curve]) -> None:
    """Leave out the first, bad iterations, which would flatten what matters."""
    top = max(float(curve.y.max()) for curve in curves)
    end = min(float(curve.y[-1]) for curve in curves)
    axis.set_ylim(max(min(end, top - 0.1) - 0.05, 0.0), top + 0.02)


def _label(axis: Any, ends: Sequence[tuple[Curve, tuple[float, float]]], quantity: str) -> None:
    """Name the curves to the right of the last panel, spread out so that no two names overlap."""
    low, high = axis.get_ylim()
    scale = np.log10 if quantity != "iou" else np.asarray
    bottom, top = float(scale(low)), float(scale(high))

    def height(end: tuple[float, float]) -> float:
        return float(np.clip((scale(end[1]) - bottom) / (top - bottom), 0, 1))

    ordered = sorted(ends, key=lambda item: height(item[1]))
    places = _spread([height(end) for _, end in ordered], 0.057)
    for (curve, (x, y)), place in zip(ordered, places, strict=True):
        look = style.METHODS[curve.method]
        words = f"{y:.3f}" if quantity == "iou" else f"{y:.0e}"
        axis.annotate(
            f"{look.label}  {words}",
            (x, np.clip(y, low, high)),
            (1.06, place),
            xycoords="data",
            textcoords="axes fraction",
            color=look.color,
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.color,
                "linewidth": 0.5,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _spread(heights: Sequence[float], least: float) -> list[float]:
    """The nearest heights, in order, with at least so much between two: isotonic regression."""
    from scipy.optimize import isotonic_regression

    if not heights:
        return []
    offsets = least * np.arange(len(heights))
    free = isotonic_regression(np.asarray(heights) - offsets).x
    room = max(1.0, offsets[-1])
    return [float(h) for h in np.clip(free, 1.0 - room, room - offsets[-1]) + offsets]


def _draw_legend(fig: Any, rows: Sequence[Row], height: float) -> None:
    from matplotlib.lines import Line2D

    shown = {style.METHODS[curve.method].family for row in rows for curve in row.curves}
    # The colour of a family is that of its last member, the lightest.
    colors = {look.family: look.color for look in style.METHODS.values()}
    handles = [
        Line2D([], [], color=colors[family], linewidth=4, label=label)
        for family, label in style.FAMILIES.items()
        if family in shown
    ]
    fig.legend(handles=handles, loc="center", bbox_to_anchor=(0.5, _LEGEND / 2 / height), ncols=len(handles))
