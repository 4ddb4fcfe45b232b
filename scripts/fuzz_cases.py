"""What scripts/fuzz.py tries: small good files of every kind, and what may be wrong with them.

Case k depends on the seed and k alone.  A case is a folder with files, and a command.
"""

import json
import random
import shutil
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS = ("toml", "archive", "image", "field", "table", "command", "volume")
SCOPE = {"wavelength_um": 0.532, "objective_na": 0.65, "medium_index": 1.335, "pixel_size_um": 0.2}
NUMBERS = (0, 1, -1, 2, 7, 0.5, -0.0, 1e-300, 1e300, float("nan"), float("inf"), -(2**63), 2**64, 10**400)
TEXTS = (
    "",
    "x",
    "é",
    "細胞",
    "\x1b[31m",
    "a\nb",
    "<script>",
    "..",
    "/",
    "/dev/null",
    "stack.tif",
    "n" * 5000,
    "\udcff",
)
OTHERS = (True, [], [1, 2], [[1], [2, 3]], {}, {"a": 1}, [float("nan")] * 3, ["a", "b"])
TYPES = ("u1", "i2", ">u2", "f2", "f4", ">f8", "c8", "c16", "?", "U3", "S2", "M8[s]", "V5", "i8")
SHAPES = ((), (0,), (1,), (3,), (2, 2), (0, 4, 4), (1, 1, 1), (8, 1, 24), (2, 3, 4, 5), (24, 24))


@dataclass
class Case:
    """A command, and what is known of how it must end.

    Attributes
    ----------
    argv : list of str
    good : bool
        Nothing is wrong: it must end with status 0.
    bad : bool
        It must not.
    what : str
        In words.
    """

    argv: list
    good: bool = False
    bad: bool = False
    what: str = ""


def make_base(folder):
    """Good files of every kind, small."""
    import scipy.io
    import tifffile

    import fieldrx
    from fieldrx import Acquisition, Grid, Illumination, Microscope
    from fieldrx.field import Fourier, Hash, Network, NeuralField, PlaneWaves, Radial
    from fieldrx.simulation import cell_phantom

    folder.mkdir(parents=True)
    scope = Microscope(*SCOPE.values())
    light = Illumination(np.concatenate([[[0.0, 0.0]], Illumination.led_ring(6, 0.4).sources_na]))
    cell = cell_phantom(0.2, 3.0, scope.medium_index)
    acq = fieldrx.simulate(cell, Acquisition(None, light, scope, holdout=(3,), name="base"), "born", (24, 20))
    acq.save(folder / "acq.npz")
    fieldrx.write_volume(folder / "volume.npz", cell)
    counts = np.round(1000 * acq.images).astype(np.uint16)
    tifffile.imwrite(folder / "stack.tif", counts, photometric="minisblack")
    np.save(folder / "stack.npy", counts)
    scipy.io.savemat(folder / "data.mat", {"I_Raw": np.moveaxis(counts, 0, -1)}, do_compression=True)
    np.save(folder / "volume.npy", cell.contrast)
    told = {"axes": "ZYX", "spacing": 0.2, "unit": "um"}
    tifffile.imwrite(
        folder / "volume.tif", cell.contrast.real.astype("f4"), imagej=True, resolution=(5, 5), metadata=told
    )
    rows = (f"{k},{y:.6f},{x:.6f}\n" for k, (y, x) in enumerate(light.sources_na))
    (folder / "leds.csv").write_text("page,na_y,na_x\n" + "".join(rows))
    (folder / "points.csv").write_text("z_um,y_um,x_um\n0,1,1\n0.5,2,2\n-0.5,2.5,1.5\n")
    (folder / "acquisition.toml").write_text(toml_text(good_toml()))
    grid = Grid.for_images((24, 20), scope, (-1, 1, 0.5))
    for encoding in (
        Hash(((3, 5, 4), (5, 15, 13)), 9),
        Fourier(8, 1.0, 1.0, 1.0),
        Radial(60.0, 3, 2),
        PlaneWaves(((1, 0, 2),)),
    ):
        network = Network(encoding.n_features, width=16, depth=2, skips=(1,))
        rng = np.random.default_rng(1)
        params = np.concatenate([encoding.initial_params(rng), network.initial_params(rng)])
        region = np.array([(-1, 1), (0, 4.6), (0, 3.8)])
        quantity = "permittivity" if encoding.kind == "waves" else "contrast"
        NeuralField(encoding, network, params, grid.bounds_um, region, (0.5, 0.2, 0.2), 0.01,
                    scope.medium_index, quantity=quantity).save(folder / f"{encoding.kind}.npz")  # fmt: skip
    _reconstructed(folder)


