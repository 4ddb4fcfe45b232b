"""A stand-in for CuPy whose device is `emulator.Module`: the backend's own code runs without a GPU.

Device arrays are no ndarrays: like CuPy's they refuse to be mixed with NumPy arrays or to be converted
without saying so.  Every allocation starts as NaN (``empty``) and lies between canaries, which every
launch checks.  What CuPy does not have, or does otherwise, is not imitated; where the real one is installed,
every call is held against its names, parameters and types.

While a stream captures, what is queued on it is not run but becomes part of a graph, with the pointers and
numbers of that moment; a graph keeps none of the memory that it works in.  What cannot be done meanwhile is
refused, and so are allocations, which could be: what a pool hands out for a graph it hands to others later.
"""

import contextlib
import ctypes
import functools
import sys
import types
import weakref
from importlib.machinery import ModuleSpec
from typing import NamedTuple

import numpy as np
import real_cupy
import scipy.fft
from emulator import EmulationError, Module

LAUNCHED: set = set()  # every kernel launched since the process began
left_out: list = []  # tests that this run leaves out
CANARY = 256  # bytes of 0xff (NaN as float or half) on each side of an allocation
_DEFAULT_SHARED, _MOST_SHARED = 48 * 1024, 227 * 1024


class _Device:
    """Counters and settings of the one device."""

    reverse = False  # order of threads
    launches: list = []  # noqa: RUF012  (names of the kernels launched, in order)
    transfers = 0  # copies from the device to the host
    dry = False  # nothing is computed by kernels and FFTs: their calls alone are of interest
    work: list = []  # noqa: RUF012  (all that the device is asked for, `Work`, in order)

    @classmethod
    def reset(cls):
        """Count from here."""
        cls.launches, cls.transfers, cls.work = [], 0, []


class Work(NamedTuple):
    """What the device is asked for by one call from the host."""

    kind: str  # "kernel" of ours, "fft", "elementwise" of CuPy's own kernels, "copy" to or from the host
    name: str
    moved: int  # bytes read and written: those of all operands, an FFT's once an axis; of a kernel unknown, 0
    arrays: tuple = ()  # of a kernel: (bytes, shape) of every argument that is an array, None for others
    works: tuple = ()  # of a "graph": all that it consists of


def _note(kind, name, *arrays, passes=1):
    _note_work(Work(kind, name, passes * sum(getattr(a, "nbytes", 0) for a in arrays)))


def _note_work(work):
    (_Device.work if Stream.captured() is None else Stream.captured().works).append(work)


def _queue(action, *arrays):
    """Run action(*hosts) on what is behind some arrays, or let it join the graph that is captured."""
    if Stream.captured() is None:
        action(*(a._host for a in arrays))
    else:
        places = [_Place(a) for a in arrays]
        Stream.captured().actions.append(lambda: action(*(place.host() for place in places)))


def _block(host):
    """The allocation of which the host array behind a device array is a part."""
    while isinstance(host.base, np.ndarray):
        host = host.base
    return host


class _Place:
    """Where an array lies, as a graph knows it: it keeps no memory from being freed."""

    def __init__(self, array):
        host, block = array._host, _block(array._host)
        self._block, self._offset = weakref.ref(block), host.ctypes.data - block.ctypes.data
        self._kind = host.shape, host.dtype, host.strides

    def host(self):
        block, (shape, dtype, strides) = self._block(), self._kind
        if block is None:
            raise EmulationError(f"a graph works in an array of shape {shape} that has been freed")
        return np.ndarray(shape, dtype, block, self._offset, strides)


def _not_while_capturing(what):
    """Raise as the runtime does of what a stream that captures cannot do."""
    if Stream.captured() is not None:
        raise CUDARuntimeError(
            f"cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing ({what})"
        )


class CUDARuntimeError(RuntimeError):
    """As cupy.cuda.runtime.CUDARuntimeError."""


_HELD: set = set()  # calls that were held against the real CuPy


