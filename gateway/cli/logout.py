"""`mantik logout`."""

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command


@click.command(cls=Command)
def command() -> None:
    """Forget the login on this machine."""
    with gateway() as client:
        known = client.logout()
        click.echo(f"Logged out from {client.api_url}." if known else "You were not logged in.", err=True)
