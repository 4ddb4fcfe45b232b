"""Tests compute on the CPU, or on the emulated GPU, also on a machine that has one."""

import os
import signal

import pytest

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before any test imports CuPy; programs that tests start inherit it

# Where tests run in the background a shell has Ctrl-C ignored, which programs that they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist looks at the groups in the same hook
def pytest_collection_modifyitems(config, items):
    """Where several workers share the tests, one has all of a file, whose fixtures are made once, or all of
    the emulated GPU, whose last test looks back at the others.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            folder = item.path.parent.name
            item.add_marker(pytest.mark.xdist_group(folder if folder == "cudaemu" else item.path.stem))
