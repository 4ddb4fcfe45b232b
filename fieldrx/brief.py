"""What a notebook shows of an object: one line, arrays by their shape alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from numbers import Real
from typing import TypeVar

T = TypeVar("T")
_LONGEST = 40  # characters of a text


def brief(cls: type[T]) -> type[T]:
    """Give a dataclass a `repr` of one line; its names carry the units."""

    def words(self):
        parts = [f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self)]
        return f"{type(self).__name__}({', '.join(parts)})"

    cls.__repr__ = words  # type: ignore[method-assign]  # the class is made for it
    return cls


def times(shape: Sequence[int]) -> str:
    """A shape in words: 3 x 4 x 5."""
    return " x ".join(map(str, shape))


def _short(value):
    if getattr(value, "shape", ()) != () and hasattr(value, "dtype"):
        return f"<{value.dtype} {times(value.shape)}>"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "...")
    if isinstance(value, (tuple, list)) and len(value) <= 3 and all(isinstance(v, Real) for v in value):
        return f"({', '.join(map(_short, value))})"
    if isinstance(value, (tuple, list, dict)):
        return f"<{len(value)} entries>"
    if isinstance(value, Real) and not isinstance(value, (bool, int)):
        return f"{value:.6g}"
    return f"<{type(value).__name__}>" if is_dataclass(value) or callable(value) else str(value)
