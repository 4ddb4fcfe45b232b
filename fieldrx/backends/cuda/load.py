"""CUDA sources, their compilation through CuPy, and launches.

A source is compiled together with its headers as one text, so CuPy's cache of compiled kernels, which
goes by text and options, never serves what an edited header has changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldrx.errors import InputError, one_line

_INCLUDE = re.compile(r'^#include "([\w.]+)"[^\n]*$', re.MULTILINE)
_STANDARD = "-std=c++17"
_PLAIN_SHARED = 48 * 1024  # bytes of dynamic shared memory that a kernel may use without asking
_INSTALL = "pip install fieldrx[cuda12] or fieldrx[cuda13]"
_NO_GPU = "CuPy finds no GPU or driver"
_PROBE = 'extern "C" __global__ void probe(int* number) { *number = 7; }'
_LEAST_CAPABILITY = 80  # asynchronous copies, products of 16 x 16 halves


def missing() -> str:
    """What keeps this machine from using a GPU, in a few words; empty if nothing does."""
    if find_spec("cupy") is None:
        return f"CuPy is not installed ({_INSTALL})"
    try:
        import cupy
    except Exception as error:  # of another Python or NumPy, half removed: anything may come
        return f"CuPy cannot be imported ({_said(error)}): install it again"
    try:
        if not cupy.cuda.is_available():
            return _NO_GPU
        device = cupy.cuda.Device()
        capability = device.compute_capability
    except RuntimeError as error:  # CuPy 13 says so of a missing driver
        return f"{_NO_GPU} ({_said(error)})"
    if int(capability) < _LEAST_CAPABILITY:
        return f"the GPU has compute capability {capability[:-1]}.{capability[-1]}; 8.0 or more is needed"
    return _incapable(cupy, device.id)


@cache
def _incapable(cupy, device):
    """Why CuPy can neither compile nor transform, tried once on a device: it loads both libraries late."""
    try:
        number = cupy.empty(1, np.int32)
        cupy.RawModule(code=_PROBE).get_function("probe")((1,), (1,), (number,))
        from cupyx.scipy.fft import fft2

        found = int(number[0]), complex(fft2(cupy.asarray(np.eye(2, dtype=np.complex64)))[1, 1])
    except Exception as error:  # of CuPy, of the libraries, of the loader of either
        return f"CuPy cannot compile or transform here ({_said(error)}): {_INSTALL} brings what it needs"
    return "" if found == (7, 2) else f"the GPU computes 7 and 2 as {found[0]} and {found[1]:g}"


def _said(error):
    return f"{type(error).__name__}: {one_line(error)[:160]}"


def require_device() -> None:
    """Raise InputError where no GPU can be used."""
    why = missing()
    if why:
        raise InputError(f"cannot compute on a GPU: {why}; use the CPU")


def source_files() -> list[str]:
    """Names of the CUDA sources, without headers."""
    return sorted(path.name for path in _folder().iterdir() if path.name.endswith(".cu"))


@cache
def source(name: str) -> str:
    """Text of a CUDA source with every header of ours in the place of its first #include."""
    included = set()

    def inline(text):
        def replace(match):
            header = match.group(1)
            if not (_folder() / header).is_file():  # the tests' own, behind #ifdef
                return match.group(0)
            if header in included:
                return ""
            included.add(header)
            return inline((_folder() / header).read_text().replace("#pragma once\n", ""))

        return _INCLUDE.sub(replace, text)

    return inline((_folder() / name).read_text())


@lru_cache(maxsize=64)
def _module(name, chosen):
    import cupy

    return cupy.RawModule(code=source(name), options=(_STANDARD, *chosen))


@lru_cache(maxsize=256)
def _function(name, kernel, chosen):
    return _module(name, chosen).get_function(kernel)


def options(constants: dict) -> tuple[str, ...]:
    """Compiler options that define constants."""
    return tuple(f"-D{key}={value}" for key, value in sorted(constants.items()))


def launch(
    name: str,
    kernel: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    arguments: tuple,
    shared_bytes: int = 0,
    constants: dict | None = None,
) -> None:
    """Queue a kernel on the current stream.

    Parameters
    ----------
    name : str
        The source, "network.cu".
    kernel : str
    grid, block : tuple of int
    arguments : tuple of device arrays and NumPy scalars
    shared_bytes : int
        Dynamic shared memory of a block.
    constants : dict, optional
        Macros that the source is compiled with; every set of them is compiled once.

    Raises
    ------
    ValueError
        If an array is not C-contiguous: a kernel would take its elements in the wrong order.
    """
    for k, argument in enumerate(arguments):
        if getattr(argument, "ndim", 0) > 1 and not argument.flags.c_contiguous:
            raise ValueError(f"{kernel}: argument {k}, of shape {argument.shape}, is not C-contiguous")
    function = _prepared(name, kernel, shared_bytes, constants or {})
    function(grid, block, arguments, shared_mem=shared_bytes)


def _prepared(name, kernel, shared_bytes, constants):
    """A kernel that may take so many bytes of dynamic shared memory."""
    function = _function(name, kernel, options(constants))
    if shared_bytes > max(_PLAIN_SHARED, function.max_dynamic_shared_size_bytes):
        function.max_dynamic_shared_size_bytes = shared_bytes
    return function


class Limits(NamedTuple):
    """What a device offers."""

    multiprocessors: int
    shared_per_block: int  # bytes of shared memory
    shared_per_multiprocessor: int


def device_limits() -> Limits:
    """Those of the present device."""
    import cupy

    return _limits(cupy.cuda.Device().id)


@cache
def _limits(device):
    import cupy

    names = ("MultiProcessorCount", "MaxSharedMemoryPerBlockOptin", "MaxSharedMemoryPerMultiprocessor")
    attributes = cupy.cuda.Device(device).attributes
    return Limits(*(attributes[name] for name in names))


def on_each_device(maxsize: int) -> Callable:
    """As `functools.lru_cache`, for what lies on a device: every device has its own."""

    def decorate(function):
        @lru_cache(maxsize)
        def of_device(device, *arguments):
            return function(*arguments)

        @wraps(function)
        def call(*arguments):
            import cupy

            return of_device(cupy.cuda.Device().id, *arguments)

        return call

    return decorate


def blocks_at_once(name: str, kernel: str, threads: int, shared_bytes: int, constants: dict) -> int:
    """How many blocks of a kernel the device runs at the same time, as its driver says."""
    from cupy.cuda import driver

    function = _prepared(name, kernel, shared_bytes, constants)  # the driver counts what the kernel may take
    of_one = driver.occupancyMaxActiveBlocksPerMultiprocessor(function.kernel.ptr, threads, shared_bytes)
    return device_limits().multiprocessors * max(1, of_one)


def _folder():
    """The folder of the sources: package data, or the checkout's own folder."""
    try:
        return resources.files("fieldrx.kernels")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[3] / "kernels"
