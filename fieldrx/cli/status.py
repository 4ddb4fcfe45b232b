"""How a command ends: statuses, and one line for every mistake."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from fieldrx.cli.text import echo
from fieldrx.errors import InputError, plainly, printable

NOTHING = 3  # a fit ended, and found nothing
_NO_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)  # of files, a mistake of the user
_LONGEST = 2000  # characters of a message; a cell of a table may have any number
STOPPED = 75  # EX_TEMPFAIL: a fit was interrupted, and goes on when it is called again


def leave(message: str, status: int) -> NoReturn:
    """Print one line, on the first of several ranks (see `fieldrx.parallel.session`), and end the process."""
    text = printable(message)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    echo(f"fieldrx: error: {text}", err=True)
    end = SystemExit(status)
    end.line = text  # type: ignore[attr-defined]
    raise end


@contextmanager
def one_line() -> Iterator[None]:
    """Status 2 for bad input, 1 for a failure, each with one line."""
    try:
        yield
    except InputError as error:
        leave(str(error), 2)
    except click.UsageError as error:
        usage = f"see {error.ctx.command_path} --help" if error.ctx else "see --help"
        leave(f"{' '.join(error.format_message().split())} ({usage})", 2)
    except KeyboardInterrupt:
        leave("interrupted", 1)
    except click.exceptions.Exit:
        raise  # of --help and --version
    except (OSError, MemoryError, _failed_algebra()) as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of a pipe has left; click ends quietly
        user = isinstance(error, OSError) and error.errno in _NO_NAMES
        leave(plainly(error), 2 if user else 1)


def _failed_algebra() -> type[Exception]:
    """The exception of NumPy, which takes longer to import than `fieldrx --help` takes."""
    from numpy.linalg import LinAlgError

    return LinAlgError
