"""The losses and the prox on a GPU against the core: skipped where there is none."""

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import losses

pytest.importorskip("array_api_compat")

GAMMA = 2.0
VOID = 255


class Torch:
    """How tests put arrays on the device and read them back."""

    def __init__(self):
        self.module = pytest.importorskip("torch")
        if not self.module.cuda.is_available():
            pytest.skip("PyTorch finds no CUDA device")

    def array(self, values, dtype):
        return self.module.asarray(values, dtype=getattr(self.module, dtype), device="cuda")

    def numpy(self, array):
        return array.detach().double().cpu().numpy()

    def on_device(self, array):
        return array.device.type == "cuda"


class Jax:
    def __init__(self):
        self.jax = pytest.importorskip("jax")
        if self.jax.default_backend() != "gpu":
            pytest.skip("JAX finds no GPU")
        self.module = self.jax.numpy

    def array(self, values, dtype):
        return self.jax.device_put(self.module.asarray(values, dtype=dtype), self.jax.devices("gpu")[0])

    def numpy(self, array):
        return np.asarray(array, dtype=np.float64)

    def on_device(self, array):
        return array.devices() == {self.jax.devices("gpu")[0]}


class Cupy:
    def __init__(self):
        self.module = pytest.importorskip("cupy")
        if not self.module.cuda.is_available():
            pytest.skip("CuPy finds no CUDA device")

    def array(self, values, dtype):
        return self.module.asarray(values, dtype=dtype)

    def numpy(self, array):
        return self.module.asnumpy(array).astype(np.float64)

    def on_device(self, array):
        return isinstance(array, self.module.ndarray)


@pytest.fixture(params=[Torch, Jax, Cupy], ids=["torch", "jax", "cupy"])
def gpu(request):
    library = request.param()
    if request.param is not Jax:
        yield library
        return
    before = library.jax.config.read("jax_enable_x64")
    library.jax.config.update("jax_enable_x64", True)
    yield library
    library.jax.config.update("jax_enable_x64", before)


@pytest.fixture
def torch():
    return Torch().module


