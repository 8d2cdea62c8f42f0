"""Peak extra memory of the exact prox, in float64 arrays of p, each case in a process of its own.

python benchmarks/memory.py [--size 10000000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

CHILD = """
import sys
import numpy as np, lovasz_opt as lo

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))

kind, p, gamma, share = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
rng = np.random.default_rng(0)
x, target = rng.standard_normal(p), np.empty(p, dtype=bool)
for start in range(0, p, 1 << 16):
    target[start : start + (1 << 16)] = rng.random(len(target[start : start + (1 << 16)])) < share
make = lambda y: lo.LovaszHinge(y) if kind == "hinge" else lo.LovaszExtension(lo.Jaccard(y))
make(target[:99]).prox(x[:99], 1.0)
loss = make(target)
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
before = status("VmRSS")
z = loss.prox(x, gamma)
print((status("VmHWM") - before) / (8 * p))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10**7, help="number of pixels p (default 10^7)")
    p = parser.parse_args().size
    shares = (0.0, 0.05, 0.7, 1.0)
    print(f"p = {p}, float64; peak extra memory in float64 arrays of p, the result included\n")
    print(f"{'prox of':>10}{'gamma':>8}" + "".join(f"{f'{share:.0%} fg':>9}" for share in shares))
    worst = 0.0
    for kind in ("extension", "hinge"):
        for name, gamma in (("1", 1.0), ("p/3", p / 3), ("10p", 10.0 * p)):
            cells = []
            for share in shares:
                command = [sys.executable, "-c", CHILD, kind, str(p), str(gamma), str(share)]
                cells.append(
                    float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                )
            worst = max(worst, *cells)
            print(f"{kind:>10}{name:>8}" + "".join(f"{cell:>9.2f}" for cell in cells), flush=True)
    print(f"\nworst {worst:.2f}")


if __name__ == "__main__":
    main()
