"""Time the multi-slice models' forward pass and gradient against PyTorch autograd.

    python scripts/bench_multislice.py [--quick] [--record] [--threads 2]

The rival is the same model in PyTorch: exact tilts, every source with its own propagator and, for BPM, its
own path length; screens by ``torch.polar``, which is faster than a complex exponential.  Rivals run in
processes of their own and take turns.  Memory is what the first
call adds to a process that has compiled everything on a small job.
"""

import os
import platform
from pathlib import Path

import numpy as np
from racing import processor, race, run

RECORD = Path(__file__).parent / "records" / "bench_multislice.txt"
BALL, PIXEL, GAP, SLICES = 1.33 / 0.5, 0.1, 0.2, 40
# Model, lateral size, sources.
CASES = {
    "bpm-256": ("Bpm", (256, 256), 8),
    "bpm-512": ("Bpm", (512, 512), 8),
    "bpm-240x320": ("Bpm", (240, 320), 8),
    "bpm-256-16": ("Bpm", (256, 256), 16),
    "ssnp-256": ("Ssnp", (256, 256), 8),
    "ssnp-256-16": ("Ssnp", (256, 256), 16),
    "mlb-256": ("Mlb", (256, 256), 8),
}


def problem(case, small=False):
    kind, (ny, nx), count = CASES[case]
    ny, nx = (24, 20) if small else (ny, nx)
    rng = np.random.default_rng(0)
    nu_y, nu_x = np.fft.fftfreq(ny, PIXEL), np.fft.fftfreq(nx, PIXEL)
    sources = rng.uniform(-1, 1, (count, 2))
    slices = (0.1 * rng.normal(size=(SLICES, ny, nx))).astype("f4")
    return kind, nu_y, nu_x, sources, slices, np.ones((count, ny, nx), "c8")


def ours(case, what, small):
    from fieldrx.backends import cpu

    kind, nu_y, nu_x, sources, slices, target = problem(case, small)
    march = getattr(cpu, kind)(nu_y, nu_x, sources, BALL, np.full(SLICES - 1, GAP))
    slices = slices.astype("c8")
    if what == "forward":
        return lambda: march.forward(slices, None)

    def gradient():
        march.backward(march.forward(slices, what) - target)

    return gradient


def rival_torch(case, what, small):
    import torch

    kind, nu_y, nu_x, sources, slices, target = problem(case, small)
    squared = (nu_y[:, None] + sources[:, 0, None, None]) ** 2 + (nu_x + sources[:, 1, None, None]) ** 2
    band = squared <= (0.95 * BALL) ** 2
    f = np.sqrt(np.where(band, BALL**2 - squared, BALL**2))
    f_s = np.sqrt(BALL**2 - (sources**2).sum(axis=1))[:, None, None]
    single = lambda a: torch.from_numpy(np.ascontiguousarray(a, "c8" if np.iscomplexobj(a) else "f4"))  # noqa: E731
    step = single(band * np.exp(2j * np.pi * (f - f_s) * GAP))
    path, steep = single(BALL / f_s), single(band * BALL / f)
    angle = 2 * np.pi * f * GAP
    c, s, t = (single(band * a) for a in (np.cos(angle), np.sin(angle) * BALL / f, np.sin(angle) * f / BALL))
    volume, target = torch.from_numpy(slices).requires_grad_(), torch.from_numpy(target)
    one, unit = torch.ones_like(target), torch.ones(target.shape)
    fft, ifft = torch.fft.fft2, torch.fft.ifft2

    def bpm():
        wave = one
        for z in range(SLICES):
            wave = wave * torch.polar(unit, path * volume[z])
            if z < SLICES - 1:
                wave = ifft(step * fft(wave))
        return wave

    def ssnp():
        u = fft(one)
        p = 1j * single(f_s / BALL) * u
        for z in range(SLICES):
            if z:
                u, p = c * u + s * p, c * p - t * u
            p = p - fft(volume[z] * ifft(u))
        return ifft(0.5 * (u - 1j * steep * p))

    def mlb():
        a = fft(one)
        for z in range(SLICES):
            if z:
                a = step * a
            a = a + 0.5j * steep * fft(volume[z] * ifft(a))
        return ifft(a)

    run = {"Bpm": bpm, "Ssnp": ssnp, "Mlb": mlb}[kind]

    def forward():
        with torch.no_grad():
            return run()

    def gradient():
        volume.grad = None
        (0.5 * (run() - target).abs().pow(2).sum()).backward()

    return forward if what == "forward" else gradient


def rival(case, name, small=False):
    """The function to time for a rival's name such as "fieldrx/store" or "torch/forward"."""
    kind, what = name.split("/")
    return {"fieldrx": ours, "torch": rival_torch}[kind](case, what, small)


def report(threads, rounds, say):
    say(
        f"{processor()}, {threads} threads, Python {platform.python_version()}, NumPy {np.__version__}; "
        f"{SLICES} slices; best (median) of interleaved runs"
    )
    names = ["fieldrx/forward", "torch/forward", "fieldrx/store", "fieldrx/recompute", "torch/gradient"]
    for case, (kind, shape, count) in CASES.items():
        rivals = race(__file__, case, names, threads, rounds)
        say(f"\n{kind.upper()}, {shape[0]} x {shape[1]}, {count} sources")
        for name in names:
            base = rivals["torch/forward" if name.endswith("forward") else "torch/gradient"]
            ratio = ""
            if name.startswith("fieldrx"):
                share = rivals[name].extra_mb / base.extra_mb
                ratio = f"  {base.best / rivals[name].best:5.2f}x torch, {share:4.0%} of its memory"
            say(
                f"  {name:18s} {rivals[name].best * 1e3:8.1f} ms ({rivals[name].median * 1e3:8.1f})"
                f"  {rivals[name].extra_mb:6.0f} MB{ratio}"
            )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"\n{rounds} rounds; load average over the last 1, 5, 15 minutes: {load}")


if __name__ == "__main__":
    run(__doc__, report, rival, RECORD, rounds=5, warm_up=True)
