"""What `reconstruct` does where the acquisition has time: a film."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldrx.cli.progress import reporting
from fieldrx.cli.status import STOPPED, leave
from fieldrx.cli.text import counted, echo
from fieldrx.errors import InputError, in_file
from fieldrx.parallel import world

if TYPE_CHECKING:
    from fieldrx.acquisition import Frames
    from fieldrx.timelapse import Film
    from fieldrx.verdict import Verdict


def film(
    acquisition: Path,
    frames: Frames,
    output: Path,
    resume: str | None,
    follow_s: float | None,
    quiet: bool,
    options: dict[str, Any],
) -> tuple[Film, Verdict]:
    """Make a film, save it, and tell of it.

    Parameters
    ----------
    acquisition : Path
    frames : Frames
        That it tells of.
    output : Path
    resume : str or None
        "yes", "auto", or not at all.
    follow_s : float or None
        How long to wait for a further frame [s].
    quiet : bool
    options : dict
        As of `fieldrx.timelapse.make_film`, depth and model included.

    Returns
    -------
    Film
    Verdict
        Of the first frame, by which all was settled.
    """
    from fieldrx.timelapse import make_film
    from fieldrx.timelapse.kept import folder_of
    from fieldrx.verdict import judge

    there = output.is_file() or folder_of(output).is_dir()
    if resume == "yes" and not there:
        raise InputError(
            f"there is neither a film {output} nor a folder {folder_of(output)} to resume from: start "
            "without --resume, or with --resume auto"
        )
    if world().size > 1:
        raise InputError(
            f"a film goes from frame to frame, in one process; there are {world().size} ranks: start it "
            "without mpiexec"
        )
    with in_file(acquisition), reporting(quiet) as reporter:

        def say(text: str) -> None:
            reporter.close()
            if not quiet:
                echo(text, err=True)

        made = make_film(
            frames, path=output, resume=bool(resume), follow_s=follow_s, say=say, callback=reporter, **options
        )
    if not quiet:
        echo(_saved(output, made))
    first, number = made.fields[0], made.provenance["frames"][0]["number"]
    if first.provenance.diverged:
        leave(f"{first.provenance.diverged} of frame {number}, from which {output} goes on", 1)
    if made.provenance["interrupted"]:  # what it is worth is told at its end
        leave("stopped within a frame; --resume continues", STOPPED)
    verdict = judge(first, frames.read(number), options["device"])
    return made, replace(verdict, sentence=f"frame {number}, the first, is {verdict.sentence}")


def _saved(output: Path, made: Film) -> str:
    """One line about a film that was saved."""
    told, skipped = made.provenance["frames"], len(made.provenance["skipped"])
    errors = [frame["nrmse_holdout"] for frame in told if frame["nrmse_holdout"] is not None]
    words = f", held-out errors {min(errors):.4f} to {max(errors):.4f}" if errors else ""
    return (
        f"{output}: {counted(len(told), 'frame')}, {made.span}, {output.stat().st_size / 1e6:.1f} MB, "
        f"{sum(frame['seconds'] for frame in told):.0f} s{words}"
        + (f"; left out: {skipped}" if skipped else "")
    )