def _hold(path, args, options, operands=()):
    """Raise where an installed CuPy would refuse a call: its name, arguments, keywords, types of operands."""
    if not real_cupy.INSTALLED or (path.startswith("cufft.") and not real_cupy.CUFFT):
        return
    types = tuple(str(getattr(x, "dtype", type(x).__name__)) for x in operands)
    key = path, len(args), *sorted(options), *types
    if key not in _HELD:
        real_cupy.check_call(path, len(args), options)
        if operands:
            real_cupy.check_types(path, operands)
        _HELD.add(key)


def _held(path, function):
    """A function each of whose calls is held against the real one."""

    @functools.wraps(function)
    def call(*args, **options):
        _hold(path, args, options)
        return function(*args, **options)

    return call


class ndarray:
    """An array on the device."""

    __array_priority__ = 1000

    def __init__(self, host):
        self._host = host

    # --- what CuPy refuses ------------------------------------------------------------------------

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__":
            raise TypeError(f"{ufunc.__name__}.{method} of device arrays: CuPy has it for few ufuncs")
        _hold(f"cupy.{ufunc.__name__}", inputs, options, inputs)
        return _call(getattr(ufunc, method), inputs, options)

    def __array_function__(self, function, _, args, options):
        _hold(f"{function.__module__.replace('numpy', 'cupy', 1)}.{function.__name__}", args, options)
        return _call(function, args, options)

    # --- what it shares with NumPy ----------------------------------------------------------------

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    ndim = property(lambda self: self._host.ndim)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))
    T = property(lambda self: ndarray(self._host.T))
    real = property(
        lambda self: ndarray(self._host.real), lambda self, v: _call(_set_part, (self, "real", v), {})
    )
    imag = property(
        lambda self: ndarray(self._host.imag), lambda self, v: _call(_set_part, (self, "imag", v), {})
    )

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (_view(part) for part in self._host)

    def __getitem__(self, index):
        found = self._host[_unwrap(index)]
        if isinstance(found, np.ndarray) and found.base is None:
            _note("elementwise", "getitem", found, found)
        return _view(found)

    def __setitem__(self, index, value):
        index, others = _unwrap(index), [value] if isinstance(value, ndarray) else []
        part = self._host[index]
        _note("elementwise", "setitem", part, *([part] if others else []))
        value = None if others else _unwrap(value)
        _queue(lambda host, *other: host.__setitem__(index, other[0] if other else value), self, *others)

    def fill(self, value):
        _hold("cupy.ndarray.fill", (value,), {})
        _note("elementwise", "fill", self)
        _queue(lambda host: host.fill(value), self)

    def __repr__(self):
        return f"device {self._host!r}"

    def __getattr__(self, name):
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        found = getattr(self._host, name)
        return _held(f"cupy.ndarray.{name}", lambda *args, **options: _call(found, args, options, self))

    # --- to the host ------------------------------------------------------------------------------

    def get(self, stream=None, order="C", out=None, blocking=True):
        _not_while_capturing("get")
        _Device.transfers += 1
        _note("copy", "get", self)
        if out is not None:
            out[...] = self._host
            return out
        return np.array(self._host, order="K")

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray) or arr.shape != self.shape or arr.dtype != self.dtype:
            raise ValueError("set() takes a NumPy array of the same shape and type")
        _not_while_capturing("set")
        _note("copy", "set", arr)
        self._host[...] = arr

    def item(self, *index):
        _not_while_capturing("item")
        _Device.transfers += 1
        _note("copy", "item", self)
        return self._host.item(*index)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __complex__(self):
        return complex(self.item())

    def __index__(self):
        raise TypeError("a device array is no index")


_UFUNCS = {"truediv": "true_divide", "neg": "negative", "abs": "absolute", "pow": "power", "mul": "multiply"}
_UFUNCS |= {"sub": "subtract", "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"}
_UFUNCS |= {"gt": "greater", "ge": "greater_equal", "and": "bitwise_and", "or": "bitwise_or"}
_UFUNCS |= {"xor": "bitwise_xor", "add": "add", "invert": "invert", "floordiv": "floor_divide"}


