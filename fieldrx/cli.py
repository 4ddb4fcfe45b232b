"""The command line: parse, call the library, print."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

import fieldrx
from fieldrx.errors import InputError

NOTHING = 3  # a fit ended, and found nothing
STOPPED = 75  # EX_TEMPFAIL: a fit was interrupted, and goes on when it is called again


class _Commands(click.Group):
    """Commands in the order of use, and one line for every mistake."""

    def list_commands(self, ctx):
        return list(self.commands)

    def make_context(self, *args, **kwargs):
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx):
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line():
    """Status 2 for bad input, 1 for a failure, each with one line."""
    try:
        yield
    except InputError as error:
        _leave(str(error), 2)
    except click.UsageError as error:
        usage = f"see {error.ctx.command_path} --help" if error.ctx else "see --help"
        _leave(f"{' '.join(error.format_message().split())} ({usage})", 2)
    except KeyboardInterrupt:
        _leave("interrupted", 1)
    except (OSError, MemoryError, np.linalg.LinAlgError) as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of a pipe has left; click ends quietly
        _leave(f"{type(error).__name__}: {' '.join(str(error).split())}", 1)


def _leave(message, status):
    click.echo(f"fieldrx: error: {message}", err=True)
    sys.exit(status)


class _Reporter:
    """Progress of a fit: a bar on a terminal, plain lines otherwise, nothing when quiet."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.bar, self.stage, self.last = None, None, 0.0
        self.tty = sys.stderr.isatty()

    def __call__(self, progress):
        if self.quiet:
            return
        if progress.stage != self.stage:
            self.close()
            self.stage, self.done = progress.stage, 0
            if self.tty:
                self.bar = click.progressbar(
                    length=math.ceil(progress.total), label=f"{self.stage:<12}", file=sys.stderr,
                    item_show_func=lambda text: text, show_pos=True,
                )  # fmt: skip
                self.bar.__enter__()
        text = self._errors(progress)
        if self.bar:
            step = min(int(progress.done), self.bar.length) - self.done
            self.done += step
            self.bar.update(step, text)
        elif time.monotonic() - self.last > 5 or progress.done >= progress.total:
            self.last = time.monotonic()
            click.echo(f"{self.stage}: {progress.done:.0f}/{progress.total:.0f}  {text}".rstrip(), err=True)

    def close(self):
        """End the bar of a stage."""
        if self.bar:
            self.bar.__exit__(None, None, None)
            self.bar = None

    @staticmethod
    def _errors(progress):
        text = "" if math.isnan(progress.error) else f"error {progress.error:.4f}"
        return text if not math.isfinite(progress.holdout) else f"{text}  held out {progress.holdout:.4f}"


@contextmanager
def _reporting(quiet):
    reporter = _Reporter(quiet)
    try:
        yield reporter
    finally:
        reporter.close()


class _Fitting(click.Command):
    """The command of a fit: --resume may stand alone, and an interruption has a status of its own."""

    def parse_args(self, ctx, args):
        followed = zip(args, [*args[1:], None], strict=True)  # click would take ACQ for the value of --resume
        args = ["--resume=yes" if a == "--resume" and b != "auto" else a for a, b in followed]
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _leave("interrupted, no field saved: call it again, with --resume auto", STOPPED)


class _Depth(click.ParamType):
    name = "Z0:Z1:DZ"

    def convert(self, value, param, ctx):
        from fieldrx.optics import parse_depth

        return parse_depth(value) if isinstance(value, str) and value != "auto" else value


class _Weight(click.ParamType):
    """A weight of a prior, or auto."""

    name = "WEIGHT"

    def convert(self, value, param, ctx):
        if value == "auto":
            return value
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise InputError(f'--{param.name} "{value}" is no weight: expected a number, 0 or more, or auto')
        return weight


class _Duration(click.ParamType):
    name = "TIME"

    def convert(self, value, param, ctx):
        units = {"s": 1, "m": 60, "h": 3600}
        text = str(value).strip().lower()
        try:
            seconds = float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
        except ValueError:
            seconds = math.nan
        if not (seconds > 0 and math.isfinite(seconds)):
            raise InputError(f'budget "{value}" is not a time such as 90s, 5m or 1h')
        return seconds


