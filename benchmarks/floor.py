"""A cached kernel that does nothing: its first call is Numba's own set-up, the floor for every other."""

from numba import njit


@njit(cache=True)
def nothing() -> None:
    return None


nothing()
