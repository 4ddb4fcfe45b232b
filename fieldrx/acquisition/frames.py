"""Frames of a film: one acquisition after the other, under one acquisition.toml.

A frame is what the file would say without time: {t} in names of files replaced by its number, or the place
along the axis of time selected.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.images import choice_of, files_of
from fieldrx.acquisition.schema import IMAGES, check_table, names_in, with_files
from fieldrx.acquisition.toml import parse_toml, read_content
from fieldrx.errors import InputError, NoSuchFile, in_file
from fieldrx.io import TIME, check_file, list_times, read_stack
from fieldrx.io.axes import axis_names
from fieldrx.io.metadata import read_interval

SECONDS, FRAMES = "s", "frame"  # what times are counted in


class Frames(ABC):
    """Acquisitions of one sample, one after the other.

    Attributes
    ----------
    unit : str
        Of `time`: "s", or "frame" where nobody says how far apart they are.
    """

    unit: str = FRAMES

    @abstractmethod
    def numbers(self) -> list[int]:
        """Numbers of the frames that are there at present, in order."""

    @abstractmethod
    def read(self, number: int) -> Acquisition:
        """One frame.

        Raises
        ------
        InputError
            If it is missing, not whole or spoilt.
        """

    @abstractmethod
    def time(self, number: int) -> float:
        """When a frame was taken, in `unit`."""

    def mark(self, number: int) -> Any:
        """What changes while a frame is still being written."""
        return None


class FramesGiven(Frames):
    """Acquisitions in memory.

    Parameters
    ----------
    acquisitions : sequence of Acquisition
    times_s : sequence of float, optional
        When each was taken [s], growing.

    Raises
    ------
    InputError
        If there is none, or the times do not grow.
    """

    def __init__(self, acquisitions: Sequence[Acquisition], times_s: Sequence[float] | None = None):
        self.acquisitions = list(acquisitions)
        count = len(self.acquisitions)
        times = np.arange(count) if times_s is None else np.asarray(times_s, float)
        if (
            not count
            or times.shape != (count,)
            or not (np.isfinite(times).all() and (np.diff(times) > 0).all())
        ):
            raise InputError(
                f"{count} frames at times {times_s}; expected one or more, each with a later time"
            )
        self.times, self.unit = times.tolist(), FRAMES if times_s is None else SECONDS

    def numbers(self) -> list[int]:
        """0, 1, 2 ..."""
        return list(range(len(self.acquisitions)))

    def read(self, number: int) -> Acquisition:
        """One of them."""
        return self.acquisitions[number]

    def time(self, number: int) -> float:
        """As it was given, or its number."""
        return float(self.times[number])


class FramesOfFile(Frames):
    """The frames that an acquisition.toml tells of.

    Parameters
    ----------
    path : path-like
    content : dict
        As of `parse_toml`; one that `has_time`.

    Raises
    ------
    InputError
        If time is told in two ways, or the interval is no time.
    """

    def __init__(self, path: str | os.PathLike, content: dict):
        self.path, self.content, self._told = Path(path), content, False
        table = check_table(content["images"], IMAGES, "images", path)
        self.axis, self._interval_s = table.get("time"), table.get("interval_s")
        if self.axis is not None and _is_numbered(table):
            raise InputError(
                f"{path}: [images] has time = {self.axis!r} and {TIME} in names; keep one of them"
            )
        if self._interval_s is not None and not (np.isfinite(self._interval_s) and self._interval_s > 0):
            raise InputError(f"{path}: [images] interval_s is {self._interval_s}; expected a positive time")

    def numbers(self) -> list[int]:
        """Numbers in names of files, or places along the axis of time."""
        if self.axis is None:
            return list(list_times(self.content["images"]["files"], self.path.parent))
        table = self.at(0)["images"]
        choice = replace(choice_of(table), region=(0, 1, 0, 1), exclude=())
        with in_file(self.path):
            axes = read_stack(table["files"], self.path.parent, choice).axes
        return list(range(axes[axis_names([self.axis])[0]]))

    def at(self, number: int) -> dict:
        """The content of the file for one frame alone."""
        images = {k: v for k, v in self.content["images"].items() if k not in ("time", "interval_s")}
        if self.axis is not None:
            images["select"] = {**images.get("select", {}), self.axis: number}
        else:
            spelt = list_times(images["files"], self.path.parent).get(number, str(number))
            images = with_files(images, lambda name: name.replace(TIME, spelt))
        return {**self.content, "images": images}

    def first(self) -> dict:
        """The content of the file for the first frame alone, of which what makes no film takes its images."""
        try:
            numbers = self.numbers()
        except NoSuchFile:
            numbers = []  # whoever needs the images says so
        return self.at(min(numbers, default=0))

    def read(self, number: int) -> Acquisition:
        """The acquisition of one frame."""
        return read_content(self.at(number), self.path, "required")

    def time(self, number: int) -> float:
        """Its number, times the interval where that is known."""
        return number * (self.interval_s or 1.0)

    @property
    def interval_s(self) -> float | None:
        """Time from one number to the next [s], by the file or its first images; None if unknown."""
        if self._interval_s is None and not self._told:
            files = [path for path in files_of(self.first(), self.path.parent)[:1] if path.exists()]
            self._told = bool(files)  # else it is asked again
            told = read_interval(files[0]) if files else None
            self._interval_s = told[0] if told else None
        return self._interval_s

    @property
    def unit(self) -> str:  # type: ignore[override]  # known once the first file is there
        """Seconds, where the interval is known."""
        return FRAMES if self.interval_s is None else SECONDS

    def mark(self, number: int) -> Any:
        """Names, sizes and times of change of the files of a frame that has some of its own."""
        if self.axis is not None:
            return None
        try:
            files = files_of(self.at(number), self.path.parent)
            states = [(path.as_posix(), path.stat()) for path in files]
        except (OSError, NoSuchFile):  # a file has gone meanwhile: whoever reads it says so
            return None
        return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def film_of(path: str | os.PathLike) -> FramesOfFile | None:
    """The frames of an acquisition.toml that has time; None of any other acquisition.

    Raises
    ------
    InputError
        If the file is missing, or what it says of time makes no sense.
    """
    path = check_file(path, "an acquisition (.toml, .npz or .h5)")
    if path.suffix.lower() != ".toml":
        return None
    content = parse_toml(path)
    return FramesOfFile(path, content) if has_time(content) else None


def has_time(content: dict) -> bool:
    """Whether the content of an acquisition.toml tells of more frames than one."""
    images = content.get("images", {})
    return "time" in images or _is_numbered(images)


def still_content(path: Path) -> dict:
    """The content of an acquisition.toml; with time, that of the first frame alone."""
    content = parse_toml(path)
    return FramesOfFile(path, content).first() if has_time(content) else content


def read_toml(path: Path, wanted: str, region: Sequence[int] | None = None) -> Acquisition:
    """Read an acquisition.toml, of a film the first frame; parameters as of `read_acquisition`."""
    content = parse_toml(path)
    if not has_time(content):
        return read_content(content, path, wanted, region)
    acquisition = read_content(FramesOfFile(path, content).first(), path, wanted, region)
    note = "one frame of a film, the first: reconstruct makes a film of all"
    return replace(acquisition, notes=(*acquisition.notes, note), normalised=True)


def _is_numbered(images: dict) -> bool:
    """Whether names of files hold the number of a frame."""
    return any(TIME in name for name in names_in("files", images.get("files")))
