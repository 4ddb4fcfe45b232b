"""Time the field's CPU operators against PyTorch.

    python scripts/bench_kernels.py [--quick] [--record] [--threads 2]

Every rival runs in a process of its own, so that thread pools never fight, and the rivals of a case
take turns, each when the machine is otherwise idle, as far as it ever is.  The best and the median
time of each are printed, and our speed-up over the best time of PyTorch given the whole batch ("torch")
and of PyTorch fed in chunks, the best of a few chunk sizes ("chunked").
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from racing import processor, race, run

RECORD = Path(__file__).parent / "records" / "bench_kernels.txt"
CHUNKS = (2048, 4096, 8192)

# Networks: features, width, depth, skips, points.
NETWORKS = {
    "small": (32, 64, 2, (), 262_144),
    "decaf": (290, 208, 10, (5,), 32_768),
}
LEVELS, LOG2_TABLE, COARSEST, FINEST, SIDE = 16, 15, 8, 128, 64
TITLES = {
    "small-forward": "32 -> 64 -> 64 -> 2 on 262,144 points, forward",
    "small-gradient": "32 -> 64 -> 64 -> 2 on 262,144 points, forward and weight gradient",
    "decaf-forward": "290 -> 10 x 208 with a skip at 5 -> 2 on 32,768 points, forward",
    "decaf-gradient": "290 -> 10 x 208 with a skip at 5 -> 2 on 32,768 points, forward and gradient",
    "hash-gradient": "hash grid, 16 levels of 2^15, on a 64^3 grid, features and table gradient",
    "adam": "Adam on 500,000 parameters",
}


def network_flops(case):
    """Floating-point operations of a case, two per multiplication."""
    name, what = case.split("-")
    n_features, width, depth, skips, n = NETWORKS[name]
    read = n_features * width * (1 + len(skips))
    hidden = width * width * (depth - 1) + 2 * width
    # The gradient adds the weights' for all, and the activations' for all but the features.
    return 2 * n * (read + hidden + (read + 2 * hidden) * (what == "gradient"))


# --- rivals: each returns a function to time ------------------------------------------------------


def network_data(name, scale=1):
    from fieldrx.field.network import Network

    n_features, width, depth, skips, n = NETWORKS[name]
    network = Network(n_features, width=width, depth=depth, skips=skips)
    rng = np.random.default_rng(0)
    params = network.initial_params(rng)
    features = rng.normal(size=(n * scale, n_features)).astype("f4")
    return network, params, features, rng.normal(size=(n * scale, 2)).astype("f4")


def ours_network(case, scale=1):
    from fieldrx.backends.cpu import field_backward, field_forward
    from fieldrx.field.encodings import Identity

    name, what = case.split("-")
    network, params, features, d_out = network_data(name, scale)
    encoding, out = Identity(network.n_inputs), np.zeros_like(d_out)
    if what == "forward":
        return lambda: field_forward(encoding, network, params, features, out=out)
    return lambda: field_backward(encoding, network, params, features, d_out, out=out)


def torch_network(case, chunk=None):
    import torch

    name, what = case.split("-")
    network, params, features, d_out = network_data(name)
    named = {key: torch.tensor(value) for key, value in network.unpack(params).items()}
    features, d_out = torch.from_numpy(features), torch.from_numpy(d_out)
    chunk = chunk or len(features)

    def field(features):
        h = features
        for layer in range(network.depth):
            read = torch.cat([h, features], 1) if layer in network.skips else h
            h = torch.addmm(named[f"bias_{layer}"], read, named[f"weight_{layer}"])
            h = torch.nn.functional.leaky_relu(h, network.slope)
        return torch.addmm(named[f"bias_{layer + 1}"], h, named[f"weight_{layer + 1}"])

    def forward():
        out = torch.empty_like(d_out)
        with torch.no_grad():
            for start in range(0, len(features), chunk):
                out[start : start + chunk] = field(features[start : start + chunk])

    def gradient():
        for value in named.values():
            value.requires_grad_().grad = None
        for start in range(0, len(features), chunk):
            field(features[start : start + chunk]).backward(d_out[start : start + chunk])

    return forward if what == "forward" else gradient


def hash_encoding():
    from fieldrx.field.encodings import Hash

    return Hash.geometric((COARSEST,) * 3, (FINEST,) * 3, LEVELS, log2_table_size=LOG2_TABLE, smooth=False)


def ours_hash(case):
    from fieldrx.backends.cpu import hashgrid

    encoding = hash_encoding()
    rng = np.random.default_rng(0)
    table = rng.normal(size=encoding.n_params).astype("f4")
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    planes, pitch = 16, SIDE * SIDE + 16
    buffers = [rng.normal(size=planes * encoding.n_features * pitch).astype("f4") for _ in "fd"]

    def both():
        levels = hashgrid.levels_of(encoding)
        places = [hashgrid.axis_nodes(levels, number, axis) for number in range(3)]
        gradient = np.zeros_like(table)
        for z in range(0, SIDE, planes):
            block = slice(z, z + planes), slice(0, SIDE)
            hashgrid.visit_grid(levels, places, block, buffers[0], pitch, table, False)
            hashgrid.visit_grid(levels, places, block, buffers[1], pitch, gradient, True)

    return both


def torch_hash(case):
    import torch

    encoding = hash_encoding()
    rng = np.random.default_rng(0)
    sizes = [2 * nodes for nodes in encoding.nodes_per_level]
    flat = torch.from_numpy(rng.normal(size=encoding.n_params).astype("f4"))
    tables = [part.reshape(-1, 2).clone().requires_grad_() for part in flat.split(sizes)]
    axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    d_features = torch.from_numpy(rng.normal(size=(SIDE**3, encoding.n_features)).astype("f4"))

    def features_of(level):
        resolution = torch.tensor(encoding.resolutions[level])
        place = (points + 1) / 2 * (resolution - 1)
        cell = torch.minimum(place.long(), resolution - 2)
        upper = place - cell
        total = 0
        for corner in np.ndindex(2, 2, 2):
            z, y, x = (cell + torch.tensor(corner)).unbind(1)
            if encoding.dense[level]:
                entry = (z * resolution[1] + y) * resolution[2] + x
            else:
                entry = (x ^ (y * 2654435761) ^ (z * 805459861)) & (2**LOG2_TABLE - 1)
            factors = torch.where(torch.tensor(corner, dtype=torch.bool), upper, 1 - upper)
            weight = factors[:, 0] * factors[:, 1] * factors[:, 2]
            total = total + weight[:, None] * tables[level].index_select(0, entry)
        return total

    def both():
        for table in tables:
            table.grad = None
        torch.cat([features_of(level) for level in range(LEVELS)], 1).backward(d_features)

    return both


def ours_adam(case):
    from fieldrx.backends.cpu import adam_step

    arrays = [np.random.default_rng(i).random(500_000).astype("f4") for i in range(4)]
    return lambda: adam_step(*arrays, 10, 1e-3)


def torch_adam(case):
    import torch

    parameter = torch.nn.Parameter(torch.rand(500_000))
    parameter.grad = torch.rand(500_000)
    return torch.optim.Adam([parameter], fused=True).step


def ours_peak():
    """Fused multiply-adds of operands that never leave the first-level cache."""
    import numba
    from numba import njit, prange

    from fieldrx.backends.cpu.simd import product_block

    block = product_block(8, 2)

    @njit(parallel=True)
    def work(a, repeats, threads):
        for _thread in prange(threads):
            own = a.copy()
            for _repeat in range(repeats):
                block(4096, own, 0, 16, own, 0, 0, own, 1024, 32)

    operands, threads = np.zeros(8192, np.float32), numba.get_num_threads()
    return lambda: work(operands, PEAK_FLOPS // (threads * 4096 * 8 * 2 * 16 * 2), threads)


def ours_sgemm():
    a = np.random.default_rng(0).random((1024, 1024)).astype("f4")
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


PEAK_FLOPS, SGEMM_FLOPS = 2**32, 2 * 1024**3


def rival(case, name):
    """The function to time for a rival's name such as "fieldrx", "torch", "torch/2048"."""
    kind, _, option = name.partition("/")
    if kind in ("peak", "sgemm"):
        return {"peak": ours_peak, "sgemm": ours_sgemm}[kind]()
    if kind == "fieldrx" and option:
        return ours_network(case, int(option))
    if kind == "torch" and option:
        return torch_network(case, int(option))
    family = case.split("-")[0]
    makers = {"hash": (ours_hash, torch_hash), "adam": (ours_adam, torch_adam)}
    return makers.get(family, (ours_network, torch_network))[kind == "torch"](case)


