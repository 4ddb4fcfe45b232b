"""Draw which spatial frequencies images support, and what is left of a bead when the others are missing.

    python scripts/missing_cone.py [--out docs/missing_cone.png]

To first order, without noise and without a prior: see `fieldrx.band`.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fieldrx import Grid, Illumination, Microscope
from fieldrx.band import supported_band

RADIUS, CONTRAST, INDEX, WAVELENGTH = 2.5, 0.02, 1.335, 0.532  # um, index of the bead over the medium's, um
GRID = Grid((128, 128, 128), (0.1, 0.1, 0.1), (-6.4, -6.4, -6.4))
OBJECTIVES = (0.4, 0.8, 1.2)


def light(na):
    """A lamp on the axis and three rings, the outermost just inside the aperture."""
    rings = ((24, 0.33), (48, 0.66), (96, 0.97))
    places = [Illumination.led_ring(n, share * na).sources_na for n, share in rings]
    return Illumination(np.concatenate([[[0.0, 0.0]], *places]))


def bead():
    """Contrast of a bead with an edge as soft as a voxel."""
    z, y, x = np.meshgrid(*GRID.axes, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    return CONTRAST / (1 + np.exp((r - RADIUS) / (0.3 * GRID.spacing_um[0])))


def height_and_width(section):
    """Extent along z and x through the middle, where the contrast is over half of its maximum [um]."""
    middle = np.array(section.shape) // 2
    return [np.sum(line > 0.5 * section.max()) * 0.1 for line in (section[:, middle[1]], section[middle[0]])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent.parent / "docs" / "missing_cone.png"
    )
    out = parser.parse_args().out
    truth, half = bead(), GRID.shape[0] // 2
    figure, axes = plt.subplots(2, len(OBJECTIVES) + 1, figsize=(11, 5.9), layout="constrained")
    nu = np.fft.fftshift(GRID.frequencies()[0])
    spectrum = np.abs(np.fft.fftshift(np.fft.fftn(truth)))[:, half]
    columns = [("the bead", np.sqrt(spectrum / spectrum.max()), truth)]
    for na in OBJECTIVES:
        band = supported_band(GRID, Microscope(WAVELENGTH, na, INDEX, 0.1), light(na))
        columns.append((f"images at NA {na:g}", np.fft.fftshift(band.supported)[:, half], band.inside(truth)))
    for (title, seen, volume), (above, below) in zip(columns, axes.T, strict=True):
        section = volume[:, half]
        above.imshow(seen, extent=(nu[0], nu[-1], nu[-1], nu[0]), cmap="magma", vmin=0, vmax=1)
        below.imshow(section / CONTRAST, extent=(-6.4, 6.4, 6.4, -6.4), cmap="magma", vmin=-0.2, vmax=1)
        above.set(title=title, xlim=(-4.5, 4.5), ylim=(4.5, -4.5))
        below.set(xlim=(-5, 5), ylim=(5, -5))
        height, width = height_and_width(section)
        share = section[half, half] / CONTRAST
        print(f"{title:<20} {width:.1f} um wide, {height:.1f} um tall, contrast in the middle {share:.2f}")
    axes[0, 0].set(xlabel="across [cycles/um]", ylabel="along the light [cycles/um]")
    axes[1, 0].set(xlabel="across [um]", ylabel="along the light [um]")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
