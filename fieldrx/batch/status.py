"""Who does a job and how it went, in small files beside its output.

``OUTPUT.status.json`` is replaced as a whole.  ``OUTPUT.claim`` is made by whoever begins the job, which
succeeds once, and is touched while its process lives: one that has not been touched for long, or whose
process is gone from this machine or was started again by the scheduler, counts no more.  No locks are used,
which not all file systems of clusters have.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldrx.batch.table import Job
from fieldrx.errors import InputError, one_line
from fieldrx.io import atomic_path

TOUCHED_S = 20.0  # between two touches of a claim
_ASKS = os.name == "posix"  # whether signal 0 asks for a process: on Windows it is Ctrl-C
_DEAD_S = 300.0  # without any, after which it counts no more
WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"


@dataclass(frozen=True)
class Status:
    """How a job went.

    Parameters
    ----------
    state : str
        "waiting", "running", "done", "failed" or "stopped", which goes on when it is begun again.
    asked : tuple of str
        What it was begun with, `Job.asked`: it serves the same alone.
    reason : str
        The last line that it printed, or who runs it.
    code : int, optional
        Exit status of the command.
    seconds, ended : float
        That the last try took, and when it ended by the clock of its machine.
    """

    state: str
    asked: tuple[str, ...] = ()
    reason: str = ""
    code: int | None = None
    seconds: float = 0.0
    ended: float = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether what is there serves a new try: bad input may have been corrected since."""
        return self.state == STOPPED or (self.state == FAILED and self.code != 2)


def read_status(job: Job) -> Status:
    """How a job stands.

    Raises
    ------
    InputError
        If its file is damaged.
    """
    claim = Claim.read(job)
    if claim is not None and claim.lives():
        return Status(RUNNING, reason=f"by process {claim.told['pid']} on {claim.told['host']}")
    return unclaimed_status(job)


def unclaimed_status(job: Job) -> Status:
    """How a job stands that no living process has, or this one alone; errors as of `read_status`."""
    path = job.beside(".status.json")
    try:
        told = json.loads(path.read_text("utf-8"))
        status = Status(**told | {"asked": tuple(told["asked"])})
    except FileNotFoundError:
        status = Status(WAITING)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({one_line(error)}); remove it, and the job begins anew"
        ) from None
    if status.asked != job.asked or (status.state == DONE and not job.output.exists()):
        return Status(WAITING)
    if status.state == RUNNING:
        return Status(STOPPED, status.asked, "its process is gone")
    return status


def write_status(job: Job, status: Status) -> None:
    """Replace what is told of a job."""
    with atomic_path(job.beside(".status.json")) as temporary:
        temporary.write_text(json.dumps(asdict(status), indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Claim:
    """The file that says who does a job.

    Parameters
    ----------
    path : Path
    told : dict
        JSON values: token, host, pid, child and the job of the scheduler.
    """

    path: Path
    told: dict[str, Any]

    @classmethod
    def read(cls, job: Job) -> Claim | None:
        """The claim that there is, or None."""
        path = job.beside(".claim")
        try:
            return cls(path, json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except ValueError:  # just being written, or a full disk
            return cls(path, {"token": "", "host": "", "pid": 0})

    @classmethod
    def take(cls, job: Job, environment: Mapping[str, str] | None = None) -> Claim | None:
        """A claim of this process, or None where another process has one that lives."""
        environment = os.environ if environment is None else environment
        other = cls.read(job)
        if other is not None and (other.lives(environment) or not other._removed()):
            return None
        mine = cls(
            job.beside(".claim"),
            {"token": secrets.token_hex(8), "host": socket.gethostname(), "pid": os.getpid(), "child": None}
            | _scheduled(environment),
        )
        try:
            file = open(mine.path, "x", encoding="utf-8")  # noqa: SIM115  # what fails after that is ours
        except FileExistsError:
            return None
        try:
            with file:
                json.dump(mine.told, file)
        except BaseException:
            mine.path.unlink(missing_ok=True)
            raise
        return mine

    def of_child(self, pid: int) -> Claim:
        """The same with the process that does the work, which may outlive the one that started it."""
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(self.told | {"child": pid}), encoding="utf-8")
        return Claim(self.path, self.told | {"child": pid})

    def touch(self) -> bool:
        """Say that its process lives; false where another has taken the job over."""
        try:
            mine = json.loads(self.path.read_text("utf-8"))["token"] == self.told["token"]
            if mine:
                os.utime(self.path)
            return mine
        except (FileNotFoundError, ValueError):
            return False

    def release(self) -> None:
        """Remove it, if it is still this one."""
        if self.touch():
            self.path.unlink(missing_ok=True)

    def lives(self, environment: Mapping[str, str] | None = None) -> bool:
        """Whether its process may still be at work."""
        mine = _scheduled(os.environ if environment is None else environment)
        if mine["job"] and self.told.get("job") == mine["job"] and self.told["restart"] < mine["restart"]:
            return False
        if self.told["host"] == socket.gethostname():
            pids = [pid for pid in (self.told["pid"], self.told.get("child")) if pid]
            return any(map(_runs, pids)) and self._fresh()
        return self._fresh()

    def _fresh(self):
        """Whether it was touched of late, by the clock of the file system."""
        probe = self.path.with_name(f".{secrets.token_hex(4)}-{self.path.name}")
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime < _DEAD_S
        except FileNotFoundError:
            return False
        finally:
            probe.unlink(missing_ok=True)

    def _removed(self):
        """Take a dead claim away; false where somebody else was quicker and it is a new one."""
        aside = self.path.with_name(f".{secrets.token_hex(4)}-{self.path.name}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return True
        try:
            old = json.loads(aside.read_text("utf-8")).get("token") == self.told["token"]
        except ValueError:
            old = not self.told["token"]
        if not old and not self.path.exists():
            os.rename(aside, self.path)
        aside.unlink(missing_ok=True)
        return old


def _scheduled(environment):
    """The job of SLURM that this process belongs to, and how often it was started before."""
    count = environment.get("SLURM_RESTART_COUNT", "")
    return {"job": environment.get("SLURM_JOB_ID", ""), "restart": int(count) if count.isdecimal() else 0}


def _runs(pid):
    """Whether there is a process of that number on this machine; where one cannot ask, there may be."""
    if not _ASKS:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
