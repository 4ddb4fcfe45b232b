"""Multi-slice models: derivatives by differences, engines against each other, known limits."""

import numpy as np
import pytest
import tiny
from scipy.ndimage import gaussian_filter

from fieldrx.backends import cpu, plain
from fieldrx.backends.cpu import fft
from fieldrx.errors import InputError
from fieldrx.models import SSNP, BeamPropagation, Born, MultiLayerBorn
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil, zernike

KINDS = [BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((6, 30, 40), (0.31, 0.18, 0.18), (-0.9, -5 * 0.18, -7 * 0.18))
IMAGE = (20, 27)
SOURCES = np.array([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55), (0.05, 0.9)])
PATTERN = np.array([(1, 0, 0, 0, 0), (0, 1, 0, 0.5, 0), (0.2, 0, 1, 0, 0.7)])
ZERNIKE = np.array([0.1, -0.2, 0.15, 0.3, -0.25, 0.1, 0.2])
UNEVEN = np.array([-1.0, -0.6, -0.35, 0.1, 0.3, 0.9])


def model(kind, sources=SOURCES, pattern=PATTERN, **options):
    return kind(GRID, SCOPE, Illumination(sources, pattern), IMAGE, **options)


def sample(dtype=np.complex128, strength=0.04):
    return tiny.rough(GRID.shape, dtype, strength)


def difference(f, at, along, step):
    return (f(at + step * along) - f(at - step * along)) / (2 * step)


OPTICS = {"pupil": Pupil(ZERNIKE), "defocus_um": 0.4, "gain": [1.1, 0.9, 1.2]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edge", ["hard", "soft"])
@pytest.mark.parametrize("slices_um", [None, UNEVEN])
class TestGradients:
    """In double precision against central differences of forward(), in steps too small to meet a kink."""

    def check(self, kind, edge, slices_um, what, change):
        rng = np.random.default_rng(0)
        d_intensity = rng.normal(size=(3, *IMAGE))
        fixed = OPTICS | {"edge": edge, "slices_um": slices_um, "engine": "plain"}

        def loss(t):
            options, contrast = dict(fixed), sample()
            sources, pattern = SOURCES, PATTERN
            if what == "contrast":
                contrast = contrast + t * change
            elif what == "sources_na":
                sources = sources + t * change
            elif what == "pattern":
                pattern = pattern + t * change
            elif what == "pupil":
                options["pupil"] = Pupil(ZERNIKE + t * change)
            elif what == "gain":
                options["gain"] = np.array(options["gain"]) + t * change
            else:
                options["defocus_um"] += t * change
            return float(np.vdot(d_intensity, model(kind, sources, pattern, **options).forward(contrast)))

        gradients = model(kind, **fixed).gradients(sample(), d_intensity)
        along = np.vdot(getattr(gradients, what), change).real
        assert along == pytest.approx(difference(loss, 0.0, 1.0, 1e-6), rel=2e-6)

    def test_contrast(self, kind, edge, slices_um):
        rng = np.random.default_rng(1)
        change = rng.normal(size=GRID.shape) * (1 if edge == "hard" else 1j)
        self.check(kind, edge, slices_um, "contrast", change)

    def test_directions(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "sources_na", np.random.default_rng(2).normal(size=SOURCES.shape))

    def test_weights(self, kind, edge, slices_um):
        change = PATTERN * np.random.default_rng(3).normal(size=PATTERN.shape)  # no weight becomes negative
        self.check(kind, edge, slices_um, "pattern", change)

    def test_gain(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "gain", np.array([0.3, -1.0, 0.4]))

    def test_defocus(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "defocus_um", 1.0)

    def test_zernike(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "pupil", np.random.default_rng(4).normal(size=len(ZERNIKE)))


# ---- the compiled engine ---------------------------------------------------------------------------

MARCHES = ["Bpm", "Mlb", "Ssnp"]
BALL = 1.33 / 0.5


def march_problem(shape=(30, 40), count=5, gaps=(0.3, 0.3, 0.25, 0.4, 0.3), absorbing=True):
    rng = np.random.default_rng(0)
    frequencies = [np.fft.fftfreq(n, 0.18) for n in shape]
    sources = rng.uniform(-1, 1, (count, 2))
    n = len(gaps) + 1
    slices = 0.3 * rng.normal(size=(n, *shape)) + 0.1j * absorbing * np.abs(rng.normal(size=(n, *shape)))
    d_wave = rng.normal(size=(2, count, *shape))
    return (*frequencies, sources, BALL, np.array(gaps)), slices, d_wave[0] + 1j * d_wave[1]


@pytest.mark.parametrize("kind", MARCHES)
@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 16])
@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("absorbing", [False, True])
def test_compiled_march_equals_plain_numpy(kind, count, memory, absorbing):
    arguments, slices, d_wave = march_problem(count=count, absorbing=absorbing)
    reference = getattr(plain, kind)(*arguments)
    wave, (d_slices, _) = reference.forward(slices), reference.backward(d_wave)
    compiled = getattr(cpu, kind)(*arguments)
    for _ in range(2):  # a march may be used again
        assert np.abs(compiled.forward(slices.astype("c8"), memory) - wave).max() < 4e-6
        found = compiled.backward(d_wave.astype("c8"))[0]
        assert np.linalg.norm(found - d_slices) < 2e-6 * np.linalg.norm(d_slices)


