"""Memory and cores: what parts of a job say that they need, and what this process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fieldrx.errors import InputError


@dataclass(frozen=True)
class Need:
    """Memory that one part of a job takes, roughly.

    Parameters
    ----------
    what : str
        In words, for messages.
    held : float
        Bytes that it takes all the time.
    peak : float
        Bytes that it takes besides while it is its turn; of all parts the largest counts.
    """

    what: str
    held: float = 0.0
    peak: float = 0.0

    def __add__(self, other: Need) -> Need:
        """Parts that work together."""
        return Need(f"{self.what}, {other.what}", self.held + other.held, self.peak + other.peak)


def total(needs: Sequence[Need]) -> float:
    """Bytes that parts of a job take together, whose turns come one after another."""
    return sum(need.held for need in needs) + max((need.peak for need in needs), default=0.0)


def physical_memory() -> int | None:
    """Bytes of memory that this process may use, where the system tells; see :func:`memory_limit`."""
    return memory_limit()[0]


def memory_limit(
    root: str | os.PathLike = "/", environment: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """The least of what the machine has, the cgroup allows and the scheduler granted.

    Containers and batch systems kill what takes more than its share, however much the machine has.

    Parameters
    ----------
    root : path-like
        Where ``proc`` and ``sys`` lie.
    environment : mapping, optional
        Variables of SLURM; those of the process when not given.

    Returns
    -------
    int or None
        Bytes; None where nothing tells.
    str
        What limits it: "this machine has", "this job's cgroup allows", or a variable of SLURM.
    """
    environment = os.environ if environment is None else environment
    found = [(_machine_memory(), "this machine has")]
    found += [(size, "this job's cgroup allows") for size in _cgroup_limits(Path(root))]
    found += _slurm_limits(environment)
    return min((limit for limit in found if limit[0]), default=(None, ""), key=lambda limit: limit[0])


def _machine_memory():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _cgroup_limits(root):
    """Limits [bytes] of the process's cgroup and of all above it, versions 1 and 2."""
    names = {1: "memory.limit_in_bytes", 2: "memory.max"}
    return [_whole_number(folder / names[version]) for folder, version in _cgroups(root, "memory")]


def free_memory(root: str | os.PathLike = "/") -> int | None:
    """Bytes that this process may still take without making others give something back, what it has included.

    Parameters
    ----------
    root : path-like
        As of `memory_limit`.

    Returns
    -------
    int or None
        None where nothing tells.
    """
    root, found = Path(root), []
    machine = _words(root / "proc/meminfo").get("MemAvailable:")
    found += [] if machine is None else [machine << 10]
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }
    for folder, version in _cgroups(root, "memory"):
        most, used, spare = names[version]
        limit, taken = _whole_number(folder / most), _whole_number(folder / used)
        if limit is not None and taken is not None:
            found.append(limit - taken + _words(folder / "memory.stat").get(spare, 0))
    own = _words(root / "proc/self/status").get("VmRSS:", 0) << 10
    return max(min(found) + own, 0) if found else None


def _words(path):
    """Whole numbers of a file by the first word of their lines."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}


def _cgroups(root, controller):
    """(folder, version) of the process's cgroup and of all above it, as far as a controller has them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            top, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        parts = PurePosixPath(path).parts[1:]  # a container may see its own as /, whatever the path says
        found += [(top.joinpath(*parts[:k]), version) for k in range(len(parts) + 1)]
    return found


def _whole_number(path):
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _slurm_limits(environment):
    """Limits [bytes] of a job of SLURM, which counts in MiB, and the words for them; 0 means no limit."""

    def number(name):
        return _count(environment.get(name, ""))

    cpus = number("SLURM_CPUS_ON_NODE") or number("SLURM_CPUS_PER_TASK")
    return [
        (number("SLURM_MEM_PER_NODE") << 20, "SLURM_MEM_PER_NODE allows"),
        (cpus * number("SLURM_MEM_PER_CPU") << 20, f"SLURM_MEM_PER_CPU on {cpus} CPUs allows"),
    ]


def _count(text):
    """A whole number; 0 for what is none."""
    return int(text) if text.isdecimal() else 0


THREADS_OF = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")  # variables by which a user says how many
THREADS_OF_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def thread_limit(
    root: str | os.PathLike = "/", environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The least of the machine's cores, those that this process may run on, and what it was granted.

    More threads than cores wait for each other at every kernel, and slow down whoever shares the machine.

    Parameters
    ----------
    root, environment
        As of `memory_limit`; OMP_NUM_THREADS and NUMBA_NUM_THREADS count as well.

    Returns
    -------
    int
        Threads, at least 1.
    str
        What limits them: "affinity", "cgroup" or a variable; empty where all cores may be used.
    """
    environment = os.environ if environment is None else environment
    found = [(os.cpu_count() or 1, ""), (_affinity(), "affinity")]
    found += [(quota, "cgroup") for quota in _cpu_quotas(Path(root))]

    def number(name):  # the first one of "4(x2),3", tasks on nodes, or of "8,2", threads on levels of OpenMP
        return _count(re.split(r"\D", environment.get(name, "").strip(), maxsplit=1)[0])

    tasks = number("SLURM_STEP_TASKS_PER_NODE") or number("SLURM_NTASKS_PER_NODE") or 1
    on_node = number("SLURM_CPUS_ON_NODE")
    found += [
        (number("SLURM_CPUS_PER_TASK"), "SLURM_CPUS_PER_TASK"),
        (on_node and max(on_node // tasks, 1), "SLURM_CPUS_ON_NODE"),
    ]
    found += [(number(name), name) for name in THREADS_OF]
    return min((limit for limit in found if limit[0]), key=lambda limit: limit[0])


def _affinity():
    """Cores that the process may run on; 0 where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def _cpu_quotas(root):
    """Whole cores that the process's cgroup and those above it may fill, at least 1; 0 without a limit."""
    quotas = []
    for folder, version in _cgroups(root, "cpu"):
        if version == 2:
            quotas.append(_two_numbers(folder / "cpu.max"))
        else:
            quotas.append([_whole_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")])
    return [max(q[0] // q[1], 1) if all(q) and q[0] > 0 else 0 for q in quotas]


def _two_numbers(path):
    """The two numbers of a line; None for what is not there, or "max"."""
    try:
        words = path.read_text().split()
    except OSError:
        words = []
    return [int(word) if word.isdecimal() else None for word in (*words, "", "")[:2]]


def check_needs(job: str, needs: Sequence[Need], have: float | None, limit: str, advice: str) -> None:
    """Refuse a job that cannot fit.

    Parameters
    ----------
    job : str
        In words.
    needs : sequence of Need
    have : float, optional
        Bytes there are; None where nothing tells.
    limit : str
        What limits them, as of `memory_limit`.
    advice : str
        What to do.

    Raises
    ------
    InputError
        If the parts need more than there is; it says which of them needs the most.
    """
    need = total(needs)
    if have is None or need <= have:
        return
    most = max(needs, key=lambda part: part.held + part.peak)
    raise InputError(
        f"{job} need about {need / 2**30:.1f} GiB ({most.what} {(most.held + most.peak) / 2**30:.1f}), "
        f"{limit} {have / 2**30:.1f}: {advice}" + ("" if "machine" in limit else ", or ask for more memory")
    )
