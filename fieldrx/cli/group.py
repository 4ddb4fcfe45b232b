"""The command ``fieldrx``, to which the others belong."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import click

from fieldrx._version import __version__
from fieldrx.cli.status import one_line
from fieldrx.cli.text import prepare_streams
from fieldrx.parallel import each_alone, session, world
from fieldrx.resources import THREADS_OF_BLAS, thread_limit


def _limit_blas() -> None:
    """Keep NumPy's linear algebra, which reads this when it is loaded, to what the process may use."""
    for name in THREADS_OF_BLAS:
        os.environ.setdefault(name, str(thread_limit()[0]))


class _Commands(click.Group):
    """Commands in the order of use, and one line for every mistake."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **kwargs: Any
    ) -> click.Context:
        command = self.commands.get(args[0]) if args else None
        with ExitStack() as until, one_line():
            if getattr(command, "each_alone", False):
                until.enter_context(each_alone())
            prepare_streams()
            _limit_blas()
            ctx = super().make_context(info_name, args, *rest, **kwargs)
            ctx.call_on_close(until.pop_all().close)
            return ctx

    def invoke(self, ctx: click.Context) -> Any:
        with one_line():
            world()  # joins the ranks, or says what is missing
        with session(), one_line():
            return super().invoke(ctx)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="fieldrx")
def main() -> None:
    """Continuous 3D refractive index from plain microscope images.

    A sample is lit from many directions, one intensity image each. fieldrx trains a small neural network
    n(z, y, x) on these images through a physical model of the light, until it holds the sample's refractive
    index at every point. Start with `fieldrx demo`.
    """
