"""The exact prox started from the solution before, against the same prox from nothing, in turn.

The input takes random steps, as in an iterative solver; the table holds medians of the ratio, step by step.

python benchmarks/warm_start.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import lovasz_opt as lo


def seconds(function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="steps of the input (default 15)")
    repeats = parser.parse_args().repeats
    steps = (1e-8, 1e-6, 1e-5, 1e-4, 1e-2)
    print("time with start= over time without, 30 % foreground, gamma = p/3, standard normal scores\n")
    print(f"{'p':>9}{'ms cold':>10}" + "".join(f"{f'step {step:g}':>12}" for step in steps))
    for p in (10**4, 10**5, 10**6):
        rng = np.random.default_rng(0)
        f = lo.LovaszExtension(lo.Jaccard(rng.random(p) < 0.3))
        cells, colds = [], []
        for step in steps:
            x, ratios = rng.standard_normal(p), []
            z = f.prox(x, p / 3, start=x)
            for _ in range(repeats):
                x = x + step * rng.standard_normal(p)
                cold, expected = seconds(f.prox, x, p / 3)
                warm, z = seconds(f.prox, x, p / 3, start=z)
                assert np.array_equal(z, expected)
                ratios.append(warm / cold)
                colds.append(cold)
            cells.append(statistics.median(ratios))
        print(
            f"{p:>9}{1e3 * statistics.median(colds):>10.2f}" + "".join(f"{c:>12.2f}" for c in cells),
            flush=True,
        )


if __name__ == "__main__":
    main()
