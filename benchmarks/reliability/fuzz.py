"""Fuzzing of every public entry: random bytes become calls; what finds new code is kept and varied.

    python -m pip install -e ".[study]" atheris             # Linux on x86-64, Python 3.11 to 3.14
    python benchmarks/reliability/fuzz.py                   # guided by coverage: 15 minutes, then 10
    python benchmarks/reliability/fuzz.py --random 20000    # at random instead; needs no atheris

The Python code of the package is instrumented by atheris, that is libFuzzer. In the first run kernels are,
too, and run as Python, which also checks the bounds of every access; in the second they are compiled. A
finding is an exception that is not documented, any on good arguments, a warning, a result that is not finite,
a proximal point without a certificate, a changed argument, a hang or a crash. Only a crash ends the run. One
input of each finding is written. The exit status is 1 if there is one. Ctrl-C writes what is done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter, deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

#: Seconds of the processor after which an input counts as a hang; compiling kernels takes some.
_HANG = 60
_LONGEST = 400
#: Inputs at random before the clock starts, which have the kernels compiled.
_FIRST = 1000
_TOLD_EVERY = 5.0
RESULTS = Path(__file__).parent / "results"
Document = dict[str, Any]


class Log:
    """Runs inputs, counts them, and keeps one of them for every different finding.

    Parameters
    ----------
    path : Path, optional
        Written every second.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.inputs = 0
        self.entries: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.findings: dict[str, Document] = {}
        self._path = path
        self._begin = self._saved = self._told = time.perf_counter()

    def one(self, data: bytes) -> None:
        """Run one input.

        Parameters
        ----------
        data : bytes
        """
        from fuzz_calls import run

        self.inputs += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, _HANG)
        try:
            entry = run(data, self.calls)
        except Exception as error:
            entry = "findings"
            self._note(error, data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self.entries[entry] += 1
        if self._path is not None and time.perf_counter() > self._saved + 1:
            self.save()

    def _note(self, error: Exception, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        at = ([f for f in frames if "lovasz_opt" in f.filename] or frames)[-1]
        message = f"{type(error).__name__}: {error}"
        # Numbers differ from input to input.
        key = f"{Path(at.filename).name}:{at.lineno}: {re.sub('[0-9]', '#', message[:60])}"
        finding = self.findings.setdefault(key, {"message": message[:300], "times": 0, "data": data.hex()})
        finding["times"] += 1
        if 2 * len(data) < len(finding["data"]):
            finding["data"] = data.hex()

    def document(self) -> Document:
        """What is known so far.

        Returns
        -------
        dict
        """
        return {
            "inputs": self.inputs,
            "seconds": round(time.perf_counter() - self._begin, 1),
            "entries": dict(sorted(self.entries.items())),
            "calls": dict(sorted(self.calls.items())),
            "findings": self.findings,
        }

    def save(self) -> None:
        """Write it, if there is a path, and tell how far it is."""
        self._saved = time.perf_counter()
        if self._path is not None:
            if self._saved > self._told + _TOLD_EVERY:
                self._told = self._saved
                print(_line(self._path.stem, self.document()), file=sys.stderr, flush=True)
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self.document()), encoding="utf-8")
            part.replace(self._path)


def _line(mode: str, document: Document) -> str:
    found = len(document["findings"])
    return f"{mode}: {document['inputs']:,} inputs in {document['seconds']:.0f} s, {found} findings"


def _hang(*_: Any) -> None:
    raise TimeoutError(f"an input takes more than {_HANG} s")


