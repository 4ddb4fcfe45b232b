"""Real ranks: ``mpiexec -n N fieldrx ...`` with mpi4py and the MPI beside it."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, load_field, simulate
from fieldrx.ensemble import load_ensemble
from fieldrx.tiles import load_mosaic

PATIENCE_S = 240
BESIDE = Path(sys.executable).with_name("mpiexec")  # of a wheel
MPIEXEC = str(BESIDE) if BESIDE.exists() else which("mpiexec")
needs_mpi = pytest.mark.skipif(
    not (MPIEXEC and find_spec("mpi4py")), reason="no mpiexec or no mpi4py: pip install fieldrx[mpi] mpich"
)
slow = pytest.mark.slow
SETTINGS = {
    "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    # Open MPI: more ranks than cores, and as root, where the tests of others may run so
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}  # fmt: skip
FIT = ["--depth", "-1:1:0.5", "--model", "born", "--steps", "8"]
# Fails on one rank, in a step of a fit; sys.argv holds the rank, the kind of failure and the command.
FAILING = """
import os, signal, sys
from fieldrx.errors import InputError
from fieldrx.fit.run import Fit
from fieldrx.parallel import launched
which, kind = int(sys.argv.pop(1)), sys.argv.pop(1)
step = Fit.step

def failing(fit):
    if launched().rank == which and fit.state.step == 3:
        if kind == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        elif kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise {"input": InputError("a bad thing"), "bug": RuntimeError("a bug")}[kind]
    return step(fit)

Fit.step = failing
from fieldrx.cli import main
main(prog_name="fieldrx")
"""
# Ranks but the first read the fields of tiles late.
LATE = """
import time
from fieldrx.parallel import launched
from fieldrx.tiles import fits
load = fits.load_field

def late(path):
    time.sleep(2.0 if launched().rank else 0.0)
    return load(path)

fits.load_field = late
from fieldrx.cli import main
main(prog_name="fieldrx")
"""


def ranks(count, *arguments, code=None, environment=None):
    """What ``mpiexec -n count`` leaves behind."""
    program = ["-c", code] if code else ["-m", "fieldrx"]
    return subprocess.run(
        [MPIEXEC, "-n", str(count), sys.executable, *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | SETTINGS | (environment or {}),
    )


def errors(done):
    return [line for line in done.stderr.splitlines() if "fieldrx: error:" in line]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "tiny.npz"
    tiny.acquisition().save(path)
    return path


@needs_mpi
@slow
@pytest.mark.parametrize("count", [2, 4])
def test_sums_of_mpi(count):
    code = """
import numpy as np
from fieldrx.parallel import share_of, world
ranks = world()
def part(rank, shape, kind):
    return np.random.default_rng(rank).normal(size=shape).astype(kind)
for shape, kind in [((3,), "f8"), ((7, 1000), "f4"), ((5, 60, 50), "c8"), ((1, 9000), "f4"), ((4,), "i8")]:
    total = part(0, shape, kind)
    for rank in range(1, ranks.size):
        total = total + part(rank, shape, kind)
    own = part(ranks.rank, shape, kind)
    kept = own.copy()
    assert np.array_equal(ranks.sum(own), total)
    own_planes = total[share_of(shape[0], ranks.rank, ranks.size)]
    assert np.array_equal(ranks.planes_sum(own), own_planes)
    assert np.array_equal(ranks.join(own_planes, shape[0]), total)
    assert np.array_equal(own, kept)
