"""A report of a reconstruction: one HTML file with pictures, numbers and settings that opens offline.

It says what was measured and what was not, how well the field predicts images that it never saw, beside
the noise, what the optics can tell at all, and, given an ensemble, how uncertain the values are.
"""

from __future__ import annotations

import json
from html import escape

import numpy as np

from fieldrx._version import __version__
from fieldrx.backends import to_host
from fieldrx.band import supported_band
from fieldrx.charts import BLUE, GREEN, GREY, ORANGE, chart, picture, pupil_map
from fieldrx.errors import InputError
from fieldrx.evaluation import compare, same_images, verdict, verdict_of_folds
from fieldrx.io import atomic_path
from fieldrx.recipe import recipe
from fieldrx.totals import HOLE, sign_of, totals_of

_PLANE_PIXELS = 320
_SHOWN = 6  # measured images in the overview
_SAMPLE = 0.15  # of the largest contrast, from which a voxel belongs to the sample
_STYLE = """
body{font:16px/1.5 system-ui,"Segoe UI","Helvetica Neue",Arial,sans-serif;color:#1d2433;background:#fff;
max-width:1000px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.7em;margin-bottom:.1em}h2{font-size:1.25em;margin-top:2.2em;border-bottom:2px solid #dfe5ee;
padding-bottom:.2em}h3{font-size:1.02em;margin:1.4em 0 .3em}
.sub{color:#5b6475;margin-top:0}.short{background:#f3f7fc;border-left:5px solid #0072b2;
padding:.8em 1.2em;margin:1.2em 0}
.short li{margin:.35em 0}.cannot{background:#fdf5ef;border-left:5px solid #d55e00;padding:.8em 1.2em;
margin:1.2em 0}
.learn{color:#414a5a;font-size:.94em;max-width:52em}
table{border-collapse:collapse;font-size:.92em;margin:.6em 0}td,th{padding:.25em .9em .25em 0;text-align:left;
vertical-align:top;border-bottom:1px solid #edf0f5}td.n{text-align:right;font-variant-numeric:tabular-nums}
.row{display:flex;flex-wrap:wrap;gap:18px;align-items:flex-start;margin:.8em 0}figure{margin:0}
figcaption{font-size:.88em;color:#414a5a;margin-bottom:.25em;max-width:430px}
svg{max-width:100%;height:auto;display:block}svg text{font-size:12px;fill:#3c4454;font-family:inherit}
svg text.onpicture{fill:#fff;stroke:#000;stroke-width:.4px;paint-order:stroke;font-weight:600;
text-anchor:middle}
.legend{font-size:.85em;margin-left:62px}.key{margin-right:1.2em;white-space:nowrap}
.key i{display:inline-block;
width:.8em;height:.8em;border-radius:.2em;margin-right:.4em}
.tile svg{width:146px}.tile svg text{font-size:20px}
.half svg{width:300px}.row.three{gap:14px}.row.planes svg{max-width:300px}
.half,.row.planes figure{width:300px}
code,pre{background:#f4f5f8;border-radius:3px;font-size:.88em}code{padding:0 .25em}pre{padding:.7em;
overflow-x:auto;
white-space:pre-wrap}dt{font-weight:600;margin-top:.5em}dd{margin-left:1.2em}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}figure,.row{break-inside:avoid}}
"""


def write_report(field, acquisition, path, ensemble=None, device="auto") -> dict:
    """Write the report of a field.

    Parameters
    ----------
    field : NeuralField
    acquisition : Acquisition
        With the images it was fitted to.
    path : path-like
        An .html file.
    ensemble : Ensemble, optional
        Made from the field, for maps of uncertainty.
    device : str
        "cpu", "cuda" or "auto": where images are predicted.  Fields are evaluated where they are.

    Returns
    -------
    dict
        The main numbers, JSON-ready.

    Raises
    ------
    InputError
        If the field was not fitted to these images, or the ensemble belongs to another field.
    """
    if not same_images(field, acquisition):
        raise InputError(
            "the field was not fitted to these images: give the acquisition it was fitted to (errors on "
            "other images: fieldrx evaluate)"
        )
    if ensemble is not None and not ensemble.belongs_to(field):
        raise InputError("the ensemble was made from another field: make the ensemble from this field")
    facts = _Facts(field, acquisition, ensemble, device)
    sections = [
        _head(facts),
        _measured(facts),
        _inferred(facts),
        _predictions(facts),
        _reach(facts),
        _uncertainty(facts),
        _course(facts),
        _optics(facts),
        _settings(facts),
        _words(),
    ]
    title = escape(f"fieldrx report: {acquisition.name or 'reconstruction'}")
    text = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        + "\n".join(sections)
        + "\n</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return facts.numbers


