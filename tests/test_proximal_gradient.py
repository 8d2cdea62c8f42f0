"""Proximal gradient: its iteration written out, with a quadratic of any modulus, and its rate."""

import numpy as np
import pytest
from risks import image_prox

from lovasz_opt import solvers


@pytest.mark.parametrize("tau", [0.3, 1.0, 1.6])
def test_is_what_it_says(tau):
    """Errors shrink by |1 − τ| an iteration at least, and the residual of the prox certifies the solution."""
    pb, start, seen = image_prox(3), np.random.default_rng(4).standard_normal(40), []
    # The prox is that of the loss alone: the quadratic may be any other.
    pb.strong_convexity = 0.25
    exact = pb.prox(pb.center, 4.0)
    half = solvers.proximal_gradient(pb, tau, tol=0, max_iter=3, x0=start)
    # The points as the callback sees them, in two parts.
    result = solvers.proximal_gradient(
        pb, tau, tol=1e-11, max_iter=100, resume=half, callback=lambda state: seen.append(state.x.copy())
    )
    x, values, errors = start, [pb.value(start)], [np.linalg.norm(start - exact)]
    for k in range(1, result.nit + 1):
        x = pb.prox((1 - tau) * x + tau * pb.center, 4.0 * tau)
        values.append(pb.value(x))
        errors.append(np.linalg.norm(x - exact))
        if k > 3:
            np.testing.assert_allclose(seen[k - 4], x, atol=1e-12)
    np.testing.assert_allclose(result.trace["value"], values, rtol=1e-12)
    assert (np.array(errors[1:]) <= abs(1 - tau) * np.array(errors[:-1]) + 1e-12).all()
    assert result.status == "optimal"
    # At τ = 1 the first would do.
    assert result.nit <= {0.3: 50, 1.0: 3, 1.6: 40}[tau]
    assert np.linalg.norm(result.x - exact) <= np.sqrt(2 * (result.gap + 1e-13) / 0.25)
