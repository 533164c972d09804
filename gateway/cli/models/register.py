"""`mantik models register`."""

import click

from gateway.cli.asking import command_line, gateway
from gateway.cli.groups import Command
from gateway.cli.output import output_option, show
from gateway.cli.runs.choice import run_argument
from gateway.cli.text import plain


@click.command("register", cls=Command)
@run_argument
@click.option("--name", required=True, help="Its name, unique in the project.")
@click.option(
    "--artifact-path",
    metavar="PATH",
    help="Which one, when the run logged several: name or id of a logged model, or a folder of its artifacts.",
)
@output_option
def command(run: str, project: str | None, name: str, artifact_path: str | None, output: str) -> None:
    """Give the model of a finished run a name; prints the model's id.

    The model that the run logged is found by itself when there is one.
    """
    from gateway.schemas.models import RegisterModel

    with gateway(project) as client:
        found = client.runs.get(run).run_id
        made = client.models.create(RegisterModel(name=name, run_id=found, artifact_path=artifact_path))
    show(made, output, lambda: str(made.model_id))
    if made.status == "REGISTERED":
        click.echo(f"To load it: mlflow.pyfunc.load_model({plain(made.uri)!r})", err=True)
    else:
        see = command_line(f"mantik models describe {made.model_id}", project)
        click.echo(f"It is {made.status}: {plain(made.message)} To see how it goes: {see}", err=True)
