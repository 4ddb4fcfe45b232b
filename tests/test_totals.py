"""Totals: intervals cover the truth of a cell whose missing cone is filled otherwise; holes are called so."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import Grid, Illumination, Microscope
from fieldrx.band import supported_band
from fieldrx.cli import main
from fieldrx.ensemble import Ensemble
from fieldrx.simulation import cell_phantom
from fieldrx.totals import HOLE, contrast_sign, sign_of, totals, totals_of

SCOPE = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=0.3)


@cache
def cell():
    """A cell on its grid, with margins of medium, its band, and the cell's mass [pg] and volume [um^3]."""
    volume = cell_phantom(spacing_um=0.3, seed=1)
    contrast = np.pad(volume.contrast.real.astype(float), ((6, 6), (10, 10), (10, 10)))
    grid = Grid(contrast.shape, volume.spacing_um, (0.0, 0.0, 0.0))
    rings = [Illumination.led_ring(n, na).sources_na for n, na in ((1, 0.0), (8, 0.4), (24, 0.79))]
    light = Illumination(np.concatenate(rings))
    band = supported_band(grid, SCOPE, light)
    voxel = float(np.prod(grid.spacing_um))
    return contrast, band, contrast.sum() * voxel / 0.19, (contrast > 0.15 * contrast.max()).sum() * voxel


@pytest.mark.parametrize("prior", ["hollow", "fair", "fat"])
def test_intervals_cover_the_truth_whatever_the_prior_put_into_the_cone(prior):
    """What no image shows is left out, kept, or doubled."""
    contrast, band, mass, volume = cell()
    seen = band.inside(contrast)
    share = {"hollow": 0.4, "fair": 1.0, "fat": 1.6}[prior]
    found = totals_of(np.maximum(seen + share * (contrast - seen), -0.002), band)
    assert found.dry_mass_interval_pg[0] <= mass <= found.dry_mass_interval_pg[1]
    assert found.volume_interval_um3[0] <= volume * 1.05
    assert found.volume_interval_um3[1] >= volume * 0.95
    assert found.dry_mass_interval_pg[0] <= found.dry_mass_pg <= found.dry_mass_interval_pg[1]
    assert 0.1 < found.prior_share < 1
    assert f"{found.prior_share:.0%} of this total is the prior's" in found.sentence
    assert "do not tell slow variations along the light" in found.sentence


@pytest.mark.slow
def test_members_widen_the_interval():
    contrast, band, *_ = cell()
    alone = totals_of(contrast, band)
    others = [k * contrast for k in (0.8, 1.0, 1.2)]
    wide = totals_of(contrast, band, others, 2.0)
    spread = 2 * 2.0 * 0.2 * alone.dry_mass_pg
    assert wide.dry_mass_interval_pg[1] == pytest.approx(alone.dry_mass_interval_pg[1] + spread, rel=0.02)
    assert wide.dry_mass_interval_pg[0] < alone.dry_mass_interval_pg[0]
    assert wide.dry_mass_pg == alone.dry_mass_pg


@pytest.mark.slow
def test_a_hole_is_a_hole():
    contrast, band, *_ = cell()
    assert sign_of(contrast) == 1
    assert sign_of(-contrast) == -1
    assert sign_of(np.random.default_rng(0).standard_normal(contrast.shape)) == 0
    hole, body = totals_of(-contrast, band), totals_of(contrast, band)
    assert hole.dry_mass_pg == pytest.approx(-body.dry_mass_pg)
    assert hole.dry_mass_interval_pg == pytest.approx([-m for m in body.dry_mass_interval_pg[::-1]])
    assert 'directions = "led-position"' in HOLE


def measured(seed=0):
    return replace(tiny.field(seed), provenance={"microscope": tiny.SCOPE.to_dict()})


def test_of_fields_and_ensembles():
    field = measured()
    known, unknown = totals(field, illumination=tiny.LIGHT), totals(field)
    assert not known.bound
    assert "at least" in unknown.sentence
    assert unknown.dry_mass_pg == known.dry_mass_pg
    assert contrast_sign(field) in (-1, 0, 1)
    ensemble = Ensemble([measured(k) for k in range(3)])
    both = totals(field, ensemble)
    assert np.ptp(both.dry_mass_interval_pg) > np.ptp(unknown.dry_mass_interval_pg)
    assert totals(ensemble).volume_um3 > 0


def test_render_tells_it_beside_numbers_that_people_add_up(tmp_path):
    measured().save(tmp_path / "f.npz")
    given = ["render", str(tmp_path / "f.npz"), str(tmp_path / "a.npy")]
    for more, said in (
        (["--quantity", "dry-mass"], True),
        (["--quantity", "phase", "--projection", "path"], True),
        (["--quantity", "dry-mass", "--plane", "0,1,1"], False),
        (["--quantity", "dry-mass", "-q"], False),
        ([], False),
    ):
        run = CliRunner().invoke(main, [*given, *more])
        assert run.exit_code == 0, run.output
        assert ("prior's" in run.stderr) == said
