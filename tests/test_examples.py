"""Every block of code on the pages is run, on small data and with short fits, or says why it is not."""

import dataclasses
import importlib.util
import re
import shlex
import shutil
import tomllib

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import fieldrx
from fieldrx.cli import main
from fieldrx.cli.status import NOTHING
from fieldrx.demo import SAMPLES
from fieldrx.ensemble.make import make_ensemble

pages = pytest.importorskip("pages", reason="docutils, which reads the pages, is not installed")

SCOPE = fieldrx.Microscope(wavelength_um=0.515, objective_na=0.65, medium_index=1.335, pixel_size_um=0.139)
BOARD_SCOPE = fieldrx.Microscope(0.63, 0.25, 1.33, 6.5 / 10.07)
DPC_SCOPE = fieldrx.Microscope(0.53, 0.4, 1.33, 0.3)
ANSWERS = {
    "wavelength_um": "0.63", "objective_na": "0.25", "pixel_size_um": "0.6455", "medium_index": "1.33",
    "pitch_um": "4000", "distance_um": "79000",
}  # fmt: skip
PIXELS, FEW_STEPS = 40, 5
TABLE = """[microscope]
wavelength_um = 0.515
objective_na = 0.65
medium_index = 1.335
pixel_size_um = 0.139

[images]
files = "stack.tif"

[illumination]
kind = "table"
table = "leds.csv"
"""


def bead(scope, radius_um, contrast):
    """A bead with a soft edge in the middle of the images."""
    spacing = radius_um / 8
    axis = (np.arange(21) - 10) * spacing
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    corner = 0.5 * (PIXELS - 1) * scope.pixel_size_um + axis[0]
    values = contrast / (1 + np.exp((r - radius_um) / (0.4 * spacing)))
    return fieldrx.Volume(values.astype(np.complex64), spacing, (axis[0], corner, corner), scope.medium_index)


def images_of(volume, light, scope):
    """Noisy counts of a camera, uint16, of a volume."""
    optics = fieldrx.Acquisition(None, light, scope)
    images = fieldrx.simulate(volume, optics, "ssnp", (PIXELS, PIXELS), photons=20000).images
    return np.round(1000 * images).astype(np.uint16)


def write_table(folder):
    """A stack, its table of directions, and acquisition.toml."""
    rings = [fieldrx.Illumination.led_ring(n, na).sources_na for n, na in ((4, 0.3), (8, 0.6))]
    light = fieldrx.Illumination(np.concatenate([[[0, 0]], *rings]))
    write_stack(folder / "stack.tif", images_of(bead(SCOPE, 1.0, 0.03), light, SCOPE))
    write_leds(folder / "leds.csv", light)
    (folder / "acquisition.toml").write_text(TABLE)


def write_leds(path, light):
    rows = [f"{k},{y},{x}\n" for k, (y, x) in enumerate(light.sources_na)]
    path.write_text("image,na_y,na_x\n" + "".join(rows))


def write_stack(path, counts):
    tifffile.imwrite(path, counts, photometric="minisblack")


def write_board(folder):
    """A folder of images that are named after the LEDs of a board."""
    folder.mkdir()
    leds = [(row, col) for row in range(15, 20) for col in range(15, 20)]
    light = fieldrx.Illumination.led_grid(leds, 4.0, 79.0, (17, 17), ("row", "-col"))
    counts = images_of(bead(BOARD_SCOPE, 5, 0.02), light, BOARD_SCOPE)
    for (row, col), image in zip(leds, counts, strict=True):
        write_stack(folder / f"img_y{row}_x{col}.tif", image)


def write_patterns(folder):
    """Images lit by a ring, one LED each, and by four half circles."""
    ring = fieldrx.Illumination.led_ring(12, 0.6)
    write_stack(folder / "ring.tif", images_of(bead(SCOPE, 1.0, 0.03), ring, SCOPE))
    leds = fieldrx.Illumination.led_ring(8, 0.3, start_deg=22.5)
    halves = leds.multiplexed(
        [np.flatnonzero(s * leds.sources_na[:, k] < 0) for k in (0, 1) for s in (1, -1)]
    )
    write_stack(folder / "dpc.tif", images_of(bead(DPC_SCOPE, 2, 0.02), halves, DPC_SCOPE))


