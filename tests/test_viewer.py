"""The web page of a field: what is in the file, and what a real browser makes of it."""

import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny
from browser import Browser, find_chromium

from fieldrx import InputError, compress, write_viewer
from fieldrx.field import Fourier, Hash, Identity, Network, NeuralField, PlaneWaves, Positional, Radial
from fieldrx.render import colour
from fieldrx.timelapse import Film

BOUNDS = np.array([(-1.25, 1.25), (-2.0, 7.0), (-1.5, 6.0)])
REGION = np.array([(-1.0, 1.0), (0.0, 5.75), (0.0, 4.75)])


def random_field(encoding, seed=0, scale=1.0, **network):
    """A field with random weights of an encoding and a network, its index spread over some 0.01."""
    network = Network(encoding.n_features, **network)
    rng = np.random.default_rng(seed)
    table = rng.standard_normal(encoding.n_params) * scale
    weights = network.initial_params(rng)
    for name, values in network.unpack(weights).items():
        if name.startswith("bias"):
            values[...] = 0.2 * rng.standard_normal(values.shape)
    return NeuralField(
        encoding,
        network,
        np.concatenate([table, weights]).astype(np.float32),
        BOUNDS,
        REGION,
        (0.5, 0.25, 0.25),
        output_scale=0.05,
        medium_index=1.33,
    )


# Every encoding, storage and shape of table, and every activation; widths that are no multiples of four.
FIELDS = {
    "hash": random_field(Hash(((3, 5, 4), (5, 15, 13), (9, 40, 37)), log2_table_size=9), width=16, depth=1),
    "hash-four": random_field(
        Hash(((4, 4, 5), (8, 30, 20)), 8, n_features_per_level=4, smooth=False), width=19, depth=2, skips=(1,)
    ),
    "hash-three": random_field(
        Hash(((3, 3, 3), (5, 9, 7), (2, 20, 20)), 8, n_features_per_level=3),
        width=8,
        depth=2,
        activation="relu",
    ),
    "radial": random_field(
        Radial(angle_step_deg=30.0, xy_octaves=4, z_octaves=3), width=33, depth=4, skips=(2, 3)
    ),
    "positional": random_field(Positional(2, 3, 4), width=16, depth=2, n_outputs=1),
    "fourier": random_field(
        Fourier(20, 0.5, 1.5, 1.2, seed=3), width=12, depth=2, activation="sine", omega=8.0
    ),
    "permittivity": replace(
        random_field(PlaneWaves(((0.5, 0, 0), (0, 1, -0.75), (0.25, 0.5, 1))), width=12, depth=1),
        quantity="permittivity",
        output_scale=0.3,
    ),
}


def header_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="header">(.*?)</script>', text, re.S)[1])


def weights_of(path):
    text = path.read_text(encoding="utf-8")
    return base64.b64decode(re.search(r'id="weights">(.*?)</script>', text, re.S)[1])


# --- the file -------------------------------------------------------------------------------------


def test_single_precision_keeps_every_bit(tmp_path):
    field = FIELDS["hash"]
    assert write_viewer(field, tmp_path / "a.html", precision="float32") == tmp_path / "a.html"
    assert np.array_equal(np.frombuffer(weights_of(tmp_path / "a.html"), "<f4"), field.params)


