"""Files and functions stay small enough to be read at once; the few exceptions say why."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "fieldrx"
LINES, LONGEST, PARAMETERS = 400, 60, 8
KERNELS = ("backends/",)  # what computes takes arrays one by one
LONG = {  # the kernels of a pass stand together with their helpers, and so do all declarations
    "backends/cpu/lanes.py",
    "backends/cpu/network.py",
    "backends/operators.py",
}
MANY = {  # what users call, with keywords that have defaults
    "acquisition/data.py: from_raw",
    "ensemble/make.py: make_ensemble",
    "models/multislice.py: __init__",
    "reconstruction.py: prepare",
    "render/files.py: render",
    "render/movies.py: render_movie",
    "render/views.py: view",
    "workflow/outcome.py: run",
}


def functions(path):
    """(name, node, whether a click command) of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            command = any(".command" in ast.unparse(d) for d in node.decorator_list)
            yield f"{path.relative_to(PACKAGE)}: {node.name}", node, command


def body_lines(node):
    """Lines of a function without its docstring."""
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    doc = first.end_lineno - first.lineno + 1 if is_docstring else 0
    return node.end_lineno - node.lineno + 1 - doc


def parameters(node):
    a = node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return len([n for n in names if n not in ("self", "cls")])


def beyond(measure, limit):
    """Functions, but for click commands, of which a number exceeds a limit, by name."""
    found = [f for path in PACKAGE.rglob("*.py") for f in functions(path)]
    return {name: measure(node) for name, node, command in found if measure(node) > limit and not command}


def test_no_file_is_long():
    long = [path for path in PACKAGE.rglob("*.py") if len(path.read_text().splitlines()) > LINES]
    assert {path.relative_to(PACKAGE).as_posix() for path in long} == LONG


def test_no_function_is_long():
    assert not beyond(body_lines, LONGEST)


def test_no_function_takes_many_parameters():
    assert {name for name in beyond(parameters, PARAMETERS) if not name.startswith(KERNELS)} == MANY