@pytest.mark.parametrize("kind", MARCHES)
@pytest.mark.parametrize("shape", [(16, 20), (24, 18), (25, 32), (45, 64), (27, 50), (60, 36)])
@pytest.mark.parametrize("count", [2, 4, 5])  # fewer sources leave room for more rows in a bundle
def test_sizes_of_factors_2_3_5(kind, shape, count):
    arguments, slices, d_wave = march_problem(shape, count)
    reference = getattr(plain, kind)(*arguments)
    wave, (d_slices, _) = reference.forward(slices), reference.backward(d_wave)
    compiled = getattr(cpu, kind)(*arguments)
    assert np.abs(compiled.forward(slices.astype("c8")) - wave).max() < 4e-6
    found = compiled.backward(d_wave.astype("c8"))[0]
    assert np.linalg.norm(found - d_slices) < 2e-6 * np.linalg.norm(d_slices)


@pytest.mark.parametrize("kind", MARCHES)
def test_other_sizes_are_padded(kind):
    (nu_y, nu_x, *rest), slices, d_wave = march_problem((22, 26))
    padded, d_padded = np.zeros((6, 24, 27), complex), np.zeros((5, 24, 27), complex)
    padded[:, :22, :26], d_padded[:, :22, :26] = slices, d_wave
    reference = getattr(plain, kind)(np.fft.fftfreq(24, 0.18), np.fft.fftfreq(27, 0.18), *rest)
    wave, (d_slices, _) = reference.forward(padded), reference.backward(d_padded)
    compiled = getattr(cpu, kind)(nu_y, nu_x, *rest)
    assert np.abs(compiled.forward(slices.astype("c8")) - wave[:, :22, :26]).max() < 4e-6
    found = compiled.backward(d_wave.astype("c8"))[0]
    assert np.linalg.norm(found - d_slices[:, :22, :26]) < 2e-6 * np.linalg.norm(found)


def test_more_sources_than_lanes_are_refused():
    arguments, _, _ = march_problem(count=17)
    with pytest.raises(ValueError, match="17 sources for 16 lanes"):
        cpu.Bpm(*arguments)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 20, 25, 27, 30, 60, 81, 125, 240, 256])
def test_fft_against_numpy(n):
    rng, plan = np.random.default_rng(n), fft.plan(n)
    x = (rng.normal(size=(n, 16)) + 1j * rng.normal(size=(n, 16))).astype("c8")
    memory = np.zeros((n + 2, 2, 16), "f4")  # the line lies between elements that stay untouched
    memory[1:-1] = np.stack([x.real, x.imag], axis=1)
    stages = plan.radices, plan.starts, plan.twiddles, n
    fft.forward(*stages, memory.reshape(-1), fft.ELEMENT)
    spectrum = memory[1:-1].copy()
    expected = np.fft.fft(x.astype("c16"), axis=0)[plan.order]
    assert (
        np.abs(spectrum[:, 0] + 1j * spectrum[:, 1] - expected).max() < 1e-6 * np.abs(expected).max() + 1e-6
    )
    fft.inverse(*stages, memory.reshape(-1), fft.ELEMENT)
    assert np.abs(memory[1:-1, 0] + 1j * memory[1:-1, 1] - n * x).max() < 2e-6 * n * np.abs(x).max()
    assert not memory[[0, -1]].any()


