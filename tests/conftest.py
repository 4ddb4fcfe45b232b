"""Tests compute on the CPU, or on the emulated GPU, also on a machine that has one."""

import os
import signal

import pytest

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any test imports CuPy; programs that tests start inherit it

# Where tests run in the background a shell has Ctrl-C ignored, which programs that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Where several workers share the tests, one has all of a file, whose fixtures are made once, or all of
    the emulated GPU, whose last test looks back at the others.
    """
    from xdist.scheduler import LoadScopeScheduling

    class WholeFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::")[0]
            return "cudaemu" if "/cudaemu/" in path else path

    return WholeFiles(config, log)
