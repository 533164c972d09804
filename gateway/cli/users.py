"""`mantik users`."""

import shlex
import sys

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.table import fields
from gateway.cli.text import age, moment, plain
from gateway.cli.values import usage


@click.group(cls=Group)
def command() -> None:
    """The users of this gateway (for its admins)."""


@command.command("create")
@click.argument("name")
@click.option("--admin", is_flag=True, help="An admin: adds sites and users, and may use the gateway's own machine.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
@output_option
def create(name: str, admin: bool, password_stdin: bool, output: str) -> None:
    """Create a user; prints its id.

    The password has at least 12 characters. It is asked for twice, or read from the standard input; it is never an
    argument.
    """
    from gateway.schemas.users import CreateUser

    body = CreateUser(name=name, password=_password(name, from_stdin=password_stdin), is_admin=admin)
    with gateway() as client:
        made = client.users.create(body)
    show(made, output, lambda: str(made.user_id))
    words = shlex.quote(plain(made.name))
    click.echo(f"They log in with: mantik login --username {words}", err=True)
    click.echo(f"To give them a project: mantik projects members add {words} --role researcher", err=True)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List all users, disabled ones too."""
    with gateway() as client:
        found = list(client.users.list())
    columns = ("NAME", "ADMIN", "STATE", "CREATED", "ID")
    show_rows(
        found,
        output,
        columns,
        lambda u: (u.name, "yes" if u.is_admin else "", _state(u.disabled_at), age(u.created_at), u.user_id),
        empty="There is no user.",
    )


@command.command("show")
@click.argument("user")
@output_option
def show_one(user: str, output: str) -> None:
    """Show a user, by name or id."""
    with gateway() as client:
        found = client.users.get(user)
    pairs = [
        ("Name", found.name),
        ("Id", found.user_id),
        ("Admin", "yes" if found.is_admin else None),
        ("State", _state(found.disabled_at) if found.created_at else None),
        ("Disabled", moment(found.disabled_at)),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(pairs))


@command.command("disable")
@click.argument("user")
@yes_option
def disable(user: str, yes: bool) -> None:
    """Take away all access of a user at once, by name or id.

    Every login and token ends, those of the user's jobs too. Jobs that are on a site go on to their end.
    """
    with gateway() as client:
        found = client.users.get(user)
        shown = plain(found.name)
        confirm(f"Disable user {shown} ({found.user_id})?", yes=yes)
        client.users.disable(found.user_id)
    click.echo(f"Disabled user {shown}. To undo it: mantik users enable {shlex.quote(shown)}", err=True)


@command.command("enable")
@click.argument("user")
def enable(user: str) -> None:
    """Let a disabled user log in again, by name or id."""
    with gateway() as client:
        found = client.users.get(user)
        client.users.enable(found.user_id)
    click.echo(f"Enabled user {plain(found.name)}; they log in anew.", err=True)


def _password(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise usage("Give --password-stdin to read the password here.")
    return str(click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt="The same again", err=True))


def _state(disabled_at: object) -> str:
    return "active" if disabled_at is None else "disabled"
