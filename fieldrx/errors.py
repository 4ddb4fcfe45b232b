"""The one exception for a user's mistake, and words that its messages share."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


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
    """'; did you mean "x"?' when a known name is close, else nothing."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.65)
    return f'; did you mean "{close[0]}"?' if close else ""


@contextmanager
def in_file(path: str | os.PathLike) -> Iterator[None]:
    """Put the file's name in front of an `InputError` raised inside, which stays of its kind."""
    try:
        yield
    except InputError as error:
        told = error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}")
        raise told from None
