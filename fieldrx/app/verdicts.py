"""What a command said of the worth of its own result, for a line beside how it ended."""

from __future__ import annotations

import re
from typing import Any

_DOUBT = re.compile(r"these directions are in doubt[^\n]*")


def verdict_in(printed: str) -> dict[str, Any] | None:
    """The verdict among what a command printed; None where it gave none.

    Parameters
    ----------
    printed : str

    Returns
    -------
    dict or None
        ``words``, and ``good``: whether they are no reason to look again.
    """
    from fieldrx.verdict import GRADES  # which takes a while to import

    grades = "|".join((*GRADES, "no image was held out"))
    found = re.search(rf"^(?:frame \d+, the first, is )?({grades}): .*", printed, re.M)
    if found:
        return {"words": found[0], "good": found[1] == GRADES[0]}
    doubt = _DOUBT.search(printed)
    return {"words": doubt[0], "good": False} if doubt else None
