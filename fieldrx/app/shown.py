"""What the page shows of files: folders, drafts of acquisitions, acquisitions with their images, tables."""

from __future__ import annotations

import csv
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition import read_acquisition
from fieldrx.acquisition.faults import optics_faults
from fieldrx.acquisition.images import files_of, read_named
from fieldrx.acquisition.toml import parse_toml, toml_line
from fieldrx.app.words import label, plain_keys
from fieldrx.describe import describe_acquisition
from fieldrx.errors import InputError, NoSuchFile
from fieldrx.io import atomic_path, check_file
from fieldrx.io.text import read_text
from fieldrx.layouts import list_files, recognise, try_settings, usual_target
from fieldrx.layouts.settings import SET, value_of
from fieldrx.render.pictures import grey_copy

_MOST = 5000  # entries of a folder, rows of a table
_SIDE = 384  # pixels of an image in the page
_KEPT = 3  # acquisitions whose small images are kept


def folder(path: Path) -> dict[str, Any]:
    """Folders and files in a folder, or in that of a file, without those whose names begin with a dot.

    Raises
    ------
    InputError
        If it is not there, or may not be read.
    """
    chosen = path if path.is_file() else None
    path = path.parent if chosen else path
    if not path.is_dir():
        raise NoSuchFile(f"{path}: there is no such folder; go up, or choose another one")
    try:
        inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    except PermissionError:
        raise InputError(f"{path}: no permission to look into this folder; choose another one") from None
    inside.sort(key=lambda p: (not p.is_dir(), p.name.lower()))
    parent = None if path.parent == path else str(path.parent)
    entries = [{"name": p.name, "path": str(p), "folder": p.is_dir()} for p in inside[:_MOST]]
    return {
        "path": str(path),
        "parent": parent,
        "entries": entries,
        "left_out": len(inside) - len(entries),
        "chosen": str(chosen or ""),
    }


def draft(paths: Sequence[Path], settings: Sequence[str], target: Path | None) -> dict[str, Any]:
    """What ``fieldrx new`` would write: keys with their values as text, and the whole file.

    Parameters
    ----------
    paths : sequence of Path
    settings : sequence of str
        As of ``--set``.
    target : Path, optional
        The acquisition.toml; beside the images when not given.

    Returns
    -------
    dict
        JSON values; ``wrong`` says all that makes no sense among the values, one thing a line.

    Raises
    ------
    InputError
        As of `fieldrx.layouts.recognise`.
    """
    target = target or usual_target(paths)
    made, refused = try_settings(recognise(list_files(paths, target)), settings)
    wrong = [str(error).removeprefix(f"{SET}: ") for error in refused]
    wrong += optics_faults(made.content(), target, whole=not (made.missing or refused))
    keys = [
        {"table": key.table, "name": key.name, "label": label(key.name), "value": _as_text(key.value),
         "comment": plain_keys(key.comment)}
        for key in made.keys
    ]  # fmt: skip
    return {
        "layout": made.layout,
        "target": str(target),
        "there": target.exists(),
        "keys": keys,
        "text": made.text(),
        "wrong": "\n".join(map(plain_keys, wrong)),
    }


def _as_text(value: Any) -> str | None:
    """A value as one types it behind ``--set KEY=``; None where it is missing."""
    if value is None or (isinstance(value, str) and value_of(value) == value):
        return value
    return toml_line("value", value).partition("=")[2].strip()


def text(path: Path) -> dict[str, str]:
    """An acquisition.toml as text, and what tells this version of it from others."""
    content = read_text(path, "an acquisition", "TOML")
    return {"path": str(path), "text": content, "version": _version(path)}


