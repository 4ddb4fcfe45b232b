"""A headless Chromium driven over the DevTools protocol through a pipe; no other software needed."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium():
    """Path of a Chromium, or None; $CHROMIUM names one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium.

    Attributes
    ----------
    errors : list of str
        Errors and warnings of the console and of scripts.
    requests : list of str
        Every address that the page has asked for.
    """

    def __init__(self, profile, width=900, height=640, scale=1):
        self.errors, self.requests, self.count, self.rest = [], [], 0, b""
        down, up = os.pipe(), os.pipe()  # its commands, its answers
        # Chromium reads commands from descriptor 3 and answers on 4; bash moves them there
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (down[0], up[1])]
        script = f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]} {theirs[0]}<&- {theirs[1]}>&-'
        options = (
            "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run",
            "--disable-gpu-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            "--hide-scrollbars", f"--user-data-dir={profile}", "about:blank",
        )  # fmt: skip
        self.log = Path(profile) / "chromium.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", find_chromium(), *options],
                pass_fds=theirs, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        for fd in (down[0], up[1], *theirs):
            os.close(fd)
        self.write, self.read, self.session = down[1], up[0], None
        page = self._wait_for_page()
        self.session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height, scale)

    def _wait_for_page(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for target in self.send("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    return target["targetId"]
            time.sleep(0.1)
        raise TimeoutError("Chromium opened no page")

    def close(self):
        """End the browser."""
        with contextlib.suppress(OSError, RuntimeError):
            self.session = None
            self.send("Browser.close")
        os.close(self.write)
        os.close(self.read)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # --- protocol: messages of JSON that end in a zero byte

    def send(self, method, **params):
        """Run a command and give its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data) :]
        while True:
            answer = self._receive(120)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self, seconds):
        while b"\0" not in self.rest:
            if not select.select([self.read], [], [], seconds)[0]:
                raise TimeoutError(f"no answer from Chromium; see {self.log}")
            data = os.read(self.read, 1 << 16)
            if not data:
                raise RuntimeError(f"Chromium has ended:\n{self.log.read_text(errors='replace')[-2000:]}")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(message)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            text = params["entry"]["text"]
            if "GL Driver Message (OpenGL, Performance" not in text:  # a remark on the speed of a driver
                self.errors.append(text)
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    # --- what a person does

    def open(self, path, anchor=""):
        """Open a file and wait for its page to have loaded."""
        self.visit(Path(path).resolve().as_uri() + anchor)

    def visit(self, address):
        """Open an address and wait for its page to have loaded."""
        self.send("Page.navigate", url="about:blank")
        self.errors.clear()
        self.requests.clear()
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.protocol !== 'about:'")

    def js(self, expression):
        """Value of a JavaScript expression; promises are awaited."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def wait(self, condition, seconds=60):
        """Until a JavaScript condition holds."""
        end = time.monotonic() + seconds
        while not self.js(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"{condition} did not come true; console: {self.errors}")
            time.sleep(0.05)

    def resize(self, width, height, scale=1, mobile=False):
        """The size of the window in CSS pixels, and screen pixels per CSS pixel."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=mobile,
        )  # fmt: skip

    def mouse(self, kind, x, y, **options):
        """One mouse event: mousePressed, mouseMoved, mouseReleased or mouseWheel."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **options)

    def click(self, x, y):
        """Click the left button."""
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(self, x, y, dx, dy, steps=5):
        """Drag with the left button."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        for step in range(1, steps + 1):
            self.mouse("mouseMoved", x + dx * step / steps, y + dy * step / steps, button="left", buttons=1)
        self.mouse("mouseReleased", x + dx, y + dy, button="left", clickCount=1)

    def wheel(self, x, y, turn, modifiers=0):
        """Turn the wheel: negative is away from the user."""
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=turn, modifiers=modifiers)

    def key(self, key, code=0, text=None):
        """Press and release a key, by its DOM name."""
        text = text if text is not None else (key if len(key) == 1 else "")
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        """Save what is seen as PNG."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))