# --- report ---------------------------------------------------------------------------------------


def start_times(threads):
    """Seconds from the start of Python to the first results, with an empty and a filled cache."""
    code = (
        "import numpy as np; from fieldrx.backends.cpu import *;"
        "from fieldrx.field.encodings import *; from fieldrx.field.network import Network\n"
        "for e in (Hash(((2, 2, 2),)), Radial()):\n"
        "    n = Network(e.n_features); p = np.zeros(e.n_params + n.n_params, 'f4')\n"
        "    grid_backward(e, n, p, [0], [0], [0], np.zeros((2, 1, 1, 1)))\n"
        "    grid_forward(e, n, p, [0], [0], [0]); field_forward(e, n, p, np.zeros((1, 3)))\n"
        "adam_step(p, p, p, p, 1, 0.1)\n"
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "NUMBA_NUM_THREADS": str(threads)}
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            seconds.append(time.perf_counter() - start)
    return seconds


def report(threads, rounds, say):
    say(
        f"{processor()}, {threads} threads, Python {platform.python_version()}, "
        f"NumPy {np.__version__}; best (median) of interleaved runs"
    )
    for case, title in TITLES.items():
        networks = case.split("-")[0] in NETWORKS
        chunks = [f"torch/{chunk}" for chunk in CHUNKS] if networks else []
        machine = ["peak", "sgemm"] if networks else []
        rivals = race(__file__, case, ["fieldrx", "torch", *chunks, *machine], threads, rounds)
        ours = rivals["fieldrx"]
        say(f"\n{title}")
        for name in ["fieldrx", "torch", *chunks]:
            contestant = rivals[name]
            ratio = "" if contestant is ours else f"  {contestant.best / ours.best:5.2f}x"
            say(
                f"  {name:12s} {contestant.best * 1e3:9.2f} ms ({contestant.median * 1e3:9.2f})"
                f"  {contestant.extra_mb:6.0f} MB{ratio}"
            )
        if networks:
            rate = network_flops(case) / ours.best * 1e-9
            peak, sgemm = PEAK_FLOPS / rivals["peak"].best, SGEMM_FLOPS / rivals["sgemm"].best
            best = min((rivals[name] for name in chunks), key=lambda contestant: contestant.best)
            say(
                f"  fieldrx: {rate:.0f} GF/s, {rate / peak * 1e9:.0%} of the fused multiply-add peak "
                f"of {peak * 1e-9:.0f} GF/s, {rate / sgemm * 1e9:.0%} of sgemm; "
                f"{rivals['torch'].best / ours.best:.2f}x torch, {best.best / ours.best:.2f}x chunked"
            )

    say("\nTime against the number of points, 1x, 2x, 4x")
    for case in ("small-forward", "small-gradient"):
        scales = race(__file__, case, ["fieldrx/1", "fieldrx/2", "fieldrx/4"], threads, rounds)
        say(
            f"  {case:15s} "
            + ", ".join(
                f"{contestant.best * 1e3:.1f} ms, {contestant.extra_mb:.1f} MB beyond inputs, outputs"
                for contestant in scales.values()
            )
        )
    cold, warm = start_times(threads)
    say(f"\nPython start to first results: {cold:.1f} s compiling, {warm:.1f} s from the cache")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(
        f"{rounds} rounds; load average over the last 1, 5, 15 minutes: {load} "
        f"(of which {threads} can be this benchmark)"
    )


if __name__ == "__main__":
    run(__doc__, report, rival, RECORD, rounds=8)