def test_fft_of_another_factor_is_refused():
    with pytest.raises(ValueError, match="an FFT of 14 points"):
        fft.plan(14)


# ---- the models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["compiled", "plain"])
def test_single_precision_derivative(kind, engine):
    """In float32 to 1e-4: the contrast through vjp(), everything else through gradients()."""
    rng = np.random.default_rng(0)
    d_intensity = rng.normal(size=(3, *IMAGE)).astype("f4")
    change = (rng.normal(size=GRID.shape) + 1j * rng.normal(size=GRID.shape)).astype("c8")
    double, single = model(kind, engine="plain", **OPTICS), model(kind, engine=engine, **OPTICS)

    def loss(t):
        return float(np.vdot(d_intensity, double.forward(sample() + t * change)))

    gradient = single.vjp(sample("c8"), d_intensity)
    assert gradient.dtype == np.complex64
    assert np.vdot(gradient, change).real == pytest.approx(difference(loss, 0.0, 1.0, 1e-6), rel=1e-4)
    assert np.allclose(single.forward(sample("c8")), double.forward(sample()), atol=1e-5)
    truth, found = double.gradients(sample(), d_intensity), single.gradients(sample("c8"), d_intensity)
    for name in ("contrast", "sources_na", "pattern", "gain", "defocus_um", "pupil"):
        expected = np.asarray(getattr(truth, name))
        assert np.linalg.norm(getattr(found, name) - expected) < 1e-4 * np.linalg.norm(expected), name


@pytest.mark.parametrize("kind", KINDS)
def test_empty_sample_is_one(kind):
    images = model(kind, pupil=Pupil([0, 0.1, 0, 0.5])).forward(np.zeros(GRID.shape, "c8"))
    assert np.abs(images - 1).max() < 2e-5


@pytest.mark.parametrize("kind", KINDS)
def test_weak_sample_scatters_once(kind):
    """At a contrast of 1e-5 the models agree with first Born, but for what their slices do to z."""
    grid = Grid((9, 120, 128), (0.05, 0.18, 0.18), (1.8, -40 * 0.18, -43 * 0.18))
    z, y, x = (a - a.mean() for a in grid.axes)
    ball = np.exp(-((z[:, None, None] / 0.15) ** 2 + (y[:, None] ** 2 + x**2) / 0.8))
    light = Illumination([(0.3, 0.1), (-0.2, 0.5)])  # out of focus: a phase in focus has no first order
    weak = (1e-5 * ball).astype("c16")
    once = Born(grid, SCOPE, light, (40, 42)).forward(weak) - 1
    many = kind(grid, SCOPE, light, (40, 42), engine="plain", edge="hard").forward(weak) - 1
    assert np.linalg.norm(many - once) < (0.15 if kind is BeamPropagation else 0.04) * np.linalg.norm(once)


def test_beam_propagation_takes_the_tilted_path():
    """A uniform slab delays a wave by its length within the slab, 1 / cos(theta)."""
    march = plain.Bpm(*march_problem((8, 10), 3)[0])
    waves = march.forward(np.full((6, 8, 10), 0.1 + 0j))
    sources = march_problem((8, 10), 3)[0][2]
    cosine = np.sqrt(1 - (sources**2).sum(axis=1) / BALL**2)
    assert np.allclose(np.angle(waves[:, 0, 0]), 0.6 / cosine, atol=1e-9)


def test_mirrored_light_and_sample_give_the_mirrored_image():
    grid = Grid((6, 48, 60), (0.31, 0.18, 0.18), (-0.9, 0, 0))
    y, x = np.arange(48)[:, None] - 22, np.arange(60) - 33
    contrast = np.exp(-((y / 5) ** 2) - (x / 7) ** 2) * np.linspace(0.1, 0.5, 6)[:, None, None] / 4 + 0j
    one = SSNP(grid, SCOPE, Illumination([(0.3, -0.2)]), engine="plain").forward(contrast)[0]
    flipped = np.roll(contrast[:, ::-1, ::-1], (1, 1), (1, 2))
    other = SSNP(grid, SCOPE, Illumination([(-0.3, 0.2)]), engine="plain").forward(flipped)[0]
    inner = slice(3, -2), slice(3, -2)
    assert np.abs(one - 1).max() > 0.05
    assert np.allclose(np.roll(other[::-1, ::-1], (1, 1), (0, 1))[inner], one[inner], atol=2e-3)


