"""Processes that need the same kernel: one compiles, the others wait for it."""

import fcntl
import os
import subprocess
import sys
import time

KERNEL = """
from fieldrx.backends import compiler

@compiler.njit(cache=True)
def double(x):
    return 2 * x

@compiler.njit(cache=True)
def kernel(x):
    return double(x) + 1
"""
CALL = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from fieldrx.backends import compiler
print(Path(compiler.FOLDER, compiler.LOCK), flush=True)
sys.stdin.readline()
from kernels_of_a_test import double, kernel
assert kernel(3.0) == 7.0
hits = sum(kernel.stats.cache_hits.values()), sum(double.stats.cache_hits.values())
print("compiled" if hits == (0, 0) else "found", flush=True)
"""


def start(tmp_path):
    """A process that will call a kernel when it is told to, and the file that it will lock."""
    (tmp_path / "kernels_of_a_test.py").write_text(KERNEL)
    process = subprocess.Popen(
        [sys.executable, "-c", CALL.format(folder=str(tmp_path))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
    )
    return process, process.stdout.readline().strip()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_one_process_compiles_and_others_wait(tmp_path):
    first, lock = start(tmp_path)
    second, same = start(tmp_path)
    assert lock == same
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        go(first)
        go(second)
        time.sleep(5)  # they would be done by now
        assert first.poll() is None
        assert second.poll() is None
        assert not list((tmp_path / "cache").rglob("*.nbc"))
    told = sorted(process.communicate(timeout=120)[0].strip() for process in (first, second))
    assert told == ["compiled", "found"]


def test_a_lock_that_cannot_be_had_keeps_nobody(tmp_path):
    process, lock = start(tmp_path)
    os.mkdir(lock)
    assert process.communicate("\n", timeout=120)[0].strip() == "compiled"
