"""Draw every picture of docs/theory.md into docs/images/theory: `python docs/draw_theory.py [FOLDER]`."""

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MultipleLocator

import lovasz_opt as lo
from lovasz_opt import problems, reference, solvers
from lovasz_opt.figures import style

FOREGROUND, BACKGROUND, POOL, GREY, LIGHT = "#D55E00", "#0072B2", "#00684A", "#8C8C8C", "#C9C9C9"
#: Lines of the same colour, from the first to the last.
BLUES = ("#003B73", "#0072B2", "#4C9BD6", "#8CC1E8", "#BCDDF3")

#: The example of the page: foreground 26 and 13, background 12, and its step.
TARGET, X, GAMMA = (1, 0, 1), (26.0, 12.0, 13.0), 12.0
#: The larger one: three pixels of the foreground, then four of the background.
TARGET7, X7, GAMMA7 = (1, 1, 1, 0, 0, 0, 0), (22.0, 16.0, 15.0, 24.0, 14.0, 13.0, 1.0), 60.0

#: The small image of level sets.
TARGET_IMAGE = ((0, 0, 0, 0, 0), (0, 1, 1, 0, 0), (0, 1, 1, 1, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 0))
MARGIN_IMAGE = ((0, 0, 0, 0, 0), (0, 0.5, 0, 1, 0), (0, 0, 0, 1.5, 1), (0, 2, 0, 0.5, 0), (0, 0, 0, 0, 0))

PICTURES: dict[str, Callable[[], Any]] = {}


def picture(function: Callable[[], Any]) -> Callable[[], Any]:
    """Register a function that draws the picture of its name and returns the figure."""
    PICTURES[function.__name__] = function
    return function


@picture
def increments() -> Any:
    fig, _ = style.figure(5.2, 3.1)
    axis = fig.subplots()
    foreground, background = 4, np.arange(7)
    for a, color in zip(range(foreground + 1), BLUES, strict=True):
        loss = (a + background) / (foreground + background)
        axis.plot(background, loss, "o-", color=color, markersize=4)
        axis.text(6.12, loss[-1], f"a = {a}", va="center", color="#000000", fontsize=8)
    for a, place, words in ((0, (1.45, 0.04), "+ 1/5"), (3, (0.05, 0.855), "+ 1/20")):
        low, high = a / 4, (a + 1) / 5
        axis.plot([0, 1, 1], [low, low, high], color=FOREGROUND, linewidth=1.6)
        axis.text(*place, words, color=FOREGROUND, fontweight="bold")
    axis.set(xlabel="false positives b", ylabel="Jaccard loss", xlim=(-0.1, 6.1), ylim=(-0.03, 1.04))
    axis.set_title("4 foreground pixels, a of them missed")
    return fig


def _image(axis: Any, values: Any, **options: Any) -> None:
    """A small image with the outline of its target."""
    axis.imshow(values, **options)
    fine = np.kron(TARGET_IMAGE, np.ones((40, 40)))
    height, width = np.shape(TARGET_IMAGE)
    extent = (-0.5, width - 0.5, -0.5, height - 0.5)
    axis.contour(fine, [0.5], colors=FOREGROUND, linewidths=1.8, extent=extent)
    axis.set(xticks=np.arange(width + 1) - 0.5, yticks=np.arange(height + 1) - 0.5)
    axis.tick_params(length=0, labelbottom=False, labelleft=False)
    axis.grid(color="#ffffff", linewidth=1)
    axis.spines[:].set_visible(False)


