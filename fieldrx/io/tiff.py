"""Stacks of images in TIFF files, those of ImageJ, OME and Micro-Manager included."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fieldrx.errors import InputError, one_line
from fieldrx.io.axes import Source, axis_names, take
from fieldrx.io.choice import Choice, Stack
from fieldrx.io.directories import (
    COMPRESSION,
    NO_DATA,
    ORIENTATION,
    Directory,
    directory_at,
    read_directories,
)
from fieldrx.io.files import check_file
from fieldrx.io.pages import Pages, Shown, opaque_value
from fieldrx.io.runs import Calibration, check_manager, check_promised, manager_notes, ome_set

_BROKEN_TIFF = re.compile("offset|corrupt|truncat|reshape|failed", re.IGNORECASE)
_UNNAMED = set("IQ")
_JPEG = (6, 7, 34892)
_IMAGE = ("YX", "YXS", "SYX")  # axes of pages that hold one image


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what tifffile raises or only logs about broken files becomes one `InputError`."""
    complaints, here = [], threading.get_ident()

    def collect(record):
        if record.thread != here:
            return True
        complaints.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file can make a parser raise anything
        hint = "pip install imagecodecs" if "imagecodecs" in str(error) else "copy or export it again"
        raise InputError(f"{path}: cannot be read as TIFF ({one_line(error)}); {hint}") from None
    finally:
        logger.removeFilter(collect)
    broken = [c for c in complaints if _BROKEN_TIFF.search(c)]
    if broken:
        raise InputError(
            f"{path}: damaged or truncated TIFF ({one_line(broken[0])}); copy or export it again"
        )


def read_tiff(path: Path, choice: Choice) -> Stack:
    """The chosen images (n, y, x) of a TIFF."""
    path = check_file(path, "a TIFF file")
    directories = read_directories(path)
    with open_tiff(path) as tif:
        try:
            source = _Layout(tif, path, directories).source(choice)
        except MemoryError:  # no pixel has been read yet
            raise InputError(
                f"{path}: damaged TIFF, its tags claim more than the memory holds; copy or export it again"
            ) from None
        if "SERIES" in axis_names(choice.select):
            others = {k: v for k, v in choice.select.items() if axis_names([k]) != ["SERIES"]}
            choice = replace(choice, select=others)
        return take(source, choice)


def _pixels(page: Any) -> np.ndarray:
    """The pixels of a page, whose file, another of a set, may have been closed."""
    file = page.parent.filehandle
    closed = file.closed
    if closed:
        file.open()
    try:
        return page.asarray()
    except MemoryError:  # the image itself has room: `take` has looked
        raise InputError(
            f"{file.path}: damaged TIFF, parts of an image claim more than the memory holds; copy or export "
            "it again"
        ) from None
    finally:
        if closed:
            file.close()


