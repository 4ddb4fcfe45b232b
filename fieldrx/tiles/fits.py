"""Fitting a frame tile by tile: what is kept on the way, and the mosaic that comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldrx._version import __version__
from fieldrx.acquisition import Acquisition, Windowed
from fieldrx.backends import get
from fieldrx.errors import InputError
from fieldrx.evaluation import same_images
from fieldrx.field import NeuralField, load_field
from fieldrx.fit import Options, Parts, settle_model, split_images
from fieldrx.io import atomic_path, remove_own
from fieldrx.optics import parse_depth, slice_positions
from fieldrx.parallel import by_first, over_ranks, world
from fieldrx.progress import Progress
from fieldrx.provenance import Provenance
from fieldrx.reconstruction import choose_depth, prepare
from fieldrx.tiles.choose import busiest, choose_tiles, is_large, usable_window
from fieldrx.tiles.mosaic import Mosaic
from fieldrx.tiles.plan import Tiling
from fieldrx.tuning import choose_tv, training_images

FORMAT, VERSION = "fieldrx-tiles", 1
_PLAN = "plan.json"


@dataclass(frozen=True)
class Job:
    """A frame's fit, with everything that is "auto" settled once for all tiles.

    Parameters
    ----------
    frame : Windowed
    tiling : Tiling
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    model : str
    options : dict
        Keyword arguments of `fieldrx.reconstruction.prepare`.
    notes : tuple of str
        What was chosen, and why.
    """

    frame: Windowed
    tiling: Tiling
    depth: Sequence[float]
    model: str
    options: dict[str, Any]
    notes: tuple[str, ...] = ()

    def asked(self) -> dict[str, Any]:
        """JSON values that tell this job from others."""
        options = {name: value for name, value in self.options.items() if name != "callback"}
        return {
            "format": FORMAT,
            "version": VERSION,
            "optics": self.frame.optics.fingerprint()["optics"],
            "tiling": self.tiling.to_dict(),
            "depth": [float(d) for d in self.depth],
            "model": self.model,
            "options": json.loads(json.dumps(options, default=str)),
            "notes": list(self.notes),
        }


def plan(
    frame: Windowed,
    depth: Sequence[float] | str,
    model: str = "auto",
    tiles: int | str = "auto",
    tv: float | str | None = None,
    kept: dict[str, Any] | None = None,
    parts: Parts | None = None,
    **options: Any,
) -> Job | None:
    """The job of fitting a frame tile by tile, or None where one field will do.

    Parameters
    ----------
    frame : Windowed
    depth, model, tv
        As of `fieldrx.reconstruction.reconstruct`; "auto" is settled by the window whose images vary most.
    tiles : int or str
        As of `choose_tiles`.
    kept : dict, optional
        What an interrupted job was, of `kept_job`: what it settled then holds.
    parts : Parts, optional
        Where the trials of the total variation are kept.
    **options
        As of `fieldrx.reconstruction.prepare`.

    Raises
    ------
    InputError
        As of `choose_tiles` and `prepare`.
    """
    if kept is not None:
        return _again(frame, depth, model, tiles, tv, kept, options)
    if tiles == "off" or (tiles == "auto" and not is_large(frame)):
        return None
    notes: list[str] = []
    seen = busiest(frame) if "auto" in (depth, model, tv) else None
    if seen is not None and depth == "auto":
        depth, why = choose_depth(seen, options.get("holdout"), options.get("schedule"))
        notes.append(why)
    heights = world().agree(_heights(depth))  # whose last bits may differ between ranks, as may their memory
    backend = get(options.get("device", "auto"))
    chosen, why = world().agree(choose_tiles(frame, heights, backend, tiles))
    if chosen is None:
        return None
    notes.insert(0, why)
    if seen is not None and model == "auto":
        images = training_images(seen, options.get("holdout"), options.get("schedule"))
        model, why = settle_model(seen, heights, model, images, backend)
        notes.append(why)
    if seen is not None and tv == "auto":
        of_trials = {name: value for name, value in options.items() if name != "refine"}
        tv, why = choose_tv(seen, heights, model, parts=parts, **of_trials)
        notes.append(why)
    model, tv = world().agree((model, tv))
    held = _held_out(frame, options)
    return Job(held, chosen, heights, model, {"tv": tv, **options}, tuple(notes))


def _held_out(frame, options):
    """The frame with the images that all of its tiles hold out, where it names none."""
    if len(frame.optics.holdout):
        return frame
    asked = Options(schedule=options.get("schedule"), holdout=options.get("holdout"))
    _, held = split_images(frame.optics, asked.holdout, asked.seed)
    return replace(frame, optics=replace(frame.optics, holdout=held))


def _again(frame, depth, model, tiles, tv, kept, options):
    """An interrupted job, whose choices hold."""
    depth = _heights(kept["depth"] if depth == "auto" else depth)
    model = kept["model"] if model == "auto" else model
    tv, tiling = kept["options"].get("tv") if tv == "auto" else tv, Tiling.from_dict(kept["tiling"])
    if tiling.shape != frame.shape:
        raise InputError(
            f"the kept tiles are of a frame of {' x '.join(map(str, tiling.shape))} pixels, this one has "
            f"{' x '.join(map(str, frame.shape))}: start without --resume"
        )
    if tiles == "off" or (
        tiles != "auto" and choose_tiles(frame, depth, get(options.get("device", "auto")), tiles)[0] != tiling
    ):
        raise InputError(
            f"--tiles {tiles} cannot change the tiles of a job that goes on: leave it out, or --resume"
        )
    held = _held_out(frame, options)
    return Job(held, tiling, depth, model, {"tv": tv, **options}, tuple(kept["notes"]))


def _heights(depth):
    """A depth as numbers."""
    return parse_depth(depth) if isinstance(depth, str) else depth


def kept_job(folder: Path) -> dict[str, Any] | None:
    """What the job was, whose tiles a folder keeps; None where there is none.

    Raises
    ------
    InputError
        If the folder's plan is damaged.
    """
    path = folder / _PLAN
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        whole = kept["format"] == FORMAT and isinstance(kept["options"], dict)
        Tiling.from_dict(kept["tiling"])
        slice_positions(kept["depth"]), [str(note) for note in kept["notes"]], str(kept["model"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError):  # InputError is a ValueError
        whole = False
    if not whole:
        raise InputError(f"{path} is damaged: call without --resume to start anew")
    return kept


def fit_tiles(
    job: Job, folder: Path, resume: bool = False, say: Callable[[str], object] = lambda text: None
) -> Mosaic:
    """Fit all tiles, one after the other or shared out over ranks, and join them.

    What is done stands in a folder, a field a tile and the checkpoint of the one under way, until the caller
    has saved the mosaic and calls `discard`.

    Parameters
    ----------
    job : Job
    folder : Path
        Made if needed.
    resume : bool
        Keep the tiles that are there.
    say : callable
        Told in words of every tile that is done.

    Returns
    -------
    Mosaic

    Raises
    ------
    InputError
        If the folder holds tiles of another job, or no tile can be fitted.
    KeyboardInterrupt
        If the job was stopped; ``resume`` goes on.
    """
    by_first(lambda: open_job(job, folder, resume))
    tiles, windows = list(job.tiling), _Windows(job)

    def fit(k: int) -> str | None:
        seen = windows.read(k)
        if seen is None:
            why = "none of its images has a valid pixel and light within the pupil"
            say(f"note: {tiles[k].name} is left empty: {why}")
            return why
        _fit_tile(job, tiles[k], seen, folder, resume, say)
        return None

    with windows:
        failures = over_ranks(fit, len(tiles))
    failed = {k: why for k, why in enumerate(failures) if why is not None}
    fields = {k: load_field(_kept(folder, tile)) for k, tile in enumerate(tiles) if k not in failed}
    world().barrier()  # the first rank may discard them now
    if not fields:
        raise InputError(failed[0])
    like = next(iter(fields.values()))
    fields |= {k: _empty(like, why) for k, why in failed.items()}
    return Mosaic(
        tuple(fields[tile.number] for tile in tiles),
        job.tiling,
        job.frame.optics.microscope.pixel_size_um,
        _provenance(job, [fields[tile.number] for tile in tiles]),
    )


def open_job(job: Job, folder: Path, resume: bool) -> None:
    """A folder for a job's tiles: that of the same job, or a new one.

    Raises
    ------
    InputError
        If it holds tiles of another job that `resume` would keep.
    """
    if resume and (kept := kept_job(folder)) is not None:
        differ = [k for k, v in job.asked().items() if k != "notes" and kept.get(k) != v]
        if differ:
            raise InputError(
                f"{folder} holds tiles of a job with other settings ({', '.join(differ)}): call with those, "
                "or without --resume to start anew"
            )
        return
    discard(folder)
    folder.mkdir(parents=True)
    with atomic_path(folder / _PLAN) as temporary:
        temporary.write_text(json.dumps(job.asked(), indent=1), encoding="utf-8")


def discard(folder: Path) -> None:
    """Remove what `fit_tiles` kept, if it is that.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    remove_own(folder, (_PLAN, "tile_*.npz"))


