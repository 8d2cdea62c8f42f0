"""Training networks end to end: data in their public layouts, crops, losses, the loop, and its command."""

import csv
import json
import os
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
import torch.distributed as dist  # noqa: E402
from scipy.io import savemat  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import lovasz_opt.torch as lt  # noqa: E402
from lovasz_opt.datasets import VOC_CLASSES, VOID, DataError, MissingExtra  # noqa: E402
from lovasz_opt.losses import iou  # noqa: E402
from lovasz_opt.training import __main__ as command  # noqa: E402
from lovasz_opt.training import crops, data, losses, metrics, networks  # noqa: E402
from lovasz_opt.training.loop import Plan, evaluate, load_checkpoint, train  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scene(seed, height=20, width=28, classes=3):
    """A picture whose colours tell its labels, with a void border."""
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, classes, (4, 4)), np.ones((height // 4, width // 4))).astype(np.uint8)
    image = (60 * mask[..., None] + rng.integers(0, 30, (*mask.shape, 3))).astype(np.uint8)
    mask[0] = VOID
    return image, mask


def images(n=6, **options):
    pairs = [scene(seed, **options) for seed in range(n)]
    stacked = np.stack([np.moveaxis(image, -1, 0) for image, _ in pairs])
    names = tuple(f"image {i}" for i in range(n))
    return data.Images(stacked, np.stack([mask for _, mask in pairs]), names, ("a", "b", "c"))


def write_palette(file, mask):
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette([k % 256 for k in range(768)])
    picture.save(file)


@pytest.fixture
def voc(tmp_path):
    """VOC 2012 and SBD, three images each, one of SBD among VOC's validation images."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", lists):
        folder.mkdir(parents=True)
    for k, split in enumerate(("train", "train", "val")):
        image, mask = scene(k)
        Image.fromarray(image).save(root / "JPEGImages" / f"v{k}.jpg")
        write_palette(root / "SegmentationClass" / f"v{k}.png", mask)
        with (lists / f"{split}.txt").open("a") as stream:
            stream.write(f"v{k}\n")
    sbd = tmp_path / "benchmark_RELEASE" / "dataset"
    for folder in (sbd / "img", sbd / "cls"):
        folder.mkdir(parents=True)
    for name, split in (("s0", "train"), ("v2", "train"), ("s1", "val"), ("v0", "val")):
        image, mask = scene(9)
        Image.fromarray(image).save(sbd / "img" / f"{name}.jpg")
        savemat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": np.where(mask == VOID, 0, mask)}})
        with (sbd / f"{split}.txt").open("a") as stream:
            stream.write(f"{name}\n")
    return tmp_path


def test_public_layouts(voc):
    source = data.voc(voc, "train")
    assert source.names == ("v0", "v1")
    assert source.classes == VOC_CLASSES
    image, mask = source.read(1)
    assert image.shape == (20, 28, 3)
    assert (mask == scene(1)[1]).all()
    joint = data.voc_and_sbd(voc)
    # Without VOC's validation image, and the VOC label of an image that both have.
    assert joint.names == ("v0", "v1", "s0", "s1")
    assert (joint.read(2)[1] == np.where(scene(9)[1] == VOID, 0, scene(9)[1])).all()
    assert VOID in joint.read(0)[1]


def test_damaged_data_are_named(voc):
    root = voc / "VOCdevkit" / "VOC2012"
    picture, labels = root / "JPEGImages" / "v0.jpg", root / "SegmentationClass" / "v0.png"
    whole = picture.read_bytes()
    for content, message in ((whole[:200], r"v0\.jpg: damaged"), (b"no image", r"v0\.jpg: damaged")):
        picture.write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.voc(voc, "train").read(0)
    picture.unlink()
    with pytest.raises(DataError, match=r"v0\.jpg: no such file"):
        data.voc(voc, "train").read(0)
    picture.write_bytes(whole)
    write_palette(labels, np.zeros((5, 5), dtype=np.uint8))
    with pytest.raises(DataError, match=r"v0\.png: the mask is \(5, 5\) pixels"):
        data.voc(voc, "train").read(0)
    write_palette(labels, np.full((20, 28), 77, dtype=np.uint8))
    with pytest.raises(DataError, match=r"v0\.png: holds the label 77, outside 0 to 20"):
        data.voc(voc, "train").read(0)
    (voc / "benchmark_RELEASE" / "dataset" / "cls" / "s0.mat").write_bytes(b"no matrix")
    with pytest.raises(DataError, match=r"s0\.mat: damaged"):
        data.sbd(voc, "train").read(0)
    with pytest.raises(DataError, match=r"trainval\.txt: no such file"):
        data.voc(voc, "trainval")
    with pytest.raises(ValueError, match="split is 'test'; choose train, val, trainval"):
        data.voc(voc, "test")


@pytest.fixture
def street(tmp_path):
    """CamVid, two images."""
    (tmp_path / "val").mkdir()
    for k in range(2):
        Image.fromarray(scene(k)[0]).save(tmp_path / "val" / f"s{k}.jpg")
    np.savez(tmp_path / "val_masks.npz", masks=np.stack([scene(k)[1] for k in range(2)]), names=["s0", "s1"])
    return tmp_path


def test_camvid(street):
    found = data.camvid(street, "val")
    assert found.images.shape == (2, 3, 10, 14)
    assert len(found.classes) == 11
    assert found.names == ("s0", "s1")
    whole = data.camvid(street, "val", scale=1)
    assert (whole.masks[1] == scene(1)[1]).all()
    with pytest.raises(ValueError, match="scale is 0"):
        data.camvid(street, "val", scale=0)


def test_damaged_camvid_is_named(street):
    masks = np.stack([scene(k)[1] for k in range(2)])
    with pytest.raises(DataError, match=r"train_masks\.npz: no such file"):
        data.camvid(street, "train")
    for labels, message in (
        (masks[:, :10], r"val_masks\.npz: the mask is \(10, 28\) pixels, .*s0\.jpg \(20, 28\)"),
        (masks + 20, r"val_masks\.npz: holds the label 22"),
        (masks[:1], r"val_masks\.npz: masks has shape \(1, 20, 28\)"),
        (masks[:0], "holds no image"),
    ):
        names = ["s0", "s1"][: len(labels) or 0] if message == "holds no image" else ["s0", "s1"]
        np.savez(street / "val_masks.npz", masks=labels, names=names)
        with pytest.raises(DataError, match=message):
            data.camvid(street, "val")
    np.savez(street / "val_masks.npz", masks=masks, names=["s0", "s1"])
    (street / "val" / "s1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"s1\.jpg: damaged"):
        data.camvid(street, "val")
    (street / "val_masks.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"val_masks\.npz: damaged"):
        data.camvid(street, "val")


def test_missing_pillow_is_named_with_what_to_install(street, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"lovasz-opt\[training\]"):
        data.camvid(street, "val")


@pytest.mark.data
def test_the_data_sets_beside_the_project(data_directory):
    street = data.camvid(data_directory, "val")
    assert street.images.shape == (101, 3, 90, 120)
    assert street.masks.shape == (101, 90, 120)
    assert set(np.unique(street.masks)) <= {*range(11), VOID}
    animals = data.voc_animals(data_directory, "val")
    assert len(animals) == 223
    image, mask = animals.read(5)
    assert image.shape[:2] == mask.shape
    small = data.Source(animals.name, animals.names[:3], animals.classes, animals.read).arrays(64, 80)
    assert small.images.shape == (3, 3, 64, 80)


def test_crops_depend_on_seed_epoch_and_image_alone():
    source = images()
    first, again = (crops.Crops(source, 16, 24, seed=3) for _ in range(2))
    first.epoch = again.epoch = 2
    for i in (4, 1):
        for a, b in zip(first[i], again[i], strict=True):
            assert (a == b).all()
    again.epoch = 3
    assert any((first[i][0] != again[i][0]).any() for i in range(6))
    pixels, labels = first[0]
    assert pixels.shape == (3, 16, 24)
    assert labels.shape == (16, 24)


def test_crops_keep_labels_and_pixels_together():
    # The colour of the first channel is 60 times the label, by less than 30 more; scaling blurs the edges.
    for augment in (False, True):
        source = crops.Crops(images(), 30, 40, augment, seed=1)
        for i in range(6):
            pixels, labels = source[i]
            red = 255 * (pixels * crops._SPREAD + crops._MEAN)[0]
            valid = labels != VOID
            guess = torch.clamp((red + 15) // 60, 0, 2)
            assert (guess[valid] == labels[valid]).float().mean() > (0.8 if augment else 0.999)
            assert 0 < valid.sum() < labels.numel()


def test_scores_are_those_of_iou():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 3, (4, 50)).astype(np.uint8), rng.integers(0, 3, (4, 50)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.2] = VOID
    truth[3] = VOID
    truth[0][truth[0] == 2] = 1
    guess[0][guess[0] == 2] = 1
    tables = np.stack([metrics.counts(g, t, 4) for g, t in zip(guess, truth, strict=True)])
    found = metrics.scores(tables)
    options = {"classes": 4, "ignore": VOID, "empty": np.nan}
    by_image = iou(guess, truth, per_image=True, **options)
    assert found.image_miou == pytest.approx(np.nanmean(by_image[:3], axis=1).mean())
    np.testing.assert_allclose(found.classes, iou(guess, truth, **options))
    assert np.isnan(found.classes[3])
    assert found.dataset_miou == pytest.approx(np.nanmean(found.classes))


def test_losses_by_name():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 5, 6), generator=generator)
    labels[0, 0] = VOID

    def value(name, **options):
        return losses.ClassLoss(name, **options)(scores, labels)

    cross_entropy = torch.nn.functional.cross_entropy(scores, labels, ignore_index=VOID)
    whole = lt.lovasz_softmax(scores, labels, ignore=VOID, from_logits=True)
    torch.testing.assert_close(value("cross-entropy"), cross_entropy)
    torch.testing.assert_close(value("lovasz-softmax"), whole)
    torch.testing.assert_close(value("mixture", weight=0.25), 0.25 * whole + 0.75 * cross_entropy)
    each = lt.lovasz_softmax(scores, labels, per_image=True, ignore=VOID, from_logits=True)
    torch.testing.assert_close(value("lovasz-softmax-per-image"), each)
    binary = [
        lt.lovasz_hinge(
            scores[b : b + 1, c],
            torch.where(labels == VOID, VOID, (labels == c).long())[b : b + 1],
            ignore=VOID,
        )
        for b in range(2)
        for c in range(3)
    ]
    torch.testing.assert_close(value("lovasz-hinge"), torch.stack(binary).mean())
    smooth = losses.ClassLoss("moreau", gammas=(8.0, 2.0), steps=2)
    before = smooth(scores, labels)
    smooth.step(2)
    assert smooth.envelope.gamma.item() == pytest.approx(2.0)
    assert before < smooth(scores, labels) < value("lovasz-hinge")
    probas = scores.softmax(1)
    parts = []
    for c in range(3):
        y = ((labels == c) & (labels != VOID)).double()
        p = probas[:, c] * (labels != VOID)
        parts.append(1 - (p * y).sum() / (p + y - p * y).sum())
    torch.testing.assert_close(value("soft-jaccard"), torch.stack(parts).mean())
    with pytest.raises(ValueError, match="loss is 'dice'; choose cross-entropy"):
        losses.ClassLoss("dice")
    with pytest.raises(ValueError, match="weight is 2"):
        losses.ClassLoss("mixture", weight=2)
    void = torch.full_like(labels, VOID)
    for name in losses.NAMES:
        assert losses.ClassLoss(name)(scores, void).item() == 0.0


def test_networks():
    net = networks.network("unet", 4)
    for height, width in ((33, 47), (1, 1), (2, 9)):
        assert net(torch.zeros(2, 3, height, width)).shape == (2, 4, height, width)
    with pytest.raises(ValueError, match="name is 'vgg'; choose unet, deeplabv3_resnet50"):
        networks.network("vgg", 3)
    with pytest.raises(ValueError, match="no weights for 'unet'"):
        networks.network("unet", 3, pretrained=True)
    with pytest.raises(ValueError, match="width is 6"):
        networks.UNet(3, width=6)


class Segmentation:
    """Stands for torchvision.models.segmentation."""

    def __init__(self, error=None):
        self.error, self.calls = error, []

    def fcn_resnet50(self, **options):
        self.calls.append(options)
        if self.error:
            raise self.error

        class Network(torch.nn.Conv2d):
            def forward(self, x):
                return {"out": super().forward(x), "aux": None}

        return Network(3, options["num_classes"], 1)


def with_torchvision(monkeypatch, segmentation):
    models = types.ModuleType("torchvision.models")
    models.segmentation = segmentation
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_networks_of_torchvision(monkeypatch):
    segmentation = Segmentation()
    with_torchvision(monkeypatch, segmentation)
    net = networks.network("fcn_resnet50", 5)
    assert net(torch.zeros(1, 3, 4, 4)).shape == (1, 5, 4, 4)
    networks.network("fcn_resnet50", 5, pretrained=True)
    assert [call["weights_backbone"] for call in segmentation.calls] == [None, "DEFAULT"]
    with_torchvision(monkeypatch, Segmentation(OSError("no route")))
    with pytest.raises(OSError, match=r"weights of fcn_resnet50 cannot be had \(no route\); connect"):
        networks.network("fcn_resnet50", 5, pretrained=True)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ImportError, match=r"lovasz-opt\[training\]"):
        networks.network("fcn_resnet50", 5)


PLAN = Plan(epochs=3, batch=2, rate=3e-3, height=16, width=16, seed=5)


def trained(plan=PLAN, loss="lovasz-softmax", **options):
    torch.manual_seed(1)
    network = networks.UNet(3, width=4)
    lines = train(network, losses.ClassLoss(loss, steps=9), images(), images(2), plan, **options)
    return network, lines


def same(first, second):
    return all(
        (a == b).all() for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("loss", ["cross-entropy", "lovasz-softmax", "moreau"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(loss, tmp_path):
    whole, lines = trained(PLAN, loss)

    def stop(line):
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(PLAN, loss, out=tmp_path, tell=stop)
    assert len(load_checkpoint(tmp_path / "checkpoint.pt")["lines"]) == 2
    resumed, more = trained(PLAN, loss, out=tmp_path, resume=True)
    assert same(whole, resumed)
    assert [line["loss"] for line in more] == [line["loss"] for line in lines]
    with (tmp_path / "log.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["epoch", "1", "2", "3"]
    with pytest.raises(ValueError, match=r"trained with optimiser = adam, not sgd"):
        trained(Plan(**{**vars(PLAN), "optimiser": "sgd"}), loss, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"trained with gammas = \[256.0, 1.0\], not \[8.0, 2.0\]"):
        train(
            networks.UNet(3, width=4), losses.ClassLoss(loss, gammas=(8.0, 2.0)), images(), images(2), PLAN,
            out=tmp_path, resume=True,
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"checkpoint.pt is of another network"):
        train(
            networks.UNet(3, 8), losses.ClassLoss(loss), images(), images(2), PLAN, out=tmp_path, resume=True
        )


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"PK damaged")
    with pytest.raises(DataError, match=r"checkpoint\.pt: damaged"):
        trained(out=tmp_path, resume=True)
    with pytest.raises(DataError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("loss", losses.NAMES)
def test_training_lowers_every_loss(loss):
    plan = Plan(epochs=12, batch=3, rate=1e-2, height=20, width=28, augment=False)
    _, lines = trained(plan, loss)
    if loss != "moreau":
        # The envelope of another step is another loss.
        assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["image_miou"] > lines[0]["image_miou"]


# Another test of the same process may have loaded JAX, which warns of the processes that read images.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_options_of_the_loop():
    first, _ = trained()
    again, _ = trained()
    assert same(first, again)
    fewer, _ = trained(Plan(**{**vars(PLAN), "epochs": 2}))
    assert not same(first, fewer)
    workers, _ = trained(Plan(**{**vars(PLAN), "workers": 1}))
    assert same(first, workers)
    for change in ({"seed": 6}, {"equibatch": True}, {"amp": True}, {"optimiser": "sgd"}):
        other, lines = trained(Plan(**{**vars(PLAN), **change}))
        assert not same(first, other)
        assert np.isfinite(lines[-1]["loss"])
    for wrong in ({"epochs": 0}, {"rate": -1.0}, {"optimiser": "lbfgs"}, {"batch": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            Plan(**{**vars(PLAN), **wrong})


def test_every_epoch_has_crops_of_its_own():
    # Steps that move nothing: the loss changes with the crops alone.
    plan = Plan(epochs=3, batch=1, rate=1e-12, height=16, width=16, seed=5)
    lines = train(networks.UNet(3, width=4), losses.ClassLoss("cross-entropy"), images(1), None, plan)
    found = [line["loss"] for line in lines]
    assert min(abs(a - b) for k, a in enumerate(found) for b in found[:k]) > 1e-4


def test_last_batches():
    def steps(images, batch, processes=1):
        return Plan(batch=batch).steps(images, processes)

    assert [steps(n, 4) for n in (1, 3, 4, 5, 6, 8)] == [1, 1, 1, 1, 2, 2]
    assert [steps(n, 8, processes=2) for n in (8, 11, 12)] == [1, 1, 2]
    assert steps(5, 1) == 5

    class Normalised(torch.nn.Module):
        """Refuses a single image, as the networks of torchvision do."""

        def __init__(self):
            super().__init__()
            self.first, self.norm = torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)

        def forward(self, x):
            x = self.first(x)
            return x + self.norm(x.mean((2, 3), keepdim=True))

    train(
        Normalised(),
        losses.ClassLoss("cross-entropy"),
        images(5),
        images(2),
        Plan(**{**vars(PLAN), "batch": 4}),
    )


def two_at_once(loss):
    """Seven images in batches of three: the processes have two and one of each, and one is left over."""
    torch.manual_seed(1)
    network = networks.UNet(3, width=4)
    plan = Plan(epochs=2, batch=3, rate=3e-3, height=16, width=16, seed=5, optimiser="sgd")
    lines = train(network, losses.ClassLoss(loss, steps=4), images(7), images(3), plan)
    return network.state_dict(), lines


def work(rank, store, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {loss: two_at_once(loss) for loss in losses.NAMES}
    with pytest.raises(ValueError, match="batch is 8 of 1 images, fewer than the 2 processes"):
        train(networks.UNet(3, width=4), losses.ClassLoss("cross-entropy"), images(1), None, Plan())
    torch.save(found, f"{out}/{rank}.pt")
    dist.barrier()
    # Not an orderly end: see test_torch_distributed.py.
    os._exit(0)


def test_two_processes_train_as_one(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path / "store"), str(tmp_path)), 2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for loss in losses.NAMES:
        alone, lines = two_at_once(loss)
        for weights, others in (part[loss] for part in found):
            torch.testing.assert_close(weights, alone, rtol=1e-4, atol=1e-6)
            for line, other in zip(lines, others, strict=True):
                assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)
                assert line["classes"] == pytest.approx(other["classes"], abs=0.01)


def call(*arguments):
    import typer

    app = typer.Typer()
    app.command()(command.run)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def damaged(out):
    """A checkpoint without its first weights."""
    stored = load_checkpoint(out / "checkpoint.pt")
    stored["network"].popitem(last=False)
    torch.save(stored, out / "part.pt")
    return out / "part.pt"


def test_the_command(voc, tmp_path):
    out = tmp_path / "out"
    small = ("--size", 16, 16, "--workers", 0, "--batch", 2, "--device", "cpu")
    result = call("--data", voc, "--dataset", "voc-sbd", "--epochs", 2, "--out", out, *small)
    assert result.exit_code == 0, result.output
    assert "VOC 2012 train and SBD: 4 images; VOC 2012 val: 1 images" in result.output
    # What is not defined is null, and no number that other programs cannot read.
    summary = json.loads((out / "summary.json").read_text(), parse_constant=pytest.fail)
    assert None in summary["classes"].values()
    assert len(summary["epochs"]) == 2
    assert list(summary["classes"]) == list(VOC_CLASSES)
    assert summary["options"]["dataset"] == "voc-sbd"
    tuned = call(
        "--data", voc, "--loss", "cross-entropy", "--epochs", 1, "--init", out / "checkpoint.pt",
        "--out", tmp_path / "tuned", *small,
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    other = call(
        "--data", voc, "--dataset", "voc-sbd", "--init", damaged(out), "--out", tmp_path / "other", *small
    )
    assert other.exit_code == 2
    assert "part.pt is of another network" in other.output
    again = call("--data", voc, "--dataset", "voc-sbd", "--epochs", 2, "--out", out, "--resume", *small)
    assert again.exit_code == 0
    assert "epoch" not in again.output.replace("epochs", "")


def test_errors_of_the_command(voc, tmp_path, monkeypatch):
    small = ("--size", 16, 16, "--workers", 0, "--device", "cpu", "--out", tmp_path / "out")
    for arguments, message in (
        (("--data", tmp_path / "none"), "train.txt: no such file"),
        (("--data", voc, "--loss", "dice"), "loss is 'dice'"),
        (("--data", voc, "--model", "vgg"), "name is 'vgg'"),
        (("--data", voc, "--init", tmp_path / "none.pt"), "no such checkpoint"),
    ):
        result = call(*arguments, *small)
        assert result.exit_code == 2
        assert message in result.output

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "train", interrupted)
    result = call("--data", voc, *small)
    assert result.exit_code == 130
    assert "before the first checkpoint" in result.output


def test_evaluation_is_at_the_size_of_the_images():
    class Threshold(torch.nn.Module):
        def forward(self, x):
            red = 255 * (x * crops._SPREAD + crops._MEAN)[:, 0]
            nearest = torch.clamp((red + 15) // 60, 0, 2).long()
            return torch.nn.functional.one_hot(nearest, 3).movedim(-1, 1).float()

    found = evaluate(Threshold(), images())
    assert found.image_miou == found.dataset_miou == 1.0
