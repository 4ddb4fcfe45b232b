"""A zoo of simulated acquisitions such as strangers have: rigs, samples and spoils of many kinds.

    python scripts/zoo.py list
    python scripts/zoo.py make FOLDER [--only NAME ...] [--aside]
    python scripts/zoo.py check

`make` writes FOLDER/NAME/ for every member: the images with acquisition.toml as the stranger has them (or
acquisition.npz), truth.npz (the sample as a volume) and optics.json (true directions, brightness of the
lamps, depth of the sample).  Members kept aside for final checks are left out unless named or asked for.
`check` compares the full-wave solver with the exact sphere.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from scipy.special import expit
from zoo_members import MEMBERS, Board, Member, Ring
from zoo_samples import SAMPLES
from zoo_waves import bin_pixels, full_wave, split_step

import fieldrx
from fieldrx.io import save_npz
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.volume import Volume, write_volume

_EMPTY_DEPTH = (-5.0, 5.0)  # told for a member without a sample [um]
_READ_NOISE = 1.5  # counts


@dataclass
class Scene:
    """A sample on the fine grid.

    Parameters
    ----------
    contrast : complex64 ndarray
    grid : Grid
        In the frame of the fine pixels, which begins at the centre of the first of them.
    fine : Microscope
        With the fine pixels.
    factor : int
        Fine pixels in a pixel, along each axis.
    depth : (float, float)
        Where the sample begins and ends along z [um].
    """

    contrast: np.ndarray
    grid: Grid
    fine: Microscope
    factor: int
    depth: tuple


# ---------------------------------------------------------------------------------------------
# The sample


def scene_of(member: Member, shrink=1) -> Scene:
    """The member's sample on the grid that makes its images; all its lengths over `shrink`."""
    scope = member.microscope
    factor = max(2, int(np.ceil(6 * scope.pixel_size_um * scope.objective_na / scope.wavelength_um)))
    fine = replace(scope, pixel_size_um=scope.pixel_size_um / factor)
    sample = SAMPLES[member.sample](np.random.default_rng([member.seed, 1]), **member.sample_options)
    shape = pixels_of(member, shrink)
    dz, _ = _slices(member, fine)
    lo, hi = sample.bounds[0] / shrink + member.height_um / shrink
    lo, hi = (lo, hi) if hi > lo else _EMPTY_DEPTH
    n = max(int(np.ceil((hi - lo) / dz)) + 2, 4)
    first = 0.5 * (lo + hi) - 0.5 * (n - 1) * dz
    grid = Grid.for_images([factor * k for k in shape], fine, (first, first + (n - 1) * dz, dz))
    shift = 0.5 * (factor - 1) * fine.pixel_size_um  # of the first fine pixel from the first pixel's centre
    middle = [
        0.5 * (k - 1) * scope.pixel_size_um + p / shrink for k, p in zip(shape, member.place, strict=True)
    ]
    centre = (member.height_um / shrink, *middle)
    axes = [(a - s - c) * shrink for a, s, c in zip(grid.axes, (0, shift, shift), centre, strict=True)]
    contrast = sample.paint(axes)
    return Scene(_scaled(contrast, member, grid), grid, fine, factor, (float(lo), float(hi)))


def _slices(member, fine) -> tuple[float, int]:
    """Distance of the slices [um], and how many of them the written volume puts together.

    Both stay clear of half a wavelength in the medium, where slices reflect as a Bragg mirror does.
    """
    if member.full_wave:
        return fine.pixel_size_um, 1
    na, wavelength = fine.objective_na, fine.wavelength_um / fine.medium_index
    share, together = (0.2, 2) if na > 0.3 else (0.3, 4) if na > 0.15 else (0.38, 6)
    return share * wavelength, together


