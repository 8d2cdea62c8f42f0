"""
The hinge of two pixels
=======================

The Lovász hinge of two pixels, one of the foreground and one of the background, is a surface that one can
look at: convex, made of flat pieces, 0 where both pixels are right by a margin of 1. A subgradient only
sees the piece that it stands on; the proximal operator sees the pieces ahead, and the edges between them.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# Every grid point is an image of two pixels, all with the same target, so one call gives the whole surface.
axis = np.linspace(-2.5, 2.5, 101)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # logits (foreground, background)


def losses(logits):
    """Loss of every row of logits."""
    return lo.LovaszHinge(np.tile([1, 0], (len(logits), 1))).values(logits)


surface = losses(grid).reshape(101, 101)

# %%
# Four starting points, and where the prox takes them as the step grows.
starts = np.array([[-2.0, 1.2], [-1.0, 2.0], [-2.2, -0.6], [0.4, 0.2]])
steps = np.linspace(0.02, 4.0, 200)
paths = np.stack([lo.prox_lovasz_hinge(starts, np.tile([1, 0], (4, 1)), step) for step in steps])

# %%
# Grey arrows are subgradients, downhill. They jump at the edges between the flat pieces, and a step along
# them may go too far. The paths of the prox run along an edge once they have reached it: there the two
# margins are equal, and the two pixels move together. At the border of the white region, where the loss is
# 0, the prox stops.
fig = plt.figure(figsize=(8, 3.8), layout="constrained")
left = fig.add_subplot(1, 2, 1, projection="3d")
left.plot_surface(
    *np.meshgrid(axis, axis), surface, cmap="viridis", rcount=50, ccount=50, antialiased=False, linewidth=0
)
left.view_init(25, -50)
left.set(xlabel="logit of foreground", ylabel="logit of background", title="loss, the Lovász hinge")

right = fig.add_subplot(1, 2, 2)
right.contourf(axis, axis, np.where(surface > 0, surface, np.nan), 14, cmap="viridis", alpha=0.6)
sparse = np.stack(np.meshgrid(np.arange(-2.25, 2.5, 0.5), np.arange(-2.25, 2.5, 0.5)), axis=-1).reshape(-1, 2)
# The loss of a batch is the mean of its images, so each has its own subgradient over their number.
downhill = -len(sparse) * lo.LovaszHinge(np.tile([1, 0], (len(sparse), 1))).subgradient(sparse)
moving = np.abs(downhill).sum(axis=1) > 0
right.quiver(*sparse[moving].T, *downhill[moving].T, color="#555555", scale=18, width=0.004)
right.plot(*paths.transpose(2, 0, 1), color="#D55E00", linewidth=2.2)
right.plot(*starts.T, "o", color="black", markersize=5, label="starting point")
right.plot([], [], color="#D55E00", linewidth=2.2, label="prox, step 0 to 4")
right.legend(loc="lower left", framealpha=0.9, frameon=True)
right.set(xlabel="logit of the foreground pixel", ylabel="logit of the background pixel", aspect="equal")
right.set_title("subgradients and proxes")
right.grid(False)
plt.show()
