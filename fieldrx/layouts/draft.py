"""An acquisition.toml in the making: its keys, where each value comes from, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fieldrx.acquisition.schema import EVERY_LIGHT, IMAGES, MICROSCOPE, TOP
from fieldrx.acquisition.schema import ILLUMINATION as KINDS
from fieldrx.acquisition.toml import toml_line
from fieldrx.acquisition.values import plain_name
from fieldrx.errors import InputError

ILLUMINATION = {
    **EVERY_LIGHT,
    **{key: kinds for table in KINDS.values() for key, kinds in table.items()},
}
KNOWN: dict[str, dict[str, Any]] = {
    "": TOP,
    "microscope": MICROSCOPE,
    "images": IMAGES,
    "illumination": ILLUMINATION,
}

# What a key means, for those that may have to be asked for.
WORDS = {
    "wavelength_um": "vacuum wavelength of the light [um]",
    "objective_na": "numerical aperture of the objective",
    "medium_index": "refractive index around the sample: air 1, water 1.33, oil 1.52",
    "pixel_size_um": "pixel in the sample [um]; or camera_pixel_um and magnification",
    "camera_pixel_um": "pixel of the camera [um]; or pixel_size_um alone",
    "magnification": "from sample to camera",
    "table": "csv with columns image, na_y, na_x; or kind = led-grid, led-ring, disc",
    "pitch_um": "distance of neighbouring LEDs [um]",
    "distance_um": "from the board of LEDs to the sample [um]",
    "centre": "[row, col] of the LED on the optical axis, may be fractions",
    "shape": '[rows, cols] lit row by row; or spiral = ["col", "row"], or leds = [[row, col], ...]',
    "count": "number of LEDs on the ring, one image each",
    "na": "numerical aperture of the ring, or of the condenser",
    "depth_um": "how far the sample reaches from the plane in focus [um]",
    "start_deg": "angle of the first LED, from +x towards +y",
}
NEEDED = {
    "table": ("table",),
    "led-grid": ("pitch_um", "distance_um", "centre", "shape"),
    "led-ring": ("count", "na"),
    "disc": ("na", "depth_um"),
}
_MEANT = {"na": "led-ring"}  # by a key of several kinds, until a key of another stands beside it
_CAMERA = ("camera_pixel_um", "magnification")  # which say something together alone
_RIVALS = (  # sets of keys of which one says what the others would
    ("microscope", ({"pixel_size_um"}, {*_CAMERA})),
    ("illumination", ({"leds"}, {"shape"}, {"spiral"})),
)
_COLUMN = 44  # where comments begin


@dataclass(frozen=True)
class Key:
    """One key.

    Parameters
    ----------
    table : str
        "microscope", "images", "illumination", or "" for a key above them.
    name : str
        May end in another unit than _um.
    value : optional
        None where it is missing.
    comment : str
        Where the value comes from; of a missing one, what it means.
    """

    table: str
    name: str
    value: Any
    comment: str

    @property
    def plain(self) -> str:
        """The name of a length in _um, other names as they are."""
        return plain_name(self.name, KNOWN[self.table])


@dataclass(frozen=True)
class Draft:
    """What is known of an acquisition.

    Parameters
    ----------
    layout : str
        Name of the layout, and what was recognised.
    keys : tuple of Key
    """

    layout: str
    keys: tuple[Key, ...]

    @property
    def missing(self) -> list[Key]:
        """Keys without a value."""
        return [key for key in self.keys if key.value is None]

    def content(self) -> dict[str, Any]:
        """What the file will say, as it is read from TOML."""
        content: dict[str, Any] = {key.name: key.value for key in self._known("")}
        for table in ("microscope", "images", "illumination"):
            content[table] = {key.name: key.value for key in self._known(table)}
        return content

    def _known(self, table: str) -> list[Key]:
        return [key for key in self.keys if key.table == table and key.value is not None]

    def text(self) -> str:
        """The file, every key with its comment; what is missing stands there commented out."""
        lines = [f"# {_printable(self.layout)}, recognised by fieldrx new", *map(_line, self._in(""))]
        for table in ("microscope", "images", "illumination"):
            lines += ["", f"[{table}]", *map(_line, self._in(table))]
        return "\n".join(lines) + "\n"

    def _in(self, table: str) -> list[Key]:
        return [key for key in self.keys if key.table == table]

    def having(self, table: str, name: str, value: Any, comment: str = "given") -> Draft:
        """The draft with a value of the user's, in place of what it contradicts.

        Raises
        ------
        InputError
            If it is of an illumination of several kinds, none of them this one's.
        """
        new = Key(table, name, value, comment)
        keys = list(_of_kind(self.keys, new) if table == "illumination" else self.keys)
        gone = {new.plain, *_rivals(table, new.plain)}
        places = [k for k, key in enumerate(keys) if key.table == table and key.plain in gone]
        place = places[0] if places else len(keys)
        rest = [key for k, key in enumerate(keys) if k not in places]
        there = {new.plain, *(key.plain for key in rest)}
        partner = [other for other in _CAMERA if other not in there] if new.plain in _CAMERA else []
        return replace(self, keys=(*rest[:place], new, *asked(table, *partner), *rest[place:]))


def asked(table: str, *names: str) -> list[Key]:
    """Keys that only the user knows."""
    return [Key(table, name, None, WORDS[name]) for name in names]


def told(table: str, comment: str, **values: Any) -> list[Key]:
    """Keys whose values come from one place."""
    return [Key(table, name, value, comment) for name, value in values.items()]


def _line(key: Key) -> str:
    text = f"# {key.name} =" if key.value is None else toml_line(key.name, key.value)
    return f"{text:<{_COLUMN}}  # {_printable(key.comment)}" if key.comment else text


def _printable(text: str) -> str:
    """A comment's text: names of files may hold what TOML refuses there."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _rivals(table: str, name: str) -> set[str]:
    """Keys that cannot stand beside one."""
    sets = [ways for where, ways in _RIVALS if where == table and any(name in way for way in ways)]
    return {other for ways in sets for way in ways if name not in way for other in way}


def _of_kind(keys: Sequence[Key], new: Key) -> Sequence[Key]:
    """Keys with an illumination of the kind that a new key belongs to, what that needs asked for."""
    now = next((key.value for key in keys if (key.table, key.name) == ("illumination", "kind")), "")
    if new.plain == "kind":
        kind = new.value
    elif new.plain in (*EVERY_LIGHT, *KINDS.get(now, ())):
        return keys
    else:
        kinds = [kind for kind, names in KINDS.items() if new.plain in names]
        kinds = [_MEANT[new.plain]] if new.plain in _MEANT else kinds
        if len(kinds) > 1:
            raise InputError(f"{new.name} belongs to {' and '.join(kinds)}; say which with kind=...")
        kind = kinds[0]
    if kind == now or kind not in KINDS:  # another is refused where it is read
        return keys
    others = [key for key in keys if key.table != "illumination"]
    kept = [key for key in keys if key.table == "illumination" and key.plain in KINDS[kind]]
    there = {key.plain for key in kept}
    there |= {"shape"} if any("{row}" in str(key.value) for key in keys if key.name == "files") else set()
    needed = [name for name in NEEDED[kind] if name not in there]
    return [*others, Key("illumination", "kind", kind, "given"), *kept, *asked("illumination", *needed)]
