"""Text files, in the encodings that editors write."""

from __future__ import annotations

import codecs
import os

from fieldrx.errors import InputError, one_line
from fieldrx.io.files import check_file

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of spreadsheets, new and old


def read_text(path: str | os.PathLike, what: str, kind: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte-order mark; every line ends with ``\\n``.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, for errors: "a csv table of the illumination".
    kind : str
        Its format, for errors: "csv", "TOML".

    Raises
    ------
    InputError
        If the file is missing, or in another encoding.
    """
    data = check_file(path, what).read_bytes()
    if data.startswith(_WORKBOOKS):
        raise InputError(f"{path}: not valid {kind}: it is a workbook or an archive; save it as {kind} text")
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: not valid {kind}: line {line} is not UTF-8 text ({one_line(error)}); save the file as "
            "UTF-8"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path}: not valid {kind}: it holds zero bytes, as UTF-16 without its byte-order mark and files "
            "that are no text do; save the file as UTF-8"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
