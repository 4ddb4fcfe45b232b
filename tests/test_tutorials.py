"""Tutorials still run from their first cell to their last, and are kept small, with what they print."""

import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("run_tutorials", ROOT / "scripts" / "run_tutorials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook):
    """What cells print and draw: kinds of their outputs, cell by cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kinds = ({kind for output in cell.outputs for kind in output.get("data", {"text": 0})} for cell in cells)
    return [sorted(some) for some in kinds]  # in pieces and an order that hang on time


def test_there_are_five():
    assert len(TUTORIALS) == 5


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_is_kept_small_with_its_outputs(path, script):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 350e3
    assert sum("image/png" in some for some in outputs(notebook)) > 0 and ["text"] in outputs(notebook)
    assert all(output.output_type != "error" for cell in notebook.cells for output in cell.get("outputs", ()))
    assert notebook.metadata == script.METADATA


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_shows_as_much_as_is_kept(path, script):
    kept = nbformat.read(path, as_version=4)
    assert outputs(script.executed(path)) == outputs(kept)