class _Facts:
    """Everything the sections speak of, computed once."""

    def __init__(self, field, acquisition, ensemble, device):
        self.field, self.acq, self.ensemble = field, acquisition, ensemble
        self.folds = None if ensemble is None else ensemble.calibration.get("folds")
        self.compared = compare(field, acquisition, device=device)
        self.held, self.usable = self.compared.held, self.compared.usable
        self.train = np.setdiff1d(self.usable, self.held)
        self.volume = field.volume()
        index = self.volume.contrast.real
        self.top = max(float(np.quantile(index, 0.9995)), 1e-12)
        self.sample = index > _SAMPLE * self.top
        self.centre = self._centre()
        self.light = self.compared.model.illumination  # refined, where the fit did that
        self.band = supported_band(self.volume.grid, acquisition.microscope, self.light, self.train)
        self.tapered = index * _taper(index.shape)
        self.numbers = self._numbers()

    def _centre(self):
        """Centre of mass of what the field holds [um]."""
        weight = np.maximum(self.volume.contrast.real, 0).astype(np.float64) * self.sample
        total = weight.sum()
        if total == 0:
            return self.field.region_um.mean(axis=1)
        others = ((1, 2), (0, 2), (0, 1))
        axes = self.volume.grid.axes
        return np.array([float(weight.sum(axis=o) @ a / total) for o, a in zip(others, axes, strict=True)])

    def _numbers(self):
        noise, grid = self.compared.noise, self.band.grid
        nu_z = np.abs(np.fft.fftfreq(grid.shape[0], grid.spacing_um[0]))
        nu_y, nu_x = grid.frequencies()
        lateral = np.hypot(nu_y[:, None], nu_x[None])
        supported = self.band.supported
        reach_z = float(nu_z[supported.any(axis=(1, 2))].max())
        reach = float(lateral[supported.any(axis=0)].max())
        beyond = (lateral[None] > reach) | (nu_z[:, None, None] > reach_z)
        power = np.abs(np.fft.fftn(self.tapered)) ** 2
        total = max(float(power.sum()), 1e-300)
        numbers = {
            "nrmse_train": self.compared.error(self.train)[0] if len(self.train) else None,
            "noise_sigma": noise.sigma,
            "noise_floor": noise.share,
            "noise_floor_method": noise.method,
            "resolution_lateral_um": 0.5 / reach,
            "resolution_axial_um": 0.5 / max(reach_z, 1e-12),
            "share_inside_band": float(power[supported].sum()) / total,
            "share_in_gap": float(power[~supported & ~beyond].sum()) / total,
            "share_beyond_reach": float(power[beyond & ~supported].sum()) / total,
        }
        if len(self.held):
            error, noise = self.compared.error(self.held)[0], self.compared.noise_of(self.held)
            numbers |= {"nrmse_holdout": error, "noise_floor_holdout": noise.share}
            numbers["verdict"] = verdict(error, noise.share, noise.measured)
        if self.ensemble is not None:
            _, std = self.ensemble.on_axes(*self.volume.grid.axes)
            self.std = std.real
            numbers["std_in_sample"] = float(np.median(self.std[self.sample])) if self.sample.any() else None
            numbers["factor"] = self.ensemble.factor
        self.totals = self._totals()
        told = ("dry_mass_pg", "dry_mass_interval_pg", "volume_um3", "volume_interval_um3", "prior_share")
        numbers |= {name: getattr(self.totals, name) for name in told}
        numbers["contrast_sign"] = sign_of(self.volume.contrast.real)
        return numbers

    def _totals(self):
        """Sums over the sample, with intervals."""
        members, factor = [], 1.0
        if self.ensemble is not None:
            axes, factor = self.volume.grid.axes, self.ensemble.factor
            members = [to_host(member.on_axes(*axes)).real for member in self.ensemble.members]
        return totals_of(self.volume.contrast.real, self.band, members, max(factor, 1.0))

    def planes(self, on_axes):
        """The three planes through the centre: name, values, extent (height, width) [um]."""
        lengths = np.maximum(np.ptp(self.field.region_um, axis=1), 1e-9)
        step = lengths.max() / _PLANE_PIXELS
        z, y, x = (
            np.linspace(lo, hi, max(round(n / step), 2))
            for (lo, hi), n in zip(self.field.region_um, lengths, strict=True)
        )
        cz, cy, cx = ([c] for c in self.centre)
        return [
            (f"across the light (y down, x right), z = {cz[0]:.2f} um", on_axes(cz, y, x)[0], lengths[1:]),
            (f"along the light (z down, x right), y = {cy[0]:.2f} um", on_axes(z, cy, x)[:, 0], lengths[::2]),
            (
                f"along the light (z down, y right), x = {cx[0]:.2f} um",
                on_axes(z, y, cx)[:, :, 0],
                lengths[:2],
            ),
        ]


