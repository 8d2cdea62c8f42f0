"""From bytes to calls: `ENTRIES` holds a function for every group of public names; `run` picks one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from fuzz_files import FILE_ENTRIES
from fuzz_source import Call, Finding, Source, certified
from scipy import sparse

import lovasz_opt as lo
from lovasz_opt import datasets, interop, losses, problems, reference, sampling, solvers, testing
from lovasz_opt.solvers import toolkit


def _dtype(s: Source) -> Any:
    return s.pick((np.float64, np.float64, np.float32, np.float16))


def _step(s: Source, dtype: Any) -> float:
    """A step that leads out of the range of the precision neither by itself nor divided by the images."""
    return min(max(s.positive(), 1e-300), {2: 100.0, 4: 1e30, 8: 1e100}[np.dtype(dtype).itemsize])


def _shape(s: Source) -> tuple[int, ...]:
    return s.pick(((s.below(12) + 1,), (s.below(3) + 1, s.below(6) + 1), (2, s.below(3) + 1, 3)))


def _binary(s: Source) -> tuple[Any, Any, dict[str, Any]]:
    """Logits, labels, and options of a binary loss."""
    shape, dtype = _shape(s), _dtype(s)
    void = s.pick((None, None, 255, -1))
    choices = (0, 1) if void is None else (0, 1, void)
    labels = s.labels(shape, choices)
    if void is None and s.flag():
        labels = labels.astype(s.pick((np.bool_, np.uint8, np.float32)))
    return s.array(shape, dtype), labels, {} if void is None else {"ignore": void}


def _losses(s: Source, call: Call) -> None:
    name = s.pick(("lovasz_hinge", "cross_entropy", "hinge", "soft_jaccard"))
    function = getattr(losses, name + s.pick(("", "_and_gradient")))
    logits, labels, options = _binary(s)
    if s.flag():
        options["per_image"] = s.flag()
    call(function, s.or_bad(logits), s.or_bad(labels), **{k: s.or_bad(v) for k, v in options.items()})


def _sigmoid(s: Source, call: Call) -> None:
    function = losses.lovasz_sigmoid_and_gradient if s.flag() else lo.lovasz_sigmoid
    scores, labels, options = _binary(s)
    logits = s.flag()
    if not logits:
        scores = np.clip(np.abs(scores), 0, 1)
    call(function, s.or_bad(scores), s.or_bad(labels), from_logits=logits, **options)


def _lists(s: Source, call: Call) -> None:
    """Images of different sizes."""
    dtype = _dtype(s)
    sizes = [s.below(5) + 1 for _ in range(s.below(3) + 1)]
    logits = [s.array((size,), dtype) for size in sizes]
    labels = [s.labels((size,)) for size in sizes]
    if s.flag():
        logits[-1] = s.or_bad(logits[-1])
    gamma = s.or_bad(_step(s, dtype))
    call(losses.lovasz_hinge_and_gradient, logits, s.or_bad(labels))
    call(lo.prox_lovasz_hinge, logits, labels, gamma)


def _moreau(s: Source, call: Call) -> None:
    logits, labels, options = _binary(s)
    gamma = s.or_bad(_step(s, logits.dtype))
    function = s.pick((lo.moreau_lovasz_hinge, losses.moreau_lovasz_hinge_and_gradient))
    call(function, s.or_bad(logits), s.or_bad(labels), gamma, **options)


def _prox_hinge(s: Source, call: Call) -> None:
    logits, labels, options = _binary(s)
    gamma = s.or_bad(_step(s, logits.dtype))
    moved = call(lo.prox_lovasz_hinge, s.or_bad(logits), s.or_bad(labels), gamma, **options)
    if not s.good:
        return
    void = options.get("ignore", 255)
    rows = [array.reshape(len(labels) if labels.ndim > 1 else 1, -1) for array in (logits, labels, moved)]
    for x, y, z in zip(*rows, strict=True):
        valid = y != void
        if valid.any():
            certified(x[valid], y[valid] == 1, gamma, z[valid], True)


def _hinge_object(s: Source, call: Call) -> None:
    logits, labels, options = _binary(s)
    if s.flag():
        options["weights"] = s.or_bad(np.abs(s.array(labels.shape)).clip(1e-3, 1e3))
    h = call(lo.LovaszHinge, s.or_bad(labels), **options)
    if h is None:
        return
    gamma = s.or_bad(_step(s, logits.dtype))
    metric = {"metric": s.or_bad("weights" if "weights" in options else None)} if s.flag() else {}
    scores = s.or_bad(logits)
    match s.below(8):
        case 0:
            call(h, scores)
        case 1:
            call(h.values, scores)
        case 2:
            call(h.value_and_subgradient, scores)
        case 3:
            call(h.prox, scores, gamma, **metric)
        case 4:
            call(h.prox, scores, gamma, start=s.or_bad(logits))
        case 5:
            call(h.envelope_and_gradient, scores, gamma, **metric)
        case 6:
            call(h.prox_jvp, scores, gamma, s.or_bad(s.array(labels.shape, largest=9)), s.or_bad(1.0))
        case 7:
            call(h.prox_vjp, scores, gamma, s.or_bad(s.array(labels.shape, largest=9)))


def _softmax(s: Source, call: Call) -> None:
    n_classes, dtype = s.below(4) + 1, _dtype(s)
    shape = s.pick(((2, 3), (1, 4), (2, 2, 2), (5,)))
    labels = s.labels(shape, range(n_classes))
    scores = s.array((shape[0], n_classes, *shape[1:]), dtype)
    from_logits = s.flag()
    if not from_logits:
        scores = np.clip(np.abs(scores), 0, 1)
    options: dict[str, Any] = {"classes": s.or_bad(s.pick(("present", "all", [0])))}
    if s.flag():
        labels.flat[0] = 255
        options["ignore"] = 255
    if s.flag():
        options["class_weights"] = s.or_bad(np.abs(s.array((n_classes,))).clip(1e-3, 1e3))
    function = s.pick((lo.lovasz_softmax, losses.lovasz_softmax_and_gradient))
    options["per_image"] = s.flag()
    call(function, s.or_bad(scores), s.or_bad(labels), from_logits=from_logits, **options)


def _class_cross_entropy(s: Source, call: Call) -> None:
    n_classes = s.below(4) + 1
    labels = s.labels((2, 3), range(n_classes))
    scores = s.array((2, n_classes, 3), _dtype(s))
    call(losses.cross_entropy_and_gradient, s.or_bad(scores), s.or_bad(labels), per_image=s.flag())


def _iou(s: Source, call: Call) -> None:
    shape = _shape(s)
    guess, truth = s.labels(shape), s.labels(shape)
    options: dict[str, Any] = {"per_image": s.flag()}
    if s.flag():
        options["classes"] = s.or_bad(s.pick((2, 3, [0, 1])))
    if s.flag():
        options["ignore"] = s.or_bad(255)
    call(lo.iou, s.or_bad(guess), s.or_bad(truth), **options)


def _set_function(s: Source, call: Call) -> Any:
    """A set function of a few elements; None where it was refused."""
    n = s.below(6) + 1
    target = s.labels((n,))
    match s.below(11):
        case 0 | 1:
            return call(lo.Jaccard, s.or_bad(target))
        case 2:
            weights = np.abs(s.array((n,))).clip(1e-3, 1e3)
            return call(lo.Jaccard, s.or_bad(target), s.or_bad(weights))
        case 3:
            steps = -np.sort(-s.array((n,), largest=99))
            return call(lo.Cardinality, s.or_bad(np.concatenate([[0.0], np.cumsum(steps)])))
        case 4:
            return call(lo.Modular, s.or_bad(s.array((n,), largest=99)))
        case 5:
            return call(lo.CountFunction, s.or_bad(lambda a, b: np.sqrt(a + 2 * b)), s.or_bad(target))
        case 6:
            items = s.labels((n, 3))
            weights = np.abs(s.array((3,))).clip(0, 99)
            return call(lo.Coverage, s.or_bad(items), s.or_bad(weights))
        case 7:
            matrix = np.abs(s.array((n, n))).clip(0, 99)
            return call(lo.Cut, s.or_bad(sparse.csr_array(matrix) if s.flag() else matrix))
        case 8:
            return call(
                lo.Tversky, s.or_bad(target), s.or_bad(s.positive() % 9), s.or_bad(1.0 + s.positive() % 9)
            )
        case 9:
            return call(lo.Cut.grid, s.or_bad((s.below(3) + 1, 2)))
        case 10:
            return call(lo.SetFunction.from_callable, s.or_bad(lambda mask: float(mask.any())), s.or_bad(n))


def _sets(s: Source, call: Call) -> None:
    F = _set_function(s, call)
    if F is None:
        return
    mask = s.labels((F.n,)).astype(bool)
    call(F, s.or_bad(mask))
    call(F.increments, s.or_bad(np.argsort(s.array((F.n,)))))
    call(F.exact_value, s.or_bad(mask))
    if s.flag():
        call(lo.minimize, F)
    dice = call(lo.Dice, s.or_bad(mask.astype(int)))
    if dice is not None:
        call(dice.submodularity)


def _extension(s: Source, call: Call) -> None:
    F = _set_function(s, call)
    if F is None:
        return
    f = call(lo.LovaszExtension, s.or_bad(F))
    if not s.good or f is None:
        s.good = False
        if f is None:
            return
    dtype = _dtype(s)
    scores = s.array((f.n,), dtype, 1e6)
    gamma = s.or_bad(min(_step(s, dtype), 1e6))
    x = s.or_bad(scores)
    match s.below(12):
        case 0:
            call(f, x)
        case 1:
            call(f.value_and_subgradient, x)
        case 2 | 3 | 4:
            z = call(f.prox, x, gamma)
            if s.good and isinstance(f.F, lo.Jaccard) and f.F.weights is None:
                certified(scores, f.F.target, gamma, z, False)
            elif s.good and dtype is np.float64:
                sure = call(lo.verify_prox, f, x, gamma, z)
                size = 1.0 + float(np.abs(scores).max()) + gamma * (1 + abs(float(f.F(np.ones(f.n, bool)))))
                if not sure.distance_bound <= 1e-3 * size:
                    raise Finding(f"prox of {f!r}: {sure}")
        case 5:
            call(f.prox, x, gamma, start=s.or_bad(scores))
        case 6:
            call(f.prox, x, gamma, method=s.or_bad(s.pick(("exact", "path", "pav-in-order"))))
        case 7:
            call(f.prox_solution, x, gamma)
        case 8:
            call(f.envelope_and_gradient, x, gamma)
        case 9:
            call(f.infeasibility, x)
            call(f.project, x)
        case 10:
            call(f.prox_jvp, x, gamma, s.or_bad(np.ones(f.n)), s.or_bad(0.5))
        case 11:
            call(f.prox_vjp, x, gamma, s.or_bad(np.ones(f.n)))


def _certificates(s: Source, call: Call) -> None:
    n = s.below(5) + 1
    target = s.labels((n,))
    F = lo.Jaccard(target)
    f = lo.LovaszExtension(F)
    x, z = s.array((n,), largest=1e6), s.array((n,), largest=1e6)
    gamma = s.or_bad(min(s.positive(), 1e6))
    match s.below(4):
        case 0:
            call(lo.verify_prox, f, s.or_bad(x), gamma, s.or_bad(z))
        case 1:
            call(lo.verify_prox_exact, F, s.or_bad(x), gamma, s.or_bad(z))
        case 2:
            call(lo.verify_subgradient, f, s.or_bad(x), s.or_bad(z))
        case 3:
            good = s.good
            answer = call(lo.prox_exact, s.or_bad(target), s.or_bad(x.tolist()), gamma)
            if s.good and good and not lo.verify_prox_exact(F, x, gamma, answer).optimal:
                raise Finding("prox_exact is refuted by verify_prox_exact")
            claim = call(lo.certify_prox, target, x.tolist(), gamma, v=s.or_bad(s.pick((None, "float64"))))
            if claim is not None:
                if claim.refutation() is not None:
                    raise Finding("a certificate that was just made is refuted")
                if lo.ProxCertificate.from_text(claim.to_text()) != claim:
                    raise Finding("a certificate is another one after writing and reading")


def _linear_risk(s: Source, call: Call) -> Any:
    d = s.below(3) + 1
    sizes = [s.below(4) + 1 for _ in range(s.below(3) + 1)]
    void = s.flag()
    targets = [s.labels((p,), (0, 1, 255) if void else (0, 1)) for p in sizes]
    l2 = s.or_bad(s.pick((1e-3, 0.1, 1.0, 10.0)))
    options = {"ignore": 255} if void else {}
    if s.below(4) == 0:
        features: list[Any] = [
            call(problems.Quantised, np.array([[s.byte() for _ in range(d)] for _ in range(p)], np.uint8),
                 s.or_bad(0.1), s.or_bad(3.0))
            for p in sizes
        ]  # fmt: skip
    else:
        dtype = s.pick((np.float64, np.float32))
        features = [s.array((p, d), dtype, largest=1e3) for p in sizes]
        features[0] = s.or_bad(features[0])
    targets[-1] = s.or_bad(targets[-1])
    return call(problems.LinearHingeRisk, features, targets, l2, **options)


def _softmax_risk(s: Source, call: Call) -> Any:
    d, n_classes = s.below(2) + 1, s.below(2) + 2
    sizes = [s.below(3) + 1 for _ in range(s.below(2) + 1)]
    features = [s.array((p, d), largest=1e3) for p in sizes]
    targets = [s.labels((p,), range(n_classes)) for p in sizes]
    features[0] = s.or_bad(features[0])
    return call(
        problems.LovaszSoftmaxRisk, features, s.or_bad(targets), s.or_bad(0.1), n_classes=s.or_bad(n_classes)
    )


def _image_problem(s: Source, call: Call) -> Any:
    n = s.below(6) + 1
    target = s.labels((n,))
    scores = s.array((n,), largest=1e6)
    return call(problems.ImageProx, s.or_bad(scores), s.or_bad(target), s.or_bad(min(s.positive(), 1e6)))


def _problems(s: Source, call: Call) -> None:
    make = s.pick((_linear_risk, _softmax_risk, _image_problem))
    pb = make(s, call)
    if pb is None:
        return
    shape = pb.known_minorant.slope.shape if make is not _softmax_risk else pb.shape
    v = s.or_bad(s.array(shape, largest=1e3))
    call(pb.value, v)
    call(pb.value_and_subgradient, v)
    if make is _linear_risk:
        # −∞ where it is not in the polymatroid.
        shapes = [valid.shape for valid in pb._valid]
        dual = [np.clip(np.abs(s.array(shape)), 0, 1) for shape in shapes]
        call(pb.dual_value, s.or_bad(dual), finite=False)
        call(pb.predict, s.or_bad(v)) if s.flag() else None
    if make is _softmax_risk:
        model = call(pb.linearised, s.or_bad(np.zeros(pb.shape)), s.or_bad(1.0))
        if model is not None:
            call(model.value, s.or_bad(np.zeros(pb.shape)))


#: Options of every solver that are worth another value.
_OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "adam": {"step": ("constant", "sqrt", "inverse"), "batch": (1, None), "beta1": (0.0, 0.5)},
    "admm": {"rho": (None, 1.0), "adapt": (True, False), "over_relaxation": (1.0, 1.6)},
    "bundle": {"line_search": (True, False), "patience": (1, 50)},
    "fista": {"backtracking": (True, False), "restart": (True, False)},
    "frank_wolfe": {"sampling": ("gap", "uniform", "permutation"), "average": (None, "weighted")},
    "moreau": {"gamma": (None, 1.0), "precondition": (True, False), "continuation": (True, False)},
    "pdhg": {"sigma": (None, 1.0), "accelerate": (True, False), "precondition": (True, False)},
    "prox": {},
    "proximal_gradient": {"step_size": (0.5, 1.0)},
    "ssnal": {"sigma": (None, 1.0)},
    "stochastic_proximal_point": {
        "step": ("constant", "sqrt"),
        "batch": (1, None),
        "inner": ("cuts", "newton"),
    },
    "stochastic_subgradient": {
        "step": ("sqrt", "inverse"),
        "momentum": (0.0, 0.9),
        "nesterov": (True, False),
    },
    "subgradient": {"step": (None, "sqrt", "polyak"), "average": (None, "uniform", "weighted")},
}
_OF_IMAGES = ("prox", "proximal_gradient", "admm", "bundle", "fista", "moreau", "pdhg", "subgradient")
_OF_SOFTMAX = ("adam", "stochastic_subgradient", "subgradient")


def _solvers(s: Source, call: Call) -> None:
    make = s.pick((_linear_risk, _image_problem, _softmax_risk))
    pb = make(s, call)
    if pb is None:
        return
    name = s.pick(tuple(_OPTIONS))
    suitable = {
        _image_problem: _OF_IMAGES,
        _softmax_risk: _OF_SOFTMAX,
        _linear_risk: tuple(n for n in _OPTIONS if n not in ("prox", "proximal_gradient")),
    }[make]
    # Any other solver has to refuse the problem.
    if name not in suitable:
        s.good = False
    options: dict[str, Any] = {"max_iter": s.or_bad(s.below(3) + 1)}
    if isinstance(options["max_iter"], int | float) and options["max_iter"] > 1e6:
        # Allowed, and meant as it is.
        options["max_iter"] = 1
    for option, values in _OPTIONS[name].items():
        if s.flag():
            options[option] = s.or_bad(s.pick(values))
    for option, value in (("tol", 1e-6), ("max_time", 5.0), ("x0", None), ("resume", None), ("seed", 0)):
        if s.byte() > 230 and (option != "seed" or name in ("adam", "frank_wolfe")):
            options[option] = s.or_bad(value)
    result = call(getattr(solvers, name), pb, **options)
    if result is None or not s.good:
        return
    if result.status == "diverged":
        return
    if not (np.isfinite(result.x).all() and np.isfinite([result.value, result.dual]).all()):
        raise Finding(f"{name}: a result that is not finite")
    if not (result.dual <= result.value and result.gap == result.value - result.dual and result.nit >= 0):
        raise Finding(f"{name}: value {result.value}, dual {result.dual}, gap {result.gap}")
    if abs(pb.value(result.x) - result.value) > 1e-9 * (1 + abs(result.value)):
        raise Finding(f"{name}: the value {result.value} is not that of x, {pb.value(result.x)}")


def _toolkit(s: Source, call: Call) -> None:
    """A solver of one's own."""
    pb = _image_problem(s, call)
    if pb is None:
        return
    call(toolkit.require, "mine", pb, "linearise", "prox")
    start = call(toolkit.starting_point, pb, s.or_bad(s.pick((None, np.zeros(pb.shape)))))
    if start is None:
        return

    def iterates(bound: Any, memory: Any) -> Any:
        x = start
        while True:
            value, slope, minorant = pb.linearise(x)
            yield x, value, minorant
            x = x - 0.1 * slope

    limits = {"tol": s.or_bad(1e-6), "max_iter": s.or_bad(s.below(3)), "max_time": s.or_bad(1.0)}
    if not isinstance(limits["max_iter"], int) or limits["max_iter"] > 2:
        # Without a limit it may never end.
        limits["max_time"] = 0.01
    call(toolkit.drive, "mine", pb, iterates, callback=s.or_bad(None), **limits)