def _hold_operator(name, operands):
    """Hold an operator against the ufunc that stands behind it."""
    name = name.strip("_")
    for short in (name, name[1:]):  # with i or r before it
        if short in _UFUNCS:
            return _hold(f"cupy.{_UFUNCS[short]}", operands, {}, operands)


def _operator(name):
    def method(self, *others):
        _hold_operator(name, (self, *others))
        return _call(getattr(np.ndarray, name), (self, *others), {})

    return method


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rand", "ror", "rxor", "matmul"),
    *("rmatmul", "neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"),
):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _in_place(name):
    def method(self, other):
        _hold_operator(name, (self, other))
        _call(getattr(np.ndarray, name), (self, other), {})
        return self

    return method


for _name in ("iadd", "isub", "imul", "itruediv", "iand", "ior", "ixor"):
    setattr(ndarray, f"__{_name}__", _in_place(f"__{_name}__"))


def _set_part(array, name, value):
    getattr(array, name)[...] = value


def _unwrap(value):
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a NumPy array met device arrays")
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_unwrap(v) for v in value)
    return value


def _wrap(value):
    """The device array of a fresh result."""
    if isinstance(value, (np.ndarray, np.generic)):
        return _copy_in(np.asarray(value))
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_wrap(v) for v in value)
    return value


def _view(value):
    """The device array of a result that may share memory with its operand."""
    return ndarray(value) if isinstance(value, np.ndarray) else _wrap(value)


_SHARING = {"reshape", "ravel", "view", "transpose", "swapaxes", "squeeze", "diagonal"}
_SHARING |= {"broadcast_to", "moveaxis", "split", "atleast_1d"}


def _call(function, args, options, owner=None):
    if getattr(function, "__name__", "") not in _SHARING:
        _not_while_capturing(f"{function}: its result would be allocated")
    given = options.get("out")
    operands = [a for a in (owner, *args) if isinstance(a, ndarray)]
    args = [_unwrap(a) for a in args]
    options = {name: _unwrap(value) for name, value in options.items()}
    with np.errstate(all="ignore") if _Device.dry else contextlib.nullcontext():
        result = function(*args, **options)
    if owner is not None and result is owner._host:  # astype(copy=False) of an array of that type
        return owner
    name = getattr(function, "__name__", "")
    if name not in _SHARING and isinstance(result, (np.ndarray, np.generic, type(None))):
        name = name if name != "__call__" else function.__self__.__name__
        _note("elementwise", name, *operands, owner if name == "fill" else result)
    if given is not None:
        return given[0] if isinstance(given, tuple) else given
    sharing = name in _SHARING
    if sharing and isinstance(result, list):
        return [_view(part) for part in result]
    return _view(result) if sharing else _wrap(result)


# --- memory ---------------------------------------------------------------------------------------


def _allocate(shape, dtype, order="C"):
    _not_while_capturing("an allocation")
    dtype = np.dtype(dtype)
    if _Device.dry:
        return np.zeros(shape, dtype, order)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    start = 256 + CANARY  # CuPy aligns to 512 bytes
    block = np.full(n_bytes + 2 * start + 512, 0xFF, np.uint8)
    first = start + -(block.ctypes.data + start) % 512
    return block[first : first + n_bytes].view(dtype).reshape(shape, order=order)


def _copy_in(host, order="K"):
    """A copy on the device; as CuPy's, Fortran-ordered where the original is, unless told otherwise."""
    array = _allocate(host.shape, host.dtype, "F" if order == "K" and host.flags.fnc else "C")
    array[...] = host
    return ndarray(array)


def _check_canaries(host, kernel):
    """Whether the bytes around the allocation that an array is a part of are untouched."""
    block = _block(host)
    if block.dtype != np.uint8 or not block.size:
        return
    # The allocation is the only part of the block with bytes other than 0xff, so find its borders
    # by its place: the first multiple of 512 bytes behind the canary.
    start = 256 + CANARY
    first = start + -(block.ctypes.data + start) % 512
    last = first + block.size - 2 * start - 512
    if not ((block[first - CANARY : first] == 0xFF).all() and (block[last : last + CANARY] == 0xFF).all()):
        raise EmulationError(f"{kernel}: wrote outside an array of shape {host.shape}")