@picture
def level_sets() -> Any:
    F = lo.Jaccard(np.ravel(TARGET_IMAGE))
    margins = np.array(MARGIN_IMAGE)
    levels = np.unique(margins)
    losses = [F.exact_value((margins > t).ravel()) for t in levels[:-1]]
    fig, _ = style.figure(6.2, 4.4)
    above, below = fig.subfigures(2, 1, height_ratios=[1.75, 1])
    axis, steps = above.subplots(1, 2)
    _image(axis, margins, cmap="Greys", vmin=-0.25, vmax=3.2)
    for (row, column), m in np.ndenumerate(margins):
        axis.text(column, row, f"{m:g}", ha="center", va="center", color="#000000" if m else GREY)
    axis.set_title("margins m, target outlined")
    for low, high, loss, color in zip(levels, levels[1:], losses, BLUES, strict=False):
        steps.fill_between([low, high], 0, float(loss), color=color, linewidth=0)
        steps.text((low + high) / 2, float(loss) + 0.02, str(loss), ha="center")
    steps.set_axisbelow(True)
    steps.stairs([float(v) for v in losses], levels, color="#000000", linewidth=1.6)
    steps.set(xlabel="level t", ylabel="loss of {m > t}", ylim=(0, 0.75), xticks=levels)
    area = sum(
        loss * (high - low).item() for low, high, loss in zip(levels, levels[1:], losses, strict=False)
    )
    steps.set_title(f"area = f(m) = {area.as_integer_ratio()[0]}/{area.as_integer_ratio()[1]}")
    for axis, t, loss in zip(below.subplots(1, 4), levels, losses, strict=False):
        _image(axis, margins > t, cmap="Greys", vmin=-0.1, vmax=1.5)
        axis.set_title(f"m > {t:g}: loss {loss}", fontsize=8.5)
    return fig


@picture
def crease() -> Any:
    fig, _ = style.figure(5.2, 2.9)
    axis = fig.subplots()
    t = np.linspace(0, 1, 101)
    points = np.stack([t, 1 - t], axis=1)
    jaccard = "Jaccard, a foreground and a background pixel:\nsubmodular, so convex"
    dice = "Dice, two foreground pixels:\nnot submodular, so not convex"
    for F, color, words, place in (
        (lo.Jaccard([1, 0]), BACKGROUND, jaccard, (0.01, 0.89)),
        (lo.Dice([1, 1]), FOREGROUND, dice, (0.28, 0.16)),
    ):
        f = lo.LovaszExtension(F)
        axis.plot(t, f(points), color=color)
        ends = [F([False, True]), F([True, False])]
        axis.plot([0, 1], ends, "--", color=color, linewidth=1)
        axis.plot([0, 0.5, 1], [ends[0], f([0.5, 0.5]), ends[1]], "o", color=color, markersize=5)
        axis.text(*place, words, color=color)
    axis.set(ylim=(0.1, 1.04), ylabel="Lovász extension at (t, 1 − t)", xlabel="t")
    axis.set_xticks([0, 0.5, 1], ["0\nonly pixel 2", "½\nhalf of both", "1\nonly pixel 1"])
    return fig


def _plane(w: Any) -> Any:
    """Coordinates in the plane of sum 1 (or 0), seen at right angles: right w₁ − w₃, up w₂."""
    return np.asarray(w) @ (np.array([[1, -1, 0], [0, 2, 0], [-1, -1, 0]]) / np.sqrt([2, 6, 1]))[:, :2]


#: Vertices of the base polytope of the example, around it, with the orders whose greedy vectors they are.
CORNERS = {
    "1 3 2\n3 1 2": (1 / 2, 0, 1 / 2),
    "1 2 3": (1 / 2, 1 / 6, 1 / 3),
    "2 1 3\n2 3 1": (1 / 3, 1 / 3, 1 / 3),
    "3 2 1": (1 / 3, 1 / 6, 1 / 2),
}


def _polygon(axis: Any) -> Any:
    corners = _plane(list(CORNERS.values()))
    axis.fill(*corners.T, facecolor="#EAF2F9", edgecolor="#000000", linewidth=1.4)
    axis.set_aspect("equal")
    axis.set_axis_off()
    return corners