def test_lossless_propagation_keeps_the_energy():
    """Beam propagation without steep waves is unitary; the split step conserves the flux Im conj(u) p."""
    (nu_y, nu_x, _, ball, gaps), slices, _ = march_problem((48, 50))
    smooth = gaussian_filter(slices.real, (0, 6, 6)) * 3 + 0j
    waves = plain.Bpm(nu_y, nu_x, np.array([(0.2, 0.3)]), ball, gaps).forward(smooth)
    assert np.mean(np.abs(waves) ** 2) == pytest.approx(1, abs=1e-3)
    march = plain.Ssnp(nu_y, nu_x, np.array([(0.2, 0.3)]), ball, gaps)
    march.forward(smooth)
    u, p = march.last
    flux = (np.conj(u) * p).imag.sum() / (u[0].size ** 2)
    assert flux == pytest.approx(float(march.f_s[0, 0, 0] / ball), rel=1e-9)


def test_absorption_darkens():
    lossy = model(SSNP).forward(np.full(GRID.shape, 0.02j, "c8"))
    assert lossy.mean() < 0.8


def test_reversed_march_finds_the_stored_waves():
    """What "recompute" computes anew equals what "store" kept, absorption and all, to rounding."""
    arguments, slices, d_wave = march_problem((30, 40), 4, gaps=(0.28,) * 59)
    gradients = []
    for memory in ("store", "recompute"):
        march = cpu.Ssnp(*arguments)
        march.forward((0.3 * slices).astype("c8"), memory)
        gradients.append(march.backward(d_wave.astype("c8"))[0])
    assert np.linalg.norm(gradients[1] - gradients[0]) < 2e-5 * np.linalg.norm(gradients[0])


def test_groups_of_sources_add_up():
    """More sources than lanes: images and gradients are those of the plain engine."""
    rng = np.random.default_rng(5)
    sources, pattern = rng.uniform(-0.45, 0.45, (37, 2)), rng.random((3, 37))
    d_intensity = rng.normal(size=(3, *IMAGE)).astype("f4")
    many = model(SSNP, sources, pattern)
    few = model(SSNP, sources, pattern, engine="plain")
    assert np.allclose(many.forward(sample("c8")), few.forward(sample()), atol=1e-5)
    expected = few.vjp(sample(), d_intensity)
    assert np.linalg.norm(many.vjp(sample("c8"), d_intensity) - expected) < 1e-5 * np.linalg.norm(expected)


def test_chosen_images():
    whole = model(BeamPropagation)
    images, pullback = whole.forward_and_pullback(sample("c8"), [2, 0])
    assert np.allclose(images, whole.forward(sample("c8"))[[2, 0]], atol=1e-6)
    d = np.random.default_rng(0).normal(size=images.shape).astype("f4")
    full = np.zeros((3, *IMAGE), "f4")
    full[[2, 0]] = d
    expected = whole.vjp(sample("c8"), full)
    assert np.linalg.norm(pullback(d) - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slices_um": [0, 1]}, "slices_um has shape"),
        ({"slices_um": UNEVEN[::-1]}, "grow from slice to slice"),
        ({"gain": [1.0]}, "gain has shape"),
        ({"engine": "fast"}, 'no engine "fast"'),
        ({"memory": "all"}, 'memory is "all"'),
        ({"edge": "round"}, 'edge is "round"'),
        ({"border_um": -1.0}, "border_um is -1"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(InputError, match=words):
        model(SSNP, **options)


# ---- pupils ----------------------------------------------------------------------------------------


def test_zernike_polynomials_are_orthonormal_on_the_disc():
    axis = (np.arange(400) + 0.5) / 200 - 1
    y, x = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    inside = y**2 + x**2 <= 1
    modes = np.stack([zernike(j, y[inside], x[inside])[0] for j in range(15)])
    assert np.allclose(modes @ modes.T / inside.sum(), np.eye(15), atol=0.02)


def test_named_aberrations():
    y, x = np.array([0.3, -0.5]), np.array([0.4, 0.1])
    assert np.allclose(zernike(1, y, x)[0], 2 * y)
    assert np.allclose(zernike(2, y, x)[0], 2 * x)
    assert np.allclose(zernike(4, y, x)[0], np.sqrt(3) * (2 * (x**2 + y**2) - 1))
    assert np.allclose(zernike(5, y, x)[0], np.sqrt(6) * (x**2 - y**2))


def test_pupil_of_an_array():
    """Bilinear: exact for a plane; its derivatives match differences."""
    axis = np.linspace(-1, 1, 9)
    pupil = Pupil(array=1 + 0.2j * axis[:, None] + 0.1 * axis)
    rho = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 20))
    assert np.allclose(pupil.value(rho), 1 + 0.2j * rho[0] + 0.1 * rho[1])
    assert np.allclose(pupil.slope(rho), np.array([0.2j, 0.1])[:, None])
    d = np.random.default_rng(1).normal(size=20) + 1j
    change = np.random.default_rng(2).normal(size=(9, 9)) * (1 + 0.5j)
    moved = Pupil(array=pupil.array + 1e-6 * change).value(rho) - pupil.value(rho)
    assert np.vdot(pupil.vjp(rho, d), change).real == pytest.approx(np.vdot(d, moved).real / 1e-6, rel=1e-6)


