"""A field as one web page that evaluates it: weights, network and pictures in a single file.

The page holds the field's weights, never a volume: ``fieldrx/web`` evaluates the network in the browser,
with WebGL2 or in plain JavaScript, and needs no network access.  It is put together from

================  ==========================================================================
page.html         what is seen, with a ``{{name}}`` where each of the following goes
style.css         its looks
*.js              its program: one scope, in the order of `_SCRIPTS`
*.glsl            the shaders
header            JSON: encoding, network, domain, colours, contrast (`_header`)
weights           base64: the encoding's table, or its code, then the layers, little-endian; of a
                  film a line a frame, whose own words stand in the header's ``frames``
================  ==========================================================================
"""

from __future__ import annotations

import base64
import html
import json
import os
from importlib.resources import files
from pathlib import Path

import numpy as np

from fieldrx._version import __version__
from fieldrx.compression import compress
from fieldrx.errors import InputError, printable
from fieldrx.field import NeuralField, storage
from fieldrx.io import atomic_path
from fieldrx.optics import Resolution
from fieldrx.render import colour
from fieldrx.timelapse import Film

PRECISIONS = ("auto", "half", "float32")
_SCRIPTS = (
    "coded.js", "field.js", "engine_js.js", "engine_gl.js", "raster.js", "view.js", "plane.js", "brick.js",
    "volume.js", "scheduler.js", "contrast.js", "app.js",
)  # fmt: skip
_SHADERS = ("points.glsl", "encode_hash.glsl", "encode_waves.glsl", "layer.glsl")
_SINGLE_UP_TO = 1 << 20  # parameters of a table that "auto" still keeps as float32
_MOST_BYTES = 350 << 20  # of weights: base64 of more is longer than browsers' longest string
_SAMPLES = 1 << 17  # points from which the contrast is chosen
_FEWEST = 1 << 13  # of them in each frame of a film
_BINS = 96  # of the histogram behind the contrast sliders


def write_viewer(
    field: NeuralField | Film,
    path: str | os.PathLike,
    title: str = "Refractive index",
    precision: str = "auto",
) -> Path:
    """Write a field as one HTML file that shows it in any browser, without network access.

    Parameters
    ----------
    field : NeuralField or Film
        Of a film the page has a slider for time.
    path : path-like
        Ends in .html.
    title : str
        Of the page.
    precision : {"auto", "half", "float32"}
        Of a hash grid's table in the file: 2 or 4 bytes per parameter.  Half keeps 11 bits of every
        parameter, scaled per level; "auto" is half above a million parameters, and the code of a field that
        was compressed, which the page decodes.  Layers are always float32.  The frames of a film are
        compressed for the page with "auto".

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending is not .html, the precision unknown, the field too large for a page, or one that
        is not a function of position (``Identity``).
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: a viewer is a web page; choose a name that ends in .html")
    if precision not in PRECISIONS:
        raise InputError(f'there is no precision "{precision}"; expected one of {", ".join(PRECISIONS)}')
    fields = field.fields if isinstance(field, Film) else (field,)
    if fields[0].encoding.kind == "identity":
        raise InputError("a field of given features has no coordinates to show; expected one of positions")
    page = _page(field, str(title), precision)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(page)
    return path


def _page(result, title, precision):
    fields = result.fields if isinstance(result, Film) else (result,)
    if isinstance(result, Film) and precision == "auto":
        fields = tuple(one if one.coded is not None else compress(one) for one in fields)
    stored = [_stored(one, precision) for one in fields]
    size = sum(len(words) for words, _ in stored)
    if size > _MOST_BYTES:
        half = stored[0][1]["encoding"].get("half", True)
        raise InputError(
            f"the field's {sum(one.params.size for one in fields)} parameters take {size / 1e6:.0f} MB; a "
            f"page holds at most {_MOST_BYTES / 1e6:.0f} MB: fit with a smaller hash table"
            + ("" if half else ', or choose precision "half"')
        )
    header = _header(fields, title) | stored[0][1]
    if isinstance(result, Film):
        told = [{"time": result.said(float(f"{time:.6g}"))} for time in result.times]
        header["frames"] = [one | own for one, (_, own) in zip(told, stored, strict=True)]
    parts = {
        "title": html.escape(printable(title)),
        "style": _asset("style.css"),
        "header": json.dumps(header, allow_nan=False).replace("<", "\\u003c"),
        "shaders": "\n".join(
            f'<script type="x-shader/x-glsl" id="{name}">\n{_asset(name)}</script>' for name in _SHADERS
        ),
        "script": "\n".join(f"// --- {name}\n{_asset(name)}" for name in _SCRIPTS),
        "weights": "\n".join(base64.b64encode(words).decode() for words, _ in stored),
    }
    page = _asset("page.html")
    for name, text in parts.items():
        before, found, after = page.partition("{{" + name + "}}")
        assert found, name
        page = before + text + after
    return page


def _stored(field, precision):
    """Bytes of a field's parameters, and what the page must know to read them, as JSON values."""
    table, layers = np.split(field.params, [field.encoding.n_params])
    coded = storage.current(field.coded, field.params) if precision == "auto" else None
    half = precision == "half" or (precision == "auto" and coded is None and table.size > _SINGLE_UP_TO)
    table, scales = _half_table(field.encoding, table) if half else (table.astype("<f4"), None)
    words = coded.stream.tobytes() if coded else table.tobytes()
    words += bytes(-len(words) % 4)  # layers start on whole words
    own = {
        "bounds_um": np.asarray(field.bounds_um).tolist(),
        "spacing_um": list(map(float, field.spacing_um)),
        "output_scale": float(field.output_scale),
        "quantity": field.quantity,
        "encoding": _encoding(field.encoding, half, scales),
        "network": {**field.network.to_dict(), "layer_shapes": field.network.layer_shapes()},
    }
    if coded:
        own["encoding"]["coded"] = _coded(coded)
    return words + layers.astype("<f4").tobytes(), own