@picture
def polytope() -> Any:
    fig, _ = style.figure(5.6, 4.3)
    axis = fig.subplots()
    corners = _polygon(axis)
    values = [
        ", ".join(map(str, (reference.as_fractions(c).item().limit_denominator(6) for c in w)))
        for w in CORNERS.values()
    ]
    shifts = ((-0.05, -0.004, "right", "top"), (0.016, 0.0, "left", "center"))
    shifts += ((0.0, 0.018, "center", "bottom"), (-0.016, 0.0, "right", "center"))
    for corner, order, value, (right, up, h, v) in zip(corners, CORNERS, values, shifts, strict=True):
        words = f"({value})\norder " + " or ".join(order.split("\n"))
        axis.text(corner[0] + right, corner[1] + up, words, ha=h, va=v, fontsize=8.5)
    sides = ("w₁ = ½", "w₃ = ⅓", "w₁ = ⅓", "w₃ = ½")
    for k, words in enumerate(sides):
        middle = (corners[k] + corners[(k + 1) % 4]) / 2
        # The first is inside: outside is the level line.
        side, shift = ("left", 0.01) if k == 1 else ("right", -0.01)
        axis.text(middle[0] + shift, middle[1], words, ha=side, va="center", fontsize=8.5, color="#555555")
    direction = _plane(X) / np.linalg.norm(_plane(X))
    best = corners[int(np.argmax(corners @ direction))]
    across = np.array([-direction[1], direction[0]])
    line = best + np.outer([-0.22, 0.2], across)
    axis.plot(*line.T, "--", color=FOREGROUND, linewidth=1.2)
    arrow = {"arrowstyle": "-|>", "color": FOREGROUND, "linewidth": 2}
    axis.annotate("", best + 0.13 * direction, best, arrowprops=arrow)
    axis.plot(*best, "o", color=FOREGROUND, markersize=8)
    axis.text(*(best + 0.135 * direction), " x = (26, 12, 13)", color=FOREGROUND, va="center")
    axis.text(*(line[1] + (0.012, 0)), "⟨w, x⟩ = f(x) = 19½", color=FOREGROUND, va="center", fontsize=8.5)
    axis.set(xlim=(-0.34, 0.42), ylim=(-0.52, 0.085))
    return fig


@picture
def projection() -> Any:
    f = lo.LovaszExtension(lo.Jaccard(TARGET))
    fig, _ = style.figure(5.6, 3.1)
    axis = fig.subplots()
    corners = _polygon(axis)
    x = np.array(X)
    steps = np.concatenate([np.linspace(0.5, 60, 600), np.geomspace(60, 1e4, 300)])
    path = _plane(np.stack([(x - f.prox(x, g)) / g for g in steps]))
    axis.plot(*path.T, color=FOREGROUND, linewidth=4, solid_capstyle="round")
    far = _plane(x) / 11
    axis.plot([far[0], 0], [far[1], 0], color=GREY, linewidth=1)
    for g in (24.0, 60.0, GAMMA):
        point, nearest = _plane(x / g), _plane((x - f.prox(x, g)) / g)
        axis.plot(*np.stack([point, nearest]).T, "--", color="#000000", linewidth=1)
        axis.plot(*point, "o", color="#000000", markersize=5)
        axis.plot(*nearest, "o", color=FOREGROUND, markersize=8)
        axis.text(point[0] + 0.015, point[1] + 0.012, f"x/γ, γ = {g:g}", va="bottom", fontsize=8.5)
    wrong = _plane((x - f.prox(x, GAMMA, method="pav-in-order")) / GAMMA)
    axis.plot(*wrong, "X", color=BACKGROUND, markersize=9)
    axis.annotate(
        "pooling in the order of x:\noutside", wrong, (0.37, -0.145), color=BACKGROUND, va="center",
        fontsize=8.5, arrowprops={"arrowstyle": "-", "color": BACKGROUND, "linewidth": 0.8},
    )  # fmt: skip
    # Where the path is, and what the prox does there.
    notes = (
        ("γ ≤ 2: corner, all free,\norder 1 3 2", corners[0], (-0.04, -0.04), "right"),
        ("2 < γ < 6: edge,\n2 and 3 a pool", (corners[0] + corners[1]) / 2, (-0.19, 0.0), "right"),
        ("6 ≤ γ ≤ 42: corner,\nall free, order 1 2 3", corners[1], (0.06, -0.245), "left"),
        ("42 < γ: edge,\n1 and 2 a pool", (corners[1] + corners[2]) / 2, (-0.21, 0.03), "right"),
    )
    for words, place, shift, side in notes:
        axis.annotate(
            words, place, place + shift, ha=side, va="center", fontsize=8.5, color="#8A3A00",
            arrowprops={"arrowstyle": "-", "color": "#8A3A00", "linewidth": 0.6},
        )  # fmt: skip
    axis.set(xlim=(-0.36, 0.86), ylim=(-0.55, 0.03))
    return fig


