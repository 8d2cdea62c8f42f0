"""
The prox of a photograph
========================

A linear model scores every pixel of a photograph; the proximal operator of the Lovász hinge moves these
scores to the minimiser of ½‖Z − F‖² + γ·loss(Z), exactly. A duality gap proves it: no other image of scores
is better by more than rounding.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import lovasz_opt as lo
from lovasz_opt import datasets, problems, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# The motorcycle of the Middlebury stereo pair: foreground is what the measured disparity says is near.
photo = datasets.motorcycle(scale=2)
train, _ = datasets.tiles(photo, size=40)
scores = datasets.score_map(photo, train)
gamma = 0.5 * np.count_nonzero(photo.target == 1)

h = lo.LovaszHinge(photo.target[None], ignore=datasets.VOID)
moved = h.prox(scores[None], gamma)[0]
print(f"{scores.size:,} pixels; loss {h(scores[None]):.3f} before, {h(moved[None]):.3f} after")

# %%
# The same as an optimisation problem, whose gap is certified, beside subgradient steps on it.
problem = problems.ImageProx(scores, photo.target, gamma, ignore=datasets.VOID)
exact = solvers.prox(problem, tol=1e-14)
steps = solvers.subgradient(problem, "strong", tol=0, max_iter=200)
print(f"relative gap of the prox {exact.relative_gap:.0e}, of 200 subgradient steps {steps.relative_gap:.0e}")

# %%
# Scores near the decision move across it, many at a time; those that are right by a margin stay where they
# are. Pixels of unknown disparity take the label of their neighbours, in the outline only.
nearest = ndimage.distance_transform_edt(~photo.valid, return_distances=False, return_indices=True)
outline = photo.target[tuple(nearest)]
fig, axes = plt.subplots(2, 2, figsize=(8, 5.6), layout="constrained")
axes[0, 0].imshow(photo.image)
axes[0, 0].set_title("photograph, target outlined")
limit = np.quantile(np.abs(scores), 0.95)
for ax, z, name in ((axes[0, 1], scores, "scores"), (axes[1, 0], moved, "exact prox of the scores")):
    shown = ax.imshow(z, cmap="PuOr_r", vmin=-limit, vmax=limit)
    ax.contour(z > 0, [0.5], colors="black", linewidths=0.7)
    overlap = lo.iou(z[None] > 0, photo.target[None], ignore=datasets.VOID)
    ax.set_title(f"{name}: IoU {overlap:.2f}")
    fig.colorbar(shown, ax=ax, label="score, black line at 0", shrink=0.8)
for ax in axes.ravel()[:3]:
    ax.contour(outline, [0.5], colors="#F0E442", linewidths=0.6)
    ax.set_axis_off()
gaps = axes[1, 1]
gaps.loglog(steps.trace["iteration"][1:], steps.trace["gap"][1:] / steps.value, color="#555555")
gaps.plot(1, exact.relative_gap, "*", markersize=13, color="#B03A00")
gaps.text(1.3, exact.relative_gap, "exact prox", va="center", color="#B03A00")
gaps.text(10, 1e-6, "subgradient steps", color="#555555")
gaps.set(xlabel="iteration", ylabel="certified gap, relative", title="what each method proves")
plt.show()
