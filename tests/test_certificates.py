"""Certificates of proximal points: exact, read as written, and told apart by an independent checker."""

import dataclasses
import importlib.util
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import lovasz_opt as lo
from lovasz_opt import exact
from lovasz_opt.cli import app
from lovasz_opt.reference.rational import jaccard_row, prox_counts_exact

PROGRAMS = Path(__file__).parent.parent / "proofs" / "certificates"
EXAMPLE = ([1, 0, 1], [26, 12, 13], 12)


def program(name):
    spec = importlib.util.spec_from_file_location(f"certificates_{name}", PROGRAMS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = program("check").check

rationals = st.fractions(-50, 50, max_denominator=12) | st.integers(-3, 3).map(Fraction)
steps = st.one_of(
    st.fractions(Fraction(1, 20), 100, max_denominator=20),
    st.sampled_from([Fraction(1, 10**30), Fraction(10**30), Fraction(1, 10**400), Fraction(10**400)]),
)
pixels = st.lists(st.tuples(st.booleans(), rationals), min_size=1, max_size=10)
# One class alone, and scores whose differences float64 does not see.
problems = st.builds(
    lambda rows, gamma, label, shift: (
        [y if label is None else label for y, _ in rows],
        [x + shift for _, x in rows],
        gamma,
    ),
    pixels,
    steps,
    st.sampled_from([None, None, None, False, True]),
    st.sampled_from([0, 0, 0, 2**80, -(10**400)]),
)


def reference(target, x, gamma):
    return prox_counts_exact(jaccard_row(sum(target)), target, x, gamma).tolist()


@given(problems)
def test_exact_prox_is_that_of_the_reference(problem):
    target, x, gamma = problem
    assert lo.prox_exact(target, x, gamma) == reference(target, x, gamma)


@given(problems)
def test_exact_pooling_without_floats(problem):
    target, x, gamma = problem
    unit = math.lcm(gamma.denominator, *(value.denominator for value in x))
    z = exact._isotonic(target, [int(value * unit) for value in x], int(gamma * unit))
    assert [value / unit for value in z] == reference(target, x, gamma)


@pytest.mark.parametrize("gamma", [50, 5000, 500_000])
def test_both_ways_agree_on_a_larger_image(gamma):
    rng = np.random.default_rng(gamma)
    target = (rng.random(1500) < 0.3).tolist()
    x = [int(v) for v in np.rint(1000 * rng.standard_normal(1500))]
    z = lo.prox_exact(target, x, gamma)
    assert z == exact._isotonic(target, x, gamma)
    assert np.allclose(
        [float(v) for v in z], lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma), atol=1e-9
    )


def test_floats_that_lose_the_pools_are_found_out():
    target, x = [0, 1, 0], [2**80, 2**80 + 1, 2**80 + 2]
    pools = exact.float_solution(np.array(target, bool), x, Fraction(1)).pools
    z = exact.values_of_pools(target, x, 1, pools)
    assert not lo.verify_prox_exact(lo.Jaccard(target), x, 1, z).optimal
    assert lo.prox_exact(target, x, 1) == reference(target, x, 1)


@given(problems, st.booleans())
def test_written_and_read_without_loss(problem, with_error):
    certificate = lo.certify_prox(*problem, v="float64" if with_error else None)
    assert lo.ProxCertificate.from_text(certificate.to_text()) == certificate
    assert certificate.refutation() is None
    assert check(certificate.to_text()) is None
    assert certificate.z == reference(*problem)


def test_numbers_of_any_length(tmp_path):
    limit = sys.get_int_max_str_digits()
    certificate = lo.certify_prox([1, 0], [10**5000, Fraction(1, 3)], 1)
    certificate.write(tmp_path / "long.txt")
    assert lo.ProxCertificate.read(tmp_path / "long.txt") == certificate
    assert sys.get_int_max_str_digits() == limit


