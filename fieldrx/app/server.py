"""The server of the page: this machine's browser alone, and only with the token in the address.

Every request is looked at before anything is done: it must come to 127.0.0.1, name it or localhost as its
host (so that no name elsewhere can be made to point here), begin with the token, which nobody else knows, and
come from no other page.  What a request may send is small, and what it may ask for stands in
`fieldrx.app.routes`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import shutil
import signal
import sys
import traceback
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

from fieldrx.app.jobs import Jobs
from fieldrx.app.routes import Answer, App, NoSuchAddress
from fieldrx.errors import InputError, one_line

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_MOST_BYTES = 1 << 20  # of what a request sends
_PATIENCE_S = 30.0  # for a request that does not come
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A page that a job has made runs its own scripts, and reaches neither this server nor any other.
_FOREIGN = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads allow-modals; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'",
}


class Server(ThreadingHTTPServer):
    """Answers what the page asks.

    Parameters
    ----------
    app : App
    port : int
        0 takes a free one.

    Raises
    ------
    InputError
        If the port is taken.
    """

    daemon_threads = True

    def __init__(self, app: App, port: int = 0):
        self.app, self.token, self.entry = app, secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(
                f"port {port} cannot be had ({one_line(error)}): leave out --port, or give another one"
            ) from None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    @property
    def first_address(self) -> str:
        """What leads to the page once: others on this machine see what a browser is called with."""
        return f"http://{HOST}:{self.server_port}/{self.entry}/"

    def enters(self, token: str) -> bool:
        """Whether a token is that of the first address, which is used up then."""
        fits = hmac.compare_digest(token.encode(), self.entry.encode())
        if fits:
            self.entry = secrets.token_urlsafe(24)
        return fits


class _Refused(Exception):
    """A request that is not answered: its status, and why."""


class _Moved(Exception):
    """A request that is answered elsewhere."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """Answer what only looks."""
        self._handle("GET")

    def do_POST(self) -> None:
        """Answer what changes something."""
        self._handle("POST")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what went wrong is told where it happens."""

    def _handle(self, method):
        try:
            self._send(*self._answer(method))
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the page has left

    def _answer(self, method: str) -> tuple[int, Answer | Any, dict[str, str]]:
        """Status, what is sent, and headers of its own."""
        try:
            name, asked = self._request(method)
            return 200, self.server.app.answer(method, name, asked), {}
        except _Moved as to:
            return 302, {}, {"Location": str(to)}
        except _Refused as why:
            self.close_connection = True  # what it sent may not have been read
            return why.args[0], {"error": why.args[1]}, {}
        except NoSuchAddress as error:
            return 404, {"error": str(error)}, {}
        except InputError as error:
            return 400, {"error": str(error)}, {}
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # of one request: others go on
            traceback.print_exc(file=sys.stderr)
            return 500, {"error": f"{type(error).__name__}: {one_line(error)}"}, {}

    def _request(self, method: str) -> tuple[str, dict[str, Any]]:
        """The name behind the token, and what is asked."""
        if self.headers.get("Host", "").partition(":")[0] not in _NAMES:
            raise _Refused(403, "this server answers to 127.0.0.1 alone")
        parts = urlsplit(self.path)
        _, token, name = (parts.path + "//").split("/", 2)
        if self.server.enters(token) or parts.path == f"/{self.server.token}":  # names begin behind a /
            raise _Moved(self.server.address)
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refused(403, "the address lacks the token: open the one that fieldrx app has printed")
        origin = self.headers.get("Origin")
        if origin not in (None, f"http://{self.headers['Host']}"):
            raise _Refused(403, "the request comes from another page")
        if method == "GET":
            return name.rstrip("/"), dict(parse_qsl(parts.query))
        return name.rstrip("/"), self._sent()

    def _sent(self) -> dict[str, Any]:
        """The JSON that a request sends."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refused(411, "the request does not say how long it is")
        if int(length) > _MOST_BYTES:
            raise _Refused(413, f"the request sends {length} bytes; at most {_MOST_BYTES} are read")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(415, "the request sends no JSON")
        try:
            sent = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise _Refused(400, "the request sends no valid JSON") from None
        if not isinstance(sent, dict):
            raise _Refused(400, f"the request sends {type(sent).__name__}; expected an object")
        return sent

    def _send(self, status: int, found: Answer | Any, headers: dict[str, str]) -> None:
        """An answer: JSON, bytes, or a file."""
        if not isinstance(found, Answer):
            found = Answer(json.dumps(found, allow_nan=False).encode(), "application/json")
        with found.opened() as body:
            size = body.seek(0, os.SEEK_END)
            body.seek(0)
            self.send_response(status)
            for key, value in (_POLICY | (_FOREIGN if found.foreign else {}) | headers).items():
                self.send_header(key, value)
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            shutil.copyfileobj(body, self.wfile)


def serve(
    commands: Mapping[str, click.Command], home: Path, jobs: Path, port: int = 0, open_page: bool = True,
    say: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Serve the page until Ctrl-C; jobs go on.

    Parameters
    ----------
    commands : mapping
        The commands of ``fieldrx``, by their names.
    home : Path
        Where the page begins.
    jobs : Path
        Folder of jobs, see `fieldrx.app.jobs`.
    port : int
        0 takes a free one.
    open_page : bool
        Whether to open it in the browser.
    say : callable
        Told the address, and what goes on at the end.

    Raises
    ------
    InputError
        If a folder or the port cannot be had.
    """
    if not home.is_dir():
        raise InputError(f"{home} is no folder; give the one in which your images are, or leave it out")
    # Jobs inherit what a shell's & made of Ctrl-C: their stop button needs it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = Jobs(jobs)
    with Server(App(commands, home.resolve(), work), port) as server:
        say(f"the page is at {server.address}")
        say("Ctrl-C ends the page; what it has started goes on")
        if open_page:
            webbrowser.open(server.first_address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    for job in work.all():
        if work.runs(job):
            say(f"goes on: {job.line}")
