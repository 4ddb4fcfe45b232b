"""Execute the tutorials, and keep what they print and draw.

    python scripts/run_tutorials.py [NAME ...] [--out docs/tutorials]

Needs the extra docs.  A cell that fails ends it; nothing is kept of that tutorial then.
"""

import argparse
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat

from fieldrx.io import atomic_path

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python", "pygments_lexer": "python"},
}
LONGEST_S = 600  # of a cell, on a machine that others use


def executed(path):
    """The notebook with the outputs of a fresh kernel, run in a folder of its own, and nothing else new."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(
            notebook, timeout=LONGEST_S, kernel_name="python3", resources=resources
        ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of this run
    notebook.metadata = nbformat.from_dict(METADATA)  # instead of this machine's Python
    return notebook


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=TUTORIALS)
    arguments = parser.parse_args()
    for name in arguments.names or sorted(path.stem for path in TUTORIALS.glob("*.ipynb")):
        start = time.perf_counter()
        notebook = executed(TUTORIALS / f"{name}.ipynb")
        target = arguments.out / f"{name}.ipynb"
        with atomic_path(target) as temporary:
            nbformat.write(notebook, temporary)
        print(f"{time.perf_counter() - start:5.0f} s  {target.stat().st_size / 1e3:4.0f} kB  {target}")


if __name__ == "__main__":
    main()
