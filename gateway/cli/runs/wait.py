"""`mantik runs wait`."""

import click

from gateway.cli.asking import command_line, gateway
from gateway.cli.groups import Command
from gateway.cli.output import FORMATS, jsonable, say_data
from gateway.cli.runs.choice import run_argument
from gateway.cli.runs.ending import exit_code, sentence


@click.command("wait", cls=Command)
@run_argument
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up then, with exit code 12.")
@click.option("-o", "--output", type=click.Choice(FORMATS[1:]), help="Print the run when it has ended.")
def command(run: str, project: str | None, timeout: float | None, output: str | None) -> None:
    """Wait until a run has ended; the exit code is that of the run."""
    with gateway(project) as client:
        try:
            ended = client.runs.wait(
                run, timeout=timeout, on_change=lambda r: click.echo(f"Run is {r.state}.", err=True)
            )
        except KeyboardInterrupt:
            cancel = command_line(f"mantik runs cancel {run}", project)
            click.echo(f"Stopped waiting; the run goes on. To cancel it: {cancel}", err=True)
            raise click.exceptions.Exit(130) from None
    if output is not None:
        say_data(jsonable(ended), output)
    click.echo(sentence(ended), err=True)
    raise click.exceptions.Exit(exit_code(ended))
