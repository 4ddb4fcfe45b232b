"""Words of the page for what a command line calls by options, capital letters and keys of a file."""

from __future__ import annotations

import re

import click

from fieldrx.layouts.draft import KNOWN

_UNITS = {"um": "um", "nm": "nm", "mm": "mm", "s": "s", "deg": "degrees"}  # at the end of a name
_SPELT = {"na": "NA", "led": "LED", "tv": "TV", "fps": "FPS"}
_NAMES = {"paths": "images"}  # of parameters
_METAVARS = {"ACQ": "the acquisition", "FIELD": "the field", "OUT": "the output", "SMALL": "the output"}
_FOR_METAVAR = re.compile(rf"\b({'|'.join(_METAVARS)})\b(?!\.\w)")
_OPTION = re.compile(r"(['\"]?)(?<![\w-])(--[a-z][a-z-]*|-o\b)\1")
_KEYS = {key for table in KNOWN.values() for key in table if "_" in key}
_KEY = re.compile(rf"\b({'|'.join(sorted(_KEYS, key=len, reverse=True))})\b")
_TABLE = re.compile(r"\[(microscope|images|illumination)\] ")


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
    """The same, with keys of an acquisition.toml by their labels too."""
    return _KEY.sub(lambda found: label(found[1]), _TABLE.sub("", plain(text)))


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
