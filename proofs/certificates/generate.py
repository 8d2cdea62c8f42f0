"""Write certificates that are valid, and others that one change has made false, to be told apart by checkers.

    python proofs/certificates/generate.py DIRECTORY [--certificates 1000] [--seed 0]

DIRECTORY/valid holds random problems of many kinds and quantised real images: the photograph that
scikit-image ships, and with LOVASZ_OPT_DATA three images of VOC with the logits of a network.
DIRECTORY/corrupted holds as many falsehoods as there are random problems, each proved false by
`verify_prox_exact`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import cycle
from math import lcm
from pathlib import Path

import numpy as np
from scipy import ndimage

import lovasz_opt as lo
from lovasz_opt import datasets

#: Pixels of a certificate that is corrupted: the proof in fractions is slow.
MOST_CORRUPTED = 1100

Problem = tuple[np.ndarray, list, Fraction]


def some(rng: np.random.Generator, p: int, low: int, high: int, denominators=(1,)) -> list[Fraction]:
    """Random rationals with a numerator in [low, high]."""
    return [
        Fraction(int(n), int(d))
        for n, d in zip(rng.integers(low, high, p, endpoint=True), rng.choice(denominators, p), strict=True)
    ]


def step(rng: np.random.Generator) -> Fraction:
    return some(rng, 1, 1, 400, range(1, 10))[0]


#: Scores and step of random problems, from the generator of random numbers and the number of pixels.
SCORES: dict[str, Callable] = {
    "integers": lambda rng, p: (some(rng, p, -50, 50), step(rng)),
    "ties": lambda rng, p: (some(rng, p, -3, 3), step(rng)),
    "equal": lambda rng, p: (some(rng, 1, -50, 50) * p, step(rng)),
    "small denominators": lambda rng, p: (some(rng, p, -99, 99, range(1, 13)), step(rng)),
    "large denominators": lambda rng, p: (some(rng, p, -(10**9), 10**9, range(10**7, 10**7 + 9)), step(rng)),
    "floats": lambda rng, p: (rng.standard_normal(p).tolist(), Fraction(rng.gamma(0.5) * 9 + 0.01)),
    "tiny step": lambda rng, p: (some(rng, p, -50, 50), Fraction(1, 10**12)),
    "huge step": lambda rng, p: (some(rng, p, -50, 50), Fraction(10**12)),
    # The differences that decide are lost in float64.
    "beyond float64": lambda rng, p: ([2**80 + v for v in some(rng, p, -50, 50)], step(rng)),
    "no foreground": lambda rng, p: (some(rng, p, -50, 50), step(rng)),
    "no background": lambda rng, p: (some(rng, p, -50, 50), step(rng)),
}
FOREGROUND = {"no foreground": 0.0, "no background": 1.0}


def random_problem(rng: np.random.Generator, kind: str) -> Problem:
    p = int(rng.integers(1, 41))
    y = rng.random(p) < FOREGROUND.get(kind, rng.random())
    return y, *SCORES[kind](rng, p)


def quantised(y: np.ndarray, margins: np.ndarray, step: float) -> Problem:
    """Margins in thousandths; the step is given for margins in units and for a single pixel."""
    return y, np.rint(1000 * margins).astype(int).tolist(), Fraction(round(1000 * step * len(y)))


def images(directory: str | None) -> Iterator[tuple[str, Problem]]:
    """Real images: whole with more than 10,000 pixels, cut or on a coarse grid with about 1,000 or more.

    Steps are long for whole images: with short ones the common denominator has thousands of digits.
    """
    photo = datasets.motorcycle(scale=4)
    everything = datasets.ImageSet(
        photo.name, [photo.features.reshape(-1, photo.features.shape[-1])], [photo.target.ravel()], ("",)
    )
    scores = datasets.score_map(photo, everything)
    yield from image("photograph", photo.target, scores, (20.0,))
    for cut, steps in ((np.s_[40:72, 60:92], (0.05, 0.5)), (np.s_[40:88, 60:108], (20.0,))):
        yield from image("photograph, cut", photo.target[cut], scores[cut], steps)
    if directory is None:
        return
    logits, masks, ids = datasets.voc_logits(directory)
    cat = datasets.VOC_CLASSES.index("cat")
    shown = np.flatnonzero(
        ((masks == cat).mean((1, 2)) > 0.1) & ((masks != datasets.VOID).mean((1, 2)) > 0.75)
    )
    for i in shown[:3]:
        margin = logits[i, ..., cat] - np.delete(logits[i], cat, axis=-1).max(-1)
        target = np.where(masks[i] == datasets.VOID, datasets.VOID, masks[i] == cat)
        fine = ndimage.zoom(margin, 129 / 33, order=1)
        yield from image(f"VOC {ids[i]}", target, fine, (20.0,))
        yield from image(f"VOC {ids[i]}, coarse", target[::4, ::4], margin, (0.5, 20.0))


def image(name: str, target: np.ndarray, scores: np.ndarray, steps) -> Iterator[tuple[str, Problem]]:
    known = target != datasets.VOID
    y = target[known] == 1
    for step in steps:
        yield f"{name}, step {step:g}", quantised(y, 1 - np.where(y, 1, -1) * scores[known], step)


def restated(certificate: lo.ProxCertificate, z: list[Fraction]) -> lo.ProxCertificate:
    """The claim that z, in units of 1/D, is the prox."""
    unit = lcm(*(value.denominator for value in z))
    X, Z = (tuple(int(value * unit) for value in values) for values in (certificate.X, z))
    return lo.ProxCertificate(certificate.y, X, Z, certificate.G * unit, certificate.D * unit)


def moved(values: tuple[int, ...], rng: np.random.Generator, by: int) -> tuple[int, ...]:
    i = int(rng.integers(len(values)))
    return (*values[:i], values[i] + by, *values[i + 1 :])


def flip(certificate, rng):
    return replace(certificate, y=tuple(map(bool, np.array(moved(certificate.y, rng, 1)) % 2)))


def swap(certificate, rng):
    i, j = (int(k) for k in rng.integers(len(certificate.Z), size=2))
    Z = list(certificate.Z)
    Z[i], Z[j] = Z[j], Z[i]
    return replace(certificate, Z=tuple(Z))


def drop(certificate, rng):
    """All but one of the pixels; None if there is but one."""
    if len(certificate.y) == 1:
        return None
    gone = int(rng.integers(len(certificate.y)))
    columns = {name: getattr(certificate, name) for name in ("y", "X", "Z", "V")}
    return replace(certificate, **{n: c and c[:gone] + c[gone + 1 :] for n, c in columns.items()})


def pool_in_order(certificate, rng):
    """Pool adjacent violators in the order of x."""
    order = sorted(range(len(certificate.X)), key=lambda i: -certificate.X[i])
    joined, before, pools = np.zeros(len(order), bool), Fraction(0), []
    F = lo.Jaccard(certificate.y)
    for i in order:
        joined[i] = True
        after = F.exact_value(joined)
        pools.append((certificate.X[i] - certificate.G * (after - before), 1))
        before = after
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] < pools[-1][0] * pools[-2][1]:
            pools[-2:] = [tuple(map(sum, zip(*pools[-2:], strict=True)))]
    values = [total / size for total, size in pools for _ in range(size)]
    return restated(certificate, [value for _, value in sorted(zip(order, values, strict=True))])


def walk(certificate, rng):
    """The path walk, where it ends elsewhere than at a rounded prox; None where it does not."""
    x, right = (np.array([v / certificate.D for v in values]) for values in (certificate.X, certificate.Z))
    gamma = certificate.G / certificate.D
    z = lo.LovaszExtension(lo.Jaccard(certificate.y)).prox(x, gamma, method="path")
    if np.abs(z - right).max() <= 1e-6 * (1 + np.abs(x).max()):
        return None
    return restated(certificate, [Fraction(value) * certificate.D for value in z.tolist()])


CORRUPTIONS: dict[str, Callable] = {
    "Z one up": lambda c, rng: replace(c, Z=moved(c.Z, rng, 1)),
    "Z one down": lambda c, rng: replace(c, Z=moved(c.Z, rng, -1)),
    "Z swapped": swap,
    "X one up": lambda c, rng: replace(c, X=moved(c.X, rng, 1)),
    "X one down": lambda c, rng: replace(c, X=moved(c.X, rng, -1)),
    "y flipped": flip,
    "G one up": lambda c, rng: replace(c, G=c.G + 1),
    "pixel dropped": drop,
    "pooled in order": pool_in_order,
    "path walk": walk,
    "E one down": lambda c, rng: replace(c, E=c.E - 1) if c.E else None,
}


def is_false(claim: lo.ProxCertificate) -> bool:
    """Whether the claim is false, by other means than those that made it and those that check it."""
    F = lo.Jaccard(claim.y)
    if not lo.verify_prox_exact(F, claim.X, claim.G, claim.Z).optimal:
        return True
    return (
        claim.V is not None and sum((v - z) ** 2 for v, z in zip(claim.V, claim.Z, strict=True)) > claim.E**2
    )


def write(folder: Path, claims: Iterator[tuple[str, lo.ProxCertificate]]) -> list[lo.ProxCertificate]:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} holds files; choose another directory")
    written = []
    for number, (name, claim) in enumerate(claims):
        claim.write(folder / f"{number:05} {name}.txt".replace(",", "").replace(" ", "-"))
        written.append(claim)
    return written


def valid(rng: np.random.Generator, count: int, directory: str | None):
    kinds = cycle(SCORES)
    for number in range(count):
        kind = next(kinds)
        # Every other one claims the error of the float64 prox too.
        yield kind, lo.certify_prox(*random_problem(rng, kind), v="float64" if number % 2 else None)
    for name, problem in images(directory):
        yield name, lo.certify_prox(*problem, v="float64")


def corrupted(rng: np.random.Generator, count: int, originals: list[lo.ProxCertificate]):
    kinds = cycle(CORRUPTIONS.items())
    for _ in range(count):
        name, corrupt = next(kinds)
        claim = None
        # Some originals have no such change, and after some changes the claim still holds.
        while claim is None or not is_false(claim):
            claim = corrupt(originals[int(rng.integers(len(originals)))], rng)
        yield name, claim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--certificates", type=int, default=1000, help="random ones of either sort")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, data = np.random.default_rng(arguments.seed), os.environ.get("LOVASZ_OPT_DATA")
    try:
        good = write(arguments.directory / "valid", valid(rng, arguments.certificates, data))
    except (datasets.DataError, datasets.MissingExtra) as error:
        sys.exit(str(error))
    originals = [certificate for certificate in good if len(certificate.y) <= MOST_CORRUPTED]
    bad = write(arguments.directory / "corrupted", corrupted(rng, arguments.certificates, originals))
    most = max(len(certificate.y) for certificate in good)
    print(f"{arguments.directory}: {len(good)} valid, {len(bad)} corrupted, of up to {most} pixels")


if __name__ == "__main__":
    main()