def _checks(s: Source, call: Call) -> None:
    """The checks for users' own code; those of the package's pass, which takes a second."""
    F = _set_function(s, call)
    call(
        testing.check_set_function, s.or_bad(F), rtol=s.or_bad(1e-9), seed=s.byte()
    ) if s.byte() > 250 else None
    s.good = False
    call(testing.check_set_function, s.pick((None, 3, "text", lo.Jaccard)), rtol=s.or_bad(1e-9))
    call(testing.check_solver, s.pick((None, 3, "text")), max_iter=s.or_bad(20))
    call(testing.check_solver, solvers.bundle, max_iter=s.below(12))


def _reference(s: Source, call: Call) -> None:
    """Slow and obvious against fast."""
    F = _set_function(s, call)
    if F is None or not s.good:
        return
    f = lo.LovaszExtension(F)
    x, gamma = s.array((f.n,), largest=1e3), min(max(s.positive(), 1e-3), 1e3)
    values = call(reference.set_values, F)
    size = 1 + float(np.abs(values).max())
    reach = 1 + float(np.abs(x).max()) + gamma * size

    def near(what: str, one: Any, other: Any, scale: float) -> None:
        if not np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).max() <= 1e-8 * scale:
            raise Finding(f"{what} of {F!r}: {one} and {other}")

    match s.below(6):
        case 0:
            near("extension by levels", call(reference.extension_by_levels, values, x), f(x), size * reach)
        case 1:
            near(
                "extension over vertices",
                call(reference.extension_over_vertices, values, x),
                f(x),
                size * reach,
            )
        case 2:
            near("extension by LP", call(reference.extension_by_lp, values, x), f(x), size * reach)
        case 3:
            z = call(f.prox, x, gamma)
            near("prox", call(reference.prox, values, x, gamma), z, reach)
            near(
                "gap and infeasibility",
                call(reference.prox_gap, values, x, gamma, z),
                0,
                reach**2 / min(gamma, 1),
            )
            near("infeasibility", call(reference.infeasibility, values, (x - z) / gamma), 0, reach / gamma)
        case 4:
            corners = call(reference.vertices, values)
            near("projection", call(reference.project, corners, x), f.project(x), reach)
        case 5:
            masks = call(reference.all_masks, f.n)
            near("codes", call(reference.codes_of, masks), np.arange(2**f.n), 1.0)
            near("exact values", call(reference.set_values_exact, F), values, size)
            target = s.labels((f.n,))
            row = call(reference.jaccard_row, int(target.sum()))
            exact = call(reference.prox_counts_exact, row, target, call(reference.as_fractions, x), gamma)
            if exact.tolist() != call(lo.prox_exact, target, x.tolist(), gamma):
                raise Finding(f"prox_exact({target}, {x}, {gamma})")


