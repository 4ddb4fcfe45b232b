"""Text from files: on a terminal, in streams of few characters, and in pages."""

import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import fieldrx
from fieldrx.cli import main
from fieldrx.errors import printable
from fieldrx.report import write_report

EVIL = "Zelle µ\x1b[31m\x1b]0;title\x07\r\n\u202egnp\x9b2J\ud800 <script>alert(1)</script>\"'&"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_printable_text_steers_nothing(text):
    shown = printable(text)
    assert shown.isprintable() or all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()  # as UTF-8 can
    assert printable(shown) == shown


def test_printable_text_keeps_what_can_be_seen():
    assert printable("Zelle µ 細胞\xa0é ½") == "Zelle µ 細胞\xa0é ½"
    assert printable("a\x1b[0m\tb\n\ud800") == r"a\x1b[0m\tb\n\ud800"


def acquisition(path, name=EVIL):
    acq = replace(tiny.acquisition(), name=name, notes=(EVIL,))
    acq.save(path)
    return acq


def test_info_of_a_name_that_steers(tmp_path):
    acquisition(tmp_path / "a.npz", EVIL.replace("\ud800", ""))
    done = CliRunner().invoke(main, ["info", str(tmp_path / "a.npz")])
    assert done.exit_code == 0, done.output
    (row,) = [line for line in done.output.splitlines() if line.startswith("acquisition")]
    assert r"\x1b[31m" in row and r"\u202e" in row and "Zelle µ" in row
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.output)


def test_an_error_of_a_name_that_steers(tmp_path):
    done = CliRunner().invoke(main, ["info", str(tmp_path / "a\x1b[31m\nb.npz")])
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1 and r"a\x1b[31m\nb.npz" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_streams_that_lack_characters(tmp_path, encoding):
    acquisition(tmp_path / "a.npz", "Zelle µ 細")
    environment = os.environ | {
        "PYTHONIOENCODING": encoding,
        "PYTHONPATH": str(Path(fieldrx.__file__).parents[1]),
    }
    for file, status in (("a.npz", 0), ("細.npz", 2)):
        run = subprocess.run([sys.executable, "-m", "fieldrx", "info", file], env=environment, cwd=tmp_path,
                             capture_output=True, timeout=100)  # fmt: skip
        assert run.returncode == status, run.stderr
        assert b"Traceback" not in run.stderr
        expected = "細".encode(encoding, "backslashreplace")
        assert expected in (run.stderr if status else run.stdout)


def test_pages_hold_no_script_of_a_file(tmp_path):
    acq = replace(tiny.acquisition(), name=EVIL, notes=(EVIL,))
    field = tiny.fit(acq).run()
    known = field.provenance
    free = {"name", "device", "fieldrx", "numpy", "diverged"}
    assert free <= {one.name for one in fields(known)}
    evil = replace(known, **dict.fromkeys(free, EVIL), notes=[EVIL], origin={"automatic": [EVIL], "a": EVIL})
    field = replace(field, provenance=evil)
    write_report(field, acq, tmp_path / "r.html")
    fieldrx.write_viewer(field, tmp_path / "v.html", title=EVIL)
    for text in ((tmp_path / "r.html").read_text("utf-8"), (tmp_path / "v.html").read_text("utf-8"),
                 field._repr_html_(), acq._repr_html_()):  # fmt: skip
        assert "<script>alert(1)" not in text and "\x1b" not in text
        assert "alert(1)" in text  # shown, as text
