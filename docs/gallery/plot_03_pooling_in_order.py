"""
Why pooling in order is not enough
==================================

The usual algorithm for such a prox sorts the scores and averages neighbours that would cross. For the
Jaccard loss that is not the prox: a background pixel may have to overtake a foreground pixel that started
above it. Three pixels show it: foreground at 26 and 13, background at 12, step 12.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# Where three methods go as the step grows from 0 to 16. Each step is a prox of its own, from the same
# start.
f = lo.LovaszExtension(lo.Jaccard([1, 0, 1]))
x = np.array([26.0, 12.0, 13.0])
steps = np.linspace(0.01, 16, 321)
names = {"exact": "exact", "pav-in-order": "pooling in order", "path": "path walk"}
paths = {method: np.stack([f.prox(x, step, method=method) for step in steps]) for method in names}

# %%
# What the inexact answers cost: the objective ½‖z − x‖² + γ f(z) above its minimum.


def excess(method):
    """Objective above the minimum, for every step."""
    objectives = {m: 0.5 * ((paths[m] - x) ** 2).sum(1) + steps * f(paths[m]) for m in (method, "exact")}
    return objectives[method] - objectives["exact"]


for method, name in names.items():
    z = f.prox(x, 12.0, method=method)
    print(f"step 12, {name:17} {z}  objective {0.5 * ((z - x) ** 2).sum() + 12 * f(z):.2f}")

# %%
# At step 2 the two lower pixels meet. Pooling in order keeps them together for ever, and so does the walk;
# the exact path lets the foreground pixel go on, below the background pixel. It is never the other way
# round: a background pixel stays above any foreground pixel that it was above. (The foreground pixel at 26
# is outside the picture, the thin line is step 12.)
fig, axes = plt.subplots(1, 3, figsize=(8, 3), layout="constrained", width_ratios=[1, 1, 0.9])
for ax, method in zip(axes[:2], ("exact", "pav-in-order"), strict=True):
    ax.plot(steps, paths[method][:, 2], color="#0072B2", linewidth=2.4)
    ax.plot(steps, paths[method][:, 1], color="#D55E00", linewidth=2.4, dashes=(3, 1.5))
    ax.axvline(12, color="#999999", linewidth=0.8)
    ax.set(title=names[method], xlabel="step γ", ylabel="score z", ylim=(7, 13.5))
axes[0].text(2.2, 12.4, "foreground", color="#0072B2")
axes[0].text(9, 10.75, "background", color="#D55E00")
axes[2].plot(steps, excess("pav-in-order"), color="#000000", label="pooling in order")
axes[2].plot(steps, excess("path"), color="#CC79A7", linewidth=2.4, dashes=(3, 3), label="path walk")
axes[2].set(title="objective wasted", xlabel="step γ")
axes[2].legend(loc="upper left")
plt.show()
