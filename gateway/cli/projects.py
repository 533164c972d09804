"""`mantik projects`."""

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.project_members import members
from gateway.cli.retention import retention
from gateway.cli.table import fields
from gateway.cli.text import age, moment


@click.group(cls=Group)
def command() -> None:
    """Projects: their members share repositories and runs."""


command.add_command(members)
command.add_command(retention)


@command.command("create")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--public", is_flag=True, help="Let everybody see parameters, metrics and models.")
@click.option("--public-details", is_flag=True, help="Let everybody see logs, hosts and accounts as well.")
@output_option
def create(name: str, description: str, public: bool, public_details: bool, output: str) -> None:
    """Create a project; prints its id."""
    from gateway.schemas.projects import CreateProject

    body = CreateProject(name=name, description=description, public=public, public_details=public_details)
    with gateway() as client:
        made = client.projects.create(body)
    show(made, output, lambda: str(made.project_id))
    click.echo(f"To use it: export MANTIK_PROJECT_ID={made.project_id}", err=True)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List your projects and the public ones."""
    with gateway() as client:
        found = list(client.projects.list())
    columns = ("NAME", "ROLE", "CREATED", "ID")
    empty = "There is no project yet. To make one: mantik projects create NAME"
    show_rows(found, output, columns, lambda p: (p.name, p.role, age(p.created_at), p.project_id), empty=empty)


@command.command("show")
@click.argument("project")
@output_option
def show_one(project: str, output: str) -> None:
    """Show a project, by name or id."""
    with gateway() as client:
        found = client.projects.get(project)
    seen = "everybody" if found.public else "members"
    pairs = [
        ("Name", found.name),
        ("Id", found.project_id),
        ("Description", found.description),
        ("Your role", found.role),
        ("Seen by", f"{seen}, with logs and hosts" if found.public and found.public_details else seen),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(pairs))


@command.command("delete")
@click.argument("project")
@yes_option
def delete(project: str, yes: bool) -> None:
    """Delete a project, by name or id."""
    with gateway() as client:
        found = client.projects.get(project)
        confirm(f"Delete project {found.name} ({found.project_id})?", yes=yes)
        client.projects.delete(found.project_id)
    click.echo(f"Deleted project {found.name}.", err=True)
