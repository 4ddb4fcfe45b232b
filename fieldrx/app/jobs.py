"""Commands at work: each a process of its own, and a folder that says all there is to know of it.

A job belongs to no server: it runs in its own session, writes what it prints into its folder, and goes on
where the page or the server ends.  Whoever looks at the folder finds

==================  ==========================================================================
job.json            command, arguments, values of the form, what it writes, when it began
group               its process group: what a stop is sent to
lock                locked as long as it runs, by the process itself
stops               when it was asked to stop, a line each time
stdout.txt          what it printed
stderr.txt          notes and errors
progress.jsonl      progress, and planes.png the field so far: see `fieldrx.cli.record`
status              the status that it ended with; where there is neither that nor a lock, it was killed
==================  ==========================================================================
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldrx.app.words import plain_keys
from fieldrx.errors import InputError
from fieldrx.io import atomic_path, open_folder
from fieldrx.progress import RECORD
from fieldrx.progress import RECORD_LINES as LINES
from fieldrx.progress import RECORD_PICTURE as PICTURE

try:
    import fcntl
except ImportError:  # not everywhere: `Jobs` says so
    fcntl = None  # type: ignore[assignment]

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_MOST_TEXT = 200_000  # characters of what a job printed that are shown, the last ones
_MOST_LINES = 1 << 20  # bytes of progress that are read at once
_GRACE_S = 5.0  # from the second wish to stop until the process is killed
_FAILED = "fieldrx: error: "
# A signal to the group must end the command alone, so that its status is still written.
_KEEPER = """trap : INT TERM HUP
echo $$ > "$0/group"
"$@"
echo $? > "$0/.status" && mv "$0/.status" "$0/status"
"""


@dataclass(frozen=True)
class Job:
    """A command that runs or ran.

    Parameters
    ----------
    id : str
        Its folder's name, which begins with its time.
    command : str
    arguments : list of str
        After ``fieldrx COMMAND``.
    values : dict
        Of the form, by which it is called again.
    reads, writes : list of str
        Files or folders.
    folder : str
        Where its relative names start.
    began : float
        Seconds since 1970.
    """

    id: str
    command: str
    arguments: list[str]
    values: dict[str, Any]
    reads: list[str]
    writes: list[str]
    folder: str
    began: float

    @property
    def line(self) -> str:
        """What to type in a shell."""
        return command_line(self.command, self.arguments)


def command_line(command: str, arguments: Sequence[str]) -> str:
    """What to type in a shell."""
    return shlex.join(["fieldrx", command, *arguments])


class Jobs:
    """The jobs in a folder, of this server and of others.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    InputError
        If the system has no locks by which a job is known to be at work.
    """

    def __init__(self, folder: Path):
        if fcntl is None:
            raise InputError(
                "fieldrx app needs file locks and a shell as of Linux or macOS, which this system lacks: use "
                "the commands, see fieldrx --help, or on Windows run it in WSL"
            )
        self.folder = open_folder(folder)

    def start(
        self, command: str, arguments: list[str], values: dict[str, Any], reads: list[str],
        writes: list[str], folder: Path,
    ) -> Job:  # fmt: skip
        """Begin a command.

        Parameters
        ----------
        command, arguments, values, reads, writes, folder
            As of `Job`.

        Raises
        ------
        InputError
            If a job that runs writes the same.
        """
        with self._alone():
            self._check_free([Path(folder, path) for path in writes])
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
            job = Job(name, command, arguments, values, reads, writes, str(folder), time.time())
            place = self.folder / name
            place.mkdir(0o700)  # what commands print is the user's own
            with open(place / "lock", "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with atomic_path(place / "job.json") as temporary:
                    temporary.write_text(json.dumps(asdict(job)), encoding="utf-8")
                self._begin(job, lock.fileno())
        return job

    def all(self) -> list[Job]:
        """All jobs, the latest first."""
        names = sorted((p.name for p in self.folder.iterdir() if _ID.fullmatch(p.name)), reverse=True)
        found = (self._read(name) for name in names)
        return [job for job in found if job is not None]

    def get(self, name: str) -> Job:
        """One job.

        Raises
        ------
        InputError
            If there is none of this name.
        """
        job = self._read(name) if _ID.fullmatch(name) else None
        if job is None:
            raise InputError(f"there is no job {name}: it was removed, or belongs to another folder of jobs")
        return job

    def place(self, job: Job) -> Path:
        """The folder of a job."""
        return self.folder / job.id

    def runs(self, job: Job) -> bool:
        """Whether a job is at work."""
        place = self.place(job)
        if (place / "status").exists():
            return False
        with open(place / "lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def status(self, job: Job) -> int | None:
        """What a job that runs no longer ended with; None if it was killed."""
        try:
            return int((self.place(job) / "status").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def stop(self, job: Job) -> None:
        """Ask a job to stop, as Ctrl-C does; asked twice, it ends without saving, killed if it takes long.

        Python may swallow what Ctrl-C raises, as while kernels are compiled.

        Raises
        ------
        InputError
            If it has ended, or is just starting.
        """
        if not self.runs(job):
            raise InputError(f"{job.line} has ended: there is nothing to stop")
        before = self.stops(job)
        self._signal(job, signal.SIGINT if before < 2 else signal.SIGKILL)
        with open(self.place(job) / "stops", "a", encoding="utf-8") as file:
            file.write(f"{time.time():.3f}\n")
        if before == 1:
            timer = threading.Timer(_GRACE_S, self._kill, [job])
            timer.daemon = True  # asked a third time, any server kills it
            timer.start()

    def stops(self, job: Job) -> int:
        """How often a job was asked to stop."""
        try:
            return len((self.place(job) / "stops").read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return 0

    def _signal(self, job: Job, number: int) -> None:
        """Signal all processes of a job."""
        try:
            group = int((self.place(job) / "group").read_text())
            (os.killpg if hasattr(os, "killpg") else os.kill)(group, number)
        except (FileNotFoundError, ValueError):
            raise InputError(f"{job.line} is just starting: stop it in a moment") from None
        except ProcessLookupError:
            raise InputError(f"{job.line} has just ended: there is nothing to stop") from None

    def _kill(self, job: Job) -> None:
        """End a job that goes on though it was asked to stop at once."""
        with contextlib.suppress(InputError, FileNotFoundError):  # it has ended, or was removed
            if self.runs(job):
                self._signal(job, signal.SIGKILL)

    def forget(self, job: Job) -> None:
        """Remove what is known of a job that has ended; what it wrote stays.

        Raises
        ------
        InputError
            If it runs.
        """
        if self.runs(job):
            raise InputError(f"{job.line} is at work: stop it first")
        shutil.rmtree(self.place(job))

    def state(self, job: Job, after: int = 0) -> dict[str, Any]:
        """What a page shows of a job.

        Parameters
        ----------
        job : Job
        after : int
            Bytes of progress that are known already.

        Returns
        -------
        dict
            JSON values.
        """
        runs = self.runs(job)  # first: what an ended job printed is whole
        place = self.place(job)
        progress, after = _lines(place / LINES, after)
        printed, said = (_text(place / name) for name in ("stdout.txt", "stderr.txt"))
        status = None if runs else self.status(job)
        return {
            **asdict(job),
            "line": job.line,
            "runs": runs,
            "stops": self.stops(job),
            "status": status,
            "error": plain_keys(_error(said)) if status else "",
            "told": plain_keys(said.strip().rpartition("\n")[2]) if runs else "",  # choices, as they are made
            "progress": progress,
            "after": after,
            "picture": (place / PICTURE).exists(),
            "stdout": printed,
            "stderr": said,
            "outputs": [str(path) for path in self.outputs(job)],
        }

    def outputs(self, job: Job) -> list[Path]:
        """What a job has written, by names and times: files in its folder, or that begin as its file does."""
        found: list[Path] = []
        for name in job.writes:
            target = Path(job.folder, name)
            inside = target.is_dir() and target.suffix != ".zarr"
            home, stem = (target, "") if inside else (target.parent, target.name.partition(".")[0])
            inside_home = home.iterdir() if home.is_dir() else ()
            named = sorted(p for p in inside_home if p.name.startswith(stem) and p.name[0] != ".")
            found += [target] if target in named else []
            found += named
        return [path for path in dict.fromkeys(found) if self._wrote(job, path)]

    def made(self, path: Path, *commands: str) -> Job | None:
        """The latest job of some commands that has written a file, which nobody has changed since."""
        named = (job for job in self.all() if job.command in commands and job.writes)
        return next((job for job in named if path in self.outputs(job)), None)

    def _wrote(self, job, path):
        """Whether a file is from the time of a job; clocks of disks are coarse."""
        written, end = _time_of(path), _time_of(self.place(job) / "status")
        return written is not None and job.began - 1 <= written <= (math.inf if end is None else end + 1)

    def _begin(self, job, lock):
        """The process of a job, which holds the lock from now on."""
        place = self.place(job)
        program = [sys.executable, "-m", "fieldrx", job.command, *job.arguments]
        environment = os.environ | {RECORD: str(place), "PYTHONUNBUFFERED": "1"}
        with open(place / "stdout.txt", "wb") as out, open(place / "stderr.txt", "wb") as err:
            process = subprocess.Popen(
                ["sh", "-c", _KEEPER, str(place), *program], cwd=job.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, pass_fds=[lock],
            )  # fmt: skip
        threading.Thread(target=process.wait, daemon=True).start()  # so that none stays as a zombie

    def _read(self, name):
        """A job, or None where its folder is not there, or not yet whole."""
        try:
            values = json.loads((self.folder / name / "job.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Job(**values)

    def _check_free(self, writes: Sequence[Path]) -> None:
        """Refuse what a job at work writes."""
        wanted = {os.path.realpath(path) for path in writes}
        for job in self.all():
            taken = {os.path.realpath(Path(job.folder, path)) for path in job.writes}
            if wanted & taken and self.runs(job):
                raise InputError(
                    f"{job.line} is at work and writes {min(wanted & taken)}: stop it, or choose another name"
                )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else starts a job in this folder meanwhile."""
        with open(self.folder / "lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _time_of(path: Path) -> float | None:
    """When a file was written; None where it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _lines(path: Path, after: int) -> tuple[list[dict[str, Any]], int]:
    """Lines of progress from a byte on, and the byte behind the last whole one."""
    try:
        with open(path, "rb") as file:
            file.seek(after)
            data = file.read(_MOST_LINES)
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], after + len(whole)


def _text(path: Path) -> str:
    """The end of what a job printed."""
    try:
        return path.read_bytes().decode("utf-8", "replace")[-_MOST_TEXT:]
    except FileNotFoundError:
        return ""


def _error(said: str) -> str:
    """The line that says why a command has failed, among what it said: its own, or the last one."""
    lines = said.strip().splitlines()
    own = [line.removeprefix(_FAILED) for line in lines if line.startswith(_FAILED)]
    return (own or lines or [""])[-1]
