"""What docs/migration.md says of other implementations, checked on those that are installed."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
import lovasz_opt.torch as lt  # noqa: E402

VOID = 255
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def kornia():
    return pytest.importorskip("kornia.losses")


@pytest.fixture(scope="module")
def smp():
    """The losses of segmentation_models_pytorch without the rest of that package."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(BENCHMARKS))
    import rivals

    patch.undo()
    try:
        return rivals._segmentation_losses()
    except rivals.NotInstalled as reason:
        pytest.skip(str(reason))


@pytest.fixture
def smp_in_float64(smp, monkeypatch):
    """It converts to float32 by `.float()` on the way, so float64 fails; this makes it compute in float64."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    return smp


def binary(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4, 9, 8, generator=generator, dtype=torch.float64)
    return logits.to(dtype).requires_grad_(), (torch.rand(4, 9, 8, generator=generator) < 0.4).long()


def multiclass(dtype=torch.float64, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, classes, 9, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes - 1, (3, 9, 8), generator=generator)
    return logits.to(dtype).requires_grad_(), labels


def same(ours, theirs, x, tolerance=1e-12):
    """Values and gradients agree, relative to the largest entry."""
    for first, second in zip(
        (ours, *torch.autograd.grad(ours, x)), (theirs, *torch.autograd.grad(theirs, x)), strict=True
    ):
        assert (first - second).abs().max() <= tolerance * second.abs().max()


@pytest.mark.parametrize("seed", range(3))
def test_kornia_hinge(kornia, seed):
    x, y = binary(seed=seed)
    same(lt.lovasz_hinge(x, y), kornia.lovasz_hinge_loss(x[:, None], y), x)


@pytest.mark.parametrize("seed", range(3))
def test_kornia_softmax(kornia, seed):
    x, y = multiclass(seed=seed)
    same(lt.lovasz_softmax(x, y, "all", True, from_logits=True), kornia.lovasz_softmax_loss(x, y), x)


def test_kornia_divides_weights_by_the_number_of_classes(kornia):
    x, y = multiclass()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    ours = lt.lovasz_softmax(x, y, "all", True, class_weights=weights, from_logits=True)
    same(ours * weights.mean(), kornia.lovasz_softmax_loss(x, y, weights), x)


def test_kornia_has_no_void_label(kornia):
    x, y = binary()
    y[0] = VOID
    valid = lt.lovasz_hinge(x, y, ignore=VOID)
    assert abs(kornia.lovasz_hinge_loss(x[:, None], y) - valid) > 0.1
    with pytest.raises(ValueError, match="labels holds 255"):
        lt.lovasz_hinge(x, y)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("void", [False, True])
def test_smp_binary(smp_in_float64, per_image, void):
    x, y = binary()
    if void:
        y[:, :3] = VOID
    ours = lt.LovaszHingeLoss(per_image=per_image, ignore_index=VOID)(x, y)
    theirs = smp_in_float64.LovaszLoss("binary", per_image, ignore_index=VOID)(x[:, None], y)
    same(ours, theirs, x)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("void", [False, True])
def test_smp_multiclass(smp_in_float64, per_image, void):
    x, y = multiclass()
    if void:
        y[:, :3] = VOID
    ours = lt.LovaszSoftmaxLoss(per_image=per_image, ignore_index=VOID)(x, y)
    same(ours, smp_in_float64.LovaszLoss("multiclass", per_image, ignore_index=VOID)(x, y), x)


def test_smp_multilabel_is_one_hinge_of_all_channels(smp_in_float64):
    x, _ = multiclass()
    masks = (torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.3).long()
    loss = smp_in_float64.LovaszLoss
    same(lt.lovasz_hinge(x, masks, False), loss("multilabel")(x, masks), x)
    same(lt.lovasz_hinge(x, masks), loss("multilabel", True)(x, masks), x)


def test_smp_float32(smp):
    x, y = binary(torch.float32)
    same(lt.lovasz_hinge(x, y, False), smp.LovaszLoss("binary")(x[:, None], y), x, 1e-5)
    x, y = multiclass(torch.float32)
    same(lt.lovasz_softmax(x, y, from_logits=True), smp.LovaszLoss("multiclass")(x, y), x, 1e-5)


def test_smp_takes_no_float64(smp):
    x, y = binary()
    with pytest.raises(RuntimeError, match="same dtype"):
        smp.LovaszLoss("binary")(x[:, None], y)


def test_smp_softmax_of_an_image_without_valid_pixel(smp):
    x, y = multiclass(torch.float32)
    loss = smp.LovaszLoss("multiclass", ignore_index=VOID)
    assert loss(x, torch.full_like(y, VOID)).shape == (0, 5)
    value = lt.LovaszSoftmaxLoss(ignore_index=VOID)(x, torch.full_like(y, VOID))
    assert value == 0
    assert not torch.autograd.grad(value, x)[0].any()
    y[1] = VOID
    with pytest.raises(RuntimeError, match="shape"):
        smp.LovaszLoss("multiclass", True, ignore_index=VOID)(x, y)
    images = lt.LovaszSoftmaxLoss("present", True, VOID, reduction="none")(x, y)
    torch.testing.assert_close(images.mean(), (images[0] + images[2]) / 3)


def test_void_images_stay_in_the_mean_of_the_hinge(smp_in_float64):
    x, y = binary()
    y[1] = VOID
    theirs = smp_in_float64.LovaszLoss("binary", True, ignore_index=VOID)(x, y)
    same(lt.lovasz_hinge(x, y, ignore=VOID), theirs, x)


def test_smp_ignores_from_logits(smp):
    x, y = multiclass(torch.float32)
    probas = x.detach().softmax(1)
    theirs = smp.LovaszLoss("multiclass", from_logits=False)(probas, y)
    torch.testing.assert_close(theirs, lt.lovasz_softmax(probas, y, from_logits=True))
    assert abs(theirs - lt.lovasz_softmax(probas, y)) > 1e-3


def test_empty_list_of_classes(smp):
    import segmentation_models_pytorch_losses.lovasz as theirs

    x, y = multiclass(torch.float32)
    assert theirs._lovasz_softmax(x.softmax(1), y, classes=[]) == 0
    with pytest.raises(ValueError, match="classes"):
        lt.lovasz_softmax(x.softmax(1), y, classes=[])


def test_labels_that_are_no_class(smp):
    x, y = binary(torch.float32)
    assert smp.LovaszLoss("binary")(x[:, None], 3 * y).isfinite()
    with pytest.raises(ValueError, match="labels holds 3"):
        lt.lovasz_hinge(x, 3 * y)


def test_boolean_labels(smp):
    x, y = binary(torch.float32)
    with pytest.raises(RuntimeError, match="bool"):
        smp.LovaszLoss("binary")(x, y.bool())
    torch.testing.assert_close(lt.lovasz_hinge(x, y.bool()), lt.lovasz_hinge(x, y), rtol=0, atol=0)


def test_one_valid_pixel():
    probas = torch.tensor([[[[0.7]], [[0.3]]]])
    assert lt.lovasz_softmax(probas, torch.tensor([[[0]]])) == pytest.approx(0.3)
    wide = torch.tensor([[[0.7, 0.1], [0.3, 0.9]]])
    assert lt.lovasz_softmax(wide, torch.tensor([[0, VOID]]), ignore=VOID) == pytest.approx(0.3)
    assert lt.lovasz_hinge(torch.tensor([0.25]), torch.tensor([1])) == 0.75


def test_signatures_of_the_repository_of_the_paper():
    x, y = binary(torch.float32)
    for call in (
        lambda: lt.lovasz_hinge(x, y, True, None),
        lambda: lt.lovasz_hinge(logits=x, labels=y, per_image=False, ignore=VOID),
        lambda: lt.lovasz_softmax(x.sigmoid()[:, None], 0 * y, "present", False, None),
        lambda: lt.lovasz_softmax(
            probas=x.sigmoid()[:, None], labels=0 * y, classes=[0], per_image=True, ignore=VOID
        ),
    ):
        assert call().ndim == 0
