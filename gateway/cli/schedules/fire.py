"""`mantik schedules fire`."""

import click

from gateway.cli.asking import command_line, gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.schedules.choice import schedule_argument


@click.command("fire", cls=Command)
@schedule_argument
@click.option("--connection-id", "--connection", "connection", help="Your own, for another's schedule; id or name.")
@click.option("--compute-budget-account", "account", help="Account that is billed; by default the schedule's.")
@output_option
def command(schedule: str, project: str | None, connection: str | None, account: str | None, output: str) -> None:
    """Make a run now, whatever its time, state and overlap policy say; prints the run's id."""
    from gateway.schemas.schedules import FireNow

    with gateway(project) as client:
        mine = client.connections.get(connection).connection_id if connection else None
        found = client.schedules.fire(schedule, FireNow(connection_id=mine, compute_budget_account=account))
    show(found, output, lambda: str(found.run_id))
    click.echo(f"To follow it: {command_line(f'mantik runs logs {found.run_id}', project)}", err=True)