def pixels_of(member, shrink=1):
    return tuple(max(16, n // shrink) for n in member.shape)


def _scaled(contrast, member, grid):
    """Contrast with the member's peak, or its peak phase, and its stain."""
    top = float(np.abs(contrast.real).max())
    if not top:
        return contrast
    peak = member.contrast / top
    if member.phase_rad is not None:
        peak = member.phase_rad / peak_phase(contrast, member.microscope, grid)
    out = (peak * contrast.real).astype(np.complex64)
    out += 1j * abs(peak) * (contrast.imag + member.stain * np.abs(contrast.real))
    return out


def peak_phase(contrast, scope, grid) -> float:
    """Largest phase along z, k0 dz sum_z Re delta [rad]."""
    return float(scope.wavenumber * grid.spacing_um[0] * np.abs(contrast.real.sum(axis=0)).max())


def truth_of(scene: Scene, member: Member, shape) -> Volume:
    """The sample within the frame, averaged over pixels and over a few slices, cut to where it is."""
    f, grid, scope = scene.factor, scene.grid, member.microscope
    rows, cols = (
        slice(first, first + f * n)
        for first, n in zip((round(-o / d) for o, d in zip(grid.origin_um[1:], grid.spacing_um[1:],
                                                             strict=True)), shape, strict=True)
    )  # fmt: skip
    inside = bin_pixels(scene.contrast[:, rows, cols], f)
    _, step = _slices(member, scene.fine)
    n = -(-len(inside) // step)
    padded = np.zeros((n * step, *inside.shape[1:]), np.complex64)
    padded[: len(inside)] = inside
    volume = padded.reshape(n, step, *shape).mean(axis=1)
    spacing = (step * grid.spacing_um[0], scope.pixel_size_um, scope.pixel_size_um)
    box = [np.flatnonzero(volume.any(axis=tuple(j for j in range(3) if j != k))) for k in range(3)]
    box = [(b[0], b[-1] + 1) if b.size else (0, m) for b, m in zip(box, volume.shape, strict=True)]
    volume = volume[tuple(slice(*b) for b in box)]
    origin = (grid.origin_um[0] + 0.5 * (step - 1) * grid.spacing_um[0], 0.0, 0.0)
    origin = tuple(o + b[0] * d for o, b, d in zip(origin, box, spacing, strict=True))
    volume = volume if volume.imag.any() else np.ascontiguousarray(volume.real)
    return Volume(volume, spacing, origin, scope.medium_index)


# ---------------------------------------------------------------------------------------------
# Light and camera


def light_of(member: Member):
    """The light as it is told and as it is."""
    told = member.rig.nominal()
    true = Illumination(member.spoils.true_na(told.sources_na, member.rig.distance_um), told.pattern)
    return told, true


def discs(light: Illumination, radius_na, count=7):
    """Every source as points on a spiral that fill a disc of directions evenly."""
    k = np.arange(count) + 0.5
    radius, angle = radius_na * np.sqrt(k / count), k * np.pi * (3 - np.sqrt(5))
    disc = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    disc -= disc.mean(axis=0)  # few points are not balanced by themselves
    sources = light.sources_na[:, None] + disc
    return Illumination(sources.reshape(-1, 2), np.repeat(light.pattern / count, count, axis=1))


def intensities(member: Member, scene: Scene, true: Illumination, shape):
    """Images over the empty field of a bright-field lamp, and of what there would be without a sample."""
    wide = discs(true, member.spoils.led_na) if member.spoils.led_na else true
    fine_shape = [scene.factor * n for n in shape]
    make = full_wave if member.full_wave else split_step
    if scene.contrast.any():
        single = make(scene.contrast, scene.grid, scene.fine, wide.sources_na, fine_shape)
        single = bin_pixels(single, scene.factor)
    else:
        single = np.ones((wide.n_sources, *shape)) * wide.bright(scene.fine)[:, None, None]
    bright = wide.pattern @ wide.bright(scene.fine)
    total = np.where(bright > 0, bright, wide.pattern.sum(axis=1))[:, None]  # exposures fit the light
    return np.tensordot(wide.pattern / total, single, 1), bright / total[:, 0]


def expose(member: Member, images, seed):
    """Counts of the camera, of the images and of an empty field, and the truth about the lamps."""
    spoils, rng = member.spoils, np.random.default_rng([member.seed, seed])
    n, shape = len(images), images.shape[1:]
    top = 2**member.bits - 1
    lamp = 1 + spoils.flicker * rng.standard_normal(n).clip(-2.5, 2.5)
    lamp[list(spoils.dead)] = 0.0
    common = _vignette(shape, spoils.vignetting, rng) * _dust(shape, spoils.dust, rng)
    light = images * common * lamp[:, None, None] * _gradients(n, shape, spoils.gradient, rng)
    level = member.level or min(member.photons, (0.45 if member.bits > 8 else 0.6) * top)
    if spoils.bright_share:
        level = (top - spoils.offset) / np.quantile(light, 1 - spoils.bright_share)
    hot = np.stack([rng.integers(0, m, spoils.hot) for m in shape], axis=1)
    glow = rng.uniform(0.5, 0.95, spoils.hot) * top

    def counts(light, exposures=1):
        signal = rng.poisson(light * member.photons * exposures) * (level / member.photons / exposures)
        noise = rng.normal(0, min(_READ_NOISE, 0.01 * level) / exposures**0.5, light.shape)
        signal[..., hot[:, 0], hot[:, 1]] = glow
        signal = signal + spoils.offset + noise
        kind = np.uint8 if member.bits == 8 else np.uint16
        return np.clip(np.rint(signal), 0, top).astype(kind)

    known = {
        "lamps": lamp.tolist(),
        "counts_of_the_empty_field": float(level),
        "hot_pixels": hot.tolist(),
    }
    return counts(light), counts(common, 16), counts(np.zeros(shape), 16), known


def _vignette(shape, strength, rng):
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    cy, cx = rng.uniform(-0.25, 0.25, 2)
    fall = (y - cy) ** 2 + (x - cx) ** 2
    return 1 - strength * fall / fall.max()


def _gradients(n, shape, slope, rng):
    y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, m) for m in shape), indexing="ij")
    turn = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    return 1 + slope * (np.sin(turn) * y + np.cos(turn) * x)


