"""A certificate of the prox of the Jaccard loss that shares no code with the package: microseconds.

z = argmin ½‖z − x‖² + γ·f(z) iff w = (x − z)/γ lies in the base polytope and ⟨w, z⟩ = f(z). For the Lovász
hinge, f(max(z, 0)) takes the place of f, and {w ≥ 0 : w(A) ≤ Δ(A) for all A} that of the base polytope,
since Δ is monotone. Everything is sorted by other algorithms, no kernel of the package is used, and
membership is checked over all 2^p sets: of those with b background pixels, the worst holds the b of largest
w, together with every foreground pixel of w > 1/(P + b), P being the number of foreground pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _plus(total: float, rest: float, term: float) -> tuple[float, float]:
    """Neumaier's sum: what is lost in adding a term goes to the rest."""
    new = total + term
    rest += (total - new) + term if abs(total) >= abs(term) else (term - new) + total
    return new, rest


@njit(cache=True)
def certificate(
    x: np.ndarray, foreground: np.ndarray, gamma: float, z: np.ndarray, positive: bool, unit: float
) -> tuple[float, float]:
    """Gap and infeasibility of a claimed prox, relative to what rounding can spoil.

    Parameters
    ----------
    x : (p,) float64
        Scores, or margins.
    foreground : (p,) bool
    gamma : float
    z : (p,) float64
        The claimed proximal point.
    positive : bool
        Whether the loss is f(max(z, 0)), as for margins of the Lovász hinge.
    unit : float
        What was added to the entries before they were rounded: the 1 of the margin, or 0.

    Returns
    -------
    gap : float
        γ·(f(z) − ⟨w, z⟩) over ½‖x‖² + ½‖z‖² + unit·(‖x‖₁ + ‖z‖₁) + γ·max|z|, of which it is a difference.
    infeasibility : float
        γ times the largest violation of a constraint, over ‖x‖₁ + ‖z‖₁ + p·unit + γ.
    """
    p = x.shape[0]
    P = 0
    for i in range(p):
        P += foreground[i]
    moves = x - z
    order = np.argsort(-z, kind="mergesort")
    # γ·f(z) by the increments of Δ along the level sets, less ⟨γw, z⟩.
    total, rest, before, a, b = 0.0, 0.0, 0.0, 0, 0
    for k in range(p):
        i = order[k]
        if foreground[i]:
            a += 1
        else:
            b += 1
        after = (a + b) / (P + b)
        height = max(z[i], 0.0) if positive else z[i]
        total, rest = _plus(total, rest, gamma * height * (after - before))
        total, rest = _plus(total, rest, -moves[i] * z[i])
        before = after
    size, length, largest, lowest, whole, lost = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(p):
        size += 0.5 * (x[i] * x[i] + z[i] * z[i])
        length += abs(x[i]) + abs(z[i])
        largest = max(largest, abs(z[i]))
        lowest = min(lowest, moves[i])
        whole, lost = _plus(whole, lost, moves[i])
    scale = size + unit * length + gamma * largest
    gap = (total + rest) / scale if scale > 0.0 else 0.0

    fg = -np.sort(-moves[foreground])
    bg = -np.sort(-moves[~foreground])
    excess = -lowest if positive else abs((whole - gamma) + lost)
    a, total, rest = 0, 0.0, 0.0
    for b in range(len(bg) + 1):
        if b > 0:
            total, rest = _plus(total, rest, bg[b - 1])
        while a < P and fg[a] * (P + b) > gamma:
            total, rest = _plus(total, rest, fg[a])
            a += 1
        if a + b > 0:
            excess = max(excess, (total - gamma * (a + b) / (P + b)) + rest)
    return gap, max(excess, 0.0) / (length + p * unit + gamma)
