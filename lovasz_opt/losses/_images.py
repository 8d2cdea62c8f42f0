"""How arrays become images: leading axis or list, void pixels, threads. No mathematics here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import share_out, thread_count
from .._validation import Floats, Ints, as_scores

Codes = NDArray[np.uint8]
#: Class of every pixel, −1 where void.
Labels = NDArray[np.int32]
#: One array, or a list of arrays, one for every image.
Images = ArrayLike | Sequence[ArrayLike]
VOID = 2

#: Below this many pixels a thread costs more than it saves.
_SERIAL_PIXELS = 1 << 15
#: Pieces of work for every thread, so that none waits long for the last.
_PIECES = 4


def is_list(images: Images) -> bool:
    """Whether the argument is a list (or tuple) of arrays, which are images of sizes of their own.

    Nested lists of numbers are one array, as NumPy reads them.
    """
    return isinstance(images, (list, tuple)) and any(getattr(image, "shape", ()) for image in images)


class Layout(NamedTuple):
    """How images lie one behind the other in a flat array, and how to give flat arrays back to the user.

    Attributes
    ----------
    shapes : tuple of shapes
        That of the one array, or those of the images of a list.
    listed : bool
        Whether the user passes a list.
    offsets : (B + 1,) ndarray of int64
        Image b has the pixels offsets[b], …, offsets[b+1] − 1.
    """

    shapes: tuple[tuple[int, ...], ...]
    listed: bool
    offsets: Ints

    @classmethod
    def of(cls, images: Images, per_image: bool, name: str) -> Layout:
        """Layout of labels; one image in all unless `per_image`.

        Raises
        ------
        ValueError
            If there is no pixel at all, or none in an image of a list.
        """
        if not is_list(images):
            shape = np.shape(images)  # type: ignore[arg-type]
            count, pixels = image_shape(shape, per_image, name)
            return cls((shape,), False, pixels * np.arange(count + 1, dtype=np.int64))
        shapes = tuple(np.shape(image) for image in images)  # type: ignore[union-attr]
        sizes = [image_shape(shape, False, f"{name}[{k}]")[1] for k, shape in enumerate(shapes)]
        offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return cls(shapes, True, offsets if per_image else offsets[[0, -1]])

    @property
    def n_images(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> Any:
        """Shape of the array; the list of shapes where there is a list."""
        return list(self.shapes) if self.listed else self.shapes[0]

    def flat_scores(self, scores: Images, name: str) -> tuple[Floats, np.dtype]:
        """Finite scores in this layout as one flat float array, and the dtype to give results back in.

        Raises
        ------
        ValueError
            If a shape or the number of images differs, or an entry is not finite.
        TypeError
            If the images of a list differ in precision.
        """
        if not self.listed:
            array, dtype = as_scores(scores, name, self.shapes[0])  # type: ignore[arg-type]
            return array.reshape(-1), dtype
        return joined(
            [as_scores(image, part, shape) for part, image, shape in self.parts(scores, name)], name
        )

    def parts(self, images: Images, name: str) -> list[tuple[str, Any, tuple[int, ...]]]:
        """Name, array and expected shape of every image of a list."""
        if not isinstance(images, (list, tuple)) or len(images) != len(self.shapes):
            count = len(images) if isinstance(images, (list, tuple)) else "no list"
            raise ValueError(
                f"{name} holds {count} images, expected a list of {len(self.shapes)}: "
                "one array for each image of the target"
            )
        return [
            (f"{name}[{k}]", image, shape)
            for k, (image, shape) in enumerate(zip(images, self.shapes, strict=True))
        ]

    def restored(self, flat: Any) -> Any:
        """A flat array in the user's shape: an array, or a list of views."""
        if not self.listed:
            return flat.reshape(self.shapes[0])
        stops = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        return [
            part.reshape(shape) for part, shape in zip(np.split(flat, stops[:-1]), self.shapes, strict=True)
        ]


def joined(parts: list[tuple[Floats, np.dtype]], name: str) -> tuple[Floats, np.dtype]:
    """The scores of a list of images as one flat array."""
    dtypes = {dtype for _, dtype in parts}
    if len(dtypes) > 1:
        raise TypeError(
            f"{name} mixes {' and '.join(sorted(map(str, dtypes)))}; convert all images to one dtype, "
            "or an image would be computed differently alone and in the list"
        )
    return np.concatenate([array.reshape(-1) for array, _ in parts]), dtypes.pop()


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


