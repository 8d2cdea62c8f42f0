"""How arrays become images: leading axis, void pixels, threads. No mathematics here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import Floats, Ints

Codes = NDArray[np.uint8]
VOID = 2

#: Below this many pixels a thread costs more than it saves.
_SERIAL_PIXELS = 1 << 15


def image_shape(shape: tuple[int, ...], per_image: bool, name: str) -> tuple[int, int]:
    """Number of images and pixels per image: a 1-D array is one image, else the leading axis counts images.

    Raises
    ------
    ValueError
        If there is no pixel at all.
    """
    pixels = int(np.prod(shape, dtype=np.int64))
    if not shape or pixels == 0:
        raise ValueError(
            f"{name} has shape {shape} and holds no pixel; pass at least one image with one pixel"
        )
    if len(shape) == 1 or not per_image:
        return 1, pixels
    return shape[0], pixels // shape[0]


def as_codes(labels: ArrayLike, ignore: float | None, name: str) -> Codes:
    """Return binary labels as uint8 codes: 0 background, 1 foreground, 2 void.

    Raises
    ------
    ValueError
        If a label is neither 0, 1 nor `ignore`.
    TypeError
        If the labels are not real numbers, or `ignore` is not one.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be boolean or hold 0 and 1, got dtype {array.dtype}")
    if array.dtype.kind == "b":
        codes = array.astype(np.uint8, order="C")
    else:
        codes = np.full(array.shape, VOID, dtype=np.uint8)
        codes[array == 0] = 0
        codes[array == 1] = 1
    void = np.zeros(array.shape, dtype=np.bool_) if ignore is None else array == _as_ignore(ignore)
    wrong = (codes == VOID) & ~void
    if wrong.any():
        allowed = "{0, 1}" if ignore is None else f"{{0, 1}} and ignore={ignore}"
        raise ValueError(
            f"{name} holds {array[wrong].flat[0]}, outside {allowed}; "
            "binarise it, or pass ignore= for void labels"
        )
    codes[void] = VOID
    return codes


def as_class_labels(labels: ArrayLike, n_classes: int, ignore: float | None, name: str = "labels") -> Ints:
    """Return class labels as int64, −1 where void.

    Raises
    ------
    ValueError
        If a label is neither in {0, …, n_classes − 1} nor `ignore`.
    TypeError
        If the labels are not real numbers, or `ignore` is not one.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold class numbers, got dtype {array.dtype}")
    void = np.zeros(array.shape, dtype=np.bool_) if ignore is None else array == _as_ignore(ignore)
    inside = (array >= 0) & (array < n_classes)
    if array.dtype.kind == "f":
        inside &= array == np.floor(array)
    wrong = ~(inside | void)
    if wrong.any():
        allowed = f"{{0, …, {n_classes - 1}}}" + ("" if ignore is None else f" and ignore={ignore}")
        raise ValueError(
            f"{name} holds {array[wrong].flat[0]}, outside {allowed}; "
            "check the class axis (axis 1 of the scores), or pass ignore= for void labels"
        )
    numbers = np.where(inside, array, 0).astype(np.int64)
    numbers[void] = -1
    return numbers


def class_labels_of(scores: Floats, labels: ArrayLike, ignore: float | None, name: str) -> Ints:
    """Return the class labels of (B, C, ...) scores as int64, −1 where void.

    Raises
    ------
    ValueError
        If the scores have no class axis or no pixel, the shapes do not match, or a label is no class.
    """
    if scores.ndim < 2 or not scores.size:
        raise ValueError(
            f"{name} has shape {scores.shape}, expected (B, C, ...) with at least one class and one pixel"
        )
    shape = (scores.shape[0], *scores.shape[2:])
    if np.shape(labels) != shape:
        raise ValueError(
            f"labels has shape {np.shape(labels)}, expected {shape}: "
            f"that of {name} {scores.shape} without the class axis 1"
        )
    return as_class_labels(labels, scores.shape[1], ignore)


def class_axis_first_image(scores: Floats, per_image: bool) -> Floats:
    """View or copy (B, C, ...) scores as (images, C, pixels); one image in all unless `per_image`."""
    channels = scores.shape[1]
    if scores.ndim > 2 and per_image:
        return np.ascontiguousarray(scores.reshape(scores.shape[0], channels, -1))
    return np.ascontiguousarray(np.moveaxis(scores, 1, 0).reshape(1, channels, -1))


def class_axis_restored(array: Floats, shape: tuple[int, ...]) -> Floats:
    """Undo `class_axis_first_image`."""
    if array.shape[0] == shape[0] and len(shape) > 2:
        return array.reshape(shape)
    return np.moveaxis(array.reshape(shape[1], shape[0], *shape[2:]), 0, 1)


def in_chunks(task: Callable[[int, int], None], items: int, pixels: int) -> None:
    """Run ``task(start, stop)`` over 0, …, items − 1, in threads when there are pixels enough.

    As many threads as Numba may use. Every item is computed by itself, so the result does not depend on them.
    """
    workers = min(items, numba.get_num_threads())
    if workers < 2 or items * pixels < _SERIAL_PIXELS:
        task(0, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(task, *bounds) for bounds in _chunks(items, pixels, workers)]:
            future.result()


def _chunks(items: int, pixels: int, workers: int) -> Iterator[tuple[int, int]]:
    size = max(1, min(-(-items // workers), _SERIAL_PIXELS // pixels))
    for start in range(0, items, size):
        yield start, min(start + size, items)


def _as_ignore(ignore: float) -> float:
    if not isinstance(ignore, (int, float, np.integer, np.floating)) or ignore != ignore:
        raise TypeError(f"ignore must be the label of void pixels (a number) or None, got {ignore!r}")
    return ignore
