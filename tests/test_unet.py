"""A small U-Net learns to find the motorcycle in a photograph with each loss."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skimage")
import lovasz_opt.torch as lt  # noqa: E402
from lovasz_opt.datasets import motorcycle  # noqa: E402
from lovasz_opt.losses import iou  # noqa: E402

VOID = 255
SIZE = 64


class Block(torch.nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(
            torch.nn.Conv2d(inputs, outputs, 3, padding=1), torch.nn.GroupNorm(4, outputs), torch.nn.ReLU()
        )


class UNet(torch.nn.Module):
    """Two levels down and up again, with skips."""

    def __init__(self, channels, width=12):
        super().__init__()
        self.first, self.second = Block(3, width), Block(width, 2 * width)
        self.lowest, self.up = Block(2 * width, 2 * width), Block(4 * width, width)
        self.last = torch.nn.Conv2d(2 * width, channels, 1)

    def forward(self, images):
        pool, enlarge = torch.nn.functional.max_pool2d, torch.nn.functional.interpolate
        high = self.first(images)
        middle = self.second(pool(high, 2))
        low = self.lowest(pool(middle, 2))
        middle = self.up(torch.cat([middle, enlarge(low, scale_factor=2)], dim=1))
        return self.last(torch.cat([high, enlarge(middle, scale_factor=2)], dim=1))


@pytest.fixture(scope="module")
def tiles():
    """Tiles of the photograph with their masks, void pixels included."""
    photo = motorcycle(scale=2)
    boxes = [
        (slice(row, row + SIZE), slice(column, column + SIZE))
        for row in range(0, photo.image.shape[0] - SIZE, 60)
        for column in range(0, photo.image.shape[1] - SIZE, 60)
    ]
    boxes = [box for box in boxes if (photo.target[box] == 1).mean() > 0.1]
    images = np.stack([photo.image[box].transpose(2, 0, 1) for box in boxes])
    masks = np.stack([photo.target[box] for box in boxes])
    assert (masks == VOID).any()
    return torch.from_numpy(images).float() - 0.5, torch.from_numpy(masks)


def moreau():
    loss = lt.MoreauLovaszHingeLoss(256.0, ignore_index=VOID)
    return loss, lt.GammaSchedule(loss, end=1.0, steps=30)


class Sigmoid(torch.nn.Module):
    def forward(self, logits, masks):
        return lt.lovasz_sigmoid(logits, masks, ignore=VOID, from_logits=True)


class Parallel(torch.nn.Module):
    def forward(self, logits, masks):
        return lt.data_parallel_lovasz_hinge(logits, masks, VOID)


LOSSES = {
    "hinge": (lambda: (lt.LovaszHingeLoss(ignore_index=VOID), None), 1),
    "envelope": (moreau, 1),
    "sigmoid": (lambda: (Sigmoid(), None), 1),
    "softmax": (lambda: (lt.LovaszSoftmaxLoss(ignore_index=VOID), None), 2),
    "joint hinge": (lambda: (Parallel(), None), 1),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Convolutions of small tiles gain nothing from threads, and wait for each other on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", LOSSES)
def test_training_beats_the_start(name, tiles):
    images, masks = tiles
    make, channels = LOSSES[name]
    loss, schedule = make()
    torch.manual_seed(0)
    network = UNet(channels)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(1)

    def scores(part):
        out = network(part)
        return out[:, 0] if channels == 1 else out

    def evaluate():
        with torch.no_grad():
            out = scores(images)
            found = out > 0 if channels == 1 else out.argmax(1)
            return loss(out, masks).item(), float(iou(found.numpy(), masks.numpy(), ignore=VOID))

    before, iou_before = evaluate()
    for _ in range(30):
        batch = torch.randperm(len(images), generator=order)[:8]
        optimiser.zero_grad()
        loss(scores(images[batch]), masks[batch]).backward()
        optimiser.step()
        if schedule is not None:
            schedule.step()
    after, iou_after = evaluate()
    if schedule is None:
        # The envelope of another step is another loss.
        assert after < 0.9 * before
    assert iou_after > max(0.5, iou_before + 0.1)
