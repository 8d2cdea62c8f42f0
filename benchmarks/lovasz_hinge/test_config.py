"""What `benchopt test` checks of this benchmark besides the form of its parts."""

import numpy as np
from lovasz_opt.datasets import shapes
from lovasz_opt.problems import LinearHingeRisk
from lovasz_opt.solvers import ssnal

from benchmark_utils.risk import VOID, Risk

_L2 = 0.01


def _small():
    """Images of unequal size, with void pixels, one all void and one without foreground."""
    images = shapes(n=5, size=10, seed=3)
    features = [X[: 100 - 7 * i] for i, X in enumerate(images.features)]
    targets = [target[: len(X)].copy() for X, target in zip(features, images.targets, strict=True)]
    targets[1][::5] = VOID
    targets[2][:] = VOID
    targets[3][:] = 0
    return features, targets


def check_test_benchmark_objective(benchmark):
    """The referee and the package agree on values, subgradients and IoU."""
    features, targets = _small()
    referee, package = Risk(features, targets, _L2), LinearHingeRisk(features, targets, _L2, ignore=VOID)
    for v in np.random.default_rng(0).standard_normal((5, 4)):
        value, subgradient = package.value_and_subgradient(v)
        np.testing.assert_allclose(referee.value(v), value, rtol=1e-12)
        np.testing.assert_allclose(referee.subgradient(v), subgradient, rtol=1e-10, atol=1e-12)
        assert referee.iou(v) == package.iou(v)


def check_test_solver_run(solver):
    """A solver comes near the optimum, and the bound that it certifies is one."""
    if not solver.is_installed():
        return
    features, targets = _small()
    optimum = ssnal(LinearHingeRisk(features, targets, _L2, ignore=VOID), tol=1e-9)
    instance = solver.get_instance()
    instance.set_objective(features, targets, _L2, VOID)
    instance.run_once(300)
    result = instance.get_result()
    value = Risk(features, targets, _L2).value(result["v"])
    assert optimum.dual * (1 - 1e-9) <= value <= 1.1 * optimum.value
    assert result.get("dual", 0.0) <= optimum.value * (1 + 1e-9)