class _Numbers(click.ParamType):
    """Comma-separated numbers."""

    name = "NUMBERS"

    def __init__(self, counts, what):
        self.counts, self.what = counts, what

    def convert(self, value, param, ctx):
        try:
            numbers = [float(part) for part in str(value).replace(":", ",").split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in self.counts or not np.isfinite(numbers).all():
            raise InputError(f'--{param.name} "{value}" is not {self.what}')
        return numbers


class _Axis(click.ParamType):
    """z, y, x or a vector."""

    name = "AXIS"

    def convert(self, value, param, ctx):
        if value in ("z", "y", "x"):
            return value
        numbers = _Numbers((3,), "z, y, x or a vector DZ,DY,DX")
        return tuple(numbers.convert(value, param, ctx))


class _Turn(click.ParamType):
    """An axis and an angle."""

    name = "AXIS:DEGREES"

    def convert(self, value, param, ctx):
        axis, _, degrees = str(value).rpartition(":")
        try:
            return _Axis().convert(axis, param, ctx), float(degrees)
        except ValueError:  # InputError is one
            raise InputError(f'--turn "{value}" is not AXIS:DEGREES such as y:30 or 1,1,0:45') from None


def _check_device(ctx, param, value):
    from fieldrx.backends import get

    if value == "cuda":
        get(value)  # says what is missing before any file is read
    return value


_file = click.Path(path_type=Path)
_quiet = click.option("--quiet", "-q", is_flag=True, help="Print results and errors only.")
_device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Where to compute: auto takes a GPU where there is one.",
)
_spacing = click.option(
    "--spacing",
    type=_Numbers((1, 3), "one number or DZ,DY,DX in um"),
    help="Voxel spacing in um: one number, or DZ,DY,DX. Default: that of the fit.",
)
_region = click.option(
    "--region",
    type=_Numbers((6,), "Z0:Z1,Y0:Y1,X0:X1 in um"),
    help="First and last voxel centre along each axis, Z0:Z1,Y0:Y1,X0:X1 in um.",
)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(fieldrx.__version__, prog_name="fieldrx")
def main():
    """Continuous 3D refractive index from plain microscope images.

    A sample is lit from many directions, one intensity image each. fieldrx trains a small neural network
    n(z, y, x) on these images through a physical model of the light, until it holds the sample's refractive
    index at every point. Start with `fieldrx demo`.
    """


@main.command()
@click.option(
    "--out", type=_file, default=Path("fieldrx-demo"), show_default=True, help="Folder of the results."
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=None, help="Steps of the fit (fewer is quicker)."
)
@_quiet
def demo(out, steps, quiet):
    """Simulate an invented cell, reconstruct it, and report: about two minutes on two cores."""
    from fieldrx.demo import run_demo

    with _reporting(quiet) as reporter:
        say = (lambda text: None) if quiet else lambda text: click.echo(text, err=True)
        rows, pictures = run_demo(out, steps=steps, callback=reporter, say=say)
    click.echo()
    click.echo(f"{'':<26}{'held-out images':>18}{'refractive index':>18}")
    for name, holdout, index in rows:
        click.echo(f"{name:<26}{holdout:>18.3f}{index:>18.3f}")
    click.echo("relative errors: |predicted - measured| / |measured - 1|  and  |n - n_true| / |n_true - n0|")
    click.echo()
    for path, what in pictures:
        click.echo(f"{path}  {what}")