def test_half_precision_keeps_eleven_bits_of_large_and_small_levels(tmp_path):
    encoding = Hash(((3, 5, 4), (5, 15, 13)), log2_table_size=9)
    field = random_field(encoding, width=16, depth=1)
    first = 2 * encoding.nodes_per_level[0]
    field.params[:first] *= 1e-9
    field.params[first : encoding.n_params] *= 1e7
    write_viewer(field, tmp_path / "a.html", precision="half")
    data, levels = weights_of(tmp_path / "a.html"), header_of(tmp_path / "a.html")["encoding"]["levels"]
    table = np.frombuffer(data, "<f2", encoding.n_params).astype(float)
    table[:first] *= levels[0]["scale"]
    table[first:] *= levels[1]["scale"]
    assert np.abs(table / field.params[: encoding.n_params] - 1).max() < 2.0**-11 * 1.01
    start = -(-encoding.n_params // 2) * 4
    assert np.array_equal(np.frombuffer(data, "<f4", offset=start), field.params[encoding.n_params :])


def test_page_is_whole_and_names_no_other_address(tmp_path):
    write_viewer(FIELDS["radial"], tmp_path / "a.html", title="</script><b>R&D")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<title>&lt;/script&gt;&lt;b&gt;R&amp;D</title>" in text
    assert "<b>R&D" not in text
    assert header_of(tmp_path / "a.html")["title"] == "</script><b>R&D"
    assert not re.search(r"https?://|\b(src|href)=\"(?!data:)|@import|url\(", text)
    assert "{{" not in text


def test_contrast_colours_and_place_of_a_known_sample(tmp_path):
    """Of the blob: from the medium to its brightest, and around its middle."""

    class Blob(NeuralField):
        def on_axes(self, z, y, x):
            r2 = (z[:, None, None] / 0.3) ** 2 + ((y[:, None] - 3.5) / 0.6) ** 2 + ((x - 1.5) / 0.5) ** 2
            return (0.02 * np.exp(-r2)).astype(np.complex64)

    like = FIELDS["positional"]
    field = Blob(like.encoding, like.network, like.params, BOUNDS, REGION, (0.5, 0.25, 0.25), 0.05, 1.33)
    write_viewer(field, tmp_path / "a.html")
    header = header_of(tmp_path / "a.html")
    (quantity,) = header["quantities"]
    assert quantity["window"][0] == pytest.approx(0, abs=2e-4)
    assert 0.01 < quantity["window"][1] <= 0.02
    assert quantity["range"][0] < 0 < 0.0195 < quantity["range"][1]
    assert np.mean(header["sample_um"], axis=1) == pytest.approx([0, 3.5, 1.5], abs=0.1)
    assert np.diff(header["sample_um"], axis=1)[:, 0] == pytest.approx([0.7, 1.4, 1.2], abs=0.3)
    table = np.frombuffer(base64.b64decode(header["colours"]), np.uint8).reshape(256, 3)
    assert np.array_equal(table, colour(np.linspace(0, 1, 256)))


def test_field_without_contrast(tmp_path):
    like = FIELDS["positional"]
    flat = NeuralField(like.encoding, like.network, like.params, BOUNDS, REGION, (0.5, 0.25, 0.25), 0.0, 1.33)
    write_viewer(flat, tmp_path / "a.html")
    header = header_of(tmp_path / "a.html")
    (quantity,) = header["quantities"]
    assert quantity["range"][0] <= quantity["window"][0] < quantity["window"][1] <= quantity["range"][1]
    assert header["sample_um"] == REGION.tolist()


def test_bad_requests(tmp_path):
    field = FIELDS["positional"]
    with pytest.raises(
        InputError, match=r"a\.png: a viewer is a web page; choose a name that ends in \.html"
    ):
        write_viewer(field, tmp_path / "a.png")
    with pytest.raises(InputError, match='no precision "double"; expected one of auto, half, float32'):
        write_viewer(field, tmp_path / "a.html", precision="double")
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        write_viewer(field, tmp_path / "none" / "a.html")
    given = random_field(Identity(4), width=4, depth=1)
    with pytest.raises(InputError, match="no coordinates to show"):
        write_viewer(given, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_too_large_for_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr("fieldrx.viewer._MOST_BYTES", 4000)
    with pytest.raises(InputError, match=r'a page holds at most 0 MB: .*, or choose precision "half"$'):
        write_viewer(FIELDS["hash"], tmp_path / "a.html", precision="float32")
    with pytest.raises(InputError, match=r"smaller hash table$"):
        write_viewer(FIELDS["hash"], tmp_path / "a.html", precision="half")
    assert list(tmp_path.iterdir()) == []


def run_cli(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fieldrx", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_command(tmp_path):
    FIELDS["hash"].save(tmp_path / "my cell.npz")
    page = tmp_path / "viewer.html"
    done = run_cli("view", tmp_path / "my cell.npz", "-o", page)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r".*viewer\.html: 0\.1 MB, open it in a browser\n", done.stdout)
    assert header_of(page)["title"] == "my cell"
    assert run_cli("view", tmp_path / "my cell.npz", "-o", page, "--title", "Yeast").returncode == 0
    assert header_of(page)["title"] == "Yeast"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "page", "message"),
    [
        ("missing.npz", "a.html", "no such file"),
        ("field.npz", "a.txt", "choose a name that ends in .html"),
        ("field.npz", "field.npz", "would replace what it is made from"),
        ("field.npz", "nowhere/a.html", "there is no folder"),
    ],
)
def test_command_refuses(tmp_path, field, page, message):
    FIELDS["positional"].save(tmp_path / "field.npz")
    done = run_cli("view", tmp_path / field, "-o", tmp_path / page)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["field.npz"]


