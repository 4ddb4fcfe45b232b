"""Blocks of code on the pages, as docutils finds them.

=======================  =====================================================================================
block                    meaning
=======================  =====================================================================================
``::``                   commands
``code-block:: python``  Python; blocks of a page share their names
``code-block:: toml``    acquisition.toml, or the file that a comment in its first line names
``code-block:: text``    something to read: a formula, a table, what a program printed
=======================  =====================================================================================

A comment of its own before a block says what it takes: ``.. not run: WHY``, or ``.. needs: MODULE``.
"""

from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
COMMANDS, PYTHON, TOML, TEXT = "commands", "python", "toml", "text"
_NOT_RUN, _NEEDS = "not run:", "needs:"
_QUIET = {"report_level": 5, "halt_level": 5, "file_insertion_enabled": False}  # Sphinx's roles are unknown


@dataclass
class Block:
    """A block of code: where its line is, what it is, and why it is not run or what it needs."""

    line: int
    kind: str
    text: str
    not_run: str = ""
    needs: str = ""


def blocks(path):
    """All blocks of a page, in their order."""
    tree = publish_doctree(path.read_text("utf-8"), source_path=str(path), settings_overrides=_QUIET)
    found = tree.findall(nodes.literal_block)
    return [_block(node) for node in found if not isinstance(node.parent, nodes.system_message)]


def _block(node):
    kinds = [name for name in node["classes"] if name != "code"]
    siblings = node.parent.children
    before = siblings[siblings.index(node) - 1] if siblings.index(node) else None
    words = " ".join(before.astext().split()) if isinstance(before, nodes.comment) else ""
    reason = {key: words.removeprefix(key).strip() for key in (_NOT_RUN, _NEEDS) if words.startswith(key)}
    line = node.line or getattr(node.parent, "line", None) or 0
    return Block(
        line, kinds[0] if kinds else COMMANDS, node.astext(), reason.get(_NOT_RUN, ""), reason.get(_NEEDS, "")
    )
