"""`mantik schedules list`."""

import click

from gateway.cli.asking import gateway, project_option
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show_rows


@click.command("list", cls=Command)
@project_option
@output_option
def command(project: str | None, output: str) -> None:
    """List the schedules of a project, newest first."""
    with gateway(project) as client:
        found = list(client.schedules.list())
    columns = ("NAME", "STATE", "CRON", "ZONE", "NEXT", "RUN", "AS", "ID")
    show_rows(
        found,
        output,
        columns,
        lambda s: (
            s.name,
            f"{s.state} ({s.reason})" if s.reason else s.state,
            s.cron_expression,
            s.time_zone,
            s.next_local,
            s.run_name,
            s.run_as.name,
            s.schedule_id,
        ),
        empty="There is no schedule yet. To make one: mantik schedules create --help",
    )
