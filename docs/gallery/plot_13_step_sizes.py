"""
Steps that are too long
=======================

Stochastic subgradient steps on images diverge when they are too long and stand still when they are too
short. A proximal step on the same image minimises its loss plus the distance moved, so it stops where the
loss of that image does. Both, and Adam, are run for six epochs with step sizes over five decades, and
judged by the certified optimum.
"""

import matplotlib.pyplot as plt
import numpy as np

from lovasz_opt import datasets, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# A linear model on tiles of a photograph, one tile a step, and its certified optimum.
photo = datasets.motorcycle(scale=4)
train, _ = datasets.tiles(photo, size=24)
risk = train.risk(l2=1e-3)
optimum = solvers.ssnal(risk, tol=1e-8).value

# %%
# Steps α/√k, the images in three random orders, the same for all methods.
methods = {
    "stochastic proximal point": (solvers.stochastic_proximal_point, "#6A3D9A", "-"),
    "stochastic subgradient": (solvers.stochastic_subgradient, "#B8860B", "--"),
    "Adam": (solvers.adam, "#8C8C8C", ":"),
}
sizes = np.logspace(-3, 2, 11)
final = {name: np.empty((3, len(sizes))) for name in methods}
for name, (solver, _, _) in methods.items():
    for seed in range(3):
        for k, size in enumerate(sizes):
            run = solver(risk, step_size=size, seed=seed, max_iter=6, tol=0)
            final[name][seed, k] = run.trace["value"][-1] / optimum - 1

# %%
# Bands span the three orders. For the best result each method needs its step. Beyond it, at α = 100, the
# objective of the explicit methods is dozens of times the optimum, that of the proximal point twice.
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, (_, color, dash) in methods.items():
    ax.loglog(sizes, np.median(final[name], axis=0), dash, color=color, linewidth=2.4, label=name)
    ax.fill_between(sizes, final[name].min(0), final[name].max(0), color=color, alpha=0.2, linewidth=0)
ax.set(xlabel="step size α", ylabel="objective above the optimum, relative", title="after six epochs")
ax.legend()
plt.show()