def _reconstructed(folder):
    """A field that was fitted, its ensemble, and a checkpoint."""
    import fieldrx
    from fieldrx.acquisition import read_acquisition

    fit = fieldrx.Fit(
        read_acquisition(folder / "acq.npz"), (-1, 1, 0.5), "born", schedule={"steps": 3, "warm_steps": 2}
    )
    field = fit.run()
    field.save(folder / "field.npz")
    fit.save(folder / "old.checkpoint.npz")
    members = fieldrx.make_ensemble(field, read_acquisition(folder / "acq.npz"), 2, 1, twin=False)
    members.save(folder / "ensemble.npz")


def good_toml():
    images = {"files": "stack.tif", "background": 1000}
    light = {"kind": "table", "table": "leds.csv"}
    return {"microscope": dict(SCOPE), "images": images, "illumination": light}


def toml_value(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml_value(v)}" for k, v in value.items()) + "}"
    return repr(value)


def toml_text(content):
    lines = []
    for name, table in content.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items()), ""]
        else:
            lines.insert(0, f"{name} = {toml_value(table)}")
    return "\n".join(lines) + "\n"


def odd(rng):
    """A value that nobody expects there."""
    return rng.choice(rng.choice([NUMBERS, TEXTS, OTHERS]))


def damaged(rng, data):
    """Bytes with some flipped, cut off, doubled or put in."""
    data = bytearray(data)
    way = rng.random()
    if way < 0.5:
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way < 0.7:
        del data[rng.randrange(len(data)) :]
    elif way < 0.85:
        at = rng.randrange(len(data))
        data[at : at + rng.choice([1, 4, 100])] = rng.randbytes(rng.choice([0, 1, 4, 300]))
    else:
        at = rng.randrange(len(data))
        data[at:at] = rng.choice(
            [b"\x00" * 50, b"\xff" * 8, struct.pack("<I", 2**31 - 1), b"1e999", b"[" * 5000]
        )
    return bytes(data)


def _spoil(rng, path):
    path.write_bytes(damaged(rng, path.read_bytes()))
    return f"bytes of {path.name}"


# --- the kinds -----------------------------------------------------------------------------------


def toml(rng, folder):
    content, bad = good_toml(), False
    if rng.random() < 0.3:
        content["illumination"] = {"kind": "led-ring", "count": 7, "na": 0.4, "start_deg": 0}
    if rng.random() < 0.15:
        content["images"]["files"] = rng.choice(["stack.npy", "data.mat:/I_Raw"])
    table = rng.choice(list(content))
    way = rng.random()
    if way < 0.5:
        key, value = rng.choice(list(content[table])), odd(rng)
        content[table][key] = value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        bad = key in SCOPE and not (number and 0 < value < float("inf"))
    elif way < 0.65:
        key = rng.choice(list(content[table]))
        del content[table][key]
        bad = key in SCOPE
    elif way < 0.75:
        content[rng.choice([table, rng.choice(["notes", "name", "x"])])] = odd(rng)
    elif way < 0.9:
        known = (
            "region",
            "mask",
            "dark",
            "holdout",
            "background",
            "saturation",
            "directions",
            "pitch_um",
            "count",
            "x",
        )
        content[table][rng.choice(known)] = odd(rng)
    text = toml_text(content).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        text, bad = damaged(rng, text), False
    (folder / "acquisition.toml").write_bytes(text)
    return Case(reading(rng, "acquisition.toml"), bad=bad, what=f"{table}, {way:.2f}")


