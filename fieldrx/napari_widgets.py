"""Widgets for napari: fit a field to an acquisition, and calibrate one.

napari makes the widgets from the functions' signatures (``napari.yaml``), and shows the layers that they
give.  Work goes on in a thread; nothing here imports napari before it is used there.
"""

# Without `from __future__ import annotations`: napari reads the types of parameters.
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fieldrx.acquisition import read_acquisition
from fieldrx.calibration import calibrate as calibrate_images
from fieldrx.calibration import check_target, write_calibrated
from fieldrx.calibration.files import picture
from fieldrx.errors import in_file
from fieldrx.io import atomic_path, check_npz
from fieldrx.napari_reader import field_layers
from fieldrx.reconstruction import reconstruct
from fieldrx.refinement import parse_refine

if TYPE_CHECKING:
    import napari.qt.threading
    import napari.types

_TO_READ = {"mode": "r", "filter": "acquisitions (*.toml *.npz *.h5 *.hdf5)"}
_TO_WRITE = {"mode": "w", "filter": "*.npz"}


def fit(
    acquisition: Annotated[Path, _TO_READ],
    output: Annotated[Path, _TO_WRITE],
    depth: str = "auto",
    model: Literal["auto", "born", "rytov", "ssnp", "bpm", "mlb"] = "auto",
    refine: str = "",
    steps: Annotated[int, {"min": 1, "max": 100_000}] = 220,
) -> "napari.qt.threading.FunctionWorker[list[napari.types.LayerDataTuple]]":
    """Fit a field in a thread, and show it; parameters as of :func:`fit_layers`."""
    from napari.qt.threading import create_worker

    return create_worker(
        fit_layers, acquisition, output, depth, model, refine, steps, _start_thread=True, _progress=True
    )


def fit_layers(
    acquisition: Path, output: Path, depth: str, model: str, refine: str, steps: int
) -> list[tuple]:
    """Fit a field, save it, and give its layers.

    Parameters
    ----------
    acquisition : Path
        .toml, .npz or .h5
    output : Path
        Where the field is saved, .npz.
    depth : str
        Slice centres in um, Z0:Z1:DZ, or "auto" to find the sample by refocusing.
    model : str
        Image formation; "auto" estimates the sample's phase and chooses.
    refine : str
        What of the optics is corrected: any of illumination, board, intensity, defocus, pupil, background,
        separated by commas.
    steps : int

    Raises
    ------
    InputError
        If the acquisition or an argument does not make sense.
    """
    check_npz(output, "a field")
    kinds = parse_refine(refine) if refine.strip() else None
    acq = read_acquisition(acquisition)
    with (
        in_file(acquisition),
        atomic_path(output) as temporary,
    ):  # a place that cannot be had is known at once
        field = reconstruct(acq, depth, model, refine=kinds, schedule={"steps": steps})
        field.save(temporary)
    return field_layers(field)


def calibrate(
    acquisition: Annotated[Path, _TO_READ],
    output: Annotated[Path, {"mode": "w", "filter": "*.toml *.npz"}],
    contrast: Literal["positive", "negative", "unknown"] = "positive",
) -> "napari.qt.threading.FunctionWorker[list[napari.types.LayerDataTuple]]":
    """Calibrate in a thread, and show the pupil plane; parameters as of :func:`calibration_layers`."""
    from napari.qt.threading import create_worker

    return create_worker(
        calibration_layers, acquisition, output, contrast, _start_thread=True, _progress=True
    )


def calibration_layers(acquisition: Path, output: Path, contrast: str) -> list[tuple]:
    """Find where the light came from, write the corrected acquisition, and give a picture of the pupil plane.

    Parameters
    ----------
    acquisition : Path
        .toml, .npz or .h5
    output : Path
        .toml or .npz; its table and the picture are written beside it.
    contrast : str
        Whether the sample's index is above the medium's.

    Raises
    ------
    InputError
        If the acquisition does not make sense, or the images do not tell directions.
    """
    acq = read_acquisition(acquisition)
    check_target(output, acquisition)
    with in_file(acquisition):
        found = calibrate_images(acq, contrast=contrast)
    write_calibrated(output, acquisition, found)
    options = {"name": f"{Path(output).stem}: directions of the light", "rgb": True,
               "metadata": {"notes": list(found.notes)}}  # fmt: skip
    return [(picture(found), options, "image")]
