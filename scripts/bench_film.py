"""A film of a moving, growing cell: its cost and its errors, beside fits of every frame from nothing.

    python scripts/bench_film.py [--frames 20] [--model born] [--record]

An invented cell moves across small images and grows; every frame is simulated exactly, with noise of its
own.  The same images are held out in both.  "index" is the relative error of the refractive index, which a
simulation knows.
"""

import argparse
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import fieldrx
from fieldrx.acquisition import FramesGiven
from fieldrx.evaluation import evaluate
from fieldrx.timelapse import make_film

RECORD = Path(__file__).parent / "records" / "bench_film.txt"
SCOPE = fieldrx.Microscope(wavelength_um=0.515, objective_na=0.65, medium_index=1.335, pixel_size_um=0.2)
LEDS = np.concatenate([[(0, 0)], *(
    fieldrx.Illumination.led_ring(count, na).sources_na for count, na in ((6, 0.3), (12, 0.6))
)])  # fmt: skip
SIDE, DEPTH = 40, (-3.0, 3.0, 0.75)
STEP_UM, GROWTH = (0.0, 0.07, 0.1), 0.01  # of one frame: (z, y, x), and share of the diameter


def cell(frame: int) -> fieldrx.Volume:
    """The cell at a frame, in the frame of the images."""
    volume = fieldrx.cell_phantom(0.16, 3.5 * (1 + GROWTH * frame), peak_contrast=0.015)
    middle = np.array([0.0, 3.2, 2.9]) + frame * np.array(STEP_UM)
    return replace(volume, origin_um=tuple(np.array(volume.origin_um) + middle))


def taken(frame: int, model: str) -> fieldrx.Acquisition:
    """Its images."""
    optics = fieldrx.Acquisition(None, fieldrx.Illumination(LEDS), SCOPE, holdout=(3, 9, 15), name="film")
    return fieldrx.simulate(cell(frame), optics, model, (SIDE, SIDE), photons=20000, seed=frame)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--model", default="born")
    parser.add_argument("--steps", type=int, help="fewer, to try")
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    schedule = {} if options.steps is None else {"steps": options.steps}
    acquisitions = [taken(frame, options.model) for frame in range(options.frames)]
    fieldrx.Fit(acquisitions[0], DEPTH, options.model, schedule={"steps": 2}).run()  # compiles
    begun, on_clock = time.process_time(), time.perf_counter()
    film = make_film(FramesGiven(acquisitions), DEPTH, options.model, schedule=schedule, say=print)
    of_film, on_clock = time.process_time() - begun, time.perf_counter() - on_clock
    alone, seconds = [], []
    for acquisition in acquisitions:
        begun = time.process_time()
        alone.append(fieldrx.Fit(acquisition, DEPTH, options.model, schedule=schedule).run())
        seconds.append(time.process_time() - begun)
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.machine()}, one of {os.cpu_count()} cores, while other "
        f"work ran, Python {platform.python_version()}",
        f"# {options.frames} frames of {len(LEDS)} images of {SIDE} x {SIDE} pixels, {options.model}",
        f"{'frame':>5}{'rounds':>8}" + 2 * f"{'time s':>10}{'held out':>10}{'index':>8}",
    ]
    errors = []
    for k, (told, one) in enumerate(zip(film.provenance["frames"], alone, strict=True)):
        both = [evaluate(field, acquisitions[k], cell(k)) for field in (film.fields[k], one)]
        errors.append([[e["nrmse_holdout"], e["index_nrmse"]] for e in both])
        times = (told["seconds"], seconds[k])
        parts = [f"{t:>10.2f}{e[0]:>10.4f}{e[1]:>8.4f}" for t, e in zip(times, errors[-1], strict=True)]
        lines.append(f"{told['number']:>5}{told['rounds']:>8}" + "".join(parts))
    (held, index), (held_alone, index_alone) = np.mean(errors, axis=0)
    lines += [
        f"film: {of_film:.1f} s, {60 * options.frames / of_film:.1f} frames per minute; "
        f"held-out error {held:.4f}, index {index:.4f} (means)",
        f"alone: {sum(seconds):.1f} s; held-out error {held_alone:.4f}, index {index_alone:.4f}",
        f"the film takes {of_film / sum(seconds):.3f} of the time",
    ]
    print("\n".join(lines))
    if options.record:
        with open(RECORD, "a") as file:
            file.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()
