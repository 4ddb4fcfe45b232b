"""The fixture that puts an emulated GPU in CuPy's place."""

import fake_cupy
import pytest


@pytest.fixture(params=[False, True], ids=["forward", "reverse"])
def gpu(request):
    """Counters of an emulated GPU that runs threads in one of the two orders."""
    with fake_cupy.installed(reverse=request.param) as device:
        yield device
