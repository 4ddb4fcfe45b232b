"""Public functions say what they take and give; `mypy` checks that the hints are true."""

import ast
import inspect
import re

import pytest
from test_sizes import PACKAGE

import fieldrx

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
    a, hinted = node.args, set()
    for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg):
        hinted |= {p.arg} if p is not None and p.annotation is not None else set()
    return [name for name in parameters(node) if name not in hinted] + ["return"] * (
        node.returns is None and node.name != "__init__"
    )


def parameters(node):
    """Names of all parameters."""
    a = node.args
    named = (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg)
    return [p.arg for p in named if p is not None and p.arg not in ("self", "cls")]


def described(doc):
    """Names in the section of parameters of a docstring; None without one."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n\S|\Z)", doc, re.DOTALL | re.MULTILINE)
    if section is None:
        return None
    heads = [line.split(" : ")[0] for line in section[1].splitlines() if line[:1].strip()]
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def with_docstring(tree):
    """(name, node, docstring) of public functions; a constructor's parameters stand with the class."""
    classes = {item.name: ast.get_docstring(item) for item in tree.body if isinstance(item, ast.ClassDef)}
    for name, node in public(tree):
        owner = name.removesuffix(".__init__")
        yield name, node, (classes.get(owner) if name != owner else ast.get_docstring(node)) or ""


def trees():
    """(file, syntax tree) of what is not compiled."""
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return [(f, ast.parse(p.read_text())) for f, p in files.items() if not f.startswith(COMPILED)]


def test_public_signatures_have_hints():
    found = {f"{file}: {name}": without_hint(node) for file, tree in trees() for name, node in public(tree)}
    assert not {name: missing for name, missing in found.items() if missing}


def test_a_section_of_parameters_has_all_of_them():
    for file, tree in trees():
        for name, node, doc in with_docstring(tree):
            listed = described(doc)
            assert listed is None or sorted(listed) == sorted(parameters(node)), f"{file}: {name}"


def of_the_package():
    """(name, function) of public functions of `fieldrx`, and of methods of its classes."""
    for name in fieldrx.__all__:
        value = getattr(fieldrx, name)
        value = getattr(value, name) if inspect.ismodule(value) else value
        if inspect.isfunction(value):
            yield name, value
        for owner in value.__mro__ if inspect.isclass(value) else ():
            for method, found in vars(owner).items():
                function = inspect.unwrap(getattr(found, "__func__", found))
                ours = owner.__module__.startswith("fieldrx.") and not method.startswith("_")
                if ours and inspect.isfunction(function):
                    yield f"{owner.__name__}.{method}", function


def test_what_the_package_offers_says_what_each_parameter_is():
    missing = set()
    for name, function in of_the_package():
        taken = set(inspect.signature(function).parameters) - {"self", "cls"}
        if len(taken) > 1 and described(inspect.getdoc(function) or "") is None:
            missing.add(name)
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


def test_names_in_a_section_of_parameters():
    doc = "Words.\n\nParameters\n----------\na, b : int\n    Of all, c.\n**d\n\nReturns\n-------\ne : int"
    assert described(doc) == ["a", "b", "d"]
    assert described("Words: parameters as of another.") is None
