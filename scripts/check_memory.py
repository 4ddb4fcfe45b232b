"""What fits take of the memory, beside what `fieldrx.fit.fit_needs` says beforehand.

    python scripts/check_memory.py

Every fit runs a few steps in a process of its own, whose largest resident memory is read; what Python and
compiled code take before it is left out on both sides.  A record: scripts/records/check_memory.txt.
"""

import json
import resource
import subprocess
import sys

import numpy as np

JOBS = [  # model, images, pixels, slices
    ("born", 16, 256, 24),
    ("born", 64, 256, 24),
    ("born", 16, 512, 48),
    ("bpm", 16, 256, 24),
    ("ssnp", 16, 256, 24),
    ("ssnp", 16, 512, 48),
    ("ssnp", 64, 256, 96),
]


def peak():
    """The largest resident memory of this process so far [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(model, n_images, pixels, slices):
    """A short fit: what it took, and what was said [bytes]."""
    from fieldrx import Acquisition, Fit, Illumination, Microscope
    from fieldrx.fit import fit_needs
    from fieldrx.resources import total

    rng = np.random.default_rng(0)
    optics = Illumination.led_ring(n_images, 0.35), Microscope(0.532, 0.5, 1.33, 0.25)

    def fit(side, dz, n):
        images = 1 + 0.02 * rng.standard_normal((n_images, side, side)).astype(np.float32)
        depth = (-0.5 * dz * (n - 1), 0.5 * dz * (n - 1), dz)
        return Fit(Acquisition(images, *optics), depth, model, schedule={"steps": 4, "warm_steps": 2})

    fit(32, 0.3, 4).run()  # compiled code and its like
    before = peak()
    job = fit(pixels, 0.3, slices)
    n_params = job.encoding.n_params + job.network.n_params
    batch = job.schedule.images_per_step(len(job.train))
    said = total(fit_needs(job.grid.shape, n_images, n_params, model, (batch, batch))) - 3e8
    shape = job.grid.shape
    job.run()
    return {"shape": shape, "took": peak() - before, "said": said}


def main():
    print("model  images  grid                 took [MiB]  said [MiB]  said / took")
    for job in JOBS:
        command = [sys.executable, __file__, json.dumps(job)]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        grid = " x ".join(map(str, told["shape"]))
        took, said = told["took"] / 2**20, told["said"] / 2**20
        print(
            f"{job[0]:6s} {job[1]:6d}  {grid:20s} {took:10.0f}  {said:10.0f}  {said / took:11.2f}", flush=True
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run(*json.loads(sys.argv[1]))))
    else:
        main()
