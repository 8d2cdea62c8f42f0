"""
PyTorch: a small network on a photograph
========================================

``LovaszHingeLoss`` takes the place of a binary cross-entropy in any training loop. Here a network of three
convolutions learns the motorcycle from some tiles of one photograph; all else is void in training, and the
test afterwards.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import lovasz_opt as lo
from lovasz_opt import datasets
from lovasz_opt.torch import LovaszHingeLoss

plt.style.use("lovasz_opt.figures.look")

# %%
# Colours and position as channels. Labels outside the training tiles are 255, which both losses leave out.
photo = datasets.motorcycle(scale=4)
position = 2 * np.indices(photo.target.shape) / np.max(photo.target.shape) - 1
image = torch.tensor(np.concatenate([2 * photo.image.transpose(2, 0, 1) - 1, position])[None]).float()
training = np.full_like(photo.target, 255)
for top, bottom, left, right in datasets.tiles(photo, size=24)[0].boxes:
    training[top:bottom, left:right] = photo.target[top:bottom, left:right]
labels = torch.tensor(training.astype(np.int64))[None]
test = np.where(training == 255, photo.target, 255)


def network():
    """Three convolutions at half the resolution, and bilinear interpolation to the full one."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(5, 16, 5, padding=2, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 1, 5, padding=2),
        torch.nn.Upsample(photo.target.shape, mode="bilinear"),
    )


def cross_entropy(logits, labels):
    """Binary cross-entropy of the pixels that are not void."""
    known = labels != 255
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], labels[known].float())


# %%
# The same network, start and optimiser for both losses.
history, maps = {}, {}
for name, loss in (("cross-entropy", cross_entropy), ("Lovász hinge", LovaszHingeLoss(ignore_index=255))):
    model, history[name] = network(), []
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        logits = model(image)[:, 0]
        optimiser.zero_grad()
        loss(logits, labels).backward()
        optimiser.step()
        maps[name] = logits[0].detach().numpy()
        history[name].append([lo.iou(maps[name] > 0, part, ignore=255) for part in (training, test)])
    print(f"{name:14} IoU {history[name][-1][0]:.3f} on training tiles, {history[name][-1][1]:.3f} elsewhere")

# %%
# One photograph, one start: what it shows is that the loss works in such a loop, not which loss is better.
fig, axes = plt.subplot_mosaic("AC;BC", figsize=(8, 4.4), layout="constrained")
looks = zip((axes["A"], axes["B"]), maps.items(), ("#000000", "#00684A"), strict=True)
for ax, (name, logits), color in looks:
    ax.imshow(photo.image)
    ax.imshow(np.ma.masked_equal(logits > 0, False), cmap="winter", vmin=0, vmax=1, alpha=0.45)
    ax.set_title(f"{name}: foreground")
    ax.set_axis_off()
    for curve, part in zip(np.transpose(history[name]), ("training tiles", "elsewhere"), strict=True):
        axes["C"].plot(curve, "-" if part == "training tiles" else ":", color=color, label=f"{name}, {part}")
axes["C"].set(xlabel="step of Adam", title="IoU", ylim=(0, 1))
axes["C"].legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.68))
plt.show()
