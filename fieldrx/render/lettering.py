"""Letters for pictures, drawn with a round pen: smooth at any size, without an imaging library.

A glyph is a list of strokes on a grid in which small letters are 5 high and capitals and figures 7:
``l x,y x,y ...`` is a chain of lines, ``a x,y rx,ry from,to`` an elliptic arc in degrees, counter-clockwise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_PEN, _GAP, _SPACE = 0.85, 2.1, 2.6  # width of a stroke, between letters, and of a space
_ROUND = "a 2,2.5 2,2.5 0,360"
_ARCH = "a 2,3 2,2 180,0; l 4,3 4,0"
_STROKES = {
    "a": f"{_ROUND}; l 4,5 4,0",
    "b": f"l 0,7.5 0,0; {_ROUND}",
    "c": "a 2.2,2.5 2.2,2.5 45,315",
    "d": f"l 4,7.5 4,0; {_ROUND}",
    "e": "l 0,2.6 4.2,2.6; a 2.1,2.5 2.1,2.5 2,315",
    "f": "l 1,0 1,6; a 2.4,6 1.4,1.5 180,75; l 0,5 2.4,5",
    "g": f"{_ROUND}; l 4,5 4,-0.2; a 2,-0.2 2,1.9 0,-145",
    "h": f"l 0,7.5 0,0; {_ARCH}",
    "i": "l 0,5 0,0; l 0,7 0,7.1",
    "j": "l 1,5 1,-1; a 0,-1 1,1 0,-90; l 1,7 1,7.1",
    "k": "l 0,7.5 0,0; l 3.5,5 0,2; l 1.3,3.1 3.7,0",
    "l": "l 0,7.5 0,0",
    "m": "l 0,5 0,0; a 1.6,3.4 1.6,1.6 180,0; l 3.2,3.4 3.2,0; a 4.8,3.4 1.6,1.6 180,0; l 6.4,3.4 6.4,0",
    "n": f"l 0,5 0,0; {_ARCH}",
    "o": _ROUND,
    "p": f"l 0,5 0,-2; {_ROUND}",
    "q": f"l 4,5 4,-2; {_ROUND}",
    "r": "l 0,5 0,0; a 2,3 2,2 180,60",
    "s": "a 1.75,3.7 1.6,1.3 35,265; a 1.75,1.2 1.75,1.2 85,-145",
    "t": "l 1,7 1,1.2; a 2.2,1.2 1.2,1.2 180,290; l 0,5 2.4,5",
    "u": "l 0,5 0,2; a 2,2 2,2 180,360; l 4,5 4,0",
    "v": "l 0,5 2,0 4,5",
    "w": "l 0,5 1.6,0 3.1,5 4.6,0 6.2,5",
    "x": "l 0,5 3.8,0; l 3.8,5 0,0",
    "y": "l 0,5 2.1,0; l 4.1,5 1.5,-1.5 0.2,-2",
    "z": "l 0,5 3.6,5 0,0 3.6,0",
    "µ": "l 0,5 0,-2; a 2,2 2,2 180,360; l 4,5 4,0",
    "0": "a 2.1,3.5 2.1,3.5 0,360",
    "1": "l 0.2,5.6 1.8,7 1.8,0",
    "2": "a 2,5 2,2 165,-30; l 3.73,4 0,0 4,0",
    "3": "a 1.9,5.3 1.7,1.7 150,-90; a 1.9,1.8 2.1,1.8 90,-150",
    "4": "l 3.1,0 3.1,7 0,2 4.4,2",
    "5": "l 3.7,7 0.7,7 0.4,4; a 1.9,2.35 2.1,2.35 135,-145",
    "6": "a 2.1,2.2 2.1,2.2 0,360; l 0.25,3.2 2.9,7",
    "7": "l 0,7 4,7 1.3,0",
    "8": "a 2,5.3 1.7,1.7 0,360; a 2,1.8 2.1,1.8 0,360",
    "9": "a 2.1,4.8 2.1,2.2 0,360; l 3.95,3.8 1.3,0",
    ".": "l 0,0.1 0,0.2",
    ",": "l 0.4,0.3 0,-1.2",
    ":": "l 0,0.4 0,0.5; l 0,4.4 0,4.5",
    "-": "l 0,2.6 2.4,2.6",
    "−": "l 0,3 3.8,3",
    "+": "l 0,3 4,3; l 2,5 2,1",
    "=": "l 0,3.9 4,3.9; l 0,2 4,2",
    "/": "l 0,-1 3,7.5",
    "(": "a 2.6,3 2.6,5.2 125,235",
    ")": "a -1,3 2.6,5.2 55,-55",
    "°": "a 1.1,6 1.1,1.1 0,360",
    "²": "a 1.1,6.7 1.1,1 165,-30; l 2.05,6.2 0,4 2.3,4",
    "³": "a 1.1,6.9 1,0.85 150,-90; a 1.1,5 1.2,1.05 90,-150",
}  # fmt: skip


def text_mask(text: str, size: float) -> np.ndarray:
    """How much of every pixel a line of text covers.

    Parameters
    ----------
    text : str
        Small letters (capitals are drawn small), figures and the signs above.
    size : float
        Height of a figure in pixels.

    Returns
    -------
    float array, shape (about 1.75 size, width), from 0 to 1
        The figures' feet stand at 1.25 size from the top.
    """
    unit, place, letters = size / 7, 0.0, []
    for letter in text.lower():
        if letter == " ":
            place += _SPACE
            continue
        segments, width = _glyph(letter)
        letters.append(segments + (place, 0, place, 0))
        place += width + _GAP
    height = int(np.ceil(1.75 * size))
    canvas = np.zeros((height, int(np.ceil((place + 0.5) * unit)) + 2))
    for segments in letters:
        xs = segments[:, ::2] * unit + 1 + 0.5 * _PEN * unit
        ys = 1.25 * size - segments[:, 1::2] * unit
        left, right = int(xs.min() - unit - 1), int(np.ceil(xs.max() + unit + 2))
        columns = slice(max(left, 0), min(right, canvas.shape[1]))
        distance = _distance(np.arange(height), np.arange(columns.start, columns.stop), xs, ys)
        cover = np.clip(0.5 * _PEN * unit + 0.5 - distance, 0, 1)
        canvas[:, columns] = np.maximum(canvas[:, columns], cover)
    return canvas


def drawable(letter: str) -> bool:
    """Whether there is a glyph for a letter."""
    return letter.lower() in _STROKES


def _distance(rows, columns, xs, ys):
    """Of every pixel to the nearest of the segments (x0, x1), (y0, y1)."""
    y, x = rows[:, None, None], columns[:, None]
    dx, dy = xs[:, 1] - xs[:, 0], ys[:, 1] - ys[:, 0]
    along = ((x - xs[:, 0]) * dx + (y - ys[:, 0]) * dy) / np.maximum(dx**2 + dy**2, 1e-12)
    along = np.clip(along, 0, 1)
    return np.hypot(x - xs[:, 0] - along * dx, y - ys[:, 0] - along * dy).min(axis=-1)


@lru_cache
def _glyph(letter):
    """Segments (n, 4) as (x0, y0, x1, y1), and the width, of a letter."""
    lines = []
    for stroke in _STROKES[letter].split(";"):
        kind, *pairs = stroke.split()
        numbers = np.array([pair.split(",") for pair in pairs], float)
        if kind == "a":
            centre, radii, (start, stop) = numbers
            angle = np.deg2rad(np.linspace(start, stop, 33))
            numbers = centre + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        lines.append(np.concatenate([numbers[:-1], numbers[1:]], axis=1))
    segments = np.concatenate(lines)
    xs = segments[:, ::2]
    return segments - (xs.min(), 0, xs.min(), 0), float(np.ptp(xs))