class _Layout:
    """Where the images of an open TIFF lie."""

    def __init__(self, tif: tifffile.TiffFile, path: Path, directories: list[Directory]):
        self.tif, self.path, self.notes = tif, path, list[str]()
        self.known = {(tif.filehandle.path, d.offset): d for d in directories}
        self.directories = directories
        self.kind = "pages"
        self.calibration = Calibration(tif)
        self.notes += self.calibration.notes

    def source(self, choice: Choice) -> Source:
        """The images as an array with axes."""
        full = [d for d in self.directories if not d.reduced] or self.directories
        if dropped := len(self.directories) - len(full):
            self.notes.append(f"{dropped} thumbnails or masks beside the images were left out")
        self._remark(full)
        own = choice.alone and len(full) == 1
        if self.tif.is_ome and not own:
            told = ome_set(self.tif.ome_metadata or "", self.path, len(full))
            self.notes += told
            own = bool(told)
        every = [] if own else [s for s in self.tif.series if not self._only_reduced(s)]
        if self.tif.is_ome and every and every[0].kind not in ("ome", "mmstack"):
            raise InputError(
                f"{self.path}: its OME description does not fit its pages: it is damaged, or tells of other "
                "files; "
                "export it again"
            )
        one = self._chosen_series(every, choice) if every else None
        if not own:
            check_manager(self.path, one.kind if one else "pages")
        if one is None:
            return self._plain([p for p in self.tif.pages if p.offset in {d.offset for d in full}])
        self.kind = one.kind
        check_promised(self.tif, int(np.prod(one.shape)) // int(np.prod(one.keyframe.shape)), self.path)
        return self._series(one)

    def _remark(self, full: list[Directory]) -> None:
        """What tags say that changes no number."""
        if any(d.number(COMPRESSION, 1) in _JPEG for d in full):
            self.notes.append("its images are compressed with loss (JPEG)")
        if marks := {d.tags[NO_DATA].strip() for d in full if NO_DATA in d.tags}:
            self.notes.append(
                f"the TIFF marks missing pixels by {', '.join(sorted(marks))}: see [images] missing"
            )

    def _only_reduced(self, series: Any) -> bool:
        """Whether all pages of a series are smaller copies or masks, among others that are not."""
        pages = [p for p in list(series.pages) if p is not None]
        flags = [self._directory(p).reduced for p in pages]
        return bool(flags) and all(flags) and any(not d.reduced for d in self.directories)

    def _chosen_series(self, every: list[Any], choice: Choice) -> Any | None:
        """The one series that holds the images; None where they are pages without further order."""
        wanted = {axis_names([k])[0]: v for k, v in choice.select.items()}.get("SERIES")
        if wanted is not None:
            if not isinstance(wanted, int) or not 0 <= wanted < len(every):
                raise InputError(
                    f"{self.path}: select has series = {wanted!r}; expected a whole number from 0 to "
                    f"{len(every) - 1}"
                )
            return every[wanted]
        if len(every) == 1:
            reduced = any(self._directory(p).reduced for p in list(every[0].pages) if p is not None)
            plain = every[0].kind in ("generic", "uniform") and not self.tif.is_imagej
            return None if plain and reduced else every[0]
        shapes = [tuple(s.shape) for s in every]
        if len(set(shapes)) > 1 or len({s.dtype for s in every}) > 1:
            told = ", ".join(f"{k}: {s.shape} {s.dtype}" for k, s in enumerate(every))
            raise InputError(
                f"{self.path}: its pages differ in shape or type ({told}); expected one stack: choose with "
                "select = "
                "{ series = 0 }, or export the images alone"
            )
        if len(shapes[0]) > 2 and every[0].axes[0] != "S":
            raise InputError(
                f"{self.path}: holds {len(every)} stacks of shape {shapes[0]}, positions for instance; "
                "choose one with "
                "select = { series = 0 }"
            )
        return None

    def _directory(self, page: Any) -> Directory:
        """The directory of a page, which may lie in another file of a set, or in no chain."""
        file = page.parent.filehandle.path
        if not any(name == file for name, _ in self.known):
            self.known |= {(file, d.offset): d for d in read_directories(Path(file))}
        if (file, page.offset) not in self.known and page.offset >= 8:
            self.known[file, page.offset] = directory_at(Path(file), page.offset)
        return self.known.get((file, page.offset), self.directories[0])

    def _plain(self, pages: list[Any]) -> Source:
        """Pages one after the other."""
        shapes = {(tuple(p.shape), p.axes, np.dtype(p.dtype)) for p in pages}
        if len(shapes) > 1:
            told = ", ".join(sorted(str(s[0]) for s in shapes))
            raise InputError(
                f"{self.path}: its pages differ in shape or type ({told}); expected one stack: export the "
                "images alone"
            )
        return self._of_pages(pages, (len(pages),), "I")

    def _series(self, series: Any) -> Source:
        """Images of a series, read page by page where each is one."""
        pages, key = list(series.pages), series.keyframe
        depth = len(series.shape) - len(key.shape)
        shape, axes = tuple(series.shape), series.axes
        if key.axes in _IMAGE and axes.endswith(key.axes) and shape[depth:] == tuple(key.shape):
            lead = shape[:depth]
            if len(pages) == int(np.prod(lead, dtype=int)):
                return self._of_pages(pages, lead, axes[:depth])
            if len(pages) == 1 and series.dataoffset is not None:
                return self._of_block(series, lead, axes[:depth])
        shown = self._shown(key)
        data = shown(self.calibration(series.asarray())) if shown.turn == 1 else None
        if data is None:
            raise InputError(f"{self.path}: turned images within pages of several; export one image a page")
        return Source(data, self.path, None if _UNNAMED & set(axes) else axes, notes=self.notes)

    def _shown(self, page: Any) -> Shown:
        # some writers put the tag into the first directory of a stack alone
        turn = self.directories[0].number(ORIENTATION, 1) if page.parent is self.tif else 1
        shown = Shown(self._directory(page), self.path, turn, self.tif.is_imagej)
        self.notes += [note for note in shown.notes if note not in self.notes]
        return shown

    def _of_block(self, series: Any, lead: tuple[int, ...], names: str) -> Source:
        """Images behind one another, of which one directory tells."""
        key, count = series.keyframe, int(np.prod(lead, dtype=int))
        dtype = np.dtype(self.tif.byteorder + key.dtype.char)
        need = series.dataoffset + count * key.nbytes
        if need > self.tif.filehandle.size:
            raise InputError(
                f"{self.path}: TIFF cut short: {count} images end at byte {need}, the file at "
                f"{self.tif.filehandle.size}; copy or export it again"
            )
        block = np.memmap(self.path, dtype, "r", series.dataoffset, (count, *key.shape))
        shown = self._shown(key)
        read = [partial(self._image, shown, key.axes, partial(block.__getitem__, k)) for k in range(count)]
        return self._pages_source(read, lead, names, key, shown)

    def _of_pages(self, pages: list[Any], lead: tuple[int, ...], names: str) -> Source:
        key = next(p for p in pages if p is not None)
        shown = {id(p): self._shown(p) for p in pages if p is not None}
        if len({s.swaps for s in shown.values()}) > 1:
            raise InputError(f"{self.path}: some of its images are turned by 90 degrees; export them alike")
        read = [
            None if p is None or not p.dataoffsets or not any(p.dataoffsets)
            else partial(self._image, shown[id(p)], key.axes, partial(_pixels, p))
            for p in pages
        ]  # fmt: skip
        return self._pages_source(read, lead, names, key, shown[id(key)])

    def _image(self, shown: Shown, axes: str, read: Callable[[], np.ndarray]) -> np.ndarray:
        image = read()
        return shown(self.calibration(np.moveaxis(image, 0, -1) if axes == "SYX" else image))

    def _pages_source(
        self, read: list[Any], lead: tuple[int, ...], names: str, key: Any, shown: Shown
    ) -> Source:
        if key.axes not in _IMAGE:
            raise InputError(
                f"{self.path}: pages of axes {key.axes}; expected grey images (y, x): export them alone"
            )
        sizes = dict(zip(key.axes, key.shape, strict=True))
        shape = [sizes["X"], sizes["Y"]] if shown.swaps else [sizes["Y"], sizes["X"]]
        axes = [*names, "Y", "X"] + (["S"] if "S" in sizes else [])
        shape += [sizes["S"]] if "S" in sizes else []
        data = Pages(read, lead, tuple(shape), key.dtype, self.path)
        if self.kind == "mmstack":
            known = dict(zip(axis_names(names), lead, strict=True))
            self.notes += manager_notes(self.tif, known)
        unnamed = "S" not in sizes and set(names) <= _UNNAMED
        planes = key.axes == "SYX" and len(read) == 1
        return Source(
            data, self.path, None if unnamed else axes, notes=self.notes, gaps=data.gaps, planes=planes,
            opaque=opaque_value(self._directory(key)),
        )  # fmt: skip
