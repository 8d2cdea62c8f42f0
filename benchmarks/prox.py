"""The exact prox against one argsort of the same array, over steps and class balance.

Both sides run in turn in one process; the table holds medians of the ratio, run by run.

    python benchmarks/prox.py [--size 1000000] [--repeats 5]
"""

import argparse
import platform
import statistics
import time

import numba
import numpy as np

import lovasz_opt as lo


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10**6, help="number of pixels")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    p = arguments.size
    rng = np.random.default_rng(0)
    x = rng.standard_normal(p)
    print(
        f"p = {p}, float64, standard normal; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"Numba {numba.__version__}"
    )
    print("exact prox, sorting included, as a multiple of np.argsort (median of run-by-run ratios)\n")
    steps = {"1": 1.0, "p/100": p / 100, "p/10": p / 10, "p/3": p / 3, "p": float(p), "10p": 10.0 * p}
    print(f"{'gamma':>8}" + "".join(f"{f'{share:.0%} fg':>10}" for share in (0.05, 0.3, 0.7)))
    ratios = []
    for name, gamma in steps.items():
        cells = []
        for share in (0.05, 0.3, 0.7):
            f = lo.LovaszExtension(lo.Jaccard(rng.random(p) < share))
            f.prox(x[:10].repeat(p // 10 + 1)[:p], 1.0)
            runs = [
                seconds(lambda f=f, gamma=gamma: f.prox(x, gamma)) / seconds(lambda: np.argsort(x))
                for _ in range(arguments.repeats)
            ]
            cells.append(statistics.median(runs))
        ratios += cells
        print(f"{name:>8}" + "".join(f"{cell:>10.2f}" for cell in cells))
    print(f"\ngeometric mean {statistics.geometric_mean(ratios):.2f}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
