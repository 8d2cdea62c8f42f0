"""The losses and the prox in JAX: transformations, derivatives, precision, bad input."""

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import losses

jax = pytest.importorskip("jax")
jnp = jax.numpy
lj = pytest.importorskip("lovasz_opt.jax")

pytestmark = pytest.mark.usefixtures("double_precision")

GAMMA = 3.0
BINARY = ["lovasz_hinge", "lovasz_sigmoid", "moreau_lovasz_hinge"]


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def data(shape=(3, 30), seed=0):
    rng = np.random.default_rng(seed)
    logits, labels = rng.standard_normal(shape), rng.integers(0, 2, shape)
    labels[rng.random(shape) < 0.2] = 255
    return logits, labels


def loss_of(name, module=lj):
    """A loss of logits and labels with void pixels."""
    options = {"lovasz_sigmoid": {"from_logits": True}, "moreau_lovasz_hinge": {"gamma": GAMMA}}.get(name, {})
    return lambda x, y, **more: getattr(module, name)(x, y, ignore=255, **options, **more)


def core_gradient(name, logits, labels):
    options = {"lovasz_sigmoid": {"from_logits": True}, "moreau_lovasz_hinge": {"gamma": GAMMA}}.get(name, {})
    return getattr(losses, f"{name}_and_gradient")(logits, labels, ignore=255, **options)


def close(found, expected, tolerance=1e-13):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", BINARY)
def test_value_and_gradient_under_transformations(name):
    logits, labels = data()
    value, gradient = core_gradient(name, logits, labels)
    loss = loss_of(name)
    differentiated = jax.value_and_grad(loss)
    for found in (differentiated(logits, labels), jax.jit(differentiated)(logits, labels)):
        close(found[0], value)
        close(found[1], gradient)
    # vmap over batches, of scores and labels or of scores alone.
    stack, labels_stack = np.stack([logits, 2 * logits]), np.stack([labels, labels[::-1]])
    for axes, truth in (((0, 0), labels_stack), ((0, None), labels)):
        values, gradients = jax.jit(jax.vmap(differentiated, axes))(stack, truth)
        for k in range(2):
            expected = core_gradient(name, stack[k], truth[k] if axes[1] == 0 else truth)
            close(values[k], expected[0])
            close(gradients[k], expected[1])
    # The upstream gradient counts.
    close(jax.grad(lambda x: 5.0 * loss(x, labels) ** 2)(logits), 10 * value * gradient)


@pytest.mark.parametrize("name", BINARY)
def test_forward_mode(name):
    logits, labels = data()
    direction = np.random.default_rng(1).standard_normal(logits.shape)
    _, tangent = jax.jvp(lambda x: loss_of(name)(x, labels), (logits,), (direction,))
    close(tangent, (core_gradient(name, logits, labels)[1] * direction).sum())


@pytest.mark.parametrize("counted", ["present", "all", [0, 2]])
@pytest.mark.parametrize("per_image", [True, False])
def test_softmax(counted, per_image):
    rng = np.random.default_rng(2)
    logits, labels = rng.standard_normal((2, 3, 20)), rng.integers(0, 2, (2, 20))
    labels[0, :5] = 255
    options = {"classes": counted, "per_image": per_image, "ignore": 255, "class_weights": [1.0, 2.0, 3.0]}
    for scores, from_logits in ((logits, True), (np.abs(logits) / 9, False)):
        expected = losses.lovasz_softmax_and_gradient(scores, labels, from_logits=from_logits, **options)
        found = jax.jit(
            jax.value_and_grad(
                lambda x, f=from_logits: lj.lovasz_softmax(x, labels, from_logits=f, **options)
            )
        )(scores)
        close(found[0], expected[0])
        close(found[1], expected[1])


