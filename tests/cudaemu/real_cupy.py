"""What an installed CuPy has, and which arguments it takes: that can be looked at without a card."""

import functools
import importlib.util
import inspect
import re

import numpy as np

_HEAD = re.compile(r"^[\w.]*?(\w+)\((?=.*\))", re.MULTILINE)
_ABSENT = object()


def _load():
    """The real modules by name; none where there is no CuPy.  Here, before a stand-in takes its place."""
    if importlib.util.find_spec("cupy") is None:
        return {}
    import cupy
    import cupy.cuda.compiler
    import cupyx.scipy.fft

    try:
        from cupy.cuda import cufft
    except ImportError:  # the library of cuFFT is a package of its own
        cufft = None
    return {"cupy": cupy, "cupyx": cupyx, "cufft": cufft}


MODULES = _load()
INSTALLED, CUFFT = bool(MODULES), MODULES.get("cufft") is not None


class Refused(TypeError):
    """What CuPy does not have or does not take."""


def find(path):
    """What a dotted name means, "cupy.ndarray.sum"; raises `Refused` where there is no such thing."""
    root, *names = path.split(".")
    found = MODULES[root]
    for name in names:
        found = getattr(found, name, _ABSENT)
        if found is _ABSENT:
            raise Refused(f"CuPy {MODULES['cupy'].__version__} has no {path}")
    return found


@functools.cache
def signature(path):
    """Parameters of a callable, those of compiled ones from the head of their documentation; without self."""
    found = find(path)
    if not callable(found):
        raise Refused(f"{path} cannot be called")
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError:
        parameters = _documented(path, inspect.getdoc(found) or "")
    bound = path.split(".")[1] == "ndarray" or (parameters[:1] and parameters[0].name == "self")
    return inspect.Signature(parameters[1:] if bound else parameters)


def _documented(path, text):
    """Parameters told by the first line of a docstring, as Cython and ufuncs write it, or by a later one that
    names those which the first leaves open."""
    heads = list(_HEAD.finditer(text))
    if not heads or heads[0].start():
        raise Refused(f"the documentation of {path} does not begin with its parameters")
    same = [head for head in heads if head.group(1) == heads[0].group(1)]
    head = same[-1 if "**kwargs" in text.split("\n")[0] else 0]
    kind, found = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for part in _arguments(text[head.end() :].replace("\\", "")):
        name, *default = part.split("=", 1)
        stars = name.count("*")
        if name == "/":
            found = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in found]
        elif name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            of = {0: kind, 1: inspect.Parameter.VAR_POSITIONAL, 2: inspect.Parameter.VAR_KEYWORD}[stars]
            given = {"default": None} if default else {}
            kind = inspect.Parameter.KEYWORD_ONLY if stars == 1 else kind
            found.append(inspect.Parameter(name.split()[-1].strip("*"), of, **given))
    if path.split(".")[1] == "ndarray" and (not found or found[0].name != "self"):
        found.insert(0, inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY))
    return found


def _arguments(text):
    """The parts of "x, dtype=(1, 2)) -> array", up to the bracket that closes them."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def check_call(path, count, keywords, whole=True):
    """Raise `Refused` where a callable takes not so many positional arguments, or not these keywords.

    Where some are not known, `whole` is False.
    """
    form = signature(path)
    try:
        (form.bind if whole else form.bind_partial)(*[None] * count, **dict.fromkeys(keywords))
    except TypeError as error:
        given = f"{count} arguments and {', '.join(keywords) or 'no keywords'}"
        raise Refused(f"{path}{form} does not take {given}: {error}") from None


def check_types(path, operands):
    """Raise `Refused` where a ufunc has no loop for operands, which may be Python's own numbers."""
    ufunc = find(path)
    if not isinstance(ufunc, MODULES["cupy"].ufunc):
        raise Refused(f"{path} is no ufunc of CuPy")
    samples = [np.empty(0, x.dtype) if hasattr(x, "dtype") and x.ndim else x for x in operands]
    samples = [np.dtype(x.dtype).type(1) if hasattr(x, "dtype") and not x.ndim else x for x in samples]
    common = np.result_type(*samples)
    for loop in ufunc.types:
        into = [np.dtype(letter) for letter in loop.split("->")[0]]
        if len(into) == len(samples) and all(np.can_cast(common, one, "safe") for one in into):
            return
    if common.kind in "biu":  # CuPy casts integers to floats where a ufunc has none for them
        return
    raise Refused(f"{path} has no loop for {[getattr(x, 'dtype', type(x)) for x in operands]}")
