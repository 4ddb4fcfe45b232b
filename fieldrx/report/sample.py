"""Sections on the sample: what was inferred, and what the optics can tell of it."""

from __future__ import annotations

import numpy as np

from fieldrx.charts import picture
from fieldrx.report.facts import Facts
from fieldrx.report.parts import fill, percent, table


def inferred(facts: Facts) -> str:
    """Section 2: what was inferred."""
    field, index = facts.field, facts.volume.contrast.real
    limits = (min(0.0, float(np.quantile(index, 0.0005))), facts.top)
    planes = "".join(
        picture(values, limits, extent, title, label="index contrast n - n0")
        for title, values, extent in facts.planes(lambda z, y, x: field.on_axes(z, y, x).real)
    )
    return fill("sample.inferred", planes=planes, table=table(_inferred_rows(facts)))


def _inferred_rows(facts):
    field, contrast = facts.field, facts.volume.contrast
    inside = contrast.real[facts.sample]
    volume = inside.size * np.prod(facts.volume.spacing_um)
    rows = [
        ("region", " x ".join(f"{n:.4g}" for n in np.ptp(field.region_um, axis=1)) + " um (z, y, x)"),
        ("largest contrast", f"{facts.top:.4g} over the medium's {field.medium_index:.4g}"),
        ("sample (contrast over 15 % of the largest)",
         f"{volume:.4g} um^3, mean contrast {inside.mean() if inside.size else 0:.4g}"),
        ("parameters of the field", f"{field.params.size}"),
    ]  # fmt: skip
    if field.network.n_outputs > 1:
        low, high = np.quantile(contrast.imag, 0.001), np.quantile(contrast.imag, 0.999)
        rows.append(("absorption (imaginary part), 0.1 to 99.9 % of the voxels", f"{low:.3g} ... {high:.3g}"))
    return rows


def reach(facts: Facts) -> str:
    """Section 4: what these optics can tell, and what they cannot."""
    numbers, scope, light = facts.numbers, facts.acquisition.microscope, facts.acquisition.illumination
    na = np.linalg.norm(light.sources_na[light.bright(scope)], axis=1).max()
    tilt = np.degrees(np.arcsin(min(na / scope.medium_index, 1)))
    shares = [
        ("supported by the images", percent(numbers["share_inside_band"])),
        ("in the gap: slow variations and the missing cone", percent(numbers["share_in_gap"])),
        ("beyond the reach: finer than the optics transfer", percent(numbers["share_beyond_reach"])),
    ]
    spectrum = np.abs(np.fft.fftn(facts.tapered))
    level = np.log10(np.maximum(spectrum / (spectrum.max() or 1.0), 1e-5))  # of an empty field, too
    words = "amplitude over the strongest", "log10 of amplitude over the largest"
    return fill(
        "sample.reach",
        transfer=_sections(facts, np.sqrt(facts.band.power), (0, 1), "Transfer", words[0]),
        spectrum=_sections(facts, level, (-5, 0), "Spectrum of the field", words[1]),
        shares=table(shares),
        tilt=tilt,
        flat=90 - tilt,
        lateral=numbers["resolution_lateral_um"],
        axial=numbers["resolution_axial_um"],
    )


def _sections(facts, volume, limits, title, label):
    """Two sections of frequency space, zero in the middle, cut to somewhat beyond the band."""
    grid, numbers = facts.band.grid, facts.numbers
    (nz, ny, _), (dz, _, dx) = grid.shape, grid.spacing_um
    reach_x = min(0.62 / numbers["resolution_lateral_um"], 0.5 / dx)
    reach_z = min(1.1 / numbers["resolution_axial_um"], 0.5 / dz)
    z, y, x = (
        np.fft.fftshift(np.fft.fftfreq(n, d)) for n, d in zip(grid.shape, grid.spacing_um, strict=True)
    )
    keep_z, keep_y, keep_x = np.abs(z) <= reach_z, np.abs(y) <= reach_x, np.abs(x) <= reach_x
    shifted = np.fft.fftshift(volume)
    side = shifted[:, ny // 2][np.ix_(keep_z, keep_x)]
    front = shifted[nz // 2][np.ix_(keep_y, keep_x)]
    tall = 0.6 * 2 * reach_x  # the side is stretched along nu_z, which is far shorter
    across = f"-{reach_x:.2g} ... {reach_x:.2g}"
    shown = (
        (side, (tall, 2 * reach_x),
         f"nu_z (down, -{reach_z:.2g} ... {reach_z:.2g}) over nu_x ({across}), cycles/um"),
        (front, (2 * reach_x, 2 * reach_x),
         f"nu_y (down) over nu_x, both {across} cycles/um, at nu_z = 0"),
    )  # fmt: skip
    return "".join(
        picture(values, limits, extent, f"{title}: {what}", label=label, bar_um=0)
        for values, extent, what in shown
    )
