"""
Level sets of the prox
======================

For every level t, the set {z > t} of the prox solves a discrete problem: it minimises γΔ(M) plus t for each
pixel of M minus the scores in M. So one prox segments for all levels at once, and the answers are nested.
Here they are for the mistakes of a guess that missed a disk by a few pixels.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# A disk, and scores that are right for a disk further to the right. The margin is large where the guess is
# wrong: on the left half moon that it misses (foreground) and on the right one that it adds (background).
rows, columns = np.mgrid[:48, :48]
target = (np.hypot(rows - 24, columns - 20) < 11).ravel()
noise = 0.15 * np.random.default_rng(0).standard_normal(target.size)
scores = np.clip((11 - np.hypot(rows - 24, columns - 27)) / 3, -2, 2).ravel() + noise
margins = 1 - np.where(target, 1.0, -1.0) * scores
f = lo.LovaszExtension(lo.Jaccard(target))

# %%
# The claim can be checked: none of 2,000 sets that differ from {z > t} in one pixel or in twenty is better.
rng = np.random.default_rng(0)
gamma, t = 200.0, 1.0
best = f.prox(margins, gamma) > t


def cost(mask):
    """Value of the discrete problem at the level t."""
    return gamma * f.F(mask) + t * mask.sum() - margins[mask].sum()


others = [best ^ (rng.permutation(best.size) < size) for size in (1, 20) for _ in range(1000)]
print(f"cost of the level set {cost(best):.4f}, least cost of the others {min(map(cost, others)):.4f}")
assert cost(best) <= min(map(cost, others))

# %%
# As the step grows the level sets shrink, but the classes do not sink alike. With b background pixels in
# the set, a foreground pixel is charged γ/(P + b), and a background pixel less, because it enlarges the
# union as well. So the half moon on the left is down first.
levels = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
fig, axes = plt.subplots(2, 2, figsize=(5.6, 4.8), layout="constrained")
for ax, step in zip(axes.flat, (0, 200, 500, 700), strict=True):
    z = f.prox(margins, step) if step else margins
    norm = BoundaryNorm([-3.0, *levels], 256)
    shown = ax.imshow(z.reshape(48, 48), cmap="YlGnBu", norm=norm)
    ax.contour(target.reshape(48, 48), [0.5], colors="#D55E00", linewidths=1.4)
    ax.set_title(f"γ = {step}" if step else "margins, γ = 0")
    ax.set_axis_off()
fig.colorbar(shown, ax=axes, label="level t", ticks=levels, shrink=0.6)
plt.show()
