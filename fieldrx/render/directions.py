"""Pictures of the pupil plane: where the light of the images comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.render.pictures import nice_ticks, number_text, write

TOP, LEFT = 56, 70  # pixels around the plane, for its title and the axes


def empty_plane(axis: np.ndarray, aperture: float) -> np.ndarray:
    """A white square with both axes and the objective's aperture as a circle.

    Parameters
    ----------
    axis : ndarray, shape (n,)
        NA of the pixels along y and x.
    aperture : float

    Returns
    -------
    uint8 array, shape (n, n, 3)
    """
    y, x = axis[:, None], axis[None, :]
    canvas = np.full((len(axis), len(axis), 3), 255, np.uint8)
    width = pen(axis)
    canvas[np.minimum(np.abs(y), np.abs(x)) < 0.4 * width] = (228, 228, 228)
    canvas[np.abs(np.hypot(y, x) - aperture) < width] = (60, 60, 60)
    return canvas


def pen(axis: np.ndarray) -> float:
    """Half the width of lines in a plane whose pixels lie at `axis`."""
    return 1.2 * (axis[1] - axis[0])


def framed_plane(plane: np.ndarray, reach: float, title: str, foot: int, right: int) -> np.ndarray:
    """A plane with its title, ticks and names of both axes.

    Parameters
    ----------
    plane : uint8 array, shape (n, n, 3)
        From -reach to reach along both axes; y runs downwards, as on a displayed image.
    reach : float
    title : str
    foot, right : int
        Pixels below the plane and on its right.
    """
    plane[[0, -1]] = plane[:, [0, -1]] = 60
    side = len(plane)
    canvas = np.full((TOP + side + foot, LEFT + side + right, 3), 255, np.uint8)
    bottom = TOP + side
    canvas[TOP:bottom, LEFT : LEFT + side] = plane
    write(canvas, title, 4, LEFT, 15)
    ticks = nice_ticks(-reach, reach, 6)
    for tick in ticks:
        place = round((tick / reach + 1) / 2 * (side - 1))
        text = number_text(tick, ticks[1] - ticks[0])
        canvas[bottom : bottom + 6, LEFT + place] = 60
        canvas[TOP + place, LEFT - 6 : LEFT] = 60
        write(canvas, text, bottom + 6, LEFT + place, 11, anchor=0.5)
        write(canvas, text, TOP + place - 9, LEFT - 10, 11, anchor=1.0)
    write(canvas, "na x, to the right", bottom + 26, LEFT + side // 2, 11, anchor=0.5)
    write(canvas, "na y, down", TOP - 20, 2, 11)
    return canvas


def ring(canvas: np.ndarray, axis: np.ndarray, place: Sequence[float] | np.ndarray, width: float) -> None:
    """Draw a grey ring around a place (y, x)."""
    drawn = np.abs(np.hypot(axis[:, None] - place[0], axis - place[1]) - 4.5 * width) < 0.8 * width
    canvas[drawn] = (150, 150, 150)


def dot(
    canvas: np.ndarray,
    axis: np.ndarray,
    place: Sequence[float] | np.ndarray,
    radius: float,
    colour: tuple[int, int, int],
) -> None:
    """Draw a dot at a place (y, x)."""
    rows, columns = (np.flatnonzero(np.abs(axis - p) <= radius) for p in place)
    inside = np.hypot(axis[rows, None] - place[0], axis[columns] - place[1]) <= radius
    canvas[np.ix_(rows, columns)] = np.where(inside[..., None], colour, canvas[np.ix_(rows, columns)])
