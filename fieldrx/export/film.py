"""Moving pictures: GIF by itself, MP4 through imageio-ffmpeg."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

import numpy as np

from fieldrx.backends.compiler import CACHED, njit
from fieldrx.errors import InputError
from fieldrx.io import atomic_path

_CLEAR, _END, _FIRST, _MOST = 256, 257, 258, 4096  # codes of GIF's LZW for 8-bit pixels


def write_gif(
    path: str | os.PathLike, frames: Iterable[np.ndarray], palette: np.ndarray, fps: float = 12.0
) -> None:
    """Write an endless GIF (version 89a) frame by frame.

    Parameters
    ----------
    path : path-like
    frames : iterable of uint8 arrays, shape (y, x, 3)
    palette : uint8 array, shape (256, 3)
        Colours of the file; a pixel takes the nearest.
    fps : float
        Frames per second; GIF knows delays of whole hundredths of a second.
    """
    from scipy.spatial import cKDTree  # takes long to import, and few write films

    delay = max(round(100 / fps), 2)
    nearest = cKDTree(palette.astype(float))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for number, frame in enumerate(frames):
            height, width = frame.shape[:2]
            if number == 0:
                file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + palette.tobytes())
                file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            file.write(b"\x21\xf9\x04\x04" + struct.pack("<HBB", delay, 0, 0))
            file.write(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08")
            data = _lzw(_indices(frame, nearest).tobytes())
            for first in range(0, len(data), 255):
                part = data[first : first + 255]
                file.write(bytes([len(part)]) + part)
            file.write(b"\x00")
        file.write(b"\x3b")


def write_mp4(path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float = 24.0) -> None:
    """Write an H.264 film frame by frame; parameters as of :func:`write_gif`.

    Raises
    ------
    InputError
        If the package imageio-ffmpeg is missing.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f"{path}: writing mp4 needs imageio-ffmpeg; pip install fieldrx[movie], or choose .gif"
        ) from None
    with atomic_path(path) as temporary:
        writer = None
        try:
            for frame in frames:
                frame = _even(frame)
                if writer is None:
                    writer = imageio_ffmpeg.write_frames(
                        temporary, frame.shape[1::-1], fps=fps, codec="libx264", macro_block_size=2,
                        output_params=["-crf", "18"],
                    )  # fmt: skip
                    writer.send(None)
                writer.send(np.ascontiguousarray(frame))
        finally:
            if writer is not None:
                writer.close()


def _even(frame):
    """A frame with an even number of rows and columns, as the codec wants: white ones are added."""
    rows, columns = (n % 2 for n in frame.shape[:2])
    return np.pad(frame, ((0, rows), (0, columns), (0, 0)), constant_values=255)


def _indices(frame, nearest):
    """Numbers of the nearest colours of a palette, uint8 (y, x)."""
    packed = frame.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, where = np.unique(packed, return_inverse=True)
    rgb = (colours[:, None] >> np.array([16, 8, 0], np.uint32)) & 255
    return nearest.query(rgb.astype(float))[1].astype(np.uint8)[where].reshape(packed.shape)


def _lzw(pixels: bytes) -> bytes:
    """GIF's variant of LZW: codes of 9 to 12 bits, lowest bits first."""
    codes, widths = _codes(np.frombuffer(pixels, np.uint8))
    places = np.arange(12, dtype=np.uint16)
    bits = (codes[:, None] >> places & 1).astype(bool)
    return np.packbits(bits[places < widths[:, None]], bitorder="little").tobytes()


@njit(cache=CACHED, nogil=True)
def _codes(pixels):
    """Codes of LZW and their widths in bits, uint16 each."""
    codes, widths = np.empty(2 * len(pixels) + 3, np.uint16), np.empty(2 * len(pixels) + 3, np.uint16)
    table = np.zeros((_MOST, 256), np.uint16)  # the code of a known string and one more pixel; 0 for none
    codes[0], widths[0], n = _CLEAR, 9, 1
    following, width, prefix = _FIRST, 9, np.int64(pixels[0])
    for pixel in pixels[1:]:
        known = table[prefix, pixel]
        if known:
            prefix = np.int64(known)
            continue
        codes[n], widths[n], n = prefix, width, n + 1
        if following < _MOST:
            table[prefix, pixel] = following
            width += following == 1 << width
            following += 1
        else:
            codes[n], widths[n], n = _CLEAR, width, n + 1
            table[:] = 0
            following, width = _FIRST, 9
        prefix = np.int64(pixel)
    codes[n], widths[n] = prefix, width
    codes[n + 1], widths[n + 1] = _END, width + (following == 1 << width and width < 12)
    return codes[: n + 2], widths[: n + 2]
