"""The soak and its certificate: right answers pass, wrong ones do not."""

import json
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import lovasz_opt as lo
from lovasz_opt import reference

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks" / "reliability"))
import soak
from certificate import certificate


def exceeds(problem, moved):
    return max(soak.check(problem, moved)) > soak.BOUND


def test_a_thousand_proxes():
    told = []
    result = soak.soak(1000, 7, told.append)
    assert result["failures"] == []
    assert (result["count"], result["failed"], result["interrupted"]) == (1000, 0, False)
    assert all(0 < worst["ulp"] <= soak.BOUND for worst in result["worst"].values())
    assert {name: sum(counts.values()) for name, counts in result["counts"].items()} == dict.fromkeys(
        ("route", "kind", "precision", "pixels"), 1000
    )
    assert set(result["counts"]["route"]) == set(soak.ROUTES)
    assert set(result["counts"]["kind"]) == set(soak.KINDS)
    assert set(result["counts"]["precision"]) == {np.dtype(dtype).name for dtype in soak.DTYPES}


def test_a_case_is_fixed_by_seed_and_index():
    one, again, other, seeded = (soak.case(*at) for at in ((0, 5), (0, 5), (0, 6), (1, 5)))
    assert repr(one) == repr(again)
    assert len({repr(case) for case in (one, other, seeded)}) == 3


@pytest.mark.parametrize("case", [375461, 702173])
def test_cases_that_failed_once(case):
    """Rounding added up in a pool of many tied pixels."""
    problem = soak.case(0, case)
    assert max(soak.check(problem, soak.answer(problem))) <= 1


def test_a_few_units_in_the_last_place_too_many_are_caught():
    tried = Counter()
    for index in range(300):
        problem = soak.case(1, index)
        x, moved = problem.scores, soak.answer(problem)
        if problem.route != "extension" or problem.kind == "subnormal":
            continue
        # One entry, by twice what all may be off together.
        length = float(np.abs(x.astype(float)).sum() + np.abs(moved.astype(float)).sum()) + problem.gamma
        moved = moved.astype(float)
        moved[index % len(moved)] += 2 * soak.BOUND * np.finfo(x.dtype).eps * length
        assert exceeds(problem, moved.astype(x.dtype)) or x.dtype != np.float64
        # In half precisions the entry itself is rounded; twice as much is then enough.
        moved[index % len(moved)] += 2 * soak.BOUND * np.finfo(x.dtype).eps * length
        assert exceeds(problem, moved.astype(x.dtype))
        tried[x.dtype.name] += 1
    assert min(tried.values()) > 10


@pytest.mark.parametrize("route", soak.ROUTES)
def test_the_answer_to_another_problem_is_caught(route):
    tried = 0
    for index in range(400):
        problem = soak.case(2, index)
        x = problem.scores
        moved = soak.answer(problem)
        # Where the step is lost beside the scores, another step has the same answer.
        if problem.route != route or x.dtype != np.float64 or np.array_equal(x, moved):
            continue
        if np.abs(x - moved).sum() < 1e-6 * (1 + np.abs(x).sum()):
            continue
        assert exceeds(problem, x.copy())
        assert exceeds(problem, x + 1.001 * (moved - x))
        assert exceeds(problem, x + 0.999 * (moved - x))
        if route == "extension":
            assert exceeds(replace(problem, gamma=1.001 * problem.gamma), moved)
        tried += 1
    assert tried > 5


def test_what_is_no_answer_at_all_is_refused():
    problem = next(p for p in (soak.case(0, i) for i in range(100)) if p.route == "hinge with void pixels")
    moved = soak.answer(problem)
    nan, void = moved.copy(), moved.copy()
    nan[0] = np.nan
    void[problem.labels == 255] += 1
    for wrong, message in (
        (nan, "not finite"), (void, "void pixels moved"), (moved[None], "float"), (moved + 0j, "complex"),
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=message):
            soak.check(problem, wrong)


