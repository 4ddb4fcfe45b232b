"""The command that describes images: new."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fieldrx.cli.options import FILE, check_output
from fieldrx.errors import InputError

if TYPE_CHECKING:
    from fieldrx.layouts import Draft


@click.command()
@click.argument("paths", metavar="PATH...", type=FILE, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="ACQ.toml",
    type=FILE,
    default=None,
    help="The file to write, with a picture beside it. Default: acquisition.toml beside the images.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A key of the file, such as wavelength_nm=515 or table=leds.csv; several, one after the other.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def new(paths: tuple[Path, ...], output: Path | None, settings: tuple[str, ...], overwrite: bool) -> None:
    """Describe images as acquisition.toml: PATH is their folder or file, in a layout that is known.

    \b
    images with LED numbers in their names, stacks (OME, ImageJ, Micro-Manager)
    High-Throughput-IDT, annular IDT (I_Raw, Sorted_Pos), DeCAF's training files
    FPM-INR (I_low, na_calib), PtyLab (ptychogram, encoder), UConn (imlow_HDR), Waller lab (data, metadata)

    \b
    fieldrx new LED_algae_data
    fieldrx new stack.ome.tif --set medium_index=1.33 --set table=leds.csv
    fieldrx new images --set wavelength_nm=630 --set objective_na=0.25 --set pixel_size_um=0.645 \\
        --set medium_index=1.33 --set pitch_mm=4 --set distance_mm=79

    What is missing is asked for on a terminal; else it stands in the file commented out, is listed, and the
    status is 2. File names in --set start at the folder of the file that is written.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.describe import describe_acquisition
    from fieldrx.layouts import (
        apply_settings,
        check_targets,
        list_files,
        recognise,
        usual_target,
        write_draft,
        write_picture,
    )

    target = usual_target(paths) if output is None else output
    draft = apply_settings(recognise(list_files(paths, target)), settings)
    check_output(target)
    check_targets(target, draft, overwrite)
    click.echo(f"{'layout':<18}{draft.layout}")
    if _is_terminal():
        draft = _answered(draft)
    kept = bool(draft.missing) and target.exists()  # what is there may be better than a draft
    if not kept:
        write_draft(draft, target)
    if draft.missing:
        for key in draft.missing:
            click.echo(f"{'missing':<18}{key.name}: {key.comment}")
        names = " ".join(f"--set {key.name}=..." for key in draft.missing)
        if kept:
            raise InputError(f"{target} is there and stays, as keys are missing: add {names}")
        again = "" if overwrite else " --overwrite"
        raise InputError(f"{target} is a draft: fill in what is commented out there, or add {names}{again}")
    click.echo(f"{'written':<18}{target}")
    acquisition = read_acquisition(target)
    picture = target.with_suffix(".png")
    write_picture(acquisition, picture)
    click.echo(f"{'picture':<18}{picture}")
    for name, text in describe_acquisition(acquisition, target):
        click.echo(f"{name:<18}{text}")


def _is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def _answered(draft: Draft) -> Draft:
    """The draft with what the user answers; an empty answer leaves a key missing."""
    from fieldrx.layouts import apply_settings

    skipped: set[str] = set()
    while left := [key for key in draft.missing if key.name not in skipped]:
        key = left[0]
        answer = click.prompt(f"{key.name}, {key.comment}", default="", show_default=False).strip()
        if not answer:
            skipped.add(key.name)
            continue
        try:
            draft = apply_settings(draft, [f"{key.table}.{key.name}={answer}"])
        except InputError as error:
            click.echo(f"{error}; asked again")
    return draft
