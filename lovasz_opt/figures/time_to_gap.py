"""A table in colours: seconds to a certified gap, for every method and group of problems."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import style

#: Methods, columns, and seconds: infinite if never, NaN if the method cannot serve the problem.
Overview = tuple[list[str], list[str], list[list[float]]]


def draw(path: Path, overviews: Mapping[float, Overview]) -> list[Path]:
    """Draw the figure and write it as PNG and PDF.

    Parameters
    ----------
    path : Path
        Without suffix.
    overviews : mapping of float to (methods, columns, seconds)
        For each certified gap.

    Returns
    -------
    list of Path
        The files written.
    """
    methods, columns, _ = next(iter(overviews.values()))
    width, height = 0.62 * len(columns) + 0.3, 0.23 * len(methods)
    fig, context = style.figure(2.5 + len(overviews) * width + 0.6, height + 1.7)
    with context:
        axes = np.atleast_1d(fig.subplots(1, len(overviews)))
        times = np.concatenate([np.ravel(seconds) for _, _, seconds in overviews.values()])
        finite = times[np.isfinite(times)]
        limits = (float(np.log10(finite.min())), float(np.log10(finite.max()))) if finite.size else (0.0, 1.0)
        for axis, (level, (_, _, seconds)) in zip(axes, overviews.items(), strict=True):
            _draw_table(axis, np.asarray(seconds, dtype=np.float64), limits)
            axis.set_title(f"certified gap {style.power_of_ten(round(np.log10(level)))}", pad=8)
            axis.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
            axis.set_yticks(range(len(methods)), [])
        axes[0].set_yticklabels([style.METHODS[key].label for key in methods])
        for tick, key in zip(axes[0].get_yticklabels(), methods, strict=True):
            tick.set_color(style.METHODS[key].color)
        fig.suptitle(
            "seconds until a method certifies its gap, by its best step size (–: not within the limit)",
            x=0.01, ha="left", fontsize=10, fontweight="bold",
        )  # fmt: skip
        return style.save(fig, path)


def _draw_table(axis: Any, seconds: Any, limits: tuple[float, float]) -> None:
    shade = np.where(np.isfinite(seconds), np.log10(np.where(np.isfinite(seconds), seconds, 1.0)), np.nan)
    axis.imshow(shade, cmap="YlGnBu", vmin=limits[0], vmax=limits[1] + 1e-9, aspect="auto")
    middle = limits[0] + 0.6 * (limits[1] - limits[0])
    for (i, j), value in np.ndenumerate(seconds):
        if np.isnan(value):
            continue
        words = "–" if np.isinf(value) else f"{value:.2g}"
        color = "white" if np.isfinite(value) and shade[i, j] > middle else "#222222"
        axis.text(j, i, words, ha="center", va="center", color=color, fontsize=7.5)
    axis.grid(False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
