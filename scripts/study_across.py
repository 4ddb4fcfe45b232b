"""Directions that change across a frame: are held-out images predicted better, and where?

    python scripts/study_across.py ACQUISITION.toml --depth=Z0:Z1:DZ [--holdout 2 3 8 14 16] [--grid 4]
                                   [--side 192] [--distance-um D] [--counts STACK.tif] [--record]

The frame is calibrated as a whole, without the images held out.  Windows on a grid are then inverted in
closed form (Tikhonov) by Born's model and by Rytov's, each with the same images: with one direction an image
for the whole frame, with those of a board at the distance that the file states (or D), and with those that
calibration finds across the frame.  The strength of the regularisation is chosen by cross-validation for the
first and kept for the others, as two choices differ by chance.  Told are the held-out errors of the
intensities as maps.  Images that one of the three takes as dark field, or that contradict the board, are left
out of a window.

With --counts, the raw images, also: how directions change by where images near the aperture's edge turn from
bright to dark.  Calibration looks at no brightness, so this is independent of it.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from scipy.optimize import least_squares
from scipy.special import expit

from fieldrx import read_acquisition
from fieldrx.calibration import calibrate
from fieldrx.models import grid_for, make_model
from fieldrx.tikhonov import tikhonov

RECORD = Path(__file__).parent / "records" / "study_across.txt"
MODELS = ("born", "rytov")


def lights(found, stated_um):
    """The illumination of the whole frame in the ways that are compared."""
    measured = found.acquisition.illumination
    ways = {"one direction": replace(measured, distance_um=None)}
    if stated_um is not None:
        ways[f"board {1e-3 * stated_um:g} mm away"] = replace(measured, distance_um=stated_um)
    if found.turning is not None and found.turning.told:
        ways[f"found, {1e-3 * found.turning.distance_um:.3g} mm"] = measured
    return ways


def bright_in_all(windows):
    """Images that no window takes as dark field."""
    return np.flatnonzero(~np.any([w.illumination.dark(w.microscope) for w in windows], axis=0))


def held_out_error(window, name, depth, images, held, strength=None):
    """Relative error of the intensities of the images held out, less 1, and the strength that was used."""
    grid = grid_for(name, window.image_shape, window.microscope, depth)
    model = make_model(name, grid, window.microscope, window.illumination, window.image_shape)
    train = np.setdiff1d(images, held)
    signal = model.signal(window.images[train])
    known = np.where(np.isfinite(signal), signal, 0).astype(np.float32)
    contrast, strength = tikhonov(model, known, train, strength)
    measured = window.images[held]
    missed = np.linalg.norm(model.forward(contrast, held) - measured)
    return float(missed / np.linalg.norm(measured - 1)), strength


def edge_of_brightness(counts, light, scope, places=32):
    """How directions change across the frame by where raw images are bright and dark.

    The background is bright where the direction lies within the aperture: its level over 32 x 32 places of
    all images is fitted with a soft edge.

    Returns
    -------
    array of (shift y, x [NA], aperture [NA], change [NA/um], width of the edge [NA])
    """
    pixels = counts.shape[1] // places, counts.shape[2] // places
    cut = counts[:, : places * pixels[0], : places * pixels[1]]
    level = np.median(cut.reshape(-1, places, pixels[0], places, pixels[1]), axis=(2, 4))
    inner = np.linalg.norm(light.sources_na, axis=1) < 0.7 * scope.objective_na
    level = np.clip(level / np.median(level[inner]), 0, 1)
    y, x = ((np.arange(places) - 0.5 * (places - 1)) * p * scope.pixel_size_um for p in pixels)
    na_y, na_x = light.sources_na.T[:, :, None, None]

    def missed(p):
        away = np.hypot(na_y + p[0] + 1e-3 * p[3] * y[:, None], na_x + p[1] + 1e-3 * p[3] * x)
        return (level - expit((p[2] - away) / p[4])).ravel()

    start = [0.0, 0.0, scope.objective_na, 0.0, 0.01]
    return least_squares(missed, start, loss="soft_l1", f_scale=0.1).x * [1, 1, 1, 1e-3, 1]


def corners(shape, grid, side):
    """First pixels (y, x) of evenly spread windows."""
    return [
        (int(y), int(x))
        for y in np.linspace(0, shape[0] - side, grid)
        for x in np.linspace(0, shape[1] - side, grid)
    ]


def study(options, say):
    acq = replace(read_acquisition(options.acquisition), holdout=tuple(options.holdout))
    stated = acq.illumination.distance_um
    stated = options.distance_um if stated is None else float(np.median(stated))
    found = calibrate(acq, options.depth[:2])
    say("\n".join(note for note in found.notes if "directions" in note))
    ways = lights(found, stated)
    errors = {(model, name): [] for model in MODELS for name in ways}
    for y, x in corners(acq.image_shape, options.grid, options.side):
        place = (y, y + options.side, x, x + options.side)
        windows = [replace(acq, illumination=light).crop(place) for light in ways.values()]
        images = np.setdiff1d(bright_in_all(windows), found.outliers)
        held = np.intersect1d(images, options.holdout)
        for model in MODELS:
            strength = None
            for name, window in zip(ways, windows, strict=True):
                error, strength = held_out_error(window, model, options.depth, images, held, strength)
                errors[model, name].append(error)
        print(y, x, len(images), len(held), [round(e[-1], 4) for e in errors.values()], flush=True)
    tell(errors, options.grid, say)
    if options.counts is not None:
        counts = tifffile.imread(options.counts)
        y, x, aperture, change, _ = edge_of_brightness(counts, acq.illumination, acq.microscope)
        say(
            f"by where raw images are bright or dark: directions change by {1e3 * change:+.4f} in NA a mm, "
            f"aperture {aperture:.4f}, directions of the table shifted by ({y:+.4f}, {x:+.4f})"
        )


def tell(errors, grid, say):
    """Maps of the held-out error, and in how many windows each way improves on one direction."""
    for (model, name), values in errors.items():
        first, values = np.array(errors[model, "one direction"]), np.array(values)
        better = (
            f"{(values < first).sum()} of {len(values)} better, median ratio {np.median(values / first):.4f}"
        )
        better = "" if name == "one direction" else f", {better}"
        say(f"{model}, {name}: median {np.median(values):.4f}{better}")
        for row in values.reshape(grid, grid):
            say("  " + "  ".join(f"{v:.3f}" for v in row))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("--depth", type=lambda t: tuple(map(float, t.split(":"))), required=True)
    parser.add_argument("--holdout", type=int, nargs="+", default=[2, 3, 8, 14, 16])
    parser.add_argument("--distance-um", type=float, help="stated, where the file does not say it")
    parser.add_argument("--grid", type=int, default=4)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--counts", type=Path, help="the raw images, for their brightness")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    begun, lines = time.perf_counter(), []

    def say(text):
        print(text, flush=True)
        lines.append(text)

    study(options, say)
    say(f"{time.perf_counter() - begun:.0f} s in all")
    if options.record:
        RECORD.write_text(f"{__doc__.splitlines()[0]}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
