"""Networks of DeCAF: the bundle's bytes, the flags, and the field against DeCAF's formulas transcribed."""

import struct
import zlib

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import InputError, load_field
from fieldrx.cli import main
from fieldrx.decaf import Geometry, import_decaf
from fieldrx.io import tensorflow
from fieldrx.io.tensorflow import read_index, read_tensor

FLAGS = {
    "dia_digree": "50.0",  # does not divide 180
    "mlp_kernel_size": "12",
    "mlp_layer_num": "4",
    "mlp_skip_layer": "2",
    "output_scale": "5.0",
    "positional_encoding_type": "exp_diag",
    "xy_encoding_num": "3",
    "z_encoding_num": "2",
    "fourier_encoding_size": "7",
    "sig_xy": "2.0",
    "n0": "1.3",
    "z_min": "-2",
    "z_max": "1",
    "z_train_delta": "0.5",
    "name": "a test",
}
N, PIXEL = 10, 0.25
KINDS = ("exp_diag", "exp", "fourier_fixed_xy")


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def masked(data):
    crc = tensorflow._crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries, every=3):
    """A block of a LevelDB table: shared prefixes, but for every third key."""
    out, before, restarts = b"", b"", []
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        own = key[shared:]
        out += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        before = key
    out += b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts))
    return out


