"""Problems that the tests of several solvers share, and what every solver must do on them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lovasz_opt import problems, solvers

#: What can be awkward about a linear risk.
KINDS = (
    "separable", "no foreground", "all foreground", "one void image", "all void", "duplicated columns",
    "large features", "small features", "zero features", "one pixel",
)  # fmt: skip


def images(rng, n=6, p=60, d=4, foreground=0.3, noise=0.4, informative=1, shift=1.0):
    """Features and targets: noise, of which some columns are shifted in the foreground, and a constant."""
    features, targets = [], []
    for _ in range(n):
        target = rng.random(p) < foreground
        X = noise * rng.standard_normal((p, d))
        X[:, :informative] += shift * target[:, None]
        X[:, -1] = 1.0
        features.append(X)
        targets.append(target)
    return features, targets


#: Harder to tell apart: the optimum is far from interpolation.
noisy_images = partial(images, noise=1.0, informative=2, shift=1.5)


def risk(seed=0, l2=0.05, **shape):
    """The risk of such images."""
    return problems.LinearHingeRisk(*images(np.random.default_rng(seed), **shape), l2)


def image_prox(seed, p=40):
    """The prox of one image with void pixels."""
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(p) < 0.1, 255, rng.random(p) < 0.4)
    return problems.ImageProx(rng.standard_normal(p), target, gamma=10.0, ignore=255)


def awkward(kind, rng, make=images, l2=1e-2):
    """A risk of one of the `KINDS`."""
    features, targets = make(rng)
    if kind == "separable":
        features, targets = make(rng, noise=0.01)
    elif kind == "no foreground":
        targets = [np.zeros_like(target) for target in targets]
    elif kind == "all foreground":
        targets[1][:] = True
    elif kind == "one void image":
        targets = [target.astype(int) for target in targets]
        targets[0][:] = 255
    elif kind == "all void":
        targets = [np.full(target.shape, 255) for target in targets]
    elif kind == "duplicated columns":
        features = [np.hstack([X, X]) for X in features]
    elif kind == "large features":
        features = [1e4 * X for X in features]
    elif kind == "small features":
        features = [1e-4 * X for X in features]
    elif kind == "zero features":
        features = [np.zeros_like(X) for X in features]
    elif kind == "one pixel":
        features, targets = [features[0][:1]], [targets[0][:1]]
    else:
        raise ValueError(kind)
    return problems.LinearHingeRisk(features, targets, l2=l2, ignore=255)


def assert_certified(result, best):
    """The bounds of a result and those of the certified optimum do not contradict each other."""
    assert np.isfinite(result.x).all()
    assert result.dual <= best.value * (1 + 1e-9) + 1e-14
    assert best.dual <= result.value * (1 + 1e-9)


def assert_finds(result, expected, l2):
    """A result brackets the optimum of a reference, and is as near to it as its gap says."""
    assert result.status == "optimal"
    assert result.dual <= expected.value * (1 + 1e-9)
    assert expected.value <= result.value * (1 + 1e-9)
    # ½μ‖v − v*‖² ≤ gap.
    assert np.linalg.norm(result.x - expected.x) <= np.sqrt(2 * result.gap / l2) + 1e-4


def assert_resumes(
    solve: Callable[..., Any],
    folder: Path,
    part: int,
    whole: int,
    columns: Sequence[str] = ("passes", "value", "dual"),
) -> Any:
    """A run that is saved, loaded and resumed is the run in one piece, to the last bit; returns both."""
    expected = solve(max_iter=whole)
    solve(max_iter=part).save(folder / "part.npz")
    kept = solvers.Result.load(folder / "part.npz")
    # Twice: what is stored must not change under the second run.
    for _ in range(2):
        rest = solve(max_iter=whole, resume=kept)
        np.testing.assert_array_equal(rest.x, expected.x)
        for column in columns:
            np.testing.assert_array_equal(rest.trace[column], expected.trace[column])
    return expected, rest


def interrupted(solve: Callable[..., Any], iteration: int) -> Any:
    """What a run gives that Ctrl-C ends in the callback of an iteration."""

    def interrupt(state):
        if state.iteration == iteration:
            raise KeyboardInterrupt

    result = solve(callback=interrupt)
    assert (result.status, result.nit) == ("interrupted", iteration)
    return result