@pytest.mark.parametrize("hinge", [False, True])
def test_certificate_of_any_point_against_all_sets(hinge):
    rng = np.random.default_rng(3)
    for _ in range(200):
        p, gamma = int(rng.integers(1, 8)), float(rng.exponential())
        foreground = rng.random(p) < rng.random()
        x, z = np.round(4 * rng.normal(size=(2, p)))
        gap, infeasibility = certificate(x, foreground, gamma, z, hinge, 0.0)
        values = reference.set_values(lo.Jaccard(foreground))
        expected = reference.prox_gap(values, x, gamma, z, polymatroid=hinge)
        lengths = np.abs(x).sum() + np.abs(z).sum() + gamma
        scale = 0.5 * (x @ x + z @ z) + gamma * np.abs(z).max()
        rounding = 1e-12 * max(scale, 1e-9)
        np.testing.assert_allclose(gap * scale, expected[0], rtol=1e-12, atol=rounding)
        np.testing.assert_allclose(
            infeasibility * lengths, gamma * max(expected[1], 0), rtol=1e-12, atol=1e-14 * lengths
        )


def test_certificate_agrees_with_those_of_the_package():
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(200):
        p, gamma = int(rng.integers(1, 8)), int(rng.integers(1, 60))
        target, x = rng.integers(0, 2, p), rng.integers(-30, 30, p).astype(float)
        exact = lo.prox_exact(target, x.tolist(), gamma)
        assert lo.verify_prox_exact(lo.Jaccard(target), x, gamma, exact).optimal
        z = np.array(exact, dtype=float)
        wrong = z + rng.choice([-1e-3, 0, 1e-3], p)
        for point, optimal in ((z, True), (wrong, np.array_equal(z, wrong))):
            found = certificate(x, target == 1, float(gamma), point, False, 0.0)
            assert (max(map(abs, found)) <= 4 * np.finfo(float).eps) == optimal
            sure = lo.verify_prox(lo.LovaszExtension(lo.Jaccard(target)), x, gamma, point)
            assert (sure.distance_bound < 1e-5) == optimal
            # In fractions, rounding is not forgiven.
            proved = lo.verify_prox_exact(lo.Jaccard(target), x, gamma, point).optimal
            assert proved == ([Fraction(value) for value in point.tolist()] == exact)
            refused += not optimal
    assert refused > 100


def run(tmp_path, *options):
    out = tmp_path / "soak.json"
    status = soak.main(["--count", "20", "--out", str(out), *options])
    return status, json.loads(out.read_text(encoding="utf-8"))


def test_command(tmp_path, capsys):
    status, document = run(tmp_path)
    assert (status, document["count"], document["failed"]) == (0, 20, 0)
    assert {"date", "machine", "numpy"} <= set(document["environment"])
    assert "20 proxes in" in capsys.readouterr().out
    assert soak.main(["--only", "3"]) == 0
    assert "ulp" in capsys.readouterr().out


def test_command_tells_of_wrong_answers(tmp_path, capsys, monkeypatch):
    right = soak.answer
    monkeypatch.setattr(soak, "answer", lambda problem: right(problem) * (1 + 1e-3))
    status, document = run(tmp_path)
    assert status == 1
    assert 10 < document["failed"] == len(document["failures"])
    assert f"case {document['failures'][1]['case']}: AssertionError: " in capsys.readouterr().out


def test_changed_inputs_are_noticed(monkeypatch):
    right = soak.answer

    def changes(problem):
        moved = right(problem)
        problem.labels.flat[0] ^= 1
        return moved

    monkeypatch.setattr(soak, "answer", changes)
    assert soak.soak(5, 0)["failed"] == 5


def test_an_interrupt_keeps_what_is_done(tmp_path, monkeypatch):
    drawn = soak.case

    def interrupted(seed, index):
        if index == 7:
            raise KeyboardInterrupt
        return drawn(seed, index)

    monkeypatch.setattr(soak, "case", interrupted)
    status, document = run(tmp_path)
    assert (status, document["count"], document["interrupted"]) == (130, 7, True)