def save_text(path: Path, content: str, version: str) -> dict[str, str]:
    """Replace an acquisition.toml.

    Parameters
    ----------
    path : Path
    content : str
    version : str
        Of the text that was changed.

    Raises
    ------
    InputError
        If the text is no TOML, or somebody else has changed the file meanwhile.
    """
    if path.suffix.lower() != ".toml":
        raise InputError(f"{path}: an acquisition is written as .toml; choose a name with that ending")
    if _version(path) != version:
        raise InputError(f"{path} was changed elsewhere: copy what you wrote, and open the file again")
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
        try:
            parse_toml(temporary)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(path))) from None
    return text(path)


def _version(path: Path) -> str:
    return hashlib.sha256(check_file(path, "an acquisition").read_bytes()).hexdigest()


def table(path: Path) -> list[list[str]]:
    """Rows of a .csv, the first of them its names."""
    with open(check_file(path, "a table"), newline="", encoding="utf-8") as file:
        return [row for row, _ in zip(csv.reader(file), range(_MOST), strict=False)]


@dataclass(frozen=True)
class Shown:
    """An acquisition as the page shows it: small images, so that large ones need not stay in memory.

    Parameters
    ----------
    facts : dict
        JSON values.
    images : list of ndarray
        uint8, (y, x) each.
    """

    facts: dict[str, Any]
    images: list[np.ndarray]


class Acquisitions:
    """Acquisitions that were looked at lately; read anew where one of their files has changed."""

    def __init__(self) -> None:
        self._kept: dict[tuple, Shown] = {}
        self._lock = threading.Lock()  # two tabs read a large file once

    def show(self, path: Path) -> Shown:
        """An acquisition.

        Raises
        ------
        InputError
            If it is none, or does not make sense.
        """
        return self._kept_or(lambda: _state_of(path), lambda: _shown(path))

    def preview(
        self, paths: Sequence[Path], settings: Sequence[str], target: Path | None
    ) -> list[np.ndarray]:
        """Small images of a draft as they are stored, uint8, (y, x) each, though optics may be missing.

        Parameters
        ----------
        paths, settings, target
            As of `draft`.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        target = target or usual_target(paths)
        made, _ = try_settings(recognise(list_files(paths, target)), settings)
        table, home = made.content()["images"], target.parent
        if "files" not in table:
            return []
        names = files_of({"images": table}, home)
        found = self._kept_or(
            lambda: (repr(table), *_states(names)), lambda: Shown({}, _small(read_named(table, target)))
        )
        return found.images

    def _kept_or(self, key_of: Callable[[], tuple], make: Callable[[], Shown]) -> Shown:
        with self._lock:
            key = key_of()
            found = self._kept.pop(key, None) or make()
            self._kept[key] = found
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return found


def _small(images: np.ndarray) -> list[np.ndarray]:
    return [grey_copy(image, _SIDE) for image in images]


def _state_of(path: Path) -> tuple:
    """What changes where an acquisition or a file that it names does."""
    path = check_file(path, "an acquisition")
    files = [path]
    if path.suffix.lower() == ".toml":
        content = parse_toml(path)
        if isinstance(content.get("images"), dict) and "files" in content["images"]:
            files += files_of(content, path.parent)
    return _states(files)


def _states(files: Sequence[Path]) -> tuple:
    known = [(str(file), file.stat()) for file in files if file.exists()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in known)


def _shown(path: Path) -> Shown:
    acquisition = read_acquisition(path, images="named")
    light, scope = acquisition.illumination, acquisition.microscope
    images = [] if acquisition.images is None else _small(acquisition.images)
    facts = {
        "path": str(path),
        "rows": [(name, plain_keys(text) if name == "note" else text)
                 for name, text in describe_acquisition(acquisition, path)],
        "n_images": len(images),
        "sources": light.sources_na.tolist(),
        "bright": light.bright(scope).tolist(),
        "lit": [np.flatnonzero(row).tolist() for row in light.pattern],
        "aperture": scope.objective_na,
        "holdout": acquisition.holdout.tolist(),
        "usable": (acquisition.usable if images else acquisition.lit).tolist(),
    }  # fmt: skip
    return Shown(facts, images)
