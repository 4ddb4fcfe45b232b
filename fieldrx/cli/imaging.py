"""Commands of image formation and its optics: simulate, calibrate."""

from __future__ import annotations

from pathlib import Path

import click

from fieldrx.cli.options import (
    FILE,
    Numbers,
    Real,
    Whole,
    check_ending,
    check_output,
    device_option,
    quiet_option,
    volume_options,
)
from fieldrx.cli.progress import reporting, speaker
from fieldrx.cli.text import echo


@click.command()
@click.argument("volume", metavar="VOLUME", type=FILE)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option("-o", "--output", metavar="OUT.npz", type=FILE, required=True)
@click.option(
    "--model", default="born", show_default=True, help="Image formation: born, rytov, bpm, ssnp or mlb."
)
@volume_options
@click.option(
    "--image-shape",
    nargs=2,
    type=Whole(min=1),
    default=None,
    metavar="NY NX",
    help="Pixels of the images. Default: those of ACQ.",
)
@click.option(
    "--photons", type=Real(), default=None, help="Photons per pixel of the empty field: Poisson noise."
)
@click.option("--seed", type=Whole(min=0), default=0, show_default=True, help="Of the noise.")
@device_option
def simulate(
    volume: Path, acquisition: Path, output: Path, model: str, spacing: list[float] | None,
    origin: list[float] | None, image_shape: tuple[int, int] | None, photons: float | None, seed: int,
    device: str,
) -> None:  # fmt: skip
    """Images of a known VOLUME with the optics of ACQ.

    VOLUME is a .npz that fieldrx wrote, or an index or its contrast in a .tif, .ome.tif, .ome.zarr or .npy.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.brief import times
    from fieldrx.simulation import simulate as simulate_images
    from fieldrx.volume import open_volume

    check_output(output, volume, acquisition)
    check_ending(output, "an acquisition is", ".npz")
    acq = read_acquisition(acquisition, images="optional" if image_shape else "required")
    known, notes = open_volume(volume, spacing, origin, acq.microscope.medium_index)
    for note in notes:
        echo(f"note: {note}", err=True)
    result = simulate_images(known, acq, model, image_shape, photons, seed, device)
    result.save(output)
    echo(f"{output}: {result.n_images} images of {times(result.stack.shape[1:])} pixels")


@click.command()
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option(
    "-o",
    "--output",
    metavar="OUT.toml",
    type=FILE,
    required=True,
    help="The corrected acquisition; its table and a picture of the pupil plane are written beside it.",
)
@click.option(
    "--depth",
    type=Numbers((2,), "Z0:Z1 in um"),
    default=None,
    help="Between which heights the sample lies, Z0:Z1 in um from the focus, if you know: settles the sign.",
)
@click.option(
    "--contrast",
    type=click.Choice(["positive", "negative", "unknown"]),
    default="positive",
    show_default=True,
    help="Whether the sample's index is above the medium's: may settle the sign where --depth does not.",
)
@quiet_option
def calibrate(acquisition: Path, output: Path, depth: list[float] | None, contrast: str, quiet: bool) -> None:
    """Find where the light of ACQ really came from, from its images.

    Held-out images are not looked at: the LED board that the others show gives their directions.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.calibration import calibrate as calibrate_images
    from fieldrx.calibration import check_target, write_calibrated
    from fieldrx.errors import in_file

    check_output(output, acquisition)
    acq = read_acquisition(acquisition)
    check_target(output, acquisition)
    with in_file(acquisition), reporting(quiet) as reporter:
        found = calibrate_images(acq, depth, contrast, callback=reporter)
    written = write_calibrated(output, acquisition, found)
    say = speaker(quiet)
    for note in found.notes:
        say(f"note: {note}")
    if not quiet:
        echo(", ".join(map(str, written)))
