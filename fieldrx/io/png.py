"""PNG files, without any imaging library."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.axes import Source, take
from fieldrx.io.choice import Choice, Stack
from fieldrx.io.files import atomic_path, check_file

MAGIC = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3
_SAMPLES = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}  # a pixel, by colour type
_LINEAR = 100000  # gamma as PNG counts it
_ADAM7 = (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)


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
    return MAGIC + b"".join(
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


def read_png(path: Path, choice: Choice) -> Stack:
    """The image of a PNG file, grey values as they are stored.

    Raises
    ------
    InputError
        If it is damaged, in colour, partly transparent or animated.
    """
    path = check_file(path, "a PNG file")
    chunks = _chunks(path)
    nx, ny, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks["IHDR"])
    if colour not in _SAMPLES or 0 in (nx, ny):
        raise _broken(path, f"{nx} x {ny} pixels of colour type {colour}")
    if "acTL" in chunks:
        raise InputError(f"{path}: an animated PNG; expected one image a file: export its frames alone")
    try:
        raw = zlib.decompress(chunks.get("IDAT", b""))
    except zlib.error as error:
        raise _broken(path, str(error)) from None
    form = depth, _SAMPLES[colour]
    image = _passes(raw, (ny, nx), form, path) if interlaced else _unfiltered(raw, (ny, nx), form, path)[0]
    notes = []
    if colour == _PALETTE:
        image = _through_palette(image, chunks, path)
    gamma = int.from_bytes(chunks.get("gAMA", b"")) or (45455 if "sRGB" in chunks else _LINEAR)
    if gamma != _LINEAR:
        notes.append(
            f"the PNG says that it is coded with gamma {gamma / _LINEAR:.3g}: intensities may not be linear"
        )
    opaque = (1 << depth) - 1 if colour & 4 else None
    return take(Source(image[None], path, ("N", "Y", "X", "S"), notes=notes, opaque=opaque), choice)


def _broken(path: Path, why: str) -> InputError:
    return InputError(f"{path}: damaged or truncated PNG ({why}); copy or export it again")


def _chunks(path: Path) -> dict[str, bytes]:
    """The chunks by name, those of the pixels joined; every checksum is verified."""
    data, at = path.read_bytes(), 8
    found: dict[str, bytes] = {}
    if data[:8] != MAGIC:
        raise InputError(f"{path}: not a PNG file; copy or export it again")
    while "IEND" not in found:
        head = data[at : at + 8]
        size = int.from_bytes(head[:4])
        body, check = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        if len(head) < 8 or len(check) < 4:
            raise _broken(path, f"it ends after {len(data)} bytes")
        if zlib.crc32(head[4:] + body) != int.from_bytes(check):
            raise _broken(path, "a checksum does not fit")
        name = head[4:].decode("latin-1")
        found[name] = found.get(name, b"") + body
        at += 12 + size
    if len(found.get("IHDR", b"")) != 13:
        raise _broken(path, "it has no header")
    return found


def _unfiltered(
    raw: bytes, shape: tuple[int, int], form: tuple[int, int], path: Path
) -> tuple[np.ndarray, int]:
    """Pixels (y, x, samples) of filtered rows, and how many bytes they took; `form` is depth and samples.

    A byte depends on those to its left, above, and above the left one.  Bytes of equal row + column do not
    depend on one another: they are undone together, one diagonal after the other.
    """
    (ny, nx), (depth, samples) = shape, form
    width, step = -(-nx * depth * samples // 8), max(depth * samples // 8, 1)
    if len(raw) < ny * (1 + width):
        raise _broken(path, f"{len(raw)} bytes of pixels for {ny * (1 + width)}")
    rows = np.frombuffer(raw, np.uint8, ny * (1 + width)).reshape(ny, 1 + width)
    kinds = rows[:, 0]
    if kinds.max() > 4:
        raise _broken(path, f"filter {kinds.max()}")
    columns = -(-width // step)
    padded = np.zeros((ny, columns * step), np.uint8)
    padded[:, :width] = rows[:, 1:]
    out = np.zeros((ny + 1, columns + 1, step), np.int32)  # a row above and a column to the left are zero
    out[1:, 1:] = padded.reshape(ny, columns, step)
    if kinds.max() <= 2 and not (kinds == 1).any():  # each row alone, or from the one above
        for row in np.flatnonzero(kinds == 2):
            out[row + 1] = (out[row + 1] + out[row]) & 255
    else:
        _undo(out, kinds)
    content = out[1:, 1:].astype(np.uint8).reshape(ny, -1)[:, :width]
    return _samples(content, nx, form), ny * (1 + width)


def _undo(out: np.ndarray, kinds: np.ndarray) -> None:
    """Undo the filters of all rows in place, diagonal by diagonal."""
    ny, columns = out.shape[0] - 1, out.shape[1] - 1
    for diagonal in range(ny + columns - 1):
        y = np.arange(max(0, diagonal - columns + 1), min(ny, diagonal + 1))
        x = diagonal - y
        left, above, corner = out[y + 1, x], out[y, x + 1], out[y, x]
        kind = kinds[y, None]
        far = [np.abs(above - corner), np.abs(left - corner), np.abs(left + above - 2 * corner)]
        paeth = np.where(
            (far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], above, corner)
        )
        guess = np.choose(kind, [np.zeros_like(left), left, above, (left + above) >> 1, paeth])
        out[y + 1, x + 1] = (out[y + 1, x + 1] + guess) & 255


def _samples(content: np.ndarray, nx: int, form: tuple[int, int]) -> np.ndarray:
    """Numbers (y, x, samples) of rows of bytes."""
    depth, samples = form
    if depth == 16:
        values: np.ndarray = np.ascontiguousarray(content).view(">u2").astype(np.uint16)
    elif depth == 8:
        values = content
    else:
        bits = np.unpackbits(content, axis=1).reshape(len(content), -1, depth)
        values = bits @ (1 << np.arange(depth)[::-1]).astype(np.uint8)
    return values[:, : nx * samples].reshape(len(content), nx, samples)


def _passes(raw: bytes, shape: tuple[int, int], form: tuple[int, int], path: Path) -> np.ndarray:
    """Pixels of an interlaced image: seven images of every so many rows and columns (Adam7)."""
    out = np.zeros((*shape, form[1]), np.uint16 if form[0] == 16 else np.uint8)
    for y, x, dy, dx in _ADAM7:
        part = out[y::dy, x::dx]
        if part.size:
            part[...], used = _unfiltered(raw, (part.shape[0], part.shape[1]), form, path)
            raw = raw[used:]
    return out


def _through_palette(image: np.ndarray, chunks: dict[str, bytes], path: Path) -> np.ndarray:
    """Colours (y, x, 3) of places in the colour table."""
    if "tRNS" in chunks and set(chunks["tRNS"]) != {255}:
        raise InputError(f"{path}: its pixels are partly transparent; export it without transparency")
    table = np.frombuffer(chunks.get("PLTE", b""), np.uint8)
    table = table[: table.size // 3 * 3].reshape(-1, 3)
    if image.max() >= len(table):
        raise _broken(path, "its colour table is too short")
    return table[image[..., 0]]
