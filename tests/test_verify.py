"""The table of evidence: what it holds, and that it notices when the package is wrong."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lovasz_opt import verify

QUICK = {"problems": 60, "size": 2000}


@pytest.fixture(scope="module")
def report():
    return verify.run(seed=3, **QUICK)


def failed(report):
    return {row.claim.split(":")[0] for row in report.rows if not row.passed}


def test_every_bound_is_measured_and_kept(report):
    assert [row.claim for row in report.rows] == [bound.claim for bound in verify.BOUNDS.values()]
    assert not failed(report)
    assert report.complete
    assert report.passed
    for row, bound in zip(report.rows, verify.BOUNDS.values(), strict=True):
        assert row.problems > 0
        assert 0 <= row.worst <= row.bound == bound.limit
        assert row.reason == bound.reason != ""


def test_small_problems_come_in_the_number_asked_for(report):
    assert report.rows[0].problems == QUICK["problems"]


def test_table_is_aligned_and_sums_up(report):
    lines = report.table().splitlines()
    assert lines[0].split() == ["claim", "problems", "worst", "bound"]
    assert len(lines) == len(report.rows) + 3
    assert len({len(line) for line in lines[2:-1]}) == 1
    assert all(line.endswith("  ok") for line in lines[2:-1])
    assert lines[-1].startswith(f"{len(report.rows)} of {len(report.rows)} bounds kept, seed 3, ")


def test_dictionary_is_json(report):
    back = json.loads(json.dumps(report.to_dict()))
    assert back["passed"] is True
    assert back["rows"][0]["bound"] == report.rows[0].bound
    assert (back["seed"], back["problems"], back["size"]) == (3, 60, 2000)


def test_same_seed_same_numbers_other_seed_other_numbers(report):
    again = verify.run(seed=3, **QUICK)
    assert again.rows == report.rows
    other = verify.run(seed=4, **QUICK)
    assert [row.worst for row in other.rows] != [row.worst for row in report.rows]


def test_random_problems_cover_the_special_cases():
    rng = np.random.default_rng(0)
    problems = [verify.random_problem(rng) for _ in range(500)]
    assert {len(p.x) for p in problems} == set(range(1, 11))
    assert any(not p.target.any() for p in problems)
    assert any(p.target.all() for p in problems)
    assert any(len(p.x) > 2 and len(set(p.x.tolist())) == 1 for p in problems)
    assert any(1 < len(set(p.x.tolist())) < len(p.x) for p in problems)
    assert max(p.gamma for p in problems) / min(p.gamma for p in problems) > 1e10


def pooled_in_order(monkeypatch):
    prox = verify.LovaszExtension.prox

    def wrong(self, x, gamma, *, method="pav-in-order", metric=None):
        return prox(self, x, gamma, method=method if metric is None else "exact", metric=metric)

    monkeypatch.setattr(verify.LovaszExtension, "prox", wrong)


def rounded_to_single(monkeypatch):
    prox = verify.LovaszExtension.prox
    monkeypatch.setattr(
        verify.LovaszExtension, "prox", lambda *a, **k: prox(*a, **k).astype(np.float32).astype(np.float64)
    )


def hinge_without_threshold(monkeypatch):
    class Unthresholded:
        def __init__(self, target):
            self.signs, self.f = 2.0 * target - 1, verify.LovaszExtension(verify.Jaccard(target))

        def prox(self, logits, gamma):
            return self.signs * (1 - self.f.prox(1 - self.signs * logits, gamma))

    monkeypatch.setattr(verify, "LovaszHinge", Unthresholded)


def derivative_without_gamma(monkeypatch):
    jvp = verify.LovaszExtension.prox_jvp
    monkeypatch.setattr(verify.LovaszExtension, "prox_jvp", lambda f, x, gamma, t, _: jvp(f, x, gamma, t))


def projection_scaled(monkeypatch):
    project = verify.LovaszExtension.project
    monkeypatch.setattr(verify.LovaszExtension, "project", lambda self, w: 1.000001 * project(self, w))


def proof_that_accepts_everything(monkeypatch):
    exact = verify.verify_prox_exact

    def lenient(F, x, gamma, z):
        return exact(F, x, gamma, list(verify.reference.prox_counts_exact(_row(F), F.target, x, gamma)))

    monkeypatch.setattr(verify, "verify_prox_exact", lenient)


def _row(F):
    return verify.reference.jaccard_row(F.P)


def min_norm_that_stops_early(monkeypatch):
    solve = verify.prox_min_norm
    monkeypatch.setattr(verify, "prox_min_norm", lambda *a, tol: solve(*a, tol=tol, max_iter=1))


JACCARD = {
    "prox",
    "prox of integers",
    "prox of a large image, float64",
    "exact method",
    "other set functions",
}
MUTANTS = [
    (pooled_in_order, JACCARD),
    (rounded_to_single, JACCARD - {"prox of a large image, float64"}),
    (hinge_without_threshold, {"hinge prox"}),
    (derivative_without_gamma, {"⟨u, jvp(t)⟩ = ⟨vjp(u), t⟩", "jvp along (x, γ) is the prox (homogeneity)"}),
    (projection_scaled, {"prox_γf(x) + γ · projection(x/γ) = x"}),
    (proof_that_accepts_everything, {"prox of integers"}),
    (min_norm_that_stops_early, {"min-norm point"}),
]


@pytest.mark.parametrize(("mutate", "noticed"), MUTANTS, ids=[m.__name__ for m, _ in MUTANTS])
def test_a_wrong_package_is_noticed(mutate, noticed, monkeypatch):
    mutate(monkeypatch)
    report = verify.run(seed=3, problems=150, size=1000)
    assert not report.passed
    assert not any(row.error for row in report.rows)
    assert noticed <= failed(report)
    assert "FAIL" in report.table()


def test_a_check_that_raises_fails_and_the_others_go_on(monkeypatch):
    def broken(rng, problems, size):
        raise ArithmeticError("lost a sign")
        yield

    monkeypatch.setitem(verify.CHECKS, "known counterexamples", broken)
    report = verify.run(seed=0, problems=5, size=100)
    assert failed(report) == {"known counterexamples"}
    assert report.complete
    assert not report.passed
    assert report.rows[-1].claim == list(verify.BOUNDS.values())[-1].claim
    assert "lost a sign" in report.table()


def test_nan_is_a_failure(monkeypatch):
    monkeypatch.setattr(verify, "CHECKS", {"one": lambda *_: iter([("counterexamples", 1, np.nan)])})
    report = verify.run(seed=0, problems=5, size=100)
    assert failed(report) == {"exact method"}
    assert not report.passed


def test_nan_in_a_single_answer_is_a_failure(monkeypatch):
    prox = verify.LovaszExtension.prox

    def sometimes(self, x, *args, **options):
        z = prox(self, x, *args, **options)
        return z * np.nan if len(z) == 7 else z

    monkeypatch.setattr(verify.LovaszExtension, "prox", sometimes)
    assert not verify.run(seed=0, problems=100, size=100).rows[0].passed


def test_interrupt_keeps_the_rows_so_far():
    seen = []

    def progress(name):
        seen.append(name)
        if len(seen) == 3:
            raise KeyboardInterrupt

    report = verify.run(seed=0, problems=5, size=100, progress=progress)
    assert seen == list(verify.CHECKS)[:3]
    assert [row.claim.split(":")[0] for row in report.rows] == ["prox", "prox", "prox", "prox of integers"]
    assert all(row.passed for row in report.rows)
    assert not report.complete
    assert not report.passed
    assert "interrupted" in report.table().splitlines()[-1]


def test_interrupt_inside_a_check_keeps_the_rows_it_had(monkeypatch):
    def interrupted(rng, problems, size):
        yield "brute", 1, 0.0
        raise KeyboardInterrupt

    monkeypatch.setitem(verify.CHECKS, next(iter(verify.CHECKS)), interrupted)
    report = verify.run(seed=0, problems=5, size=100)
    assert len(report.rows) == 1
    assert not report.passed


@pytest.mark.parametrize(
    ("arguments", "message"), [({"problems": 0}, "problems is 0"), ({"size": 9}, "size is 9")]
)
def test_too_little_to_check(arguments, message):
    with pytest.raises(ValueError, match=message):
        verify.run(**arguments)


def test_needs_no_extra():
    code = (
        "import sys; sys.modules['cvxpy'] = None; from lovasz_opt import verify; "
        "assert verify.run(problems=2, size=50).complete; "
        "assert not {'matplotlib', 'skimage', 'tqdm', 'joblib', 'clarabel'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
