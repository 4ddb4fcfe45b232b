"""The command that makes fields small: compress."""

from __future__ import annotations

from pathlib import Path

import click

from fieldrx.cli.options import FILE, Bytes, Share, check_ending, check_output, quiet_option
from fieldrx.cli.progress import reporting
from fieldrx.errors import InputError


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.option("-o", "--output", metavar="SMALL.npz", type=FILE, required=True, help="The file to write.")
@click.option(
    "--loss",
    type=Share(),
    default=None,
    help="Largest relative error, |small - FIELD| / |FIELD|, of the contrast at the voxels of the fit that "
    "the images show: a share from 0.01% to 50%. Default: 1%.",
)
@click.option("--size", type=Bytes(), default=None, help="Most that SMALL may take instead: 300kB, 1MB.")
@quiet_option
def compress(field: Path, output: Path, loss: float | None, size: float | None, quiet: bool) -> None:
    """Write FIELD in much less room, with an error that is told.

    \b
    fieldrx compress cell.npz -o small.npz                # wrong by 1% of the contrast at most
    fieldrx compress cell.npz -o small.npz --size 300kB

    SMALL is a field as any other: every command takes it, but it cannot be fitted on. It keeps the field at
    the voxels of the fit and interpolates between them. FIELD may be an ensemble or a film.
    """
    from fieldrx.compression import compress as compress_field
    from fieldrx.compression import compress_ensemble, compress_film
    from fieldrx.ensemble import Ensemble
    from fieldrx.errors import in_file
    from fieldrx.results import Result, load_result
    from fieldrx.timelapse import Film

    check_output(output, field)
    check_ending(output, "a field is", ".npz")
    if loss is not None and size is not None:
        raise InputError("give --loss or --size, not both")
    loaded = load_result(field)
    with in_file(field), reporting(quiet) as reporter:
        small: Result
        if isinstance(loaded, Ensemble):
            small = compress_ensemble(loaded, loss, size, reporter)
        elif isinstance(loaded, Film):
            small = compress_film(loaded, loss, size, reporter)
        else:
            small = compress_field(loaded, loss, size, reporter)
    small.save(output)
    if isinstance(small, Ensemble):
        fields = small.members
    else:
        fields = small.fields if isinstance(small, Film) else (small,)
    costs = [one.provenance.origin["compressed"] for one in fields]
    at, between = (max(cost[name] for cost in costs) for name in ("loss", "loss_between"))
    before, after = (path.stat().st_size for path in (field, output))
    click.echo(
        f"{output}: {after / 1e3:.0f} kB, {before / after:.1f} times smaller; the contrast changes by "
        f"{100 * at:.2g}% at the voxels of the fit, {100 * between:.2g}% between them"
    )