class _Windows:
    """Windows of a job's tiles; the next one of this rank is read while the one at hand is fitted."""

    def __init__(self, job: Job):
        self.job, self.tiles, self.step = job, list(job.tiling), world().size
        self.reader = ThreadPoolExecutor(1)
        self.ahead: dict[int, Future[Acquisition | None]] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.shutdown(cancel_futures=True)

    def read(self, k: int) -> Acquisition | None:
        """The images of tile k; None where none can be used."""
        for number in (k, k + self.step):
            if number < len(self.tiles) and number not in self.ahead:
                self.ahead[number] = self.reader.submit(usable_window, self.job.frame, self.tiles[number])
        return self.ahead.pop(k).result()


def _kept(folder, tile):
    """Where the field of a tile that is done stands."""
    return folder / f"tile_{tile.number}.npz"


def _fit_tile(job, tile, seen, folder, resume, say):
    """Fit one tile, or go on with it, and keep its field; nothing is done where that stands."""
    kept, checkpoint = _kept(folder, tile), folder / f"tile_{tile.number}.checkpoint.npz"
    if resume and kept.exists() and same_images(load_field(kept), seen):
        return
    tell = job.options.get("callback")
    options = dict(job.options)
    if isinstance(schedule := options.get("schedule"), dict) and schedule.get("budget_s") is not None:
        options["schedule"] = schedule | {"budget_s": schedule["budget_s"] / len(job.tiling)}
    if tell is not None:
        options["callback"] = _counted(tell, tile, len(job.tiling))
    fit = prepare(seen, job.depth, job.model, **options)
    field = fit.run(checkpoint, resume and checkpoint.exists())
    if field.provenance.interrupted:
        raise KeyboardInterrupt
    field.save(kept)
    checkpoint.unlink(missing_ok=True)
    error = field.provenance.nrmse_holdout
    say(
        f"{tile.name} of {len(job.tiling)}: {field.provenance.steps_done} steps in "
        f"{field.provenance.seconds:.0f} s" + ("" if error is None else f", held-out error {error:.4f}")
        + (f"; {field.provenance.diverged}" if field.provenance.diverged else "")
    )  # fmt: skip


