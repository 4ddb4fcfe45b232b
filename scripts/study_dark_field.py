"""Bright and dark field together, on a measured blood smear: errors of images never given, and a picture.

    python scripts/study_dark_field.py ../shared/data/bloodsmear --out docs/dark_field.png

225 LEDs out to four times the objective's aperture of 0.1, of which about 20 are in bright field; a tenth of
the bright and a tenth of the dark images is held out.  For red and green it prints the errors of amplitudes,
|sqrt(I_p) - sqrt(I_m)| / |sqrt(I_m)|, beside those of an empty guess: every image uniform at the mean of all
such images, or, which knows more, each at its own mean.  The picture shows for each colour a raw image, the
phase and the transmission of the field, and the spectrum of its wave with the objective's aperture (inner
circle) and the synthetic one (outer).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from fieldrx import Fit, read_acquisition
from fieldrx.calibration import calibrate
from fieldrx.evaluation import amplitude_numbers, compare, verdict_of
from fieldrx.io.png import write_png
from fieldrx.layouts import recognise
from fieldrx.layouts.listing import list_files
from fieldrx.metrics import amplitude_errors
from fieldrx.render.pictures import write

# height where the bright images are explained best, and the least of an image: stray light [counts]
COLOURS = {"red": (40.0, 0.0018), "green": (-5.0, 0.0018)}
THICK_UM = 4.0  # between the two slices
SCHEDULE = {"coarse": 0.05, "batch": 16, "patience": 0, "table_learning_rate": 5e-2, "learning_rate": 5e-3}
PRIORS = {"tv": 0.03, "tv_absorption": 0.03}
GAP, SIDE, WORDS = 8, 430, 34  # pixels of the picture
GREYS = 32  # of it: more are noise, which no file makes small


def acquisition(path: Path, stray: float):
    """The images as `fieldrx new` describes them, less stray light, of pixels that integrate; directions as
    their spectra tell, and each bright image over its own level, which LEDs at the pupil's edge need."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "acquisition.toml"
        draft = recognise(list_files([path.resolve()], target))
        draft = draft.having("images", "dark", stray).having("images", "gain", True)
        target.write_text(draft.having("microscope", "pixel_fill", 1.0).text())
        return calibrate(read_acquisition(target), contrast="unknown").acquisition


def guesses(images: np.ndarray) -> tuple[float, float]:
    """Errors of uniform images: at the mean of all, and each at its own."""
    common = np.full(images.shape, images.mean())
    own = np.broadcast_to(np.maximum(images.mean(axis=(1, 2), keepdims=True), 0), images.shape)
    return amplitude_errors(common, images)[0], amplitude_errors(own, images)[0]


def report(name: str, fit: Fit, compared) -> None:
    """Errors of a colour, and whether dark images that were never given are predicted."""
    numbers = amplitude_numbers(compared)
    print(f"{name}: {len(fit.train)} images fitted, {verdict_of(compared)}")
    for kind, held in (("bright", compared.held), ("dark", compared.dark_held)):
        told, (common, own) = numbers[kind], guesses(compared.acquisition.images[held])
        print(
            f"  {kind:6s} {len(held):3d} never given: amplitude error {told['holdout']:.3f}, of the fit's "
            f"{told['train']:.3f}, noise alone {told['noise_floor_holdout']:.3f}; an empty guess by their "
            f"mean {common:.3f}, each by its own {own:.3f}"
        )
    share = numbers["dark"]["holdout"] / guesses(compared.acquisition.images[compared.dark_held])[0]
    print(f"  dark images never given: {share:.2f} of the error of an empty guess by their mean", flush=True)


def tiles(acq, compared) -> list[tuple[str, np.ndarray]]:
    """A raw image, phase, transmission and spectrum of a field, from 0 to 1, in one frame."""
    grid, scope = compared.model.grid, acq.microscope
    path = 1j * scope.wavenumber * grid.spacing_um[0] * compared.contrast.sum(axis=0)
    wave = np.exp(path)
    inner = np.abs(np.fft.fftfreq(grid.shape[1], grid.spacing_um[1]))
    spectrum = np.log10(np.abs(np.fft.fftshift(np.fft.fft2(wave - wave.mean()))) ** 2 + 1e-12)
    cut = tuple(slice(round(-o / d), round(-o / d) + round(n * scope.pixel_size_um / d)) for o, d, n in zip(
        grid.origin_um[1:], grid.spacing_um[1:], acq.image_shape, strict=True))  # fmt: skip
    na = np.linalg.norm(acq.illumination.sources_na, axis=1)
    raw = acq.images[int(np.argmin(na))]
    rings = [scope.cutoff, scope.cutoff + na[compared.dark].max() / scope.wavelength_um]
    return [
        ("raw, 1.85 um pixels", limited(raw)),
        ("phase", limited(path.imag[cut])),
        ("transmission", limited(np.abs(wave)[cut] ** 2)),
        ("spectrum", ringed(limited(spectrum), rings, 2 * inner.max())),
    ]


def limited(values: np.ndarray) -> np.ndarray:
    """Values between their outer percentiles, as 0 to 1."""
    low, high = np.quantile(values, [0.002, 0.998])
    return np.clip((values - low) / (high - low), 0, 1)


def ringed(values: np.ndarray, radii: list[float], width: float) -> np.ndarray:
    """A spectrum of so many cycles/um across, with white circles."""
    y, x = ((np.arange(n) - n // 2) * width / n for n in values.shape)
    reach, out = np.hypot(y[:, None], x), values.copy()
    for radius in radii:
        out[np.abs(reach - radius) < 0.6 * width / values.shape[0]] = 1
    return out


def draw(rows: list[tuple[str, list]], out: Path) -> None:
    """Rows of tiles with their names, as PNG."""
    count = max(len(row) for _, row in rows)
    canvas = np.full((len(rows) * (SIDE + WORDS), count * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for i, (name, row) in enumerate(rows):
        for j, (what, values) in enumerate(row):
            place = [np.minimum(np.arange(SIDE) * n // SIDE, n - 1) for n in values.shape]
            top, left = i * (SIDE + WORDS), j * (SIDE + GAP)
            canvas[top + WORDS : top + WORDS + SIDE, left : left + SIDE] = np.round(
                255 * values[np.ix_(*place)]
            ).astype(np.uint8)[..., None]
            write(canvas[top:, left:], f"{name}: {what}", 8, 2, 15)
    grey = np.round(canvas[..., 0] / 255 * (GREYS - 1)) / (GREYS - 1)
    write_png(out, np.round(255 * grey).astype(np.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("dark_field.png"))
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    rows = []
    for name, (height, stray) in COLOURS.items():
        acq = acquisition(args.data / f"bloodsmear_{name}.mat", stray)
        depth = height - 0.5 * THICK_UM, height + 0.5 * THICK_UM, THICK_UM
        schedule = {"steps": args.steps, **SCHEDULE}
        fit = Fit(acq, depth, "bpm", holdout=0.1, priors=PRIORS, schedule=schedule, background=False)
        compared = compare(fit.run(), acq)
        report(name, fit, compared)
        rows.append((name, tiles(acq, compared)))
    draw(rows, args.out)


if __name__ == "__main__":
    main()