@given(st.integers(0, 2**32 - 1))
def test_the_error_of_the_float_prox(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 30))
    target, x, gamma = rng.random(p) < 0.4, rng.standard_normal(p), float(rng.gamma(1.0) + 0.01)
    certificate = lo.certify_prox(target, x, gamma, v="float64")
    v = lo.LovaszExtension(lo.Jaccard(target)).prox(x, gamma)
    squared = sum((Fraction(a) - b) ** 2 for a, b in zip(v.tolist(), certificate.z, strict=True))
    E, D, bound = certificate.E, certificate.D, certificate.error_bound
    assert squared <= Fraction(E, D) ** 2
    assert E == 0 or Fraction(E - 1, D) ** 2 < squared
    assert Fraction(bound) >= Fraction(E, D) > Fraction(math.nextafter(bound, -math.inf))
    assert bound <= 1e-14 * p * (np.abs(x).max() + gamma)


def test_error_bounds_out_of_the_range_of_floats():
    assert lo.certify_prox(*EXAMPLE).error_bound is None
    assert lo.certify_prox(*EXAMPLE, v=[10**400, 0, 0]).error_bound == math.inf
    assert lo.certify_prox(*EXAMPLE, v=[20, 10, 9 + Fraction(1, 10**400)]).error_bound == 5e-324
    assert lo.certify_prox([1, 0], [10**400, 0], 1, v="float64").E is None


@given(problems, st.data())
def test_checkers_agree_with_the_exact_proof_on_false_claims(problem, data):
    certificate = lo.certify_prox(*problem, v="float64")
    i = data.draw(st.integers(0, len(certificate.y) - 1))
    name = data.draw(st.sampled_from("XZy"))
    column = list(getattr(certificate, name))
    column[i] = not column[i] if name == "y" else column[i] + data.draw(st.sampled_from([-1, 1]))
    claim = dataclasses.replace(certificate, V=None, E=None, **{name: tuple(column)})
    true = lo.verify_prox_exact(lo.Jaccard(claim.y), claim.X, claim.G, claim.Z).optimal
    assert (claim.refutation() is None) == true
    assert (check(claim.to_text()) is None) == true


def test_refutations_name_the_set():
    claim = lo.certify_prox(*EXAMPLE, v="float64")
    for Z, reason in (
        ((20, 9, 9), "w(A) exceeds Δ(A) by 0.0833 on A = {0, 1}, w = (x − z)/gamma"),
        ((21, 10, 9), "w(A) falls short of Δ(A) by 0.0833 on the level set A = {0}, w = (x − z)/gamma"),
    ):
        assert dataclasses.replace(claim, Z=Z).refutation() == reason
        with pytest.raises(lo.NotProximalError, match="not the proximal point: w"):
            lo.certify_prox(*EXAMPLE, z=Z)
    pooled = lo.ProxCertificate(claim.y, (52, 24, 26), (40, 19, 19), 24, 2)
    assert check(pooled.to_text()) == "w is too large on 1 foreground and 1 background pixels"
    wrong = dataclasses.replace(claim, V=(20, 10, 10))
    assert wrong.refutation() == "the approximate answer is further than E/D from z"
    assert check(wrong.to_text()) == "V is further than E from Z"
    many = lo.certify_prox([1] * 9, range(9), 9)
    shown = dataclasses.replace(many, Z=(-9,) * 9).refutation()
    assert "A = {0, 1, 2, 3, 4, 5, 6, 7, …} (9 pixels)" in shown