def reading(rng, acquisition):
    """A command that reads an acquisition."""
    commands = [["info", acquisition]] * 6 + [
        ["evaluate", "field.npz", acquisition],
        ["simulate", "volume.npz", acquisition, "-o", "out.npz"],
        ["calibrate", acquisition, "-o", "out.toml", "-q"],
        [
            "reconstruct",
            acquisition,
            "-o",
            "out.npz",
            "--depth=-1:1:0.5",
            "--steps",
            "1",
            "--model",
            "born",
            "-q",
        ],
    ]
    return list(rng.choice(commands))


def changed_arrays(rng, path):
    """One array of a .npz made odd."""
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(list(arrays))
    value = arrays[name]
    way = rng.random()
    if way < 0.15:
        del arrays[name]
    elif way < 0.35 and value.dtype.kind in "iufc":
        arrays[name] = value.astype(rng.choice([t for t in TYPES if t[0] not in "MV"]), casting="unsafe")
    elif way < 0.5:
        arrays[name] = np.zeros(rng.choice(SHAPES), rng.choice(TYPES))
    elif way < 0.7 and value.dtype.kind in "fc" and value.size:
        flat = np.array(value).ravel()
        flat[rng.randrange(flat.size)] = rng.choice(
            [np.nan, np.inf, -1e30, 1e300 if flat.itemsize > 8 else 1e38]
        )
        arrays[name] = flat.reshape(value.shape)
    elif way < 0.85:
        arrays[name] = np.asarray(value)[..., ::2] if value.ndim else value[None]
    else:
        item = odd(rng)
        arrays[name] = np.array(json.dumps(item)) if isinstance(item, (list, dict)) else np.array(item)
        if arrays[name].dtype.kind == "O":
            arrays[name] = np.array(str(item)[:50])
    np.savez(path, **arrays)
    return name


def archive(rng, folder):
    name = rng.choice(["acq.npz", "acq.npz", "volume.npz", "ensemble.npz", "old.checkpoint.npz"])
    way = rng.random()
    what = changed_arrays(rng, folder / name) if way < 0.7 else ""
    if way > 0.6:
        what += _spoil(rng, folder / name)
    elif way < 0.03:  # a member that unpacks to gigabytes
        with zipfile.ZipFile(folder / name, "a", zipfile.ZIP_DEFLATED) as file:
            header = np.lib.format.magic(1, 0) + struct.pack("<H", 118)
            shape = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 65536, 262144), }"
            file.writestr("extra.npy", header + shape.ljust(117).encode() + b"\n" + bytes(1 << 20))
    if name == "acq.npz":
        return Case(reading(rng, name), what=what)
    commands = {
        "volume.npz": [["simulate", name, "acq.npz", "-o", "out.npz"],
                       ["evaluate", "field.npz", "acq.npz", "--truth", name]],
        "ensemble.npz": [["query", name, "points.csv"], ["render", name, "out.npy", "--quantity", "std"]],
        "old.checkpoint.npz": [["reconstruct", "acq.npz", "-o", "old.npz", "--depth=-1:1:0.5",
                                "--model", "born", "--steps", "3", "--resume", "-q"]],
    }  # fmt: skip
    return Case(rng.choice([["info", name], *commands[name]]), what=what)


def image(rng, folder):
    import tifffile

    name = rng.choice(["stack.tif", "stack.npy", "data.mat"])
    content = good_toml()
    content["images"]["files"] = "data.mat:/I_Raw" if name == "data.mat" else name
    if rng.random() < 0.6 or name == "data.mat":
        what = _spoil(rng, folder / name)
    else:
        kind = rng.choice([t for t in TYPES if t[0] not in "UMSV?"])
        shape = rng.choice([s for s in SHAPES if len(s) > 1])
        odd_images = (1000 * np.ones(shape)).astype(kind)
        what = f"{shape} {kind}"
        if name == "stack.npy" or 0 in shape or odd_images.dtype.kind == "c":
            np.save(folder / "stack.npy", odd_images)
            content["images"]["files"] = "stack.npy"
        else:
            tifffile.imwrite(folder / name, odd_images, photometric="minisblack", byteorder=rng.choice("<>"))
    if rng.random() < 0.2:
        content["images"]["region"] = [rng.choice([0, 2, -1, 10, 99]) for _ in range(4)]
    (folder / "acquisition.toml").write_text(toml_text(content))
    return Case(reading(rng, "acquisition.toml"), what=what)