# --- kernels --------------------------------------------------------------------------------------


class RawModule:
    """As cupy.RawModule, for code whose kernels are extern "C"."""

    def __init__(self, *, code, options=(), backend="nvrtc"):
        self._source, self._options, self._module = code, tuple(options), None

    def get_function(self, name):
        _not_while_capturing("loading a kernel")
        if self._module is None:
            self._module = Module(self._source, self._options)
        if name not in self._module.names:
            raise ValueError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return _Function(self._module, name)

    def compile(self, log_stream=None):
        self._module = Module(self._source, self._options)


class RawKernel:
    """As cupy.RawKernel."""

    def __new__(cls, code, name, options=()):
        return RawModule(code=code, options=options).get_function(name)


class _Function:
    kernel = property(lambda self: types.SimpleNamespace(ptr=self))
    num_regs, local_size_bytes, shared_size_bytes, max_threads_per_block = 255, 0, 0, 1024

    def __init__(self, module, name):
        self._module, self.name = module, name
        self._signature, self._most_shared = module.signature(name), _DEFAULT_SHARED

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._most_shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value):
        if value > _MOST_SHARED:
            raise EmulationError(
                f"{self.name}: {value} bytes of shared memory are more than a block can have"
            )
        self._most_shared = value

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if shared_mem > self._most_shared:
            raise EmulationError(
                f"{self.name}: {shared_mem} bytes of shared memory without max_dynamic_shared_size_bytes"
            )
        if min(grid) < 1 or max((1, *grid[1:])) > 65535:
            raise EmulationError(f"{self.name}: a grid of {grid} blocks cannot be launched")
        if len(args) != len(self._signature):
            raise EmulationError(f"{self.name}: takes {len(self._signature)} arguments; got {len(args)}")
        numbers = [
            _argument(self.name, k, *both) for k, both in enumerate(zip(args, self._signature, strict=True))
        ]
        arrays = tuple((a.nbytes, a.shape) if isinstance(a, ndarray) else None for a in args)
        _note_work(Work("kernel", self.name, 0, arrays))

        def run(*hosts):
            _Device.launches.append(self.name)
            if _Device.dry:
                return
            LAUNCHED.add(self.name)
            places = iter([ctypes.c_void_p(host.ctypes.data) for host in hosts])
            given = [next(places) if number is None else number for number in numbers]
            pointers = [g.ctypes.data if isinstance(g, np.ndarray) else ctypes.addressof(g) for g in given]
            self._module.launch(self.name, grid, block, pointers, shared_mem, _Device.reverse)
            for host in hosts:
                _check_canaries(host, self.name)

        _queue(run, *(a for a in args if isinstance(a, ndarray)))


