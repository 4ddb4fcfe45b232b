"""The page of `fieldrx app` in a real browser: by mouse, by keyboard, killed, in two tabs, on a phone."""

import base64
import io
import os
import signal

import numpy as np
import pytest
from browser import Browser, find_chromium
from test_app import jobs, made, program, server, start, start_fit, wait  # noqa: F401  # fixtures

from fieldrx import load_field

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not find_chromium(),
        reason="no Chromium found: install it, or name one in $CHROMIUM, to test the page",
    ),
]
STEPS = ("images", "optics", "calibrate", "fit", "result", "measure", "export", "jobs")
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    " ": (32, " "),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Escape": (27, ""),
}


class Page:
    """What a person does with the page of one server."""

    def __init__(self, browser, server):  # noqa: F811
        self.browser, self.base = browser, f"http://127.0.0.1:{server.server_port}/{server.token}/"

    def visit(self, **place):
        """Open a step, with files or a job."""
        self.browser.visit(self.base + "#" + "&".join(f"{name}={value}" for name, value in place.items()))
        self.ready()

    def step(self, title):
        """Wait until a step is shown."""
        self.wait(f"document.querySelector('#step-title').textContent === '{title}'")

    def start(self):
        """Press the button of the form."""
        self.browser.click(*self.at("document.querySelector('form button.main')"))

    def ready(self):
        self.browser.wait("!!document.querySelector('#step-title')")

    def reload(self):
        self.browser.send("Page.reload")
        self.browser.wait("document.readyState === 'complete'")
        self.ready()

    def js(self, expression):
        return self.browser.js(expression)

    def wait(self, condition, seconds=90):
        self.browser.wait(condition, seconds)

    def sees(self, words, seconds=90):
        self.wait(f"document.body.innerText.includes({words!r})", seconds)

    def at(self, found):
        """Middle of an element that an expression gives, once it is there, brought into view."""
        self.wait(f"!!({found})")
        return self.js(
            f"((e) => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f" return [b.left + b.width / 2, b.top + b.height / 2]; }})({found})"
        )

    def button(self, words):
        """A button or link, of an open dialog first, with these words, or whose words begin so."""
        return (
            f"((all) => all.find((e) => e.textContent === {words!r}) ||"
            f" all.find((e) => e.textContent.startsWith({words!r})))"
            "([...(document.querySelector('dialog[open]') || document).querySelectorAll('button, a')]"
            ".filter((e) => e.checkVisibility() && !e.disabled))"
        )

    def click(self, words):
        self.browser.click(*self.at(self.button(words)))

    def field(self, words):
        """The input whose label begins so."""
        return (
            "[...document.querySelectorAll('label')].filter((e) => e.checkVisibility()).map((l) => l.control)"
            f".find((e) => e && e.labels[0].textContent.trim().startsWith({words!r}))"
        )

    def choose(self, words):
        self.browser.click(*self.at(self.field(words)))

    def type(self, words, text):
        """Click into a field and type, in place of what it holds."""
        self.choose(words)
        self.js(f"({self.field(words)}).select()")
        self.browser.send("Input.insertText", text=text)

    def press(self, name, times=1):
        for _ in range(times):
            code, text = KEYS[name]
            self.browser.key(name, code, text)

    def tab_to(self, words, most=80):
        """Press Tab until an element has the focus whose words, or whose label, begin so."""
        named = (
            "((e) => e.labels?.[0]?.textContent.trim() || e.getAttribute('aria-label') || e.textContent)"
            "(document.activeElement)"
        )
        for _ in range(most):
            self.press("Tab")
            if self.js(named).startswith(words):
                shown = self.js(
                    "getComputedStyle(document.activeElement).outlineStyle !== 'none' ||"
                    " document.activeElement.tagName === 'IFRAME'"
                )
                assert shown, f"{words} does not show that it has the focus"
                return
        raise AssertionError(f"no Tab reaches {words}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"), 1280, 800)
    yield found
    found.close()


@pytest.fixture
def page(browser, server):  # noqa: F811
    """The page; afterwards it has asked nobody else, and complained of nothing but of refused input."""
    browser.resize(1280, 800)
    found = Page(browser, server)
    yield found
    assert [line for line in browser.errors if "status of 400" not in line] == []
    assert {a for a in browser.requests if not a.startswith((found.base, "data:", "about:"))} == set()


def colours(browser, box):
    """Number of colours in a part of the window."""
    from PIL import Image

    clip = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"scale": 1}
    data = base64.b64decode(browser.send("Page.captureScreenshot", format="png", clip=clip)["data"])
    return len(np.unique(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3), axis=0))


