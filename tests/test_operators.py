"""The operators that `fieldrx.backends.operators` declares: both backends offer these, and no others."""

import inspect
import pydoc
from importlib import import_module

import fake_cupy
import pytest

from fieldrx.backends import cpu, plain
from fieldrx.backends.operators import Operators

CLASSES = {name: Operators.__annotations__[name] for name in Operators.__annotations__}
FUNCTIONS = [name for name, value in vars(Operators).items() if inspect.isfunction(value) and name[0] != "_"]

# What classes of one backend offer its own modules besides: launches that `cuda.passage` records.
_RECORDED = {"key", "n_bytes", "numbers", "queue", "queue_back"}
BESIDES = {
    **dict.fromkeys(("Bpm", "Mlb", "Ssnp"), _RECORDED | {"take", "take_back"}),
    "Refocus": _RECORDED - {"key"} | {"queue_intensities", "space"},
}


def declared(name):
    """The protocol of a class, or the declaration of a function."""
    if name in FUNCTIONS:
        return getattr(Operators, name)
    protocol = CLASSES[name].removeprefix("type[").removesuffix("]")
    return getattr(import_module("fieldrx.backends.propagation"), protocol)


@pytest.fixture(scope="module")
def cuda():
    """The CUDA operators by name, from their modules, which need no driver, and no CuPy but in name."""
    with fake_cupy.installed():
        backend = import_module("fieldrx.backends.cuda")
        homes = {name: f"{backend.__name__}.{module}" for name, module in backend._MODULE_OF.items()}
        yield {name: getattr(import_module(home), name) for name, home in homes.items()}


@pytest.fixture(params=["cpu", "cuda"])
def backend(request):
    """A backend's operators by name."""
    if request.param == "cuda":
        return request.getfixturevalue("cuda")
    return {name: getattr(cpu, name) for name in cpu.__all__}


def parameters(function, bound=False):
    """(name, kind, default) of every parameter, less the first of a method."""
    found = [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
    return found[bound:]


def methods(cls):
    """Public methods, and the constructor, by name."""
    found = inspect.getmembers(cls, inspect.isfunction)
    return {name: method for name, method in found if name == "__init__" or name[0] != "_"}


def test_names(backend):
    assert sorted(backend) == sorted([*CLASSES, *FUNCTIONS])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_of_functions(backend, name):
    assert parameters(backend[name]) == parameters(declared(name), bound=True)


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_of_classes(backend, name):
    found, expected = methods(backend[name]), methods(declared(name))
    assert found.keys() - expected.keys() in (set(), BESIDES.get(name, set()))
    for method in expected:
        assert parameters(found[method]) == parameters(expected[method]), method


@pytest.mark.parametrize("name", CLASSES)
def test_the_plain_engine_takes_what_the_compiled_ones_take(name):
    for method, expected in methods(declared(name)).items():
        found = parameters(methods(getattr(plain, name))[method])
        assert found[: len(parameters(expected))] == parameters(expected), method


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_help_says_what_an_operator_does(backend, name):
    """Every declaration is described whole; an operator has a description, its methods those declared."""
    assert inspect.getdoc(backend[name])
    if name in FUNCTIONS:
        words = inspect.getdoc(declared(name))
        assert ("Parameters\n---" in words) == (len(parameters(declared(name), bound=True)) > 1)
        assert f"operators.Operators.{name}`" in backend[name].__doc__ or name in (
            "asarray",
            "device_name",
            "choose_precision",
        )
        return
    for method in methods(declared(name)).keys() - {"__init__"}:
        words = inspect.getdoc(getattr(declared(name), method))
        assert "Parameters\n---" in words
        assert words.splitlines()[0] in pydoc.render_doc(getattr(backend[name], method))