def occupancy(function, threads, shared_bytes):
    """As the driver counts: blocks of a multiprocessor, none where a block may not take its shared memory."""
    if shared_bytes > function.max_dynamic_shared_size_bytes:
        return 0
    shared = Device.attributes["MaxSharedMemoryPerMultiprocessor"] // (shared_bytes + 1024)
    return min(shared, Device.attributes["MaxThreadsPerMultiProcessor"] // threads)


def _argument(kernel, k, value, expected):
    """What holds the value of an argument, after checking its type; None of an array."""
    if expected[0] == "p":
        if not isinstance(value, ndarray):
            raise EmulationError(f"{kernel}: argument {k} must be a device array; got {type(value)}")
        if int(expected[1:]) not in (0, value.dtype.itemsize):
            raise EmulationError(
                f"{kernel}: argument {k} points to {expected[1:]} bytes; got an array of {value.dtype}"
            )
        if not value.flags.c_contiguous:
            raise EmulationError(f"{kernel}: argument {k} is not C-contiguous")
        return None
    if not isinstance(value, np.generic) or f"{value.dtype.kind}{value.itemsize}" != expected:
        raise EmulationError(f"{kernel}: argument {k} must be of type {expected}; got {value!r}")
    return np.array([value])


# --- the module -----------------------------------------------------------------------------------


class _Module(types.ModuleType):
    """Falls back to the function of NumPy, on device arrays."""

    def __getattr__(self, name):
        if name.startswith("_") or not hasattr(np, name):
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def function(*args, **options):
            operands = args if isinstance(found, np.ufunc) else ()
            _hold(f"cupy.{name}", args, options, operands)
            return _call(found, args, options)

        function.__name__ = name
        return function


def asarray(a, dtype=None, order=None):
    if isinstance(a, ndarray):
        return a if dtype is None or np.dtype(dtype) == a.dtype else a.astype(dtype)
    host = np.asarray(a, dtype)
    _note("copy", "asarray", host)
    return _copy_in(host)


def array(obj, dtype=None, copy=True, order="K", ndmin=0):
    host = np.array(obj._host if isinstance(obj, ndarray) else obj, dtype, ndmin=ndmin, order=order)
    _note(*(("elementwise", "array", obj, host) if isinstance(obj, ndarray) else ("copy", "array", host)))
    return _copy_in(host, order)


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    if a.flags.c_contiguous:
        return a
    _note("elementwise", "ascontiguousarray", a, a)
    return _copy_in(a._host, "C")


def asnumpy(a, stream=None, order="C", out=None, blocking=True):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def empty(shape, dtype=float, order="C"):
    return ndarray(_allocate(shape if isinstance(shape, tuple) else (shape,), dtype))


def zeros(shape, dtype=float, order="C"):
    out = empty(shape, dtype)
    _note("elementwise", "zeros", out)
    out._host[...] = 0
    return out


def full(shape, fill_value, dtype=None, order="C"):
    dtype = np.asarray(fill_value).dtype if dtype is None else dtype
    out = empty(shape, dtype)
    _note("elementwise", "fill", out)
    out._host[...] = fill_value
    return out


def ones(shape, dtype=float, order="C"):
    return full(shape, 1, dtype)


def empty_like(prototype, dtype=None):
    order = "F" if prototype.flags.fnc else "C"
    return ndarray(_allocate(prototype.shape, prototype.dtype if dtype is None else dtype, order))


def zeros_like(a, dtype=None):
    out = empty_like(a, dtype)
    _note("elementwise", "zeros", out)
    out._host[...] = 0
    return out


def get_array_module(*args):
    return sys.modules["cupy"] if any(isinstance(a, ndarray) for a in args) else np


# --- FFTs -----------------------------------------------------------------------------------------


class _Plan:
    """A cuFFT plan: for one shape, one type and certain axes; also a context manager."""

    def __init__(self, shape, dtype, axes):
        self.shape, self.dtype, self.axes = shape, np.dtype(dtype), axes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def fft(self, a, out, direction):
        """As cupy.cuda.cufft.PlanNd.fft: -1 forward, 1 inverse, never normalised; `out` may be `a`."""
        _hold("cufft.PlanNd.fft", (a, out, direction), {})
        self.check(a, self.axes)
        self.check(out, self.axes)
        _note("fft", "plan", a, out, passes=len(self.axes))
        transform, norm = {-1: (scipy.fft.fftn, "backward"), 1: (scipy.fft.ifftn, "forward")}[direction]

        def run(given, result):
            if not _Device.dry:
                result[...] = transform(given, axes=self.axes, norm=norm)

        _queue(run, a, out)

    def check(self, a, axes):
        if a.shape != self.shape or a.dtype != self.dtype or tuple(axes) != self.axes:
            raise ValueError("The cuFFT plan and a.shape do not match")


def get_fft_plan(a, shape=None, axes=None, value_type="C2C"):
    if value_type != "C2C" or shape is not None:
        raise NotImplementedError("the stand-in has plans of complex transforms of whole arrays")
    _not_while_capturing("a plan")
    axes = tuple(range(a.ndim)) if axes is None else tuple(x % a.ndim for x in axes)
    return _Plan(a.shape, a.dtype, axes)


def _transformed(transform, x, passes, *, norm, **options):
    """The result of a transform, which CuPy scales by a kernel of its own; zeros in a dry run."""
    if _Device.dry and np.iscomplexobj(x._host) and "rf" not in transform.__name__:
        result = np.zeros(x.shape, x.dtype)
    else:
        result = transform(x._host, norm=norm, **options)
    _note("fft", transform.__name__, x, result, passes=passes)
    scaled = norm == "ortho" or (norm == "forward") != transform.__name__.startswith("i")
    if scaled:
        _note("elementwise", "scale", result, result)
    return result


def _fft_function(name, *, plans):
    transform = getattr(scipy.fft, name)
    last = 2 if name.endswith("2") else None

    def function(x, s=None, axes=None, norm=None, overwrite_x=False, *, plan=None):
        if not isinstance(x, ndarray):
            raise TypeError(f"The input array x must be cupy.ndarray; got {type(x)}")
        if axes is None:
            axes = tuple(range(x.ndim))[-last:] if last else tuple(range(x.ndim))
        axes = tuple(k % x.ndim for k in axes)
        if plan is not None:
            if not plans:
                raise TypeError("cupy.fft takes no plan: use cupyx.scipy.fft")
            plan.check(x, axes)
        result = _transformed(transform, x, len(axes), s=s, axes=axes, norm=norm)
        if overwrite_x:
            x._host[...] = np.nan  # its contents are lost
        return _copy_in(np.asfortranarray(result) if x.flags.fnc else result)

    return function


def _fft_along_one(name, *, plans):
    transform = getattr(scipy.fft, name)

    def function(x, n=None, axis=-1, norm=None, overwrite_x=False):
        if not plans and overwrite_x:
            raise TypeError("cupy.fft overwrites nothing: use cupyx.scipy.fft")
        result = _transformed(transform, x, 1, n=n, axis=axis, norm=norm)
        if overwrite_x:
            x._host[...] = np.nan
        return _copy_in(result)

    return function


def _fft_functions(*, plans):
    names = ("fftn", "ifftn", "fft2", "ifft2", "rfftn", "irfftn", "rfft2", "irfft2")
    found = {name: _fft_function(name, plans=plans) for name in names}
    found |= {name: _fft_along_one(name, plans=plans) for name in ("fft", "ifft")}
    home = "cupyx.scipy.fft" if plans else "cupy.fft"
    found = {name: _held(f"{home}.{name}", function) for name, function in found.items()}
    found["fftfreq"] = lambda n, d=1.0: _copy_in(np.fft.fftfreq(n, d))
    found["fftshift"] = lambda x, axes=None: _copy_in(np.fft.fftshift(x._host, axes))
    found["ifftshift"] = lambda x, axes=None: _copy_in(np.fft.ifftshift(x._host, axes))
    return found


# --- device, streams, events ----------------------------------------------------------------------


class Graph:
    """Launches that were captured; as cupy.cuda.Graph it is made by a stream alone."""

    def __init__(self):
        self.actions, self.works = [], []

    def launch(self, stream=None):
        _not_while_capturing("the launch of a graph")
        _note_work(Work("graph", "launch", 0, (), tuple(self.works)))
        for action in self.actions:
            action()

    def upload(self, stream=None):
        return None


class Stream:
    """Work is done when it is queued, but that of a stream that captures."""

    null: "Stream"
    current: list = []  # noqa: RUF012  (that which is current is last)

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.ptr, self._graph = 0 if null else id(self), None

    @classmethod
    def captured(cls):
        """The graph that the current stream captures, or None."""
        return cls.current[-1]._graph if cls.current else None

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *_):
        Stream.current.pop()

    def begin_capture(self, mode=None):
        if self.ptr == 0 or self._graph is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: this stream cannot capture")
        self._graph = Graph()

    def end_capture(self):
        if self._graph is None:
            raise CUDARuntimeError("cudaErrorIllegalState: this stream captures nothing")
        graph, self._graph = self._graph, None
        return graph

    def is_capturing(self):
        return self._graph is not None

    def synchronize(self):
        return None

    def wait_event(self, event):
        return None

    def record(self, event=None):
        return event or Event()


