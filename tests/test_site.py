"""The documentation builds without a warning, and holds every page, command, key and public name."""

import html
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from browser import Browser, find_chromium

import fieldrx
from fieldrx.acquisition import schema
from fieldrx.cli import main
from fieldrx.measure import NAMES
from fieldrx.models import MODELS

DOCS = Path(__file__).parents[1] / "docs"

pytest.importorskip("sphinx")
pytest.importorskip("furo")
pytest.importorskip("myst_nb")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built pages."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "trees", DOCS]
    done = subprocess.run([*command, folder / "html"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def directives():
    spec = importlib.util.spec_from_file_location("directives", DOCS / "directives.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(page):
    """Text of a piece of a page as a reader sees it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


def sections(path):
    """What stands below each title of a page, as HTML, by the title."""
    parts = re.split(r"<h2>(.*?)</h2>", path.read_text("utf-8"), flags=re.DOTALL)
    return {words(title).rstrip("¶#"): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_page_stands_in_the_contents(site):
    contents = set(
        re.findall(r'class="reference internal" href="([\w/]+)\.html"', (site / "index.html").read_text())
    )
    paths = [path.relative_to(DOCS) for ending in ("rst", "ipynb") for path in DOCS.rglob(f"*.{ending}")]
    pages = {path.with_suffix("").as_posix() for path in paths}
    assert len(pages) > 35 and contents >= pages - {"index"}


def test_every_picture_is_shown(site):
    pictures = {path.name for path in DOCS.iterdir() if path.suffix in (".png", ".gif")}
    shown = set()
    for page in site.glob("*.html"):
        shown |= set(re.findall(r'<img [^>]*src="_images/([^"]+)"', page.read_text("utf-8")))
    assert pictures and shown == pictures


def test_every_command_is_told_with_its_options(site):
    told = sections(site / "commands.html")
    assert list(told) == list(main.commands)
    for name, command in main.commands.items():
        seen = words(told[name])
        context = click.Context(command, **main.context_settings)
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
                assert words(parameter.help or "") in seen
                for option in (*parameter.opts, *parameter.secondary_opts):
                    assert f'id="cmdoption-fieldrx-{name}-{option.lstrip("-")}"' in told[name]
            else:
                assert (
                    parameter.make_metavar(click.Context(command, **main.context_settings)) in seen
                    or "--help" in parameter.opts
                )


def test_every_key_of_acquisition_toml_is_told_with_its_type(site):
    told = sections(site / "acquisition_keys.html")
    expected = {
        "At the top": schema.TOP, "[microscope]": schema.MICROSCOPE, "[images]": schema.IMAGES,
        "[illumination]": schema.EVERY_LIGHT,
        **{f'kind "{kind}"': keys for kind, keys in schema.ILLUMINATION.items()},
    }  # fmt: skip
    assert list(told) == list(expected)
    for place, keys in expected.items():
        rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in re.split("<tr", told[place])]
        cells = {words(row[0]): [words(cell) for cell in row[1:]] for row in rows if row}
        assert {key: value for key, (value, _) in cells.items()} == {
            k: " or ".join(v) for k, v in keys.items()
        }
        assert all(meaning for _, meaning in cells.values())


def test_a_key_without_an_explanation_fails_the_build(directives, monkeypatch):
    assert "``wavelength_um``" in directives.key_tables()
    monkeypatch.setitem(schema.IMAGES, "flat", ("a number",))
    with pytest.raises(Exception, match=r"\[images\]: the docstring .*the code reads .*'flat'"):
        directives.key_tables()


def test_every_public_name_is_told(site):
    page = (site / "api.html").read_text("utf-8")
    told = re.findall(r'id="fieldrx\.(\w+)"', page)
    assert sorted(told) == sorted(set(fieldrx.__all__) - {"__version__"})


def test_what_a_class_inherits_is_told_too(site):
    told = set(re.findall(r'id="fieldrx\.(\w+\.\w+)"', (site / "api.html").read_text("utf-8")))
    for name in fieldrx.__all__:
        if inspect.isclass(kind := getattr(fieldrx, name)):
            known = [method for method, _ in inspect.getmembers(kind, inspect.isfunction) if method[0] != "_"]
            assert told >= {f"{name}.{method}" for method in known}, name
    assert "NeuralField.volume" in told


def test_models_and_what_else_a_program_needs_are_told(site):
    told = set(re.findall(r'id="fieldrx\.(\w+\.\w+)"', (site / "api.html").read_text("utf-8")))
    kinds = {kind.__name__ for kind in MODELS.values()}
    assert told >= {f"models.{name}" for name in (*kinds, "Optics", "Gradients", "make_model")}
    assert told >= {"pupil.Pupil", "tikhonov.tikhonov", "fit.Options", "totals.totals"}


def test_help_is_escaped_and_keeps_its_examples(directives):
    text = "\n".join(
        directives.help_text("Of `x_y` and a_ *b* |c|.\n\n    \b\n    one  two\n        three\n")
    )
    assert text == "Of ``x_y`` and a\\_ \\*b\\* \\|c\\|.\n\n::\n\n   one  two\n       three\n"


def test_a_section_of_the_readme_ends_at_the_next_and_links_to_pages(directives):
    links = "see `the\ntable <docs/zoo.rst>`_, `docs/gpu.rst <docs/gpu.rst>`_, `a <docs/b/a.ipynb>`_\n"
    text = f"Top\n===\n\nfirst\n\nNext\n----\n\n.. image:: docs/a.png\n\n{links}"
    assert directives.section(text, "Top").strip() == "first"
    below = directives.section(text, "Next")
    assert ".. image:: a.png" in below and ":doc:`the\ntable <zoo>`" in below and ":doc:`gpu`" in below
    assert ":doc:`a <b/a>`" in below
    with pytest.raises(Exception, match=r"no section 'Last'; it has Top, Next"):
        directives.section(text, "Last")


def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]*)"', text)
        loaded += re.findall(r'<link\b[^>]*rel="(?:stylesheet|preload|icon)"[^>]*href="([^"]*)"', text)
        assert loaded and not [address for address in loaded if "//" in address], page.name


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium; $CHROMIUM may name one")
def test_no_page_is_wider_than_a_phone_or_a_laptop(site, tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        for page in sorted(site.rglob("*.html")):
            browser.open(page)
            for width, height, mobile in ((390, 844, True), (1280, 800, False)):
                browser.resize(width, height, mobile=mobile)
                assert browser.js("document.documentElement.scrollWidth") <= width, (page.name, width)
    finally:
        browser.close()


def test_every_column_of_a_measurement_is_told(site):
    told = words(sections(site / "files.html")["Measurements"])
    assert [name for name in ("label", *NAMES, "note") if not re.search(rf"\b{name}\b", told)] == []
