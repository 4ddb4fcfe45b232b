"""Figures for notebooks, and what a notebook shows of a field and an acquisition by itself."""

import base64
import io
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import tiny
from PIL import Image

from fieldrx import InputError
from fieldrx.plot import show_history

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_field_show_has_axes_in_um():
    field = tiny.field()
    figure = field.show(spacing=0.1)
    images = [axis.images[0] for axis in figure.axes if axis.images]
    assert [image.get_extent() for image in images[:2]] == [[0, 4.75, 5.75, 0], [-1, 1, 5.75, 0]]
    xy = images[0].get_array()
    y, x = np.linspace(0, 5.75, xy.shape[0]), np.linspace(0, 4.75, xy.shape[1])
    assert np.abs(xy - 1.33 - field.on_axes(0, y, x)[0].real).max() < 1e-6
    assert figure.axes[0].get_xlabel() == "x (µm)"
    assert any("refractive index" in axis.get_ylabel() for axis in figure.axes)
    absorbing = field.show("absorption", spacing=0.3, limits=(0, 0.01))
    assert absorbing.axes[0].images[0].get_clim() == (0, 0.01)


def test_acquisition_show_has_images_and_directions():
    acq = tiny.acquisition()
    figure = acq.show()
    pupil = figure.axes[0] if figure.axes[0].collections else figure.axes[-1]
    points = np.concatenate([c.get_offsets() for c in pupil.collections])
    wanted = acq.illumination.sources_na[:, ::-1]
    assert sorted(map(tuple, np.round(points, 9))) == sorted(map(tuple, np.round(wanted, 9)))
    held = np.asarray(pupil.collections[1].get_offsets())
    assert held == pytest.approx(wanted[[4]])
    images = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(images) == 6
    assert np.array_equal(images[3], acq.images[3])
    assert len([axis for axis in acq.show([1, 4]).axes if axis.images]) == 2
    with pytest.raises(InputError, match="not all there"):
        acq.show([6])


def test_acquisition_show_without_images():
    from fieldrx import Acquisition

    figure = Acquisition(None, tiny.LIGHT, tiny.SCOPE).show()
    assert len(figure.axes) == 1


def test_history():
    history = {"loss": np.array([1.0, 0.25]), "holdout": np.array([np.nan, 0.7])}
    lines = show_history(tiny.field(history=history)).axes[0].lines
    assert lines[0].get_ydata().tolist() == [1.0, 0.5]
    assert lines[1].get_xydata().tolist() == [[2, 0.7]]
    with pytest.raises(InputError, match="no history"):
        show_history(tiny.field(history={}))


def test_html_of_a_field():
    html = tiny.field(provenance={"name": "<cell>", "nrmse_holdout": 0.0321})._repr_html_()
    assert "&lt;cell&gt;" in html
    assert "<cell>" not in html
    assert "0.0321" in html
    data = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200


def test_html_of_an_acquisition():
    from fieldrx import Acquisition

    html = tiny.acquisition()._repr_html_()
    for words in ("6 of 24 × 20 pixels", "0.6 µm", "NA 0.6, pixel 0.25 µm", "1.33", "6 sources, NA 0.5"):
        assert words in html
    assert "optics for 6" in Acquisition(None, tiny.LIGHT, tiny.SCOPE)._repr_html_()


@pytest.mark.slow
def test_matplotlib_is_asked_for_only_when_needed(monkeypatch):
    code = "import sys, fieldrx, fieldrx.render, fieldrx.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for show in (tiny.field().show, tiny.acquisition().show, lambda: show_history(tiny.field())):
        with pytest.raises(InputError, match=r"pip install fieldrx\[plot\]"):
            show()
    assert "<table>" in tiny.field()._repr_html_()