def at_random(count: int, seed: int, log: Log | None = None) -> Log:
    """Inputs of random bytes; Ctrl-C ends with those that are done.

    Parameters
    ----------
    count, seed : int
    log : Log, optional
        One to go on with.

    Returns
    -------
    Log
    """
    signal.signal(signal.SIGVTALRM, _hang)
    log, rng = log or Log(), random.Random(seed)
    try:
        for _ in range(count):
            log.one(rng.randbytes(rng.randrange(8, _LONGEST)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return log


def _child(path: Path, interpreted: bool, seconds: int, seed: int) -> None:
    """Fuzz in this process, and end it: libFuzzer never returns."""
    import atheris

    if interpreted:
        _interpret_kernels()
    # Machine code cannot be instrumented, and Numba does not compile what is.
    kernels = Path(__file__).parents[2] / "lovasz_opt" / "kernels"
    exclude = [] if interpreted else [f"lovasz_opt.kernels.{file.stem}" for file in kernels.glob("*.py")]
    with atheris.instrument_imports(include=["lovasz_opt"], exclude=exclude):
        import fuzz_calls  # noqa: F401
    log, end = Log(path), math.inf

    def stop(*_: Any) -> None:
        log.save()
        os._exit(0)

    def one(data: bytes) -> None:
        log.one(data)
        if time.perf_counter() > end:
            stop()

    signal.signal(signal.SIGINT, stop)
    at_random(_FIRST, seed, log)
    end = time.perf_counter() + seconds
    corpus = path.with_suffix("")
    corpus.mkdir(exist_ok=True)
    options = [
        f"-max_len={_LONGEST}", f"-seed={seed}", "-len_control=0", "-timeout=300", "-rss_limit_mb=8000",
        "-handle_int=0", f"-artifact_prefix={corpus}/", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def _interpret_kernels() -> None:
    """Have `numba.njit` leave functions as they are, but for its division by zero, which is NumPy's."""
    import numba
    import numpy as np

    def njit(*_: Any, **__: Any) -> Any:
        def decorated(function: Any) -> Any:
            def called(*args: Any) -> Any:
                with np.errstate(all="ignore"):
                    return function(*[np.float64(a) if isinstance(a, float) else a for a in args])

            return called

        return decorated

    numba.njit = njit


def guided(seconds: int, seed: int, interpreted: bool, corpus: Path) -> Document:
    """Run libFuzzer in another process, which may crash.

    Parameters
    ----------
    seconds, seed : int
    interpreted : bool
        Whether kernels are instrumented Python.
    corpus : Path
        Folder for the inputs that found new code; the next run starts from them.

    Returns
    -------
    dict
        What was done and found, the coverage that libFuzzer counts, the exit status (0 unless it crashed),
        and the last lines of a crash.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    mode = "interpreted" if interpreted else "compiled"
    path = corpus / f"{mode}.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", str(path), "--seed", str(seed), f"--{mode}", str(seconds)]
    tail: deque[str] = deque(maxlen=20)
    coverage, interrupted = "", False
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        while True:
            try:
                line = process.stderr.readline()
            except KeyboardInterrupt:
                # The other process has it from the terminal, too, and writes what it has.
                interrupted = True
                continue
            if not line:
                break
            if line.startswith(f"{mode}: "):
                print(line, end="", file=sys.stderr, flush=True)
            else:
                tail.append(line.rstrip())
            coverage = line if " cov: " in line else coverage
    document: Document = {"inputs": 0, "seconds": 0.0, "entries": {}, "calls": {}, "findings": {}}
    if path.exists():
        document |= json.loads(path.read_text(encoding="utf-8"))
    counted = re.search(r"cov: (\d+) ft: (\d+) corp: (\d+)", coverage)
    if counted:
        document |= zip(("edges", "features", "corpus"), map(int, counted.groups()), strict=True)
    crash = list(tail) if process.returncode else []
    return document | {"interrupted": interrupted, "exit": process.returncode, "crash": crash}


def _tell(mode: str, document: Document) -> None:
    print(_line(mode, document))
    for key, finding in document["findings"].items():
        print(f"{finding['times']} × {key}\n    {finding['message']}\n    --input {finding['data']}")
    print("\n".join(document.get("crash", [])), end="")


def main(arguments: list[str] | None = None) -> int:
    """Fuzz, print, write; 1 if there are findings, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = {"interpreted": 900, "compiled": 600}
    for mode, seconds in modes.items():
        parser.add_argument(
            f"--{mode}", type=int, metavar="SECONDS",
            help=f"with {mode} kernels alone; without such an option, both ({seconds} s)",
        )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--random", type=int, metavar="COUNT", help="inputs at random, written nowhere")
    parser.add_argument("--input", metavar="HEX", help="run one input, and show its traceback")
    parser.add_argument(
        "--corpus", type=Path, default=Path("fuzz"),
        help="folder of inputs that found new code, from which the next run starts (default: ./%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS / "fuzz.json",
        help="(default: results/fuzz.json beside this script)",
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    asked = {mode: getattr(options, mode) for mode in modes if getattr(options, mode) is not None}
    if options.child is not None:
        ((mode, seconds),) = asked.items()
        _child(options.child, mode == "interpreted", seconds, options.seed)
    if options.input is not None:
        from fuzz_calls import run

        print(run(bytes.fromhex(options.input)))
        return 0
    if options.random is not None:
        log = at_random(options.random, options.seed)
        _tell("at random", log.document())
        return int(bool(log.findings))

    from environment import environment

    failed = interrupted = False
    for mode, seconds in (asked or modes).items():
        document = guided(seconds, options.seed, mode == "interpreted", options.corpus)
        runs = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        runs[mode] = {"environment": environment(), "seed": options.seed, **document}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(runs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _tell(mode, document)
        failed |= bool(document["findings"] or document["exit"])
        interrupted |= document["interrupted"]
        if interrupted:
            break
    return 1 if failed else 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