# ---- sections ------------------------------------------------------------------------------------


def _head(facts):
    n, acq, numbers = len(facts.usable), facts.acq, facts.numbers
    points = [
        f"<b>Measured:</b> {n} intensity images, each lit from its own direction"
        f"{f' ({len(facts.held)} of them kept away from the fit)' if len(facts.held) else ''}. "
        "No phase and no refractive index was measured.",
        f"<b>Inferred:</b> the refractive index in a volume, such that the model of light "
        f"<code>{escape(facts.compared.model.name)}</code> turns it into the measured images.",
    ]
    if "verdict" in numbers:
        text = numbers["verdict"]
        points.append(f"<b>Tested:</b> the field {escape(text)}.")
    else:
        points.append(
            "<b>Not tested:</b> every image was used in the fit; hold some out (<code>--holdout</code>)."
        )
    if facts.folds:
        text = verdict_of_folds(facts.folds)
        points.append(
            f"<b>Tested again, by cross-validation:</b> {len(facts.folds['images'])} further fits, each "
            f"without another part of the fitted images: such a field, of fewer images, {escape(text)}."
        )
    points.append(
        f"<b>Reach of the optics:</b> details down to {numbers['resolution_lateral_um']:.2g} um across and "
        f"{numbers['resolution_axial_um']:.2g} um along the light (half a period). "
        f"{_percent(numbers['share_inside_band'])} of the "
        f"field's power lies at frequencies that the images support, {_percent(numbers['share_in_gap'])} "
        f"in the gap "
        f"between them (slow variations and the missing cone), {_percent(numbers['share_beyond_reach'])} "
        f"beyond them."
    )
    if facts.ensemble is None:
        points.append("<b>Error bars:</b> none made (<code>fieldrx ensemble</code> makes them).")
    elif numbers["std_in_sample"] is not None:
        points.append(
            f"<b>Error bars:</b> inside the sample the index is uncertain by "
            f"{numbers['std_in_sample']:.2g} (median "
            f"of one standard deviation; the largest contrast is {facts.top:.2g}), as far as the images "
            f"can tell."
        )
    low, high = numbers["volume_interval_um3"]
    points.append(
        f"<b>Totals:</b> {escape(facts.totals.sentence)}. Volume {numbers['volume_um3']:.3g} um^3, between "
        f"{low:.3g} and {high:.3g} by where its border is drawn."
    )
    if numbers["contrast_sign"] < 0:
        points.append(f"<b>Beware:</b> {escape(HOLE)}.")
    name = escape(acq.name or "reconstruction")
    made = escape(f"fieldrx {facts.field.provenance.get('fieldrx', __version__)}")
    items = "".join(f"<li>{p}</li>" for p in points)
    return (
        f'<h1>How far to trust this reconstruction</h1><p class="sub">{name}, fitted with {made}</p>'
        f'<div class="short"><ul>{items}</ul></div>'
    )


