"""Commands that judge fields: evaluate, ensemble, measure, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fieldrx.cli.options import (
    FILE,
    Real,
    Share,
    Whole,
    check_ending,
    check_output,
    device_option,
    quiet_option,
    time_option,
    volume_options,
)
from fieldrx.cli.progress import reporting, speaker
from fieldrx.cli.stopping import Stoppable
from fieldrx.cli.text import counted, echo
from fieldrx.errors import InputError
from fieldrx.parallel import items_words

if TYPE_CHECKING:
    from fieldrx.acquisition import Windowed
    from fieldrx.ensemble import Ensemble
    from fieldrx.field import NeuralField
    from fieldrx.measure import Measurement
    from fieldrx.tiles import Mosaic


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option(
    "--truth",
    metavar="TRUTH",
    type=FILE,
    default=None,
    help="Known volume to compare with, as simulate takes it.",
)
@volume_options
@click.option("--model", default=None, help="Image formation. Default: the one of the fit.")
@device_option
def evaluate(
    field: Path, acquisition: Path, truth: Path | None, spacing: list[float] | None,
    origin: list[float] | None, model: str | None, device: str,
) -> None:  # fmt: skip
    """Predicted against measured images, as JSON."""
    from fieldrx.ensemble import Ensemble
    from fieldrx.errors import in_file
    from fieldrx.evaluation import evaluate as evaluate_field
    from fieldrx.io import json_values
    from fieldrx.results import load_result
    from fieldrx.tiles import Mosaic, evaluate_mosaic
    from fieldrx.timelapse import Film
    from fieldrx.volume import open_volume

    if truth is None and (spacing or origin):
        raise InputError("--spacing and --origin belong to --truth TRUTH")
    loaded = load_result(field)
    if isinstance(loaded, Ensemble | Film):
        raise InputError(f"{field} holds several fields: evaluate predicts the images of one; give that")
    if isinstance(loaded, Mosaic) and model is not None:
        raise InputError("--model belongs to a single field: the tiles of a mosaic keep theirs")
    frame = _images_for(loaded, acquisition)
    known, notes = (None, []) if truth is None else open_volume(truth, spacing, origin, loaded.medium_index)
    for note in notes:
        echo(f"note: {note}", err=True)
    with in_file(acquisition):
        if isinstance(loaded, Mosaic):
            result = evaluate_mosaic(loaded, frame, known, device)
        else:
            result = evaluate_field(loaded, frame.whole(), known, model, device)
    shown = {"field": str(field), "acquisition": str(acquisition), **json_values(result)}
    echo(json.dumps(shown, indent=1, allow_nan=False))


@click.command(cls=Stoppable)
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option("-o", "--output", metavar="ENSEMBLE.npz", type=FILE, required=True)
@click.option("--members", type=Whole(min=2), default=6, show_default=True, help="Fields to train.")
@click.option("--steps", type=Whole(min=1), help="Steps of each. Default: 24, with --folds those of FIELD.")
@click.option(
    "--folds",
    is_flag=True,
    help="Cross-validation: fit every member from nothing without another part of the images, and predict "
    "that part. Takes as many times as long as FIELD took.",
)
@click.option(
    "--no-twin",
    is_flag=True,
    help="Skip the twin, which takes as long as FIELD took: error bars are then mostly too short.",
)
@click.option("--std", metavar="STD.npz", type=FILE, default=None, help="Also write its std as a volume.")
@click.option("--seed", type=Whole(min=0), default=0, show_default=True, help="Of images and order.")
@click.option("--resume", is_flag=True, help="Keep the members that were made before it was stopped.")
@device_option
@quiet_option
def ensemble(
    field: Path, acquisition: Path, output: Path, members: int, steps: int | None, folds: bool, no_twin: bool,
    std: Path | None, seed: int, resume: bool, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Train fields around FIELD on parts of its images: a mean and a standard deviation at every point.

    The standard deviation is calibrated by the images that FIELD held out, and by a twin: a fit to images
    that FIELD itself would give, whose error is therefore known.

    Exit status 75 if it was stopped by Ctrl-C, SIGTERM, SIGUSR1 or --time-limit: what is made stays beside
    ENSEMBLE, in a folder that ends with .parts, and --resume goes on.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.ensemble import make_ensemble
    from fieldrx.errors import in_file
    from fieldrx.field import load_field
    from fieldrx.fit import Parts
    from fieldrx.volume import write_volume

    for path in (output, std) if std else (output,):
        check_output(path, field, acquisition)
        check_ending(path, "is", ".npz")
    if std and std.resolve() == output.resolve():
        raise InputError(f"--std {std} would replace the ensemble; choose another name")
    loaded, acq = load_field(field), read_acquisition(acquisition)
    parts = Parts(output.with_suffix(".parts"), resume)
    if words := items_words(members, "members"):
        speaker(quiet)(f"note: {words}")
    with in_file(acquisition), reporting(quiet) as reporter:
        made = make_ensemble(loaded, acq, members, steps, seed, reporter, folds, device, not no_twin, parts)
    made.save(output)
    if std:
        write_volume(std, made.to(device).volume()[1])
    parts.clear()
    if not quiet:
        _tell(output, made)


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.option("-o", "--output", metavar="TABLE.csv", type=FILE, required=True, help="The table to write.")
@click.option(
    "--labels", metavar="LABELS.ome.tif", type=FILE, default=None, help="Also write labels, for napari."
)
@click.option(
    "--acquisition",
    metavar="ACQ",
    type=FILE,
    default=None,
    help="Images of the fit, which say what they can tell. Default: the most that the objective could see.",
)
@click.option("--found", type=Share(), default=0.3, show_default=True, metavar="SHARE",
              help="Of the typical largest contrast, above which something is an object.")  # fmt: skip
@click.option("--smallest", type=Real(), default=None,
              help="Least volume of an object in um^3. Default: what the objective resolves.")  # fmt: skip
@click.option(
    "--spacing", type=Real(), default=None, help="Of the voxels in um. Default: the least of the fit."
)
@click.option("--increment", type=Real(), default=None, help="Refractive increment in ml/g. Default: 0.19.")
@time_option
@device_option
@quiet_option
def measure(
    field: Path, output: Path, labels: Path | None, acquisition: Path | None, found: float,
    smallest: float | None, spacing: float | None, increment: float | None, time: float | None, device: str,
    quiet: bool,
) -> None:  # fmt: skip
    """Find cells or beads by their index, and measure each: volume, surface, dry mass, index, place.

    \b
    fieldrx measure cell.npz -o cells.csv
    fieldrx measure cell-ensemble.npz -o cells.csv --labels labels.ome.tif --acquisition acquisition.toml

    FIELD may be an ensemble: every number then has its standard deviation beside it. A note says where the
    missing cone leaves a number open, or an object is cut off by the edge of the field.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.errors import in_file
    from fieldrx.measure import measure as measure_field
    from fieldrx.measure import write_labels, write_table
    from fieldrx.render.quantities import REFRACTIVE_INCREMENT
    from fieldrx.results import at_time, load_result

    given = [path for path in (field, acquisition) if path is not None]
    check_output(output, *given)
    check_ending(output, "a table is", ".csv")
    if labels is not None:
        check_output(labels, *given, output)
        check_ending(labels, "labels are", ".tif", ".tiff")
    loaded = at_time(load_result(field).to(device), time)
    acq = None if acquisition is None else read_acquisition(acquisition)
    alpha = REFRACTIVE_INCREMENT if increment is None else increment
    with in_file(field), reporting(quiet) as reporter:
        made = measure_field(loaded, acq, found, smallest, spacing, alpha, reporter)
    write_table(output, made)
    if labels is not None:
        write_labels(labels, made)
    if not quiet:
        _tell_objects(made)
    echo(f"{output}: {counted(len(made), 'object')}")


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option("-o", "--output", metavar="REPORT.html", type=FILE, required=True)
@click.option("--ensemble", metavar="ENSEMBLE.npz", type=FILE, default=None, help="Adds maps of uncertainty.")
@device_option
def report(field: Path, acquisition: Path, output: Path, ensemble: Path | None, device: str) -> None:
    """Write what was measured, what was inferred and how far to trust it: one HTML file."""
    from fieldrx.ensemble import Ensemble, load_ensemble
    from fieldrx.errors import in_file
    from fieldrx.report import write_frame_report, write_report
    from fieldrx.results import load_result
    from fieldrx.tiles import Mosaic
    from fieldrx.timelapse import Film

    check_output(output, field, acquisition)
    check_ending(output, "a report is", ".html", ".htm")
    loaded = load_result(field).to(device)
    if isinstance(loaded, Ensemble | Film):
        raise InputError(f"{field} holds several fields: give one, and an ensemble by --ensemble")
    frame = _images_for(loaded, acquisition)
    known = None if ensemble is None else load_ensemble(ensemble).to(device)
    if isinstance(loaded, Mosaic):
        if known is not None:
            raise InputError("--ensemble belongs to a single field: a mosaic has none")
        with in_file(acquisition):
            numbers = write_frame_report(loaded, frame, output, device)
        echo(f"{output}: {numbers.get('verdict', 'no image was held out')}")
        return
    if loaded.provenance.model is None:
        raise InputError(f"{field} does not say with which model it was fitted: save it from a fit")
    with in_file(acquisition):
        numbers = write_report(loaded, frame.whole(), output, known, device)
    echo(f"{output}: {numbers.get('verdict', 'no image was held out')}")