def _dust(shape, count, rng):
    """Out-of-focus specks near the camera: grey discs with a bright rim."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    out = np.ones(shape)
    for _ in range(count):
        r = np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1])) / rng.uniform(1.5, 4)
        depth = rng.uniform(0.05, 0.2)
        out *= 1 - depth * expit((1 - r) * 8) + 0.4 * depth * np.exp(-((r - 1.4) ** 2) * 12)
    return out


# ---------------------------------------------------------------------------------------------
# Files


def make(member: Member, folder, shrink=1) -> dict:
    """Write one member; returns what its optics.json says.

    Parameters
    ----------
    member : Member
    folder : path-like
        Made if it is not there.
    shrink : int
        Fewer pixels and a smaller sample, for tests.
    """
    folder, shape = Path(folder), pixels_of(member, shrink)
    folder.mkdir(parents=True, exist_ok=True)
    scene, (told, true) = scene_of(member, shrink), light_of(member)
    images, bright = intensities(member, scene, true, shape)
    counts, empty, dark, known = expose(member, images, 2)
    name = write_acquisition(folder, member, told, counts, empty, dark)
    write_volume(folder / "truth.npz", truth_of(scene, member, shape), compressed=True)
    truth = {
        "member": member.name,
        "acquisition": name,
        "aside": member.aside,
        "microscope": member.microscope.to_dict(),
        "image_shape": list(shape),
        "n_images": len(counts),
        "depth_um": list(scene.depth),
        "peak_contrast": float(np.abs(scene.contrast.real).max()) * (-1 if member.contrast < 0 else 1),
        "peak_absorption": float(scene.contrast.imag.max()),
        "peak_phase_rad": peak_phase(scene.contrast, member.microscope, scene.grid),
        "sources_na": true.sources_na.tolist(),
        "told_sources_na": told.sources_na.tolist(),
        "pattern": true.pattern.tolist(),
        "bright_field": (bright > 0).tolist(),
        "photons": member.photons,
        **known,
        "spoils": asdict(member.spoils),
        "model": "helmholtz" if member.full_wave else "ssnp",
        "grid": scene.grid.to_dict(),
    }
    (folder / "optics.json").write_text(json.dumps(truth, indent=1) + "\n")
    return truth


def write_acquisition(folder, member: Member, told, counts, empty, dark) -> str:
    """The images and how the stranger describes them; returns the name of the acquisition's file."""
    if member.files == "npz":
        save_npz(folder / "acquisition.npz", images=counts, **member.microscope.to_dict(), **(
            {"illumination_na": told.sources_na} if len(told.pattern) == told.n_sources
            else {"sources_na": told.sources_na, "pattern": told.pattern}))  # fmt: skip
        return "acquisition.npz"
    table = {"files": _write_images(folder, member, counts), **member.toml}
    if member.background == "file":
        tifffile.imwrite(folder / "empty.tif", empty)
        table["background"] = "empty.tif"
    elif member.background:
        table["background"] = member.background
    if member.spoils.dark_told == "number":
        table["dark"] = member.spoils.offset
    elif member.spoils.dark_told == "file":
        tifffile.imwrite(folder / "dark.tif", dark)
        table["dark"] = "dark.tif"
    lines = ["[microscope]", *_toml_lines(_microscope(member)), "", "[images]", *_toml_lines(table)]
    lines += ["", "[illumination]", *_toml_lines(_illumination(folder, member, told)), ""]
    (folder / "acquisition.toml").write_text("\n".join(lines))
    return "acquisition.toml"


