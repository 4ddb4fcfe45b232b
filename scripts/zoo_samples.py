"""Samples of the zoo: shapes that can be painted on any grid, with the largest contrast near 1.

A sample paints itself on axes (z, y, x) in um around its own centre.  Voxels that a surface cuts get the
share of it that lies inside (to first order), so that fine and coarse grids see the same thing.
"""

from dataclasses import dataclass, field

import numpy as np

from fieldrx.simulation import cell_phantom


@dataclass
class Sample:
    """Shapes around a common centre.

    Parameters
    ----------
    bounds : ndarray, shape (3, 2)
        Where the shapes lie along z, y and x [um].
    shapes : list of callables
        Each takes the three axes of a box [um] and returns its contrast there, real or complex.
    boxes : list of ndarray, shape (3, 2)
        Where each shape lies [um].
    """

    bounds: np.ndarray = field(default_factory=lambda: np.zeros((3, 2)))
    shapes: list = field(default_factory=list)
    boxes: list = field(default_factory=list)

    def add(self, shape, box):
        box = np.array(box, float)
        self.bounds = np.stack(
            [np.minimum(self.bounds[:, 0], box[:, 0]), np.maximum(self.bounds[:, 1], box[:, 1])], axis=1
        )
        self.shapes.append(shape)
        self.boxes.append(box)

    def paint(self, axes) -> np.ndarray:
        """Contrast on axes [um], complex64; where shapes overlap the larger real part counts."""
        out = np.zeros([len(a) for a in axes], np.complex64)
        for shape, box in zip(self.shapes, self.boxes, strict=True):
            part = tuple(
                slice(max(np.searchsorted(a, lo) - 1, 0), np.searchsorted(a, hi) + 1)
                for a, (lo, hi) in zip(axes, box, strict=True)
            )
            if min(s.stop - s.start for s in part) > 0:
                value = shape([a[s] for a, s in zip(axes, part, strict=True)])
                here = out[part]
                out[part] = np.where(value.real > here.real, value.real, here.real) + 1j * np.where(
                    value.imag > here.imag, value.imag, here.imag
                )
        return out


def _inside(distance, axes):
    """Share of a voxel below a surface at signed distance `distance` [um] (negative inside)."""
    width = np.mean([a[1] - a[0] if len(a) > 1 else 0.1 for a in axes])
    return np.clip(0.5 - distance / width, 0, 1)


def _open(axes):
    return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]


def _box(points, radius):
    points = np.atleast_2d(points)
    return np.stack([points.min(axis=0) - radius, points.max(axis=0) + radius], axis=1)


def add_ellipsoid(sample, centre, radii, value=1.0):
    centre, radii = np.array(centre, float), np.broadcast_to(np.array(radii, float), 3)

    def shape(axes):
        p = [a - c for a, c in zip(_open(axes), centre, strict=True)]
        s = np.sqrt(sum((a / r) ** 2 for a, r in zip(p, radii, strict=True)))
        length = np.sqrt(sum(a**2 for a in p))
        distance = np.where(s > 0.3, (s - 1) * length / np.maximum(s, 0.3), -radii.min())
        return value * _inside(distance, axes)

    sample.add(shape, _box(centre, radii + 0.1))


def add_tube(sample, points, radii, value=1.0):
    """A tube along a line of points (n, 3), radii (n,) or one for all, round at both ends."""
    points = np.array(points, float)
    radii = np.broadcast_to(np.array(radii, float), len(points))
    for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):

        def shape(axes, a=a, b=b, ra=ra, rb=rb):
            p, along = [q - c for q, c in zip(_open(axes), a, strict=True)], b - a
            t = np.clip(sum(q * d for q, d in zip(p, along, strict=True)) / (along @ along), 0, 1)
            distance = np.sqrt(sum((q - t * d) ** 2 for q, d in zip(p, along, strict=True)))
            return value * _inside(distance - (ra + (rb - ra) * t), axes)

        sample.add(shape, _box([a, b], max(ra, rb) + 0.1))


def add_cell(sample, centre, diameter, seed, value=1.0, quarter_turns=0):
    """fieldrx's cell phantom, with its absorbing granule."""
    volume = cell_phantom(max(0.1, diameter / 140), diameter, peak_contrast=value, seed=seed)
    if quarter_turns:
        volume = type(volume)(
            np.ascontiguousarray(np.rot90(volume.contrast, quarter_turns, (1, 2))),
            *(volume.spacing_um, volume.origin_um, volume.medium_index),
        )
    centre = np.array(centre, float)

    def shape(axes):
        return volume.on_axes(*(a - c for a, c in zip(axes, centre, strict=True)))

    sample.add(shape, _box(centre, np.array([0.42, 0.52, 0.52]) * diameter + 0.2))


# ---------------------------------------------------------------------------------------------
# What members hold; sizes in um


def cell(rng, diameter=11.0, seed=0):
    sample = Sample()
    add_cell(sample, (0, 0, 0), diameter, seed)
    return sample


def cluster(rng, count=4, diameter=9.0, spread=11.0, thick=0.0):
    """Cells that do not overlap laterally; their heights differ by up to `thick`."""
    sample, places = Sample(), _apart(rng, count, spread, 0.9 * diameter)
    for k, (y, x) in enumerate(places):
        size = diameter * rng.uniform(0.8, 1.1)
        seed, height = int(rng.integers(1000)), rng.uniform(-0.5, 0.5) * thick
        add_cell(sample, (height, y, x), size, seed, rng.uniform(0.75, 1.0), k % 4)
    return sample


