"""Files and folders: whether they can be read, and writing them whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from fieldrx.errors import InputError, NoSuchFile, nearest, one_line
from fieldrx.parallel import world


def open_folder(folder: str | os.PathLike) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    InputError
        If it is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the results")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_file(path: str | os.PathLike, what: str) -> Path:
    """The path of an existing, readable file.

    Raises
    ------
    InputError
        If nothing is there, or a folder, or the file may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected {what}: give a file inside it")
    if not path.is_file():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NoSuchFile(f"{path}: no such file; expected {what}, check the path{nearest(path.name, names)}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it; change its mode (chmod +r) or its owner")
    return path


def same_file(a: Path, b: Path) -> bool:
    """Whether two names mean one file, links and the case of letters included."""
    return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file whole or not at all.

    Gives a temporary name in the same folder (with the same ending); when the block ends well the
    file is synced to disk and renamed.  On any exception, an interrupt included, the temporary file
    is removed and the old file stays as it was.  Of several ranks that write the same, the first one does:
    what the others write is thrown away.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    InputError
        If `path` is a folder or a device, or its folder is missing or may not be written.
    OSError
        Of the system, a full disk for instance, with the name of the file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is not a regular file; give the name of a file to write")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {target.parent} is not writable; choose another one")
    temporary = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        yield temporary
        if world().rank:
            return
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise named(error, path) from None
    finally:
        temporary.unlink(missing_ok=True)


def remove_file(path: str | os.PathLike) -> None:
    """Remove a file, if it is there; of several ranks the first one does."""
    if not world().rank:
        Path(path).unlink(missing_ok=True)


def remove_own(folder: str | os.PathLike, names: Sequence[str]) -> None:
    """Remove a folder of files that work kept, and nothing else.

    Parameters
    ----------
    folder : path-like
        Which need not be there.
    names : sequence of str
        Patterns of the files' names; what `atomic_path` left of them when it was killed counts too.

    Raises
    ------
    InputError
        If something else is in it.
    """
    path = Path(folder)
    if not path.exists():
        return
    own = [pattern for name in names for pattern in (name, f".????????-{name}")]
    strange = [one.name for one in path.iterdir() if not any(fnmatch(one.name, name) for name in own)]
    if strange:
        raise InputError(f"{path} is in the way: it holds {strange[0]}, which is not of such work; move it")
    shutil.rmtree(path)


def named(error: OSError, path: str | os.PathLike) -> OSError:
    """What the system said about a file that was being written, with its final name."""
    return OSError(error.errno, error.strerror or one_line(error), str(path))
