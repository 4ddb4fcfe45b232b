"""Parameters that commands share, and checks of the files that they name."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fieldrx.errors import InputError
from fieldrx.parallel import launched


def _option(param: click.Parameter | None) -> str:
    """The option's name, for errors."""
    return "" if param is None else param.opts[0]


def _converted(kind, convert, what, value, param, ctx):
    """A number as click converts it; what is none, or out of bounds, is refused in our words."""
    try:
        return convert(value, param, ctx)
    except click.BadParameter:
        kind.fail(f'expected {what}{_bounds(kind)}, not "{value}"', param, ctx)


class Whole(click.IntRange):
    """A whole number, within bounds if there are any."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        return _converted(self, super().convert, "a whole number", value, param, ctx)

    def _describe_range(self) -> str:  # click has "x<=None" where there are no bounds
        return super()._describe_range() if _bounds(self) else ""


class Real(click.FloatRange):
    """A number, within bounds if there are any."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        return _converted(self, super().convert, "a number", value, param, ctx)

    def _describe_range(self) -> str:
        return super()._describe_range() if _bounds(self) else ""


def _bounds(kind: click.IntRange | click.FloatRange) -> str:
    """The bounds of a number, in words that follow it."""
    if kind.min is None and kind.max is None:
        return ""
    low = "" if kind.min is None else f"{'above' if kind.min_open else 'from'} {kind.min:g}"
    if kind.max is None:
        return f" {low}" if kind.min_open else f" {low} on"
    return f" {low} {'to below' if kind.max_open else 'to'} {kind.max:g}"


class Depth(click.ParamType):
    """Slice centres in um, or auto."""

    name = "Z0:Z1:DZ"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float] | str:
        """The depth (z0, z1, dz), or "auto"."""
        from fieldrx.optics import parse_depth

        return parse_depth(value) if isinstance(value, str) and value != "auto" else value


class Weight(click.ParamType):
    """A weight of a prior, or auto."""

    name = "WEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The weight, or "auto"."""
        if value == "auto":
            return value
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise InputError(
                f'{_option(param)} "{value}" is no weight: expected a number, 0 or more, or auto'
            )
        return weight


class Tiles(click.ParamType):
    """How a frame is cut: auto, off, or the side of a tile in pixels."""

    name = "PIXELS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The side, or "auto", or "off"."""
        if value in ("auto", "off"):
            return value
        if not (text := str(value)).isdecimal() or int(text) < 1:
            raise InputError(f'--tiles "{value}" is not auto, off or a number of pixels such as 320')
        return int(text)


class Duration(click.ParamType):
    """A time, with its unit or in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time [s]."""
        text = str(value).strip().lower()
        seconds = _by_colons(text) if ":" in text else _by_units(text)
        if not (seconds > 0 and math.isfinite(seconds)):
            raise InputError(f'{_option(param)} "{value}" is not a time such as 90s, 5m, 1h30m or 01:30:00')
        return seconds


def _by_units(text: str) -> float:
    """Seconds of 1h30m, 90s or 90; nan where it is none of these."""
    if re.fullmatch(r"(\d+(\.\d*)?[hms])+", text):
        units = {"s": 1, "m": 60, "h": 3600}
        return sum(float(n) * units[u] for n, _, u in re.findall(r"(\d+(\.\d*)?)([hms])", text))
    try:
        return float(text)
    except ValueError:
        return math.nan


def _by_colons(text: str) -> float:
    """Seconds of [D-]HH:MM:SS or MM:SS, as schedulers write them; nan where it is neither."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return math.nan
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


class Bytes(click.ParamType):
    """A size of a file, with its unit or in bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The size in bytes."""
        units = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
        text = str(value).strip().lower()
        number = text.rstrip("bgikm ")
        try:
            size = float(number) * units[text[len(number) :].strip()]
        except (ValueError, KeyError):
            size = math.nan
        if not 0 < size < math.inf:
            raise InputError(f'{_option(param)} "{value}" is not a size such as 300kB, 1MB or 500000')
        return size


class Share(click.ParamType):
    """A share, in per cent or as a number."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share, 0 to 1."""
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            share = math.nan
        if not 0 < share < 1:
            raise InputError(f'{_option(param)} "{value}" is not a share such as 1% or 0.01')
        return share


