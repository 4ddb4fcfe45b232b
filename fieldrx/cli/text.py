"""What commands print: text from files must neither steer the terminal nor break a stream's encoding."""

from __future__ import annotations

import io
import os
import sys

import click

from fieldrx.errors import printable_lines
from fieldrx.parallel import launched


def prepare_streams() -> None:
    """Let characters that the encoding of a stream lacks be written as escapes; one rank alone prints."""
    if launched().rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: str = "", err: bool = False) -> None:
    """Print lines, on the first of several ranks; characters that are none to be seen become escapes."""
    if launched().rank:
        return
    click.echo(printable_lines(text), file=sys.stderr if err else sys.stdout)


def counted(count: int, what: str) -> str:
    """So many of something: "1 row", "3 rows"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
