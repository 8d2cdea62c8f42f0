"""Fresh random evidence for what the package claims: the table that `lovasz-opt verify` prints.

Every row is a claim, the number of random problems it was tried on, the worst value seen and the bound it
has to keep. The references are those of `lovasz_opt.reference` that need nothing but NumPy, SciPy and
fractions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from . import reference
from ._validation import Bools, Float64s
from .certify import verify_prox, verify_prox_exact
from .extension import LovaszExtension
from .losses import LovaszHinge
from .minnorm import prox_min_norm
from .sets import Cardinality, Coverage, Cut, Jaccard, Modular, SetFunction, Tversky


class Bound(NamedTuple):
    """A claim, the largest value that it allows, and why that value."""

    claim: str
    limit: float
    reason: str


# "Scale" is the largest input, max(max |x_i|, γ max |w_i|) over the base polytope: for the Jaccard loss
# max(max |x_i|, γ / max(P, 1)). "ulp" is the distance from the scale to the next float64.
BOUNDS = {
    "brute": Bound(
        "prox: error against all 2^p sets, of scale",
        1e-13,
        "the reference itself sums up to 10 terms and γ Δ with γ Δ ≤ 10 · scale: some 100 roundings of 1e-16",
    ),
    "brute gap": Bound(
        "prox: gap from all level sets, of scale²",
        1e-13,
        "p products of two numbers of the scale, each off by a few roundings",
    ),
    "brute infeasibility": Bound(
        "prox: γ · violation of all 2^p constraints, of scale",
        1e-13,
        "x − z is off by one rounding of the scale for each of p ≤ 10 elements",
    ),
    "ulp": Bound(
        "prox of integers: error against exact fractions, ulp",
        4.0,
        "one rounding each for the sum of a pool, γ times its increment, their difference and the quotient",
    ),
    "proof": Bound(
        "prox of integers: float answers, made fractions, not proved optimal",
        0.0,
        "a proof in exact arithmetic holds or does not",
    ),
    "refutation": Bound(
        "prox of integers: wrong fractions not refuted",
        0.0,
        "a proof in exact arithmetic holds or does not",
    ),
    "gap64": Bound(
        "prox of a large image, float64: relative gap",
        1e-10,
        "the project's requirement for 10^6 pixels",
    ),
    "infeasible64": Bound(
        "prox of a large image, float64: violation over all sets",
        1e-10,
        "the project's requirement for 10^6 pixels",
    ),
    "gap32": Bound(
        "prox of a large image, float32: relative gap",
        1e-4,
        "the project's requirement for 10^6 pixels",
    ),
    "infeasible32": Bound(
        "prox of a large image, float32: violation over all sets",
        1e-4,
        "the project's requirement for 10^6 pixels",
    ),
    "counts": Bound(
        "prox of a large image: pooling against decomposition, of scale",
        1e-12,
        "two exact methods that share no code; both sum pools of up to 10^5 pixels",
    ),
    "hinge gap": Bound(
        "hinge prox: gap from all level sets, of scale²",
        1e-13,
        "as for the prox; the margins 1 − s·F are rounded once more",
    ),
    "hinge infeasibility": Bound(
        "hinge prox: γ · violation of the polymatroid, of scale",
        1e-13,
        "as for the prox; the margins 1 − s·F are rounded once more",
    ),
    "hinge projection": Bound(
        "hinge prox: error against least squares over all vertices, of scale",
        1e-7,
        "accuracy of the non-negative least squares, whose conditioning is that of the vertices",
    ),
    "counterexamples": Bound(
        "exact method: error on the known counterexamples",
        1e-14,
        "a few roundings of numbers up to 26",
    ),
    "published": Bound(
        "path and PAV in order: distance from their known wrong answers",
        1e-12,
        "these methods are reproduced with their errors, to be compared with",
    ),
    "moreau": Bound(
        "prox_γf(x) + γ · projection(x/γ) = x: error, of scale",
        1e-13,
        "two answers, each off by a few roundings of the scale",
    ),
    "adjoint": Bound(
        "⟨u, jvp(t)⟩ = ⟨vjp(u), t⟩: relative error",
        1e-13,
        "sums of at most 10 products",
    ),
    "euler": Bound(
        "jvp along (x, γ) is the prox (homogeneity): error, of scale",
        1e-13,
        "averages of the pools, rounded differently",
    ),
    "functions": Bound(
        "other set functions: prox error against all 2^p sets, of scale",
        1e-12,
        "as for the Jaccard loss, with values of F that are themselves sums of up to 100 terms",
    ),
    "min-norm gap": Bound(
        "min-norm point: reported gap, of scale²",
        1e-9,
        "the tolerance it was given, 1e-10 of the objective's size, for p ≤ 10 squares",
    ),
    "min-norm distance": Bound(
        "min-norm point: ½ distance² beyond the reported gap, of scale²",
        1e-13,
        "strong convexity: the gap bounds it, up to rounding",
    ),
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    claim : str
        What was checked, and the unit of the numbers.
    problems : int
        Random problems tried.
    worst : float
        Largest value seen.
    bound : float
        Largest value allowed.
    passed : bool
        Whether worst ≤ bound.
    reason : str
        Why this bound.
    error : str
        What went wrong, if the check did not run to its end.
    """

    claim: str
    problems: int
    worst: float
    bound: float
    passed: bool
    reason: str
    error: str = ""


