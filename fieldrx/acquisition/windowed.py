"""Whole frames, of which only a window is ever held."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.frames import still_content
from fieldrx.acquisition.read import read_acquisition
from fieldrx.acquisition.toml import read_optics
from fieldrx.errors import InputError


@dataclass(frozen=True, eq=False)
class Windowed:
    """An acquisition whose images are read a window at a time.

    Parameters
    ----------
    optics : Acquisition
        Without images.
    shape : (int, int)
        Pixels of the images, y and x.
    source : path-like or Acquisition
        The file that is read, or images that are in memory.
    """

    optics: Acquisition
    shape: tuple[int, int]
    source: Path | Acquisition

    @classmethod
    def of(cls, acquisition: Acquisition) -> Windowed:
        """Images in memory."""
        _, ny, nx = acquisition.stack.shape
        return cls(replace(acquisition, images=None, mask=None), (ny, nx), acquisition)

    @classmethod
    def open(cls, path: str | os.PathLike) -> Windowed:
        """A file; of what a .toml names, nothing but a pixel is read here.

        Raises
        ------
        InputError
            As of `read_acquisition`.
        """
        path = Path(path)
        if path.suffix.lower() != ".toml":
            return cls.of(read_acquisition(path))
        optics, shape = read_optics(still_content(path), path)
        return cls(optics, shape, path)

    def window(self, window: Sequence[int]) -> Acquisition:
        """A part of every image, normalised by itself where it is read from a file.

        Parameters
        ----------
        window : (int, int, int, int)
            Rows y0 to y1 and columns x0 to x1, ends excluded.

        Raises
        ------
        InputError
            As of `read_acquisition`, or if the window leaves the frame.
        """
        return replace(self._cut(window), holdout=self.optics.holdout, normalised=True)

    def _cut(self, window):
        if isinstance(self.source, Acquisition):
            return self.source.crop(window)
        y0, y1, x0, x1 = window
        if not (0 <= y0 < y1 <= self.shape[0] and 0 <= x0 < x1 <= self.shape[1]):
            raise InputError(f"window {list(window)} leaves the frame of {self.shape[0]} x {self.shape[1]}")
        return read_acquisition(self.source, region=window)

    def whole(self) -> Acquisition:
        """The acquisition with all of its images."""
        return self.source if isinstance(self.source, Acquisition) else read_acquisition(self.source)