def _measured(facts):
    acq, scope = facts.acq, facts.acq.microscope
    na = facts.light.sources_na

    def directions(images):
        return na[acq.illumination.pattern[images].any(axis=0)] if len(images) else np.empty((0, 2))

    excluded = np.setdiff1d(np.arange(acq.n_images), facts.usable)
    light = pupil_map(
        [
            (directions(facts.train), "fitted", BLUE),
            (directions(facts.held), "held out", ORANGE),
            (directions(excluded), "left out", GREY),
        ],
        scope.objective_na,
    )
    height, width = (n * scope.pixel_size_um for n in acq.image_shape)
    valid = 1.0 if acq.mask is None else float(acq.mask[facts.usable].mean())
    rms = facts.compared.signal(facts.usable)
    table = _table(
        [
            ("wavelength in vacuum", f"{scope.wavelength_um:.4g} um"),
            ("numerical aperture of the objective", f"{scope.objective_na:.3g}"),
            ("index of the medium", f"{scope.medium_index:.4g}"),
            ("images", f"{acq.n_images}, of which {len(facts.train)} fitted, {len(facts.held)} held out, "
                       f"{len(excluded)} left out (masked or dark field)"),
            ("pixels", f"{acq.image_shape[0]} x {acq.image_shape[1]} of {scope.pixel_size_um:.4g} um: "
                       f"{height:.4g} x {width:.4g} um"),
            ("valid pixels", f"{valid:.2%}"),
            ("signal", f"{rms:.3g} (root mean square of I - 1; I = 1 without a sample)"),
            ("noise", _noise_text(facts.compared.noise)),
        ]
    )  # fmt: skip
    shown = facts.usable[np.unique(np.linspace(0, len(facts.usable) - 1, _SHOWN).astype(int))]
    spread = float(np.quantile(np.abs(acq.images[shown] - 1), 0.998)) or 1.0
    limits = 1 - spread, 1 + spread
    tiles = "".join(
        f'<div class="tile">{picture(acq.images[k], limits, (height, width), f"image {k}", grey=True)}</div>'
        for k in shown
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in acq.notes)
    return (
        "<h2>1. What was measured</h2>"
        '<p class="learn">A camera records brightness only. One image of a transparent cell says little; '
        "but light "
        "from another direction meets the cell differently, and many such images together hold its three "
        "dimensions. Images are divided by the empty field's brightness, so that 1 means: nothing here.</p>"
        f'<div class="row"><div>{table}</div><figure><figcaption>Directions of the light, in the plane '
        f"of the "
        f"pupil; the circle is the objective's aperture</figcaption>{light}</figure></div>"
        f'<div class="row">{tiles}</div>'
        + (f"<h3>Remarks on the images</h3><ul>{notes}</ul>" if notes else "")
    )


def _inferred(facts):
    field = facts.field
    planes = facts.planes(lambda z, y, x: field.on_axes(z, y, x).real)
    limits = (min(0.0, float(np.quantile(facts.volume.contrast.real, 0.0005))), facts.top)
    pictures = "".join(
        picture(v, limits, extent, title, label="index contrast n - n0") for title, v, extent in planes
    )
    inside = facts.volume.contrast.real[facts.sample]
    voxels = np.prod(facts.volume.spacing_um)
    rows = [
        ("region", " x ".join(f"{n:.4g}" for n in np.ptp(field.region_um, axis=1)) + " um (z, y, x)"),
        ("largest contrast", f"{facts.top:.4g} over the medium's {field.medium_index:.4g}"),
        ("sample (contrast over 15 % of the largest)", f"{inside.size * voxels:.4g} um^3, mean contrast "
                                                       f"{inside.mean() if inside.size else 0:.4g}"),
        ("parameters of the field", f"{field.params.size}"),
    ]  # fmt: skip
    if field.network.n_outputs > 1:
        absorption = facts.volume.contrast.imag
        rows.append(
            (
                "absorption (imaginary part), 0.1 to 99.9 % of the voxels",
                f"{np.quantile(absorption, 0.001):.3g} ... {np.quantile(absorption, 0.999):.3g}",
            )
        )
    return (
        "<h2>2. What was inferred</h2>"
        '<p class="learn">A small neural network holds the index at every point. It was trained on these '
        "images "
        "alone, through a calculation of how light crosses the sample: there is no database of cells "
        "behind it. "
        "Planes through the middle of what it found:</p>"
        f'<div class="row planes">{pictures}</div>{_table(rows)}'
    )


