"""Pictures with a scale: colours, scale bar, colour bar, without an imaging library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError
from fieldrx.render.lattice import region_of
from fieldrx.render.lettering import text_mask
from fieldrx.render.quantities import Quantity, make_quantity

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

PIXELS = 480  # longest side of a panel
_GAP = 6  # pixels between panels
_MARGIN = 14  # pixels around a picture
_MOST = 8192  # pixels along a side
_NARROWEST = 300  # pixels, so that the words fit
_QUANTILE = 0.999  # of the values shown, for the bright end of the scale
LEVELS = 192  # colours of a picture; the rest of a film's palette is for words
# Colours of the scale, dark to bright, evenly spaced; lightness rises all the way, so it prints in grey.
_COLOURS = np.array(
    [(6, 6, 18), (32, 22, 78), (70, 28, 116), (122, 40, 122), (178, 56, 106), (224, 88, 76),
     (248, 140, 56), (252, 198, 92), (252, 252, 206)]
)  # fmt: skip
# A surface under the lamp: from shadow to light.
_SURFACE = np.array([(16, 22, 48), (38, 62, 104), (70, 116, 152), (126, 172, 186), (196, 218, 208),
                     (250, 248, 236)])  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """What the colours mean.

    Attributes
    ----------
    low, high : float
        Values of the darkest and the brightest colour.
    label, unit : str
    shaded : bool
        Whether the picture is a surface under a lamp, whose colours are no values.
    """

    low: float
    high: float
    label: str = ""
    unit: str = ""
    shaded: bool = False


def colour(values: np.ndarray, shaded: bool = False) -> np.ndarray:
    """Values 0 ... 1 (clipped) to red, green, blue: uint8, shape (..., 3)."""
    stops = _SURFACE if shaded else _COLOURS
    place = np.clip(values, 0, 1) * (len(stops) - 1)
    return np.stack([np.interp(place, np.arange(len(stops)), stops[:, k]) for k in range(3)], axis=-1).astype(
        np.uint8
    )


def palette(shaded: bool = False) -> np.ndarray:
    """The colours of a picture, and greys for words: uint8, shape (256, 3)."""
    greys = np.linspace(0, 255, 256 - LEVELS).astype(np.uint8)
    return np.concatenate([colour(np.linspace(0, 1, LEVELS), shaded), np.stack([greys] * 3, axis=1)])


def shown(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Values as red, green, blue in the colours of ``palette``; white where they are nan."""
    range_ = scale.high - scale.low
    place = np.clip((values - scale.low) / (range_ if range_ > 0 else 1.0), 0, 1)
    rgb = colour(np.round(np.nan_to_num(place) * (LEVELS - 1)) / (LEVELS - 1), scale.shaded)
    rgb[np.isnan(values)] = 255
    return rgb