class Numbers(click.ParamType):
    """Numbers, separated by commas or colons.

    Parameters
    ----------
    counts : sequence of int
        How many there may be.
    what : str
        What is expected, in words.
    """

    name = "NUMBERS"

    def __init__(self, counts: Sequence[int], what: str):
        self.counts, self.what = counts, what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """The numbers, all finite."""
        try:
            numbers = [float(part) for part in str(value).replace(":", ",").split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in self.counts or not all(map(math.isfinite, numbers)):
            raise InputError(f'{_option(param)} "{value}" is not {self.what}')
        return numbers


class Axis(click.ParamType):
    """z, y, x or a vector."""

    name = "AXIS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | tuple[float, ...]:
        """The letter, or the vector (z, y, x)."""
        if value in ("z", "y", "x"):
            return value
        numbers = Numbers((3,), "z, y, x or a vector DZ,DY,DX")
        return tuple(numbers.convert(value, param, ctx))


class Turn(click.ParamType):
    """An axis and an angle."""

    name = "AXIS:DEGREES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str | tuple[float, ...], float]:
        """The axis, and the angle [degrees]."""
        axis, _, degrees = str(value).rpartition(":")
        try:
            return Axis().convert(axis, param, ctx), float(degrees)
        except ValueError:  # InputError is one
            raise InputError(f'--turn "{value}" is not AXIS:DEGREES such as y:30 or 1,1,0:45') from None


def _check_device(ctx, param, value):
    from fieldrx.backends import get

    if value == "cuda":
        get(value)  # says what is missing before any file is read
    return value


FILE = click.Path(path_type=Path)
quiet_option = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    callback=lambda ctx, param, value: value or launched().rank > 0,  # one rank speaks
    help="Print results and errors only.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Where to compute: auto takes a GPU where there is one.",
)
time_option = click.option(
    "--time",
    type=Real(),
    default=None,
    help="Of a film: one time, in s, or a frame's number where the film knows no seconds; between two frames "
    "both are mixed.",
)
steps_option = click.option(
    "--steps", type=Whole(min=1), default=None, help="Steps of the fit. Default: 220."
)
budget_option = click.option(
    "--budget", type=Duration(), default=None, help="Time for the fit instead of steps: 90s, 5m, 1h."
)


def volume_options(command: Any) -> Any:
    """Options of commands that read a volume: where it lies, if its file does not tell."""
    spacing = click.option(
        "--spacing",
        type=Numbers((1, 3), "one number or DZ,DY,DX in um"),
        default=None,
        help="Of the volume's voxels in um, one number or DZ,DY,DX, where its file does not tell.",
    )
    origin = click.option(
        "--origin",
        type=Numbers((3,), "Z,Y,X in um"),
        default=None,
        help="Centre of the volume's first voxel in um, where its file does not tell. Default: 0,0,0.",
    )
    return spacing(origin(command))


def check_output(path: Path, *inputs: Path) -> None:
    """Refuse, before any work is done, a file that cannot be written or is an input.

    Raises
    ------
    InputError
    """
    if any(path.resolve() == other.resolve() for other in inputs):
        raise InputError(f"{path} would replace what it is made from; choose another name")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: there is no folder {folder}; make it first")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise InputError(f"{path} is a folder; give the name of a file")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: the folder {folder} cannot be written to")


def check_ending(path: Path, what: str, *endings: str) -> None:
    """Refuse a name with another ending than `what` has, the first being the usual one.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() not in endings:
        raise InputError(f"{path}: {what} saved as {endings[0]}; choose a name with that ending")


def check_length(steps: int | None, budget: float | None) -> None:
    """Refuse two lengths of one fit.

    Raises
    ------
    InputError
    """
    if steps and budget:
        raise InputError("give --steps or --budget, not both")
