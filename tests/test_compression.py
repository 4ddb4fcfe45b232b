"""Compressed fields: as close and as small as they say, and fields as any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

import fieldrx
from fieldrx import InputError, NeuralField, compress, load_field
from fieldrx.cli import main
from fieldrx.compression import compress_ensemble
from fieldrx.ensemble import Ensemble, load_ensemble, make_ensemble
from fieldrx.ensemble.data import identity
from fieldrx.evaluation import evaluate
from fieldrx.field import Fourier, Hash, Identity, Network, Positional, Radial
from fieldrx.field.coded import Blocks, Coded, quantised, reconstructed
from fieldrx.recipe import recipe

ENCODINGS = {
    "radial": Radial(angle_step_deg=30.0, xy_octaves=3, z_octaves=2),
    "positional": Positional(2, 3, 3),
    "fourier": Fourier(20, 0.5, 1.0, 1.2),
    "hash": Hash(((3, 5, 4), (5, 15, 13), (6, 40, 40)), log2_table_size=9),
}


def field(kind="hash", n_outputs=2, seed=0, **options):
    """A field with random weights, an uneven domain and a medium that shows no symmetry."""
    encoding, rng = ENCODINGS[kind], np.random.default_rng(seed)
    network = Network(encoding.n_features, width=12, depth=2, n_outputs=n_outputs)
    table = rng.standard_normal(encoding.n_params)
    params = np.concatenate([table, network.initial_params(rng)]).astype(np.float32)
    given = {
        "bounds_um": np.array([(-1.25, 1.75), (-2.0, 7.0), (-1.5, 9.0)]),
        "region_um": np.array([(-1.0, 1.5), (0.125, 5.875), (0.125, 7.625)]),
        "spacing_um": (0.5, 0.25, 0.25),
        "output_scale": 0.02,
        "medium_index": 1.33,
    } | options
    return NeuralField(encoding, network, params, **given)


def loss(small, whole):
    """Written out: over the voxels of the fit that the images show."""
    axes = [
        np.arange(lo, hi + 1e-6, d) for (lo, hi), d in zip(whole.region_um, whole.spacing_um, strict=True)
    ]
    wanted = whole.on_axes(*axes)
    return np.linalg.norm(small.on_axes(*axes) - wanted) / np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def whole():
    return field()


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "hash" else pytest.mark.slow) for kind in ENCODINGS]
)
def test_keeps_the_loss_that_is_asked_for(kind, n_outputs, tmp_path):
    whole = field(kind, n_outputs)
    for wanted in (0.002, 0.05):
        small = compress(whole, loss=wanted)
        found, told = loss(small, whole), small.provenance.origin["compressed"]
        assert 0.97 * wanted < found <= 1.0001 * wanted
        assert told["loss"] == pytest.approx(found, rel=1e-3)
        small.save(tmp_path / "small.npz")
        again = load_field(tmp_path / "small.npz")
        assert np.array_equal(again.params, small.params)
        assert again.coded.step == small.coded.step


def test_default_is_one_per_cent(whole):
    assert 0.0097 < loss(compress(whole), whole) <= 0.010001


def test_loss_between_the_voxels(whole):
    small = compress(whole)
    points = np.random.default_rng(5).uniform(*whole.region_um.T, (20000, 3))
    wanted = whole.contrast(points)
    found = np.linalg.norm(small.contrast(points) - wanted) / np.linalg.norm(wanted)
    assert small.provenance.origin["compressed"]["loss_between"] == pytest.approx(found, rel=0.02)


def test_between_voxels_lies_their_interpolation(whole):
    small = compress(whole, loss=0.001)
    z, y, x = whole.region_um[:, 0] + np.array([2, 9, 13]) * whole.spacing_um
    low, high = small([z, y, x]), small([z, y, x + 0.25])
    assert small([z, y, x + 0.1]) == pytest.approx(0.6 * low + 0.4 * high, abs=1e-7)
    assert np.abs(low - high) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("size", [6000, 9000, 30000])
def test_keeps_the_size_that_is_asked_for(size, whole, tmp_path):
    small = compress(whole, size=size)
    small.save(tmp_path / "small.npz")
    found = (tmp_path / "small.npz").stat().st_size
    assert found <= size
    assert found > size - 800  # and uses it
    assert small.provenance.origin["compressed"]["loss"] == pytest.approx(loss(small, whole), rel=1e-3)


@pytest.mark.slow
def test_size_beyond_the_smallest_loss(whole, tmp_path):
    small = compress(whole, size=1e8)
    assert loss(small, whole) < 1.5e-4


def test_margin_is_kept_more_coarsely():
    blocks = Blocks.of((6, 60, 42), ((1, 6), (32, 56), (6, 36)))
    assert blocks.steps()[1, :, 1].tolist() == [8, 8, 8, 1, 1, 8]  # of 12 voxels in y each
    values = np.random.default_rng(0).standard_normal((1, 6, 60, 42)).astype(np.float32)
    wrong = reconstructed(blocks, quantised(blocks, blocks.cosines(values), 0.05), 0.05) - values
    within = np.mean(wrong[:, 1:, 32:56, 6:36] ** 2)
    assert within == pytest.approx(0.05**2 * (1 / 12 + 0.12**2), rel=0.05)  # of rounding at 0.62, not at 0.5
    assert np.mean(wrong[:, :, :32] ** 2) / within == pytest.approx(64, rel=0.1)


def test_blocks_are_orthonormal_cosines():
    blocks = Blocks((5, 7, 6), (3, 4, 6), ((0, 5), (4, 7), (0, 6)))
    values = np.random.default_rng(0).standard_normal((2, 5, 7, 6)).astype(np.float32)
    cosines = blocks.cosines(values)
    assert cosines.shape == (2, 3, 4, 6, 2, 2, 1)
    assert cosines[1, :, :, :, 0, 0, 0] == pytest.approx(dctn(values[1, :3, :4], norm="ortho"), abs=1e-5)
    filled = np.pad(values[0, 3:, 4:], [(0, 1), (0, 1), (0, 0)], mode="edge")
    assert cosines[0, :, :, :, 1, 1, 0] == pytest.approx(dctn(filled, norm="ortho"), abs=1e-5)
    assert blocks.values(cosines) == pytest.approx(values, abs=1e-5)
    assert blocks.steps()[:, :, 0].tolist() == [[8, 1], [8, 1]]  # the first block in y holds no image


@settings(deadline=None, max_examples=25)
@given(st.tuples(*[st.integers(1, 45)] * 3), st.floats(0.01, 2.0), st.integers(0, 9))
def test_any_shape_comes_back_within_its_steps(shape, step, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((1, *shape)).astype(np.float32)
    blocks = Blocks.of(shape, [np.sort(rng.choice(n + 1, 2, replace=False)) for n in shape])
    symbols = quantised(blocks, blocks.cosines(values), step)
    coded = Coded.of(blocks, symbols, step)
    again = Coded.from_arrays(coded.to_arrays())
    assert np.array_equal(again.values(), reconstructed(blocks, symbols, step))
    assert again.params().size == coded.encoding.n_params + coded.network.n_params
    wrong = quantised(blocks, blocks.cosines(values), 1e-4) * 1e-4 - symbols * step
    assert np.abs(wrong).max() <= 0.63 * step + 1e-4
    most = 0.63 * step * blocks.coarser * np.sqrt(symbols.size)
    assert np.linalg.norm(again.values() - values) <= most


def test_fields_of_one_voxel_along_an_axis():
    flat = field(
        bounds_um=np.array([(-0.25, 0.25), (-2.0, 7.0), (-1.5, 9.0)]),
        region_um=np.array([(0, 0), (0.125, 5.875), (0.125, 7.625)]),
    )
    assert 0.009 < loss(compress(flat), flat) < 0.01001


def test_provenance_stays_and_tells_the_cost(whole):
    known = replace(
        whole, provenance={"name": "cell", "model": "bpm", "told": 3}, history={"loss": np.arange(3.0)}
    )
    small = compress(known)
    assert (small.provenance.name, small.provenance.model, small.provenance.origin["told"]) == (
        "cell",
        "bpm",
        3,
    )
    assert small.history["loss"].tolist() == [0, 1, 2]
    told = small.provenance.origin["compressed"]
    assert told["encoding"] == whole.encoding.to_dict()
    assert told["network"] == whole.network.to_dict()
    assert identity(small) == identity(known)


def test_changed_parameters_are_saved_as_they_are(whole, tmp_path):
    small = compress(whole)
    changed = replace(small, params=2 * small.params)
    changed.save(tmp_path / "changed.npz")
    assert np.array_equal(load_field(tmp_path / "changed.npz").params, 2 * small.params)


@pytest.mark.slow
def test_ensemble(tmp_path):
    members = tuple(field(seed=seed) for seed in range(3))
    whole = Ensemble(members, factor=1.5, provenance={"field": identity(members[0])})
    small = compress_ensemble(whole, loss=0.02)
    small.save(tmp_path / "small.npz")
    again = load_ensemble(tmp_path / "small.npz")
    points = np.random.default_rng(0).uniform(*whole.members[0].region_um.T, (500, 3))
    for before, after in zip(small(points), again(points), strict=True):
        assert np.array_equal(before, after)
    assert max(loss(a, b) for a, b in zip(again.members, members, strict=True)) <= 0.020002
    assert again.belongs_to(compress(members[0]))
    assert not again.belongs_to(compress(members[1]))
    sized = compress_ensemble(whole, size=25e3)
    sized.save(tmp_path / "sized.npz")
    assert 22e3 < (tmp_path / "sized.npz").stat().st_size <= 25e3


@pytest.mark.slow
def test_predicts_as_the_field_does():
    acq = tiny.acquisition()
    whole = tiny.fit(acq, schedule=tiny.schedule(steps=60)).run()
    before, after = evaluate(whole, acq), evaluate(compress(whole), acq)
    assert after["nrmse_holdout"] == pytest.approx(before["nrmse_holdout"], rel=0.01)


def test_cannot_be_fitted_on():
    small = compress(tiny.field())
    with pytest.raises(InputError, match="a compressed field cannot be fitted on"):
        make_ensemble(small, tiny.acquisition())
    with pytest.raises(InputError, match="another encoding, network or domain"):
        tiny.fit().start(small)


@pytest.mark.slow
def test_recipe_is_that_of_the_fit():
    acq = tiny.acquisition()
    whole = tiny.fit(
        acq, encoding=None, network=None, preset="decaf-small", schedule=tiny.schedule(steps=1)
    ).run()
    assert "--preset=decaf-small" in recipe(whole, acq)[0]
    assert recipe(compress(whole, loss=0.3), acq) == recipe(whole, acq)


BAD = {
    "a loss or a size": {"loss": 0.1, "size": 1e5},
    "loss 0.7 is no share of the contrast from 0.0001 to 0.5": {"loss": 0.7},
    "loss 1e-06 is no share": {"loss": 1e-6},
    "2000 bytes are too few": {"size": 2000},
}


@pytest.mark.parametrize("words", BAD)
def test_impossible_wishes(whole, words):
    with pytest.raises(InputError, match=words):
        compress(whole, **BAD[words])


def test_fields_that_cannot_be_compressed(whole):
    with pytest.raises(InputError, match="compressed already"):
        compress(compress(whole))
    with pytest.raises(InputError, match="no contrast"):
        compress(replace(whole, params=np.zeros_like(whole.params)))
    with pytest.raises(InputError, match="no contrast"):
        compress(replace(whole, output_scale=0.0))
    given = Network(3, width=4, depth=1)
    features = NeuralField(
        Identity(3),
        given,
        np.ones(given.n_params, np.float32),
        whole.bounds_um,
        whole.region_um,
        (0.5, 0.25, 0.25),
        0.02,
        1.33,
    )
    with pytest.raises(InputError, match="no coordinates"):
        compress(features)


def described(arrays, name, text):
    """With another text for a number of the lattice."""
    values = json.loads(str(arrays["lattice"]))
    return arrays | {"lattice": json.dumps(values | {name: "?"}).replace('"?"', text)}


def test_too_little_memory(whole, monkeypatch):
    monkeypatch.setattr("fieldrx.compression.physical_memory", lambda: 2**19)
    with pytest.raises(
        InputError, match=r"6 x 36 x 42 voxels needs about 0\.00068 GiB of memory; there are 0\.00049"
    ):
        compress(whole)


DAMAGE = {
    "is no code of": lambda a: a | {"stream": a["stream"][:-9]},
    "expected bytes": lambda a: a | {"stream": a["stream"].astype(np.float32)},
    'lacks "stream"': lambda a: {k: v for k, v in a.items() if k != "stream"},
    'lacks "lattice"': lambda a: {k: v for k, v in a.items() if k != "lattice"},
    "is damaged.*whole numbers": lambda a: described(a, "shape", "[0.5, 36, 42]"),
    "are no blocks of a volume": lambda a: described(a, "block", "[6, 0, 21]"),
    "too many, or too few": lambda a: described(a, "shape", "[600000000, 36, 42]"),
    "coarser is 0.5": lambda a: described(a, "coarser", "0.5"),
    "a step of nan": lambda a: described(a, "step", "NaN"),
    "3 outputs": lambda a: described(a, "n_outputs", "3"),
    "is damaged": lambda a: a | {"lattice": "["},
}


@pytest.mark.parametrize("words", DAMAGE)
def test_damaged_files(whole, words, tmp_path):
    np.savez(tmp_path / "small.npz", **DAMAGE[words](compress(whole).to_arrays()))
    with pytest.raises(InputError, match=words) as caught:
        load_field(tmp_path / "small.npz")
    assert "\n" not in str(caught.value)


# --- the command ----------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.slow
def test_command(whole, tmp_path):
    whole.save(tmp_path / "cell.npz")
    done = run("compress", tmp_path / "cell.npz", "-o", tmp_path / "small.npz", "--loss", "2%", "-q")
    assert done.exit_code == 0, done.output
    assert "times smaller; the contrast changes by 2% at the voxels of the fit" in done.output
    assert loss(load_field(tmp_path / "small.npz"), whole) <= 0.020002
    assert "the contrast changed by 2% at the voxels" in run("info", tmp_path / "small.npz").output
    assert "it was hash and a network of 2 x 12" in run("info", tmp_path / "small.npz").output
    assert run("render", tmp_path / "small.npz", tmp_path / "small.npy", "-q").exit_code == 0
    sized = run("compress", tmp_path / "cell.npz", "-o", tmp_path / "sized.npz", "--size", "0.02 MB", "-q")
    assert sized.exit_code == 0, sized.output
    assert 19000 < (tmp_path / "sized.npz").stat().st_size <= 20000


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--loss", "2%", "--size", "1MB"), "give --loss or --size, not both"),
        (("--loss", "lots"), '--loss "lots" is not a share such as 1% or 0.01'),
        (("--loss", "70%"), "loss 0.7 is no share"),
        (("--size", "big"), '--size "big" is not a size such as 300kB'),
        (("--size", "3kB"), "3000 bytes are too few"),
        (("-o", "small.txt"), "saved as .npz"),
    ],
)
def test_refused(args, words, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole.save(tmp_path / "cell.npz")
    done = run("compress", "cell.npz", "-o", "small.npz", *args)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.npz"]


def test_named_in_the_package():
    assert fieldrx.compress is compress
