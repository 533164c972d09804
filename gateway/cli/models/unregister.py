"""`mantik models unregister`."""

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Command
from gateway.cli.models.choice import model_argument
from gateway.cli.text import plain


@click.command("unregister", cls=Command)
@model_argument
@yes_option
def command(model: str, project: str | None, yes: bool) -> None:
    """Take a model out of the project and of MLflow's registry; what its run logged stays."""
    with gateway(project) as client:
        found = client.models.get(model)
        confirm(f"Unregister model {plain(found.name)} ({found.model_id})?", yes=yes)
        client.models.delete(found.model_id)
    click.echo(f"Unregistered model {plain(found.name)}.", err=True)
