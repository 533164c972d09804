"""`mantik models image`."""

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.models.choice import model_argument
from gateway.cli.output import output_option, show


@click.command("image", cls=Command)
@model_argument
@output_option
def command(model: str, project: str | None, output: str) -> None:
    """Get an archive of which a container image is built that serves the model; prints its link.

    The archive holds MLflow's Dockerfile, the model, and a README with what a build needs: Docker or the like on a
    machine of yours, and the network. Whoever has the link may fetch the archive for an hour.
    """
    with gateway(project) as client:
        link = client.models.build_image(model)
    show(link, output, lambda: link.url)
    click.echo("It holds a README with what a build needs.", err=True)