def _counted(tell, tile, count):
    """A callback that says which tile it is told of."""

    def told(progress: Progress) -> None:
        tell(replace(progress, stage=f"{tile.number + 1}/{count} {progress.stage}"))

    return told


def _empty(like, why):
    """A field of nothing, for a tile that cannot be fitted."""
    origin = {**like.provenance.origin, "left_empty": why}
    provenance = replace(
        like.provenance, nrmse_holdout=None, nrmse_closed_form=None, acquisition=None, optics=None,
        steps_done=0, seconds=0.0, diverged=None, origin=origin,
    )  # fmt: skip
    return replace(like, output_scale=0.0, provenance=provenance, history={})


def _provenance(job: Job, fields: list[NeuralField]) -> Provenance:
    """Of the whole: what all tiles share, and their sums."""
    first = fields[0].provenance
    return replace(
        first,
        fieldrx=__version__,
        name=job.frame.optics.name,
        acquisition=None,
        grid=None,
        steps_done=sum(one.provenance.steps_done or 0 for one in fields),
        best_step=None,
        seconds=sum(one.provenance.seconds or 0.0 for one in fields),
        nrmse_holdout=None,
        nrmse_closed_form=None,
        optics=None,
        diverged="; ".join(
            f"tile {k}: {one.provenance.diverged}" for k, one in enumerate(fields) if one.provenance.diverged
        )
        or None,
        notes=list(job.notes),
        origin={"tiles": len(fields), "resolution": first.origin.get("resolution")},
    )
