"""Memory that a fit needs and that the machine has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from fieldrx.errors import InputError


def memory_need(
    shape: Sequence[int], n_images: int, n_params: int = 4_000_000, multislice: bool = False
) -> float:
    """Bytes that a fit needs at its peak, roughly.

    The closed form, which holds the spectra of all images, and a step of the fit, which holds volumes,
    take turns; the larger of the two counts.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the model's grid.
    n_images : int
        Images of the acquisition.
    n_params : int
        Parameters of the field.
    multislice : bool
        Whether 16 waves travel through the grid, and are kept at every slice (up to 2 GiB of them).
    """
    voxels, pixels = float(np.prod(shape)), float(shape[1] * shape[2])
    images = 8 * pixels * n_images  # as they came, and normalised
    closed_form = 12 * pixels * n_images + 16 * voxels  # padded, with their spectra; the solution's
    step = 40 * voxels + 24 * pixels * min(n_images, 16)  # contrast, spectra, gradient, outputs; a batch
    if multislice:
        step += min(128 * voxels, 2**31) + 128 * pixels * (np.sqrt(shape[0]) + 24)
    return images + max(closed_form, step) + 32 * n_params + 3e8


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


def check_memory(shape: Sequence[int], n_images: int, n_params: int, multislice: bool = False) -> None:
    """Refuse a fit that cannot fit; parameters as of :func:`memory_need`.

    Raises
    ------
    InputError
        If it needs more than :func:`memory_limit`.
    """
    need, (have, limit) = memory_need(shape, n_images, n_params, multislice), memory_limit()
    if have is not None and need > have:
        raise InputError(
            f"a grid of {' x '.join(map(str, shape))} voxels and {n_images} images need about "
            f"{need / 2**30:.1f} GiB, {limit} {have / 2**30:.1f}: use a larger DZ (--depth), a smaller "
            "region or fewer files ([images] region, files)"
            + ("" if "machine" in limit else ", or ask for more memory")
        )
