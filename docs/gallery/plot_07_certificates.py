"""
Certificates: a wrong answer is found out
=========================================

An answer need not be believed because of the program that found it. ``verify_prox`` bounds how far any
claimed proximal point is from the true one, and ``verify_prox_exact`` decides in rational arithmetic
whether it *is* the true one, and names a set of pixels that refutes it if not.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# Forty images of 300 pixels at random scores, and several answers for each: the exact prox, its rounding to
# float32, exact ones with noise, and the two inexact methods of the literature. (The walk is made for
# positive scores.)
rng = np.random.default_rng(0)
answers = {
    "exact, float64": lambda f, x: f.prox(x, 150.0),
    "exact, rounded to float32": lambda f, x: f.prox(x, 150.0).astype(np.float32),
    "exact + noise of 1e-4": lambda f, x: f.prox(x, 150.0) + 1e-4 * rng.standard_normal(x.size),
    "pooling in order": lambda f, x: f.prox(x, 150.0, method="pav-in-order"),
    "path walk": lambda f, x: f.prox(x, 150.0, method="path"),
}
points = {name: [] for name in answers}
for _ in range(40):
    f = lo.LovaszExtension(lo.Jaccard(rng.random(300) < 0.3))
    x = 5 + rng.standard_normal(300)
    truth = f.prox(x, 150.0)
    for name, answer in answers.items():
        z = answer(f, x)
        bound = lo.verify_prox(f, x, 150.0, z).distance_bound
        points[name].append((max(np.linalg.norm(z - truth), 1e-16), bound))

# %%
# The certificate does not see the true error, and never understates it. It has a floor: the square of the
# distance is bounded by the gap, so that rounding of 1e-14 in the gap is a distance of 1e-7.
for name, pairs in points.items():
    error, bound = np.array(pairs).T
    print(f"{name:26} median error {np.median(error):.0e}, median bound {np.median(bound):.0e}")
    assert (bound >= error).all()

# %%
# On integers nothing is lost to rounding. The answer of pooling in order violates the constraint of the set
# {0, 1}.
F = lo.Jaccard([1, 0, 1])
print(lo.verify_prox_exact(F, [26, 12, 13], 12, [20, 10, 9]))
print(lo.verify_prox_exact(F, [26, 12, 13], 12, [20, "19/2", "19/2"]))

# %%
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
looks = zip(("*", "o", "o", "v", "X"), ("#B03A00", "#E69F00", "#0072B2", "#8C8C8C", "#CC79A7"), strict=True)
for (name, pairs), (marker, color) in zip(points.items(), looks, strict=True):
    ax.loglog(*np.array(pairs).T, marker, color=color, label=name, alpha=0.8)
ax.axline((1e-3, 1e-3), (1, 1), color="black", linewidth=0.8)
ax.text(1e-6, 3e-8, "impossible:\nbound below the error", color="#555555")
ax.legend(loc="upper left")
ax.set(
    xlabel="true distance to the proximal point (1e-16: none)",
    ylabel="certified bound on it",
    ylim=(1e-8, 1e2),
)
plt.show()
