"""Arrays from .npz files, which may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_npz(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name: those asked for, or all.

    Raises `ValueError` if the file is damaged or lacks one, and `OSError` if it cannot be opened.
    """
    # Opened here, since np.load leaves its own file open when the archive is damaged.
    with path.open("rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as archive:
                found = tuple(archive.files)
                missing = set(names) - set(found)
                arrays = {name: archive[name] for name in names or found} if not missing else {}
        except MemoryError as error:
            raise ValueError(
                f"{path}: too large for the memory, or damaged ({error}); free memory, or save it again"
            ) from None
        except Exception as error:
            # On damaged bytes, zipfile and NumPy raise nearly anything.
            raise ValueError(
                f"{path}: damaged or not an .npz file of numbers ({error}); save it again"
            ) from None
    if missing:
        raise ValueError(f"{path}: holds no array {min(missing)!r}; found {', '.join(found) or 'none'}")
    return arrays
