"""Who lives in the zoo: rigs, spoils and the table of members."""

from dataclasses import dataclass, field

import numpy as np

from fieldrx.optics import Illumination, Microscope

# ---------------------------------------------------------------------------------------------
# Rigs: what a stranger says of the light


@dataclass(frozen=True)
class Board:
    """LEDs of a flat board: every `step`-th in each direction around `middle`, numbered as on the board."""

    rows: int
    cols: int
    pitch_um: float = 4000.0
    distance_um: float = 70_000.0
    step: int = 1
    middle: tuple = (15, 15)
    axes: tuple = ("row", "col")
    within: float = np.inf  # LEDs farther from the middle than this many steps are left out

    @property
    def leds(self):
        """(row, col) of every image's LED."""
        grid = np.argwhere(np.ones((self.rows, self.cols), bool)) - [
            (self.rows - 1) // 2,
            (self.cols - 1) // 2,
        ]
        return self.step * grid[np.hypot(*grid.T) <= self.within] + self.middle

    def nominal(self) -> Illumination:
        return Illumination.led_grid(self.leds, self.pitch_um, self.distance_um, self.middle, self.axes)


@dataclass(frozen=True)
class Ring:
    count: int
    na: float
    start_deg: float = 0.0
    clockwise: bool = True
    distance_um: float = 70_000.0

    def nominal(self) -> Illumination:
        return Illumination.led_ring(self.count, self.na, self.start_deg, self.clockwise)


@dataclass(frozen=True)
class Table:
    """Directions (s, 2) as they stand in a table, and the weights of the sources in every image."""

    sources_na: tuple
    pattern: tuple | None = None
    distance_um: float = 70_000.0

    def nominal(self) -> Illumination:
        return Illumination(self.sources_na, self.pattern)


def rings(*counts_and_na, centre=False, **options) -> Table:
    parts = [Illumination.led_ring(n, na, 11.0).sources_na for n, na in counts_and_na]
    if centre:
        parts.insert(0, np.zeros((1, 2)))
    return Table(_frozen(np.concatenate(parts)), **options)


def spiral(count, na, **options) -> Table:
    """Sunflower spiral that fills a disc of aperture `na`."""
    k = np.arange(count) + 0.5
    radius, angle = na * np.sqrt(k / count), k * np.pi * (3 - np.sqrt(5))
    return Table(_frozen(np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)), **options)


