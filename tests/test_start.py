"""How a process starts: what it imports, where its kernels are kept, and what a fork leaves of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

import fieldrx

TESTS = Path(__file__).parent
ROOT = Path(fieldrx.__file__).parents[1]  # of the package under test, in whatever folder a process starts


def python(text, path=TESTS, **environment):
    """What a process in the folder `path` prints that runs `text`."""
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"} | environment
    command, told = [sys.executable, "-c", text], {"capture_output": True, "text": True}
    run = subprocess.run(command, env=environment, cwd=path, timeout=300, **told)
    assert run.returncode == 0, run.stderr
    return run.stdout


# ---- imports -------------------------------------------------------------------------------------

HEAVY = "print([m for m in sys.modules if m.split('.')[0] in ('numba', 'llvmlite') or 'backends.cpu' in m])"


@pytest.mark.slow
@pytest.mark.parametrize("command", [None, "--help", "info"])
def test_the_compiler_is_not_imported_where_nothing_is_computed(tmp_path, command):
    fieldrx.Acquisition(np.ones((2, 4, 5)), fieldrx.Illumination([[0, 0.1], [0.1, 0]]),
                        fieldrx.Microscope(0.5, 0.4, 1.33, 0.3)).save(tmp_path / "a.npz")  # fmt: skip
    arguments = [command] + [str(tmp_path / "a.npz")] * (command == "info")
    run = f"from fieldrx.cli import main; main({arguments}, standalone_mode=False)" if command else ""
    assert python(f"import sys, fieldrx\n{run}\n{HEAVY}").splitlines()[-1] == "[]"


def test_import_brings_nothing_but_what_is_asked_for():
    assert python("import sys, fieldrx; print('numpy' in sys.modules, fieldrx.__version__)").startswith(
        "False"
    )


def test_help_waits_for_no_numbers():
    run = "from fieldrx.cli import main; main(['--help'], standalone_mode=False)"
    assert python(f"import sys\n{run}\nprint('numpy' in sys.modules)").splitlines()[-1] == "False"


def test_every_public_name_is_there():
    assert set(fieldrx.__all__) <= set(dir(fieldrx))
    assert all(getattr(fieldrx, name) is not None for name in fieldrx.__all__)
    assert set(fieldrx._HOMES) == set(fieldrx.__all__) - {"__version__"}
    assert python("import fieldrx; print(fieldrx.models.Born.name)") == "born\n"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fieldrx.nonsense


# ---- kept kernels --------------------------------------------------------------------------------

ADAM = """
import numpy as np
from fieldrx.backends import get
a = [np.ones(3, np.float32) for _ in range(4)]
get("cpu").adam_step(*a, 1, 0.1)
from fieldrx.backends.compiler import FOLDER
print(a[0][0] < 1, FOLDER)
"""


@pytest.fixture
def read_only(tmp_path):
    """A copy of the package where, for root too, no kernel can be kept, and an environment without a home."""
    shutil.copytree(
        Path(fieldrx.__file__).parent, tmp_path / "fieldrx", ignore=shutil.ignore_patterns("__pycache__")
    )
    for room in ("backends", "backends/cpu", "render", "export"):
        (tmp_path / "fieldrx" / room / "__pycache__").write_text("no folder")
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), "/proc/none")
    return {"path": tmp_path, "TMPDIR": str(tmp_path / "tmp"), **nowhere}


@pytest.mark.slow
def test_kernels_of_a_read_only_installation_are_kept_among_temporary_files(read_only):
    temporary = Path(read_only["TMPDIR"])
    temporary.mkdir()
    worked, folder = python(ADAM, **read_only).split()
    assert worked == "True"
    own = temporary / f"fieldrx-numba-{os.getuid()}"
    assert Path(folder).parent == own
    assert own.stat().st_mode & 0o777 == 0o700
    assert list(own.rglob("adam*.nbi"))


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["open to others", "a link"])
def test_a_folder_of_others_is_not_trusted(read_only, whose):
    temporary = Path(read_only["TMPDIR"])
    temporary.mkdir()
    own = temporary / f"fieldrx-numba-{os.getuid()}"
    if whose == "a link":
        own.symlink_to(read_only["path"])
    else:
        own.mkdir()
        own.chmod(0o777)
    assert python(ADAM, **read_only).split() == ["True", "None"]


# ---- forks ---------------------------------------------------------------------------------------

FORK = """
import multiprocessing, os, numpy as np, tiny
from fieldrx.backends import get, n_threads
from fieldrx.backends.fft import fft2
held = get("cpu")

def evaluate(_):
    return float(abs(tiny.field()(np.zeros((50, 3)))).mean())

def use_held(_):
    return held.adam_step(*[np.ones(3, np.float32) for _ in range(4)], 1, 0.1)

def transform(_):
    return float(abs(fft2(np.ones((2, 32, 32), np.complex64))).sum())

def pool(work):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        try:
            return pool.map_async(work, range(3)).get(timeout=100)
        except RuntimeError as error:
            return str(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_before_the_first_use_works():
    assert python(FORK + "print(len(set(pool(evaluate))))") == "1\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("work", ["evaluate", "use_held"])
def test_a_fork_after_use_says_so_instead_of_hanging(work):
    text = FORK + f"evaluate(0); import numba; print(numba.threading_layer()); print(pool({work}))"
    layer, said = python(text).splitlines()
    if layer == "omp" and sys.platform == "linux":
        assert "threads do not survive a fork" in said
        assert '"spawn") or "forkserver"' in said
    else:
        assert said.startswith("[")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_ffts_survive_a_fork():
    assert python(FORK + "evaluate(0); transform(0); print(pool(transform))") == "[2048.0, 2048.0, 2048.0]\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_other_layers_survive_a_fork():
    assert (
        python(FORK + "evaluate(0); print(len(set(pool(evaluate))))", NUMBA_THREADING_LAYER="workqueue")
        == "1\n"
    )


# ---- settings of the compiler ----------------------------------------------------------------------

THREADS = """
import numpy as np, tiny
from concurrent.futures import ThreadPoolExecutor
field = tiny.field()
points = np.random.default_rng(0).uniform((-1, -1, -1), (1, 5, 5), (3000, 3))
expected = field(points)
with ThreadPoolExecutor(4) as pool:
    print(all(np.array_equal(found, expected) for found in pool.map(lambda _: field(points), range(12))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_several_threads_may_ask_one_field(layer):
    assert python(THREADS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "True\n"


def start(folder, *command, **environment):
    """A command in a folder, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "fieldrx", *command], env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        cwd=folder, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, value, words",
    [
        ("NUMBA_NUM_THREADS", "0", "NUMBA_NUM_THREADS is 0; expected 1 or more"),
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT is set"),
        ("NUMBA_THREADING_LAYER", "nonsense", "NUMBA_THREADING_LAYER is nonsense, which cannot be used"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path, name, value, words):
    tiny.field().save(tmp_path / "f.npz")
    (tmp_path / "p.csv").write_text("z_um,y_um,x_um\n0,1,1\n")
    for command in (("query", "f.npz", "p.csv"), ("render", "f.npz", "o.gif", "--movie", "spin")):
        run = start(tmp_path, *command, **{name: value})
        assert run.returncode == 2 and words in run.stderr and len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "o.gif").exists()
    run = start(tmp_path, "doctor", **{name: value})
    assert run.returncode == 1 and re.search(f"FAIL threads +{words}", run.stdout) and not run.stderr
    assert start(tmp_path, "info", "f.npz", **{name: value}).returncode == 0  # computes nothing
