"""A film of a moving, growing cell: its cost and its errors, beside fits of every frame from nothing.

    python scripts/bench_film.py [--frames 20] [--model born] [--picture FILM.gif] [--record]

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
from fieldrx.render import render_over_time
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
    parser.add_argument("--picture", type=Path, help="write the film, .gif")
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    schedule = {} if options.steps is None else {"steps": options.steps}
    acquisitions = [taken(frame, options.model) for frame in range(options.frames)]
    fieldrx.Fit(acquisitions[0], DEPTH, options.model, schedule={"steps": 2}).run()  # compiles
    begun = time.process_time()
    film = make_film(FramesGiven(acquisitions), DEPTH, options.model, schedule=schedule, say=print)
    of_film = time.process_time() - begun
    if options.picture:
        render_over_time(film, options.picture, spacing=0.04, fps=6)
    begun = time.process_time()
    alone = [fieldrx.Fit(acq, DEPTH, options.model, schedule=schedule).run() for acq in acquisitions]
    seconds = time.process_time() - begun
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.machine()}, one of {os.cpu_count()} cores, while other "
        f"work ran, Python {platform.python_version()}",
        f"# {options.frames} frames of {len(LEDS)} images of {SIDE} x {SIDE} pixels, {options.model}",
        f"{'':>13}{'film':>18}{'alone':>18}",
        f"{'frame':>5}{'rounds':>8}" + 2 * f"{'held out':>10}{'index':>8}",
    ]
    errors = []
    for k, (told, one) in enumerate(zip(film.provenance["frames"], alone, strict=True)):
        both = [evaluate(field, acquisitions[k], cell(k)) for field in (film.fields[k], one)]
        errors.append([[e["nrmse_holdout"], e["index_nrmse"]] for e in both])
        parts = [f"{held:>10.4f}{index:>8.4f}" for held, index in errors[-1]]
        lines.append(f"{told['number']:>5}{told['rounds']:>8}" + "".join(parts))
    lines.append(f"{'mean':>5}{'':>8}" + "".join(f"{h:>10.4f}{i:>8.4f}" for h, i in np.mean(errors, axis=0)))
    lines += [
        f"seconds of one core: film {of_film:.1f}, alone {seconds:.1f}; ratio {of_film / seconds:.3f}",
        f"frames per second of one core: film {options.frames / of_film:.3f}, of which every frame but the "
        f"first {(options.frames - 1) / (of_film - seconds / options.frames):.3f}; "
        f"alone {options.frames / seconds:.3f}",
    ]
    print("\n".join(lines))
    if options.record:
        with open(RECORD, "a") as file:
            file.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()
