"""How a command ends: statuses, and one line for every mistake."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from fieldrx.cli.text import echo
from fieldrx.errors import InputError, printable

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
        leave(_plainly(error), 2 if user else 1)


def _plainly(error: Exception) -> str:
    """What went wrong and with which file, without Python's name and number for it."""
    if isinstance(error, OSError) and error.strerror:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([" and ".join(named), error.strerror] if named else [error.strerror])
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _failed_algebra() -> type[Exception]:
    """The exception of NumPy, which takes longer to import than `fieldrx --help` takes."""
    from numpy.linalg import LinAlgError

    return LinAlgError
