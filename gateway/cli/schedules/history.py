"""`mantik schedules history`."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show_rows
from gateway.cli.schedules.choice import schedule_argument
from gateway.cli.text import moment

if TYPE_CHECKING:
    from gateway.schemas.schedules import FiringView

COLUMNS = ("DUE", "DECIDED", "KIND", "STATE", "RUN STATE", "WHY", "RUN ID")


@click.command("history", cls=Command)
@schedule_argument
@click.option("-n", "--limit", type=click.IntRange(1), default=30, show_default=True, help="Most firings to show.")
@output_option
def command(schedule: str, project: str | None, limit: int, output: str) -> None:
    """Show what was due, when it was decided, and the run or why there is none; newest first."""
    with gateway(project) as client:
        found = list(islice(client.schedules.history(schedule, page_size=min(limit + 1, 100)), limit + 1))
    show_rows(found[:limit], output, COLUMNS, row, empty="It has not fired yet. See: mantik schedules preview")
    if len(found) > limit:
        click.echo(f"There are more: --limit {limit * 2}", err=True)


def row(firing: "FiringView") -> list[object]:
    why = f"{firing.reason}: {firing.text}" if firing.reason else ""
    by = f"by {firing.made_by.name}" if firing.made_by else why
    return [
        firing.nominal_local,
        moment(firing.actual_at),
        firing.kind,
        firing.state,
        firing.run_state,
        by,
        firing.run_id,
    ]
