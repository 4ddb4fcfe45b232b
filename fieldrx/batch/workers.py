"""Doing the jobs of a batch, each as a command in a process of its own, with its share of the cores."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fieldrx.batch.status import (
    DONE,
    FAILED,
    RUNNING,
    STOPPED,
    TOUCHED_S,
    Claim,
    Status,
    read_status,
    unclaimed_status,
    write_status,
)
from fieldrx.batch.table import Job
from fieldrx.errors import one_line, plainly, printable
from fieldrx.progress import RECORD, STOPPING, StopOnSignal
from fieldrx.resources import THREADS_OF, THREADS_OF_BLAS

_PROGRAM = [sys.executable, "-m", "fieldrx"]
_LOOK_S = 0.1  # between two looks at the processes
_WORTH_S = 5.0  # left of a time limit, with which another job is begun
_CALL_AGAIN, _NOTHING = 75, 3  # exit statuses of commands, as of `fieldrx.cli.status`
_ASKED = {-number for number in STOPPING}  # before it could mind them
_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows, which has no sessions
_BESIDES = ("advice: ", "note: ")
_TAIL = 4096  # bytes of a log that are searched for its last line
_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Settings:
    """How the jobs of a batch are done.

    Parameters
    ----------
    workers : int
        Processes at once.
    threads : int
        Of each.
    again : bool
        Do jobs anew that are done.
    """

    workers: int = 1
    threads: int = 1
    again: bool = False


@dataclass
class _Running:
    """A job under way."""

    job: Job
    claim: Claim
    process: subprocess.Popen
    slot: int  # of the workers
    begun: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)


def work(jobs: Sequence[Job], settings: Settings, say: Callable[[str], object]) -> dict[Job, Status]:
    """Do what is missing of some jobs, failed or stopped, and that no other process does.

    Ctrl-C, SIGTERM, SIGUSR1 and a time limit stop all, which save what they have; a second Ctrl-C does not
    wait.

    Parameters
    ----------
    jobs : sequence of Job
    settings : Settings
    say : callable
        Told in a line what begins and how it ended.

    Returns
    -------
    dict
        How every job stands.
    """
    return _Batch(jobs, settings, say).run()


class _Batch:
    """Jobs, and the processes that do them."""

    def __init__(self, jobs: Sequence[Job], settings: Settings, say: Callable[[str], object]):
        self.jobs, self.settings, self.say = jobs, settings, say
        self.running: list[_Running] = []
        self.refused: dict[Job, Status] = {}  # those beside whose output nothing can be written
        self.before = {job: unclaimed_status(job) for job in jobs}

    def run(self) -> dict[Job, Status]:
        """Until all is done, or stopped."""
        with StopOnSignal() as stop:
            try:
                self._until(stop, deque(self.jobs))
            except KeyboardInterrupt:
                self._signal(signal.SIGINT)  # which does not wait, as they were asked before
            finally:
                self._signal(signal.SIGTERM)
                for one in self.running:
                    one.process.wait()
                self._look()
        return {job: self.refused.get(job) or read_status(job) for job in self.jobs}

    def _until(self, stop, waiting):
        """Begin what may begin, and wait for the rest."""
        told = closed = False
        while self.running or (waiting and not closed):
            left = stop.time_left()
            closed = stop.due() or (left is not None and left < _WORTH_S)
            while waiting and not closed and len(self.running) < self.settings.workers:
                self._begin_or_refuse(waiting.popleft(), left)
            if stop.asked and not told:
                self._signal(signal.SIGTERM)
                told = True
            if self.running:
                time.sleep(_LOOK_S)
            self._look()

    def _begin_or_refuse(self, job, left):
        """Start a job; where nothing can be written beside its output it alone fails."""
        try:
            self._begin(job, left)
        except OSError as error:
            self.refused[job] = Status(FAILED, job.asked, plainly(error))
            self.say(f"row {job.number} failed: {job.output}: {plainly(error)}")

    def _begin(self, job, left):
        """Start a job, unless it is done or somebody else does it."""
        job.output.parent.mkdir(parents=True, exist_ok=True)
        claim = Claim.take(job)
        if claim is None:
            self.say(f"row {job.number} is {read_status(job).state} elsewhere: {job.output}")
            return
        try:
            self._start(job, claim, left)
        except BaseException:
            claim.release()
            raise

    def _start(self, job, claim, left):
        """Start the process of a job, whose claim is this process's own, if anything is left to do."""
        now = unclaimed_status(job)
        elsewhere = now != self.before[job] and now.ended > self.before[job].ended  # since this batch began
        if elsewhere or (now.state == DONE and not self.settings.again):
            claim.release()
            return
        goes_on = now.goes_on and not self.settings.again
        words = [*job.words, *_resuming(job, goes_on), *_limited(left)]
        slot = min(set(range(self.settings.workers)) - {one.slot for one in self.running})
        write_status(job, Status(RUNNING, job.asked))
        with open(job.beside(".log"), "ab" if goes_on else "wb") as log:
            log.write(f"$ fieldrx {shlex.join(words)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [*_PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env=self._environment(slot), start_new_session=True,
                creationflags=_OWN_GROUP,
            )  # fmt: skip
        self.running.append(_Running(job, claim, process, slot))
        self.running[-1].claim = claim.of_child(process.pid)
        self.say(f"row {job.number} {'goes on' if goes_on else 'begins'}: fieldrx {shlex.join(words)}")

    def _environment(self, slot):
        """Variables of a worker: its threads, and one of the GPUs where there are several."""
        names = (*THREADS_OF, *THREADS_OF_BLAS)
        found = os.environ | dict.fromkeys(names, str(self.settings.threads))
        found.pop(RECORD, None)  # whose record is one command's
        gpus = [gpu for gpu in os.environ.get(_GPUS, "").split(",") if gpu]
        return found | ({_GPUS: gpus[slot % len(gpus)]} if self.settings.workers > 1 and gpus else {})

    def _look(self):
        """Note what has ended, and say of the rest that it lives."""
        for one in list(self.running):
            if one.process.poll() is not None:
                self.running.remove(one)
                self._end(one)
            elif time.monotonic() - one.touched > TOUCHED_S:
                one.touched = time.monotonic()
                if not one.claim.touch():
                    self.say(f"row {one.job.number} was taken over by another process; it is stopped here")
                    _ask(one.process, signal.SIGTERM)

    def _end(self, one):
        """Keep how a job went."""
        job, seconds, code = one.job, time.monotonic() - one.begun, one.process.returncode
        state = {0: DONE, _NOTHING: DONE, _CALL_AGAIN: STOPPED}.get(code, FAILED)
        state = STOPPED if code in _ASKED else state
        reason = _killed_by(-code) if code < 0 else _last_line(job.beside(".log"))
        if one.claim.touch():
            told = Status(state, job.asked, reason, code, round(seconds, 1), time.time())
            write_status(job, told)
        one.claim.release()
        self.say(f"row {job.number} {state} in {seconds:.0f} s: {job.output}: {reason}")

    def _signal(self, number):
        for one in self.running:
            if one.process.poll() is None:
                _ask(one.process, number)


def _ask(process, number):
    """Send a signal; Windows has one between processes that asks, Ctrl-Break, and its SIGTERM kills."""
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", number))


def _resuming(job, goes_on):
    """The words with which a command goes on from what is there."""
    if not goes_on:
        return []
    return ["--resume"] if job.command == "run" else ["--resume=auto"]


def _limited(left):
    """The words that give a job the time that is left of a batch's."""
    return [] if left is None else [f"--time-limit={left:.0f}s"]


def _killed_by(number):
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"killed by {name}" + (", as systems do that run out of memory" if name == "SIGKILL" else "")


def _last_line(path: Path) -> str:
    """The last line of a log with something in it, but for advice."""
    try:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - _TAIL, 0))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    except OSError as error:
        return one_line(error)
    told = [line for line in lines if line and not line.startswith(_BESIDES)]
    return printable(told[-1] if told else "it printed nothing")