def write_bundle(folder, arrays):
    """A checkpoint as TensorFlow writes it, with slots of Adam, in two blocks."""
    data, entries = b"", [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    named = {f"{name}{slot}": a for name, a in arrays.items() for slot in ("", "/Adam", "/Adam_1")}
    for name in sorted(named):
        raw = np.asarray(named[name] if "Adam" not in name else 0 * named[name] + 7, "<f4").tobytes()
        dims = b"".join(
            b"\x12" + varint(len(d)) + d for n in named[name].shape for d in [b"\x08" + varint(n)]
        )
        value = b"\x08\x01\x12" + varint(len(dims)) + dims + b"\x20" + varint(len(data))
        value += b"\x28" + varint(len(raw)) + b"\x35" + struct.pack("<I", masked(raw))
        entries.append((name.encode(), value))
        data += raw
    table, handles = b"", []
    half = len(entries) // 2
    blocks = [block(entries[:half]), block(entries[half:])]
    for content, last in zip(blocks, (entries[half - 1][0], entries[-1][0]), strict=True):
        handles.append((last, varint(len(table)) + varint(len(content))))
        table += content + b"\0" + struct.pack("<I", masked(content + b"\0"))
    places = b""
    for content in (block([]), block(handles)):
        places += varint(len(table)) + varint(len(content))
        table += content + b"\0" + struct.pack("<I", masked(content + b"\0"))
    table += places.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (folder / "model.index").write_bytes(table)
    (folder / "model.data-00000-of-00001").write_bytes(data)


def features_of(p, q, z, flags):
    """DeCAF's three encodings, transcribed."""
    octaves, z_octaves = int(flags["xy_encoding_num"]), int(flags["z_encoding_num"])
    found = []
    if flags["positional_encoding_type"] == "exp":
        for k in range(octaves):
            parts = [p, q, z if k < z_octaves else 0 * z]
            found += [np.sin(2**k * np.pi * c) for c in parts] + [np.cos(2**k * np.pi * c) for c in parts]
        return np.stack(found, 1)
    if flags["positional_encoding_type"] == "exp_diag":
        angles = np.arange(0, 180, float(flags["dia_digree"])) * np.pi / 180
        across = [p * np.sin(a) + q * np.cos(a) for a in angles]
        for k in range(octaves):
            found += [np.sin(2**k * np.pi * u) for u in across] + [np.cos(2**k * np.pi * u) for u in across]
    else:
        shape = int(flags["fourier_encoding_size"]), 2
        drawn = np.random.RandomState(10).normal(0, float(flags["sig_xy"]), shape)
        across = [p * b[0] + q * b[1] for b in drawn.astype("float32").astype(float)]
        found += [np.sin(2 * np.pi * u) for u in across] + [np.cos(2 * np.pi * u) for u in across]
    for k in range(z_octaves):
        found += [np.sin(2**k * np.pi * z), np.cos(2**k * np.pi * z)]
    return np.stack(found, 1)


def index_of(p, q, z, arrays, flags):
    """The refractive index as DeCAF's prediction computes it."""
    features = h = features_of(p, q, z, flags)
    for layer in range(5):
        name = "infer_y/MLP/dense" + (f"_{layer}" if layer else "")
        if layer == 2:
            h = np.concatenate([h, features], 1)
        h = h @ arrays[f"{name}/kernel"].astype(float) + arrays[f"{name}/bias"]
        if layer < 4:
            h = np.maximum(0.2 * h, h)
    real, imaginary = (h / float(flags["output_scale"])).T
    n0 = float(flags["n0"])
    root = np.sqrt((n0**2 + real) ** 2 + imaginary**2)
    index = np.sqrt(0.5 * (n0**2 + real + root))
    return index + 1j * imaginary / (2 * index)


def make(folder, kind="exp_diag", **changes):
    """A folder as DeCAF publishes them, with random weights; its arrays and flags."""
    flags = FLAGS | {"positional_encoding_type": kind} | changes
    n = features_of(*np.zeros((3, 1)), flags).shape[1]
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    arrays, rows = {}, n
    for layer, width in enumerate((12, 12, 12, 12, 2)):
        name = "infer_y/MLP/dense" + (f"_{layer}" if layer else "")
        shape = (rows + n * (layer == 2), width)
        arrays[f"{name}/kernel"] = (rng.standard_normal(shape) / np.sqrt(shape[0])).astype("f4")
        arrays[f"{name}/bias"] = (0.3 * rng.standard_normal(width)).astype("f4")
        rows = width
    (folder / "trained_model").mkdir(parents=True)
    write_bundle(folder / "trained_model", arrays)
    lines = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    (folder / "pred_config.txt").write_text("\n".join(["# flags", "", *lines]) + "\n")
    return arrays, flags


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_is_the_index_that_decaf_predicts(tmp_path, kind):
    arrays, flags = make(tmp_path / "net", kind)
    field = import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    column, row, slice_ = (np.array(v, float) for v in ([0, 9, 4, 2, 7], [0, 9, 1, 8, 3], [0, 6, 3, 2, 5]))
    depth = 7  # slices from -2 to 1 um, 0.5 um apart
    expected = index_of(2 * column / N - 1, 2 * row / N - 1, 2 * slice_ / depth - 1, arrays, flags)
    points = np.stack([-2 + 0.5 * slice_, row * PIXEL, column * PIXEL], 1)
    np.testing.assert_allclose(field(points), expected, atol=2e-6)
    assert np.ptp(expected.real) > 0.01 and np.ptp(expected.imag) > 0.01
    other = import_decaf(tmp_path / "net", Geometry(N, PIXEL, first="y"))
    np.testing.assert_allclose(other(points[:, [0, 2, 1]]), expected, atol=2e-6)
    np.testing.assert_allclose(field.region_um, [(-2, 1), (0, 2.25), (0, 2.25)])
    np.testing.assert_allclose(field.bounds_um, [(-2, 1.5), (0, 2.5), (0, 2.5)])
    grid = field.volume()
    z, y, x = np.meshgrid(*grid.grid.axes, indexing="ij")
    np.testing.assert_allclose(grid.contrast, field.contrast(np.stack([z, y, x], -1)), atol=2e-6)


def test_it_is_a_field_file_of_version_2(tmp_path):
    make(tmp_path / "net")
    field = import_decaf(tmp_path / "net", Geometry(N, PIXEL, (-1, 1, 0.25), 1.4))
    field.save(tmp_path / "f.npz")
    loaded = load_field(tmp_path / "f.npz")
    points = np.array([[0.1, 0.3, 0.7], [-0.9, 2, 1]])
    np.testing.assert_array_equal(loaded(points), field(points))
    assert loaded.quantity == "permittivity" and loaded.encoding == field.encoding
    assert loaded.medium_index == 1.4 and loaded.spacing_um == (0.25, PIXEL, PIXEL)
    assert loaded.provenance.origin["imported"]["flags"]["dia_digree"] == "50.0"
    with np.load(tmp_path / "f.npz") as file:
        assert file["version"] == 2
        arrays = dict(file)
    for change in ({"version": np.array(3)}, {"quantity": np.array("phase")}):
        np.savez(tmp_path / "bad.npz", **(arrays | change))
        with pytest.raises(InputError, match=r"bad\.npz"):
            load_field(tmp_path / "bad.npz")


def test_a_fit_does_not_go_on_from_permittivity():
    field = tiny.field(quantity="permittivity")
    with pytest.raises(InputError, match="permittivity"):
        tiny.fit().start(field)


def test_the_command_asks_for_what_the_flags_do_not_tell(tmp_path):
    make(tmp_path / "net", z_train_delta=None, n0=None)
    out = tmp_path / "f.npz"
    run = CliRunner().invoke
    asked = run(main, ["import-decaf", str(tmp_path / "net"), "-o", str(out)])
    assert asked.exit_code == 2 and "--pixel-size" in asked.output and not out.exists()
    size = ["--pixels", "10", "--pixel-size", "0.25"]
    done = run(main, ["import-decaf", str(tmp_path / "net"), "-o", str(out), *size])
    assert done.exit_code == 0, done.output
    assert "z_train_delta not among the flags" in done.output and "n0 not among" in done.output
    told = run(main, ["info", str(out)])
    assert "imported          from DeCAF" in told.output and "permittivity scale 0.2" in told.output


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 64
    path.write_bytes(raw)


def test_every_damaged_byte_of_an_index_is_noticed(tmp_path):
    make(tmp_path / "net")
    index = tmp_path / "net/trained_model/model.index"
    whole = index.read_bytes()
    expected = read_index(index)
    for at in [*range(0, len(whole) - 48, 29), len(whole) - 1]:
        flip(index, at)
        try:
            same = read_index(index) == expected
        except InputError as error:
            same = "copy it again" in str(error) and "\n" not in str(error)
        assert same, at
        index.write_bytes(whole)
    for length in (0, 7, 47, 48, len(whole) // 2, len(whole) - 1):
        index.write_bytes(whole[:length])
        with pytest.raises(InputError, match="copy it again"):
            read_index(index)


def test_damaged_numbers_are_noticed(tmp_path):
    arrays, _ = make(tmp_path / "net")
    index = tmp_path / "net/trained_model/model.index"
    data = index.with_suffix(".data-00000-of-00001")
    tensors, n = read_index(index)
    name = "infer_y/MLP/dense_1/kernel"
    np.testing.assert_array_equal(read_tensor(index, name, tensors[name], n), arrays[name])
    whole = data.read_bytes()
    flip(data, tensors[name].offset + 5)
    with pytest.raises(InputError, match="checksum"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    data.write_bytes(whole[: tensors[name].offset + 9])
    with pytest.raises(InputError, match="ends before"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    data.unlink()
    with pytest.raises(InputError, match="no such file"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))


def test_the_checksum_is_castagnolis():
    assert tensorflow._crc32c(b"123456789") == 0xE3069283  # of RFC 3720's polynomial
    assert tensorflow._crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"positional_encoding_type": "hash"}, "expected exp_diag"),
        ({"xy_encoding_num": "4"}, "features"),
        ({"xy_encoding_num": "four"}, "xy_encoding_num"),
        ({"dia_digree": "0"}, "dia_digree"),
        ({"dia_digree": "1e-9"}, "waves"),
        ({"mlp_layer_num": "5"}, "mlp_layer_num"),
        ({"mlp_skip_layer": "1"}, "mlp_skip_layer"),
        ({"z_max": "-3"}, "first < last"),
        ({"output_scale": "nan"}, "output_scale"),
        ({"mlp_activation": "tanh"}, "leaky_relu"),
    ],
)
def test_flags_that_contradict_the_weights(tmp_path, change, message):
    make(tmp_path / "net")
    path = tmp_path / "net/pred_config.txt"
    lines = [line for line in path.read_text().splitlines() if line[2:].split("=")[0] not in change]
    path.write_text("\n".join(lines + [f"--{k}={v}" for k, v in change.items()]))
    with pytest.raises(InputError, match=message) as told:
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    assert "\n" not in str(told.value)


def test_folders_that_hold_something_else(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        import_decaf(tmp_path / "none", Geometry(N, PIXEL))
    with pytest.raises(InputError, match="one checkpoint"):
        import_decaf(tmp_path, Geometry(N, PIXEL))
    make(tmp_path / "net")
    flags = tmp_path / "net/pred_config.txt"
    (tmp_path / "net/train_config.txt").write_text("--dia_digree=45\n")
    with pytest.raises(InputError, match="says dia_digree"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    (tmp_path / "net/train_config.txt").write_text("a letter\n")
    with pytest.raises(InputError, match="is no flag"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    (tmp_path / "net/train_config.txt").unlink()
    flags.unlink()
    with pytest.raises(InputError, match="no flags"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    write_bundle(tmp_path / "net/trained_model", {"conv/kernel": np.zeros((3, 3))})
    flags.write_text("--n0=1\n")
    with pytest.raises(InputError, match="layers dense"):
        import_decaf(tmp_path / "net", Geometry(N, PIXEL))
    for size in ((0, 1), (5, 0), (5, np.nan)):
        with pytest.raises(InputError):
            Geometry(*size)
