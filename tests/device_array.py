"""An array that lies on a device, as those of CuPy do, for tests on machines without one.

It speaks the array API and DLPack, and refuses to be read from the host unless a copy is asked for.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

CUDA, HOST = 2, 1


class DeviceArray:
    """Elements that only the functions of its namespace may look at."""

    __array_ufunc__ = None

    def __init__(self, elements: Any, number: int = 0) -> None:
        self._elements, self._number = np.asarray(elements), number
        self.host_copies = 0

    shape = property(lambda self: self._elements.shape)
    dtype = property(lambda self: self._elements.dtype)
    device = property(lambda self: f"cuda:{self._number}")

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return Namespace()

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self._number

    def __dlpack__(self, *, dl_device: Any = None, copy: bool | None = None, **_: Any) -> Any:
        if dl_device != (HOST, 0) or not copy:
            raise BufferError("the elements are on the device; ask for a copy on the host")
        self.host_copies += 1
        return self._elements.copy().__dlpack__()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to a host array is not allowed")

    def __bool__(self) -> bool:
        assert self.shape == ()
        return bool(self._elements)

    def __getitem__(self, key: Any) -> "DeviceArray":
        return DeviceArray(self._elements[key], self._number)


def _on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        device = kwargs.pop("device", None)
        numbers = {a._number for a in args if isinstance(a, DeviceArray)}
        if device is not None:
            numbers.add(int(device.removeprefix("cuda:")))
        assert len(numbers) < 2, "arrays of different devices"
        assert not any(isinstance(a, np.ndarray) for a in args) or function is np.asarray
        result = function(*[a._elements if isinstance(a, DeviceArray) else a for a in args], **kwargs)
        return DeviceArray(result, *numbers) if isinstance(result, (np.ndarray, np.generic)) else result

    return run


for _name in ["add", "sub", "mul", "truediv", "and", "or"]:
    _operator = getattr(operator, f"__{_name}__")
    setattr(DeviceArray, f"__{_name}__", _on_device(_operator))
    setattr(DeviceArray, f"__r{_name}__", _on_device(lambda a, b, f=_operator: f(b, a)))
for _name in ["neg", "invert", "lt", "le", "gt", "ge", "eq", "ne"]:
    setattr(DeviceArray, f"__{_name}__", _on_device(getattr(operator, f"__{_name}__")))
DeviceArray.__hash__ = object.__hash__  # type: ignore[method-assign]


class Namespace:
    """The functions of NumPy on arrays of the device."""

    def __getattr__(self, name: str) -> Any:
        member = getattr(np, name)
        return member if isinstance(member, type) or not callable(member) else _on_device(member)

    __name__ = "namespace of the device"
