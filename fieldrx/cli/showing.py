"""Commands that show fields: render, view, query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fieldrx.cli.options import (
    FILE,
    Axis,
    Numbers,
    Real,
    Turn,
    Whole,
    check_output,
    device_option,
    quiet_option,
    time_option,
)
from fieldrx.cli.progress import reporting, speaker
from fieldrx.cli.text import echo
from fieldrx.errors import InputError

if TYPE_CHECKING:
    from fieldrx.render.quantities import Quantity


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("output", metavar="OUT", type=FILE)
@click.option(
    "--quantity",
    metavar="NAME",
    default=None,
    help="n, contrast, absorption, permittivity, phase (rad/um), dry-mass (pg/um^3); of an ensemble std. "
    "Default: n.",
)
@click.option(
    "--increment",
    type=Real(),
    default=None,
    help="For dry-mass: refractive increment in ml/g. Default: 0.19, the mean of proteins.",
)
@click.option(
    "--spacing",
    type=Numbers((1, 3), "one number or DZ,DY,DX in um"),
    help="Voxel spacing in um: one number, or DZ,DY,DX. Default: that of the fit.",
)
@click.option(
    "--region",
    type=Numbers((6,), "Z0:Z1,Y0:Y1,X0:X1 in um"),
    help="First and last voxel centre along each axis, Z0:Z1,Y0:Y1,X0:X1 in um.",
)
@click.option(
    "--plane",
    type=Numbers((3,), "Z,Y,X in um"),
    default=None,
    help="One plane, through this point Z,Y,X; the xy-plane unless --down and --right turn it.",
)
@click.option("--down", type=Axis(), default=None, help="Direction of the plane's columns. Default: y.")
@click.option("--right", type=Axis(), default=None, help="Direction of the plane's rows. Default: x.")
@click.option(
    "--turn",
    type=Turn(),
    multiple=True,
    help="A view: turn the sample about z, y, x or a vector by degrees, as y:30; several, one after the "
    "other.",
)
@click.option(
    "--projection",
    metavar="NAME",
    default=None,
    help="A view: max, mean, path (integral along the line of sight) or surface. Default: max.",
)
@click.option(
    "--level", type=Real(), default=None, help="Of the surface. Default: between sample and medium."
)
@click.option(
    "--light",
    type=Numbers((2,), "NA_Y,NA_X"),
    multiple=True,
    help="Microscope images: predict one for this direction NA_Y,NA_X; several give several.",
)
@time_option
@click.option("--movie", metavar="NAME", default=None, help="For .gif and .mp4: spin, sweep or zoom.")
@click.option("--axis", type=Axis(), default=None, help="What the film spin turns about. Default: y.")
@click.option("--frames", type=Whole(min=2), default=None, help="Of the film. Default: 48.")
@click.option("--fps", type=Real(), default=None, help="Frames per second. Default: 12.")
@click.option("--limits", type=Numbers((2,), "LOW,HIGH"), default=None, help="Ends of the colour scale.")
@device_option
@quiet_option
def render(
    field: Path, output: Path, quantity: str | None, increment: float | None, spacing: list[float] | None,
    region: list[float] | None, plane: list[float] | None, down: str | tuple[float, ...] | None,
    right: str | tuple[float, ...] | None, turn: tuple[tuple[str | tuple[float, ...], float], ...],
    projection: str | None, level: float | None, light: tuple[list[float], ...], movie: str | None,
    axis: str | tuple[float, ...] | None, frames: int | None, fps: float | None, limits: list[float] | None,
    time: float | None, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Write the field as OUT, straight from the network, block by block: any size fits in memory.

    \b
    .npy .npz             arrays (.npz: the contrast with its grid, for simulate)
    .tif .ome.tif         stacks for Fiji and napari, with scale and units
    .ome.zarr .vti        pyramids for big volumes; ParaView
    .png .gif .mp4        pictures and films with scale bar and colour bar

    \b
    fieldrx render cell.npz cell.png                           # the three central planes
    fieldrx render cell.npz cell.ome.tif --spacing 0.1         # a volume
    fieldrx render cell.npz part.ome.zarr --region=-2:2,4:9,4:9 --spacing 0.02
    fieldrx render cell.npz plane.png --plane 0,9,9 --down 1,1,0
    fieldrx render cell.npz mass.tif --projection path --quantity dry-mass
    fieldrx render cell.npz cell.png --projection surface --turn x:20 --turn y:30
    fieldrx render cell.npz cell.gif --movie spin --projection surface
    fieldrx render cell.npz images.tif --light 0,0 --light 0.3,0.1

    FIELD may be an ensemble: its mean is shown, or with --quantity std the standard deviation of the index.
    FIELD may be a film: .tif, .ome.tif and .ome.zarr have an axis of time then, .gif and .mp4 show over time
    what .png shows of a field; anything else takes --time.
    The region must lie in the domain of the field (see fieldrx info FIELD); a plane shows the medium outside.
    """
    import numpy as np

    from fieldrx.field import NeuralField
    from fieldrx.optics import Resolution
    from fieldrx.render import make_quantity, render_images, render_over_time, turned
    from fieldrx.render import render as render_field
    from fieldrx.render.ensembles import as_field
    from fieldrx.results import at_time, load_result
    from fieldrx.timelapse import Film
    from fieldrx.totals import notes_on_totals

    loaded = load_result(field).to(device)
    check_output(output, field)
    film = loaded if isinstance(loaded, Film) and time is None else None
    one = film.fields[0] if film else at_time(loaded, time)
    if (down or right) and plane is None:
        raise InputError("--down and --right belong to --plane Z,Y,X")
    wanted: str | Quantity | None = quantity
    if increment is not None:
        if quantity != "dry-mass":
            raise InputError("--increment belongs to --quantity dry-mass")
        wanted = make_quantity(quantity, as_field(one)[0], increment=increment)
    options: dict[str, Any] = {
        "quantity": wanted,
        "spacing": spacing[0] if spacing and len(spacing) == 1 else spacing,
        "region": None if region is None else np.reshape(region, (3, 2)),
        "plane": None if plane is None else (plane, down, right),
        "rotation": turned(turn) if turn else None,
        "projection": projection,
        "level": level,
        "limits": limits,
        "kind": movie,
        "frames": frames,
        "fps": fps,
        "rotation_axis": axis,
    }
    if movie == "zoom" and plane is not None:
        options |= {"through": plane, "plane": None}
    options = {name: value for name, value in options.items() if value is not None}
    with reporting(quiet) as reporter:
        if light:
            if film or not isinstance(one, NeuralField):
                raise InputError(
                    "--light predicts the images of one field: give the field, not the ensemble or mosaic; "
                    "of a film the --time of a frame"
                )
            if options:
                first = next(iter(options))
                raise InputError(f"--light predicts images as the microscope takes them, without {first}")
            render_images(one, output, np.array(light), callback=reporter, device=device)
        elif film:
            if {"kind", "rotation_axis", "through"} & set(options):
                raise InputError("a film is shown over time: --movie, for one of its times, takes --time")
            render_over_time(film, output, **options, callback=reporter)
        else:
            render_field(one, output, **options, callback=reporter)
    say = speaker(quiet)
    known = Resolution.recorded(as_field(one)[0].provenance)
    notes = [] if known is None else [f"{known.words}; finer voxels are interpolated"]
    for note in [] if quiet else [*notes, *notes_on_totals(one, quantity, plane, projection)]:
        say(f"note: {note}")
    echo(str(output))


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.option("-o", "--output", metavar="PAGE.html", type=FILE, required=True, help="The page to write.")
@click.option("--title", default=None, help="Of the page. Default: the name of FIELD.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "half", "float32"]),
    default="auto",
    show_default=True,
    help="Of a hash grid's table in the page: 2 or 4 bytes a number. auto: half above a million numbers; "
    "of a compressed field its code.",
)
def view(field: Path, output: Path, title: str | None, precision: str) -> None:
    """Write the field as one web page that shows it: planes, 3D, any zoom; opens without a network.

    FIELD may be a film: the page has a slider for time.
    """
    from fieldrx.compression import compress
    from fieldrx.ensemble import Ensemble
    from fieldrx.results import load_result
    from fieldrx.tiles import Mosaic
    from fieldrx.viewer import write_viewer

    loaded = load_result(field)
    check_output(output, field)
    if isinstance(loaded, Ensemble):
        raise InputError(f"{field} is an ensemble: a page shows one field, or a film")
    if isinstance(loaded, Mosaic):  # a page holds one network: that of the mosaic's code
        loaded = compress(loaded)
    write_viewer(loaded, output, field.stem if title is None else title, precision)
    echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, open it in a browser")


