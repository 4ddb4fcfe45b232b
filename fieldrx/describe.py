"""What a file holds and what a machine can do, in words and units."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from fieldrx._version import __version__
from fieldrx.acquisition import Acquisition, read_acquisition
from fieldrx.backends import cuda_unavailable, describe_device, get, n_threads, to_host
from fieldrx.errors import InputError, one_line
from fieldrx.field import Hash, Network, load_field
from fieldrx.field.neural_field import FORMAT
from fieldrx.io import check_file, load_npz
from fieldrx.optics import Resolution, sampling_notes
from fieldrx.resources import memory_limit, total
from fieldrx.volume import read_volume

_ENSEMBLE = "fieldrx-ensemble"  # fieldrx.ensemble.FORMAT, which would bring the whole fit with it
_MOSAIC = "fieldrx-mosaic"  # fieldrx.tiles.mosaic.FORMAT, likewise
_FILM = "fieldrx-film"  # fieldrx.timelapse.FORMAT, likewise
_OTHER_NAMES = {"cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x")}  # of distributions


def describe(path: str | os.PathLike) -> list[tuple[str, str]]:
    """Pairs (name, text) that say what a field, ensemble, film, volume, acquisition or checkpoint holds.

    Raises
    ------
    InputError
        If the file is missing, damaged, or none of these.
    """
    path = check_file(path, "a field, volume, acquisition or checkpoint")
    if path.suffix.lower() != ".npz":
        return _describe_acquisition(path)
    keys = load_npz(path, "file")
    if str(keys.get("format", "")) == FORMAT:
        return _describe_field(path)
    if str(keys.get("format", "")) == _ENSEMBLE:
        return _describe_ensemble(path)
    if str(keys.get("format", "")) == _MOSAIC:
        return _describe_mosaic(path)
    if str(keys.get("format", "")) == _FILM:
        return _describe_film(path)
    if "contrast" in keys:
        return _describe_volume(path)
    if {"arguments", "params", "step"} <= set(keys):
        if (step := keys["step"]).shape != () or step.dtype.kind not in "iu":
            raise InputError(f"{path} is damaged: its step is no whole number; start anew without --resume")
        return [("checkpoint", f"of an interrupted fit, after {step} steps: reconstruct --resume")]
    if {"illumination_na", "sources_na"} & set(keys):
        return _describe_acquisition(path)
    raise InputError(
        f"{path} holds {', '.join(keys) or 'nothing'}: no field, volume, acquisition or checkpoint"
    )


def _describe_field(path):
    field = load_field(path)
    provenance, network = field.provenance, field.network
    fitted = [f"with {provenance.model}"] if provenance.model else []
    fitted += [f"{provenance.steps_done} steps, {provenance.seconds:.0f} s"] if provenance.fitted else []
    fitted += [f"fieldrx {provenance.fieldrx}"] if provenance.fieldrx else []
    held = len(provenance.held)
    ranges = [f"{n} {a:.6g} ... {b:.6g}" for n, (a, b) in zip("zyx", field.region_um, strict=True)]
    error, source = provenance.nrmse_holdout, provenance.origin.get("imported")
    made = ("fitted", f"to {provenance.name or 'an acquisition'} {', '.join(fitted)}".rstrip())
    if isinstance(source, dict):
        made = ("imported", f"from {source.get('from')}, {source.get('checkpoint')}")
    rows = [
        ("field", f"refractive index n(z, y, x), {field.params.size} parameters, {_size(path)}"),
        ("region", ", ".join(ranges) + " um"),
        ("medium", f"index {field.medium_index:g}, {field.quantity} scale {field.output_scale:.3g}"),
        ("encoding", f"{type(field.encoding).__name__.lower()}, {field.encoding.n_features} features"),
        (
            "network",
            f"{network.depth} x {network.width}, {network.activation}, skips {list(network.skips)}, "
            + ("index and absorption" if network.n_outputs > 1 else "index only"),
        ),
        made,
        ("held-out error", "unknown" if error is None else f"{error:.4f} over {held} images"),
    ]
    if resolution := Resolution.recorded(provenance):
        rows.append(("resolution", resolution.words))
    if "compressed" in provenance.origin:
        rows.append(("compressed", _cost(provenance.origin["compressed"])))
    return rows + ([("interrupted", "yes: the fit had not ended")] if provenance.interrupted else [])


def _cost(told):
    """What a compressed field lost, and what it was."""
    return (
        f"the contrast changed by {100 * told['loss']:.2g}% at the voxels of the fit and by "
        f"{100 * told['loss_between']:.2g}% between them; it was {told['encoding']['kind']} and a network "
        f"of {told['network']['depth']} x {told['network']['width']}"
    )


def _describe_ensemble(path):
    from fieldrx.ensemble import load_ensemble
    from fieldrx.evaluation import verdict_of_folds

    ensemble = load_ensemble(path)
    told, first = ensemble.calibration, ensemble.members[0]
    ranges = [f"{n} {a:.6g} ... {b:.6g}" for n, (a, b) in zip("zyx", first.region_um, strict=True)]
    added = f"{ensemble.hidden:.2g} and {ensemble.relative:.1%} of the contrast"
    rows = [
        ("ensemble", f"{len(ensemble.members)} fields: mean and standard deviation of n, {_size(path)}"),
        ("region", ", ".join(ranges) + " um"),
        ("medium", f"index {ensemble.medium_index:g}"),
        ("calibration", f"spread times {ensemble.factor:.3g} and, added in squares, {added}, "
                        f"from {len(told.get('images', ()))} unseen images"),
    ]  # fmt: skip
    if "folds" in told:
        rows.append(("cross-validation", verdict_of_folds(told["folds"])))
    return rows + [("note", note) for note in told.get("notes", ())]


def _describe_mosaic(path):
    from fieldrx.tiles import load_mosaic

    mosaic = load_mosaic(path)
    provenance, tiling = mosaic.provenance, mosaic.tiling
    rows, cols = (len(starts) for starts in tiling.starts)
    ranges = [f"{n} {a:.6g} ... {b:.6g}" for n, (a, b) in zip("zyx", mosaic.region_um, strict=True)]
    return [
        ("mosaic", f"refractive index n(z, y, x) of {rows} x {cols} tiles of "
                   f"{' x '.join(map(str, tiling.window))} pixels, {_size(path)}"),
        ("region", ", ".join(ranges) + " um"),
        ("medium", f"index {mosaic.medium_index:g}"),
        ("fitted", f"to {provenance.name or 'an acquisition'} with {provenance.model}, "
                   f"{provenance.steps_done} steps in {provenance.seconds or 0:.0f} s, over all tiles"),
        *(("note", note) for note in provenance.notes or ()),
    ]  # fmt: skip


def _describe_film(path):
    from fieldrx.timelapse import load_film

    film = load_film(path)
    told, first = film.provenance, film.fields[0]
    frames, skipped = told.get("frames", ()), told.get("skipped", ())
    ranges = [f"{n} {a:.6g} ... {b:.6g}" for n, (a, b) in zip("zyx", first.region_um, strict=True)]
    rows = [
        ("film", f"refractive index n(t, z, y, x), {len(film.fields)} times, {_size(path)}"),
        ("times", film.span),
        ("region", ", ".join(ranges) + " um"),
        ("medium", f"index {film.medium_index:g}"),
    ]
    if first.provenance.model:
        rows.append(
            ("fitted", f"to {first.provenance.name or 'an acquisition'} with {first.provenance.model}")
        )
    for frame in frames:
        error = frame["nrmse_holdout"]
        how = "from nothing" if frame["from"] is None else f"from frame {frame['from']}"
        words = "" if error is None else f", held-out error {error:.4f}"
        rows.append((f"frame {frame['number']}", f"{film.said(frame['time'])}, {how}{words}"))
    rows += [("left out", f"frame {frame['number']}: {frame['why']}") for frame in skipped]
    return rows + (
        [("interrupted", "yes: frames that were there are not in it")] * bool(told.get("interrupted"))
    )


def _describe_volume(path):
    volume = read_volume(path)
    shape, spacing = (
        " x ".join(map(str, volume.contrast.shape)),
        ", ".join(f"{d:.6g}" for d in volume.spacing_um),
    )
    value = volume.contrast.real
    rows = [
        ("volume", f"index contrast, {shape} voxels (z, y, x), {volume.contrast.dtype}, {_size(path)}"),
        ("spacing", f"{spacing} um"),
        ("first voxel", ", ".join(f"{o:.6g}" for o in volume.origin_um) + " um (z, y, x)"),
        ("contrast", f"{value.min():.5g} ... {value.max():.5g} over medium {volume.medium_index:g}"),
    ]
    if np.iscomplexobj(volume.contrast):
        absorption = volume.contrast.imag
        rows.append(("absorption", f"{absorption.min():.5g} ... {absorption.max():.5g}"))
    return rows


def _describe_acquisition(path):
    return describe_acquisition(read_acquisition(path, images="named"), path)


def describe_acquisition(acq: Acquisition, path: str | os.PathLike) -> list[tuple[str, str]]:
    """Pairs (name, text) that say what an acquisition holds.

    Parameters
    ----------
    acq : Acquisition
    path : path-like
        Where it was read from: its name where it has none of its own.
    """
    scope, light = acq.microscope, acq.illumination
    na = np.linalg.norm(light.sources_na, axis=1)
    if acq.images is None:
        images = f"none named, optics for {acq.n_images}"
    else:
        y, x = acq.stack.shape[1:]
        pixel = scope.pixel_size_um
        images = f"{acq.n_images} of {y} x {x} pixels, {y * pixel:.4g} x {x * pixel:.4g} um"
    fill = f", of whose side {scope.pixel_fill:.0%} sees light" if scope.pixel_fill else ""
    rows = [
        ("acquisition", acq.name or Path(path).name),
        ("images", images),
        (
            "microscope",
            f"wavelength {scope.wavelength_um:g} um, NA {scope.objective_na:g}, medium "
            f"{scope.medium_index:g}, pixel {scope.pixel_size_um:.5g} um{fill}",
        ),
        ("illumination", f"{light.n_sources} sources, NA {na.min():.3g} ... {na.max():.3g}"),
        ("held out", ", ".join(map(str, acq.holdout)) or "none named"),
    ]
    if acq.images is not None:
        valid = 1.0 if acq.mask is None else float(acq.mask.mean())
        rms = float(np.sqrt(np.mean(np.square(acq.images - 1.0, dtype=np.float64)) / max(valid, 1e-12)))
        rows += [("normalised", acq.way)] if acq.way else []
        rows.append(("signal", f"root mean square of I - 1: {rms:.3g}; valid pixels {valid:.2%}"))
    return rows + [("note", note) for note in (*acq.notes, *sampling_notes(scope, light))]


def examine(n_images: int, shape: tuple[int, int, int]) -> Iterator[tuple[str, str, bool]]:
    """Triples (name, text, healthy) about versions, devices, kernels, and memory, as they are found.

    Parameters
    ----------
    n_images : int
    shape : (int, int, int)
        A job whose memory is estimated: images, and voxels of the model's grid.
    """
    from fieldrx.fit import fit_needs  # here: what a file holds is told without the whole fit

    yield "fieldrx", f"{__version__}, Python {platform.python_version()}, {platform.platform()}", True
    for package in ("numpy", "scipy", "numba", "click", "tifffile"):
        yield package, *_version(package, True)
    for package in ("cupy", "h5py", "zarr", "imageio-ffmpeg", "matplotlib"):
        yield package, *_version(package, False)
    yield _tried("threads", lambda: ("threads", _threads(), True))
    why = cuda_unavailable()
    yield _tried("gpu", lambda: ("gpu", why or describe_device(get("cuda")), True))
    yield _tried("kernels", lambda: _kernels(get("cpu"), "kernels"))
    yield _tried("kept kernels", lambda: ("kept kernels", _kept(), True))
    if not why:
        yield _tried("gpu kernels", lambda: _kernels(get("cuda"), "gpu kernels"))
    need, (have, limit) = total(fit_needs(shape, n_images)), memory_limit()
    job = f"{n_images} images, {' x '.join(map(str, shape))} voxels: about {need / 2**30:.1f} GiB"
    if have is None:
        yield "memory", job, True
    else:
        yield "memory", f"{job}; {limit} {have / 2**30:.1f}", need < have


def _tried(name, look):
    """What `look` finds, or why it cannot: settings, or an installation, with which nothing can be computed.

    Whatever an installation raises is what this is to tell.
    """
    try:
        return look()
    except Exception as error:
        return name, one_line(error), False


def _threads():
    """How many compute, of how many cores, and what limits them."""
    from fieldrx.backends.compiler import THREADS_LIMITED_BY

    why = f", by {THREADS_LIMITED_BY}" if THREADS_LIMITED_BY else ""
    return f"{n_threads()} of {os.cpu_count()} cores{why}"


def _kept():
    """Where compiled kernels are found the next time."""
    from fieldrx.backends.compiler import FOLDER

    return FOLDER or "nowhere: every start compiles anew; set NUMBA_CACHE_DIR to a folder that you may write"


def _kernels(backend, name):
    """Compile (or load) the kernels of a field on a device, and compare with the CPU's values at points."""
    begun = time.perf_counter()
    encoding = Hash.geometric((2, 2, 2), (4, 6, 5), levels=2, log2_table_size=8)
    network = Network(encoding.n_features, width=16, depth=1)
    rng = np.random.default_rng(0)
    params = np.concatenate([encoding.initial_params(rng) * 1e4, network.initial_params(rng)]).astype(
        np.float32
    )
    axes = [np.linspace(-0.9, 0.9, n, dtype=np.float32) for n in (2, 3, 4)]
    grid = to_host(backend.grid_forward(encoding, network, backend.asarray(params), *axes))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    cpu = get("cpu")
    values = cpu.field_forward(encoding, network, params, points)
    tolerance = 1e-5 if backend is cpu else 5e-3  # tensor cores multiply halves
    same = np.allclose(grid.reshape(2, -1).T, values, atol=tolerance)
    seconds = time.perf_counter() - begun
    return name, f"{'agree' if same else 'disagree'}, compiled or loaded in {seconds:.1f} s", bool(same)


def _version(package, required):
    for name in (package, *_OTHER_NAMES.get(package, ())):
        try:
            return version(name), True
        except PackageNotFoundError:
            continue
    return ("missing" if required else "not installed (optional)"), not required


def _size(path):
    return f"{Path(path).stat().st_size / 1e6:.1f} MB"
