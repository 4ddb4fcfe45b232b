"""Simulated images with known errors of the optics: does a fit with refinement find them?

    python scripts/check_refinement.py [--model born] [--steps 160] [--seed 0] [--verbose]

An invented cell is imaged with scattered directions and brightness, out of focus, through a pupil with
astigmatism and coma, with photon noise.  Four fits follow: with the true optics; with the nominal ones; with
the nominal ones and refinement; and with the true ones and refinement.  Last, the optics are corrected at the
true sample: that is what noise and the freedom of the sample allow.  Printed are the relative error of the
index, the same after the best shift of the field, and the errors of directions and gains (root mean square),
of the focus, and the worse of the two aberrations.  A shift of the field along z and a change of the focus
make the same images, so the error of the focus is that against the field's own place.
"""

import argparse

import numpy as np
from scipy.optimize import minimize

import fieldrx
from fieldrx.metrics import index_error
from fieldrx.models import Optics
from fieldrx.refinement import KINDS, ZERNIKE, Refinement
from fieldrx.simulation import on_image_grid

SCOPE = fieldrx.Microscope(wavelength_um=0.532, objective_na=0.6, medium_index=1.335, pixel_size_um=0.25)
SHAPE, DEPTH = (56, 48), (-4.0, 4.0, 0.5)
PHOTONS = 20000
HELD = np.arange(3, 19, 6)


def lights():
    """One LED on the axis and two rings, 19 in all."""
    rings = [fieldrx.Illumination.led_ring(n, na, 7).sources_na for n, na in ((6, 0.25), (12, 0.5))]
    return fieldrx.Illumination(np.concatenate([[[0.0, 0.0]], *rings]))


def seen():
    """Images that are fitted; the others are held out."""
    return np.setdiff1d(np.arange(19), HELD)


def truth(seed):
    """The cell, and optics that differ from the nominal ones."""
    rng, light = np.random.default_rng(seed), lights()
    scatter = 0.004 * rng.standard_normal(light.sources_na.shape)
    zernike = np.zeros(13)
    zernike[5], zernike[7] = 0.35, -0.3
    gain = 1 + 0.03 * rng.standard_normal(light.n_images)
    gain /= gain[seen()].mean()  # a common factor would be an absorption of the whole volume
    optics = Optics(light.sources_na + scatter - scatter.mean(axis=0), gain, 0.4, zernike)
    cell = fieldrx.cell_phantom(spacing_um=0.25, diameter_um=6.0, peak_contrast=0.015)
    centre = [0.5 * (n - 1) * SCOPE.pixel_size_um for n in SHAPE]
    z, y, x = cell.origin_um
    return fieldrx.Volume(cell.contrast, 0.25, (z, y + centre[0], x + centre[1]), 1.335), optics


def images(cell, optics, model, seed):
    """Images of the cell through these optics, with photon noise."""
    contrast, grid = on_image_grid(cell, SHAPE, SCOPE)
    clean = optics.model(model, grid, SCOPE, lights(), SHAPE).forward(contrast)
    return np.random.default_rng(seed).poisson(PHOTONS * np.maximum(clean, 0)).astype("f4") / PHOTONS


def registered(field, cell):
    """Least error of the index under shifts (z, y, x) of the whole field, and that shift [um]."""
    z, y, x = cell.grid.axes

    def error(shift):
        dz, dy, dx = shift
        return index_error(field.on_axes(z + dz, y + dy, x + dx), cell.contrast)

    found = minimize(error, np.zeros(3), method="Powell", options={"xtol": 0.01, "ftol": 1e-4})
    return found.fun, found.x


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="born")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="say what every correction did")
    options = parser.parse_args()
    cell, true = truth(options.seed)
    measured = images(cell, true, options.model, options.seed)
    nominal = Optics.of(lights()).padded(max(ZERNIKE) + 1)
    print(f"{'':<22}", *(f"{n:>10}" for n in ("index", "in place", "NA", "gain", "focus um", "rad")))
    for name, start, refine in (
        ("true optics", true, None),
        ("nominal", nominal, None),
        ("nominal, refined", nominal, KINDS),
        ("true, refined", true, KINDS),
    ):
        acq = fieldrx.Acquisition(measured, lights(), SCOPE, holdout=HELD)
        schedule = {"steps": options.steps, "seed": options.seed, "patience": 0}
        fit = fieldrx.Fit(acq, DEPTH, options.model, refine=refine, optics=start, schedule=schedule)
        field = fit.run()
        if options.verbose:
            print(*fit.notes, sep="\n")
        found = Optics.from_dict(field.provenance["optics"])
        in_place, shift = registered(field, cell)
        row = (
            index_error(field.on_axes(*cell.grid.axes), cell.contrast),
            in_place,
            *optics_errors(found, true, shift[0]),
        )
        print(f"{name:<22}", *(f"{v:10.5f}" for v in row), flush=True)
    contrast, grid = on_image_grid(cell, SHAPE, SCOPE)
    refinement = Refinement(KINDS, acq, options.model, grid, seen(), HELD, nominal)
    found = nominal
    for _ in range(5):
        found, _ = refinement.improve(found, contrast)
    print(f"{'true sample, refined':<22}", f"{'':>21}", *(f"{v:10.5f}" for v in optics_errors(found, true)))


def optics_errors(found, true, shift_z=0.0):
    """Errors of directions, gains, the focus of a sample shifted by so much, and aberrations."""
    return (
        np.sqrt(((found.sources_na - true.sources_na)[seen()] ** 2).mean()),
        np.sqrt(((found.gain - true.gain)[seen()] ** 2).mean()),
        abs(found.defocus_um - true.defocus_um - shift_z),
        np.abs(found.zernike[[5, 7]] - true.zernike[[5, 7]]).max(),
    )


if __name__ == "__main__":
    main()