def _asset(name):
    return (files("fieldrx.web") / name).read_text(encoding="utf-8")


def _half_table(encoding, table):
    """The table in half precision, each level scaled by a power of two to fill the format's range.

    Returns
    -------
    float16 array, and per level the factor that undoes the scaling
    """
    sizes = encoding.n_features_per_level * np.array(encoding.nodes_per_level)
    parts, scales = [], []
    for level in np.split(table, np.cumsum(sizes)[:-1]):
        _, exponent = np.frexp(max(float(np.abs(level).max()), 2.0**-100))
        parts.append(np.ldexp(level, 15 - exponent).astype("<f2"))
        scales.append(2.0 ** (int(exponent) - 15))
    return np.concatenate(parts), scales


def _header(fields, title):
    """What the page knows beside the parameters of each field, as JSON values."""
    region = np.asarray(fields[0].region_um, float)
    return {
        "title": title,
        "version": __version__,
        "region_um": region.tolist(),
        "medium_index": float(fields[0].medium_index),
        "resolution": resolution.words if (resolution := Resolution.recorded(fields[0].provenance)) else "",
        **_what_is_there(fields, region),
        "colours": base64.b64encode(colour(np.linspace(0, 1, 256)).tobytes()).decode(),
    }


def _encoding(encoding, half, scales):
    """An encoding as the two kinds that the page computes: plane waves, or the levels of a grid."""
    if encoding.kind != "hash":
        waves = encoding.waves()
        return {
            "kind": "waves",
            "frequencies": waves.frequencies.tolist(),
            "sin_feature": waves.sin_feature.tolist(),
            "cos_feature": waves.cos_feature.tolist(),
        }
    nodes = encoding.nodes_per_level
    return {
        "kind": "hash",
        "half": half,
        "smooth": encoding.smooth,
        "features_per_level": encoding.n_features_per_level,
        "levels": [
            {"resolution": resolution, "first_node": sum(nodes[:level]), "nodes": nodes[level],
             "dense": encoding.dense[level], "scale": scales[level] if half else 1.0}
            for level, resolution in enumerate(encoding.resolutions)
        ],
    }  # fmt: skip


def _coded(coded):
    """What the page needs to decode a lattice."""
    blocks = coded.blocks
    return {
        "bytes": coded.stream.size,
        "shape": blocks.shape,
        "block": blocks.block,
        "counts": blocks.counts,
        "before": blocks.before,
        "outputs": coded.n_outputs,
        "step": coded.step,
        "relative_steps": blocks.steps().ravel().tolist(),
    }


def _what_is_there(fields, region):
    """What can be shown, with its distribution in the measured region, and where the sample lies in it."""
    extent = np.maximum(np.diff(region, axis=1)[:, 0], 1e-6)
    step = (extent.prod() / max(_SAMPLES // len(fields), _FEWEST)) ** (1 / 3)
    shape = np.clip(extent / step, 1, 256).astype(int)
    axes = [lo + (np.arange(n) + 0.5) / n * (hi - lo) for n, (lo, hi) in zip(shape, region, strict=True)]
    values = np.stack([field.on_axes(*axes) for field in fields])
    quantities = [_distribution(values.real, "index")]
    if fields[0].network.n_outputs > 1:
        quantities.append(_distribution(values.imag, "absorption"))
    brightest = values.real.max(axis=0)
    return {"quantities": quantities, "sample_um": _bright_box(brightest, axes, region, quantities[0])}


def _bright_box(values, axes, region, quantity):
    """Box around all but the outermost of what lies in the upper part of the window: what 3D starts with."""
    low, high = quantity["window"]
    bright = values > low + (high - low) / 3
    if not bright.any():
        return region.tolist()
    box = []
    for axis, (places, (first, last)) in enumerate(zip(axes, region, strict=True)):
        share = np.cumsum(bright.sum(axis=tuple({0, 1, 2} - {axis}))) / bright.sum()
        inner = np.interp([0.005, 0.995], share, places)
        margin = 0.06 * (inner[1] - inner[0])
        box.append([float(max(first, inner[0] - margin)), float(min(last, inner[1] + margin))])
    return box


def _distribution(values, name):
    """Range, histogram and first contrast window of one quantity.

    The window runs from the most frequent value, the medium in most samples, to the 99.9th percentile;
    where half of the values lie below the most frequent one by more than they lie above, from the first
    percentile.
    """
    values = values.astype(np.float64).ravel()
    low, high = np.quantile(values, [0.0005, 0.9998])
    span = max(high - low, 1e-9, 1e-6 * abs(low))  # bins that numbers can tell apart
    low, high = low - 0.02 * span, high + 0.1 * span
    counts, edges = np.histogram(values, _BINS, (low, high))
    first, middle, last = np.quantile(values, [0.01, 0.5, 0.999])
    mode = 0.5 * (edges[counts.argmax()] + edges[counts.argmax() + 1])
    start = mode if mode < middle + 0.2 * span and mode - first < 0.3 * span else first
    if last - start < 1e-3 * span:
        start, last = low, high
    return {
        "name": name,
        "range": [float(low), float(high)],
        "window": [float(start), float(last)],
        "histogram": counts.tolist(),
    }
