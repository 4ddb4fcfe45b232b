"""Build wheel and sdist and check what is in them, kernels included, and that their description can be shown.

python scripts/check_package.py
"""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED = [
    "fieldrx/py.typed",
    "fieldrx/cli/group.py",
    "fieldrx/backends/cpu/born.py",
    "fieldrx/field/network.py",
    "fieldrx/models/born.py",
    "fieldrx/render/files.py",
    "fieldrx/export/tiff.py",
    "fieldrx/report/page.html",
    "fieldrx/report/style.css",
    "fieldrx/web/page.html",
    "fieldrx/app/page.html",
    "fieldrx/app/style.css",
    "fieldrx/app/app.js",
    "fieldrx/web/style.css",
    "fieldrx/web/app.js",
    "fieldrx/web/layer.glsl",
]

SOURCES = ["LICENSE", "CHANGELOG.rst", "CONTRIBUTING.rst", "docs/demo.png", "tests/tiny.py"]
SOURCES += [
    "tests/physics/sphere.py",
    "scripts/bench_kernels.py",
    "conda/meta.yaml",
    "docs/tutorials/first_cell.ipynb",
]


def main():
    kernels = [p.name for p in (ROOT / "kernels").iterdir() if p.suffix in (".py", ".cu", ".cuh")]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", folder, str(ROOT)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        checked = [sys.executable, "-m", "twine", "check", "--strict", *map(str, Path(folder).iterdir())]
        subprocess.run(checked, check=True)
        wheel, sdist = (next(Path(folder).glob(f"*.{ending}")) for ending in ("whl", "tar.gz"))
        with zipfile.ZipFile(wheel) as archive:
            in_wheel = set(archive.namelist())
        with tarfile.open(sdist) as archive:
            in_sdist = {name.split("/", 1)[-1] for name in archive.getnames()}
    missing = [name for name in WANTED + [f"fieldrx/kernels/{k}" for k in kernels] if name not in in_wheel]
    missing += ["fieldrx/napari.yaml"] * ("fieldrx/napari.yaml" not in in_wheel)
    missing += [name for name in WANTED + [f"kernels/{k}" for k in kernels] + SOURCES if name not in in_sdist]
    print(f"wheel: {len(in_wheel)} files, sdist: {len(in_sdist)} files, missing: {missing or 'none'}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
