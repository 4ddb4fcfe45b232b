"""The images that an acquisition.toml names, with their background, dark and held-out numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.schema import IMAGES, check_table, named_files, names_in, whole_numbers
from fieldrx.background import ESTIMATES
from fieldrx.errors import InputError, NoSuchFile, in_file
from fieldrx.io import Choice, Stack, is_pattern, kept_images, list_images, read_stack
from fieldrx.optics.checks import array_of


def choice_of(table: dict[str, Any]) -> Choice:
    """What [images] says of which pixels and images of a file are meant."""
    region = whole_numbers(table["region"], "region", 4) if "region" in table else None
    axes, axis, exclude = table.get("axes"), table.get("axis"), table.get("exclude", [])
    if isinstance(axes, list) and not all(isinstance(name, str) for name in axes):
        raise InputError(f'[images] axes is {axes!r}; expected the names of the stored axes, such as "TCYX"')
    if not (axis is None or isinstance(axis, (int, str))):
        raise InputError(f"[images] axis is {axis!r}; expected the number or the name of an axis")
    if any(isinstance(k, bool) or not isinstance(k, (int, str)) for k in exclude):
        raise InputError(
            f"[images] exclude is {exclude!r}; expected numbers of images, or names of their files"
        )
    return Choice(region, axes, axis, table.get("select", {}), exclude)


def part_of(table: dict[str, Any], window: Sequence[int]) -> list[int]:
    """The region of whole images that is a window (y0, y1, x0, x1) of what [images] says."""
    y, _, x, _ = whole_numbers(table["region"], "region", 4) if "region" in table else (0, 0, 0, 0)
    y0, y1, x0, x1 = (int(n) for n in window)
    return [y + y0, y + y1, x + x0, x + x1]


def stack_of(table: dict[str, Any], folder: Path, choice: Choice, optional: bool) -> Stack | None:
    """The images of [images]; None where it names none, or where they are optional and not there."""
    if "files" not in table:
        return None
    try:
        return read_stack(table["files"], folder, choice)
    except NoSuchFile:
        if not optional:
            raise
        return None


def read_named(table: dict[str, Any], path: Path) -> np.ndarray:
    """The images that an [images] table of a file names, as they are stored, shape (n, y, x)."""
    table = check_table(table, IMAGES, "images", path)
    with in_file(path):
        return read_stack(table["files"], path.parent, choice_of(table)).images


def frames_of(
    table: dict[str, Any], key: str, folder: Path, stack: Stack, default: float | None = None
) -> tuple[Any, list[str]]:
    """A background or dark as TOML gives it, numbers, a word or an image file, for the images that are kept.

    Files are read with the choice of the images, as far as they have such axes.
    """
    value: Any = table.get(key, default)
    notes: list[str] = []
    if any(names_in(key, value)):
        try:
            frames = read_stack(value, folder, choice_of(table).for_frames())
        except NoSuchFile as error:
            word = isinstance(value, str) and key == "background" and not Path(value).suffix
            words = ", ".join(f'"{w}"' for w in ESTIMATES)
            raise NoSuchFile(f"{error}{f'; background may also be one of {words}' if word else ''}") from None
        value, notes = frames.images, [f"{key}: {note}" for note in frames.notes]
    elif isinstance(value, list):
        value = array_of(value, key)
    one_each = isinstance(value, np.ndarray) and value.ndim in (1, 3) and len(value) == stack.count
    return (value[stack.kept] if one_each and len(stack.kept) < stack.count else value), notes


def holdout_of(table: dict[str, Any], stack: Stack | None) -> Any:
    """Held-out images as they are counted without those that are excluded."""
    holdout = table.get("holdout", ())
    if stack is None or len(stack.kept) == stack.count:
        return holdout
    place = {int(number): k for k, number in enumerate(stack.kept)}
    for number in holdout:
        if number not in place:
            raise InputError(f"holdout names image {number}, which exclude leaves out, or which is not there")
    return [place[number] for number in holdout]


def numbers_of(table: dict[str, Any], folder: Path, n: int) -> np.ndarray:
    """Number of each of `n` images before any was excluded by [images]."""
    exclude, files = table.get("exclude", []), table["files"]
    if is_pattern(files) or isinstance(files, list):
        paths = [path.as_posix() for path in list_images(files, folder)[0]]
        return kept_images(len(paths), exclude, paths, "files")
    return kept_images(n + len(set(exclude)), exclude, None, "files")


def files_of(content: dict[str, Any], folder: Path) -> list[Path]:
    """Every file that the content of an acquisition.toml names.

    Parameters
    ----------
    content : dict
    folder : Path
        Where relative names start.
    """
    files = content["images"]["files"]
    single = list_images(files, folder)[0] if isinstance(files, list) or is_pattern(files) else []
    return [*single, *(folder / name.partition(":/")[0] for name in named_files(content))]
