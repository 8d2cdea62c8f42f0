"""
Pixel weights and void pixels
=============================

Pixels need not count alike. Void pixels (``ignore=``) take no part: the loss does not see them, and the
prox leaves them where they are. Weights turn counts into areas: here of the pixels of a world map, which
are narrower towards the poles. The Jaccard index is then the one on the globe.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# A map of an invented planet, two degrees a pixel: land where smooth noise is high, a strip hidden by
# clouds, and scores that are the noise seen less sharply.
rng = np.random.default_rng(4)
height = ndimage.gaussian_filter(rng.standard_normal((90, 180)), 6, mode=("nearest", "wrap"))
target = (height > 0.03).astype(int)
target[30:42, 60:130] = 255
scores = 20 * ndimage.gaussian_filter(height - 0.03, 4) + 0.3 * rng.standard_normal(height.shape)
latitude = np.radians(np.linspace(89, -89, 90))
area = np.broadcast_to(np.cos(latitude)[:, None], target.shape)

# %%
# One loss counts pixels, the other one areas. The leading axis of the arrays counts images, here one.
flat = lo.LovaszHinge(target[None], ignore=255)
globe = lo.LovaszHinge(target[None], weights=area[None], ignore=255)
valid = target != 255
wrong = valid & ((scores > 0) != (target == 1))
share = area[wrong].sum() / area[wrong | (target == 1)].sum()
index = lo.iou(scores > 0, target, ignore=255)
print(f"Jaccard loss on the map {1 - index:.3f}, on the globe {share:.3f}")
print(f"Lovász hinge on the map {flat(scores[None]):.3f}, on the globe {globe(scores[None]):.3f}")

# %%
# What a step against the subgradient would do, times the mass of the land: each pixel of the land is pushed
# up by what it counts at most. Void pixels stay, and on the globe the polar regions hardly move.
masses = np.count_nonzero(target == 1), area[target == 1].sum()
pushes = [-m * h.subgradient(scores[None])[0] for h, m in ((flat, masses[0]), (globe, masses[1]))]
assert all((push[~valid] == 0).all() for push in pushes)

fig, axes = plt.subplots(2, 2, figsize=(8, 4.2), layout="constrained")
axes[0, 0].imshow(np.ma.masked_where(~valid, target), cmap="YlGn", vmin=-0.3, vmax=1.6)
axes[0, 0].set_title("land, sea, and void (white)")
for ax, push, name, color in (
    (axes[0, 1], pushes[0], "push, pixels count alike", "#8C8C8C"),
    (axes[1, 1], pushes[1], "push, pixels count by area", "#D55E00"),
):
    shown = ax.imshow(push, cmap="PuOr_r", vmin=-1, vmax=1)
    ax.contour(target == 1, [0.5], colors="black", linewidths=0.5)
    ax.set_title(name)
    rows = np.ma.masked_where(target != 1, push).mean(axis=1)
    axes[1, 0].plot(np.degrees(latitude), rows, color=color, linewidth=2, label=name.removeprefix("push, "))
fig.colorbar(shown, ax=axes[:, 1], label="push", shrink=0.7)
for ax in (axes[0, 0], axes[0, 1], axes[1, 1]):
    ax.set(xticks=[], yticks=[0, 44.5, 89], yticklabels=["90°N", "0°", "90°S"])
    ax.grid(False)
axes[1, 0].set(xlabel="degrees north", ylabel="mean push of land", xlim=(-90, 90), ylim=(0, 1.2))
axes[1, 0].legend()
plt.show()
