"""What sections are made of: pieces of HTML with values, tables, numbers in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np


def asset(name: str) -> str:
    """The text of a file of this package."""
    return (files("fieldrx.report") / name).read_text(encoding="utf-8")


def fill(piece: str, /, **values: object) -> str:
    """A piece of HTML with its ``{values}``.

    Parameters
    ----------
    piece : str
        As "file.name": a line ``<!-- name -->`` of file.html begins it.  Line breaks there are for the
        reader: lines are joined by a space, or by nothing where the next begins with a tag.
    **values
        Numbers, formatted as the piece says, and HTML: text from outside must have been escaped.
    """
    file, name = piece.split(".")
    return _pieces(file)[name].format(**values)


@cache
def _pieces(file):
    """The pieces of a file, by their names."""
    _, *parts = re.split(r"^<!-- (\w+) -->$", asset(f"{file}.html"), flags=re.MULTILINE)
    texts = (re.sub(r"\s*\n\s*(<?)", lambda end: end[1] or " ", text.strip()) for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))


def table(rows: Iterable[tuple[str, str]]) -> str:
    """A table of two columns of text."""
    body = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows)
    return f"<table>{body}</table>"


def items(parts: Iterable[str]) -> str:
    """Entries of a list, of HTML."""
    return "".join(f"<li>{part}</li>" for part in parts)


def percent(value: float | None) -> str:
    """A share in words."""
    if value is None or not np.isfinite(value):
        return "unknown"
    return f"{100 * value:.3g} %" if value < 0.1 else f"{100 * value:.1f} %"
