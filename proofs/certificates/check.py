"""Check certificates of proximal points of the Jaccard loss, in integers and with the standard library alone.

    python check.py FILE...
    python check.py --batch DIRECTORY

Prints `FILE: valid` or `FILE: INVALID: reason`; exits with 1 if a file is invalid. A batch holds certificates
that must be valid, DIRECTORY/valid/*.txt, and others that must not, DIRECTORY/corrupted/*.txt; only verdicts
that are not as they must be are printed, then the counts. README.md defines the format and what it claims.
"""

import re
import sys
from pathlib import Path

INTEGER = re.compile("0|-?[1-9][0-9]*")


class Invalid(Exception):
    """The text is no certificate, or what it claims is false."""


def parse(text):
    """Return the rows, the step G and the error E, which is None if the certificate gives none."""
    lines = text.split("\n")

    def fields(at, words, count, what):
        found = lines[at].split(" ") if at < len(lines) else []
        first, rest = found[: len(words)], found[len(words) :]
        if first != words or len(rest) != count or not all(map(INTEGER.fullmatch, rest)):
            raise Invalid(f"line {at + 1} is not {what}")
        return list(map(int, rest))

    def header(at, word, least):
        what = f"'{word}' and an integer >= {least}"
        (value,) = fields(at, [word], 1, what)
        if value < least:
            raise Invalid(f"line {at + 1} is not {what}")
        return value

    fields(0, ["lovasz-opt", "certificate", "1"], 0, "'lovasz-opt certificate 1'")
    fields(1, ["loss", "jaccard"], 0, "'loss jaccard'")
    pixels = header(2, "pixels", 1)
    header(3, "denominator", 1)
    G = header(4, "gamma", 1)
    E = header(5, "error", 0) if lines[5:6] and lines[5].startswith("error") else None
    start, columns = (5, "y X Z") if E is None else (6, "y X Z V")
    if len(lines) != start + pixels + 2:
        raise Invalid(f"{pixels} pixels make {start + pixels + 1} lines, here are {len(lines) - 1}")
    rows = [fields(start + i, [], len(columns.split()), f"integers {columns}") for i in range(pixels)]
    fields(start + pixels, ["end"], 0, "'end'")
    fields(start + pixels + 1, [""], 0, "the end of the file")
    for i, row in enumerate(rows):
        if row[0] not in (0, 1):
            raise Invalid(f"line {start + i + 1}: y is neither 0 nor 1")
    return rows, G, E


def check_tight(rows, G):
    """Raise unless w(A) = Delta(A) on every set A = {Z >= t}; the last one is the set of all pixels."""
    foreground = sum(y for y, *_ in rows)
    rows = sorted(rows, key=lambda row: row[2], reverse=True)
    a = b = total = 0
    for place, (y, X, Z, *_) in enumerate(rows, start=1):
        a, b, total = a + y, b + 1 - y, total + X - Z
        level_ends = place == len(rows) or rows[place][2] < Z
        if level_ends and total * (foreground + b) != G * (a + b):
            raise Invalid(f"w is not tight on the {place} pixels with the largest Z")


def check_in_base_polytope(rows, G):
    """Raise unless w(A) <= Delta(A) on all sets A of pixels.

    For b background pixels Delta(A) = (a + b) / (P + b) is linear in the foreground of A: the worst A takes
    the b largest background w, and every foreground w that is larger than what it costs, 1 / (P + b).
    """
    fg = sorted((X - Z for y, X, Z, *_ in rows if y == 1), reverse=True)
    bg = sorted((X - Z for y, X, Z, *_ in rows if y == 0), reverse=True)
    a = total = 0
    for b in range(len(bg) + 1):
        total += bg[b - 1] if b > 0 else 0
        while a < len(fg) and fg[a] * (len(fg) + b) > G:
            total += fg[a]
            a += 1
        if total * (len(fg) + b) > G * (a + b):
            raise Invalid(f"w is too large on {a} foreground and {b} background pixels")


def check_error(rows, E):
    """Raise unless the Euclidean distance of V and Z is at most E."""
    if sum((V - Z) ** 2 for _, _, Z, V in rows) > E * E:
        raise Invalid("V is further than E from Z")


def check(text):
    """Return None if the certificate is valid, else the reason why not."""
    try:
        rows, G, E = parse(text)
        check_tight(rows, G)
        check_in_base_polytope(rows, G)
        if E is not None:
            check_error(rows, E)
    except Invalid as reason:
        return str(reason)
    return None


def check_file(path):
    try:
        return check(Path(path).read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def verdict(path, reason):
    return f"{path}: valid" if reason is None else f"{path}: INVALID: {reason}"


def check_batch(directory):
    wrong = 0
    for folder, valid in (("valid", True), ("corrupted", False)):
        reasons = {path: check_file(path) for path in sorted(Path(directory, folder).glob("*.txt"))}
        unexpected = [path for path, reason in reasons.items() if (reason is None) != valid]
        for path in unexpected:
            print(verdict(path, reasons[path]))
        accepted = sum(reason is None for reason in reasons.values())
        print(f"{directory}/{folder}: {accepted} valid, {len(reasons) - accepted} invalid")
        # An empty batch shows nothing.
        wrong += len(unexpected) + (not reasons)
    return wrong


def main(arguments):
    # Integers in text may have any number of digits.
    sys.set_int_max_str_digits(0)
    if len(arguments) == 2 and arguments[0] == "--batch":
        return int(check_batch(arguments[1]) > 0)
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    reasons = {path: check_file(path) for path in arguments}
    for path, reason in reasons.items():
        print(verdict(path, reason))
    return int(any(reason is not None for reason in reasons.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
