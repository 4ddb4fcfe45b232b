"""How a fit that ranks share should scale to 1,024 GPUs, by counts of what it does.

    python scripts/predict_scaling.py [--record]

Counted for a step: operations and bytes of the field (`predict_field`), of the slices' march and of the
interpolation (`gpu_check`), launches of kernels, and bytes between ranks as `fieldrx.parallel.ranks` sends
them, through the host.  GPUs share the images of a step; what they would do if they shared planes too, as
CPUs do, stands beside it.  The rates below are what such machines are known to reach; nothing here was run on
a GPU.  Strong scaling keeps the images of a step, weak scaling gives every GPU as many; independent items
(members, tiles, frames, positions) need no counting.  Last: what ``bench_ranks.py`` measured on cores, and
what the same counts say of them, with one factor for the speed of a core taken from the step of one rank.
"""

import argparse
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gpu_check import PASSES
from predict_field import backward, forward

from fieldrx.backends.cuda import layout
from fieldrx.field.encodings import Hash
from fieldrx.field.network import Network

RECORDS = Path(__file__).parent / "records"
MEASURED, RECORD = RECORDS / "bench_ranks.txt", RECORDS / "predict_scaling.txt"
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Machine(NamedTuple):
    """Rates of one rank: per second bytes of its memory, to and from the host, and to other ranks."""

    memory: float
    staged: float  # infinite where no host is between
    network: float
    message: float  # seconds of a message
    launch: float  # seconds of a kernel's launch
    speed: float = 1.0  # of operations, over an H100's


STAGED = Machine(3e12, 25e9, 20e9, 3e-6, 5e-6)  # a GPU with a network card of 400 Gbit/s to itself
CORES = Machine(5e9, math.inf, 3e9, 2e-6, 0.0)  # of one machine, through its memory


class Job(NamedTuple):
    """One fit: planes and pixels of its grid, images of a step, and the share of points of the field."""

    planes: int
    pixels: int
    images: int
    stride: int
    march: str = "Ssnp"
    parameters: int = 1_900_000


ENCODING = Hash.geometric((3, 6, 6), (24, 96, 96), levels=8, log2_table_size=17)
NETWORK = Network(ENCODING.n_features, width=32)