def test_array_pupil_gradient():
    rng = np.random.default_rng(6)
    array = 1 + 0.1 * rng.normal(size=(7, 7)) + 0.1j * rng.normal(size=(7, 7))
    change = rng.normal(size=(7, 7)) + 1j * rng.normal(size=(7, 7))
    d_intensity = rng.normal(size=(3, *IMAGE))

    def loss(t):
        aberrated = model(SSNP, engine="plain", pupil=Pupil(array=array + t * change))
        return float(np.vdot(d_intensity, aberrated.forward(sample())))

    gradient = model(SSNP, engine="plain", pupil=Pupil(array=array)).gradients(sample(), d_intensity).pupil
    assert np.vdot(gradient, change).real == pytest.approx(difference(loss, 0.0, 1.0, 1e-6), rel=1e-6)


def test_defocus_by_zernike_is_close_to_defocus_by_distance():
    """At a small aperture: sqrt(3) c (2 rho^2 - 1) against the paraxial phase pi lambda nu^2 z / n0."""
    scope = Microscope(0.5, 0.2, 1.33, 0.5)
    grid = Grid((3, 48, 48), (0.5, 0.5, 0.5), (-0.5, 0, 0))
    contrast = gaussian_filter(np.random.default_rng(0).normal(size=grid.shape), 1.5) * 0.05 + 0j
    z = 4.0
    c = np.pi * 0.2**2 * z / (0.5 * 1.33) / (2 * np.sqrt(3))
    light = Illumination([(0.0, 0.0)])
    moved = SSNP(grid, scope, light, engine="plain", defocus_um=z).forward(contrast)[0]
    pupil = Pupil([0, 0, 0, 0, -c])
    aberrated = SSNP(grid, scope, light, engine="plain", pupil=pupil).forward(contrast)[0]
    in_focus = SSNP(grid, scope, light, engine="plain").forward(contrast)[0]
    assert np.linalg.norm(aberrated - moved) < 0.02 * np.linalg.norm(in_focus - moved)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"zernike": [[1.0]]}, "list of finite"),
        ({"zernike": [np.nan]}, "list of finite"),
        ({"zernike": [0.1], "array": np.ones((4, 4))}, "not both"),
        ({"array": np.ones((4, 3))}, r"expected \(m, m\)"),
        ({"array": np.full((4, 4), np.nan)}, "not finite"),
    ],
)
def test_wrong_pupils(arguments, words):
    with pytest.raises(InputError, match=words):
        Pupil(**arguments)


@pytest.mark.parametrize("room", [0, 1 << 28])
def test_transfer_functions_that_are_not_kept_are_made_again(monkeypatch, room):
    monkeypatch.setattr("fieldrx.models.camera._KEPT_BYTES", room)
    m = model(SSNP)
    first, second = m.forward(sample()), m.forward(sample())
    assert len(m.camera._kept) == (len(SOURCES) if room else 1)
    assert np.array_equal(first, second)