assert ranks.sum(1.5) == 1.5 * ranks.size
assert ranks.agree(ranks.rank + 3) == 3
assert ranks.any(ranks.rank == 1) and not ranks.any(False)
assert ranks.all_of(ranks.rank) == list(range(ranks.size))
assert ranks.local_size == ranks.size
ranks.barrier()
print("as expected")
"""
    done = ranks(count, code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("as expected") == count  # lines of two ranks may mix


@needs_mpi
@slow
def test_one_two_and_four_ranks_reconstruct_the_same(images, tmp_path):
    fields = {}
    for count in (1, 2, 4):
        path = tmp_path / f"{count}.npz"
        done = ranks(count, "reconstruct", images, "-o", path, *FIT)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("held-out error") == 1  # one rank prints
        said = f"note: {count} ranks share 5 images of a step and 5 planes"
        assert (said in done.stderr) == (count > 1)
        fields[count] = load_field(path).volume(spacing=0.25).contrast
    for count in (2, 4):
        difference = np.linalg.norm(fields[count] - fields[1]) / np.linalg.norm(fields[1])
        assert difference < 1e-4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.npz", "2.npz", "4.npz"]


@needs_mpi
@slow
@pytest.mark.parametrize(
    ("rank", "kind", "status", "line"),
    [
        (1, "input", 2, "fieldrx: error: rank 1: {images}: a bad thing"),
        (0, "input", 2, "fieldrx: error: {images}: a bad thing"),
        (1, "bug", 1, "fieldrx: error: rank 1: a bug"),
        (1, "killed", None, None),
    ],
)
def test_a_rank_that_fails_ends_all(images, tmp_path, rank, kind, status, line):
    begun = time.monotonic()
    path = tmp_path / "f.npz"
    done = ranks(2, rank, kind, "reconstruct", images, "-o", path, "-q", *FIT, code=FAILING)
    assert time.monotonic() - begun < PATIENCE_S / 2
    assert done.returncode == status if status else done.returncode != 0
    assert errors(done) == ([line.format(images=images)] if line else [])
    assert not list(tmp_path.iterdir())


@needs_mpi
@slow
def test_a_signal_to_one_rank_stops_all_and_any_number_goes_on(images, tmp_path):
    path = tmp_path / "f.npz"
    done = ranks(2, 1, "term", "reconstruct", images, "-o", path, "-q", *FIT, code=FAILING)
    assert done.returncode == 75, done.stderr
    assert "stopped after 4 steps; --resume continues" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.checkpoint.npz", "f.npz"]
    done = ranks(3, "reconstruct", images, "-o", path, "-q", "--resume", "auto", *FIT)
    assert done.returncode == 0, done.stderr
    assert load_field(path).provenance.steps_done == 8
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


@needs_mpi
@slow
def test_a_wrong_argument_is_said_once(tmp_path):
    done = ranks(3, "reconstruct", "missing.npz", "-o", tmp_path / "f.npz", *FIT)
    assert done.returncode == 2
    assert len(errors(done)) == 1
    assert "missing.npz: no such file" in errors(done)[0]


@needs_mpi
@slow
def test_members_of_an_ensemble_over_ranks(images, tmp_path):
    field = tmp_path / "f.npz"
    assert ranks(1, "reconstruct", images, "-o", field, "-q", *FIT).returncode == 0
    made = []
    for count in (1, 2):
        path = tmp_path / f"e{count}.npz"
        done = ranks(count, "ensemble", field, images, "-o", path, "--members", 3, "--steps", 3, "--no-twin")
        assert done.returncode == 0, done.stderr
        assert ("3 members over 2 ranks, each by one rank alone" in done.stderr) == (count == 2)
        made.append(load_ensemble(path))
    for one, two in zip(made[0].members, made[1].members, strict=True):
        np.testing.assert_array_equal(one.params, two.params)
    assert made[0].factor == made[1].factor


# ---- without MPI ------------------------------------------------------------------------------------------


def without_mpi4py(tmp_path):
    """An environment in which mpi4py cannot be imported."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise ImportError('it is not there')\n")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("rank", [0, 1])
def test_several_ranks_without_mpi4py_say_so_once(tmp_path, images, rank):
    done = subprocess.run(
        [sys.executable, "-m", "fieldrx", "reconstruct", str(images), "-o", str(tmp_path / "f.npz"), *FIT],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | {"PMI_RANK": str(rank), "PMI_SIZE": "4"} | without_mpi4py(tmp_path),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    line = "fieldrx: error: 4 ranks were started, but mpi4py cannot be imported (it is not there): "
    assert done.stderr.startswith(line) if rank == 0 else done.stderr == ""
    assert done.stderr.count("\n") == (rank == 0)
    assert not (tmp_path / "f.npz").exists()


@pytest.mark.skipif(not find_spec("mpi4py"), reason="no mpi4py: pip install fieldrx[mpi]")
def test_ranks_of_another_mpi_are_told(images):
    done = subprocess.run(
        [sys.executable, "-m", "fieldrx", "info", str(images)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"},
    )
    assert done.returncode == 2
    assert "knows of 1: start them with the mpiexec of that MPI" in done.stderr


def test_processes_may_work_for_themselves(images):
    done = subprocess.run(
        [sys.executable, "-m", "fieldrx", "info", str(images)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | {"PMI_RANK": "1", "PMI_SIZE": "4", "FIELDRX_ALONE": "1"},
    )
    assert done.returncode == 0
    assert "6 of 24 x 20 pixels" in done.stdout


@needs_mpi
@slow
def test_tiles_over_ranks_are_bit_identical(tmp_path):
    """Each tile is fitted by one rank alone, also where ranks have none left."""
    shape = (100, 44)
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,), name="frame")
    simulate(tiny.phantom(), optics, "born", shape).save(tmp_path / "frame.npz")
    fit = ["reconstruct", tmp_path / "frame.npz", *FIT, "--tiles", "66", "-q", "-o"]
    for count in (1, 2, 3):
        done = ranks(count, *fit, tmp_path / f"{count}.npz", code=LATE if count == 2 else None)
        assert done.returncode in (0, 3) and not errors(done), done.stderr
        assert not (tmp_path / f"{count}.tiles").exists()
    alone, *others = (load_mosaic(tmp_path / f"{count}.npz") for count in (1, 2, 3))
    assert len(alone.fields) == 2
    for other in others:
        for one, two in zip(alone.fields, other.fields, strict=True):
            np.testing.assert_array_equal(one.params, two.params)
