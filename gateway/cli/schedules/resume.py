"""`mantik schedules resume`."""

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import schedule_argument


@click.command("resume", cls=Command)
@schedule_argument
@output_option
def command(schedule: str, project: str | None, output: str) -> None:
    """Fire again from now on; prints its state."""
    with gateway(project) as client:
        found = client.schedules.resume(schedule)
    show(found, output, lambda: found.state)
    click.echo(f"It fires next at {found.next_local}.", err=True)
