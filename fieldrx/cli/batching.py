"""The command that does many reconstructions: batch."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fieldrx.cli.fitting import reconstruct, run
from fieldrx.cli.options import FILE, Whole
from fieldrx.cli.progress import speaker
from fieldrx.cli.status import STOPPED
from fieldrx.cli.stopping import Stoppable
from fieldrx.cli.text import counted, echo
from fieldrx.errors import InputError
from fieldrx.resources import thread_limit

if TYPE_CHECKING:
    from fieldrx.batch import Job, Status

COMMANDS = {"run": run, "reconstruct": reconstruct}


class _Batch(Stoppable):
    """The command of a table, of which every process takes rows that no other has."""

    each_alone = True


@click.command(cls=_Batch)
@click.argument("table", metavar="JOBS.csv", type=FILE)
@click.option(
    "--workers",
    type=Whole(min=1),
    default=1,
    show_default=True,
    help="Rows at a time on this machine, which share its cores.",
)
@click.option(
    "--index",
    type=Whole(),
    default=None,
    metavar="ROW",
    help="Do this row alone, from 1: $SLURM_ARRAY_TASK_ID.",
)
@click.option("--status", is_flag=True, help="Say how every row stands, and do nothing.")
@click.option("--again", is_flag=True, help="Do rows anew that are done.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def batch(table: Path, workers: int, index: int | None, status: bool, again: bool, quiet: bool) -> None:
    """Reconstruct every row of JOBS.csv, each in a process of its own.

    \b
    acquisition,output,command,depth,tv
    plate/A1/acquisition.toml,results/A1,,,
    plate/A2/acquisition.toml,results/A2.npz,reconstruct,-5:5:0.25,1.5

    Columns are acquisition, output, command (run if empty) and options of that command; an empty cell leaves
    an option out. Files are named from the folder of the table on. Beside each OUTPUT stand OUTPUT.log, with
    all that the command printed, and OUTPUT.status.json. Called again, batch does what is missing, failed or
    was stopped, which goes on. Several batches, on several machines, may share one table;
    `srun` and `mpiexec` may start them.

    Exit status 0 when all rows are done, 1 if some failed, 75 if rows were stopped: call it again.
    """
    from fieldrx.batch import Settings, read_status, work

    jobs = _chosen(table, index)
    if status:
        found = {job: read_status(job) for job in jobs}
        _tell(found)
        sys.exit(_code(found.values(), ("stopped", "waiting", "running")))
    cores, why = thread_limit()
    if workers > cores:
        limited = f" ({why})" if why else ""
        raise InputError(f"--workers {workers} on {cores} cores{limited}: give {cores} at most")
    for job in jobs:
        _check(job)
    say = speaker(quiet)
    for job in jobs:
        if not job.acquisition.exists():
            say(f"row {job.number}: there is no {job.acquisition}, or not yet")
    threads = cores // workers
    say(f"{counted(len(jobs), 'row')}, {workers} at a time with {counted(threads, 'thread')} each")
    found = work(jobs, Settings(workers, threads, again), say)
    if not quiet:
        _tell(found, but="done")
    sys.exit(_code(found.values(), ("stopped", "waiting")))


def _chosen(table: Path, index: int | None) -> Sequence[Job]:
    """The rows of a table, or one of them."""
    from fieldrx.batch import read_jobs

    options = {
        name: {
            max(p.opts, key=len).lstrip("-"): p.is_flag for p in command.params if isinstance(p, click.Option)
        }
        for name, command in COMMANDS.items()
    }
    for known in options.values():
        known.pop("output", None)
    jobs = read_jobs(table, options)
    if index is None:
        return jobs
    if not 1 <= index <= len(jobs):
        raise InputError(f"--index {index}: {table} has rows 1 to {len(jobs)}")
    return jobs[index - 1 : index]


def _check(job: Job) -> None:
    """Refuse a row whose command line its command would refuse, before any is begun."""
    try:
        COMMANDS[job.command].make_context(job.command, job.words[1:])
    except click.UsageError as error:
        raise InputError(f"{job.where}: {' '.join(error.format_message().split())}") from None
    except InputError as error:
        raise InputError(f"{job.where}: {error}") from None


def _tell(found: dict[Job, Status], but: str = "") -> None:
    """A line for every row that is not of one kind, and how many there are of each."""
    for job, status in found.items():
        if status.state == but:
            continue
        reason = f": {status.reason}" if status.reason else ""
        echo(f"row {job.number}  {status.state:<8} {job.output}{reason}")
    states = [status.state for status in found.values()]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    echo(f"{counted(len(states), 'row')}: {told}")


def _code(found: Iterable[Status], unfinished: Sequence[str]) -> int:
    """The exit status of a batch."""
    states = {status.state for status in found}
    if states & set(unfinished):
        return STOPPED
    return 1 if "failed" in states else 0
