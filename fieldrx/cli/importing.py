"""Commands that bring what other programs made: import-decaf."""

from __future__ import annotations

from pathlib import Path

import click

from fieldrx.cli.options import FILE, Depth, Real, Whole, check_ending, check_output
from fieldrx.cli.text import echo
from fieldrx.errors import InputError


@click.command("import-decaf")
@click.argument("folder", metavar="FOLDER", type=FILE)
@click.option(
    "-o", "--output", metavar="FIELD.npz", type=FILE, required=True, help="Where the field is saved."
)
@click.option(
    "--pixels",
    type=Whole(min=1),
    default=None,
    help="Of a side of the whole images; needed: DeCAF's flags do not tell it (view_size is less).",
)
@click.option(
    "--pixel-size",
    type=Real(min=0, min_open=True),
    default=None,
    help="Of a pixel in the sample, in um; needed.",
)
@click.option("--depth", type=Depth(), default=None, help="Slice centres in um. Default: those of the flags.")
@click.option(
    "--medium-index",
    type=Real(min=0, min_open=True),
    default=None,
    help="Of the medium. Default: n0 of the flags.",
)
@click.option(
    "--first",
    type=click.Choice(["x", "y"]),
    default="x",
    show_default=True,
    help="Axis of the network's first coordinate: x, as MATLAB's files have it, or y.",
)
def import_decaf(
    folder: Path, output: Path, pixels: int | None, pixel_size: float | None,
    depth: tuple[float, float, float] | str | None, medium_index: float | None, first: str,
) -> None:  # fmt: skip
    """Make a field of a network that DeCAF trained: FOLDER holds its checkpoint and flags.

    \b
    fieldrx import-decaf datasets/Algae -o algae.npz --pixels 512 --pixel-size 0.1625

    The field is as any other: query, render and view it. TensorFlow is not needed.
    """
    from fieldrx.decaf import Geometry
    from fieldrx.decaf import import_decaf as import_network

    check_output(output)
    check_ending(output, "a field is", ".npz")
    if pixels is None or pixel_size is None:
        raise InputError(
            "DeCAF's flags do not tell how large the images were: give --pixels, of a side, and "
            "--pixel-size, in um; where you do not know them, only the scale across z depends on them"
        )
    if isinstance(depth, str):
        raise InputError("--depth auto needs images: give the slices as Z0:Z1:DZ, or leave it out")
    field = import_network(folder, Geometry(pixels, pixel_size, depth, medium_index, first))
    field.save(output)
    for note in field.provenance.notes or ():
        echo(f"note: {note}", err=True)
    echo(f"{output}: {field!r}")
