"""The table of a batch: a row a job.

===============  =====================================================================================
column           meaning
===============  =====================================================================================
acquisition      file of the images with their optics; as all files, from the table's folder on
output           what the command writes: a folder of ``run``, a field of ``reconstruct``
command          ``run``, if empty or not there, or ``reconstruct``
any other        an option of that command without its dashes, as ``depth``; an empty cell leaves it out.
                 An option without a value takes yes or no
===============  =====================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldrx.errors import InputError, nearest
from fieldrx.io.table import Table, read_table_text

DEFAULT = "run"
_ITSELF = ("resume", "time-limit", "quiet", "help")  # options that a batch gives itself, or not at all
_NEEDED = ("acquisition", "output")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0", "")


@dataclass(frozen=True)
class Job:
    """One row of the table.

    Parameters
    ----------
    number : int
        Of the row, from 1.
    where : str
        Words for its place, for errors.
    command : str
        "run" or "reconstruct".
    acquisition, output : Path
    options : tuple of str
        Further words of the command line.
    asked : tuple of str
        All of the row, with files as it names them.
    """

    number: int
    where: str
    command: str
    acquisition: Path
    output: Path
    options: tuple[str, ...]
    asked: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The command line, without the program."""
        return [self.command, str(self.acquisition), "-o", str(self.output), *self.options]

    def beside(self, ending: str) -> Path:
        """A file beside the output that belongs to it."""
        return self.output.with_name(self.output.name + ending)


def read_jobs(path: str | os.PathLike, commands: Mapping[str, Mapping[str, bool]]) -> list[Job]:
    """Read the table of a batch.

    Parameters
    ----------
    path : path-like
    commands : mapping
        Of every command that a row may name, its options without dashes, and whether one is a flag.

    Raises
    ------
    InputError
        If the file is no table, a column or a cell means nothing, or two rows have one output.
    """
    table = read_table_text(path, "a csv table of jobs")
    _check_columns(table, commands)
    columns = {name: table.texts(name) for name in table.names}
    jobs: list[Job] = []
    places: dict[Path, str] = {}
    for row in range(len(table.rows)):
        cells = {name: texts[row] for name, texts in columns.items()}
        job = _job(table, row, cells, commands)
        real = Path(os.path.realpath(job.output))
        if real in places:
            raise InputError(f"{job.where}: has the output of {places[real]}, {job.output}; give it its own")
        places[real] = f"row {job.number}"
        jobs.append(job)
    if not jobs:
        raise InputError(f"{path}: has no rows; write one for every reconstruction")
    return jobs


def _check_columns(table, commands):
    known = {*_NEEDED, "command"}.union(*commands.values()) - set(_ITSELF)
    for name in _NEEDED:
        if name not in table.names:
            has = ", ".join(table.names) or "no columns"
            raise InputError(f"{table.path}: has no column {name}; it has {has}: name the columns in line 1")
    for name in table.names:
        if _option(name) in _ITSELF:
            raise InputError(f"{table.path}: column {name}: a batch sees to that itself; leave it out")
        if _option(name) not in known:
            close = nearest(_option(name), known)
            raise InputError(f"{table.path}: column {name} is no option of {' or '.join(commands)}{close}")


def _job(table: Table, row: int, cells: dict[str, str], commands: Mapping[str, Mapping[str, bool]]) -> Job:
    """The job of a row."""
    where, folder = table.where(row), Path(table.path).resolve().parent
    for name in _NEEDED:
        if not cells[name]:
            raise InputError(f"{where}: has no {name}; name a file")
    command = cells.get("command") or DEFAULT
    if command not in commands:
        raise InputError(f'{where}: there is no command "{command}"; expected {" or ".join(commands)}')
    options: list[str] = []
    for name, text in cells.items():
        if name in (*_NEEDED, "command") or not text:
            continue
        option = _option(name)
        if option not in commands[command]:
            others = [name for name, known in commands.items() if option in known]
            instead = f", or ask for {' or '.join(others)} in a column command" if others else ""
            raise InputError(f"{where}: {command} has no option --{option}; leave its cell empty{instead}")
        if not commands[command][option]:
            options.append(f"--{option}={text}")
        elif text.lower() in _YES:
            options.append(f"--{option}")
        elif text.lower() not in _NO:
            raise InputError(f'{where}, column {name}: "{text}" is neither yes nor no')
    files = cells["acquisition"], cells["output"]
    places = [folder / name for name in files]
    if not places[1].name:
        raise InputError(f'{where}: output "{cells["output"]}" is no name of a file or folder')
    return Job(row + 1, where, command, places[0], places[1], tuple(options), (command, *files, *options))


def _option(name):
    """A column's name as an option without dashes in front."""
    return name.lstrip("-").replace("_", "-")
