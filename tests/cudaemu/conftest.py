"""The fixtures that put an emulated GPU in CuPy's place."""

import contextlib
import shutil

import fake_cupy
import numpy as np
import pytest

from fieldrx.backends import cpu, cuda, cuda_unavailable


@contextlib.contextmanager
def emulated(reverse):
    """An emulated GPU that runs threads in one of the two orders, where kernels can be compiled."""
    if shutil.which("g++") is None:
        pytest.skip("the emulated GPU needs g++")
    with fake_cupy.installed(reverse=reverse) as device:
        yield device


def pytest_generate_tests(metafunc):
    """Both orders of threads for tests of kernels; one for whole fits, which call the same kernels."""
    if "gpu" in metafunc.fixturenames:
        orders = [False] if getattr(metafunc.module, "WHOLE_FITS", False) else [False, True]
        ids = ["reverse" if order else "forward" for order in orders]
        metafunc.parametrize("gpu", orders, ids=ids, indirect=True)


@pytest.fixture
def gpu(request):
    """Counters of an emulated GPU that runs threads in one of the two orders."""
    with emulated(request.param) as device:
        for look in (cuda_unavailable, cuda.require_device):  # try the GPU once, before a test counts
            look()
        device.reset()
        yield device


@pytest.fixture(params=["cpu", "forward", "reverse"])
def engine(request):
    """The operators of either backend, what brings an array there, and what brings it back."""
    if request.param == "cpu":
        yield cpu, np.asarray, np.asarray
        return
    with emulated(request.param == "reverse"):
        import cupy

        yield cuda, cupy.asarray, cupy.asnumpy


@pytest.fixture
def untried_gpu():
    """The same, of which nobody has asked yet whether it can be used."""
    with fake_cupy.installed() as device:
        yield device


def pytest_collection_modifyitems(items):
    """The test that looks back at all others of this folder runs after them."""
    items.sort(key=lambda item: item.name == "test_every_kernel_was_emulated")


def pytest_deselected(items):
    """Remember that a run leaves tests out."""
    fake_cupy.left_out.extend(item.name for item in items)
