"""How much memory and how many cores a process may use: machine, cgroup, scheduler."""

import os
import subprocess
import sys

import pytest

from fieldrx.errors import InputError
from fieldrx.resources import Need, check_needs, memory_limit, thread_limit, total

MIB = 1 << 20
HAS = "this machine has"
ALLOWS = "this job's cgroup allows"


def limit(tmp_path, cgroup="", files=(), asked=memory_limit, **environment):
    """What a process is told whose proc and sys are these files."""
    for name, text in {"proc/self/cgroup": cgroup, **dict(files)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return asked(tmp_path, environment)


def test_a_machine_without_limits(tmp_path):
    size, words = memory_limit(tmp_path, {})
    assert size > 1000 * MIB
    assert words == HAS
    free = [("sys/fs/cgroup/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.max", "max\n")]
    assert limit(tmp_path, "0::/a\n", free, SLURM_MEM_PER_NODE="0", SLURM_MEM_PER_CPU="") == (size, HAS)
    free = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")]
    assert limit(tmp_path, "3:memory:/\n", free) == (size, HAS)


@pytest.mark.parametrize("where", ["", "slurm/", "slurm/job_7/", "slurm/job_7/step/"])
def test_version_2_of_this_cgroup_or_one_above(tmp_path, where):
    files = [
        ("sys/fs/cgroup/slurm/job_7/step/memory.max", "max\n"),
        (f"sys/fs/cgroup/{where}memory.max", f"{MIB}\n"),
    ]
    assert limit(tmp_path, "0::/slurm/job_7/step\n", files) == (MIB, ALLOWS)


def test_version_1_and_paths_of_the_host(tmp_path):
    lines = "12:cpu,cpuacct:/docker/x\n4:hugetlb,memory:/docker/x\n0::/\n"
    files = [("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{5 * MIB}\n")]  # a container mounts its own
    assert limit(tmp_path, lines, files) == (5 * MIB, ALLOWS)
    files += [("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", f"{4 * MIB}\n")]
    assert limit(tmp_path, lines, files) == (4 * MIB, ALLOWS)


def test_slurm(tmp_path):
    assert limit(tmp_path, SLURM_MEM_PER_NODE="64") == (64 * MIB, "SLURM_MEM_PER_NODE allows")
    one = {"SLURM_MEM_PER_CPU": "16", "SLURM_CPUS_PER_TASK": "3"}
    assert limit(tmp_path, **one) == (48 * MIB, "SLURM_MEM_PER_CPU on 3 CPUs allows")
    assert limit(tmp_path, **one, SLURM_CPUS_ON_NODE="2")[0] == 32 * MIB
    assert limit(tmp_path, SLURM_MEM_PER_CPU="16")[1] == HAS  # of how many, nobody says


def test_a_fit_is_refused_by_what_the_job_may_use(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "200")
    with pytest.raises(InputError, match=r"SLURM_MEM_PER_NODE allows 0\.2: use .*, or ask for more memory"):
        check_needs("this", [Need("a"), Need("b", held=2.5 * 2**27)], *memory_limit(), "use less")


def test_parts_take_turns_and_the_largest_is_named():
    parts = [Need("images", held=2 * 2**30), Need("waves", peak=5 * 2**30), Need("spectra", 2**29, 2 * 2**30)]
    assert total(parts) == 7.5 * 2**30
    assert total([parts[1] + parts[2]]) == 7.5 * 2**30
    check_needs("this", parts, 7.5 * 2**30, HAS, "use less")
    check_needs("this", parts, None, "", "use less")
    with pytest.raises(
        InputError, match=r"ten fits need about 7\.5 GiB \(waves 5\.0\), this machine has 7\.0: use"
    ):
        check_needs("ten fits", parts, 7 * 2**30, HAS, "use less")


@pytest.fixture
def eight(monkeypatch):
    """A machine of eight cores, on six of which this process may run."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)


def threads(tmp_path, cgroup="", files=(), **environment):
    return limit(tmp_path, cgroup, files, thread_limit, **environment)


def test_threads_of_a_machine_and_of_an_affinity(tmp_path, eight, monkeypatch):
    assert threads(tmp_path) == (6, "affinity")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert threads(tmp_path) == (8, "")
    assert threads(tmp_path, OMP_NUM_THREADS="16", NUMBA_NUM_THREADS="many") == (8, "")


@pytest.mark.parametrize(
    ("line", "count"),
    [("300000 100000", 3), ("150000 100000", 1), ("20000 100000", 1), ("max 100000", 6), ("", 6)],
)
def test_threads_of_a_quota(tmp_path, eight, line, count):
    why = "affinity" if count == 6 else "cgroup"
    files = [("sys/fs/cgroup/a/cpu.max", line), ("sys/fs/cgroup/a/b/cpu.max", "max 100000")]
    assert threads(tmp_path, "0::/a/b\n", files) == (count, why)


def test_threads_of_a_quota_of_version_1(tmp_path, eight):
    top = "sys/fs/cgroup/cpu"
    files = [(f"{top}/cpu.cfs_quota_us", "-1"), (f"{top}/cpu.cfs_period_us", "100000")]
    assert threads(tmp_path, "3:cpuacct,cpu:/\n", files) == (6, "affinity")
    files[0] = files[0][0], "250000"
    assert threads(tmp_path, "3:cpuacct,cpu:/\n", files) == (2, "cgroup")


def test_threads_of_a_scheduler_and_of_variables(tmp_path, eight):
    assert threads(tmp_path, SLURM_CPUS_PER_TASK="4") == (4, "SLURM_CPUS_PER_TASK")
    assert threads(tmp_path, SLURM_CPUS_ON_NODE="4") == (4, "SLURM_CPUS_ON_NODE")
    shared = {"SLURM_CPUS_ON_NODE": "4", "SLURM_NTASKS_PER_NODE": "3"}
    assert threads(tmp_path, **shared) == (1, "SLURM_CPUS_ON_NODE")
    assert threads(tmp_path, **shared, SLURM_STEP_TASKS_PER_NODE="2(x3),1") == (2, "SLURM_CPUS_ON_NODE")
    given = {"SLURM_CPUS_PER_TASK": "4", "OMP_NUM_THREADS": "3,2"}
    assert threads(tmp_path, **given) == (3, "OMP_NUM_THREADS")
    assert threads(tmp_path, **given, NUMBA_NUM_THREADS="2") == (2, "NUMBA_NUM_THREADS")


COUNTS = (
    "from fieldrx.backends import describe_device, get; from fieldrx.backends.compiler import numba; "
    "print(numba.get_num_threads(), describe_device(get('cpu')), sep='|')"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"SLURM_CPUS_PER_TASK": "1"}, "1|cpu, 1 thread (SLURM_CPUS_PER_TASK)\n"),
        ({"OMP_NUM_THREADS": "1"}, "1|cpu, 1 thread (OMP_NUM_THREADS)\n"),
        ({"NUMBA_NUM_THREADS": "999"}, None),
    ],
)
def test_kernels_keep_to_the_threads_and_say_why(variables, told):
    unlimited = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k and "SLURM" not in k}
    expected = told or f"{thread_limit(environment={})[0]}|"
    command = [sys.executable, "-c", COUNTS]
    run = subprocess.run(command, env=unlimited | variables, capture_output=True, text=True, check=True)
    assert run.stdout.startswith(expected)


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_linear_algebra_is_limited_before_numpy_is_loaded(given, expected):
    code = (
        "import os, sys; from fieldrx.cli import main; before = 'numpy' in sys.modules; "
        "main(['--version'], standalone_mode=False); print(before, os.environ['OPENBLAS_NUM_THREADS'])"
    )
    rest = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    command = [sys.executable, "-c", code]
    environment = rest | {"SLURM_CPUS_PER_TASK": "1"} | given
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == f"False {expected}"