@click.command()
@click.argument("field", metavar="FIELD", type=FILE)
@click.argument("points", metavar="POINTS.csv", type=FILE)
def query(field: Path, points: Path) -> None:
    """Refractive index at points: a table of z_um,y_um,x_um in, the same with n_real,n_imag out.

    FIELD may be an ensemble: two columns more, std_real,std_imag, give the standard deviation. Outside the
    field's domain the index is that of the medium.

    FIELD may be a film: a column t_s (frame, where the film knows no seconds) gives the time of every point;
    without it every point is told at all times.
    """
    import numpy as np

    from fieldrx.errors import in_file
    from fieldrx.points import TIMES, read_points, read_times, write_points
    from fieldrx.results import load_result
    from fieldrx.timelapse import Film

    loaded = load_result(field)
    zyx = read_points(points)
    if isinstance(loaded, Film):
        times = read_times(points, loaded.unit)
        if times is None:
            times, zyx = np.repeat(loaded.times, len(zyx)), np.tile(zyx, (len(loaded.times), 1))
        with in_file(points):
            index = loaded(zyx, times)
        write_points(sys.stdout, zyx, {"n": index}, {TIMES[loaded.unit]: times})
        return
    found = loaded(zyx)
    columns = dict(zip(("n", "std"), found, strict=True)) if isinstance(found, tuple) else {"n": found}
    write_points(sys.stdout, zyx, columns)
