"""The one exception for a user's mistake, and words and checks that its messages share."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from numbers import Real
from typing import Any, TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Bad input: one line that says what was expected, what came, and what to do.

    The command line prints it without a traceback and leaves with status 2.
    """


class NoSuchFile(InputError):
    """A file that was named is not there."""


class NothingValid(InputError):
    """No pixel of any image tells anything."""


class NoSignal(InputError):
    """The images hold nothing at the frequencies that are asked for."""


def one_line(error: BaseException) -> str:
    """The text of an exception without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def plainly(error: Exception) -> str:
    """What went wrong and with which file, without Python's name and number for what the system refuses."""
    if isinstance(error, OSError) and error.strerror:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([" and ".join(named), error.strerror] if named else [error.strerror])
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def printable(text: str) -> str:
    """The text on one line: characters that cannot be seen, as those that steer a terminal, as escapes."""
    if text.isprintable():
        return text
    seen = (c if c.isprintable() or unicodedata.category(c) == "Zs" else f"{c!a}"[1:-1] for c in text)
    return "".join(seen)


def printable_lines(text: str) -> str:
    """The text with every line as `printable` gives it."""
    return "\n".join(map(printable, text.split("\n")))


def nearest(name: object, known: Iterable[str]) -> str:
    """'; did you mean "x"?' when a known name is close, whatever its case, else nothing."""
    names = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.65)
    return f'; did you mean "{names[close[0]]}"?' if close else ""


def expect(value: object, kind: type[T], name: str, advice: str = "") -> T:
    """An argument that must be of a class.

    Parameters
    ----------
    value : object
    kind : type
        What it should be.
    name : str
        Of the argument.
    advice : str
        What to do.

    Raises
    ------
    InputError
        If it is not, which names both classes.
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise InputError(
            f"{name}: expected {article} {kind.__name__}, got {type(value).__name__}"
            + (f": {advice}" if advice else "")
        )
    return value


def check_numbers(given: Any) -> None:
    """Refuse what is no number among the values of a dataclass; where its hints say int, what is not whole.

    Parameters
    ----------
    given : dataclass instance
        Whole numbers that came as floats become ints.

    Raises
    ------
    InputError
        For the first that is none.
    """
    for one in fields(given):
        value, whole = getattr(given, one.name), one.type == "int"
        if value is None and "None" in one.type:
            continue
        if not isinstance(value, Real) or isinstance(value, bool) or (whole and value % 1 != 0):
            raise InputError(f"{one.name} is {value!r}; expected a {'whole ' if whole else ''}number")
        if whole:
            object.__setattr__(given, one.name, int(getattr(given, one.name)))


@contextmanager
def in_file(path: str | os.PathLike) -> Iterator[None]:
    """Put the file's name in front of an `InputError` raised inside, which stays of its kind."""
    try:
        yield
    except InputError as error:
        told = error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}")
        raise told from None