def flat_codes(labels: Images, ignore: float | None, name: str) -> Codes:
    """Binary labels of an array or a list of images as flat codes; may be a view of boolean labels."""
    if not is_list(labels):
        return as_codes(labels, ignore, name).reshape(-1)  # type: ignore[arg-type]
    codes = [as_codes(image, ignore, f"{name}[{k}]") for k, image in enumerate(labels)]  # type: ignore[arg-type]
    return np.concatenate([array.reshape(-1) for array in codes])


def as_codes(labels: ArrayLike, ignore: float | None, name: str) -> Codes:
    """Return binary labels as C-contiguous uint8 codes: 0 background, 1 foreground, 2 void.

    Boolean labels without a void label are not copied.

    Raises
    ------
    ValueError
        If a label is neither 0, 1 nor `ignore`.
    TypeError
        If the labels are not real numbers, or `ignore` is not one.
    """
    array = np.asarray(labels, order="C")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be boolean or hold 0 and 1, got dtype {array.dtype}")
    void_label = None if ignore is None else _as_ignore(ignore)
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
        if void_label is None or void_label not in (0, 1):
            return array
    if array.dtype == np.uint8:
        table = np.full(256, _WRONG, dtype=np.uint8)
        table[:2] = 0, 1
        if void_label is not None and void_label in range(256):
            table[int(void_label)] = VOID
        codes = table[array]
    else:
        codes = np.full(array.shape, _WRONG, dtype=np.uint8)
        codes[array == 0] = 0
        codes[array == 1] = 1
        if void_label is not None:
            codes[array == void_label] = VOID
    if codes.size and codes.max() == _WRONG:
        allowed = "{0, 1}" if ignore is None else f"{{0, 1}} and ignore={ignore}"
        raise ValueError(
            f"{name} holds {array[codes == _WRONG].flat[0]}, outside {allowed}; "
            "binarise it, or pass ignore= for void labels"
        )
    return codes


_WRONG = 3


def as_class_labels(labels: ArrayLike, n_classes: int, ignore: float | None, name: str = "labels") -> Labels:
    """Return class labels as int32, −1 where void.

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
    inside = (array >= 0) & (array < n_classes)
    if array.dtype.kind == "f":
        inside &= array == np.floor(array)
    void = None
    if ignore is not None:
        void = array == _as_ignore(ignore)
        inside &= ~void
    if not inside.all() and (void is None or not (inside | void).all()):
        wrong = ~inside if void is None else ~(inside | void)
        allowed = f"{{0, …, {n_classes - 1}}}" + ("" if ignore is None else f" and ignore={ignore}")
        raise ValueError(
            f"{name} holds {array[wrong].flat[0]}, outside {allowed}; "
            "check the class axis (axis 1 of the scores), or pass ignore= for void labels"
        )
    if void is None:
        return array.astype(np.int32)
    numbers = np.where(inside, array, 0).astype(np.int32)
    numbers[void] = -1
    return numbers


def class_labels_of(scores: Floats, labels: ArrayLike, ignore: float | None, name: str) -> Labels:
    """Return the class labels of (B, C, ...) scores as int32, −1 where void.

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


def in_chunks(task: Callable[[int, int], None], costs: Ints) -> None:
    """Run ``task(start, stop)`` over 0, …, len(costs) − 2, in threads when there are pixels enough.

    As many threads as Numba may use. Every item is computed by itself, so the result does not depend on them.

    Parameters
    ----------
    task : callable
    costs : (items + 1,) ndarray of int
        Pixels of the items before each one, and of all.
    """
    items, total = len(costs) - 1, int(costs[-1])
    workers = min(items, thread_count())
    if workers < 2 or total < _SERIAL_PIXELS:
        task(0, items)
        return
    share_out(lambda chunk: task(*chunk), chunks(costs, workers), workers)


def chunks(costs: Ints, workers: int) -> list[tuple[int, int]]:
    """Runs start, …, stop − 1 of items with about the same cost, several for every worker."""
    total = int(costs[-1])
    size = max(_SERIAL_PIXELS, total // (_PIECES * workers))
    cuts = np.unique(np.searchsorted(costs, [*range(0, total, size), total]))
    return [(int(start), int(stop)) for start, stop in pairwise(cuts)]


def work_space(pixels: int) -> NDArray[np.uint64]:
    """Two rows of words for the kernels.

    One array, and not made in a kernel: the allocator is more ready to keep it for the next call, or to take
    large pages for it, and most of the time of a fresh array goes to page faults.
    """
    return np.empty((2, pixels), dtype=np.uint64)


def _as_ignore(ignore: float) -> float:
    if not isinstance(ignore, (int, float, np.integer, np.floating)) or ignore != ignore:
        raise TypeError(f"ignore must be the label of void pixels (a number) or None, got {ignore!r}")
    return ignore
