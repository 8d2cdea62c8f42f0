"""The losses on two processes: what one process would compute on the joint batch, value and gradient."""

import os

import pytest

torch = pytest.importorskip("torch")
dist = pytest.importorskip("torch.distributed")
if not dist.is_available() or not dist.is_gloo_available():
    pytest.skip("this PyTorch has no gloo", allow_module_level=True)

import lovasz_opt.torch as lt  # noqa: E402

VOID = 255
RANKS = 2


def binary(name):
    """Logits and labels of the joint batch, and how many images each process has."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(5, 6, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (5, 6, 7), generator=generator)
    if name == "ties":
        logits = logits.round()
    elif name == "trained":
        logits = (2 * labels - 1) * (1.5 + logits.abs())
        logits[0, 0], logits[3, 0] = 0.3, -0.2
    elif name == "no foreground":
        labels.zero_()
    elif name == "no background":
        labels.fill_(1)
    elif name == "void process":
        labels[2:] = VOID
    elif name == "all void":
        labels.fill_(VOID)
    elif name == "all right":
        logits = (2.0 * labels - 1) * 9
    elif name == "one foreground pixel":
        labels.zero_()
        labels[3, 2, 2] = 1
        logits[3, 2, 2] = 0.7
    elif name == "foreground wrong":
        logits = torch.where(labels == 1, -2.0 - logits.abs(), logits.clamp(-0.9, 0.9))
    elif name == "float32":
        logits = logits.float()
    if name not in ("trained", "foreground wrong"):
        labels[logits.abs() > 2.2] = VOID
    return logits, labels


BINARY = [
    "random",
    "ties",
    "no foreground",
    "no background",
    "void process",
    "all void",
    "all right",
    "one foreground pixel",
    "foreground wrong",
    "float32",
]


SENT = ["trained", "foreground wrong"]


def classes():
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(5, 4, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (5, 6), generator=generator)
    # Class 2 is with the second process alone, class 3 nowhere.
    labels[4, :3] = 2
    labels[0, 0] = VOID
    return scores, labels


SOFTMAX = {
    "present": {},
    "all": {"classes": "all"},
    "listed and weighted": {"classes": [0, 3], "class_weights": [1.0, 2.0, 3.0, 4.0]},
}


def part(tensor, rank):
    """Processes have batches of different sizes: two images and three."""
    return tensor[:2] if rank == 0 else tensor[2:]


def both(loss, scores, labels):
    scores = scores.detach().requires_grad_()
    value = loss(scores, labels)
    return value.detach(), torch.autograd.grad(value, scores)[0]


def model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Conv2d(3, 1, 3, padding=1).double()


def photographs():
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(4, 3, 8, 8, generator=generator, dtype=torch.float64)
    return images, (images.sum(1) > 0.5).long()


def message(loss, *args, **kwargs):
    try:
        loss(*args, **kwargs)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return "no error"


def work(rank, store, out):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    results = {}
    for name in [*BINARY, "trained"]:
        logits, labels = (part(tensor, rank) for tensor in binary(name))

        def hinge(x, y):
            return lt.data_parallel_lovasz_hinge(x, y, VOID, averaged=False)

        results[name] = both(hinge, logits, labels)
        scaled = both(lambda x, y: lt.data_parallel_lovasz_hinge(x, y, VOID), logits, labels)
        results[name, "averaged"] = scaled
    for name, options in SOFTMAX.items():
        scores, labels = (part(tensor, rank) for tensor in classes())

        def softmax(x, y, options=options):
            return lt.data_parallel_lovasz_softmax(
                x, y, ignore=VOID, from_logits=True, averaged=False, **options
            )

        results[name] = both(softmax, scores, labels)

    sent = []
    gather = dist.all_gather
    dist.all_gather = lambda parts, tensor, **rest: (
        sent.append(tensor.numel()),
        gather(parts, tensor, **rest),
    )
    for name in SENT:
        sent.clear()
        logits, labels = (part(tensor, rank) for tensor in binary(name))
        lt.data_parallel_lovasz_hinge(logits, labels, VOID)
        results["sent", name] = max(sent)
    dist.all_gather = gather

    # What one process finds wrong, all say.
    logits, labels = (part(tensor, rank).clone() for tensor in binary("random"))
    if rank == 1:
        logits[0, 0, 0] = float("nan")
    results["nan"] = message(lt.data_parallel_lovasz_hinge, logits, labels, VOID)
    results["unchecked"] = lt.data_parallel_lovasz_hinge(logits, labels, VOID, check=False)
    if rank == 0:
        labels[0, 0, 0] = 7
    results["labels"] = message(lt.data_parallel_lovasz_hinge, logits, labels, VOID, check=False)
    scores, labels = (part(tensor, rank) for tensor in classes())
    results["range"] = message(lt.data_parallel_lovasz_softmax, scores, labels, ignore=VOID)

    logits, labels = (part(tensor, rank) for tensor in binary("random"))
    logits = logits.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(
        lt.data_parallel_lovasz_hinge(logits, labels, VOID).square(), logits, create_graph=True
    )
    results["twice"] = message(gradient.sum().backward)

    images, masks = (tensor[2 * rank : 2 * rank + 2] for tensor in photographs())
    losses = {"joint": lt.data_parallel_lovasz_hinge, "per image": lt.LovaszHingeLoss()}
    losses["moreau"] = lt.MoreauLovaszHingeLoss(2.0)
    for name, loss in losses.items():
        wrapped = torch.nn.parallel.DistributedDataParallel(model())
        loss(wrapped(images)[:, 0], masks).backward()
        results["DDP", name] = [parameter.grad.clone() for parameter in wrapped.parameters()]
    torch.save(results, f"{out}/{rank}.pt")
    dist.barrier()
    # Not an orderly end: freeing the reducer of DistributedDataParallel may wait for a thread of gloo, which
    # waits for the lock of the interpreter, which the first one holds.
    os._exit(0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder / "store"), str(folder)), RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("name", [*BINARY, "trained"])
def test_hinge_of_the_joint_batch(results, name):
    logits, labels = binary(name)
    value, gradient = both(lambda x, y: lt.lovasz_hinge(x, y, False, VOID), logits, labels)
    for rank in range(RANKS):
        torch.testing.assert_close(results[rank][name][0], value)
        torch.testing.assert_close(results[rank][name][1], part(gradient, rank))
        torch.testing.assert_close(results[rank][name, "averaged"][1], RANKS * part(gradient, rank))


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_of_the_joint_batch(results, name):
    scores, labels = classes()
    value, gradient = both(
        lambda x, y: lt.lovasz_softmax(x, y, ignore=VOID, from_logits=True, **SOFTMAX[name]), scores, labels
    )
    for rank in range(RANKS):
        torch.testing.assert_close(results[rank][name][0], value)
        torch.testing.assert_close(results[rank][name][1], part(gradient, rank))


def test_the_mean_over_processes_is_another_loss(results):
    logits, labels = binary("random")
    means = [lt.lovasz_hinge(part(logits, rank), part(labels, rank), False, VOID) for rank in range(RANKS)]
    assert abs(sum(means) / RANKS - results[0]["random"][0]) > 1e-3


@pytest.mark.parametrize("name", SENT)
def test_only_margins_that_matter_are_sent(results, name):
    logits, labels = binary(name)
    matter = ((2 * labels - 1) * logits < 1) & (labels != VOID)
    if name == "foreground wrong":
        # All background is below the least foreground error.
        matter &= labels == 1
    assert 0 < matter.sum() < 0.6 * labels.numel()
    assert all(results[rank]["sent", name] <= matter.sum() for rank in range(RANKS))


def test_faults_of_one_process_are_raised_by_all(results):
    for rank in range(RANKS):
        assert "scores hold NaN or infinity" in results[rank]["nan"]
        assert "found by 1 of 2 processes" in results[rank]["nan"]
        assert "labels hold a value" in results[rank]["labels"]
        assert "probas leave [0, 1]" in results[rank]["range"]
        assert results[rank]["unchecked"].isnan()


def test_second_derivatives_are_refused(results):
    assert "once_differentiable" in results[0]["twice"]


@pytest.mark.parametrize("name", ["joint", "per image", "moreau"])
def test_gradients_of_distributed_data_parallel(results, name):
    images, masks = photographs()
    network = model()
    logits = network(images)[:, 0]
    loss = {
        "joint": lambda: lt.lovasz_hinge(logits, masks, per_image=False),
        "per image": lambda: lt.lovasz_hinge(logits, masks),
        "moreau": lambda: lt.moreau_lovasz_hinge(logits, masks, 2.0),
    }[name]()
    loss.backward()
    for rank in range(RANKS):
        for parameter, gradient in zip(network.parameters(), results[rank]["DDP", name], strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_one_process_needs_no_group():
    scores, labels = classes()
    loss = lt.data_parallel_lovasz_softmax(scores, labels, ignore=VOID, from_logits=True)
    torch.testing.assert_close(loss, lt.lovasz_softmax(scores, labels, ignore=VOID, from_logits=True))
    assert lt.data_parallel_lovasz_hinge(scores[:, 0].half(), labels % 2, VOID).dtype == torch.float16
