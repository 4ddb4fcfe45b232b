"""Refined optics: recovered at a known sample, used by evaluate, taken back where they do harm."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Fit, Illumination, InputError, Microscope, evaluate, load_field
from fieldrx.metrics import index_error
from fieldrx.refinement import ZERNIKE, Optics, Refinement, parse_refine
from fieldrx.simulation import cell_phantom, on_image_grid

SCOPE = Microscope(wavelength_um=0.532, objective_na=0.6, medium_index=1.335, pixel_size_um=0.25)
SHAPE = (48, 40)
RINGS = [(0.0, 0.0), *Illumination.led_ring(6, 0.25).sources_na, *Illumination.led_ring(9, 0.5).sources_na]
LIGHT = Illumination(RINGS)
NOISE = {"born": 0.001, "rytov": 0.001, "bpm": 0.002}  # bpm: below, the jumps at its pupil's edge count too
ALL = ("illumination", "intensity", "defocus", "pupil")


@cache
def problem(name):
    """The contrast, the true optics, and noisy images."""
    rng = np.random.default_rng(0)
    scatter = 0.004 * rng.standard_normal((16, 2))
    zernike = np.zeros(13)
    zernike[5], zernike[7] = 0.3, -0.25
    gain = 1 + 0.03 * rng.standard_normal(16)
    gain /= gain[:13].mean()
    optics = Optics(LIGHT.sources_na + scatter - scatter[:13].mean(axis=0), gain, 0.3, zernike)
    cell = cell_phantom(spacing_um=0.4, diameter_um=4.4, peak_contrast=0.02)
    volume = type(cell)(cell.contrast, 0.4, (cell.origin_um[0], 2.9, 2.3), 1.335)
    contrast, grid = on_image_grid(volume, SHAPE, SCOPE)
    clean = optics.model(name, grid, SCOPE, LIGHT, SHAPE).forward(contrast)
    return contrast, grid, optics, (clean + NOISE[name] * rng.standard_normal(clean.shape)).astype("f4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["born", "rytov", "bpm"])
def test_known_sample_gives_the_optics_to_the_noise(name):
    """Five corrections at the true contrast, which may change: errors within twice what the noise allows."""
    contrast, grid, true, images = problem(name)
    acq = Acquisition(images, LIGHT, SCOPE)
    train, others = np.arange(13), np.arange(13, 16)
    refinement = Refinement(ALL, acq, name, grid, train, [])
    optics = refinement.start
    for _ in range(5):
        optics, _ = refinement.improve(optics, contrast)
    normal, _, _ = refinement.equations.at(true, contrast)
    bound = np.sqrt(
        np.diag(np.linalg.inv(normal / tapered_noise(name, grid) + np.diag(refinement.layout.width**-2)))
    )
    error = refinement.layout.pack(optics) - refinement.layout.pack(true)
    begun = refinement.layout.pack(refinement.start) - refinement.layout.pack(true)
    for kind, part in refinement.layout.parts.items():
        rms = np.sqrt(np.mean(error[part] ** 2)) / np.sqrt(np.mean(bound[part] ** 2))
        assert rms < 2, (kind, rms)
        assert np.linalg.norm(error[part]) < 0.5 * np.linalg.norm(begun[part]), kind
    assert np.array_equal(optics.gain[others], np.ones(3))


def tapered_noise(name, grid):
    """Variance of the spectrum of noise under the taper, per independent number of the grid's spectrum."""
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in SHAPE))
    return NOISE[name] ** 2 * np.prod(grid.shape[1:]) * (taper**4).sum() / (taper**2).sum()


def test_residual_of_noise_has_its_variance():
    contrast, grid, true, _ = problem("born")
    clean = true.model("born", grid, SCOPE, LIGHT, SHAPE).forward(contrast)
    noise = NOISE["born"] * np.random.default_rng(4).standard_normal(clean.shape)
    acq = Acquisition((clean + noise).astype("f4"), LIGHT, SCOPE)
    refinement = Refinement(ALL, acq, "born", grid, np.arange(16), [])
    found = refinement.equations.at(true, contrast)[2]
    assert found == pytest.approx(tapered_noise("born", grid), rel=0.1)