def _images_for(field: NeuralField | Mosaic, acquisition: Path) -> Windowed:
    """The images of an acquisition: read at once for a field, a window at a time for a mosaic."""
    from fieldrx.acquisition import Windowed, read_acquisition
    from fieldrx.tiles import Mosaic

    if isinstance(field, Mosaic):
        return Windowed.open(acquisition)
    return Windowed.of(read_acquisition(acquisition))


def _tell(output: Path, made: Ensemble) -> None:
    """How an ensemble was calibrated, and what a cross-validation says."""
    from fieldrx.evaluation import verdict_of_folds

    told = made.calibration
    for note in told["notes"]:
        echo(f"note: {note}", err=True)
    twin = ""
    if "factor_twin" in told:
        twin = f" ({told['factor_images']:.3g}) and a twin ({told['factor_twin']:.3g})"
    echo(
        f"{output}: {len(made.members)} members, held-out error of their mean {told['nrmse_holdout']:.4f}; "
        f"spread calibrated by a factor of {made.factor:.3g} on {len(told['images'])} unseen images{twin}"
    )
    if "folds" in told:
        known = verdict_of_folds(told["folds"])
        echo(f"cross-validation, every fitted image by a member that never saw it: {known}")


def _tell_objects(made: Measurement) -> None:
    """A line an object, with what its numbers cannot be trusted for."""
    told = (("volume", "volume_um3", " um^3", ".3g", ".2g"), ("dry mass", "dry_mass_pg", " pg", ".3g", ".2g"),
            ("mean index", "mean_index", "", ".4f", ".1g"))  # fmt: skip
    for k, note in enumerate(made.notes):
        parts = []
        for words, name, unit, digits, of_spread in told:
            spread = "" if made.std is None else f" +- {made.column_std(name)[k]:{of_spread}}"
            parts.append(f"{words} {made.column(name)[k]:{digits}}{spread}{unit}")
        echo(f"object {k + 1}: {', '.join(parts)}")
        if note:
            echo(f"note: object {k + 1}: {note}", err=True)
    if made.std is None and len(made):
        echo("note: a single field tells no standard deviations: fieldrx ensemble", err=True)