def test_training_loop_in_scan():
    logits, labels = data()
    for name in ("lovasz_hinge", "moreau_lovasz_hinge"):
        loss = loss_of(name)

        def step(x, _, loss=loss):
            value, gradient = jax.value_and_grad(loss)(x, labels)
            return x - 0.5 * gradient, value

        last, values = jax.jit(lambda x, step=step: jax.lax.scan(step, x, length=5))(logits)
        expected = logits
        for k in range(5):
            value, gradient = core_gradient(name, expected, labels)
            close(values[k], value, 1e-12)
            expected = expected - 0.5 * gradient
        close(last, expected, 1e-12)


def test_prox_and_its_jacobian():
    logits, labels = data((3, 30), seed=4)
    expected = lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=255)
    rng = np.random.default_rng(5)
    direction, cotangent = rng.standard_normal((2, *logits.shape))
    for transform in (lambda f: f, jax.jit):
        prox = transform(lambda x, g: lj.prox_lovasz_hinge(x, labels, g, ignore=255))
        assert (np.asarray(prox(logits, GAMMA)) == expected).all()
        moved, pushed = jax.jvp(prox, (logits, GAMMA), (direction, 0.7))
        _, pull = jax.vjp(prox, logits, GAMMA)
        pulled, slope = pull(cotangent)
        assert (np.asarray(moved) == expected).all()
        slopes = []
        for b in range(3):
            core = lo.LovaszHinge(labels[b], ignore=255)
            close(pushed[b], core.prox_jvp(logits[b], GAMMA, direction[b], 0.7))
            back = core.prox_vjp(logits[b], GAMMA, cotangent[b])
            close(pulled[b], back[0])
            slopes.append(back[1])
        close(slope, sum(slopes))


def test_jacobian_of_the_prox_by_differences():
    # A pool, a pixel pinned at margin 0, one with a negative margin, and a void one.
    logits, labels = np.array([0.05, 1.1, 3.0, 0.83, 0.3]), np.array([1, 0, 1, 1, 255])
    for gamma in (0.3, 1.5, 4.0):

        def prox(x, g=gamma):
            return lo.prox_lovasz_hinge(x, labels, g, ignore=255)

        h = 1e-6
        columns = [(prox(logits + h * e) - prox(logits - h * e)) / (2 * h) for e in np.eye(5)]
        in_gamma = (prox(logits, gamma + h) - prox(logits, gamma - h)) / (2 * h)
        jacobian, slope = jax.jacrev(lambda x, g: lj.prox_lovasz_hinge(x, labels, g, ignore=255), (0, 1))(
            logits, gamma
        )
        close(jacobian, np.stack(columns, axis=1), 1e-8)
        close(slope, in_gamma, 1e-8)


def test_prox_under_vmap():
    logits, labels = data((4, 30), seed=6)
    gammas = np.array([0.5, 3.0, 3.0, 20.0])
    prox = jax.vmap(lambda x, y, g: lj.prox_lovasz_hinge(x, y, g, ignore=255))
    expected = np.stack([
        lo.prox_lovasz_hinge(*row, ignore=255) for row in zip(logits, labels, gammas, strict=True)
    ])  # fmt: skip
    assert (np.asarray(prox(logits, labels, gammas)) == expected).all()
    nested = jax.vmap(jax.vmap(lambda x, y: lj.prox_lovasz_hinge(x, y, GAMMA, ignore=255)))
    shape = (2, 2, 30)
    found = nested(logits.reshape(shape), labels.reshape(shape))
    expected = lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=255).reshape(shape)
    assert (np.asarray(found) == expected).all()
    batches = jax.vmap(lambda g: lj.prox_lovasz_hinge(logits, labels, g, ignore=255))(gammas)
    for k, gamma in enumerate(gammas):
        assert (np.asarray(batches[k]) == lo.prox_lovasz_hinge(logits, labels, gamma, ignore=255)).all()
    slopes = jax.vmap(jax.grad(lambda g, x, y: lj.moreau_lovasz_hinge(x, y, g, ignore=255)))(
        gammas, logits, labels
    )
    for b in range(4):
        moved = lo.prox_lovasz_hinge(logits[b], labels[b], gammas[b], ignore=255)
        close(slopes[b], -((logits[b] - moved) ** 2).sum() / (2 * gammas[b] ** 2), 1e-12)


