"""`mantik models download`."""

from pathlib import Path

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.models.choice import model_argument
from gateway.cli.output import say_result


@click.command("download", cls=Command)
@model_argument
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="A directory that is not there yet; by default the model's name.",
)
def command(model: str, project: str | None, directory: Path | None) -> None:
    """Fetch the files of a model into a new directory; prints which."""
    with gateway(project) as client:
        found = client.models.get(model)
        place = client.models.download(found.model_id, directory or Path(found.name))
    say_result(str(place))
