"""What one step of a fit asks of a GPU: calls from the host, and bytes that they move; needs none.

    python scripts/count_launches.py [--names MODEL] [--record]

The package runs on the tests' stand-in for CuPy, which computes nothing here but counts every call.  The fit
is of the size of the simulated HL-60 cell: 70 slices, 192 x 192 pixels, batches of 8 images, default field.
Counted are launches of graphs, of our kernels outside them, transforms of cuFFT, kernels that CuPy launches
for array functions, and copies between host and device.  A graph moves what the launches in it move.  An FFT
moves every element once in and once out for each axis; a kernel of CuPy's reads its operands and writes its
result; one of ours reads what its declaration calls const and writes the rest, a slice at a time of what it
takes so, and reads as well what it adds to.  FIELDRX_CUDA_GRAPHS=0 counts without graphs.
"""

import argparse
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "cudaemu")]

import fake_cupy  # noqa: E402  (the tests' stand-in)

from fieldrx import Acquisition, Fit, Illumination, Microscope, Schedule  # noqa: E402
from fieldrx.backends import cuda_unavailable  # noqa: E402
from fieldrx.backends.cuda import load  # noqa: E402
from fieldrx.fit.start import fresh_state  # noqa: E402

SHAPE = (43, 192, 192)  # of the images
# Models, and their calls before marches were recorded and small arrays packed.
MODELS = {"born": 70, "rytov": 69, "bpm": 370, "mlb": 377, "ssnp": 374}
KINDS = ("graph", "kernel", "fft", "elementwise", "copy")
DEPTH = (-9.7, 9.7, 0.28)
RECORD = ROOT / "scripts" / "records" / "count_launches.txt"
_KERNEL = r'extern\s+"C"\s+__global__[^{}]*?\b%s\s*\(([^)]*)\)'
# Arguments that are read and written, those of which some rows are read, and kernels that take one slice.
BOTH = {
    "adam_step": ("params", "m", "v"),
    "regularise": ("grad",),
    "add_intensity": ("images",),
    "bpm_row_back": ("d_wave",),
    "scatter_row_back": ("d_wave",),
    "transform_row": ("wave",),
    "bpm_column": ("wave",),
    "mlb_column": ("wave", "state"),
    "ssnp_column": ("wave", "u", "p"),
    "ssnp_camera": ("wave", "p"),
    "ssnp_camera_back": ("wave",),
}
CHOSEN = {("measured", "images"), ("measured", "mask")}
SLICED = {"bpm_row", "bpm_row_back", "scatter_row", "scatter_row_back"}


@cache
def declared(kernel):
    """(name, whether it is only read) of every argument of a kernel, pointers or not."""
    for source in load.source_files():
        text = load.source(source).replace(" FREQUENCIES", " sources, nu_y, nu_x, ball, band, roots, nx")
        if found := re.search(_KERNEL % kernel, text):
            parts = found.group(1).split(",")
            return [(part.split()[-1].lstrip("*"), "const" in part) for part in parts]
    raise LookupError(f"no source declares {kernel}")


def moved(work):
    """Bytes that one call moves."""
    if work.kind == "graph":
        return sum(map(moved, work.works))
    if work.kind != "kernel":
        return work.moved
    total = 0
    for (name, read), array in zip(declared(work.name), work.arrays, strict=True):
        if array is not None:
            size, shape = array
            if work.name in SLICED and name in ("slices", "d_slices"):
                size //= shape[0]
            if name == "table" or (work.name, name) in CHOSEN:  # those of the sources, or images, at work
                size = size // shape[0] * work.arrays[-1][1][0]
            total += size * (2 if name in BOTH.get(work.name, ()) and not read else 1)
    return total


def acquisition():
    """Images of noise: what they show does not matter."""
    light = Illumination.led_ring(SHAPE[0], 0.6)
    scope = Microscope(wavelength_um=0.515, objective_na=0.65, medium_index=1.335, pixel_size_um=0.139)
    images = 1 + 0.1 * np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    return Acquisition(images, light, scope, holdout=[10])


def step(model):
    """All calls of one fine step, of a batch that looks at no held-out images; and the grid's shape."""
    with fake_cupy.installed() as device:
        cuda_unavailable()
        schedule = Schedule(warm_steps=0, coarse=0.0, tilted_from=0.0, batch=8, evaluate_every=1000)
        fit = Fit(acquisition(), DEPTH, model, schedule=schedule, device="cuda", background=False)
        device.dry = True  # until here the device was asked whether it computes, and images were looked at
        params = np.zeros(fit.encoding.n_params + fit.network.n_params, np.float32)
        fit.state = fresh_state(fit.backend.asarray(params), 0.01)
        fit.correction.begin(fit.state)
        fit.state.keep()
        fit.step()  # looks at the held-out image
        for _ in range(2):  # makes plans and tables of a batch's shape, and records its launches
            fit.step()
        device.reset()
        if not fit.step():
            raise RuntimeError(f"a step of {model} went astray")
        return list(device.work), fit.grid.shape


def table():
    """Lines of the record."""
    yield f"{'model':6} {'grid':>15}" + "".join(f"{kind:>13}" for kind in (*KINDS, "calls", "before"))
    for model, before in MODELS.items():
        works, shape = step(model)
        calls, size = Counter(), Counter()
        for work in works:
            calls[work.kind] += 1
            size[work.kind] += moved(work)
        name = " x ".join(map(str, shape))
        yield (
            f"{model:6} {name:>15}"
            + "".join(f"{calls[k]:13d}" for k in KINDS)
            + f"{calls.total():13d}{before:13d}"
        )
        yield (
            f"{'':6} {'GB':>15}"
            + "".join(f"{size[k] / 1e9:13.3f}" for k in KINDS)
            + f"{size.total() / 1e9:13.3f}"
        )


def names(model):
    """The calls of one model by name, those that move most first."""
    calls, size = Counter(), Counter()
    for work in step(model)[0]:
        calls[work.kind, work.name] += 1
        size[work.kind, work.name] += moved(work)
    for (kind, name), total in size.most_common():
        yield f"{kind:12} {name:20} {calls[kind, name]:5d} {total / 1e6:9.1f} MB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", choices=MODELS, help="the calls of one model by name")
    parser.add_argument("--record", action="store_true", help="write the table to scripts/records")
    asked = parser.parse_args()
    lines = list(names(asked.names) if asked.names else table())
    print(*lines, sep="\n")
    if asked.record and not asked.names:
        RECORD.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
