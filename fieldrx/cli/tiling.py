"""What the commands do with frames that are fitted tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldrx.cli.ending import end
from fieldrx.cli.progress import reporting, speaker
from fieldrx.cli.status import leave
from fieldrx.cli.text import echo
from fieldrx.errors import InputError
from fieldrx.parallel import by_first, items_words

if TYPE_CHECKING:
    from fieldrx.acquisition import Windowed
    from fieldrx.fit import Parts


def reconstruct_tiles(
    frame: Windowed,
    output: Path,
    tiles: int | str,
    resume: str | None,
    quiet: bool,
    parts: Parts,
    options: dict[str, Any],
) -> bool:
    """Fit a frame tile by tile, save the mosaic and say what it is worth, where the frame needs it.

    Parameters
    ----------
    frame : Windowed
    output : Path
        Of the mosaic; tiles that are done wait in a folder beside it.
    tiles, resume, quiet
        As of ``fieldrx reconstruct``.
    parts : Parts
        Where trials wait until the mosaic is saved.
    options : dict
        Keyword arguments of `fieldrx.tiles.plan`, depth and model included.

    Returns
    -------
    bool
        False where one field will do: then nothing was done.
    """
    from fieldrx.backends import describe_device, get
    from fieldrx.tiles import discard, evaluate_mosaic, fit_tiles, kept_job, plan
    from fieldrx.verdict import judge_mosaic

    say, folder = speaker(quiet), output.with_suffix(".tiles")
    kept = by_first(lambda: kept_job(folder)) if resume else None
    with reporting(quiet) as reporter:
        job = plan(frame, tiles=tiles, kept=kept, parts=parts, callback=reporter, **options)
        if job is None:
            return False
        if resume == "yes" and kept is None:
            raise InputError(
                f"there are no tiles in {folder} to resume from: start without --resume, or with "
                "--resume auto"
            )
        say(f"device: {describe_device(get(options['device']))}")
        shared = items_words(len(job.tiling), "tiles")
        for note in (*frame.optics.notes, *job.notes, *([shared] if shared else [])):
            say(f"note: {note}")

        def told(text: str) -> None:
            reporter.close()
            say(text)

        mosaic = fit_tiles(job, folder, kept is not None, told)
        mosaic.save(output)
        by_first(lambda: discard(folder))
        parts.clear()
        numbers = evaluate_mosaic(mosaic, frame, device=options["device"], callback=reporter)
    if mosaic.provenance.diverged:
        leave(f"{mosaic.provenance.diverged}; {output} holds the best fields before that", 1)
    verdict = by_first(lambda: judge_mosaic(mosaic, numbers))
    if not quiet:
        size, seconds = output.stat().st_size / 1e6, mosaic.provenance.seconds
        error = f", held-out error {numbers['nrmse_holdout']:.4f}" if "nrmse_holdout" in numbers else ""
        echo(f"{output}: {len(mosaic.fields)} tiles, {size:.1f} MB, fitted in {seconds:.0f} s{error}")
    end(verdict, quiet, short=bool({"steps", "budget_s"} & set(options["schedule"])))
    return True
