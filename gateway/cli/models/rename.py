"""`mantik models rename`."""

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.models.choice import model_argument
from gateway.cli.output import output_option, show
from gateway.cli.text import plain


@click.command("rename", cls=Command)
@model_argument
@click.argument("name")
@output_option
def command(model: str, project: str | None, name: str, output: str) -> None:
    """Give a model another name, in MLflow too; prints its id. Programs that load it need the new name."""
    with gateway(project) as client:
        made = client.models.rename(model, name)
    show(made, output, lambda: str(made.model_id))
    if made.status == "REGISTERED" and made.uri:
        click.echo(f"It is at {plain(made.uri)} now.", err=True)
    elif made.message:
        click.echo(f"It is {made.status}: {plain(made.message)}", err=True)