MALFORMED = [
    ("", 1, "'lovasz-opt certificate 1'"),
    ("lovasz-opt certificate 2\n", 1, "'lovasz-opt certificate 1'"),
    ("lovasz-opt certificate 1", 2, "'loss jaccard'"),
    ("loss jaccard", "loss dice", 2, "'loss jaccard'"),
    ("pixels 3", "pixels 2", 8, "'end' after 2 pixels"),
    ("pixels 3", "pixels 4", 9, "one of 4 pixels"),
    ("pixels 3", "pixels 0", 3, "'pixels' and an integer ≥ 1"),
    ("denominator 1", "denominator 0", 4, "'denominator' and an integer ≥ 1"),
    ("gamma 12", "gamma -12", 5, "'gamma' and an integer ≥ 1"),
    ("gamma 12", "gamma 12.0", 5, "'gamma' and an integer ≥ 1"),
    ("gamma 12", "gamma 12\nerror -1", 6, "'error' and an integer ≥ 0"),
    ("gamma 12", "gamma 12\nerror 0", 7, "the integers y X Z V"),
    ("1 26 20", "2 26 20", 6, "y = 0 or 1"),
    ("1 26 20", "1 26 20 20", 6, "the integers y X Z"),
    ("1 26 20", "1 26  20", 6, "the integers y X Z"),
    ("1 26 20", "1 026 20", 6, "the integers y X Z"),
    ("1 26 20", "1 2_6 20", 6, "the integers y X Z"),
    ("1 26 20", "1 ٢٦ 20", 6, "the integers y X Z"),
    ("1 26 20", "1 26 20\r", 6, "the integers y X Z"),
    ("end\n", "", 9, "'end' after 3 pixels"),
    ("end\n", "end", 9, "'end' after 3 pixels"),
    ("end\n", "end\nmore\n", 9, "'end' after 3 pixels"),
    ("end\n", "end\n\n", 9, "'end' after 3 pixels"),
]


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_text_is_refused(case):
    *change, line, expected = case
    text = change[0] if len(change) == 1 else lo.certify_prox(*EXAMPLE).to_text().replace(*change)
    with pytest.raises(ValueError, match=f"^line {line}: expected .*{expected}"):
        lo.ProxCertificate.from_text(text)
    assert "line" in check(text)


def test_bad_arguments():
    for arguments, options, message in (
        (([1, 0], [1], 1), {}, "x has 1 entries, expected 2"),
        (([1, 0], [1, 2], 0), {}, "gamma is 0; it must be > 0"),
        (([1, 0], [1, 2], "one"), {}, "gamma is 'one'; give a finite rational"),
        (([1, 0], [1, math.nan], 1), {}, r"x\[1\] is nan; give a finite rational"),
        (([1, 0], [1, "1/0"], 1), {}, r"x\[1\] is '1/0'; give a finite rational"),
        (([1, 2], [1, 2], 1), {}, r"target holds 2, outside \{0, 1\}"),
        (([], [], 1), {}, "target"),
        (([1, 0], [1, 2], 1), {"z": [1]}, "z has 1 entries, expected 2"),
        (([1, 0], [1, 2], 1), {"v": [1, 2, 3]}, "v has 3 entries, expected 2"),
        (([1, 0], [1, 2], 1), {"v": "float32"}, "v is 'float32'"),
    ):
        with pytest.raises(ValueError, match=message):
            lo.certify_prox(*arguments, **options)


def call(*arguments):
    return CliRunner().invoke(app, ["certify", *map(str, arguments)])


