"""PNG files, without any imaging library."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from fieldrx.io.files import atomic_path


def write_png(path: str | os.PathLike, image: np.ndarray, limits: Sequence[float] | None = None) -> None:
    """Write an 8-bit PNG without any imaging library.

    Parameters
    ----------
    path : path-like
    image : ndarray, shape (y, x) grey or (y, x, 3) red, green, blue
        uint8 is written as it is; other real numbers are scaled from `limits` to 0 ... 255.
    limits : (float, float), optional
        Values shown black and white; by default the smallest and the largest finite one.
    """
    data = png_bytes(image, limits)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def png_bytes(image: np.ndarray, limits: Sequence[float] | None = None) -> bytes:
    """The contents of a PNG file; parameters as of :func:`write_png`."""
    image = np.asarray(image)
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or image.size == 0:
        raise ValueError(f"image has shape {image.shape}; expected (y, x) or (y, x, 3)")
    pixels = image if image.dtype == np.uint8 else _to_uint8(image, limits)
    ny, nx = pixels.shape[:2]
    rows = np.empty((ny, 1 + pixels.size // ny), np.uint8)
    rows[:, 0] = 2  # PNG's filter 2: each row is stored as its difference to the row above
    rows[:, 1:] = pixels.reshape(ny, -1)
    rows[1:, 1:] -= pixels.reshape(ny, -1)[:-1]
    header = struct.pack(">IIBBBBB", nx, ny, 8, 2 if image.ndim == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _to_uint8(image: np.ndarray, limits: Sequence[float] | None) -> np.ndarray:
    finite = image[np.isfinite(image)]
    if limits is None:
        limits = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    low, high = (float(v) for v in limits)
    shown = np.nan_to_num(image.astype(np.float64), nan=low, posinf=high, neginf=low).clip(low, high)
    return np.rint((shown - low) * (255 / (high - low) if high > low else 0.0)).astype(np.uint8)