def test_second_derivatives():
    logits, labels = data((2, 8), seed=7)
    hessian = jax.hessian(lambda x: lj.moreau_lovasz_hinge(x, labels, GAMMA, ignore=255))(logits)
    jacobian = jax.jacrev(lambda x: lj.prox_lovasz_hinge(x, labels, GAMMA, ignore=255))(logits)
    identity = np.eye(16).reshape(2, 8, 2, 8)
    close(hessian, (identity - np.asarray(jacobian)) / (2 * GAMMA), 1e-12)
    twice = jax.grad(jax.grad(lambda g: lj.moreau_lovasz_hinge(logits, labels, g, ignore=255)))(GAMMA)
    h = 1e-4
    e = [lo.moreau_lovasz_hinge(logits, labels, GAMMA + k * h, ignore=255) for k in (-1, 0, 1)]
    close(twice, (e[0] - 2 * e[1] + e[2]) / h**2, 1e-6)
    hinge = jax.hessian(lambda x: lj.lovasz_hinge(x, labels, ignore=255))(logits)
    assert (np.asarray(hinge) == 0).all()
    # Of losses that curve between their kinks, against differences of the gradient.
    curved = jax.hessian(lambda x: lj.lovasz_sigmoid(x, labels, ignore=255, from_logits=True))(logits)
    direction = np.random.default_rng(8).standard_normal(logits.shape)
    h = 1e-6
    ends = [core_gradient("lovasz_sigmoid", logits + s * h * direction, labels)[1] for s in (1, -1)]
    close(np.tensordot(np.asarray(curved), direction, 2), (ends[0] - ends[1]) / (2 * h), 1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_lower_precision_comes_back_in_kind(dtype):
    logits, labels = data()
    scores = jnp.asarray(logits, dtype=dtype)
    tolerance = 64 * np.finfo("float32").eps if dtype == "float32" else 0.05
    for name in BINARY:
        value, gradient = jax.jit(jax.value_and_grad(loss_of(name)))(scores, labels)
        assert value.dtype == gradient.dtype == dtype
        close(value.astype(float), core_gradient(name, logits, labels)[0], tolerance)
    moved = jax.jit(lambda x: lj.prox_lovasz_hinge(x, labels, GAMMA, ignore=255))(scores)
    assert moved.dtype == dtype
    close(moved.astype(float), lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=255), tolerance)


def test_without_double_precision():
    logits, labels = data()
    jax.config.update("jax_enable_x64", False)
    assert jax.grad(loss_of("moreau_lovasz_hinge"))(jnp.asarray(logits), labels).dtype == "float32"
    assert lj.lovasz_hinge(jnp.arange(3), jnp.asarray([1, 0, 1])).dtype == "float32"
    moved = jax.jit(lambda x: lj.prox_lovasz_hinge(x, labels, GAMMA, ignore=255))(jnp.asarray(logits))
    close(moved, lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=255), 1e-6)


def everything():
    """Every function of scores and labels."""
    yield from ((name, loss_of(name)) for name in BINARY)
    yield "prox", lambda x, y, **more: lj.prox_lovasz_hinge(x, y, GAMMA, ignore=255, **more)


EVERYTHING = pytest.mark.parametrize(("name", "function"), list(everything()))


@EVERYTHING
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_logits(name, function, bad):
    logits, labels = data()
    logits[1, 2] = bad
    with pytest.raises(ValueError, match="must be finite"):
        function(logits, labels)
    with pytest.raises(ValueError, match="must be finite"):
        jax.grad(lambda x: function(x, labels).sum())(logits)
    for run in (jax.jit(function), lambda x, y: function(x, y, check=False)):
        result = np.asarray(run(logits, labels))
        assert np.isnan(result[1] if name == "prox" else result).all()
        if name == "prox":
            assert np.isfinite(result[[0, 2]]).all()
        gradient = np.asarray(jax.grad(lambda x, run=run: run(x, labels).sum())(logits))
        if name != "prox":
            assert np.isnan(gradient[1]).all()


