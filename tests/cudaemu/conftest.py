"""The fixture that puts an emulated GPU in CuPy's place."""

import fake_cupy
import pytest


@pytest.fixture(params=[False, True], ids=["forward", "reverse"])
def gpu(request):
    """Counters of an emulated GPU that runs threads in one of the two orders."""
    with fake_cupy.installed(reverse=request.param) as device:
        yield device


def pytest_collection_modifyitems(items):
    """The test that looks back at all others of this folder runs after them."""
    items.sort(key=lambda item: item.name == "test_every_kernel_was_emulated")


def pytest_deselected(items):
    """Remember that a run leaves tests out."""
    fake_cupy.left_out.extend(item.name for item in items)
