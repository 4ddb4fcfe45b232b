"""Rooms of the package: imports point one way, every package is installed, both backends offer the same."""

import ast
import configparser
from pathlib import Path

import pytest

import fieldrx

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fieldrx"
HOMES = {**fieldrx._HOMES, "__version__": "_version"}  # of the names that the package itself gives

# From the ground up: a room imports only from rows above its own.  A new room goes below everything that
# it imports.
ROWS = (
    ("errors", "brief", "progress", "_version"),
    ("provenance", "resources"),
    ("optics", "pupil", "backends", "background", "board", "metrics"),
    ("parallel",),
    ("io", "band", "noise", "priors", "shading", "tikhonov", "interpolation"),
    ("volume",),
    ("acquisition", "batch", "export", "field", "losses", "points"),
    ("decaf", "models"),
    ("comparison", "refocus", "thin_slice"),
    ("automatic",),
    ("refinement", "simulation"),
    ("alignment",),
    ("evaluation", "fit"),
    ("describe", "ensemble", "plan", "recipe", "tuning"),
    ("reconstruction",),
    ("tiles", "timelapse"),
    ("compression", "results"),
    ("render",),
    ("calibration", "charts", "layouts", "napari_reader", "plot", "totals", "viewer"),
    ("measure", "napari_widgets", "napari_writer", "report", "verdict"),
    ("demo", "workflow"),
    ("app",),
    ("cli",),
    ("__main__",),
)
# What must not be loaded before it is used, or only where a method's own convenience wants it, may point up:
# (room, what it imports inside a function).
LAZY = {
    ("acquisition", "plot"),
    ("field", "plot"),
    ("describe", "ensemble"),
    ("describe", "tiles"),
    ("describe", "timelapse"),
    ("io", "volume"),  # names that were there in version 0.1
    ("fit", "reconstruction"),
}


# What a room is given by those above it, and names in hints alone (TYPE_CHECKING): (room, what it names).
GIVEN = {
    ("export", "render"),
    ("losses", "acquisition"),
    ("losses", "models"),
    ("noise", "acquisition"),
    ("progress", "field"),
    ("tikhonov", "models"),
}


def modules():
    """Every module of the package and its file, by dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module):
    return module.split(".")[1]


def allowed_up(outer):
    """Which pairs of rooms may point up inside a node of a syntax tree; None for nodes like any other."""
    if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return LAZY
    if isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING":
        return GIVEN
    return None


def target(module, name, known):
    """The module that a name imported from another one comes from."""
    if f"{module}.{name}" in known:
        return f"{module}.{name}"
    return f"fieldrx.{HOMES[name]}" if module == "fieldrx" else module


def imports(path, known):
    """(module, which pairs may point up there) of everything that a file imports from the package."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node): allowed_up(outer)
        for outer in ast.walk(tree)
        if allowed_up(outer) is not None
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        up = inside.get(id(node), set())
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; name the whole module"
            if (node.module or "").split(".")[0] == "fieldrx":
                yield from ((target(node.module, n.name, known), up) for n in node.names)
        elif isinstance(node, ast.Import):
            names = [n.name for n in node.names if n.name.split(".")[0] == "fieldrx"]
            assert "fieldrx" not in names, f"{path}: all of the package; name the module"
            yield from ((name, up) for name in names)


def arrows():
    """(from room, to room, which pairs may point up there, file) of every import between two rooms."""
    known = modules()
    for name, path in known.items():
        if name == "fieldrx":  # names everything, lazily
            continue
        for goal, up in imports(path, known):
            if room(goal) != room(name):
                yield room(name), room(goal), up, path.relative_to(ROOT)


def test_every_room_stands_in_one_row():
    rooms = [name for row in ROWS for name in row]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == {room(name) for name in modules() if name != "fieldrx"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from fieldrx import reconstruct, refocus", ["fieldrx.reconstruction", "fieldrx.refocus"]),
        ("from fieldrx import __version__", ["fieldrx._version"]),
        ("from fieldrx.io import save\nfrom fieldrx.io import tiff", ["fieldrx.io", "fieldrx.io.tiff"]),
        ("import fieldrx.cli as c, numpy", ["fieldrx.cli"]),
        ("from .cli import main", None),
        ("from . import cli", None),
        ("import fieldrx", None),
    ],
)
def test_what_is_imported_is_found_or_refused(tmp_path, text, found):
    (tmp_path / "a.py").write_text(text)
    if found is None:
        with pytest.raises(AssertionError, match=r"a relative import|all of the package"):
            list(imports(tmp_path / "a.py", modules()))
    else:
        assert [name for name, _ in imports(tmp_path / "a.py", modules())] == found


def test_imports_point_one_way():
    height = {name: level for level, row in enumerate(ROWS) for name in row}
    back = [arrow for arrow in arrows() if height[arrow[1]] >= height[arrow[0]]]
    assert not [(start, end, path) for start, end, up, path in back if (start, end) not in up]
    assert {(start, end) for start, end, _, _ in back} == LAZY | GIVEN  # none is named that is not there


def test_every_package_is_installed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent for ending in ("*.py", "*.html") for path in PACKAGE.rglob(ending)}
    assert listed == {".".join(f.relative_to(ROOT).parts) for f in folders} | {"fieldrx.kernels"}
    without = {f.name for f in folders if not (f / "__init__.py").exists()}
    assert without == {"web"}  # a folder of data


def test_numba_is_imported_after_its_settings_were_looked_at():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {path.relative_to(PACKAGE).as_posix() for n in names if n in ("numba", "numba.np")}
    assert found == {"backends/compiler.py"}


@pytest.mark.parametrize("extra", ["torch", "jax", "tensorflow"])
def test_no_large_framework(extra):
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert extra not in {name.split(".")[0] for name in names}, path
