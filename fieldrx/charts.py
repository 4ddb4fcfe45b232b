"""Charts and pictures as inline SVG: text that any browser draws, offline and at any zoom.

Numbers are written with few digits, colours work in print and for the colour-blind (Okabe and Ito), and
every picture has its scale in um and a bar of its values.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from fieldrx.io import png_bytes
from fieldrx.render import colour
from fieldrx.render.pictures import nice_length

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
_AXIS, _GRID = "#444444", "#e4e4e4"
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 44  # room around a chart [px]
_MOST_PIXELS = 420  # of a picture's longer side


def chart(
    series: Sequence[Mapping[str, Any]],
    x_label: str,
    y_label: str,
    *,
    size: tuple[int, int] = (560, 250),
    y_log: bool = False,
    y_zero: bool = False,
    lines: Sequence[tuple[float, str, str]] = (),
) -> str:
    """Lines and points over two axes.

    Parameters
    ----------
    series : list of dict
        x, y : arrays; name, color : str; mark : "line", "points" or "bars" (by default lines).
    x_label, y_label : str
    size : (int, int)
        Width and height [px].
    y_log : bool
    y_zero : bool
        Whether the y axis starts at 0.
    lines : list of (y, name, color)
        Horizontal lines across the chart.

    Returns
    -------
    str
        An svg element.
    """
    width, height = size
    xs = _finite([v for s in series for v in np.ravel(s["x"])])
    ys = _finite([v for s in series for v in np.ravel(s["y"])] + [line[0] for line in lines], y_log)
    x_axis = _Axis(xs, _LEFT, width - _RIGHT, pad=any(s.get("mark") == "bars" for s in series))
    y_axis = _Axis(np.append(ys, 0.0) if y_zero else ys, height - _BOTTOM, _TOP, y_log)
    out = [_frame(x_axis, y_axis, x_label, y_label, size)]
    for y, _, color in lines:
        place = y_axis(y)
        out.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{place:.1f}" y2="{place:.1f}" stroke="{color}" '
            'stroke-width="1.5" stroke-dasharray="6 4"/>'
        )
    for s in series:
        out.append(_marks(s, x_axis, y_axis))
    legend = [(s["name"], s["color"]) for s in series if s.get("name")]
    legend += [(name, color) for _, name, color in lines if name]
    return _svg(width, height, "".join(out)) + _legend(legend)


def pupil_map(points: Sequence[tuple[np.ndarray, str, str]], microscope_na: float, size: int = 300) -> str:
    """Directions of the light in the pupil's plane.

    Parameters
    ----------
    points : list of (na array (n, 2) as (na_y, na_x), name, color)
    microscope_na : float
        Drawn as a circle.
    size : int
        Width and height in pixels.

    Returns
    -------
    str
    """
    most = 1.15 * max([microscope_na, *(float(np.abs(na).max(initial=0)) for na, _, _ in points)])
    scale, middle = 0.5 * (size - 40) / most, size / 2
    radius = scale * microscope_na
    out = [
        f'<circle cx="{middle}" cy="{middle}" r="{radius:.1f}" fill="#f4f7fb" stroke="{_AXIS}"/>',
        f'<line x1="20" x2="{size - 20}" y1="{middle}" y2="{middle}" stroke="{_GRID}"/>',
        f'<line y1="20" y2="{size - 20}" x1="{middle}" x2="{middle}" stroke="{_GRID}"/>',
        _text(middle + radius * 0.72, middle - radius * 0.78, f"NA {microscope_na:g}", "start"),
        _text(size - 22, middle - 5, "x", "end"),
        _text(middle + 6, size - 22, "y", "start"),
    ]
    for na, _, color in points:
        for y, x in na:
            out.append(
                f'<circle cx="{middle + scale * x:.1f}" cy="{middle + scale * y:.1f}" r="4.5" fill="{color}" '
                f'fill-opacity="0.85"><title>NA y {y:.3f}, x {x:.3f}</title></circle>'
            )
    shown = [(f"{name} ({len(na)})", color) for na, name, color in points if len(na)]
    return _svg(size, size, "".join(out)) + _legend(shown)


def picture(
    values: np.ndarray,
    limits: tuple[float, float],
    extent_um: Sequence[float] | np.ndarray,
    title: str = "",
    *,
    grey: bool = False,
    diverging: bool = False,
    label: str = "",
    bar_um: float | None = None,
) -> str:
    """A picture with its scale and, below it, the bar of its values.

    Parameters
    ----------
    values : array, shape (y, x)
    limits : (float, float)
        Values at the two ends of the colours.
    extent_um : (float, float)
        Height and width of the picture [um], or in cycles/um with ``bar_um=0``.
    title : str
    grey, diverging : bool
        Grey levels, or blue for negative and red for positive values, instead of dark to bright colours.
    label : str
        What the values are, with their unit.
    bar_um : float, optional
        Length of the scale bar; chosen when not given, none for 0.

    Returns
    -------
    str
    """
    low, high = (float(v) for v in limits)
    share = (np.asarray(values, float) - low) / max(high - low, 1e-30)
    paint = _greys if grey else _blue_to_red if diverging else colour
    height_um, width_um = extent_um
    scale = _MOST_PIXELS / max(height_um, width_um)
    width, height = max(round(width_um * scale), 40), max(round(height_um * scale), 24)
    out = [_image(paint(np.clip(share, 0, 1)), 0, 0, width, height)]
    if bar_um != 0:
        length = nice_length(0.3 * width_um) if bar_um is None else bar_um
        pixels = length * width / width_um
        place = f'x="{width - pixels - 10:.1f}" y="{height - 14}" width="{pixels:.1f}" height="4"'
        out.append(f'<rect {place} fill="white" stroke="black" stroke-width="0.5"/>')
        out.append(
            f'<text x="{width - 10 - pixels / 2:.1f}" y="{height - 19}" class="onpicture">{length:g} '
            f"um</text>"
        )
    ramp = paint(np.linspace(0, 1, 128)[None])
    below = height + 8
    out.append(_image(ramp, 0, below, width, 10))
    out.append(_text(0, below + 24, f"{low:.3g}", "start"))
    out.append(_text(width, below + 24, f"{high:.3g}", "end"))
    out.append(_text(width / 2, below + 24, label, "middle"))
    return (
        f'<figure class="picture"><figcaption>{escape(title)}</figcaption>'
        f"{_svg(width, below + 30, ''.join(out))}</figure>"
    )


# ---- parts ---------------------------------------------------------------------------------------


class _Axis:
    """Values to pixels, with round ticks."""

    def __init__(
        self, values: np.ndarray, first_px: float, last_px: float, log: bool = False, pad: bool = False
    ):
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        if log:
            low, high = 10 ** np.floor(np.log10(low) + 1e-9), 10 ** np.ceil(np.log10(high) - 1e-9)
            high = high if high > low else 10 * low
        else:
            margin = 0.7 if pad else 0.04 * (high - low) or 0.5 * abs(high) or 1.0
            nothing_below = low >= 0 and not pad
            low, high = low - margin, high + margin
            low = max(low, 0.0) if nothing_below else low
        self.low, self.high, self.log, self.ends = low, high, log, (first_px, last_px)

    def __call__(self, value: Any) -> Any:
        low, high = self.low, self.high
        if self.log:
            low, high, value = np.log10(low), np.log10(high), np.log10(np.maximum(value, 1e-300))
        first, last = self.ends
        return first + (value - low) / (high - low) * (last - first)

    @property
    def ticks(self) -> np.ndarray:
        if self.log:
            return 10.0 ** np.arange(round(np.log10(self.low)), round(np.log10(self.high)) + 1)
        step = _step(self.high - self.low)
        return np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1) * step


def _frame(x_axis, y_axis, x_label, y_label, size):
    width, height = size
    bottom, out = height - _BOTTOM, []
    for value in y_axis.ticks:
        y = y_axis(value)
        out.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        out.append(_text(_LEFT - 6, y + 4, _number(value), "end"))
    for value in x_axis.ticks:
        x = x_axis(value)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="{_AXIS}"/>')
        out.append(_text(x, bottom + 17, _number(value), "middle"))
    out.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{width - _RIGHT}" fill="none" stroke="{_AXIS}"/>')
    out.append(_text((_LEFT + width - _RIGHT) / 2, height - 8, x_label, "middle"))
    middle = (_TOP + bottom) / 2
    out.append(
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"{escape(y_label)}</text>"
    )
    return "".join(out)


def _marks(s, x_axis, y_axis):
    x, y = np.asarray(s["x"], float).ravel(), np.asarray(s["y"], float).ravel()
    known = np.isfinite(x) & np.isfinite(y)
    px, py = x_axis(x[known]), y_axis(y[known])
    mark, color = s.get("mark", "line"), s["color"]
    if mark == "line":
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py, strict=True))
        return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.8"/>' if len(px) else ""
    if mark == "points":
        return "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{color}"/>' for a, b in zip(px, py, strict=True)
        )
    base, half = y_axis(y_axis.low), max(0.35 * abs(x_axis(1.0) - x_axis(0.0)), 1.0)
    return "".join(
        f'<rect x="{a - half:.1f}" y="{b:.1f}" width="{2 * half:.1f}" height="{max(base - b, 0):.1f}" '
        f'fill="{color}"><title>{n:g}: {v:.3g}</title></rect>'
        for a, b, n, v in zip(px, py, x[known], y[known], strict=True)
    )


def _svg(width, height, inside):
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    )


def _legend(entries):
    keys = "".join(
        f'<span class="key"><i style="background:{color}"></i>{escape(name)}</span>'
        for name, color in entries
    )
    return f'<div class="legend">{keys}</div>' if keys else ""


def _text(x, y, text, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _image(pixels, x, y, width, height):
    data = base64.b64encode(png_bytes(pixels)).decode()
    return (
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _greys(share):
    return np.repeat(np.rint(255 * share).astype(np.uint8)[..., None], 3, axis=-1)


def _blue_to_red(share):
    """0 blue, 0.5 white, 1 red."""
    t = np.clip(2 * share - 1, -1, 1)[..., None]
    ends = np.where(t < 0, (33, 102, 172), (178, 24, 43))
    return np.rint(255 + np.abs(t) * (ends - 255)).astype(np.uint8)


def _finite(values, log=False):
    values = np.asarray(values, float)
    return values[np.isfinite(values) & ((values > 0) | (not log))]


def _step(span, count=5):
    """A round distance of about `count` ticks."""
    raw = span / count
    power = 10.0 ** np.floor(np.log10(raw))
    return float(power * min(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999))


def _number(value):
    return f"{value:.3g}" if value and not 1e-3 <= abs(value) < 1e4 else f"{round(value, 6) + 0.0:g}"
