"""Arrays of the libraries that are installed here, for tests that run on all of them."""

from typing import Any, NamedTuple

import numpy as np
import pytest


class Library(NamedTuple):
    """How tests make arrays of a library and look at them."""

    name: str
    module: str
    halves: tuple[str, ...] = ()

    def load(self) -> Any:
        return pytest.importorskip(self.module)

    def array(self, values: Any, dtype: str | None = None) -> Any:
        module, values = self.load(), np.asarray(values)
        dtype = dtype or str(values.dtype)
        if self.name == "tensorflow":
            return module.cast(module.convert_to_tensor(values), dtype)
        return module.asarray(values, dtype=getattr(module, dtype))

    def numpy(self, array: Any) -> Any:
        """Values in float64, read without the package."""
        if isinstance(array, (list, tuple)):
            return [self.numpy(part) for part in array]
        if self.name == "torch":
            array = array.detach().double().numpy()
        return np.asarray(array, dtype=np.float64)


NUMPY = Library("numpy", "numpy", ("float16",))
STRICT = Library("array-api-strict", "array_api_strict")
TORCH = Library("torch", "torch", ("float16", "bfloat16"))
JAX = Library("jax", "jax.numpy", ("float16", "bfloat16"))
TENSORFLOW = Library("tensorflow", "tensorflow", ("float16", "bfloat16"))
FOREIGN = [STRICT, TORCH, JAX, TENSORFLOW]


def name_of(value: Any) -> str | None:
    """Test ids."""
    return value.name if isinstance(value, Library) else None


def short(values: Any) -> Any:
    """Values that float32, float16 and bfloat16 hold exactly."""
    words = np.asarray(values, dtype=np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return words.view(np.float32).astype(np.float64)


def eps_of(dtype: str) -> float:
    """Spacing of the numbers of a dtype at 1."""
    return 2.0**-7 if dtype == "bfloat16" else float(np.finfo(dtype).eps)
