"""`mantik runs submit`, with the published options."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.asking import command_line, gateway, project_option
from gateway.cli.backend_config import backend_config
from gateway.cli.groups import Command
from gateway.cli.output import FORMATS, jsonable, say_data, say_result
from gateway.cli.runs.ending import exit_code
from gateway.cli.runs.following import follow as follow_run
from gateway.cli.runs.preview import preview_page
from gateway.cli.text import plain
from gateway.cli.values import pairs, usage

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.schemas.runs import SubmitRun

F = TypeVar("F", bound=Callable[..., Any])


def _named(*names: str, variable: str, what: str) -> Callable[[F], F]:
    return click.option(*names, names[0][2:].replace("-", "_"), envvar=variable, show_envvar=True, help=what)


@click.command("submit", cls=Command)
@click.argument("mlproject_path")
@click.option("--name", help="Name of the run; without: those of code repository and entry point.")
@click.option("--entry-point", default="main", show_default=True, help="Entry point of the MLproject.")
@click.option(
    "--backend-config",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Compute backend config: a file here, else a path in the repository.",
)
@project_option
@_named("--data-repository-id", variable="MANTIK_DATA_REPOSITORY_ID", what="Id of the data repository.")
@_named("--data-branch", variable="MANTIK_DATA_REPOSITORY_BRANCH", what="Its branch.")
@_named("--data-commit", variable="MANTIK_DATA_REPOSITORY_COMMIT", what="Its commit.")
@_named(
    "--experiment-repository-id",
    "--experiment",
    variable="MANTIK_EXPERIMENT_REPOSITORY_ID",
    what="Id or name of the experiment repository.",
)
@_named("--code-repository-id", "--code", variable="MANTIK_CODE_REPOSITORY_ID", what="Id or name of the code.")
@click.option("--branch", help="Branch of the code repository.")
@click.option("--commit", help="Commit of the code repository; goes before --branch.")
@_named("--compute-budget-account", variable="MANTIK_COMPUTE_BUDGET_ACCOUNT", what="Account that is billed.")
@_named("--connection-id", "--connection", variable="MANTIK_CONNECTION_ID", what="Id or name of your connection.")
@click.option("-P", "--parameter", "parameters", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would be submitted; submit nothing.")
@click.option(
    "--follow/--no-follow",
    default=None,
    help="Follow the log until the run ends.  [default: on a terminal, without -o]",
)
@click.option("--detach", is_flag=True, help="As --no-follow.")
@click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the result."
)
def command(dry_run: bool, follow: bool | None, detach: bool, output: str, project: str | None, **given: Any) -> None:
    """Submit an MLflow project.

    MLPROJECT_PATH is the MLproject file, or its directory, relative to the top of the code repository.

    On a terminal the log is followed and the exit code is that of the run; Ctrl-C leaves the run alone. Otherwise the
    run's id is printed as soon as the gateway has stored the run.
    """
    if follow and detach:
        raise usage("Give --follow or --detach, not both.")
    if follow is None:
        follow = not detach and output == "table" and sys.stdout.isatty()
    config = backend_config(given.pop("backend_config"))
    parameters = pairs("-P", given.pop("parameters"))
    with gateway(project) as client:
        body = _body(client, given, config, parameters)
        if dry_run:
            preview = client.runs.preview(body)
            say_result(preview_page(preview)) if output == "table" else say_data(jsonable(preview), output)
            return
        made = _submitted(client, body, project)
        for warning in made.warnings:
            click.echo(f"Warning: {plain(warning)}", err=True)
        if not follow:
            say_result(str(made.run_id)) if output == "table" else say_data(jsonable(made), output)
            again = command_line(f"mantik runs logs {made.run_id}", project)
            click.echo(f"Submitted. To follow it: {again}", err=True)
            return
        click.echo(f"Submitted run {body.name} ({made.run_id}).", err=True)
        ended = follow_run(client, made.run_id, project, log_on_stderr=output != "table", warn=True)
    if output != "table":
        say_data(jsonable(ended), output)
    raise click.exceptions.Exit(exit_code(ended))


def _submitted(client: "Client", body: "SubmitRun", project: str | None) -> Any:
    try:
        return client.runs.submit(body)
    except KeyboardInterrupt:
        look = command_line("mantik runs list --mine", project)
        click.echo(f"Interrupted before the gateway answered: the run may have been stored. Look: {look}", err=True)
        raise click.exceptions.Exit(130) from None


def _body(client: "Client", given: dict[str, Any], config: Any, parameters: dict[str, str]) -> "SubmitRun":
    """With names turned into ids; every missing one is named at once."""
    from gateway.schemas.runs import SubmitRun

    needed = {
        "experiment_repository_id": "MANTIK_EXPERIMENT_REPOSITORY_ID",
        "code_repository_id": "MANTIK_CODE_REPOSITORY_ID",
    }
    needed["connection_id"] = "MANTIK_CONNECTION_ID"
    missing = [f"--{key.replace('_', '-')} (or {variable})" for key, variable in needed.items() if not given[key]]
    if missing:
        raise usage(f"Missing: {', '.join(missing)}.")
    code = client.code.get(given["code_repository_id"])
    name = given["name"] or f"{code.code_repository_name} {given['entry_point']}"
    return SubmitRun(
        name=name,
        experiment_repository_id=client.experiments.get(given["experiment_repository_id"]).experiment_repository_id,
        code_repository_id=code.code_repository_id,
        branch=given["branch"],
        commit=given["commit"],
        data_repository_id=given["data_repository_id"],
        data_branch=given["data_branch"],
        data_commit=given["data_commit"],
        connection_id=client.connections.get(given["connection_id"]).connection_id,
        compute_budget_account=given["compute_budget_account"],
        mlflow_mlproject_file_path=given["mlproject_path"],
        entry_point=given["entry_point"],
        mlflow_parameters=dict(parameters),
        backend_config=config,
    )
