"""Compile every CUDA source of kernels/ for sm_80 and sm_90; spilled registers are errors.

    python scripts/check_kernels.py

Needs nvcc, on the PATH or in the CUDA toolkit's usual folder; says so and does nothing without it.
"""

import glob
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
FLAGS = [
    "-std=c++17",
    "-ftz=true",
    "-cubin",
    "-Xptxas",
    "-v,-warn-spills,-warn-lmem-usage",
    "-Werror",
    "all-warnings",
]


def main():
    sources = sorted(KERNELS.glob("*.cu"))
    if not sources:
        print("no CUDA sources in kernels/: nothing to compile")
        return 0
    nvcc = shutil.which("nvcc") or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/nvcc"))), None)
    if nvcc is None:
        print("no nvcc found: CUDA sources were not compiled")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            for arch in ("sm_80", "sm_90"):
                command = [nvcc, *FLAGS, f"-arch={arch}", "-o", f"{folder}/out.cubin", str(source)]
                run = subprocess.run(command, capture_output=True, text=True)
                print(
                    f"{source.name} {arch}: {'ok' if run.returncode == 0 else 'FAILED'}\n{run.stderr}", end=""
                )
                failed += run.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
