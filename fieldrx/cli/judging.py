"""Commands that judge fields: evaluate, ensemble, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fieldrx.cli.options import FILE, check_ending, check_output, device_option, quiet_option, volume_options
from fieldrx.cli.progress import reporting
from fieldrx.cli.text import echo
from fieldrx.errors import InputError

if TYPE_CHECKING:
    from fieldrx.ensemble import Ensemble


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
    from fieldrx.acquisition import read_acquisition
    from fieldrx.errors import in_file
    from fieldrx.evaluation import evaluate as evaluate_field
    from fieldrx.field import load_field
    from fieldrx.io import json_values
    from fieldrx.volume import open_volume

    if truth is None and (spacing or origin):
        raise InputError("--spacing and --origin belong to --truth TRUTH")
    loaded, acq = load_field(field), read_acquisition(acquisition)
    known, notes = (None, []) if truth is None else open_volume(truth, spacing, origin, loaded.medium_index)
    for note in notes:
        echo(f"note: {note}", err=True)
    with in_file(acquisition):
        result = evaluate_field(loaded, acq, known, model, device)
    shown = {"field": str(field), "acquisition": str(acquisition), **json_values(result)}
    echo(json.dumps(shown, indent=1, allow_nan=False))


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option("-o", "--output", metavar="ENSEMBLE.npz", type=FILE, required=True)
@click.option("--members", type=click.IntRange(min=2), default=6, show_default=True, help="Fields to train.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Steps of each. Default: 24, with --folds those of FIELD."
)
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
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of images and order.")
@device_option
@quiet_option
def ensemble(
    field: Path, acquisition: Path, output: Path, members: int, steps: int | None, folds: bool, no_twin: bool,
    std: Path | None, seed: int, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Train fields around FIELD on parts of its images: a mean and a standard deviation at every point.

    The standard deviation is calibrated by the images that FIELD held out, and by a twin: a fit to images
    that FIELD itself would give, whose error is therefore known.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.ensemble import make_ensemble
    from fieldrx.errors import in_file
    from fieldrx.field import load_field
    from fieldrx.volume import write_volume

    for path in (output, std) if std else (output,):
        check_output(path, field, acquisition)
        check_ending(path, "is", ".npz")
    if std and std.resolve() == output.resolve():
        raise InputError(f"--std {std} would replace the ensemble; choose another name")
    loaded, acq = load_field(field), read_acquisition(acquisition)
    with in_file(acquisition), reporting(quiet) as reporter:
        made = make_ensemble(loaded, acq, members, steps, seed, reporter, folds, device, not no_twin)
    made.save(output)
    if std:
        write_volume(std, made.to(device).volume()[1])
    if not quiet:
        _tell(output, made)


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option("-o", "--output", metavar="REPORT.html", type=FILE, required=True)
@click.option("--ensemble", metavar="ENSEMBLE.npz", type=FILE, default=None, help="Adds maps of uncertainty.")
@device_option
def report(field: Path, acquisition: Path, output: Path, ensemble: Path | None, device: str) -> None:
    """Write what was measured, what was inferred and how far to trust it: one HTML file."""
    from fieldrx.acquisition import read_acquisition
    from fieldrx.ensemble import load_ensemble
    from fieldrx.errors import in_file
    from fieldrx.field import load_field
    from fieldrx.report import write_report

    check_output(output, field, acquisition)
    check_ending(output, "a report is", ".html", ".htm")
    loaded, acq = load_field(field).to(device), read_acquisition(acquisition)
    known = None if ensemble is None else load_ensemble(ensemble).to(device)
    if loaded.provenance.model is None:
        raise InputError(f"{field} does not say with which model it was fitted: save it from a fit")
    with in_file(acquisition):
        numbers = write_report(loaded, acq, output, known, device)
    echo(f"{output}: {numbers.get('verdict', 'no image was held out')}")


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
