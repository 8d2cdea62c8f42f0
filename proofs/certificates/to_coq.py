"""Turn certificates into one Coq file that counts how many of them the checker in Coq accepts.

    python proofs/certificates/to_coq.py FILE... [--largest 300000] > batch.v

Compiling batch.v prints a pair: how many certificates are accepted, and how many there are.
"""

import argparse
import sys
from pathlib import Path

from check import Invalid, parse

HEAD = """\
From mathcomp Require Import ssreflect seq.
From lovasz Require Import checker.
"""


def row(y, *integers):
    """A pixel with X and Z, and V for `check_error_literals`."""
    # Coq takes quadratic time for decimal integers, linear for hexadecimal.
    return f"({', '.join(['true' if y else 'false', *map(hex, integers)])})"


def verdict(rows, G, E):
    """The boolean that the checker computes for a certificate."""
    pixels = f"[:: {'; '.join(row(*pixel) for pixel in rows)}]%literal"
    return f"check_literals {pixels} {G:#x}" if E is None else f"check_error_literals {pixels} {G:#x} {E:#x}"


def batch(certificates):
    """The whole file, from pairs of a name and what `check.parse` returns."""
    lines = [HEAD]
    for number, (name, certificate) in enumerate(certificates):
        lines += [f"(* {name} *)", f"Definition verdict_{number} := {verdict(*certificate)}."]
    verdicts = "; ".join(f"verdict_{number}" for number in range(len(certificates)))
    lines += ["", f"Definition verdicts := [:: {verdicts}].", ""]
    lines += ["Eval vm_compute in (count id verdicts, size verdicts)."]
    return "\n".join(lines) + "\n"


def main():
    sys.set_int_max_str_digits(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--largest", type=int, default=300000, help="bytes; larger files are left out")
    arguments = parser.parse_args()
    certificates = []
    for path in arguments.files:
        try:
            if path.stat().st_size > arguments.largest:
                continue
            certificate = parse(path.read_text(encoding="utf-8"))
        except (Invalid, OSError, UnicodeDecodeError) as error:
            sys.exit(f"{path}: {error}")
        certificates.append((path.name, certificate))
    print(batch(certificates), end="")


if __name__ == "__main__":
    main()
