"""What of the optics may be refined, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence

from fieldrx.errors import InputError

KINDS = ("illumination", "board", "intensity", "defocus", "pupil", "background")
ELSEWHERE = ("board", "background")  # at every step of a fit: `fieldrx.alignment`, `fieldrx.shading`
ZERNIKE = (3, 5, 6, 7, 8, 9, 12)  # astigmatism, coma, trefoil, spherical aberration


def parse_refine(text: str | Sequence[str]) -> tuple[str, ...]:
    """Read "illumination,board,intensity,defocus,pupil,background", or any of them.

    Raises
    ------
    InputError
        If a word is unknown.
    """
    words = tuple(dict.fromkeys(w.strip() for w in (text.split(",") if isinstance(text, str) else text)))
    unknown = [w for w in words if w not in KINDS]
    if unknown or not words:
        raise InputError(f'--refine knows {", ".join(KINDS)}, separated by commas; got "{text}"')
    return words
