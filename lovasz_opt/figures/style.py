"""One look for every figure: a method has the same colour, dash and name everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..datasets import MissingExtra


@dataclass(frozen=True)
class Look:
    """How a method is drawn: its name, colour, dash pattern, line width and marker."""

    label: str
    color: str
    dash: Any = "solid"
    width: float = 2.0
    marker: str = ""


# Okabe and Ito's palette keeps apart under the common colour blindnesses, dashes and widths in grey.
METHODS = {
    "prox": Look("exact prox", "#D55E00", marker="*"),
    "admm": Look("ADMM with the exact prox", "#0072B2", width=3.0),
    "polyak": Look("subgradient, Polyak step", "#000000", (0, (1, 1.2))),
    "strong": Look("subgradient, step η/(μk)", "#009E73", (0, (6, 1.5))),
    "sqrt": Look("subgradient, step η/√k", "#56B4E9", (0, (3, 1.5))),
    "sqrt-average": Look("subgradient, step η/√k, averaged", "#CC79A7", (0, (6, 1.5, 1, 1.5))),
    "constant": Look("subgradient, constant step η", "#E69F00", (0, (5, 1, 1, 1, 1, 1))),
}

#: Contour of the target, and of a segmentation.
TARGET_COLOR, SEGMENTATION_COLOR = "#F0E442", "#000000"

_SETTINGS = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 3.6,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "pdf.fonttype": 42,
}


def figure(width: float, height: float) -> tuple[Any, Any]:
    """A new figure in this style, without a display, and the settings to draw and save it in.

    Returns
    -------
    figure : matplotlib.figure.Figure
    context : context manager
        ``with context:`` around all drawing and saving.

    Raises
    ------
    MissingExtra
        If Matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("figures need Matplotlib: pip install 'lovasz-opt[study]'") from None
    with matplotlib.rc_context(_SETTINGS):
        fig = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(fig)
    return fig, matplotlib.rc_context(_SETTINGS)
