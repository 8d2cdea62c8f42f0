"""The PyTorch adapter: the same numbers as the core, under every transformation of PyTorch."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import losses

torch = pytest.importorskip("torch")
import lovasz_opt.torch as lt  # noqa: E402
from lovasz_opt.torch import _ops  # noqa: E402

VOID = 255
OPERATORS = torch.ops.lovasz_opt


def scene(*shape, classes=2, dtype=torch.float64, seed=0):
    """Scores away from kinks, with labels of which some are void."""
    generator = torch.Generator().manual_seed(seed)
    scores_shape = shape if classes == 2 else (shape[0], classes, *shape[1:])
    scores = 1.5 * torch.randn(scores_shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < 0.1] = VOID
    return scores.to(dtype).requires_grad_(), labels


def steps(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


#: Every loss as a function of scores and labels, and what the core says.
CASES = {
    "hinge": (
        lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID),
        lambda x, y: losses.lovasz_hinge_and_gradient(x, y, ignore=VOID),
        2,
    ),
    "hinge of the batch": (
        lambda x, y: lt.lovasz_hinge(x, y, False, VOID),
        lambda x, y: losses.lovasz_hinge_and_gradient(x, y, False, VOID),
        2,
    ),
    "sigmoid": (
        lambda x, y: lt.lovasz_sigmoid(x, y, ignore=VOID, from_logits=True),
        lambda x, y: losses.lovasz_sigmoid_and_gradient(x, y, ignore=VOID, from_logits=True),
        2,
    ),
    "softmax": (
        lambda x, y: lt.lovasz_softmax(x, y, ignore=VOID, from_logits=True),
        lambda x, y: losses.lovasz_softmax_and_gradient(x, y, ignore=VOID, from_logits=True),
        4,
    ),
    "softmax of weighted classes": (
        lambda x, y: lt.lovasz_softmax(x, y, [0, 2], True, VOID, [1, 2, 3, 4], from_logits=True),
        lambda x, y: losses.lovasz_softmax_and_gradient(
            x, y, [0, 2], True, VOID, [1, 2, 3, 4], from_logits=True
        ),
        4,
    ),
    "envelope": (
        lambda x, y: lt.moreau_lovasz_hinge(x, y, 2.5, ignore=VOID),
        lambda x, y: losses.moreau_lovasz_hinge_and_gradient(x, y, 2.5, ignore=VOID),
        2,
    ),
}


def case(name, *shape, dtype=torch.float64, seed=0):
    loss, core, classes = CASES[name]
    return loss, core, *scene(*shape, classes=classes, dtype=dtype, seed=seed)


def value_and_gradient(loss, x, y):
    value = loss(x, y)
    return value, torch.autograd.grad(value, x)[0]


def all_close(first, second, tolerance):
    np.testing.assert_allclose(first.detach().double().numpy(), second, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(3, 7), (2, 4, 5), (2, 3, 4, 2)])
def test_values_and_gradients_of_the_core(name, dtype, shape):
    loss, core, x, y = case(name, *shape, dtype=dtype)
    value, gradient = value_and_gradient(loss, x, y)
    expected, expected_gradient = core(x.detach().numpy(), y.numpy())
    tolerance = 4 * torch.finfo(dtype).eps
    assert value.dtype == gradient.dtype == dtype
    all_close(value, expected, tolerance)
    all_close(gradient, expected_gradient, tolerance)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    loss, core, x, y = case(name, 2, 30, dtype=dtype)
    value, gradient = value_and_gradient(loss, x, y)
    expected, expected_gradient = core(x.detach().float().numpy(), y.numpy())
    assert value.dtype == gradient.dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps
    all_close(value, expected, tolerance)
    all_close(gradient, expected_gradient, tolerance)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(name, dtype):
    loss, _, x, y = case(name, 2, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype):
        half = x.to(dtype)
        half.retain_grad()
        value = loss(half, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.detach().float(), y))
    value.backward()
    assert half.grad.dtype == dtype
    assert x.grad.dtype == torch.float32


@pytest.mark.parametrize("name", CASES)
def test_memory_layouts(name):
    loss, _, x, y = case(name, 2, 4, 6)
    expected = value_and_gradient(loss, x, y)

    def same(scores, labels):
        scores = scores.detach().requires_grad_()
        value, gradient = value_and_gradient(loss, scores, labels)
        torch.testing.assert_close(value, expected[0], rtol=0, atol=0)
        torch.testing.assert_close(gradient, expected[1], rtol=0, atol=0)

    strided = torch.stack([x.detach()] * 2, dim=-1)[..., 0]
    assert not strided.is_contiguous()
    same(strided, torch.stack([y] * 2, dim=-1)[..., 0])
    if x.ndim == 4:
        last = x.detach().contiguous(memory_format=torch.channels_last)
        assert not last.is_contiguous()
        same(last, y)
    negated = torch.complex(torch.zeros_like(x), -x.detach()).conj().imag
    assert negated.is_neg()
    same(negated, y)


def test_the_core_reads_the_memory_of_the_tensor():
    from lovasz_opt.torch._host import as_array

    x = torch.arange(6.0)
    assert as_array(x).ctypes.data == x.data_ptr()
    assert as_array(x.view(2, 3)).ctypes.data == x.data_ptr()
    out = np.ones(3, dtype=np.float32)
    assert _ops._host.as_tensor(out, x).data_ptr() == out.ctypes.data


def test_prox_is_that_of_the_core():
    x, y = scene(3, 4, 5)
    z = lt.prox_lovasz_hinge(x, y, 2.5, ignore=VOID)
    assert z.shape == x.shape
    np.testing.assert_array_equal(
        z.detach().numpy(), lo.prox_lovasz_hinge(x.detach().numpy(), y.numpy(), 2.5, ignore=VOID)
    )
    half = lt.prox_lovasz_hinge(x.bfloat16(), y, 2.5, ignore=VOID)
    assert half.dtype == torch.bfloat16


def test_images_may_have_steps_of_their_own():
    x, y = scene(3, 20)
    gamma = steps(0.5, 4.0, 0.5)
    z = _ops.hinge_prox(x, y, gamma, VOID, True)
    for b in range(3):
        alone = lt.prox_lovasz_hinge(x[b], y[b], gamma[b], ignore=VOID)
        torch.testing.assert_close(z[b], alone, rtol=0, atol=0)


def operator_cases():
    x, y = scene(2, 6)
    gamma = steps(0.7, 2.0)
    scores, classes = scene(2, 4, classes=3)
    groups, truth = scores.detach()[None].requires_grad_(), classes[None]
    direction, slope = torch.randn_like(x).requires_grad_(), torch.ones_like(gamma).requires_grad_()
    yield "hinge", (x, y, VOID, True)
    yield "sigmoid", (x.detach().sigmoid().requires_grad_(), y, VOID, True)
    yield "sigmoid_of_logits", (x, y, VOID, True)
    yield "softmax", (groups.detach().softmax(2).requires_grad_(), truth, None, None, VOID, True)
    yield "softmax_of_logits", (groups, truth, [0, 2], [1.0, 2.0, 3.0], VOID, True)
    yield "hinge_envelope", (x, y, gamma, VOID, True)
    yield "hinge_prox", (x, y, gamma, VOID, True)
    yield "hinge_prox_vjp", (x, y, gamma, direction, VOID, True)
    yield "hinge_prox_jvp", (x, y, gamma, direction, slope, VOID, True)


@pytest.mark.parametrize(
    ("name", "arguments"), list(operator_cases()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_operators_pass_opcheck(name, arguments):
    torch.library.opcheck(getattr(OPERATORS, name), arguments)


@pytest.mark.parametrize(
    ("name", "arguments"), list(operator_cases()), ids=lambda v: v if isinstance(v, str) else ""
)
@pytest.mark.parametrize("through", ["function", "operator"])
def test_first_and_second_derivatives(name, arguments, through):
    op = getattr(_ops if through == "function" else OPERATORS, name)
    where = [k for k, a in enumerate(arguments) if isinstance(a, torch.Tensor) and a.requires_grad]

    def function(*variables):
        filled = list(arguments)
        for k, variable in zip(where, variables, strict=True):
            filled[k] = variable
        result = op(*filled)
        # The greedy weights of a loss are constant, so its second output has no derivative of interest there.
        return (
            result
            if isinstance(result, torch.Tensor)
            else result[: 1 if name in ("sigmoid", "softmax") else 2]
        )

    variables = tuple(arguments[k].detach().requires_grad_() for k in where)
    assert torch.autograd.gradcheck(function, variables)
    assert torch.autograd.gradgradcheck(function, variables)


def test_derivatives_of_the_public_functions():
    x, y = scene(2, 3, 4)
    gamma = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    for function in (
        lambda x, gamma: lt.prox_lovasz_hinge(x, y, gamma, ignore=VOID),
        lambda x, gamma: lt.moreau_lovasz_hinge(x, y, gamma, ignore=VOID),
        lambda x, gamma: lt.moreau_lovasz_hinge(x, y, gamma, ignore=VOID, per_image=False, reduction="sum"),
    ):
        assert torch.autograd.gradcheck(function, (x, gamma))
        assert torch.autograd.gradgradcheck(function, (x, gamma))


@pytest.mark.parametrize("name", CASES)
def test_double_backward(name):
    loss, _, x, y = case(name, 2, 8)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, y), (x,))


COMPILED = {**{name: (loss, classes) for name, (loss, _, classes) in CASES.items()}}
COMPILED["prox"] = (lambda x, y: lt.prox_lovasz_hinge(x, y, 2.0, ignore=VOID).square().mean(), 2)


@pytest.mark.parametrize("name", COMPILED)
def test_compile(name):
    torch.compiler.reset()
    loss, classes = COMPILED[name]
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for shape in ((2, 6), (3, 9), (4, 5)):
        x, y = scene(*shape, classes=classes)
        value, gradient = value_and_gradient(compiled, x, y)
        expected, expected_gradient = value_and_gradient(loss, x, y)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite(name, value):
    loss, classes = COMPILED[name]
    x, y = scene(2, 6, classes=classes)
    with torch.no_grad():
        x[0, 0] = value
    with pytest.raises(ValueError, match=r"holds .* in image 0; logits must be finite"):
        loss(x, y)
    torch.compiler.reset()
    result, gradient = value_and_gradient(torch.compile(loss, fullgraph=True, backend="aot_eager"), x, y)
    assert result.isnan()
    assert gradient[0].isnan().all()


def test_check_false_makes_the_image_nan_and_no_other():
    x, y = scene(3, 7)
    clean = value_and_gradient(lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID), x[[0, 2]], y[[0, 2]])[1]
    with torch.no_grad():
        x[1, 3] = float("inf")
    for loss in (lt.lovasz_hinge, lambda *a, **k: lt.moreau_lovasz_hinge(*a, 1.5, **k)):
        values = loss(x, y, ignore=VOID, reduction="none", check=False)
        assert values.isnan().tolist() == [False, True, False]
    values = lt.lovasz_hinge(x, y, ignore=VOID, reduction="none", check=False)
    (gradient,) = torch.autograd.grad(values[[0, 2]].mean(), x)
    torch.testing.assert_close(gradient[[0, 2]], clean)
    z = lt.prox_lovasz_hinge(x, y, 2.0, ignore=VOID, check=False)
    assert z.isnan().all(1).tolist() == [False, True, False]
    assert lt.lovasz_softmax(x.detach()[None], torch.zeros(1, 7), check=False).isnan()
    assert lt.prox_lovasz_hinge(x[0], y[0], float("nan"), ignore=VOID, check=False).isnan().all()


def test_infinite_cotangents_pass_through_the_prox():
    # As when the scaled loss of mixed-precision training overflows, which the gradient scaler must see.
    x, y = scene(2, 6)
    z = lt.prox_lovasz_hinge(x, y, 2.0, ignore=VOID)
    (gradient,) = torch.autograd.grad(z, x, torch.full_like(z, float("inf")))
    assert gradient.isnan().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compile_with_inductor():
    torch.compiler.reset()
    loss = lt.LovaszSoftmaxLoss(ignore_index=VOID)
    x, y = scene(2, 5, 5, classes=3)
    try:
        value, gradient = value_and_gradient(torch.compile(loss, fullgraph=True), x, y)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"no compiler for Inductor: {error}")
    expected, expected_gradient = value_and_gradient(loss, x, y)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_a_step_that_changes_is_not_compiled_anew():
    torch.compiler.reset()
    loss = lt.MoreauLovaszHingeLoss(4.0, ignore_index=VOID)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(loss, fullgraph=True, backend=counter)
    schedule = lt.GammaSchedule(loss, end=0.5, steps=5)
    x, y = scene(2, 6)
    compiled(x, y)
    graphs = counter.frame_count
    for _ in range(7):
        torch.testing.assert_close(compiled(x, y), lt.moreau_lovasz_hinge(x, y, schedule.gamma, ignore=VOID))
        schedule.step()
    assert counter.frame_count == graphs > 0


@pytest.mark.parametrize("name", COMPILED)
def test_vmap(name):
    loss, classes = COMPILED[name]
    pairs = [scene(2, 5, classes=classes, seed=seed) for seed in range(3)]
    x, y = (torch.stack(parts).detach() for parts in zip(*pairs, strict=True))
    expected = torch.stack([loss(*pair) for pair in pairs])
    torch.testing.assert_close(torch.vmap(loss)(x, y), expected)
    torch.testing.assert_close(torch.vmap(loss, in_dims=(2, None))(x.movedim(0, 2), y[0])[0], expected[0])
    gradients = torch.stack([value_and_gradient(loss, *pair)[1] for pair in pairs])
    torch.testing.assert_close(torch.vmap(torch.func.grad(loss))(x, y), gradients)


def test_what_is_computed_where():
    assert _ops._home(torch.empty(1)) is _ops._host
    assert _ops._home(torch.empty(1, device="meta")) is _ops._device


def test_vmap_of_an_operator():
    x, y = scene(3, 2, 5)
    whole = torch.vmap(lambda x, y: OPERATORS.hinge(x, y, VOID, True), in_dims=(1, 1))(x, y)
    for k in range(2):
        torch.testing.assert_close(whole[1][k], OPERATORS.hinge(x[:, k], y[:, k], VOID, True)[1])
    values, gradient = torch.vmap(lambda x, y: OPERATORS.hinge(x, y, VOID, True))(x, y)
    for b in range(3):
        alone = OPERATORS.hinge(x[b], y[b], VOID, True)
        torch.testing.assert_close((values[b], gradient[b]), tuple(alone))


@pytest.mark.parametrize("name", ["hinge", "sigmoid", "softmax", "softmax of weighted classes"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_path_for_devices(name, dtype, monkeypatch):
    """Run on the CPU what a GPU would run."""
    loss, _, x, y = case(name, 3, 40, dtype=dtype)
    expected = value_and_gradient(loss, x, y)
    monkeypatch.setattr(_ops, "_home", lambda scores: _ops._device)
    torch.testing.assert_close(value_and_gradient(loss, x, y), expected)
    with torch.no_grad():
        x[1, 2] = float("nan")
    with pytest.raises(ValueError, match="must be finite"):
        loss(x, y)


@pytest.mark.parametrize(
    "options", [{}, {"classes": "all"}, {"classes": [2, 0]}, {"class_weights": [1, 3, 2]}]
)
@pytest.mark.parametrize("ignore", [None, VOID])
def test_the_path_for_devices_on_special_images(options, ignore, monkeypatch):
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(4, 3, 30, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (4, 30), generator=generator)
    labels[0], labels[1] = 0, 1
    if ignore is not None:
        labels[2], labels[3, ::3] = VOID, VOID
    # Ties, and no error at all.
    scores[3] = scores[3].round()
    scores[1, 1] = 50.0
    binary = torch.where(labels == VOID, labels, labels % 2)

    def results():
        loss = lt.LovaszSoftmaxLoss(per_image=True, ignore_index=ignore, reduction="none", **options)
        both = [value_and_gradient(lambda x, y: loss(x, y).sum(), scores.clone().requires_grad_(), labels)]
        hinge = lt.LovaszHingeLoss(True, ignore, "none")
        both.append(
            value_and_gradient(lambda x, y: hinge(x, y).sum(), scores[:, 0].clone().requires_grad_(), binary)
        )
        return both, loss(scores, labels), hinge(scores[:, 0], binary)

    expected = results()
    monkeypatch.setattr(_ops, "_home", lambda scores: _ops._device)
    torch.testing.assert_close(results(), expected)
    with pytest.raises(ValueError, match="labels holds a value"):
        lt.lovasz_hinge(scores[:, 0], torch.full((4, 30), 7), ignore=ignore)
    with pytest.raises(ValueError, match=r"leaves \[0, 1\]"):
        lt.lovasz_softmax(scores, labels, ignore=ignore)


def test_reductions():
    x, y = scene(3, 10)
    single = torch.stack([lt.lovasz_hinge(x[b], y[b], ignore=VOID) for b in range(3)])
    for reduction, expected in (("none", single), ("sum", single.sum()), ("mean", single.mean())):
        torch.testing.assert_close(lt.LovaszHingeLoss(True, VOID, reduction)(x, y), expected)
        moreau = lt.MoreauLovaszHingeLoss(1.5, True, VOID, reduction)(x, y)
        assert moreau.shape == expected.shape
        assert (moreau <= expected).all()
    scores, classes = scene(3, 10, classes=4)
    single = torch.stack(
        [
            lt.lovasz_softmax(scores[b : b + 1], classes[b : b + 1], ignore=VOID, from_logits=True)
            for b in range(3)
        ]
    )
    loss = lt.LovaszSoftmaxLoss(per_image=True, ignore_index=VOID, reduction="none")
    torch.testing.assert_close(loss(scores, classes), single)


def test_weights_of_images_and_upstream_gradients():
    """The rule of the paper: gradient (F − prox)/γ, times what comes from above, image by image."""
    x, y = scene(3, 4, 4)
    weights = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    gamma = 3.0
    values = lt.moreau_lovasz_hinge(x, y, gamma, ignore=VOID, reduction="none")
    (gradient,) = torch.autograd.grad((weights * values).sum() * 7.0, x)
    moved = lt.prox_lovasz_hinge(x, y, gamma, ignore=VOID).detach()
    torch.testing.assert_close(gradient, 7.0 * weights[:, None, None] * (x.detach() - moved) / gamma)


def test_gradients_are_added_up_and_a_graph_may_be_kept():
    x, y = scene(2, 6)
    loss = lt.lovasz_hinge(x, y, ignore=VOID)
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * once, rtol=0, atol=0)


def test_a_kept_graph_does_not_share_its_gradient():
    x, y = scene(1, 6)
    loss = lt.lovasz_hinge(x, y, ignore=VOID)
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    x.grad.zero_()
    (3.0 * loss).backward()
    torch.testing.assert_close(x.grad, 3 * once, rtol=0, atol=0)


def test_gradients_of_many_outputs_at_once():
    x, y = scene(3, 6)
    values = lt.lovasz_hinge(x, y, ignore=VOID, reduction="none")
    directions = torch.eye(3, dtype=torch.float64)
    (jacobian,) = torch.autograd.grad(values, x, directions, is_grads_batched=True)
    for b, direction in enumerate(directions):
        again = lt.lovasz_hinge(x, y, ignore=VOID, reduction="none")
        torch.testing.assert_close(jacobian[b], torch.autograd.grad(again, x, direction)[0], rtol=0, atol=0)


def test_schedule():
    loss = lt.MoreauLovaszHingeLoss(8.0)
    schedule = lt.GammaSchedule(loss, end=0.5, steps=4)
    seen = []
    for _ in range(6):
        seen.append(loss.gamma.item())
        schedule.step()
    assert seen == pytest.approx([8, 4, 2, 1, 0.5, 0.5])
    other = lt.MoreauLovaszHingeLoss(1.0)
    resumed = lt.GammaSchedule(other, end=3.0, steps=9)
    resumed.load_state_dict({**schedule.state_dict(), "taken": 2})
    assert other.gamma.item() == pytest.approx(2.0)
    other.load_state_dict(loss.state_dict())
    assert other.gamma.item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="end is 0"):
        lt.GammaSchedule(loss, end=0, steps=3)
    with pytest.raises(ValueError, match="steps is 0"):
        lt.GammaSchedule(loss, end=1.0, steps=0)


def test_legal_extremes():
    x = torch.tensor([[0.5, -2.0, 3.0]], requires_grad=True)
    void = torch.full((1, 3), VOID)
    value, gradient = value_and_gradient(lambda x, y: lt.lovasz_hinge(x, y, ignore=VOID), x, void)
    assert value == 0
    assert not gradient.any()
    assert lt.lovasz_hinge(x, torch.zeros(1, 3)) == 4
    assert lt.lovasz_softmax(x.softmax(1)[..., None], torch.full((1, 1), VOID), ignore=VOID) == 0
    torch.testing.assert_close(lt.prox_lovasz_hinge(x, void, 2.0, ignore=VOID), x)
    for labels in (torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3), torch.ones(1, 3, dtype=torch.uint8)):
        assert lt.lovasz_hinge(x, labels) == lt.lovasz_hinge(x, torch.ones(1, 3, dtype=torch.long))


BAD = {
    "shape": (lambda x, y: lt.lovasz_hinge(x, y[:1]), "labels .*; make them equal"),
    "classes": (lambda x, y: lt.lovasz_softmax(x, y), "without the class axis"),
    "labels": (lambda x, y: lt.lovasz_hinge(x, 3 * y), "labels holds 3"),
    "empty": (lambda x, y: lt.lovasz_hinge(x[:0], y[:0]), "no pixel"),
    "gamma": (lambda x, y: lt.prox_lovasz_hinge(x, y, -1.0), "gamma is -1"),
    "gammas": (lambda x, y: lt.moreau_lovasz_hinge(x, y, torch.ones(2)), "one number"),
    "reduction": (lambda x, y: lt.lovasz_hinge(x, y, reduction="max"), "reduction is 'max'"),
    "module": (lambda x, y: lt.LovaszHingeLoss(reduction="max"), "reduction is 'max'"),
    "range": (lambda x, y: lt.lovasz_sigmoid(x + 2, y), "outside"),
    "device": (lambda x, y: lt.lovasz_hinge(x, y.to("meta")), "labels is on meta"),
    "list": (lambda x, y: lt.lovasz_softmax(x, y[:, 0], classes=[7]), "classes holds"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    x, y = torch.rand(2, 4), torch.ones(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        call(x, y)


def test_scores_must_be_floating():
    with pytest.raises(TypeError, match=r"logits must be a floating-point tensor, got torch.int64"):
        lt.lovasz_hinge(torch.ones(3, dtype=torch.long), torch.ones(3))
    with pytest.raises(TypeError, match="labels must be a tensor"):
        lt.lovasz_hinge(torch.ones(3), [1, 0, 1])


def test_modules_say_what_they_are():
    assert repr(lt.MoreauLovaszHingeLoss(2.0, ignore_index=VOID)) == (
        "MoreauLovaszHingeLoss(gamma=2, per_image=True, ignore_index=255, reduction='mean')"
    )
    assert "classes='present'" in repr(lt.LovaszSoftmaxLoss())


@pytest.mark.parametrize("call", ["lovasz_hinge", "lovasz_softmax"])
def test_a_loss_leaves_the_number_of_threads_of_pytorch_alone(call):
    code = f"""
import torch
torch.set_num_threads(1)
before = torch.get_num_threads()
from lovasz_opt.torch import {call}
{call}(torch.rand(2, 2, 3, 4), torch.ones({"2, 2, 3, 4" if call == "lovasz_hinge" else "2, 3, 4"}))
print(before, torch.get_num_threads())
"""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert result.stdout.strip() == "1 1", result.stderr
