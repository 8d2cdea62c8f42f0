"""
Your own loss, and why Dice is refused
======================================

Every submodular set function has a convex Lovász extension, a prox and certificates; the Jaccard loss is
one of many. A loss that depends on the numbers of false negatives and false positives is a
``CountFunction``, anything else a Python callable. Whether a function is submodular is checked, and one
that is not is refused with a pair of sets that shows it.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# A loss of our own, in which a false negative weighs twice as much as a false positive, and the Dice loss.
target = np.arange(60) < 20
losses = {
    "Jaccard": lo.Jaccard(target),
    "√((2a + b)/100)": lo.CountFunction(lambda a, b: np.sqrt((2 * a + b) / 100), target),
    "Dice": lo.Dice(target),
}
for name, F in losses.items():
    print(f"{name:15} submodular: {F.is_submodular}")

try:
    lo.LovaszExtension(lo.Dice(target)).prox(np.zeros(60), 1.0)
except ValueError as error:
    print(error)

# %%
# A callable gets a mask. This one counts the rows of a 4 × 4 image that hold a mistake, so its extension
# sums the largest score of every row, and its prox lowers those.
rows = lo.SetFunction.from_callable(lambda mask: mask.reshape(4, 4).any(axis=1).sum(), 16)
print(rows.submodularity().reason, "→", rows.is_submodular)
x = np.random.default_rng(0).random((4, 4))
z = lo.LovaszExtension(rows).prox(x.ravel(), 0.3).reshape(4, 4)

# %%
# Submodular means diminishing returns: mistakes of one kind after another, each adds no more than the one
# before. Dice bends the wrong way along the false negatives.
fig, axes = plt.subplots(2, 2, figsize=(6.4, 5.2), layout="constrained")
looks = zip(losses.items(), ("#00684A", "#D55E00", "#000000"), ("-", "-", (0, (4, 1.5))), strict=True)
for (name, F), color, dash in looks:
    for ax, members in zip(axes[0], (np.flatnonzero(target), np.flatnonzero(~target)), strict=True):
        masks = np.zeros((len(members) + 1, 60), dtype=bool)
        masks[:, members] = np.tri(len(members) + 1, len(members), -1, dtype=bool)
        ax.plot(F(masks), color=color, linestyle=dash, linewidth=2, label=name)
axes[0, 0].set(title="false negatives alone", xlabel="false negatives a", ylabel="loss")
axes[0, 0].legend()
axes[0, 1].set(title="false positives alone", xlabel="false positives b")
for ax, picture, name in zip(axes[1], (x, z), ("scores", "prox of the rows"), strict=True):
    ax.imshow(picture, cmap="Greys", vmin=0, vmax=1.4)
    for (i, j), score in np.ndenumerate(picture):
        ax.text(j, i, f"{score:.2f}", ha="center", va="center")
    ax.set_title(name)
    ax.set_axis_off()
plt.show()
