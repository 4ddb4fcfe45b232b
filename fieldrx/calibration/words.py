"""What a calibration says of itself."""

from __future__ import annotations

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.board import Board
from fieldrx.calibration.across import PARTS, Turning
from fieldrx.calibration.sample import Sample

_SCATTERED = 0.08  # of the objective's NA; measured boards come to 0.01 to 0.03
SCALES = (0.8, 1.25)  # of found directions over those given; beyond, all from one side explain anything


def board_words(
    board: Board, scatter: float, outliers: np.ndarray, aperture: float, count: int, acquisition: Acquisition
) -> list[str]:
    """Of the directions and the aperture."""
    scope = acquisition.microscope
    shift = board.shift
    notes = [
        f"directions from the spectra of {count} images: board turned by {board.rotation_deg:+.2f} "
        f"degrees, directions scaled by {board.scale:.4f}, shifted by ({shift[0]:+.4f}, {shift[1]:+.4f}) in "
        f"NA (y, x); single images scatter by {scatter:.4f}"
    ]
    if why := _doubts(board, scatter, scope.objective_na):
        notes.append(
            f"these directions are in doubt, as {' and '.join(why)}: fit with those given too, and keep what "
            "predicts unseen images better, as run does; larger regions of the frame tell directions better"
        )
    if len(acquisition.holdout):
        notes.append("held-out images were not looked at: their directions are the board's")
    if outliers.size:
        notes.append(
            f"images {', '.join(map(str, outliers))} contradict the board: other lights, or dirt; leave them "
            "out or look at them"
        )
    off = aperture / scope.objective_na - 1
    notes.append(
        f"the objective's NA: {aperture:.4f} fits best, {scope.objective_na:g} is given"
        + ("; check it, and the pixel size and wavelength" if abs(off) > 0.03 else "")
    )
    return notes


def _doubts(board, scatter, objective_na):
    """What a board that was found rightly hardly shows."""
    why = []
    if scatter > _SCATTERED * objective_na:
        why.append(f"single images lie {scatter:.4f} in NA from the board")
    if not SCALES[0] <= board.scale <= SCALES[1]:
        why.append(f"a scale of {board.scale:.2f} is far from the table's")
    return why


def turning_words(turning: Turning | None, nominal_um: np.ndarray | None, board: Board) -> list[str]:
    """Of how directions change across the frame."""
    if turning is None:
        return []
    change = f"{1e3 * turning.per_um:+.4f} +- {1e3 * turning.error:.4f} in NA a mm"
    within = f"in {PARTS} x {PARTS} parts of the frame directions change by {change}"
    if not turning.told:
        return [f"{within}, which is not told apart from noise"]
    far = 1e-3 * turning.distance_um
    from_to = f"{abs(far):.3g} +- {abs(far * turning.error / turning.per_um):.2g} mm"
    by_scale = (
        ""
        if nominal_um is None
        else f"; by the scale of the directions {1e-3 * np.median(nominal_um) / board.scale:.3g} mm"
    )
    if far > 0:
        return [f"{within}, as those of sources {from_to} away{by_scale}"]
    return [
        f"{within}, as those of light that converges {from_to} behind the sample{by_scale}: the objective's "
        "aperture moves with the place (it is not telecentric), or the sign of the light is the other "
        "one; distances stay as they were"
    ]


def height_words(sample: Sample) -> list[str]:
    """Of where the sample lies."""
    if not np.isfinite(sample.height_um):
        return [
            "at no height one thin slice explains the images better than at others: the depth is not known"
        ]
    low, high = sample.extent_um
    notes = [
        f"the sample is best explained at z = {sample.height_um:+.1f} um from the focus, and stands out half "
        f"as much between {low:+.1f} and {high:+.1f} um"
    ]
    if sample.at_end:
        notes.append("that is the end of the heights searched: the sample may lie beyond; give a wider depth")
    return notes
