"""Commands of long work: signals and time limits stop them, with a status that says: call it again."""

from __future__ import annotations

from typing import Any

import click

from fieldrx.cli.options import Duration
from fieldrx.cli.status import STOPPED, leave
from fieldrx.progress import interruptible


class Stoppable(click.Command):
    """A command with --time-limit, which Ctrl-C, SIGTERM, SIGUSR1 and the end of that time stop alike.

    Parameters
    ----------
    *args, **kwargs
        As of `click.Command`.
    """

    stopped = "stopped: call it again, with --resume, to go on"
    each_alone = False  # whether each of several ranks works for itself

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        limit = click.Option(
            ["--time-limit"],
            type=Duration(),
            help="Time from now after which to have saved and stopped: 55m, 1h30m, 01:30:00, or seconds. "
            "Status 75, as after SIGTERM.",
        )
        self.params.append(limit)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command until it ends or is stopped."""
        try:
            with interruptible(ctx.params.pop("time_limit")):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            leave(self.stopped, STOPPED)