def half_circles(na, rows=9, singles=4, **options) -> Table:
    """DPC: a disc of LEDs, lit by halves (top, bottom, left, right), and a few LEDs alone."""
    step = 2 * na / (rows - 1)
    grid = (np.argwhere(np.ones((rows, rows), bool)) - rows // 2) * step
    disc = grid[np.hypot(*grid.T) <= na * (1 + 1e-9)]
    y, x = disc.T
    pattern = [(y < -1e-9), (y > 1e-9), (x < -1e-9), (x > 1e-9)]
    outer = np.argsort(np.hypot(y, x))[-4 * singles :: 4]
    pattern += [np.arange(len(disc)) == k for k in outer]
    return Table(_frozen(disc), _frozen(np.array(pattern, float)), **options)


def random_groups(board: Board, n_images, seed) -> Table:
    """Pairs and triples of a board's LEDs; every LED shines at least once."""
    rng, sources = np.random.default_rng(seed), board.nominal().sources_na
    order = rng.permutation(len(sources))
    pattern = np.zeros((n_images, len(sources)))
    for k, led in enumerate(order):
        pattern[k % n_images, led] = 1
    for row in pattern:
        while row.sum() < 2:
            row[rng.integers(len(sources))] = 1
    return Table(_frozen(sources), _frozen(pattern), board.distance_um)


def _frozen(array):
    return tuple(map(tuple, np.asarray(array, float).tolist()))


# ---------------------------------------------------------------------------------------------
# Spoils: what the stranger does not know


@dataclass(frozen=True)
class Spoils:
    """What differs from the description of the rig, and what the camera adds.

    Parameters
    ----------
    shift_um : (float, float)
        Of the board, along y and x of the directions of travel, at the rig's distance.
    turn_deg : float
        Of the board about the axis, from +x towards +y.
    mirrored, reversed : bool
        x of all directions has the other sign; all directions are those from the sample to the LED.
    flicker : float
        Standard deviation of the lamps' brightness.
    vignetting, gradient : float
        Loss of light in the farthest corner, common to all images; slope across the frame, of each image.
    offset, dark_told : float, str
        Counts without light; "", "number" or "file": how the TOML tells.
    dust, hot : int
        Specks on the camera; pixels that always shine.
    bright_share : float
        Share of the pixels that are driven into saturation.
    dead : tuple of int
        Images whose LED does not shine; with an offset, as a background of nothing at all is refused.
    led_na : float
        Radius of every source.
    """

    shift_um: tuple = (0.0, 0.0)
    turn_deg: float = 0.0
    mirrored: bool = False
    reversed: bool = False
    flicker: float = 0.0
    vignetting: float = 0.0
    gradient: float = 0.0
    offset: float = 0.0
    dark_told: str = ""
    dust: int = 0
    hot: int = 0
    bright_share: float = 0.0
    dead: tuple = ()
    led_na: float = 0.0

    def true_na(self, nominal, distance_um) -> np.ndarray:
        """Directions in which the light travels, of those that the rig's description gives."""
        nominal = np.asarray(nominal, float)
        slope = nominal / np.sqrt(1 - (nominal**2).sum(axis=1, keepdims=True))  # place on the board
        c, s = np.cos(np.deg2rad(self.turn_deg)), np.sin(np.deg2rad(self.turn_deg))
        y, x = (-slope if self.reversed else slope).T
        y, x = c * y + s * x, c * x - s * y
        place = np.stack([y, -x if self.mirrored else x], axis=1) + np.array(self.shift_um) / distance_um
        return place / np.sqrt(1 + (place**2).sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One acquisition.

    Parameters
    ----------
    name : str
    scope : tuple
        wavelength_um, objective_na, medium_index, pixel_size_um.
    shape : (int, int)
        Pixels of an image.
    rig : Board, Ring or Table
    sample, sample_options : str, dict
        A function of `zoo_samples` and its parameters.
    contrast : float
        Largest index contrast, of either sign.
    phase_rad : float, optional
        Instead: the largest phase that the sample adds to a wave along z.
    stain : float
        Imaginary part added, over the real part's magnitude; a cell has an absorbing granule besides.
    height_um : float
        z of the sample's centre.
    place : (float, float)
        Lateral place of the sample's centre, from the images' centre [um].
    spoils : Spoils
    photons : float
        Per pixel of the empty field.
    level : float, optional
        Counts of the empty field; one count per photon or half the range when not given.
    camera_pixel_um : float, optional
        The TOML gives this and the magnification instead of the pixel in the sample.
    bits : int
        16, 12 (in 16) or 8.
    files : str
        "pattern" ({row}, {col}), "singles", "stack", "hdf5" or "npz".
    background : str
        "", "file" (an image without sample is given), "smooth", "mean" or "median".
    toml : dict
        More keys of [images].
    full_wave : bool
        Helmholtz equation instead of split steps.
    seed : int
    aside : bool
        Kept for final checks, not to be looked at on the way.
    """

    name: str
    scope: tuple
    shape: tuple
    rig: object
    sample: str = "cell"
    sample_options: dict = field(default_factory=dict)
    contrast: float = 0.02
    phase_rad: float | None = None
    stain: float = 0.0
    height_um: float = 0.0
    place: tuple = (0.0, 0.0)
    spoils: Spoils = Spoils()
    photons: float = 10_000
    level: float | None = None
    camera_pixel_um: float | None = None
    bits: int = 16
    files: str = "stack"
    background: str = ""
    toml: dict = field(default_factory=dict)
    full_wave: bool = False
    seed: int = 0
    aside: bool = False

    @property
    def microscope(self) -> Microscope:
        return Microscope(*self.scope)


WATER, CULTURE, GLYCEROL, OIL = 1.33, 1.337, 1.42, 1.515

MEMBERS = [
    Member(
        "stranger", (0.53, 0.4, WATER, 6.9 / 20), (96, 96), Board(5, 5, 4000, 60_000, step=2),
        sample_options={"diameter": 13.0, "seed": 21}, phase_rad=1.5, place=(1.2, -0.8), height_um=0.6,
        spoils=Spoils((400, -300), 0.7, flicker=0.03, vignetting=0.2, gradient=0.03, offset=100),
        photons=12_000, level=3_000, camera_pixel_um=6.9, files="pattern", seed=1,
    ),
    Member(
        "board5-cell-clean", (0.515, 0.5, CULTURE, 0.25), (96, 96), Board(5, 5, 4000, 65_000, step=2),
        sample_options={"diameter": 11.0, "seed": 3}, contrast=0.02, place=(-1.0, 1.5), seed=2,
        photons=20_000, files="pattern",
    ),
    Member(
        "board5-cells-turned3", (0.53, 0.25, WATER, 0.5), (128, 128), Board(5, 5, 4000, 70_000),
        "cluster", {"count": 5, "diameter": 9.0, "spread": 16.0, "thick": 4.0}, phase_rad=1.2, height_um=-6,
        spoils=Spoils(turn_deg=3.0, vignetting=0.3, flicker=0.02), files="stack", seed=3,
    ),
    Member(
        "board5-cell-reversed", (0.63, 0.4, WATER, 6.5 / 20), (96, 96), Board(5, 5, 4000, 60_000, step=2),
        sample_options={"diameter": 12.0, "seed": 8}, phase_rad=1.0, height_um=4.0,
        spoils=Spoils(reversed=True, flicker=0.02), camera_pixel_um=6.5, files="pattern", seed=4,
    ),
    Member(
        "ring12-cell-clean", (0.515, 0.65, CULTURE, 0.18), (96, 96), Ring(12, 0.6, 10.0),
        sample_options={"diameter": 9.0, "seed": 5}, contrast=0.025, height_um=1.0, seed=5, photons=20_000,
    ),
    Member(
        "board3-fibre-clean", (0.6, 0.25, WATER, 0.55), (128, 112), Board(3, 3, 4000, 60_000, step=2),
        "fibres", {"count": 1, "length": 45.0, "radius": 1.8, "thick": 6.0}, contrast=0.015, height_um=-8,
        photons=8_000, files="singles", seed=6,
    ),
    Member(
        "board5-cell-mirrored", (0.53, 0.5, CULTURE, 0.25), (96, 104), Board(5, 5, 4000, 62_000, step=2),
        sample_options={"diameter": 12.0, "seed": 12}, phase_rad=1.3, place=(0.5, 1.0), height_um=-2.0,
        spoils=Spoils((250, 150), mirrored=True, vignetting=0.1), files="pattern", seed=7,
    ),
    Member(
        "board5-cells-turned90", (0.53, 0.4, WATER, 0.3), (112, 96), Board(5, 5, 4000, 70_000, step=2),
        "cluster", {"count": 2, "diameter": 9.0, "spread": 6.0}, phase_rad=0.9, stain=0.05, height_um=3.0,
        spoils=Spoils((-200, 300), turn_deg=90.0, flicker=0.03, offset=60), files="stack", seed=8,
    ),
    Member(
        "ring8-bead-clean", (0.53, 0.65, WATER, 0.2), (64, 64), Ring(8, 0.58),
        "beads", {"radius": 2.0}, contrast=0.03, height_um=0.5, place=(0.3, -0.4), photons=15_000, seed=9,
    ),
    Member(
        "rings2-cell", (0.515, 0.65, CULTURE, 0.19), (96, 96), rings((8, 0.3), (16, 0.6)),
        sample_options={"diameter": 10.0, "seed": 14}, contrast=0.03, height_um=-1.0,
        spoils=Spoils(turn_deg=1.5, flicker=0.04, vignetting=0.15, offset=100, dark_told="number"), seed=10,
    ),
    Member(
        "centre-ring-silica-in-oil", (0.53, 0.9, OIL, 0.14), (96, 96), rings((16, 0.8), centre=True),
        "beads", {"count": 3, "radius": 1.5, "spread": 3.2, "thick": 1.5}, contrast=-0.04,
        spoils=Spoils(flicker=0.02, vignetting=0.1), photons=10_000, files="singles", seed=11,
    ),
    Member(
        "ring24-bacteria-clean", (0.488, 0.8, WATER, 0.13), (96, 96), Ring(24, 0.74, 5.0, clockwise=False),
        "rods", {"count": 7, "spread": 3.6}, contrast=0.03, photons=10_000, bits=12, seed=12,
    ),
    Member(
        "spiral-worm", (0.55, 0.25, WATER, 0.6), (128, 160), spiral(32, 0.22),
        "worm", {"length": 75.0, "radius": 5.0}, phase_rad=2.2, height_um=12.0,
        spoils=Spoils(turn_deg=-1.0, vignetting=0.25, dust=4, offset=100), photons=20_000, seed=13,
    ),
    Member(
        "dpc-cell", (0.53, 0.5, CULTURE, 0.26), (96, 96), half_circles(0.44),
        sample_options={"diameter": 12.0, "seed": 4}, phase_rad=1.2, height_um=1.0,
        spoils=Spoils(flicker=0.02, vignetting=0.15), files="stack", seed=14,
    ),
    Member(
        "pairs-cell", (0.53, 0.4, WATER, 0.32), (96, 96), random_groups(Board(5, 5, 4000, 65_000, 2), 12, 15),
        sample_options={"diameter": 12.0, "seed": 31}, phase_rad=1.0, height_um=-3.0, stain=0.03,
        spoils=Spoils((150, 100), flicker=0.02, gradient=0.03), seed=15,
    ),
    Member(
        "film-flake", (0.53, 0.5, WATER, 0.25), (112, 112), Board(5, 5, 4000, 60_000, step=2),
        "film", {"radius": 9.0, "thickness": 1.5}, contrast=0.05, height_um=0.0,
        spoils=Spoils((-300, 250), vignetting=0.2, hot=5), files="pattern", seed=16,
    ),
    Member(
        "film-absorbing-clean", (0.6, 0.4, WATER, 0.36), (96, 96), Board(5, 5, 4000, 70_000, step=2),
        "film", {"radius": 11.0, "thickness": 1.0, "holes": 5}, contrast=0.02, stain=0.4, height_um=5.0,
        files="stack", seed=17,
    ),
    Member(
        "empty", (0.53, 0.4, WATER, 0.33), (96, 96), Board(5, 5, 4000, 60_000, step=2), "nothing",
        contrast=0.0, spoils=Spoils(flicker=0.02, vignetting=0.2, offset=100), photons=5_000, files="pattern",
        seed=18,
    ),
    Member(
        "board9-dark-field", (0.53, 0.25, WATER, 0.5), (96, 96), Board(9, 9, 4000, 60_000),
        "cluster", {"count": 3, "diameter": 9.0, "spread": 9.0}, phase_rad=1.0, height_um=-4.0,
        spoils=Spoils((200, -100), flicker=0.02, offset=100, dark_told="file"), files="pattern", seed=19,
    ),
    Member(
        "board7-cell-dusty", (0.53, 0.4, CULTURE, 0.33), (96, 96), Board(7, 7, 4000, 62_000),
        sample_options={"diameter": 13.0, "seed": 6}, phase_rad=1.2, place=(-1.5, 0.5), height_um=2.0,
        spoils=Spoils(dust=6, hot=5, dead=(17,), offset=100), files="pattern", bits=12, seed=20,
    ),
    Member(
        "lattice15-algae-256", (0.515, 0.1, WATER, 1.6), (256, 256), Board(15, 15, 2000, 175_000, within=3.2),
        "cluster", {"count": 20, "diameter": 18.0, "spread": 120.0, "thick": 4.0}, contrast=0.012,
        height_um=-60.0, spoils=Spoils((500, 0), turn_deg=1.0, vignetting=0.2, flicker=0.03), files="stack",
        seed=21,
    ),
    Member(
        "board3-cells-512", (0.63, 0.1, WATER, 1.3), (512, 512), Board(3, 3, 5000, 80_000),
        "cluster", {"count": 40, "diameter": 15.0, "spread": 270.0}, contrast=0.01, height_um=100.0,
        spoils=Spoils(vignetting=0.3, gradient=0.04, offset=100), photons=15_000, files="singles", seed=22,
    ),
    Member(
        "board5-cells-defocus40", (0.53, 0.25, CULTURE, 0.5), (128, 128), Board(5, 5, 4000, 62_000),
        "cluster", {"count": 3, "diameter": 10.0, "spread": 12.0}, phase_rad=1.0, height_um=-40.0,
        spoils=Spoils((-350, 350), flicker=0.02, vignetting=0.1), files="pattern", background="median",
        seed=23,
    ),
    Member(
        "ring12-cell-undersampled", (0.53, 0.5, CULTURE, 0.5), (64, 64), Ring(12, 0.45, 3.0),
        sample_options={"diameter": 12.0, "seed": 9}, phase_rad=1.0, height_um=2.0,
        spoils=Spoils(turn_deg=2.0, flicker=0.02), seed=24,
    ),
    Member(
        "board5-beads-oversampled", (0.6, 0.25, WATER, 0.22), (160, 160), Board(5, 5, 4000, 68_000),
        "beads", {"count": 4, "radius": 2.5, "spread": 9.0, "thick": 3.0}, contrast=0.02, height_um=6.0,
        spoils=Spoils((100, 300), hot=5, vignetting=0.1, led_na=0.006), files="stack", seed=25,
    ),
    Member(
        "rings2-bacteria-weak-clean", (0.45, 0.65, WATER, 0.16), (96, 96), rings((6, 0.3), (14, 0.58)),
        "rods", {"count": 6, "spread": 4.5}, contrast=1e-3, photons=50_000, height_um=1.5, seed=26,
    ),
    Member(
        "board5-cell-200-photons", (0.53, 0.4, CULTURE, 0.32), (96, 96), Board(5, 5, 4000, 60_000, step=2),
        sample_options={"diameter": 12.0, "seed": 17}, phase_rad=1.5, height_um=-1.0,
        spoils=Spoils((200, 200), offset=100), photons=200, bits=12, files="pattern", seed=27,
    ),
    Member(
        "ring16-bead-strong", (0.53, 0.8, WATER, 0.15), (96, 96), Ring(16, 0.72, 20.0),
        "beads", {"radius": 2.4}, contrast=0.05, place=(0.2, 0.5), height_um=-0.5,
        spoils=Spoils(turn_deg=-2.0, vignetting=0.15, bright_share=0.003), files="stack", seed=28,
    ),
    Member(
        "board7-stained-cell", (0.55, 0.5, GLYCEROL, 0.25), (96, 96), Board(7, 7, 4000, 70_000),
        sample_options={"diameter": 12.0, "seed": 19}, contrast=0.015, stain=0.15, height_um=1.0,
        spoils=Spoils(vignetting=0.25, gradient=0.02, dust=3), background="file", files="stack", seed=29,
    ),
    Member(
        "fullwave-bead-clean", (0.515, 0.8, WATER, 0.15), (56, 56), Ring(8, 0.6),
        "beads", {"radius": 1.2}, contrast=0.03, place=(0.1, -0.2), height_um=0.4, photons=20_000,
        full_wave=True, seed=30,
    ),
    Member(
        "fullwave-bacteria", (0.53, 0.65, WATER, 0.18), (56, 64), Board(3, 3, 4000, 60_000, step=5),
        "rods", {"count": 3, "length": 2.2, "radius": 0.4, "spread": 1.5, "thick": 0.8}, contrast=0.04,
        height_um=-0.8, spoils=Spoils((500, -200), flicker=0.02), files="pattern", full_wave=True, seed=31,
    ),
    Member(
        "fullwave-void-in-oil", (0.56, 0.9, OIL, 0.14), (56, 56), rings((4, 0.4), (6, 0.8)),
        "beads", {"count": 2, "radius": 0.8, "spread": 1.2, "thick": 0.8}, contrast=-0.05, photons=5_000,
        spoils=Spoils(turn_deg=1.0, vignetting=0.1), full_wave=True, seed=32,
    ),
    Member(
        "board5-cell-8bit", (0.53, 0.4, WATER, 0.33), (96, 96), Board(5, 5, 4000, 64_000, step=2),
        sample_options={"diameter": 12.0, "seed": 23}, phase_rad=1.3, height_um=1.5,
        spoils=Spoils((-250, -250), turn_deg=0.7, vignetting=0.15), bits=8, files="singles", seed=33,
    ),
    Member(
        "npz-rings2-cell", (0.515, 0.65, CULTURE, 0.19), (96, 96), rings((8, 0.35), (12, 0.6)),
        sample_options={"diameter": 10.0, "seed": 27}, contrast=0.02, height_um=0.5,
        spoils=Spoils(flicker=0.05, gradient=0.03), files="npz", seed=34,
    ),
    Member(
        "hdf5-board7-cells-192", (0.53, 0.25, CULTURE, 0.5), (192, 192), Board(7, 7, 4000, 75_000),
        "cluster", {"count": 8, "diameter": 11.0, "spread": 32.0, "thick": 6.0}, phase_rad=1.5, height_um=10,
        spoils=Spoils((300, 400), turn_deg=-0.7, offset=100, flicker=0.03), files="hdf5", seed=35,
    ),
    Member(
        "board5-fibres-256", (0.6, 0.25, WATER, 0.55), (256, 256), Board(5, 5, 4000, 66_000),
        "fibres", {"count": 3, "length": 100.0, "radius": 1.5, "thick": 12.0}, contrast=0.02, height_um=20.0,
        spoils=Spoils((200, -400), vignetting=0.2, dust=5), background="file", files="stack", seed=36,
    ),
    Member(
        "stranger2", (0.53, 0.5, CULTURE, 0.26), (104, 104), Board(7, 7, 4000, 70_000, step=2),
        sample_options={"diameter": 12.0, "seed": 42}, phase_rad=1.8, place=(-0.9, 1.1), height_um=-1.5,
        spoils=Spoils((-350, -350), -1.8, reversed=True, flicker=0.02, vignetting=0.25, gradient=0.02,
                      offset=80, dust=4, hot=5, dead=(11,)),
        photons=6_000, bits=12, files="pattern", seed=37, aside=True,
    ),
]  # fmt: skip
