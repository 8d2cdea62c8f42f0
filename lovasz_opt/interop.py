"""Arrays of any library in, the same kind out: same library, dtype and device.

An array of host memory is read through DLPack and not copied; the half precision bfloat16, which NumPy lacks,
is converted to float32 and back. An array of a device is never moved without being asked: what has no form of
its own for devices says in its documentation that it copies to the host and back, or refuses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_NUMPY = (np.ndarray, np.generic, int, float, str, type(None))
#: DLPack's numbers of host memory: CPU, and pinned memory of CUDA and ROCm.
_HOST = (1, 3, 11)
_HOST_PLACE = "the host"


def is_foreign(array: Any) -> bool:
    """Whether this is an array of a library other than NumPy, or a list of images that begins with one.

    Parameters
    ----------
    array : object

    Returns
    -------
    bool

    Examples
    --------
    >>> from lovasz_opt.interop import is_foreign
    >>> is_foreign([1.0, 2.0])
    False
    """
    if isinstance(array, _NUMPY):
        return False
    if isinstance(array, (list, tuple)):
        return bool(array) and not isinstance(array[0], (list, tuple)) and is_foreign(array[0])
    return (
        hasattr(array, "__dlpack__")
        or hasattr(array, "__array_namespace__")
        or _belongs(array, "tensorflow", "Tensor")
    )


def on_host(array: Any) -> bool:
    """Whether the elements of an array lie in host memory.

    Parameters
    ----------
    array : array of any library

    Returns
    -------
    bool
    """
    if not is_foreign(array):
        return True
    return int(array.__dlpack_device__()[0]) in _HOST


def to_numpy(array: Any) -> Any:
    """Return the elements of an array as a NumPy array, for reading only.

    Parameters
    ----------
    array : array of any library, or anything that `numpy.asarray` takes
        An array of a device is copied to the host.

    Returns
    -------
    ndarray
        The same memory where the array lies in host memory in a dtype of NumPy. bfloat16 becomes float32.
        Do not write to it: some libraries forbid that (their views are read-only), and others do not notice.

    Notes
    -----
    Tensors of PyTorch are detached, and conjugation and negation that are only pending are carried out:
    DLPack would refuse the first two and forget the last.

    Examples
    --------
    >>> from lovasz_opt.interop import to_numpy
    >>> to_numpy([1.0, 2.0])
    array([1., 2.])
    """
    if not is_foreign(array):
        return np.asarray(array)
    array = _plain(array)
    if on_host(array):
        try:
            return np.from_dlpack(array)
        except (BufferError, RuntimeError, TypeError):
            # Such as an array in several pieces, or memory that its library exports to none but itself.
            return np.asarray(array)
    return _host_copy(array)


class Home(NamedTuple):
    """Where results go: the library, dtype and device of an array.

    Attributes
    ----------
    library : module
        What makes arrays there: the namespace of the array API, or the library itself.
    dtype : dtype of the library, or None
        That of the array if it is floating; results keep theirs otherwise.
    device : object
        As the library names it.
    """

    library: Any
    dtype: Any
    device: Any

    @classmethod
    def of(cls, array: Any) -> Home:
        """Home of an array.

        Parameters
        ----------
        array : array of any library, or a list of them
            Of a list, the first counts.

        Returns
        -------
        Home
        """
        if isinstance(array, (list, tuple)):
            array = array[0]
        floating = "float" in dtype_name(array)
        return cls(_library(array), array.dtype if floating else None, _device(array))

    def give(self, result: Any) -> Any:
        """Return NumPy arrays and numbers as arrays of this home; tuples and lists part by part.

        Parameters
        ----------
        result : ndarray, float, or tuple or list of them
            Not copied where the library can share memory of the host. A number becomes a 0-d array.

        Returns
        -------
        array, or tuple or list of arrays
        """
        if isinstance(result, (tuple, list)):
            return type(result)(self.give(part) for part in result)
        array = np.asarray(result)
        if self.library.__name__ == "tensorflow":
            with self.library.device(self.device):
                return self.library.cast(self.library.convert_to_tensor(array), self.dtype or array.dtype)
        if not array.flags.writeable:
            # A library may take its arrays for writable, or refuse others.
            array = array.copy()
        return self.library.asarray(array, dtype=self.dtype, device=self.device)


def namespace(array: Any) -> Any:
    """Return the array API namespace of an array.

    Parameters
    ----------
    array : array of any library

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If the library has none of its own and array-api-compat is not installed.
    """
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    try:
        from array_api_compat import array_namespace
    except ImportError:
        raise ImportError(
            f"arrays of type {type(array).__qualname__} need array-api-compat on this device: "
            "pip install 'lovasz-opt[array-api]'"
        ) from None
    return array_namespace(array)


def dtype_name(array: Any) -> str:
    """Return the name of the dtype of an array, such as "bfloat16".

    Parameters
    ----------
    array : array of any library

    Returns
    -------
    str
    """
    return getattr(array.dtype, "name", None) or str(array.dtype).rpartition(".")[2]


def any_library(native: Callable[..., Any] | None = None) -> Callable[[Function], Function]:
    """Let a function of NumPy arrays take those of any library, and give the same kind back.

    Parameters
    ----------
    native : callable, optional
        The same function on arrays of a device. Without it they are copied to the host, and results back.

    Returns
    -------
    callable
        A decorator. The first two arguments of the function must be on one device, and results are of the
        kind of the first. Calls without arrays of other libraries are passed on as they are.

    Examples
    --------
    >>> from lovasz_opt.interop import any_library
    >>> @any_library()
    ... def total(scores, labels):
    ...     return float((scores * labels).sum())
    >>> import numpy as np
    >>> total(np.ones(3), np.ones(3))
    3.0
    """

    def decorate(function: Function) -> Function:
        first, second = list(signature(function).parameters)[:2]

        @wraps(function)
        def anywhere(*args: Any, **kwargs: Any) -> Any:
            if not any(map(is_foreign, args)) and not any(map(is_foreign, kwargs.values())):
                return function(*args, **kwargs)
            scores = args[0] if args else kwargs.get(first)
            labels = args[1] if len(args) > 1 else kwargs.get(second)
            places = _place(scores), _place(labels)
            if places[0] != places[1]:
                raise ValueError(
                    f"{first} is on {places[0]} and {second} on {places[1]}; "
                    "move one of them: nothing is moved between devices silently"
                )
            if native is not None and places[0] != _HOST_PLACE:
                rest = {name: value for name, value in kwargs.items() if name not in (first, second)}
                return native(scores, labels, *args[2:], **rest)
            given = {name: _as_argument(value) for name, value in kwargs.items()}
            result = function(*map(_as_argument, args), **given)
            return Home.of(scores).give(result) if is_foreign(scores) else result

        return cast(Function, anywhere)

    return decorate


def differentiable(function: Function) -> Function:
    """Hand arguments that are recorded or traced over to the adapter of their framework.

    Where a tensor of PyTorch requires a gradient, the call goes to the function of the same name in
    `lovasz_opt.torch`, and where JAX traces an array to that in `lovasz_opt.jax`: no history is cut off.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    name = function.__name__

    @wraps(function)
    def handed_over(*args: Any, **kwargs: Any) -> Any:
        frameworks = {_tracing_framework(value) for value in (*args, *kwargs.values())}
        # Plain imports: compilers of PyTorch follow them, and no call of importlib.
        if "torch" in frameworks:
            from . import torch

            return getattr(torch, name)(*args, **kwargs)
        if "jax" in frameworks:
            from . import jax

            return getattr(jax, name)(*args, **kwargs)
        return function(*args, **kwargs)

    return cast(Function, handed_over)


