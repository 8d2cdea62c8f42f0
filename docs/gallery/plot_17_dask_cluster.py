"""
Past one machine
================

The images of a linear model may live on the workers of a Dask cluster. An iteration of the second-order
method then moves the coefficients and one d × d matrix for each part of the images, and no pixels; the
answer is that of one machine up to rounding. Here the cluster is two workers in this process; in earnest it
is the address of a scheduler.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from dask.distributed import Client

from lovasz_opt import datasets, problems, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# Four parts of drawn shapes. A worker makes, or loads, its part itself.


def part(seed):
    """Features and targets of four images."""
    data = datasets.shapes(n=4, size=64, noise=1.5, seed=seed)
    return data.features, data.targets


with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
    spread = problems.DistributedHingeRisk(client, [partial(part, seed) for seed in range(4)], l2=1e-2)
    print(spread)
    distributed = solvers.ssnal(spread, tol=1e-9)

# %%
# The same images in one place.
parts = [part(seed) for seed in range(4)]
features, targets = ([image for images in kind for image in images] for kind in zip(*parts, strict=True))
local = solvers.ssnal(problems.LinearHingeRisk(features, targets, l2=1e-2), tol=1e-9)
print(f"largest difference of the coefficients {np.abs(local.x - distributed.x).max():.0e}")

# %%
# What travels in an iteration: a few times d + d² numbers for each part, whatever the number of pixels.
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", width_ratios=[1.3, 1])
left.semilogy(local.trace["gap"] / local.value, color="#003B73", linewidth=4, alpha=0.5, label="one process")
left.semilogy(distributed.trace["gap"] / local.value, color="#D55E00", dashes=(3, 2), label="two workers")
left.set(xlabel="iteration", ylabel="certified gap, relative", title="ssnal, the same iterates")
left.legend()
d = spread.n_features
names = ("pixels × features,\nnever moved", "d + d² for\neach of four parts")
right.bar(names, [spread.n_pixels * d, 4 * (d + d * d)], 0.5, color=["#8C8C8C", "#D55E00"])
right.set(yscale="log", title="how many numbers", ylim=(1, 1e6), axisbelow=True)
plt.show()
