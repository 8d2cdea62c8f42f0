"""Proofs in exact rational arithmetic: the counterexamples of docs/algorithm.md, and random integer problems.

    python proofs/rationals.py [--problems 300] [--seed 0]

For every random integer problem the float prox is turned into the rational point that its pools stand for,
and that point is proved optimal: w = (x − z)/gamma lies in the base polytope, checked over all 2^p sets, and
⟨w, z⟩ = f(z). Exits with 1 if a proof fails.
"""

import argparse
import sys
from fractions import Fraction

import numpy as np

import lovasz_opt as lo
from lovasz_opt.exact import values_of_pools

COUNTEREXAMPLES = [
    # target, x, gamma, the prox, what pooling in the order of x gives
    ([1, 0, 1], [26, 12, 13], 12, [20, 10, 9], [20, "19/2", "19/2"]),
    ([0, 1, 0], ["3/2", 1, "99/100"], 1, [1, "2/3", "247/300"], [1, "149/200", "149/200"]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=300, help="number of random integer problems")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = 0
    for target, x, gamma, right, wrong in COUNTEREXAMPLES:
        F = lo.Jaccard(target)
        ok = lo.verify_prox_exact(F, x, gamma, right).optimal
        ok &= not lo.verify_prox_exact(F, x, gamma, wrong).optimal
        print(f"target {target}, x {x}, gamma {gamma}: {right}, not {wrong}: {'proved' if ok else 'FAILED'}")
        failed += not ok
    rng = np.random.default_rng(arguments.seed)
    largest = 0
    for _ in range(arguments.problems):
        p = int(rng.integers(1, 200))
        largest = max(largest, p)
        F = lo.Jaccard(rng.random(p) < rng.random())
        x = [Fraction(int(i)) for i in rng.integers(-50, 51, p)]
        gamma = Fraction(int(rng.integers(1, 40 * p)), int(rng.integers(1, 10)))
        pools = lo.LovaszExtension(F).prox_solution(np.array(x, dtype=float), float(gamma)).pools
        failed += not lo.verify_prox_exact(F, x, gamma, values_of_pools(F.target, x, gamma, pools)).optimal
    total = len(COUNTEREXAMPLES) + arguments.problems
    print(f"random integer problems of up to {largest} pixels: {arguments.problems}")
    print(f"{total - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
