"""Commands that make fields: demo, reconstruct, run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fieldrx.cli.ending import end, resumed, saved, stop
from fieldrx.cli.options import (
    FILE,
    Depth,
    Duration,
    Real,
    Tiles,
    Weight,
    Whole,
    budget_option,
    check_ending,
    check_length,
    check_output,
    device_option,
    quiet_option,
    steps_option,
)
from fieldrx.cli.progress import reporting, speaker
from fieldrx.cli.status import leave
from fieldrx.cli.stopping import Stoppable
from fieldrx.cli.text import echo
from fieldrx.errors import InputError
from fieldrx.parallel import by_first, world


@click.command()
@click.argument("name", metavar="[cell|bead|dark-field]", default="cell")
@click.option(
    "--out",
    type=FILE,
    default=None,
    help="Folder of the results. Default: fieldrx-demo, or fieldrx-demo-NAME.",
)
@click.option("--steps", type=Whole(min=1), default=None, help="Steps of a fit (fewer is quicker).")
@click.option("--list", "listed", is_flag=True, help="Say which examples there are, and under which licence.")
@quiet_option
def demo(name: str, out: Path | None, steps: int | None, listed: bool, quiet: bool) -> None:
    """Simulate an example, reconstruct it, and report: about two minutes on two cores.

    \b
    fieldrx demo                  # an invented cell, beside a closed-form inversion
    fieldrx demo bead             # a bead of known radius and index, measured
    fieldrx demo dark-field       # bars that bright field alone cannot part

    What an example makes is known, and printed beside what came out.
    """
    from fieldrx.demo import LICENCE, SAMPLES, run_demo, sample_called

    if listed:
        for known, sample in SAMPLES.items():
            echo(f"{known:<12}{sample.what}; {LICENCE}")
        return
    usual = sample_called(name).steps
    folder = out or Path("fieldrx-demo" if name == "cell" else f"fieldrx-demo-{name}")
    with reporting(quiet) as reporter:
        outcome = run_demo(folder, steps=steps, callback=reporter, say=speaker(quiet), name=name)
    echo()
    echo(f"{'':<26}" + "".join(f"{head:>18}" for head in outcome.heads))
    for row, numbers in outcome.rows:
        echo(f"{row:<26}" + "".join(f"{number:>18.3f}" for number in numbers))
    echo(outcome.note)
    if steps is not None and steps < usual:
        echo(f"after {steps} of {usual} steps: errors are lower without --steps")
    echo()
    for path, what in outcome.pictures:
        echo(f"{path}  {what}")


class _Fitting(Stoppable):
    """The command of a fit: --resume may stand alone."""

    stopped = "interrupted, no field saved: call it again, with --resume auto"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        followed = zip(args, [*args[1:], None], strict=True)  # click would take ACQ for the value of --resume
        args = ["--resume=yes" if a == "--resume" and b != "auto" else a for a, b in followed]
        return super().parse_args(ctx, args)


@click.command(cls=_Fitting)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option(
    "-o", "--output", metavar="FIELD.npz", type=FILE, required=True, help="Where the field is saved."
)
@click.option(
    "--depth",
    type=Depth(),
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
@steps_option
@budget_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["half", "float32"]),
    default=None,
    help="Of the network's products on a GPU. Default: half, float32 for a sine. A CPU takes float32.",
)
@click.option(
    "--holdout",
    type=Real(0, 1, max_open=True),
    default=None,
    help="Share of the images held out, unless ACQ names its own. Default: 0.1.",
)
@click.option(
    "--grid-um",
    type=Real(min=0, min_open=True),
    default=None,
    help="Widest lateral voxels in um; the next smaller ones that fit the pixels are taken. Default: what "
    "the optics resolve, or the pixels.",
)
@click.option("--preset", default=None, help="A published architecture: decaf or decaf-small.")
@click.option(
    "--tv",
    type=Weight(),
    default=None,
    help="Weight of the total variation of index and absorption; auto chooses it by unseen images, which "
    "doubles the time. Default: 0.6 (3 for ssnp, bpm, mlb).",
)
@click.option(
    "--loss",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="squared; huber[:THRESHOLD] against dirt and unmasked saturation; poisson[:PHOTONS[:READ_NOISE]]; "
    "auto is huber where images are in dark field, else squared.",
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
    "--tiles",
    type=Tiles(),
    default="auto",
    show_default=True,
    help="Fit a large frame tile by tile: most pixels along a tile's side; off for one field; auto where the "
    "memory, the field or the light's changing directions need it.",
)
@click.option(
    "--patience",
    type=Whole(min=0),
    default=None,
    help="Looks at the held-out images, one every 10 steps, without a lower error after which a fit stops "
    "early; 0 never stops early, nor does --budget. Default: 8.",
)
@click.option(
    "--seed",
    type=Whole(min=0),
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
@click.option(
    "--follow",
    type=Duration(),
    default=None,
    help="Of a film: wait for frames that are still being taken, so long after the last one: 90s, 5m, 1h.",
)
@quiet_option
def reconstruct(
    acquisition: Path, output: Path, depth: tuple[float, float, float] | str, model: str,
    steps: int | None, budget: float | None, device: str, precision: str | None, holdout: float | None,
    grid_um: float | None, preset: str | None, tv: float | str | None, refine: str | None, loss: str,
    no_absorption: bool, tiles: int | str,
    patience: int | None, seed: int, resume: str | None, follow: float | None, quiet: bool,
) -> None:  # fmt: skip
    """Fit a neural field to the images of ACQ (.toml, .npz or .h5).

    \b
    fieldrx reconstruct cell/acquisition.toml --depth -10:10:0.5 -o cell.npz

    Ctrl-C, SIGTERM, SIGUSR1 or --time-limit stops at the next step and saves the best field; --resume goes
    on from there. Of a large frame every tile gets a field of its own (--tiles), and FIELD.npz holds all.

    Where ACQ has time, FIELD.npz is a film: the first frame is fitted as any other images, every other goes
    on from the one before in a few steps. Frames that are done are kept in the folder FIELD.frames until all
    are. With --follow, Ctrl-C while nothing is being fitted ends the film.

    \b
    Exit status: 0 the fit has ended, 2 bad arguments or input, 1 a failure,
    3 a whole fit that is no better than the closed form or an empty sample,
    75 stopped: call again with --resume auto to go on.
    """
    from fieldrx.acquisition import Windowed, film_of
    from fieldrx.backends import describe_device
    from fieldrx.cli.filming import film
    from fieldrx.cli.tiling import reconstruct_tiles
    from fieldrx.errors import in_file
    from fieldrx.fit import Parts, checkpoint_arguments
    from fieldrx.io import remove_file
    from fieldrx.models import MODELS
    from fieldrx.plan import plan_of
    from fieldrx.reconstruction import prepare
    from fieldrx.refinement import parse_refine
    from fieldrx.verdict import judge

    if model not in (*MODELS, "auto"):
        raise InputError(f'there is no model "{model}"; expected auto or one of {", ".join(MODELS)}')
    kinds = None if refine is None else parse_refine(refine)
    check_length(steps, budget)
    check_output(output, acquisition)
    check_ending(output, "a field is", ".npz")
    schedule = {"seed": seed, "steps": steps, "budget_s": budget, "patience": patience}
    options: dict[str, Any] = {
        "depth": depth, "model": model, "tv": tv, "preset": preset, "holdout": holdout,
        "schedule": {name: value for name, value in schedule.items() if value is not None},
        "absorption": not no_absorption, "refine": kinds, "loss": loss, "device": device,
        "precision": precision, "grid_um": grid_um,
    }  # fmt: skip
    if frames := film_of(acquisition):
        if tiles != "auto":
            raise InputError(
                f"--tiles {tiles} cuts one large frame, and {acquisition} has time: leave it out"
            )
        _, verdict = film(acquisition, frames, output, resume, follow, quiet, options)
        end(verdict, quiet, short=bool(steps or budget))
        return
    if follow is not None:
        raise InputError(f"{acquisition} has no time, so there is nothing to --follow: see [images] time")
    checkpoint = output.with_suffix(".checkpoint.npz")
    frame, say = Windowed.open(acquisition), speaker(quiet)
    parts = Parts(output.with_suffix(".parts"), resume is not None)
    if reconstruct_tiles(frame, output, tiles, resume, quiet, parts, options):
        return
    goes_on, remarks = resumed(resume, checkpoint)
    acq = frame.whole()
    earlier = by_first(lambda: checkpoint_arguments(checkpoint)) if goes_on else None
    with in_file(acquisition), reporting(quiet) as reporter:
        fit = prepare(
            acq, origin={"automatic": []}, earlier=earlier, remarks=remarks, parts=parts, callback=reporter,
            **options,
        )  # fmt: skip
        if len(acq.holdout) and holdout is not None:
            fit.notes.append(f"{acquisition} names its own held-out images; --holdout is not used")
        say(f"device: {describe_device(fit.backend)}")
        for note in (*acq.notes, *fit.origin["automatic"], *fit.notes):
            say(f"note: {note}")
        if not quiet:  # of several ranks only the first one comes here: it measures nothing that all share
            measure = False if goes_on or world().size > 1 else None
            for line in plan_of(fit.problem, fit.backend, measure=measure).lines():
                say(line)
        told = set(fit.notes)
        field = fit.run(checkpoint, goes_on)
    field.save(output)
    for note in fit.notes:
        if note not in told | fit.noted:
            say(f"note: {note}")
    provenance = field.provenance
    if provenance.diverged:
        leave(f"{provenance.diverged}; {output} holds the best field before it", 1)
    if not quiet:
        echo(saved(output, field))
    if provenance.interrupted:
        stop(field)
    remove_file(checkpoint)
    parts.clear()
    end(judge(field, acq, device), quiet, short=bool(steps or budget))


@click.command(cls=Stoppable)
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=FILE,
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
@steps_option
@budget_option
@click.option(
    "--holdout",
    type=Real(0, 1, max_open=True, min_open=True),
    default=None,
    help="Share of the images held out, unless ACQ names its own. Default: 0.1.",
)
@click.option("--error-bars", is_flag=True, help="Also make an ensemble: takes about twice as long again.")
@click.option("--seed", type=Whole(min=0), default=0, show_default=True, help="Of all that is drawn.")
@click.option("--resume", is_flag=True, help="Go on where a run was stopped, as far as FOLDER tells.")
@device_option
@quiet_option
def run(
    acquisition: Path, output: Path, contrast: str, steps: int | None, budget: float | None,
    holdout: float | None, error_bars: bool, seed: int, resume: bool, device: str, quiet: bool,
) -> None:  # fmt: skip
    """From images to a field, a picture and a report, with everything chosen by the images.

    \b
    fieldrx run cell/acquisition.toml -o cell-result

    Calibrates where that helps, finds the depth, chooses the model, fits, and judges the result by images it
    never saw. Every choice is told with its evidence, and kept in FOLDER/log.json.

    Ctrl-C, SIGTERM, SIGUSR1 or --time-limit stops it; --resume goes on, with the choices that were made.

    Exit status 0; 3 if the result is no better than the closed form or an empty sample; 75 if it was stopped;
    2 if the input is wrong, or if only you can answer a question (--contrast).
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.backends import describe_device, get
    from fieldrx.errors import in_file
    from fieldrx.io import open_folder
    from fieldrx.workflow import folder

    check_length(steps, budget)
    acq = read_acquisition(acquisition)
    open_folder(output)
    schedule = ({"steps": steps} if steps else {}) | ({"budget_s": budget} if budget else {})
    say = speaker(quiet)
    say(f"device: {describe_device(get(device))}")
    for note in acq.notes:
        say(f"note: {note}")
    with in_file(acquisition), reporting(quiet) as reporter:

        def told(text: str) -> None:
            reporter.close()
            say(text)

        found, written = folder.run_in(
            acq, output, error_bars=error_bars, contrast=contrast, schedule=schedule, holdout=holdout,
            seed=seed, resume=resume, device=device, callback=reporter, say=told,
        )  # fmt: skip
    for path, what in [] if quiet else written:
        echo(f"{path}  {what}")
    if found.field.provenance.interrupted:
        stop(found.field)
    end(found.verdict, quiet, short=bool(steps or budget))
