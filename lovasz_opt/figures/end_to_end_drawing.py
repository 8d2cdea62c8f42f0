"""Pictures of networks trained end to end: curves over the epochs, and what the networks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from .._validation import Float64s
from ..datasets import VOID
from . import style


def curves(
    path: Path, runs: Mapping[style.Look, Sequence[list[dict[str, Any]]]], measures: Mapping[str, str]
) -> Path:
    """Measures on the validation images over the epochs, a panel for each.

    Parameters
    ----------
    path : Path
        Without suffix.
    runs : dict of Look to sequence of list
        The lines of the epochs of each run.
    measures : dict of str to str
        Keys of the lines, and what they are called.

    Returns
    -------
    Path
        The PNG file.
    """
    fig, context = style.figure(11.0, 4.4)
    with context:
        axes = fig.subplots(1, len(measures))
        for axis, (key, words) in zip(axes, measures.items(), strict=True):
            for look, found in runs.items():
                values = np.array([[line[key] for line in lines] for lines in found], dtype=np.float64)
                x = np.arange(1, values.shape[1] + 1)
                axis.fill_between(x, values.min(0), values.max(0), color=look.color, alpha=0.13, linewidth=0)
                axis.plot(
                    x, values.mean(0), color=look.color, linestyle=look.dash, linewidth=look.width,
                    marker=look.marker, markersize=5, label=look.label,
                )  # fmt: skip
            axis.set_xlabel("epochs")
            axis.set_ylabel(f"{words} of the validation images")
            axis.xaxis.get_major_locator().set_params(integer=True)
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3)
        return style.save(fig, path)[0]


def examples(path: Path, images: Any, chosen: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> Path:
    """Images, labels, and the label maps of networks.

    Parameters
    ----------
    path : Path
        Without suffix.
    images : Images
    chosen : sequence of int
        The rows.
    columns : dict of str to sequence of (H, W) array_like
        Label maps of the chosen images, by their heading.

    Returns
    -------
    Path
        The PNG file.
    """
    from matplotlib.patches import Patch

    headings = ["image", "labels", *columns]
    height, width = images.masks.shape[1:]
    fig, context = style.figure(
        1.75 * len(headings), 1.75 * len(chosen) * height / width + 0.6 + 0.2 * (len(images.classes) // 6 + 1)
    )
    colors = _palette(len(images.classes))
    with context:
        axes = np.atleast_2d(fig.subplots(len(chosen), len(headings)))
        for row, (i, line) in enumerate(zip(chosen, axes, strict=True)):
            pictures = [np.moveaxis(images.images[i], 0, -1), colors[images.masks[i]]]
            pictures += [colors[np.asarray(maps[row])] for maps in columns.values()]
            for axis, picture, words in zip(line, pictures, headings, strict=True):
                axis.imshow(picture, interpolation="nearest")
                axis.set_axis_off()
                if row == 0:
                    axis.set_title(fill(words, 22), fontsize=8)
        named = [*zip(images.classes, colors, strict=False), ("void", colors[VOID])]
        patches = [Patch(facecolor=color, label=label.replace("_", " ")) for label, color in named]
        fig.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8, handlelength=1.2)
        return style.save(fig, path)[0]


def _palette(n_classes: int) -> Float64s:
    """Colours of the labels; void is black."""
    import matplotlib

    colors = np.zeros((256, 3))
    colors[:n_classes] = matplotlib.colormaps["tab20"](np.arange(n_classes) % 20)[:, :3]
    colors[VOID] = 0
    return colors
