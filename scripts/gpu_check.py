"""Check every operator on this machine's GPU against NumPy in float64, then time them.

    python scripts/gpu_check.py [--json FILE] [--no-timings] [--no-torch] [--quick]
    python scripts/gpu_check.py --predict

Prints a table of relative errors, one row for an operator and precision, and exits with status 1 if one is
too large; then times against the rates that the card itself reaches in a matrix product and in a copy; then a
whole fit of a simulated cell; and last PyTorch where it is installed, whose compiler takes minutes, unless
--no-torch.  Without a GPU it says so in one line and exits with status 2.  --predict needs no GPU: it prints
what a step moves and computes, and what time that would take on an H100.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import reference_born  # noqa: E402  (the plain NumPy of the tests)
import reference_network  # noqa: E402

from fieldrx import Acquisition, Fit, Illumination, Microscope, simulate  # noqa: E402
from fieldrx.backends import cuda, cuda_unavailable, describe_device, get, plain, to_host  # noqa: E402
from fieldrx.backends.cuda import lines  # noqa: E402
from fieldrx.field import Fourier, Hash, Identity, Network, Positional, Radial  # noqa: E402
from fieldrx.interpolation import upsample, upsample_adjoint  # noqa: E402
from fieldrx.metrics import index_error  # noqa: E402
from fieldrx.models import SSNP, BeamPropagation, Born, MultiLayerBorn  # noqa: E402
from fieldrx.optics import Grid  # noqa: E402
from fieldrx.simulation import cell_phantom, on_image_grid  # noqa: E402

ALLOWED = {"half": 1e-2, "float32": 1e-4, "float64": 1e-10}  # relative errors
MARGINS = {"half": 4e-3, "float32": 2e-5}  # of a neuron's input from its kink
TABLE = Hash(((3, 4, 5), (9, 12, 7), (17, 31, 22)), 9)
BALL = 1.33 / 0.5
CARD_SIZES = 8192, 1 << 28  # rows of a matrix, numbers of a copy
NETWORKS_TIMED = ((64, 2), (208, 10))  # width, depth
MARCHES = ("Bpm", "Mlb", "Ssnp")
# Reads and writes of a wave (n_sources, ny, nx) per slice, forward and back; one more where it is kept.
PASSES = {"Bpm": (4, 5), "Mlb": (6, 7), "Ssnp": (8, 9)}


@dataclass(frozen=True)
class Sizes:
    """Of the checks."""

    points: int = 50_000
    grid: tuple = (7, 61, 83)
    image: tuple = (48, 64)  # sides, and those of the grids around them, are products of 2, 3 and 5
    slices: int = 33
    sources: int = 11
    networks: tuple = ("32 x 2", "64 x 2", "208 x 10")


TINY = Sizes(points=70, grid=(2, 5, 7), image=(9, 12), slices=5, sources=3, networks=("32 x 2",))


def relative(found, expected):
    found, expected = to_host(found), np.asarray(expected)
    norm = np.linalg.norm(expected)
    if not norm > 0:
        raise ValueError("a reference of zeros checks nothing: give the operator other input")
    return float(np.linalg.norm(found - expected) / norm)


# ---- correctness -----------------------------------------------------------------------------------


def checks(sizes):
    """Rows (operator, precision, relative error) for every operator."""
    for part in (check_field, check_adam, check_priors, check_born, check_marches, check_models, check_rest):
        yield from part(sizes)


def check_field(sizes):
    rng = np.random.default_rng(0)
    encodings = Radial(30.0, 3, 2), Positional(2, 3, 4), Fourier(9, 1.0, 2.0, 3.0), TABLE
    for encoding in encodings:
        params = rng.normal(size=encoding.n_params).astype("f4")
        points = rng.uniform(-1, 1, (sizes.points, 3)).astype("f4")
        expected = reference_network.features_and_taps(encoding, params, points)[0]
        found = cuda.encode(encoding, cuda.asarray(params), cuda.asarray(points))
        yield f"encode {encoding.kind}", "float32", relative(found, expected)
    for name in sizes.networks:
        encoding, network = network_of(name)
        params = np.concatenate([rng.normal(size=encoding.n_params), network.initial_params(rng)])
        yield from _field(f"field {name}", encoding, network, params.astype("f4"), sizes, rng)


def network_of(name):
    """The encoding and the network of a name in `Sizes.networks`."""
    encoding, options = {
        "32 x 2": (TABLE, {"width": 32, "depth": 2}),
        "64 x 2": (Positional(2, 3, 4), {"width": 64, "depth": 2}),
        "208 x 10": (Radial(30.0, 3, 2), {"width": 208, "depth": 10, "skips": (5,)}),
    }[name]
    return encoding, Network(encoding.n_features, **options)


def gradient_at(encoding, network, params, points, margin, rng):
    """A gradient of the outputs, 0 at points near a kink, where rounding may choose the other slope.

    Of a deep network hardly a point is away from all kinks: there none is left out, and the other slopes are
    part of the error.
    """
    d_out = 1e-4 * rng.normal(size=(len(points), network.n_outputs)).astype("f4")
    gain = np.ones(encoding.n_features)
    clear = reference_network.away_from_kinks(encoding, network, params, points, gain, margin)
    if clear.mean() > 0.5:
        d_out[~clear] = 0
    return d_out


def _field(name, encoding, network, params, sizes, rng):
    scattered = rng.uniform(-1, 1, (sizes.points, 3)).astype("f4")
    axes = [np.sort(rng.uniform(-1, 1, n)).astype("f4") for n in sizes.grid]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    device = cuda.asarray(params)
    for precision, margin in MARGINS.items():
        for where, points, at in (("points", scattered, (scattered,)), ("grid", lattice, axes)):
            d_out = gradient_at(encoding, network, params, points, margin, rng)
            value, gradient = reference_network.forward_and_gradient(encoding, network, params, points, d_out)
            ahead, back = cuda.field_forward, cuda.field_backward
            if where == "grid":
                ahead, back = cuda.grid_forward, cuda.grid_backward
                shape = (network.n_outputs, *sizes.grid)
                value, d_out = value.T.reshape(shape), np.ascontiguousarray(d_out.T).reshape(shape)
            at = [cuda.asarray(a) for a in at]
            found = ahead(encoding, network, device, *at, precision=precision)
            yield f"{name}, {where}, forward", precision, relative(found, value)
            found = back(encoding, network, device, *at, cuda.asarray(d_out), precision=precision)
            yield f"{name}, {where}, backward", precision, relative(found, gradient)


def check_adam(sizes):
    rng = np.random.default_rng(1)
    params, grad, m = rng.normal(size=(3, sizes.points))
    v = rng.uniform(0.1, 1, sizes.points)
    given = [cuda.asarray(a.astype("f4")) for a in (params, grad, m, v)]
    cuda.adam_step(*given, 3, 0.01, 0.9, 0.99, 1e-8)
    m, v = 0.9 * m + 0.1 * grad, 0.99 * v + 0.01 * grad**2
    step = 0.01 * m / (1 - 0.9**3) / (np.sqrt(v / (1 - 0.99**3)) + 1e-8)
    yield "adam_step", "float32", relative(given[0], params - step)


def check_priors(sizes):
    rng, weights, eps = np.random.default_rng(2), np.array([0.7, 1.3, 1.0]), 0.02
    u = 0.1 * rng.normal(size=sizes.grid)
    on_device = cuda.asarray(u.astype("f4"))
    gradient = cuda.asarray(np.zeros(u.shape, "f4"))
    value = cuda.regularise(on_device, weights, eps, 0.5, 0.0, 0.0, gradient)
    steps = [w * np.diff(u, axis=k, append=u.take([-1], axis=k)) for k, w in enumerate(weights)]
    length = np.sqrt(sum(s**2 for s in steps) + eps**2)
    expected = sum(
        -w * np.diff(s / length, axis=k, prepend=0 * u.take([0], axis=k))
        for k, (w, s) in enumerate(zip(weights, steps, strict=True))
    )
    yield "total_variation, value", "float32", relative(value, 0.5 * (length - eps).sum())
    yield "total_variation, gradient", "float32", relative(gradient, 0.5 * expected)
    gradient = cuda.asarray(np.zeros(u.shape, "f4"))
    value = cuda.regularise(on_device, weights, eps, 0.0, 0.5, 0.2, gradient)
    below, above = np.minimum(u, 0), np.maximum(u, 0)
    yield "sign, value", "float32", relative(value, 0.5 * (below**2).sum() + 0.2 * (above**2).sum())
    yield "sign, gradient", "float32", relative(gradient, below + 0.4 * above)


def check_born(sizes):
    scope = Microscope(wavelength_um=0.5, objective_na=0.6, medium_index=1.34, pixel_size_um=0.21)
    n, (ny, nx) = sizes.slices, sizes.image
    grid = Grid((n, ny + 6, nx + 5), (0.17, 0.21, 0.21), (-0.08 * n, -0.42, -0.63))
    rng = np.random.default_rng(3)
    light = Illumination(rng.uniform(-0.4, 0.4, (sizes.sources, 2)))
    contrast = 1e-3 * (rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape))
    model, (y, x) = Born(grid, scope, light, sizes.image), (slice(2, 2 + ny), slice(3, 3 + nx))
    weights = np.eye(sizes.sources)
    expected = np.stack(
        [reference_born.signal(contrast, grid, scope, light.sources_na, w)[y, x] for w in weights]
    )
    d = rng.normal(size=expected.shape)
    back = _born_adjoint(d, grid, scope, light, (y, x))
    for precision, complex_type, real in (("float64", "c16", "f8"), ("float32", "c8", "f4")):
        found = model.linear_signal(cuda.asarray(contrast.astype(complex_type)))
        yield "born_forward", precision, relative(found, expected)
        found = model.adjoint(cuda.asarray(d.astype(real)))
        yield "born_adjoint", precision, relative(found, back)


def _born_adjoint(signal, grid, scope, light, window):
    out = np.zeros(grid.shape, complex)
    k0 = 2 * np.pi / scope.wavelength_um
    scale = 2 * 2 * k0**2 * scope.medium_index * grid.spacing_um[0]
    for one, source in zip(signal, light.sources_na, strict=True):
        padded = np.zeros(grid.shape[1:])
        padded[window] = one
        spectrum = np.fft.fft2(padded)
        for plane, z in zip(out, grid.axis(0), strict=True):
            plane += scale * np.fft.ifft2(reference_born.transfer(grid, scope, source, z).conj() * spectrum)
    return out


def march_problem(n_slices, n_sources, shape):
    """Arguments of a march, slices and a gradient of the waves."""
    rng = np.random.default_rng(4)
    frequencies = [np.fft.fftfreq(n, d) for n, d in zip(shape, (0.11, 0.13), strict=True)]
    sources = rng.uniform(-1, 1, (n_sources, 2))
    slices = 0.1 * rng.normal(size=(n_slices, *shape)) + 0.02j * np.abs(rng.normal(size=(n_slices, *shape)))
    d_wave = rng.normal(size=(2, n_sources, *shape))
    gaps = np.full(n_slices - 1, 0.2)
    return (*frequencies, sources, BALL, gaps), slices, d_wave[0] + 1j * d_wave[1]


def check_marches(sizes):
    arguments, slices, d_wave = march_problem(sizes.slices, sizes.sources, sizes.image)
    for name in MARCHES:
        reference = getattr(plain, name)(*arguments)
        wave = reference.forward(slices)
        gradient = reference.backward(d_wave)[0]
        march = getattr(cuda, name)(*arguments)
        for memory in ("store", "recompute"):
            found = march.forward(cuda.asarray(slices.astype("c8")), memory)
            yield f"{name}, {memory}, forward", "float32", relative(found, wave)
            found = march.backward(cuda.asarray(d_wave.astype("c8")))[0]
            yield f"{name}, {memory}, backward", "float32", relative(found, gradient)


def check_models(sizes):
    scope = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
    n, (ny, nx) = sizes.slices, sizes.image
    grid = Grid((n, ny + 6, nx + 8), (0.3, 0.18, 0.18), (-0.15 * n, -3 * 0.18, -4 * 0.18))
    rng = np.random.default_rng(5)
    light = Illumination(rng.uniform(-0.45, 0.45, (sizes.sources, 2)))
    contrast = 0.01 * (rng.normal(size=grid.shape) + 0.2j * np.abs(rng.normal(size=grid.shape)))
    d = rng.normal(size=(sizes.sources, ny, nx))
    for kind in (BeamPropagation, SSNP, MultiLayerBorn):
        reference = kind(grid, scope, light, sizes.image, engine="plain")
        intensity, pullback = reference.forward_and_pullback(contrast)
        model = kind(grid, scope, light, sizes.image)
        found, back = model.forward_and_pullback(cuda.asarray(contrast.astype("c8")))
        yield f"{kind.__name__}, images", "float32", relative(found - 1, intensity - 1)
        yield f"{kind.__name__}, vjp", "float32", relative(back(cuda.asarray(d.astype("f4"))), pullback(d))
        for _ in range(2):  # the launches of the last one were recorded
            found, back = model.forward_and_pullback(cuda.asarray(contrast.astype("c8")))
            gradient = back(cuda.asarray(d.astype("f4")))
        yield f"{kind.__name__}, images, replayed", "float32", relative(found - 1, intensity - 1)
        yield f"{kind.__name__}, vjp, replayed", "float32", relative(gradient, pullback(d))


def check_rest(sizes):
    rng = np.random.default_rng(6)
    predicted, measured = rng.normal(size=(2, 3, *sizes.image))
    valid = rng.random(predicted.shape) > 0.2
    arrays = [cuda.asarray(a.astype("f4")) for a in (predicted, measured)]
    value, gradient = cuda.squared_error(*arrays, cuda.asarray(valid), 0.3)
    difference = np.where(valid, predicted - measured, 0)
    yield "squared_error, value", "float32", relative(value, 0.3 * (difference**2).sum())
    yield "squared_error, gradient", "float32", relative(gradient, 0.6 * difference)
    volume, shift = rng.normal(size=(2, *sizes.grid)), (0.3, -0.2)
    coarse = volume[0] + 1j * volume[1]
    yield (
        "to_contrast",
        "float32",
        relative(cuda.to_contrast(cuda.asarray(volume.astype("f4")), 0.3), 0.3 * coarse),
    )
    yield (
        "to_outputs",
        "float32",
        relative(cuda.to_outputs(cuda.asarray(coarse.astype("c8")), 2, 3.0), 3 * volume),
    )
    contrast, factors = 0.05 * coarse, rng.uniform(1, 2, len(coarse))
    for precision, kind in (("float64", "c16"), ("float32", "c8")):
        given, of_slices = cuda.asarray(contrast.astype(kind)), factors[:, None, None]
        found = cuda.potential(given, 1.34, factors)
        yield "potential", precision, relative(found, of_slices * (2.68 + contrast) * contrast)
        found = cuda.potential_vjp(given, cuda.asarray(coarse.astype(kind)), 1.34, factors)
        yield "potential_vjp", precision, relative(found, 2 * of_slices * np.conj(1.34 + contrast) * coarse)
    fine = np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)
    for function, given in ((upsample, coarse), (upsample_adjoint, fine)):
        found = function(cuda.asarray(given.astype("c8")), 2, shift)
        yield function.__name__, "float32", relative(found, function(given, 2, shift))


# ---- timings ---------------------------------------------------------------------------------------


def seconds(work, repeats=10):
    """Median time of a piece of work on the current stream, after two for warming up."""
    import cupy

    times = []
    for k in range(repeats + 2):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        if k > 1:
            times.append(1e-3 * cupy.cuda.get_elapsed_time(begin, end))
    return statistics.median(times)


def card():
    """What the card reaches: FLOP/s of a product of halves, bytes/s of a copy."""
    import cupy

    (n, size), rng = CARD_SIZES, np.random.default_rng(0)  # a product of ones draws less power, and is faster
    a = cupy.asarray(rng.standard_normal((n, n), np.float32).astype(np.float16))
    product = seconds(lambda: cupy.matmul(a, a))
    one = cupy.asarray(rng.standard_normal(size, np.float32))
    other = cupy.empty_like(one)
    copy = seconds(lambda: cupy.copyto(other, one))
    return 2 * n**3 / product, 2 * one.nbytes / copy


def time_networks(points, rates):
    """Rows of the fused network, forward and with gradient."""
    for width, depth in NETWORKS_TIMED:
        encoding = Identity(32)
        network = Network(32, width=width, depth=depth, activation="relu")
        rng = np.random.default_rng(0)
        features = cuda.asarray(rng.normal(size=(points, 32)).astype("f4"))
        d_out = cuda.asarray(rng.normal(size=(points, 2)).astype("f4"))
        params = cuda.asarray(network.initial_params(rng))
        flops = 2 * points * sum(a * b for a, b in network.layer_shapes())
        for precision in ("half", "float32"):
            options = {"precision": precision}
            given = encoding, network, params, features
            ahead = seconds(partial(cuda.field_forward, *given, **options))
            both = seconds(partial(_both, *given, d_out, **options))
            name = f"network {width} x {depth}, {precision}"
            yield _row(f"{name}, forward", ahead, flops=flops, rates=rates)
            yield _row(f"{name}, forward + backward", both, flops=3 * flops, rates=rates)


def _both(encoding, network, params, features, d_out, precision):
    import cupy

    value = cupy.empty(d_out.shape, np.float32)
    cuda.field_backward(encoding, network, params, features, d_out, out=value, precision=precision)


def time_torch(points):
    """Rows of the same networks in PyTorch; nothing where it cannot use the GPU."""
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        return
    torch.backends.cuda.matmul.allow_tf32 = True
    for width, depth in NETWORKS_TIMED:
        yield from _time_torch(torch, width, depth, points)


def _time_torch(torch, width, depth, points):
    """One network, eager and compiled."""
    for kind, precision in ((torch.bfloat16, "bf16"), (torch.float32, "tf32")):
        layers, fan_in = [], 32
        for _ in range(depth):
            layers += [torch.nn.Linear(fan_in, width), torch.nn.ReLU()]
            fan_in = width
        eager = torch.nn.Sequential(*layers, torch.nn.Linear(fan_in, 2)).to("cuda", kind)
        x, d = (torch.randn(points, n, device="cuda", dtype=kind) for n in (32, 2))
        for name, network in (("eager", eager), ("compile", torch.compile(eager, mode="max-autotune"))):

            def forward(network=network, x=x):
                with torch.no_grad():
                    network(x)

            def both(network=network, x=x, d=d, eager=eager):
                eager.zero_grad(set_to_none=True)
                network(x).backward(d)

            for what, work in (("forward", forward), ("forward + backward", both)):
                label = f"torch {name} {width} x {depth}, {precision}, {what}"
                yield _row(label, _torch_seconds(torch, work))


def _torch_seconds(torch, work, repeats=10):
    times = []
    for k in range(repeats + 5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if k > 4:
            times.append(1e-3 * begin.elapsed_time(end))
    return statistics.median(times)


def time_marches(n_slices, n_sources, shape, rates):
    """Rows of the marches, forward and with gradient, and of the Born operators."""
    arguments, slices, d_wave = march_problem(n_slices, n_sources, shape)
    slices, d_wave = cuda.asarray(slices.astype("c8")), cuda.asarray(d_wave.astype("c8"))
    wave = 8 * n_sources * shape[0] * shape[1]
    for name in MARCHES:
        march = getattr(cuda, name)(*arguments)
        ahead = seconds(lambda march=march: march.forward(slices, None))
        both = seconds(lambda march=march: (march.forward(slices), march.backward(d_wave)))
        alone, back = PASSES[name]
        moved = [n_slices * wave * passes for passes in (alone, alone + 1 + back)]
        what = f"{name}, {n_slices} x {shape[0]} x {shape[1]}, {n_sources} sources"
        yield _row(f"{what}, forward", ahead, moved=moved[0], rates=rates)
        yield _row(f"{what}, forward + vjp", both, moved=moved[1], rates=rates)
    scope = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
    grid = Grid((n_slices, *shape), (0.2, 0.18, 0.18))
    model = Born(grid, scope, Illumination(np.random.default_rng(0).uniform(-0.45, 0.45, (n_sources, 2))))
    signal = model.linear_signal(slices)
    volume = slices.nbytes
    planes = 8 * n_sources * shape[0] * shape[1]
    for name, work in (
        ("forward", lambda: model.linear_signal(slices)),
        ("adjoint", lambda: model.adjoint(signal)),
    ):
        reads = -(-n_sources // 8) * volume if name == "forward" else volume
        moved = 6 * volume + reads + -(-n_slices // 16) * planes  # an FFT of the volume, and the operator
        yield _row(f"born {name}, {n_sources} images", seconds(work), moved=moved, rates=rates)


def time_fit(shape, n_slices, n_images, steps):
    """A whole fit of a simulated cell: seconds, errors, and peak memory."""
    import cupy

    scope = Microscope(wavelength_um=0.53, objective_na=0.8, medium_index=1.335, pixel_size_um=0.12)
    depth = (-0.1 * (n_slices - 1), 0.1 * (n_slices - 1), 0.2)
    optics = Acquisition(None, Illumination.led_ring(n_images, 0.7), scope)
    cell = cell_phantom(diameter_um=0.35 * min(shape) * scope.pixel_size_um)
    acq = simulate(cell, optics, "ssnp", shape)
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    begun = time.perf_counter()
    schedule = {} if steps is None else {"steps": steps}
    fit = Fit(acq, depth, "ssnp", schedule=schedule, device="cuda")
    field = fit.run()
    took = time.perf_counter() - begun
    truth, grid = on_image_grid(cell, shape, scope)
    error = index_error(field.on_axes(*grid.axes), truth)
    name = f"fit, ssnp, {n_images} images of {shape[0]} x {shape[1]}, {n_slices} slices"
    extra = {
        "steps": fit.state.step,
        "nrmse_holdout": field.provenance["nrmse_holdout"],
        "index_nrmse": error,
        "peak_gib": pool.total_bytes() / 2**30,
    }
    return {"what": name, "seconds": took, **extra}


def _row(what, took, flops=None, moved=None, rates=None):
    row = {"what": what, "seconds": took}
    if flops:
        row |= {"tflops": flops / took / 1e12, "share_of_matrix_rate": flops / took / rates[0]}
    if moved:
        row |= {"gb_per_s": moved / took / 1e9, "share_of_memory_rate": moved / took / rates[1]}
    return row


# ---- predictions -----------------------------------------------------------------------------------

# Global memory, float32, shared memory (128 bytes a clock on 132 multiprocessors), and a launch from Python.
H100 = {"bytes_per_s": 3e12, "flops_per_s": 5e13, "shared_per_s": 132 * 128 * 1.7e9, "launch_s": 5e-6}


def predict(n_slices=70, shape=(288, 288), waves=8, images=16):
    """Rows (what, launches, bytes, those of shared memory, flops) of a step's physics, forward and back."""
    plane = shape[0] * shape[1]
    fft = 5 * plane * np.log2(plane)  # of a plane
    stages = sum(len(lines.radices(n)) for n in shape)
    # A kernel along rows and one along columns, each with an FFT there and back, both forward and back.
    shared = 2 * n_slices * 8 * waves * plane * (2 * 2 * stages + 2 * 4)
    for name, (ahead, back) in PASSES.items():
        moved = n_slices * 8 * waves * plane * (ahead + 1 + back) + 3 * n_slices * 8 * plane
        flops = n_slices * waves * (4 * fft + 4 * 50 * plane)  # FFTs, and about 50 an element of a kernel
        yield f"{name}, {waves} waves", 4 * n_slices, moved, shared, flops
    volume = 8 * n_slices * plane
    moved = volume * (2 * 4 + -(-images // 8) + 1) + (1 + n_slices / 16) * 8 * images * plane
    flops = 2 * n_slices * (fft + 16 * images * plane)  # an upper bound: every frequency in every pupil
    yield f"Born, {images} images", 10, moved, 0, flops


def report_predictions(say=print):
    """Print the table of docs/gpu.rst."""
    kinds = "".join(f"{kind:>{width}}" for kind, width in (("launches", 9), ("GB", 8), ("shared", 8)))
    say(f"{'one step, forward and back':<28}{kinds}{'GFLOP':>8}{'ms':>8}{'ms launching':>14}")
    for what, launches, moved, shared, flops in predict():
        rates = (H100[f"{kind}_per_s"] for kind in ("bytes", "shared", "flops"))
        took = max(part / rate for part, rate in zip((moved, shared, flops), rates, strict=True))
        started = launches * H100["launch_s"]
        numbers = f"{moved / 1e9:>8.2f}{shared / 1e9:>8.1f}{flops / 1e9:>8.1f}{1e3 * took:>8.2f}"
        say(f"{what:<28}{launches:>9}{numbers}{1e3 * started:>14.2f}")


# ---- the command -----------------------------------------------------------------------------------


def report_checks(sizes, say=print):
    """Run the checks; the rows, and whether all errors are small enough."""
    rows, good = [], True
    for what, precision, error in checks(sizes):
        fine = error <= ALLOWED[precision]
        good &= fine
        rows.append({"what": what, "precision": precision, "error": error, "good": fine})
        say(f"{'ok  ' if fine else 'FAIL'} {what:<44}{precision:<9}{error:.2e}")
    return rows, good


def report_timings(quick, torch=True, say=print):
    """Time everything; the rows.  PyTorch comes last: compiling it may outlast the patience of a queue."""
    rates = card()
    say(f"this card: {rates[0] / 1e12:.0f} TFLOP/s in halves, {rates[1] / 1e9:.0f} GB/s")
    rows = [{"what": "card", "matrix_flops_per_s": rates[0], "memory_bytes_per_s": rates[1]}]
    points = 1 << (18 if quick else 21)

    def report(part):
        for row in part:
            rows.append(row)
            shares = [f"{v:.0%} of its {k[9:-5]} rate" for k, v in row.items() if k.startswith("share_of")]
            say(f"{row['what']:<56}{1e3 * row['seconds']:>10.3f} ms  {' '.join(shares)}")

    report(time_networks(points, rates))
    report(time_marches(70, 8, (288, 288), rates))
    rows.append(time_fit((256, 256), 70, 33, 40 if quick else None))
    say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()))
    if torch:
        report(time_torch(points))
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--no-timings", action="store_true", help="correctness only")
    parser.add_argument("--no-torch", action="store_true", help="leave out PyTorch, which is timed last")
    parser.add_argument("--quick", action="store_true", help="fewer points and steps in the timings")
    parser.add_argument("--predict", action="store_true", help="print predictions for an H100 instead")
    given = parser.parse_args(arguments)
    if given.predict:
        report_predictions()
        return 0
    if cuda_unavailable():
        print(f"gpu_check: no GPU can be used: {cuda_unavailable()}", file=sys.stderr)
        return 2
    device = describe_device(get("cuda"))
    print(device)
    rows, good = report_checks(Sizes())
    result = {"device": device, "python": platform.python_version(), "checks": rows}
    if not given.no_timings:
        result["timings"] = report_timings(given.quick, not given.no_torch)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
