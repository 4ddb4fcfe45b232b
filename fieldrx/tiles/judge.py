"""What a mosaic is worth: its errors over the images of the whole frame, tile by tile and together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fieldrx.acquisition import Windowed
from fieldrx.errors import InputError
from fieldrx.evaluation import Comparison, compare, same_images, verdict
from fieldrx.metrics import index_error
from fieldrx.progress import Progress
from fieldrx.tiles.choose import usable_window
from fieldrx.tiles.mosaic import Mosaic
from fieldrx.tiles.plan import Tile
from fieldrx.volume import Volume


@dataclass(frozen=True)
class TileErrors:
    """How well a mosaic predicts the images of one tile.

    Parameters
    ----------
    tile : Tile
    nrmse, nrmse_holdout : float
        Over all images, and over those that the tile's fit did not see; nan where there are none.
    alone_holdout : float
        The same of the tile's own field, as if there were no neighbours.
    noise_floor_holdout : float
    signal, signal_holdout : float
        Sums of (I - 1)^2 over these images.
    own_images : bool
        Whether the tile was fitted to these very images.
    """

    tile: Tile
    nrmse: float
    nrmse_holdout: float
    alone_holdout: float
    noise_floor_holdout: float
    signal: float
    signal_holdout: float
    own_images: bool


def errors_of_tiles(
    mosaic: Mosaic,
    frame: Windowed,
    device: str = "auto",
    callback: Callable[[Progress], object] = lambda progress: None,
) -> list[TileErrors]:
    """The errors of every tile; a window of the frame is read at a time.

    Parameters
    ----------
    mosaic : Mosaic
    frame : Windowed
        Of the images that it was fitted to.
    device : str
        Where images are predicted.
    callback : callable
        Told of progress.

    Raises
    ------
    InputError
        If the frame has another size.
    """
    if frame.shape != mosaic.tiling.shape:
        raise InputError(
            f"the mosaic covers {' x '.join(map(str, mosaic.tiling.shape))} pixels, the images have "
            f"{' x '.join(map(str, frame.shape))}: give the acquisition it was fitted to"
        )
    found = []
    for tile in mosaic.tiling:
        seen, own = usable_window(frame, tile), mosaic.fields[tile.number]
        if seen is None:
            unknown = float("nan")
            found.append(TileErrors(tile, unknown, unknown, unknown, unknown, 0.0, 0.0, own_images=True))
            continue
        together = compare(mosaic.window(tile), seen, device=device)
        alone = compare(own, seen, device=device)
        held = together.held
        found.append(
            TileErrors(
                tile,
                together.error(together.usable)[0],
                together.error(held)[0] if len(held) else float("nan"),
                alone.error(held)[0] if len(held) else float("nan"),
                together.noise_of(held).share if len(held) else float("nan"),
                _power(together, together.usable),
                _power(together, held),
                "left_empty" in own.provenance.origin or same_images(own, seen),
            )
        )
        callback(Progress("evaluating", tile.number + 1, len(mosaic.tiling)))
    return found


def _power(compared: Comparison, images: np.ndarray) -> float:
    """Sum of (I - 1)^2 over the valid pixels of some images."""
    mask, stack = compared.acquisition.mask, compared.acquisition.stack
    return float(
        sum(
            np.sum((stack[k].astype(np.float64) - 1) ** 2, where=True if mask is None else mask[k])
            for k in images
        )
    )


def evaluate_mosaic(
    mosaic: Mosaic,
    frame: Windowed,
    truth: Volume | None = None,
    device: str = "auto",
    callback: Callable[[Progress], object] = lambda progress: None,
) -> dict:
    """Errors of a mosaic as JSON-ready numbers, named as those of `fieldrx.evaluation.evaluate`.

    Errors over the frame are those of its tiles, joined as sums of squares; pixels that tiles share count in
    each.  ``tiles`` has the errors of every one, with ``alone_holdout``, what its own field would make
    without its neighbours.

    Parameters
    ----------
    mosaic, frame, device, callback
        As of :func:`errors_of_tiles`.
    truth : Volume, optional

    Raises
    ------
    InputError
        As of :func:`errors_of_tiles`, or if the media differ.
    """
    if truth is not None and abs(truth.medium_index - mosaic.medium_index) > 1e-6:
        raise InputError(
            f"the truth lies in a medium of index {truth.medium_index:g}, the mosaic in "
            f"{mosaic.medium_index:g}: make them agree"
        )
    each = errors_of_tiles(mosaic, frame, device, callback)
    held = [one for one in each if one.signal_holdout > 0]
    result = {
        "model": mosaic.provenance.model,
        "fitted_to_these_images": all(one.own_images for one in each),
        "nrmse": _joined([(one.nrmse, one.signal) for one in each]),
        "tiles": [
            {
                "window": list(one.tile.window),
                "nrmse": one.nrmse,
                "nrmse_holdout": one.nrmse_holdout,
                "alone_holdout": one.alone_holdout,
                "noise_floor_holdout": one.noise_floor_holdout,
            }
            for one in each
        ],
    }
    if held:
        error = _joined([(one.nrmse_holdout, one.signal_holdout) for one in held])
        floor = _joined([(one.noise_floor_holdout, one.signal_holdout) for one in held])
        alone = _joined([(one.alone_holdout, one.signal_holdout) for one in held])
        result |= {"nrmse_holdout": error, "alone_holdout": alone, "noise_floor_holdout": floor}
        told = [mosaic.fields[one.tile.number].provenance.nrmse_closed_form for one in held]
        known = [float(error) for error in told if error is not None]
        if len(known) == len(held):
            weights = [one.signal_holdout for one in held]
            result["nrmse_closed_form"] = _joined(list(zip(known, weights, strict=True)))
        result["verdict"] = verdict(error, floor)
    if truth is not None:
        result["index_nrmse"] = index_error(mosaic.on_axes(*truth.grid.axes), truth.contrast)
    return result


def _joined(parts: list[tuple[float, float]]) -> float:
    """One relative error from those of parts with their signals; parts of unknown error do not count."""
    known = [(error, signal) for error, signal in parts if np.isfinite(error)]
    if not (total := sum(signal for _, signal in known)) > 0:
        return float("nan")
    return float(np.sqrt(sum(error**2 * signal for error, signal in known) / total))
