"""Errors of `simulate` against the exact sphere, for every source, in focus and out of it.

    python scripts/study_simulation.py

The sphere and its exact image are those of tests/physics/test_simulated_sphere.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "physics"))

from test_simulated_sphere import SOURCES, errors

CASES = (("born", 1e-4), ("ssnp", 0.01), ("ssnp", 0.03))


def main():
    print(f"error of I - 1 [%]                      source NA {' / '.join(SOURCES)}")
    for model, contrast in CASES:
        for focus, z in {"in focus": 0.0, "3 um off": 3.0}.items():
            found = " / ".join(f"{100 * e:5.2f}" for e in errors(model, contrast, z))
            print(f"{model:5s} contrast {contrast:g}, {focus}:  {found}", flush=True)


if __name__ == "__main__":
    main()
