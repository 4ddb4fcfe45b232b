"""Names of image files: patterns, lists, datasets inside a file, and other Unicode forms of a name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, NoSuchFile
from fieldrx.io.choice import composed

_INSIDE = re.compile(
    r"(?P<file>.+\.(?:h5|hdf5|hdf|he5|nxs|nx5|mat|npz|zarr|zarr\.zip)):(?P<name>.*)", re.IGNORECASE
)
TIME = "{t}"  # stands for the number of a frame


def list_images(
    source: str | os.PathLike | Sequence[str], folder: str | os.PathLike = "."
) -> tuple[list[Path], np.ndarray | None]:
    """The files of a pattern or list, one per image, and the LED that each name tells.

    Parameters
    ----------
    source : str or sequence of str
        A pattern whose file name holds {row} and {col}, or {n} (whole numbers), or a list of files.
    folder : path-like
        Where relative names start.

    Returns
    -------
    paths : list of pathlib.Path
        A pattern's are ordered by row, then column, or by number.
    leds : int ndarray of shape (n, 2) as (row, col), or None for a list and for {n}
    """
    if not isinstance(source, (str, os.PathLike)):
        if len(source) == 0 or not all(isinstance(s, (str, os.PathLike)) for s in source):
            raise InputError(f"files is {list(source)!r}; expected at least one file name, all of them text")
        return [_listed(s, folder) for s in source], None
    return list_pattern(source, folder)


def _listed(source: str | os.PathLike, folder: str | os.PathLike) -> Path:
    path, name = split_source(source, folder)
    return path if name is None else Path(f"{path}:{name}")


def is_pattern(source: str | os.PathLike | Sequence[str]) -> bool:
    """Whether a source is a pattern of file names."""
    return isinstance(source, (str, os.PathLike)) and "{" in str(source)


def list_pattern(
    source: str | os.PathLike, folder: str | os.PathLike
) -> tuple[list[Path], np.ndarray | None]:
    """The files of a pattern alone, as of :func:`list_images`."""
    pattern = on_disk(Path(folder, source).parent) / Path(source).name
    names, regex = _pattern_regex(Path(folder, source))
    if not pattern.parent.is_dir():
        raise NoSuchFile(f"{pattern}: the folder {pattern.parent} does not exist; check the pattern")
    found: dict[tuple[int, ...], Path] = {}
    for path in sorted(pattern.parent.iterdir()):
        match = regex.fullmatch(composed(path.name))
        if match:
            place = tuple(int(match[name]) for name in names)
            if place in found:
                shown = f"LED {place}" if len(names) == 2 else f"number {place[0]}"
                raise InputError(
                    f"{pattern}: {found[place].name} and {path.name} both show {shown}; keep one of them"
                )
            found[place] = path
    if not found:
        example = pattern.name.replace("{row}", "12").replace("{col}", "7").replace("{n}", "7")
        raise NoSuchFile(
            f"{pattern}: no file matches; expected names such as {example}, check the pattern and the folder"
        )
    places = sorted(found)
    return [found[place] for place in places], np.array(places) if len(names) == 2 else None


def _pattern_regex(pattern: Path) -> tuple[list[str], re.Pattern]:
    """The names of its numbers, in the order of images, and what a file's name must match."""
    found = re.findall(r"{(.*?)}", str(pattern))
    names = ["n"] if found == ["n"] else ["row", "col"]
    if sorted(found) != sorted(names) or re.findall(r"{(.*?)}", pattern.name) != found:
        raise InputError(
            f"{pattern}: a pattern holds {{row}} and {{col}} once each, or {{n}} alone, in the file's name"
        )
    escaped = re.escape(composed(pattern.name))
    for name in names:
        escaped = escaped.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>-?\d+)")
    return names, re.compile(escaped)


def list_times(source: str | os.PathLike | Sequence[str], folder: str | os.PathLike = ".") -> dict[int, str]:
    """The numbers that stand for {t} in names on the disk, each as it is spelt there.

    Parameters
    ----------
    source : str or sequence of str
        Where {t} stands in the name of a file or of a folder; of a list the first such name counts.
    folder : path-like
        Where relative names start.

    Raises
    ------
    InputError
        If two names show one number.
    """
    names = [source] if isinstance(source, (str, os.PathLike)) else source
    name = next(str(name) for name in names if TIME in str(name))
    parts = Path(folder, name).parts
    first = next(k for k, part in enumerate(parts) if TIME in part)
    place = on_disk(Path(*parts[:first]))
    regex = re.compile(_time_regex(parts[first]))
    found: dict[int, str] = {}
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        match = regex.fullmatch(composed(path.name))
        if match and found.setdefault(int(match["t"]), match["t"]) != match["t"]:
            raise InputError(f"{place / parts[first]}: two names show frame {int(match['t'])}; keep one")
    return dict(sorted(found.items()))


def _time_regex(part: str) -> str:
    """What one part of a path with {t} must match; what else is open in it may be any number."""
    file = _INSIDE.match(part)
    words = re.split(r"({t}|{n}|{row}|{col})", composed(file["file"] if file else part))
    known = {"{n}": r"-?\d+", "{row}": r"-?\d+", "{col}": r"-?\d+"}
    regex = "".join(TIME if word == TIME else known.get(word, re.escape(word)) for word in words)
    return regex.replace(TIME, r"(?P<t>\d+)", 1).replace(TIME, "(?P=t)")


def missing_numbers(source: str | os.PathLike, paths: Sequence[Path]) -> list[str]:
    """A note where the running numbers of a pattern {n} have gaps, so that image k is not number k."""
    names, regex = _pattern_regex(Path(source))
    if names != ["n"]:
        return []
    numbers = [int(match["n"]) for p in paths if (match := regex.fullmatch(composed(p.name)))]
    gone = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    few = ", ".join(map(str, gone[:8])) + (" ..." if len(gone) > 8 else "")
    return (
        [f"numbers {numbers[0]} to {numbers[-1]} of {source} lack {few}; images count on without"]
        if gone
        else []
    )


def split_source(source: str | os.PathLike, folder: str | os.PathLike) -> tuple[Path, str | None]:
    """A file, and the name of what is meant inside it."""
    match = _INSIDE.fullmatch(str(source))
    if match is None or Path(folder, source).exists():
        return on_disk(Path(folder, source)), None
    return on_disk(Path(folder, match["file"])), match["name"]


def on_disk(path: Path) -> Path:
    """The path as the disk spells it, where letters with accents may be composed or not; else as it is."""
    if path.exists() or path.parent == path:
        return path
    parent = on_disk(path.parent)
    if not parent.is_dir():
        return path
    wanted = composed(path.name)
    return next((p for p in sorted(parent.iterdir()) if composed(p.name) == wanted), parent / path.name)
