"""`mantik tokens`."""

from datetime import UTC, datetime

import click

from gateway.cli.asking import confirm, gateway, yes_option
from gateway.cli.groups import Group
from gateway.cli.output import output_option, show, show_rows
from gateway.cli.text import age, moment


@click.group(cls=Group)
def command() -> None:
    """API tokens for scripts."""


@command.command("create")
@click.argument("name")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="Last day, in UTC; without: valid until revoked.")
@output_option
def create(name: str, expires: datetime | None, output: str) -> None:
    """Create a token and print it, this one time.

    Use it as MANTIK_PASSWORD together with your MANTIK_USERNAME, or as MLFLOW_TRACKING_TOKEN of an MLflow client.
    """
    from gateway.schemas.users import CreateApiToken

    ends = expires.replace(hour=23, minute=59, second=59, tzinfo=UTC) if expires else None
    with gateway() as client:
        made = client.tokens.create(CreateApiToken(name=name, expires_at=ends))
    show(made, output, lambda: made.token)
    click.echo("It is not shown again. Use it as MANTIK_PASSWORD, or as MLFLOW_TRACKING_TOKEN.", err=True)


@command.command("list")
@output_option
def list_all(output: str) -> None:
    """List your tokens, without the tokens themselves."""
    with gateway() as client:
        found = list(client.tokens.list())
    columns = ("NAME", "LAST USED", "EXPIRES", "ID")
    empty = "You have no API token. To make one: mantik tokens create NAME"
    show_rows(
        found,
        output,
        columns,
        lambda t: (t.name, age(t.last_used_at) or "never", moment(t.expires_at)[:10] or "never", t.token_id),
        empty=empty,
    )


@command.command("revoke")
@click.argument("token")
@yes_option
def revoke(token: str, yes: bool) -> None:
    """End a token, by name or id."""
    confirm(f"Revoke token {token}?", yes=yes)
    with gateway() as client:
        client.tokens.delete(token)
    click.echo(f"Revoked token {token}.", err=True)
