"""What the page asks the server: a function an address; JSON, pictures and files of jobs."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import click

from fieldrx._version import __version__
from fieldrx.app import shown
from fieldrx.app.forms import FORMS, arguments_of, check, described, files_of
from fieldrx.app.jobs import PICTURE, Job, Jobs, command_line
from fieldrx.app.verdicts import verdict_in
from fieldrx.app.words import plain_keys
from fieldrx.errors import InputError, nearest
from fieldrx.io import check_file, json_values, png_bytes

_PAGE = {  # files of the page
    "": "page.html",
    "style.css": "style.css",
    **{name: name for name in ("base.js", "files.js", "forms.js", "jobs.js", "optics.js", "app.js")},
}
_SHOWN = {".html", ".png", ".csv", ".gif", ".json"}  # files of jobs that the page shows
_FITS = ("run", "reconstruct")
_SHORT = 200  # jobs that are listed


class NoSuchAddress(LookupError):
    """Nothing is at an address."""


class Answer:
    """What goes back to the page.

    Parameters
    ----------
    body : bytes or Path
        Or a file that is sent as it is.
    kind : str
        Its type, as HTTP names it.
    foreign : bool
        Whether it was made of files from elsewhere: it may run its own scripts, apart from the page.
    """

    def __init__(self, body: bytes | Path, kind: str, foreign: bool = False):
        self.body, self.kind, self.foreign = body, kind, foreign

    def opened(self) -> BinaryIO:
        """The body to read from, for a with statement."""
        return open(self.body, "rb") if isinstance(self.body, Path) else io.BytesIO(self.body)


class App:
    """Everything that the server knows.

    Parameters
    ----------
    commands : mapping
        The commands of ``fieldrx``.
    home : Path
        Where the page begins, and where relative names of jobs start.
    jobs : Jobs
    """

    def __init__(self, commands: Mapping[str, click.Command], home: Path, jobs: Jobs):
        self.commands, self.home, self.jobs = commands, home, jobs
        self.acquisitions = shown.Acquisitions()
        self._get: dict[str, Callable[[dict[str, Any]], Any]] = {
            "about": self._about,
            "folder": lambda q: shown.folder(self._path(q, "path")),
            "text": lambda q: shown.text(self._path(q, "path")),
            "acquisition": lambda q: self.acquisitions.show(self._path(q, "path")).facts,
            "image": self._image,
            "jobs": self._list,
            "job": self._state,
            "planes": self._planes,
            "output": self._output,
            "table": lambda q: shown.table(self._written(q)),
        }
        self._post: dict[str, Callable[[dict[str, Any]], Any]] = {
            "draft": self._draft,
            "preview": self._preview,
            "save": lambda q: shown.save_text(self._path(q, "path"), _text(q, "text"), _text(q, "version")),
            "line": self._line,
            "start": self._start,
            "again": self._again,
            "stop": lambda q: self.jobs.stop(self._job(q)),
            "forget": lambda q: self.jobs.forget(self._job(q)),
        }

    def answer(self, method: str, name: str, asked: dict[str, Any]) -> Answer | Any:
        """What an address gives.

        Parameters
        ----------
        method : str
            "GET", or "POST" for what changes something.
        name : str
            Of the address, behind the token.
        asked : dict
            Its query, or the JSON of its body.

        Returns
        -------
        Answer, or JSON values

        Raises
        ------
        NoSuchAddress
        InputError
            If what is asked makes no sense.
        """
        if method == "GET" and name in _PAGE:
            kind = mimetypes.guess_type(_PAGE[name])[0] or "text/plain"
            return Answer((files("fieldrx.app") / _PAGE[name]).read_bytes(), f"{kind}; charset=utf-8")
        known = self._get if method == "GET" else self._post
        if name not in known:
            raise NoSuchAddress(f"there is nothing at {name!r}")
        return json_values(known[name](asked))

    def _about(self, asked):
        return {"version": __version__, "home": str(self.home), "forms": described(self.commands)}

    # ---- what is asked for -----------------------------------------------------------------------

    def _path(self, asked: dict[str, Any], name: str) -> Path:
        """A file or folder; relative names start at home."""
        return Path(self.home, Path(_text(asked, name)).expanduser())

    def _job(self, asked: dict[str, Any]) -> Job:
        return self.jobs.get(_text(asked, "id"))

    def _written(self, asked: dict[str, Any]) -> Path:
        """A file that a job has written."""
        wanted = self._path(asked, "path")
        if wanted not in self.jobs.outputs(self._job(asked)) or wanted.suffix.lower() not in _SHOWN:
            raise InputError(f"{wanted} is no page, picture or table that this job has written")
        return wanted

    # ---- what is given ---------------------------------------------------------------------------

    def _image(self, asked):
        images = self.acquisitions.show(self._path(asked, "path")).images
        number = _whole(asked, "n")
        if number >= len(images):
            raise InputError(f"there is no image {number}: there are {len(images)}, counted from 0")
        return Answer(png_bytes(images[number]), "image/png")

    def _planes(self, asked):
        path = check_file(self.jobs.place(self._job(asked)) / PICTURE, "a picture of the field so far")
        return Answer(path, "image/png")

    def _drafted(self, asked: dict[str, Any]) -> tuple[list[Path], list[str], Path | None]:
        """Images, settings and target of a draft."""
        paths, settings = _texts(asked, "paths"), _texts(asked, "settings")
        if not paths:
            raise InputError("no images were chosen: choose their folder or files")
        images = [Path(self.home, Path(path).expanduser()) for path in paths]
        return images, settings, self._path(asked, "target") if asked.get("target") else None

    def _preview(self, asked):
        """One image of a draft, whose optics may be missing, and how many there are."""
        images = self.acquisitions.preview(*self._drafted(asked))
        number = min(_whole(asked, "n"), len(images) - 1)
        png = base64.b64encode(png_bytes(images[number])).decode() if images else ""
        return {"count": len(images), "png": png}

    def _draft(self, asked):
        draft = shown.draft(*self._drafted(asked))
        return draft | {"own": self.jobs.made(Path(draft["target"]), "new") is not None}

    def _list(self, asked):
        listed = self.jobs.all()[:_SHORT]
        return [
            {"id": job.id, "command": job.command, "line": job.line, "reads": job.reads, "values": job.values,
             "began": job.began, "runs": self.jobs.runs(job), "stops": self.jobs.stops(job),
             "status": self.jobs.status(job)}
            for job in listed
        ]  # fmt: skip

    def _state(self, asked):
        """A job, with what it said of its result, or else what the fit said whose field it reads."""
        job = self._job(asked)
        state = self.jobs.state(job, _whole(asked, "after"))
        if state["runs"]:
            return state | {"verdict": None}
        verdict = verdict_in(f"{state['stdout']}\n{state['stderr']}")
        if verdict is None:
            fits = (self.jobs.made(Path(job.folder, path), *_FITS) for path in job.reads)
            said = (verdict_in(self.jobs.state(fit)["stdout"]) for fit in fits if fit is not None)
            verdict = next((v | {"words": f"of this field: {v['words']}"} for v in said if v), None)
        return state | {"verdict": verdict and verdict | {"words": plain_keys(verdict["words"])}}

    def _output(self, asked):
        path = self._written(asked)
        return Answer(path, mimetypes.guess_type(path.name)[0] or "text/plain", foreign=True)

    def _work(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A command with its arguments, from the values of its form."""
        name, values = _text(asked, "command"), asked.get("values")
        if name not in FORMS:
            raise InputError(f'the page has no command "{name}"{nearest(name, FORMS)}')
        if not isinstance(values, dict):
            raise InputError(f"values are {values!r}; expected those of a form by their names")
        reads, writes = (files_of(tuple(names), values) for names in (FORMS[name].reads, FORMS[name].writes))
        arguments = arguments_of(self.commands[name], values)
        return {"command": name, "arguments": arguments, "values": values, "reads": reads, "writes": writes}

    def _line(self, asked):
        work = self._work(asked)
        return {"line": command_line(work["command"], work["arguments"])}

    def _start(self, asked):
        work = self._work(asked)
        check(self.commands[work["command"]], work["arguments"])
        return self.jobs.start(**work, folder=self.home).id

    def _again(self, asked):
        """A job that was interrupted, from where it stopped."""
        job = self._job(asked)
        again = FORMS[job.command].again
        if again is None:
            raise InputError(f"fieldrx {job.command} cannot go on from where it stopped: start it anew")
        arguments = [*job.arguments, *([again] if again not in job.arguments else [])]
        return self.jobs.start(job.command, arguments, job.values, job.reads, job.writes, Path(job.folder)).id


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f'"{name}" is missing or no text')
    return value


def _texts(asked: dict[str, Any], name: str) -> list[str]:
    values = asked.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f'"{name}" is {values!r}; expected a list of texts')
    return values


def _whole(asked: dict[str, Any], name: str) -> int:
    value = str(asked.get(name, "0"))
    if not value.isdecimal():
        raise InputError(f'"{name}" is {value!r}; expected a whole number, 0 or more')
    return int(value)
