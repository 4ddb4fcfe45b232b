"""How long fits take, beside what `fieldrx.plan` says beforehand.

    python scripts/check_plan.py

Time is that of the processor with one thread, which does not depend on what else the machine does.  The
images are wider than those on which the plan measures.  A record: scripts/records/check_plan.txt.
"""

import os
import time

os.environ["NUMBA_NUM_THREADS"] = "1"
time.perf_counter = time.process_time  # what fits and plans look at


from fieldrx import Acquisition, Fit, Illumination, Microscope, cell_phantom, simulate  # noqa: E402
from fieldrx.plan import plan  # noqa: E402

JOBS = [  # model, pixels, slices, steps
    ("born", 256, 24, 24),
    ("ssnp", 256, 24, 16),
    ("bpm", 320, 16, 16),
]


def main():
    optics = Acquisition(
        None, Illumination.led_ring(16, 0.4), Microscope(0.532, 0.5, 1.335, 0.2), holdout=(3,)
    )
    print("model  grid                 said [s]  took [s]  said / took")
    for model, pixels, slices, steps in JOBS:
        acq = simulate(cell_phantom(0.3, 0.15 * pixels, 1.335), optics, "born", (pixels, pixels))
        reach = 0.15 * (slices - 1)
        job = acq, (-reach, reach, 0.3), model
        schedule = {"steps": steps, "patience": 0}
        made = plan(*job, schedule=schedule)
        said, took = sum(made.seconds.values()), Fit(*job, schedule=schedule).run().provenance.seconds
        grid = " x ".join(map(str, made.problem.grid.shape))
        print(f"{model:6s} {grid:20s} {said:8.1f}  {took:8.1f}  {said / took:11.2f}", flush=True)


if __name__ == "__main__":
    main()
