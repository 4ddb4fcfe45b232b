"""Commands that tell of files and of the machine: info, doctor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fieldrx.cli.options import FILE, Whole
from fieldrx.cli.text import echo
from fieldrx.errors import printable


@click.command()
@click.argument("path", metavar="PATH", type=FILE)
def info(path: Path) -> None:
    """What a file holds, in words and units."""
    from fieldrx.describe import describe

    for name, text in describe(path):
        echo(f"{name:<18}{printable(text)}")


@click.command()
@click.option("--images", type=Whole(min=1), default=100, show_default=True, help="Images of a job.")
@click.option(
    "--shape",
    nargs=3,
    type=Whole(min=1),
    default=(64, 512, 512),
    show_default=True,
    metavar="NZ NY NX",
    help="Voxels of its grid.",
)
def doctor(images: int, shape: tuple[int, int, int]) -> None:
    """Versions, devices, threads, kernels that compile, memory that a job needs."""
    from fieldrx.describe import examine

    healthy = True
    for name, text, good in examine(images, shape):
        echo(f"{'ok  ' if good else 'FAIL'} {name:<16}{text}")
        healthy &= good
    sys.exit(0 if healthy else 1)
