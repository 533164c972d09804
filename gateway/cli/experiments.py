"""`mantik experiments`."""

import click

from gateway.cli.asking import confirm, gateway, project_option, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.table import fields
from gateway.cli.text import age, moment


@click.group(cls=Group)
def command() -> None:
    """Experiment repositories (MLflow experiments)."""


@command.command("create")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@project_option
@output_option
def create(name: str, description: str, project: str | None, output: str) -> None:
    """Create an experiment repository; prints its id."""
    from gateway.schemas.projects import CreateExperiment

    with gateway(project) as client:
        made = client.experiments.create(CreateExperiment(name=name, description=description))
    show(made, output, lambda: str(made.experiment_repository_id))


@command.command("list")
@project_option
@output_option
def list_all(project: str | None, output: str) -> None:
    """List the experiment repositories of a project."""
    with gateway(project) as client:
        found = list(client.experiments.list())
    columns = ("NAME", "MLFLOW ID", "CREATED", "ID")
    empty = "There is no experiment repository yet. To make one: mantik experiments create NAME"
    show_rows(
        found,
        output,
        columns,
        lambda e: (e.name, e.mlflow_experiment_id, age(e.created_at), e.experiment_repository_id),
        empty=empty,
    )


@command.command("show")
@click.argument("experiment")
@project_option
@output_option
def show_one(experiment: str, project: str | None, output: str) -> None:
    """Show an experiment repository, by name or id."""
    with gateway(project) as client:
        found = client.experiments.get(experiment)
    pairs = [
        ("Name", found.name),
        ("Id", found.experiment_repository_id),
        ("Description", found.description),
        ("MLflow experiment", found.mlflow_experiment_id),
        ("Artifacts", found.artifact_location),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(pairs))


@command.command("delete")
@click.argument("experiment")
@project_option
@yes_option
def delete(experiment: str, project: str | None, yes: bool) -> None:
    """Delete an experiment repository, by name or id."""
    with gateway(project) as client:
        found = client.experiments.get(experiment)
        confirm(f"Delete experiment repository {found.name} ({found.experiment_repository_id})?", yes=yes)
        client.experiments.delete(found.experiment_repository_id)
    click.echo(f"Deleted experiment repository {found.name}.", err=True)