@picture
def hinge() -> Any:
    fig, _ = style.figure(4.6, 3.9)
    axis = fig.subplots()
    line = np.linspace(-1.5, 2.0, 176)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    values = lo.LovaszHinge(np.tile([1, 0], (len(grid), 1))).values(grid).reshape(len(line), -1)
    levels = np.arange(0, 3.1, 0.25)
    axis.contourf(line, line, values, levels, cmap="Blues", vmin=-0.15, vmax=4.5)
    drawn = axis.contour(line, line, values, levels[1:], colors="#000000", linewidths=0.6)
    axis.clabel(drawn, levels[2::2], fontsize=7, fmt="%.2g")
    F = lo.Jaccard([1, 0])
    for mistakes in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner = np.array([1 - mistakes[0], mistakes[1] - 1])
        axis.plot(*corner, "o", color=FOREGROUND, markersize=7)
        axis.annotate(
            f"{F.exact_value(mistakes)}", corner, (6, 6), textcoords="offset points", color=FOREGROUND,
            fontweight="bold", fontsize=11,
        )  # fmt: skip
    axis.text(1.97, -1.3, "loss 0", ha="right")
    axis.set(xlabel="logit of the foreground pixel", ylabel="logit of the background pixel", aspect="equal")
    axis.set(xlim=(-1.5, 2), ylim=(-1.5, 2))
    axis.grid(False)
    axis.set_title("Lovász hinge; dots: Jaccard loss of the mistakes")
    return fig


@picture
def moreau() -> Any:
    f = lo.LovaszExtension(lo.Jaccard([1, 0]))
    fig, _ = style.figure(5.2, 3.1)
    axis = fig.subplots()
    t = np.linspace(-0.5, 1.5, 401)
    points = np.stack([t, 1 - t], axis=1)
    axis.plot(t, f(points), color="#000000", label="f")
    for g, color in ((0.5, BLUES[1]), (1.0, BLUES[2])):
        value = f.envelope(points, g)
        axis.plot(t, value, color=color, label=f"envelope, γ = {g:g}")
        z = f.prox(points, g)
        tied = np.abs(z[:, 0] - z[:, 1]) < 1e-9
        axis.plot(
            t[tied], value[tied], color=POOL, linewidth=4.5, alpha=0.5, label="a pool" if g == 1 else None
        )
    axis.set(xlabel="t", ylabel="value at (t, 1 − t)", ylim=(0, 1.55))
    axis.legend(loc="upper left", handlelength=2)
    return fig