def test_from_images_to_an_export_by_mouse(page, made):  # noqa: F811
    for name in ("acquisition.toml", "acquisition.png", "acquisition-field.npz"):
        (made / "kept").mkdir(exist_ok=True)
        if name.startswith("acquisition.") and (made / name).exists():
            os.replace(made / name, made / "kept" / name)
    try:
        by_mouse(page, made)
    finally:
        for path in (made / "kept").iterdir():
            os.replace(path, made / path.name)


def by_mouse(page, made):  # noqa: F811
    page.visit()
    page.click("Choose images")
    page.click("stack.tif")
    page.click("Choose")
    page.sees("Recognised: stack of images (stack.tif)")
    page.sees("Still needed: Wavelength (um)")
    for key, value in (
        ("Wavelength", "0.6"),
        ("Objective NA", "six"),
        ("Pixel size", "0.25"),
        ("Medium", "1.33"),
    ):
        page.type(key, value)
    page.sees("Objective NA is 'six'")
    wrong = "document.querySelector('form .error')?.textContent.includes('Objective NA')"
    page.wait(wrong)
    page.reload()  # what was typed is there again, to be corrected
    page.wait(wrong)
    page.type("Objective NA", "0.6")
    page.type("Another key", "background=1.0")
    page.sees("All that is needed is there.")
    page.click("Describe the images")
    page.sees("Done.")
    assert "background = 1.0" in (made / "acquisition.toml").read_text()
    page.click("Go on with this acquisition")
    page.sees("Image 0 (1 of 6)")
    page.browser.click(*page.at("document.querySelectorAll('.pupil circle.bright')[3]"))
    page.sees("Image 3 (4 of 6)")
    page.wait("document.querySelector('.image').naturalWidth > 0")
    page.click("Fit")
    page.step("Fit")
    page.choose("Choose yourself")
    page.type("Depth", "-1:1:0.5")
    page.type("Steps", "60")
    page.sees("--depth=-1:1:0.5 --steps 60")
    page.start()
    page.sees("At work.")
    page.wait("!!document.querySelector('.chart polyline')")
    page.wait("document.querySelector('.planes').naturalWidth > 0")
    page.sees("Done.")
    assert load_field(made / "acquisition-field.npz").provenance.steps_done == 60
    page.click("Look at acquisition-field.npz")
    page.step("Result")
    page.start()
    page.wait("!!document.querySelector('iframe')")
    box = page.js(
        "((e) => { e.scrollIntoView(); const b = e.getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height]; })(document.querySelector('iframe'))"
    )
    wait(lambda: colours(page.browser, box) > 300)  # the viewer shows the field
    page.click("Measure")
    page.step("Measure")
    page.start()
    page.wait("document.querySelectorAll('.scroll tbody tr').length === 1")
    page.click("Export")
    page.step("Export")
    page.type("Output", str(made / "planes.png"))
    page.start()
    page.wait("document.querySelector('.shown img')?.naturalWidth > 0")
    assert (made / "planes.png").exists()


OPTICS = {"Wavelength": "0.6", "Objective NA": "0.6", "Pixel size": "0.25", "Medium": "1.33"}


def test_images_are_described_once_their_optics_make_sense_and_again(page, tmp_path, made):  # noqa: F811
    """The button waits for what is needed, what was typed stays, and its own file is replaced."""
    images, enabled = tmp_path / "stack.tif", "!document.querySelector('form button.main').disabled"
    images.write_bytes((made / "stack.tif").read_bytes())
    (tmp_path / "leds.csv").write_text((made / "leds.csv").read_text())
    page.visit(step="optics", images=images)
    page.sees("Image 0 (1 of 6)")
    page.wait("document.querySelector('.image').naturalWidth > 0")  # before any optics are given
    assert not page.js(enabled)
    for key, value in (OPTICS | {"Objective NA": "-0.65"}).items():
        page.type(key, value)
    page.sees("Objective NA is -0.65; expected a positive number")
    assert not page.js(enabled)
    page.type("Objective NA", "0.6")
    page.sees("All that is needed is there.")
    page.type("Output", str(tmp_path / "mine.toml"))
    page.sees("mine.toml")
    page.start()
    page.sees("Done.")
    page.wait("document.activeElement.textContent === 'Done.'")
    assert page.js("document.activeElement.getBoundingClientRect().top") < 400  # above the form
    page.sees("It was written here, and is replaced.")
    page.type("Objective NA", "0.65")
    page.sees("--overwrite")
    page.start()
    wait(lambda: "objective_na = 0.65" in (tmp_path / "mine.toml").read_text())
    page.wait("document.querySelector('.job code').textContent.includes('0.65')")
    page.sees("Done.")
    page.click("Work")
    page.click("donefieldrx new")
    page.step("Optics")
    page.sees("Done.")
    page.sees("Recognised: stack of images (stack.tif)")