def _as_argument(value: Any) -> Any:
    """An argument with NumPy arrays in place of others; the rest stays what it is."""
    if not is_foreign(value):
        return value
    if isinstance(value, (list, tuple)):
        return [to_numpy(image) for image in value]
    return to_numpy(value)


def _place(array: Any) -> str:
    """Where an array is, in words for messages; all host memory is one place."""
    if _tracing_framework(array) == "jax":
        raise TypeError(
            f"JAX traces this argument of type {type(array).__qualname__}; "
            "use the functions of lovasz_opt.jax under jit, grad and vmap, and jax.grad for their gradients"
        )
    if isinstance(array, (list, tuple)) and is_foreign(array):
        if not all(map(on_host, array)):
            raise TypeError("a list holds images of a device; pass them one by one, or as one batch")
        return _HOST_PLACE
    if _belongs(array, "tensorflow", "Tensor") and "CPU" not in getattr(array, "device", ""):
        raise TypeError(
            f"{array!r} is not on the CPU, or traced by tf.function; tensors of TensorFlow must be eager "
            "tensors of the CPU: copy it there, or wrap the call in tf.numpy_function"
        )
    if on_host(array):
        return _HOST_PLACE
    kind, number = array.__dlpack_device__()
    return f"device {number} of DLPack kind {int(kind)}"


def _tracing_framework(array: Any) -> str | None:
    """The framework that records or traces what is done with an array, if one does."""
    if isinstance(array, _NUMPY):
        return None
    if _belongs(array, "torch", "Tensor"):
        torch = sys.modules["torch"]
        recording = array.requires_grad and torch.is_grad_enabled()
        # PyTorch has no public name for the last question: whether the tensor is one of torch.func or vmap.
        traced = torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(array)
        return "torch" if recording or traced else None
    jax = sys.modules.get("jax")
    return "jax" if jax is not None and isinstance(array, jax.core.Tracer) else None


def _belongs(array: Any, library: str, name: str) -> bool:
    """Whether an array is of a class of a library, without importing the library."""
    kind = getattr(sys.modules.get(library), name, None)
    return kind is not None and isinstance(array, kind)


def _plain(array: Any) -> Any:
    """The same array without what its library keeps beside the elements, in a dtype that NumPy has."""
    if _belongs(array, "torch", "Tensor"):
        array = array.detach().resolve_conj().resolve_neg()
        return array.float() if dtype_name(array) == "bfloat16" else array
    if dtype_name(array) == "bfloat16":
        library = _library(array)
        return library.cast(array, "float32") if library.__name__ == "tensorflow" else array.astype("float32")
    return array


def _library(array: Any) -> Any:
    for library in ("torch", "tensorflow"):
        if _belongs(array, library, "Tensor"):
            return sys.modules[library]
    return namespace(array)


def _device(array: Any) -> Any:
    # A device named for an array of JAX binds it to that device; those of users often are not bound.
    return array.device if getattr(array, "committed", True) else None


def _host_copy(array: Any) -> Any:
    """A copy of an array of a device in host memory."""
    try:
        return np.from_dlpack(array, device="cpu", copy=True)
    except (BufferError, RuntimeError, TypeError, ValueError):
        # The library or NumPy is too old to copy between devices through DLPack.
        for name in ("cpu", "get"):
            if hasattr(array, name):
                return np.asarray(getattr(array, name)())
        return np.asarray(array)
