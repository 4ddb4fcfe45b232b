"""How Sphinx builds the pages: ``python -m sphinx -W docs OUT``, without a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import fieldrx

project = "fieldrx"
copyright = "the authors of fieldrx"
version = release = fieldrx.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "directives"]
exclude_patterns = ["_build", "jupyter_execute"]
default_role = "py:obj"
nitpicky = True  # a name in backticks that leads nowhere fails: parameters and private things take two
nitpick_ignore_regex = [
    ("py:class", r"[^A-Z.][^.]*"),  # words of a parameter's type: "array, shape (n,), optional"
    ("py:class", "Coded|Frames|Lamps|Moment|Network|Parts|Provenance|Quantity|Slab|Tiling"),  # not on a page
]
smartquotes = False  # which would make a dash of the hyphens of options
highlight_language = "bash"  # a block that does not say what it is holds commands: tests/pages.py

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the docstrings, with shapes and units
maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_ivar = True  # attributes are listed with their class, not once more as members
napoleon_use_rtype = False

nb_execution_mode = (
    "off"  # scripts/run_tutorials.py executes them; tests/test_tutorials.py looks whether they still do
)

html_theme = "furo"
html_static_path, html_css_files = ["_static"], ["style.css"]
html_title = f"fieldrx {release}"
html_show_sourcelink = False
