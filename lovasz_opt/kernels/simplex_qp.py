"""Concave quadratic programs over the simplex by an active-set method."""

import numpy as np

from ._jit import kernel

_EPSILON = 2.220446049250313e-16
#: A column is dependent on others if no more than this share of its squared length is left of it.
_DEPENDENT = 1e-12


@kernel
def _eliminate(R, size, column):
    """Solve Rᵀw = column in place."""
    for i in range(size):
        column[i] /= R[i, i]
        t = column[i]
        for j in range(i + 1, size):
            column[j] -= t * R[i, j]


@kernel
def _substitute(R, size, column):
    """Solve Rw = column in place."""
    for i in range(size - 1, -1, -1):
        t = column[i]
        for j in range(i + 1, size):
            t -= R[i, j] * column[j]
        column[i] = t / R[i, i]


@kernel
def _append(R, size, G, shift, support, k, work):
    """Add column k to the factor, with work = R⁻ᵀ(column); False, and nothing added, if it is dependent."""
    for i in range(size):
        work[i] = G[support[i], k] + shift
    _eliminate(R, size, work)
    total = G[k, k] + shift
    rest = total
    for i in range(size):
        rest -= work[i] * work[i]
    if rest <= _DEPENDENT * total:
        return False
    for i in range(size):
        R[i, size] = work[i]
    R[size, size] = np.sqrt(rest)
    support[size] = k
    return True


@kernel
def _remove(R, size, support, position):
    """Take a column out of the factor: R is upper Hessenberg from there on, and Givens rotations mend it."""
    for j in range(position + 1, size):
        support[j - 1] = support[j]
        for i in range(j + 1):
            R[i, j - 1] = R[i, j]
    for j in range(position, size - 1):
        a, b = R[j, j], R[j + 1, j]
        length = np.hypot(a, b)
        c, s = a / length, b / length
        R[j, j] = length
        for i in range(j + 1, size - 1):
            above, below = R[j, i], R[j + 1, i]
            R[j, i] = c * above + s * below
            R[j + 1, i] = c * below - s * above


@kernel
def _advance(weights, support, size, direction, longest):
    """Move until a weight reaches 0, by one step of the longest length at most.

    Returns the step and the position in the support of the weight that reached 0, or −1.
    """
    step, leaving = longest, -1
    for i in range(size):
        if direction[i] < 0.0 and weights[support[i]] + step * direction[i] <= 0.0:
            step, leaving = weights[support[i]] / -direction[i], i
    for i in range(size):
        weights[support[i]] = max(weights[support[i]] + step * direction[i], 0.0)
    if leaving >= 0:
        weights[support[leaving]] = 0.0
    return step, leaving


@kernel
def _climb(R, size, G, shift, b, weights, support, direction, ones):
    """Go to the greatest value on the simplex of the support, and return the size of what is left of it."""
    while True:
        weights /= weights.sum()
        for i in range(size):
            direction[i] = _gradient(G, b, weights, support, size, support[i])[0]
            ones[i] = 1.0
        _eliminate(R, size, direction)
        _substitute(R, size, direction)
        _eliminate(R, size, ones)
        _substitute(R, size, ones)
        along, across = 0.0, 0.0
        for i in range(size):
            along += direction[i]
            across += ones[i]
        for i in range(size):
            direction[i] -= along / across * ones[i]
        _, leaving = _advance(weights, support, size, direction, 1.0)
        if leaving < 0:
            weights /= weights.sum()
            return size
        _remove(R, size, support, leaving)
        size -= 1


@kernel
def _enter(R, size, G, shift, weights, support, k, work):
    """Add index k to the support, and return the size of the support.

    While it depends on the others, the quadratic is flat along a direction in which its weight grows and the
    objective rises: go there until another index leaves.
    """
    while not _append(R, size, G, shift, support, k, work):
        for i in range(size):
            work[i] = -work[i]
        _substitute(R, size, work)
        step, leaving = _advance(weights, support, size, work, 1.0)
        weights[k] += step
        if leaving < 0:
            leaving = 0
            for i in range(1, size):
                if weights[support[i]] < weights[support[leaving]]:
                    leaving = i
            weights[support[leaving]] = 0.0
        _remove(R, size, support, leaving)
        size -= 1
    return size + 1


@kernel
def _gradient(G, b, weights, support, size, k):
    """Entry k of b − Gw, and the size of its terms."""
    value, terms = b[k], abs(b[k])
    for j in range(size):
        product = G[k, support[j]] * weights[support[j]]
        value -= product
        terms += abs(product)
    return value, terms


@kernel
def simplex_qp(G, b, weights, max_pivots):
    """Maximise ⟨b, w⟩ − ½⟨w, Gw⟩ over w ≥ 0, Σw = 1, from feasible weights that are changed in place.

    G is symmetric and positive semidefinite, and sums of its entries are finite.

    A Cholesky factor RᵀR of G + shift·11ᵀ on the support of w gives the direction to the greatest value on
    the affine hull of the support; the shift makes the matrix regular where the columns are affinely
    independent, and the support is kept so. Weights that reach 0 on the way leave the support. Then the index
    with the largest gradient enters.

    Returns the number of indices that entered and the gap: the largest gradient minus the mean gradient,
    which bounds what is missing of the maximum, and which ends at the size of rounding.
    """
    n = b.size
    R = np.empty((n, n))
    support = np.empty(n, np.int64)
    direction, ones = np.empty(n), np.empty(n)
    diagonal = np.diag(G).copy()
    shift = np.median(diagonal)
    if not shift > 0.0:
        # A matrix that is 0 is as regular with one shift as with another.
        shift = diagonal.max() if diagonal.max() > 0.0 else 1.0
    size = 0
    for k in range(n):
        if weights[k] > 0.0:
            if _append(R, size, G, shift, support, k, ones):
                size += 1
            else:
                weights[k] = 0.0
    pivots, stale, least = 0, 0, np.inf
    while True:
        size = _climb(R, size, G, shift, b, weights, support, direction, ones)
        largest, mean, rounding, entering = -np.inf, 0.0, 0.0, -1
        for k in range(n):
            value, terms = _gradient(G, b, weights, support, size, k)
            mean += weights[k] * value
            if value > largest:
                largest, rounding, entering = value, 8.0 * _EPSILON * terms, k
        gap = largest - mean
        stale += 1
        if gap < least:
            least, stale = gap, 0
        if gap <= rounding or stale > n or pivots >= max_pivots:
            return pivots, gap
        pivots += 1
        inside = False
        for i in range(size):
            inside = inside or support[i] == entering
        # Inside already: the climb ended short of its goal by rounding, and the next goes on.
        if not inside:
            size = _enter(R, size, G, shift, weights, support, entering, ones)
