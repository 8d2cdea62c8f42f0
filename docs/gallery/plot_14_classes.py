"""
Several classes: the Lovász-Softmax
===================================

With several classes the Lovász extension is applied to the errors of the softmax, class by class, and
averaged: every class counts alike, however few its pixels. Cross-entropy counts pixels. Here both train the
same linear layer. The classes are three layers of depth, as a stereo rig measured them: a stand-in for the
labelled street scenes that no package ships.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from skimage.data import stereo_motorcycle

import lovasz_opt as lo
from lovasz_opt import datasets, problems, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# The scene at a quarter of its size: far, middle and near by disparity; where that is unknown, pixels are
# void. A checkerboard of tiles of 16 pixels is for training, its other squares are unseen.
photo = datasets.motorcycle(scale=4)
disparity = stereo_motorcycle()[2][2::4, 2::4][: photo.target.shape[0], : photo.target.shape[1]]
layers = np.where(np.isfinite(disparity), np.digitize(disparity, [22, 38]), 255)
train = (np.indices(layers.shape) // 16).sum(axis=0) % 2 == 0
X, y = photo.features[train], layers[train]
print("training pixels of each class:", np.bincount(y[y < 3]))

# %%
# Cross-entropy to its optimum by L-BFGS; the Lovász-Softmax, which is not convex, from there by subgradient
# steps.
l2, pixels, one_hot = 1e-3, X[y != 255], np.eye(3)[y[y != 255]]


def cross_entropy(w):
    """Ridge plus mean cross-entropy, and its gradient."""
    W = w.reshape(-1, 3)
    logs = log_softmax(pixels @ W, axis=1)
    slope = pixels.T @ (np.exp(logs) - one_hot) / len(pixels) + l2 * W
    return l2 / 2 * w @ w - (one_hot * logs).sum() / len(pixels), slope.ravel()


start = minimize(cross_entropy, np.zeros(X.shape[1] * 3), jac=True, method="L-BFGS-B").x.reshape(-1, 3)
risk = problems.LovaszSoftmaxRisk([X], [y], l2=l2, n_classes=3, ignore=255)
run = solvers.subgradient(risk, x0=start, max_iter=200)
print(
    f"Lovász-Softmax risk {risk.value(start):.3f} after cross-entropy, {run.value:.3f} after {run.nit} steps"
)

# %%
# On the tiles that it was trained on, the Lovász-Softmax is better, most of all for the smallest class. On
# unseen tiles of this one picture there is nothing to gain.
fig, axes = plt.subplot_mosaic("ABC;DEF", figsize=(8, 4.6), layout="constrained")
axes["A"].imshow(np.ma.masked_equal(layers, 255), cmap="YlGnBu", vmin=-0.4, vmax=2.4)
axes["A"].set_title("far, middle, near (white: void)")
axes["F"].imshow(train, cmap="Greys", vmin=-1, vmax=3)
axes["F"].set_title("training tiles, dark")
for ax, name, W, color, shift in (
    ("B", "cross-entropy", start, "#555555", -0.2),
    ("C", "Lovász-Softmax", run.x.reshape(-1, 3), "#37B58A", 0.2),
):
    guess = (photo.features @ W).argmax(axis=-1)
    axes[ax].imshow(guess, cmap="YlGnBu", vmin=-0.4, vmax=2.4)
    axes[ax].set_title(name)
    for bars, part in (("D", train), ("E", ~train)):
        scores = lo.iou(guess[part], layers[part], classes=3, ignore=255)
        axes[bars].bar(np.arange(4) + shift, [*scores, scores.mean()], 0.38, color=color, label=name)
for bars, title in (("D", "IoU, training tiles"), ("E", "IoU, unseen tiles")):
    axes[bars].set_axisbelow(True)
    axes[bars].set_xticks(range(4), ["far", "middle", "near", "mean"])
    axes[bars].set(title=title, ylim=(0, 1.15))
axes["D"].legend(loc="upper center", ncols=2, fontsize=8, handlelength=1)
for ax in "ABCF":
    axes[ax].set_axis_off()
plt.show()
