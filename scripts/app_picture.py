"""A picture of the page of `fieldrx app` while a fit goes on, as a headless Chromium shows it.

python scripts/app_picture.py fieldrx-demo/acquisition.npz docs/app.png --depth=-7:7:0.5
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image

from fieldrx.app import Jobs
from fieldrx.app.routes import App
from fieldrx.app.server import Server
from fieldrx.cli import main as commands

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from browser import Browser


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--depth", default="auto", help="of the fit")
    parser.add_argument("--at", type=float, default=0.4, help="share of the steps after which it is taken")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 860), help="of the window, in pixels")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        jobs, home = Jobs(Path(folder) / "jobs"), Path(folder) / "cells"
        home.mkdir()
        shutil.copy(chosen.acquisition, home / "acquisition.npz")
        values = {"acquisition": "acquisition.npz", "output": "cell.npz", "depth": chosen.depth}
        with Server(App(commands.commands, home, jobs)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            work = server.app.answer("POST", "start", {"command": "reconstruct", "values": values})
            job = jobs.get(work)
            try:
                wait_for(jobs, job, chosen.at)
                take(server, job, chosen, folder)
            finally:
                if jobs.runs(job):
                    jobs.stop(job)
                while jobs.runs(job):
                    time.sleep(0.2)
            server.shutdown()
    print(f"{chosen.picture}: {chosen.picture.stat().st_size / 1e3:.0f} kB")


def wait_for(jobs, job, share):
    """Until a share of the steps is done."""
    while True:
        lines = jobs.state(job)["progress"]
        if lines and lines[-1]["stage"] == "fit" and lines[-1]["done"] >= share * lines[-1]["total"]:
            return
        if not jobs.runs(job):
            raise SystemExit(jobs.state(job)["stderr"])
        time.sleep(0.5)


def take(server, job, chosen, folder):
    """The picture."""
    place = {"step": "fit", "fit-command": "reconstruct", "acq": "acquisition.npz", "job": job.id}
    browser = Browser(Path(folder) / "profile", *chosen.size)
    try:
        browser.visit(f"{server.address}#{urlencode(place)}")
        browser.wait("document.querySelector('.planes')?.naturalWidth > 0")
        browser.screenshot(chosen.picture)
    finally:
        browser.close()
    Image.open(chosen.picture).convert("RGB").quantize(255).save(
        chosen.picture, optimize=True
    )  # a small file


if __name__ == "__main__":
    main()