def test_a_folder_without_images(page, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    page.visit(step="optics", images=tmp_path)
    page.sees("it holds notes.txt")
    page.sees("Choose other images")
    assert not page.js("!!document.querySelector('form button.main')")


def test_back_closes_a_dialog_and_a_path_of_a_file_opens_its_folder(page, made):  # noqa: F811
    page.visit(step="images")
    page.click("Fit")
    page.step("Fit")
    page.click("Browse")
    page.wait("document.querySelectorAll('#files-list button').length > 1")
    page.js("document.querySelector('#files-path').select()")
    page.browser.send("Input.insertText", text=str(made / "acquisition.toml"))
    page.click("Go")
    page.wait("document.activeElement.textContent === 'acquisition.toml'")
    assert page.js("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.js("history.back()")
    page.step("Images")
    page.wait("!document.querySelector('#files').open")


def commands_are(monkeypatch, tmp_path, script):
    """Let a shell script stand in for every command that is started."""
    program = tmp_path / "stand-in"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setattr("fieldrx.app.jobs.sys.executable", str(program))


def test_a_job_that_was_asked_to_stop_says_so_in_every_tab(page, jobs, made, monkeypatch, tmp_path):  # noqa: F811
    commands_are(monkeypatch, tmp_path, "#!/bin/sh\ntrap '' INT TERM\necho begun\nsleep 600\n")
    monkeypatch.setattr("fieldrx.app.jobs._GRACE_S", 0.1)
    job = start_fit(jobs, made, 10, "deaf.npz")
    wait(lambda: jobs.state(job)["stdout"])
    page.visit(step="fit", **{"fit-command": "reconstruct"}, job=job.id)
    page.click("Stop")
    page.sees("Stopping: the fit ends after its present piece of work.")
    page.reload()
    page.sees("Stopping: the fit ends after its present piece of work.")
    page.click("Stop at once")
    page.sees("It was stopped.")


def test_a_result_of_little_worth_is_told_beside_its_end(page, jobs, made, monkeypatch, tmp_path):  # noqa: F811
    """Also where its field is measured."""
    fits = "reconstruct) touch poor.npz; echo 'poor: give a wider --depth'"
    commands_are(monkeypatch, tmp_path, f"#!/bin/sh\ncase $3 in {fits};; esac\n")
    fit = start_fit(jobs, made, 10, "poor.npz")
    wait(lambda: not jobs.runs(fit))
    page.visit(step="fit", **{"fit-command": "reconstruct"}, job=fit.id)
    page.sees("poor: give a wider “Depth”")
    page.sees("Done.")
    colour = "getComputedStyle(document.querySelector('.state')).color"
    assert page.js(colour) == "rgb(240, 160, 75)"
    measured = jobs.start("measure", ["poor.npz"], {}, [str(made / "poor.npz")], [], made)
    wait(lambda: not jobs.runs(measured))
    page.visit(step="measure", job=measured.id)
    page.sees("of this field: poor")
    assert page.js(colour) == "rgb(240, 160, 75)"


def test_errors_are_a_table_of_rounded_numbers(page, jobs, made, monkeypatch, tmp_path):  # noqa: F811
    numbers = '{"nrmse_all": 0.1234567890123456, "verdict": "good", "each": [0.1, 0.2]}'
    commands_are(monkeypatch, tmp_path, f"#!/bin/sh\necho '{numbers}'\n")
    job = start(jobs, made, "evaluate")
    wait(lambda: not jobs.runs(job))
    page.visit(step="result", **{"result-command": "evaluate"}, job=job.id)
    page.wait("!!document.querySelector('.results tr')")
    rows = page.js(
        "[...document.querySelectorAll('.results tr')].map((e) => e.innerText.split(/\\s+/).join(' '))"
    )
    assert rows == ["nrmse all 0.123", "verdict good"]


def test_by_keyboard(page, made):  # noqa: F811
    page.visit()
    page.tab_to("Open an acquisition")
    page.press("Enter")
    page.wait("document.querySelector('#files-list button')?.checkVisibility()")
    page.tab_to("acquisition.toml")
    page.press(" ")
    page.tab_to("Choose")
    page.press("Enter")
    page.sees("Image 0 (1 of 6)")
    page.tab_to("Number of the image")
    page.press("ArrowRight", 2)
    page.sees("Image 2 (3 of 6)")
    page.js("document.querySelector('.skip').focus()")
    page.tab_to("Fit")
    page.press("Enter")
    page.wait("document.activeElement.id === 'step-title'")
    page.tab_to("Let the images")
    page.press("ArrowRight")
    page.wait("location.hash.includes('reconstruct') && !!(" + page.field("Depth") + ")")
    page.wait("document.activeElement.value === 'reconstruct'")  # the focus stays where it was
    page.tab_to("Output")
    page.js("document.activeElement.select()")
    page.browser.send("Input.insertText", text=str(made / "keys.npz"))
    page.tab_to("Depth")
    page.browser.send("Input.insertText", text="-1:1:0.5")
    page.tab_to("Budget")
    page.browser.send("Input.insertText", text="900s")  # which does not end early
    page.press("Enter")
    page.sees("At work.")
    page.wait("document.activeElement.textContent === 'At work.'")
    page.sees("held out")
    page.tab_to("Stop")
    page.press("Enter")
    page.sees("It was stopped.")
    assert load_field(made / "keys.npz").provenance.steps_done > 0


def test_a_dialog_is_walked_with_arrows_and_left_with_escape(page, made):  # noqa: F811
    (made / "another").mkdir(exist_ok=True)
    page.visit()
    page.click("Open an acquisition")
    page.wait("document.querySelectorAll('#files-list button').length > 1")
    first, second = page.js("[...document.querySelectorAll('#files-list button')].map((e) => e.textContent)")[
        :2
    ]
    page.wait(f"document.activeElement.textContent === {first!r}")
    page.press("ArrowDown")
    assert page.js("document.activeElement.textContent") == second
    page.press("Escape")
    page.wait("!document.querySelector('#files').open")
    page.click("Open an acquisition")  # and opens again
    page.wait("document.querySelector('#files').open")


def test_a_reload_keeps_what_was_typed_and_what_runs(page, made):  # noqa: F811
    given = {"step": "fit", "acq": made / "acquisition.toml", "fit-command": "reconstruct"}
    page.visit(**given)
    page.type("Depth", "-1:1:0.5")
    page.type("Budget", "900s")
    page.type("Output", str(made / "reload.npz"))
    page.sees("--budget 900s")
    page.reload()
    page.sees("--depth=-1:1:0.5 --budget 900s")
    page.start()
    page.sees("fit ")
    page.reload()
    page.sees("At work.")
    page.wait("!!document.querySelector('.chart polyline')")  # what was told before the reload is there again
    page.click("1 at work")
    page.sees("reload.npz")
    page.click("at work")
    page.click("Stop")
    page.sees("It was stopped.")


def test_a_killed_browser_finds_its_fit_again(server, jobs, made, tmp_path):  # noqa: F811
    first = Browser(tmp_path / "profile", 1000, 700)
    try:
        page = Page(first, server)
        page.visit(step="fit", acq=made / "acquisition.toml")
        job = start_fit(jobs, made, 4000, "crash.npz")
        page.sees("1 at work")
    finally:
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
    os.close(first.write)
    os.close(first.read)
    assert jobs.runs(job)
    second = Browser(tmp_path / "profile2", 1000, 700)
    try:
        page = Page(second, server)
        page.visit()
        page.click("1 at work")
        page.sees("crash.npz")
        page.click("at workfieldrx")
        page.sees("At work.")
        page.click("Stop")
        page.sees("It was stopped.")
    finally:
        second.close()


def test_two_tabs_and_two_fits(page, server, jobs, made, tmp_path):  # noqa: F811
    """A second tab sees the fit of the first, may not write over it, and starts one of its own."""
    job = start_fit(jobs, made, 100_000, "one.npz")
    given = {"step": "fit", "acq": made / "acquisition.toml", "fit-command": "reconstruct"}
    page.visit(**given, job=job.id)
    page.sees("At work.")
    other = Browser(tmp_path / "profile", 1000, 700)
    try:
        tab = Page(other, server)
        tab.visit(**given)
        tab.type("Depth", "-1:1:0.5")
        tab.type("Output", str(made / "one.npz"))
        tab.start()
        tab.wait("document.querySelector('form .error').textContent.includes('is at work and writes')")
        tab.type("Output", str(made / "two.npz"))
        tab.type("Budget", "900s")
        tab.start()
        tab.sees("2 at work")
        page.sees("2 at work")
        page.click("Stop")
        page.sees("It was stopped.")
        tab.sees("1 at work")
        tab.wait("document.querySelector('.job').dataset.state === 'at work'")
        tab.click("Stop")
        tab.sees("It was stopped.")
    finally:
        other.close()


def test_errors_are_the_one_line_of_the_command(page, made, tmp_path):  # noqa: F811
    page.visit(step="fit", acq=made / "acquisition.toml", **{"fit-command": "reconstruct"})
    page.type("Depth", "deep")
    page.type("Output", str(tmp_path / "f.npz"))
    page.start()
    page.wait(
        "document.querySelector('form .error').textContent.startsWith('depth \"deep\" is not Z0:Z1:DZ')"
    )
    page.type("Depth", "-1:1:0.5")
    page.type("Output", str(tmp_path / "f.txt"))
    page.start()
    page.sees("The command refused this.")
    page.sees("a field is saved as .npz; choose a name with that ending")
    page.visit(step="images", acq=tmp_path / "none.toml")
    page.sees("no such file; expected an acquisition")


def test_the_text_of_an_acquisition_is_changed_in_one_tab_at_a_time(page, tmp_path, made):  # noqa: F811
    text = (made / "acquisition.toml").read_text().replace('"', "'")
    path = tmp_path / "acquisition.toml"
    path.write_text(
        text.replace("'stack.tif'", repr(str(made / "stack.tif"))).replace(
            "'leds.csv'", repr(str(made / "leds.csv"))
        )
    )
    page.visit(step="optics", acq=path)
    page.wait("document.querySelector('#toml').value.includes('objective_na')")
    change = (
        "((a) => {{ a.value = a.value.replace('{}', '{}');"
        " a.dispatchEvent(new Event('input', {{bubbles: true}})); }})(document.querySelector('#toml'))"
    )
    page.js(change.format("objective_na = 0.6", "objective_na = 0.65"))
    page.sees("Not saved yet.")
    page.reload()
    page.sees("Not saved yet.")  # and is still there
    page.click("Save")
    page.sees("Saved, and it makes sense.")
    assert "objective_na = 0.65" in path.read_text()
    path.write_text(path.read_text() + "# of another tab\n")
    page.js(change.format("0.65", "0.7"))
    page.click("Save")
    page.sees("was changed elsewhere")
    assert "of another tab" in path.read_text()
    page.click("Open again")
    page.wait("document.querySelector('#toml').value.includes('of another tab')")
    page.js(change.format("[microscope]", "[microscope"))
    page.click("Save")
    page.sees("not valid TOML")
    assert "[microscope]" in path.read_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_step_has_labels_and_fits_the_screen(page, made, width):  # noqa: F811
    page.browser.resize(width, 844, mobile=width < 700)
    for step in STEPS:
        page.visit(step=step, acq=made / "acquisition.toml", field=made / "acquisition-field.npz")
        page.wait("document.querySelector('main section').children.length > 1")
        page.js("new Promise((done) => setTimeout(done, 300))")
        assert page.js("document.scrollingElement.scrollWidth <= innerWidth"), step
        ends = page.js("[...document.querySelectorAll('nav a')].map((a) => a.getBoundingClientRect().right)")
        assert max(ends) <= width, step
        nameless = page.js(
            """[...document.querySelectorAll("input, select, textarea, button, a, iframe, [role]")]
            .filter((e) => e.checkVisibility() && !["alert", "status"].includes(e.role) &&
                !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.title))
            .map((e) => e.outerHTML)"""
        )
        assert nameless == [], step
        assert page.js("[...document.images].every((i) => i.alt)"), step
        feet = page.js("[...document.querySelectorAll('.foot')].map((e) => getComputedStyle(e).position)")
        assert set(feet) <= {"sticky" if width > 700 else "static"}, step  # which would cover a small screen
        assert page.js("document.querySelectorAll('h1').length === 1 && document.title.endsWith('fieldrx')")
        ids = page.js("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))


def test_a_server_that_has_ended_is_told(browser, made, tmp_path):  # noqa: F811
    process, found = program(made, tmp_path / "jobs")
    try:
        page = Page(browser, found)
        page.visit()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    page.sees("the server does not answer: start fieldrx app again")


def test_the_first_address_leads_to_the_page(browser, server):  # noqa: F811
    browser.visit(server.first_address)
    browser.wait("!!document.querySelector('#step-title')")
    assert browser.js("location.href").startswith(server.address)
    assert browser.errors == []
