"""Public functions say what they take and give; `mypy` checks that it is so."""

import ast

import pytest
from test_sizes import PACKAGE

# Kernels are compiled for the types that they are called with, and classes that launch them answer to what
# `backends/operators.py` and `backends/propagation.py` declare.
COMPILED = ("backends/cpu/", "backends/cuda/")
MADE_BY = {
    "command": "click",
    "njit": "numba",
}  # decorators by which something else than a caller gives types


def public(node):
    """(name, node) of the functions and methods of a module or class that are for others."""
    for item in node.body:
        if isinstance(item, ast.ClassDef):
            yield from ((f"{item.name}.{name}", found) for name, found in public(item))
        elif isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            made = {part for d in item.decorator_list for part in ast.unparse(d).split("(")[0].split(".")}
            own = item.name.startswith("_") and item.name not in ("__init__", "__call__")
            if not own and not made & set(MADE_BY):
                yield item.name, item


def without_hint(node):
    """What of a signature has none; of `__init__` nobody asks what it returns."""
    a = node.args
    named = [p for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    missing = [p.arg for p in named if p.annotation is None and p.arg not in ("self", "cls")]
    return missing + ["return"] * (node.returns is None and node.name != "__init__")


def test_public_signatures_have_hints():
    missing = {}
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        if not file.startswith(COMPILED):
            for name, node in public(ast.parse(path.read_text())):
                missing |= {f"{file}: {name}": found} if (found := without_hint(node)) else {}
    assert not missing


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(a, *b: int, c: int = 0) -> None: ...", {"f": ["a"]}),
        ("def f(a: int): ...", {"f": ["return"]}),
        ("class A:\n    def __init__(self, a): ...\n    def _f(self, a): ...", {"A.__init__": ["a"]}),
        ("@click.command()\ndef f(a): ...\n@njit(cache=True)\ndef g(a): ...", {}),
    ],
)
def test_what_has_no_hint_is_found(text, found):
    assert {name: m for name, node in public(ast.parse(text)) if (m := without_hint(node))} == found
