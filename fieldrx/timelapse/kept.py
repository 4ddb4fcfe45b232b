"""Frames of a film that are done, kept so that a film that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path

from fieldrx.errors import InputError, one_line
from fieldrx.field import NeuralField, load_field
from fieldrx.io import atomic_path, open_folder, remove_own
from fieldrx.io.text import read_text
from fieldrx.timelapse.data import Film, load_film

_ASKED = "asked.json"


def folder_of(path: Path) -> Path:
    """The folder beside a film's file where its frames are kept until all are done."""
    return path.with_suffix(".frames")


class Kept:
    """Fields of frames by their numbers: those of a film that is there, and those of its folder.

    Parameters
    ----------
    path : Path or None
        Of the film; without one frames are kept in memory alone.
    asked : dict of str
        What the film is asked for; frames of another are refused.
    resume : bool
        Whether to go on with what is there.

    Raises
    ------
    InputError
        If what is there was asked for in another way, or is damaged.
    """

    def __init__(self, path: Path | None, asked: dict[str, str], resume: bool):
        self.fields: dict[int, NeuralField] = {}
        self.path, self.folder = path, None if path is None else folder_of(path)
        if self.path is None or self.folder is None:
            return
        if not resume and self.folder.is_dir():
            self.remove()
        if resume and self.path.is_file():
            film = load_film(self.path)
            self._check(film.provenance.get("asked"), asked, self.path)
            self.fields |= _by_number(film)
        note = self.folder / _ASKED
        if note.is_file():
            self._check(_read(note), asked, self.folder)
        open_folder(self.folder)
        with atomic_path(note) as temporary:
            temporary.write_text(json.dumps(asked, indent=1), encoding="utf-8")

    @property
    def checkpoint(self) -> Path | None:
        """Of the first frame's fit."""
        return None if self.folder is None else self.folder / "first.checkpoint.npz"

    def get(self, number: int) -> NeuralField | None:
        """The field of a frame that is done."""
        if self.folder is not None and (file := _file(self.folder, number)).is_file():
            return load_field(file)
        return self.fields.get(number)

    def put(self, number: int, field: NeuralField) -> None:
        """Keep a frame's field."""
        if self.folder is not None:
            field.save(_file(self.folder, number))

    def remove(self) -> None:
        """Remove the folder, once the film holds its frames.

        Raises
        ------
        InputError
            If it holds anything that no film put there.
        """
        if self.folder is not None:
            remove_own(self.folder, (_ASKED, "frame_*.npz", "first.checkpoint.npz"))

    @staticmethod
    def _check(before, asked, where):
        if before != asked:
            told = before if isinstance(before, dict) else {}
            other = sorted(name for name in {*told, *asked} if told.get(name) != asked.get(name))
            raise InputError(
                f"{where} was asked for with another {', '.join(other)}: ask as before, or start without "
                "--resume"
            )


def _file(folder: Path, number: int) -> Path:
    return folder / f"frame_{number:06d}.npz"


def _by_number(film: Film) -> dict[int, NeuralField]:
    """The fields of a film by the numbers of their frames."""
    return {field.provenance.origin["frame"]["number"]: field for field in film.fields}


def _read(note):
    try:
        return json.loads(read_text(note, "the note of a film", "JSON"))
    except ValueError as error:
        raise InputError(f"{note} is damaged: {one_line(error)}; start without --resume") from None
