"""One call of this package in a process of its own: seconds and peak extra memory, as JSON.

python benchmarks/child.py CALL '{"p": 1000000, "gamma": 1000.0}' REPEATS     CALL is a name of workloads.py
"""

from __future__ import annotations

import json
import sys

from measure import in_turn, peak_memory
from workloads import CALLS


def measured(name: str, arguments: dict[str, object], repeats: int) -> dict[str, float]:
    # The same kernels on a small problem first: what their code and the libraries take is not the call's.
    CALLS[name](**{**arguments, "p": 64})()
    call = CALLS[name](**arguments)
    with peak_memory() as peak:
        call()
    runs = in_turn({name: call}, repeats)[name] if repeats else []
    return {"bytes": peak["bytes"], "seconds": min(runs, default=float("nan"))}


if __name__ == "__main__":
    name, arguments, repeats = sys.argv[1:]
    print(json.dumps(measured(name, json.loads(arguments), int(repeats))))