def parts(job, machine, ranks, share_planes):
    """Seconds of the parts of a step on the rank that has the most to do."""
    sharing = ranks if share_planes else 1
    own, images = -(-job.planes // sharing), -(-job.images // ranks)
    wide = min(own + 2 * (sharing > 1), job.planes)
    points = job.pixels / job.stride**2
    ahead, back = (f(ENCODING, NETWORK, layout.HALF).bound(layout.HALF)[0] for f in (forward, backward))
    fft = 5 * job.pixels * math.log2(job.pixels)
    volume = 8 * job.planes * job.pixels
    waves = min(images, 16) * -(-images // 16)
    there, home = PASSES[job.march]
    bytes_of = {
        "interpolation": 2 * 10 * 8 * own * job.pixels,
        "model": waves * (there + home) * volume + 10 * volume,
        "priors, Adam": 12 * wide * points * 2 + 28 * job.parameters,
    }
    operations = {
        "interpolation": 2 * own * 1.5 * fft,
        "model": job.planes * waves * (4 * fft + 200 * job.pixels),
        "priors, Adam": 100 * wide * points,
    }
    found = {"field": points * (ahead * wide + back * own) / machine.speed}
    for name, moved in bytes_of.items():
        found[name] = max(moved / machine.memory, operations[name] / (5e13 * machine.speed))
    found["launches"] = machine.launch * (8 * job.planes * -(-images // 16) + 60)
    shared = volume if share_planes else 0
    found["between ranks"] = between(job, machine, ranks, shared) if ranks > 1 else 0.0
    return found


def between(job, machine, ranks, volume):
    """Seconds of the sum of the weights' gradient, of a volume to all and its sum, and of small things."""
    weights, part = 4 * job.parameters, 1 - 1 / ranks
    sent = 2 * part * (volume + weights)
    staged = volume / ranks + volume + volume + volume / ranks + 2 * weights
    messages = 4 * (ranks - 1) + 10 * math.log2(ranks)
    added = (volume + weights) / 10e9  # on the host
    return sent / machine.network + staged / machine.staged + messages * machine.message + added


def table(job, weak, share_planes):
    """Lines of one kind of scaling."""
    lines, alone = [], None
    for ranks in COUNTS:
        here = job._replace(images=job.images * ranks) if weak else job
        found = parts(here, STAGED, ranks, share_planes)
        seconds = sum(found.values())
        alone = alone or seconds
        gain = alone / seconds * (ranks if weak else 1)
        cells = "".join(f"{1e3 * found[name]:>9.2f}" for name in found)
        lines.append(
            f"{ranks:>6}{here.images:>8}{1e3 * seconds:>10.2f}{gain:>9.1f}{gain / ranks:>7.0%}{cells}"
        )
    names = "".join(f"{name[:8]:>9}" for name in found)
    return [f"{'GPUs':>6}{'images':>8}{'ms':>10}{'speed-up':>9}{'of it':>7}{names}", *lines]


def beside():
    """Measured (computing alone) and predicted speed-ups of cores, by the record of ``bench_ranks.py``."""
    if not MEASURED.exists():
        return ["run scripts/bench_ranks.py --record for what this machine's cores do"]
    lines, name, alone, number = [], "", 1.0, r"[\d.]+"
    text = MEASURED.read_text().splitlines()
    for line in text:
        title = re.match(r"(\w+), (\d+)x(\d+)x(\d+) voxels", line)
        row = re.match(
            rf" +(coarse|fine) +(\d+) ranks(?: +{number} ms +{number} x){{2}} +({number}) ms", line
        )
        if title:
            name, shape = title[1], [int(n) for n in title.groups()[1:]]
        elif row and name.capitalize() in PASSES:
            kind, ranks, best = row[1], int(row[2]), float(row[3])
            alone = best if ranks == 1 else alone
            stride = 2 if kind == "coarse" else 1
            job = Job(shape[0], shape[1] * shape[2], 8, stride, name.capitalize(), 1_200_000)
            expected = speed_up(job, alone / 1e3, ranks)
            lines.append(
                f"{name:<6}{kind:<8}{ranks:>3} ranks{best:>9.0f} ms{alone / best:>7.2f} measured"
                f"{expected:>7.2f} predicted"
            )
    return [f"# {text[0]}", *lines]


def speed_up(job, seconds, ranks):
    """What the counts say of cores, whose speed is that at which one rank takes so long."""
    speeds = np.geomspace(1e-6, 1e-1, 400)
    took = [sum(parts(job, CORES._replace(speed=s), 1, True).values()) for s in speeds]
    machine = CORES._replace(speed=speeds[int(np.argmin(np.abs(np.array(took) - seconds)))])
    alone, together = (sum(parts(job, machine, count, True).values()) for count in (1, ranks))
    return alone / together


def report():
    """All lines."""
    lines = []
    cell, large = Job(70, 256 * 256, 8, 2), Job(120, 1024 * 1024, 128, 1)
    for what, job in (("a cell", cell), ("a large fit", large)):
        side = math.isqrt(job.pixels)
        says = f"{what}: {job.planes} x {side} x {side} voxels, ssnp, {job.images} images of a step"
        lines += [f"strong scaling of {says}", *table(job, False, False), ""]
        lines += ["the same, if GPUs shared planes too", *table(job, False, True), ""]
    for what, job in (("a cell, 8 images", cell), ("a large fit, 128 images", large)):
        lines += [f"weak scaling of {what} of a step for every GPU", *table(job, True, False), ""]
    return [*lines, "cores, which share planes too: measured and predicted", *beside()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    text = "\n".join(report()) + "\n"
    print(text, end="")
    if parser.parse_args().record:
        RECORD.write_text(text)


if __name__ == "__main__":
    main()
