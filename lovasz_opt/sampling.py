"""Which images a training run sees: every class over consecutive batches. No framework is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import Bools, Ints, as_number, as_whole


class EquibatchSampler:
    """Indices of images such that every class is present over consecutive batches.

    The classes take turns in an order drawn for each epoch, and the turn of a class draws an image that shows
    it. With C classes in the data, **any C consecutive indices of an epoch show all of them**: every batch of
    C or more images, and every ⌈C/b⌉ consecutive batches of b. A class goes through its images in random
    order before it draws one again, so images of rare classes come often.

    Any library takes it: iterate over it, or pass it as `sampler` to a PyTorch ``DataLoader``.

    Parameters
    ----------
    presence : (n, C) array_like of bool
        Whether image i shows class c; see `class_presence`. Images and classes without an entry never come.
    length : int, optional
        Indices in an epoch; n by default.
    seed : int, default 0
        All orders follow from it and the number of the epoch.
    replicas : int, default 1
        Processes that share an epoch, each taking every replicas-th index: it is the joint batches that show
        all classes.
    rank : int, default 0
        Which of those this process is.

    Attributes
    ----------
    epoch : int
        Number of the next epoch. It grows with every iteration; set it to resume a run.
    classes : (C',) ndarray of int
        The classes that occur.

    Raises
    ------
    ValueError
        If presence is no matrix or shows no class, or length, replicas or rank is out of range.

    Notes
    -----
    The idea is that of the equibatch strategy in [1]_, where batches also are chosen so that each class is
    met regularly: the mean over the classes of a batch is then about that over the classes of the data.

    References
    ----------
    .. [1] M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax loss", CVPR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from lovasz_opt.sampling import EquibatchSampler, class_presence
    >>> labels = [np.array([0, 1]), np.array([0, 0]), np.array([0, 2])]
    >>> presence = class_presence(labels, 3)
    >>> sampler = EquibatchSampler(presence, length=6)
    >>> indices = list(sampler)
    >>> all(presence[indices[k : k + 3]].any(axis=0).all() for k in range(4))
    True
    """

    def __init__(
        self, presence: ArrayLike, length: int | None = None, seed: int = 0, replicas: int = 1, rank: int = 0
    ) -> None:
        table = np.asarray(presence)
        if table.ndim != 2 or table.dtype.kind not in "biu":
            raise ValueError(
                f"presence has shape {table.shape} and dtype {table.dtype}, expected (images, classes) "
                "booleans"
            )
        table = table != 0
        if not table.any():
            raise ValueError(
                f"presence, of shape {table.shape}, shows no class in any image; check the labels"
            )
        self.length = len(table) if length is None else as_whole(length, "length")
        if not 1 <= self.length <= sys.maxsize:
            raise ValueError(
                f"length is {length}; an epoch needs at least one index, and at most {sys.maxsize}"
            )
        replicas, rank = as_whole(replicas, "replicas"), as_whole(rank, "rank")
        if replicas < 1 or not 0 <= rank < replicas:
            raise ValueError(f"rank is {rank} of {replicas} replicas; it must be in 0, …, replicas − 1")
        self.classes: Ints = np.flatnonzero(table.any(axis=0))
        self._images: list[Ints] = [np.flatnonzero(table[:, c]) for c in self.classes]
        self.seed, self.replicas, self.rank = seed, replicas, rank
        self.epoch = 0

    def __len__(self) -> int:
        """Indices of an epoch for this replica; all replicas have as many."""
        return -(-self.length // self.replicas)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        turns = rng.permutation(len(self.classes))
        queues: list[Iterator[int]] = [_shuffled(images, rng) for images in self._images]
        # The last round may go beyond the length, so that no replica waits for an index that never comes.
        for k in range(len(self) * self.replicas):
            index = next(queues[turns[k % len(turns)]])
            if k % self.replicas == self.rank:
                yield index


def class_presence(labels: Iterable[Any], n_classes: int, ignore: int | None = None) -> Bools:
    """Which image shows which class.

    Parameters
    ----------
    labels : iterable of array_like of int
        Class of every pixel of every image, in {0, …, n_classes − 1}; of any shapes.
    n_classes : int
        Number of classes C.
    ignore : int, optional
        Label of void pixels.

    Returns
    -------
    (n, C) ndarray of bool

    Raises
    ------
    ValueError
        If a label is no class.

    Examples
    --------
    >>> from lovasz_opt.sampling import class_presence
    >>> class_presence([[0, 0, 255], [1, 0, 1]], 2, ignore=255)
    array([[ True, False],
           [ True,  True]])
    """
    void = None if ignore is None else as_number(ignore, "ignore")
    n_classes = as_whole(n_classes, "n_classes")
    if not 1 <= n_classes <= sys.maxsize:
        raise ValueError(f"n_classes is {n_classes}; it must be ≥ 1, and fit into memory")
    rows: list[NDArray[np.bool_]] = []
    for k, image in enumerate(labels):
        present = np.unique(np.asarray(image))
        present = present[present != void] if void is not None else present
        wrong = present[~((present >= 0) & (present < n_classes) & (present % 1 == 0))]
        if len(wrong):
            raise ValueError(
                f"labels[{k}] holds {wrong[0]}, outside {{0, …, {n_classes - 1}}}; "
                "pass ignore= for void labels"
            )
        row = np.zeros(n_classes, dtype=np.bool_)
        row[present.astype(np.int64)] = True
        rows.append(row)
    return np.array(rows, dtype=np.bool_).reshape(-1, n_classes)


def _shuffled(images: Ints, rng: np.random.Generator) -> Iterator[int]:
    """Images in random order, over and over."""
    while True:
        yield from rng.permutation(images).tolist()
