"""`fieldrx app` without a browser: forms, jobs, and who may ask the server what."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import click
import numpy as np
import pytest
import tifffile
import tiny
from click.testing import CliRunner

from fieldrx import InputError, load_field
from fieldrx.app import Jobs, forms, shown, words
from fieldrx.app.routes import App
from fieldrx.app.server import Server
from fieldrx.app.verdicts import verdict_in
from fieldrx.cli import main
from fieldrx.cli.record import LINES, PICTURE, VARIABLE, Record
from fieldrx.progress import Progress

LEDS = "image,na_y,na_x\n" + "".join(f"{k},{y},{x}\n" for k, (y, x) in enumerate(tiny.LIGHT.sources_na))
OPTICS = (
    "wavelength_um=0.6",
    "objective_na=0.6",
    "medium_index=1.33",
    "pixel_size_um=0.25",
    "background=1.0",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as a user has it: images, a table, and what `new` writes of them."""
    home = tmp_path_factory.mktemp("app") / "my cells"
    home.mkdir()
    tifffile.imwrite(home / "stack.tif", tiny.acquisition(holdout=()).images, photometric="minisblack")
    (home / "leds.csv").write_text(LEDS)
    sets = [word for one in OPTICS for word in ("--set", one)]
    result = CliRunner().invoke(main, ["new", str(home / "stack.tif"), *sets])
    assert result.exit_code == 0, result.output
    return home


@pytest.fixture
def jobs(tmp_path):
    """Jobs, none of which outlives its test."""
    found = Jobs(tmp_path / "jobs")
    yield found
    for job in found.all():
        kill(found, job)


