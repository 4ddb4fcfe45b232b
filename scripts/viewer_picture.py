"""A picture of the web page of a field, as a headless Chromium shows it.

python scripts/viewer_picture.py fieldrx-demo/cell.npz docs/viewer.png
"""

import argparse
import sys
import tempfile
from pathlib import Path

from fieldrx import load_field, write_viewer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from browser import Browser


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("field", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), help="of the window, in pixels")
    parser.add_argument("--title", default="A simulated cell")
    parser.add_argument("--before", default="", help="JavaScript to run first, as fieldrx.layout('3d')")
    parser.add_argument("--patience", type=float, default=600, help="seconds until all pixels must be there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = write_viewer(load_field(chosen.field), Path(folder) / "viewer.html", chosen.title)
        browser = Browser(Path(folder) / "profile", *chosen.size)
        try:
            browser.open(page, "#engine=js")  # graphics in software are no faster
            browser.wait("!!window.fieldrx")
            browser.js(f"({chosen.before or 0}, 0)")
            browser.wait("fieldrx.idle", chosen.patience)
            browser.screenshot(chosen.picture)
        finally:
            browser.close()
    print(f"{chosen.picture}: {chosen.picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