class Event:
    """A point of a stream."""

    def __init__(self, *_, **__):
        pass

    def record(self, stream=None):
        return None

    def synchronize(self):
        return None


class Device:
    """An imaginary device of compute capability 9.0 with two multiprocessors."""

    compute_capability = "90"
    attributes = types.MappingProxyType(
        {
            "MultiProcessorCount": 2,
            "MaxSharedMemoryPerBlockOptin": _MOST_SHARED,
            "MaxSharedMemoryPerMultiprocessor": 228 * 1024,
            "MaxThreadsPerMultiProcessor": 2048,
            "MaxThreadsPerBlock": 1024,
            "WarpSize": 32,
        }
    )

    present = 0  # the one that is in use

    def __init__(self, device=None):
        self.id = self.present if device is None else device

    mem_info = (60 * 2**30, 80 * 2**30)

    def synchronize(self):
        return None

    def use(self):
        return None


class _Pool:
    """Counts nothing: the host's memory is not the device's."""

    def used_bytes(self):
        return 0

    def total_bytes(self):
        return 0

    def free_bytes(self):
        return 0

    def free_all_blocks(self):
        return None


def _module(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    return module


def _make():
    """The modules by name."""
    cupy = _Module("cupy")
    contents = [asarray, array, ascontiguousarray, asnumpy, empty, zeros, full, ones, empty_like, zeros_like]
    contents += [get_array_module, ndarray, RawModule, RawKernel]
    for item in contents:
        held = isinstance(item, types.FunctionType)
        setattr(cupy, item.__name__, _held(f"cupy.{item.__name__}", item) if held else item)
    pool = _Pool()
    cupy.get_default_memory_pool = lambda: pool
    cupy.__version__ = "14.0 stand-in"
    Stream.null = Stream(null=True)
    runtime = _module(
        "cupy.cuda.runtime",
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda _: {"name": b"Emulated GPU", "totalGlobalMem": 80 * 2**30},
        memGetInfo=lambda: Device.mem_info,
        deviceSynchronize=lambda: None,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        CUDARuntimeError=CUDARuntimeError,
    )
    cupy.cuda = _module(
        "cupy.cuda",
        is_available=lambda: True,
        Device=Device,
        Stream=Stream,
        Event=Event,
        Graph=Graph,
        runtime=runtime,
        get_current_stream=lambda: Stream.current[-1] if Stream.current else Stream.null,
    )
    driver = _module("cupy.cuda.driver", occupancyMaxActiveBlocksPerMultiprocessor=occupancy)
    cupy.cuda.driver = driver
    cupy.fft = _module("cupy.fft", **_fft_functions(plans=False))
    cupyx, scipy_part = _module("cupyx"), _module("cupyx.scipy")
    get_plan = _held("cupyx.scipy.fft.get_fft_plan", get_fft_plan)
    fft_part = _module("cupyx.scipy.fft", get_fft_plan=get_plan, **_fft_functions(plans=True))
    cupyx.scipy, scipy_part.fft = scipy_part, fft_part
    modules = (cupy, cupy.cuda, runtime, driver, cupy.fft, cupyx, scipy_part, fft_part)
    for module in modules:
        module.__spec__ = ModuleSpec(module.__name__, None)  # importlib.util.find_spec asks for it
    return {module.__name__: module for module in modules}


@contextlib.contextmanager
def installed(reverse=False, dry=False):
    """Puts the stand-in in CuPy's place; gives its counters (`launches`, `transfers`, `work`)."""
    kept = _set_aside(lambda name: name.split(".")[0] in ("cupy", "cupyx"))
    _set_aside(_is_backend)
    sys.modules.update(_make())
    _Device.reverse, _Device.dry = reverse, dry
    _Device.reset()
    try:
        yield _Device
    finally:
        _set_aside(lambda name: name.split(".")[0] in ("cupy", "cupyx"))
        _set_aside(_is_backend)  # its modules hold on to the stand-in
        sys.modules.update(kept)


def _is_backend(name):
    return name.startswith("fieldrx.backends.cuda")


def _set_aside(chosen):
    return {name: sys.modules.pop(name) for name in list(sys.modules) if chosen(name)}