def _sampling(s: Source, call: Call) -> None:
    n_classes = s.below(4) + 1
    labels = [s.labels((s.below(4) + 1,), range(n_classes)) for _ in range(s.below(4) + 1)]
    labels[0] = s.or_bad(labels[0])
    presence = call(sampling.class_presence, labels, s.or_bad(n_classes), ignore=s.or_bad(255))
    if presence is None:
        return
    replicas = s.below(3) + 1
    sampler = call(
        sampling.EquibatchSampler, s.or_bad(presence), length=s.or_bad(s.below(20) + 1),
        seed=s.or_bad(s.byte()), replicas=s.or_bad(replicas), rank=s.or_bad(s.below(replicas)),
    )  # fmt: skip
    if sampler is None or sampler.replicas > replicas:
        # The indices of one in 2⁶³ replicas are far apart.
        return
    indices = call(list, islice(sampler, 30))
    if s.good and replicas == 1:
        k = len(sampler.classes)
        shown = [presence[indices[i : i + k]].any(axis=0) for i in range(len(indices) - k + 1)]
        if not all(row[sampler.classes].all() for row in shown):
            raise Finding(f"{k} consecutive indices do not show every class: {indices}")


class _Foreign:
    """An array of another library of the host: DLPack, and the array API."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype, self.shape, self.device = array.dtype, array.shape, "cpu"

    def __array_namespace__(self, **_: Any) -> Any:
        return np

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def _interop(s: Source, call: Call) -> None:
    """Arrays of another library: the answers are those of NumPy's."""
    logits, labels, options = _binary(s)
    foreign = [_Foreign(logits), _Foreign(labels)]
    for ask in (interop.is_foreign, interop.on_host, interop.dtype_name, interop.namespace):
        call(ask, foreign[0])
    if not np.array_equal(call(interop.to_numpy, foreign[0]), logits):
        raise Finding("to_numpy gives other numbers")
    home = call(interop.Home.of, foreign[0])
    call(home.give, [logits, 1.0])
    function = s.pick(
        (lo.lovasz_hinge, lo.lovasz_sigmoid, lo.prox_lovasz_hinge, lo.moreau_lovasz_hinge, lo.hinge)
    )
    if function is lo.hinge:
        function = call(call(interop.any_library), call(interop.differentiable, function))
    if function in (lo.prox_lovasz_hinge, lo.moreau_lovasz_hinge):
        options["gamma"] = s.or_bad(_step(s, logits.dtype))
    if function is lo.lovasz_sigmoid:
        options["from_logits"] = True
    expected, found = call(function, logits, labels, **options), call(function, *foreign, **options)
    # A number comes back as an array of the library, in the precision of the scores.
    if expected is not None and not np.array_equal(np.asarray(expected, logits.dtype), found):
        raise Finding(f"{function.__name__} of arrays of another library: {found}, of NumPy's: {expected}")


