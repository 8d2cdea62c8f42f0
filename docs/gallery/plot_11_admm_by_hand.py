"""
ADMM by hand
============

With an exact prox, classical splitting methods are a few lines. This one fits a linear model of pixel
features with the Lovász hinge: a ridge step for the coefficients v, a prox for the scores F = Xv, and a
running sum of what they disagree in. That sum is also a certificate, since it is a subgradient of the loss.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo
from lovasz_opt import datasets, solvers

plt.style.use("lovasz_opt.figures.look")

# %%
# Six images of drawn shapes with four features a pixel.
data = datasets.shapes(n=6, size=40, noise=1.0, seed=1)
X, target = np.concatenate(data.features), np.stack(data.targets)
h, mu = lo.LovaszHinge(target), 1e-2

# %%
# The method: minimise μ/2‖v‖² + h(F) subject to F = Xv, with the penalty ρ.
rho = 5e-5
gram = mu * np.eye(4) + rho * X.T @ X
F = y = np.zeros(len(X))
values, bounds = [], []
for _ in range(200):
    v = np.linalg.solve(gram, rho * X.T @ (F - y))
    F = h.prox((X @ v + y).reshape(target.shape), 1 / rho).ravel()
    y = y + X @ v - F
    # g is a subgradient of h at F, so h(Xv) ≥ h(F) + ⟨g, Xv − F⟩ for all v: a lower bound of the minimum.
    g = rho * y
    values.append(mu / 2 * v @ v + h((X @ v).reshape(target.shape)))
    bounds.append(h(F.reshape(target.shape)) - g @ F - np.sum((X.T @ g) ** 2) / (2 * mu))

print(f"the minimum lies between {max(bounds):.10f} and {min(values):.10f}")

# %%
# The certified optimum of a second-order method lies between the two.
optimum = solvers.ssnal(data.risk(mu), tol=1e-12)
assert max(bounds) - 1e-9 <= optimum.value <= min(values) + 1e-9
print(f"ssnal: {optimum.value:.10f} with a relative gap of {optimum.relative_gap:.0e}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", width_ratios=[1.2, 1])
best, bound = np.minimum.accumulate(values), np.maximum.accumulate(bounds)
left.semilogy(best - bound, color="#003B73", linewidth=2.2, label="certified gap, by hand")
left.semilogy(np.maximum(best - optimum.value, 1e-16), color="#4C9BD6", label="true error")
left.set(
    xlabel="iteration", ylabel="objective above bound or minimum", title="ADMM on six images", ylim=(1e-6, 10)
)
left.legend()
scores, outlines = (np.hstack(a.reshape(6, 40, 40)[:4]) for a in (X @ v, target))
right.imshow(np.vstack(np.hsplit(scores, 2)), cmap="PuOr_r", vmin=-2, vmax=2)
right.contour(np.vstack(np.hsplit(outlines, 2)), [0.5], colors="black", linewidths=0.8)
right.set_title("scores of four of them, targets outlined")
right.set_axis_off()
plt.show()
