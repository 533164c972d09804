"""`mantik runs cancel`."""

import click

from gateway.cli.asking import command_line, gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.runs.choice import run_argument


@click.command("cancel", cls=Command)
@run_argument
@output_option
def command(run: str, project: str | None, output: str) -> None:
    """Ask for the end of a run; prints its state.

    The run is CANCELLED when the site shows that its job has ended; a job that finishes first is FINISHED.
    """
    from gateway.schemas.runs import FINAL_STATES

    with gateway(project) as client:
        asked = client.runs.cancel(run)
    show(asked, output, lambda: asked.state)
    if asked.state in FINAL_STATES:
        click.echo("The run has ended.", err=True)
    else:
        wait = command_line(f"mantik runs wait {asked.run_id}", project)
        click.echo(f"Its end is asked for. To wait for it: {wait}", err=True)