def beads(rng, count=1, radius=2.0, spread=0.0, thick=0.0, value=1.0):
    sample = Sample()
    for y, x in _apart(rng, count, spread, 2.2 * radius):
        add_ellipsoid(sample, (rng.uniform(-0.5, 0.5) * thick, y, x), radius, value)
    return sample


def rods(rng, count=8, length=2.5, radius=0.4, spread=5.0, thick=1.0):
    """Bacteria in all directions, mostly lying."""
    sample = Sample()
    for y, x in _apart(rng, count, spread, 0.8 * length):
        turn, tilt = rng.uniform(0, np.pi), rng.uniform(-0.35, 0.35)
        half = 0.5 * length * rng.uniform(0.7, 1.2)
        along = half * np.array([np.sin(tilt), np.cos(tilt) * np.sin(turn), np.cos(tilt) * np.cos(turn)])
        middle = np.array([rng.uniform(-0.5, 0.5) * thick, y, x])
        add_tube(sample, [middle - along, middle + along], radius)
    return sample


def fibres(rng, count=1, length=40.0, radius=2.0, thick=4.0, bend=0.15):
    """Curved fibres that cross, at several heights."""
    sample = Sample()
    for k in range(count):
        t, turn = np.linspace(-0.5, 0.5, 13), np.pi * (k / count + rng.uniform(0, 0.2)) + 0.4
        off = bend * length * (1 - 4 * t**2) * rng.choice([-1, 1])
        y = length * t * np.sin(turn) + off * np.cos(turn)
        x = length * t * np.cos(turn) - off * np.sin(turn)
        z = thick * (k / max(count - 1, 1) - 0.5 * (count > 1)) + 0.08 * thick * np.sin(9 * t)
        add_tube(sample, np.stack([z, y, x], axis=1), radius)
    return sample


def worm(rng, length=70.0, radius=5.0):
    """A body with tapered ends, a denser gut and granules."""
    sample, t = Sample(), np.linspace(0, 1, 29)
    x, y = (t - 0.5) * 0.85 * length, 0.14 * length * np.sin(2.2 * np.pi * t + 0.3)
    points = np.stack([0.1 * radius * np.sin(5 * t), y, x], axis=1)
    profile = radius * np.sqrt(np.clip(1 - np.abs(2 * t - 1) ** 3, 0.02, 1))
    add_tube(sample, points, profile, 0.5)
    add_tube(sample, points[3:-3], 0.3 * profile[3:-3], 0.75)
    for _ in range(25):
        k = int(rng.integers(3, 26))
        shift = rng.uniform(-0.55, 0.55, 3) * profile[k] * np.array([0.8, 1, 1])
        add_ellipsoid(sample, points[k] + shift, rng.uniform(0.1, 0.2) * radius, 1.0)
    return sample


def film(rng, radius=12.0, thickness=1.5, holes=9, texture=0.3):
    """A flake of film with an irregular border, round holes and a smooth texture."""
    waves = rng.normal(0, 1, (12, 2)) / (0.25 * radius) * 2
    phases = rng.uniform(0, 2 * np.pi, 12)
    lobes, turns = rng.uniform(-0.07, 0.07, 5), rng.uniform(0, 2 * np.pi, 5)
    places = [(*p, rng.uniform(0.06, 0.16) * radius) for p in _apart(rng, holes, 0.7 * radius, 0.35 * radius)]

    def shape(axes):
        z, y, x = _open(axes)
        angle = np.arctan2(y, x)
        border = radius * (0.9 + sum(a * np.cos((k + 2) * angle + p) for k, (a, p) in enumerate(zip(
            lobes, turns, strict=True))))  # fmt: skip
        distance = np.hypot(y, x) - border
        for hy, hx, size in places:
            distance = np.maximum(distance, size - np.hypot(y - hy, x - hx))
        ripple = sum(np.cos(a * y + b * x + p) for (a, b), p in zip(waves, phases, strict=True)) / 12**0.5
        value = 1 - texture + texture * np.clip(0.5 + 0.5 * ripple, 0, 1)
        return value * _inside(distance, axes[1:]) * _inside(np.abs(z) - 0.5 * thickness, axes[:1])

    sample = Sample()
    size = 1.25 * radius
    sample.add(shape, [(-0.5 * thickness - 0.2, 0.5 * thickness + 0.2), (-size, size), (-size, size)])
    return sample


def nothing(rng):
    return Sample()


def _apart(rng, count, spread, distance):
    """Places (y, x) within +-spread, at least `distance` apart, closer if they do not fit."""
    places = [rng.uniform(-0.3, 0.3, 2) * spread] if count == 1 else []
    while len(places) < count:
        for _ in range(200):
            place = rng.uniform(-spread, spread, 2)
            if all(np.hypot(*(place - p)) >= distance for p in places):
                places.append(place)
                break
        else:
            distance *= 0.9
    return places


SAMPLES = {f.__name__: f for f in (cell, cluster, beads, rods, fibres, worm, film, nothing)}
