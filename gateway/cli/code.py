"""`mantik code`."""

import click

from gateway.cli.asking import confirm, gateway, project_option, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.table import fields
from gateway.cli.text import moment


@click.group(cls=Group)
def command() -> None:
    """Code repositories (git)."""


@command.command("create")
@click.argument("name")
@click.argument("uri")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--connection-id", "--connection", "connection", metavar="CONNECTION", help="Connection for a private repository."
)
@click.option("--platform", default="Git", show_default=True, help="Where it is kept, e.g. GitHub or GitLab.")
@project_option
@output_option
def create(
    name: str,
    uri: str,
    description: str,
    connection: str | None,
    platform: str,
    project: str | None,
    output: str,
) -> None:
    """Add the git repository at URI under a name; prints its id."""
    from gateway.schemas.projects import CreateCode

    with gateway(project) as client:
        used = client.connections.get(connection).connection_id if connection else None
        body = CreateCode(
            code_repository_name=name, uri=uri, description=description, connection_id=used, platform=platform
        )
        made = client.code.create(body)
    show(made, output, lambda: str(made.code_repository_id))


@command.command("list")
@project_option
@output_option
def list_all(project: str | None, output: str) -> None:
    """List the code repositories of a project."""
    with gateway(project) as client:
        found = list(client.code.list())
    columns = ("NAME", "URI", "ID")
    empty = "There is no code repository yet. To add one: mantik code create NAME URI"
    show_rows(found, output, columns, lambda c: (c.code_repository_name, c.uri, c.code_repository_id), empty=empty)


@command.command("show")
@click.argument("repository")
@project_option
@output_option
def show_one(repository: str, project: str | None, output: str) -> None:
    """Show a code repository, by name or id."""
    with gateway(project) as client:
        found = client.code.get(repository)
    pairs = [
        ("Name", found.code_repository_name),
        ("Id", found.code_repository_id),
        ("URI", found.uri),
        ("Description", found.description),
        ("Platform", found.platform),
        ("Connection", found.connection_id),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(pairs))


@command.command("delete")
@click.argument("repository")
@project_option
@yes_option
def delete(repository: str, project: str | None, yes: bool) -> None:
    """Forget a code repository, by name or id; the git repository stays."""
    with gateway(project) as client:
        found = client.code.get(repository)
        confirm(f"Forget code repository {found.code_repository_name} ({found.uri})?", yes=yes)
        client.code.delete(found.code_repository_id)
    click.echo(f"Forgot code repository {found.code_repository_name}.", err=True)
