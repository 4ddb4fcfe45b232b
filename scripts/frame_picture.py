"""Draw a whole frame that was fitted tile by tile: an image, the index in focus, and how tiles keep together.

    fieldrx calibrate ACQ.toml --depth Z0:Z1 -o calibrated.toml
    fieldrx reconstruct calibrated.toml --depth Z0:Z1:DZ -o frame.npz
    python scripts/frame_picture.py calibrated.toml frame.npz OUT.png [--record]

The index is shown at the height where it varies most, with ticks where tiles meet.  On the right are the
errors of unseen images in every tile of the mosaic, and below them those of the tile's own field, fitted and
asked alone.  With --record a line joins scripts/records/bench_frame.txt.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench_frame import tell
from matplotlib.figure import Figure

from fieldrx.acquisition import Windowed
from fieldrx.results import load_result
from fieldrx.tiles import evaluate_mosaic

_SIDE = 900  # pixels of the picture's planes, at most


def sharpest(mosaic, y, x):
    """The height where the index varies most, and the plane of refractive index there."""
    first, last, step = mosaic.provenance.depth
    heights = np.arange(first, last + 0.5 * step, step)
    coarse = [float(mosaic.on_axes([z], y[::4], x[::4]).real.std()) for z in heights]
    z = float(heights[int(np.argmax(coarse))])
    return z, mosaic.medium_index + mosaic.on_axes([z], y, x)[0].real


def draw(mosaic, frame, errors, out):
    pixel, (ny, nx) = mosaic.pixel_size_um, frame.shape
    every = max(1, -(-max(ny, nx) // _SIDE))
    y, x = pixel * np.arange(0, ny, every), pixel * np.arange(0, nx, every)
    z, index = sharpest(mosaic, y, x)
    extent = (0, pixel * nx, pixel * ny, 0)
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    image, plane, board = figure.subplots(1, 3, width_ratios=(1, 1.17, 0.85))
    raw = frame.window((0, ny, 0, nx))
    shown = int(
        np.linalg.norm(raw.illumination.sources_na, axis=1)[raw.illumination.pattern.argmax(1)].argmin()
    )
    image.imshow(raw.stack[shown][::every, ::every], cmap="gray", extent=extent, vmin=0.7, vmax=1.3)
    image.set_title(f"image {shown} of {raw.n_images}")
    low, high = np.percentile(index, (0.5, 99.7))
    drawn = plane.imshow(index, cmap="magma", extent=extent, vmin=low, vmax=high)
    figure.colorbar(drawn, ax=plane, shrink=0.8)
    plane.set_title(f"refractive index at z = {z:g} um")
    meets = [[start + (end - start) / 2 for start, end in pairs] for pairs in overlaps(mosaic.tiling)]
    plane.set_yticks([pixel * n for n in meets[0]], ["tiles meet"] * len(meets[0]), rotation=90, va="center")
    plane.set_xticks([pixel * n for n in meets[1]], ["tiles meet"] * len(meets[1]))
    image.set_xlabel("um")
    rows = len(mosaic.tiling.starts[0])
    held = np.array([tile["nrmse_holdout"] for tile in errors["tiles"]]).reshape(rows, -1)
    alone = np.array([tile["alone_holdout"] for tile in errors["tiles"]]).reshape(rows, -1)
    board.imshow(held, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(held.shape):
        text = f"{held[row, column]:.3f}\n{alone[row, column]:.3f}"
        board.text(column, row, text, ha="center", va="center", color="C3")
    board.set(xticks=[], yticks=[], title="error of unseen images:\nin the mosaic, below it alone")
    figure.savefig(out, dpi=90)


def overlaps(tiling):
    """Along y and x, where every overlap of two tiles begins and ends [pixels]."""
    for starts, size in zip(tiling.starts, tiling.window, strict=True):
        yield [(after, before + size) for before, after in pairwise(starts)]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("frame", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--record", action="store_true")
    a = parser.parse_args()
    mosaic, frame = load_result(a.frame), Windowed.open(a.acquisition)
    errors = evaluate_mosaic(mosaic, frame)
    draw(mosaic, frame, errors, a.out)
    ratios = [tile["nrmse_holdout"] / tile["alone_holdout"] for tile in errors["tiles"]]
    told = {
        "frame": f"{frame.optics.n_images} x {' x '.join(map(str, frame.shape))}, measured",
        "tiles": f"{len(mosaic.tiling)} of {mosaic.tiling.window[0]}",
        "steps": mosaic.fields[0].provenance.steps_done,
        "held out": round(errors["nrmse_holdout"], 4),
        "tiles alone": round(errors["alone_holdout"], 4),
        "noise": round(errors["noise_floor_holdout"], 4),
        "worst tile against itself alone": round(max(ratios), 4),
    }
    tell(told, a.record)


if __name__ == "__main__":
    main()
