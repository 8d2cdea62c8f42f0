"""What a user writes against the installed package: checked by `mypy --strict`, then run (.ci/wheel)."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import lovasz_opt as lo

rng = np.random.default_rng(0)
target = rng.random(200) < 0.3
logits = rng.standard_normal(200)

jaccard = lo.Jaccard(target)
assert_type(jaccard.is_submodular, bool)
f = lo.LovaszExtension(jaccard)
assert_type(f.subgradient(logits), NDArray[np.floating[Any]])
z = f.prox(logits, gamma=5.0)
assert_type(z, NDArray[np.floating[Any]])
certificate = lo.verify_prox(f, logits, 5.0, z)
assert_type(certificate, lo.Certificate)
assert_type(certificate.gap, float)
assert abs(certificate.gap) < 1e-10

hinge = lo.LovaszHinge(target)
value, subgradient = hinge.value_and_subgradient(logits)
assert_type(value, float)
assert_type(hinge(logits), float)
assert hinge(hinge.prox(logits, gamma=5.0)) < value

problem = lo.problems.LinearHingeRisk([rng.standard_normal((200, 3))], [target], l2=1e-2)
result = lo.solvers.ssnal(problem, tol=1e-8)
assert_type(result, lo.solvers.Result)
assert_type(result.gap, float)
assert result.gap <= 1e-8 * abs(result.value), result.message
print(f"typed client: gap of the prox {certificate.gap:.1e}, of the risk {result.gap:.1e}")
