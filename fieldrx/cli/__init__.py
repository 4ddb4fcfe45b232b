"""The command line: parse, call the library, print.

==============  ============================================================================
`group`         the command ``fieldrx`` itself
`status`        how a command ends: statuses, and one line for every mistake
`stopping`      commands that signals and time limits stop
`options`       parameters that commands share, and checks of the files they name
`text`          printing
`progress`      progress of long work
`record`        the same for programs that watch
`ending`        how fits begin and end
`fitting`       demo, reconstruct, run
`batching`      batch
`filming`       reconstruct, of a film
`planning`      plan
`judging`       evaluate, ensemble, measure, report
`showing`       render, view, query
`keeping`       compress
`imaging`       simulate, calibrate
`importing`     import-decaf
`describing`    new
`serving`       app
`about`         info, doctor
==============  ============================================================================

Modules import click and little else before a command runs: what it needs of the library, it imports itself.
"""

from fieldrx.cli.about import doctor, info
from fieldrx.cli.batching import batch
from fieldrx.cli.describing import new
from fieldrx.cli.fitting import demo, reconstruct, run
from fieldrx.cli.group import main
from fieldrx.cli.imaging import calibrate, simulate
from fieldrx.cli.importing import import_decaf
from fieldrx.cli.judging import ensemble, evaluate, measure, report
from fieldrx.cli.keeping import compress
from fieldrx.cli.planning import plan
from fieldrx.cli.serving import app
from fieldrx.cli.showing import query, render, view
from fieldrx.cli.status import NOTHING, STOPPED

__all__ = ["NOTHING", "STOPPED", "main"]

_IN_ORDER_OF_USE = (
    demo, app, new, plan, reconstruct, run, batch, evaluate, render, view, query, compress, ensemble, measure,
    report, simulate, calibrate, import_decaf, info, doctor,
)  # fmt: skip
for _command in _IN_ORDER_OF_USE:
    # also where it is parsed without the group, as for a form or a row: a command keeps the first it is given
    _command.context_settings["help_option_names"] = main.context_settings["help_option_names"]
    main.add_command(_command)