def kill(jobs, job):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        group = int((jobs.place(job) / "group").read_text())
        if jobs.runs(job):
            os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def serving(home, jobs):
    """A server in a thread."""
    with Server(App(main.commands, home, jobs)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def program(home, jobs):
    """``fieldrx app`` as a process of its own, and where its page is."""
    command = [sys.executable, "-m", "fieldrx", "app", home, "--no-browser", "--jobs", jobs]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    address = re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/$", line)
    assert address, line
    return process, SimpleNamespace(server_port=int(address[1]), token=address[2])


@pytest.fixture
def server(made, jobs):
    with serving(made, jobs) as found:
        yield found


def request(server, path, body=None, token=None, **headers):
    """Status, headers and body of an answer; POST where there is a body."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {"Host": f"127.0.0.1:{server.server_port}"} | headers
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if data is not None:
        headers = {"Content-Type": "application/json"} | headers
    line.request("GET" if data is None else "POST", f"/{token or server.token}/{path}", data, headers)
    answer = line.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    line.close()
    return found


def ask(server, path, body=None):
    """What a good question is answered."""
    status, _, data = request(server, path, body)
    assert status == 200, data
    return json.loads(data)


def refused(server, path, body=None):
    """The one line of a bad question."""
    status, _, data = request(server, path, body)
    assert status == 400, (status, data)
    return json.loads(data)["error"]


def wait(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def ended(jobs, job):
    wait(lambda: not jobs.runs(job))
    return jobs.state(job)


def start(jobs, folder, command, *arguments, writes=()):
    return jobs.start(command, [str(a) for a in arguments], {}, [], [str(w) for w in writes], folder)


def start_fit(jobs, home, steps, output="f.npz"):
    return start(jobs, home, "reconstruct", "acquisition.toml", "-o", output, "--depth=-1:1:0.5", "--steps",
                 steps, "--model", "born", "--patience", 0, writes=[output])  # fmt: skip


def has_steps(jobs, job, count=20):
    lines = jobs.state(job)["progress"]
    return bool(lines) and lines[-1]["stage"] == "fit" and lines[-1]["done"] >= count


# ---- forms -----------------------------------------------------------------------------------------


def test_forms_know_their_commands():
    for name, form in forms.FORMS.items():
        there = {parameter.name for parameter in main.commands[name].params}
        assert {*form.reads, *form.first, *form.writes} <= there, name
        if form.again:
            assert form.again.partition("=")[0] in {o for p in main.commands[name].params for o in p.opts}


def test_forms_ask_for_every_parameter_in_its_own_words():
    told = forms.described(main.commands)
    for name, command in main.commands.items():
        if name not in told:
            continue
        asked = {parameter["name"]: parameter for parameter in told[name]["parameters"]}
        wanted = {p.name for p in command.params if not {"--quiet", "--resume"} & set(p.opts)}
        assert set(asked) == wanted
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name in asked:
                assert asked[parameter.name]["help"] == words.plain(parameter.help or "")
    model = next(p for p in told["reconstruct"]["parameters"] if p["name"] == "model")
    assert (model["default"], model["kind"], model["label"]) == ("auto", "text", "Model")
    page = json.dumps(told, ensure_ascii=False)
    assert not re.search(r"--[a-z]|\b(ACQ|FIELD|OUT)\b(?!\.)", page)
    depth = next(p for p in told["reconstruct"]["parameters"] if p["name"] == "depth")
    assert depth["hint"] == "Z0:Z1:DZ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.toml is there already; add --overwrite, or choose another name with -o",
         "a.toml is there already; add “Overwrite”, or choose another name with “Output”"),
        ("Invalid value for '--no-twin': none of FIELD.", "Invalid value for “No twin”: none of the field."),
        ("[microscope] objective_na is -1, led_size_nm 2", "Objective NA is -1, LED size (nm) 2"),
        ('[illumination] does not say what it means: set directions = "travel"',
         'the illumination does not say what it means: set Directions to "travel"'),
        ('["row"] in [illumination], kind = disc, or leds = [[0, 1]]; set axis = 0 in [images]',
         '["row"], Kind = disc, or LEDs = [[0, 1]]; set Axis to 0'),
        ("change directions in [illumination], see [images] time",
         "change Directions, see Time"),
        ("axis is 7; KEY=VALUE such as wavelength_um=0.5, in led_size_um/a.tif",
         "Axis is 7; KEY=VALUE such as wavelength_um=0.5, in led_size_um/a.tif"),
        ('no key is "na2"; did you mean "objective_na"?', 'no key is "na2"; did you mean "objective_na"?'),
        ("a.toml: [images] axis is 7, add --overwrite", "a.toml: [images] axis is 7, add “Overwrite”"),
    ],
)  # fmt: skip
def test_texts_name_what_the_page_shows(text, expected):
    assert words.plain_keys(text) == expected


@pytest.mark.parametrize(
    ("command", "values"),
    [
        ("reconstruct", {"acquisition": "my cells/a.toml", "output": "f.npz", "depth": "-1:1:0.5",
                         "steps": "7", "no_absorption": True, "refine": "", "tv": "auto"}),
        ("render", {"field": "-f.npz", "output": "o.png", "plane": "-1,2,3", "turn": ["x:20", "y:-30"],
                    "projection": "max"}),
        ("new", {"paths": ["a b.tif", "c.tif"], "settings": ["na=0.5", "medium_index=-1"],
                 "overwrite": True}),
        ("measure", {"field": "f.npz", "output": "t.csv", "found": "20%", "smallest": "-0.5"}),
    ],
)  # fmt: skip
def test_a_command_reads_what_its_form_holds(command, values):
    """The values that click finds on the line are those of the form, each by its own type."""
    found = main.commands[command].make_context(command, forms.arguments_of(main.commands[command], values))
    for parameter in main.commands[command].params:
        given = values.get(parameter.name)
        if not given:
            continue
        several = parameter.multiple if isinstance(parameter, click.Option) else parameter.nargs == -1
        expected = given if several or given is True else str(given).replace("-f.npz", "./-f.npz")
        with found:
            expected = parameter.type_cast_value(found, expected)
        assert found.params[parameter.name] == expected, parameter.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": "red"}, 'has no parameter "colour"'),
        ({"steps": 7}, "expected text, a list of texts, or true"),
        ({"steps": True}, "--steps needs a value"),
        ({"no_absorption": "yes"}, "--no-absorption takes no value"),
    ],
)
def test_values_of_another_kind(values, message):
    with pytest.raises(InputError, match=message):
        forms.arguments_of(main.commands["reconstruct"], values)


def test_what_a_command_refuses_is_refused_before_it_begins(server, jobs):
    base = {"acquisition": "acquisition.toml", "output": "f.npz"}
    for values, message in (
        (base | {"depth": "-1:1"}, 'depth "-1:1" is not Z0:Z1:DZ'),
        (base, "Depth is needed: fill it in"),
        ({"output": "f.npz", "depth": "auto"}, "choose an acquisition first"),
        (base | {"depth": "-3,5:3,5:0,5"}, "write decimals behind a point: -3.5:3.5:0.5"),
        (base | {"depth": "auto", "holdout": "0,5"}, "write decimals behind a point: 0.5"),
        (base | {"depth": "auto", "steps": "0"}, 'expected a whole number from 1 on, not "0"'),
    ):
        assert message in refused(server, "start", {"command": "reconstruct", "values": values})
    assert "has no command" in refused(server, "start", {"command": "simulate", "values": {}})
    assert "expected those of a form" in refused(server, "start", {"command": "run", "values": []})
    assert jobs.all() == []


# ---- what is shown ---------------------------------------------------------------------------------


def test_a_draft_is_what_the_command_writes(server, made, tmp_path):
    images, settings = [str(made / "stack.tif")], list(OPTICS)
    draft = ask(server, "draft", {"paths": images, "settings": settings})
    assert draft["text"] == (made / "acquisition.toml").read_text()
    assert draft["target"] == str(made / "acquisition.toml")
    before = ask(server, "draft", {"paths": images, "settings": []})
    lacking = {key["name"] for key in before["keys"] if key["value"] is None}
    assert lacking == {"wavelength_um", "objective_na", "medium_index", "pixel_size_um"}
    again = [f"{k['table']}.{k['name']}={k['value']}" for k in draft["keys"] if k["table"]]
    values = {
        k["name"]: k["value"] for k in ask(server, "draft", {"paths": images, "settings": again})["keys"]
    }
    assert values == {k["name"]: k["value"] for k in draft["keys"]}  # what a field shows means what it shows
    assert "no images were chosen" in refused(server, "draft", {"paths": [], "settings": []})
    assert "no such file" in refused(server, "draft", {"paths": ["nothing.tif"], "settings": []})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["objective_na=-0.65"], "Objective NA is -0.65; expected a positive number"),
        (["pixel_size_um=-1"], "Pixel size (um) is -1; expected a positive number"),
        (["kind=ring"], "Kind is 'ring'; expected one of table"),
        (["directions=up"], "Directions is 'up'; expected"),
        (["na2=1"], "no key of an acquisition.toml is called \"na2\""),
        ([*OPTICS, "objective_na=65"], "Objective NA 65 exceeds Medium index 1.33"),
        ([*OPTICS, "table=none.csv"], "none.csv: no such file"),
        ([*OPTICS, "kind=led-grid", "pitch_um=4000", "distance_um=90000", "centre=[0, 0]",
          'spiral=["col", "row"]'], ""),
    ],
)  # fmt: skip
def test_a_draft_says_what_makes_no_sense(made, settings, message):
    wrong = shown.draft([made / "stack.tif"], settings, None)["wrong"]
    assert (message in wrong) if message else wrong == "", wrong


def test_a_draft_says_all_that_makes_no_sense_at_once(made):
    """One complaint hides no other, nor does a key that is missing or of another type."""
    settings = ["objective_na=1.4", "medium_index=1.33", "magnification=-1", "wavelength_um=green", "na3=1",
                "pixel_fill=2", "kind=led-grid", "pitch_um=-4000", 'centre=["a", 1]', "directions=up",
                "axes=3", 'illumination.axes=["row", "row"]', "led_size_mm=1e6", "shape=[0, 3]"]  # fmt: skip
    draft = shown.draft([made / "stack.tif"], settings, None)
    assert [line.partition(";")[0] for line in draft["wrong"].splitlines()] == [
        "Wavelength (um) is 'green'",
        'no key of an acquisition.toml is called "na3"',
        "Axes stands in several tables",
        "Magnification is -1",
        "Pixel fill is 2",
        "Objective NA 1.4 exceeds Medium index 1.33",
        "Pitch (um) is -4000",
        "Centre is ['a', 1]",
        "Shape is [0, 3]",
        "Directions is 'up'",
        "Axes is ['row', 'row']",
        "LED size (um) is 1e+09",
    ]
    lacking = {key["name"] for key in draft["keys"] if key["value"] is None}
    assert lacking == {"wavelength_um", "camera_pixel_um", "distance_um"}


def test_images_of_a_draft_are_seen_before_its_optics_are_known(server, made):
    found = ask(server, "preview", {"paths": [str(made / "stack.tif")], "settings": [], "n": 5})
    assert found["count"] == 6 and base64.b64decode(found["png"]).startswith(b"\x89PNG")
    wrong = {"paths": [str(made / "stack.tif")], "settings": ["axis=7"], "n": 0}
    assert "axis" in refused(server, "preview", wrong)


def test_an_acquisition_with_its_directions_and_images(server, made):
    query = urlencode({"path": "acquisition.toml"})  # relative names start at home
    facts = ask(server, f"acquisition?{query}")
    assert facts["n_images"] == 6 and facts["aperture"] == 0.6
    assert np.allclose(facts["sources"], tiny.LIGHT.sources_na)
    assert facts["lit"] == [[k] for k in range(6)] and facts["bright"] == [True] * 6
    assert ["images", "6 of 24 x 20 pixels, 6 x 5 um"] in facts["rows"]
    status, headers, png = request(server, f"image?{query}&n=5")
    assert (status, headers["Content-Type"], png[:8]) == (200, "image/png", b"\x89PNG\r\n\x1a\n")
    assert "there is no image 6" in refused(server, f"image?{query}&n=6")
    assert "expected a whole number" in refused(server, f"image?{query}&n=-1")


def test_a_changed_acquisition_is_read_anew(tmp_path):
    path, acq = tmp_path / "a.npz", tiny.acquisition()
    acq.save(path)
    read = shown.Acquisitions()
    first = read.show(path)
    assert read.show(path) is first
    replace(acq, holdout=np.array([0, 2]), checksum=None).save(path)
    assert read.show(path).facts["holdout"] == [0, 2]


def test_folders(server, made, tmp_path):
    (made / "sub").mkdir(exist_ok=True)
    found = ask(server, f"folder?path={quote(str(made))}")
    names = [entry["name"] for entry in found["entries"]]
    assert names[0] == "sub" and {"stack.tif", "leds.csv"} < set(names)
    assert found["parent"] == str(made.parent) and not [n for n in names if n.startswith(".")]
    there = ask(server, f"folder?path={quote(str(made / 'leds.csv'))}")  # of a file its folder is opened
    assert (there["path"], there["chosen"]) == (str(made), str(made / "leds.csv"))
    assert "there is no such folder" in refused(server, f"folder?path={quote(str(made / 'none'))}")
    assert '"path" is missing' in refused(server, "folder")


def test_text_is_saved_whole_and_over_the_version_that_was_read(tmp_path):
    path = tmp_path / "acquisition.toml"
    path.write_text("[microscope]\nobjective_na = 0.5\n")
    first = shown.text(path)
    second = shown.save_text(path, first["text"].replace("0.5", "0.6"), first["version"])
    assert "0.6" in path.read_text()
    with pytest.raises(InputError, match="was changed elsewhere"):  # in another tab
        shown.save_text(path, "lost", first["version"])
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: not valid TOML"):
        shown.save_text(path, "[microscope", second["version"])
    with pytest.raises(InputError, match="choose a name with that ending"):
        shown.save_text(tmp_path / "a.npz", "", "")
    assert shown.text(path) == second and [p.name for p in tmp_path.iterdir()] == ["acquisition.toml"]


# ---- who may ask -----------------------------------------------------------------------------------


def test_the_page_and_its_files_name_no_other_place(server):
    status, headers, page = request(server, "")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.decode())
    assert len(named) > 6
    for name in named:
        if not name.startswith("data:"):
            status, _, text = request(server, name)
            assert status == 200 and text
            assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text), name


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"token": "wrong"}, 403, "lacks the token"),
        ({"Host": "evil.example"}, 403, "127.0.0.1 alone"),
        ({"Host": "evil.example:80"}, 403, "127.0.0.1 alone"),
        ({"Host": ""}, 403, "127.0.0.1 alone"),
        ({"Host": "["}, 403, "127.0.0.1 alone"),
        ({"Host": "127.0.0.1.evil.example"}, 403, "127.0.0.1 alone"),
        ({"Origin": "http://evil.example"}, 403, "from another page"),
        ({"Origin": "null"}, 403, "from another page"),
        ({"path": "nothing"}, 404, "there is nothing"),
        ({"path": "start"}, 404, "there is nothing"),
        ({"path": "../../etc/passwd"}, 404, "there is nothing"),
        ({"path": "start", "body": b"[1"}, 400, "no valid JSON"),
        ({"path": "start", "body": b"[" * 100_000}, 400, "no valid JSON"),
        ({"path": "start", "body": b"[]"}, 400, "expected an object"),
        ({"path": "start", "body": b"{}", "Content-Type": "text/plain"}, 415, "no JSON"),
        ({"path": "start", "body": b"{}", "Content-Length": "5000000"}, 413, "at most"),
        ({"path": "start", "body": b"{}", "Content-Length": "-3"}, 411, "how long"),
        ({"path": "page", "body": {}}, 404, "there is nothing"),
    ],
)
def test_requests_that_are_refused(server, jobs, options, status, words):
    found, _, data = request(server, options.pop("path", "about"), **options)
    assert (found, words in json.loads(data)["error"]) == (status, True)
    assert jobs.all() == []


def test_names_of_this_machine_are_let_in(server):
    for host in (
        f"localhost:{server.server_port}",
        "127.0.0.1",
        "localhost:9999",
    ):  # a tunnel has another port
        assert request(server, "about", Host=host)[0] == 200
        assert request(server, "about", Host=host, Origin=f"http://{host}")[0] == 200


def test_the_address_that_opens_the_browser_is_good_once(server):
    entry = server.entry
    status, headers, _ = request(server, "", token=entry)
    assert (status, headers["Location"]) == (302, server.address)
    assert request(server, "", token=entry)[0] == 403  # whoever saw how the browser was called comes too late
    assert server.first_address != server.address and entry not in server.first_address


def test_an_address_without_its_last_stroke(server):
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    line.request("GET", f"/{server.token}")
    answer = line.getresponse()
    assert (answer.status, answer.headers["Location"]) == (302, server.address)
    line.close()


def test_the_server_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(InputError, match=rf"port {server.server_port} cannot be had .*leave out --port"):
        Server(server.app, server.server_port)


def test_a_fault_of_the_server_ends_one_request(server, monkeypatch, capsys):
    monkeypatch.setitem(server.app._get, "about", lambda asked: 1 / 0)
    status, _, data = request(server, "about")
    assert (status, json.loads(data)["error"]) == (500, "ZeroDivisionError: division by zero")
    assert "ZeroDivisionError" in capsys.readouterr().err  # told in full where the server runs
    assert request(server, "jobs")[0] == 200


def test_a_page_that_leaves_early(server):
    with socket.create_connection(("127.0.0.1", server.server_port)) as line:
        line.sendall(b"POST /x")
    assert request(server, "about")[0] == 200


# ---- progress --------------------------------------------------------------------------------------


def test_progress_as_lines_of_json(tmp_path):
    record = Record(tmp_path)
    for done in range(1, 51):
        record(Progress("fit", done, 50, 0.5 / done, float("inf")))
    record(Progress("images", 3, 7))
    record.close()
    lines = [json.loads(line) for line in (tmp_path / LINES).read_text().splitlines()]
    assert lines[0] == {"stage": "fit", "done": 1, "total": 50, "error": 0.5, "holdout": None, "pictures": 0}
    assert lines[-2]["done"] == 50 and lines[-1]["stage"] == "images" and lines[-1]["error"] is None
    assert len(lines) < 20  # of fifty in a moment


def test_pictures_show_another_best_field_and_take_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("fieldrx.cli.record.time.monotonic", lambda: now[0])
    drawn = []

    def render(field, path):
        drawn.append((now[0], field.provenance.best_step))
        now[0] += 0.5

    monkeypatch.setattr("fieldrx.render.render", render)
    record, step = Record(tmp_path), [0]
    field = tiny.field()
    for k in range(600):
        step[0] = 10 * (k // 100)
        best = replace(field, provenance=replace(field.provenance, best_step=step[0]))
        record(Progress("fit", k, 600, 0.1, 0.2, lambda best=best: best))
        now[0] += 0.3
    assert [s for _, s in drawn] == sorted({s for _, s in drawn}) and len(drawn) > 3
    assert 0.5 * (len(drawn) - 1) < 0.03 * now[0]


def test_a_record_without_a_folder(tmp_path, made, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    line = ["measure", str(tmp_path / "f.npz"), "-o", str(tmp_path / "o.csv")]
    tiny.field().save(tmp_path / "f.npz")
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2 and f"{VARIABLE} names" in result.output and "unset" in result.output


# ---- verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "good"),
    [
        ("f.npz: 9 steps\nnothing: 1.00. No sample was found\nadvice: more light", False),
        ("frame 0, the first, is good: it says", True),
        ("note: these directions are in doubt, as they scatter", False),
        ("no image was held out: nothing tests this field", False),
        ("f.npz: 3 objects", None),
    ],
)
def test_a_result_is_shown_with_what_it_is_worth(printed, good):
    found = verdict_in(printed)
    assert (found and found["good"]) is good


# ---- jobs ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_is_its_command(jobs, made):
    state = ended(jobs, start(jobs, made, "info", "acquisition.toml"))
    there = CliRunner().invoke(main, ["info", str(made / "acquisition.toml")])
    assert (state["status"], state["stdout"]) == (0, there.stdout)
    assert state["line"] == "fieldrx info acquisition.toml" and state["outputs"] == []
    state = ended(jobs, start(jobs, made, "info", "my acquisition.toml"))
    assert state["status"] == 2 and state["line"] == "fieldrx info 'my acquisition.toml'"
    assert state["error"].startswith("my acquisition.toml: no such file") and "\n" not in state["error"]


@pytest.mark.slow
def test_a_fit_is_watched_stopped_and_goes_on(server, jobs, made):
    values = {"acquisition": str(made / "acquisition.toml"), "output": str(made / "g.npz"), "model": "born",
              "depth": "-1:1:0.5", "steps": "4000", "patience": "0"}  # fmt: skip
    name = ask(server, "start", {"command": "reconstruct", "values": values})
    job = jobs.get(name)
    wait(lambda: has_steps(jobs, job))
    state = ask(server, f"job?id={name}")
    assert state["runs"] and state["status"] is None and state["picture"]
    assert 0 < state["progress"][-1]["error"] < 1 and state["progress"][-1]["holdout"] > 0
    later = ask(server, f"job?id={name}&after={state['after']}")["progress"]
    assert not later or later[0]["done"] > state["progress"][-1]["done"]
    assert request(server, f"planes?id={name}")[2].startswith(b"\x89PNG")
    assert "is at work and writes" in refused(server, "start", {"command": "reconstruct", "values": values})
    assert "stop it first" in refused(server, "forget", {"id": name})
    ask(server, "stop", {"id": name})
    state = ended(jobs, job)
    assert state["status"] == 75 and "--resume continues" in state["stderr"]
    assert [os.path.basename(p) for p in state["outputs"]] == ["g.npz", "g.checkpoint.npz"]
    field = load_field(made / "g.npz")
    assert field.provenance.interrupted and field.provenance.steps_done < 4000
    assert "nothing to stop" in refused(server, "stop", {"id": name})
    second = jobs.get(ask(server, "again", {"id": name}))
    assert second.arguments[-1] == "--resume=auto"
    wait(lambda: has_steps(jobs, second))
    assert jobs.state(second)["progress"][0]["done"] > field.provenance.steps_done
    ask(server, "stop", {"id": second.id})
    ended(jobs, second)
    ask(server, "forget", {"id": second.id})
    assert [one["id"] for one in ask(server, "jobs")] == [name]


@pytest.mark.slow
def test_files_of_a_job_and_no_others(server, jobs, made):
    tiny.field().save(made / "cell.npz")
    (made / "cell.html").write_text("of somebody else")
    os.utime(made / "cell.html", (1, 1))
    job = start(jobs, made, "view", made / "cell.npz", "-o", made / "page.html", writes=[made / "page.html"])
    assert ended(jobs, job)["outputs"] == [str(made / "page.html")]
    query = urlencode({"id": job.id, "path": made / "page.html"})
    status, headers, page = request(server, f"output?{query}")
    assert status == 200 and page == (made / "page.html").read_bytes()
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts")
    for other in ("cell.html", "cell.npz", "../../../etc/passwd", "acquisition.toml"):
        query = urlencode({"id": job.id, "path": made / other})
        assert "no page, picture or table that this job has written" in refused(server, f"output?{query}")
    assert ended(jobs, start_fit(jobs, made, 20, "fitted.npz"))["status"] == 0
    measured = start(jobs, made, "measure", "fitted.npz", "-o", "cells.csv", writes=["cells.csv"])
    assert ended(jobs, measured)["status"] == 0
    rows = ask(server, "table?" + urlencode({"id": measured.id, "path": made / "cells.csv"}))
    assert rows[0][0] == "label" and rows[0][-1] == "note"


@pytest.mark.slow
def test_two_tabs_start_the_same_fit_at_once(server, jobs, made):
    values = {"acquisition": "acquisition.toml", "output": "twice.npz", "depth": "-1:1:0.5", "steps": "4000"}
    other = values | {"output": "./sub/../twice.npz"}  # the same by another name
    (made / "sub").mkdir(exist_ok=True)
    with ThreadPoolExecutor(4) as pool:
        asked = [{"command": "reconstruct", "values": v} for v in (values, other, values, other)]
        found = sorted(status for status, _, _ in pool.map(lambda a: request(server, "start", a), asked))
    assert found == [200, 400, 400, 400]
    third = start_fit(jobs, made, 20, "another.npz")  # another output: both run
    assert ended(jobs, third)["status"] == 0


@pytest.mark.slow
def test_a_killed_job_is_told_from_one_that_runs(jobs, made):
    job = start_fit(jobs, made, 100_000, "killed.npz")
    wait(lambda: (jobs.place(job) / "group").exists())
    assert jobs.runs(job)
    kill(jobs, job)
    state = ended(jobs, job)
    assert (state["runs"], state["status"]) == (False, None)
    jobs.forget(job)
    assert jobs.all() == []
    with pytest.raises(InputError, match="there is no job"):
        jobs.get(job.id)
    with pytest.raises(InputError, match="there is no job"):
        jobs.get("../../etc")


@pytest.mark.parametrize("presses", [2, 3])
def test_a_job_that_swallows_ctrl_c_ends_all_the_same(server, jobs, made, tmp_path, monkeypatch, presses):
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\ntrap '' INT TERM\necho begun\nsleep 600\n")
    deaf.chmod(0o755)
    monkeypatch.setattr("fieldrx.app.jobs.sys.executable", str(deaf))
    monkeypatch.setattr("fieldrx.app.jobs._GRACE_S", 0.1 if presses == 2 else 600)
    job = start(jobs, made, "reconstruct")
    wait(lambda: jobs.state(job)["stdout"])
    for count in range(presses):
        state = ask(server, f"job?id={job.id}")  # what another tab learns
        assert (state["runs"], state["stops"]) == (True, count)
        ask(server, "stop", {"id": job.id})
    assert (ended(jobs, job)["status"], ask(server, "jobs")[0]["stops"]) == (None, presses)


@pytest.mark.slow
def test_work_outlives_the_server(made, tmp_path):
    """The server is killed, as by a crash; a second one finds the fit, and stops it."""
    jobs = Jobs(tmp_path / "j")
    first, server = program(made, tmp_path / "j")
    values = {"acquisition": "acquisition.toml", "output": "h.npz", "depth": "-1:1:0.5", "steps": "100000",
              "patience": "0"}  # fmt: skip
    name = ask(server, "start", {"command": "reconstruct", "values": values})
    job = jobs.get(name)
    try:
        wait(lambda: has_steps(jobs, job, 5))
        first.kill()
        first.wait()
        first.stderr.close()
        second, server = program(made, tmp_path / "j")
        (known,) = ask(server, "jobs")
        assert known["id"] == name and known["runs"]
        done = ask(server, f"job?id={name}")["progress"][-1]["done"]
        wait(lambda: ask(server, f"job?id={name}")["progress"][-1]["done"] > done)
        second.send_signal(signal.SIGINT)
        assert f"goes on: {job.line}" in second.communicate(timeout=30)[1]
        assert second.returncode == 0
        jobs.stop(job)
        assert ended(jobs, job)["status"] == 75 and (made / "h.npz").exists()
    finally:
        kill(jobs, job)
        first.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        ([".", "--jobs", "setup"], "setup is a file"),
        ([".", "--port", "x"], "port"),
    ],
)
def test_the_command_refuses(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup").write_text("")
    result = CliRunner().invoke(main, ["app", "--no-browser", *arguments])
    assert (result.exit_code, message in result.output) == (2, True), result.output


def test_a_picture_is_drawn_while_a_fit_goes_on(tmp_path):
    """What a callback is told of is the best field so far, and a picture of it can be made."""
    record = Record(tmp_path)
    told = []

    def both(progress):
        record(progress)
        told.append(progress)

    fit = tiny.fit(callback=both)
    field = fit.run()
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    last = [p for p in told if p.field is not None][-1].field()
    assert (
        np.array_equal(last.params, field.params) and last.provenance.best_step == field.provenance.best_step
    )