@dataclass
class Report:
    """Outcome of `run`.

    Attributes
    ----------
    seed, problems, size : int
        Arguments of the run.
    rows : list of Row
        In the order of the checks.
    complete : bool
        False if the run was interrupted.
    seconds : float
        Wall time.
    """

    seed: int
    problems: int
    size: int
    rows: list[Row] = field(default_factory=list)
    complete: bool = False
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the run is complete and every bound was kept."""
        return self.complete and all(row.passed for row in self.rows)

    def table(self) -> str:
        """The rows as aligned plain text, with a last line that sums up."""
        cells = [("claim", "problems", "worst", "bound", "")]
        for row in self.rows:
            verdict = "ok" if row.passed else "FAIL"
            cells.append((row.claim, f"{row.problems:,}", f"{row.worst:.2g}", f"{row.bound:.2g}", verdict))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for claim, *others in cells:
            aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([claim.ljust(widths[0]), *aligned]))
        lines.insert(1, "-" * max(map(len, lines)))
        lines += [f"{row.claim}: {row.error}" for row in self.rows if row.error]
        kept = sum(row.passed for row in self.rows)
        ending = "" if self.complete else "; interrupted, so nothing is concluded"
        lines.append(
            f"{kept} of {len(self.rows)} bounds kept, seed {self.seed}, {self.seconds:.1f} s{ending}"
        )
        return "\n".join(line.rstrip() for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain numbers, strings and lists, ready for JSON."""
        return {**asdict(self), "passed": self.passed}


def run(
    seed: int = 0, problems: int = 2000, size: int = 10**6, progress: Callable[[str], None] | None = None
) -> Report:
    """Re-check the exactness claims on fresh random problems.

    Parameters
    ----------
    seed : int
        Every problem follows from it.
    problems : int
        Number of small random problems, ≥ 1; checks that cost more take a fraction of it.
    size : int
        Pixels of the large problems, ≥ 10.
    progress : callable, optional
        Called with the name of the next check before it starts.

    Returns
    -------
    Report
        Passed if every bound was kept. After Ctrl-C it holds the rows done so far and is not complete.

    Raises
    ------
    ValueError
        If `problems` or `size` is too small.

    Examples
    --------
    >>> report = run(seed=1, problems=5, size=1000)
    >>> report.passed
    True
    """
    if problems < 1:
        raise ValueError(f"problems is {problems}; check at least 1")
    if size < 10:
        raise ValueError(f"size is {size}; the large problems need at least 10 pixels")
    report = Report(seed, problems, size)
    start = time.perf_counter()
    try:
        for index, (name, check) in enumerate(CHECKS.items()):
            if progress is not None:
                progress(name)
            # A stream of its own keeps a check's problems the same whatever the others do.
            rng = np.random.default_rng([seed, index])
            try:
                for key, tried, worst in check(rng, problems, size):
                    report.rows.append(_row(key, tried, worst))
            except Exception as error:
                report.rows.append(Row(name, 0, np.inf, 0.0, False, "the check must run", repr(error)))
        report.complete = True
    except KeyboardInterrupt:
        pass
    report.seconds = time.perf_counter() - start
    return report


#: Key of the bound, number of problems, worst value.
Measurement = tuple[str, int, float]


class Problem(NamedTuple):
    """A random prox of the Jaccard loss."""

    target: Bools
    x: Float64s
    gamma: float

    @property
    def scale(self) -> float:
        """The largest input, max(max |x_i|, γ / max(P, 1))."""
        return max(float(np.abs(self.x).max()), self.gamma / max(int(self.target.sum()), 1))


