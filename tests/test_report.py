"""The report: one file that opens offline, says what it must, and its charts."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tiny

from fieldrx import InputError, report
from fieldrx.charts import chart, picture, pupil_map
from fieldrx.ensemble import make_ensemble
from fieldrx.models import Optics
from fieldrx.report import write_report
from fieldrx.report.parts import fill

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Notes tags that are closed in another order than they were opened."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def fitted():
    acq = tiny.acquisition(photons=100000, absorbing=True)
    return acq, tiny.fit(acq, schedule=tiny.schedule(steps=20)).run()


@pytest.fixture(scope="module")
def text(fitted, tmp_path_factory):
    acq, field = fitted
    path = tmp_path_factory.mktemp("report") / "r.html"
    ensemble = make_ensemble(field, acq, 2, 3)
    numbers = write_report(field, acq, path, ensemble)
    assert [p.name for p in path.parent.iterdir()] == ["r.html"]
    return path.read_text(encoding="utf-8"), numbers


def test_opens_offline_and_is_well_formed(text):
    html, _ = text
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    parser = Balanced()
    parser.feed(html)
    assert parser.wrong == []
    assert parser.open == []
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html).lower().replace("nanometre", "")


def test_says_what_was_and_was_not_measured(text):
    html, numbers = text
    for words in (
        "No phase and no refractive index was measured",
        numbers["verdict"].split(";")[0],
        "What this report cannot know",
        "How uncertain the values are",
        "it cannot know",
        "added for detail that the noise hides",
        "and for a twin",
        "Settings, to repeat it",
        "fieldrx reconstruct ACQ --depth=-1:1:0.5 --model=born",
    ):
        assert words in html
    assert html.count("data:image/png;base64,") > 20


def test_numbers(text, fitted):
    _, numbers = text
    shares = [numbers[f"share_{where}"] for where in ("inside_band", "in_gap", "beyond_reach")]
    assert sum(shares) == pytest.approx(1)
    finest = tiny.SCOPE.wavelength_um / (tiny.SCOPE.objective_na + 0.5) / 2
    assert numbers["resolution_lateral_um"] == pytest.approx(finest, rel=0.1)
    assert numbers["nrmse_holdout"] == pytest.approx(fitted[1].provenance["nrmse_holdout"], rel=1e-3)
    assert numbers["std_in_sample"] > 0
    low, high = numbers["dry_mass_interval_pg"]
    assert low < numbers["dry_mass_pg"] < high
    assert f"{numbers['prior_share']:.0%} of this total is the prior" in text[0]
    assert (numbers["contrast_sign"] < 0) == ("came out below its medium" in text[0])


def test_without_ensemble_and_held_out_images(tmp_path):
    acq = tiny.acquisition(holdout=())
    numbers = write_report(tiny.fit(acq, holdout=0).run(), acq, tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    assert "verdict" not in numbers
    assert "Not tested" in html
    assert "No ensemble was given" in html


def test_cross_validation(fitted, tmp_path):
    acq, field = fitted
    ensemble = make_ensemble(field, acq, 2, 3, folds=True)
    write_report(field, acq, tmp_path / "r.html", ensemble)
    html = (tmp_path / "r.html").read_text()
    assert f"predicts unseen illuminations to {ensemble.calibration['folds']['nrmse']:.1%}" in html
    assert "each by one of 2 fields that has not seen it" in html
    assert "fitted from nothing" in html


def test_ensemble_of_another_field(fitted, tmp_path):
    acq, field = fitted
    ensemble = make_ensemble(field, acq, 2, 1)
    other = tiny.fit(acq, schedule=tiny.schedule(steps=20, seed=1)).run()
    with pytest.raises(InputError, match="made from another field: make the ensemble from this field"):
        write_report(other, acq, tmp_path / "r.html", ensemble)
    assert not list(tmp_path.iterdir())


def test_images_that_the_field_was_not_fitted_to(fitted, tmp_path):
    with pytest.raises(InputError, match="not fitted to these images"):
        write_report(fitted[1], tiny.acquisition(photons=1000), tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_refined_optics_are_told_and_drawn(tmp_path):
    acq = tiny.acquisition(photons=100000)
    moved = replace(Optics.of(acq.illumination), defocus_um=0.31, gain=np.full(6, 1.02))
    fit = tiny.fit(acq, refine="defocus,intensity", optics=moved, schedule=tiny.schedule(steps=2))
    write_report(fit.run(), acq, tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text()
    assert "Optics, corrected during the fit" in html
    told = re.search(r"<td>focus</td><td>by ([-+.0-9]+) um</td>", html)
    assert float(told[1]) == pytest.approx(fit.field().provenance["optics"]["defocus_um"], abs=0.006)
    assert "<td>aberrations</td>" not in html
    assert "--refine=defocus,intensity" in html


def test_every_piece_of_html_is_used_and_there():
    folder = Path(report.__file__).parent
    there = {
        f"{path.stem}.{name}"
        for path in folder.glob("*.html")
        for name in re.findall(r"^<!-- (\w+) -->$", path.read_text(), re.MULTILINE)
    }
    used = {
        name for path in folder.glob("*.py") for name in re.findall(r'fill\(\s*"(.+?)"', path.read_text())
    }
    assert used == there


def test_lines_of_a_piece_are_joined():
    heading, notes = "<h3>Remarks on the images</h3>", "<li>{as it is}</li>"
    assert fill("images.remarks", notes=notes) == f"{heading}<ul>{notes}</ul>"  # before a tag, by nothing
    text = fill("trust.measured", count=2, aside="")
    assert text.endswith("No phase and no refractive index was measured.")  # before a word, by a space


def test_charts_place_points_where_they_belong():
    svg = chart([{"x": [0, 10], "y": [0, 4], "name": "a<b", "color": "red"}], "x", "y", size=(400, 200))
    assert "a&lt;b" in svg
    (path,) = re.findall(r'<path d="M([-\d. L]+)" fill="none" stroke="red"', svg)
    (x0, y0), (x1, y1) = (map(float, p.split()) for p in path.split("L"))
    assert 62 <= x0 < x1 <= 386
    assert 12 <= y1 < y0 <= 156


def test_logarithmic_charts_and_missing_values():
    svg = chart([{"x": [1, 2, 3], "y": [0.1, np.nan, 10.0], "color": "red"}], "x", "y", y_log=True)
    assert "nan" not in svg
    for tick in ("0.1", "1", "10"):
        assert f">{tick}</text>" in svg
    assert "<svg" in chart([{"x": [], "y": [], "color": "red", "mark": "points"}], "x", "y")


def test_pictures_have_scale_and_values():
    svg = picture(np.linspace(0, 2, 12).reshape(3, 4), (0, 2), (30.0, 40.0), "t", label="unit")
    assert "10 um" in svg
    assert ">2</text>" in svg
    assert "unit" in svg
    assert "NA 0.6<" in pupil_map([(np.array([[0.1, 0.2]]), "fitted", "blue")], 0.6)