@EVERYTHING
def test_bad_labels(name, function):
    logits, labels = data()
    labels[1, 2] = 7
    with pytest.raises(ValueError, match="labels holds a value"):
        function(logits, labels)
    result = np.asarray(jax.jit(function)(logits, labels))
    assert np.isnan(result[1] if name == "prox" else result).all()


def test_other_bad_input():
    logits, labels = data()
    for gamma in (0.0, -1.0, np.inf, np.nan, jnp.asarray(-1.0)):
        with pytest.raises(ValueError, match="gamma is"):
            lj.prox_lovasz_hinge(logits, labels, gamma, ignore=255)
        with pytest.raises(ValueError, match="gamma is"):
            lj.moreau_lovasz_hinge(logits, labels, gamma, ignore=255)
    traced = jax.jit(lambda g: lj.prox_lovasz_hinge(logits, labels, g, ignore=255))
    assert np.isnan(np.asarray(traced(-1.0))).all()
    with pytest.raises(ValueError, match="logits has shape"):
        lj.prox_lovasz_hinge(logits[0], labels, GAMMA)
    with pytest.raises(ValueError, match="logits has shape"):
        jax.jit(lj.lovasz_hinge)(logits[0], labels)
    with pytest.raises(ValueError, match="classes is 'some'"):
        lj.lovasz_softmax(logits, labels[:, 0], classes="some")
    with pytest.raises(ValueError, match="probas leaves"):
        lj.lovasz_sigmoid(logits, labels, ignore=255)
    with pytest.raises(ValueError, match="holds no pixel"):
        lj.lovasz_hinge(np.zeros((2, 0)), np.zeros((2, 0)))


def test_all_void():
    labels = np.full((2, 5), 255)
    for _, loss in list(everything())[:-1]:
        value, gradient = jax.jit(jax.value_and_grad(loss))(np.ones((2, 5)), labels)
        assert value == 0
        assert (np.asarray(gradient) == 0).all()


def test_functional_names_may_be_traced():
    logits, labels = data()
    for name in ["prox_lovasz_hinge", *BINARY]:
        if name == "prox_lovasz_hinge":

            def traced(x, y):
                return lo.prox_lovasz_hinge(x, y, GAMMA, ignore=255)

        else:
            traced = loss_of(name, lo)
        close(jax.jit(traced)(logits, labels), np.asarray(traced(logits, labels)))
    gradient = jax.grad(lambda x: lo.lovasz_hinge(logits=x, labels=labels, ignore=255))(logits)
    close(gradient, core_gradient("lovasz_hinge", logits, labels)[1])


def test_functional_names_take_traced_steps():
    logits, labels = data()
    slope = jax.grad(lambda g: lo.moreau_lovasz_hinge(logits, labels, g, ignore=255))(GAMMA)
    moved = lo.prox_lovasz_hinge(logits, labels, GAMMA, ignore=255)
    close(slope, -((logits - moved) ** 2).sum() / (2 * 3 * GAMMA**2), 1e-12)


def test_what_cannot_be_traced_says_so():
    logits, labels = data()
    with pytest.raises(TypeError, match=r"lovasz_opt\.jax"):
        jax.jit(losses.lovasz_hinge_and_gradient)(logits, labels)
    with pytest.raises(TypeError, match="JAX traces this argument"):
        jax.jit(lo.iou)(labels, labels)


def test_large_images_in_compiled_code_do_not_hang():
    logits, labels = data((1, 300_000))
    run = jax.jit(
        lambda x: jnp.sin(lj.prox_lovasz_hinge(2 * x, labels, 50.0, ignore=255)) @ jnp.ones(300_000)
    )
    close(run(logits), np.sin(lo.prox_lovasz_hinge(2 * logits, labels, 50.0, ignore=255)).sum(axis=1), 1e-9)