def binary(shape=(3, 4, 50), seed=0):
    """Images with void pixels, without foreground, all void."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal(shape), rng.integers(0, 2, shape)
    labels[rng.random(shape) < 0.2] = VOID
    labels[1][labels[1] == 1] = 0
    labels[2] = VOID
    return logits, labels


def classes(seed=0):
    rng = np.random.default_rng(seed)
    scores, labels = rng.standard_normal((3, 4, 5, 11)), rng.integers(0, 4, (3, 5, 11))
    labels[rng.random(labels.shape) < 0.2] = VOID
    labels[1][labels[1] == 2] = 0
    labels[2] = VOID
    return scores, labels


CALLS = [
    ("lovasz_hinge", binary, {"per_image": True}),
    ("lovasz_hinge", binary, {"per_image": False}),
    ("lovasz_sigmoid", binary, {"from_logits": True}),
    ("lovasz_softmax", classes, {"from_logits": True}),
    ("lovasz_softmax", classes, {"from_logits": True, "classes": "all", "per_image": True}),
    ("lovasz_softmax", classes, {"from_logits": True, "class_weights": [1.0, 2.0, 0.5, 1.0]}),
]


@pytest.mark.parametrize(("name", "make", "options"), CALLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses(gpu, name, make, options, dtype):
    scores, labels = make()
    scores = scores.astype(dtype)
    function = getattr(losses, f"{name}_and_gradient")
    expected = function(scores, labels, ignore=VOID, **options)
    given = gpu.array(scores, dtype), gpu.array(labels, "int64")
    found = function(*given, ignore=VOID, **options)
    tolerance = 16 * np.finfo(dtype).eps
    for part, reference in zip(found, expected, strict=True):
        assert gpu.on_device(part)
        assert part.dtype == given[0].dtype
        np.testing.assert_allclose(gpu.numpy(part), reference, rtol=tolerance, atol=tolerance / 16)
    value = getattr(lo, name)(*given, ignore=VOID, **options)
    assert gpu.on_device(value)
    np.testing.assert_allclose(gpu.numpy(value), expected[0], rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prox_and_envelope_come_back_to_the_device(gpu, dtype):
    logits, labels = binary()
    logits = logits.astype(dtype)
    given = gpu.array(logits, dtype), gpu.array(labels, "int64")
    for name in ("prox_lovasz_hinge", "moreau_lovasz_hinge"):
        expected = getattr(lo, name)(logits, labels, GAMMA, ignore=VOID)
        found = getattr(lo, name)(*given, GAMMA, ignore=VOID)
        assert gpu.on_device(found)
        assert found.dtype == given[0].dtype
        np.testing.assert_allclose(gpu.numpy(found), expected, rtol=4 * np.finfo(dtype).eps)


def test_bad_input(gpu):
    logits, labels = binary()
    logits[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        lo.lovasz_hinge(gpu.array(logits, "float32"), gpu.array(labels, "int64"), ignore=VOID)
    logits[0, 0, 0] = 0
    with pytest.raises(ValueError, match="labels holds a value"):
        lo.lovasz_hinge(gpu.array(logits, "float32"), gpu.array(labels, "int64"))
    if not isinstance(gpu, Jax):
        with pytest.raises(ValueError, match="move one of them"):
            lo.lovasz_hinge(gpu.array(logits, "float32"), labels, ignore=VOID)


@pytest.mark.parametrize("p", [1_000_003, 2**24 + 3])
def test_large_images_in_single_precision(gpu, p):
    # Beyond 2^24 pixels float32 does not hold every count.
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal(p).astype(np.float32), rng.random(p) < 0.3
    expected = losses.lovasz_hinge_and_gradient(logits, labels)
    found = losses.lovasz_hinge_and_gradient(gpu.array(logits, "float32"), gpu.array(labels, "bool"))
    np.testing.assert_allclose(gpu.numpy(found[0]), expected[0], rtol=1e-5)
    np.testing.assert_allclose(gpu.numpy(found[1]), expected[1], rtol=1e-5, atol=1e-12)


def adapter_losses():
    import lovasz_opt.torch as lt

    return [
        (lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID), binary),
        (lambda x, y: lt.lovasz_sigmoid(x, y, ignore=VOID, from_logits=True), binary),
        (lambda x, y: lt.LovaszSoftmaxLoss(ignore_index=VOID)(x, y), classes),
        (lambda x, y: lt.moreau_lovasz_hinge(x, y, GAMMA, ignore=VOID), binary),
        (lambda x, y: lt.prox_lovasz_hinge(x, y, GAMMA, ignore=VOID).square().sum(), binary),
        (lambda x, y: lt.data_parallel_lovasz_hinge(x, y, VOID), binary),
        (lambda x, y: lt.data_parallel_lovasz_softmax(x, y, ignore=VOID, from_logits=True), classes),
    ]


@pytest.mark.parametrize("k", range(7))
@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_of_the_torch_adapter(torch, k, compiled):
    if compiled and k >= 5:
        pytest.skip("data-parallel losses run eagerly in compiled code")
    function, make = adapter_losses()[k]
    scores, labels = make()
    results = []
    for device in ("cpu", "cuda"):
        run = torch.compile(function, fullgraph=True) if compiled and device == "cuda" else function
        x = torch.tensor(scores, device=device, requires_grad=True)
        value = run(x, torch.tensor(labels, device=device))
        value.backward()
        assert x.grad.device.type == value.device.type == device
        results.append((value.item(), x.grad.cpu().numpy()))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-12)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-12, atol=1e-14)


def test_losses_of_the_torch_adapter_do_not_wait_for_the_device(torch):
    import lovasz_opt.torch as lt

    cases = [
        (lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID, check=False), binary),
        (lambda x, y: lt.lovasz_sigmoid(x, y, ignore=VOID, from_logits=True, check=False), binary),
        (lambda x, y: lt.lovasz_softmax(x, y, ignore=VOID, from_logits=True, check=False), classes),
    ]
    for function, make in cases:
        scores, labels = (torch.tensor(part, device="cuda") for part in make())
        scores.requires_grad_()
        function(scores, labels).backward()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            function(scores, labels).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast(torch, dtype):
    import lovasz_opt.torch as lt

    network = torch.nn.Conv2d(3, 1, 3, padding=1).cuda()
    images, masks = torch.randn(2, 3, 16, 16).cuda(), torch.randint(0, 2, (2, 16, 16)).cuda()
    for loss in (lt.LovaszHingeLoss(), lt.MoreauLovaszHingeLoss(GAMMA).cuda()):
        with torch.autocast("cuda", dtype=getattr(torch, dtype)):
            value = loss(network(images).squeeze(1), masks)
        assert value.dtype == torch.float32
        value.backward()
        assert torch.isfinite(network.weight.grad).all()


def test_nan_propagates_without_the_check(torch):
    import lovasz_opt.torch as lt

    logits, labels = (torch.tensor(part, device="cuda") for part in binary())
    logits[0, 0, 0] = torch.nan
    values = lt.lovasz_hinge(logits, labels, ignore=VOID, reduction="none", check=False)
    assert values.isnan().tolist() == [True, False, False]


def test_vmap_and_opcheck(torch):
    import lovasz_opt.torch as lt
    from lovasz_opt.torch import _ops  # noqa: F401

    logits, labels = (torch.tensor(part, device="cuda") for part in binary((3, 2, 30)))
    batched = torch.vmap(lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID))(logits, labels)
    single = torch.stack([lt.lovasz_hinge(x, y, ignore=VOID) for x, y in zip(logits, labels, strict=True)])
    torch.testing.assert_close(batched, single)
    rows = logits.flatten(1).requires_grad_()
    torch.library.opcheck(torch.ops.lovasz_opt.hinge.default, (rows, labels.flatten(1), float(VOID), True))


def test_a_network_learns(torch):
    import lovasz_opt.torch as lt

    torch.manual_seed(0)
    images = torch.randn(8, 3, 24, 24, device="cuda")
    masks = (images.mean(1) > 0.3).long()
    for make in (lambda: lt.LovaszHingeLoss(), lambda: lt.MoreauLovaszHingeLoss(16.0).cuda()):
        network, loss = torch.nn.Conv2d(3, 1, 3, padding=1).cuda(), make()
        optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
        first = loss(network(images).squeeze(1), masks).item()
        for _ in range(60):
            optimiser.zero_grad()
            value = loss(network(images).squeeze(1), masks)
            value.backward()
            optimiser.step()
        assert value.item() < 0.5 * first


@pytest.mark.parametrize(
    "name", ["unet", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "fcn_resnet50"]
)
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("loss", ["lovasz-softmax", "cross-entropy", "moreau"])
def test_networks_are_trained_and_resumed(torch, name, amp, loss, tmp_path):
    if name != "unet":
        pytest.importorskip("torchvision")
    from lovasz_opt.training import losses as criteria
    from lovasz_opt.training import networks
    from lovasz_opt.training.data import Images
    from lovasz_opt.training.loop import Plan, train

    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, 3, (6, 4, 4)), np.ones((10, 14))).astype(np.uint8)
    pixels = (60 * masks[:, None] + rng.integers(0, 30, (6, 3, 40, 56))).astype(np.uint8)
    images = Images(pixels, masks, tuple("abcdef"), ("a", "b", "c"))
    plan = Plan(epochs=4, batch=3, rate=1e-3, height=40, width=56, augment=False, amp=amp)

    def run(**options):
        torch.manual_seed(0)
        network = networks.network(name, 3)
        criterion = criteria.ClassLoss(loss, steps=8)
        return train(network, criterion, images, images, plan, device="cuda", out=tmp_path, **options)

    lines = run()
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert [line["loss"] for line in run(resume=True)] == [line["loss"] for line in lines]


def test_jax_under_jit_grad_and_vmap():
    gpu = Jax()
    jax, jnp = gpu.jax, gpu.module
    import lovasz_opt.jax as lj

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        logits, labels = binary()
        for function in (
            lambda x, y: lj.lovasz_hinge(x, y, ignore=VOID),
            lambda x, y: lj.moreau_lovasz_hinge(x, y, GAMMA, ignore=VOID),
            lambda x, y: jnp.sum(lj.prox_lovasz_hinge(x, y, GAMMA, ignore=VOID) ** 2),
        ):
            on_gpu = jax.jit(jax.value_and_grad(function))(gpu.array(logits, "float64"), jnp.asarray(labels))
            with jax.default_device(jax.devices("cpu")[0]):
                on_cpu = jax.value_and_grad(function)(jnp.asarray(logits), jnp.asarray(labels))
            for found, expected in zip(on_gpu, on_cpu, strict=True):
                assert gpu.on_device(found)
                np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-14)
        values = jax.vmap(lambda x, y: lj.lovasz_hinge(x, y, ignore=VOID))(logits[:2], labels[:2])
        assert values.shape == (2,)
    finally:
        jax.config.update("jax_enable_x64", before)
