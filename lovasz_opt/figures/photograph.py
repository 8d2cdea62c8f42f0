"""The exact prox on the photograph: scores before and after, with the target outlined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from .._validation import Bools, Float64s
from . import style


@dataclass(frozen=True)
class Panels:
    """What the figure shows.

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


def draw(path: Path, panels: Panels) -> list[Path]:
    """Draw the figure and write it as PNG and PDF.

    Parameters
    ----------
    path : Path
        Without suffix.
    panels : Panels

    Returns
    -------
    list of Path
        The files written.
    """
    fig, context = style.figure(12.0, 2.75)
    with context:
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
        return style.save(fig, path)


def _fill_void(foreground: Bools, valid: Bools) -> Bools:
    """Give void pixels the label of the nearest known one, to outline the object and not the voids."""
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.asarray(foreground[tuple(nearest)])
