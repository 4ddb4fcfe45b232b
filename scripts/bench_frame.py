"""A whole frame fitted tile by tile: time, memory, and what the seams cost.

    python scripts/bench_frame.py make FOLDER [--pixels 2048] [--images 24] [--photons 20000]
    python scripts/bench_frame.py run FOLDER [--slices N] [--steps N] [--tiles PIXELS] [--alone N] [--record]
    python scripts/bench_frame.py across FOLDER [--record]
    python scripts/bench_frame.py sizes [--record]

`make` simulates cells on a board of LEDs 79 mm away, window by window with a guard around each, so that every
part of the frame has the directions of its own place: 16-bit counts and an acquisition.toml.  `run` fits
them with the defaults but for the number of steps, and compares: seconds a voxel and step of the whole job
with those of single tiles fitted alone; the index error in the ramps between tiles with that inside them; and
the largest resident memory.  `across` fits a corner twice, with the directions of its place and with
those of the frame's centre.  `sizes` tells what a constant direction costs against a tile's size: the
relative error of I - 1 at its corner, by Born's model, of cells in focus and 40 um before it.  With --record
a line joins scripts/records/bench_frame.txt.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from zoo_samples import Sample, add_ellipsoid

from fieldrx import Fit, Grid, Illumination, Microscope
from fieldrx.acquisition import Windowed
from fieldrx.models import make_model
from fieldrx.tiles import evaluate_mosaic, fit_tiles, plan

RECORD = Path(__file__).parent / "records" / "bench_frame.txt"
SCOPE = Microscope(wavelength_um=0.53, objective_na=0.4, medium_index=1.33, pixel_size_um=0.4)
PITCH, DISTANCE = 4000.0, 79000.0
REACH = 0.36  # of the LEDs, as sines: well inside the pupil
STEP, SLICES = 0.45, 32
FULL = 20000  # counts
WINDOW, GUARD = 256, 64
CONTRAST = 0.012


def depth(slices=SLICES):
    """Slices about the focus; the cells fill the inner 32."""
    half = 0.5 * STEP * (slices - 1)
    return -half, half, STEP


def light(n_images):
    """LEDs of a 15 x 15 board that fill the pupil evenly: each is the farthest from those chosen before."""
    leds = np.argwhere(np.ones((15, 15), bool)) - 7
    leds = leds[np.linalg.norm(leds, axis=1) * PITCH < REACH * np.hypot(DISTANCE, 7 * PITCH)]
    chosen = [np.flatnonzero(~leds.any(axis=1))[0]]
    while len(chosen) < n_images:
        apart = np.linalg.norm(leds[:, None] - leds[chosen], axis=2).min(axis=1)
        chosen.append(np.argmax(apart))
    return leds[chosen] + 7


def illumination(n_images):
    return Illumination.led_grid(light(n_images), PITCH, DISTANCE, (7, 7))


def cells(pixels, seed=0):
    """Cells of 6 to 12 um with a nucleus, about one to every 22 um."""
    rng, width = np.random.default_rng(seed), pixels * SCOPE.pixel_size_um
    sample = Sample()
    for _ in range(int((width / 22) ** 2)):
        y, x = rng.uniform(0, width, 2)
        r = rng.uniform(3, 6)
        z = rng.uniform(-2, 2)
        add_ellipsoid(sample, (z, y, x), (0.5 * r, r, r * rng.uniform(0.7, 1.0)), 0.6)
        add_ellipsoid(sample, (z, y + 0.2 * r, x), (0.25 * r, 0.4 * r, 0.4 * r), 1.0)
    return sample


def make(folder, pixels, n_images, photons):
    folder.mkdir(parents=True, exist_ok=True)
    sample, whole, rng = cells(pixels), illumination(n_images), np.random.default_rng(1)
    frame = np.zeros((n_images, pixels, pixels), np.uint16)
    pixel = SCOPE.pixel_size_um
    for y in range(0, pixels, WINDOW):
        for x in range(0, pixels, WINDOW):
            height, width = min(WINDOW, pixels - y), min(WINDOW, pixels - x)
            centre = (y + 0.5 * (height - pixels)) * pixel, (x + 0.5 * (width - pixels)) * pixel
            shape = height + 2 * GUARD, width + 2 * GUARD
            grid = Grid.for_images(shape, SCOPE, depth(), spacing_um=0.5 * pixel)
            axes = (grid.axes[0], grid.axes[1] + (y - GUARD) * pixel, grid.axes[2] + (x - GUARD) * pixel)
            model = make_model("bpm", grid, SCOPE, whole.at(centre), shape, edge="soft")
            seen = model.forward(CONTRAST * sample.paint(axes))[:, GUARD:-GUARD, GUARD:-GUARD]
            counts = rng.poisson(photons * np.maximum(seen, 0)) * (FULL / photons)
            frame[:, y : y + height, x : x + width] = np.rint(counts)
            print(f"{y}, {x} of {pixels}", flush=True)
    tifffile.imwrite(folder / "frame.tif", frame, metadata={"axes": "TYX"})
    leds = ", ".join(f"[{r}, {c}]" for r, c in light(n_images).tolist())
    (folder / "acquisition.toml").write_text(
        f'[microscope]\nwavelength_um = {SCOPE.wavelength_um}\nobjective_na = {SCOPE.objective_na}\n'
        f"medium_index = {SCOPE.medium_index}\npixel_size_um = {pixel}\n\n"
        f'[images]\nfiles = "frame.tif"\nbackground = {FULL}\nholdout = [4, 11, {n_images - 3}]\n\n'
        f'[illumination]\nkind = "led-grid"\ndirections = "travel"\npitch_um = {PITCH}\n'
        f"distance_um = {DISTANCE}\ncentre = [7, 7]\nleds = [{leds}]\n"
    )  # fmt: skip


def run(folder, slices, steps, tiles, alone, record):
    frame = Windowed.open(folder / "acquisition.toml")
    options = {"schedule": {"steps": steps} if steps else None}
    job = plan(frame, depth(slices), "bpm", tiles, **options)
    if job is None:
        raise SystemExit("one field will do for this frame: make a larger one, or give --tiles")
    few = [list(job.tiling)[k] for k in np.linspace(0, len(job.tiling) - 1, alone).astype(int)]
    rates = [single(job, tile) for tile in few]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as kept:
        mosaic = fit_tiles(job, Path(kept) / "tiles", say=lambda text: print(text, flush=True))
    seconds = time.perf_counter() - begun
    work = sum(np.prod(one.provenance.grid["shape"]) * one.provenance.steps_done for one in mosaic.fields)
    errors = evaluate_mosaic(mosaic, frame)
    told = {
        "frame": f"{frame.optics.n_images} x {' x '.join(map(str, frame.shape))}",
        "tiles": f"{len(job.tiling)} of {job.tiling.window[0]}",
        "slices": slices,
        "steps": mosaic.fields[0].provenance.steps_done,
        "ns/voxel/step": round(1e9 * seconds / work, 1),
        "of tiles alone": round(seconds / work / np.median(rates), 3),
        "s": round(seconds),
        "GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "held out": round(errors["nrmse_holdout"], 4),
        "tiles alone": round(errors["alone_holdout"], 4),
        "noise": round(errors["noise_floor_holdout"], 4),
        **seams(mosaic, cells(frame.shape[0])),
    }
    tell(told, record)


def single(job, tile):
    """Seconds a voxel and step of one tile alone."""
    fit = Fit(job.frame.window(tile.window), job.depth, job.model, schedule=job.options["schedule"])
    begun = time.perf_counter()
    field = fit.run()
    return (time.perf_counter() - begun) / (np.prod(fit.grid.shape) * field.provenance.steps_done)


def seams(mosaic, sample):
    """Relative index errors in the ramps between tiles, and outside them."""
    _, ny, nx = mosaic.volume(spacing=(20.0, 1.0, 1.0)).contrast.shape
    z = np.arange(-4, 4.1, 0.5)
    missed, there = np.zeros(2), np.zeros(2)
    x = np.arange(nx) * 1.0
    for y in np.array_split(np.arange(ny) * 1.0, 8):
        truth = CONTRAST * sample.paint((z, y, x))
        found = mosaic.on_axes(z, y, x)
        where = mixed(mosaic, y, x)
        for k, part in enumerate((where, ~where)):
            missed[k] += (np.abs(found - truth)[:, part] ** 2).sum()
            there[k] += (np.abs(truth)[:, part] ** 2).sum()
    seam, inside = np.sqrt(missed / there)
    return {"index at seams": round(float(seam), 3), "inside": round(float(inside), 3)}


def mixed(mosaic, y, x):
    """Where more than one tile counts."""
    most = np.zeros((len(y), len(x)))
    for tile in mosaic.tiling:
        wy, wx = mosaic.tiling.weight(tile, y / mosaic.pixel_size_um, x / mosaic.pixel_size_um)
        most = np.maximum(most, wy[:, None] * wx)
    return most < 0.999


def across(folder, steps, record):
    frame = Windowed.open(folder / "acquisition.toml")
    side = min(320, min(frame.shape))
    corner = frame.window((0, side, 0, side))
    here, centre = corner.illumination, corner.illumination.at((0.0, 0.0))
    told = {"frame": f"{' x '.join(map(str, frame.shape))}, a corner of {side}"}
    told["turned by"] = round(float(np.abs(here.sources_na - centre.sources_na).max()), 4)
    for name, one in (("directions of the place", here), ("of the centre", centre)):
        options = {"schedule": {"steps": steps} if steps else None}
        field = Fit(replace(corner, illumination=one), depth(), "bpm", **options).run()
        told[f"held out, {name}"] = round(field.provenance.nrmse_holdout, 4)
        z, y, x = np.arange(-4, 4.1, 0.5), np.arange(0, 0.4 * side, 1.0), np.arange(0, 0.4 * side, 1.0)
        truth = CONTRAST * cells(frame.shape[0]).paint((z, y, x))
        error = np.linalg.norm(field.on_axes(z, y, x) - truth) / np.linalg.norm(truth)
        told[f"index, {name}"] = round(float(error), 3)
    tell(told, record)


def sizes(record):
    """What directions of a tile's centre cost in its corner, for tiles of several sizes."""
    shape, whole, sample = (WINDOW, WINDOW), illumination(9), cells(WINDOW)
    for height in (0.0, -40.0):
        grid = Grid.for_images(shape, SCOPE, (height - 7, height + 7, 1.4))
        contrast = CONTRAST * sample.paint((grid.axes[0] - height, *grid.axes[1:]))

        def images(light, grid=grid, contrast=contrast):
            return make_model("born", grid, SCOPE, light, shape).forward(contrast) - 1

        told = {"Born's I - 1, cells at um": height}
        centre = images(whole)
        for side in (160, 320, 640, 1280, 2048):
            corner = images(whole.at((0.5 * side * SCOPE.pixel_size_um,) * 2))
            told[f"{side} pixels"] = round(float(np.linalg.norm(corner - centre) / np.linalg.norm(corner)), 4)
        tell(told, record)


def tell(told, record):
    line = ", ".join(f"{name} {value}" for name, value in told.items())
    print(line)
    if record:
        threads = os.environ.get("NUMBA_NUM_THREADS", "all")
        with open(RECORD, "a") as file:
            file.write(
                f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, threads {threads}: {json.dumps(told)}\n"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("make", "run", "across", "sizes"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--pixels", type=int, default=2048)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--photons", type=int, default=20000, help="of a pixel of the background")
    parser.add_argument("--slices", type=int, default=SLICES)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--tiles", type=int)
    parser.add_argument("--alone", type=int, default=2, help="tiles that are also fitted alone")
    parser.add_argument("--record", action="store_true")
    a = parser.parse_args()
    if a.what == "sizes":
        return sizes(a.record)
    if a.folder is None:
        parser.error(f"{a.what} needs a FOLDER")
    if a.what == "make":
        make(a.folder, a.pixels, a.images, a.photons)
    elif a.what == "run":
        run(a.folder, a.slices, a.steps, a.tiles or "auto", a.alone, a.record)
    else:
        across(a.folder, a.steps, a.record)


if __name__ == "__main__":
    main()