def _images(s: Source, call: Call) -> None:
    match s.below(4):
        case 0:
            call(datasets.pixel_features, np.abs(s.array((6, s.below(6) + 4, 3))).clip(0, 1))
        case 1:
            data = call(datasets.shapes, n=s.below(3) + 1, size=s.below(20) + 4, seed=s.byte())
            call(data.part, [0])
            call(data.risk, s.or_bad(0.1))
        case 2:
            size, seed = s.or_bad(s.below(4) + 2), s.or_bad(s.byte())
            target = s.labels((8, s.below(6) + 4), (0, 1, datasets.VOID)).astype(np.uint8)
            image = np.abs(s.array((*target.shape, 3))).clip(0, 1)
            features = datasets.pixel_features(image)
            photograph = call(datasets.Photograph, "drawn", image, target, *features)
            # There may be no two tiles with both classes.
            s.good = False
            parts = call(datasets.tiles, photograph, size, seed)
            if parts is not None:
                call(datasets.score_map, photograph, parts[0])
        case 3:
            call(datasets.motorcycle, s.or_bad(s.pick((20, 40))), s.or_bad(30.0)) if s.flag() else None


#: What one input may call; what holds the most code comes more than once.
ENTRIES: tuple[Callable[[Source, Call], None], ...] = (
    _losses, _sigmoid, _lists, _moreau, _prox_hinge, _hinge_object, _softmax, _class_cross_entropy, _iou,
    _sets, _extension, _extension, _certificates, _problems, _solvers, _solvers, _toolkit, _checks,
    _reference, _sampling, _interop, _images, *FILE_ENTRIES,
)  # fmt: skip


def run(data: bytes, calls: Counter[str] | None = None) -> str:
    """One input: the name of the entry; or it raises a `Finding` or another exception.

    Parameters
    ----------
    data : bytes
    calls : Counter, optional
        Counts the calls of each function.

    Returns
    -------
    str
    """
    source = Source(data)
    entry, call = source.pick(ENTRIES), Call(source)
    try:
        entry(source, call)
    finally:
        if calls is not None:
            calls.update(call.made)
    return entry.__name__.strip("_")
