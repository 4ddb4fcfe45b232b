"""Compiles unmodified CUDA C++ with g++ and `cudaemu.h`, and runs its kernels on one CPU thread."""

import ctypes
import hashlib
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = [
    *("-std=c++17", "-Og", "-fPIC", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-fno-gnu-unique"),
    *("-fsanitize=bounds,alignment", "-fno-sanitize-recover=all", "-ffp-contract=off"),
    *(("-mf16c", "-mfma") if platform.machine() in ("x86_64", "AMD64") else ()),
]
KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^()]*(?:\([^()]*\)[^()]*)*\)\s*)?(\w+)'
)
DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\(16\)\s+)?((?:\w+\s+)*?\w+)\s+(\w+)\s*\[\s*\]\s*;")


class EmulationError(RuntimeError):
    """A launch that a device would refuse, fail or answer with undefined behaviour."""


class Module:
    """The kernels of one CUDA source.

    Parameters
    ----------
    source : str
        CUDA C++ without includes of its own headers, as `fieldrx.backends.cuda.load` hands it to CuPy.
    options : sequence of str
        Compiler options; those that define a macro count.
    """

    def __init__(self, source, options=()):
        defines = [o.replace(" ", "") for o in options if o.startswith("-D")]
        self.names = KERNEL.findall(source)
        text = DYNAMIC.sub(r"CUDAEMU_DYNAMIC_SHARED(\1, \2);", source)
        exports = "".join(f"CUDAEMU_EXPORT({name})\n" for name in self.names)
        unit = f'#include "cudaemu.h"\n#line 1 "kernel.cu"\n{text}\n{exports}'
        headers = "".join(path.read_text() for path in sorted(HERE.glob("*.h")))
        key = hashlib.sha256("\0".join([unit, headers, *defines, *FLAGS]).encode()).hexdigest()[:20]
        library = Path(tempfile.gettempdir()) / f"cudaemu-{os.getuid()}" / f"{key}.so"
        if not library.exists():
            _build(unit, defines, library)
        self._library = ctypes.CDLL(str(library))

    def signature(self, name):
        """A word for every argument: p and the size of what it points to, or kind and size."""
        function = getattr(self._library, f"emu_signature_{name}")
        function.restype = ctypes.c_char_p
        return function().decode().split()

    def launch(self, name, grid, block, pointers, shared_bytes, reverse):
        """Run a kernel; `pointers` are the addresses of its arguments.

        Raises
        ------
        EmulationError
            Saying which thread did what.
        """
        function = getattr(self._library, f"emu_launch_{name}")
        function.restype = ctypes.c_char_p
        sizes = [(ctypes.c_uint * 3)(*(tuple(size) + (1, 1))[:3]) for size in (grid, block)]
        failure = function(*sizes, (ctypes.c_void_p * len(pointers))(*pointers), shared_bytes, int(reverse))
        if failure:
            raise EmulationError(f"{name}: {failure.decode()}")


def _build(unit, defines, library):
    library.parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        steps = (
            ["g++", *FLAGS, *defines, f"-I{HERE}", "-x", "c++", "-c", "-", "-o", f"{folder}/unit.o"],
            ["g++", "-shared", f"{folder}/unit.o", "-o", f"{folder}/unit.so"],  # its own sanitizer handlers
        )
        for step in steps:
            run = subprocess.run(step, input=unit, text=True, capture_output=True)
            if run.returncode:
                raise EmulationError(f"{' '.join(step)}\n{run.stderr}")
        os.replace(f"{folder}/unit.so", library)
