"""The radix sort: it is NumPy's stable sort of the negated array, whatever the floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lovasz_opt.kernels import sort
from lovasz_opt.kernels.sort import argsort_decreasing, argsort_labels


def check(x):
    np.testing.assert_array_equal(argsort_decreasing(x), np.argsort(-x, kind="stable"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_any_floats(dtype, data):
    width = np.dtype(dtype).itemsize * 8
    floats = st.floats(width=width, allow_nan=False)
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)])
    check(data.draw(arrays(dtype, st.integers(0, 200), elements=st.one_of(floats, few))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 20_000])
def test_shapes_of_data(dtype, n):
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n)
    for values in (
        x,
        np.round(2 * x),
        1 + 1e-9 * x,  # crowded: the leading 32 bits agree
        np.repeat(1 + 1e-9 * x[: n // 40 + 1], 40)[:n],
        np.exp((200 if dtype == np.float64 else 30) * np.clip(x, -2, 2)),
        np.zeros(n),
        np.sort(x),
        -np.sort(x),
        x * 5e-324 * 100,
        np.where(x > 1, np.inf, np.where(x < -1, -np.inf, x)),
    ):
        check(values.astype(dtype))


def test_labels():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, 1000)
    np.testing.assert_array_equal(argsort_labels(labels, 50), np.argsort(labels, kind="stable"))


def test_keys_by_hand(as_python):
    as_python(sort)
    assert sort._key(1.0, False) == 0x400FFFFFFFFFFFFF
    assert sort._key(-1.0, False) == 0xBFF0000000000000
    assert sort._key(np.float32(1.0), True) == 0x407FFFFF00000000
    assert sort._key(np.float32(-1.0), True) == 0xBF80000000000000
    third = 1 / 3
    assert sort._key(third, False) & 0xFFFFFFFF == 0xAAAAAAAA
    assert sort.leading(third, False) == sort._key(third, False) & 0xFFFFFFFF00000000
    falling = [np.inf, 1e300, 1.0, 2.0**-1022, 5e-324, 0.0, -0.0, -5e-324, -1.0, -1e300, -np.inf]
    for dtype, single in ((np.float64, False), (np.float32, True)):
        with np.errstate(over="ignore", under="ignore"):
            values = np.unique(np.array(falling).astype(dtype).view(f"i{dtype().itemsize}")).view(dtype)
        values = values[np.lexsort((np.signbit(values), -values))]
        keys = [sort._key(value, single) for value in values]
        assert keys == sorted(set(keys))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 300])
def test_words_are_sorted_by_their_upper_halves(as_python, n):
    """Stably, whichever of the digits are the same everywhere; what is behind the n words is not touched."""
    as_python(sort)
    rng = np.random.default_rng(n)
    few = rng.integers(0, 3, n)
    uppers = [rng.integers(0, 1 << 32, n), np.arange(n)[::-1], np.zeros(n, int)]
    uppers += [few << 10, few << 11, few << 20, few << 21, few << 22, few << 30, (few << 11) + few[::-1]]
    for upper in uppers:
        lower = rng.integers(0, 1 << 32, n).astype(np.uint64)
        words = upper.astype(np.uint64) << np.uint64(32) | lower
        expected = words[np.argsort(upper, kind="stable")]
        for tail in (0, (1 << 64) - 1):
            found = np.append(words, np.full(3, tail, np.uint64))
            sort._sort_words(found, np.empty(n, np.uint64), n)
            np.testing.assert_array_equal(found, [*expected, tail, tail, tail])


def test_a_digit_that_is_the_same_everywhere_takes_no_pass(as_python):
    as_python(sort)
    words = np.arange(70, dtype=np.uint64) | np.uint64((5 << 22 | 3 << 11 | 1) << 32)
    spare = np.full(70, 9, np.uint64)
    sort._sort_words(words, spare, 70)
    assert (spare == 9).all()


def falling(x, chosen):
    """Chosen indices by decreasing x, equal entries in their order, −0 behind +0."""
    return chosen[np.lexsort((np.signbit(x[chosen]), -x[chosen]))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 40, 70])
def test_indices_that_carry_a_bit(as_python, dtype, n):
    as_python(sort)
    rng = np.random.default_rng(n)
    noise = rng.standard_normal(2 * n)
    for values in (
        noise,
        np.sort(noise),
        np.round(noise) * 0.0,
        np.where(noise > 0, np.inf, -np.inf),
        # Crowded in one run, in two of both signs, and in many.
        1 + 1e-12 * noise,
        1 + 2.0**-20 * rng.random(2 * n),
        1 + 2.0**-23 * rng.permutation(2 * n),
        np.sign(noise) * (1 + 1e-12 * rng.standard_normal(2 * n)),
        np.round(4 * noise) + 8 + 1e-12 * rng.standard_normal(2 * n),
    ):
        x = values.astype(dtype)
        chosen = rng.permutation(2 * n)[:n]
        bit = rng.integers(0, 2, 2 * n).astype(np.uint64) << np.uint64(31)
        words = np.append(chosen.astype(np.uint64) | bit[chosen], np.uint64(7))
        expected = falling(x, chosen)
        sort.sort_indices(x, words, np.empty(n, np.uint64), n)
        np.testing.assert_array_equal(words[:n], expected.astype(np.uint64) | bit[expected])
        assert words[n] == 7


def test_packed_words_keep_their_leading_bits(as_python):
    as_python(sort)
    rng = np.random.default_rng(2)
    for x in (rng.standard_normal(200), 1 + 1e-12 * rng.standard_normal(200)):
        order = falling(x, np.arange(200))
        leading = np.array([sort.leading(value, False) for value in x])
        words = leading | np.arange(200, dtype=np.uint64)
        sort.sort_packed(x, words, np.empty(200, np.uint64), 200)
        np.testing.assert_array_equal(words, leading[order] | order.astype(np.uint64))


def test_only_short_runs_are_sorted_by_insertion(as_python, monkeypatch):
    """Insertion takes the square of the length of a run, so a longer one must go to the other route."""
    as_python(sort)
    insertion = sort._sort_runs
    calls = []
    monkeypatch.setattr(sort, "_sort_runs", lambda *arguments: calls.append(insertion(*arguments)))
    rng = np.random.default_rng(3)
    for length in (1, sort._RUN, sort._RUN + 1, 2 * sort._RUN):
        run = 1 + 2.0**-50 * rng.permutation(length)
        for x in (
            np.concatenate([run, [3.0, -1.0, 2.0]]),
            np.append(run, np.arange(2.0, 7.0)),
            np.append(-np.arange(9.0), run),
            run,
            np.concatenate([run, -run]),
        ):
            calls.clear()
            np.testing.assert_array_equal(sort.argsort_decreasing(x), np.argsort(-x, kind="stable"))
            assert bool(calls) == (length <= sort._RUN)


def test_the_largest_indices(as_python, monkeypatch):
    """Words that differ in all bits of their lower halves still agree in their upper halves."""
    as_python(sort)
    last = (1 << 31) - 1
    x = type("Huge", (dict,), {"itemsize": 8})({0: 1.0, last: 1 + 2.0**-52})
    foreground = 1 << 31
    for run in (1, 48):
        monkeypatch.setattr(sort, "_RUN", run)
        for order in ([0, last | foreground], [last | foreground, 0], [foreground, last], [last, foreground]):
            words = np.array(order, np.uint64)
            sort.sort_indices(x, words, np.empty(2, np.uint64), 2)
            assert words.tolist() == sorted(order, key=lambda word: word & last, reverse=True)
    insertion = []
    monkeypatch.setattr(sort, "_RUN", 1)
    monkeypatch.setattr(sort, "_sort_runs", lambda *arguments: insertion.append(arguments))
    sort.sort_indices(x, np.array([foreground, last], np.uint64), np.empty(2, np.uint64), 2)
    assert insertion == []
