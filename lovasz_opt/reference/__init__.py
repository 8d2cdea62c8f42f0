"""The same answers as the fast code, from brute force, exact fractions and a convex solver.

Slow, obvious and independent: only values of a set function on masks are used. `brute` enumerates all sets,
`rational` computes in fractions, `convex` hands the problem to CVXPY (extra ``reference``, imported on
first use).
"""

from .brute import (
    all_masks,
    codes_of,
    extension_by_levels,
    extension_by_lp,
    extension_over_vertices,
    infeasibility,
    project,
    prox,
    prox_gap,
    set_values,
    vertices,
)
from .convex import (
    ReferenceSolution,
    prox_all_sets,
    prox_constraint_generation,
    prox_counts,
    prox_dotsort,
    solve_image_prox,
    solve_linear_hinge_risk,
    solve_linearised_softmax_risk,
)
from .rational import as_fractions, jaccard_row, prox_counts_exact, set_values_exact

__all__ = [
    "ReferenceSolution",
    "all_masks",
    "as_fractions",
    "codes_of",
    "extension_by_levels",
    "extension_by_lp",
    "extension_over_vertices",
    "infeasibility",
    "jaccard_row",
    "project",
    "prox",
    "prox_all_sets",
    "prox_constraint_generation",
    "prox_counts",
    "prox_counts_exact",
    "prox_dotsort",
    "prox_gap",
    "set_values",
    "set_values_exact",
    "solve_image_prox",
    "solve_linear_hinge_risk",
    "solve_linearised_softmax_risk",
    "vertices",
]