@picture
def lines() -> Any:
    F = lo.Jaccard(TARGET)
    fig, _ = style.figure(5.6, 4.4)
    axis = fig.subplots()
    t = np.linspace(7, 13, 601)
    masks = reference.all_masks(3)
    costs = np.stack([GAMMA * F(mask) + t * mask.sum() - np.array(X)[mask].sum() for mask in masks])
    names = [
        "{" + ", ".join(str(i + 1) for i in np.flatnonzero(mask)) + "}" if mask.any() else "∅"
        for mask in masks
    ]
    base = costs[names.index("{1}")]
    for name, cost in zip(names, costs - base, strict=True):
        color = (
            BACKGROUND if name == "{1, 3}" else FOREGROUND if name in ("{1}", "{1, 2}", "{1, 2, 3}") else GREY
        )
        axis.plot(t, cost, color=color, linewidth=1.2)
    lowest = (costs - base).min(axis=0)
    axis.plot(t, lowest, color=FOREGROUND, linewidth=4, alpha=0.5, solid_capstyle="round")
    for level in (10, 9):
        axis.plot(level, np.interp(level, t, lowest), "o", color=FOREGROUND)
        axis.axvline(level, color=FOREGROUND, linewidth=0.7, linestyle=":")
    labels = (
        ("{1}", 12.3, 0.2, FOREGROUND), ("{1, 2}", 11.9, 1.2, FOREGROUND),
        ("{1, 2, 3}", 10.75, 2.0, FOREGROUND),
        ("{1, 3}: next in the order of x,\nnever the lowest", 7.75, 3.15, BACKGROUND),
    )  # fmt: skip
    for words, right, up, color in labels:
        axis.text(right, up, words, color=color, fontsize=8.5)
    axis.text(9.05, -4.6, "pixel 3\njoins at 9", color=FOREGROUND, ha="right", fontsize=8.5)
    axis.text(10.1, -4.6, "pixel 2\njoins at 10", color=FOREGROUND, fontsize=8.5)
    axis.set(xlabel="level t", ylabel="cost of a set less that of {1}", xlim=(7, 13), ylim=(-5, 4.5))
    axis.set_title("γΔ(M) + t|M| − x(M), γ = 12: the lowest is the level set")
    return fig


@picture
def overtaking() -> Any:
    f = lo.LovaszExtension(lo.Jaccard(TARGET))
    fig, _ = style.figure(6.2, 3.7)
    axes = fig.subplots(1, 2, sharey=True)
    steps = np.linspace(0.01, 60, 1201)
    looks = ((FOREGROUND, "solid"), (BACKGROUND, "solid"), (FOREGROUND, (0, (5, 1.5))))
    for axis, method, title in zip(
        axes, ("exact", "pav-in-order"), ("exact prox", "pooling in the order of x"), strict=True
    ):
        z = np.stack([f.prox(X, g, method=method) for g in steps])
        for i, j in ((0, 1), (1, 2), (0, 2)):
            tied = np.abs(z[:, i] - z[:, j]) < 1e-9
            words = "pool" if (i, j) == (0, 1) else None
            axis.plot(
                steps, np.where(tied, z[:, i], np.nan), color=POOL, linewidth=8, alpha=0.35, label=words
            )
        for i, (color, dash) in enumerate(looks):
            words = f"{i + 1}, {'foreground' if TARGET[i] else 'background'}"
            axis.plot(steps, z[:, i], color=color, linestyle=dash, label=words)
        axis.axvline(GAMMA, color=GREY, linewidth=0.8, linestyle=":")
        axis.set(xlabel="step γ", xlim=(0, 60))
        axis.set_title(title)
    axes[0].set_ylabel("z(γ)")
    for words, right, up in (("pool", 2.0, 7.6), ("pool", 49, 4.6)):
        axes[0].text(right, up, words, color=POOL, fontsize=8.5)
    axes[0].text(12.8, -6.8, "γ = 12", color="#555555", fontsize=8.5)
    axes[1].legend(loc="upper right", handlelength=2.4)
    return fig


def _costs(b: int) -> float:
    """What a foreground pixel costs with b background pixels, in the larger example."""
    return GAMMA7 / (3 + b)


def _level_cost(b: int, t: Any) -> Any:
    """h_t(b) of the larger example."""
    foreground, background = np.array(X7[:3]), np.array(X7[3:])
    gains = np.minimum(0.0, np.asarray(t)[..., None] + _costs(b) - foreground).sum(axis=-1)
    return GAMMA7 * b / (3 + b) + b * np.asarray(t) - background[:b].sum() + gains


