"""Calibrate an acquisition from a spoilt table: does it find the geometry again?

    python scripts/check_calibration.py ACQUISITION.toml [--seeds 3] [--depth=Z0:Z1]

The table is turned by 3 degrees, scaled by 4 %, and every source scattered by 0.004 in NA; then all signs are
reversed, and the table is mirrored.  Printed are median distances (NA): of the spoilt table and of what
calibration makes of it, from the table as it is and from what calibration makes of that one.  Where the two
differ, the images contradict the table; how they do is told first.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import fieldrx
from fieldrx.calibration import calibrate


def spoilt(table, seed):
    """The table turned by 3 degrees, scaled by 1.04, and scattered by 0.004."""
    c, s = np.cos(np.deg2rad(3)), np.sin(np.deg2rad(3))
    noise = 0.004 * np.random.default_rng(seed).standard_normal(table.shape)
    return 1.04 * table @ np.array([[c, s], [-s, c]]).T + noise


def apart(a, b):
    return float(np.median(np.linalg.norm(a - b, axis=1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--depth", type=lambda text: tuple(map(float, text.split(":"))))
    options = parser.parse_args()
    acq = fieldrx.read_acquisition(options.acquisition)
    table, pattern = acq.illumination.sources_na, acq.illumination.pattern

    def found(sources):
        light = fieldrx.Illumination(sources, pattern)
        return calibrate(replace(acq, illumination=light), options.depth)

    begun = time.perf_counter()
    reference = found(table)
    print(*reference.notes, f"{time.perf_counter() - begun:.0f} s", sep="\n")
    best = reference.found_na
    difference = best - table
    common = difference.mean(axis=0)
    affine = np.c_[table, np.ones(len(table))]
    rest = difference - affine @ np.linalg.lstsq(affine, difference, rcond=None)[0]
    print(
        f"the table is off by {apart(best, table):.4f}, less a common shift "
        f"{apart(best - common, table):.4f}, "
        f"less an affine map {np.median(np.linalg.norm(rest, axis=1)):.4f}"
    )
    print(f"{'table':<12}{'table-spoilt':>14}{'table-found':>14}{'calibrated table-found':>24}")
    trials = [(f"seed {k}", spoilt(table, k)) for k in range(options.seeds)]
    for name, sources in [*trials, ("reversed", -table), ("mirrored", table * [-1, 1])]:
        result = found(sources)
        numbers = apart(sources, table), apart(result.found_na, table), apart(result.found_na, best)
        print(f"{name:<12}{numbers[0]:>14.4f}{numbers[1]:>14.4f}{numbers[2]:>24.4f}", flush=True)
        print("   ", *[n for n in result.notes if "sign" in n or "only when" in n], sep="  ")


if __name__ == "__main__":
    main()
