"""No kernel without a test that executes it."""

from pathlib import Path

import fake_cupy
import pytest
from emulator import KERNEL

FOLDER = Path(__file__).resolve().parent


def test_every_kernel_was_emulated(request):
    collected = {item.path.name for item in request.session.items if item.path.parent == FOLDER}
    partial = fake_cupy.left_out or any("::" in argument for argument in request.config.args)
    if partial or collected != {path.name for path in FOLDER.glob("test_*.py")}:
        pytest.skip("needs a run of all tests of this folder")
    sources = sorted((FOLDER.parent.parent / "kernels").glob("*.cu"))
    kernels = {name for source in sources for name in KERNEL.findall(source.read_text())}
    assert kernels, "no kernel found"
    assert kernels <= fake_cupy.LAUNCHED, f"never launched: {sorted(kernels - fake_cupy.LAUNCHED)}"