def field(rng, folder):
    name = rng.choice(["field.npz", "fourier.npz", "radial.npz", "hash.npz", "waves.npz"])
    path, way = folder / name, rng.random()
    if way < 0.35:
        with np.load(path) as file:
            arrays = dict(file)
        key = rng.choice(["encoding", "network", "provenance"])
        arrays[key] = np.array(json.dumps(_changed_json(rng, json.loads(str(arrays[key])))))
        np.savez(path, **arrays)
        what = key
    elif way < 0.75:
        what = changed_arrays(rng, path)
    else:
        what = _spoil(rng, path)
    commands = [
        ["info", name], ["query", name, "points.csv"], ["render", name, "out.npy", "-q"],
        ["view", name, "-o", "out.html"], ["render", name, "out.png", "-q"], ["evaluate", name, "acq.npz"],
        ["report", name, "acq.npz", "-o", "out.html"],
    ]  # fmt: skip
    return Case(rng.choice(commands), what=f"{name}: {what}")


def _changed_json(rng, content):
    if not isinstance(content, dict) or not content or rng.random() < 0.1:
        return odd(rng)
    key = rng.choice(list(content))
    if rng.random() < 0.15:
        del content[key]
    elif isinstance(content[key], dict) and rng.random() < 0.7:
        content[key] = _changed_json(rng, content[key])
    elif isinstance(content[key], list) and content[key] and rng.random() < 0.6:
        content[key] = [*content[key][1:], odd(rng)]
    else:
        content[key] = odd(rng)
    return content


CELLS = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e400",
    "abc",
    "0,5",
    "1;2",
    "é",
    '"',
    '"a',
    "0x1",
    "1_0",
    " 0.1 ",
    "９",
    "\x00",
    "a" * 9999,
)


def table(rng, folder):
    name = rng.choice(["leds.csv", "points.csv"])
    lines = [line.split(",") for line in (folder / name).read_text().splitlines()]
    for _ in range(rng.choice([1, 1, 3])):
        way, row = rng.random(), rng.randrange(len(lines))
        if way < 0.5 and lines[row]:
            lines[row][rng.randrange(len(lines[row]))] = rng.choice(CELLS)
        elif way < 0.65:
            lines.insert(row, rng.choice([[], [""] * 3, ["#"], lines[row], ["1"] * 40]))
        elif way < 0.8 and len(lines) > 1:
            del lines[row]
        elif lines[row]:
            lines[row].pop()
    text = rng.choice(["\n", "\n", "\r\n", "\r"]).join(
        map(rng.choice([",", ",", ",", ";", "\t"]).join, lines)
    )
    data = rng.choice(["", "", "\ufeff"]).encode() + text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.25:
        data = damaged(rng, data)
    (folder / name).write_bytes(data)
    return Case(
        ["query", "field.npz", name] if name == "points.csv" else reading(rng, "acquisition.toml"), what=name
    )


def volume(rng, folder):
    name = rng.choice(["volume.tif", "volume.npy"])
    what = _spoil(rng, folder / name) if rng.random() < 0.8 else "whole"
    where = ["--spacing", rng.choice(["0.2", "0.2,0.2,0.2", "0", "-1", "nan", "1e300", "1e-9", "a", "1,2"])]
    where += ["--origin", rng.choice(["-1,0,0", "nan,0,0", "1e300,0,0", "0,0"])] if rng.random() < 0.3 else []
    command = ["simulate", name, "acq.npz", "-o", "out.npz"]
    if rng.random() < 0.3:
        command = ["evaluate", "field.npz", "acq.npz", "--truth", name]
    return Case(command + (where if name.endswith("npy") or rng.random() < 0.3 else []), what=what)


