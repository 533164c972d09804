"""`mantik projects members`."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.asking import command_line, confirm, gateway, project_option, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.text import plain
from gateway.errors import Conflict, NotFound

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.schemas.projects import MemberView

ROLES = ("owner", "maintainer", "researcher", "reporter", "guest")
_role = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="researcher",
    show_default=True,
    help="What they may do; a researcher submits runs.",
)


@click.group("members", cls=Group)
def members() -> None:
    """Who works in a project, and with which role."""


@members.command("list")
@project_option
@output_option
def list_all(project: str | None, output: str) -> None:
    """List the members of a project."""
    with gateway(project) as client:
        found = client.members.list()
    rows = ("NAME", "ROLE", "ID")
    show_rows(found, output, rows, lambda m: (m.user.name, m.role, m.user.user_id), empty="The project has no members.")


@members.command("add")
@click.argument("user")
@_role
@project_option
@output_option
def add(user: str, role: Any, project: str | None, output: str) -> None:
    """Make a user a member, by the whole name or id (maintainers; for high roles owners)."""
    with gateway(project) as client:
        there = _member(client, user)
        if there is not None:
            words = command_line(f"mantik projects members set-role {shlex.quote(user)} {role}", project)
            raise Conflict(f"{user} is a member already, as {there.role}.", next_step=f"To change it: {words}")
        made = client.members.set(user, role)
    _tell(made, output, f"{made.user.name} is {made.role} now.")


@members.command("set-role")
@click.argument("user")
@click.argument("role", type=click.Choice(ROLES))
@project_option
@output_option
def set_role(user: str, role: Any, project: str | None, output: str) -> None:
    """Change the role of a member, by name or id."""
    with gateway(project) as client:
        there = _member(client, user)
        if there is None:
            words = command_line(f"mantik projects members add {shlex.quote(user)} --role {role}", project)
            raise NotFound(f"{user} is not a member of the project.", next_step=f"To add them: {words}")
        made = client.members.set(there.user.user_id, role)
    _tell(made, output, f"{made.user.name} is {made.role} now; it was {there.role}.")


@members.command("remove")
@click.argument("user")
@project_option
@yes_option
def remove(user: str, project: str | None, yes: bool) -> None:
    """Take a member out, by name or id; everybody may leave. Live runs go on."""
    confirm(f"Remove {user} from the project?", yes=yes)
    with gateway(project) as client:
        client.members.remove(user)
    click.echo(f"Removed {user} from the project.", err=True)


def _member(client: "Client", user: str) -> "MemberView | None":
    return next((m for m in client.members.list() if user in (m.user.name, str(m.user.user_id))), None)


def _tell(member: "MemberView", output: str, sentence: str) -> None:
    show(member, output, lambda: str(member.user.user_id))
    click.echo(plain(sentence), err=True)
