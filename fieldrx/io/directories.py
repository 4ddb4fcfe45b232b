"""The directories of a TIFF file: what its tags say, and whether the file is whole.

Read without any library, so that a file cut short is noticed whatever another reader makes of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fieldrx.errors import InputError

SUBFILE, OLD_SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 254, 255, 258, 259, 262, 270
ORIENTATION, SAMPLES, COLOURS, EXTRA, FORMAT, NO_DATA = 274, 277, 320, 338, 339, 42113
_STRIPS, _TILES, _LSM = (273, 279), (324, 325), 34412  # where the pixels lie, and their bytes
_TEXT = (DESCRIPTION, NO_DATA)
_WANTED = {
    SUBFILE, OLD_SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, COLOURS, EXTRA, FORMAT,
    *_STRIPS, *_TILES, _LSM, *_TEXT,
}  # fmt: skip
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 7: "c", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True)
class Directory:
    """One directory: the whole numbers and texts that its tags hold.

    Parameters
    ----------
    offset : int
        Where it stands in the file.
    tags : dict
        Tuples of int, or text, by the number of the tag.
    """

    offset: int
    tags: dict[int, Any]

    def number(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def text(self) -> str:
        """The description, empty without one."""
        return self.tags.get(DESCRIPTION, "")

    @property
    def reduced(self) -> bool:
        """Whether it is a smaller copy, or a mask, of another image."""
        return bool(self.number(SUBFILE) & 5) or self.number(OLD_SUBFILE) == 2


class _Reader:
    """Numbers of a TIFF of either byte order and size."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path, self.size = file, path, path.stat().st_size
        head = file.read(16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(self.order + "H", head[2:4])[0] if self.order and len(head) > 7 else 0
        if version not in (42, 43):
            raise InputError(f"{path}: not a TIFF file; copy or export it again")
        self.big = version == 43
        if self.big and len(head) < 16:
            raise self.short(0)
        self.first = struct.unpack_from(self.order + ("Q" if self.big else "I"), head, 8 if self.big else 4)[
            0
        ]

    def short(self, whole: int) -> InputError:
        return InputError(
            f"{self.path}: TIFF cut short at {self.size} bytes, in image {whole} or after it: its writing or "
            "copying stopped early; copy or export it again"
        )

    def take(self, offset: int, form: str, whole: int) -> tuple[Any, ...]:
        size = struct.calcsize(self.order + form)
        if offset < 0 or offset + size > self.size:
            raise self.short(whole)
        self.file.seek(offset)
        return struct.unpack(self.order + form, self.file.read(size))

    def directory(self, offset: int, whole: int) -> tuple[Directory, int]:
        """One directory, and where the next begins; `whole` were read before."""
        head, entry, place = ("Q", "HHQ", "Q") if self.big else ("H", "HHI", "I")
        (count,) = self.take(offset, head, whole)
        if count > 4096:
            raise InputError(
                f"{self.path}: damaged TIFF, a directory of {count} tags; copy or export it again"
            )
        start, step = offset + struct.calcsize(head), 20 if self.big else 12
        tags: dict[int, Any] = {}
        for k in range(count):
            at = start + step * k
            tag, kind, n = self.take(at, entry, whole)
            if tag in _WANTED and kind in _TYPES:
                form = f"{n}{_TYPES[kind]}"
                inside = struct.calcsize("<" + form) <= (8 if self.big else 4)
                value = at + (12 if self.big else 8)
                values = self.take(value if inside else self.take(value, place, whole)[0], form, whole)
                text = tag in _TEXT
                tags[tag] = b"".join(values).split(b"\0")[0].decode("utf-8", "replace") if text else values
        return Directory(offset, tags), self.take(start + step * count, place, whole)[0]


def read_directories(path: Path) -> list[Directory]:
    """Every directory in the file's chain.

    Raises
    ------
    InputError
        If the file is no TIFF, or ends before what its directories promise.
    """
    found: list[Directory] = []
    with open(path, "rb") as file:
        reader = _Reader(file, path)
        offset, seen = reader.first, set()
        while offset:
            if offset in seen:
                raise InputError(
                    f"{path}: damaged TIFF, its directories name one another; copy or export it again"
                )
            seen.add(offset)
            directory, offset = reader.directory(offset, len(found))
            if _LSM not in (found or [directory])[0].tags:  # whose counts are those before compression
                for end in _ends(directory, path):
                    if end > reader.size:
                        raise reader.short(len(found))
            found.append(directory)
    if not found:
        raise InputError(f"{path}: TIFF without any image; its writing stopped early: export it again")
    return found


def directory_at(path: Path, offset: int) -> Directory:
    """The directory at a place of the file that stands in no chain, as those of smaller copies do."""
    with open(path, "rb") as file:
        return _Reader(file, path).directory(offset, 0)[0]


def _ends(directory: Directory, path: Path) -> Iterator[int]:
    """Where each part of the pixels ends; a part that was never written is an error."""
    for where, sizes in (_STRIPS, _TILES):
        if where in directory.tags and sizes in directory.tags:
            several = len(directory.tags[sizes]) > 1
            for offset, size in zip(directory.tags[where], directory.tags[sizes], strict=False):
                if several and size == 0:
                    raise InputError(
                        f"{path}: parts of its TIFF images were never written; write or export it again"
                    )
                yield offset + size
