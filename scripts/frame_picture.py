"""Draw a whole frame that was fitted tile by tile: an image, planes of the index, and errors of its tiles.

    fieldrx calibrate ACQ.toml --depth Z0:Z1 -o calibrated.toml
    fieldrx reconstruct calibrated.toml --depth Z0:Z1:DZ -o frame.npz
    python scripts/frame_picture.py calibrated.toml frame.npz OUT.png [--z Z Z] [--record]

Ticks tell where tiles meet.  On the right are the errors of unseen images in every tile of the mosaic, and
below them those of the tile's own field, asked alone.  With --record a line joins
scripts/records/bench_frame.txt.  docs/frame_algae.png is of measured frames of algae, calibrated with
--depth=-120:0 and fitted with --depth=-100:-25:6.25 --tiles 400 --steps 80, at --z -31 -70.
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


def draw(mosaic, frame, errors, heights, out):
    pixel, (ny, nx) = mosaic.pixel_size_um, frame.shape
    every = max(1, -(-max(ny, nx) // _SIDE))
    y, x = pixel * np.arange(0, ny, every), pixel * np.arange(0, nx, every)
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    image, *planes, board = figure.subplots(1, 2 + len(heights), width_ratios=(1, *[1] * len(heights), 0.7))
    shape = {"extent": (0, pixel * nx, pixel * ny, 0)}
    seen = frame.window((0, ny, 0, nx))
    steepness = np.linalg.norm(seen.illumination.sources_na, axis=1)[seen.illumination.pattern.argmax(axis=1)]
    shown = int(steepness.argmin())
    image.imshow(seen.stack[shown, ::every, ::every], cmap="gray", vmin=0.7, vmax=1.3, **shape)
    image.set(title=f"image {shown} of {seen.n_images}", xlabel="um")
    indices = [mosaic.medium_index + mosaic.on_axes([z], y, x)[0].real for z in heights]
    low, high = np.percentile(indices, (0.3, 99.7))
    for axes, z, index in zip(planes, heights, indices, strict=True):
        drawn = axes.imshow(index, cmap="magma", vmin=low, vmax=high, **shape)
        axes.set(title=f"index at z = {z:g} um", xlabel="ticks: where tiles meet")
        for axis, places in zip((axes.yaxis, axes.xaxis), meetings(mosaic.tiling), strict=True):
            axis.set_ticks([pixel * place for place in places], [""] * len(places))
    figure.colorbar(drawn, ax=planes, shrink=0.8)
    tell_errors(board, errors["tiles"], len(mosaic.tiling.starts[0]))
    figure.savefig(out, dpi=85)


def tell_errors(axes, tiles, rows):
    """A table of the errors of all tiles, in the mosaic and alone."""
    held, alone = (
        np.array([tile[name] for tile in tiles]).reshape(rows, -1)
        for name in ("nrmse_holdout", "alone_holdout")
    )
    axes.imshow(held, cmap="Greys", vmin=0, vmax=1.5)
    for row, column in np.ndindex(held.shape):
        text = f"{held[row, column]:.2f}\n{alone[row, column]:.2f}"
        axes.text(column, row, text, ha="center", va="center")
    axes.set(xticks=[], yticks=[], title="errors of unseen images,\nbelow: of the tile alone")


def meetings(tiling):
    """Along y and x, the middle of every overlap of two tiles [pixels]."""
    for starts, size in zip(tiling.starts, tiling.window, strict=True):
        yield [0.5 * (after + before + size) for before, after in pairwise(starts)]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("frame", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--z", type=float, nargs=2, help="default: a third of the depth from either end")
    parser.add_argument("--record", action="store_true")
    a = parser.parse_args()
    mosaic, frame = load_result(a.frame), Windowed.open(a.acquisition)
    errors = evaluate_mosaic(mosaic, frame)
    first, last, _ = mosaic.provenance.depth
    draw(mosaic, frame, errors, a.z or np.linspace(first, last, 4)[1:-1], a.out)
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