# --- compressed fields, in Node.js ------------------------------------------------------------------

IN_NODE = """
const fs = require("fs"), text = fs.readFileSync(process.argv[2], "utf-8");
const part = (id) => text.split(`id="${id}">`)[1].split("</script>")[0];
const field = new Field(JSON.parse(part("header")), part("weights"));
const engine = new JsEngine(field);
const points = JSON.parse(fs.readFileSync(0, "utf-8")), none = [0, 0, 0];
const value = (p, channel) => engine.evaluate(field.lattice(p, [none, none, none], [1, 1, 1]), channel)[0];
const channels = field.network.n_outputs;
const values = points.map((p) => [0, 1].map((channel) => (channel < channels ? value(p, channel) : 0)));
console.log(JSON.stringify({ table: Array.from(field.stored), values }));
"""


def in_node(page, points, folder):
    """What the page's program, without a browser, makes of its field."""
    text = page.read_text(encoding="utf-8")
    parts = re.split(r"^// --- (\w+\.js)$", text, flags=re.M)
    scripts = dict(zip(parts[1::2], parts[2::2], strict=True))
    program = "".join(scripts[name] for name in ("coded.js", "field.js", "engine_js.js"))
    (folder / "program.js").write_text(program + IN_NODE, encoding="utf-8")
    done = subprocess.run(
        ["node", folder / "program.js", page],
        input=json.dumps(points.tolist()),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("node"), reason="no Node.js found: install it to test the page's decoder"
)
@pytest.mark.parametrize(
    ("name", "loss"), [("hash", 0.01), ("hash", 0.0005), ("radial", 0.1), ("positional", 0.01)]
)
def test_page_decodes_a_compressed_field(tmp_path, name, loss):
    small = compress(FIELDS[name], loss=loss)
    page = write_viewer(small, tmp_path / "a.html")
    assert weights_of(page).startswith(small.coded.stream.tobytes())
    assert len(weights_of(page)) <= small.coded.stream.size + 3 + 4 * small.network.n_params
    points = some_points()
    found = in_node(page, points, tmp_path)
    table = small.params[: small.encoding.n_params]
    assert np.abs(np.array(found["table"]) - table).max() < 1e-6 * np.abs(table).max()
    expected = small.contrast(points)
    wrong = np.array(found["values"]) - np.stack([expected.real, expected.imag], axis=1)
    assert np.abs(wrong).max() < 1e-5 * np.abs(expected).max()