def _predictions(facts):
    compared, acq = facts.compared, facts.acq
    _, each = compared.error(facts.usable)
    numbers = dict(zip(facts.usable.tolist(), each.tolist(), strict=True))
    lines = []
    if np.isfinite(compared.noise.share):
        lines.append((compared.noise.share, "noise floor", GREY))
    bars = [
        {
            "x": images,
            "y": [numbers[k] for k in images.tolist()],
            "name": name,
            "color": color,
            "mark": "bars",
        }
        for images, name, color in ((facts.train, "fitted", BLUE), (facts.held, "held out", ORANGE))
        if len(images)
    ]
    again = ""
    if facts.folds:
        again = (
            " Cross-validation asks this of every fitted image: the field is fitted again, several times, "
            "each time without some of them, and predicts those. The fits have fewer images, so their error "
            "is rather too high than too low."
        )
        found = np.concatenate(facts.folds["images"]), facts.folds["nrmse_per_image"]
        bars.append({"x": found[0], "y": found[1], "name": "fitted, by a field that has not seen it",
                     "color": GREEN, "mark": "points"})  # fmt: skip
    drawing = chart(bars, "image", "relative error", size=(900, 250), y_zero=True, lines=lines)
    asked = facts.held if len(facts.held) else facts.train
    order = asked[np.argsort([numbers[k] for k in asked.tolist()])]
    kind = "held out" if len(facts.held) else "fitted"
    chosen = dict.fromkeys([int(order[0]), int(order[len(order) // 2]), int(order[-1])])
    names = ("best", "middle", "worst") if len(chosen) == 3 else ("",) * len(chosen)
    rows = "".join(
        _triple(facts, k, f"{name} {kind} image".strip(), numbers[k])
        for k, name in zip(chosen, names, strict=True)
    )
    result = facts.numbers
    table = [
        (
            "images of the fit",
            result["nrmse_train"],
            compared.noise_of(facts.train).share if len(facts.train) else None,
        )
    ]
    if len(facts.held):
        table.insert(0, ("images never seen", result["nrmse_holdout"], result["noise_floor_holdout"]))
    if facts.folds:
        name = f"images of the fit, each by one of {len(facts.folds['images'])} fields that has not seen it"
        table.append((name, facts.folds["nrmse"], facts.folds["noise_floor"]))
    body = "".join(
        f'<tr><td>{name}</td><td class="n">{_percent(error)}</td><td class="n">{_percent(floor)}</td></tr>'
        for name, error, floor in table
        if error is not None
    )
    return (
        "<h2>3. Does it predict what it never saw?</h2>"
        '<p class="learn">The hardest honest question to a reconstruction: what will the sample look '
        "like, lit from a "
        "direction that was not used? Error is |predicted - measured| / |measured - 1|; an empty sample "
        "scores "
        "100 %, and nothing can score below the camera's noise. Where unseen images are predicted about "
        "as well as "
        "the fitted ones, the field has learnt the sample and not the images. What exceeds the noise is "
        "missed by "
        "the model of light, by the optics as they were given (directions, focus, aberrations), or by "
        f"the field.{again}</p>"
        f"<table><tr><th></th><th>error</th><th>noise floor</th></tr>{body}</table>{drawing}"
        f"<h3>Measured, predicted, and what is left</h3>{rows}"
        + (
            ""
            if acq.mask is None
            else '<p class="learn">Masked pixels count nowhere; they are shown as 1.</p>'
        )
    )


def _triple(facts, k, name, error):
    acq, sigma = facts.acq, facts.compared.noise.sigma
    measured, predicted = acq.images[k], facts.compared.predicted[k]
    extent = [n * acq.microscope.pixel_size_um for n in acq.image_shape]
    spread = float(np.quantile(np.abs(measured - 1), 0.998)) or 1.0
    limits = (1 - spread, 1 + spread)
    valid = 1.0 if acq.mask is None else acq.mask[k]
    unit, label = (
        (sigma, "in standard deviations of the noise") if sigma > 0 else (1.0, "predicted - measured")
    )
    residual = (predicted - measured) * valid / unit
    top = max(5.0 if sigma > 0 else 0.0, float(np.quantile(np.abs(residual), 0.998)))
    parts = [
        picture(measured, limits, extent, f"{name} ({k}): measured", grey=True, label="intensity"),
        picture(
            predicted, limits, extent, f"predicted, error {_percent(error)}", grey=True, label="intensity"
        ),
        picture(residual, (-top, top), extent, f"predicted - measured, {label}", diverging=True),
    ]
    return '<div class="row three">' + "".join(f'<div class="half">{p}</div>' for p in parts) + "</div>"


def _reach(facts):
    band, numbers = facts.band, facts.numbers
    nz, ny, nx = band.grid.shape
    dz, dy, dx = band.grid.spacing_um
    spectrum = np.abs(np.fft.fftn(facts.tapered))
    level = np.log10(np.maximum(spectrum / spectrum.max(), 1e-5))
    power = np.sqrt(band.power)
    # sections of frequency space, zero in the middle, cut to somewhat beyond the band
    reach_x = min(0.62 / numbers["resolution_lateral_um"], 0.5 / dx)
    reach_z = min(1.1 / numbers["resolution_axial_um"], 0.5 / dz)
    z, y, x = (np.fft.fftshift(np.fft.fftfreq(n, d)) for n, d in ((nz, dz), (ny, dy), (nx, dx)))
    keep_x, keep_y, keep_z = np.abs(x) <= reach_x, np.abs(y) <= reach_x, np.abs(z) <= reach_z

    def sections(volume):
        shifted = np.fft.fftshift(volume)
        side = shifted[:, ny // 2][np.ix_(keep_z, keep_x)]
        return side, shifted[nz // 2][np.ix_(keep_y, keep_x)]

    tall = 0.6 * 2 * reach_x  # sections are stretched along nu_z, which is far shorter
    extents = (tall, 2 * reach_x), (2 * reach_x, 2 * reach_x)
    titles = (
        f"nu_z (down, -{reach_z:.2g} ... {reach_z:.2g}) over nu_x (-{reach_x:.2g} ... {reach_x:.2g}), "
        f"cycles/um",
        f"nu_y (down) over nu_x, both -{reach_x:.2g} ... {reach_x:.2g} cycles/um, at nu_z = 0",
    )
    top_row = "".join(
        picture(v, (0, 1), e, f"Transfer: {t}", label="amplitude over the strongest", bar_um=0)
        for v, e, t in zip(sections(power), extents, titles, strict=True)
    )
    second = "".join(
        picture(
            v,
            (-5, 0),
            e,
            f"Spectrum of the field: {t}",
            label="log10 of amplitude over the largest",
            bar_um=0,
        )
        for v, e, t in zip(sections(level), extents, titles, strict=True)
    )
    scope = facts.acq.microscope
    na = np.linalg.norm(facts.acq.illumination.sources_na[facts.acq.illumination.bright(scope)], axis=1).max()
    tilt = np.degrees(np.arcsin(min(na / scope.medium_index, 1)))
    shares = _table(
        [
            ("supported by the images", _percent(numbers["share_inside_band"])),
            ("in the gap: slow variations and the missing cone", _percent(numbers["share_in_gap"])),
            ("beyond the reach: finer than the optics transfer", _percent(numbers["share_beyond_reach"])),
        ]
    )
    return (
        "<h2>4. What these optics can tell, and what they cannot</h2>"
        '<p class="learn">Any volume is a sum of waves of all directions and finenesses (spatial '
        "frequencies). Each "
        "image of a weakly scattering sample holds those on two curved sheets; all images together fill "
        "the bright "
        "region on the left. Outside it the images stay the same whatever the sample does.</p>"
        f'<div class="row">{top_row}</div><div class="row">{second}</div>'
        f"<h3>Where the power of this field lies</h3>{shares}"
        '<div class="cannot"><b>What this report cannot know.</b> '
        f"The steepest light comes at {tilt:.0f} degrees. Broad flat structures whose surface normal "
        f"lies within "
        f"{90 - tilt:.0f} degrees of the optical axis, the mean index of the whole volume, and details "
        f"finer than "
        f"{numbers['resolution_lateral_um']:.2g} um across or {numbers['resolution_axial_um']:.2g} um "
        f"along the light "
        "leave no trace in the images as long as light scatters once. What the field shows of them comes "
        "from "
        "assumptions (an index that hardly falls below the medium's, smooth regions) and, to a degree that "
        "cannot be tested here, from multiple scattering. No error on unseen images and no error bar "
        "speaks of them."
        "</div>"
    )


def _uncertainty(facts):
    head = "<h2>5. How uncertain the values are</h2>"
    if facts.ensemble is None:
        return (
            f'{head}<p class="learn">No ensemble was given. <code>fieldrx ensemble FIELD ACQ -o '
            f"ENSEMBLE.npz</code> lets "
            "several fields fit parts of the images and measures where they differ; "
            "<code>fieldrx report ... --ensemble ENSEMBLE.npz</code> shows the result here.</p>"
        )
    ensemble, told = facts.ensemble, facts.ensemble.calibration
    planes = facts.planes(lambda z, y, x: ensemble.on_axes(z, y, x)[1].real)
    top = float(np.quantile(facts.std, 0.999)) or 1e-12
    pictures = "".join(
        picture(v, (0, top), e, title, label="standard deviation of the index") for title, v, e in planes
    )
    levels = np.asarray(told["levels"])
    reliability = chart(
        [
            {"x": levels, "y": levels, "name": "ideal", "color": GREY},
            {"x": levels, "y": told["covered_raw"], "name": "raw spread", "color": BLUE, "mark": "points"},
            {"x": levels, "y": told["covered"], "name": "calibrated", "color": GREEN, "mark": "points"},
        ],
        "share of pixels that should lie within the bars",
        "share that does",
        size=(430, 300),
    )
    rows = _table(
        [
            (
                "members",
                f"{len(ensemble.members)}, each {'fitted anew' if facts.folds else 'refitted'} to "
                f"{_percent(told['share_of_images'])} of the images",
            ),
            ("calibrated on", f"{len(told['images'])} images that no fit has seen"),
            ("factor on the raw spread", f"{ensemble.factor:.3g}"),
            *(
                [
                    (
                        "needed by the unseen images, by a twin of known truth",
                        f"{told['factor_images']:.3g}, {told['factor_twin']:.3g}",
                    ),
                    ("what the twin misses inside the band", _percent(told["twin_error"])),
                ]
                if "factor_twin" in told
                else []
            ),
            ("added for detail that the noise hides", f"{ensemble.hidden:.2g} of the index, in squares"),
            ("noise of these images", f"{told['sigma']:.3g}"),
            ("error of the ensemble's mean on them", _percent(told["nrmse_holdout"])),
            (
                "median in the sample",
                f"{facts.numbers['std_in_sample'] or float('nan'):.3g} (one standard deviation)",
            ),
        ]
    )
    rows += "".join(f"<p><b>{escape(note)}</b></p>" for note in told.get("notes", ()))
    twin = (
        ", and for a twin: a fit to images that this field itself would give, whose error is known"
        if "factor_twin" in told
        else ""
    )
    return (
        f'{head}<p class="learn">{_members(facts)} Where they agree, the images decide; where they differ, '
        "the images do not. All of them share assumptions and a model of light, so their spread alone is "
        "too small. It is multiplied by a factor that makes the bars right for images that none of them has "
        f"seen{twin}. And detail that is weaker in the images than what no field explains of them (noise, "
        "mostly) would go unnoticed by all members alike: how strong such detail could be is estimated from "
        f"what is left of the unseen images, {ensemble.hidden:.2g} of the index, and added in squares.</p>"
        '<div class="cannot">The standard deviation speaks of the frequencies that the images support. '
        "About the missing cone, slow variations and finer detail (section 4) <b>it cannot know</b>: where "
        "members agree there, they share assumptions; nothing was measured.</div>"
        f'<div class="row planes">{pictures}</div><div '
        f'class="row"><div>{rows}</div><figure><figcaption>Do the bars keep '
        f"their promise? Unseen pixels within bars of several widths</figcaption>{reliability}</figure></div>"
    )


def _members(facts):
    """How the ensemble came to be, in a sentence."""
    count = len(facts.ensemble.members)
    if facts.folds:
        return f"{count} fields were fitted from nothing, each without another part of the images."
    how = "each on a part of the images and shaken by large steps"
    return f"{count} fields were trained on from this one, {how}."


def _course(facts):
    history = facts.field.history
    loss = np.asarray(history.get("loss", ()), float)
    if not len(loss):
        return ""
    held = np.asarray(history.get("holdout", ()), float)
    steps = np.arange(1, len(loss) + 1)
    known = np.isfinite(held)
    series = [{"x": steps, "y": np.sqrt(loss), "name": "images of the step", "color": BLUE}]
    if known.any():
        series.append({"x": np.arange(len(held))[known] + 1, "y": held[known], "name": "held-out images",
                       "color": ORANGE})  # fmt: skip
    drawing = chart(series, "step", "relative error", size=(900, 250), y_log=True)
    done = facts.field.provenance
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in done.get("notes", ()))
    best = done.get("best_step")
    kept = "" if best is None or not len(facts.held) else (
        f" The field of step {best} was kept, the best for the held-out images; chosen by them, their "
        f"error is "
        "a little optimistic."
    )  # fmt: skip
    return (
        f'<h2>6. How the fit went</h2><p class="learn">Both curves should fall and level '
        f"off.{kept}</p>{drawing}" + (f"<ul>{notes}</ul>" if notes else "")
    )


def _optics(facts):
    """What the fit corrected, against what it was given."""
    done = facts.field.provenance
    kinds, found = done.get("refine", ()), done.get("optics")
    if not kinds or found is None:
        return ""
    given, light = facts.acq.illumination.sources_na, facts.light.sources_na
    lit = facts.light.pattern[facts.train].any(axis=0)
    moved = np.linalg.norm(light - given, axis=1)[lit]
    gain, terms = np.asarray(found["gain"])[facts.train], np.asarray(found["zernike_rad"])
    directions = ("directions", f"by {np.median(moved):.4f} NA (median, at most {moved.max():.4f})")
    rows = {
        "board": directions,
        "illumination": directions,
        "intensity": ("intensities", f"{gain.min():.3f} to {gain.max():.3f}"),
        "defocus": ("focus", f"by {found['defocus_um']:+.2f} um"),
        "pupil": (
            "aberrations",
            ", ".join(f"Zernike term {j}: {terms[j]:+.3f} rad" for j in np.flatnonzero(terms)) or "none",
        ),
    }
    return (
        '<h3>Optics, corrected during the fit</h3><p class="learn">Where sample and optics can explain the '
        "same images the data cannot tell them apart: a shift along the light is a change of focus, a "
        f"sheared sample is light from elsewhere.</p>{_table(dict.fromkeys(rows[kind] for kind in kinds))}"
    )


def _settings(facts):
    done = facts.field.provenance
    rows = [
        (name, json.dumps(value) if isinstance(value, (dict, list)) else str(value))
        for name, value in done.items()
        if name not in ("notes",)
    ]
    commands, besides = recipe(facts.field, facts.acq)
    more = f"<p>Settings that only Python can give: {escape(', '.join(besides))}.</p>" if besides else ""
    return f"<h2>7. Settings, to repeat it</h2><pre>{escape(commands)}</pre>{more}{_table(rows)}"


def _words():
    words = {
        "index contrast": "refractive index less that of the medium; it grows with the density of dry "
        "matter.",
        "numerical aperture": "sine of the steepest angle that passes, times the medium's index.",
        "held out": "kept away from the fit, to test it.",
        "noise floor": "the camera's own noise as a share of the signal, measured at frequencies where "
        "the optics "
        "can send no light; noise that repeats from image to image does not show there.",
        "missing cone": "the spatial frequencies near the optical axis that no image supports.",
        "standard deviation": "about 68 % of the errors are smaller, about 95 % smaller than twice it.",
    }
    items = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in words.items())
    return f"<h2>Words</h2><dl>{items}</dl>"


# ---- parts ---------------------------------------------------------------------------------------


def _table(rows):
    body = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows)
    return f"<table>{body}</table>"


def _noise_text(noise):
    if not np.isfinite(noise.sigma):
        return "unknown: too few valid pixels"
    bound = "" if noise.method == "beyond the band" else ", at most"
    return f"{noise.sigma:.3g} of the empty field{bound}: {_percent(noise.share)} of the signal"


def _percent(value):
    if value is None or not np.isfinite(value):
        return "unknown"
    return f"{100 * value:.3g} %" if value < 0.1 else f"{100 * value:.1f} %"


def _taper(shape):
    """1 inside, falling to 0 over a tenth of every side, so that a volume's cut edges make no spectrum."""
    edges = []
    for n in shape:
        width = max(n // 10, 1)
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
        edges.append(np.concatenate([ramp, np.ones(max(n - 2 * width, 0)), ramp[::-1]])[:n])
    return (edges[0][:, None, None] * edges[1][:, None] * edges[2]).astype(np.float32)
