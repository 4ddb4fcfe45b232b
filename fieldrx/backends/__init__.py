"""Operators on arrays; only this package knows how they are computed, and where.

`get` chooses the operators for a device by name, `of` those for an array that is there already; both give
`fieldrx.backends.cpu` or `fieldrx.backends.cuda`, which offer what `fieldrx.backends.operators` declares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np

from fieldrx.backends import forked
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def n_threads() -> int:
    """Threads that kernels and FFTs may use; `fieldrx.resources.thread_limit` says what limits them."""
    from fieldrx.backends import compiler  # here, so that reading a file does not wait for it

    return compiler.n_threads()


def in_threads(work: Callable[[int], Any], count: int) -> list:
    """[work(0), work(1), ...] on the host, each in one thread: for array functions that use one."""
    threads = min(n_threads(), count)
    if threads < 2:
        return [work(k) for k in range(count)]
    from fieldrx.backends.compiler import numba

    with ThreadPoolExecutor(threads, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, range(count)))


def cuda_unavailable() -> str:
    """Why no GPU can be used, in a few words; empty where one can be."""
    from fieldrx.backends.cuda.load import missing

    return missing()


def get(device: str = "auto") -> Operators:
    """The operators for a device.

    Parameters
    ----------
    device : str
        "cpu", "cuda", or "auto" for the GPU where there is one.

    Raises
    ------
    InputError
        If there is no such device.
    """
    if device not in DEVICES:
        raise InputError(f'there is no device "{device}"; expected one of {", ".join(DEVICES)}')
    why = cuda_unavailable() if device != "cpu" else ""
    if device == "cuda" and why:
        raise InputError(f"--device cuda: {why}; use --device cpu")
    return _backend("cpu" if device == "cpu" or why else "cuda")


def of(array: Any) -> Operators:
    """The operators for the device that holds an array."""
    return _backend("cuda" if is_on_device(array) else "cpu")


def module_of(array: Any) -> ModuleType:
    """The array's own module, numpy or cupy."""
    return sys.modules["cupy"] if is_on_device(array) else np


def is_on_device(array: Any) -> bool:
    """Whether an array lives on a GPU."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def to_host(array: Any) -> np.ndarray:
    """An array as a NumPy array; copied if it lives on a GPU."""
    return array.get() if is_on_device(array) else np.asarray(array)


def describe_device(backend: Operators) -> str:
    """The device of a backend in a few words: "cpu, 2 threads" or "cuda, NVIDIA H100 80GB"."""
    name = "cpu" if backend is _backend("cpu") else "cuda"
    return f"{name}, {backend.device_name()}"


def _backend(name):
    if name == "cuda":
        from fieldrx.backends import cuda

        return cuda
    forked.check()
    from fieldrx.backends import cpu

    return cpu
