"""Words of the page for what a command line calls by options, capital letters and keys of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import click

from fieldrx.layouts.draft import KNOWN
from fieldrx.optics.units import KEY_UNITS

_UNITS = {
    "um": "um",
    **{unit: unit for unit in KEY_UNITS},
    "s": "s",
    "deg": "degrees",
}  # at the end of a name
_SPELT = {"na": "NA", "led": "LED", "leds": "LEDs", "tv": "TV", "fps": "FPS"}
_NAMES = {"paths": "images"}  # of parameters
_METAVARS = {"ACQ": "the acquisition", "FIELD": "the field", "OUT": "the output", "SMALL": "the output"}
_FOR_METAVAR = re.compile(rf"\b({'|'.join(_METAVARS)})\b(?!\.\w)")
_OPTION = re.compile(r"(['\"]?)(?<![\w-])(--[a-z][a-z-]*|-o\b)\1")
_TABLES = {
    "microscope": "the microscope",
    "images": "the description of the images",
    "illumination": "the illumination",
}


def _any_of(names: Iterable[str]) -> str:
    """A pattern of keys, lengths in any unit."""
    unit = f"_(?:{'|'.join(('um', *KEY_UNITS))})"
    return f"({'|'.join(re.sub('_um$', unit, name) for name in sorted(names, key=len, reverse=True))})"


_KEYS = {key for table in _TABLES for key in KNOWN[table]}
_IN = rf"\[({'|'.join(_TABLES)})\]"
_FOR_KEYS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(rf"{_IN} {_any_of(_KEYS)}\b"), lambda found: label(found[2])),
    (re.compile(rf"^{_any_of(_KEYS)}(?= is | stands | belongs )"), lambda found: label(found[1])),
    (re.compile(rf"\b{_any_of(_KEYS)} in {_IN}"), lambda found: label(found[1])),
    (re.compile(rf"\bset {_any_of(_KEYS)} = "), lambda found: f"set {label(found[1])} to "),
    (re.compile(rf"(?<![\w.]){_any_of(_KEYS)} = "), lambda found: f"{label(found[1])} = "),
    (re.compile(rf",? in {_IN}"), lambda found: ""),
    (re.compile(_IN), lambda found: _TABLES[found[1]]),
    (re.compile(rf"(?<![\w/.\\-]){_any_of(key for key in _KEYS if '_' in key)}(?![\w/\\=]|\.\w)"),
     lambda found: label(found[1])),
]  # fmt: skip
# What is typed into "Another key", and what is said of a file that one must look into, keep their keys.
_KEPT = re.compile(r"unknown key |no key |.*\.toml: ")


def label(name: str) -> str:
    """What stands above the field of an option or key: "--led-size-um" is "LED size (um)"."""
    words = name.strip("-").replace("-", "_").split("_")
    unit = f" ({_UNITS[words.pop()]})" if len(words) > 1 and words[-1] in _UNITS else ""
    text = " ".join(_SPELT.get(word, word) for word in words)
    return text[:1].upper() + text[1:] + unit


def label_of(parameter: click.Parameter) -> str:
    """What stands above the field of a parameter: the longest of its names."""
    if isinstance(parameter, click.Option):
        return label(max(parameter.opts, key=len))
    return label(_NAMES.get(parameter.name or "", parameter.name or ""))


def plain(text: str) -> str:
    """A text of the command line with options by their labels, and names of arguments in words.

    Parameters
    ----------
    text : str
        A help, note or error.
    """
    named = _OPTION.sub(lambda found: f"“{label('output' if found[2] == '-o' else found[2])}”", text)
    return _FOR_METAVAR.sub(lambda found: _METAVARS[found[1]], named)


def plain_keys(text: str) -> str:
    """The same, with tables and keys of an acquisition.toml by their labels too."""
    text = plain(text)
    if _KEPT.match(text):
        return text
    for pattern, words in _FOR_KEYS:
        text = pattern.sub(words, text)
    return text


def wanted(parameter: click.Parameter, kind: str = "") -> str:
    """What to do where a parameter that is needed is empty.

    Parameters
    ----------
    parameter : click.Parameter
    kind : str
        Of the file that it names; empty where it names none.
    """
    if not kind:
        return f"{label_of(parameter)} is needed: fill it in"
    article = "" if kind == "images" else "an " if kind[0] in "aeiou" else "a "
    return f"choose {article}{kind} first"
