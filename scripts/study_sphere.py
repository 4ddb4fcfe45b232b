"""Errors of the multi-slice models against the exact sphere: every model, step, contrast, focus and source.

    python scripts/study_sphere.py

The sphere and its exact image are those of tests/physics/test_multislice_sphere.py, which keeps the most
important of these numbers from growing; docs/models.rst quotes the table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "physics"))

from test_multislice_sphere import FOCUS, MODELS, errors

CONTRASTS = (0.01, 0.03, 0.06)
STEPS_UM = (0.12, 0.08)


def main():
    print("error of I - 1 [%]           source NA 0 / 0.3 / 0.6")
    for kind in MODELS:
        for dz in STEPS_UM:
            for contrast in CONTRASTS:
                cells = []
                for focus, z in FOCUS.items():
                    found = errors(kind, dz, contrast, z)
                    cells.append(f"{focus} " + " / ".join(f"{100 * e:5.1f}" for e in found.values()))
                print(f"{kind:5s} dz {dz:.2f} um, contrast {contrast:.2f}:  " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
