"""Read the problem of one prox from a file: labels, scores, and possibly a step and a claimed answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ._npz import read_npz


class ProxProblem(NamedTuple):
    """Arguments of a prox, as `certify_prox` takes them.

    Attributes
    ----------
    target : sequence of {0, 1}
    x : sequence of numbers or of str
    gamma : number or None
        None if the file has no step.
    z : sequence of numbers or of str, or None
        A claimed proximal point; None if the file has none.
    """

    target: Any
    x: Any
    gamma: Any
    z: Any


def read_problem(path: Path) -> ProxProblem:
    """Read an .npz file with arrays target, x, gamma, z, or text with a line ``y x`` or ``y x z`` per pixel.

    Parameters
    ----------
    path : Path
        Arrays of images are flattened. Numbers in text are integers, decimals or fractions p/q.

    Returns
    -------
    ProxProblem

    Raises
    ------
    ValueError
        If the file is damaged, or an array or a column is missing; the message names the file and the line.
    OSError
        If it cannot be opened.
    """
    return _from_arrays(path) if path.suffix == ".npz" else _from_text(path)


def _from_arrays(path: Path) -> ProxProblem:
    found = read_npz(path)
    for name in ("target", "x"):
        if name not in found:
            raise ValueError(
                f"{path}: holds no array {name!r}; found {', '.join(found) or 'none'}: save target and x"
            )
    gamma, z = found.get("gamma"), found.get("z")
    if gamma is not None and gamma.size != 1:
        raise ValueError(f"{path}: gamma has {gamma.size} entries, expected one number")
    return ProxProblem(
        found["target"].ravel(),
        found["x"].ravel(),
        None if gamma is None else gamma.item(),
        None if z is None else z.ravel(),
    )


def _from_text(path: Path) -> ProxProblem:
    rows: list[list[str]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text; give text or an .npz file") from None
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if (
            fields[0] not in ("0", "1")
            or len(fields) != len(rows[0] if rows else fields)
            or len(fields) not in (2, 3)
        ):
            raise ValueError(
                f"{path}, line {number}: expected 'y x' or 'y x z' with y = 0 or 1, the same on all lines, "
                f"found {line[:40]!r}"
            )
        rows.append(fields)
    if not rows:
        raise ValueError(f"{path}: holds no pixel; write a line 'y x' for each")
    y, x, *z = zip(*rows, strict=True)
    return ProxProblem(list(map(int, y)), x, None, z[0] if z else None)
