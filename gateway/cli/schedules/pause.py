"""`mantik schedules pause`."""

import click

from gateway.cli.asking import command_line, gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import schedule_argument


@click.command("pause", cls=Command)
@schedule_argument
@output_option
def command(schedule: str, project: str | None, output: str) -> None:
    """No firing until it is resumed; prints its state. Live runs go on."""
    with gateway(project) as client:
        found = client.schedules.pause(schedule)
    show(found, output, lambda: found.state)
    resume = command_line(f"mantik schedules resume {found.schedule_id}", project)
    click.echo(f"Times that pass are not made up for. To go on: {resume}", err=True)
