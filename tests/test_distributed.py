"""Images on the workers of a cluster: the same answers, whatever happens to the workers."""

import os
import signal
from functools import partial

import numpy as np
import pytest

from lovasz_opt import problems, solvers

#: Windows has one way to end a process, and it asks nobody.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
distributed = pytest.importorskip("distributed")
# Clusters close their sockets and processes in their own time.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*:DeprecationWarning")


def images(seed, n=4, p=300, d=6):
    rng = np.random.default_rng(seed)
    features, targets = [], []
    for _ in range(n):
        target = (rng.random(p) < 0.3).astype(np.uint8)
        X = rng.standard_normal((p, d))
        X[:, 0] += target
        X[:, -1] = 1.0
        target[rng.random(p) < 0.1] = 255
        features.append(X)
        targets.append(target)
    return features, targets


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield local


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as connected:
        yield connected


PARTS = [(0, 3), (1, 5), (2, 1)]


def whole(l2=1e-3):
    features, targets = [], []
    for seed, n in PARTS:
        X, y = images(seed, n)
        features += X
        targets += y
    return problems.LinearHingeRisk(features, targets, l2=l2, ignore=255)


def spread(client, l2=1e-3):
    # One part as data, the others loaded where they are needed.
    parts = [images(*PARTS[0]), *(partial(images, *part) for part in PARTS[1:])]
    return problems.DistributedHingeRisk(client, parts, l2=l2, ignore=255)


def test_values_are_those_of_one_process(client):
    here, there = whole(), spread(client)
    assert (there.n_images, there.n_pixels, there.n_features) == (9, here.n_pixels, 6)
    v = np.random.default_rng(9).standard_normal(6)
    assert there.value(v) == pytest.approx(here.value(v), rel=1e-13)
    np.testing.assert_allclose(
        there.value_and_subgradient(v)[1], here.value_and_subgradient(v)[1], atol=1e-13
    )
    assert there.iou(v) == pytest.approx(here.iou(v), rel=1e-13)
    assert there.passes == pytest.approx(1 + 2 + 1)


def test_ssnal_takes_the_same_steps(client):
    # Away from 0, where all margins are equal and rounding decides which pools there are.
    x0 = np.random.default_rng(10).standard_normal(6)
    here, there = (solvers.ssnal(pb, tol=1e-9, x0=x0) for pb in (whole(), spread(client)))
    assert here.status == there.status == "optimal"
    np.testing.assert_allclose(there.x, here.x, atol=2e-3)
    k = min(here.nit, there.nit, 5) + 1
    np.testing.assert_allclose(there.trace["value"][:k], here.trace["value"][:k], rtol=1e-9)
    np.testing.assert_allclose(there.trace["passes"][:k], here.trace["passes"][:k], rtol=1e-9)
    begun = solvers.ssnal(spread(client), tol=1e-9, max_iter=3)
    gone_on = solvers.ssnal(spread(client), tol=1e-9, resume=begun)
    assert gone_on.status == "optimal"
    np.testing.assert_allclose(gone_on.x, here.x, atol=2e-3)


def test_a_worker_that_is_killed_costs_time_only(client):
    expected = solvers.ssnal(whole(), tol=1e-9)
    killed = []

    def kill(state):
        if state.iteration == expected.nit // 2 and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], KILL)

    result = solvers.ssnal(spread(client), tol=1e-9, callback=kill)
    assert killed
    assert result.status == "optimal"
    np.testing.assert_allclose(result.x, expected.x, atol=2e-3)
    assert result.value == pytest.approx(expected.value, rel=2e-9)


def test_an_iteration_moves_no_pixels(client):
    pb = spread(client)
    system = pb.newton_system()
    system.begin(np.zeros(6))
    for reply in (system.turn(0.1), system.matrix(0.1), system.aim(np.ones(6), 0.1), system.settle()):
        for entry in reply if isinstance(reply, tuple) else (reply,):
            for array in entry if isinstance(entry, tuple) else (entry,):
                assert np.size(array) <= 36


def test_pixel_methods_are_refused(client):
    with pytest.raises(TypeError, match=r"admm needs a problem with a solvable ridge step"):
        solvers.admm(spread(client))


def test_bad_parts_are_refused(client):
    with pytest.raises(ValueError, match="parts is empty"):
        problems.DistributedHingeRisk(client, [])
    with pytest.raises(ValueError, match="parts have 2 and 3 features"):
        problems.DistributedHingeRisk(
            client, [([np.zeros((2, 2))], [[0, 1]]), ([np.zeros((2, 3))], [[0, 1]])]
        )
    with pytest.raises(ValueError, match=r"features\[0\]\[0, 0\] is nan"):
        problems.DistributedHingeRisk(client, [([np.full((2, 2), np.nan)], [[0, 1]])])