def grey_copy(image: np.ndarray, side: int) -> np.ndarray:
    """A copy of an image of another size, between its own darkest and brightest parts.

    Parameters
    ----------
    image : array, shape (y, x)
    side : int
        Pixels of its longer side; the nearest one is taken for each.

    Returns
    -------
    uint8 array, shape (y, x)
    """
    step = max(image.shape) / side
    rows, columns = ((np.arange(max(int(n / step), 1)) * step).astype(int) for n in image.shape)
    part = image[np.ix_(rows, columns)]
    low, high = np.quantile(part, (0.005, 0.995))
    return np.round(255 * np.clip((part - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)


def scale_of(
    values: np.ndarray, medium: float, label: str = "", unit: str = "", limits: Sequence[float] | None = None
) -> Scale:
    """A scale from the medium to the 99.9th percentile of the values; both ends if they lie on both sides.

    Parameters
    ----------
    values : array
        What is shown; nan counts for nothing.
    medium : float
        Value of the medium: the dark end, unless as much lies below it as above.
    label, unit : str
    limits : (float, float), optional
        The ends of the scale instead.
    """
    if limits is not None:
        low, high = map(float, limits)
        if not low < high:
            raise InputError(f"the limits {low:g}, {high:g} must grow")
        return Scale(low, high, label, unit)
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [1 - _QUANTILE, _QUANTILE]) if finite.size else (medium, medium)
    if medium - low <= high - medium:
        low = medium
    least = max(1e-12, 1e-12 * abs(low))  # that numbers can tell apart
    return Scale(float(low), float(max(high, low + least)), label, unit)


def three_planes(
    field: Renderable,
    region: ArrayLike | None = None,
    spacing: ArrayLike | None = None,
    quantity: str | Quantity = "n",
) -> tuple[list[np.ndarray], float]:
    """The three planes through the centre of a region: xy, with xz below it and zy to its right.

    Parameters
    ----------
    field : NeuralField
    region : array, shape (3, 2), optional
        As of ``NeuralField.volume``.
    spacing : float or (float, float, float), optional
        Pixel size [um], the smallest of several; by default 480 pixels along the longest side.
    quantity : str or Quantity

    Returns
    -------
    planes : list of float32 arrays
        (y, x), (z, x) and (y, z).
    step : float
        Pixel size along every axis, as nearly as the ends of the region allow [um].
    """
    if not isinstance(quantity, Quantity):
        quantity = make_quantity(quantity, field)
    region = region_of(field, region)
    step = picture_step(np.ptp(region, axis=1), spacing)
    z, y, x = (np.linspace(lo, hi, max(round((hi - lo) / step), 1)) for lo, hi in region)
    centre = region.mean(axis=1)
    xy = field.on_axes(centre[0], y, x)[0]
    xz = field.on_axes(z, centre[1], x)[:, 0]
    zy = field.on_axes(z, y, centre[2])[:, :, 0].T
    return [quantity.of(plane).real for plane in (xy, xz, zy)], step


def picture_step(size: np.ndarray, spacing: ArrayLike | None = None, pixels: int = PIXELS) -> float:
    """Pixel size [um]: the finest of `spacing`, or one for so many `pixels` along the longest side.

    Raises
    ------
    InputError
        If it is not positive, or too small for a picture of this `size` [um].
    """
    longest = max(float(np.max(size)), 1e-9)
    step = longest / pixels if spacing is None else float(np.min(spacing))
    if not (np.isfinite(step) and step > 0):
        raise InputError(f"spacing {spacing!r} um must be positive")
    if longest / step > _MOST:
        raise InputError(
            f"spacing {step:g} um gives a picture of {longest / step:.4g} pixels, more than {_MOST}: use a "
            "larger spacing, a smaller region, or .tif"
        )
    return step


def orthogonal_planes(
    field: Renderable,
    region: ArrayLike | None = None,
    spacing: ArrayLike | None = None,
    quantity: str | Quantity = "n",
    limits: Sequence[float] | None = None,
) -> np.ndarray:
    """The three central planes as one picture with a scale; parameters as of :func:`three_planes`.

    Returns
    -------
    uint8 array, shape (y, x, 3)
        Black is the medium or less, white the 99.9th percentile of the planes, unless `limits` say
        otherwise; one pixel is as many um along z as across.
    """
    if not isinstance(quantity, Quantity):
        quantity = make_quantity(quantity, field)
    planes, step = three_planes(field, region, spacing, quantity)
    medium = float(quantity.of(np.zeros((), np.complex64)).real)
    everything = np.concatenate([plane.ravel() for plane in planes])
    scale = scale_of(everything, medium, quantity.label, quantity.unit, limits)
    return framed(joined([shown(plane, scale) for plane in planes]), step, scale)


def joined(panels: Sequence[np.ndarray]) -> np.ndarray:
    """xy, with xz below and zy to its right, on white."""
    xy, xz, zy = panels
    size = xy.shape[0] + _GAP + xz.shape[0], xy.shape[1] + _GAP + zy.shape[1]
    canvas = np.full((*size, 3), 255, np.uint8)
    canvas[: xy.shape[0], : xy.shape[1]] = xy
    canvas[xy.shape[0] + _GAP :, : xz.shape[1]] = xz
    canvas[: zy.shape[0], xy.shape[1] + _GAP :] = zy
    for name, y, x in (("xy", 0, 0), ("xz", xy.shape[0] + _GAP, 0), ("zy", 0, xy.shape[1] + _GAP)):
        panel = canvas[y:, x:]
        if min(xy.shape[0], xz.shape[0], zy.shape[1]) > 40:
            write(panel, name, 5, 2, 11, white=True)
    return canvas


def framed(picture: np.ndarray, pixel_um: float, scale: Scale) -> np.ndarray:
    """A picture on white, with a scale bar and a colour bar below it.

    Parameters
    ----------
    picture : uint8 array, shape (y, x, 3)
    pixel_um : float
        Size of a pixel.
    scale : Scale

    Returns
    -------
    uint8 array, shape (y, x, 3)
        The picture begins at row and column 14, or further right when it is narrow.
    """
    height, width = picture.shape[:2]
    size = min(max(width / 45, 9), 14)  # of figures, in pixels
    inner = max(width, _NARROWEST)
    foot = round(5.5 * size)
    canvas = np.full((_MARGIN + height + _MARGIN + foot, inner + 2 * _MARGIN, 3), 255, np.uint8)
    left = _MARGIN + (inner - width) // 2
    canvas[_MARGIN : _MARGIN + height, left : left + width] = picture
    _scale_bar(canvas, height + 2 * _MARGIN, left, width, pixel_um, size)
    if not scale.shaded:
        _colour_bar(canvas, height + 2 * _MARGIN, _MARGIN + inner, inner, scale, size)
    return canvas


def write(
    canvas: np.ndarray,
    text: str,
    top: float,
    left: float,
    size: float,
    white: bool = False,
    anchor: float = 0.0,
) -> None:
    """Write a line of text; `anchor` 0 begins at `left`, 0.5 is centred there, 1 ends there."""
    mask = text_mask(text, size)
    left = round(left - anchor * mask.shape[1])
    left = min(max(left, 0), max(canvas.shape[1] - mask.shape[1], 0))
    part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    mask = mask[: part.shape[0], : part.shape[1], None]
    part[...] = np.round(part * (1 - mask) + (255 if white else 0) * mask).astype(np.uint8)


def nice_length(target: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `target`."""
    power = 10.0 ** math.floor(math.log10(target))
    return max(f for f in (1, 2, 5) if f * power <= target * (1 + 1e-9)) * power


def nice_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers between two limits, at most `most` of them, evenly spaced."""
    step = nice_length((high - low) / most)
    while True:
        ticks = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step
        if len(ticks) <= most:
            return ticks.tolist()
        step = nice_length(step * 2.5)


def number_text(value: float, step: float) -> str:
    """A tick's number, with as many decimals as its distance to the next one needs."""
    if max(abs(value), step) >= 1e5 or step < 1e-5:
        mantissa, power = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}".replace("-", "−")


def _scale_bar(canvas, top, left, width, pixel_um, size):
    length = nice_length(max(0.28 * width, 1.0) * pixel_um)
    pixels = max(round(length / pixel_um), 1)
    canvas[top + 2 : top + 2 + max(round(0.35 * size), 3), left : left + pixels] = 0
    unit, factor = ("nm", 1000) if length < 0.1 else ("µm", 1)
    write(canvas, f"{length * factor:g} {unit}", top + round(0.6 * size), left, size)


def _colour_bar(canvas, top, right, inner, scale, size):
    width = round(0.55 * inner)
    left, height = right - width, max(round(0.9 * size), 8)
    values = np.linspace(scale.low, scale.high, width)
    canvas[top : top + height, left:right] = shown(values, scale)
    ticks = nice_ticks(scale.low, scale.high, max(2, int(width / (4.5 * size))))
    step = ticks[1] - ticks[0] if len(ticks) > 1 else scale.high - scale.low
    for tick in ticks:
        x = left + round((tick - scale.low) / (scale.high - scale.low) * (width - 1))
        canvas[top + height : top + height + 4, x] = 0
        write(canvas, number_text(tick, step), top + height + round(0.3 * size), x, size, anchor=0.5)
    words = scale.label + (f" ({scale.unit.replace('um', 'µm')})" if scale.unit else "")
    write(canvas, words, top + height + round(2.0 * size), left + width // 2, size, anchor=0.5)