def test_command_from_text_to_the_independent_checker(tmp_path):
    problem, out = tmp_path / "problem.txt", tmp_path / "out.txt"
    problem.write_text("1 26\n\n0 12.5\n1 40/3\n")
    result = call(problem, "--gamma", "12", "--out", out)
    assert result.exit_code == 0, result.output
    assert "pixels       3: 2 foreground, 1 background\n" in result.stdout
    assert "float error  at most " in result.stdout
    assert f"wrote {out}\n" in result.stdout
    assert lo.ProxCertificate.read(out).X[2] * 3 == lo.ProxCertificate.read(out).D * 40
    overtaking, bad = tmp_path / "overtaking.txt", tmp_path / "bad.txt"
    lo.certify_prox(*EXAMPLE, z=[20, 10, 9]).write(overtaking)
    bad.write_text(out.read_text().replace("\n0 ", "\n1 "))
    # Isolated, without site packages: the standard library has to do.
    command = [sys.executable, "-S", "-E", "-I", str(PROGRAMS / "check.py")]
    done = subprocess.run([*command, out, overtaking], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{out}: valid\n{overtaking}: valid\n")
    done = subprocess.run([*command, out, bad, "nowhere"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"{out}: valid"
    assert lines[1].startswith(f"{bad}: INVALID: w is ")
    assert lines[2] == "nowhere: INVALID: cannot be read: No such file or directory"


def test_command_on_arrays(tmp_path):
    out = tmp_path / "out.txt"
    target, x = np.array([[1, 0], [1, 0]]), np.array([[2.6, 1.2], [1.3, 0.1]], dtype=np.float32)
    np.savez(tmp_path / "p.npz", target=target, x=x, gamma=1.2)
    assert call(tmp_path / "p.npz", "--out", out).exit_code == 0
    certificate = lo.ProxCertificate.read(out)
    assert [Fraction(value, certificate.D) for value in certificate.X] == list(
        map(Fraction, x.ravel().tolist())
    )
    assert Fraction(certificate.G, certificate.D) == Fraction(1.2)
    assert call(tmp_path / "p.npz", "--gamma", "3/10", "--out", out).exit_code == 0
    certificate = lo.ProxCertificate.read(out)
    assert Fraction(certificate.G, certificate.D) == Fraction(3, 10)


def test_command_proves_or_refutes_a_claim(tmp_path):
    out, text, arrays = tmp_path / "out.txt", tmp_path / "claim.txt", tmp_path / "claim.npz"
    text.write_text("1 26 20\n0 12 10\n1 13 9\n")
    assert call(text, "--gamma", "12", "--out", out).exit_code == 0
    np.savez(arrays, target=[1, 0, 1], x=[26, 12, 13], z=[20, 9.5, 9.5], gamma=12)
    out.unlink()
    result = call(arrays, "--out", out)
    assert result.exit_code == 1
    assert result.stderr == (
        "lovasz-opt: z is not the proximal point: w(A) exceeds Δ(A) by 0.0417 on A = {0, 1}, "
        "w = (x − z)/gamma\n"
    )
    assert not out.exists()


def test_command_with_bad_input_is_one_line_and_exit_code_2(tmp_path):
    def file(name, text):
        (tmp_path / name).write_bytes(text)
        return tmp_path / name

    def arrays(name, **content):
        np.savez(tmp_path / name, **content)
        return tmp_path / name

    out = tmp_path / "out.txt"
    good = file("good.txt", b"1 2\n0 1\n")
    cases = [
        ((tmp_path / "nowhere.txt",), "nowhere.txt: No such file"),
        ((tmp_path / "nowhere.npz",), "nowhere.npz: No such file"),
        ((file("empty.txt", b"\n"),), "holds no pixel"),
        ((file("two.txt", b"1 2\n0 1 3\n"),), "line 2: expected 'y x'"),
        ((file("label.txt", b"2 2\n"),), "line 1: expected 'y x'"),
        ((file("number.txt", b"1 x\n"),), "x[0] is 'x'; give a finite rational"),
        ((file("bytes.txt", b"\xff\xfe"),), "not UTF-8 text"),
        ((file("damaged.npz", b"PK"),), "damaged.npz: damaged or not an .npz file"),
        ((arrays("missing.npz", x=[1.0]),), "holds no array 'target'; found x"),
        ((arrays("steps.npz", x=[1.0], target=[1], gamma=[1, 2]),), "gamma has 2 entries"),
        ((arrays("nan.npz", x=[np.nan], target=[1]),), "x[0] is nan"),
        ((arrays("words.npz", x=[1.0], target=["a"]),), "target must be boolean or hold 0 and 1, got dtype"),
        ((arrays("void.npz", x=[1.0], target=[255]),), "target holds 255, outside {0, 1}"),
        ((arrays("lengths.npz", x=[1.0], target=[1, 0]),), "x has 1 entries, expected 2"),
        ((good, "--gamma", "-1"), "gamma is -1; it must be > 0"),
        ((good, "--out", tmp_path / "no" / "where"), "cannot read or write"),
    ]
    if Path("/dev/full").exists():
        cases.append(((good, "--out", "/dev/full"), "cannot read or write /dev/full: No space left"))
    for arguments, message in cases:
        defaults = [] if "--gamma" in arguments else ["--gamma", "1"]
        defaults += [] if "--out" in arguments else ["--out", out]
        result = call(*arguments, *defaults)
        assert result.exit_code == 2, (arguments, result.output)
        assert result.stderr.startswith("lovasz-opt: "), arguments
        assert message in result.stderr, result.stderr
        assert result.stderr.count("\n") == 1, arguments
    without = call(good, "--out", out)
    assert (without.exit_code, without.stderr) == (2, f"lovasz-opt: {good} has no gamma; give --gamma\n")
    assert call(good, "--gamma", "1").exit_code == 2


def test_batches_of_the_generator(tmp_path):
    pytest.importorskip("skimage")
    count = 66
    environment = {name: value for name, value in os.environ.items() if name != "LOVASZ_OPT_DATA"}
    made = [sys.executable, PROGRAMS / "generate.py", tmp_path, "--certificates", str(count), "--seed", "3"]
    done = subprocess.run(made, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{count} corrupted, of up to 21414 pixels" in done.stdout
    command = [sys.executable, PROGRAMS / "check.py", "--batch", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    images = len(list((tmp_path / "valid").glob("*photograph*")))
    assert images == 4
    assert done.stdout == (
        f"{tmp_path}/valid: {count + images} valid, 0 invalid\n"
        f"{tmp_path}/corrupted: 0 valid, {count} invalid\n"
    )
    # Falsehoods are well-formed: what refuses them is the check, not the parser.
    for path in (tmp_path / "corrupted").iterdir():
        assert lo.ProxCertificate.read(path).refutation() is not None
    again = subprocess.run(made, capture_output=True, text=True, env=environment)
    assert again.returncode == 1
    assert "holds files; choose another directory" in again.stderr
    # A batch in which one file is not as it must be, and an empty one.
    next((tmp_path / "corrupted").iterdir()).rename(tmp_path / "valid" / "false.txt")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{tmp_path}/valid/false.txt: INVALID: " in done.stdout
    assert subprocess.run([*command[:-1], tmp_path / "valid"], capture_output=True).returncode == 1


@pytest.mark.data
def test_images_of_the_data_set(tmp_path, data_directory):
    pytest.importorskip("skimage")
    environment = os.environ | {"LOVASZ_OPT_DATA": str(data_directory)}
    made = [sys.executable, PROGRAMS / "generate.py", tmp_path, "--certificates", "11"]
    subprocess.run(made, check=True, env=environment)
    assert len(list((tmp_path / "valid").glob("*VOC*"))) == 9
    done = subprocess.run([sys.executable, PROGRAMS / "check.py", "--batch", tmp_path])
    assert done.returncode == 0


def test_coq_file(tmp_path):
    lo.certify_prox(*EXAMPLE).write(tmp_path / "a.txt")
    lo.certify_prox(*EXAMPLE, v=[20, 10, -31]).write(tmp_path / "b.txt")
    command = [sys.executable, PROGRAMS / "to_coq.py", tmp_path / "a.txt", tmp_path / "b.txt"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (
        "check_literals [:: (true, 0x1a, 0x14); (false, 0xc, 0xa); (true, 0xd, 0x9)]%literal 0xc.\n" in text
    )
    assert "(true, 0xd, 0x9, -0x1f)]%literal 0xc 0x28.\n" in text
    small = subprocess.run([*command, "--largest", "9"], capture_output=True, text=True, check=True).stdout
    assert "check_literals" not in small
    (tmp_path / "b.txt").write_text("no certificate\n")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/b.txt: line 1 is not 'lovasz-opt certificate 1'\n"
