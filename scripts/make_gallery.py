"""Draw the pictures of the README from the data of `fieldrx demo`.

    python scripts/make_gallery.py [--demo FOLDER] [--out docs]

The demo is run first when FOLDER has no field in it.
"""

import argparse
from pathlib import Path

import numpy as np

from fieldrx import Acquisition, load_field, read_acquisition, read_volume, simulate
from fieldrx.demo import run_demo
from fieldrx.io import write_png
from fieldrx.render import new_images, render, turned
from fieldrx.render.pictures import write as write_words

TILT = turned([("y", 35), ("x", 20)])
NEVER_USED = (0.198, 0.765)  # numerical aperture of a direction between two LEDs of the demo
PIXEL = 0.04  # of stills [um]


def stills(field, out):
    """A slanted plane, the dry mass, and two surfaces."""
    middle, region = field.region_um.mean(axis=1), tight(field)
    render(field, out / "slanted.png", PIXEL, region=region, plane=(middle, (0.7, 1.0, 0.0), None))
    render(field, out / "dry_mass.png", PIXEL, region=region, projection="path", quantity="dry-mass")
    render(field, out / "surface.png", PIXEL, region=region, rotation=TILT, projection="surface")


def films(field, out):
    """The cell turning, and a flight into it."""
    render(field, out / "spin.gif", 0.085, region=tight(field), kind="spin", frames=32, fps=10)
    render(field, out / "zoom.gif", 0.085, kind="zoom", frames=16, fps=5, through=brightest(field))


def other_light(field, folder, out):
    """An image that was never taken, beside what the microscope would have shown."""
    acq = read_acquisition(folder / "acquisition.npz")
    new = new_images(field, [NEVER_USED])
    optics = Acquisition(None, new.illumination, acq.microscope)
    seen = simulate(read_volume(folder / "truth.npz"), optics, "ssnp", new.image_shape)
    gap = np.full((new.image_shape[0], 4), 2.0, np.float32)
    pair = np.concatenate([seen.images[0], gap, new.images[0]], axis=1)
    grey = np.round(np.clip(np.kron(pair, np.ones((3, 3))) / 2, 0, 1) * 255).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    for words, left in (("microscope", 6), ("predicted by the field", 6 + 3 * (new.image_shape[1] + 4))):
        write_words(picture, words, 4, left, 12, white=True)
    write_png(out / "new_light.png", picture)
    error = np.linalg.norm(new.images - seen.images) / np.linalg.norm(seen.images - 1)
    print(f"light at NA {NEVER_USED}: relative error of the predicted image {error:.3f}")


def tight(field):
    """The region without most of the medium around the cell."""
    low, high = field.region_um.T
    size = high - low
    return np.stack([low + (0.06, 0.16, 0.16) * size, high - (0.06, 0.16, 0.16) * size], axis=1)


def brightest(field):
    """The point of the highest index in the plane of focus, where the nucleoli are."""
    y, x = (np.linspace(lo, hi, 300) for lo, hi in field.region_um[1:])
    row, column = np.unravel_index(field.on_axes(0.0, y, x)[0].real.argmax(), (300, 300))
    return 0.0, y[row], x[column]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("fieldrx-demo"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs")
    arguments = parser.parse_args()
    if not (arguments.demo / "cell.npz").exists():
        run_demo(arguments.demo)
    field = load_field(arguments.demo / "cell.npz")
    stills(field, arguments.out)
    films(field, arguments.out)
    other_light(field, arguments.demo, arguments.out)
    for path in sorted(arguments.out.iterdir()):
        print(f"{path.stat().st_size / 1e3:7.0f} kB  {path}")


if __name__ == "__main__":
    main()
