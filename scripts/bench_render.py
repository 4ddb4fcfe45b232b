"""Time rendering: points per second from the network to the file, and the memory that it takes.

    python scripts/bench_render.py [--quick] [--record] [--threads 2]

The field is the default one for 29 slices of 128 x 128 pixels at NA 0.8, its weights random (they do not
change the time).  Every case runs in a process of its own and writes two volumes, the second of 64 times as
many points; memory is the resident peak beyond what the process had after a small rendering.
"""

import os
import platform
import tempfile
from pathlib import Path

import numpy as np
from bench_kernels import PEAK_FLOPS, ours_peak
from racing import processor, race, run

RECORD = Path(__file__).parent / "records" / "bench_render.txt"
# Points along the sides of two volumes, the second 64 times the first.
SIDES = {"npy": (128, 512), "ome.tif": (64, 256), "ome.zarr": (64, 256)}
SLANTED = 192  # points along the sides of a volume that lies aslant in space


def field():
    """The default architecture of a fit, with random weights."""
    from fieldrx.field import Network, NeuralField
    from fieldrx.field.choices import default_encoding
    from fieldrx.optics import Grid, Illumination, Microscope

    scope = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=0.16)
    grid = Grid.for_images((112, 112), scope, (-7.0, 7.0, 0.5), 2.5)
    encoding = default_encoding(grid, scope, Illumination.led_ring(8, 0.79))
    network = Network(encoding.n_features, width=32, depth=2)
    rng = np.random.default_rng(0)
    params = np.concatenate([encoding.initial_params(rng), network.initial_params(rng)])
    region = np.array([(-7.0, 7.0), (0.0, 17.76), (0.0, 17.76)])
    return NeuralField(
        encoding, network, params.astype("f4"), grid.bounds_um, region, grid.spacing_um, 0.05, 1.335
    )


def rival(case, name, small=False):
    """The function to time: a rendering of so many points along every side, as a file of the ending."""
    if name == "peak":
        return ours_peak()
    from fieldrx.render import Lattice, rotation, sample, volume_lattice, write
    from fieldrx.render.files import pyramid

    ours, side = field(), 40 if small else int(name)
    lattice = volume_lattice(ours, shape=(side,) * 3)
    if case == "slanted":
        step = (0.05,) * 3
        lattice = Lattice((side,) * 3, step, (0.0, 4.0, 4.0), rotation((1, 1, 1), 40))
    levels = [
        sample(ours, level, "n") for level in (lattice, *(pyramid(lattice) if case == "ome.zarr" else ()))
    ]
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"volume.{'npy' if case == 'slanted' else case}"

    def work(folder=folder):
        write(path, levels[0], levels[1:])

    return work


def flops_per_point(network):
    """Of the network alone, two per multiplication; features are mostly a matter of memory."""
    return 2 * sum(fan_in * fan_out for fan_in, fan_out in network.layer_shapes())


def report(threads, rounds, say):
    say(
        f"{processor()}, {threads} threads, Python {platform.python_version()}, NumPy {np.__version__}; "
        "best (median) of interleaved runs, file included"
    )
    ours = field()
    peak = PEAK_FLOPS / race(__file__, "peak", ["peak"], threads, 5)["peak"].best
    flops = flops_per_point(ours.network)
    say(
        f"hash grid of {len(ours.encoding.resolutions)} levels, network {ours.network.n_inputs} -> "
        f"{ours.network.depth} x {ours.network.width} -> {ours.network.n_outputs}: {flops} floating-point "
        f"operations a point; the machine's fused multiply-add peak is {peak * 1e-9:.0f} GF/s\n"
    )
    for case, sides in (SIDES | {"slanted": (SLANTED,)}).items():
        rivals = race(__file__, case, [str(side) for side in sides], threads, rounds)
        for side in sides:
            contestant = rivals[str(side)]
            rate = side**3 / contestant.best
            title = "npy, aslant" if case == "slanted" else case
            say(
                f"  {title:12s} {side}^3 {contestant.best:7.2f} s ({contestant.median:6.2f})  "
                f"{rate * 1e-6:6.2f} million points/s  {flops * rate * 1e-9:5.1f} GF/s "
                f"({flops * rate / peak:.0%} of the peak)  {contestant.extra_mb:5.0f} MB"
            )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(
        f"\n{rounds} rounds; load average over the last 1, 5, 15 minutes: {load} "
        f"(of which {threads} can be this benchmark)"
    )


if __name__ == "__main__":
    run(__doc__, report, rival, RECORD, rounds=1, warm_up=True)