# --- in a browser ---------------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(
    not find_chromium(), reason="no Chromium found: install it, or name one in $CHROMIUM, to test the page"
)
SMALL = (360, 300)  # CSS pixels: graphics in software are slow
ENGINES = {"webgl2": "WebGL2", "js": "JavaScript"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens the page of a field; afterwards nothing may have gone wrong or been asked of any host."""

    def open_page(field, engine="js", precision="auto", size=(900, 640), **screen):
        page = write_viewer(field, tmp_path / "viewer.html", title="A cell", precision=precision)
        browser.resize(*size, **screen)
        browser.open(page, f"#engine={engine}")
        browser.wait("!!window.fieldrx")
        assert browser.js("fieldrx.engine.name") == ENGINES[engine], browser.js("fieldrx.why")
        return browser

    yield open_page
    assert browser.errors == []
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "data", "blob"}
    assert len([address for address in browser.requests if address.startswith("file:")]) == 1


def some_points(n=60, seed=1):
    """Points in the domain, its faces included."""
    points = np.random.default_rng(seed).uniform(*BOUNDS.T, (n, 3))
    points[0], points[1], points[2] = BOUNDS[:, 0], BOUNDS[:, 1], (0.0, BOUNDS[1, 1], 1.0)
    return points


def window_of(field):
    """Width of the contrast window."""
    values = field.on_axes(*[np.linspace(*side, 20) for side in REGION]).real
    return float(np.quantile(values, 0.999) - np.quantile(values, 0.01))


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FIELDS)
def test_values_are_those_of_the_field(show, name, engine):
    field, points = FIELDS[name], some_points()
    page = show(field, engine, "float32", size=SMALL)
    read = page.js(f"{points.tolist()}.map((p) => fieldrx.read(p))")
    expected = field(points)
    error = np.abs([r["index"] for r in read] - expected.real).max() / window_of(field)
    assert error < (1e-4 if engine == "js" else 1e-3)
    assert np.abs([r["absorption"] for r in read] - expected.imag).max() < 1e-3 * window_of(field)
    outside = page.js("[[9, 0, 0], [0, -9, 0], [0, 0, 9]].map((p) => fieldrx.read(p))")
    assert outside == [{"index": 1.33, "absorption": 0}] * 3


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
def test_values_of_a_compressed_field(show, engine):
    small, points = compress(FIELDS["hash"]), some_points()
    read = show(small, engine, size=SMALL).js(f"{points.tolist()}.map((p) => fieldrx.read(p))")
    error = np.abs([r["index"] for r in read] - small(points).real).max() / window_of(small)
    assert error < (1e-4 if engine == "js" else 1e-3)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "precision"), [("hash", "auto"), ("hash", "half"), ("radial", "float32")])
def test_values_of_a_film(show, engine, name, precision):
    fields = [replace(FIELDS[name], params=scale * FIELDS[name].params) for scale in (1, 0.8, 1.1)]
    film, points = Film(fields, (0, 1.5, 4), "s"), some_points()
    page = show(film, engine, precision, size=SMALL)
    shown = [compress(one) if precision == "auto" else one for one in fields]
    for number in (2, 0, 1):
        page.js(f"fieldrx.moveTo({number})")
        page.wait("!fieldrx.moving")
        read = page.js(f"{points.tolist()}.map((p) => fieldrx.read(p))")
        error = np.abs([r["index"] for r in read] - shown[number](points).real).max()
        assert error < 1e-3 * window_of(shown[number])
    assert page.js("document.getElementById('at-frame').textContent") == "t = 1.5 s"
    assert not page.js("document.getElementById('time').hidden")
    page.js("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: ']', bubbles: true }))")
    assert page.js("[fieldrx.frame, document.getElementById('frame').value]") == [2, "2"]
    page.js("fieldrx.togglePlaying()")
    page.wait("fieldrx.frame === 0")
    assert page.js("document.getElementById('play').textContent") == "Stop"


@pytest.mark.slow
@needs_chromium
def test_a_field_has_no_time(show):
    page = show(FIELDS["hash"], size=SMALL)
    assert page.js("getComputedStyle(document.getElementById('time')).display") == "none"
    page.js("fieldrx.moveTo(1)")
    page.js("fieldrx.togglePlaying()")
    assert page.js("[fieldrx.frame, fieldrx.playing]") == [0, None]


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
def test_values_in_half_precision(show, engine):
    field, points = FIELDS["hash"], some_points()
    read = show(field, engine, "half", size=SMALL).js(f"{points.tolist()}.map((p) => fieldrx.read(p))")
    error = np.abs([r["index"] for r in read] - field(points).real).max() / window_of(field)
    assert 0 < error < 1e-3


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("name", FIELDS)
def test_engines_agree_on_lattices(show, name):
    """Lattices longer than a tile and of odd size, for both outputs."""
    page = show(FIELDS[name], "webgl2", "float32", size=SMALL)
    error = page.js(
        """(() => {
            const { field, engine } = fieldrx, plain = new JsEngine(field);
            let worst = 0;
            for (const counts of [[1, 1, 1], [3, 5, 7], [29, 31, 23]])
                for (let channel = 0; channel < field.network.n_outputs; channel++) {
                    const lattice = field.lattice(field.region_um.map(([lo]) => lo),
                        [[0.01, 0.08, 0.02], [0.005, 0.03, 0.1], [0.06, 0.01, 0.02]], counts);
                    const a = plain.evaluate(lattice, channel), b = engine.evaluate(lattice, channel);
                    if (a.length !== b.length) return Infinity;
                    a.forEach((v, i) => (worst = Math.max(worst, Math.abs(v - b[i]))));
                }
            return worst;
        })()"""
    )
    assert error < 2e-5 * window_of(FIELDS[name]) + 1e-8


def centre_of(page, view):
    """Middle of a view in the window, and its size, in CSS pixels."""
    box = page.js(
        f"(({{ left, top, width, height }}) => [left, top, width, height])"
        f"(document.getElementById('view-{view}').getBoundingClientRect())"
    )
    return box[0] + box[2] / 2, box[1] + box[3] / 2, box[2], box[3]


def frames(page):
    """Let the browser draw."""
    page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


FINE = "!fieldrx.volume.coarse && fieldrx.volume.raster?.stride <= 4"  # 3D, from the network, not yet done


def pixels(page, view, until="fieldrx.idle"):
    """What a canvas shows once a condition holds: uint8 (y, x, 4)."""
    frames(page)  # in which views take their sizes
    page.wait(until, 120)
    frames(page)
    text = page.js(
        f"""(() => {{
            const canvas = document.getElementById("view-{view}"), copy = document.createElement("canvas");
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const context = copy.getContext("2d", {{ willReadFrequently: true }});
            context.drawImage(canvas, 0, 0);
            const {{ data }} = context.getImageData(0, 0, canvas.width, canvas.height);
            let text = "";
            for (let i = 0; i < data.length; i += 8192)
                text += String.fromCharCode(...data.subarray(i, i + 8192));
            return [canvas.height, canvas.width, btoa(text)];
        }})()"""
    )
    return np.frombuffer(base64.b64decode(text[2]), np.uint8).reshape(text[0], text[1], 4)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
def test_planes_show_the_field(show, engine):
    """Every pixel of the planes, away from what is drawn on them, has the colour of its value."""
    field = FIELDS["hash"]
    page = show(field, engine, "float32", size=(260, 230))
    page.js("fieldrx.moveSlices({0: 0.3, 1: 2.1, 2: 3.3})")
    window = header_of_page(page)["quantities"][0]["window"]
    for name, (down, across) in {"xy": (1, 2), "xz": (0, 2), "zy": (1, 0)}.items():
        page.js(f"fieldrx.layout('{name}')")  # alone, without the slower 3D view
        shown = pixels(page, name)
        height, width = shown.shape[:2]
        view = f"fieldrx.planes.find((view) => view.name === '{name}')"
        corner, far = (page.js(f"{view}.place({x}, {y})") for x, y in ((0, 0), (width, height)))
        places = [
            corner[axis] + (np.arange(n) + 0.5) / n * (far[axis] - corner[axis])
            for axis, n in ((down, height), (across, width))
        ]
        points = np.empty((height, width, 3))
        points[...] = (0.3, 2.1, 3.3)
        points[..., down], points[..., across] = places[0][:, None], places[1]
        inside = ((points > BOUNDS[:, 0]) & (points < BOUNDS[:, 1])).all(-1)
        expected = colour((field.contrast(points).real - window[0]) / (window[1] - window[0])).astype(int)
        same = np.abs(shown[..., :3].astype(int) - expected).max(-1) <= 5
        assert inside.sum() > 2500
        assert (same & (shown[..., 3] == 255))[inside].mean() > 0.93, name
        assert (shown[..., 3] == 0)[~inside].mean() > 0.8 or inside.all(), name


def header_of_page(page):
    return json.loads(page.js("document.getElementById('header').textContent"))


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("engine", ENGINES)
def test_pointer_reads_the_field(show, engine):
    """Point, and read n and its position from the text of the page; half precision."""
    field = tiny.fit(schedule=tiny.schedule(steps=40)).run()
    page = show(field, engine, "half", size=SMALL)
    page.js("fieldrx.layout('xy')")
    frames(page)
    x, y, width, height = centre_of(page, "xy")
    for dx, dy in ((20, -11), (-31, 24)):
        page.mouse("mouseMoved", x + dx, y + dy)
        page.wait("document.getElementById('where').textContent === 'At the pointer'")
        place = page.js(f"fieldrx.planes[0].place({width} / 2 + {dx}, {height} / 2 + {dy})")
        frames(page)
        text = (
            page.js("document.getElementById('place').textContent").replace("−", "-").replace("\u2002", " ")
        )
        shown = dict(re.findall(r"([zyx]) (-?[\d.]+)", text))
        assert [float(shown[name]) for name in "zyx"] == pytest.approx(place, abs=0.0051)
        low, high = header_of_page(page)["quantities"][0]["window"]
        index = float(page.js("document.getElementById('index').textContent"))
        assert abs(index - field(place).real) < 1e-3 * (high - low)
    page.mouse("mouseMoved", 5, 5)
    page.wait("document.getElementById('where').textContent === 'At the crossing'")


@pytest.mark.slow
@needs_chromium
def test_dragging_zooming_and_keys_change_the_picture(show):
    page = show(FIELDS["hash"], size=SMALL)
    page.js("fieldrx.layout('xy')")
    pixels(page, "xy")
    x, y, width, height = centre_of(page, "xy")
    pictures = [pixels(page, "xy")]

    def changed():
        pictures.append(pixels(page, "xy"))
        return np.abs(pictures[-1][..., :3].astype(int) - pictures[-2][..., :3]).mean() > 1

    before = page.js("fieldrx.planes[0].place(80, 60)")
    page.drag(x + 30, y + 20, -40, 12)
    assert changed()
    assert page.js("fieldrx.planes[0].place(40, 72)") == pytest.approx(before)
    under = page.js(f"fieldrx.planes[0].place({width / 2} + 30, {height / 2} + 20)")
    scale = page.js("fieldrx.state.scale")
    page.wheel(x + 30, y + 20, -400)
    page.wait(f"fieldrx.state.scale > 1.5 * {scale}")
    assert changed()
    assert page.js(f"fieldrx.planes[0].place({width / 2} + 30, {height / 2} + 20)") == pytest.approx(
        under, abs=0.6 / scale
    )  # wheel events come at whole pixels
    page.click(x - 25, y - 30)
    expected = page.js(f"fieldrx.planes[0].place({width / 2} - 25, {height / 2} - 30)")
    assert page.js("fieldrx.state.at.slice(1)") == pytest.approx(expected[1:], abs=0.01)
    page.js("document.getElementById('view-xy').focus()")
    assert np.abs(pixels(page, "xy").astype(int) - pictures[-1]).mean() > 0.1  # the slice lines
    for key, code in (("ArrowRight", 39), ("+", 187), ("PageUp", 33), ("c", 67)):
        page.key(key, code)
        assert changed(), key
    page.key("r", 82)
    assert page.js("[fieldrx.state.layout, fieldrx.state.colours, fieldrx.state.fitted]") == [
        "all",
        "fieldrx",
        True,
    ]


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("style", ["maximum", "translucent", "surface"])
def test_3d_spins_and_zooms(show, style):
    page = show(FIELDS["hash"], size=SMALL)
    page.js(f"(fieldrx.layout('3d'), fieldrx.set('style', '{style}'), 0)")
    x, y, _, _ = centre_of(page, "3d")
    pictures = [pixels(page, "3d", FINE)]
    assert len(np.unique(pictures[0][..., :3].reshape(-1, 3), axis=0)) > 50

    def changed():
        pictures.append(pixels(page, "3d", FINE))
        return np.abs(pictures[-1].astype(int) - pictures[-2]).mean() > 2

    page.drag(x, y, 60, 35)
    assert changed()
    axes = np.array(page.js("['right', 'down', 'forward'].map((name) => fieldrx.state.spin[name])"))
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes[:, ::-1]) == pytest.approx(1)  # never a mirror image
    scale = page.js("fieldrx.state.scale3")
    page.wheel(x, y, -500)
    page.wait(f"fieldrx.state.scale3 > 1.5 * {scale}")
    assert changed()
    page.js("document.getElementById('view-3d').focus()")
    page.key("ArrowLeft", 37)
    assert changed()


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("view", ["volume", "planes[0]"])
def test_new_size_ends_what_is_under_way(show, view):
    """A canvas that changes while its picture is refined: the work for the old size is dropped."""
    page = show(FIELDS["hash"], size=SMALL)
    page.wait("fieldrx.idle")
    working, dropped, waits = page.js(
        f"""(() => {{
            const view = fieldrx.{view};
            view.restart();
            view.step();
            const working = view.work !== null;
            view.resize();
            return [working, view.work === null && view.urgency === 0, !fieldrx.idle];
        }})()"""
    )
    assert working and dropped and waits
    page.wait("fieldrx.idle")
    assert page.js(f"fieldrx.{view}.raster?.stride") == 1


@pytest.mark.slow
@needs_chromium
def test_projection_is_that_of_the_field(show):
    """Looking along z at rest: the largest of the field's values along each ray, black where that is less."""
    field = FIELDS["positional"]
    page = show(field, size=SMALL)
    page.js(
        """(fieldrx.layout("3d"), fieldrx.set("style", "maximum"), fieldrx.volume.moved(),
            fieldrx.state.spin = { right: [0, 0, 1], down: [0, 1, 0], forward: [1, 0, 0] }, 0)"""
    )
    pixels(page, "3d")
    step = page.js("Math.max(fieldrx.volume.finestStep(), fieldrx.volume.pixelUm)")
    (z0, _, _), (low, high) = page.js("fieldrx.state.centre3"), page.js("fieldrx.window")
    first, last = np.ceil((REGION[0, 0] - z0) / step), np.floor((REGION[0, 1] - z0) / step)
    depths = z0 + step * np.arange(first, last + 1)
    compared = 0
    _, _, width, height = centre_of(page, "3d")
    for x in range(10, int(width), 30):
        for y in range(10, int(height), 30):
            at = f"[{y} * fieldrx.volume.raster.w + {x}]"
            value, alpha = page.js(f"[fieldrx.volume.raster.value{at}, fieldrx.volume.raster.alpha{at}]")
            line = np.tile(page.js(f"fieldrx.volume.place({x} + 0.5, {y} + 0.5)"), (len(depths), 1))
            line[:, 0] = depths
            crosses = ((line[0] >= REGION[:, 0]) & (line[0] <= REGION[:, 1]))[1:].all()
            assert alpha == crosses
            if not crosses:
                continue
            expected = field.contrast(line).real.max()
            clear = expected > low + 0.1 * (high - low)
            assert max(value, low) == pytest.approx(
                max(expected, low), abs=(1e-4 if clear else 0.05) * (high - low)
            )
            compared += clear
    assert compared > 10


@pytest.mark.slow
@needs_chromium
def test_zoom_never_shows_pixels(show):
    """At 2000 pixels a um neighbours still differ as the field does: smoothly."""
    page = show(FIELDS["hash"], size=SMALL)
    page.js(
        """(fieldrx.layout("xy"), fieldrx.state.scale = 2000, fieldrx.state.centre = [0, 3.03, 3.2],
            fieldrx.planesMoved(), 0)"""
    )
    pixels(page, "xy")
    width, height, *values = page.js("(({ raster: r }) => [r.w, r.h, ...r.value])(fieldrx.planes[0])")
    image = np.reshape(values, (height, width))
    steps = np.abs(np.diff(image, axis=1))
    assert np.ptp(image) > 0
    assert steps.max() < 20 * np.ptp(image) / width


def choose(page, name, value):
    """Choose an option of a list."""
    page.js(
        f"""((list) => {{ list.value = {json.dumps(value)}; list.dispatchEvent(new Event("change")); }})(
            document.getElementById("{name}"))"""
    )


@pytest.mark.slow
@needs_chromium
def test_goes_on_without_the_graphics_card(show):
    field, point = FIELDS["hash"], [0.2, 2.0, 3.0]
    page = show(field, "webgl2", "float32", size=SMALL)
    page.js("(fieldrx.layout('xy'), fieldrx.engine.gl.getExtension('WEBGL_lose_context').loseContext(), 0)")
    page.wait("fieldrx.engine.name === 'JavaScript'")
    assert page.js(f"fieldrx.read({point}).index") == pytest.approx(field(point).real, abs=1e-7)
    assert len(np.unique(pixels(page, "xy")[..., :3].reshape(-1, 3), axis=0)) > 50


@pytest.mark.slow
@needs_chromium
def test_contrast_quantity_and_colours(show):
    page = show(FIELDS["hash"], size=SMALL)
    page.js("fieldrx.layout('xy')")
    first = pixels(page, "xy")
    choose(page, "quantity", 1)
    absorbing = pixels(page, "xy")
    assert np.abs(first.astype(int) - absorbing).mean() > 2
    assert page.js("document.getElementById('symbol').textContent") == "κ"
    assert float(page.js("document.getElementById('index').textContent")) == pytest.approx(
        page.js("fieldrx.read(fieldrx.state.at).absorption"), abs=1e-4
    )
    page.key("q", 81)
    page.wait("fieldrx.state.quantity === 0")
    choose(page, "colours", "grey")
    grey = pixels(page, "xy")[130:160, 100:130, :3].astype(int)
    assert np.ptp(grey, axis=-1).max() <= 1
    low = page.js("fieldrx.window[0]")
    page.js("document.getElementById('low').focus()")
    for _ in range(20):
        page.key("ArrowRight", 39)
    assert page.js("fieldrx.window[0]") > low
    page.key("a", 65)
    assert page.js("fieldrx.window[0]") == pytest.approx(low)


@needs_chromium
def test_keyboard_reaches_everything_and_help_opens(show):
    page = show(FIELDS["positional"], size=(800, 330))
    names = set()
    for _ in range(30):
        page.key("Tab", 9)
        names.add(page.js("document.activeElement.id || document.activeElement.dataset.layout || ''"))
    wanted = {
        "view-3d",
        "view-xy",
        "view-xz",
        "view-zy",
        "slice-x",
        "slice-y",
        "slice-z",
        "low",
        "high",
        "auto",
    }
    assert wanted | {"colours", "style", "spin", "screenshot", "reset", "help", "3d"} <= names
    unnamed = """[...document.querySelectorAll("button, input, select, canvas[tabindex]")]
        .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.id)"""
    assert page.js(unnamed) == []
    page.js("document.activeElement.blur()")
    page.key("?", 191)
    page.wait("document.getElementById('keys').open")
    page.key("Escape", 27)
    page.wait("!document.getElementById('keys').open")


@pytest.mark.slow
@needs_chromium
def test_screenshot_holds_all_views_and_the_colour_bar(show):
    page = show(FIELDS["hash"], size=(800, 330))
    pixels(page, "xy")
    page.js(
        """window.saved = null;
        HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href]; }; 0"""
    )
    page.key("s", 83)
    page.wait("!!window.saved")
    assert page.js("saved[0]") == "A-cell.png"
    colours, width, height = page.js(
        """new Promise((done) => {
            const image = new Image();
            image.onload = () => {
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [image.width, image.height];
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
                done([new Set(new Uint32Array(data.buffer)).size, image.width, image.height]);
            };
            image.src = saved[1];
        })"""
    )
    assert colours > 200
    frame = page.js(
        "(({ width, height }) => [width, height])(document.getElementById('views').getBoundingClientRect())"
    )
    assert [width, height] == pytest.approx([frame[0], frame[1] + 46], abs=1)


@pytest.mark.slow
@needs_chromium
def test_touch_on_a_small_screen(show):
    """Two fingers that part zoom in, on a phone of twice the pixels; the page is no wider than it."""
    page = show(FIELDS["positional"], size=(390, 760), scale=2, mobile=True)
    frames(page)
    assert page.js("document.documentElement.scrollWidth") <= 390
    x, y, _, _ = centre_of(page, "xy")
    scale = page.js("fieldrx.state.scale")

    def fingers(kind, apart):
        points = (
            [] if apart is None else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        )
        page.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    page.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    fingers("touchStart", 20)
    for apart in (25, 30, 40):
        fingers("touchMove", apart)
    fingers("touchEnd", None)
    page.send("Emulation.setTouchEmulationEnabled", enabled=False)
    page.wait(f"fieldrx.state.scale > 1.7 * {scale}")
    assert page.js("fieldrx.state.scale") < 2.3 * scale
