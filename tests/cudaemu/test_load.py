"""Sources with their headers, and what is said where there is no GPU."""

import configparser
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fieldrx.backends import cuda_unavailable, get
from fieldrx.backends.cuda import load
from fieldrx.cli import main
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


class DriverError(RuntimeError):
    """As cupy_backends.cuda.api.runtime.CUDARuntimeError."""


def insufficient(*_):
    raise DriverError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")


def test_a_cupy_that_raises_without_a_driver(gpu, monkeypatch):
    """As CuPy 13 does where 14 says False: "auto" computes on the CPU, and the reason is told."""
    import cupy

    monkeypatch.setattr(cupy.cuda, "is_available", insufficient)
    assert get("auto") is get("cpu")
    assert cuda_unavailable().startswith("CuPy finds no GPU or driver (DriverError: cudaErrorInsufficient")
    with pytest.raises(InputError, match=r"--device cuda: CuPy finds no GPU or driver .*use --device cpu"):
        get("cuda")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0 and "cudaErrorInsufficientDriver" in result.output, result.output


@pytest.mark.parametrize(
    "error", ["ImportError('libfoo.so')", "AttributeError('of NumPy')", "OSError(5, 'bad')"]
)
def test_a_cupy_that_cannot_be_imported(tmp_path, error):
    (tmp_path / "cupy.py").write_text(f"raise {error}\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from fieldrx.backends import cuda_unavailable, get\n"
        "print(get('auto') is get('cpu'), cuda_unavailable())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.startswith(f"True CuPy cannot be imported ({error.split('(')[0]}: "), run.stderr


@pytest.mark.parametrize("lacking", ["libnvrtc.so.13", "libcufft.so.12"])
def test_a_cupy_without_its_libraries(untried_gpu, monkeypatch, lacking):
    """Both are loaded when they are first called: that has to be tried."""
    import cupy
    import cupyx.scipy.fft

    def fail(*_, **__):
        raise RuntimeError(f"CuPy failed to load {lacking}: OSError")

    where = (cupy, "RawModule") if "nvrtc" in lacking else (cupyx.scipy.fft, "fft2")
    monkeypatch.setattr(*where, fail)
    assert get("auto") is get("cpu")
    assert lacking in cuda_unavailable() and "pip install fieldrx[cuda12]" in cuda_unavailable()


def test_a_gpu_that_computes_nonsense(untried_gpu, monkeypatch):
    import cupyx.scipy.fft

    monkeypatch.setattr(cupyx.scipy.fft, "fft2", lambda a: a)
    assert cuda_unavailable() == "the GPU computes 7 and 2 as 7 and 1+0j"


def test_doctor_outlives_what_a_gpu_raises(gpu, monkeypatch):
    from fieldrx.backends import cuda

    class CompileException(Exception):
        """CuPy's, which is no RuntimeError."""

    def fail(*_, **__):
        raise CompileException("ptxas fatal")

    monkeypatch.setattr("fieldrx.backends.cuda.load.launch", fail)
    for name in ("device_name", "grid_forward"):
        module = f"fieldrx.backends.cuda.{'device' if name == 'device_name' else 'field'}"
        assert getattr(cuda, name)  # imported
        monkeypatch.setattr(f"{module}.{name}", fail)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1 and result.output.count("ptxas fatal") == 2, result.output
    assert "memory" in result.output.splitlines()[-1]


def test_small_arrays_come_in_one_copy_and_stay(gpu):
    from fieldrx.backends.cuda import upload

    arrays = np.arange(3, dtype="i4"), np.array([[1 + 2j]], "c8"), np.array([0.5, 0.25]), np.array(7, "f4")
    for count, kept in ((1, upload.held), (1, upload.held), (2, upload.uploaded)):
        found = [array.get() for array in kept(*arrays)]
        assert all(np.array_equal(*pair) for pair in zip(found, arrays, strict=True))
        assert [array.dtype for array in found] == [array.dtype for array in arrays]
        assert sum(work.name == "asarray" for work in gpu.work) == count
    other = upload.held(arrays[0], 2 * arrays[1], *arrays[2:])
    assert other[1].get() == 2 + 4j


@pytest.mark.parametrize("extra", ["cuda12", "cuda13"])
def test_the_extras_bring_cudas_libraries(extra):
    """CuPy's wheels hold neither NVRTC nor cuFFT; its own extra, from version 14 on, has them."""
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[2] / "setup.cfg")
    assert config["options.extras_require"][extra].strip() == f"cupy-{extra}x[ctk]>=14"


def test_an_old_card_is_refused(gpu, monkeypatch):
    import cupy

    from fieldrx.backends import cuda

    monkeypatch.setattr(cupy.cuda.Device, "compute_capability", "75")
    with pytest.raises(InputError, match=r"capability 7\.5; 8\.0 or more"):
        cuda.encode  # noqa: B018


def test_blocks_are_as_many_as_the_driver_says(gpu, monkeypatch):
    """Asked once the kernel may take its shared memory: before, the driver has room for none."""
    import cupy

    from fieldrx.backends.cuda import load

    asked, counted = [], cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor

    def count(*given):
        asked.append(counted(*given))
        return asked[-1] and 2  # what the device's registers leave

    monkeypatch.setattr(cupy.cuda.driver, "occupancyMaxActiveBlocksPerMultiprocessor", count)
    assert load.blocks_at_once("adam.cu", "adam_step", 256, 100 * 1024, {}) == 4  # of two multiprocessors
    assert asked == [2]


def test_every_device_has_limits_and_tables_of_its_own(gpu, monkeypatch):
    import cupy

    from fieldrx.backends.cuda import field, load
    from fieldrx.field import Positional

    encoding = Positional(2, 2, 3)
    first, here = field._waves(encoding), load.device_limits()
    monkeypatch.setattr(cupy.cuda.Device, "present", 1)
    smaller = dict(cupy.cuda.Device.attributes) | {"MaxSharedMemoryPerBlockOptin": 99 * 1024}
    monkeypatch.setattr(cupy.cuda.Device, "attributes", smaller)
    assert load.device_limits().shared_per_block == 99 * 1024 < here.shared_per_block
    assert field._waves(encoding)[0] is not first[0]
    monkeypatch.setattr(cupy.cuda.Device, "present", 0)
    assert field._waves(encoding)[0] is first[0]
    assert load.device_limits() == here


def test_a_network_beyond_the_shared_memory_names_the_precision_that_fits():
    from fieldrx.backends.cuda import layout
    from fieldrx.field.choices import make_preset

    small = load.Limits(84, 64 * 1024, 100 * 1024)
    encoding, network = make_preset("decaf")
    with pytest.raises(InputError, match=r"this GPU has 65536: use --precision half or the CPU"):
        layout.backward_plan(encoding, network, "float32", True, small)
