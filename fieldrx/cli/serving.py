"""The command that needs no other: app."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from fieldrx.cli.options import FILE, Whole
from fieldrx.cli.text import echo


@click.command()
@click.argument("folder", metavar="[FOLDER]", type=FILE, default=Path("."))
@click.option(
    "--port", type=Whole(0, 65535), default=0, help="Of the page on 127.0.0.1. Default: a free one."
)
@click.option("--no-browser", is_flag=True, help="Print the page's address, and open nothing.")
@click.option(
    "--jobs",
    metavar="JOBS",
    type=FILE,
    default=None,
    help="Folder in which work is kept track of. Default: fieldrx in $XDG_STATE_HOME, or in ~/.local/state.",
)
@click.pass_context
def app(ctx: click.Context, folder: Path, port: int, no_browser: bool, jobs: Path | None) -> None:
    """Work without a shell: a page in the browser that begins in FOLDER, for this machine alone.

    \b
    fieldrx app
    fieldrx app /data/cells --no-browser --port 8400    # elsewhere: ssh -L 8400:127.0.0.1:8400 HOST

    Choose images, see them with the directions of their light, correct the optics, calibrate, fit and watch,
    look at the field, measure and export it. The page shows every command line that it runs. What it has
    started goes on when the page is closed or this command ends, and is there again when it is called again.
    """
    from fieldrx.app import serve

    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    say = partial(echo, err=True)
    serve(group.commands, folder, jobs or state / "fieldrx", port, not no_browser, say)
