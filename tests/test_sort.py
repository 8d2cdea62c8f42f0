"""The radix sort: it is NumPy's stable sort of the negated array, whatever the floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
