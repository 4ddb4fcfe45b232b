"""Directives that make pages of what stands elsewhere, so that the two cannot drift apart.

==========================  ==================================================================
``readme:: TITLE``          a section of README.rst, without its title
``commands::``              every command of ``fieldrx`` with its arguments and options
``acquisition-keys::``      tables of the keys of acquisition.toml
``public-objects::``        every name of ``fieldrx.__all__``, from its docstring; or, as
                            ``public-objects:: MODULE NAME ...``, some names of another module
==========================  ==================================================================
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import cleandoc, isclass, ismodule
from pathlib import Path

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import fieldrx
from fieldrx.acquisition import schema
from fieldrx.cli import main

README = Path(__file__).parents[1] / "README.rst"
KEYS: dict[str, Mapping[str, Sequence[str]]] = {
    "(top)": schema.TOP,
    "[microscope]": schema.MICROSCOPE,
    "[images]": schema.IMAGES,
    "[illumination]": schema.EVERY_LIGHT,
    **{f'kind "{kind}"': keys for kind, keys in schema.ILLUMINATION.items()},
}
TITLES = {"(top)": "At the top"}


def section(text: str, title: str) -> str:
    """What stands below a title, up to the next one, with links that hold in docs/."""
    parts = re.split(r"^(\S.*)\n(?:-{3,}|={3,})\n(?=\n)", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    if title not in found:
        raise ExtensionError(f"README.rst has no section {title!r}; it has {', '.join(found)}")
    below = re.sub(r"`([^`<]*?)\s*<docs/([\w/]+)\.(?:rst|ipynb)>`_", _link, found[title])
    return re.sub(r"(image:: )docs/", r"\1", below)


def _link(match: re.Match) -> str:
    """A link of README.rst to a page, as one between pages."""
    title, page = match.groups()
    return f":doc:`{page}`" if title == f"docs/{page}.rst" else f":doc:`{title} <{page}>`"


def heading(title: str, level: str = "-") -> str:
    """A title in reStructuredText."""
    return f"{title}\n{level * len(title)}\n"


def plain(text: str) -> str:
    """Text of a help, in which only backticks mean something, as reStructuredText."""
    words = re.split(r"`([^`]+)`", text)
    escaped = [re.sub(r"([\\*_|`<>])", r"\\\1", word) for word in words]
    escaped[1::2] = [f"``{word}``" for word in words[1::2]]
    return "".join(escaped)


def indented(text: str) -> str:
    """Text, moved to the right."""
    return "".join(f"   {line}".rstrip() + "\n" for line in text.splitlines())


def help_text(text: str) -> Iterator[str]:
    r"""Paragraphs of a command's help; one that begins with \b keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(text)):
        if paragraph.startswith("\b"):
            yield "::\n\n" + indented(paragraph.removeprefix("\b").strip("\n"))
        else:
            yield plain(paragraph) + "\n"


def command_text(name: str, command: click.Command) -> str:
    """A command's section."""
    parent = click.Context(main, info_name="fieldrx", **main.context_settings)
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [heading(name), f".. program:: {context.command_path}\n", "::\n", indented(usage)]
    lines += help_text(command.help or "")
    for parameter in command.get_params(context):
        names, meaning = parameter.get_help_record(context) or ("", "")
        if isinstance(parameter, click.Option) and names:
            lines.append(f".. option:: {names}\n\n{indented(plain(meaning))}")
    return "\n".join(lines)


def key_rows(text: str) -> Iterator[tuple[str, str, str]]:
    """(section, key, meaning) of the table in the docstring of `fieldrx.acquisition.schema`."""
    lines = text.splitlines()
    rule, end = [i for i, line in enumerate(lines) if line.startswith("===")][1:]
    starts = [match.start() for match in re.finditer("=+", lines[rule])]
    place, keys, meaning = "", "", ""
    for line in lines[rule + 1 : end]:
        first, key, words = (line[a:b].strip(" \\") for a, b in zip(starts, [*starts[1:], None], strict=True))
        if not key:
            meaning += " " + words
            continue
        yield from ((place, one, meaning) for one in keys.split(", ") if one)
        place, keys, meaning = first or place, key, words
    yield from ((place, one, meaning) for one in keys.split(", "))


def key_tables() -> str:
    """A table of keys for every section of the file."""
    told: dict[str, dict[str, str]] = {place: {} for place in KEYS}
    for place, key, meaning in key_rows(schema.__doc__ or ""):
        told[place][key] = meaning
    for place, keys in KEYS.items():
        if set(keys) != set(told[place]):
            raise ExtensionError(
                f"{place}: the docstring of fieldrx/acquisition/schema.py explains {sorted(told[place])}, "
                f"the code reads {sorted(keys)}"
            )
    return "\n".join(key_table(place, told[place]) for place in KEYS)


def key_table(place: str, told: Mapping[str, str]) -> str:
    """The table of one section."""
    rows = [("key", "value", "meaning")]
    for key, meaning in told.items():
        rows.append((f"``{key}``", " or ".join(KEYS[place][key]), re.sub("`+", "``", meaning)))
    body = "".join(f"* - {a}\n  - {b}\n  - {c}\n" for a, b, c in rows)
    table = f".. list-table::\n   :header-rows: 1\n   :widths: 22 22 56\n\n{indented(body)}"
    return f"{heading(TITLES.get(place, place))}\n{table}"


def object_text(name: str, module: str = "fieldrx") -> str:
    """A public name, as autodoc shows it."""
    home = import_module(module)
    value = getattr(home, name)
    if isclass(value):
        bases = [base for base in value.__mro__[1:] if getattr(home, base.__name__, None) is base]
        told = ", ".join({member for base in bases for member in dir(base)} - set(vars(value)))
        options = f":members:\n:inherited-members: BaseException\n:exclude-members: {told}\n"
        return f".. autoclass:: {module}.{name}\n{indented(options)}"
    if ismodule(value):  # which is called as its function: autodoc must find that
        setattr(home, name, getattr(value, name))
    return f".. autofunction:: {module}.{name}\n"


class Made(SphinxDirective, ABC):
    """A directive that is replaced by text of its own making."""

    has_content = False

    @abstractmethod
    def text(self) -> str:
        """The text, in reStructuredText."""

    def run(self) -> list[nodes.Node]:
        """Replace the directive by what its text says; it is read anew in every build."""
        self.env.note_reread()
        return self.parse_text_to_nodes(self.text(), allow_section_headings=True)


class Readme(Made):
    """A section of README.rst."""

    required_arguments = 1
    final_argument_whitespace = True

    def text(self) -> str:
        """The section that the argument names."""
        return section(README.read_text("utf-8"), self.arguments[0])


class Commands(Made):
    """All commands, in the order of use."""

    def text(self) -> str:
        """A section a command."""
        return "\n".join(command_text(name, command) for name, command in main.commands.items())


class AcquisitionKeys(Made):
    """All keys of acquisition.toml."""

    def text(self) -> str:
        """A table a section of the file."""
        return key_tables()


class PublicObjects(Made):
    """All public names but the version, or those that are listed behind a module."""

    optional_arguments = 1
    final_argument_whitespace = True

    def text(self) -> str:
        """A directive of autodoc for each name."""
        if not self.arguments:
            return "\n".join(object_text(name) for name in fieldrx.__all__ if name != "__version__")
        module, *names = self.arguments[0].split()
        return "\n".join(object_text(name, module) for name in names)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("readme", Readme)
    app.add_directive("commands", Commands)
    app.add_directive("acquisition-keys", AcquisitionKeys)
    app.add_directive("public-objects", PublicObjects)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
