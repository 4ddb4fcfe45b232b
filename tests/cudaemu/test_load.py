"""Sources with their headers, and what is said where there is no GPU."""

import subprocess
import sys

import pytest

from fieldrx.backends.cuda import load
from fieldrx.errors import InputError


def test_headers_stand_in_the_text_once():
    text = load.source("network.cu")
    assert (
        text.count("struct Weights {") == text.count("#include") == 1
    )  # the tests' own header, behind #ifdef
    assert '#include "ptx_twins.h"' in text


def test_an_edited_header_changes_what_is_compiled(monkeypatch, tmp_path):
    """CuPy's cache of compiled kernels goes by the text and the options."""
    (tmp_path / "a.cu").write_text('#include "b.cuh"\nint a;\n')
    (tmp_path / "b.cuh").write_text('#pragma once\n#include "c.cuh"\nint b;\n')
    (tmp_path / "c.cuh").write_text("int c;\n")
    monkeypatch.setattr(load, "_folder", lambda: tmp_path)
    load.source.cache_clear()
    first = load.source("a.cu")
    (tmp_path / "c.cuh").write_text("long c;\n")
    load.source.cache_clear()
    assert first.split() == ["int", "c;", "int", "b;", "int", "a;"]
    assert load.source("a.cu").split() == ["long", "c;", "int", "b;", "int", "a;"]
    load.source.cache_clear()


def test_without_cupy_everything_can_be_imported():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "import fieldrx, fieldrx.backends.cuda as cuda\n"
        "try: cuda.adam_step\n"
        "except fieldrx.errors.InputError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "CuPy is not installed" in run.stdout, run.stderr


def test_without_a_driver(gpu, monkeypatch):
    import cupy

    from fieldrx.backends import cuda

    monkeypatch.setattr(cupy.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU or driver; use the CPU"):
        cuda.adam_step  # noqa: B018


def test_an_old_card_is_refused(gpu, monkeypatch):
    import cupy

    from fieldrx.backends import cuda

    monkeypatch.setattr(cupy.cuda.Device, "compute_capability", "75")
    with pytest.raises(InputError, match=r"capability 7\.5; 8\.0 or more"):
        cuda.encode  # noqa: B018