def random_problem(rng: np.random.Generator, sizes: tuple[int, int] = (1, 10)) -> Problem:
    """A random problem with few pixels, or as many as `sizes` allows.

    Scores are generic, tied, all equal, of any magnitude or nearly tied; γ goes from 1e-6 to 1e6; in a tenth
    of the problems each, no pixel and every pixel is foreground.
    """
    p = int(rng.integers(sizes[0], sizes[1] + 1))
    target = rng.random(p) < rng.choice([0.0, 1.0, rng.random()], p=[0.1, 0.1, 0.8])
    kind = rng.integers(5)
    if kind == 0:
        x = rng.normal(size=p)
    elif kind == 1:
        x = rng.integers(-2, 3, p).astype(np.float64)
    elif kind == 2:
        x = np.full(p, rng.normal())
    elif kind == 3:
        x = rng.normal(size=p) * 10 ** rng.uniform(-4, 4)
    else:
        x = rng.integers(-2, 3, p) + 1e-9 * rng.normal(size=p)
    return Problem(target, x, float(10 ** rng.uniform(-6, 6)))


def _small(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """The prox of the Jaccard loss against all sets."""
    errors, gaps, violations = [], [], []
    for group in _batches(random_problem(rng) for _ in range(problems)):
        z = np.stack([LovaszExtension(Jaccard(p.target)).prox(p.x, p.gamma) for p in group.problems])
        expected = reference.prox(group.values, group.x, group.gamma)
        gap, violation = reference.prox_gap(group.values, group.x, group.gamma, z)
        errors.append((np.abs(z - expected).max(axis=1) / group.scale).max())
        gaps.append((np.abs(gap) / group.scale**2).max())
        violations.append((group.gamma * violation / group.scale).max())
    yield "brute", problems, _worst(errors)
    yield "brute gap", problems, _worst(gaps)
    yield "brute infeasibility", problems, _worst(violations)


def _integers(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Integer scores and steps against exact fractions."""
    count = max(1, problems // 10)
    lengths = [*(int(2 * 50 ** rng.random()) for _ in range(count)), *[400] * max(1, count // 100)]
    worst = 0.0
    for p in lengths:
        problem = _integer_problem(rng, p)
        z = LovaszExtension(Jaccard(problem.target)).prox(problem.x, problem.gamma)
        ulp = Fraction(float(np.spacing(problem.scale)))
        errors = [abs(Fraction(a) - b) for a, b in zip(z.tolist(), _exact(problem), strict=True)]
        worst = max(worst, float(max(errors) / ulp))
    yield "ulp", len(lengths), worst


def _proofs(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Float answers turned into the fractions they approximate, and proved or refuted exactly."""
    count = max(1, problems // 20)
    unproved = unrefuted = 0
    for _ in range(count):
        p = int(rng.integers(1, 13))
        target, x = rng.random(p) < rng.random(), rng.integers(-20, 21, p)
        gamma, F = int(rng.integers(1, 40)), Jaccard(target)
        z = LovaszExtension(F).prox(x, gamma)
        # Every entry is an integer over |B| (P + b0)(P + b1) ≤ p³: the nearest such fraction is unique.
        nearest = [Fraction(v).limit_denominator(p**3) for v in z.tolist()]
        unproved += not verify_prox_exact(F, x.tolist(), gamma, nearest).optimal
        wrong = list(nearest)
        wrong[int(rng.integers(p))] += Fraction(int(rng.choice([-1, 1])), 10**12)
        unrefuted += verify_prox_exact(F, x.tolist(), gamma, wrong).optimal
    yield "proof", count, float(unproved)
    yield "refutation", count, float(unrefuted)


def _large(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Certificates of large images on a grid of steps and class balances."""
    cases = {
        np.float64: [(0.0, size / 3), (1.0, size / 3)]
        + [(b, g) for b in (0.02, 0.5, 0.98) for g in (1.0, size / 3, 100.0 * size)],
        np.float32: [(0.02, size / 3), (0.5, 1.0), (0.98, 100.0 * size)],
    }
    for dtype, grid in cases.items():
        gaps, violations = [], []
        for balance, gamma in grid:
            target = rng.random(size) < balance
            x = rng.normal(size=size).astype(dtype)
            f = LovaszExtension(Jaccard(target))
            certificate = verify_prox(f, x, gamma, f.prox(x, gamma))
            gaps.append(abs(certificate.relative_gap))
            violations.append(certificate.infeasibility)
        bits = np.dtype(dtype).itemsize * 8
        yield f"gap{bits}", len(grid), _worst(gaps)
        yield f"infeasible{bits}", len(grid), _worst(violations)


def _decomposition(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Pooling on the background against divide and conquer over the table of counts."""
    pixels = max(10, size // 10)
    errors = []
    grid = [(balance, gamma) for balance in (0.02, 0.5, 0.98) for gamma in (1.0, pixels / 3, 100.0 * pixels)]
    for balance, gamma in grid:
        problem = Problem(rng.random(pixels) < balance, rng.normal(size=pixels), gamma)
        z = LovaszExtension(Jaccard(problem.target)).prox(problem.x, gamma)
        # The Tversky loss with unit weights is the Jaccard loss, and knows nothing of its pooling.
        expected = LovaszExtension(Tversky(problem.target, alpha=1, beta=1)).prox(problem.x, gamma)
        errors.append(float(np.abs(z - expected).max()) / problem.scale)
    yield "counts", len(grid), _worst(errors)


def _hinge(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """The prox of the Lovász hinge on logits against the projection on the polymatroid."""
    gaps, violations, errors = [], [], []
    projected = 0
    for group in _batches(random_problem(rng) for _ in range(problems)):
        # The problem's scores are taken as logits; the margins m = 1 − s∘F are what the polymatroid sees.
        signs = 2.0 * np.stack([p.target for p in group.problems]) - 1.0
        z = np.stack([LovaszHinge(p.target).prox(p.x, p.gamma) for p in group.problems])
        margins, z_margins = 1.0 - signs * group.x, 1.0 - signs * z
        scale = np.maximum(1.0, group.scale)
        gap, violation = reference.prox_gap(group.values, margins, group.gamma, z_margins, polymatroid=True)
        gaps.append((np.abs(gap) / scale**2).max())
        violations.append((group.gamma * violation / scale).max())
        if z.shape[1] <= 4:
            for k in range(min(len(z), max(1, problems // 40))):
                corners = reference.vertices(group.values[k], polymatroid=True)
                step = group.gamma[k]
                expected = margins[k] - step * reference.project(corners, margins[k] / step)
                errors.append(np.abs(z_margins[k] - expected).max() / scale[k])
                projected += 1
    yield "hinge gap", problems, _worst(gaps)
    yield "hinge infeasibility", problems, _worst(violations)
    if projected:
        yield "hinge projection", projected, _worst(errors)


#: Problems on which pooling in the order of x is wrong: target, x, γ, the prox, and what pooling gives.
COUNTEREXAMPLES = (
    ((1, 0, 1), (26.0, 12.0, 13.0), 12.0, (20.0, 10.0, 9.0), (20.0, 9.5, 9.5)),
    ((0, 1, 0), (1.5, 1.0, 0.99), 1.0, (1.0, 2 / 3, 0.99 - 1 / 6), (1.0, 0.745, 0.745)),
)


def _counterexamples(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Where the published methods are wrong, and how."""
    exact, inexact = [], []
    for target, x, gamma, right, wrong in COUNTEREXAMPLES:
        f = LovaszExtension(Jaccard(target))
        exact.append(np.abs(f.prox(x, gamma) - right).max() / max(x))
        inexact += [np.abs(f.prox(x, gamma, method=m) - wrong).max() for m in ("path", "pav-in-order")]
    # With a single active pixel the walk's released code lets the inactive ones drift.
    f = LovaszExtension(Jaccard([1, 1, 1]))
    drifted = f.prox([0.632, -0.225, -0.808], 5.0, method="path")
    inexact.append(np.abs(drifted - [0.0, -0.225 - 0.632, -0.808 - 0.632]).max())
    yield "counterexamples", len(exact), _worst(exact)
    yield "published", len(inexact), _worst(inexact)


def _identities(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """Moreau's identity, and the derivative of the prox against itself and against homogeneity."""
    moreau, adjoint, euler = [], [], []
    for _ in range(problems):
        target, x, gamma = problem = random_problem(rng)
        f = LovaszExtension(Jaccard(target))
        z = f.prox(x, gamma)
        moreau.append(float(np.abs(z + gamma * f.project(x / gamma) - x).max()) / problem.scale)
        t, u, dgamma = rng.normal(size=len(x)), rng.normal(size=len(x)), rng.normal()
        forward = f.prox_jvp(x, gamma, t, dgamma)
        back, back_gamma = f.prox_vjp(x, gamma, u)
        size_of_terms = np.linalg.norm(u) * np.linalg.norm([*t, dgamma])
        adjoint.append(float(abs(u @ forward - back @ t - back_gamma * dgamma) / size_of_terms))
        euler.append(float(np.abs(f.prox_jvp(x, gamma, x, gamma) - z).max()) / problem.scale)
    yield "moreau", problems, _worst(moreau)
    yield "adjoint", problems, _worst(adjoint)
    yield "euler", problems, _worst(euler)


def _functions(rng: np.random.Generator, problems: int, size: int) -> Iterator[Measurement]:
    """The prox of every other submodular function, and the min-norm point with its reported gap."""
    count = max(1, problems // 20)
    errors, gaps, beyond = [], [], [0.0]
    for _ in range(count):
        target, x, gamma = random_problem(rng)
        for F in _other_functions(rng, target):
            values = reference.set_values(F)
            # Both are 0 for zero scores on a graph without edges, where the prox is exactly 0.
            scale = max(float(np.abs(x).max()), gamma * _largest_increment(values)) or 1.0
            f, expected = LovaszExtension(F), reference.prox(values, x, gamma)
            errors.append(float(np.abs(f.prox(x, gamma) - expected).max()) / scale)
            if isinstance(F, Jaccard):
                weighted = reference.prox(values, x, gamma, F.weights)
                errors.append(float(np.abs(f.prox(x, gamma, metric="weights") - weighted).max()) / scale)
            answer = prox_min_norm(F, x, gamma, None, tol=1e-10)
            gaps.append(answer.gap / scale**2)
            distance = 0.5 * float(((answer.z - expected) ** 2).sum())
            beyond.append((distance - answer.gap) / scale**2)
    yield "functions", len(errors), _worst(errors)
    yield "min-norm gap", len(gaps), _worst(gaps)
    yield "min-norm distance", len(gaps), _worst(beyond)


CHECKS: dict[str, Callable[[np.random.Generator, int, int], Iterator[Measurement]]] = {
    "small problems against all 2^p sets": _small,
    "integers against exact fractions": _integers,
    "proofs in exact fractions": _proofs,
    "certificates of large images": _large,
    "pooling against decomposition": _decomposition,
    "the hinge against its polymatroid": _hinge,
    "known counterexamples": _counterexamples,
    "identities and derivatives": _identities,
    "other set functions": _functions,
}


class Batch(NamedTuple):
    """Problems of one size, stacked, with the values of their Jaccard losses on all sets."""

    problems: list[Problem]
    values: Float64s
    x: Float64s
    gamma: Float64s
    scale: Float64s


def _batches(problems: Iterator[Problem]) -> Iterator[Batch]:
    groups: dict[int, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(len(problem.x), []).append(problem)
    for group in groups.values():
        values = np.stack([reference.set_values(Jaccard(p.target)) for p in group])
        x, gamma = np.stack([p.x for p in group]), np.array([p.gamma for p in group])
        yield Batch(group, values, x, gamma, np.array([p.scale for p in group]))


def _integer_problem(rng: np.random.Generator, p: int) -> Problem:
    largest = int(10 ** rng.uniform(0, 6))
    x = rng.integers(-largest, largest + 1, p).astype(np.float64)
    return Problem(rng.random(p) < rng.random(), x, float(int(10 ** rng.uniform(0, 6))))


def _exact(problem: Problem) -> list[Fraction]:
    row = reference.jaccard_row(int(problem.target.sum()))
    return list(reference.prox_counts_exact(row, problem.target, problem.x, problem.gamma))


def _other_functions(rng: np.random.Generator, target: Bools) -> list[SetFunction]:
    n = len(target)
    concave = np.append(0.0, np.cumsum(np.sort(rng.normal(size=n))[::-1]))
    graph = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.6), 1)
    return [
        Modular(rng.normal(size=n)),
        Cardinality(concave),
        Tversky(target, alpha=rng.uniform(0.1, 2), beta=rng.uniform(1, 3)),
        Jaccard(target, rng.uniform(0.2, 5, n)),
        Cut(graph + graph.T),
        Coverage(rng.random((n, 8)) < 0.4, rng.random(8)),
    ]


def _largest_increment(values: Float64s) -> float:
    """Largest |w_i| in the base polytope: first or last increment of an element."""
    singles = 1 << np.arange(len(values).bit_length() - 1)
    return float(np.abs([values[singles], values[-1] - values[len(values) - 1 - singles]]).max())


def _worst(values: list[float]) -> float:
    """The largest value, or NaN if there is one: the built-in max can lose it."""
    return float(np.max(values))


def _row(key: str, problems: int, worst: float) -> Row:
    bound = BOUNDS[key]
    return Row(bound.claim, problems, float(worst), bound.limit, bool(worst <= bound.limit), bound.reason)
