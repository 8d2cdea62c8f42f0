"""Library × what is computed × dtype × kind of image × eager or compiled, against the core in float64."""

import importlib

import numpy as np
import pytest
from libraries import JAX, NUMPY, STRICT, TENSORFLOW, TORCH, eps_of, short

import lovasz_opt as lo
from lovasz_opt import losses

GAMMA = 2.0
QUANTITIES = ["value", "gradient", "prox", "envelope"]


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """JAX as it is imported before `double_precision` looks for it, and without optimisations."""
    try:
        import jax
    except ImportError:
        yield
        return
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def images(case):
    """Scores and labels of one case, scores and labels of its classes, and the void label."""
    rng = np.random.default_rng(3)
    shape = (40,) if case == "plain" else (3, 4, 10)
    # Of different sizes, or errors of foreground and background would be equal but for rounding.
    sizes = 1 + rng.permutation(np.prod(shape)).reshape(shape)
    logits, labels = np.where(rng.random(shape) < 0.5, -sizes, sizes) / 32, rng.integers(0, 2, shape)
    scores, numbers = short(rng.standard_normal((3, 3, 4, 10))), rng.integers(0, 3, (3, 4, 10))
    if case == "plain":
        return logits, labels, short(rng.standard_normal((40, 3))), rng.integers(0, 3, 40), None
    if case == "ignored":
        labels[rng.random(shape) < 0.3] = 255
        numbers[rng.random(shape) < 0.3] = 255
    elif case == "empty foreground":
        labels[1], numbers[1] = 0, 0
    elif case == "all void":
        labels[1], numbers[1] = 255, 255
    return logits, labels, scores, numbers, 255


CASES = ["plain", "batched", "ignored", "empty foreground", "all void"]


def by_functions(quantity, logits, labels, scores, numbers, ignore):
    """The functional names on arrays of the library."""
    if quantity == "prox":
        return [lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=ignore)]
    if quantity == "envelope":
        value = lo.moreau_lovasz_hinge(logits, labels, GAMMA, ignore=ignore)
        return [value, losses.moreau_lovasz_hinge_and_gradient(logits, labels, GAMMA, ignore=ignore)[1]]
    if quantity == "value":
        return [
            lo.lovasz_hinge(logits, labels, True, ignore),
            lo.lovasz_sigmoid(logits, labels, True, ignore, from_logits=True),
            lo.lovasz_softmax(scores, numbers, "present", True, ignore, from_logits=True),
        ]
    softmax = losses.lovasz_softmax_and_gradient
    return [
        losses.lovasz_hinge_and_gradient(logits, labels, True, ignore)[1],
        losses.lovasz_sigmoid_and_gradient(logits, labels, True, ignore, from_logits=True)[1],
        softmax(scores, numbers, "present", True, ignore, from_logits=True)[1],
    ]


def of_adapter(adapter, ignore):
    """Functions of an adapter: scores and labels ↦ 0-d array; and which scores they take."""
    return [
        lambda x, y: adapter.lovasz_hinge(x, y, True, ignore),
        lambda x, y: adapter.lovasz_sigmoid(x, y, True, ignore, from_logits=True),
        lambda x, y: adapter.lovasz_softmax(x, y, "present", True, ignore, from_logits=True),
        lambda x, y: adapter.moreau_lovasz_hinge(x, y, GAMMA, ignore=ignore),
        lambda x, y: adapter.prox_lovasz_hinge(x, y, GAMMA, ignore=ignore),
    ]


COMPILED = {}


def by_adapter(library, quantity, logits, labels, scores, numbers, ignore, compiled):
    """The functions of lovasz_opt.jax or lovasz_opt.torch with the derivatives of the framework."""
    adapter = importlib.import_module(f"lovasz_opt.{library.name}")
    numbered = list(enumerate(of_adapter(adapter, ignore)))
    pairs = [(logits, labels), (logits, labels), (scores, numbers), (logits, labels), (logits, labels)]
    chosen = {
        "value": numbered[:3],
        "gradient": numbered[:3],
        "envelope": numbered[3:4],
        "prox": numbered[4:],
    }
    results = []
    for k, function in chosen[quantity]:
        run = derived_by_jax if library is JAX else derived_by_torch
        value, gradient = run(function, (k, ignore, quantity), *pairs[k], quantity, compiled)
        results += {"gradient": [gradient], "envelope": [value, gradient]}.get(quantity, [value])
    return results


def derived_by_jax(function, key, x, y, quantity, compiled):
    jax = importlib.import_module("jax")
    differentiated = quantity in ("gradient", "envelope")
    if differentiated:
        function = jax.value_and_grad(function)
    if compiled:
        # Kept, so that cases of one shape are compiled once.
        function = COMPILED.setdefault(key, jax.jit(function))
    return function(x, y) if differentiated else (function(x, y), None)


def derived_by_torch(function, key, x, y, quantity, compiled):
    torch = importlib.import_module("torch")
    if compiled:
        group = (quantity, x.dtype)
        if COMPILED.get(torch) != group:
            # PyTorch keeps a few compilations of one function only.
            torch.compiler.reset()
            COMPILED[torch] = group
        function = COMPILED.setdefault(
            (torch, *key, *group), torch.compile(function, fullgraph=True, backend="eager", dynamic=False)
        )
    x = x.detach().requires_grad_(quantity in ("gradient", "envelope"))
    value = function(x, y)
    if not x.requires_grad:
        return value, None
    value.backward()
    return value, x.grad


CELLS = [
    pytest.param(library, mode, quantity, dtype, case, id=f"{library.name}-{mode}-{quantity}-{dtype}-{case}")
    for library, modes in (
        (NUMPY, ["functions"]),
        (STRICT, ["functions"]),
        (TENSORFLOW, ["functions"]),
        (TORCH, ["functions", "eager", "compiled"]),
        (JAX, ["functions", "eager", "compiled"]),
    )
    for mode in modes
    for quantity in QUANTITIES
    for dtype in ("float32", "float64", *library.halves)
    for case in CASES
]


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("library", "mode", "quantity", "dtype", "case"), CELLS)
def test_cell(library, mode, quantity, dtype, case):
    library.load()
    logits, labels, scores, numbers, ignore = images(case)
    expected = by_functions(quantity, logits, labels, scores, numbers, ignore)
    given = (
        library.array(logits, dtype), library.array(labels),
        library.array(scores, dtype), library.array(numbers), ignore,
    )  # fmt: skip
    if mode == "functions":
        found = by_functions(quantity, *given)
    else:
        found = by_adapter(library, quantity, *given, compiled=mode == "compiled")
    for part, reference in zip(found, expected, strict=True):
        if not (library is NUMPY and np.shape(reference) == ()):
            assert part.dtype == given[0].dtype
        assert np.shape(part) == np.shape(reference)
        tolerance = 16 * (eps_of(dtype) if dtype in ("float32", "float64") else eps_of(dtype) / 16)
        np.testing.assert_allclose(library.numpy(part), reference, rtol=tolerance, atol=tolerance / 16)
