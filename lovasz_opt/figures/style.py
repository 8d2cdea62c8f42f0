"""One look for every figure: a method has the same colour, dash and name everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..datasets import MissingExtra

Family = Literal["second", "proximal", "implicit", "dual", "explicit", "stochastic"]

#: What the families of methods are called, in the order of legends.
FAMILIES: dict[Family, str] = {
    "second": "second order, one step",
    "proximal": "first order with the prox",
    "implicit": "stochastic with the prox",
    "dual": "dual",
    "explicit": "subgradient steps",
    "stochastic": "stochastic subgradient steps",
}
#: The families that only take subgradient steps: what the others are compared with.
EXPLICIT = ("explicit", "stochastic")


@dataclass(frozen=True)
class Look:
    """How a method is drawn: its name, family, colour, dash pattern, line width and marker."""

    label: str
    family: Family
    color: str
    dash: Any = "solid"
    width: float = 1.8
    marker: str = ""


# A family has one hue, after Okabe and Ito's palette, which keeps apart under the common colour blindnesses,
# with greys for the explicit methods. Lightness and dashes tell its members apart.
METHODS = {
    "prox": Look("exact prox", "second", "#B03A00", marker="*"),
    "ssnal": Look("semismooth Newton (ssnal)", "second", "#D55E00", width=3.0),
    "admm": Look("ADMM", "proximal", "#003B73", width=2.4),
    "fista": Look("FISTA", "proximal", "#0072B2"),
    "proximal_gradient": Look("proximal gradient", "proximal", "#0072B2", (0, (5, 1.5))),
    "pdhg": Look("PDHG", "proximal", "#4C9BD6"),
    "moreau": Look("Moreau envelope, accelerated", "proximal", "#4C9BD6", (0, (5, 1.5))),
    "stochastic_proximal_point": Look("stochastic proximal point", "implicit", "#6A3D9A"),
    "bundle": Look("bundle (cutting planes)", "dual", "#00684A"),
    "frank_wolfe": Look("block Frank–Wolfe", "dual", "#37B58A", (0, (5, 1.5))),
    "polyak": Look("subgradient, Polyak", "explicit", "#000000", (0, (1, 1.2))),
    "strong": Look("subgradient, η/(μk)", "explicit", "#555555"),
    "strong-average": Look("subgradient, η/(μk), averaged", "explicit", "#555555", (0, (5, 1.5))),
    "sqrt": Look("subgradient, η/√k", "explicit", "#8C8C8C"),
    "normalised": Look("subgradient, η/(√k ‖g‖)", "explicit", "#8C8C8C", (0, (5, 1.5))),
    "constant": Look("subgradient, constant η", "explicit", "#8C8C8C", (0, (1, 1.2))),
    "stochastic_subgradient": Look("stochastic subgradient, η/√k", "stochastic", "#B8860B"),
    "momentum": Look("stochastic, momentum 0.9", "stochastic", "#B8860B", (0, (1, 1.2))),
    "adam": Look("Adam", "stochastic", "#B8860B", (0, (5, 1.5))),
}

# Training losses and rules, and what the prox is compared with. Dashes and markers tell apart what is alike
# in grey.
LOSSES = {
    "cross-entropy": Look("cross-entropy", "explicit", "#000000", (0, (5, 1.5)), marker="s"),
    "hinge": Look("hinge", "explicit", "#8C8C8C", (0, (1, 1.2)), marker="v"),
    "soft Jaccard": Look("soft Jaccard", "explicit", "#B8860B", (0, (3, 1.2, 1, 1.2)), marker="^"),
    "Lovász hinge": Look("Lovász hinge, subgradient", "dual", "#00684A", marker="o"),
    "Moreau": Look(
        "Lovász hinge, Moreau rule (exact prox)", "proximal", "#4C9BD6", (0, (5, 1.5)), marker="D"
    ),
    "path": Look("Lovász hinge, Moreau rule (path walk)", "proximal", "#CC79A7", (0, (1, 1.2)), marker="X"),
    "proximal point": Look(
        "Lovász hinge, stochastic proximal point", "implicit", "#0072B2", marker="P", width=2.6
    ),
    "ssnal": Look("Lovász hinge, certified optimum (ssnal)", "second", "#D55E00", marker="*", width=3.0),
    "Lovász-Softmax": Look("Lovász-Softmax", "dual", "#37B58A", marker="o"),
    "Lovász-Softmax, per image": Look(
        "Lovász-Softmax per image", "proximal", "#D55E00", (0, (3, 1.2, 1, 1.2)), marker="^"
    ),
    "Lovász-Softmax, all classes": Look(
        "Lovász-Softmax, all classes", "dual", "#CC79A7", (0, (1, 1.2)), marker="X"
    ),
    "Lovász-Softmax, equibatch": Look("Lovász-Softmax, equibatch", "dual", "#0072B2", marker="D"),
    "in order": Look("pooling in the order of the scores", "explicit", "#8C8C8C", (0, (5, 1.5)), marker="v"),
    "argsort": Look("one np.argsort", "explicit", "#000000", (0, (1, 1.2))),
    "mixture": Look(
        "half cross-entropy, half Lovász-Softmax", "second", "#6A3D9A", (0, (1, 1.2)), marker="D"
    ),
    "fine-tuned": Look(
        "cross-entropy, then Lovász-Softmax", "proximal", "#56B4E9", (0, (6, 1.2, 1, 1.2, 1, 1.2)), marker="X"
    ),
}

#: Contour of the target, and of a segmentation.
TARGET_COLOR, SEGMENTATION_COLOR = "#F0E442", "#000000"

#: The settings of every figure, for pyplot too: look.mplstyle beside this file.
STYLE = "lovasz_opt.figures.look"


def figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> tuple[Any, Any]:
    """A new figure in this style, without a display, and the settings to draw and save it in.

    Parameters
    ----------
    width, height : float
        In inches.
    layout : {"constrained", None}
        Matplotlib's layout engine; without one, axes stay where they are put, which is much faster.

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
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("figures need Matplotlib: pip install 'lovasz-opt[study]'") from None
    with style.context(STYLE):
        fig = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(fig)
    return fig, style.context(STYLE)


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """10 to a whole power in plain characters, which are much faster to draw than mathematics."""
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def logarithmic(axis: Any) -> None:
    """Ticks of a logarithmic Matplotlib axis at powers of ten only, in plain characters.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        The x or y axis of a plot, already logarithmic.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(round(math.log10(value)))))


def save(fig: Any, path: Path) -> list[Path]:
    """Write a figure as PNG and PDF; the same figure gives the same bytes.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    path : Path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    # Not with_suffix, which would cut a name at its last point.
    files = [path.with_name(path.name + suffix) for suffix in (".png", ".pdf")]
    for file in files:
        fig.savefig(file, metadata={"CreationDate": None} if file.suffix == ".pdf" else {"Software": None})
    return files