def _write_images(folder, member, counts):
    if member.files == "hdf5":
        import h5py

        with h5py.File(folder / "images.h5", "w") as file:
            file.create_dataset("images", data=counts, track_times=False)
        return "images.h5:/images"
    if member.files == "stack":
        tifffile.imwrite(folder / "stack.tif", counts, photometric="minisblack")
        return "stack.tif"
    if member.files == "pattern":
        names = [f"led_r{r}_c{c}.tif" for r, c in member.rig.leds]
    else:
        names = [f"image_{k:03d}.tif" for k in range(len(counts))]
    for name, image in zip(names, counts, strict=True):
        tifffile.imwrite(folder / name, image)
    return "led_r{row}_c{col}.tif" if member.files == "pattern" else names


def _microscope(member) -> dict:
    told = member.microscope.to_dict()
    if member.camera_pixel_um:
        pixel = told.pop("pixel_size_um")
        told |= {"camera_pixel_um": member.camera_pixel_um}
        told |= {"magnification": round(member.camera_pixel_um / pixel, 6)}
    return told


def _illumination(folder, member, told) -> dict:
    rig = member.rig
    if isinstance(rig, Ring):
        return {"kind": "led-ring", "count": rig.count, "na": rig.na, "start_deg": rig.start_deg,
                "clockwise": rig.clockwise}  # fmt: skip
    if isinstance(rig, Board):
        out = {"kind": "led-grid", "pitch_um": rig.pitch_um, "distance_um": rig.distance_um,
               "centre": list(rig.middle), "axes": list(rig.axes)}  # fmt: skip
        return out if member.files == "pattern" else out | {"leds": rig.leds.tolist()}
    rows = ["image,na_y,na_x,weight"]
    for k, weights in enumerate(told.pattern):
        for s in np.flatnonzero(weights):
            rows.append(f"{k},{told.sources_na[s, 0]:.5f},{told.sources_na[s, 1]:.5f},{weights[s]:g}")
    (folder / "leds.csv").write_text("\n".join(rows) + "\n")
    return {"kind": "table", "table": "leds.csv"}