def test_columns_by_differences_are_the_gradients():
    """The multi-slice models' columns against their hand-derived gradients, two sources to an image."""
    contrast, grid, true, images = problem("bpm")
    pattern = np.eye(16)[:3] + 0.5 * np.eye(16)[3:6]
    light = Illumination(LIGHT.sources_na, pattern)
    acq = Acquisition(images[:3], light, SCOPE)
    refinement = Refinement(ALL, acq, "bpm", grid, np.arange(3), [])
    start = Optics(true.sources_na, true.gain[:3], true.defocus_um, true.zernike)
    model = start.model("bpm", grid, SCOPE, light, SHAPE)
    d = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype("f4")
    found = np.zeros(len(refinement.layout.width))
    for m, _, columns in refinement.jacobian.images(model, start, contrast, np.arange(3)):
        for place, slope in columns:
            found[place] += np.vdot(d[m], slope)
    slopes = model.gradients(contrast, d)
    soft = start.model("bpm", grid, SCOPE, light, SHAPE, edge="soft").gradients(contrast, d)
    along = soft.sources_na[refinement.layout.sources]
    for kind, expected, close in (
        ("illumination", along.ravel(), 0.1),
        ("intensity", slopes.gain, 1e-3),
        ("defocus", np.array([slopes.defocus_um]), 0.1),
        ("pupil", slopes.pupil[list(ZERNIKE)], 0.05),
    ):
        error = np.linalg.norm(found[refinement.layout.parts[kind]] - expected) / np.linalg.norm(expected)
        assert error < close, (kind, error)


def test_common_shift_is_not_refined_and_held_out_lights_follow_the_board():
    _, grid, _, images = problem("born")
    refinement = Refinement(
        "illumination", Acquisition(images, LIGHT, SCOPE), "born", grid, np.arange(13), []
    )
    turned = LIGHT.sources_na @ np.array([[1.0, 0.02], [-0.02, 1.0]])
    shifted = refinement.layout.all_directions(turned[:13] + [0.01, -0.02])
    centre = turned[:13].mean(axis=0) - LIGHT.sources_na[:13].mean(axis=0)
    assert np.allclose(shifted, turned - centre)


def test_harmful_correction_is_taken_back():
    """Training images of a turned board, held-out ones of the board as it is: they contradict each other."""
    contrast, grid, _, _ = problem("born")
    turned = Optics(LIGHT.sources_na @ np.array([[1.0, 0.03], [-0.03, 1.0]]), np.ones(16))
    nominal = Optics.of(LIGHT)
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 9, 11, 13, 15]
    mixed = np.concatenate(
        [
            o.model("born", grid, SCOPE, LIGHT, SHAPE).forward(contrast, np.array(part))
            for o, part in ((turned, order[:12]), (nominal, order[12:]))
        ]
    )[np.argsort(order)]
    acq = Acquisition(mixed, LIGHT, SCOPE)
    refinement = Refinement("illumination", acq, "born", grid, np.sort(order[:12]), np.sort(order[12:]))
    optics, words = refinement.improve(refinement.start, contrast)
    assert optics is refinement.start
    assert "taken back, the held-out error rose" in words
    free = Refinement("illumination", acq, "born", grid, np.sort(order[:12]), [])
    assert "nothing is held out to check it" in free.improve(free.start, contrast)[1]


