"""
Training to a certified optimum
===============================

A linear model of pixel features, trained with the Lovász hinge on tiles of a photograph. The second-order
method ``solvers.ssnal`` proves that it has found the optimum to eight digits; subgradient descent, with the
best of five step sizes, neither reaches nor proves it. What the last digits are worth on other tiles is
another question.
"""

import matplotlib.pyplot as plt

from lovasz_opt import datasets, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# The motorcycle of the Middlebury stereo pair at half its size, cut into tiles, half of them for training.
photo = datasets.motorcycle(scale=2)
train, test = datasets.tiles(photo, size=40)
risk, unseen = train.risk(l2=1e-3), test.risk(l2=1e-3)
print(risk)

# %%
# Both methods report a certified gap after every iteration, and count their passes over the data.
newton = solvers.ssnal(risk, tol=1e-8)
sizes = (0.01, 0.03, 0.1, 0.3, 1.0)
runs = [solvers.subgradient(risk, "sqrt", size, max_iter=400, tol=0) for size in sizes]
descent = min(runs, key=lambda run: run.value)
for name, run in (("ssnal", newton), ("subgradient", descent)):
    print(f"{name:12} objective {run.value:.6f}, certified gap {run.relative_gap:.0e}, "
          f"IoU {risk.iou(run.x):.3f} on its tiles, {unseen.iou(run.x):.3f} on others")  # fmt: skip

# %%
# On the tiles that were not trained on (outside the white boxes) the certified optimum is not the better
# one here: what is solved is the training problem, and how well that problem generalises is not up to the
# solver.
fig, axes = plt.subplot_mosaic("AB;AC", figsize=(8, 4.4), layout="constrained")
for run, color, name, y in (
    (newton, "#D55E00", "ssnal", 1e-5),
    (descent, "#555555", "subgradient, best of five", 6),
):
    axes["A"].loglog(run.trace["passes"], run.trace["gap"] / run.value, color=color, linewidth=2.2)
    axes["A"].text(2.2, y, name, color=color)
axes["A"].set(
    xlabel="passes over the data", ylabel="certified gap, relative", title="training", ylim=(3e-9, 40)
)
for ax, run, name in ((axes["B"], newton, "ssnal"), (axes["C"], descent, "subgradient")):
    ax.imshow(photo.features @ run.x, cmap="PuOr_r", vmin=-2.5, vmax=2.5)
    ax.contour(photo.features @ run.x > 0, [0.5], colors="black", linewidths=0.7)
    for top, bottom, left, right in train.boxes:
        ax.add_patch(plt.Rectangle((left, top), right - left, bottom - top, fill=False, ec="white", lw=0.8))
    ax.set_title(f"{name}: scores")
    ax.set_axis_off()
plt.show()
