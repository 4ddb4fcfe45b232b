"""Compile the CUDA sources of kernels/ for sm_80 and sm_90 as the backend does; spilled registers are errors.

    python scripts/check_kernels.py [--only SOURCE]

Prints registers, shared memory and spills of every kernel in every variant.  Takes nvcc, from the PATH or
the CUDA toolkit's usual folder, or NVRTC, from the wheel nvidia-cuda-nvrtc, which it tries to fetch.  Where
neither can be had it says so and compiles nothing.
"""

import argparse
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fieldrx.backends.cuda import layout, lines, load
from fieldrx.field.choices import make_preset
from fieldrx.field.encodings import Hash, Identity, Positional
from fieldrx.field.network import Network

# Compute capability, and what the first device that has it offers (A100, H100).
DEVICES = {
    "sm_80": load.Limits(108, 163 * 1024, 164 * 1024),
    "sm_90": load.Limits(132, 227 * 1024, 228 * 1024),
}
HASH = Hash.geometric((3, 6, 6), (24, 96, 96), levels=8, log2_table_size=19)
WAVES = Positional(4, 6, 6)
FIELDS = {
    "default": (HASH, Network(HASH.n_features, width=32)),
    "64 x 2": (WAVES, Network(WAVES.n_features, width=64)),
    "64 x 2 hash": (HASH, Network(HASH.n_features, width=64)),
    "64 x 4 sine": (WAVES, Network(WAVES.n_features, width=64, depth=4, activation="sine")),
    "128 x 4 skip": (WAVES, Network(WAVES.n_features, width=128, depth=4, skips=(2,))),
    "decaf 208 x 10": make_preset("decaf"),
    "256 x 8": (Identity(39), Network(39, width=256, depth=8)),
}
DOUBLE = ("born.cu", "volume.cu")  # launched in both precisions
WAVES_OF = ("multislice_rows.cu", "multislice_columns.cu")  # compiled for the side of a grid
SIDES = (250, 288, 1024, 2000)
PTXAS = ("-v", "-warn-spills", "-warn-lmem-usage")
FLAGS = ("-std=c++17", "-ftz=true")
FUNCTION = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
    re.DOTALL,
)


def variants(arch):
    """(source, name of the variant, constants, bytes of dynamic shared memory) of all that is compiled."""
    limits = DEVICES[arch]
    for source in load.source_files():
        if source in ("network.cu", "network_backward.cu", "weight_gradient.cu"):
            continue
        if source == "encode.cu":
            for name, (encoding, _) in FIELDS.items():
                yield source, name, layout.encoding_constants(encoding) | {"GRID": 0}, 0
        elif source == "weights.cu":
            for half in (0, 1):
                yield source, ("float32", "half")[half], {"HALF": half}, 0
        elif source in WAVES_OF:
            for points in SIDES:
                launched = lines.line(points).launched()
                yield source, f"{points} points", launched["constants"], launched["shared_bytes"]
        elif source in DOUBLE:
            for real in ("float", "double"):
                yield source, real, {"REAL": real}, 0
        else:
            yield source, "", {}, 0
    for name, (encoding, network) in FIELDS.items():
        for precision in (layout.HALF, layout.SINGLE):
            grid = encoding.kind != "identity"
            forward = layout.forward_plan(encoding, network, precision, grid, limits)
            backward = layout.backward_plan(encoding, network, precision, grid, limits)
            yield "network.cu", f"{name} {precision}", forward.constants, forward.shared_bytes
            yield "network_backward.cu", f"{name} {precision}", backward.constants, backward.shared_bytes
            if backward.wide:
                constants, shared = layout.gradient_constants(backward)
                yield "weight_gradient.cu", f"{name} {precision}", constants, shared


def text_of(source, constants):
    defines = "".join(f"#define {key} {value}\n" for key, value in constants.items())
    return defines + f'#line 1 "{source}"\n' + load.source(source)


class Nvcc:
    """The compiler of the CUDA toolkit."""

    def __init__(self, path):
        self.path = path

    def __call__(self, text, arch):
        """Whether it compiled, and what the compiler said."""
        with tempfile.TemporaryDirectory() as folder:
            command = [self.path, *FLAGS, f"-arch={arch}", "-cubin", "-Werror", "all-warnings"]
            command += ["-Xptxas", ",".join(PTXAS), "-x", "cu", "-", "-o", f"{folder}/out"]
            run = subprocess.run(command, input=text, text=True, capture_output=True)
        return run.returncode == 0, run.stderr


class Nvrtc:
    """The compiler that CuPy uses, from its wheel."""

    def __init__(self, path):
        for builtins in Path(path).parent.glob("libnvrtc-builtins.so*"):  # which it looks for by name
            ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(path)

    def __call__(self, text, arch):
        """Whether it compiled, and what the compiler said."""
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        made = self.library.nvrtcCreateProgram(
            ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None
        )
        if made != 0:
            return False, f"nvrtcCreateProgram failed with status {made}"
        flags = [*FLAGS, f"-arch={arch}", *(f"--ptxas-options={option}" for option in PTXAS)]
        flags = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        status = self.library.nvrtcCompileProgram(program, len(flags), flags)
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.library.nvrtcGetProgramLog(program, log)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return status == 0, log.value.decode()


def find_compiler(folder):
    """nvcc, NVRTC, or None; `folder` takes a fetched wheel."""
    nvcc = shutil.which("nvcc") or next(iter(sorted(glob.glob("/usr/local/cuda*/bin/nvcc"))), None)
    if nvcc:
        return Nvcc(nvcc)
    fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    for places in (sys.path, [folder]):
        if places == [folder] and subprocess.run([*fetch, "nvidia-cuda-nvrtc"]).returncode:
            return None
        for place in places:
            found = sorted(Path(place, "nvidia").glob("*/lib/libnvrtc.so.*"))
            if found:
                return Nvrtc(str(found[0]))
    return None


def rows_of(log, shared):
    """(kernel, registers, shared bytes, spilled bytes) of every kernel that a log speaks of."""
    for kernel, stack, stores, loads, registers, rest in FUNCTION.findall(log):
        fixed = re.search(r"(\d+) bytes smem", rest)
        spilled = max(int(stack), int(stores) + int(loads))
        yield kernel, int(registers), shared + (int(fixed.group(1)) if fixed else 0), spilled


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="a source, such as network.cu")
    only = parser.parse_args().only
    jobs = [(arch, *variant) for arch in DEVICES for variant in variants(arch) if only in (None, variant[0])]
    with tempfile.TemporaryDirectory() as folder:
        compiler = find_compiler(folder)
        if compiler is None:
            print("neither nvcc nor the wheel nvidia-cuda-nvrtc could be had: CUDA sources were NOT compiled")
            return 0
        print(f"{type(compiler).__name__.lower()}: {len(jobs)} compilations")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = list(pool.map(lambda job: compiler(text_of(job[1], job[3]), job[0]), jobs))
    print(f"{'arch':6} {'kernel':22} {'variant':24} {'registers':>9} {'shared':>7} {'spilled':>7}")
    failed = 0
    for (arch, source, name, _, shared), (compiled, log) in zip(jobs, done, strict=True):
        rows = list(rows_of(log, shared))
        for kernel, registers, bytes_shared, spilled in rows:
            print(f"{arch:6} {kernel:22} {name:24} {registers:9d} {bytes_shared:7d} {spilled:7d}")
        if not compiled or not rows or any(spilled for *_, spilled in rows):
            failed += 1
            print(f"{arch} {source} {name}: FAILED\n{log}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
