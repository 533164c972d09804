"""`mantik schedules delete`."""

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Command
from gateway.cli.schedules.choice import schedule_argument
from gateway.cli.text import plain


@click.command("delete", cls=Command)
@schedule_argument
@yes_option
def command(schedule: str, project: str | None, yes: bool) -> None:
    """Delete a schedule; its runs stay."""
    with gateway(project) as client:
        found = client.schedules.get(schedule)
        confirm(f"Delete schedule {plain(found.name)} ({found.schedule_id})?", yes=yes)
        client.schedules.delete(found.schedule_id)
    click.echo(f"Deleted schedule {plain(found.name)}.", err=True)
