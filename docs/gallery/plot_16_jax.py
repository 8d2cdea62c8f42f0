"""
JAX: jit, grad and vmap
=======================

The losses and the prox of ``lovasz_opt.jax`` are functions like any other: they compile, differentiate and
batch. The derivative of the prox comes from its pools, in time proportional to the pixels, so one may
optimise through it. Here the step γ is found that brings a prox closest to a given picture.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from lovasz_opt import datasets
from lovasz_opt.jax import lovasz_hinge, prox_lovasz_hinge

jax.config.update("jax_enable_x64", True)
plt.style.use("lovasz_opt.figures.look")

# %%
# One drawn shape with noisy scores.
shape = datasets.shapes(n=1, size=40, noise=0.8, seed=2)
scores = jnp.asarray(shape.features[0][:, 0])
labels = jnp.asarray(shape.targets[0].astype(int))
wanted = prox_lovasz_hinge(scores, labels, 60.0)

# %%
# jit and grad: value and gradient of the hinge in one compiled call.
value, gradient = jax.jit(jax.value_and_grad(lovasz_hinge))(scores, labels)
print(f"loss {value:.4f}, gradient is not 0 on {np.count_nonzero(gradient)} of {scores.size} pixels")

# %%
# vmap over the step: the whole path of the prox in one call.
gammas = jnp.geomspace(5.0, 300.0, 40)
path = jax.vmap(prox_lovasz_hinge, in_axes=(None, None, 0))(scores, labels, gammas)

# %%
# Derivatives through the prox: the mismatch as a function of log γ, and Gauss-Newton steps on it with both
# kinds of derivative.


def prox_of(t):
    """The prox with the step exp(t)."""
    return prox_lovasz_hinge(scores, labels, jnp.exp(t))


def mismatch(t):
    """Half the squared distance to the picture that is wanted."""
    return 0.5 * jnp.sum((prox_of(t) - wanted) ** 2)


slope, push = jax.jit(jax.grad(mismatch)), jax.jit(jax.jacfwd(prox_of))
trail = [jnp.log(25.0)]
for _ in range(6):
    velocity = push(trail[-1])
    trail.append(trail[-1] - slope(trail[-1]) / jnp.vdot(velocity, velocity))
print("γ:", [round(float(jnp.exp(t)), 4) for t in trail])

# %%
# The steps go along the curve of the path to its deepest point, γ = 60, and there gain digits quickly.
fig, axes = plt.subplot_mosaic("AC;BC", figsize=(7, 4.4), layout="constrained", width_ratios=[1, 1.6])
for key, picture, limit, title in (
    ("A", scores, 2, "scores"),
    ("B", wanted - scores, 0.6, "prox − scores, γ = 60"),
):
    ax = axes[key]
    shown = ax.imshow(picture.reshape(40, 40), cmap="PuOr_r", vmin=-limit, vmax=limit)
    ax.contour(labels.reshape(40, 40), [0.5], colors="black", linewidths=0.8)
    fig.colorbar(shown, ax=ax, shrink=0.8)
    ax.set_title(title)
    ax.set_axis_off()
mismatches = 0.5 * ((path - wanted) ** 2).sum(axis=1)
axes["C"].loglog(gammas, mismatches, ".-", color="#0072B2", label="path of the prox, 40 steps")
axes["C"].plot(np.exp(trail), [mismatch(t) for t in trail], "o", color="#D55E00", label="Gauss-Newton steps")
axes["C"].set(xlabel="γ", title="mismatch", ylim=(1e-10, 1e4))
axes["C"].legend(loc="upper left")
plt.show()