def write_frames(folder):
    """A frame of one image each, a film of it in three times, and a table of one job."""
    light = fieldrx.Illumination.led_ring(8, 0.6)
    counts = images_of(bead(SCOPE, 1.0, 0.03), light, SCOPE)
    for name, images, more in (
        ("frame", counts, ""),
        ("cell", np.stack([counts, counts, counts]), 'axes = "TNYX"\ntime = "T"\ninterval_s = 10\n'),
    ):
        part = folder / name
        part.mkdir()
        write_stack(part / "stack.tif", images)
        write_leds(part / "leds.csv", light)
        (part / "acquisition.toml").write_text(TABLE.replace('"stack.tif"\n', f'"stack.tif"\n{more}'))
    head = "acquisition,output,command,depth,model,steps"
    row = "frame/acquisition.toml,a.npz,reconstruct,-1:1:0.5,bpm,2"
    (folder / "jobs.csv").write_text(f"{head}\n{row}\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with all that the pages take for granted."""
    folder = tmp_path_factory.mktemp("files")
    write_table(folder)
    write_board(folder / "FOLDER")
    write_patterns(folder)
    write_frames(folder)
    (folder / "points.csv").write_text("z_um,y_um,x_um\n0,2.7,2.7\n0,0.5,0.5\n")
    acq = fieldrx.read_acquisition(folder / "acquisition.toml")
    field = fieldrx.reconstruct(acq, (-2, 2, 0.5), "bpm", schedule={"steps": 60})
    field.save(folder / "cell.npz")
    make_ensemble(field, acq, members=2, steps=2, twin=False).save(folder / "cell-ensemble.npz")
    return folder


@pytest.fixture
def here(files, tmp_path, monkeypatch):
    """A copy of that folder, in which a page is tried; fits end after a few steps, the demo is small."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    checked = fieldrx.Schedule.__post_init__

    def short(schedule):
        checked(schedule)
        for name in ("steps", "warm_steps"):
            object.__setattr__(schedule, name, min(getattr(schedule, name), FEW_STEPS))

    monkeypatch.setattr(fieldrx.Schedule, "__post_init__", short)
    monkeypatch.setattr("fieldrx.demo.samples._CELL_PIXELS", 32)
    for name, sample in SAMPLES.items():
        monkeypatch.setitem(SAMPLES, name, dataclasses.replace(sample, depth=(-1.0, 1.0, 1.0)))
    monkeypatch.setattr("fieldrx.cli.describing._is_terminal", lambda: True)
    monkeypatch.setattr("click.prompt", lambda text, **_: ANSWERS[text.split(",")[0]])
    return tmp_path


def commands(text):
    """Commands of a block as lists of words."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for command in line.split(" && "):
            if words := shlex.split(command, comments=True):
                yield words


def run_commands(text):
    for name, *arguments in commands(text):
        assert name == "fieldrx", f"{name} is not fieldrx: a block with other programs says why it is not run"
        result = CliRunner().invoke(main, arguments)
        fine = (0, NOTHING) if arguments[0] in ("run", "reconstruct") else (0,)  # few steps may find nothing
        assert result.exit_code in fine, f"fieldrx {shlex.join(arguments)}: {result.output}"


def write_toml(text, folder):
    """The file, which must be an acquisition that can be read; tables that it lacks are kept."""
    named = re.match(r"# (\S+\.toml)\n", text)
    target = folder / (named[1] if named else "acquisition.toml")
    given = tomllib.loads(text)
    parts = re.split(r"^(?=\[)", TABLE, flags=re.MULTILINE)
    kept = [part for part in parts if part.strip() and not given.keys() & tomllib.loads(part).keys()]
    target.write_text("".join(kept) + "\n" + text)
    fieldrx.read_acquisition(target)


def run_block(block, folder, names, where):
    if block.kind == pages.COMMANDS:
        run_commands(block.text)
    elif block.kind == pages.PYTHON:
        exec(compile(block.text, where, "exec"), names)
    elif block.kind == pages.TOML:
        write_toml(block.text, folder)
    else:
        assert block.kind == pages.TEXT, f"{where}: nobody knows how to run {block.kind}"


WHY_NOT = {
    "installs fieldrx", "the tests run it", "needs a GPU", "opens a window", "needs a shell", "needs MPI",
    "waits for frames",
}  # fmt: skip
NEEDED = {"jax", "skimage", "torch"}  # which the tests do not bring


def missing(block):
    """Why a block is not run here, or nothing."""
    if block.needs and importlib.util.find_spec(block.needs) is None:
        return f"{block.needs} is not installed"
    return block.not_run


def test_every_block_that_is_not_run_says_why():
    found = {path.name: pages.blocks(path) for path in pages.PAGES}
    for name, some in found.items():
        for block in filter(missing, some):
            print(f"{name}:{block.line} is not run: {missing(block)}")
    every = [block for some in found.values() for block in some if block.kind != pages.TEXT]
    assert {block.not_run for block in every} - {""} == WHY_NOT
    assert {block.needs for block in every} - {""} == NEEDED
    assert len(every) > 40 and len([block for block in every if block.not_run]) < len(every) / 4


def test_blocks_are_found_with_their_kind_and_markers(tmp_path):
    page = tmp_path / "page.rst"
    page.write_text(
        "Title\n=====\n\nThen::\n\n    fieldrx info a.toml \\\n        --b  # why\n    c && d 'e f'\n\n"
        ".. needs: torch\n\n.. code-block:: python\n\n    import torch\n\n"
        ".. not run: needs\n   a GPU\n\n::\n\n    fieldrx doctor\n\n.. toctree::\n\n   other\n"
    )
    first, second, third = pages.blocks(page)
    assert [(b.kind, b.needs, b.not_run) for b in (first, second, third)] == [
        (pages.COMMANDS, "", ""), (pages.PYTHON, "torch", ""), (pages.COMMANDS, "", "needs a GPU"),
    ]  # fmt: skip
    assert list(commands(first.text)) == [["fieldrx", "info", "a.toml", "--b"], ["c"], ["d", "e f"]]
    with pytest.raises(AssertionError, match="c is not fieldrx"):
        run_commands("c")
    with pytest.raises(AssertionError, match="no such file"):
        run_commands(first.text.splitlines()[0].replace(" \\", ""))


@pytest.mark.slow
@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.stem)
def test_blocks_of_a_page(path, here):
    names = {"__name__": "__main__"}
    for block in pages.blocks(path):
        if missing(block):
            continue
        where = f"{path.name}:{block.line}"
        try:
            run_block(block, here, names, where)
        except Exception as error:
            raise AssertionError(f"{where}\n\n{block.text}\n") from error
