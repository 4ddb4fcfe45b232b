"""The command that says what a fit will take: plan."""

from __future__ import annotations

from pathlib import Path

import click

from fieldrx.cli.options import FILE, Depth, Real, budget_option, check_length, device_option, steps_option
from fieldrx.cli.text import echo


@click.command()
@click.argument("acquisition", metavar="ACQ", type=FILE)
@click.option(
    "--depth",
    type=Depth(),
    default="auto",
    show_default=True,
    help="Slice centres in um, both ends included; or auto, to find the sample by refocusing.",
)
@click.option("--model", default="auto", show_default=True, help="As of reconstruct.")
@steps_option
@budget_option
@click.option("--grid-um", type=Real(min=0, min_open=True), default=None, help="As of reconstruct.")
@click.option("--preset", default=None, help="As of reconstruct.")
@click.option("--no-time", is_flag=True, help="Do not measure the time.")
@device_option
def plan(
    acquisition: Path, depth: tuple[float, float, float] | str, model: str, steps: int | None,
    budget: float | None, grid_um: float | None, preset: str | None, no_time: bool, device: str,
) -> None:  # fmt: skip
    """What reconstruct would take of ACQ: memory part by part, against what this job may use, and time.

    \b
    fieldrx plan cell/acquisition.toml --depth -10:10:0.25

    Time is measured in a few seconds on two small squares of the images. A fit that has no room leaves with
    status 2, and with the depth and the region that would have.
    """
    from fieldrx.acquisition import read_acquisition
    from fieldrx.backends import get
    from fieldrx.errors import in_file
    from fieldrx.plan import check_plan
    from fieldrx.plan import plan as plan_fit

    check_length(steps, budget)
    acq = read_acquisition(acquisition)
    schedule = {name: value for name, value in (("steps", steps), ("budget_s", budget)) if value is not None}
    with in_file(acquisition):
        made = plan_fit(
            acq, depth, model, device=device, measure=not no_time, schedule=schedule, grid_um=grid_um,
            preset=preset,
        )  # fmt: skip
        for name, text in made.rows():
            echo(f"{name:<10}{text}")
        check_plan(made, get(device))
