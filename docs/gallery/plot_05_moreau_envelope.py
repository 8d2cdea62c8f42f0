"""
The Moreau envelope: a smooth loss
==================================

The Lovász hinge has kinks, where its subgradient jumps. Its Moreau envelope, min over Z of ‖Z − F‖²/(2γ) +
loss(Z), has none: its gradient is (F − prox)/γ, continuous with the constant 1/γ. It lies below the loss,
with the same minimisers, and comes as close as one likes when γ goes to 0.
"""

import matplotlib.pyplot as plt
import numpy as np

import lovasz_opt as lo

plt.style.use("lovasz_opt.figures.look")

# %%
# Five pixels, and a line through the space of their logits: every crossing of two margins is a kink of the
# loss.
rng = np.random.default_rng(0)
h = lo.LovaszHinge([1, 1, 0, 0, 0])
base, direction = rng.standard_normal((2, 5))
positions = np.linspace(-3, 3, 601)
line = base + positions[:, None] * direction

value = np.array([h(point) for point in line])
slope = np.array([h.subgradient(point) @ direction for point in line])

# %%
# The envelope and its gradient cost one exact prox.
gammas, colors = (0.3, 1.2, 4.8), ("#003B73", "#0072B2", "#4C9BD6")
envelopes = {gamma: [h.envelope_and_gradient(point, gamma) for point in line] for gamma in gammas}
for pairs in envelopes.values():
    assert all(below <= above + 1e-12 for (below, _), above in zip(pairs, value, strict=True))

# %%
# The slope of the loss along the line is a staircase, that of the envelopes is not.
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
left.plot(positions, value, color="#000000", linewidth=2.2, label="Lovász hinge")
right.plot(positions, slope, color="#000000", linewidth=2.2)
for (gamma, pairs), color in zip(envelopes.items(), colors, strict=True):
    left.plot(positions, [pair[0] for pair in pairs], color=color, label=f"envelope, γ = {gamma:g}")
    right.plot(positions, [pair[1] @ direction for pair in pairs], color=color)
left.legend()
left.set(title="value", xlabel="position on the line", ylabel="loss")
right.set(title="derivative along the line", xlabel="position on the line")
plt.show()
