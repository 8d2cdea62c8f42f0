"""Which classes a multi-class loss counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Classes = str | Sequence[int] | NDArray[np.integer]


def listed_classes(classes: Classes, n_classes: int) -> Any:
    """Return the class numbers that an argument `classes` may count; all of them for "present".

    Raises
    ------
    ValueError
        If it is neither "present" nor "all" nor a list of different class numbers.
    """
    if isinstance(classes, str):
        if classes not in ("present", "all"):
            raise ValueError(f"classes is {classes!r}; pass 'present', 'all' or a list of class numbers")
        return np.arange(n_classes)
    listed = np.asarray(classes)
    if listed.ndim != 1 or not listed.size or listed.dtype.kind not in "iu":
        raise ValueError(f"classes is {classes!r}; pass 'present', 'all' or a list of class numbers")
    if listed.min() < 0 or listed.max() >= n_classes:
        raise ValueError(f"classes holds {listed.tolist()}, outside {{0, …, {n_classes - 1}}}")
    if len(np.unique(listed)) < len(listed):
        raise ValueError(f"classes holds {listed.tolist()}; list every class once")
    return listed