def test_fit_records_and_evaluate_uses_the_optics(tmp_path):
    moved = 0.01 * np.random.default_rng(0).standard_normal((6, 2))
    moved[4] = 0  # held out
    acq = tiny.acquisition()
    lamp = np.array([1.06, 0.95, 0.97, 1.04, 1.0, 0.98], np.float32)[:, None, None]
    light = Illumination(acq.illumination.sources_na + moved)
    acq = replace(acq, illumination=light, images=lamp * acq.images, checksum=None)
    options = {"schedule": tiny.schedule(steps=40, warm_steps=20), "refine": "illumination,intensity"}
    field = tiny.fit(acq, **options).run()
    assert any("refined directions by" in note for note in field.provenance["notes"])
    assert field.provenance["refine"] == ["illumination", "intensity"]
    field.save(tmp_path / "f.npz")
    back = load_field(tmp_path / "f.npz")
    stored = Optics.from_dict(back.provenance["optics"])
    assert stored.gain == pytest.approx(lamp[:, 0, 0], abs=0.02)
    result = evaluate(back, acq)
    assert result["refined"] == ["illumination", "intensity"]
    assert result["nrmse_holdout"] == pytest.approx(field.provenance["nrmse_holdout"], rel=1e-2)
    back = replace(back, provenance=replace(back.provenance, optics=None))
    assert evaluate(back, acq)["nrmse_train"] > result["nrmse_train"]


@pytest.mark.slow
def test_refined_fit_is_nearly_as_good_as_one_that_knows_the_optics():
    """A fit from wrong lamps and aberrations, refined, against fits that keep them and that know better."""
    rng, shape, held = np.random.default_rng(1), (40, 36), (4, 9)
    seen = np.setdiff1d(np.arange(13), held)
    light = Illumination(
        [
            (0.0, 0.0),
            *Illumination.led_ring(5, 0.25).sources_na,
            *Illumination.led_ring(7, 0.45, 5).sources_na,
        ]
    )
    gain, zernike = 1 + 0.05 * rng.standard_normal(13), np.zeros(13)
    zernike[5], zernike[7] = 0.5, -0.4
    scatter = 0.003 * rng.standard_normal((13, 2))
    true = Optics(
        light.sources_na + scatter - scatter[seen].mean(axis=0), gain / gain[seen].mean(), 0.2, zernike
    )
    cell = cell_phantom(spacing_um=0.25, diameter_um=4.0, peak_contrast=0.02)
    volume = type(cell)(cell.contrast, 0.25, cell.origin_um + np.array([0, 4.8, 4.4]), 1.335)
    contrast, grid = on_image_grid(volume, shape, SCOPE)
    clean = true.model("born", grid, SCOPE, light, shape).forward(contrast)
    images = (clean + 0.002 * rng.standard_normal(clean.shape)).astype("f4")
    acq = Acquisition(images, light, SCOPE, holdout=held)
    errors = {}
    for name, optics, refine in (("true", true, None), ("nominal", None, None), ("refined", None, ALL)):
        schedule = {"steps": 50, "patience": 0}
        field = Fit(acq, (-2.5, 2.5, 0.5), "born", refine=refine, optics=optics, schedule=schedule).run()
        errors[name] = index_error(field.on_axes(*volume.grid.axes), volume.contrast)
    assert errors["refined"] < 0.9 * errors["nominal"], errors
    assert errors["refined"] < 1.2 * errors["true"], errors


@pytest.mark.slow
@pytest.mark.parametrize(("model", "refine"), [("born", "illumination,intensity"), ("ssnp", "board")])
def test_resumed_fit_is_the_uninterrupted_one(tmp_path, model, refine):
    options = {"model": model, "schedule": tiny.schedule(steps=12), "refine": refine}
    whole = tiny.fit(**options).run()
    fit = tiny.fit(**options)
    fit.callback = lambda p: fit._stop.ask() if p.stage == "fit" and p.done == 6 else None
    fit.run(tmp_path / "c.npz")
    resumed = tiny.fit(**options).run(tmp_path / "c.npz", resume=True)
    assert np.array_equal(resumed.params, whole.params)
    assert resumed.provenance["optics"] == whole.provenance["optics"]


def test_vector_round_trip():
    optics = problem("born")[2]
    back = optics.with_vector(optics.to_vector())
    for name in ("sources_na", "gain", "defocus_um", "zernike"):
        assert np.array_equal(getattr(back, name), getattr(optics, name))


@pytest.mark.parametrize("text", ["focus", "", "illumination,,pupil"])
def test_wrong_words(text):
    with pytest.raises(InputError, match="--refine knows"):
        parse_refine(text)
