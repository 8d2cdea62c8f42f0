"""The convergence study in one figure: the exact prox on the photograph, and every certified gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from .._validation import Bools, Float64s
from . import style

#: Gaps below this are rounding.
FLOOR = 1e-16


@dataclass(frozen=True)
class Curve:
    """The trace of one method on one problem.

    Attributes
    ----------
    problem : {"a", "b"}
    method : str
        A key of `style.METHODS`.
    trace : dict of str to ndarray
        Of a `lovasz_opt.solvers.Result`.
    """

    problem: str
    method: str
    trace: dict[str, Float64s]


@dataclass(frozen=True)
class ProxPanels:
    """What the upper row shows.

    Attributes
    ----------
    image : (H, W, 3) ndarray
    foreground, valid : (H, W) ndarray of bool
    before, after : (H, W) ndarray
        Scores U and the exact prox at U.
    iou_before, iou_after : float
    """

    image: Float64s
    foreground: Bools
    valid: Bools
    before: Float64s
    after: Float64s
    iou_before: float
    iou_after: float


def draw(
    path: Path, titles: dict[str, str], curves: Sequence[Curve], panels: ProxPanels | None
) -> list[Path]:
    """Draw the figure and write it as PNG and PDF.

    Parameters
    ----------
    path : Path
        Without suffix.
    titles : dict
        One line for problem "a" and "b".
    curves : sequence of Curve
        At most one per problem and method.
    panels : ProxPanels, optional
        Without it the upper row is left out.

    Returns
    -------
    list of Path
        The files written.
    """
    problems = [key for key in titles if any(curve.problem == key for curve in curves)]
    heights = ([2.75] if panels else []) + [2.9] * len(problems)
    fig, context = style.figure(12.0, sum(heights) + 0.9)
    with context:
        rows = np.atleast_1d(fig.subfigures(len(heights) + 1, 1, height_ratios=[*heights, 0.75], hspace=0.01))
        if panels:
            _draw_prox(rows[0], panels)
        for row, key in zip(rows[len(heights) - len(problems) :], problems, strict=False):
            _draw_gaps(row, titles[key], [curve for curve in curves if curve.problem == key])
        _draw_legend(
            rows[-1], [method for method in style.METHODS if any(c.method == method for c in curves)]
        )
        files = [path.with_suffix(suffix) for suffix in (".png", ".pdf")]
        for file in files:
            # Fixed metadata: the same study gives the same bytes.
            metadata = {"CreationDate": None} if file.suffix == ".pdf" else {"Software": None}
            fig.savefig(file, metadata=metadata)
    return files


def _draw_prox(fig: Any, panels: ProxPanels) -> None:
    axes, bars = fig.subplots(2, 4, height_ratios=[1, 0.045])
    axes[0].imshow(panels.image, interpolation="bilinear")
    axes[0].set_title("photograph, target outlined in yellow")
    limit = float(np.quantile(np.abs(panels.before), 0.95))
    change = panels.after - panels.before
    scale = float(np.abs(change).max()) or 1.0
    maps = (
        (panels.before, limit, f"scores U, black where U = 0: IoU {panels.iou_before:.2f}"),
        (panels.after, limit, f"F = exact prox of U: IoU {panels.iou_after:.2f}"),
        (change, scale, "change F − U"),
    )
    bars[0].set_axis_off()
    for axis, bar, (scores, bound, title) in zip(axes[1:], bars[1:], maps, strict=True):
        picture = axis.imshow(scores, cmap="PuOr_r", vmin=-bound, vmax=bound, interpolation="nearest")
        axis.set_title(title)
        fig.colorbar(picture, cax=bar, orientation="horizontal").outline.set_visible(False)
    for axis, scores in zip(axes[1:3], (panels.before, panels.after), strict=True):
        axis.contour(scores > 0, [0.5], colors=style.SEGMENTATION_COLOR, linewidths=0.7)
    outline = _fill_void(panels.foreground, panels.valid)
    for axis in axes[:3]:
        axis.contour(outline, [0.5], colors=style.TARGET_COLOR, linewidths=0.8)
    for axis in axes:
        axis.set_axis_off()


def _fill_void(foreground: Bools, valid: Bools) -> Bools:
    """Give void pixels the label of the nearest known one, to outline the object and not the voids."""
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.asarray(foreground[tuple(nearest)])


def _draw_gaps(fig: Any, title: str, curves: Sequence[Curve]) -> None:
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    axes = fig.subplots(1, 2, sharey=True)
    bound = max(float(curve.trace["dual"][-1]) for curve in curves)
    # What wins is drawn last, on top.
    for curve in sorted(curves, key=lambda curve: list(style.METHODS).index(curve.method), reverse=True):
        for axis, quantity in zip(axes, ("iteration", "seconds"), strict=True):
            _draw_curve(axis, quantity, curve, bound)
    for axis in axes:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.margins(x=0.07)
    axes[0].set_xlabel("iterations")
    axes[1].set_xlabel("seconds (the certificate included)")
    axes[0].set_ylabel("gap / objective")
    plain = [curve for curve in curves if curve.method not in ("prox", "admm")]
    for kind in ([curve for curve in curves if curve.method == "admm"], plain):
        if kind:
            _label_end(axes, min(kind, key=lambda curve: _certified(curve)[-1]))


def _certified(curve: Curve) -> Float64s:
    return np.maximum(curve.trace["gap"] / curve.trace["best"], FLOOR)


def _draw_curve(axis: Any, quantity: str, curve: Curve, bound: float) -> None:
    look = style.METHODS[curve.method]
    rows = curve.trace["iteration"] >= 1
    if not rows.any():
        return
    x, best = curve.trace[quantity][rows], curve.trace["best"][rows]
    certified = _certified(curve)[rows]
    if curve.method == "prox":
        words = "1 iteration" if quantity == "iteration" else f"{1e3 * x[-1]:.0f} ms"
        axis.plot(x[-1:], certified[-1:], look.marker, color=look.color, markersize=13, clip_on=False)
        axis.annotate(
            f"{look.label}: {words},\nsolved to rounding",
            (x[-1], certified[-1]),
            (12, -3),
            textcoords="offset points",
            color=look.color,
            fontweight="bold",
        )
        return
    axis.plot(x, certified, color=look.color, linestyle=look.dash, linewidth=look.width)
    distance = (best - bound) / best
    known = distance > 0
    axis.plot(x[known], distance[known], color=look.color, linewidth=0.8, linestyle=look.dash, alpha=0.8)


def _label_end(axes: Any, curve: Curve) -> None:
    """Write the final certified gap at the end of a curve."""
    from matplotlib.patheffects import withStroke

    look, last = style.METHODS[curve.method], _certified(curve)[-1]
    for axis, quantity in zip(axes, ("iteration", "seconds"), strict=True):
        mantissa, exponent = f"{last:.0e}".split("e")
        axis.annotate(
            rf"${mantissa} \cdot 10^{{{int(exponent)}}}$",
            (curve.trace[quantity][-1], last),
            (4, -4),
            textcoords="offset points",
            color=look.color,
            fontsize=10.5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            annotation_clip=False,
        )


def _draw_legend(fig: Any, methods: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for method in methods:
        look = style.METHODS[method]
        line = (
            {"linestyle": "none", "marker": look.marker, "markersize": 11}
            if look.marker
            else {"linestyle": look.dash}
        )
        handles.append(Line2D([], [], color=look.color, linewidth=look.width, label=look.label, **line))
    handles += [
        Line2D([], [], color="#777777", linewidth=2.4, label="thick: gap that the method certifies itself"),
        Line2D(
            [], [], color="#777777", linewidth=0.8, label="thin: distance to the best bound of all methods"
        ),
    ]
    fig.legend(handles=handles, loc="center", ncols=3)
