"""The citation names the version that is here."""

from pathlib import Path

import fieldrx


def test_the_citation_is_of_this_version():
    lines = (Path(__file__).parents[1] / "CITATION.cff").read_text("utf-8").splitlines()
    assert f"version: {fieldrx.__version__}" in lines
