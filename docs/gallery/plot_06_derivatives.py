"""
Derivatives through the prox
============================

The prox is piecewise linear: pixels that end at one value form a pool, and a pool moves by the mean of its
pixels. So its Jacobian averages over pools. Products with it take O(p) after one prox, with no matrix and
no unrolled iterations. Finite differences agree to rounding, as long as they do not reach the next piece.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# Forty pixels, a quarter of them foreground. ``prox_solution`` also tells the pools.
rng = np.random.default_rng(1)
f = lo.LovaszExtension(lo.Jaccard(np.arange(40) < 10))
x, direction = rng.standard_normal((2, 40))
gamma = 12.0
solution = f.prox_solution(x, gamma)
print(f"{solution.pools.max() + 1} pools, of sizes {np.bincount(solution.pools).tolist()}")

# %%
# The Jacobian, column by column, with the pixels sorted by their pool.
order = np.argsort(solution.pools, kind="stable")
jacobian = np.stack([f.prox_jvp(x, gamma, column) for column in np.eye(40)], axis=1)[order][:, order]

# %%
# Forward (``prox_jvp``) and backward (``prox_vjp``) products agree, in the step γ as well.
cotangent = rng.standard_normal(40)
forward = cotangent @ f.prox_jvp(x, gamma, direction, gamma_tangent=1.0)
x_gradient, gamma_gradient = f.prox_vjp(x, gamma, cotangent)
print(f"forward {forward:.12f}, backward {x_gradient @ direction + gamma_gradient:.12f}")

# %%
# Central differences of width ε: wrong where x ± ε·direction have other pools than x, then right to
# rounding, which grows as 1/ε.
widths = np.logspace(-9, 0.5, 77)
exact = f.prox_jvp(x, gamma, direction)
errors = [
    np.abs((f.prox(x + e * direction, gamma) - f.prox(x - e * direction, gamma)) / (2 * e) - exact).max()
    for e in widths
]

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
shown = left.imshow(jacobian, cmap="Blues", vmin=0, vmax=1)
left.set(title="Jacobian of the prox", xlabel="pixel moved, by pool", ylabel="pixel that moves, by pool")
left.grid(False)
fig.colorbar(shown, ax=left, label="derivative", shrink=0.85)
right.loglog(widths, np.maximum(errors, 1e-17), color="#D55E00")
right.set(title="finite differences against prox_jvp", xlabel="width ε", ylabel="largest difference")
plt.show()
