"""`mantik connections`."""

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.credentials import credential, credential_options, end_of
from gateway.cli.groups import Group
from gateway.cli.output import output_option, say_data, say_result, show, show_rows
from gateway.cli.site_info import site_info
from gateway.cli.table import fields
from gateway.cli.text import moment
from gateway.cli.values import pairs, usage

if TYPE_CHECKING:
    from gateway.schemas.sites import ConnectionView

METHODS = ("SSH-Key", "Username-Password", "Token", "OIDC", "None")


@click.group(cls=Group)
def command() -> None:
    """Your own access to sites and to git."""


@command.command("create")
@click.argument("name")
@click.option("--site", help="Name or id of the site.")
@click.option("--origin", help="Address of a git or data service, e.g. https://github.com, instead of --site.")
@click.option("--provider", help="What it is, e.g. Slurm or GitHub; without: the kind of the site, or Git.")
@click.option(
    "--auth-method", type=click.Choice(METHODS), default="SSH-Key", show_default=True, help="How you log in there."
)
@credential_options
@click.option(
    "--prefer", multiple=True, help="NAME=VALUE: as whom you act there, e.g. group=project1; may be repeated."
)
@click.option("--check/--no-check", default=True, help="Try it at once.  [default: check]")
@output_option
def create(
    name: str,
    site: str | None,
    origin: str | None,
    provider: str | None,
    auth_method: str,
    prefer: tuple[str, ...],
    check: bool,
    output: str,
    **given: Any,
) -> None:
    """Save a connection of yours; prints its id.

    With SSH-Key and no --private-key the gateway makes a key of its own and prints the public part, which you add to
    your account on the site. Passwords and tokens are asked for, or read with --secret-stdin.

    With OIDC you give a refresh token; the gateway has its access tokens renewed by the issuer while it is used.
    """
    from gateway.schemas.sites import CreateConnection

    if (site is None) == (origin is None):
        raise usage("Give either --site or --origin.")
    secrets = credential(auth_method, given) | ({"preferences": pairs("--prefer", prefer)} if prefer else {})
    with gateway() as client:
        found = client.sites.get(site) if site is not None else None
        body = CreateConnection(
            connection_name=name,
            connection_provider=provider or (found.kind if found else "Git"),
            auth_method=auth_method,
            site_id=found.site_id if found else None,
            origin=origin,
            **secrets,
        )
        made_here = auth_method == "SSH-Key" and body.private_key is None
        made = client.connections.create(body, check=check and not made_here)
    show(made, output, lambda: str(made.connection_id))
    _talk(made, made_here)


@command.command("renew")
@click.argument("connection")
@credential_options
@output_option
def renew(connection: str, output: str, **given: Any) -> None:
    """Give a connection a new credential, e.g. after your password changed."""
    from gateway.schemas.sites import UpdateCredential

    with gateway() as client:
        found = client.connections.get(connection)
        given["login_name"] = given["login_name"] or found.login_name
        body = UpdateCredential(**credential(found.auth_method, given))
        made = client.connections.set_credential(found.connection_id, body)
    show(made, output, lambda: str(made.connection_id))
    _talk(made, found.auth_method == "SSH-Key" and body.private_key is None)


@command.command("edit")
@click.argument("connection")
@click.option("--name", help="Another name.")
@click.option(
    "--prefer", multiple=True, help="NAME=VALUE: as whom you act there; NAME= takes a choice back; may be repeated."
)
@click.option("--valid-until", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the credential, in UTC.")
@output_option
def edit(connection: str, name: str | None, prefer: tuple[str, ...], valid_until: datetime | None, output: str) -> None:
    """Change a connection without a new credential; what you do not name stays. To log in anew: renew."""
    from gateway.schemas.sites import ChangeConnection

    if name is None and not prefer and valid_until is None:
        raise usage("Nothing to change. Give --name, --prefer or --valid-until.")
    with gateway() as client:
        found = client.connections.get(connection)
        chosen = found.preferences | pairs("--prefer", prefer)
        body = ChangeConnection(
            connection_name=name or found.connection_name,
            preferences={name: value for name, value in chosen.items() if value},
            valid_until=end_of(valid_until) if valid_until else found.valid_until,
        )
        made = client.connections.change(found.connection_id, body)
    show(made, output, lambda: str(made.connection_id))
    _talk(made, made_here=False)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List your connections."""
    with gateway() as client:
        found = list(client.connections.list())
    empty = "You have no connection yet. To make one: mantik connections create NAME --site SITE"
    columns = ("NAME", "WHERE", "STATE", "ID")
    show_rows(
        found,
        output,
        columns,
        lambda c: (c.connection_name, c.site_name or c.origin, _state(c), c.connection_id),
        empty=empty,
    )


@command.command("show")
@click.argument("connection")
@output_option
def show_one(connection: str, output: str) -> None:
    """Show a connection, by name or id; never its secret."""
    with gateway() as client:
        found = client.connections.get(connection)
    check = found.last_check or {}
    shown = [
        ("Name", found.connection_name),
        ("Id", found.connection_id),
        ("Site", found.site_name),
        ("Origin", found.origin),
        ("Provider", found.connection_provider),
        ("Login", f"{found.login_name or ''} ({found.auth_method}, version {found.version})".strip()),
        ("Acts as", ", ".join(f"{name} {value}" for name, value in found.preferences.items())),
        ("Issuer", found.token_url),
        ("Client", found.client_id),
        ("Scope", found.scope),
        ("Token until", moment(found.token_ends_at)),
        ("State", _state(found)),
        ("Certificate", None if found.certificate_checked else "not checked"),
        ("Problem", check.get("error") or found.refused_text),
        ("Valid until", moment(found.valid_until)),
        ("Public key", found.public_key),
        ("Created", moment(found.created_at)),
    ]
    show(found, output, lambda: fields(shown))


@command.command("check")
@click.argument("connection")
@output_option
def check(connection: str, output: str) -> None:
    """Log in at the site: who you are there, its queues and limits, your accounts."""
    with gateway() as client:
        found = client.connections.check(connection)
    if output == "table":
        say_result(site_info(found))
    else:
        say_data(found, output)


@command.command("delete")
@click.argument("connection")
@yes_option
def delete(connection: str, yes: bool) -> None:
    """Delete a connection, by name or id, with its secret."""
    with gateway() as client:
        found = client.connections.get(connection)
        confirm(f"Delete connection {found.connection_name} ({found.site_name or found.origin})?", yes=yes)
        client.connections.delete(found.connection_id)
    click.echo(f"Deleted connection {found.connection_name}.", err=True)


def _state(connection: "ConnectionView") -> str:
    check = connection.last_check or {}
    tried = "" if "ok" not in check else "ok" if check["ok"] else "problem"
    state = "refused" if connection.refused_at is not None else tried
    return state if connection.certificate_checked else f"{state}, certificate not checked".removeprefix(", ")


def _talk(made: "ConnectionView", made_here: bool) -> None:
    name = shlex.quote(made.connection_name)
    if made_here and made.public_key:
        click.echo("Add this public key to your account there (~/.ssh/authorized_keys):", err=True)
        click.echo(f"  {made.public_key.strip()}", err=True)
        if made.site_id is not None:
            click.echo(f"Then: mantik connections check {name}", err=True)
        return
    check = made.last_check or {}
    if check.get("ok"):
        click.echo(f"It works. Queues and accounts: mantik connections check {name}", err=True)
    elif check.get("error"):
        click.echo(f"Warning: saved, but it does not work yet. {check['error']}", err=True)
        click.echo(f"Next: mantik connections renew {name}, or mantik connections check {name}", err=True)