def _roots() -> list[float]:
    """Root of F_b' for every rank b of the larger example."""
    t = np.linspace(-10, 40, 50001)
    return [float(np.interp(0.0, _level_cost(b, t) - _level_cost(b - 1, t), t)) for b in range(1, 5)]


@picture
def roots() -> Any:
    solution = lo.LovaszExtension(lo.Jaccard(TARGET7)).prox_solution(X7, GAMMA7).z
    fig, _ = style.figure(6.2, 3.5)
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    t = np.linspace(-2, 14, 801)
    found = _roots()
    slopes = [_level_cost(b, t) - _level_cost(b - 1, t) for b in range(1, 5)]
    for b, (slope, color, root) in enumerate(zip(slopes, BLUES, found, strict=False), start=1):
        left.plot(t, slope, color=color)
        left.plot(root, 0, "o", color=color, markersize=5)
        left.text(t[-1] + 0.2, min(slope[-1], 15.5), f"b = {b}", va="center", fontsize=8.5)
    left.plot(t, (slopes[1] + slopes[2]) / 2, color=POOL, linewidth=4, alpha=0.4)
    left.plot(8, 0, "D", color=POOL, markersize=7)
    left.annotate("pool of 2 and 3:\nroot of their mean", (8, 0), (8.6, -7.0), color=POOL, fontsize=8.5,
                  arrowprops={"arrowstyle": "-", "color": POOL})  # fmt: skip
    left.axhline(0, color="#000000", linewidth=0.8)
    left.set(xlabel="level t", ylabel="F_b'(t)", xlim=(-2, 14), ylim=(-10, 16.5))
    left.set_title("background alone: one function a rank")
    ranks = np.arange(1, 5)
    right.stairs(solution[3:], np.arange(5) + 0.5, baseline=None, color=POOL, linewidth=4, alpha=0.4)
    right.scatter(ranks, found, color=BLUES[:4], zorder=3)
    right.plot(ranks, X7[3:], "_", color="#000000", markersize=11)
    right.set(xlabel="rank b", xticks=ranks, ylim=(-1, 26))
    right.set_title("isotonic regression")
    right.text(2.05, 24, "– start", fontsize=8.5, va="center")
    right.text(2.05, 21.7, "● own root", fontsize=8.5, va="center", color=BLUES[1])
    right.text(2.05, 19.4, "▬ prox", fontsize=8.5, va="center", color=POOL)
    return fig


@picture
def landing() -> Any:
    solution = lo.LovaszExtension(lo.Jaccard(TARGET7)).prox_solution(X7, GAMMA7).z
    fig, _ = style.figure(5.6, 3.9)
    axis = fig.subplots()
    pools = np.unique(solution[3:])[::-1]
    edges = np.concatenate([[14.0], pools, [-1.0]])
    for k, (high, low) in enumerate(pairwise(edges)):
        b = int((solution[3:] >= high).sum()) if k else 0
        axis.plot([low, high], [low + _costs(b), high + _costs(b)], color="#000000", linewidth=1.8)
        if low > -1:
            nxt = int((solution[3:] >= low).sum())
            axis.plot([low, low], [low + _costs(nxt), low + _costs(b)], ":", color="#000000", linewidth=1.2)
            axis.axvline(low, color=BACKGROUND, linewidth=0.8, alpha=0.6)
            words = f"{nxt - b} background" if nxt - b > 1 else "background"
            axis.text(low + 0.12, 36.2, words, color=BACKGROUND, fontsize=8, rotation=90, va="top")
    for i in range(3):
        color = POOL if solution[i] in pools else FOREGROUND
        axis.plot([-1, solution[i], solution[i]], [X7[i], X7[i], 0], color=color, linewidth=1.4)
        axis.plot(solution[i], X7[i], "o", color=color, markersize=6)
        up = X7[i] + (-1.25 if i == 2 else 0.35)
        axis.text(-0.85, up, f"x = {X7[i]:g} → z = {solution[i]:g}", color=color, fontsize=8.5)
    axis.text(10.1, 28.6, "t + c_b(t)")
    axis.set(xlabel="level t", ylabel="foreground score x", xlim=(-1, 12), ylim=(8, 37))
    axis.set_title("the foreground lands")
    return fig


