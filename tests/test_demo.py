"""Examples: what they are made of, how small they are, and that the command compares them with it."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from fieldrx.cli import main
from fieldrx.demo import SAMPLES
from fieldrx.demo.samples import BARS_UM


def run(*arguments):
    return CliRunner().invoke(main, ["demo", *map(str, arguments)])


def table(text, *names):
    """Numbers of the rows that begin so."""
    lines = [line for line in text.splitlines() if line.startswith(names)]
    return {line[:26].strip(): [float(word) for word in line[26:].split()] for line in lines}


def test_list_names_every_example_and_its_licence():
    result = run("--list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == list(SAMPLES) == ["cell", "bead", "dark-field"]
    assert all("CC0" in line for line in lines)


def test_an_unknown_example_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("beed")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        'fieldrx: error: no example is called "beed"; there are cell, bead, dark-field; '
        'did you mean "bead"?\n'
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_bead_is_what_it_is_said_to_be(tmp_path):
    acq, truth = SAMPLES["bead"].make()
    acq.save(tmp_path / "bead.npz")
    assert (tmp_path / "bead.npz").stat().st_size < 300e3
    total = truth.contrast.real.sum(dtype=float) * np.prod(truth.spacing_um)
    assert total == pytest.approx(0.03 * 4 / 3 * np.pi * 2.0**3, rel=0.002)
    middle = [
        o + d * (n // 2) for o, d, n in zip(truth.origin_um, truth.spacing_um, truth.grid.shape, strict=True)
    ]
    half = 0.5 * (acq.image_shape[0] - 1) * acq.microscope.pixel_size_um
    np.testing.assert_allclose(middle, [0, half, half], atol=1e-9)


@pytest.mark.slow
def test_the_finest_bars_are_seen_by_dark_field_alone(tmp_path):
    acq, truth = SAMPLES["dark-field"].make()
    acq.save(tmp_path / "bars.npz")
    assert (tmp_path / "bars.npz").stat().st_size < 300e3
    scope, light = acq.microscope, acq.illumination
    na, dark = np.linalg.norm(light.sources_na, axis=1), light.dark(scope)
    cycles = 1 / (2 * BARS_UM[-1][1])
    assert (scope.objective_na + na[~dark].max()) / scope.wavelength_um < cycles
    assert cycles < (scope.objective_na + na.max()) / scope.wavelength_um
    assert dark.sum() == 28 and acq.images[dark].mean() < 0.01 < 0.9 < acq.images[~dark].mean()
    row = truth.contrast[truth.grid.shape[0] // 2, truth.grid.shape[1] // 2].real > 0.015
    assert np.sum(np.diff(row.astype(int)) == 1) == 9  # three bars in each of three groups, apart


@pytest.mark.slow
def test_bead_and_bars_are_compared_with_the_truth(tmp_path, monkeypatch):
    for name in ("bead", "dark-field"):
        monkeypatch.setitem(SAMPLES, name, replace(SAMPLES[name], depth=(-1.0, 1.0, 1.0)))
    bead = run("bead", "--out", tmp_path / "bead", "--steps", 2, "-q")
    assert bead.exit_code == 0, bead.output
    assert table(bead.stdout, "truth") == {"truth": [33.510, 5.291, 1.365]}
    bars = run("dark-field", "--out", tmp_path / "bars", "--steps", 2, "-q")
    assert bars.exit_code == 0, bars.output
    rows = table(bars.stdout, "truth", "bright field alone", "with dark field")
    assert rows["truth"] == [1, 1, 1] and np.isfinite(rows["with dark field"]).all()
    left = {path.name for path in (tmp_path / "bars").iterdir()}
    pictures = {"comparison.png", "dark-field.png", "images.png"}
    assert left == pictures | {"acquisition.npz", "truth.npz", "bright-field.npz", "dark-field.npz"}
