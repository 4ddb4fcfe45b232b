"""Memory: what parts of a job say that they need, and what the machine has."""

from __future__ import annotations

import os
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
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = PurePosixPath(path).parts[1:]  # a container may see its own as /, whatever the path says
        limits += [_whole_number(top.joinpath(*parts[:k], name)) for k in range(len(parts) + 1)]
    return limits


def _whole_number(path):
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _slurm_limits(environment):
    """Limits [bytes] of a job of SLURM, which counts in MiB, and the words for them; 0 means no limit."""

    def number(name):
        text = environment.get(name, "")
        return int(text) if text.isdecimal() else 0

    cpus = number("SLURM_CPUS_ON_NODE") or number("SLURM_CPUS_PER_TASK")
    return [
        (number("SLURM_MEM_PER_NODE") << 20, "SLURM_MEM_PER_NODE allows"),
        (cpus * number("SLURM_MEM_PER_CPU") << 20, f"SLURM_MEM_PER_CPU on {cpus} CPUs allows"),
    ]


_SMALLER_FIT = (
    "use a larger DZ (--depth), smaller tiles (--tiles), or a smaller region or fewer files "
    "([images] region, files)"
)


def check_needs(
    job: str, needs: Sequence[Need], have: float | None, limit: str, advice: str = _SMALLER_FIT
) -> None:
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
