"""What a folder or file holds, by names and shapes alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldrx.errors import InputError, NoSuchFile, nearest
from fieldrx.io import Choice, Stack, read_stack
from fieldrx.io.variables import list_variables, read_variable

_ARRAYS = (".mat", ".h5", ".hdf5")
_FEW = 8  # names that an error lists
_CORNER = 128  # pixels along a side


@dataclass(frozen=True)
class Listing:
    """Files and their variables.

    Parameters
    ----------
    where : Path
        What the user gave, for errors.
    files : tuple of Path
        The files given, or those of the folder.
    beside : tuple of Path
        All files in the same folders.
    folders : tuple of Path
        Folders inside a folder.
    shapes : dict
        Of every file of arrays among `files`, names and shapes of its variables.
    target : Path
        Folder of the acquisition.toml, where its file names start.
    """

    where: Path
    files: tuple[Path, ...]
    beside: tuple[Path, ...]
    folders: tuple[Path, ...]
    shapes: dict[Path, dict[str, tuple[int, ...]]]
    target: Path

    def name(self, path: Path, variable: str | None = None) -> str:
        """A file, or a variable in it, as the acquisition.toml names it."""
        try:
            name = os.path.relpath(path, self.target)
        except ValueError:  # another drive
            name = str(path.resolve())
        return name.replace(os.sep, "/") + (f":/{variable}" if variable else "")

    def holding(self, *variables: str) -> Path | None:
        """The file that holds all these variables; None where none does.

        Raises
        ------
        InputError
            If several do.
        """
        found = [path for path, shapes in self.shapes.items() if set(variables) <= set(shapes)]
        if len(found) > 1:
            raise InputError(
                f"{self.where} holds {len(found)} sets of images ({_some(found)}); give one of these files"
            )
        return found[0] if found else None

    def neighbour(self, name: str) -> Path | None:
        """A file of this name in the same folder."""
        return next((path for path in self.beside if path.name == name), None)

    def number(self, path: Path, variable: str) -> float:
        """The value of a variable that is one number.

        Raises
        ------
        InputError
            If it is not.
        """
        values = read_variable(f"{path}:/{variable}", "")
        if values.size != 1:
            raise InputError(f"{path}: {variable} has shape {values.shape}; expected one number")
        return float(values.item())

    def corner(self, path: Path, variable: str) -> Stack:
        """The images in a variable, of each some pixels at one corner."""
        side = min(_CORNER, *(n for n in self.shapes[path][variable] if n > 1))
        return read_stack(f"{path}:/{variable}", choice=Choice((0, side, 0, side)))

    def summary(self) -> str:
        """What is there, in a few words."""
        variables = [f"{path.name}:/{name}" for path, shapes in self.shapes.items() for name in shapes]
        held = variables or [path.name for path in self.files]
        folders = f"; folders {_some(self.folders)}" if self.folders else ""
        return f"it holds {_some(held) or 'nothing'}{folders}"


def list_files(paths: Sequence[Path], target: Path) -> Listing:
    """List files, or the files of one folder.

    Parameters
    ----------
    paths : sequence of Path
        One folder, or files.
    target : Path
        The acquisition.toml to write; of a folder it and its picture are no part.

    Raises
    ------
    InputError
        If a path is not there, a folder is given with others, or a file of arrays is damaged.
    """
    for path in paths:
        if not path.exists():
            names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise NoSuchFile(f"{path}: no such file or folder; check the path{nearest(path.name, names)}")
    if len(paths) > 1 and any(path.is_dir() for path in paths):
        raise InputError("several paths are given, a folder among them; give one folder, or files alone")
    first = paths[0]
    inside = first.is_dir() and first.suffix.lower() != ".zarr"
    homes = [first] if inside else list(dict.fromkeys(path.parent for path in paths))
    made = (target.resolve(), target.with_suffix(".png").resolve())
    around = [p for home in homes for p in sorted(home.iterdir()) if not p.name.startswith(".")]
    around = [p for p in around if p.resolve() not in made]
    beside = tuple(p for p in around if p.is_file())
    files = beside if inside else tuple(paths)
    shapes = {path: list_variables(path) for path in files if path.suffix.lower() in _ARRAYS}
    folders = tuple(p for p in around if p.is_dir()) if inside else ()
    return Listing(first, files, beside, folders, shapes, target.parent)


def _some(items: Sequence[Path | str]) -> str:
    """The first few, files by their names."""
    names = [item.name if isinstance(item, Path) else item for item in items]
    return ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")