@main.command(cls=_Fitting)
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option(
    "-o", "--output", metavar="FIELD.npz", type=_file, required=True, help="Where the field is saved."
)
@click.option(
    "--depth",
    type=_Depth(),
    required=True,
    help="Slice centres in um, both ends included; or auto, to find the sample by refocusing.",
)
@click.option(
    "--model",
    default="auto",
    show_default=True,
    help="Image formation: born or rytov where light scatters once, ssnp (or bpm, mlb) where it scatters "
    "more often; auto estimates the sample's phase, chooses and says why.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=None,
    help="Steps of the fit. Default: 220.",
)
@click.option(
    "--budget", type=_Duration(), default=None, help="Time for the fit instead of steps: 90s, 5m, 1h."
)
@_device
@click.option(
    "--precision",
    type=click.Choice(["half", "float32"]),
    default=None,
    help="Of the network's products on a GPU. Default: half, float32 for a sine. A CPU takes float32.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    default=None,
    help="Share of the images held out, unless ACQ names its own. Default: 0.1.",
)
@click.option("--preset", default=None, help="A published architecture: decaf or decaf-small.")
@click.option(
    "--tv",
    type=_Weight(),
    default=None,
    help="Weight of the total variation of index and absorption; auto chooses it by unseen images, which "
    "doubles the time. Default: 0.6 (3 for ssnp, bpm, mlb).",
)
@click.option(
    "--loss",
    metavar="NAME",
    default="squared",
    show_default=True,
    help="squared; huber[:THRESHOLD] against dirt and unmasked saturation; poisson[:PHOTONS[:READ_NOISE]].",
)
@click.option(
    "--refine",
    metavar="WHAT",
    default=None,
    help="Correct the optics during the fit: any of illumination,board,intensity,defocus,pupil,background "
    "(board: where all lamps are together; illumination: each direction for itself).",
)
@click.option("--no-absorption", is_flag=True, help="Fit a transparent sample: the index is real.")
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    default=None,
    help="Looks at the held-out images, one every 10 steps, without a lower error after which a fit stops "
    "early; 0 never stops early, nor does --budget. Default: 8.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of weights, held-out choice and image order.",
)
@click.option(
    "--resume",
    type=click.Choice(["yes", "auto"]),
    default=None,
    metavar="[auto]",
    help="Continue an interrupted fit from its checkpoint, FIELD.checkpoint.npz. --resume auto, for jobs "
    "that are put into the queue again, starts anew where there is none.",
)
@_quiet
def reconstruct(
    acquisition,
    output,
    depth,
    model,
    steps,
    budget,
    device,
    precision,
    holdout,
    preset,
    tv,
    refine,
    loss,
    no_absorption,
    patience,
    seed,
    resume,
    quiet,
):
    """Fit a neural field to the images of ACQ (.toml, .npz or .h5).

    \b
    fieldrx reconstruct cell/acquisition.toml --depth -10:10:0.5 -o cell.npz

    Ctrl-C or SIGTERM stops at the next step and saves the best field; --resume goes on from there.

    \b
    Exit status: 0 the fit has ended, 2 bad arguments or input, 1 a failure,
    3 a whole fit that is no better than the closed form or an empty sample,
    75 stopped by Ctrl-C or SIGTERM: call again with --resume auto to go on.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.backends import describe_device
    from fieldrx.errors import in_file
    from fieldrx.fit import Fit, checkpoint_arguments
    from fieldrx.models import MODELS
    from fieldrx.refinement import parse_refine
    from fieldrx.tuning import choose_tv
    from fieldrx.verdict import judge

    if model not in (*MODELS, "auto"):
        raise InputError(f'there is no model "{model}"; expected auto or one of {", ".join(MODELS)}')
    refine = None if refine is None else parse_refine(refine)
    if steps and budget:
        raise InputError("give --steps or --budget, not both")
    _writable(output, acquisition)
    if output.suffix.lower() != ".npz":
        raise InputError(f"{output}: a field is saved as .npz; choose a name with that ending")
    checkpoint = output.with_suffix(".checkpoint.npz")
    resume, told = _resumed(resume, checkpoint)
    acq = read_acquisition(acquisition)
    schedule = {"seed": seed}
    schedule |= {"steps": steps} if steps else {}
    schedule |= {"budget_s": budget} if budget else {}
    schedule |= {} if patience is None else {"patience": patience}
    choices = []
    if resume:  # what was chosen then holds; other arguments are compared
        chosen = checkpoint_arguments(checkpoint)
        depth = tuple(chosen["depth"]) if depth == "auto" else depth
        tv = chosen["priors"]["tv"] if tv == "auto" else tv
    if depth == "auto":
        with in_file(acquisition):
            depth, note = _find_depth(acq, holdout, seed)
        choices.append(note)
    remarks = [*told, *_depth_notes(acq, depth)]
    if len(acq.holdout) and holdout is not None:
        remarks.append(f"{acquisition} names its own held-out images; --holdout is not used")
    with in_file(acquisition), _reporting(quiet) as reporter:
        if tv == "auto":
            tv, note = choose_tv(
                acq, depth, model, preset=preset, schedule=schedule, holdout=holdout, loss=loss,
                absorption=not no_absorption, callback=reporter, device=device, precision=precision,
            )  # fmt: skip
            choices.append(note)
        priors = {} if tv is None else {"tv": tv, "tv_absorption": tv}
        fit = Fit(
            acq,
            depth,
            model,
            preset=preset,
            priors=priors,
            schedule=schedule,
            holdout=holdout,
            absorption=not no_absorption,
            refine=refine,
            loss=loss,
            origin={"automatic": choices},
            callback=reporter,
            device=device,
            precision=precision,
        )
        fit.notes += remarks
        if not quiet:
            click.echo(f"device: {describe_device(fit.backend)}", err=True)
            for note in (*acq.notes, *choices, *fit.notes):
                click.echo(f"note: {note}", err=True)
        told = len(fit.notes)
        field = fit.run(checkpoint, resume)
    field.save(output)
    for note in [] if quiet else fit.notes[told:]:
        click.echo(f"note: {note}", err=True)
    done = field.provenance
    if done["diverged"]:
        _leave(f"{done['diverged']}; {output} holds the best field before it", 1)
    if not done["interrupted"]:
        checkpoint.unlink(missing_ok=True)
    if not quiet:
        click.echo(_saved(output, field))
    _end(field, judge(field, acq, device), quiet, short=bool(steps or budget))


@main.command()
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=_file,
    required=True,
    help="Folder of the results, made if needed.",
)
@click.option(
    "--contrast",
    type=click.Choice(["auto", "positive", "negative"]),
    default="auto",
    show_default=True,
    help="Whether the sample is denser than its medium (positive) or less dense; auto finds out, and asks "
    "where the images do not tell.",
)
@click.option("--steps", type=click.IntRange(min=1), default=None, help="Steps of the fit. Default: 220.")
@click.option(
    "--budget", type=_Duration(), default=None, help="Time for the fit instead of steps: 90s, 5m, 1h."
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True, min_open=True),
    default=None,
    help="Share of the images held out, unless ACQ names its own. Default: 0.1.",
)
@click.option("--error-bars", is_flag=True, help="Also make an ensemble: takes about twice as long again.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."
)
@click.option("--resume", is_flag=True, help="Continue from FOLDER's checkpoint, where there is one.")
@_device
@_quiet
def run(acquisition, output, contrast, steps, budget, holdout, error_bars, seed, resume, device, quiet):
    """From images to a field, a picture and a report, with everything chosen by the images.

    \b
    fieldrx run cell/acquisition.toml -o cell-result

    Calibrates where that helps, finds the depth, chooses the model, fits, and judges the result by images it
    never saw. Every choice is told with its evidence, and kept in FOLDER/log.json.

    Exit status 0; 3 if the result is no better than the closed form or an empty sample; 75 if it was stopped;
    2 if the input is wrong, or if only you can answer a question (--contrast).
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.backends import describe_device, get
    from fieldrx.errors import in_file
    from fieldrx.io import open_folder
    from fieldrx.workflow import folder

    if steps and budget:
        raise InputError("give --steps or --budget, not both")
    acq = read_acquisition(acquisition)
    open_folder(output)
    schedule = ({"steps": steps} if steps else {}) | ({"budget_s": budget} if budget else {})
    say = (lambda text: None) if quiet else lambda text: click.echo(text, err=True)
    say(f"device: {describe_device(get(device))}")
    for note in acq.notes:
        say(f"note: {note}")
    with in_file(acquisition), _reporting(quiet) as reporter:
        found, written = folder.run_in(
            acq, output, error_bars=error_bars, contrast=contrast, schedule=schedule, holdout=holdout,
            seed=seed, resume=resume and (output / folder.CHECKPOINT).exists(), device=device,
            callback=reporter, say=lambda text: (reporter.close(), say(text)),
        )  # fmt: skip
    for path, what in [] if quiet else written:
        click.echo(f"{path}  {what}")
    _end(found.field, found.verdict, quiet, short=bool(steps or budget))


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option("--truth", metavar="TRUTH.npz", type=_file, default=None, help="Known volume to compare with.")
@click.option("--model", default=None, help="Image formation. Default: the one of the fit.")
@_device
def evaluate(field, acquisition, truth, model, device):
    """Predicted against measured images, as JSON."""
    from fieldrx.acquisition import read_acquisition
    from fieldrx.errors import in_file
    from fieldrx.evaluation import evaluate as evaluate_field
    from fieldrx.field import load_field
    from fieldrx.io import json_values
    from fieldrx.volume import read_volume

    loaded, acq = load_field(field), read_acquisition(acquisition)
    known = None if truth is None else read_volume(truth)
    with in_file(acquisition):
        result = evaluate_field(loaded, acq, known, model, device)
    shown = {"field": str(field), "acquisition": str(acquisition), **json_values(result)}
    click.echo(json.dumps(shown, indent=1, allow_nan=False))


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.argument("output", metavar="OUT", type=_file)
@click.option(
    "--quantity",
    metavar="NAME",
    default=None,
    help="n, contrast, absorption, permittivity, phase (rad/um), dry-mass (pg/um^3); of an ensemble std. "
    "Default: n.",
)
@click.option(
    "--increment",
    type=float,
    default=None,
    help="For dry-mass: refractive increment in ml/g. Default: 0.19, the mean of proteins.",
)
@_spacing
@_region
@click.option(
    "--plane",
    type=_Numbers((3,), "Z,Y,X in um"),
    default=None,
    help="One plane, through this point Z,Y,X; the xy-plane unless --down and --right turn it.",
)
@click.option("--down", type=_Axis(), default=None, help="Direction of the plane's columns. Default: y.")
@click.option("--right", type=_Axis(), default=None, help="Direction of the plane's rows. Default: x.")
@click.option(
    "--turn",
    type=_Turn(),
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
@click.option("--level", type=float, default=None, help="Of the surface. Default: between sample and medium.")
@click.option(
    "--light",
    type=_Numbers((2,), "NA_Y,NA_X"),
    multiple=True,
    help="Microscope images: predict one for this direction NA_Y,NA_X; several give several.",
)
@click.option("--movie", metavar="NAME", default=None, help="For .gif and .mp4: spin, sweep or zoom.")
@click.option("--axis", type=_Axis(), default=None, help="What the film spin turns about. Default: y.")
@click.option("--frames", type=click.IntRange(min=2), default=None, help="Of the film. Default: 48.")
@click.option("--fps", type=float, default=None, help="Frames per second. Default: 12.")
@click.option("--limits", type=_Numbers((2,), "LOW,HIGH"), default=None, help="Ends of the colour scale.")
@_device
@_quiet
def render(
    field, output, quantity, increment, spacing, region, plane, down, right, turn, projection, level,
    light, movie, axis, frames, fps, limits, device, quiet,
):  # fmt: skip
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
    The region must lie in the domain of the field (see fieldrx info FIELD); a plane shows the medium outside.
    """
    from fieldrx.ensemble import Ensemble, load_field_or_ensemble
    from fieldrx.render import make_quantity, render_images, turned
    from fieldrx.render import render as render_field

    loaded = load_field_or_ensemble(field).to(device)
    _writable(output, field)
    if (down or right) and plane is None:
        raise InputError("--down and --right belong to --plane Z,Y,X")
    if increment is not None:
        if quantity != "dry-mass":
            raise InputError("--increment belongs to --quantity dry-mass")
        quantity = make_quantity(quantity, loaded, increment=increment)
    films = {"kind": movie, "frames": frames, "fps": fps, "rotation_axis": axis}
    films = {name: value for name, value in films.items() if value is not None}
    options = {
        "quantity": quantity,
        "spacing": spacing[0] if spacing and len(spacing) == 1 else spacing,
        "region": None if region is None else np.reshape(region, (3, 2)),
        "plane": None if plane is None else (plane, down, right),
        "rotation": turned(turn) if turn else None,
        "projection": projection,
        "level": level,
        "limits": limits,
    }
    if movie == "zoom" and plane is not None:
        films["through"], options["plane"] = plane, None
    with _reporting(quiet) as reporter:
        if light:
            if isinstance(loaded, Ensemble):
                raise InputError("--light predicts the images of one field: give the field, not the ensemble")
            given = [name for name, value in (options | films).items() if value is not None]
            if given:
                raise InputError(f"--light predicts images as the microscope takes them, without {given[0]}")
            told = _counted(reporter, "images")
            render_images(loaded, output, np.array(light), callback=told, device=device)
        else:
            film = output.suffix.lower() in (".gif", ".mp4")
            told = _counted(reporter, "frames") if film else _percent(reporter, "rendering")
            render_field(loaded, output, **options, callback=told, **films)
    for note in [] if quiet else _notes_on_totals(loaded, quantity, plane, projection):
        click.echo(f"note: {note}", err=True)
    click.echo(str(output))


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.option("-o", "--output", metavar="PAGE.html", type=_file, required=True, help="The page to write.")
@click.option("--title", default=None, help="Of the page. Default: the name of FIELD.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "half", "float32"]),
    default="auto",
    show_default=True,
    help="Of a hash grid's table in the page: 2 or 4 bytes a number. auto: half above a million numbers.",
)
def view(field, output, title, precision):
    """Write the field as one web page that shows it: planes, 3D, any zoom; opens without a network."""
    from fieldrx.field import load_field
    from fieldrx.viewer import write_viewer

    loaded = load_field(field)
    _writable(output, field)
    write_viewer(loaded, output, field.stem if title is None else title, precision)
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, open it in a browser")


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.argument("points", metavar="POINTS.csv", type=_file)
def query(field, points):
    """Refractive index at points: a table of z_um,y_um,x_um in, the same with n_real,n_imag out.

    FIELD may be an ensemble: two columns more, std_real,std_imag, give the standard deviation. Outside the
    field's domain the index is that of the medium.
    """
    from fieldrx.ensemble import Ensemble, load_field_or_ensemble

    loaded = load_field_or_ensemble(field)
    zyx = _read_points(points)
    columns = {"n": loaded(zyx)}
    if isinstance(loaded, Ensemble):
        columns = dict(zip(("n", "std"), columns["n"], strict=True))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [f"{name}_{part}" for name in columns for part in ("real", "imag")]
    writer.writerow(["z_um", "y_um", "x_um", *names])
    for place, *values in zip(zyx.tolist(), *columns.values(), strict=True):
        numbers = [f"{part:.9f}" for value in values for part in (value.real, value.imag)]
        writer.writerow([*map(repr, place), *numbers])


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option("-o", "--output", metavar="ENSEMBLE.npz", type=_file, required=True)
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
@click.option("--std", metavar="STD.npz", type=_file, default=None, help="Also write its std as a volume.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of images and order.")
@_device
@_quiet
def ensemble(field, acquisition, output, members, steps, folds, no_twin, std, seed, device, quiet):
    """Train fields around FIELD on parts of its images: a mean and a standard deviation at every point.

    The standard deviation is calibrated by the images that FIELD held out, and by a twin: a fit to images
    that FIELD itself would give, whose error is therefore known.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.ensemble import make_ensemble
    from fieldrx.errors import in_file
    from fieldrx.evaluation import verdict_of_folds
    from fieldrx.field import load_field
    from fieldrx.volume import write_volume

    for path in (output, std) if std else (output,):
        _writable(path, field, acquisition)
        if path.suffix.lower() != ".npz":
            raise InputError(f"{path}: is saved as .npz; choose a name with that ending")
    if std and std.resolve() == output.resolve():
        raise InputError(f"--std {std} would replace the ensemble; choose another name")
    loaded, acq = load_field(field), read_acquisition(acquisition)
    with in_file(acquisition), _reporting(quiet) as reporter:
        made = make_ensemble(loaded, acq, members, steps, seed, reporter, folds, device, not no_twin)
    made.save(output)
    if std:
        write_volume(std, made.to(device).volume()[1])
    if not quiet:
        told = made.calibration
        for note in told["notes"]:
            click.echo(f"note: {note}", err=True)
        click.echo(
            f"{output}: {members} members, held-out error of their mean {told['nrmse_holdout']:.4f}; spread "
            f"calibrated by a factor of {made.factor:.3g} on {len(told['images'])} unseen images"
            + (
                f" ({told['factor_images']:.3g}) and a twin ({told['factor_twin']:.3g})"
                if not no_twin
                else ""
            )
        )
        if folds:
            known = verdict_of_folds(told["folds"])
            click.echo(f"cross-validation, every fitted image by a member that never saw it: {known}")


@main.command()
@click.argument("field", metavar="FIELD", type=_file)
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option("-o", "--output", metavar="REPORT.html", type=_file, required=True)
@click.option(
    "--ensemble", metavar="ENSEMBLE.npz", type=_file, default=None, help="Adds maps of uncertainty."
)
@_device
def report(field, acquisition, output, ensemble, device):
    """Write what was measured, what was inferred and how far to trust it: one HTML file."""
    from fieldrx.acquisition import read_acquisition
    from fieldrx.ensemble import load_ensemble
    from fieldrx.errors import in_file
    from fieldrx.field import load_field
    from fieldrx.report import write_report

    _writable(output, field, acquisition)
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: a report is saved as .html; choose a name with that ending")
    loaded, acq = load_field(field).to(device), read_acquisition(acquisition)
    known = None if ensemble is None else load_ensemble(ensemble).to(device)
    if "model" not in loaded.provenance:
        raise InputError(f"{field} does not say with which model it was fitted: save it from a fit")
    with in_file(acquisition):
        numbers = write_report(loaded, acq, output, known, device)
    click.echo(f"{output}: {numbers.get('verdict', 'no image was held out')}")


@main.command()
@click.argument("volume", metavar="VOLUME", type=_file)
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option("-o", "--output", metavar="OUT.npz", type=_file, required=True)
@click.option(
    "--model", default="born", show_default=True, help="Image formation: born, rytov, bpm, ssnp or mlb."
)
@click.option(
    "--image-shape",
    nargs=2,
    type=click.IntRange(min=1),
    default=None,
    metavar="NY NX",
    help="Pixels of the images. Default: those of ACQ.",
)
@click.option(
    "--photons", type=float, default=None, help="Photons per pixel of the empty field: Poisson noise."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@_device
def simulate(volume, acquisition, output, model, image_shape, photons, seed, device):
    """Images of a known VOLUME with the optics of ACQ."""
    from fieldrx.acquisition import read_acquisition
    from fieldrx.simulation import simulate as simulate_images
    from fieldrx.volume import read_volume

    _writable(output, volume, acquisition)
    if output.suffix.lower() != ".npz":
        raise InputError(f"{output}: an acquisition is saved as .npz; choose a name with that ending")
    acq = read_acquisition(acquisition, images="optional" if image_shape else "required")
    result = simulate_images(read_volume(volume), acq, model, image_shape, photons, seed, device)
    result.save(output)
    click.echo(
        f"{output}: {result.n_images} images of {result.image_shape[0]} x {result.image_shape[1]} pixels"
    )


@main.command()
@click.argument("acquisition", metavar="ACQ", type=_file)
@click.option(
    "-o",
    "--output",
    metavar="OUT.toml",
    type=_file,
    required=True,
    help="The corrected acquisition; its table and a picture of the pupil plane are written beside it.",
)
@click.option(
    "--depth",
    type=_Numbers((2,), "Z0:Z1 in um"),
    default=None,
    help="Between which heights the sample lies, Z0:Z1 in um from the focus, if you know: settles the sign.",
)
@click.option(
    "--contrast",
    type=click.Choice(["positive", "negative", "unknown"]),
    default="positive",
    show_default=True,
    help="Whether the sample's index is above the medium's: settles the sign where --depth does not.",
)
@_quiet
def calibrate(acquisition, output, depth, contrast, quiet):
    """Find where the light of ACQ really came from, from its images.

    Held-out images are not looked at: the LED board that the others show gives their directions.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.calibration import calibrate as calibrate_images
    from fieldrx.calibration import check_target, write_calibrated
    from fieldrx.errors import in_file

    _writable(output, acquisition)
    acq = read_acquisition(acquisition)
    check_target(output, acquisition)
    with in_file(acquisition):
        found = calibrate_images(acq, depth, contrast)
    written = write_calibrated(output, acquisition, found)
    if quiet:
        return
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(", ".join(map(str, written)))


@main.command()
@click.argument("path", metavar="PATH", type=_file)
def info(path):
    """What a file holds, in words and units."""
    from fieldrx.describe import describe

    for name, text in describe(path):
        click.echo(f"{name:<18}{text}")


@main.command()
@click.option("--images", type=click.IntRange(min=1), default=100, show_default=True, help="Images of a job.")
@click.option(
    "--shape",
    nargs=3,
    type=click.IntRange(min=1),
    default=(64, 512, 512),
    show_default=True,
    metavar="NZ NY NX",
    help="Voxels of its grid.",
)
def doctor(images, shape):
    """Versions, devices, threads, kernels that compile, memory that a job needs."""
    from fieldrx.describe import examine

    healthy = True
    for name, text, good in examine(images, shape):
        click.echo(f"{'ok  ' if good else 'FAIL'} {name:<16}{text}")
        healthy &= good
    sys.exit(0 if healthy else 1)


def _end(field, verdict, quiet, short=False):
    """Say what a field is worth, and leave with the status that tells it, unless the fit was cut short."""
    done = field.provenance
    if done["interrupted"]:
        click.echo(f"stopped after {done['steps_done']} steps; --resume continues", err=True)
        sys.exit(STOPPED)
    for text in [] if quiet else (verdict.sentence, *(f"advice: {advice}" for advice in verdict.advice)):
        click.echo(text)
    if verdict.failed and not short:
        sys.exit(NOTHING)


def _resumed(resume, checkpoint):
    """Whether a fit goes on from its checkpoint, and what to say of it."""
    there = checkpoint.exists()
    if resume == "yes" and not there:
        raise InputError(
            f"there is no checkpoint {checkpoint} to resume from: start without --resume, or with "
            "--resume auto"
        )
    if resume != "auto":
        return bool(resume), []
    says = f"continues from {checkpoint}" if there else f"starts anew: there is no checkpoint {checkpoint}"
    return there, [f"the fit {says}"]


def _saved(output, field):
    """One line about a field that was saved."""
    done, error = field.provenance, field.provenance["nrmse_holdout"]
    return (
        f"{output}: {field.network.n_params + field.encoding.n_params} parameters, "
        f"{output.stat().st_size / 1e6:.1f} MB, {done['steps_done']} steps in {done['seconds']:.0f} s"
        + ("" if error is None else f", held-out error {error:.4f}")
    )


def _notes_on_totals(field, quantity, plane, projection):
    """What to say beside values that people add up."""
    from fieldrx.totals import totals

    name = getattr(quantity, "name", quantity)
    first = field.members[0] if hasattr(field, "members") else field
    adds_up = name in ("dry-mass", "phase") and plane is None and projection in (None, "path")
    return [totals(field).sentence] if adds_up and "microscope" in first.provenance else []


def _find_depth(acq, holdout, seed):
    from fieldrx.fit import split_images
    from fieldrx.refocus import find_depth

    if acq.images is None:
        raise InputError("the acquisition has no images to refocus")
    found = find_depth(acq, split_images(acq, holdout, seed)[0])
    return found.depth, found.note


def _depth_notes(acq, depth):
    from fieldrx.optics import sampling_notes, slice_positions

    z = slice_positions(depth)
    dz = z[1] - z[0]
    notes = sampling_notes(acq.microscope, acq.illumination, dz)
    if abs(dz / depth[2] - 1) > 1e-3:
        notes.append(f"{len(z)} slices {dz:.5g} um apart, so that both ends of --depth are slices")
    return notes


def _writable(path, *inputs):
    if any(path.resolve() == other.resolve() for other in inputs):
        raise InputError(f"{path} would replace what it is made from; choose another name")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: there is no folder {folder}; make it first")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise InputError(f"{path} is a folder; give the name of a file")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: the folder {folder} cannot be written to")


def _counted(reporter, what):
    """A callback (done, of how many) that tells a reporter."""
    from fieldrx.fit import Progress

    return lambda done, total: reporter(Progress(what, done, total))


def _percent(reporter, what):
    """The same for numbers too large to read."""
    told = _counted(reporter, what)
    return lambda done, total: told(round(100 * done / total), 100)


def _read_points(path):
    from fieldrx.io import check_file

    check_file(path, "table of points")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            wanted = ("z_um", "y_um", "x_um")
            missing = [name for name in wanted if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path} has columns {rows.fieldnames}; expected z_um,y_um,x_um in its first line"
                )
            points = []
            for row in rows:
                try:
                    points.append([float(row[name]) for name in wanted])
                except (TypeError, ValueError):
                    raise InputError(
                        f"{path}, line {rows.line_num}: expected three numbers, got {list(row.values())}"
                    ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no csv table: {error}") from None
    zyx = np.array(points, float).reshape(-1, 3)
    if not np.isfinite(zyx).all():
        bad = int(np.flatnonzero(~np.isfinite(zyx).all(axis=1))[0])
        raise InputError(f"{path}, point {bad}: coordinates must be finite numbers in um")
    return zyx
