"""What the package asks of CuPy, held against an installed one, which needs no card for that."""

import inspect

import device_calls
import fake_cupy
import numpy as np
import pytest
import real_cupy

USES = device_calls.uses()
needs_cupy = pytest.mark.skipif(not real_cupy.INSTALLED, reason="CuPy is not installed")
# Functions and methods of the stand-in that do not hand on what they are given, by the real name.
OWN = {
    f"cupy.{name}": getattr(fake_cupy, name) for name in ("asarray", "array", "ascontiguousarray", "asnumpy")
}
OWN |= {f"cupy.{name}": getattr(fake_cupy, name) for name in ("empty", "zeros", "full", "ones")}
OWN |= {f"cupy.{name}": getattr(fake_cupy, name) for name in ("empty_like", "zeros_like", "get_array_module")}
OWN |= {f"cupy.ndarray.{name}": getattr(fake_cupy.ndarray, name) for name in ("get", "set")}
OWN |= {f"cupy.cuda.{name}": getattr(fake_cupy, name) for name in ("Device", "Stream")}
OWN |= {f"cupy.cuda.Graph.{name}": getattr(fake_cupy.Graph, name) for name in ("launch", "upload")}
OWN |= {
    f"cupy.cuda.Stream.{name}": getattr(fake_cupy.Stream, name)
    for name in ("begin_capture", "end_capture", "is_capturing")
}
OWN |= {f"cupyx.scipy.fft.{name}": f for name, f in fake_cupy._fft_functions(plans=True).items()}
OWN |= {"cupyx.scipy.fft.get_fft_plan": fake_cupy.get_fft_plan, "cupy.RawModule": fake_cupy.RawModule}
OWN |= {
    "cupy.RawModule.get_function": fake_cupy.RawModule.get_function,
    "cufft.PlanNd.fft": fake_cupy._Plan.fft,
}


def refused(uses):
    """What the installed CuPy does not have or does not take, in words."""
    found = []
    for use in uses:
        if use.path.startswith("cufft.") and not real_cupy.CUFFT:
            continue
        try:
            if use.called:
                real_cupy.check_call(use.path, use.count, use.keywords, use.whole)
            else:
                real_cupy.find(use.path)
        except real_cupy.Refused as why:
            found.append(f"{use.where}: {why}")
    return found


def test_the_sources_are_read():
    """Of every kind one that the package is known to use: a module's function, a method, an object's."""
    paths = {use.path for use in USES if use.called}
    known = {
        "cupy.zeros",
        "cupy.ndarray.fill",
        "cupy.RawKernel.__call__",
        "cufft.PlanNd.fft",
        "cupy.RawModule",
    }
    known |= {"cupyx.scipy.fft.irfft2", "cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor"}
    known |= {"cupy.cuda.Stream.begin_capture", "cupy.cuda.Stream.end_capture", "cupy.cuda.Graph.launch"}
    known |= {"cupy.cuda.runtime.memGetInfo", "cupy.cuda.MemoryPool.free_bytes", "cupy.linalg.solve"}
    assert known <= paths
    assert "cupy.RawKernel.max_dynamic_shared_size_bytes" in {use.path for use in USES}
    files = {use.where.split(":")[0] for use in USES}
    assert {"models/born.py", "backends/fft.py", "backends/plain.py", "backends/cuda/load.py"} <= files


@needs_cupy
def test_the_installed_cupy_takes_every_call_of_the_package():
    assert refused(USES) == []


@needs_cupy
@pytest.mark.parametrize(
    "piece",
    [
        "import cupy\ncupy.emptylike(a)",
        "import cupy\ncupy.empty((3,), like=a)",
        "import cupy\ncupy.empty_like()",
        "import cupy\nout = cupy.empty(3)\nout.fill()",
        "import cupy\nout = cupy.empty(3)\nout.partial_fill(3)",
        "import cupy\ncupy.cuda.runtime.memGetInformation()",
        "import cupy\ncupy.cuda.Device().number",
        "import cupy\nstream = cupy.cuda.Stream(blocking=True)",
        "import cupy\nstream = cupy.cuda.Stream()\ngraph = stream.end_capture()\ngraph.replay()",
        "import cupy\ncupy.RawModule(code='', option=())",
        "from cupy.cuda import driver\ndriver.occupancyMaxActiveBlocksPerMultiprocessor(a, 3)",
        "from cupy.cuda import drivers",
        "from cupyx.scipy import fft as library\nlibrary.fft2(a, overwrite=True)",
        "function = _prepared()\nfunction.max_shared_size",
        "function = _prepared()\nfunction(grid, block, args, shared_bytes=3)",
        "def f(xp):\n    return xp.zeros(3, kind=float)",
        "module_of(a).stack(parts, 0, None, 'f')",
        "a.sum(axes=1)",
    ],
)
def test_a_wrong_call_is_found(piece):
    assert refused(device_calls.uses_of(piece))


@needs_cupy
@pytest.mark.parametrize("path", OWN)
def test_the_stand_in_has_the_parameters_of_cupy(path):
    """In the same order, though not all of them."""
    if path.startswith("cufft.") and not real_cupy.CUFFT:
        pytest.skip("the library of cuFFT is not installed")
    real = [name for name, p in real_cupy.signature(path).parameters.items() if p.kind != p.VAR_KEYWORD]
    ours = [n for n in inspect.signature(OWN[path]).parameters if n != "self"]
    assert ours == [name for name in real if name in ours], (ours, real)


@needs_cupy
@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda cupy, a: cupy.sum(a, where=a > 0), "where"),
        (lambda cupy, a: np.sum(a, where=a > 0), "where"),
        (lambda cupy, a: a.sum(initial=1), "initial"),
        (lambda cupy, a: a.setfield(1, a.dtype), "setfield"),
        (lambda cupy, a: np.busday_count(a, a), "busday_count"),
        (lambda cupy, a: np.add.reduce(a), "few ufuncs"),
        (lambda cupy, a: np.heaviside(a, a, subok=False), "subok"),
    ],
)
def test_the_stand_in_refuses_what_cupy_does(call, why):
    """Whatever NumPy would take: so every test on the stand-in is one of the calls that it makes."""
    with fake_cupy.installed():
        import cupy

        with pytest.raises(TypeError, match=why):
            call(cupy, cupy.asarray(np.ones(3, np.float32)))
