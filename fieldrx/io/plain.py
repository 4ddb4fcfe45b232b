"""Values that JSON knows."""

from __future__ import annotations

import math
from typing import Any


def json_number(value: float) -> float | None:
    """A number for JSON, which knows neither nan nor infinity: those are null."""
    return float(value) if math.isfinite(value) else None


def json_values(value: Any) -> Any:
    """The same for JSON: numpy's numbers and arrays as Python's, nan as null."""
    if isinstance(value, dict):
        return {str(name): json_values(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(v) for v in value]
    if hasattr(value, "tolist"):
        return json_values(value.tolist())
    return None if isinstance(value, float) and value != value else value
