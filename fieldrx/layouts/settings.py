"""Keys of an acquisition.toml as the user gives them: KEY=VALUE."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from fieldrx.acquisition.schema import TEXT, check_type
from fieldrx.acquisition.toml import toml_line
from fieldrx.acquisition.values import is_pointer, plain_name
from fieldrx.errors import InputError, nearest
from fieldrx.layouts.draft import KNOWN, Draft
from fieldrx.optics.units import check_lengths

SET = "--set"  # what a refusal of a type begins with
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")  # a decimal comma


def apply_settings(draft: Draft, settings: Sequence[str]) -> Draft:
    """A draft with the keys that a user gives.

    Parameters
    ----------
    draft : Draft
    settings : sequence of str
        ``KEY=VALUE`` or ``TABLE.KEY=VALUE``; a value that is no TOML is text.

    Raises
    ------
    InputError
        If one has no =, its key is unknown or stands in several tables, or its value is of a wrong type, or
        it is a length that no optics has.
    """
    made, refused = try_settings(draft, settings)
    if refused:
        raise refused[0]
    return made


def try_settings(draft: Draft, settings: Sequence[str]) -> tuple[Draft, list[InputError]]:
    """The same without those that make no sense, and what `apply_settings` would refuse each of them for.

    Parameters
    ----------
    draft : Draft
    settings : sequence of str
    """
    parsed: list[tuple[str, str, Any]] = []
    refused: list[InputError] = []
    for setting in settings:
        try:
            parsed.append(_parsed(setting))
        except InputError as error:
            refused.append(error)
    for table, name, value in sorted(parsed, key=lambda one: one[1] != "kind"):  # which decides on others
        try:
            draft = draft.having(table, name, value)
        except InputError as error:
            refused.append(error)
    return draft, refused


def _parsed(setting: str) -> tuple[str, str, Any]:
    """Table, key and value."""
    key, equals, text = (part.strip() for part in setting.partition("="))
    if not equals or not text:
        raise InputError(f'"{setting}" is no KEY=VALUE such as wavelength_um=0.515 or table=leds.csv')
    table, dot, name = key.rpartition(".")
    tables = [table] if dot else list(KNOWN)
    found = [t for t in tables if t in KNOWN and plain_name(name, KNOWN[t]) in KNOWN[t]]
    if not found:
        known = [other for names in KNOWN.values() for other in names]
        raise InputError(f'no key of an acquisition.toml is called "{key}"{nearest(name, known)}')
    if len(found) > 1:
        ways = " or ".join(f"{t}.{name}" for t in found)
        raise InputError(f"{name} stands in several tables; write {ways}")
    value, kinds = value_of(text), KNOWN[found[0]][plain_name(name, KNOWN[found[0]])]
    if not isinstance(value, str) or not (TEXT in kinds or is_pointer(value)):
        if isinstance(value, str) and _COMMA.fullmatch(value):
            point = text.replace(",", ".")
            raise InputError(f"{name} is {text!r}; expected a number, its decimals behind a point: {point}")
        check_type(value, kinds, name, SET)
    if isinstance(value, (int, float)):
        check_lengths({name: value})
    return found[0], name, value


def value_of(text: str) -> Any:
    """A value of TOML, or the text itself where it is none that an acquisition has."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        toml_line("value", value)
    except (tomllib.TOMLDecodeError, TypeError):  # no TOML, or a date
        return text
    return value
