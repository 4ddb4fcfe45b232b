"""Forms of commands: what the page asks for is what the command line asks for, in its own words.

A form is made from the parameters of a click command; what is added here is which of them come first, which
name files to read, and what a file to write is called as long as nobody calls it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from fieldrx.app.words import label_of, plain, wanted
from fieldrx.errors import InputError

_COMMAS = re.compile(r"[-+]?\d+(,\d+)?(:[-+]?\d+(,\d+)?)*")  # numbers with decimal commas
_APART = ("--quiet", "--resume")  # no questions of a form


@dataclass(frozen=True)
class Form:
    """What the page knows of a command beyond its parameters.

    Parameters
    ----------
    title : str
        On the button.
    reads : dict
        Of every parameter that names a file to read, its kind: "images", "acquisition", "field", "file".
    output : str
        Of what is written, {folder}, {stem} and {ending} standing for those of the first file that is read.
    first : tuple of str
        Parameters that are shown at once.
    again : str, optional
        Argument by which an interrupted command goes on.
    """

    title: str
    reads: dict[str, str]
    output: str = ""
    first: tuple[str, ...] = ()
    again: str | None = None
    writes: tuple[str, ...] = field(default=("output",))


_FIELD, _ACQ = {"field": "field"}, {"acquisition": "acquisition"}
FORMS = {
    "new": Form("Describe the images", {"paths": "images"}, "{folder}/acquisition.toml", ("overwrite",)),
    "calibrate": Form("Calibrate", _ACQ, "{folder}/{stem}-calibrated{ending}", ("depth", "contrast")),
    "run": Form("Reconstruct", _ACQ, "{folder}/{stem}-result", ("contrast", "error_bars", "steps", "budget"),
                "--resume"),
    "reconstruct": Form("Fit", _ACQ, "{folder}/{stem}-field.npz",
                        ("depth", "model", "refine", "steps", "budget"), "--resume=auto"),
    "evaluate": Form("Evaluate", _FIELD | _ACQ | {"truth": "file"}, "", (), writes=()),
    "view": Form("Show", _FIELD, "{folder}/{stem}.html"),
    "measure": Form("Measure", _FIELD | _ACQ, "{folder}/{stem}-objects.csv", ("acquisition", "labels"),
                    writes=("output", "labels")),
    "report": Form("Write the report", _FIELD | _ACQ | {"ensemble": "field"}, "{folder}/{stem}-report.html",
                   ("ensemble",)),
    "ensemble": Form("Make error bars", _FIELD | _ACQ, "{folder}/{stem}-ensemble.npz", ("members", "folds"),
                     writes=("output", "std")),
    "render": Form("Export", _FIELD, "{folder}/{stem}.ome.tif", ("quantity", "spacing", "projection")),
    "compress": Form("Compress", _FIELD, "{folder}/{stem}-small.npz", ("loss", "size")),
}  # fmt: skip


def described(commands: Mapping[str, click.Command]) -> dict[str, Any]:
    """All forms as JSON values, by the names of their commands."""
    return {name: _described(form, commands[name]) for name, form in FORMS.items()}


def _described(form, command):
    context = click.Context(command)
    asked = [p for p in command.params if not set(p.opts) & set(_APART)]
    return {
        "title": form.title,
        "says": plain((command.help or "").replace("\b", "").strip().partition("\n\n")[0]),
        "output": form.output,
        "again": form.again is not None,
        "parameters": [_parameter(form, p, context) for p in asked],
    }


def _parameter(form, parameter, context):
    """One question."""
    option = isinstance(parameter, click.Option)
    typed = "flag" if option and parameter.is_flag else "text"
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    file = form.reads.get(parameter.name) or ("output" if parameter.name in form.writes else "")
    default = parameter.get_default(context) if not parameter.required else None
    return {
        "name": parameter.name,
        "label": label_of(parameter),
        "help": plain(parameter.help or "") if option else "",
        "hint": "" if file else _hint(parameter),
        "kind": "choice" if choices else typed,
        "choices": list(choices),
        "file": file,
        "several": bool(parameter.nargs == -1 or (option and parameter.multiple)),
        "default": str(default) if isinstance(default, (str, int, float, Path)) else "",
        "required": parameter.required,
        "first": parameter.required or parameter.name in form.first or parameter.name in form.writes[:1],
    }


def _hint(parameter: click.Parameter) -> str:
    """What a value looks like, as Z0:Z1:DZ; nothing of one word in capitals: the label says as much."""
    kind = parameter.type
    if isinstance(kind, (type(click.INT), type(click.FLOAT))):
        return "a number"
    known = "" if isinstance(kind, type(click.STRING)) else getattr(kind, "what", kind.name)
    return re.sub(r"^[A-Z]+$", "", parameter.metavar or known)


def _name(option: click.Option) -> str:
    """The longest name of an option, as it stands on a command line."""
    return max(option.opts, key=len)


def arguments_of(command: click.Command, values: Mapping[str, Any]) -> list[str]:
    """Arguments of a command line from the values of a form.

    Parameters
    ----------
    command : click.Command
    values : mapping
        Texts, lists of texts, and true for flags, by the names of parameters; "" and false are left out.

    Raises
    ------
    InputError
        If there is no such parameter, or its value is of another type.
    """
    parameters = {p.name: p for p in command.params}
    for name in values:
        if name not in parameters:
            raise InputError(f'fieldrx {command.name} has no parameter "{name}"')
    arguments, options = [], []
    for name, parameter in parameters.items():
        for text in _texts(name, values.get(name)):
            if isinstance(parameter, click.Option):
                options += _option(parameter, text)
            else:
                arguments.append(f"./{text}" if text.startswith("-") else text)
    return [*arguments, *options]


def _texts(name, value):
    """The texts that a value of a form gives; a flag that is set gives one without a letter."""
    if value is None or value is False or value == "":
        return []
    if value is True:
        return [""]
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f'"{name}" is {value!r}; expected text, a list of texts, or true')
    return [text for text in texts if text]


def _option(option, text):
    """An option as it stands on a command line."""
    name = "-o" if "-o" in option.opts else _name(option)
    if option.is_flag != (text == ""):
        raise InputError(f"{name} {'takes no value' if option.is_flag else 'needs a value'}")
    if option.is_flag:
        return [name]
    return [f"{_name(option)}={text}"] if text.startswith("-") else [name, text]


def check(command: click.Command, arguments: list[str]) -> None:
    """Refuse what the command itself would refuse before it begins.

    Raises
    ------
    InputError
    """
    try:
        command.make_context(command.name, list(arguments)).close()
    except click.MissingParameter as error:
        assert error.param is not None
        kind = FORMS[command.name or ""].reads.get(error.param.name or "", "")
        raise InputError(wanted(error.param, kind)) from None
    except (click.UsageError, InputError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        raise InputError(_pointed(plain(" ".join(message.split())), arguments)) from None


def _pointed(message: str, arguments: list[str]) -> str:
    """A refusal, with what to write instead where the value that it names has decimal commas."""
    values = [text.partition("=")[2] if text.startswith("--") else text for text in arguments]
    found = [text for text in values if "," in text and _COMMAS.fullmatch(text) and text in message]
    return f"{message}; write decimals behind a point: {found[0].replace(',', '.')}" if found else message


def files_of(names: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    """The files that parameters name."""
    return [text for name in names for text in _texts(name, values.get(name)) if text]
