"""All that makes no sense in an acquisition.toml under way, where a reader names the first thing alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fieldrx.acquisition.images import choice_of
from fieldrx.acquisition.light import checked_light, illumination_of
from fieldrx.acquisition.schema import FILL, IMAGES, MICROSCOPE, SCALARS, check_names, check_table
from fieldrx.acquisition.toml import check_magnification, read_content
from fieldrx.acquisition.values import plain_name
from fieldrx.errors import InputError
from fieldrx.io.variables import is_variable
from fieldrx.optics import Microscope

T = TypeVar("T")

_ANY = Microscope(0.5, 0.5, 1.0, 0.1)  # for light that does not depend on it
_BESIDE: dict[str, dict[str, Any]] = {  # sound values beside a key that is looked at alone
    "led-grid": {"pitch_um": 4000, "distance_um": 90000, "centre": [0, 0], "count": 1},
    "led-ring": {"count": 1, "na": 0.1},
}
_LEDS = ("leds", "shape", "spiral")  # of which a grid has one


def optics_faults(content: dict[str, Any], path: Path, whole: bool = True) -> list[str]:
    """What makes no sense among the optics, each once; images are not read.

    Every key is looked at by itself, so that one which is missing or wrong hides no other; how they go
    together is looked at where all are there and none is wrong.

    Parameters
    ----------
    content : dict
        As of `fieldrx.acquisition.toml.parse_toml`.
    path : Path
        Of the file, which need not be there.
    whole : bool
        Whether no key that is needed is missing.
    """
    faults = _Faults(path)
    _try_microscope(content["microscope"], faults)
    images, light = content.get("images", {}), content["illumination"]
    for key, value in images.items():
        faults.tried(check_table, {key: value}, IMAGES, "images", path)
    if not faults.told:
        faults.tried(check_names, images)
        faults.tried(choice_of, images)
    if "kind" in light:
        _try_light(light, images, faults)
    if whole and not faults.told:
        if "spiral" in light:  # whose length the images tell
            content = {**content, "illumination": {"count": 1, **light}}
        faults.tried(read_content, content, path, "unread")
    return faults.told


class _Faults:
    """What was refused so far."""

    def __init__(self, path: Path):
        self.path, self.told = path, list[str]()

    def tried(self, check: Callable[..., T], *arguments: Any) -> T | None:
        """What a check gives; None where it refuses, which is kept."""
        try:
            return check(*arguments)
        except InputError as error:
            said = str(error).removeprefix(f"{self.path}: ")
            self.told += [said] if said not in self.told else []
            return None


def _try_microscope(table: dict[str, Any], faults: _Faults) -> None:
    scope: dict[str, Any] = {}
    for key, value in table.items():
        scope |= faults.tried(check_table, {key: value}, MICROSCOPE, "microscope", faults.path) or {}
    faults.tried(check_magnification, scope)
    sound = {n: faults.tried(Microscope.check, n, scope[n]) for n in (*SCALARS, FILL) if n in scope}
    if (na := sound.get("objective_na")) and (index := sound.get("medium_index")):
        faults.tried(Microscope.check_aperture, na, index)


def _try_light(light: dict[str, Any], images: dict[str, Any], faults: _Faults) -> None:
    """Key by key; a table of directions as it stands in its file."""
    kind, before = light["kind"], len(faults.told)
    if faults.tried(checked_light, {"kind": kind}, faults.path) is None:
        return
    for key, value in light.items():
        alone = {"kind": kind, key: value}
        if kind in _BESIDE:
            others = _BESIDE[kind] | ({"shape": [1, 1]} if kind == "led-grid" and key not in _LEDS else {})
            others.pop(plain_name(key, others), None)
            faults.tried(illumination_of, others | alone, {}, None, _ANY, faults.path)
        else:
            faults.tried(checked_light, alone, faults.path)
    columns = kind == "table" and isinstance(light.get("table"), str) and not is_variable(light["table"])
    if columns and len(faults.told) == before:
        faults.tried(illumination_of, light, images, None, _ANY, faults.path)
