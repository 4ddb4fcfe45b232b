"""How much memory a process may use: machine, cgroup, scheduler."""

import pytest

from fieldrx.errors import InputError
from fieldrx.resources import Need, check_needs, memory_limit, total

MIB = 1 << 20
HAS = "this machine has"
ALLOWS = "this job's cgroup allows"


def limit(tmp_path, cgroup="", files=(), **environment):
    """What a process sees whose proc and sys are these files."""
    for name, text in {"proc/self/cgroup": cgroup, **dict(files)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return memory_limit(tmp_path, environment)


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
        check_needs("this", [Need("a"), Need("b", held=2.5 * 2**27)], *memory_limit())


def test_parts_take_turns_and_the_largest_is_named():
    parts = [Need("images", held=2 * 2**30), Need("waves", peak=5 * 2**30), Need("spectra", 2**29, 2 * 2**30)]
    assert total(parts) == 7.5 * 2**30
    assert total([parts[1] + parts[2]]) == 7.5 * 2**30
    check_needs("this", parts, 7.5 * 2**30, HAS)
    check_needs("this", parts, None, "")
    with pytest.raises(
        InputError, match=r"ten fits need about 7\.5 GiB \(waves 5\.0\), this machine has 7\.0: use"
    ):
        check_needs("ten fits", parts, 7 * 2**30, HAS)