VALUES = ("", "0", "1", "-1", "nan", "inf", "1e400", "x", "0,0", "1,2,3", "-1:1:0.5", "1:-1:1", "0:1,0:1,0:1",
          "y:30", "a" * 3000,
          "\x1b[31m", "auto", "9" * 400, "1e-300", "out.png", "missing.npz")  # fmt: skip
PLACES = ("out.npz", "out.png", "out.tif", "out.npy", "out.vti", "out.txt", "nowhere/o.npz", "field.npz", "",
          ".", "/dev/null",
          "n" * 300 + ".npz", "out.html", "out.gif")  # fmt: skip
FILES = ("field.npz", "field.npz", "acq.npz", "acq.npz", "ensemble.npz", "volume.npz", "acquisition.toml",
         "points.csv", "leds.csv",
         "missing.npz", "", ".", "/dev/null", "stack.tif", "a\nb")  # fmt: skip


def command(rng, folder):
    """A command with options of its own and values from anywhere."""
    import click

    from fieldrx.cli import main

    name = rng.choice([n for n in main.commands if n not in ("demo", "run", "doctor", "ensemble")])
    argv, quick = [name], {"steps": "1", "depth": "-1:1:0.5", "model": "born", "frames": "2", "members": "2"}
    for param in main.commands[name].params:
        if isinstance(param, click.Argument):
            right = {
                "field": "field.npz",
                "acquisition": "acq.npz",
                "volume": "volume.npz",
                "points": "points.csv",
            }
            default = right.get(param.name, rng.choice(PLACES))
            argv.append(default if rng.random() < 0.8 else rng.choice(FILES))
        elif param.required or param.name in quick or rng.random() < 0.12:
            if param.is_flag:
                argv.append(param.opts[0])
                continue
            choices = getattr(param.type, "choices", None)
            for _ in range(1 if param.nargs == 1 else param.nargs):
                value = quick.get(param.name) if rng.random() < 0.7 else None
                value = value or (
                    rng.choice(PLACES) if param.name == "output" else rng.choice(choices or VALUES)
                )
                argv.append(f"{param.opts[-1]}={value}" if param.nargs == 1 else value)
            if param.nargs != 1:
                argv.insert(len(argv) - param.nargs, param.opts[-1])
    if name == "reconstruct" and not any(a.startswith("--steps=1") for a in argv):
        argv.append("--steps=1")  # the last one counts
    if rng.random() < 0.05:
        argv.insert(
            rng.randrange(len(argv) + 1), rng.choice(["--bogus", "-z", "", "--", "-o", "--help", "extra"])
        )
    return Case(argv)


def good(rng, folder):
    """Nothing is wrong: the fuzzer itself is tried, too."""
    del folder
    commands = [
        ["info", "acq.npz"], ["info", "acquisition.toml"], ["info", "field.npz"], ["info", "ensemble.npz"],
        ["info", "volume.npz"], ["query", "waves.npz", "points.csv"], ["render", "hash.npz", "out.tif", "-q"],
        ["evaluate", "field.npz", "acq.npz"],
        ["view", "radial.npz", "-o", "out.html"], ["simulate", "volume.tif", "acq.npz", "-o", "out.npz"],
    ]  # fmt: skip
    return Case(rng.choice(commands), good=True, what="good")


_MAKERS = {
    "toml": toml,
    "archive": archive,
    "image": image,
    "field": field,
    "table": table,
    "command": command,
    "volume": volume,
}


def make_case(seed, k, base, folder):
    """Case k: its folder is filled; its kind and command."""
    rng = random.Random(f"{seed} {k}")
    kind = "good" if k % 50 == 49 else KINDS[k % len(KINDS)]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return kind, _MAKERS.get(kind, good)(rng, Path(folder))
