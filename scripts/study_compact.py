"""Size against error: a compressed field beside compressed voxels at equal error.

    python scripts/study_compact.py FIELD [ACQ] [--loss 0.01 ...] [--record]

The error is that of ``fieldrx compress``: the relative L2 error of the contrast at the voxels of the fit that
the images show.  Voxels store these alone, and no word of where they came from; the field's file also holds
the margin, the course of the fit and its provenance, and all of it counts.  Every method is made just coarse
enough for the error: voxels rounded to a step, then deflated, packed by Blosc2 or by xz; float16, whose error
is smaller than asked for; zfp with a tolerance; and cosines of the whole volume (DCT), rounded and packed by
xz.  Blosc2 and zfp are tried where ``blosc2`` and ``zfpy`` are installed.  With ACQ, the error of the
held-out images before and after is told, too.
"""

import argparse
import importlib.util
import lzma
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
from scipy.fft import dctn, idctn

import fieldrx
from fieldrx.evaluation import evaluate

RECORD = Path(__file__).parent / "records" / "study_compact.txt"


def least(values):
    """Integers in the smallest type that holds them."""
    bits = next(b for b in (8, 16, 32) if np.abs(values).max() < 2 ** (b - 1))
    return np.rint(values).astype(f"i{bits // 8}")


def rounded(parts, step):
    """Voxels as multiples of a step, and what is read back."""
    whole = [np.rint(part / step) for part in parts]
    return whole, [w * step for w in whole]


def transformed(parts, step):
    """Cosines as multiples of a step, and what is read back."""
    whole = [np.rint(dctn(part, norm="ortho") / step) for part in parts]
    return whole, [idctn(w * step, norm="ortho") for w in whole]


def zfp(parts, tolerance):
    """Streams of zfp, and what is read back."""
    import zfpy

    streams = [zfpy.compress_numpy(part, tolerance=tolerance) for part in parts]
    return streams, [zfpy.decompress_numpy(stream) for stream in streams]


def blosc(whole):
    """Bytes that Blosc2 makes of integers: the best of its filters."""
    import blosc2

    filters = (blosc2.Filter.SHUFFLE, blosc2.Filter.BITSHUFFLE)
    return min(
        len(blosc2.compress2(whole, codec=blosc2.Codec.ZSTD, clevel=9, filters=[f], typesize=whole.itemsize))
        for f in filters
    )


def methods():
    """name: (how voxels are made coarser, how many bytes what it gives takes)."""
    known = {
        "rounded, deflated": (rounded, lambda whole: len(zlib.compress(least(whole).tobytes(), 9))),
        "rounded, xz": (rounded, lambda whole: len(lzma.compress(least(whole).tobytes()))),
        "rounded, Blosc2 (zstd)": (rounded, lambda whole: blosc(least(whole))),
        "zfp": (zfp, len),
        "DCT, rounded, xz": (transformed, lambda whole: len(lzma.compress(least(whole).tobytes()))),
    }
    missing = {"blosc2": "rounded, Blosc2 (zstd)", "zfpy": "zfp"}
    absent = {method for module, method in missing.items() if not importlib.util.find_spec(module)}
    return {name: method for name, method in known.items() if name not in absent}


def error(parts, found):
    """Relative L2 error over all parts."""
    wrong = sum(float(np.sum((a - b) ** 2)) for a, b in zip(found, parts, strict=True))
    return np.sqrt(wrong / sum(float(np.sum(a**2)) for a in parts))


def coarsened(parts, make, loss):
    """What a method stores at the coarsest step that keeps a loss, and its error."""
    low, high = 1e-4 * loss * np.abs(parts[0]).max(), 1e3 * loss * np.abs(parts[0]).max()
    for _ in range(20):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if error(parts, make(parts, middle)[1]) <= loss else (low, middle)
    stored, found = make(parts, low)
    return stored, error(parts, found)


def compressed(field, loss, acquisition):
    """Bytes, error, error between the voxels, and held-out error of a compressed field's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/small.npz"
        fieldrx.compress(field, loss).save(path)
        size, small = os.path.getsize(path), fieldrx.load_field(path)
    told = small.provenance.origin["compressed"]
    held = None if acquisition is None else evaluate(small, acquisition)["nrmse_holdout"]
    return size, told["loss"], told["loss_between"], held


def line(method, found, size):
    """Of the record."""
    return f"  {method:<28}{found:8.2%}{size / 1e3:10.1f} kB"


def study(name, field, acquisition, losses):
    """Lines of the record."""
    contrast = field.volume().contrast
    parts = [part.astype(float) for part in (contrast.real, contrast.imag)[: field.network.n_outputs]]
    half = sum(len(zlib.compress(part.astype("f2").tobytes(), 9)) for part in parts)
    before = None if acquisition is None else evaluate(field, acquisition)["nrmse_holdout"]
    whole = sum(array.nbytes for array in field.to_arrays().values())
    shape = " x ".join(map(str, contrast.shape))
    known = "" if before is None else f", held-out error {before:.5f}"
    lines = [f"{name}: {shape} voxels, field {whole / 1e3:.0f} kB{known}"]
    lines.append(line("float16, deflated", error(parts, [part.astype("f2") for part in parts]), half))
    for loss in losses:
        size, found, between, held = compressed(field, loss, acquisition)
        change = "" if held is None else f", held-out error {held:.5f} ({held / before - 1:+.2%})"
        lines.append(line("compressed field", found, size) + f"; between voxels {between:.2%}{change}")
        for method, (make, count) in methods().items():
            stored, found = coarsened(parts, make, loss)
            lines.append(line(f"  {method}", found, sum(map(count, stored))))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("field", type=Path)
    parser.add_argument("acquisition", type=Path, nargs="?")
    parser.add_argument("--loss", type=float, nargs="+", default=[0.005, 0.01, 0.02, 0.05])
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    acq = None if options.acquisition is None else fieldrx.read_acquisition(options.acquisition)
    field = fieldrx.load_field(options.field)
    text = "\n".join(study(field.provenance.name or options.field.stem, field, acq, options.loss))
    print(text)
    if options.record:
        with open(RECORD, "a") as file:
            file.write(text + "\n\n")


if __name__ == "__main__":
    main()