@picture
def jacobian() -> Any:
    rng = np.random.default_rng(3)
    p, step = 48, 20.0
    target = np.arange(p) < p // 2
    margins = rng.normal(np.where(target, 0.9, 0.6), 0.6)
    signs = np.where(target, 1.0, -1.0)
    h, logits = lo.LovaszHinge(target), signs * (1 - margins)
    J = np.stack([signs * h.prox_jvp(logits, step, signs * unit) for unit in np.eye(p)], axis=1)
    z = 1 - signs * h.prox(logits, step)
    order = np.lexsort((-margins, -z))
    J = J[np.ix_(order, order)]
    fig, _ = style.figure(5.0, 4.2)
    axis = fig.subplots()
    shown = axis.imshow(J, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    sizes = np.count_nonzero(J, axis=1)
    row = 0
    while row < p:
        size = max(1, sizes[row])
        if size > 2:
            axis.text(row + size + 0.3, row + size / 2 - 0.5, f"a pool of {size}", va="center", fontsize=8.5)
        row += size
    pinned, idle = np.flatnonzero(sizes == 0), np.flatnonzero(margins[order] <= 0)
    for rows_, words in ((pinned, "pinned at 0"), (idle, "margin ≤ 0 before")):
        axis.text(rows_[0] - 1, rows_.mean(), f"{len(rows_)} {words}", ha="right", va="center", fontsize=8.5)
    axis.grid(False)
    axis.spines[:].set_visible(True)
    axis.set(xlabel="derivative in the margin of pixel …", ylabel="… of the prox at pixel")
    axis.set_title("48 pixels, from the largest z to the smallest")
    fig.colorbar(shown, ax=axis, shrink=0.7, ticks=[0, 1 / 7, 1 / 4, 1 / 2, 1], format="%.2g")
    return fig


def newton_rows() -> tuple[Any, Any]:
    """Sorted margins at the optimum of 2,000 pixels and 10 features: in a pool 1, at zero 2, others 0."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((2000, 10))
    target = (features @ rng.standard_normal(10) + 2 * rng.standard_normal(2000) > 1).astype(int)
    result = solvers.ssnal(problems.LinearHingeRisk([features], [target], l2=1e-3), tol=1e-12)
    margins = 1 - (2 * target - 1) * (features @ result.x)
    order = np.argsort(-margins)
    near = np.abs(np.diff(margins[order])) < 1e-9
    tied = np.concatenate([near, [False]]) | np.concatenate([[False], near])
    counts = np.abs(margins[order]) < 1e-9
    return margins[order], np.where(counts, 2, np.where(tied & (margins[order] > 0), 1, 0))


@picture
def rows() -> Any:
    margins, kinds = newton_rows()
    fig, _ = style.figure(5.4, 3.1)
    axis = fig.subplots()
    ranks = np.arange(len(margins))
    axis.plot(ranks, margins, color=LIGHT, linewidth=3)
    for kind, color, marker, words in ((1, POOL, "o", "in a pool"), (2, FOREGROUND, "D", "at 0")):
        here = kinds == kind
        axis.plot(
            ranks[here], margins[here], marker, color=color, markersize=5, label=f"{here.sum()} rows {words}"
        )
    axis.axhline(0, color="#000000", linewidth=0.8)
    axis.set(xlabel="pixels, by margin", ylabel="margin at the optimum")
    axis.xaxis.set_major_locator(MultipleLocator(500))
    axis.legend(loc="upper right", handlelength=1)
    return fig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parent / "images" / "theory"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    _, context = style.figure(1, 1)
    with context:
        for name, function in PICTURES.items():
            function().savefig(folder / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