def _toml_lines(table) -> list[str]:
    """Keys and values; JSON's spelling of text, numbers, lists and truth is TOML's."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


# ---------------------------------------------------------------------------------------------
# Command line


def chosen(only=None, aside=False) -> list[Member]:
    """Members by name, or all, those kept aside only if wanted."""
    unknown = set(only or ()) - {m.name for m in MEMBERS}
    if unknown:
        raise SystemExit(f"there is no member {', '.join(sorted(unknown))}; see zoo.py list")
    return [m for m in MEMBERS if (m.name in only if only else aside or not m.aside)]


def line_of(member: Member) -> str:
    """A member in one line."""
    wavelength, na, medium, pixel = member.scope
    spoils = {k: v for k, v in asdict(member.spoils).items() if v != type(member.spoils).__dict__[k]}
    told = ", ".join(f"{k} {v}" for k, v in spoils.items()) or "clean"
    size = f"{member.phase_rad:g} rad" if member.phase_rad else f"contrast {member.contrast:g}"
    rig, shape = type(member.rig).__name__.lower(), "x".join(map(str, member.shape))
    n = member.rig.nominal().n_images
    return (
        f"{member.name:<28}{rig}, {n} images of {shape} at {pixel:.3g} um, NA {na:g} in {medium:g}, "
        f"{wavelength:g} um; {member.sample}, {size}, z {member.height_um:g} um; {told}"
        + (" (aside)" if member.aside else "")
    )


def check_sphere():
    """Errors of I - 1 of the full-wave solver and of split steps against the exact sphere."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "physics"))
    from sphere import sphere_contrast, sphere_intensity

    pixel, size, radius, delta = 0.075, 160, 1.2, 0.03
    fine = Microscope(0.515, 0.8, 1.335, pixel)
    optics = radius, delta, fine.medium_index, fine.wavelength_um, fine.objective_na
    sources = [(0.0, 0.0), (0.36, -0.48)]
    for z in (0.0, 2.0):
        n = 2 * int(np.ceil(1.1 * radius / pixel)) + 1
        grid = Grid.for_images(
            (size, size), fine, (z - 0.5 * (n - 1) * pixel, z + 0.5 * (n - 1) * pixel, pixel)
        )
        centre = (z, 0.5 * size * pixel + 0.03, 0.5 * size * pixel + 0.017)
        contrast = sphere_contrast(grid.axes, centre, radius, delta).astype(np.complex64)
        for how in (full_wave, split_step):
            images = how(contrast, grid, fine, sources, (size, size))
            for source, image in zip(sources, images, strict=True):
                exact = sphere_intensity((1024,) * 2, pixel, centre, source, *optics, still=True)[
                    :size, :size
                ]
                error = np.linalg.norm(image - exact) / np.linalg.norm(exact - 1)
                print(
                    f"{how.__name__:<12} z {z:g} um, source {source}: error of I - 1 {error:.4f}", flush=True
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("check")
    making = commands.add_parser("make")
    making.add_argument("folder", type=Path)
    making.add_argument("--only", nargs="+", metavar="NAME")
    making.add_argument("--aside", action="store_true", help="those kept aside as well")
    options = parser.parse_args()
    if options.command == "list":
        print(*map(line_of, MEMBERS), sep="\n")
    elif options.command == "check":
        check_sphere()
    else:
        for member in chosen(options.only, options.aside):
            begun = time.perf_counter()
            truth = make(member, options.folder / member.name)
            try:
                fieldrx.read_acquisition(options.folder / member.name / truth["acquisition"])
            except fieldrx.InputError as error:
                print(error)
            print(
                f"{member.name:<28}{truth['n_images']:>4} images, contrast {truth['peak_contrast']:.4f}, "
                f"{truth['peak_phase_rad']:.2f} rad, {time.perf_counter() - begun:.0f} s", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
