"""The LED board: one geometry for all images.

A direction na is a point q = na / sqrt(1 - |na|^2) of a board at distance 1.  Where the board really is,

    na = v / |(v, w)|,    v = M q + t,    w = 1 + b . q,

with a 2 x 2 matrix M (rotation, distance, unequal or oblique pitch), the point t above the axis, and the
tilt b.
A table that is nearly a regular lattice is taken as one: LED boards are printed, tables are typed or fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fieldrx.brief import brief

_NEARLY = 0.15  # root mean square distance from a lattice, over its pitch, up to which a table counts as one
STEEPEST = 0.95  # sine of directions, up to which sources stand on a board in air


@brief
@dataclass(frozen=True)
class Board:
    """Where the board is, relative to where its table says.

    Parameters
    ----------
    matrix : array, shape (2, 2)
        M, in (y, x); the identity where the table is right.
    shift : array, shape (2,)
        t, about the shift of all directions.
    tilt : array, shape (2,)
        b, the tangents of the board's tilt along y and x.
    reach : float
        Sine that directions are counted in, as of `reach_of` the whole table.
    """

    matrix: np.ndarray
    shift: np.ndarray
    tilt: np.ndarray
    reach: float = 1.0

    @classmethod
    def turned(
        cls, degrees: float = 0.0, scale: float = 1.0, mirrored: bool = False, reach: float = 1.0
    ) -> Board:
        """A board that is only rotated (from +x towards +y), scaled, and mirrored in y."""
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        matrix = scale * np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
        return cls(matrix, np.zeros(2), np.zeros(2), reach)

    def directions(self, table_na: np.ndarray) -> np.ndarray:
        """Directions (n, 2) of sources whose table says `table_na`."""
        q = _plane(table_na, self.reach)
        v = q @ self.matrix.T + self.shift
        w = 1 + q @ self.tilt
        return self.reach * v / np.sqrt((v**2).sum(axis=1) + w**2)[:, None]

    @property
    def rotation_deg(self) -> float:
        """Rotation of the board, from +x towards +y."""
        u, _, v = np.linalg.svd(self.matrix)
        turn = u @ np.diag([1.0, np.sign(np.linalg.det(u @ v))]) @ v
        return float(np.rad2deg(np.arctan2(turn[0, 1], turn[1, 1])))

    @property
    def scale(self) -> float:
        """Of directions: the nominal distance of the board over the true one."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def reversed(self) -> Board:
        """The board of the reversed directions."""
        return replace(self, matrix=-self.matrix, shift=-self.shift)


def lattice_of(table_na: np.ndarray) -> np.ndarray | None:
    """The regular lattice that a table nearly is, as directions (n, 2), or None.

    A lattice that is square to within 3 % and 2 degrees becomes exactly square.
    """
    reach = reach_of(table_na)
    q = _plane(table_na, reach)
    if len(q) < 9:
        return None
    difference = (q[:, None] - q)[~np.eye(len(q), dtype=bool)]
    length = np.linalg.norm(difference, axis=1)
    if length.min() == 0:
        return None
    pitch = np.median(np.sort(length.reshape(len(q), -1), axis=1)[:, 0])
    near = difference[(length < 1.25 * pitch) & ((difference[:, 1] > 0) | (difference[:, 0] > 0))]
    basis: list[np.ndarray] = []
    while len(near) and len(basis) < 2:
        crowd = [(np.minimum(_apart(near, v), _apart(near, -v)) < 0.2 * pitch).sum() for v in near]
        v = near[int(np.argmax(crowd))]
        alike = near[_apart(near, v) < 0.2 * pitch]
        basis.append(alike.mean(axis=0))
        across = np.abs(near @ [-basis[0][1], basis[0][0]]) / np.linalg.norm(basis[0])
        near = near[across > 0.6 * pitch]
    if len(basis) < 2:
        return None
    matrix, origin = np.array(basis), q[np.argmin(np.linalg.norm(q - q.mean(axis=0), axis=1))]
    for _ in range(4):
        place = np.rint((q - origin) @ np.linalg.inv(matrix))
        solution = np.linalg.lstsq(np.c_[place, np.ones(len(q))], q, rcond=None)[0]
        matrix, origin = solution[:2], solution[2]
        if abs(np.linalg.det(matrix)) < 0.1 * pitch**2:
            return None
    matrix = _squared(matrix)
    snapped = place @ matrix + (q - place @ matrix).mean(axis=0)
    if len(np.unique(place, axis=0)) < len(q):
        return None
    if np.sqrt(((snapped - q) ** 2).sum(axis=1).mean()) > _NEARLY * pitch:
        return None
    return reach * snapped / np.sqrt(1 + (snapped**2).sum(axis=1))[:, None]


def _squared(matrix):
    """The nearest square lattice's basis, if that is near."""
    a, b = matrix
    lengths = np.linalg.norm(matrix, axis=1)
    if abs(lengths[0] / lengths[1] - 1) > 0.03 or abs(a @ b) > 0.035 * lengths.prod():
        return matrix
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]]) * np.sign(np.linalg.det(matrix))
    mean = 0.5 * (a + b @ quarter.T)  # the second basis vector, turned back onto the first
    return np.array([mean, mean @ quarter])


def _apart(vectors, v):
    return np.linalg.norm(vectors - v, axis=1)


def reach_of(table_na: np.ndarray) -> float:
    """The sine that the directions of a whole table are counted in: 1, more for steep immersed light.

    There only the board's scale depends on it.
    """
    return max(1.0, float(np.linalg.norm(table_na, axis=1).max()) / STEEPEST)


def _plane(na, reach):
    """Points of the board at distance 1."""
    na = np.asarray(na, float)
    return na / np.sqrt(reach**2 - (na**2).sum(axis=1))[:, None]


def moved(board: Board, step: np.ndarray) -> Board:
    """The board after small changes.

    Parameters
    ----------
    board : Board
    step : array, up to 8 numbers
        Rotation, scale, shift y, x; shear, unequal pitch; tilt y, x.

    Returns
    -------
    Board
    """
    step = np.concatenate([step, np.zeros(8 - len(step))])
    rotation, scale, shift, (shear, stretch), tilt = step[0], step[1], step[2:4], step[4:6], step[6:8]
    change = np.array([[1 + scale + stretch, shear + rotation], [shear - rotation, 1 + scale - stretch]])
    return Board(change @ board.matrix, board.shift + shift, board.tilt + tilt, board.reach)
